# make BASE=: a base's tokenizer and weights in the place of those trained here.
load ../helper

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
    make_tokens 60
    make_llama
}

@test "make BASE= makes a report of a base's experts, and then nothing; the base is seen by content" {
    few='train_expert.steps=4 train_expert.warmup=1 eval.samples=0'
    mf_make BASE="$PWD/llama.hf" SET="$few" > log 2>&1 || fail "$(tail -n 5 log)"
    refute grep -q 'loss curves' log # the backbone was trained elsewhere
    jq -e .imported runs/t/report.json
    refute grep -q 'make dense' runs/t/report.html
    ran=$(stages log)
    [[ $ran == *import* ]]
    [[ $ran != *train-shared* ]]
    run ! grep -q 'mf-tokenize train' log
    jq -e '.perplexity | .test > 1 and .dense > 1 and (.experts | length == 3) and (has("unigram") | not)' runs/t/report.json
    jq -e '[.stages[] | select(.stage == "base")] | length == 1' runs/t/report.json
    mf-cat --provenance runs/t/model.safetensors | grep -F 'backbone (imported: LlamaForCausalLM)'
    [ -s runs/t/model.gguf ]
    mf_make BASE="$PWD/llama.hf" SET="$few" > again 2>&1
    assert_equal "$(stages again)" ""
    # touched, it is imported and nothing else; other numbers train other experts
    touch llama.hf/config.json
    mf_make BASE="$PWD/llama.hf" SET="$few" > again 2>&1
    assert_equal "$(stages again)" "import "
    sed -i 's/"rms_norm_eps": [^,]*,/"rms_norm_eps": 0.001,/' llama.hf/config.json
    GOAL=$PWD/runs/t/expert.0.tar mf_make BASE="$PWD/llama.hf" SET="$few" > again 2>&1
    assert_equal "$(stages again)" "import train-expert.0 "
    # without one all is trained here again
    GOAL=$PWD/runs/t/tokenizer.json mf_make SET="$few" > again 2>&1
    grep -q 'mf-tokenize train' again
    cmp runs/t/tokenizer.json tokenizer.json
    [ ! -e runs/t/base ]
}

@test "a launcher is told the memory of an expert on the base, and not of the configuration's model" {
    mf-train-shared --quiet --config "$TINY" --set model.arch=llama --set model.d_model=256 --set model.d_ff=1024 --set train_shared.steps=1 \
        --set train_shared.warmup=0 -o wide.tar train.mf
    mf-export hf --quiet --type bf16 -m wide.tar -t tokenizer.json -o wide.hf
    printf '#!/bin/bash\necho "$1 $2" >> "%s/launched"\nshift 2\nexec "$@"\n' "$PWD" > launcher
    chmod +x launcher
    few='train_expert.steps=1 train_expert.warmup=0 cluster.spare_mb=1000'
    GOAL=$PWD/runs/t/expert.0.tar mf_make BASE="$PWD/wide.hf" LAUNCH="'$PWD/launcher' {stage} {memory_mb}" SET="$few" > log 2>&1 || fail "$(cat log)"
    planned=$(mf-config memory train-expert --config "$TINY" --threads 1 -s runs/t/shared.tar)
    [ "$planned" -gt $(($(mf-config memory train-expert --config "$TINY" --threads 1) + 5)) ]
    grep -qx "expert.0 $((1000 + planned))" launched
}

@test "a base that is not there or is refused stops make with its line" {
    GOAL=$PWD/runs/t/shared.tar run mf_make BASE="$PWD/nothing"
    assert_failure
    assert_output --partial "make: no base at $PWD/nothing (BASE= is a Hugging Face folder or a GGUF file)"
    sed -i 's/"silu"/"gelu"/' llama.hf/config.json
    GOAL=$PWD/runs/t/shared.tar run mf_make BASE="$PWD/llama.hf"
    assert_failure
    assert_output --partial "has the activation 'gelu' (hidden_act), not silu"
    [ ! -e runs/t/shared.tar ]
}
