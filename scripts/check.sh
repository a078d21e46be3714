#!/bin/bash
# Runs the C unit tests and the bats files against the build in folder $1, and closes with the sums of both.
set -uo pipefail
build=$(cd "$1" && pwd)
cd "$(dirname "$0")/.." || exit 1
passed=0 failed=0 skipped=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

for unit in "$build"/tests/*_test; do
    echo "== ${unit##*/}"
    "$unit" 2>&1 | tee "$log" || true
    status=${PIPESTATUS[0]}
    ok=$(grep -c '^\[       OK \]' "$log")
    bad=$(grep -c '^\[  FAILED  \] [a-z]' "$log")
    if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then bad=1; fi
    passed=$((passed + ok)) failed=$((failed + bad))
done
for file in tests/*.bats; do
    echo "== $file"
    MF_BIN="$build/bin" bats --tap "$file" 2>&1 | tee "$log"
    status=${PIPESTATUS[0]}
    skips=$(grep -c '^ok .*# skip' "$log")
    bad=$(grep -c '^not ok ' "$log")
    if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then bad=1; fi
    passed=$((passed + $(grep -c '^ok ' "$log") - skips)) failed=$((failed + bad)) skipped=$((skipped + skips))
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
