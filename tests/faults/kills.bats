# What is left when a program of a make, or all of it, is killed: the next make goes on, and the end is the same.
load ../helper

@test "a make whose mf-config is killed ends, and does not take its silence for no experts" {
    /usr/bin/python3 "$MF_ROOT/tests/words.py" words 40
    mf_make > log 2>&1 || fail "$(cat log)"
    mv runs/t/report.json whole.json
    # every mf-config that a make asks, one after the other
    mkdir bin
    ln -s "${MF_BIN:-$MF_ROOT/build/bin}"/* bin
    rm bin/mf-config
    cat > bin/mf-config <<'SH'
#!/bin/bash
echo >> "$ASKED"
[ "$(wc -l < "$ASKED")" -ne "$KILLED" ] || kill -KILL $$
exec "$MF_BIN/mf-config" "$@"
SH
    chmod +x bin/mf-config
    export ASKED=$PWD/asked KILLED MF_BIN=${MF_BIN:-$MF_ROOT/build/bin}
    for KILLED in 1 2 3; do
        : > asked
        run -2 mf_make BIN="$(realpath --relative-to="$MF_ROOT" bin)"
        assert_output --partial "ended with status 137"
        [ ! -e runs/t/report.json ]
        [ "$(wc -l < asked)" -ge "$KILLED" ]
    done
    # as if all had been killed when a bundle had its name and its checkpoint was not removed yet
    cp runs/t/expert.0.tar runs/t/expert.0.tar.ckpt
    cp runs/t/expert.0.tar runs/t/expert.0.tar.ckpt.best
    mf_make > log 2>&1 || fail "$(cat log)"
    assert_equal "$(stages log)" "eval "
    assert_equal "$(find runs -name '*.ckpt*')" ""
    measured='del(.. | .memory?, .peak_memory?, .seconds?, .cpu_seconds?, .tokens_per_s?, .stages?)'
    diff <(jq "$measured" whole.json) <(jq "$measured" runs/t/report.json)
}

@test "a process of make killed at a call that changes a file: the next make ends as if nothing had been" {
    run -0 /usr/bin/python3 "$MF_ROOT/tests/faults/every_kill.py" --only model --sample 3 --seed 1
    assert_output --partial "3 kills of "
    assert_output --partial ", 0 not reached, 0 wrong"
}
