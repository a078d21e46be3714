# What the benchmarks share, read with the folder of the build as $1: `build`, `here` (the project), `work` (a folder for now,
# which becomes the current one), the programs on PATH, and what a command costs.
# shellcheck shell=bash disable=SC2034,SC2154 # for those that read this, and theirs
set -euo pipefail
export LC_ALL=C.UTF-8 # numbers have points
build=$(cd "$1" && pwd)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export PATH=$build/bin:$PATH CORPUS_FETCH=$here/runs/packages
seconds() { # COMMAND...: which prints nothing itself
    local begin=$EPOCHREALTIME
    "$@"
    awk -v a="$begin" -v b="$EPOCHREALTIME" 'BEGIN { print b - a }'
}
cost() { # COMMAND...: its seconds, the most memory it held in MB, and its seconds of the processor
    /usr/bin/python3 -c 'import resource, subprocess, sys, time
begin = time.time()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
seconds = time.time() - begin
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(seconds, round(used.ru_maxrss / 1000), used.ru_utime + used.ru_stime)' "$@"
}
rate_and_peak() { # METRICS, a record for each step: tokens a second but for the first step, which makes kernels, and bytes
    # a record has the speed since the beginning: in units of a step's tokens, k steps took k / speed
    mf-cat "$1" | jq -rs '[.[] | select(.tokens_per_s)] | length as $n |
        (if $n > 1 then ($n - 1) / ($n / last.tokens_per_s - 1 / first.tokens_per_s) else last.tokens_per_s end) as $rate |
        "\($rate) \(last.peak_memory)"'
}
peak_mb() { # COMMAND...
    cost "$@" | cut -d ' ' -f 2
}

# The precisions that are measured with so many threads: bf16 where the processor has units for it.
find_precisions() { # THREADS
    precisions=(fp32)
    [ "$("$build/tests/bench/bf16_bench" "$1")" = none ] || precisions+=(bf16)
}
# A configuration's value, and its dimensions.
value() { mf-config get "$1" --config "$config"; }
read_shape() {
    V=$(value tokenizer.vocab_size) D=$(value model.d_model) H=$(value model.n_heads) L=$(value model.n_layers)
    F=$(value model.d_ff) S=$(value model.context) K=$(value model.n_kv_heads) d=$(value model.head_dim) matrices=2
    [ "$K" -gt 0 ] || K=$H
    [ "$d" -gt 0 ] || d=$((D / H))
    [ "$(value model.arch)" != llama ] || matrices=3
}
# Work of a token: two operations for each weight it meets, once forward; backward once for the gradient that passes on and
# once for the weight's own, where the weight learns. Products made again are not work. Attention meets half of the context.
token_work() { # STEP
    local projections=$((2 * (H + K) * d * D)) mixing=$((S * H * d)) ffn=$((L * matrices * D * F)) logits=$((V * D))
    local forward=$((L * (projections + mixing) + ffn + logits))
    case $1 in
    shared) echo $((2 * 3 * forward)) ;;
    expert) echo $((2 * forward + 2 * (logits + 2 * ffn + (L - 1) * (projections + 2 * mixing)))) ;;
    esac
}
