#!/bin/bash
# Shows where the time of training goes, by kernel: profile.sh BUILD THREADS CONFIG...
#
# Linux's perf samples the processors' clock in the programs as they are; a sample counts for the kernel that its function is
# part of. Beside a kernel's time is its speed: operations a second of products and attention by the formulas of common.sh, bytes
# a second that the others read and write at least. Their limits, sgemm and memory, are measured just before.
threads=$2
configs=("${@:3}")
for i in "${!configs[@]}"; do configs[i]=$(realpath "${configs[i]}"); done
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh" "$1"
frequency=997 batch=4
if ! perf record -q -e cpu-clock -o try.data true 2> /dev/null; then
    echo "not measured: perf (Debian's linux-perf) is not installed, or kernel.perf_event_paranoid forbids it"
    exit 0
fi
# "SAMPLES OBJECT FUNCTION" becomes "SAMPLES KERNEL". What oneDNN compiles has no names; perf knows it by the file of a process.
kernels() {
    awk '{ f = $3; sub(/\..*/, "", f); kernel = "other" }
        f ~ /^vector_/                                                  { kernel = "sums-and-scaling" }
        f ~ /^(vector_exp|vector_max|loss_|whole_part|chunk_gradient|input_part)/ { kernel = "softmax-and-losses" }
        f ~ /^(tiles|softmax_|attention_|pack_|small_product)/          { kernel = "attention-fp32" }
        f ~ /^(gelu|swiglu)_/                                           { kernel = "activation" }
        f ~ /^(layernorm|rmsnorm)_/                                     { kernel = "norms" }
        f ~ /^(rope_|dropout_|add_branch|multiply|add_rows|add_masked)/ { kernel = "residual-and-positions" }
        f ~ /^(adamw_|mf_muon|orthogonal)/                              { kernel = "optimizer" }
        f ~ /^(mf_bf16|round_by_units)/                                 { kernel = "rounding-to-bf16" }
        f ~ /^__mem/                                                    { kernel = "copies-and-zeros" }
        f ~ /^(work|look|run|__sched_yield)$/                           { kernel = "waiting" }
        $2 ~ /openblas/                                                 { kernel = "products-fp32" }
        $2 ~ /libdnnl|perf-[0-9]+\.map|anon|^\[JIT\]/                   { kernel = "products-bf16" }
        $2 ~ /kernel\.kallsyms|^\[kernel|\.ko$/                         { kernel = "system" }
        { print $1, kernel }'
}

# Of a step: "KERNEL UNIT WORK", for kernels whose work the shape tells.
work() { # STAGE
    local tokens=$((batch * S)) projections=$((2 * (H + K) * d * D)) ffn=$((L * matrices * D * F)) logits=$((V * D))
    echo "products G $((tokens * $(token_work "$1")))"
    # forward reads its inputs and writes; backward reads and writes them and their gradients
    echo "activation B $((4 * tokens * L * F * (matrices == 2 ? 7 : 9)))"
    echo "norms B $((4 * tokens * D * 8 * (2 * L + 1)))"
    [ "$(value "train_$1.optimizer")" != adamw ] || echo "optimizer B $((4 * 7 * (ffn + $([ "$1" = shared ] && echo "L * projections + logits" || echo 0))))"
}
table() { # STEPS SGEMM MEMORY, from "SAMPLES KERNEL" and, in the file work.txt, work
    awk -v steps="$1" -v sgemm="$2" -v memory="$3" -v frequency=$frequency -v threads="$threads" '
        NR == FNR { unit[$1] = $2; work[$1] = $3; next }
        { count[$2] += $1; total += $1; if ($2 ~ /^(products|attention|rounding)/) count["products"] += $1 }
        function row(k, shown) {
            ms = 1000 * count[k] / frequency / steps / threads
            printf "%-24s %6.1f%% %11.2f", shown, 100 * count[k] / total, ms
            if (k in work) {
                limit = unit[k] == "G" ? sgemm : memory
                speed = work[k] / ms / 1e6
                printf " %8.0f %-7s %7.0f %7.0f%%", speed, unit[k] == "G" ? "GFLOP/s" : "GB/s", limit, 100 * speed / limit
            }
            printf "\n"
        }
        END {
            row("products", "all products")
            for (;;) {
                best = ""
                for (k in count) if (k != "products" && !(k in done) && (best == "" || count[k] > count[best])) best = k
                if (best == "" || count[best] < total / 500) break
                done[best] = 1
                name = best
                gsub(/-/, " ", name)
                row(best, (best ~ /^(products|attention|rounding)/ ? "  " : "") name)
            }
        }' work.txt -
}
train() { # STAGE STEPS PRECISION ARGUMENT...
    mf-train-"$1" --quiet --config "$config" --threads "$threads" --set "train.precision=$3" --set "train_$1.steps=$2" \
        --set "train_$1.warmup=1" --set "train_$1.batch=$batch" --set "train_$1.accumulation=1" "${@:4}" -o "$1.tar" tokens.mf
}
profile() { # STAGE STEPS PRECISION ARGUMENT...
    export -f train
    export config threads batch
    perf record -q -e cpu-clock -F $frequency -o perf.data bash -c 'train "$@"' train "$@"
    printf '\n%s, %s step in %s, %s threads, %s x %s tokens\n' "${config##*/}" "$1" "$3" "$threads" "$batch" "$S"
    printf '%-24s %7s %11s %16s %7s %8s\n' kernel share "ms a step" speed limit "of limit"
    work "$1" > work.txt
    perf script -i perf.data --comm "mf-train-$1" -F ip,sym,dso 2> /dev/null |
        awk 'NF { object = $NF; gsub(/[()]/, "", object); n[object " " (NF > 2 ? $2 : "-")]++ } END { for (k in n) print n[k], k }' |
        kernels | table "$2" "$sgemm" "$memory"
}

sgemm=$("$build/tests/bench/sgemm_bench" "$threads")
memory=$("$build/tests/bench/bandwidth_bench" "$threads")
find_precisions "$threads"
echo "time of $threads threads by kernel; limits: sgemm $sgemm GFLOP/s, memory $memory GB/s"
for config in "${configs[@]}"; do
    read_shape
    steps=$((D > 256 ? 6 : 60))
    mapfile -t documents < <(for i in $(seq 120); do echo "d$i=$S"; done)
    /usr/bin/python3 "$here/tests/oracle/random_model.py" tokens --V "$V" -o tokens.mf "${documents[@]}"
    for precision in "${precisions[@]}"; do
        profile shared $steps "$precision"
        profile expert $steps "$precision" -s shared.tar
    done
done
