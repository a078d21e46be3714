#!/bin/bash
# Makes in a folder everything a program of the pipeline reads, tiny: pieces.sh FOLDER. The programs come from PATH.
set -euo pipefail
tests=$(cd "$(dirname "$0")" && pwd)
cd "$1"
TINY=$tests/../configs/tiny.yaml
export MF_ROOT=$tests/..
# make_tokens and make_pieces, without bats
eval "$(sed -n '/^make_[[:lower:]]*() {/,/^}/p' "$tests/helper.bash")"
make_tokens 20
make_pieces
mf-train-shared --quiet --config "$TINY" --set train_shared.steps=4 --set train_shared.warmup=1 --metrics shared.metrics.mf -o again.tar train.mf
rm again.tar
make_llama
mf-assemble --quiet --config "$TINY" -o model.safetensors shared.tar expert.*.tar
mf-eval report --quiet --config "$TINY" --set eval.sample_tokens=3 -m model.safetensors -t tokenizer.json -s shared.tar -e expert.0.tar \
    --metrics shared.metrics.mf -o report.json test.mf
# a base whose config.json leaves the special tokens to the file beside it
cp -r llama.hf hints.hf
rm -f hints.hf/generation_config.json
jq 'del(.bos_token_id, .eos_token_id)' llama.hf/config.json > hints.hf/config.json
for file in words/*/*.txt; do jq -Rsc --arg id "$file" '{id: $id, text: .}' "$file"; done > words.jsonl
for i in 0 1; do mf-docs --quiet --config "$TINY" --shard $i/2 -o shard.$i.mf words; done
# more keys of documents than the least memory sorts at once
seq 6000 | awk '{ printf "{\"id\":\"%d\",\"text\":\"%d %d of many\"}\n", $1, $1 % 5000, $1 * 7 % 5000 }' > many.jsonl
mf-docs --quiet --near-dup 0 --set docs.val_fraction=0 --set docs.test_fraction=0 --split train -o many.docs many.jsonl
