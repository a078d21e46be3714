#!/bin/bash
# Measures training against a PyTorch twin, side by side on the same tokens and threads: train.sh BUILD CONFIG THREADS
#
# Prints tokens a second and the peak of resident memory of both, for the shared step and the expert's, the ratio, and the
# work done a second over what sgemm reaches by itself for some seconds. Then what two experts at once bring.
config=$(realpath "$2") threads=$3
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh" "$1"
value() { mf-config get "$1" --config "$config"; }
V=$(value tokenizer.vocab_size) D=$(value model.d_model) H=$(value model.n_heads) L=$(value model.n_layers)
F=$(value model.d_ff) S=$(value model.context)
K=$(value model.n_kv_heads) d=$(value model.head_dim)
[ "$K" -gt 0 ] || K=$H
[ "$d" -gt 0 ] || d=$((D / H))
matrices=2 twin=()
[ "$(value model.arch)" != llama ] || matrices=3 twin=("$K" "$d")
batch=4 steps=6
mapfile -t documents < <(for i in $(seq 120); do echo "d$i=$S"; done)
/usr/bin/python3 "$here/tests/oracle/random_model.py" tokens --V "$V" -o tokens.mf "${documents[@]}"

# Work of a token: two operations for each weight it meets, once forward; backward once for the gradient that passes on and
# once for the weight's own, where the weight learns. Products made again are not work. Attention meets half of the context.
projections=$((2 * (H + K) * d * D)) mixing=$((S * H * d)) ffn=$((L * matrices * D * F)) logits=$((V * D))
forward=$((L * (projections + mixing) + ffn + logits))
shared_work=$((2 * 3 * forward))
expert_work=$((2 * forward + 2 * (logits + 2 * ffn + (L - 1) * (projections + 2 * mixing))))

# Ours: the last record's tokens a second, and the peak.
ours() {
    mf-train-"$1" --quiet --config "$config" --threads "$threads" --set "train_$1.steps=$steps" --set "train_$1.warmup=1" \
        --set "train_$1.batch=$batch" --set "train_$1.accumulation=1" --metrics m.mf "${@:2}" tokens.mf
    mf-cat m.mf | jq -rs '[.[] | select(.tokens_per_s)] | last | "\(.tokens_per_s) \(.peak_memory)"'
}
theirs() {
    /usr/bin/python3 "$here/tests/peers/train_torch.py" "$1" tokens.mf "$steps" "$batch" "$D" "$H" "$L" "$F" "$S" "$threads" "${twin[@]}"
}
row() { # NAME OURS THEIRS WORK SGEMM
    awk -v name="$1" -v ours="$2" -v theirs="$3" -v work="$4" -v sgemm="$5" 'BEGIN { split(ours, a); split(theirs, b)
        printf "%-8s %10.0f %10.0f %8.2fx %10.0f %10.0f %8.2fx %9.1f %9.0f %8.0f%%\n", name, a[1], b[1], a[1] / b[1],
            a[2] / 1e6, b[2] / 1e6, b[2] / a[2], work / 1e6, sgemm, 100 * a[1] * work / (sgemm * 1e9) }'
}
echo "training, ${config##*/}, $threads threads, $batch x $S tokens a step, $steps steps; sgemm: GFLOP/s of it alone, just before"
printf '%-8s %10s %10s %9s %10s %10s %9s %9s %9s %9s\n' step tokens/s PyTorch faster MB PyTorch less MFLOP/tok sgemm "of sgemm"
sgemm() { "$build/tests/bench/sgemm_bench" "$threads"; }
peak=$(sgemm)
ours_shared=$(ours shared -o shared.tar)
row shared "$ours_shared" "$(theirs shared)" "$shared_work" "$peak"
peak=$(sgemm)
ours_expert=$(ours expert -s shared.tar -o expert.tar)
row expert "$ours_expert" "$(theirs expert)" "$expert_work" "$peak"

# Two experts, the programs as make -j1 and -j2 start them.
expert() { # THREADS NAME
    mf-train-expert --quiet --config "$config" --threads "$1" --set train_expert.steps=$steps --set train_expert.warmup=1 \
        --set train_expert.batch=$batch --set train_expert.accumulation=1 -s shared.tar -o "$2.tar" tokens.mf
}
in_turn() {
    expert "$1" a
    expert "$1" b
}
at_once() {
    expert 1 a & local other=$!
    expert 1 b
    wait $other
}
one=$(seconds in_turn 1) two=$(seconds in_turn 2) both=$(seconds at_once)
awk -v one="$one" -v two="$two" -v both="$both" 'BEGIN {
    printf "two experts: -j1 with 1 thread %.1f s, -j1 with 2 threads %.1f s, -j2 with 1 thread each %.1f s: %.2fx and %.2fx\n",
        one, two, both, one / both, two / both }'
# memory is a promise: the default expert trains in 220 MB, and in 200 MB when asked
if [ "${config##*/}" = default.yaml ]; then
    ours_tight=$(ours expert --max-memory 200M -s shared.tar -o tight.tar)
    awk -v ours="$ours_tight" 'BEGIN { split(ours, a); printf "expert with --max-memory 200M: %.0f tokens/s, %.0f MB\n", a[1], a[2] / 1e6 }'
    [ "${ours_expert#* }" -lt 220000000 ] || { echo "expert training took ${ours_expert#* } bytes, not under 220 MB" >&2; exit 1; }
    [ "${ours_tight#* }" -lt 200000000 ] || { echo "with --max-memory 200M it took ${ours_tight#* } bytes, not under 200 MB" >&2; exit 1; }
    [ "${ours_shared#* }" -lt 400000000 ] || { echo "shared training took ${ours_shared#* } bytes, not under 400 MB" >&2; exit 1; }
fi
