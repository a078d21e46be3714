# mf-config: values from files and the command line, messages that name line and nearest key, and slices.
load ../helper

@test "the defaults are what configs/default.yaml spells out" {
    mf-config > builtin
    mf-config --config "$MF_ROOT/configs/default.yaml" > spelled
    cmp builtin spelled
    # and it has every key
    assert_equal "$(grep -c '^ *[a-z0-9_]*: ' "$MF_ROOT/configs/default.yaml")" "$(mf-config keys | grep -c '^[a-z]')"
}

@test "every shipped config is valid, and what is printed reads back the same" {
    for config in "$MF_ROOT"/configs/*.yaml; do
        mf-config --config "$config" > once.yaml
        mf-config --config once.yaml > twice.yaml
        cmp once.yaml twice.yaml
    done
    # characters that YAML folds or refuses when they are not escaped
    mf-config --set eval.prompts=$'a\tb\nc\u0085\u009f\u2028\ufeff\x7f \U1f600 ' > once.yaml
    mf-config --config once.yaml > twice.yaml
    cmp once.yaml twice.yaml
    assert_equal "$(mf-config get eval.prompts --config once.yaml)" $'a\tb\nc\u0085\u009f\u2028\ufeff\x7f \U1f600 '
    mf-config --set eval.prompts='a "b" \c: #|x' --set router.smoothing=0.1 --set train_shared.lr=1.23456789e-5 > once.yaml
    mf-config --config once.yaml > twice.yaml
    cmp once.yaml twice.yaml
}

@test "one value, with --set and --seed on top of the file" {
    printf 'model:\n  n_experts: 7\n  top_k: 3\nseed: 5\n' > c.yaml
    assert_equal "$(mf-config get model.n_experts --config c.yaml)" 7
    assert_equal "$(mf-config get model.n_experts --config c.yaml --set model.n_experts=9)" 9
    assert_equal "$(mf-config get seed --config c.yaml)" 5
    assert_equal "$(mf-config get seed --config c.yaml --seed 8)" 8
    assert_equal "$(mf-config get calibrate.norms)" true
    assert_equal "$(mf-config get router.kind)" prefix
}

@test "defaults follow what they must fit to" {
    assert_equal "$(mf-config get model.top_k --set model.n_experts=1)" 1
    assert_equal "$(mf-config get train_shared.warmup --set train_shared.steps=50)" 5
    run mf-config check --set model.n_experts=1 --set model.top_k=2
    assert_failure 78
}

# A config of the lines given is refused with status 78, and the message holds the first argument.
refuses() {
    local words=$1
    shift
    printf '%s\n' "$@" > bad.yaml
    run mf-config check --config bad.yaml
    assert_failure 78
    [ "${#lines[@]}" -eq 1 ]
    assert_output --partial "$words"
}

@test "what is wrong is named with its line" {
    refuses "bad.yaml:3: unknown key 'model.n_expert', did you mean 'model.n_experts'?" 'model:' '  d_ff: 64' '  n_expert: 4'
    refuses "bad.yaml:2: unknown section 'modle', did you mean 'model'?" 'seed: 1' 'modle:' '  d_ff: 64'
    refuses "bad.yaml:1: unknown key 'd_model', did you mean 'model.d_model'?" 'd_model: 3'
    refuses "bad.yaml:2: model.d_ff is 'lots', must be a whole number" 'model:' '  d_ff: lots'
    refuses "bad.yaml:2: model.dropout is 1.5, must be 0 to 0.95" 'model:' '  dropout: 1.5'
    refuses "bad.yaml:2: model.dropout is 'nan', must be a number" 'model:' '  dropout: nan'
    refuses "bad.yaml:2: router.kind is 'best', must be hidden|prefix" 'router:' '  kind: best'
    refuses "bad.yaml:3: model.d_ff is given twice, first in line 2" 'model:' '  d_ff: 64' '  d_ff: 65'
    refuses "bad.yaml:2: one value is expected here" 'model:' '  d_ff: [1, 2]'
    refuses "bad.yaml:2:" 'model:' '  d_ff: *x'
    refuses "bad.yaml:1:" '- a' '- b'
    refuses "bad.yaml:2:" 'model:' '	d_ff: 64'
    refuses "bad.yaml:2: model.d_model 510 is not a multiple of model.n_heads 8" 'model:' '  d_model: 510'
    refuses "bad.yaml:3: train_shared.min_lr is 0.1, above lr" 'train_shared:' '  lr: 0.01' '  min_lr: 0.1'
    refuses "bad.yaml:4: section model is given twice, first in line 1" 'model:' '  d_ff: 64' 'seed: 1' 'model:' '  context: 3'
    refuses "bad.yaml:3: model.d_model 512 is not a multiple of model.n_heads 7" 'model:' '  d_ff: 64' '  n_heads: 7'
    refuses "leave nothing to train on" 'docs:' '  val_fraction: 0.5' '  test_fraction: 0.5'
}

@test "an empty file and one of comments are all defaults" {
    : > empty.yaml
    printf '# nothing\n' > comment.yaml
    mf-config > builtin
    for config in empty comment; do
        mf-config --config $config.yaml > other
        cmp builtin other
    done
}

@test "the keys in JSON are those for people" {
    mf-config keys --json > keys.json
    jq -r '.[] | "\(.key)\n    \(.meaning)\n    default \(if .default == "" then "\"\"" else .default end)"' keys.json > ours
    mf-config keys | sed 's/^\(    default [^;]*\);.*/\1/' | diff - ours
    jq -e 'all(.[]; ((.stages == []) == (.key | startswith("cluster."))) and (if .choices then .default as $d | .choices | index($d) != null
        elif .kind == "int" or .kind == "real" then .low <= (.default | tonumber) and .high >= (.default | tonumber) else true end))' keys.json
    # an int that has words
    jq -e '.[] | select(.key == "expert.head") | .choices == ["full", "none"] and .low == 0' keys.json
    for value in full none 7; do assert_equal "$(mf-config get --set expert.head=$value expert.head)" $value; done
    run -78 mf-config get --set expert.head=-1 expert.head
    assert_output "mf-config: --set: expert.head is -1, must be 0 to 65536 or full|none"
}

@test "slices change their time only with their values" {
    mf-config slices s --set model.top_k=3
    assert_equal "$(ls s | tr '\n' ' ')" "assemble.yaml calibrate.yaml docs.yaml encode.yaml eval.yaml export.yaml partition.yaml tokenizer.yaml train-expert.yaml train-shared.yaml "
    touch -d '2001-01-01' s/*
    mf-config slices s --set model.top_k=2 --set eval.samples=9
    assert_equal "$(find s -newermt 2002-01-01 -printf '%f\n' | grep yaml | sort | tr '\n' ' ')" "assemble.yaml eval.yaml "
    grep -q 'top_k: 2' s/assemble.yaml
    assert_equal "$(mf-config stage assemble --set model.top_k=2)" "$(cat s/assemble.yaml)"
    # what would be written is named, and nothing is
    run -0 mf-config slices --dry-run s --set model.top_k=2 --set eval.samples=9 --set docs.max_docs=3
    assert_output s/docs.yaml
    refute grep -q 'max_docs: 3' s/docs.yaml
    assert_equal "$(mf-config slices --dry-run new | wc -l)" 10
    [ ! -e new ]
    # a slice is a config of its own
    for slice in s/*.yaml; do mf-config check --config "$slice"; done
}

@test "each way to fail has its status" {
    run mf-config get model.n_expert
    assert_failure 78
    assert_output --partial "did you mean 'model.n_experts'?"
    run mf-config get
    assert_failure 64
    run mf-config prnt
    assert_failure 64
    run mf-config stage assembly
    assert_failure 64
    assert_output --partial "did you mean 'assemble'?"
    run mf-config --config nothing.yaml
    assert_failure 66
    run mf-config --set model.d_ff
    assert_failure 64
    run mf-config --set model.dff=3
    assert_failure 78
    run mf-config slices /proc/nothing
    assert_failure 73
    : > file
    run mf-config slices file
    assert_failure 73
    run mf-config print -o no/folder
    assert_failure 73
    run mf-config --config . check
    assert_failure 64
    run -66 --separate-stderr mf-config check --config .
    assert_equal "$stderr" "mf-config: .: is a folder"
    for command in print keys "get seed" "stage eval"; do
        run -74 --separate-stderr bash -c "mf-config $command > /dev/full"
        assert_equal "$stderr" "mf-config: standard output: No space left on device"
    done
    run mf-config --help
    assert_success
}

@test "operands are counted, and a command behind options is named" {
    run -64 --separate-stderr mf-config --seed 2 get seed
    assert_equal "$stderr" "mf-config: unexpected operand 'get' (a command comes first)"
    run -64 --separate-stderr mf-config get seed model.d_ff
    assert_equal "$stderr" "mf-config: unexpected operand 'model.d_ff' (a command comes first)"
    run -64 --separate-stderr mf-config slices
    [[ "$stderr" == "mf-config: an operand is missing: "* ]]
    run -64 --separate-stderr mf-config --sed 2
    assert_equal "$stderr" "mf-config: unknown option '--sed', did you mean '--seed'?"
}

@test "-o writes what standard output shows, or nothing" {
    mf-config > shown
    mf-config -o written
    cmp shown written
    mf-config keys -o written
    mf-config keys | cmp - written
    run -78 mf-config -o absent --set model.d_ff=0
    [ ! -e absent ]
    run -78 mf-config slices s --set model.d_ff=0
    [ ! -e s ]
    run mf-config slices s
    assert_success
    assert_equal "$(find s -name '.*.tmp')" ""
}

@test "a closed pipe ends it quietly" {
    run -0 --separate-stderr bash -c 'mf-config keys | true'
    assert_equal "$stderr" ""
}

@test "the memory of a training is what the training plans by itself" {
    make_tokens
    local settings=(--config "$TINY" --threads 2 --set model.d_model=256 --set model.d_ff=1024 --set tokenizer.vocab_size="$(
        jq '.model.vocab | length' tokenizer.json)") stage said
    mf-train-shared "${settings[@]}" --set train_shared.steps=10 -v val.mf -o shared.tar train.mf 2> shared.said
    mf-train-expert "${settings[@]}" --set train_expert.steps=10 -s shared.tar -v val.labelled.mf -p 0 -o e.tar parts/part.0.mp 2> expert.said
    for stage in shared expert; do
        said=$(sed -n 's/.*: memory \([0-9]*\) MB.*/\1/p' $stage.said)
        [ "$said" -gt 20 ]
        run mf-config memory train-$stage "${settings[@]}"
        assert_success
        assert_output --regexp "^($said|$((said + 1)))\$"
    done
    # an expert's by the shared bundle, whatever the configuration says of the model
    assert_equal "$(mf-config memory train-expert --config "$TINY" --threads 2 -s shared.tar)" "$(mf-config memory train-expert "${settings[@]}")"
    run mf-config memory train-shared --config "$TINY" -s shared.tar
    assert_equal "$status" 64
    assert_output "mf-config: --shared is for train-expert, not for train-shared"
    run mf-config memory train-expert --config "$TINY" -s e.tar
    assert_equal "$status" 65
    assert_output "mf-config: e.tar: a bundle of kind 'expert', not 'shared'"
    run mf-config memory train-expert --config "$TINY" -s nothing.tar
    assert_equal "$status" 66
    run mf-config memory train-expert --config "$TINY" --set expert.rank=1000 -s shared.tar
    assert_equal "$status" 78
    run mf-config memory eval
    assert_equal "$status" 64
    assert_output "mf-config: memory is planned for train-shared and train-expert, not for 'eval'"
}
