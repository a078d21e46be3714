#!/bin/bash
# Measures training beside a PyTorch twin, one after the other on the same tokens and threads: train.sh BUILD THREADS CONFIG...
#
# Of each configuration the shared step and the expert's, in fp32 and, where the processor has bf16 units, in bf16: tokens a
# second, the peak of resident memory, and the work done a second beside what a product of that precision reaches by itself
# just before. Then what two experts at once bring. The peaks of the default configuration are promises.
# STEPS and PEER_STEPS are the steps of ours and of the twin.
threads=$2 configs=()
for config in "${@:3}"; do configs+=("$(realpath "$config")"); done
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh" "$1"
shopt -s inherit_errexit

# The dimensions of a configuration, its batch, and the tokens.
read_config() {
    local documents
    read_shape
    twin=() batch=4 steps=${STEPS:-6} peer_steps=${PEER_STEPS:-3}
    [ "$matrices" = 2 ] || twin=("$K" "$d")
    case $name in
    demo*) steps=${STEPS:-40} ;;
    smollm2*) batch=1 steps=${STEPS:-3} peer_steps=${PEER_STEPS:-2} ;;
    esac
    mapfile -t documents < <(for i in $(seq $((batch * 30))); do echo "d$i=$S"; done)
    /usr/bin/python3 "$here/tests/oracle/random_model.py" tokens --V "$V" -o tokens.mf "${documents[@]}"
}
train() { # STEP PRECISION THREADS OPTION...
    mf-train-"$1" --quiet --config "$config" --set "train.precision=$2" --threads "$3" --set "train_$1.steps=$steps" \
        --set "train_$1.warmup=1" --set "train_$1.batch=$batch" --set "train_$1.accumulation=1" \
        --set "train_$1.optimizer=adamw" "${@:4}" tokens.mf
}
# Tokens a second but for the first step, which makes kernels, and the peak.
ours() { # STEP PRECISION OPTION...
    train "$1" "$2" "$threads" --set "train_$1.log_every=1" --metrics m.mf "${@:3}" || return
    rate_and_peak m.mf
}
theirs() { # STEP PRECISION
    local option=()
    [ "$2" = fp32 ] || option=(--bf16)
    /usr/bin/python3 "$here/tests/peers/train_torch.py" "${option[@]}" "$1" tokens.mf "$peer_steps" "$batch" "$D" "$H" "$L" "$F" "$S" \
        "$threads" "${twin[@]}"
}
limit() { # PRECISION: GFLOP/s
    local bench=sgemm
    [ "$1" = fp32 ] || bench=bf16
    "$build/tests/bench/${bench}_bench" "$threads" | cut -d ' ' -f 1
}

row() { # STEP PRECISION LIMIT PROGRAM TOKENS/S BYTES
    echo "$*" >> rows
    awk -v step="$1" -v program="$4 $2" -v rate="$5" -v peak="$6" -v work="$(token_work "$1")" -v limit="$3" 'BEGIN {
        printf "%-7s %-13s %9.0f %8.0f %10.1f %9.0f %9.0f %8.0f%%\n", step, program, rate, peak / 1e6, work / 1e6,
            rate * work / 1e9, limit, 100 * rate * work / (limit * 1e9) }'
}
step() { # STEP
    local precision speed rate bytes files
    for precision in "${precisions[@]}"; do
        speed=$(limit "$precision")
        files=(-o "shared.$precision.tar")
        [ "$1" = shared ] || files=(-s "shared.$precision.tar" -o expert.tar)
        read -r rate bytes < <(ours "$1" "$precision" "${files[@]}")
        row "$1" "$precision" "$speed" ours "$rate" "$bytes"
        bound "$1 $precision" "$bytes"
        read -r rate bytes < <(theirs "$1" "$precision")
        row "$1" "$precision" "$speed" PyTorch "$rate" "$bytes"
    done
    awk -v step="$1" '
        function ratio(a, b) { return sprintf("%.2fx", rate[a] / rate[b]) }
        $1 == step { rate[$4 " " $2] = $5; bytes[$4 " " $2] = $6 }
        END {
            printf "%-7s ours in fp32: %s PyTorch", step, ratio("ours fp32", "PyTorch fp32")
            printf ", which takes %.2fx the memory\n", bytes["PyTorch fp32"] / bytes["ours fp32"]
            if ("ours bf16" in rate)
                printf "%-7s ours in bf16: %s PyTorch in bf16, %s in fp32; %s ours in fp32\n", step,
                    ratio("ours bf16", "PyTorch bf16"), ratio("ours bf16", "PyTorch fp32"), ratio("ours bf16", "ours fp32")
        }' rows
}

# What AVX512-BF16 alone brings, on a processor that has matrix units too.
without_amx() {
    local rate bytes
    [[ $("$build/tests/bench/bf16_bench" "$threads") == *amx* ]] || return 0
    read -r rate bytes < <(ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16 ours expert bf16 -s shared.bf16.tar -o expert.tar)
    awk -v rate="$rate" '$1 == "expert" && $4 == "ours" && $2 == "fp32" {
        printf "expert, bf16 without AMX (ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16): %.0f tokens/s, %.2fx ours in fp32\n", rate, rate / $5 }' rows
}

# Two experts, the programs as make -j1 and -j2 start them.
in_turn() { # PRECISION THREADS
    train expert "$1" "$2" -s "shared.$1.tar" -o a.tar
    train expert "$1" "$2" -s "shared.$1.tar" -o b.tar
}
at_once() { # PRECISION
    train expert "$1" 1 -s "shared.$1.tar" -o a.tar & local other=$!
    train expert "$1" 1 -s "shared.$1.tar" -o b.tar
    wait $other
}
two_experts() { # PRECISION
    local one two both
    one=$(seconds in_turn "$1" 1) two=$(seconds in_turn "$1" 2) both=$(seconds at_once "$1")
    awk -v precision="$1" -v one="$one" -v two="$two" -v both="$both" 'BEGIN {
        printf "two experts, %s: -j1 with 1 thread %.1f s, -j1 with 2 threads %.1f s, -j2 with 1 thread each %.1f s: %.2fx and %.2fx\n",
            precision, one, two, both, one / both, two / both }'
}

# What the default configuration may take, in bytes; what takes more is noted, and named at the end.
declare -A bounds=([shared]=400000000 [expert]=220000000 ["expert --max-memory 200M"]=200000000 ["expert --max-memory 300M"]=300000000)
bound() { # STEP-AND-PRECISION BYTES
    [ "$name" = default ] || return 0
    local most=${bounds[${1% *}]}
    [ "$2" -lt "$most" ] || echo "training, $name.yaml, $1: took $2 bytes, the bound is $most" >> broken
}
limited() { # PRECISION MEGABYTES: and what that leaves of the limit, auto's being that of fp32
    local rate bytes speed
    speed=$(limit fp32)
    if ! ours expert "$1" --max-memory "$2M" -s shared.fp32.tar -o limited.tar > figures 2> refused; then
        echo "expert, $1, with --max-memory $2M: $(tail -n 1 refused)" | tee -a broken
        return
    fi
    read -r rate bytes < figures
    awk -v precision="$1" -v most="$2" -v rate="$rate" -v bytes="$bytes" -v work="$(token_work expert)" -v limit="$speed" 'BEGIN {
        printf "expert, %s, with --max-memory %sM: %.0f tokens/s, %.0f MB", precision, most, rate, bytes / 1e6
        printf ", %.0f%% of sgemm\n", 100 * rate * work / (limit * 1e9) }'
    bound "expert --max-memory $2M $1" "$bytes"
}

find_precisions "$threads"
: > broken
for config in "${configs[@]}"; do
    name=$(basename "$config" .yaml)
    : > rows
    read_config
    echo "training, $name.yaml, $threads threads, $batch x $S tokens a step, $steps steps (PyTorch: $((peer_steps + 1))); the first is left out"
    printf '%-7s %-13s %9s %8s %10s %9s %9s %9s\n' step program tokens/s MB MFLOP/tok GFLOP/s limit "of limit"
    step shared
    step expert
    [ ${#precisions[@]} -gt 1 ] || echo "bf16: left out, this processor has no bf16 units"
    without_amx
    for precision in "${precisions[@]}"; do
        [ "$batch" = 1 ] || two_experts "$precision"
    done
    [ "$name" = default ] || continue
    limited auto 200 # where bf16 does not fit it is fp32
    limited fp32 300 # enough to make no product again
done
[ ! -s broken ] || { cat broken >&2; exit 1; }
