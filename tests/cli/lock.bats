# Two makes in one run folder.
load ../helper

# A short pipeline goal by the tiny configuration, in runs/t here.
goal() {
    GOAL=$PWD/runs/t/docs/train.mf mf_make "$@" 3>&-
}

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
    /usr/bin/python3 "$MF_ROOT/tests/words.py" words 10
}

# Holds the lock, as process $holder, whose program ends when `held` goes.
hold() {
    "$MF_ROOT/pipelines/lock.sh" runs/t bash -c '(touch held; while [ -e held ]; do sleep 0.02; done) & wait' 3>&- &
    holder=$!
    await $holder test -e held
}

# A second make, in the background, up to where it waits for the lock.
second_waits() {
    goal > log 2>&1 &
    second=$!
    await $second grep -qs waiting log
}

@test "the second make says who is at work, waits, and then makes everything" {
    hold
    second_waits
    grep -q "runs/t: in use by make, process $holder; waiting" log
    [ ! -e runs/t/docs/train.mf ]
    rm held
    ended $second
    [ -s runs/t/docs/train.mf ]
}

@test "WAIT=no gives up instead; looking needs no lock" {
    hold
    WAIT=no run goal
    assert_failure
    assert_output --partial "in use by make, process $holder"
    run goal -n
    refute_output --partial "in use"
    rm held
    ended $holder
}

@test "the lock of a killed make is free at once, but not before its programs have ended" {
    hold
    kill -KILL $holder
    ended $holder || true
    second_waits
    grep -q "in use by programs of a make that is gone" log
    [ ! -e runs/t/docs/train.mf ]
    rm held
    ended $second
    [ -s runs/t/docs/train.mf ]
    goal > log 2>&1
    refute grep -q "in use" log
}

@test "experts trained side by side never share a temporary name" {
    case ${MF_BIN:-} in */sanitized/*) skip "the leak check and strace do not go together" ;; esac
    /usr/bin/python3 "$MF_ROOT/tests/words.py" words 40
    GOAL=$PWD/runs/t/shared.tar mf_make > log 2>&1
    GOAL=experts strace -f -qq -e trace=openat -o calls bash -c "mf_make -j3" > log 2>&1
    ls runs/t/expert.{0,1,2}.tar
    grep -o '"[^"]*", O_[A-Z_|]*O_CREAT' calls | grep -F runs/t/ | grep -F '.tmp"' | sort > names
    # of each expert its checkpoint, its metrics or the record of its stage, and itself
    for e in 0 1 2; do [ "$(grep -c "expert\.$e\." names)" -ge 3 ] || fail "$(cat names)"; done
    assert_equal "$(uniq -d names)" ""
}

@test "three programs that write one file at the same time leave one whole file" {
    make_tokens 20
    make_pieces
    mf-assemble --quiet --config "$TINY" -o whole.safetensors shared.tar expert.*.tar
    local writers=()
    for i in 1 2 3; do
        mf-assemble --quiet --config "$TINY" -o model.safetensors shared.tar expert.*.tar &
        writers+=($!)
    done
    wait "${writers[@]}"
    cmp whole.safetensors model.safetensors
    assert_equal "$(find . -name '*.tmp')" ""
}
