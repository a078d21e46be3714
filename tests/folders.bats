# A folder of any size gives a model: whole makes on a few files, on many, and on one large one. With MF_LONG set all
# sizes and the shipped configurations, each with few steps.
load helper

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
assert_model() { # CONFIG STEPS
    TINY=$MF_ROOT/configs/$1.yaml mf_make SET="$(few_steps "$2") eval.samples=1 eval.sample_tokens=4" > log 2>&1 || fail "$(tail -n 20 log)"
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
}

@test "any number of files, and a file of 2 MB, give a model with every configuration" {
    [ "${MF_LONG:-}" ] || skip "minutes: set MF_LONG"
    local files config
    for files in 1 3 10 30 100 300 large; do
        rm -rf words
        if [ $files = large ]; then make_folder 1 2000000; else make_folder $files; fi
        for config in tiny demo default; do
            rm -rf runs
            echo "$files $config" >&3
            assert_model $config 2
        done
    done
}
