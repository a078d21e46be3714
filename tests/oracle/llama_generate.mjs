#!/usr/bin/env node
// Greedy text by llama.cpp: llama_generate.mjs MODEL PROMPT [TOKENS: 200]. Prints the prompt and what follows, until the end of a
// document or so many tokens, as `mf-eval generate --temperature 0 --max-tokens TOKENS -p PROMPT` does.
//
// The bytes of each token are joined, as llama.cpp's own programs do: its function for a whole text drops some blanks.
import { load, header, greedy } from './llama_cpp.mjs'

// The byte that each character of the byte alphabet stands for.
function alphabet() {
  const bytes = new Map()
  let next = 256
  for (let b = 0; b < 256; b++) {
    const itself = (b > 32 && b < 127) || (b > 160 && b !== 173)
    bytes.set(String.fromCharCode(itself ? b : next++), b)
  }
  return bytes
}

const [, , path, prompt, count = '200'] = process.argv
const { metadata } = await header(path)
const { model, sequence } = await load(path)
const ids = model.tokenize(prompt, false)
if (metadata['tokenizer.ggml.add_bos_token']) ids.unshift(model.tokens.bos)
const made = await greedy(sequence, ids, Number(count), metadata['tokenizer.ggml.eos_token_id'])
const bytes = alphabet()
const text = made.flatMap(id => [...metadata['tokenizer.ggml.tokens'][id]].map(c => bytes.get(c)))
process.stdout.write(prompt + new TextDecoder().decode(new Uint8Array(text)) + '\n', () => process.exit(0))
