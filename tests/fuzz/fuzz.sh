#!/bin/bash
# Reads mutated files for some seconds: fuzz.sh BUILD SECONDS [READER]... Each reader gets its part of the time, and as many run
# at once as there are processors. Inputs begin with real files, made on the spot and as small as they can be, and with those of earlier runs: kept in corpus.tar.xz, and in BUILD/fuzz/corpus. What
# was found is left in BUILD/fuzz/found; to see it again, run BUILD/fuzz/run/READER FILE. With `keep` for SECONDS nothing is
# fuzzed: corpus.tar.xz becomes the fewest inputs of BUILD/fuzz/corpus that reach all code reached so far and not by the real
# files.
set -euo pipefail
build=$(cd "$1" && pwd)
seconds=$2
shift 2
tests=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PATH="$build/bin:$PATH" TMPDIR="$work" OPENBLAS_NUM_THREADS=1
export MF_ROOT=$tests/.. MF_FUZZ_SHARED=$work/made/shared.tar MF_FUZZ_REPORT=$work/made/report.json MF_FUZZ_BASE=$work/made/base
export ASAN_OPTIONS=detect_stack_use_after_return=1 UBSAN_OPTIONS=print_stacktrace=1

# --- real files ---

mkdir "$work/made"
cd "$work/made"
cat > micro.yaml << 'YAML'
# every piece a few kilobytes
docs: {val_fraction: 0.4, test_fraction: 0.2}
tokenizer: {vocab_size: 280}
model:
  d_model: 4
  n_heads: 1
  n_layers: 1
  d_ff: 4
  n_experts: 3
  context: 8
train_shared: {steps: 2, batch: 1, validate_batches: 1, log_every: 1}
train_expert: {steps: 2, batch: 1, validate_batches: 1}
partition: {features: 20}
YAML
TINY=micro.yaml
eval "$(sed -n '/^make_[[:lower:]]*() {/,/^}/p' "$tests/helper.bash")" # make_tokens and make_pieces
{
    make_tokens 8
    make_pieces
    for method in random domain; do
        mf-partition --quiet --config "$TINY" --set partition.method=$method -o parts.$method train.mf
    done
    mf-train-shared --quiet --config "$TINY" --metrics metrics.mf -v val.mf -o shared.tar.zst train.mf
    mf-assemble --quiet --config "$TINY" -o model.safetensors shared.tar expert.*.tar
    for head in 2 full; do
        mf-train-expert --quiet --config "$TINY" --set expert.head=$head -s shared.tar -p 0 -o head.$head.tar parts/part.0.mp
    done
    mf-assemble --quiet --config "$TINY" -o headed.safetensors shared.tar head.*.tar expert.1.tar
    mf-calibrate --quiet --config "$TINY" --report calibration.json -m model.safetensors -o calibrated.safetensors val.labelled.mf
    micro_llama=(--quiet --config "$TINY" --set model.arch=llama --set model.n_kv_heads=1 --set model.d_ff=32)
    mf-train-shared "${micro_llama[@]}" -o llama.tar train.mf
    mf-export hf --quiet --shard 6K -m llama.tar -t tokenizer.json -o base
    mf-export gguf --quiet --type q8_0 -m llama.tar -t tokenizer.json -o llama.gguf
    mf-time -o stage.json -- mf-config print -o printed.yaml
    mf-eval report --quiet --config "$TINY" -m calibrated.safetensors -t tokenizer.json -s shared.tar --metrics metrics.mf \
        --stage stage.json --calibration calibration.json -e expert.0.tar -e expert.1.tar -o report.json test.mf
} 2> log || { cat log >&2 && exit 1; }
# the checkpoint that a stopped training leaves
mf-train-expert --quiet --config "$TINY" --set train_expert.steps=100000000 --set train_expert.checkpoint_every=1 -s shared.tar -p 0 \
    -o stopped.tar parts/part.0.mp 2> log &
for ((tries = 0; ; tries++)); do
    [ ! -e stopped.tar.ckpt ] || break
    kill -0 $!
    [ "$tries" -lt 600 ] || { echo "waited 60 s for stopped.tar.ckpt" >&2 && exit 1; }
    sleep 0.1
done
kill $!
wait $! || true
mf-docs --quiet --shard 0/1 -o shard.mf words/alpha/00[0-3].txt
for f in words/alpha/00[0-3].txt; do jq -Rsc --arg id "$f" '{id: $id, text: .[:200], domain: "a"}' "$f"; done > words.jsonl
printf ' = One = \n\n text \n = = Part = = \n more \n\n = Two = \n end\n' > words.wiki
tar cf words.tar --format=ustar words/alpha/00[0-3].txt
tar czf words.tar.gz --format=pax words/alpha/00[0-3].txt
python3 -m zipfile -c words.zip words/alpha
# each compression, a second member, and one over another
head -c 1500 words/alpha/000.txt > packed
for tool in gzip bzip2 xz zstd lz4 'xz --format=lzma'; do
    name=packed.${tool##*[ =]}
    $tool -q -c packed > "$name"
    [ "$name" = packed.lzma ] || { cat "$name" && $tool -q -c micro.yaml; } > "$name.twice"
    gzip -c "$name" > "$name.gzip"
done

seeds() { # READER FILE...
    mkdir -p "$work/seeds/$1"
    cp "${@:2}" "$work/seeds/$1"
}
seeds stream train.docs train.mf metrics.mf parts/partition.mp
seeds tokens train.mf val.labelled.mf parts/part.0.mp
seeds metrics metrics.mf
seeds partition parts/partition.mp
for method in random domain; do cp parts.$method/partition.mp "$work/seeds/partition/$method.mp"; done
seeds bundle shared.tar shared.tar.zst expert.0.tar
seeds checkpoint stopped.tar.ckpt
seeds shared shared.tar shared.tar.zst
seeds expert expert.0.tar expert.1.tar head.2.tar head.full.tar
seeds model model.safetensors calibrated.safetensors headed.safetensors shared.tar
# shellcheck disable=SC2016 # the fence of a page
sed -n '/^```hex$/,/^```$/p' "$MF_ROOT/formats/gguf.md" | xxd -r -p > example.gguf
seeds gguf example.gguf
seeds base base/config.json base/tokenizer.json base/model.safetensors.index.json base/model-00001-of-00002.safetensors
seeds base-gguf llama.gguf
seeds show example.gguf model.safetensors expert.0.tar train.mf metrics.mf train.docs
# forms of other families' tokenizers: steps in a row, known patterns and others, a vocabulary of characters
jq -c '.normalizer = {type: "Sequence", normalizers: [{type: "NFKC"}, {type: "Lowercase"}, {type: "Replace", pattern: {Regex: "\\s+"}, content: " "},
    {type: "Prepend", prepend: "x"}, {type: "Strip", strip_left: true, strip_right: true}]} | .model.ignore_merges = true | .added_tokens[1].normalized = true |
    .pre_tokenizer = {type: "Sequence", pretokenizers: [{type: "Split", pattern: {Regex: "\\p{N}{1,3}"}, behavior: "Isolated", invert: false},
        {type: "Digits", individual_digits: false}, {type: "Punctuation", behavior: "Contiguous"},
        {type: "Split", pattern: {Regex: "(?i:[aeiou]+)|x(?!y)"}, behavior: "MergedWithNext", invert: true}, .pre_tokenizer]}' tokenizer.json > steps.json
jq -nc '{version: "1.0", added_tokens: [{id: 0, content: "<s>", special: true, normalized: false}],
    normalizer: {type: "Replace", pattern: {String: " "}, content: "▁"}, pre_tokenizer: {type: "Metaspace", replacement: "▁", prepend_scheme: "first"},
    decoder: {type: "Sequence", decoders: [{type: "Replace", pattern: {String: "▁"}, content: " "}, {type: "ByteFallback"}, {type: "Fuse"},
        {type: "Strip", content: " ", start: 1, stop: 0}]},
    model: {type: "BPE", unk_token: "<s>", fuse_unk: true, byte_fallback: true, merges: [["▁", "t"], ["h", "e"], ["▁t", "he"]],
        vocab: {"<s>": 0, "<0xC3>": 1, "<0xA4>": 2, "▁": 3, t: 4, h: 5, e: 6, "▁t": 7, he: 8, "▁the": 9, "ä": 10}}}' > characters.json
seeds tokenizer tokenizer.json steps.json characters.json
seeds config micro.yaml "$MF_ROOT"/configs/*.yaml
seeds docs words.tar words.tar.gz words.zip words.jsonl words.wiki packed.*
seeds unpack packed*
seeds shard shard.mf
seeds jsonl words.jsonl
seeds wikitext words.wiki
seeds report report.json
seeds compare report.json
seeds prompts words/alpha/00[0-3].txt
seeds notes stage.json calibration.json

# --- the readers ---

# One reader, and a line about it; what it found on standard error.
fuzz() { # READER
    local reader=$1 log=$work/$1.log
    # the words of the formats, and numbers that are hard to read
    { grep -ohaE '[A-Za-z_][A-Za-z_0-9.]{2,30}' "$work/seeds/$reader"/* | sort -u | head -n 300
      printf '%s\n' -1 0 1e999 0.5 9223372036854775807 9223372036854775808 18446744073709551616; } | sed 's/.*/"&"/' > "$log.dict"
    if "$build/fuzz/run/$reader" "$build/fuzz/corpus/$reader" "$work/seeds/$reader" "$work/kept/$reader" -dict="$log.dict" \
        -max_total_time="$seconds" -max_len=32768 -timeout=20 -rss_limit_mb=1500 -malloc_limit_mb=400 \
        -artifact_prefix="$build/fuzz/found/$reader-" -print_final_stats=1 > "$log" 2>&1; then
        printf '%-10s %9s inputs in %4s s, nothing found\n' "$reader" \
            "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" "$seconds"
    else
        echo "$reader: found (below $build/fuzz/found):"
        tail -n 60 "$log" >&2
        return 1
    fi
}

# The inputs of one reader that are worth keeping.
keep() { # READER
    local reader=$1 least=$work/least/$1
    mkdir -p "$least"
    cp "$work/seeds/$reader"/* "$least"
    "$build/fuzz/run/$reader" -set_cover_merge=1 -use_counters=0 -max_len=32768 "$least" "$work/kept/$reader" \
        "$build/fuzz/corpus/$reader" > "$work/$reader.log" 2>&1
    (cd "$work/seeds/$reader" && printf '%s\n' *) | (cd "$least" && xargs rm)
}

[ ! -e "$tests/fuzz/corpus.tar.xz" ] || tar xf "$tests/fuzz/corpus.tar.xz" -C "$work" # kept/READER
mkdir -p "$build/fuzz/found" "$build/fuzz/run"
mapfile -t all < <("$build/fuzz/readers")
for reader in "${all[@]}"; do
    ln -f "$build/fuzz/readers" "$build/fuzz/run/$reader"
    mkdir -p "$build/fuzz/corpus/$reader" "$work/kept/$reader"
done
export -f fuzz keep
[ $# -gt 0 ] || set -- "${all[@]}"
task=fuzz
if [ "$seconds" = keep ]; then task=keep; else seconds=$(((seconds * $(nproc) + $# - 1) / $#)); fi
export build work seconds
printf '%s\n' "$@" | xargs -P "$(nproc)" -I{} bash -euo pipefail -c "$task {}"
[ $task = fuzz ] || tar cJf "$tests/fuzz/corpus.tar.xz" --sort=name --mtime=@0 --owner=0 --group=0 --mode=u=rwX,go=rX -C "$work" \
    --transform 's/^least/kept/' least
