# Two makes in one run folder.
load helper

# A short pipeline goal by the tiny configuration, in runs/t here.
goal() {
    local build=${MF_BIN:-$MF_ROOT/build/bin}
    make -C "$MF_ROOT" B="${build%/bin}" RUNS="$PWD/runs" NAME=t CONFIG="$TINY" DATA="$PWD/words" "$@" "$PWD/runs/t/docs/train.mf" 3>&-
}

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
    /usr/bin/python3 "$MF_ROOT/tests/words.py" words 10
}

# Holds the lock as a make does that ends when `go` is there.
hold() {
    "$MF_ROOT/scripts/lock.sh" runs/t bash -c 'touch held; until [ -e go ]; do sleep 0.02; done' 3>&- &
    holder=$!
    until [ -e held ]; do sleep 0.02; done
}

@test "the second make says who is at work, waits, and then makes everything" {
    hold
    goal > log 2>&1 &
    second=$!
    until grep -q waiting log; do sleep 0.02; done
    grep -q "runs/t: in use by make, process $holder; waiting" log
    [ ! -e runs/t/docs/train.mf ]
    touch go
    wait $second
    [ -s runs/t/docs/train.mf ]
}

@test "WAIT=no gives up instead; looking needs no lock" {
    hold
    WAIT=no run goal
    assert_failure
    assert_output --partial "in use by make, process $holder"
    run goal -n
    refute_output --partial "in use"
    touch go
    wait $holder
}

@test "the lock of a killed make is free at once, but not before its programs have ended" {
    "$MF_ROOT/scripts/lock.sh" runs/t bash -c 'sleep 1 & echo $! > child; wait' 3>&- &
    until [ -s child ]; do sleep 0.02; done
    kill -KILL $!
    run wait $!
    goal > log 2>&1
    grep -q "in use by programs of a make that is gone" log
    [ -s runs/t/docs/train.mf ]
    goal > log 2>&1
    refute grep -q "in use" log
}

@test "experts trained side by side never share a temporary name" {
    case ${MF_BIN:-} in */sanitized/*) skip "the leak check and strace do not go together" ;; esac
    make_tokens 20
    mf-train-shared --quiet --config "$TINY" --set train_shared.steps=5 -o shared.tar train.mf
    mkdir names
    for e in 0 1 2; do
        strace -f -qq -e trace=openat,rename -o names/$e mf-train-expert --quiet --config "$TINY" --threads 1 -s shared.tar \
            -v val.labelled.mf -p $e -o expert.$e.tar parts/part.$e.mp &
    done
    wait
    for e in 0 1 2; do grep -o '[^"/]*\.tmp' names/$e | sort -u > names/$e.list; done
    [ -s names/0.list ]
    assert_equal "$(sort names/*.list | uniq -d)" ""
}

@test "three programs that write one file at the same time leave one whole file" {
    make_tokens 20
    make_pieces
    mf-assemble --quiet --config "$TINY" -o whole.safetensors shared.tar expert.*.tar
    for i in 1 2 3; do
        mf-assemble --quiet --config "$TINY" -o model.safetensors shared.tar expert.*.tar &
    done
    wait
    cmp whole.safetensors model.safetensors
    assert_equal "$(find . -name '*.tmp')" ""
}
