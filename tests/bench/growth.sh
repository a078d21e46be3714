#!/bin/bash
# Measures how an expert's training grows with the model: growth.sh BUILD, one line a measurement, "FAMILY WHAT VALUE PRECISION TOKENS/S MB".
#
# From d_model 256, 2 layers, d_ff 4 d_model (llama: 8/3 d_model, as many weights), vocabulary 4096, context 256, rank 0 and 1
# thread one number changes at a time, in both families, in fp32 and, where the processor has bf16 units, in bf16. Of assembly
# and of measuring, the memory against the number of experts.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh" "$1"
shopt -s inherit_errexit
random() { /usr/bin/python3 "$here/tests/oracle/random_model.py" "$@"; }
find_precisions 1

expert() { # FAMILY WHAT VALUE
    local D=256 V=4096 S=256 rank=0 threads=1 precision wide third
    case $2 in d_model) D=$3 ;; vocabulary) V=$3 ;; context) S=$3 ;; rank) rank=$3 ;; threads) threads=$3 ;; esac
    wide=$((4 * D)) third=$((D / 3))
    [ "$1" != llama ] || wide=$((8 * third))
    random tokens --V "$V" -o tokens.mf a=8200 b=8200
    settings=(--quiet --threads "$threads" --set "model.arch=$1" --set "model.d_model=$D" --set "model.n_heads=$((D / 64))"
        --set model.n_layers=2 --set "model.d_ff=$wide" --set "model.context=$S")
    mf-train-shared "${settings[@]}" --set train.precision=fp32 --set train_shared.steps=1 --set train_shared.warmup=0 \
        --set train_shared.batch=1 -o s.tar tokens.mf
    for precision in "${precisions[@]}"; do
        mf-train-expert "${settings[@]}" --set "train.precision=$precision" --set "expert.rank=$rank" --set train_expert.steps=3 \
            --set train_expert.warmup=1 --set "train_expert.batch=$((8192 / S))" --metrics m.mf -s s.tar -o e.tar tokens.mf
        mf-cat m.mf | jq -rs --arg row "$1 $2 $3 $precision" \
            '[.[] | select(.tokens_per_s)] | last | "\($row) \(.tokens_per_s | round) \(.peak_memory / 1e6 | round)"'
    done
}
axis() { # WHAT VALUE...
    local family value
    for family in reference llama; do
        for value in "${@:2}"; do expert "$family" "$1" "$value"; done
    done
}
axis d_model 128 256 512 1024
axis context 128 512 2048 8192
axis vocabulary 1024 4096 16384 65536
axis rank 0 4 16 64
axis threads 1 2
settings=(--quiet --set train.precision=fp32 --set model.d_model=128 --set model.n_heads=2 --set model.n_layers=2 --set model.d_ff=512
    --set model.context=256)
random tokens --V 4096 -o tokens.mf a=500 b=500
mf-train-shared "${settings[@]}" --set train_shared.steps=1 --set train_shared.warmup=0 --set train_shared.batch=1 -o s.tar tokens.mf
pieces=()
for E in 2 8 32; do
    while [ ${#pieces[@]} -lt "$E" ]; do
        e=${#pieces[@]}
        mf-train-expert "${settings[@]}" --set train_expert.steps=1 --set train_expert.warmup=0 --set train_expert.batch=1 \
            -p "$e" -s s.tar -o "expert.$e.tar" tokens.mf
        pieces+=("expert.$e.tar")
    done
    echo "experts $E assembly $(peak_mb mf-assemble --quiet -o m.safetensors s.tar "${pieces[@]}")"
    echo "experts $E perplexity $(peak_mb mf-eval perplexity -m m.safetensors -o out tokens.mf)"
done
