#!/bin/bash
# Times of a run's files, by which make decides, follow content.
#
#   times.sh keep RUN FILE...   notes digest and time of files just made, in RUN/.files; the last note of a file counts
#   times.sh restore RUN        before anything is made: a file with the bytes of its note gets the time of its note back
#                               (the run was copied, touched, checked out); one with other bytes is made newer than all
#                               that is noted
#
# A note is made when its file is, so it holds also where the make was broken off later. A line "- - FILE" says that FILE
# begins to be made anew: until the next note it may be the old file or a new one. A file whose time is as noted is not
# read.
set -euo pipefail
export LC_ALL=C
run=$2

if [ "$1" = keep ]; then
    sums=$(sha256sum -- "${@:3}")
    times=$(find "${@:3}" -maxdepth 0 -printf '%T@ %p\n')
    notes=$(paste -d ' ' <(cut -c -64 <<< "$sums") - <<< "$times")
    { flock 8 && printf '%s\n' "${notes// "$run/"/ }" >&8; } 8>> "$run/.files"
    exit
fi

cd "$run"
rm -f .files.tmp # of a make that was killed; the lock is ours
[ -e .files ] || exit 0
declare -A digest time begun
while read -r sum at path; do
    [ -n "$path" ] || continue # the process that wrote it was killed
    begun[$path]=
    if [ "$sum" = - ]; then begun[$path]=yes; else digest[$path]=$sum time[$path]=$at; fi
done < .files

noted() { # prints time and name of each file that has a note
    find . -type f -printf '%T@ %P\n' | while read -r at path; do
        [ -z "${time[$path]:-}" ] || printf '%s %s\n' "$at" "$path"
    done
}
moved=() there=0 copied=
while read -r at path; do
    there=$((there + 1))
    [ "${time[$path]}" != "$at" ] || continue
    moved+=("$path")
    [ -n "${begun[$path]}" ] || copied=yes
done < <(noted)
# nothing moved, and no note was replaced or has lost its file
[ ${#moved[@]} -gt 0 ] || [ "$(wc -l < .files)" -ne $there ] || exit 0

newest=$(printf '%s\n' "${time[@]}" | sort -n | tail -n 1)
touch -d "@${newest:-0}" .files.tmp
while read -r sum path; do
    if [ "${digest[$path]}" = "$sum" ]; then
        # where only files that were begun moved, they were made, to the bytes they had
        [ -z "$copied" ] || touch -d "@${time[$path]}" -- "$path"
    elif [ -z "${begun[$path]}" ] && [ ! "$path" -nt .files.tmp ]; then
        touch -- "$path"
    fi
    digest[$path]=$sum
done < <([ ${#moved[@]} -eq 0 ] || printf '%s\n' "${moved[@]}" | xargs -d '\n' sha256sum --)
noted | while read -r at path; do printf '%s %s %s\n' "${digest[$path]}" "$at" "$path"; done > .files.tmp
mv .files.tmp .files
