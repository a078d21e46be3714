# Shared training by several processes: as one with the larger batch, stopped and ended together.
load ../helper

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    make_tokens
}

setup() {
    command -v mpirun > /dev/null || skip "mpirun is not installed"
    link_made
    # MPI's library keeps what it has until the process ends
    export ASAN_OPTIONS=detect_leaks=0
}

shared=(mf-train-shared --quiet --config "$TINY" --threads 1)
launch=("$MF_ROOT/pipelines/mpirun.sh")

ranks() { # NUMBER [OPTION]...
    "${launch[@]}" -n "$1" "${shared[@]}" -v val.mf "${@:2}" train.mf 3>&-
}

one() {
    "${shared[@]}" -v val.mf "$@" train.mf
}

curve() {
    mf-cat "$1" | jq -r 'select(.step) | [.step, .loss, .grad_norm, .lr, .val_loss // 0] | @tsv'
}

# Two curves agree to 1e-5, which rounding does not reach and other windows or dropout would pass by far.
assert_same_curve() { # METRICS METRICS STEPS
    curve "$1" > a.curve
    curve "$2" > b.curve
    assert_equal "$(wc -l < a.curve)" "$3"
    paste a.curve b.curve | tee far | awk '{
        for (i = 1; i <= 5; i++) { d = $i - $(i + 5); if (d < 0) d = -d; if (d > 1e-5 * $(i + 5)) exit 1 } }'
}

# What our program said, and the status it gave mpirun.
assert_one_line() { # STATUS LINE COMMAND...
    run "${@:3}"
    assert_equal "$status" "$1"
    assert_equal "$(grep '^mf-train-shared: ' <<< "$output")" "mf-train-shared: $2"
}

@test "two processes train as one with twice the batch, with the same bytes each time" {
    few=(--set train_shared.steps=20 --set train_shared.validate_every=10)
    ranks 2 "${few[@]}" --metrics two.mf -o two.tar
    [ -z "$(ls | grep -E 'ckpt|tmp')" ]
    ranks 2 "${few[@]}" -o again.tar
    cmp two.tar again.tar
    one "${few[@]}" --set train_shared.batch=8 --metrics one.mf -o one.tar
    assert_same_curve two.mf one.mf 20
    assert_equal "$(tar -xOf two.tar manifest.json | jq -c '[.training.ranks, .training.settings.train_shared.batch]')" "[2,4]"
}

@test "family llama: two processes train as one with twice the batch, with the same bytes each time" {
    llama=(--set model.arch=llama --set model.n_kv_heads=1 --set model.qk_norm=true --set train_shared.steps=20
        --set train_shared.validate_every=10)
    ranks 2 "${llama[@]}" --metrics two.mf -o two.tar
    ranks 2 "${llama[@]}" -o again.tar
    cmp two.tar again.tar
    one "${llama[@]}" --set train_shared.batch=8 --metrics one.mf -o one.tar
    assert_same_curve two.mf one.mf 20
}

@test "where one process cuts its batch between two of three, their dropout is still the same" {
    few=(--set train_shared.steps=8 --set train_shared.accumulation=1)
    ranks 3 "${few[@]}" --set train_shared.batch=15 --metrics three.mf -o three.tar
    one "${few[@]}" --set train_shared.batch=45 --metrics one.mf -o one.tar
    assert_same_curve three.mf one.mf 8
}

@test "a signal to one process stops all with a checkpoint; one that is killed ends all; resumed, the bytes are the same" {
    long=(--set train_shared.steps=60 --set train_shared.checkpoint_every=4)
    ranks 2 "${long[@]}" --metrics whole.mf -o whole.tar
    export -f strike
    rank=("${shared[@]}" -v val.mf "${long[@]}" --metrics m.mf --resume -o s.tar train.mf)
    # rank 1 is asked while rank 0, which writes, is held
    struck() { "${launch[@]}" -n 1 bash -c 'strike "$@"' strike "$1" s.tar.ckpt 1 "${rank[@]}" : -n 1 "${rank[@]}"; }
    struck STOP > log 2>&1 3>&- &
    pid=$!
    until_stopped $pid
    pkill -TERM -P "$(pgrep -P $pid)" mf-train-shared
    kill -CONT "$stopped"
    status=0; ended $pid || status=$?
    assert_equal "$status" 143
    [ -e s.tar.ckpt ]
    [ ! -e s.tar ]
    # rank 0 is killed
    run -137 struck KILL
    [ -e s.tar.ckpt ]
    [ ! -e s.tar ]
    run one "${long[@]}" --resume -o s.tar
    assert_failure 65
    assert_output --partial "of another training: ranks is 2 there, missing here"
    ranks 2 "${long[@]}" --metrics m.mf --resume -o s.tar
    cmp whole.tar s.tar
    curve whole.mf > whole.curve
    curve m.mf | cmp - whole.curve
    [ ! -e s.tar.ckpt ]
}

@test "an error ends all processes with one line and its status" {
    assert_one_line 66 "nothing.mf: No such file or directory" "${launch[@]}" -n 2 "${shared[@]}" -o x.tar nothing.mf
    assert_one_line 64 "2 processes cannot share the standard input: name a file" "${launch[@]}" -n 2 "${shared[@]}" -o x.tar
    # of rank 1 alone, before the first step
    assert_one_line 66 "rank 1: nothing.mf: No such file or directory" \
        "${launch[@]}" -n 1 "${shared[@]}" -o x.tar train.mf : -n 1 "${shared[@]}" -o x.tar nothing.mf
    for other in "test.mf" "--set train.precision=bf16 train.mf"; do
        # shellcheck disable=SC2086 # options
        assert_one_line 65 "rank 1: tokens, settings, precision or threads are not those of rank 0" \
            "${launch[@]}" -n 1 "${shared[@]}" -o x.tar train.mf : -n 1 "${shared[@]}" -o x.tar $other
    done
    assert_one_line 73 "no/x.ckpt: No such file or directory" ranks 2 --checkpoint no/x.ckpt -o x.tar
    # of rank 0 alone, while the other goes on: it alone writes
    mkdir x.ckpt.best
    assert_one_line 73 "x.ckpt.best: is a folder" ranks 2 --checkpoint x.ckpt -o x.tar
    rmdir x.ckpt.best
    [ ! -e x.tar ]
    [ -z "$(ls | grep tmp)" ]
}

@test "a training that diverges ends all processes" {
    # the decay is multiplied by the rate: weights become 99 times as large in each step
    harsh=(--set train_shared.warmup=0 --set train_shared.lr=100 --set train_shared.min_lr=100 --set train_shared.weight_decay=1)
    run ranks 2 "${harsh[@]}" -o x.tar
    assert_failure 70
    assert_equal "$(grep -c '^mf-train-shared: ' <<< "$output")" 1
    assert_output --regexp 'mf-train-shared: step [0-9]+: the .*the training diverged'
    [ ! -e x.tar ]
}

@test "the version says whether there is MPI, whose memory is planned" {
    run -0 mf-train-shared --version
    assert_line -n 1 --regexp '^built with Open MPI v[0-9.]+$'
    workspace() { "$@" mf-train-shared --config "$TINY" --set train_shared.steps=1 --set train_shared.warmup=0 -o x.tar train.mf 2>&1 |
        sed -n 's/.*workspace \([0-9.]*\);.*/\1/p'; }
    awk "BEGIN { exit !($(workspace "${launch[@]}" -n 2) > $(workspace env) + 8) }"
}

@test "by RANKS=2 make divides each batch: one process's model up to rounding, stopped and resumed, with what both took" {
    pipeline() {
        GOAL=$PWD/runs/t/shared.tar mf_make SET='train_shared.steps=120 train_shared.lr=0.002 train_shared.checkpoint_every=2' "$@"
    }
    pipeline > log 2>&1
    mv runs one
    pipeline RANKS=2 > log 2>&1
    mv runs two
    assert_same_curve two/t/shared.metrics.mf one/t/shared.metrics.mf 120
    assert_equal "$(tar -xOf two/t/shared.tar manifest.json | jq -c '[.training.ranks, .training.settings.train_shared.batch]')" "[2,4]"
    jq -e --slurpfile one one/t/stages/shared.json '.peak_memory > 2 * $one[0].peak_memory and .status == 0' two/t/stages/shared.json
    grep -q "mf-train-shared: memory .* in each of 2 processes: " log
    # Ctrl-C; once more where the machine is so busy that the training was done before it came
    set -m
    for attempt in 1 2 3 4 5; do
        rm -rf runs
        pipeline RANKS=2 > log 2>&1 3>&- &
        await $! test -s runs/t/shared.tar.ckpt
        kill -INT -- -$! || true
        flock -w 60 runs/t/.lock true # until all have ended
        [ -e runs/t/shared.tar ] || break
    done
    set +m
    assert_equal "$(jq -c '[.status, .attempts]' runs/t/stages/shared.json)" "[143,1]"
    # going on is for as many processes as it began with; and it is no other model that would have to be made
    run pipeline
    assert_output --partial "of another training: ranks is 2 there, missing here"
    pipeline RANKS=2 > log 2>&1
    cmp two/t/shared.tar runs/t/shared.tar
    pipeline -q
}

@test "--ranks refuses other numbers of processes, and batches that it cannot divide" {
    assert_one_line 64 "--ranks 2, but started as 1 (mpirun -n; built with $(mf-train-shared --version | sed -n 's/^built with //p'))" \
        one --ranks 2 -o x.tar
    assert_one_line 78 "train_shared.batch of 4 cannot be divided by --ranks 3" ranks 3 --ranks 3 -o x.tar
    [ ! -e x.tar ]
}
