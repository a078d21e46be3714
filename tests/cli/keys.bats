# Make is exact: what runs again when a setting or a file changes, and what is not believed.
load ../helper

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    /usr/bin/python3 "$MF_ROOT/tests/words.py" words 40
    mf_make > log 2>&1 || cat log >&3
}

# Each test has a copy of the run that is complete.
setup() {
    cd "$BATS_TEST_TMPDIR"
    export WORDS=$BATS_FILE_TMPDIR/words
    cp -a "$BATS_FILE_TMPDIR/runs" runs
}

# Every file below runs/ with its time.
files() {
    find runs -printf '%p %i %s %T@ %C@\n' | sort
}

# make -n shows these stages.
assert_shows() { # STAGES [ARGUMENT of make]...
    local expected=$1
    shift
    mf_make -n "$@" > shown
    assert_equal "$(stages shown)" "$expected"
}

# All files of the run, by another number of seconds than they have.
shift_times() { # SECONDS
    find runs -type f -printf '%T@ %p\n' | /usr/bin/python3 -c 'import os, sys
for line in sys.stdin:
    at, path = line.rstrip("\n").split(" ", 1)
    ns = int(at.replace(".", "")[:19]) + int(sys.argv[1]) * 10**9
    os.utime(path, ns=(ns, ns))' "$1"
}

@test "each key re-runs the stages that read it, and no stage sees other keys" {
    cd "$BATS_FILE_TMPDIR"
    local build=${MF_BIN:-$MF_ROOT/build/bin}
    run python3 "$MF_ROOT/tests/cli/keys.py" "$PWD/runs" "$TINY" "" make -C "$MF_ROOT" B="${build%/bin}" RUNS="$PWD/runs" NAME=t \
        CONFIG="$TINY" DATA="$WORDS" THREADS=1 run
    assert_success
    # the library has no other way to the settings
    assert_equal "$(cd "$MF_ROOT" && grep -rlw mf_config_load bin lib | tr '\n' ' ')" \
        "bin/mf-config.c lib/config/config.c lib/config/config.h "
}

@test "-n and -q write nothing, and say what there is to do" {
    files > before
    run mf_make -n
    assert_success
    assert_output --partial "Nothing to be done"
    run mf_make -q
    assert_success
    assert_shows "config eval " SET=eval.samples=2
    assert_shows "assemble calibrate config eval " SET=model.top_k=1
    run -1 mf_make -q SET=eval.samples=2
    files | diff before -
    mv runs there
    run -1 mf_make -q
    mf_make -n > shown
    [[ $(stages shown) == *docs*train-expert.2* ]]
    [ ! -e runs ]
}

@test "another configuration or other flags are seen however old their files are" {
    sed 's/sample_tokens: 20/sample_tokens: 19/' "$TINY" > old.yaml
    grep -q 'sample_tokens: 19' old.yaml
    touch -d 2001-01-01 old.yaml
    assert_shows "config eval " CONFIG="$PWD/old.yaml"
    touch "$PWD/old.yaml"
    assert_shows "" CONFIG="$PWD/old.yaml" SET=eval.sample_tokens=20
    # which splits change is known only when they are made
    assert_shows "docs " DOCS_FLAGS=
    # a wrong one is told by mf-config, and nothing is made
    files > before
    run mf_make SET=eval.sample=2
    assert_failure
    assert_output --partial "mf-config: --set: unknown key 'eval.sample', did you mean 'eval.samples'?"
    files | grep -v .lock | diff <(grep -v .lock before) -
}

@test "a file that is gone or empty is made again, with all that is made from it" {
    local file
    while read -r file stages; do
        mv "runs/t/$file" kept
        assert_shows "$stages "
        : > "runs/t/$file"
        assert_shows "$stages "
        mv kept "runs/t/$file"
    done << 'END'
docs/val.mf calibrate docs eval partition tokenize
parts/partition.mp calibrate eval partition
tokens/val.labelled.mf calibrate eval partition
tokens/val/part.1.mf calibrate eval partition
expert.1.tar assemble calibrate eval train-expert.1
assembled.safetensors assemble calibrate eval
calibration.json calibrate eval
model.safetensors calibrate eval
report.json eval
report.html eval
END
    assert_shows ""
    sha256sum runs/t/*.tar runs/t/*.safetensors > sums
    : > runs/t/expert.1.tar
    rm runs/t/parts/part.0.mp
    mf_make > log 2>&1
    assert_equal "$(stages log)" "assemble calibrate eval partition train-expert.0 train-expert.1 "
    sha256sum --check --quiet sums
    # fresh forgets what is made once
    GOAL=fresh mf_make > /dev/null
    mf_make > log 2>&1
    assert_equal "$(stages log)" "assemble calibrate docs eval partition tokenize train-expert.0 train-expert.1 train-expert.2 train-shared "
    sha256sum --check --quiet sums
}

@test "a file that is half made is refused by name, however new it is" {
    local file
    for file in docs/train.mf tokenizer.json tokens/train.mf parts/part.1.mp tokens/val.labelled.mf shared.tar expert.1.tar \
        assembled.safetensors model.safetensors report.json; do
        cp -a "runs/t/$file" kept
        truncate -s $(($(stat -c %s kept) / 2)) "runs/t/$file"
        run mf_make
        assert_failure
        assert_output --regexp "mf-[a-z-]+( [a-z]+)?: ([^ ]*/)?runs/t/$file: "
        [[ "$output" == *"Error 65"* ]]
        cp -a kept "runs/t/$file"
    done
    mf_make > log 2>&1
    cmp runs/t/model.safetensors "$BATS_FILE_TMPDIR/runs/t/model.safetensors"
}

@test "times in the future, by a clock that was ahead, hide no change" {
    shift_times 86400
    mf_make SET=eval.samples=2 > log 2>&1
    assert_equal "$(stages log)" "config eval "
    [ -z "$(find runs -newermt now)" ]
    # nor does a checkpoint of another training
    rm runs/t/expert.1.tar
    echo nonsense > runs/t/expert.1.tar.ckpt
    shift_times 86400
    mf_make SET='eval.samples=2 train_expert.lr=0.002' > log 2>&1
    assert_equal "$(stages log)" "assemble calibrate config eval train-expert.0 train-expert.1 train-expert.2 "
    [ ! -e runs/t/expert.1.tar.ckpt ]
    assert_equal "$(grep -c 'begins again' log)" 1
    grep -q '^make: .* is newer than .*/expert.1.tar.ckpt: this training begins again$' log
    # times that are all in the past, in their order, change nothing
    shift_times -864000
    mf_make SET='eval.samples=2 train_expert.lr=0.002' > log 2>&1
    assert_equal "$(stages log)" ""
}

@test "what an interrupted stage left is not taken for its work" {
    rm runs/t/expert.1.tar
    head -c 2000 runs/t/expert.0.tar > runs/t/.expert.1.tar.abcdef.tmp
    echo /nothing > runs/t/inputs.list.tmp
    echo '{' > runs/t/stages/.expert.1.json.abcdef.tmp
    mf_make > log 2>&1
    assert_equal "$(stages log)" "assemble calibrate eval train-expert.1 "
    cmp runs/t/model.safetensors "$BATS_FILE_TMPDIR/runs/t/model.safetensors"
    [ ! -e runs/t/.expert.1.tar.abcdef.tmp ]
    [ ! -e runs/t/stages/.expert.1.json.abcdef.tmp ]
    # the checkpoint of another training is refused, not gone on from
    cp runs/t/expert.0.tar runs/t/expert.1.tar.ckpt
    rm runs/t/expert.1.tar
    run mf_make
    assert_failure
    assert_output --partial "expert.1.tar.ckpt: "
    [ ! -e runs/t/expert.1.tar ]
}

@test "a recipe that joins programs by a pipe fails when any of them fails" {
    printf 'first:\n\t@false | true\nlast:\n\t@true | false\n' > pipe.mk
    for goal in first last; do
        run -2 make -C "$MF_ROOT" -f Makefile -f "$PWD/pipe.mk" LOCKED=runs/demo $goal
    done
}

@test "-k trains the other experts when one fails, and says that it failed" {
    sha256sum runs/t/expert.*.tar runs/t/model.safetensors > sums
    rm runs/t/expert.*.tar
    cp -a runs/t/parts/part.1.mp kept
    truncate -s 100 runs/t/parts/part.1.mp
    run -2 mf_make -k
    assert_output --partial "part.1.mp: "
    [ -s runs/t/expert.0.tar ]
    [ ! -e runs/t/expert.1.tar ]
    [ -s runs/t/expert.2.tar ]
    run -1 mf_make -q
    cp -a kept runs/t/parts/part.1.mp
    mf_make > log 2>&1
    assert_equal "$(stages log)" "assemble calibrate eval train-expert.1 "
    sha256sum --check --quiet sums
}

@test "a tool that is killed is not taken for an answer: the partitioning grows as if nobody disturbed it" {
    local tool
    export WORDS=$PWD/words
    /usr/bin/python3 "$MF_ROOT/tests/words.py" words 44
    cp -a runs before
    mf_make > log 2>&1
    sha256sum runs/t/parts/part* runs/t/model.safetensors > sums
    rm -r runs
    mv before runs
    mkdir path
    for tool in grep cmp; do
        printf '#!/bin/sh\nkill -KILL $$\n' > path/$tool
        chmod +x path/$tool
        PATH=$PWD/path:$PATH run -2 mf_make
        assert_output --partial "parts/stamp"
        rm path/$tool
    done
    mf_make > log 2>&1
    sha256sum --check --quiet sums
}
