#!/bin/bash
# Whether documents can be read from there for a run, before anything is made: data.sh RUN PATH...
set -eu
run=$(realpath -m "$1")
shift
for path; do
    case $run/ in
    "$(realpath -m "$path")"/*)
        echo "make: $path: the run's folder is inside it ($run), so it would read what it makes; set RUNS= to another folder" >&2
        exit 64
        ;;
    esac
done
[ -n "$(find -L "$@" -type f -print -quit 2> /dev/null)" ] || { echo "make: no documents in $*" >&2; exit 66; }
