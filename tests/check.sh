#!/bin/bash
# Runs the C unit tests and the bats files against the build in folder $1, the bats files also against the programs built
# with sanitizers, and closes with the sums of all.
set -uo pipefail
build=$(cd "$1" && pwd)
cd "$(dirname "$0")/.." || exit 1
# A test that waits has a limit of its own, a minute at most; what hangs against expectation ends too.
export BATS_TEST_TIMEOUT=300
# make cannot have blanks in the path of a run, unless they are those of its own place.
case $(realpath -m --relative-to=. "${TMPDIR:-/tmp}") in
*[[:space:]]*)
    mkdir -p "$build/tmp"
    export TMPDIR=$build/tmp
    ;;
esac
passed=0 failed=0 skipped=0
log=$(mktemp -d)
trap 'rm -rf "$log"' EXIT
mkdir "$log"/{unit,plain,sanitized}

# One test, its log and its status in a folder; what it said comes out in one piece. Programs whose reader has gone are to
# end by SIGPIPE, which services such as those that run CI may ignore, and those that are stopped by SIGINT or SIGHUP, which
# a shell's background and nohup do.
one() { # KIND FILE
    local out=$log/$1/${2##*/} bats=(env "--default-signal=PIPE,INT,HUP" bats --tap --timing "$2")
    case $1 in
    unit) "$2" > "$out" 2>&1 ;;
    plain) MF_BIN=$build/bin "${bats[@]}" > "$out" 2>&1 ;;
    sanitized) MF_BIN=$build/sanitized/bin "${bats[@]}" > "$out" 2>&1 ;;
    esac
    echo $? > "$out.status"
    { echo "== $2, $1" && cat "$out"; } | flock "$log" cat
}
export -f one
export build log

# shellcheck disable=SC2016 # the arguments are those of the inner shell
# Two at a time, the long ones (nearly always those of many lines) first, so that both end together. With sanitizers not
# what runs other programs than ours most of the time; the pipeline with them is for check_long.sh.
{
    # A build may be left of those whose source is gone.
    for unit in tests/unit/*_test.c; do printf 'unit\n%s\n' "$build/${unit%.c}"; done
    find tests -name '*.bats' -printf '%s %p\n' | sort -rn | while read -r _ file; do
        case $file in
        tests/bench/ablation.bats | tests/bench/search.bats | tests/cli/corpus.bats | tests/cli/folders.bats | tests/cli/keys.bats | \
            tests/cli/launch.bats | tests/cli/lock.bats | tests/cli/pipeline.bats | tests/cli/ranks.bats | \
            tests/faults/everywhere.bats | tests/faults/kills.bats | tests/faults/signals.bats | \
            tests/oracle/llama.bats | tests/oracle/llama_cpp.bats | tests/oracle/tokenizers.bats) ;;
        *) printf 'sanitized\n%s\n' "$file" ;;
        esac
        printf 'plain\n%s\n' "$file"
    done
} | xargs -d '\n' -n 2 -P 2 bash -c 'one "$@"' one

# Adds what a log in the form of cmocka or of bats --tap shows, and its exit status.
for status in "$log"/*/*.status; do
    out=${status%.status}
    ok=$(grep -cE '^(\[ +OK \] |ok )' "$out")
    skips=$(grep -c '^ok .*# skip' "$out")
    bad=$(grep -cE '^(\[  FAILED  \] [a-z]|not ok )' "$out")
    if [ "$(cat "$status")" -ne 0 ] && [ "$bad" -eq 0 ]; then bad=1; fi
    passed=$((passed + ok - skips)) failed=$((failed + bad)) skipped=$((skipped + skips))
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
