# mf-export gguf: what the file holds, what is refused, and that it is whole or not there. That llama.cpp computes the same from
# it is in tests/oracle/llama_cpp.bats.
load ../helper

setup_file() {
    cd "$BATS_FILE_TMPDIR" || return 1
    printf '{"id": "a", "text": "as it was in the beginning, is now and ever shall be"}\n' | mf-docs -o a.docs
    mf-tokenize train --quiet --set tokenizer.vocab_size=270 -o tokenizer.json a.docs 2> /dev/null
    random moe.safetensors --E 3
}

random() { # MODEL OPTION...
    random_for tokenizer.json "$@"
}

random_for() { # TOKENIZER MODEL OPTION...
    /usr/bin/python3 "$MF_ROOT/tests/oracle/random_model.py" llama -o "$2" --D 32 --F 96 --H 4 --head-dim 10 \
        --V "$(jq '.model.vocab | length' "$1")" --tokenizer "$(sha256sum "$1" | cut -d' ' -f1)" "${@:3}"
}

setup() {
    link_made
}

export_gguf() { # OPTION...
    mf-export gguf --quiet -m moe.safetensors -t tokenizer.json "$@"
}

refuses() { # STATUS REASON OPTION...
    run --separate-stderr mf-export gguf "${@:3}" -o out.gguf
    assert_equal "$status" "$1"
    assert_equal "$stderr" "mf-export gguf: $2"
    run find . -name '*out.gguf*'
    assert_output ""
}

# Lines REASON:CHANGE of a tokenizer by jq, for which it is refused.
refuses_changed() { # TOKENIZER
    local change reason
    while IFS=: read -r reason change; do
        jq "$change" "$1" > t.json
        random_for t.json m.safetensors --E 1 --top-k 1
        refuses 65 "t.json: llama.cpp cannot tokenize so: $reason" -m m.safetensors -t t.json
    done
}

key() { # FILE KEY
    mf-cat --head 0 "$1" | jq -c ".[\"$2\"]"
}

@test "keys and tensors of a model of experts" {
    export_gguf --name Tale -o out.gguf
    assert_equal "$(mf-cat --head 0 out.gguf | jq -c '[.["general.architecture", "general.name", "general.file_type"]]')" '["llama","Tale",1]'
    assert_equal "$(mf-cat --head 0 out.gguf | jq -c '[.["llama.expert_count", "llama.expert_used_count", "llama.attention.head_count",
        "llama.attention.head_count_kv", "llama.attention.key_length", "llama.rope.dimension_count"]]')" '[3,2,4,2,10,10]'
    assert_equal "$(key out.gguf modularforge.tokenizer_sha256)" "\"$(sha256sum tokenizer.json | cut -d' ' -f1)\""
    run bash -c "mf-cat out.gguf | jq -r 'select(.name) | [.name, .dtype, (.shape | tojson)] | join(\" \")'"
    assert_line -n 0 "token_embd.weight F16 [265,32]"
    assert_line "blk.1.attn_norm.weight F32 [32]"
    assert_line "blk.1.attn_q.weight F16 [40,32]"
    assert_line "blk.1.ffn_gate_inp.weight F32 [3,32]"
    assert_line "blk.1.ffn_down_exps.weight F16 [3,32,96]"
    assert_line "output_norm.weight F32 [32]"
    assert_equal "${#lines[@]}" 22
}

@test "the vocabulary is tokenizer.json's, and merges are in its order" {
    random padded.safetensors --E 1 --top-k 1 --V 300 # more rows than tokens
    jq '.added_tokens += [{id: 270, content: "<tool>", single_word: false, lstrip: false, rstrip: false, normalized: false, special: false}]
        | .model.merges |= map(join(" "))' tokenizer.json > strings.json
    random_for strings.json strings.safetensors --E 1 --top-k 1 --V 271
    export_gguf -o out.gguf
    mf-export gguf --quiet -m padded.safetensors -t tokenizer.json -o padded.gguf
    mf-export gguf --quiet -m strings.safetensors -t strings.json -o strings.gguf
    jq -c '[.model.vocab | to_entries | sort_by(.value)[].key]' tokenizer.json > tokens
    key out.gguf tokenizer.ggml.tokens | cmp - tokens
    jq -c '[.model.merges[] | join(" ")]' tokenizer.json > merges
    for file in out padded strings; do key $file.gguf tokenizer.ggml.merges | cmp - merges; done
    assert_equal "$(key out.gguf tokenizer.ggml.token_type | jq -c '[.[0:5][], (.[4:] | unique[])]')" '[3,3,3,3,1,1]'
    assert_equal "$(key padded.gguf tokenizer.ggml.tokens | jq -c '[length, .[299]]')" '[300,"[UNUSED299]"]'
    assert_equal "$(key padded.gguf tokenizer.ggml.token_type | jq -c '[.[264], .[265]]')" '[1,5]'
    assert_equal "$(key strings.gguf tokenizer.ggml.tokens | jq -c '.[270]')" '"<tool>"'
    assert_equal "$(key strings.gguf tokenizer.ggml.token_type | jq -c '[.[269], .[270]]')" '[5,4]'
    assert_equal "$(mf-cat --head 0 out.gguf | jq -c '[.["tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id",
        "tokenizer.ggml.padding_token_id", "tokenizer.ggml.add_bos_token", "tokenizer.ggml.add_eos_token"]]')" '[2,3,0,true,false]'
}

@test "each type: matrices are in it, vectors and gates in F32, what all starts from and odd rows in F16" {
    local type
    random odd.safetensors --E 3 --F 33
    for type in f32 f16 bf16 q8_0 q4_0; do
        mf-export gguf --quiet -m odd.safetensors -t tokenizer.json --type $type -o $type.gguf
        mf-cat $type.gguf | jq -r 'select(.name) | .name + " " + .dtype' | awk -v type=${type^^} '
            { want = type }
            type ~ /Q/ && /token_embd|blk.0.attn|down_exps|attn_output/ { want = "F16" }
            /norm|gate_inp/ { want = "F32" }
            $2 != want { print; bad = 1 } END { exit bad || NR != 22 }'
    done
    # values stay near: of the file, and of the model
    mf-cat --stats q4_0.gguf | awk '$2 == "Q4_0" { if ($5 < 0.28 || $5 > 0.43) print; n++ } END { if (n < 4) print n }' > strange
    [ ! -s strange ] || fail "$(cat strange)"
}

@test "one FFN, biases, norms of heads, a head of its own, stretched positions: names and architecture" {
    random all.safetensors --E 1 --top-k 1 --has bias head --rope-scaling 4 1 4 32
    mf-export gguf --quiet -m all.safetensors -t tokenizer.json -o out.gguf
    mf-cat out.gguf | jq -r 'select(.name).name' > names
    for name in output.weight rope_freqs.weight blk.0.attn_q.bias blk.1.attn_v.bias blk.1.ffn_up.weight; do
        grep -qx "$name" names || fail "$name is not there"
    done
    [ "$(key out.gguf llama.expert_count)" = null ]
    local experts arch
    while read -r experts arch; do
        random normed.safetensors --E "$experts" --top-k 1 --has qk-norm
        mf-export gguf --quiet -m normed.safetensors -t tokenizer.json -o out.gguf
        assert_equal "$(key out.gguf general.architecture)" "\"$arch\""
        assert_equal "$(key out.gguf "$arch.attention.key_length")" 10
    done <<< $'1 qwen3\n3 qwen3moe'
}

@test "the same bytes with one thread and two, again, through a pipe, and from another place" {
    export_gguf --threads 1 -o out.gguf
    export_gguf --threads 2 | cmp - out.gguf
    mkdir else
    cp moe.safetensors tokenizer.json else
    (cd else && export_gguf --threads 2 -o ../out.gguf && export_gguf -o other.gguf)
    cmp out.gguf else/other.gguf
}

@test "wrong use is refused" {
    cp -L moe.safetensors own.safetensors # an output that is read would be lost
    cp -L tokenizer.json own.json
    sha256sum own.* > sums
    for read in own.safetensors own.json; do
        run -64 mf-export gguf -m own.safetensors -t own.json -o $read
        assert_output "mf-export gguf: $read is read, and cannot be the output"
    done
    sha256sum --check --quiet sums
    refuses 64 "which model? (-m FILE)" -t tokenizer.json
    refuses 64 "which tokenizer? (-t FILE)" -m moe.safetensors
    refuses 64 "unexpected operand 'x'" -m moe.safetensors -t tokenizer.json x
    run -64 --separate-stderr mf-export gguf -m moe.safetensors -t tokenizer.json --type q5_0
    [[ $stderr == *q8_0* ]]
}

@test "what llama.cpp cannot compute is refused by what it is" {
    /usr/bin/python3 "$MF_ROOT/tests/oracle/random_model.py" model -o reference.safetensors
    refuses 65 "reference.safetensors: a model of family reference, which other programs do not know: train one with model.arch=llama" \
        -m reference.safetensors -t tokenizer.json
    random m.safetensors --weights all
    refuses 65 "m.safetensors: its router weighs by the softmax over all experts (weights 'all'), other programs by that over the chosen" \
        -m m.safetensors -t tokenizer.json
    random m.safetensors --has qk-norm bias
    refuses 65 "m.safetensors: llama.cpp has no architecture with norms of queries and keys beside biases of theirs" \
        -m m.safetensors -t tokenizer.json
    random m.safetensors --has qk-norm --rope-scaling 4 1 4 32
    refuses 65 "m.safetensors: llama.cpp has no architecture with norms of queries and keys and rope_scaling of type llama3" \
        -m m.safetensors -t tokenizer.json
}

@test "a tokenizer that llama.cpp would not follow is refused, as is another one" {
    refuses_changed tokenizer.json << 'END'
add_prefix_space:.pre_tokenizer.add_prefix_space = true
use_regex is false:.pre_tokenizer.use_regex = false
its normalizer:.normalizer = {type: "Lowercase"}
its pre_tokenizer:.pre_tokenizer = {type: "Sequence", pretokenizers: [{type: "Digits", individual_digits: true}, .pre_tokenizer]}
how it marks blanks:.pre_tokenizer = null | .decoder = {type: "Fuse"}
an added token with single_word, lstrip or rstrip:.added_tokens[1].special = false | .added_tokens[1].lstrip = true
some bytes have no token:.model.vocab["!!"] = .model.vocab["\u0100"] | del(.model.vocab["\u0100"])
END
    random few.safetensors --V 200
    refuses 65 "tokenizer.json: token 200 is not below 200, the vocabulary of few.safetensors" -m few.safetensors -t tokenizer.json
    jq . tokenizer.json > other.json
    run --separate-stderr mf-export gguf -m moe.safetensors -t other.json -o out.gguf
    assert_equal "$status" 65
    [[ $stderr == "mf-export gguf: other.json: tokenizer is "*", not "*" as in moe.safetensors" ]]
    [ ! -e out.gguf ]
}

# A tokenizer over characters, with bytes as the fallback, that llama.cpp can follow.
characters() {
    /usr/bin/python3 - << 'PY'
import json
mark = "\u2581"
names = ["<unk>", "<s>", "</s>"] + ["<0x%02X>" % b for b in range(256)] + [mark, "a", "b", "c", "ab", "abc", mark + "a", mark + "ab", mark * 2, mark * 3]
added = [{"id": i, "content": names[i], "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
         for i in range(3)]
replace = {"type": "Replace", "pattern": {"String": " "}, "content": mark}
decoders = [{"type": "Replace", "pattern": {"String": mark}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]
merges = [(mark * 2, mark), (mark, mark * 2), (mark, mark), ("a", "b"), ("ab", "c"), (mark, "a"), (mark, "ab"), (mark + "a", "b")]
json.dump({"version": "1.0", "added_tokens": added, "pre_tokenizer": None, "post_processor": None, "decoder": {"type": "Sequence", "decoders": decoders},
           "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": mark}, replace]},
           "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True,
                     "vocab": {n: i for i, n in enumerate(names)}, "merges": [" ".join(m) for m in merges]}}, open("characters.json", "w"))
PY
}

@test "characters with bytes as the fallback: scores from the merges' ranks, and what scores cannot say is refused" {
    characters
    random_for characters.json m.safetensors --E 1 --top-k 1
    mf-export gguf --quiet -m m.safetensors -t characters.json -o out.gguf
    assert_equal "$(key out.gguf tokenizer.ggml.model)" '"llama"'
    assert_equal "$(key out.gguf tokenizer.ggml.scores | jq -c '.[259:269] | map(. + 0)')" '[-8,-8,-8,-8,-3,-4,-5,-6,-2,0]'
    assert_equal "$(key out.gguf tokenizer.ggml.token_type | jq -c '[.[0:4][], .[258:260][]]')" '[2,3,3,6,6,1]'
    mf-cat --head 0 out.gguf | jq -e '.["tokenizer.ggml.add_space_prefix"] and .["tokenizer.ggml.unknown_token_id"] == 0 and
        (has("tokenizer.ggml.merges") or has("tokenizer.ggml.pre") | not)'
    jq '.normalizer = null | .pre_tokenizer = {type: "Metaspace", replacement: "\u2581", prepend_scheme: "never", split: false}' characters.json > t.json
    random_for t.json m.safetensors --E 1 --top-k 1
    mf-export gguf --quiet -m m.safetensors -t t.json -o out.gguf
    assert_equal "$(key out.gguf tokenizer.ggml.add_space_prefix)" false
    rm out.gguf
    refuses_changed characters.json << 'END'
how it marks blanks:.normalizer = {type: "Lowercase"}
how it marks blanks:.normalizer.normalizers[1].content = "_"
how it marks blanks:.normalizer = null | .pre_tokenizer = {type: "Metaspace", replacement: "\u2581", prepend_scheme: "always", split: false}
its pre_tokenizer:.pre_tokenizer = {type: "Digits", individual_digits: true}
some bytes have no token:.model.byte_fallback = false
some bytes have no token:.model.vocab["!!"] = .model.vocab["<0x41>"] | del(.model.vocab["<0x41>"])
an added token that is normalized:.added_tokens[1].special = false | .added_tokens[1].normalized = true
a token that neighbours spell without a merge:del(.model.merges[7])
a token that neighbours spell without a merge:.model.vocab["bd"] = 269
merges to one token that are apart:.model.merges |= [.[7]] + .[:7]
END
}

@test "a number too large for the type is refused, not made infinite" {
    /usr/bin/python3 - <<'PY'
import json, struct
data = bytearray(open("moe.safetensors", "rb").read())
n = struct.unpack("<Q", data[:8])[0]
entry = json.loads(data[8:8 + n])["model.layers.1.self_attn.v_proj.weight"]
struct.pack_into("<f", data, 8 + n + entry["data_offsets"][0], 1e5)
open("large.safetensors", "wb").write(data)
PY
    refuses 65 "large.safetensors: tensor blk.1.attn_v.weight holds 100000, too large for F16: take --type f32" \
        -m large.safetensors -t tokenizer.json
    for type in f32 bf16 q8_0; do
        mf-export gguf --quiet -m large.safetensors -t tokenizer.json --type $type -o $type.gguf
        mf-cat --stats $type.gguf | tail -n 1 | grep -q ' 0 nan/inf$'
    done
}

@test "memory does not grow with the number of experts" {
    own_memory_only
    random big.safetensors --tile --D 128 --F 512 --E 40
    run peak_mb mf-export gguf --quiet -m big.safetensors -t tokenizer.json --type q8_0 -o out.gguf
    assert_success
    [ "$output" -lt 32 ] # of 63 MB of experts
}
