#!/bin/bash
# Runs a command under the lock of a folder: lock.sh FOLDER COMMAND [ARGUMENT]...
#
# The lock is the system's (flock) on FOLDER/.lock, held by the command and by all it starts for as long as one of them
# lives. So it cannot be left behind by a kill, and programs that outlive their make still hold it. A second command says
# who holds it and waits; with WAIT=no it ends with status 75.
set -eu
folder=$1
shift
mkdir -p "$folder"
exec 9>> "$folder/.lock"
if ! flock -n 9; then
    holder=$(head -n 1 "$folder/.lock")
    if kill -0 "${holder:-0}" 2> /dev/null; then
        who="make, process $holder"
    else
        who="programs of a make that is gone${holder:+, process $holder}"
    fi
    if [ "${WAIT:-yes}" = no ]; then
        echo "make: $folder: in use by $who" >&2
        exit 75
    fi
    echo "make: $folder: in use by $who; waiting" >&2
    flock 9
fi
echo $$ > "$folder/.lock"

times=$(dirname "$0")/times.sh
"$times" restore "$folder"

# Files dated in the future, by a clock that was ahead, would not be older than what changes from now on. They get the time
# it is now, in the order they have.
find "$folder" -type f ! -name '.*' -newermt "@$EPOCHREALTIME" -printf '%T@ %p\n' | sort -n | while read -r _ file; do
    touch -d "@$EPOCHREALTIME" "$file"
    "$times" keep "$folder" "$file"
done
exec "$@"
