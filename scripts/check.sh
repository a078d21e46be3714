#!/bin/bash
# Runs the C unit tests and the bats files against the build in folder $1, the bats files also against the programs built
# with sanitizers, and closes with the sums of all.
set -uo pipefail
build=$(cd "$1" && pwd)
cd "$(dirname "$0")/.." || exit 1
passed=0 failed=0 skipped=0
log=$(mktemp -d)
trap 'rm -rf "$log"' EXIT

# Adds what a log in the form of cmocka or of bats --tap shows, and its exit status.
count() {
    local ok bad skips
    ok=$(grep -cE '^(\[ +OK \] |ok )' "$1")
    skips=$(grep -c '^ok .*# skip' "$1")
    bad=$(grep -cE '^(\[  FAILED  \] [a-z]|not ok )' "$1")
    if [ "$2" -ne 0 ] && [ "$bad" -eq 0 ]; then bad=1; fi
    passed=$((passed + ok - skips)) failed=$((failed + bad)) skipped=$((skipped + skips))
}

# The bats files of one build, one after the other; the logs and statuses stay in a folder.
run_bats() {
    local programs=$1 folder=$2 file
    mkdir -p "$folder"
    for file in tests/*.bats; do
        # with sanitizers, not what runs other programs than ours most of the time
        if [ "$programs" != "$build/bin" ]; then
            case $file in tests/ablation.bats | tests/corpus.bats | tests/lock.bats | tests/tokenizers.bats) continue ;; esac
        fi
        MF_BIN="$programs" bats --tap --timing "$file" > "$folder/${file##*/}" 2>&1
        echo $? > "$folder/${file##*/}.status"
    done
}

run_bats "$build/sanitized/bin" "$log/sanitized" &
sanitized=$!
for unit in "$build"/tests/*_test; do
    echo "== ${unit##*/}"
    "$unit" 2>&1 | tee "$log/unit" || true
    count "$log/unit" "${PIPESTATUS[0]}"
done
run_bats "$build/bin" "$log/plain"
wait $sanitized
for kind in plain sanitized; do
    for file in tests/*.bats; do
        out=$log/$kind/${file##*/}
        [ -e "$out" ] || continue
        echo "== $file, $kind"
        cat "$out"
        count "$out" "$(cat "$out.status")"
    done
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
