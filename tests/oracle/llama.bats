# Family llama, dense and sparse: small random models with Hugging Face's names against the same in PyTorch.
load ../helper

oracle() { # SCRIPT ARGUMENT...
    /usr/bin/python3 "$MF_ROOT/tests/oracle/$1.py" "${@:2}"
}

stretch=(--rope-scaling 4 1 4 32) # of positions

kernels_agree() { # OPTION of the model...
    needs_torch
    oracle random_model llama -o m.safetensors "$@"
    oracle random_model tokens -o t.mf a=17 b=20 c=2 d=40 e=16
    oracle llama m.safetensors t.mf theirs.f32
    "$MF_ROOT/build/tests/unit/llama_kernels_test" m.safetensors t.mf ours.f32 > log || fail "$(cat log)"
    run difference ours.f32 theirs.f32 relative
    assert_success
    awk "BEGIN { exit !($output < 1e-5) }"
}

@test "the kernels' logits are PyTorch's: dense, one key head" {
    kernels_agree --has dense --H 4 --K 1
}

@test "the kernels' logits are PyTorch's: dense, biases, a head of its own, narrow heads" {
    kernels_agree --has dense bias head --D 24 --H 5 --K 5 --head-dim 2 --rope-theta 500000
}

@test "the kernels' logits are PyTorch's: sparse, norms of queries and keys, wide heads, stretched positions" {
    kernels_agree --has qk-norm --D 18 --H 6 --K 2 --head-dim 10 --E 5 --top-k 2 "${stretch[@]}"
}

@test "the kernels' logits are PyTorch's: sparse, one expert of many, all there can be" {
    kernels_agree --has qk-norm bias head --H 4 --K 2 --E 7 --top-k 1 --L 3 --S 40
}

# The largest difference of two lists of numbers, relative, below 1e-4; there are so many.
same_losses() { # NUMBER LIST LIST
    assert_equal "$(wc -l < "$2")" "$1"
    shift
    paste "$1" "$2" | awk '{ d = ($1 - $2) / $2; if (d < 0) d = -d; if (!(d < 1e-4)) { print NR, $0; bad = 1 } } END { exit bad }'
}

# Logits of what is stored, those of PyTorch, as is the perplexity, of test.mf: MODEL [EXPERT].
stored_agrees() {
    oracle llama "$1" test.mf theirs.f32 "${@:2}" > theirs
    says_the_same "$1" ${2:+-e "$2"}
}

# Steps of the backbone, then of an expert, and what they store: STEPS OPTION...
trains_alike() {
    needs_torch
    make_tokens
    steps=$1
    same=(--config "$TINY" --set model.arch=llama --set model.dropout=0 "${@:2}")
    local stage
    for stage in train_shared train_expert; do
        same+=(--set $stage.optimizer=adamw --set $stage.accumulation=1 --set $stage.batch=8 --set $stage.min_lr=0.0003)
    done
    twin() { OMP_NUM_THREADS=1 /usr/bin/python3 "$MF_ROOT/tests/oracle/train_twin.py" "$@" "$steps" 8 10 0.003 0.0003; }
    long() { echo --set "$1.steps=$steps" --set "$1.warmup=10" --set "$1.lr=0.003"; }
    mf-train-shared --quiet "${same[@]}" --set train_shared.steps=1 --set train_shared.warmup=0 --set train_shared.lr=0 \
        --set train_shared.min_lr=0 -o initial.tar train.mf
    # shellcheck disable=SC2046
    mf-train-shared --quiet "${same[@]}" $(long train_shared) --metrics m.mf -o shared.tar train.mf
    mf-cat m.mf | jq 'select(.step).loss' > ours
    twin shared initial.tar train.mf > theirs
    same_losses "$steps" ours theirs
    stored_agrees shared.tar
    expert_alike shared.tar
}

expert_alike() { # SHARED
    # shellcheck disable=SC2046
    mf-train-expert --quiet "${same[@]}" $(long train_expert) -s "$1" --metrics e.mf -o e.tar parts/part.1.mp
    mf-cat e.mf | jq 'select(.step).loss' > ours
    twin expert "$1" parts/part.1.mp > theirs
    same_losses "$steps" ours theirs
    stored_agrees "$1" e.tar
}

@test "200 steps of backbone and expert are PyTorch's: one key head of 10 columns" {
    trains_alike 200 --set model.n_heads=4 --set model.n_kv_heads=1 --set model.head_dim=10
}

@test "200 steps of backbone and expert are PyTorch's: a head of its own, other positions and epsilon" {
    trains_alike 200 --set model.n_heads=4 --set model.n_kv_heads=2 --set model.tied=false --set model.rope_theta=500 --set model.norm_eps=0.001
}

@test "20 steps of backbone and expert are PyTorch's: norms and biases of queries and keys; of an expert, positions stretched too" {
    trains_alike 20 --set model.n_heads=4 --set model.n_kv_heads=2 --set model.qk_norm=true --set model.qkv_bias=true
    edit_bundle shared.tar stretched.tar 'm["config"].update(rope_scaling={"rope_type": "llama3", "factor": 8, "low_freq_factor": 0.5,
        "high_freq_factor": 2, "original_max_position_embeddings": 24})'
    expert_alike stretched.tar
}

@test "20 steps of an expert of low rank are PyTorch's, and so is what it stores" {
    trains_alike 20 --set model.n_heads=4 --set model.n_kv_heads=2
    low=(--set expert.rank=5 --set expert.alpha=7)
    mf-train-expert --quiet "${same[@]}" "${low[@]}" --set train_expert.steps=1 --set train_expert.warmup=0 --set train_expert.lr=0 \
        --set train_expert.min_lr=0 -s shared.tar -o initial.tar parts/part.1.mp
    # shellcheck disable=SC2046
    mf-train-expert --quiet "${same[@]}" "${low[@]}" $(long train_expert) -s shared.tar --metrics e.mf -o e.tar parts/part.1.mp
    mf-cat e.mf | jq 'select(.step).loss' > ours
    twin initial.tar shared.tar parts/part.1.mp > theirs
    same_losses "$steps" ours theirs
    stored_agrees shared.tar e.tar
}

# A head that learns beside a whole FFN, then beside one of low rank, and what is stored: HEAD
head_alike() {
    local rank begin=(--set train_expert.steps=1 --set train_expert.warmup=0 --set train_expert.lr=0 --set train_expert.min_lr=0)
    for rank in 0 5; do
        head=(--set expert.rank=$rank --set "expert.head=$1")
        mf-train-expert --quiet "${same[@]}" "${head[@]}" "${begin[@]}" -s shared.tar -o initial.tar parts/part.1.mp
        # shellcheck disable=SC2046
        mf-train-expert --quiet "${same[@]}" "${head[@]}" $(long train_expert) -s shared.tar --metrics e.mf -o e.tar parts/part.1.mp
        mf-cat e.mf | jq 'select(.step).loss' > ours
        what=expert
        [ $rank = 0 ] || what=initial.tar
        HEAD=initial.tar twin $what shared.tar parts/part.1.mp > theirs
        same_losses "$steps" ours theirs
        stored_agrees shared.tar e.tar
    done
}

@test "20 steps of an expert with a head of its own are PyTorch's, of a whole one and of low rank" {
    trains_alike 20 --set model.n_heads=4 --set model.n_kv_heads=2
    head_alike 3
    head_alike full
    trains_alike 20 --set model.tied=false
    head_alike 4
}

@test "20 steps of an expert beside the anchor are PyTorch's, of a whole FFN and of low rank" {
    trains_alike 20 --set model.n_heads=4 --set model.n_kv_heads=2
    export ANCHOR=1
    same+=(--set expert.anchor=true)
    # shellcheck disable=SC2046
    mf-train-expert --quiet "${same[@]}" $(long train_expert) -s shared.tar --metrics e.mf -o whole.tar parts/part.1.mp
    cp ours alone
    mf-cat e.mf | jq 'select(.step).loss' > ours
    refute cmp -s alone ours
    twin expert shared.tar parts/part.1.mp > theirs
    same_losses "$steps" ours theirs
    same+=(--set expert.rank=5)
    mf-train-expert --quiet "${same[@]}" --set train_expert.steps=1 --set train_expert.warmup=0 --set train_expert.lr=0 \
        --set train_expert.min_lr=0 -s shared.tar -o initial.tar parts/part.1.mp
    # shellcheck disable=SC2046
    mf-train-expert --quiet "${same[@]}" $(long train_expert) -s shared.tar --metrics e.mf -o e.tar parts/part.1.mp
    mf-cat e.mf | jq 'select(.step).loss' > ours
    twin initial.tar shared.tar parts/part.1.mp > theirs
    same_losses "$steps" ours theirs
    # what is stored is the expert alone
    stored_agrees shared.tar whole.tar
    stored_agrees shared.tar e.tar
}

stored() { # OPTION of the model...
    needs_torch
    oracle random_model llama -o m.safetensors "$@"
    oracle random_model tokens -o test.mf a=17 b=20 c=2 d=40 e=16
    stored_agrees m.safetensors
}

@test "logits and perplexity of a stored model are PyTorch's: all that queries and keys can have, stretched positions" {
    stored --has qk-norm bias head --D 18 --H 6 --K 2 --head-dim 10 --E 5 --S 24 "${stretch[@]}"
}

@test "logits and perplexity of a stored model are PyTorch's: prefix router, with what the gate adds and without" {
    stored --kind prefix --H 4 --E 4 --top-k 3
    stored --kind prefix --H 4 --E 7 --top-k 2 --gate-scale 0 --decay 1 --evidence-scale 0.3 --has qk-norm
}

@test "logits and perplexity of a stored model are PyTorch's: token scores that are a mean, forgotten or not" {
    mean=(--kind prefix --token-scores mean --H 4)
    stored "${mean[@]}" --E 4 --top-k 3 --bos-weight 50 --evidence-scale 40
    stored "${mean[@]}" --E 7 --top-k 2 --gate-scale 0 --decay 1 --evidence-scale 3000 --has qk-norm
    stored "${mean[@]}" --E 5 --top-k 1 --L 3 --bos-weight 7 --evidence-scale 9
}

@test "logits and perplexity of a stored model are PyTorch's: experts with heads of their own, whole, of low rank, none" {
    stored --H 4 --E 4 --D 18 --head-dim 6 --top-k 2 --heads 18 5 0 18
    stored --H 4 --E 3 --top-k 2 --heads 16 16 16 --has head
    stored --kind prefix --token-scores mean --H 4 --E 5 --top-k 3 --heads 1 15 0 3 2
}

@test "logits and perplexity of a stored model are PyTorch's: experts with attention of their own, or the backbone's" {
    stored --kind prefix --token-scores mean --H 4 --E 4 --D 18 --head-dim 6 --top-k 2 --attention 0 2 3 --heads 18 5 0 18
    stored --kind prefix --token-scores mean --H 4 --K 1 --E 3 --top-k 3 --attention 0 1 2 --has bias qk-norm --gate-scale 0
    stored --kind prefix --token-scores mean --H 4 --E 5 --top-k 1 --attention 4 --S 24 "${stretch[@]}" --evidence-scale 3000
}

@test "20 steps of an expert with attention of its own are PyTorch's, beside a whole FFN and one of low rank, and what is stored" {
    trains_alike 20 --set model.n_heads=4 --set model.n_kv_heads=2
    own_attention 0
    own_attention 5
    trains_alike 20 --set model.n_heads=4 --set model.n_kv_heads=1 --set model.qk_norm=true --set model.qkv_bias=true
    own_attention 0
}

# An expert of rank RANK (0: whole) whose queries and outputs learn.
own_attention() { # RANK
    local what=expert
    learn=("${same[@]}" --set expert.train=ffn+qo --set "expert.rank=$1")
    mf-train-expert --quiet "${learn[@]}" --set train_expert.steps=1 --set train_expert.warmup=0 --set train_expert.lr=0 \
        --set train_expert.min_lr=0 -s shared.tar -o initial.tar parts/part.1.mp
    # shellcheck disable=SC2046
    mf-train-expert --quiet "${learn[@]}" $(long train_expert) -s shared.tar --metrics e.mf -o e.tar parts/part.1.mp
    mf-cat e.mf | jq 'select(.step).loss' > ours
    [ "$1" = 0 ] || what=initial.tar
    ATTENTION=1 twin $what shared.tar parts/part.1.mp > theirs
    same_losses "$steps" ours theirs
    stored_agrees shared.tar e.tar
}

@test "norms and biases of queries and keys go through all stages: assembled and calibrated, logits and perplexity are PyTorch's" {
    needs_torch
    make_tokens
    sed 's/^model:/model:\n  arch: llama\n  n_kv_heads: 1\n  qk_norm: true\n  qkv_bias: true/' "$TINY" > llama.yaml
    TINY=$PWD/llama.yaml make_pieces
    mf-assemble --quiet --config llama.yaml -o assembled.safetensors shared.tar expert.?.tar
    mf-calibrate --quiet --config llama.yaml --set calibrate.router=train --set calibrate.steps=4 -m assembled.safetensors \
        -o model.safetensors val.labelled.mf
    stored_agrees model.safetensors
    mf-eval generate -m model.safetensors -t tokenizer.json --temperature 0 -n 20 -p "in" > text
    [ -s text ]
}

@test "PyTorch reads a folder of Hugging Face's, two files in bfloat16, like one file of ours" {
    needs_torch
    oracle random_model llama -o m.safetensors --H 6 --K 3 --D 18 --head-dim 10 --has qk-norm
    oracle random_model tokens -o t.mf a=17 b=20
    mkdir hf
    /usr/bin/python3 - <<'END'
import json, struct
with open("m.safetensors", "rb") as file:
    header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    data = bytearray(file.read())
c = json.loads(header["__metadata__"]["config"])
for i in range(0, len(data), 4):  # what bfloat16 cannot hold
    data[i : i + 2] = b"\0\0"

def write(path, metadata, names, step):
    out, body = {"__metadata__": metadata} if metadata else {}, b""
    for name in names:
        begin, end = header[name]["data_offsets"]
        raw = bytes(data[begin:end])
        if step == 2:
            raw = b"".join(raw[i + 2 : i + 4] for i in range(0, len(raw), 4))
        out[name] = {"dtype": {4: "F32", 2: "BF16"}[step], "shape": header[name]["shape"], "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    text = json.dumps(out).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + body)

names = [name for name in header if name != "__metadata__"]
write("ours.safetensors", header["__metadata__"], names, 4)
write("hf/model-00001-of-00002.safetensors", {}, names[:7], 2)
write("hf/model-00002-of-00002.safetensors", {}, names[7:], 2)
with open("hf/config.json", "w") as file:
    json.dump({"architectures": ["MixtralForCausalLM"], "hidden_size": c["d_model"], "num_attention_heads": c["n_heads"],
               "num_key_value_heads": c["n_kv_heads"], "head_dim": c["head_dim"], "num_hidden_layers": c["n_layers"],
               "max_position_embeddings": c["context"], "rms_norm_eps": c["norm_eps"], "rope_theta": c["rope_theta"],
               "num_experts_per_tok": c["top_k"], "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}, file)
END
    oracle llama ours.safetensors t.mf ours.f32 > ours
    oracle llama hf t.mf theirs.f32 > theirs
    cmp ours theirs
    cmp ours.f32 theirs.f32
}
