#!/bin/bash
# What takes too long for every day: check_long.sh BUILD KILLS FUZZ_SECONDS [SEED]. Each part prints the seconds so far, its
# seed, its figures, and what went wrong.
set -euo pipefail
build=$(cd "$1" && pwd)
kills=$2
cd "$(dirname "$0")/.."
seconds=$3
seed=${4:-$RANDOM}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
part() {
    echo "== $* ($SECONDS s)"
}
unset MAKEFLAGS MAKELEVEL # of this make: those of the tests are their own
export B="$build" PATH="$build/bin:$PATH" MF_FAULTS="$build/tests/faults/faults.so"

# Beside all other parts, most of which wait more than they compute.
setsid nice tests/fuzz/fuzz.sh "$build" "$seconds" > "$work/fuzzed" 2>&1 &
fuzzing=$!
trap 'kill -- "-$fuzzing" 2> /dev/null || true; rm -rf "$work"' EXIT

part "faults: every call up to the last, or 300 of a kind"
tests/pieces.sh "$work"
# A sort by scratch files reads ten thousand times in one place. Of memory a smaller sample: however many calls there are,
# they all end in one place too (lib/base/memory.c).
status=0
python3 tests/faults/faults.py "$work" --jobs 2 --seed "$seed" --kinds write,fsync,rename,read,mmap,open,close,thread --sample 300 || status=1
python3 tests/faults/faults.py "$work" --jobs 2 --seed "$seed" --kinds memory --sample 60 || status=1

part "one enormous word of 2 MB"
MF_LONG=4 bats -f 'one enormous word' tests/cli/tokenize.bats || status=1

part "tokenizers of today on 10 MB"
MF_LONG=1 bats -f 'of today|of characters' tests/oracle/tokenizers.bats || status=1

part "kills at every call that changes a file"
python3 tests/faults/every_kill.py --jobs 2 --seed "$seed" --sample "$kills" || status=1

part "folders of every size, with every configuration"
MF_LONG=1 bats -f 'any number' tests/cli/folders.bats || status=1

part "kills"
python3 tests/faults/kills.py --kills "$kills" --seed "$seed" || status=1
SHARDS=3 python3 tests/faults/kills.py --kills $((kills / 10)) --seed "$seed" --set train_shared.steps=200 || status=1
RANKS=2 python3 tests/faults/kills.py --kills $((kills / 10)) --seed "$seed" --set train_shared.steps=200 || status=1

part "every hostile file in every program, plain and with sanitizers"
MF_LONG=1 bats tests/faults/everywhere.bats || status=1
MF_LONG=1 MF_BIN="$build/sanitized/bin" bats tests/faults/everywhere.bats || status=1

part "the pipeline of programs built with sanitizers"
MF_BIN="$build/sanitized/bin" bats tests/cli/pipeline.bats || status=1

part "keys, with the other routers, experts and partitions"
python3 tests/words.py "$work/words" 40
settings='router.kind=hidden expert.anchor=true expert.head=2 partition.overlap=0.2 calibrate.router=ridge'
pipeline=(make -C "$PWD" RUNS="$work/runs" NAME=t CONFIG="$PWD/configs/tiny.yaml" DATA="$work/words" THREADS=1 run)
"${pipeline[@]}" SET="$settings" > "$work/log" 2>&1 || cat "$work/log"
python3 tests/cli/keys.py "$work/runs" configs/tiny.yaml "$settings" "${pipeline[@]}" || status=1

part "cluster"
pipelines/deps.sh slurmctld slurmd slurm-client munge
python3 tests/faults/cluster.py --seed "$seed" || status=1

part "fuzzing: all readers for $seconds seconds, beside all above"
wait "$fuzzing" || status=1
cat "$work/fuzzed"

part "done: status $status"
exit $status
