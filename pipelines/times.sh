#!/bin/bash
# Times of a run's files, which say to make what was made from what, follow content: times.sh keep|restore RUN
#
# `keep`, when all is made, writes the digest and the time of each file to RUN/.files. `restore`, before anything is made: where
# times differ but every file has the bytes it had then (the run was copied, touched, checked out), they get those times
# back. Where a file has other bytes, or there are more of them, times stay as they are, and make goes by them. A file
# whose time is as noted is not read.
set -euo pipefail
cd "$2"
rm -f .files.tmp # of a `keep` that was killed; the lock is ours
declare -A digest time
if [ -e .files ]; then
    while read -r sum at path; do digest[$path]=$sum time[$path]=$at; done < .files
fi
moved=() there=()
while read -r at path; do
    there+=("$path")
    [ "${time[$path]:-}" = "$at" ] || moved+=("$path")
    now[${#there[@]}]=$at
done < <(find . -type f ! -name '.*' ! -name '*.tmp' ! -name '*.svg' ! -name '*.png' \
    ! -path './stages/lists/*' -printf '%T@ %P\n' | LC_ALL=C sort -k 2)
[ ${#moved[@]} -gt 0 ] || exit 0

sums() { printf '%s\n' "${moved[@]}" | xargs -d '\n' sha256sum --; }
if [ "$1" = restore ]; then
    for path in "${moved[@]}"; do
        [ -n "${digest[$path]:-}" ] || exit 0
    done
    read_sums=$(sums)
    while read -r sum path; do [ "${digest[$path]}" = "$sum" ] || exit 0; done <<< "$read_sums"
    for path in "${moved[@]}"; do touch -d "@${time[$path]}" "$path"; done
else
    read_sums=$(sums)
    while read -r sum path; do digest[$path]=$sum; done <<< "$read_sums"
    for i in "${!there[@]}"; do printf '%s %s %s\n' "${digest[${there[i]}]}" "${now[i + 1]}" "${there[i]}"; done > .files.tmp
    mv .files.tmp .files
fi
