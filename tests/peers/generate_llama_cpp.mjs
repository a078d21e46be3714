#!/usr/bin/env node
// Generation by llama.cpp (npm node-llama-cpp): what `make bench-generate` measures ours against.
//
//   generate_llama_cpp.mjs MODEL.gguf FIRST COUNT THREADS
//
// From FIRST tokens on, takes the likeliest COUNT times, and prints tokens a second: as the clock says, or as the runtime says
// of its own work, which leaves out what Node.js adds, whichever is more.
const peers = new URL('../../build/peers/node_modules/', import.meta.url)
const { getLlama } = await import(new URL('node-llama-cpp/dist/index.js', peers))
const [, , path, first, count, threads] = process.argv
let own = 0
const logger = (_, message) => {
  const said = /^llama_perf_context_print: +eval time.* ([0-9.]+) tokens per second/m.exec(message)
  if (said) own = Number(said[1])
}
const llama = await getLlama({ gpu: false, build: 'never', progressLogs: false, logLevel: 'debug', logger, maxThreads: Number(threads) })
const model = await llama.loadModel({ modelPath: path, gpuLayers: 0 })
const context = await model.createContext({ contextSize: model.trainContextSize, threads: Number(threads), performanceTracking: true })
const ids = [model.tokens.bos, ...Array.from({ length: Number(first) - 1 }, (_, i) => 4 + ((7 * i) % 256))]
let made = 0
let began
for await (const _ of context.getSequence().evaluate(ids, { temperature: 0, yieldEogToken: true })) {
  if (made++ === 0) began = process.hrtime.bigint() // the prompt does not count
  if (made > Number(count)) break
}
const clock = Number(count) / (Number(process.hrtime.bigint() - began) / 1e9)
await context.printTimings()
process.stdout.write(`${Math.max(clock, own).toFixed(1)}\n`, () => process.exit(0))
