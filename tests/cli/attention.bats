# Experts with attention of their own (expert.train=ffn+qo): what a bundle holds, what is assembled of it, how it is measured,
# and what is refused.
load ../helper

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    make_tokens
    sed 's/^model:/model:\n  arch: llama\n  n_kv_heads: 1\n  head_dim: 12/' "$TINY" > llama.yaml
    mf-train-shared --quiet --config llama.yaml -v val.mf -o llama.tar train.mf
    for e in 0 1 2; do
        expert $e -o ffn.$e.tar
        expert $e --set expert.train=ffn+qo -o qo.$e.tar
    done
    expert 1 --set expert.train=ffn+qo --set expert.rank=4 --set expert.head=3 -o low.1.tar
}

setup() { link_made; }

expert() { # PARTITION OPTION...
    mf-train-expert --quiet --config llama.yaml --set train_expert.lr=0.01 -s llama.tar -v val.labelled.mf -p "$1" "${@:2}" "parts/part.$1.mp"
}

first() { # BUNDLE FILTER
    mf-cat "$1" | head -n 1 | jq "$2"
}

assemble() { # OPTION... BUNDLE...
    mf-assemble --quiet --config llama.yaml "$@"
}

@test "a bundle holds queries and outputs beside the FFN, and says so" {
    tar tf ffn.0.tar | sort > without
    tar tf qo.0.tar | sort | comm -13 without - > names
    diff names <(for i in 0 1; do printf "model.layers.$i.self_attn.%s_proj.weight.f32\n" o q; done)
    first qo.0.tar .attention | grep -qx '"qo"'
    first ffn.0.tar 'has("attention")' | grep -qx false
    first qo.0.tar .training.settings.expert.train | grep -qx '"ffn+qo"'
    # they begin as the backbone's, and learn
    near "$(first ffn.0.tar .training.first_validation_loss)" "$(first qo.0.tar .training.first_validation_loss)"
    mkdir shared own
    tar xf llama.tar -C shared
    tar xf qo.0.tar -C own
    for name in $(cat names); do refute cmp -s "shared/$name" "own/$name"; done
    expert 0 --set expert.train=ffn+qo --set train_expert.steps=1 --set train_expert.warmup=0 --set train_expert.lr=0 \
        --set train_expert.min_lr=0 -o begun.tar
    tar xf begun.tar -C own
    for name in $(cat names); do cmp "shared/$name" "own/$name"; done
}

@test "one expert in a model gives what it gives beside the backbone" {
    for x in qo.0 qo.1 low.1; do
        assemble --set model.top_k=1 -o one.safetensors llama.tar $x.tar
        near "$(loss one.safetensors)" "$(loss llama.tar --expert $x.tar)"
    done
}

@test "a model of experts with and without is measured alike by any batch, thread and memory; text comes out" {
    for k in 1 2 4; do
        assemble --set model.top_k=$k --set model.n_experts=4 --set assemble.anchor=true -o model.safetensors llama.tar qo.0.tar low.1.tar ffn.2.tar
        whole=$(loss model.safetensors)
        for options in "--batch 1" "--batch 9" "--max-memory 23M" "--threads 1"; do
            # shellcheck disable=SC2086
            near "$whole" "$(loss model.safetensors $options)"
        done
    done
    mf-cat model.safetensors | jq -r 'select(.name) | .name' > names
    assert_equal "$(grep -c 'self_attn.experts.[01].[qo]_proj.weight' names)" 8
    assert_equal "$(grep -c 'self_attn.experts' names)" 8
    ranks=$(mf-cat model.safetensors | head -n 1 | jq -c '.experts | fromjson | map(.attention)')
    assert_equal "$ranks" '["qo","qo",null,null]'
    mf-eval generate --quiet -m model.safetensors -t tokenizer.json --temperature 0 -n 40 -p "in" > text
    [ "$(wc -c < text)" -gt 10 ]
    # the same bytes by one thread, and from pipes
    same=(--set model.top_k=4 --set model.n_experts=4 --set assemble.anchor=true)
    assemble "${same[@]}" --threads 1 llama.tar qo.0.tar low.1.tar ffn.2.tar | cmp - model.safetensors
    assemble "${same[@]}" <(cat llama.tar) <(cat qo.0.tar) <(cat low.1.tar) <(cat ffn.2.tar) > piped
    assert_equal "$(tail -c 100000 piped | md5sum)" "$(tail -c 100000 model.safetensors | md5sum)"
}

@test "the router is calibrated beside them; gates cannot be trained through them" {
    assemble -o model.safetensors llama.tar qo.0.tar qo.1.tar qo.2.tar
    mf-calibrate --quiet --config llama.yaml -m model.safetensors -o calibrated.safetensors val.labelled.mf
    before=$(mf-eval perplexity --quiet --json -m model.safetensors val.labelled.mf | jq .loss)
    after=$(mf-eval perplexity --quiet --json -m calibrated.safetensors val.labelled.mf | jq .loss)
    awk "BEGIN { exit !($after <= $before + 1e-6) }"
    assert_equal "$(mf-cat calibrated.safetensors | grep -c self_attn.experts)" 12
    run mf-calibrate --quiet --config llama.yaml --set calibrate.router=train -m model.safetensors -o no.safetensors val.labelled.mf
    assert_failure 65
    assert_output "mf-calibrate: model.safetensors: its experts have attention of their own, through which no gates can be trained (calibrate.router=best tries others)"
    [ ! -e no.safetensors ]
}

@test "one expert is a dense model for other programs; a mixture is refused" {
    for x in qo.0 low.1; do
        mf-export hf --quiet -m llama.tar -e $x.tar -t tokenizer.json -o hf.$x
        mf-import --quiet hf.$x -o again.tar -t again.json
        theirs=$(mf-tokenize encode --quiet -t again.json test.docs | mf-eval perplexity --quiet --json -m again.tar | jq .loss)
        near "$theirs" "$(loss llama.tar --expert $x.tar)"
    done
    assemble -o model.safetensors llama.tar qo.0.tar ffn.1.tar
    run mf-export hf --quiet -m model.safetensors -t tokenizer.json -o no
    assert_failure 65
    assert_line "mf-export hf: model.safetensors: its experts have attention of their own, which other programs do not know: export one (-m SHARED -e EXPERT)"
    [ ! -e no ]
}

@test "what does not fit together is refused in one line, and nothing is written" {
    run mf-config check --config llama.yaml --set router.kind=hidden --set expert.train=ffn+qo
    assert_failure 78
    assert_output "mf-config: --set: expert.train ffn+qo needs router.kind=prefix: a router of hidden states chooses after attention"
    # before anything is trained, where the whole configuration is looked at
    run mf-config check --config "$TINY" --set expert.train=ffn+qo
    assert_failure 78
    assert_output "mf-config: --set: expert.train ffn+qo needs model.arch=llama"
    run mf-config check --config llama.yaml --set expert.train=ffn+qo --set calibrate.router=train
    assert_failure 78
    assert_output "mf-config: --set: expert.train ffn+qo and calibrate.router train: no gates can be trained through attention of experts"
    run make -C "$MF_ROOT" RUNS="$(for_make "$PWD/runs")" NAME=r CONFIG="$TINY" DATA="$PWD/words" SET=expert.train=ffn+qo run
    assert_failure 2
    assert_line --partial "expert.train ffn+qo needs model.arch=llama"
    [ ! -e runs/r/docs ]
    mf-train-shared --quiet --config "$TINY" --set train_shared.steps=1 --set train_shared.warmup=0 -o reference.tar train.mf
    run mf-train-expert --quiet --config llama.yaml --set expert.train=ffn+qo -s reference.tar -o no.tar parts/part.0.mp
    assert_failure 78
    assert_output "mf-train-expert: config: expert.train is ffn+qo, which only family llama has (model.arch)"
    run assemble --set router.kind=hidden -o no.safetensors llama.tar ffn.1.tar qo.0.tar
    assert_failure 78
    assert_output "mf-assemble: qo.0.tar: has attention of its own, which needs router.kind=prefix: a router of hidden states chooses after attention"
    run assemble --average -o no.safetensors llama.tar ffn.1.tar qo.0.tar
    assert_failure 65
    assert_output "mf-assemble: qo.0.tar: has attention of its own, of which no mean is made"
    for value in '"qkvo"' true 0; do
        edit_bundle qo.0.tar bad.tar "m['attention'] = $(sed 's/true/True/' <<< "$value")"
        run assemble --set model.top_k=1 -o no.safetensors llama.tar bad.tar
        assert_failure 65
        assert_output 'mf-assemble: bad.tar: attention must be "qo", of family llama'
    done
    # it has more than its manifest says, in every program
    edit_bundle qo.0.tar bad.tar "del m['attention']"
    said="bad.tar: tensor model.layers.0.self_attn.q_proj.weight is none that its manifest gives an expert"
    for command in "mf-assemble --set model.top_k=1 -o no.safetensors llama.tar bad.tar" "mf-eval perplexity -m llama.tar -e bad.tar test.mf" \
        "mf-export hf -t tokenizer.json -o no.hf -m llama.tar -e bad.tar"; do
        run $command
        assert_failure 65
        assert_line --regexp "^mf-[a-z ]*: $said"
    done
    [ ! -e no.hf ]
    edit_bundle ffn.0.tar bad.tar "m['attention'] = 'qo'" # which it has not
    run assemble --set model.top_k=1 -o no.safetensors llama.tar bad.tar
    assert_failure 65
    [ ! -e no.tar ] && [ ! -e no.safetensors ]
}

@test "a training that is stopped goes on with its attention, by Muon too; the plan is kept" {
    for optimizer in adamw muon; do
        long=(--config llama.yaml --set expert.train=ffn+qo --set train_expert.optimizer=$optimizer --set train_expert.steps=400
            --set train_expert.checkpoint_every=5 -s llama.tar -p 0)
        timeout -s INT 1 mf-train-expert --quiet "${long[@]}" -o stopped.tar parts/part.0.mp || [ $? -eq 124 ] || [ $? -eq 130 ]
        mf-train-expert --quiet "${long[@]}" --resume -o stopped.tar parts/part.0.mp
        mf-train-expert "${long[@]}" -o whole.tar parts/part.0.mp 2> said
        cmp stopped.tar whole.tar
        planned=$(sed -n 's/.*: memory \([0-9]*\) MB.*/\1/p' said) peak=$(sed -n 's/.*peak memory \([0-9]*\) MB.*/\1/p' said)
        case ${MF_BIN:-} in */sanitized/*) ;; *) [ "$peak" -le "$planned" ] ;; esac
    done
}

@test "a run whose experts learn it ends with its report, and says that other programs cannot run the mixture" {
    /usr/bin/python3 "$MF_ROOT/tests/words.py" made 20
    make=(make -C "$MF_ROOT" RUNS="$PWD/runs" NAME=t CONFIG="$PWD/llama.yaml" DATA="$PWD/made" THREADS=2)
    run "${make[@]}" SET=expert.train=ffn+qo run
    assert_success
    assert_output --partial "its experts have attention of their own"
    jq -e '.routing | .attention and (has("heads") | not)' runs/t/report.json
    tr '\n' ' ' < runs/t/report.html |
        grep -q 'Experts have attention of their own: shares count the choice for the FFNs; attention has one of its own before it\.'
    assert_equal "$(grep -c 'heads of their own' runs/t/report.html)" 0
    [ ! -e runs/t/model.gguf ]
    refute_output --partial "No such file"
    mf-cat runs/t/model.safetensors | grep -q self_attn.experts.0.q_proj.weight
    run "${make[@]}" SET=expert.train=ffn+qo run
    assert_success
    refute_output --partial mf-
    run "${make[@]}" run
    assert_success
    [ -s runs/t/model.gguf ]
}

@test "an expert's attention that is in the metadata alone, or in the tensors alone, is refused" {
    assemble -o good.safetensors llama.tar qo.0.tar qo.1.tar ffn.2.tar
    edit_model bad.safetensors 'drop("self_attn.experts.1.")'
    for program in "mf-eval perplexity -m bad.safetensors test.mf" "mf-calibrate -m bad.safetensors -o out val.labelled.mf"; do
        run -65 $program
        assert_equal "${output##*: bad}" ".safetensors: expert 1 has attention of its own in the metadata alone"
    done
    assert [ ! -e out ]
    edit_model bad.safetensors 'del m["experts"][0]["attention"]'
    run -65 mf-eval perplexity -m bad.safetensors test.mf
    [[ $output == *": bad.safetensors: expert 0 has attention of its own in the tensors alone" ]]
    edit_model bad.safetensors 'm["experts"][2]["attention"] = "kv"'
    run -65 mf-eval perplexity -m bad.safetensors test.mf
    [[ $output == *': attention must be "qo", of family llama' ]]
    # another program's model says nothing
    whole=$(loss good.safetensors)
    edit_model other.safetensors 'del m["experts"]'
    assert_equal "$(loss other.safetensors)" "$whole"
}

@test "attention of one expert needs token scores as that of several does" {
    assemble --set model.top_k=1 -o good.safetensors llama.tar qo.0.tar
    edit_model bad.safetensors 'drop("prefix_router."); m["router"] = {"kind": "hidden"}'
    run -65 mf-eval perplexity -m bad.safetensors test.mf
    [[ $output == *": attention of experts needs a router of token scores, which has chosen before it" ]]
}

@test "a tensor that the model does not know is refused, not left out in silence" {
    mf-assemble --quiet --config llama.yaml -o m.safetensors llama.tar qo.?.tar
    for renamed in self_attn.experts.1.q_proj self_attn.experts.1.o_proj block_sparse_moe.experts.1.w1; do
        /usr/bin/python3 - $renamed <<'PY'
import sys
data = open("m.safetensors", "rb").read()
open("bad.safetensors", "wb").write(data.replace(sys.argv[1].encode(), b"z" * len(sys.argv[1])))
PY
        run -65 mf-eval perplexity -m bad.safetensors test.mf
        [[ $output == *": tensor model.layers.0.zz"*" is none of this model's" || $output == *": missing tensor "*".$renamed.weight" ||
            $output == *": expert 1 has attention of its own in the metadata alone" ]]
    done
}
