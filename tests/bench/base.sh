#!/bin/bash
# Measures the training of an expert on a base of a real one's shape, with random weights, beside PyTorch: base.sh BUILD THREADS
#
# 1 x 512 tokens a step, changes of rank 16 and a whole FFN, in fp32 and, where the processor has bf16 units, in bf16. Prints
# tokens a second, the peak of resident memory and what the plan said before; the peaks are promises. A training may take the
# memory that is promised but for a hundredth, which a peak may differ from its plan. The larger base takes part where the
# machine has the memory for PyTorch's.
threads=$2
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh" "$1"
shopt -s inherit_errexit
S=512 batch=1 steps=${BASE_STEPS:-3}
find_precisions "$threads"

# Runs a command, or says which one failed and how: nothing ends this script without a line.
must() { # COMMAND...
    local status=0
    "$@" || status=$?
    [ $status -ne 0 ] || return 0
    [ ! -s said ] || tail -n 1 said >&2
    echo "base.sh: $(basename "$1") ${2##*/}: status $status$([ $status -le 128 ] || echo ", signal $((status - 128))")" >&2
    exit $status
}

# Tokens a second without the first step, as of PyTorch, the peak, and the plan, in MB.
ours() { # RANK PRECISION OPTION...
    must mf_train_expert "$@"
    must rate_and_peak m.mf | awk '{ printf "%s %s ", $1, $2 / 1e6 }'
    sed -n 's/.*: memory \([0-9]*\) MB.*/\1/p' said
}
mf_train_expert() { # RANK PRECISION OPTION...
    mf-train-expert --threads "$threads" --set "train.precision=$2" --set train_expert.steps="$steps" \
        --set train_expert.warmup=1 --set train_expert.log_every=1 --set model.dropout=0 --set train_expert.batch=$batch --set expert.rank="$1" -s base.tar --metrics m.mf -o e.tar "${@:3}" tokens.mf 2> said
}
theirs() { # RANK PRECISION
    local option=()
    [ "$2" = fp32 ] || option=(--bf16)
    : > said
    must /usr/bin/python3 "$here/tests/peers/train_torch.py" "${option[@]}" expert tokens.mf "$steps" $batch "$D" "$H" "$L" \
        "$F" $S "$threads" "$K" "$d" "$1"
}
row() { # BASE RANK BOUND: in MB
    local precision
    for precision in "${precisions[@]}"; do row_in "$precision" "$@"; done
}
row_in() { # PRECISION BASE RANK BOUND
    local a b
    a=$(ours "$3" "$1" --max-memory $(($4 * 990000)))
    b=$(theirs "$3" "$1")
    awk -v base="$2" -v rank="$3" -v precision="$1" -v bound="$4" -v a="$a" -v b="$b" 'BEGIN { split(a, ours); split(b, theirs)
        printf "%-14s %6s %9s %9.1f %9.1f %7.2fx %8.0f %8.0f %8.0f %7.2fx %8d\n", base, rank ? rank : "whole", precision, ours[1],
            theirs[1], ours[1] / theirs[1], ours[3], ours[2], theirs[2] / 1e6, theirs[2] / 1e6 / ours[2], bound
        exit !(ours[2] < bound) }' || { echo "base.sh: $2, rank $3, $1: took $a MB, the bound is $4" >&2 && exit 1; }
}
base() { # V D L H K HEAD_DIM F
    read -r V D L H K d F <<< "$*"
    local width=2
    [ "$V" -le 65536 ] || width=4
    must /usr/bin/python3 "$here/tests/oracle/random_model.py" tokens --V "$V" --width $width --tokenizer "$(printf '0%.0s' {1..64})" -o tokens.mf \
        d=$((3 * S + 1)) # windows are whole, the last too
    must /usr/bin/python3 "$here/tests/bench/random_base.py" base.tar "$V" "$D" "$L" "$H" "$K" "$d" "$F" $S BF16
}
echo "an expert's training, $threads threads, $batch x $S tokens a step, $steps steps; memory in MB"
printf '%-14s %6s %9s %9s %9s %8s %8s %8s %8s %8s %8s\n' base rank precision tokens/s PyTorch faster planned peak PyTorch less bound
base 49152 576 30 9 3 64 1536
row SmolLM2-135M 16 700
row SmolLM2-135M 0 1800
if [ "$(awk '/MemAvailable/ { print int($2 / 1e6) }' /proc/meminfo)" -ge 12 ]; then
    base 128256 2048 16 32 8 64 8192
    row Llama-3.2-1B 16 4000
else
    echo "Llama-3.2-1B: not measured, less than 12 GB of memory are free"
fi
