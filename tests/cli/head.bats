# Experts with heads of their own: what a bundle holds, what is assembled of it, how it is measured, and what is refused.
load ../helper

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    make_tokens
    sed 's/^model:/model:\n  arch: llama\n  n_kv_heads: 1\n  head_dim: 12/' "$TINY" > llama.yaml
    cp "$TINY" reference.yaml
    local arch e head
    for arch in llama reference; do
        mf-train-shared --quiet --config $arch.yaml -v val.mf -o $arch.tar train.mf
        for head in none 3 full; do
            for e in 0 1 2; do expert $arch $e --set expert.head=$head -o $arch.$head.$e.tar; done
        done
        expert $arch 0 --set expert.head=5 --set expert.rank=4 -o $arch.both.tar
    done
}

setup() { link_made; }

expert() { # FAMILY PARTITION OPTION...
    mf-train-expert --quiet --config "$1.yaml" --set train_expert.lr=0.01 -s "$1.tar" -v val.labelled.mf -p "$2" "${@:3}" "parts/part.$2.mp"
}

first() { # BUNDLE FILTER
    mf-cat "$1" | head -n 1 | jq "$2"
}

@test "a bundle holds a whole head or its factors, and says the rank" {
    for arch in llama reference; do
        d_model=$(first $arch.tar .config.d_model)
        tar tf $arch.none.0.tar | sort > without
        for head in 3 full; do
            tar tf $arch.$head.0.tar | sort | comm -13 without - > names
            if [ $head = 3 ]; then
                diff names <(printf 'lm_head.lora_%s.weight.f32\n' A B)
                first $arch.3.0.tar .head | grep -qx 3
            else
                diff names <(echo lm_head.weight.f32)
                first $arch.full.0.tar .head | grep -qx "$d_model"
            fi
        done
    done
    first llama.none.0.tar 'has("head")' | grep -qx false
    first llama.full.0.tar .training.settings.expert.head | grep -qx '"full"'
    first llama.3.0.tar .training.settings.expert.head | grep -qx 3
}

@test "a head learns what the FFN alone cannot: the loss is lower, and the first one the backbone's" {
    for arch in llama reference; do
        alone=$(first $arch.none.0.tar .training.validation_loss)
        dense=$(first $arch.none.0.tar .training.first_validation_loss)
        for head in 3 full; do
            near "$dense" "$(first $arch.$head.0.tar .training.first_validation_loss)"
            first $arch.$head.0.tar ".training.validation_loss < $alone" | grep -qx true
        done
    done
}

@test "one expert in a model gives what it gives beside the backbone" {
    for arch in llama reference; do
        for x in 3.0 full.1 both; do
            mf-assemble --quiet --config $arch.yaml --set model.top_k=1 -o one.safetensors $arch.tar $arch.$x.tar
            near "$(loss one.safetensors)" "$(loss $arch.tar --expert $arch.$x.tar)"
        done
    done
}

mixed() { # FAMILY OPTION...
    mf-assemble --quiet --config "$1.yaml" "${@:2}" "$1.tar" "$1.full.0.tar" "$1.both.tar" "$1.none.2.tar"
}

@test "a model of experts with other heads, or none, is measured alike by any batch, thread and memory; text comes out" {
    for arch in llama reference; do
        mixed $arch -o model.safetensors
        ranks=$(/usr/bin/python3 -c 'import json, struct
data = open("model.safetensors", "rb").read()
meta = json.loads(data[8:8 + struct.unpack("<Q", data[:8])[0]])["__metadata__"]
print(*(expert.get("head") for expert in json.loads(meta["experts"])))')
        assert_equal "$ranks" "$(first $arch.tar .config.d_model) 5 None"
        whole=$(loss model.safetensors)
        for options in "--batch 1" "--batch 9" "--max-memory 23M" "--threads 1"; do
            # shellcheck disable=SC2086
            near "$whole" "$(loss model.safetensors $options)"
        done
        mf-eval generate --quiet -m model.safetensors -t tokenizer.json --temperature 0 -n 20 -p "in" > text
        [ "$(wc -c < text)" -gt 10 ]
        # the same bytes by one thread, and from pipes
        mixed $arch --threads 1 | cmp - model.safetensors
        mf-assemble --quiet --config $arch.yaml <(cat $arch.tar) <(cat $arch.full.0.tar) <(cat $arch.both.tar) <(cat $arch.none.2.tar) > piped
        /usr/bin/python3 - << 'END'
for path in ("piped", "model.safetensors"):
    data = open(path, "rb").read()
    size = int.from_bytes(data[:8], "little")
    tensors = data[8 + size:]
    if path == "piped":
        piped = tensors
assert piped == tensors
END
    done
}

@test "heads can be left out: the model is that of the FFNs alone" {
    mf-assemble --quiet --config llama.yaml --set assemble.heads=false -o without.safetensors llama.tar llama.full.{0,1,2}.tar
    mf-cat without.safetensors > list
    refute grep -q lm_head list
    mf-assemble --quiet --config llama.yaml -o with.safetensors llama.tar llama.full.{0,1,2}.tar
    without=$(loss without.safetensors) with=$(loss with.safetensors)
    awk "BEGIN { exit !($with < $without) }"
    run mf-assemble --quiet --average -o no.safetensors llama.tar llama.full.{0,1,2}.tar
    assert_failure 65
    assert_output --partial "has a head of its own"
    [ ! -e no.safetensors ]
    mf-assemble --quiet --average --set assemble.heads=false -o mean.safetensors llama.tar llama.full.{0,1,2}.tar
}

@test "the router is calibrated with the heads, by steps too" {
    mixed llama --set router.kind=hidden -o model.safetensors
    mf-calibrate --quiet --config llama.yaml --set calibrate.router=train --set calibrate.steps=4 -m model.safetensors \
        -o calibrated.safetensors val.labelled.mf
    before=$(mf-eval perplexity --quiet --json -m model.safetensors val.labelled.mf | jq .loss)
    after=$(mf-eval perplexity --quiet --json -m calibrated.safetensors val.labelled.mf | jq .loss)
    awk "BEGIN { exit !($after <= $before) }"
    [ "$(mf-cat calibrated.safetensors | grep -c lm_head.experts)" -eq "$(mf-cat model.safetensors | grep -c lm_head.experts)" ]
}

@test "one expert with its head is a dense model with a head of its own for other programs; a mixture is refused" {
    for x in full.0 3.1 both; do
        mf-export hf --quiet -m llama.tar -e llama.$x.tar -t tokenizer.json -o hf.$x
        jq -e '.tie_word_embeddings == false' hf.$x/config.json
        mf-import --quiet hf.$x -o again.tar -t again.json
        theirs=$(mf-tokenize encode --quiet -t again.json test.docs | mf-eval perplexity --quiet --json -m again.tar | jq .loss)
        near "$theirs" "$(loss llama.tar --expert llama.$x.tar)"
    done
    mixed llama -o model.safetensors
    run mf-export hf --quiet -m model.safetensors -t tokenizer.json -o no
    assert_failure 65
    assert_output --partial "heads of their own"
    [ ! -e no ]
}

@test "a head that cannot be is refused in one line, and nothing is written" {
    d_model=$(first llama.tar .config.d_model)
    for value in "$d_model" 60000; do
        run expert llama 0 --set expert.head=$value -o no.tar
        assert_failure 78
        assert_output "mf-train-expert: config: expert.head is $value, must be below d_model $d_model, or full"
    done
    run expert llama 0 --set expert.head=whole -o no.tar
    assert_failure 78
    assert_output --partial "must be a whole number, full or none"
    [ ! -e no.tar ]
    for head in 0 -3 "$((d_model + 1))" '"full"' 2; do
        edit_bundle llama.3.0.tar bad.tar "m['head'] = $head"
        run mf-assemble --quiet --config llama.yaml --set model.top_k=1 -o no.safetensors llama.tar bad.tar
        assert_failure 65
        assert_equal "$(wc -l <<< "$output")" 1
    done
    [ ! -e no.safetensors ]
}

@test "0 is none, and a training that is stopped goes on with its head" {
    expert llama 0 --set expert.head=0 -o zero.tar
    cmp zero.tar llama.none.0.tar
    timeout -s INT 1 mf-train-expert --quiet --config llama.yaml --set expert.head=full --set train_expert.steps=400 \
        --set train_expert.checkpoint_every=5 -s llama.tar -p 0 -o stopped.tar parts/part.0.mp || [ $? -eq 124 ] || [ $? -eq 130 ]
    long=(--quiet --config llama.yaml --set expert.head=full --set train_expert.steps=400 --set train_expert.checkpoint_every=5 -s llama.tar -p 0)
    mf-train-expert "${long[@]}" --resume -o stopped.tar parts/part.0.mp
    mf-train-expert "${long[@]}" -o whole.tar parts/part.0.mp
    cmp stopped.tar whole.tar
}

@test "a run with heads ends with its report, and says that other programs cannot run the mixture" {
    /usr/bin/python3 "$MF_ROOT/tests/words.py" made 20
    make=(make -C "$MF_ROOT" RUNS="$PWD/runs" NAME=t CONFIG="$PWD/llama.yaml" DATA="$PWD/made" THREADS=2)
    run "${make[@]}" SET=expert.head=full run
    assert_success
    assert_output --partial "its experts have heads of their own"
    jq -e '.routing | .heads and (has("attention") | not)' runs/t/report.json
    grep -q 'Experts have heads of their own\.' runs/t/report.html
    assert_equal "$(grep -c 'attention of their own' runs/t/report.html)" 0
    [ ! -e runs/t/model.gguf ]
    refute_output --partial "No such file"
    refute_output --partial "ignored"
    # the report's model is the one with heads
    mf-cat runs/t/model.safetensors | grep -q lm_head.experts.0.weight
    mf-export gguf --quiet -m runs/t/shared.tar -e runs/t/expert.0.tar -t runs/t/tokenizer.json -o expert.gguf
    mf-cat expert.gguf | grep -q '"output.weight"'
    # it is said once, and a model without them has both files
    run "${make[@]}" SET=expert.head=full run
    assert_success
    refute_output --partial mf-
    run "${make[@]}" SET="expert.head=full assemble.heads=false" run
    assert_success
    [ -s runs/t/model.gguf ]
    [ -s runs/t/hf/config.json ]
    run "${make[@]}" SET=expert.head=full run
    assert_success
    [ ! -e runs/t/model.gguf ]
    [ ! -e runs/t/hf ]
}

@test "an expert's head that is in the metadata alone, or in the tensors alone, is refused" {
    mf-assemble --quiet --config llama.yaml -o good.safetensors llama.tar llama.3.0.tar llama.full.1.tar llama.none.2.tar
    declare -A lies=(
        ['drop("lm_head.experts.0.")']='expert 0 has a head of rank 3 in the metadata, and 0 in the tensors (0: none)'
        ['drop("lm_head.experts.1.")']="expert 1 has a head of rank $(first llama.tar .config.d_model) in the metadata, and 0 in the tensors (0: none)"
        ['del m["experts"][0]["head"]']='expert 0 has a head of rank 0 in the metadata, and 3 in the tensors (0: none)'
        ['m["experts"][2]["head"] = 2']='expert 2 has a head of rank 2 in the metadata, and 0 in the tensors (0: none)'
        ['del m["experts"][0]']='metadata experts: 2 for 3 experts'
    )
    for lie in "${!lies[@]}"; do
        edit_model bad.safetensors "$lie"
        run -65 mf-eval perplexity -m bad.safetensors test.mf
        assert_equal "$output" "mf-eval perplexity: bad.safetensors: ${lies[$lie]}"
    done
}
