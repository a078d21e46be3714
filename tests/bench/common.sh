# What the benchmarks share, read with the folder of the build as $1: `build`, `here` (the project), `work` (a folder for now,
# which becomes the current one), the programs on PATH, and what a command costs.
# shellcheck shell=bash disable=SC2034 # for those that read this
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
peak_mb() { # COMMAND...
    cost "$@" | cut -d ' ' -f 2
}
