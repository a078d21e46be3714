# mf-export hf: what the folder holds, whom it refuses, and that it is whole or not there.
load ../helper

setup_file() {
    cd "$BATS_FILE_TMPDIR" || return 1
    printf '{"id": "a", "text": "as it was in the beginning, is now and ever shall be"}\n' | mf-docs -o a.docs
    mf-tokenize train --quiet --set tokenizer.vocab_size=270 -o tokenizer.json a.docs 2> /dev/null
    random moe.safetensors --E 3
    random dense.safetensors --E 1 --top-k 1 --has head
}

random() { # MODEL OPTION...
    /usr/bin/python3 "$MF_ROOT/tests/oracle/random_model.py" llama -o "$1" --D 24 --H 4 --head-dim 10 \
        --V "$(jq '.model.vocab | length' tokenizer.json)" --tokenizer "$(sha256sum tokenizer.json | cut -d' ' -f1)" "${@:2}"
}

setup() {
    link_made
}

# All tensors of the files given: name, dtype, shape, and the numbers' hash.
tensors() { # FILE...
    /usr/bin/python3 - "$@" <<'END'
import hashlib, json, struct, sys
for path in sys.argv[1:]:
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = file.read()
    header.pop("__metadata__")
    for name, t in header.items():
        begin, end = t["data_offsets"]
        print(name, t["dtype"], t["shape"], hashlib.sha256(data[begin:end]).hexdigest())
END
}

refuses() { # STATUS REASON OPTION...
    run --separate-stderr mf-export hf "${@:3}"
    assert_equal "$status" "$1"
    assert_equal "$stderr" "mf-export hf: $2"
}

@test "a model of experts becomes a Mixtral: its tensors' bytes, its dimensions, its tokens" {
    mf-export hf --quiet -m moe.safetensors -t tokenizer.json -o hf
    assert_equal "$(cd hf && echo *)" \
        "README.md config.json generation_config.json model.safetensors tokenizer.json tokenizer_config.json"
    tensors moe.safetensors | sort > ours
    tensors hf/model.safetensors | sort > theirs
    cmp ours theirs
    assert_equal "$(jq -c '[.architectures[0], .hidden_size, .num_attention_heads, .num_key_value_heads, .head_dim]' hf/config.json)" \
        '["MixtralForCausalLM",24,4,2,10]'
    assert_equal "$(jq -c '[.num_local_experts, .num_experts_per_tok, .tie_word_embeddings, .bos_token_id]' hf/config.json)" \
        '[3,2,true,2]'
    assert_equal "$(jq -c keys hf/config.json)" "$(sed -n '/^```json/,/^```$/p' "$MF_ROOT/formats/hf.md" | sed '1d;$d' | jq -c keys)"
    assert_equal "$(jq -c '[.bos_token, .eos_token, .add_eos_token]' hf/tokenizer_config.json)" '["<bos>","<eos>",false]'
}

@test "one FFN becomes a Llama, with norms a Qwen3, with biases a Qwen2" {
    mf-export hf --quiet -m dense.safetensors -t tokenizer.json -o hf
    assert_equal "$(jq -r '.architectures[0], .tie_word_embeddings' hf/config.json | xargs)" "LlamaForCausalLM false"
    tensors hf/model.safetensors > list
    grep -q '^model.layers.1.mlp.down_proj.weight F32 \[24, 24\] ' list
    run grep -c block_sparse_moe list
    assert_output 0
    local has class
    while read -r has class; do
        random one.safetensors --E 1 --top-k 1 --has "$has"
        mf-export hf --quiet -m one.safetensors -t tokenizer.json -o hf
        assert_equal "$(jq -r '.architectures[0]' hf/config.json)" "$class"
    done <<< $'qk-norm Qwen3ForCausalLM\nbias Qwen2ForCausalLM'
}

@test "shards hold the same tensors, each once, and the index says where" {
    mf-export hf --quiet -m moe.safetensors -t tokenizer.json -o whole
    mf-export hf --quiet -m moe.safetensors -t tokenizer.json -o cut --shard 30K
    local count
    count=$(find cut -name 'model-*.safetensors' | wc -l)
    [ "$count" -gt 2 ]
    [ -e "$(printf 'cut/model-00001-of-%05d.safetensors' "$count")" ]
    tensors whole/model.safetensors > whole.list
    tensors cut/model-*.safetensors > cut.list
    cmp whole.list cut.list
    for file in cut/model-*.safetensors; do
        tensors "$file" | sed "s|^\([^ ]*\) .*|\1 ${file#cut/}|"
    done | sort > there
    jq -r '.weight_map | to_entries[] | "\(.key) \(.value)"' cut/model.safetensors.index.json | sort | cmp - there
}

@test "halves: matrices in the type asked for, vectors and the router in F32" {
    local type
    for type in bf16 f16; do
        mf-export hf --quiet -m moe.safetensors -t tokenizer.json --type $type -o $type
        tensors $type/model.safetensors | awk -v t=${type^^} '
            { want = /norm|gate.weight/ ? "F32" : t } $2 != want { print; bad = 1 } END { exit bad }'
    done
    assert_equal "$(jq -r .torch_dtype bf16/config.json f16/config.json | xargs)" "bfloat16 float16"
}

@test "the tokenizer puts nothing behind a prompt, and is the model's otherwise" {
    mf-export hf --quiet -m moe.safetensors -t tokenizer.json -o hf
    assert_equal "$(mf-tokenize encode -t hf/tokenizer.json --text <<< "as it" | mf-cat | jq -c 'select(.tokens).tokens | .[0], .[-1] == 3')" \
        $'2\nfalse'
    jq -S 'del(.post_processor)' tokenizer.json > ours
    jq -S 'del(.post_processor)' hf/tokenizer.json | cmp - ours
}

@test "the same bytes with one thread and two, and again" {
    local k
    for k in 1 2; do mf-export hf --quiet --threads $k -m moe.safetensors -t tokenizer.json --shard 30K -o hf$k; done
    diff -r hf1 hf2
    mf-export hf --quiet -m moe.safetensors -t tokenizer.json --shard 30K -o hf1
    diff -r hf1 hf2
}

@test "the model card says what report.json says" {
    cat > report.json <<'END'
{"version": 1, "model": "moe.safetensors", "sample": {"tokens": 900, "documents": 7, "of_documents": 9},
 "measures": {"test": {"perplexity": 20.5, "error": 0.5, "bits_per_byte": 1.25},
  "dense": {"perplexity": 25, "behind": 0.2, "behind_error": 0.01}, "dense_total": {"perplexity": 19, "error": 0.4}, "experts": [{"perplexity": 31}]}}
END
    mf-export hf --quiet -m moe.safetensors -t tokenizer.json --report report.json -o hf
    grep -Fq '7 of 9 documents, 900 tokens' hf/README.md
    grep -Fxq '| this model | 20.50 ± 0.50 | 1.250 |' hf/README.md
    grep -Fxq '| expert 0 alone | 31.00 | |' hf/README.md
    grep -Fxq '| one dense model trained on the same total tokens | 19.00 ± 0.40 | |' hf/README.md
    grep -Fxq 'Verdict: its perplexity is 18.1% below that of the dense backbone alone.' hf/README.md
    grep -Fq "$(sha256sum tokenizer.json | cut -d' ' -f1)" hf/README.md
    # what nobody compared is not claimed; an expert has its number in the model
    assert_equal "$(grep -c 'no training saw\|imported' hf/README.md)" 0
    grep -q '^Whether a training saw some of them was not checked' hf/README.md
    jq 'del(.sample) | .measures.experts[0].expert = 2' report.json > less.json
    mf-export hf --quiet -m moe.safetensors -t tokenizer.json --report less.json -o hf
    assert_equal "$(grep -c '\bnan\b' hf/README.md)" 0
    grep -Fxq 'On test documents, which are meant to be held out of all training.' hf/README.md
    grep -Fxq '| expert 2 alone | 31.00 | |' hf/README.md
    /usr/bin/python3 - << 'END'
import json, struct
data = open("moe.safetensors", "rb").read()
(size,) = struct.unpack("<Q", data[:8])
header = json.loads(data[8:8 + size])
header["__metadata__"]["base"] = json.dumps({"class": "LlamaForCausalLM"})
header = json.dumps(header).encode()
open("based.safetensors", "wb").write(struct.pack("<Q", len(header)) + header + data[8 + size:])
END
    jq '.model = "based.safetensors"' report.json > based.json
    mf-export hf --quiet -m based.safetensors -t tokenizer.json --report based.json -o hf
    grep -Fxq 'component was trained, and what the imported base had seen is not known.' hf/README.md
    grep -Fq '| shared backbone | LlamaForCausalLM | ' hf/README.md
    jq '.measures.dense.behind = 0.01' report.json > level.json
    mf-export hf --quiet -m moe.safetensors -t tokenizer.json --report level.json -o hf
    grep -q '^Verdict: it predicts no better and no worse' hf/README.md
    refuses 65 "report.json: of the model 'moe.safetensors', not of 'dense.safetensors'" \
        -m dense.safetensors -t tokenizer.json --report report.json -o dense
    [ ! -e dense ]
}

@test "wrong use is refused" {
    refuses 64 "which model? (-m FILE)" -t tokenizer.json -o hf
    refuses 64 "which tokenizer? (-t FILE)" -m moe.safetensors -o hf
    refuses 64 "into which folder? (-o DIR)" -m moe.safetensors -t tokenizer.json
    refuses 64 "unexpected operand 'x'" -m moe.safetensors -t tokenizer.json -o hf x
    refuses 64 "moe.safetensors: an expert goes with a shared bundle, not with a model" -m moe.safetensors -e a -t tokenizer.json -o hf
    [ ! -e hf ]
}

@test "models that transformers cannot compute are refused by what it is" {
    /usr/bin/python3 "$MF_ROOT/tests/oracle/random_model.py" model -o reference.safetensors
    refuses 65 "reference.safetensors: a model of family reference, which other programs do not know: train one with model.arch=llama" \
        -m reference.safetensors -t tokenizer.json -o hf
    random biased.safetensors --has bias
    refuses 65 "biased.safetensors: MixtralForCausalLM has no biases of queries: export the dense model, or to GGUF" \
        -m biased.safetensors -t tokenizer.json -o hf
    random all.safetensors --weights all
    refuses 65 "all.safetensors: its router weighs by the softmax over all experts (weights 'all'), other programs by that over the chosen" \
        -m all.safetensors -t tokenizer.json -o hf
    random sum.safetensors --kind prefix
    refuses 65 "sum.safetensors: its router adds up token scores (token_scores 'sum'), which plain tensors cannot: assemble it again, for the mean" \
        -m sum.safetensors -t tokenizer.json -o hf
    [ ! -e hf ]
}

@test "prefix routers that no head can compute are refused by what it is" {
    local mean=(--kind prefix --token-scores mean)
    random m.safetensors "${mean[@]}" --has qk-norm
    run --separate-stderr mf-export hf -m m.safetensors -t tokenizer.json -o hf
    assert_equal "$status" 65
    [[ $stderr == "mf-export hf: m.safetensors: heads of 10 columns with norms of queries and keys (model.qk_norm) cannot follow the prefix router's weights over 16 tokens (bos_weight 4096, decay 0.9: off by 0."*" of the tokens' weight); longer heads do, a shorter model.context, a decay nearer 1 (try calibrate.changes=0), or router.kind=hidden" ]]
    random m.safetensors "${mean[@]}" --has qk-norm --head-dim 6 --decay 1
    run --separate-stderr mf-export hf -m m.safetensors -t tokenizer.json -o hf
    assert_equal "$status" 65
    [[ $stderr == *"longer heads do, a shorter model.context, or router.kind=hidden" ]]
    random m.safetensors "${mean[@]}" --decay 0
    refuses 65 "m.safetensors: the router's decay is 0, must be above 0" -m m.safetensors -t tokenizer.json -o hf
    random m.safetensors "${mean[@]}" --rope-theta 10 --S 300
    run --separate-stderr mf-export hf -m m.safetensors -t tokenizer.json -o hf
    assert_equal "$status" 65
    [[ $stderr == "mf-export hf: m.safetensors: heads of 10 columns and rope_theta 10 cannot follow the prefix router's scores over 300 tokens (off by "*"); longer heads do, a shorter model.context, or router.kind=hidden" ]]
    [ ! -e hf ]
}

@test "a prefix router in plain weights: columns by the 32, one more key head, what chooses experts in F32" {
    random m.safetensors --kind prefix --token-scores mean --E 3
    mf-export hf --quiet -m m.safetensors -t tokenizer.json -o hf --type bf16
    assert_equal "$(jq -c '[.hidden_size, .num_attention_heads, .num_key_value_heads, .torch_dtype]' hf/config.json)" '[64,6,3,"float32"]'
    tensors hf/model.safetensors | awk '
        { want = /norm|gate.weight|embed|layers.0.self_attn/ ? "F32" : "BF16" } $2 != want { print; bad = 1 } END { exit bad }'
    grep -q 'a context holds one text' hf/README.md
}

@test "another tokenizer is refused, and nothing is left" {
    jq . tokenizer.json > other.json
    run --separate-stderr mf-export hf -m moe.safetensors -t other.json -o hf
    assert_equal "$status" 65
    [[ $stderr == "mf-export hf: other.json: tokenizer is "*", not "*" as in moe.safetensors" ]]
    [ ! -e hf ]
    run find . -name '.hf.*'
    assert_output ""
}

@test "a folder of ours is replaced; one that holds anything else is left as it is" {
    mkdir hf
    mf-export hf --quiet -m moe.safetensors -t tokenizer.json -o hf # empty
    mf-export hf --quiet -m dense.safetensors -t tokenizer.json -o hf/ --shard 1K
    mf-export hf --quiet -m moe.safetensors -t tokenizer.json -o fresh
    mf-export hf --quiet -m moe.safetensors -t tokenizer.json -o hf
    diff -r hf fresh
    echo mine > hf/notes.txt
    refuses 73 "hf: holds 'notes.txt', which mf-export did not write" -m moe.safetensors -t tokenizer.json -o hf
    rm hf/notes.txt
    echo '{}' > hf/config.json
    refuses 73 "hf: another program wrote it (its config.json has no mf_export)" -m moe.safetensors -t tokenizer.json -o hf
    diff -r --exclude config.json hf fresh
}

@test "a signal leaves nothing, and what a kill left goes with the next export" {
    mf-export hf --quiet -m moe.safetensors -t tokenizer.json -o fresh
    # a file's sync comes before its name: of the fifth, some files have theirs
    ASAN_OPTIONS=detect_leaks=0 run -143 strace -f -qq -o log -e trace=fsync -e inject=fsync:signal=SIGTERM:when=5 \
        env --default-signal=TERM mf-export hf --quiet -m moe.safetensors -t tokenizer.json -o hf
    run find . -name '*hf'
    assert_output ""
    run find . -name '.hf.*'
    assert_output ""
    mkdir .hf.abcdef.tmp
    echo half > .hf.abcdef.tmp/model.safetensors
    mf-export hf --quiet -m moe.safetensors -t tokenizer.json -o hf
    diff -r hf fresh
    run find . -name '.hf.*'
    assert_output ""
}

@test "memory does not grow with the number of experts" {
    own_memory_only
    /usr/bin/python3 "$MF_ROOT/tests/oracle/random_model.py" llama -o big.safetensors --tile --D 128 --F 512 --L 2 --E 40 \
        --V "$(jq '.model.vocab | length' tokenizer.json)" --tokenizer "$(sha256sum tokenizer.json | cut -d' ' -f1)"
    run peak_mb mf-export hf --quiet -m big.safetensors -t tokenizer.json -o hf
    assert_success
    [ "$output" -lt 32 ] # of 63 MB of experts
}

@test "a folder below one that is not there is refused in one line" {
    run -73 --separate-stderr mf-export hf --quiet -m moe.safetensors -t tokenizer.json -o absent/hf
    assert_equal "$stderr" "mf-export hf: absent/hf: cannot make the folder: No such file or directory"
    [ ! -e absent ]
}
