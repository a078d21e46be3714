#!/bin/bash
# Runs a benchmark and keeps what it printed in BUILD/bench/SECTION.txt, below two lines about the processor:
# measure.sh BUILD THREADS SECTION COMMAND...
#
# The first has the processor's kind (a name for a folder of docs/performance), its features and the day; the second its
# limits, measured just before. Where the benchmark fails, what it printed is in BUILD/bench/SECTION.failed.
# CPUINFO names another /proc/cpuinfo, for tests.
set -euo pipefail
export LC_ALL=C.UTF-8 # numbers have points
build=$1 threads=$2 section=$3
shift 3
cpuinfo=${CPUINFO:-/proc/cpuinfo}

# The features that products can use, the newest last.
features() {
    local flag flags
    flags=" $(sed -n 's/^flags.*: //p' "$cpuinfo" | head -n 1) "
    for flag in avx2:avx2 avx512f:avx512 avx512_bf16:avx512_bf16 amx_bf16:amx; do
        [[ $flags != *" ${flag%:*} "* ]] || echo "${flag#*:}"
    done
}
processor() {
    local name kind settings="" variable
    local -a has
    mapfile -t has < <(features)
    name=$(sed -n 's/^model name.*: //p' "$cpuinfo" | head -n 1 | sed -E 's/\((R|TM)\)//g; s/ (Processor|CPU)\b//g; s/ @.*//')
    kind="$name ${has[*]: -1}"
    for variable in OPENBLAS_CORETYPE ONEDNN_MAX_CPU_ISA DNNL_MAX_CPU_ISA; do
        [ -n "${!variable-}" ] || continue
        kind+=" ${!variable}"
        settings+="; $variable=${!variable}"
    done
    kind=$(tr '[:upper:]' '[:lower:]' <<< "$kind" | sed -E 's/[^a-z0-9_]+/-/g; s/^-|-$//g')
    echo "processor $kind: ${name:-unknown}, $(nproc) cores; ${has[*]:-no features that are looked for}$settings; measured $(date +%F)"
}
limits() {
    local sgemm bf16 memory
    sgemm=$("$build/tests/bench/sgemm_bench" "$threads")
    bf16=$("$build/tests/bench/bf16_bench" "$threads")
    memory=$("$build/tests/bench/bandwidth_bench" "$threads")
    if [ "$bf16" = none ]; then bf16="none, no bf16 units"; else bf16="${bf16/ / GFLOP/s (})"; fi
    echo "limits, $threads threads: sgemm $sgemm GFLOP/s, bf16 product $bf16, memory $memory GB/s"
}

mkdir -p "$build/bench"
kept=$build/bench/$section
{
    processor
    limits
    "$@"
} | tee "$kept.failed"
mv "$kept.failed" "$kept.txt"
