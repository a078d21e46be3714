# Family llama through the stages: against PyTorch, by the names of Hugging Face, and what is refused.
load ../helper

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    make_tokens
    # two query heads on one of keys, together narrower than the rows
    sed 's/^model:/model:\n  arch: llama\n  n_kv_heads: 1\n  head_dim: 12/' "$TINY" > llama.yaml
    TINY=$PWD/llama.yaml make_pieces
    for kind in hidden prefix; do
        mf-assemble --quiet --config llama.yaml --set router.kind=$kind -o $kind.safetensors shared.tar expert.?.tar
    done
}

setup() { link_made; }

# Logits and perplexity of a model on the test documents are those of the twin in PyTorch.
agrees_with_twin() {
    /usr/bin/python3 "$MF_ROOT/tests/oracle/llama.py" "$1" test.mf theirs.f32 > theirs
    mf-eval logits -m "$1" -o ours.f32 test.mf
    /usr/bin/python3 -c 'import array
a, b = array.array("f"), array.array("f")
a.frombytes(open("ours.f32", "rb").read())
b.frombytes(open("theirs.f32", "rb").read())
assert len(a) == len(b) > 0, (len(a), len(b))
assert max(map(abs, b)) > 1
worst = max(abs(x - y) for x, y in zip(a, b))
assert worst < 1e-4, worst'
    mf-eval perplexity -m "$1" --json --quiet test.mf > ours.json
    read -r perplexity tokens < theirs
    assert_equal "$(jq .tokens ours.json)" "$tokens"
    jq -e "(.perplexity / $perplexity - 1) | fabs < 1e-5" ours.json
}

@test "a backbone learns, and its tensors have the names of Hugging Face" {
    run --separate-stderr mf-train-shared --config llama.yaml -v val.mf --metrics m.mf -o s.tar train.mf
    assert_success
    first=$(mf-cat m.mf | jq -s 'map(select(.step))[0].loss')
    last=$(mf-cat m.mf | jq -s 'map(select(.step))[-1].loss')
    awk "BEGIN { exit !($last < 0.85 * $first) }"
    tar tf s.tar | sed -n 's/[.]f32$//p' > names
    assert_equal "$(grep -c '^model[.]layers[.]1[.]' names)" 9
    for name in model.embed_tokens model.norm model.layers.0.{input,post_attention}_layernorm model.layers.1.self_attn.{q,k,v,o}_proj \
        model.layers.0.mlp.{gate,up,down}_proj; do
        grep -qxF "$name.weight" names
    done
    run tar xOf s.tar manifest.json
    assert_output --regexp '"head_dim": 12'
}

@test "a training that was killed and goes on ends with the same bytes" {
    long=(--quiet --config llama.yaml --threads 1 --set train_shared.steps=300 --set train_shared.checkpoint_every=90 -v val.mf)
    mf-train-shared "${long[@]}" -o whole.tar train.mf
    run -137 strike KILL s.tar.ckpt 2 mf-train-shared "${long[@]}" -o s.tar train.mf
    [ ! -e s.tar ]
    mf-train-shared "${long[@]}" --resume -o s.tar train.mf
    cmp whole.tar s.tar
}

@test "an assembled model is Mixtral: logits and perplexity agree with PyTorch" {
    needs_torch
    agrees_with_twin hidden.safetensors
    agrees_with_twin prefix.safetensors
}

@test "a dense model agrees with PyTorch, and so does one whose head is a matrix of its own" {
    needs_torch
    mf-assemble --quiet --config llama.yaml --dense -o dense.safetensors shared.tar
    agrees_with_twin dense.safetensors
    mf-train-shared --quiet --config llama.yaml --set model.tied=false -v val.mf -o shared.own.tar train.mf
    mf-assemble --quiet --config llama.yaml --dense -o own.safetensors shared.own.tar
    agrees_with_twin own.safetensors
}

@test "the shared bundle measures as the dense model that is made of it" {
    mf-assemble --quiet --config llama.yaml --dense -o dense.safetensors shared.tar
    bundle=$(mf-eval perplexity -m shared.tar --json --quiet test.mf | jq .perplexity)
    mf-eval perplexity -m dense.safetensors --json --quiet test.mf | jq -e "(.perplexity / $bundle - 1) | fabs < 1e-6"
}

@test "calibration does not harm, leaves backbone and experts alone, and works with trained routers" {
    for kind in hidden prefix; do
        mf-calibrate --quiet --config llama.yaml --set calibrate.router=train --set calibrate.steps=8 -m $kind.safetensors \
            -o calibrated.safetensors val.labelled.mf
        head -c 4000000 calibrated.safetensors | tail -c +9 > header
        /usr/bin/python3 -c 'import json
text = open("header", "rb").read().decode("latin-1")
c = json.loads(json.JSONDecoder().raw_decode(text)[0]["__metadata__"]["calibration"])
assert c["calibrated"] and c["loss_after"] <= c["loss_before"], c'
        for model in $kind calibrated; do
            /usr/bin/python3 - $model.safetensors > $model.sums << 'END'
import hashlib, json, struct, sys
data = open(sys.argv[1], "rb").read()
size = struct.unpack("<Q", data[:8])[0]
for name, t in json.loads(data[8:8 + size]).items():
    if name != "__metadata__" and "norm" not in name and ".gate." not in name:
        begin, end = t["data_offsets"]
        print(name, hashlib.sha256(data[8 + size + begin:8 + size + end]).hexdigest())
END
        done
        [ "$(wc -l < calibrated.sums)" -gt 20 ]
        cmp $kind.sums calibrated.sums
    done
}

# A field of a model's metadata.
metadata() { # MODEL FIELD
    /usr/bin/python3 -c 'import json, struct, sys
with open(sys.argv[1], "rb") as file:
    (size,) = struct.unpack("<Q", file.read(8))
    print(json.loads(file.read(size))["__metadata__"][sys.argv[2]])' "$@"
}

@test "token scores of the prefix are a mean, whose scales, weight of BOS and prior calibration tries; PyTorch agrees" {
    needs_torch
    assert_equal "$(metadata prefix.safetensors router | jq -c '[.token_scores, .bos_weight]')" '["mean",4096]'
    mf-calibrate --quiet --config llama.yaml --set calibrate.router=keep --set calibrate.norms=false -m prefix.safetensors \
        -o calibrated.safetensors val.labelled.mf
    metadata calibrated.safetensors calibration | jq -r '.changes[].what' > tried
    for what in evidence_scale decay bos_weight prior 'layer 0: layer_scale' 'layer 1: layer_scale'; do
        grep -q "^$what" tried
    done
    run grep 'weights over' tried
    assert_failure
    metadata calibrated.safetensors router | jq -e '.token_scores == "mean" and (.layer_scale | length) == 2 and (.prior | length) == 3'
    agrees_with_twin calibrated.safetensors
}

@test "pieces of another family or another rotation are refused, and so are heads that do not divide" {
    run --separate-stderr mf-train-shared --config llama.yaml --set model.n_kv_heads=3 -o s.tar train.mf
    assert_failure 78
    [[ $stderr == "mf-train-shared: "*": model.n_heads 2 is not a multiple of model.n_kv_heads 3" ]]
    run --separate-stderr mf-train-shared --config llama.yaml --set model.head_dim=5 -o s.tar train.mf
    assert_failure 78
    [[ $stderr == "mf-train-shared: "*": model.head_dim is 5, must be even" ]]
    [ ! -e s.tar ]
    edit_bundle expert.0.tar other.tar 'm["config"].update(rope_theta=500.0)'
    run --separate-stderr mf-assemble --config llama.yaml --set model.top_k=1 -o m.safetensors shared.tar other.tar
    assert_failure 65
    assert_equal "$stderr" "mf-assemble: other.tar: rope_theta is 500.0, not 10000.0 as in shared.tar"
    # an option that one has and the other does not is named whichever of them has it
    edit_bundle expert.0.tar other.tar 'm["config"].update(qk_norm=True)'
    run --separate-stderr mf-assemble --config llama.yaml --set model.top_k=1 -o m.safetensors shared.tar other.tar
    assert_failure 65
    assert_equal "$stderr" "mf-assemble: other.tar: qk_norm is true, not missing as in shared.tar"
    rule='rope_type="llama3", factor=8, low_freq_factor=4, high_freq_factor=1, original_max_position_embeddings=64'
    for what in "$rule" "${rule/llama3/yarn}" "${rule/factor=8/factor=0}"; do
        edit_bundle expert.0.tar other.tar "m['config'].update(rope_scaling=dict($what))"
        run --separate-stderr mf-assemble --config llama.yaml --set model.top_k=1 -o m.safetensors shared.tar other.tar
        assert_failure 65
        echo "$stderr"
    done > said
    assert_equal "$(cat said)" "mf-assemble: other.tar: rope_scaling: low_freq_factor must be below high_freq_factor
mf-assemble: other.tar: rope_scaling: rope_type is 'yarn', must be 'llama3'
mf-assemble: other.tar: rope_scaling: factor must be a number above 0, up to 1e9"
    edit_bundle expert.0.tar other.tar 'm["config"].update(arch="gpt")'
    run --separate-stderr mf-assemble --config llama.yaml --set model.top_k=1 -o m.safetensors shared.tar other.tar
    assert_failure 65
    assert_equal "$stderr" "mf-assemble: other.tar: config: unknown arch 'gpt'"
    [ ! -e m.safetensors ]
}
