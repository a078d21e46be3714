# What mf-export hf writes, read strictly by a PyTorch model that knows nothing but config.json and plain tensors, against
# mf-eval logits of the model itself.
load ../helper

oracle() { # SCRIPT ARGUMENT...
    /usr/bin/python3 "$MF_ROOT/tests/oracle/$1.py" "${@:2}"
}

setup_file() {
    cd "$BATS_FILE_TMPDIR" || return 1
    printf '{"id": "a", "text": "as it was in the beginning, is now and ever shall be"}\n' | mf-docs -o a.docs
    mf-tokenize train --quiet --set tokenizer.vocab_size=300 -o tokenizer.json a.docs 2> /dev/null
}

setup() {
    link_made
}

random() { # KIND MODEL OPTION...
    oracle random_model "$1" -o "$2" --V "$(jq '.model.vocab | length' tokenizer.json)" \
        --tokenizer "$(sha256sum tokenizer.json | cut -d' ' -f1)" "${@:3}"
}

# The largest difference of two files of float32, and the largest number.
difference() {
    /usr/bin/python3 -c 'import sys, array
a, b = array.array("f"), array.array("f")
for x, path in ((a, sys.argv[1]), (b, sys.argv[2])):
    x.frombytes(open(path, "rb").read())
assert len(a) == len(b) > 0, (len(a), len(b))
print(max(abs(x - y) for x, y in zip(a, b)), max(map(abs, b)))' "$1" "$2"
}

# Exports m.safetensors and compares all logits of documents up to the context.
agrees() { # CONTEXT
    needs_torch
    random tokens t.mf a="$(($1 + 1))" b=2 c="$(($1 / 2))"
    mf-export hf --quiet -m m.safetensors -t tokenizer.json -o hf
    mf-eval logits -m m.safetensors -o ours.f32 t.mf
    oracle llama hf t.mf theirs.f32 > /dev/null
    run difference ours.f32 theirs.f32
    assert_success
    echo "$output"
    awk "BEGIN { split(\"$output\", d, \" \"); exit !(d[1] < 1e-4 && d[2] > 1) }"
}

@test "dense: tied, one key head, wide heads" {
    random llama m.safetensors --E 1 --top-k 1 --D 24 --H 4 --K 1 --head-dim 10 --S 48
    agrees 48
}

@test "dense: a head of its own, stretched positions" {
    random llama m.safetensors --E 1 --top-k 1 --H 2 --K 2 --has head --rope-scaling 4 1 4 32 --S 64
    agrees 64
}

@test "dense with biases of queries, keys and values; with norms of queries and keys" {
    random llama m.safetensors --E 1 --top-k 1 --H 4 --K 2 --has bias --S 24
    agrees 24
    random llama m.safetensors --E 1 --top-k 1 --H 4 --K 2 --has qk-norm --S 24
    agrees 24
}

# Changes the router in a model's metadata by a statement of Python on `r`.
edit() { # MODEL STATEMENT
    /usr/bin/python3 - "$@" <<'END'
import json, struct, sys
with open(sys.argv[1], "rb") as file:
    header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    data = file.read()
r = json.loads(header["__metadata__"]["router"])
exec(sys.argv[2])
header["__metadata__"]["router"] = json.dumps(r)
text = json.dumps(header).encode()
with open(sys.argv[1], "wb") as file:
    file.write(struct.pack("<Q", len(text)) + text + data)
END
}

# Agrees, and no expert is the first choice of nearly all tokens of a layer, so that a wrong choice would show.
routes() { # CONTEXT
    agrees "$1"
    mf-eval routing -m m.safetensors --json t.mf > routing.json
    jq -e '[.layers[].first | max] | max < 0.9' routing.json
}

@test "hidden router: the gate's scale is in its tensor" {
    random llama m.safetensors --E 5 --H 4 --K 2 --head-dim 6 --S 24
    edit m.safetensors 'r["gate_scale"] = 1.7'
    routes 24
}

@test "hidden router beside norms of queries and keys" {
    random llama m.safetensors --E 5 --H 4 --K 2 --head-dim 6 --has qk-norm --S 24
    routes 24
    jq -e '.architectures == ["Qwen3MoeForCausalLM"]' hf/config.json
}

# The priors of the generator would choose alone.
prefix() { # OPTION...
    random llama m.safetensors --kind prefix --token-scores mean --evidence-scale "$TAU" "$@"
    edit m.safetensors 'r["prior"] = [p / 10 for p in r["prior"]]'
}

@test "prefix router in plain weights: two experts, decay, gate" {
    TAU=3000 prefix --E 2 --top-k 1 --H 4 --K 2 --head-dim 10 --S 48 --decay 0.9
    routes 48
}

@test "prefix router in plain weights: five experts, no gate, a head of its own, no decay" {
    TAU=3000 prefix --E 5 --top-k 2 --H 4 --K 4 --D 32 --head-dim 16 --S 64 --decay 1 --gate-scale 0 --has head
    routes 64
}

@test "prefix router in plain weights: 16 experts in two more key heads, biases, stretched positions" {
    TAU=40 prefix --E 16 --top-k 3 --H 6 --K 2 --D 40 --head-dim 12 --S 40 --decay 0.97 --bos-weight 50 --rope-scaling 4 1 4 32
    routes 40
}

@test "prefix router beside norms of queries and keys: no decay, and one" {
    TAU=3000 prefix --E 5 --top-k 2 --H 4 --K 2 --D 32 --head-dim 32 --has qk-norm --S 64 --decay 1
    routes 64
    jq -e '.architectures == ["Qwen3MoeForCausalLM"]' hf/config.json
    TAU=3000 prefix --E 2 --top-k 1 --H 4 --K 1 --D 32 --head-dim 48 --has qk-norm head --S 64 --decay 0.98
    routes 64
}

@test "prefix router beside norms of queries and keys: 40 experts in two more key heads, stretched positions" {
    TAU=40 prefix --E 40 --top-k 3 --H 6 --K 2 --D 40 --head-dim 32 --has qk-norm --S 40 --decay 0.97 --bos-weight 50 --rope-scaling 4 1 4 32
    routes 40
}
