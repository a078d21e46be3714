#!/bin/bash
# Measures training against a PyTorch twin, side by side on the same tokens and threads: bench.sh PROGRAMS CONFIG THREADS
#
# Prints tokens a second and the peak of resident memory of both, for the shared step and the expert's, and the ratio.
set -euo pipefail
programs=$(cd "$1" && pwd) config=$(realpath "$2") threads=$3
here=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
value() { "$programs/mf-config" get "$1" --config "$config"; }
V=$(value tokenizer.vocab_size) D=$(value model.d_model) H=$(value model.n_heads) L=$(value model.n_layers)
F=$(value model.d_ff) S=$(value model.context)
batch=4 steps=6
mapfile -t documents < <(for i in $(seq 120); do echo "d$i=$S"; done)
/usr/bin/python3 "$here/tests/oracle/random_model.py" tokens --V "$V" -o tokens.mf "${documents[@]}"

# Ours: the last record's tokens a second, and the peak.
ours() {
    "$programs/mf-train-$1" --quiet --config "$config" --threads "$threads" --set "train_$1.steps=$steps" --set "train_$1.warmup=1" \
        --set "train_$1.batch=$batch" --set "train_$1.accumulation=1" --metrics m.mf "${@:2}" tokens.mf
    "$programs/mf-cat" m.mf | jq -rs '[.[] | select(.tokens_per_s)] | last | "\(.tokens_per_s) \(.peak_memory)"'
}
theirs() {
    /usr/bin/python3 "$here/tests/peers/train_torch.py" "$1" tokens.mf "$steps" "$batch" "$D" "$H" "$L" "$F" "$S" "$threads"
}
row() {
    awk -v name="$1" -v ours="$2" -v theirs="$3" 'BEGIN { split(ours, a); split(theirs, b)
        printf "%-8s %10.0f %10.0f %8.2fx %10.0f %10.0f %8.2fx\n", name, a[1], b[1], a[1] / b[1], a[2] / 1e6, b[2] / 1e6, b[2] / a[2] }'
}
echo "training, ${config##*/}, $threads threads, $batch x $S tokens a step, $steps steps"
printf '%-8s %10s %10s %9s %10s %10s %9s\n' step tokens/s PyTorch faster MB PyTorch less
ours_shared=$(ours shared -o shared.tar)
row shared "$ours_shared" "$(theirs shared)"
ours_expert=$(ours expert -s shared.tar -o expert.tar)
row expert "$ours_expert" "$(theirs expert)"
# memory is a promise: the default expert trains in 220 MB
if [ "${config##*/}" = default.yaml ]; then
    [ "${ours_expert#* }" -lt 220000000 ] || { echo "expert training took ${ours_expert#* } bytes, not under 220 MB" >&2; exit 1; }
fi
