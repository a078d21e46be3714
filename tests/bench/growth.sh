#!/bin/bash
# Measures how an expert's training grows with the model: growth.sh BUILD, one line a measurement, "WHAT VALUE TOKENS/S MB".
#
# From d_model 256, 2 layers, d_ff 1024, vocabulary 4096, context 256 and 1 thread one number changes at a time. Of assembly and of
# measuring, the memory against the number of experts.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh" "$1"
random() { /usr/bin/python3 "$here/tests/oracle/random_model.py" "$@"; }
expert() { # WHAT VALUE
    local D=256 V=4096 S=256 threads=1
    case $1 in d_model) D=$2 ;; vocabulary) V=$2 ;; context) S=$2 ;; threads) threads=$2 ;; esac
    random tokens --V "$V" -o tokens.mf a=8200 b=8200
    settings=(--quiet --threads "$threads" --set "model.d_model=$D" --set "model.n_heads=$((D / 64))" --set model.n_layers=2
        --set "model.d_ff=$((4 * D))" --set "model.context=$S")
    mf-train-shared "${settings[@]}" --set train_shared.steps=1 --set train_shared.warmup=0 --set train_shared.batch=1 -o s.tar tokens.mf
    mf-train-expert "${settings[@]}" --set train_expert.steps=3 --set train_expert.warmup=1 --set "train_expert.batch=$((8192 / S))" \
        --metrics m.mf -s s.tar -o e.tar tokens.mf
    mf-cat m.mf | jq -rs --arg what "$1" --arg value "$2" \
        '[.[] | select(.tokens_per_s)] | last | "\($what) \($value) \(.tokens_per_s | round) \(.peak_memory / 1e6 | round)"'
}
for D in 128 256 512 1024; do expert d_model $D; done
for S in 128 512 2048 8192; do expert context $S; done
for V in 1024 4096 16384 65536; do expert vocabulary $V; done
for T in 1 2; do expert threads $T; done
settings=(--quiet --set model.d_model=128 --set model.n_heads=2 --set model.n_layers=2 --set model.d_ff=512 --set model.context=256)
random tokens --V 4096 -o tokens.mf a=500 b=500
mf-train-shared "${settings[@]}" --set train_shared.steps=1 --set train_shared.warmup=0 --set train_shared.batch=1 -o s.tar tokens.mf
pieces=()
for E in 2 8 32; do
    while [ ${#pieces[@]} -lt $E ]; do
        e=${#pieces[@]}
        mf-train-expert "${settings[@]}" --set train_expert.steps=1 --set train_expert.warmup=0 --set train_expert.batch=1 \
            -p "$e" -s s.tar -o "expert.$e.tar" tokens.mf
        pieces+=("expert.$e.tar")
    done
    echo "experts $E assembly $(peak_mb mf-assemble --quiet -o m.safetensors s.tar "${pieces[@]}")"
    echo "experts $E perplexity $(peak_mb mf-eval perplexity -m m.safetensors -o out tokens.mf)"
done
