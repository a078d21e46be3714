#!/bin/bash
# Times of a run's files, by which make decides, follow content.
#
#   times.sh keep RUN FILE...   notes digest and time of files just made, in RUN/.files; the last note of a file counts
#   times.sh restore RUN        before anything is made: a file with the bytes of its note gets the time of its note back
#                               (the run was copied, touched, checked out); one with other bytes is made newer than all
#                               that is noted
#
# A note is made when its file is, so it holds also where the make was broken off later. A line "- - FILE" says that FILE
# begins to be made anew: until the next note it may be the old file or a new one. Other bytes are noted when something was
# made while they were there, so that until then the old ones may come back. A file whose time is as noted is not read.
set -euo pipefail
export LC_ALL=C
cd "$2"

declare -A digest time begun
while read -r sum at path; do
    [ -n "$path" ] || continue # the process that wrote it was killed
    begun[$path]=
    if [ "$sum" = - ]; then begun[$path]=yes; else digest[$path]=$sum time[$path]=$at; fi
done < <(cat .files 2> /dev/null)

moved=() # files that do not have the time of their note
while read -r at path; do
    [ "${time[$path]:-$at}" = "$at" ] || moved+=("$path")
done < <(find . -type f -printf '%T@ %P\n')

note() { # FILE...
    local sums times lines
    sums=$(sha256sum -- "$@")
    times=$(find "$@" -maxdepth 0 -printf '%T@ %p\n')
    lines=$(paste -d ' ' <(cut -c -64 <<< "$sums") - <<< "$times")
    { flock 8 && printf '%s\n' "$lines" >&8; } 8>> .files
}

if [ "$1" = keep ]; then
    made=("${@:3}")
    note "${made[@]#"$2/"}" ${moved[@]+"${moved[@]}"}
    exit
fi

[ ${#moved[@]} -gt 0 ] || exit 0
copied=
for path in "${moved[@]}"; do [ -n "${begun[$path]}" ] || copied=yes; done
touch -d "@$(printf '%s\n' "${time[@]}" | sort -n | tail -n 1)" .files.tmp # of the newest note
while read -r sum path; do
    if [ "${digest[$path]}" = "$sum" ]; then
        # where only files that were begun moved, they were made, to the bytes they had
        [ -z "$copied" ] || touch -d "@${time[$path]}" -- "$path"
    elif [ -z "${begun[$path]}" ] && [ ! "$path" -nt .files.tmp ]; then
        touch -- "$path"
        note "$path"
    fi
done < <(printf '%s\n' "${moved[@]}" | xargs -d '\n' sha256sum --)
rm -f .files.tmp
