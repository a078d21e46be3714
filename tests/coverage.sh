#!/bin/bash
# How many lines of lib/ are reached by the unit tests and by the end-to-end tests of files and of what fails:
# coverage.sh BUILD, which was made with --coverage. Fails where a test does or a file of lib/io is reached too little.
set -euo pipefail
build=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
least=85 # percent of the lines
status=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

attempt() {
    "$@" > "$work/log" 2>&1 || { cat "$work/log"; status=1; }
}
find "$build" -name '*.gcda' -delete
for unit in tests/unit/*_test.c; do attempt "$build/${unit%.c}"; done
export MF_BIN="$build/bin"
for file in cli/{cat,assemble,export} faults/{reading,faults}; do attempt bats "tests/$file.bats"; done

gcovr --root . --object-directory "$build/obj" --filter lib/ --txt "$work/table" --json-summary "$work/sums"
cut -c 1-78 "$work/table"
jq -r --argjson least $least '.files[] | select(.filename | startswith("lib/io/")) | select(.line_percent < $least)
    | "\(.filename): tests reach \(.line_percent)% of its lines, less than \($least)%"' "$work/sums" > "$work/low"
cat "$work/low"
[ ! -s "$work/low" ] || status=1
exit $status
