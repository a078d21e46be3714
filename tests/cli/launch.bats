# Stages behind a launcher: what it is given, and how a job that was killed is told from a program that failed.
load ../helper

# A launcher that notes its arguments, and whose n-th job is what the n-th line of `script` says: `lost STATUS` ends without
# having run it, `kill` kills the program when a new `x.tar.ckpt` is there, which must not end before. It has the name of
# Slurm's.
setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
    mkdir stages
    cat > srun << 'EOF'
#!/bin/bash
echo "$*" >> launched
read -r how status < <(sed -n "$(wc -l < launched)p" script 2> /dev/null)
case $how in
lost) exit "$status" ;;
kill)
    rm -f x.tar.ckpt
    "$@" &
    until [ -s x.tar.ckpt ]; do
        kill -0 $! || exit
        sleep 0.02
    done
    pkill -KILL -P $!
    wait $!
    ;;
*) exec "$@" ;;
esac
EOF
    chmod +x srun
}

# Runs the commands $1 as a stage with one retry.
stage() {
    run "$MF_ROOT/pipelines/launch.sh" 1 stages/x.json x.tar ./srun mf-time -o stages/x.json -- bash -c "$1"
}

@test "a lost job is tried again, also when its launcher says that all is well" {
    printf 'lost 0\nrun\nlost 1\n' > script
    stage 'echo whole > x.tar'
    assert_success
    assert_output "launch.sh: x: the job was lost (status 0); again in 1 s"
    assert_equal "$(cat x.tar)" whole
    # what the record says of that job is not taken for the next one's end
    stage 'echo again > x.tar'
    assert_success
    assert_output "launch.sh: x: the job was lost (status 1); again in 1 s"
    assert_equal "$(cat x.tar)" again
    assert_equal "$(wc -l < launched)" 4
}

@test "a program that fails by itself is not tried again, nor a launcher that is not there" {
    local wanted
    for wanted in 1 65 70 75 78 134 139; do
        stage "exit $wanted"
        assert_equal "$status:$output" "$wanted:"
    done
    assert_equal "$(wc -l < launched)" 7
    run -127 "$MF_ROOT/pipelines/launch.sh" 1 stages/x.json x.tar ./absent mf-time -o stages/x.json -- true
    refute_output --partial again
}

@test "tries that leave a new checkpoint are not counted" {
    printf 'kill\nkill\nkill\nlost 1\n' > script
    stage 'echo >> step; cp step x.tar.ckpt; exec sleep 60'
    assert_equal "$status" 1
    assert_equal "$(grep -c '(status 137); again in 1 s' <<< "$output")" 3
    assert_line --index 3 "launch.sh: x: the job was lost (status 1); given up"
}

@test "asked to stop, also twice, it asks the job, waits for it, and does not try again" {
    : > asks
    "$MF_ROOT/pipelines/launch.sh" 1 stages/x.json x.tar ./srun mf-time -o stages/x.json -- \
        bash -c 'trap "echo >> asks" TERM; touch begun; while [ "$(wc -l < asks)" -lt 2 ]; do sleep 0.02; done; sleep 0.2; echo saved > x.tar.ckpt; exit 143' 3>&- &
    local asked=$!
    await $asked test -e begun
    kill -TERM $asked
    await $asked test -s asks
    kill -TERM $asked
    local status=0
    ended $asked || status=$?
    assert_equal $status 143
    assert_equal "$(cat x.tar.ckpt)" saved
    assert_equal "$(wc -l < launched)" 1
    jq -e '.status == 143' stages/x.json
}

@test "the whole pipeline behind a launcher that kills each expert once gives the same model" {
    /usr/bin/python3 "$MF_ROOT/tests/words.py" words 40
    export -f strike
    cat > killer << 'EOF'
#!/bin/bash
stage=$1 here=${0%/*}
echo "$1 $2 $3 $4" >> "$here/launched"
shift 4
case $stage in expert.*) ;; *) exec "$@" ;; esac
[ "$(grep -c "^$stage " "$here/launched")" -eq 1 ] || exec "$@"
STRUCK=$here/$stage.struck strike KILL "$here/runs/t/$stage.tar.ckpt" 1 "$@"
EOF
    chmod +x killer
    sed '/^train_expert/,/^calibrate/s/\<steps: .*/steps: 40/' "$TINY" > t.yaml
    mf_make CONFIG="$PWD/t.yaml" -j8 > log 2>&1 || fail "$(cat log)"
    mv runs here
    printf "cluster:\n  launch: '\"%s\" {stage} {cpus} {memory_mb} {minutes}'\n  minutes: 30\n  spare_mb: 1000\n" "$PWD/killer" >> t.yaml
    mf_make CONFIG="$PWD/t.yaml" -j8 > log 2>&1 || fail "$(cat log)"
    cmp here/t/model.safetensors runs/t/model.safetensors
    assert_equal "$(grep -c '^expert' launched)" 6
    grep -qx "docs 1 1200 30" launched
    grep -qx "report 1 1100 30" launched
    grep -qx "expert.2 1 $((1000 + $(mf-config memory train-expert --config t.yaml --threads 1))) 30" launched
    # the record of a program that was killed is kept with the next one's
    jq -e '.attempts == 2 and .status == 0' runs/t/stages/expert.1.json
}
