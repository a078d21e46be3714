#!/usr/bin/env node
// llama.cpp as an oracle: the prebuilt one in the npm package node-llama-cpp, and Hugging Face's parser of GGUF headers.
//
//   llama_cpp.mjs logprobs IDS MODEL...      for each token but the last of each line of IDS (a list of ids), the log-probabilities
//                                            of the next one into MODEL.f32: little-endian, one for each of the vocabulary
//   llama_cpp.mjs perplexity IDS MODEL...    of all tokens but the first of each line, and their number
//   llama_cpp.mjs ids MODEL <TEXTS           ids of each text (JSON lines with a field `text`), as lists
//   llama_cpp.mjs header MODEL               keys and tensors as JSON
import fs from 'node:fs'
import readline from 'node:readline'
import { fileURLToPath } from 'node:url'

const peers = new URL('../../build/peers/node_modules/', import.meta.url)
const lines = path => fs.readFileSync(path, 'utf8').split('\n').filter(line => line)
const out = text => fs.writeSync(1, text + '\n')

// Keys and values of the cache in F32, as ours: what is compared is the model, not the cache's rounding.
export async function load(path, { vocabularyOnly = false, contextSize } = {}) {
  const { getLlama } = await import(new URL('node-llama-cpp/dist/index.js', peers))
  const llama = await getLlama({ gpu: false, build: 'never', progressLogs: false, logLevel: 'error', maxThreads: 2 })
  const model = await llama.loadModel({ modelPath: path, vocabOnly: vocabularyOnly, gpuLayers: 0 })
  if (vocabularyOnly) return { model }
  const context = await model.createContext({
    contextSize: contextSize ?? model.trainContextSize, batchSize: contextSize ?? model.trainContextSize,
    flashAttention: false, experimentalKvCacheKeyType: 'F32', experimentalKvCacheValueType: 'F32',
  })
  return { model, sequence: context.getSequence() }
}

async function eachProbabilities(idsFile, path, take) {
  const { sequence } = await load(path)
  for (const line of lines(idsFile)) {
    const ids = JSON.parse(line)
    await sequence.clearHistory()
    const results = await sequence.controlledEvaluate(ids.map(id => [id, { generateNext: { probabilities: true } }]))
    for (let i = 0; i + 1 < ids.length; i++) take(results[i].next.probabilities, ids[i + 1])
  }
}

async function logprobs(idsFile, ...paths) {
  for (const path of paths) {
    const file = fs.openSync(`${path}.f32`, 'w')
    await eachProbabilities(idsFile, path, probabilities => {
      const row = new Float32Array(probabilities.size)
      for (const [token, p] of probabilities) row[token] = Math.log(p)
      fs.writeSync(file, new Uint8Array(row.buffer))
    })
    fs.closeSync(file)
  }
}

async function perplexity(idsFile, ...paths) {
  for (const path of paths) {
    let sum = 0
    let count = 0
    await eachProbabilities(idsFile, path, (probabilities, next) => {
      sum -= Math.log(probabilities.get(next))
      count++
    })
    out(`${Math.exp(sum / count)} ${count}`)
  }
}

// The likeliest tokens that follow, up to `count` of them or the token `end`, which is not one of them.
export async function greedy(sequence, ids, count, end) {
  const made = []
  await sequence.clearHistory()
  for (let next = ids; made.length < count;) {
    const results = await sequence.controlledEvaluate(next.map((id, i) => [id, i + 1 === next.length ? { generateNext: { token: true } } : {}]))
    const token = results.at(-1).next.token
    if (token === end) break
    made.push(token)
    next = [token]
  }
  return made
}

async function ids(path) {
  const { model } = await load(path, { vocabularyOnly: true })
  for await (const line of readline.createInterface({ input: process.stdin })) out(JSON.stringify(model.tokenize(JSON.parse(line).text, false)))
}

export async function header(path) {
  const { gguf } = await import(new URL('@huggingface/gguf/dist/index.mjs', peers))
  return gguf(path, { allowLocalFile: true })
}

async function printHeader(path) {
  const { metadata, tensorInfos } = await header(path)
  out(JSON.stringify({ metadata, tensorInfos }, (_, value) => (typeof value === 'bigint' ? Number(value) : value)))
}

const commands = { logprobs, perplexity, ids, header: printHeader }
if (process.argv[1] === fileURLToPath(import.meta.url)) { // a path may hold blanks, which a URL spells otherwise
  const [, , command, ...args] = process.argv
  if (!commands[command]) {
    process.stderr.write(`llama_cpp.mjs: ${Object.keys(commands).join(', ')}\n`)
    process.exit(64)
  }
  try {
    await commands[command](...args)
    process.exit(0) // threads of the runtime keep it alive
  } catch (error) {
    process.stderr.write(`llama_cpp.mjs: ${error.message}\n`)
    process.exit(70)
  }
}
