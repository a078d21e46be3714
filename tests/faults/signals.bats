# Signals: what a closed terminal, Ctrl-C, a batch system or nohup do to a training and to make.
load ../helper

setup_file() {
    cd "$BATS_FILE_TMPDIR" || return 1
    make_tokens
    mf-train-shared --quiet --config "$TINY" --threads 1 -v val.mf -o whole.tar train.mf
}

setup() {
    link_made
    started=
}

# Ends what a test that failed left at work: each process started here leads a group (set -m).
teardown() {
    local leader
    for leader in $started; do
        kill -KILL -- "-$leader" 2> /dev/null || true
    done
    [ -z "${stopped:-}" ] || kill -KILL "$stopped" 2> /dev/null || true
}

# Starts a command in the background, as the leader of its group; its process is $!.
start() { # COMMAND [ARGUMENT]...
    set -m
    "$@" > log 2>&1 3>&- &
    set +m
    started+=" $!"
}

TRAIN=(mf-train-shared --quiet --config "$TINY" --threads 1 -v val.mf -o s.tar)

step_of() { # CHECKPOINT
    tar -xOf "$1" manifest.json | jq .state.step
}

@test "SIGINT, SIGTERM and SIGHUP stop a training with a checkpoint of its last step" {
    for signal in INT:130 TERM:143 HUP:129; do
        rm -f s.tar*
        run -"${signal#*:}" strike "${signal%:*}" s.tar.ckpt 1 env --default-signal="${signal%:*}" "${TRAIN[@]}" train.mf
        assert_equal "$(step_of s.tar.ckpt)" 41 # the one of step 40 was being written
        [ ! -e s.tar ]
        "${TRAIN[@]}" --resume train.mf
        cmp s.tar whole.tar
    done
}

@test "a signal that was ignored when the training began stays ignored" {
    for signal in INT TERM HUP; do
        rm -f s.tar*
        strike $signal s.tar.ckpt 1 env --ignore-signal=$signal "${TRAIN[@]}" train.mf
        grep -q readlink struck
        cmp s.tar whole.tar
    done
}

@test "mf-time hands SIGHUP on, unless nohup is before it" {
    # shellcheck disable=SC2016
    job='trap "exit 7" HUP; kill -HUP $PPID; for i in {1..20}; do sleep 0.05; done; exit 3'
    run -7 env --default-signal=HUP mf-time -o t.json -- bash -c "$job"
    assert_equal "$(jq .status t.json)" 7
    run -3 env --ignore-signal=HUP mf-time -o t.json -- bash -c "$job"
}

# Runs a command on a terminal of its own, closes that when a file is there, and waits for another.
hang_up_when() { # FILE THEN COMMAND [ARGUMENT]...
    /usr/bin/python3 - "$@" << 'PY'
import os, pty, signal, sys, time
first, then, command = sys.argv[1], sys.argv[2], sys.argv[3:]
def wait_for(path):
    end = time.time() + 60
    while not os.path.exists(path):
        if time.time() > end:
            os.killpg(child, signal.SIGKILL)
            sys.exit("waited 60 s for " + path)
        time.sleep(0.02)
child, terminal = pty.fork()
if child == 0:
    os.execvp(command[0], command)
wait_for(first)
os.close(terminal)
wait_for(then)
os.waitpid(child, 0)
PY
}

@test "closing the terminal stops a training with a checkpoint" {
    # shellcheck disable=SC2016
    hang_up_when s.tar.ckpt t.json bash -c 'mf-time -o t.json -- "$@"; exit' bash "${TRAIN[@]}" \
        --set train_shared.steps=1000000 --set train_shared.checkpoint_every=7 train.mf
    assert_equal "$(jq .status t.json)" 129
    [ -e s.tar.ckpt ]
    [ ! -e s.tar ]
    [ -z "$(find . -name '*.tmp')" ]
}

@test "SIGHUP to the processes of make stops trainings with checkpoints" {
    long="train_expert.steps=100000 train_expert.checkpoint_every=40"
    start strike STOP runs/t/expert.0.tar.ckpt 1 env --default-signal=HUP bash -c "mf_make SET='$long' -j2"
    until_stopped $!
    kill -HUP -- -$!
    kill -CONT "$stopped"
    for _ in {1..600}; do [ ! -s runs/t/stages/expert.0.json ] || break; sleep 0.1; done # the shells have gone already
    assert_equal "$(jq .status runs/t/stages/expert.0.json)" 129
    assert_equal "$(step_of runs/t/expert.0.tar.ckpt)" 81
    [ ! -e runs/t/expert.0.tar ]
    [ -z "$(find runs -name '*.tmp')" ]
}

@test "SIGHUP to make alone lets what runs end, under the lock, and starts nothing more" {
    export SET="train_expert.steps=120 train_expert.checkpoint_every=40"
    start strike STOP runs/t/expert.0.tar.ckpt 1 env --default-signal=HUP bash -c mf_make
    until_stopped $!
    make=$(head -n 1 runs/t/.lock)
    kill -HUP "$make" "$(ps -o ppid= -p "$make" | tr -d ' ')"
    WAIT=no run mf_make
    assert_failure
    assert_output --partial "in use by make, process $make"
    kill -CONT "$stopped"
    run ended "${started# }"
    assert_failure
    [ -e runs/t/expert.0.tar ]
    [ ! -e runs/t/expert.1.tar ]
    assert_equal "$(find runs -name '*.tmp' -o -name '*.ckpt*')" ""
    mf_make > again 2>&1 || fail "$(cat again)"
    assert_equal "$(stages again)" "assemble calibrate config eval train-expert.1 train-expert.2 "
}

@test "a launcher that is sent SIGHUP stops its job with a checkpoint" {
    start env --default-signal=HUP "$MF_ROOT/pipelines/launch.sh" 0 t.json s.tar env mf-time -o t.json -- "${TRAIN[@]}" \
        --set train_shared.steps=1000000 --set train_shared.checkpoint_every=7 train.mf
    await $! test -e s.tar.ckpt
    kill -HUP $!
    status=0
    ended $! || status=$?
    assert_equal $status 129
    assert_equal "$(jq .status t.json)" 143
    [ -e s.tar.ckpt ]
    [ -z "$(find . -name '*.tmp')" ]
}
