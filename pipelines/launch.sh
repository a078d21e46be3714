#!/bin/bash
# Runs a stage by a launcher such as srun or mpirun, again when its job was killed: launch.sh RETRIES RECORD TARGET COMMAND [ARGUMENT]...
#
# COMMAND runs mf-time, which writes RECORD when the stage's program has ended. How that went, the record says and not the
# launcher: srun ends with 0 when its node fails. A program that failed by itself is not tried again, nor what cannot be run.
# A job that left no record, or whose program was ended by a signal as it comes from outside, is; the next one goes on from
# TARGET.ckpt. A try that left a new checkpoint does not count: a long training passes through any number of jobs.
#
# Interrupted (Ctrl-C, or make is killed), it asks the job to stop and waits for that, a training writes its checkpoint;
# interrupted again, it has the job killed.
set -eu
retries=$1 record=$2 target=$3
shift 3
stage=$(basename "$record" .json)

# On SIGINT or SIGTERM srun and mpirun kill what they started, almost at once; SIGUSR1 they hand on, and mf-time makes
# SIGTERM of it.
case ${1##*/} in srun | mpirun.sh) gently=USR1 ;; *) gently=TERM ;; esac
asked=0 times=0 job=
stop() {
    times=$((times + 1))
    [ -n "$job" ] || return 0
    kill -s "$gently" "$job" 2> /dev/null || true
    gently=TERM
}
trap 'asked=129; stop' HUP
trap 'asked=130; stop' INT
trap 'asked=143; stop' TERM

# Starts a command in a session of its own: it gets signals from here alone, and goes when this goes. Waits for it,
# also through traps; its status is in $status.
run() {
    local seen now
    setsid setpriv --pdeathsig TERM -- "$@" < /dev/null &
    job=$! status=127
    [ "$asked" -eq 0 ] || stop
    while
        seen=$times now=0
        wait "$job" || now=$?
        [ "$now" -eq 127 ] || status=$now
        [ "$times" != "$seen" ]
    do :; done
    job=
}

# What tells one version of a file from another. Listing the folder makes a network file system look again.
version() {
    ls "$(dirname "$1")" > /dev/null
    stat -c '%i %y' "$1" 2> /dev/null || echo none
}

# The status in the record, unless it is the one that was there before. After an end that seems good it may be late.
verdict() {
    local looks=1
    [ "$status" -ne 0 ] || looks=3
    while [ "$(version "$record")" = "$before" ]; do
        [ $((looks -= 1)) -gt 0 ] || return 0
        sleep 0.5
    done
    sed -n 's/.*"status": *\([0-9]*\).*/\1/p' "$record"
}

tries=0 pause=1
while [ "$asked" -eq 0 ]; do
    before=$(version "$record") checkpoint=$(version "$target.ckpt")
    run "$@"
    ended=$(verdict)
    [ "$ended" != 0 ] || exit 0
    [ "$asked" -eq 0 ] || break
    case ${ended:-$status} in
    6[4-9] | 7[0-8] | 126 | 127) exit "${ended:-$status}" ;;
    esac
    case $ended in
    '') how="was lost (status $status)" ;;
    129 | 130 | 137 | 143) how="was killed (status $ended)" ;;
    *) exit "$ended" ;;
    esac
    [ "$(version "$target.ckpt")" = "$checkpoint" ] || tries=0 pause=1
    if [ $((tries += 1)) -gt "$retries" ]; then
        echo "launch.sh: $stage: the job $how; given up" >&2
        exit $((ended ? ended : status ? status : 75))
    fi
    echo "launch.sh: $stage: the job $how; again in $pause s" >&2
    run sleep $pause
    pause=$((pause < 32 ? 2 * pause : 60))
done
exit "$asked"
