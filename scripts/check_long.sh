#!/bin/bash
# What takes too long for every day: check_long.sh BUILD KILLS [SEED]. Each part prints its seed, its figures, and what went
# wrong.
set -euo pipefail
build=$(cd "$1" && pwd)
kills=$2
cd "$(dirname "$0")/.."
seed=${3:-$RANDOM}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export B="$build" PATH="$build/bin:$PATH" MF_FAULTS="$build/tests/faults.so"

echo "== faults: every call up to the last"
tests/pieces.sh "$work"
# Of memory a sample: however many calls there are, they all end in one place (lib/base/memory.c).
status=0
python3 tests/faults.py "$work" --jobs 2 --seed "$seed" --kinds write,fsync,rename,read,mmap,open,close,thread || status=1
python3 tests/faults.py "$work" --jobs 2 --seed "$seed" --kinds memory --sample 60 || status=1

echo "== kills"
python3 tests/kills.py --kills "$kills" --seed "$seed" || status=1

echo "== the pipeline of programs built with sanitizers"
MF_BIN="$build/sanitized/bin" bats tests/pipeline.bats || status=1
exit $status
