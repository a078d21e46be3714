#!/bin/bash
# Names the stages of a run that took more memory than the bound in their records (mf-time), a line for each: bounds.sh STAGES,
# the folder of the records.
set -euo pipefail
export LC_ALL=C.UTF-8 # numbers have points
# shellcheck disable=SC2016 # a program of awk
{ cat "$1/lists/stages" && echo "$1/report.json"; } | xargs -d '\n' awk '
    function number(key) { return match($0, "\"" key "\": *[0-9]+") ? substr($0, RSTART + length(key) + 3) + 0 : 0 }
    number("bound") && number("peak_memory") > number("bound") {
        stage = FILENAME
        gsub(/^.*\/|\.json$/, "", stage)
        printf "make: stage %s took %.1f MB of memory, above its bound of %.1f MB\n", stage, number("peak_memory") / 1e6, number("bound") / 1e6
    }'
