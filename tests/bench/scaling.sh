#!/bin/bash
# Measures what docs/scaling.md is made of: scaling.sh BUILD CORPUS RUNS EXPERTS...
#
# Below RUNS: for each number of experts a run of the pipeline, N/, by configs/scaling.yaml with fewer steps, whose
# documents are read by four jobs and whose experts train two at a time; and ranks.tsv, the bytes that one of R processes of a shared training sends in a step,
# counted by Open MPI.
set -euo pipefail
export LC_ALL=C.UTF-8 # numbers have points
build=$(cd "$1" && pwd) corpus=$2 runs=$3
shift 3
cd "$(dirname "$0")/../.."
mkdir -p "$runs"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
few=(train_shared.steps=40 train_shared.warmup=10 train_shared.validate_every=40
    train_expert.steps=40 train_expert.warmup=4 train_expert.validate_every=40 calibrate.max_tokens=4000 eval.max_tokens=20000
    eval.error=0)

quietly() { # COMMAND...: what it printed only when it fails
    "$@" > "$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
}

for n; do
    run=$runs/$n
    rm -rf "$run"
    pipeline=(make --no-print-directory -s B="$build" RUNS="$(dirname "$runs")" NAME="$(basename "$runs")/$n" CONFIG=configs/scaling.yaml
        DATA="$corpus" SET="model.n_experts=$n ${few[*]}" THREADS=1 SHARDS=4)
    echo "$n experts" >&2
    quietly "${pipeline[@]}" "$run/shared.tar" "$run/tokens/val.labelled.mf"
    quietly "$build/bin/mf-time" -o "$run/stages/experts.json" -- "${pipeline[@]}" -j2 experts
    quietly "${pipeline[@]}" run
done

echo "what ranks send" >&2
tokens=$runs/$1/tokens/train.mf PATH=$build/bin:$PATH
sent() { # RANKS STEPS: bytes that rank 0 sent
    pipelines/mpirun.sh --mca pml_monitoring_enable 1 --mca pml_monitoring_enable_output 1 -n "$1" \
        mf-train-shared --quiet --config configs/scaling.yaml --threads 1 --set "train_shared.steps=$2" --set train_shared.warmup=1 \
        --set train_shared.batch=1 -o "$work/ranks.tar" "$tokens" 2>&1 | awk '$1 == "E" && $2 == 0 { n += $4 } END { print n }'
}
for ranks in 2 3 4; do
    echo "$ranks $((($(sent $ranks 5) - $(sent $ranks 2)) / 3))"
done > "$runs/ranks.tsv"
