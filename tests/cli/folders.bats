# A folder of any size gives a model: whole makes on a few files, on many, and on one large one. With MF_LONG set all
# sizes and the shipped configurations, each with few steps.
load ../helper

few_steps() { # STEPS
    local section
    for section in train_shared train_expert; do
        echo "$section.steps=$1 $section.warmup=1 $section.validate_every=$1 $section.checkpoint_every=$1 $section.batch=2 $section.validate_batches=1"
    done
}

make_folder() { # FILES [BYTES]
    /usr/bin/python3 "$MF_ROOT/tests/ordinary.py" "$1" "${2:-$(($1 * 6000 + 14000))}" words
}

# A model and a report with figures, by configuration and number of steps.
assert_model() { # CONFIG STEPS [SETTINGS]
    TINY=$MF_ROOT/configs/$1.yaml mf_make SET="$(few_steps "$2") eval.samples=1 eval.sample_tokens=4 ${3:-}" > log 2>&1 || fail "$(tail -n 20 log)"
    [ -s runs/t/model.safetensors ]
    jq -e '.perplexity | .test > 1 and .dense > 1' runs/t/report.json
}

@test "one file of 20 KB gives a model" {
    make_folder 1
    assert_model tiny 4
}

@test "thirty files give a model, and one with a file more, of the same tokenizer and backbone" {
    make_folder 30
    assert_model tiny 4
    sha256sum runs/t/tokenizer.json runs/t/shared.tar > sums
    /usr/bin/python3 "$MF_ROOT/tests/ordinary.py" 1 3000 more 9
    cp more/000.txt words/new.txt
    assert_model tiny 4
    sha256sum --check --quiet sums
    [ "$(for split in train val test; do mf-cat runs/t/docs/$split.mf; done | grep -c '"id":"new.txt')" -gt 0 ]
    refute grep -q 'split otherwise' log
    # another share for the tests takes some of what the backbone has learned
    assert_model tiny 4 docs.test_fraction=0.4
    grep -q '^make: documents are split otherwise than when the backbone was trained (.*docs.test_fraction.*(make fresh trains it again)$' log
    sha256sum --check --quiet sums
}

# What is told must come before the first step of any training.
assert_told_early() { # LINE...
    local line
    sed "/^mf-train-[a-z]*: memory/,\$d" log | grep "^mf-" > early
    for line in "$@"; do
        [ "$(grep -cF -- "$line" early)" -eq 1 ] || fail "not told, or not once: $line, but: $(cat early)"
    done
}

@test "what later stages will lack is told before any training, with the settings that help" {
    make_folder 3
    mf_make SET="$(few_steps 2) docs.test_fraction=0 model.context=5000 eval.samples=0" > log 2>&1 || fail "$(tail -n 20 log)"
    assert_told_early "mf-docs: no document for test, so the report will have no figures (docs.test_fraction, " \
        "mf-partition: less than one window of 5000 tokens in partition 1 ("
    [ -s runs/t/model.safetensors ]
    # another context alone divides nothing anew, and says what there is to say
    sha256sum runs/t/parts/*.mp > sums
    ls -i --full-time runs/t/parts/part.*.mp > files
    mf_make SET="$(few_steps 2) docs.test_fraction=0 model.context=16384 eval.samples=0" > log 2>&1 || fail "$(tail -n 20 log)"
    assert_told_early "less than one window of 16384 tokens in partitions 0, 1, 2 (a smaller model.n_experts or model.context helps"
    sha256sum --check --quiet sums
    ls -i --full-time runs/t/parts/part.*.mp | diff files -
    run mf_make SET="$(few_steps 2) docs.val_fraction=0"
    assert_failure
    echo "$output" > log
    assert_told_early "mf-docs: no document for val, so nothing can be validated or calibrated (docs.val_fraction, " \
        "val.mf has no document: nothing to validate or calibrate on" \
        "(a larger docs.val_fraction or docs.min_targets helps)"
}

# Calibration and report take a sample, since what is tested is that each stage finds what it needs.
assert_sizes() { # CONFIG FILES|large...
    local config=$1 files bytes
    [ "${MF_LONG:-}" ] || skip "minutes: set MF_LONG"
    for files in "${@:2}"; do
        rm -rf words runs
        # the large configuration takes minutes for a text of megabytes: it gets one of them
        bytes=
        [ "$config/$files" != default/300 ] || bytes=300000
        if [ "$files" = large ]; then make_folder 1 2000000; else make_folder "$files" $bytes; fi
        assert_model "$config" 2 'calibrate.max_tokens=2000 eval.max_tokens=1000'
        echo "# $files: $(jq -c '.perplexity | [.test, .dense]' runs/t/report.json)" >&3
    done
}

@test "any number of files, and a file of 2 MB, give a model with the tiny configuration" {
    assert_sizes tiny 1 3 10 30 100 300 large
}

@test "any number of files, and a file of 2 MB, give a model with the demo's configuration" {
    assert_sizes demo 1 3 10 30 100 300 large
}

@test "any number of files, and a file of 2 MB, give a model with the default configuration" {
    assert_sizes default 1 3 10 30 100 300 large
}
