// Other people's tokenizers, as an oracle and as peers to measure: the npm packages `tokenizers` and `tiktoken`.
//
//   tokenizers.js gpt2 >tokenizer.json                GPT-2's own vocabulary in the layout of `tokenizers`
//   tokenizers.js train OUT FILE...                   learn with that library's defaults: 30,000 entries, no specials
//   tokenizers.js encode TOKENIZER <TEXTS >IDS        TEXTS: one JSON value a line, a text or an object with a "text"
//   tokenizers.js decode TOKENIZER <IDS >TEXTS        IDS: one list a line
//   tokenizers.js forms WHICH <TEXTS >TEXTS           its normalization forms are of an old Unicode: "current" prints the texts whose
//                                                     forms are node's, "stale" the others, "mended" the others in node's NFC
//   tokenizers.js bench TOKENIZER TEXTS IDS FILE      MB/s of each, one line a measurement: NAME WHAT SPEED
//   tokenizers.js speed TOKENIZER TEXTS               of encoding with `tokenizers` alone
const fs = require('fs')
const { Tokenizer, BPE, byteLevelPreTokenizer, nfcNormalizer, nfkdNormalizer } = require('tokenizers')
const lines = file => fs.readFileSync(file, 'utf8').split('\n').filter(line => line)
const texts = file => lines(file).map(line => JSON.parse(line)).map(value => (typeof value === 'string' ? value : value.text))
const out = line => fs.writeSync(1, line + '\n')

// Each byte as a character, as in every vocabulary of this kind.
function alphabet() {
  const plain = b => (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174
  let next = 256
  return Array.from({ length: 256 }, (_, b) => String.fromCharCode(plain(b) ? b : next++))
}

// The ranks of tiktoken's file say which token comes when; its merge is the pair it falls into by the earlier ones.
function gpt2() {
  const { bpe_ranks, special_tokens, pat_str } = require('tiktoken/encoders/gpt2.json')
  const letters = alphabet()
  const spell = bytes => Array.from(bytes, b => letters[b]).join('')
  const vocab = new Map()
  const [, first, ...tokens] = bpe_ranks.split(' ')
  tokens.forEach((token, i) => vocab.set(spell(Buffer.from(token, 'base64')), Number(first) + i))
  const merges = []
  for (const [token, rank] of vocab) {
    const parts = Array.from(token)
    while (parts.length > 2) {
      const ranks = parts.slice(1).map((part, i) => vocab.get(parts[i] + part) ?? Infinity).map(r => (r < rank ? r : Infinity))
      const at = ranks.indexOf(Math.min(...ranks))
      if (ranks[at] === Infinity) throw new Error(`no merge makes ${token}`)
      parts.splice(at, 2, parts[at] + parts[at + 1])
    }
    if (parts.length === 2) merges.push(parts)
  }
  const added = Object.entries(special_tokens).map(([content, id]) => ({
    id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true,
  }))
  for (const { content, id } of added) vocab.set(content, id)
  const level = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true }
  return {
    version: '1.0', truncation: null, padding: null, added_tokens: added, normalizer: null, pre_tokenizer: level,
    post_processor: level, decoder: level,
    model: { type: 'BPE', dropout: null, unk_token: null, continuing_subword_prefix: '', end_of_word_suffix: '', fuse_unk: false,
      byte_fallback: false, ignore_merges: false, vocab: Object.fromEntries(vocab), merges },
  }
}

function learn(files) {
  const tokenizer = new Tokenizer(BPE.empty())
  tokenizer.setPreTokenizer(byteLevelPreTokenizer(false))
  tokenizer.train(files)
  return tokenizer
}

async function encode(path) {
  const tokenizer = Tokenizer.fromFile(path)
  for (const text of texts(0)) out(JSON.stringify((await tokenizer.encode(text, null, { addSpecialTokens: true })).getIds()))
}

async function decode(path) {
  const tokenizer = Tokenizer.fromFile(path)
  for (const line of lines(0)) out(JSON.stringify(await tokenizer.decode(JSON.parse(line), true)))
}

function forms(which) {
  const old = { NFC: nfcNormalizer(), NFKD: nfkdNormalizer() }
  for (const line of lines(0)) {
    const value = JSON.parse(line)
    const stale = Object.entries(old).some(([form, normalizer]) => normalizer.normalizeString(value.text) !== value.text.normalize(form))
    if (stale && which === 'mended') value.text = value.text.normalize('NFC')
    if (stale === (which !== 'current')) out(JSON.stringify(value))
  }
}

async function timed(name, what, bytes, work) {
  const begin = process.hrtime.bigint()
  await work()
  out(`${name} ${what} ${bytes / 1e6 / (Number(process.hrtime.bigint() - begin) / 1e9)}`)
}

// The text is in memory before the clock starts, and results stay there: nothing but the libraries' work is measured.
async function bench(path, textFile, idFile, trainFile) {
  const documents = texts(textFile)
  const ids = lines(idFile).map(line => JSON.parse(line))
  const bytes = documents.reduce((sum, text) => sum + Buffer.byteLength(text), 0)
  const tokenizer = Tokenizer.fromFile(path)
  const { Tiktoken } = require('tiktoken')
  const { bpe_ranks, special_tokens, pat_str } = require('tiktoken/encoders/gpt2.json')
  const encoder = new Tiktoken(bpe_ranks, special_tokens, pat_str)
  await timed('tokenizers', 'train', fs.statSync(trainFile).size, () => learn([trainFile]))
  await timed('tokenizers', 'encode', bytes, async () => (await tokenizer.encodeBatch(documents)).length)
  await timed('tokenizers', 'decode', bytes, () => tokenizer.decodeBatch(ids, false))
  await timed('tiktoken', 'encode', bytes, () => { for (const text of documents) encoder.encode_ordinary(text) })
  await timed('tiktoken', 'decode', bytes, () => { for (const list of ids) encoder.decode(new Uint32Array(list)) })
}

async function speed(path, textFile) {
  const documents = texts(textFile)
  const bytes = documents.reduce((sum, text) => sum + Buffer.byteLength(text), 0)
  const tokenizer = Tokenizer.fromFile(path)
  await timed('tokenizers', 'encode', bytes, async () => (await tokenizer.encodeBatch(documents)).length)
}

const [, , command, ...args] = process.argv
const commands = {
  gpt2: () => out(JSON.stringify(gpt2())),
  train: (path, ...files) => learn(files).save(path),
  encode, decode, forms, bench, speed,
}
if (!commands[command]) {
  process.stderr.write('tokenizers.js: gpt2, train, encode, decode, forms, bench or speed\n')
  process.exitCode = 64
} else Promise.resolve(commands[command](...args)).catch(error => {
  process.stderr.write(`tokenizers.js: ${error.message}\n`)
  process.exitCode = 70
})
