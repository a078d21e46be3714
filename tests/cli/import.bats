# mf-import: bases of others become shared bundles. What the imported models compute: tests/oracle/import.bats.
load ../helper

setup_file() {
    cd "$BATS_FILE_TMPDIR" || return 1
    make_tokens
    make_llama
    base base
}

setup() {
    link_made
}

base() { # FOLDER [OPTION of random_base.py]...
    /usr/bin/python3 "$MF_ROOT/tests/oracle/random_base.py" "$1" tokenizer.json "${@:2}"
}

# A copy of the base whose config was changed by a Python expression on `c`.
edit_config() { # TARGET EDIT
    cp -rL base "$1"
    /usr/bin/python3 -c 'import json, sys
c = json.load(open("base/config.json"))
exec(sys.argv[2])
json.dump(c, open(sys.argv[1] + "/config.json", "w"))' "$1" "$2"
}

# The same of its tensors: `h` is the header, `d` the data.
edit_tensors() { # TARGET EDIT
    cp -rL base "$1"
    /usr/bin/python3 -c 'import json, struct, sys
raw = open("base/model.safetensors", "rb").read()
n = struct.unpack("<Q", raw[:8])[0]
h, d = json.loads(raw[8 : 8 + n]), bytearray(raw[8 + n :])
exec(sys.argv[2])
text = json.dumps(h).encode()
open(sys.argv[1] + "/model.safetensors", "wb").write(struct.pack("<Q", len(text)) + text + d)' "$1" "$2"
}

refuses() { # STATUS TEXT ARGUMENT...
    run --separate-stderr mf-import --quiet -o out.tar -t out.json "${@:3}"
    assert_equal "$status" "$1"
    assert_equal "${#stderr_lines[@]}" 1
    [[ "$stderr" == "mf-import: "*"$2"* ]] || fail "$stderr"
    [ ! -e out.tar ]
    [ ! -e out.json ]
}

refuses_config() { # EDIT TEXT [OPTION]...
    rm -rf edited
    edit_config edited "$1"
    refuses 65 "edited: $2" "${@:3}" edited
}

refuses_tensors() { # EDIT TEXT
    rm -rf edited
    edit_tensors edited "$1"
    refuses 65 "$2" edited
}

# The tensors of a bundle with their hashes.
sums() { # BUNDLE
    tar xOf "$1" manifest.json | jq -r '.tensors[] | select(.name != "token_counts") | [.name, .dtype, .sha256] | @tsv' | sort
}

perplexity() { # MODEL TOKENIZER
    mf-tokenize encode --no-warning -t "$2" -o again.mf test.docs
    mf-eval perplexity --quiet --json -m "$1" -t "$2" again.mf | jq -S 'del(.model, .tokens_file)'
}

@test "a backbone of ours comes back from its Hugging Face folder: same bytes, same perplexity, documents end again" {
    mf-export hf --quiet -m llama.tar -t tokenizer.json -o hf
    mf-import --quiet -o back.tar -t back.json hf
    cmp <(sums llama.tar) <(sums back.tar)
    assert_equal "$(tar xOf back.tar manifest.json | jq -Sc '[.config, .special_tokens]')" "$(tar xOf llama.tar manifest.json | jq -Sc '[.config, .special_tokens]')"
    cmp <(mf-tokenize encode --no-warning -t back.json -o - test.docs | mf-cat - | jq -c .tokens) <(mf-cat test.mf | jq -c .tokens)
    perplexity llama.tar tokenizer.json > ours
    perplexity back.tar back.json > theirs
    cmp ours theirs
    # in shards, and in halves
    mf-export hf --quiet --shard 30K -m llama.tar -t tokenizer.json -o shards
    mf-import --quiet -o shards.tar -t shards.json shards
    cmp back.tar shards.tar
    mf-export hf --quiet --type bf16 -m llama.tar -t tokenizer.json -o halves
    mf-import --quiet -o halves.tar -t halves.json halves
    sums halves.tar > list
    assert_equal "$(cut -f2 list | sort | uniq -c | tr -s ' \n' ' ')" " $(grep -c proj list | xargs -I{} expr {} + 1) BF16 $(grep -c norm list) F32 "
}

@test "a backbone of ours comes back from GGUF: same bytes, same ids, same perplexity" {
    mf-export gguf --quiet --type f32 -m llama.tar -t tokenizer.json -o f32.gguf
    mf-import --quiet -o back.tar -t back.json f32.gguf
    cmp <(sums llama.tar) <(sums back.tar)
    assert_equal "$(tar xOf back.tar manifest.json | jq -Sc .config)" "$(tar xOf llama.tar manifest.json | jq -Sc .config)"
    assert_equal "$(tar xOf back.tar manifest.json | jq -c .base)" '{"class":"llama (GGUF)","name":"ModularForge"}'
    cmp <(mf-tokenize encode --no-warning -t back.json -o - test.docs | mf-cat - | jq -c .tokens) <(mf-cat test.mf | jq -c .tokens)
    perplexity llama.tar tokenizer.json > ours
    perplexity back.tar back.json > theirs
    cmp ours theirs
}

# What a file of llama.cpp's holds, without where it comes from.
shown() { # FILE
    mf-cat --stats "$1" | grep -v -e sha256 -e general.name
}

@test "GGUF: each variety and type, there and back" {
    local k t
    for k in Llama Qwen2 Qwen3; do
        base $k --kind $k --D 64 --head-dim 16 --F 96
        mf-import --quiet -o $k.tar -t t.json $k
        for t in f32 f16 bf16 q8_0; do
            mf-export gguf --quiet --type $t -m $k.tar -t t.json -o $k.$t.gguf
            mf-import --quiet -o back.tar -t back.json $k.$t.gguf
            mf-export gguf --quiet --type $t -m back.tar -t back.json -o back.gguf
            cmp <(shown $k.$t.gguf) <(shown back.gguf)
            tar xOf back.tar manifest.json | jq -c .config > config
            tar xOf $k.tar manifest.json | jq -c .config | cmp - config
            case $t in
            f32) cmp <(sums $k.tar) <(sums back.tar) ;;
            q8_0) sums back.tar | cut -f2 | sort -u | tr '\n' ' ' | grep -qx 'F16 F32 ' ;;
            *) sums back.tar | grep proj.weight | cut -f2 | sort -u | grep -qix $t ;;
            esac
        done
    done
}

@test "GGUF: Llama 3's stretched positions come back, another rule's are refused, as are types, tokenizers and tensors not known" {
    base stretched --head-dim 16 --stretch 32 1 4 8192 --theta 500000
    mf-import --quiet -o s.tar -t s.json stretched
    mf-export gguf --quiet -m s.tar -t s.json -o s.gguf
    mf-import --quiet -o back.tar -t back.json s.gguf
    assert_equal "$(tar xOf back.tar manifest.json | jq -Sc .config.rope_scaling)" "$(tar xOf s.tar manifest.json | jq -Sc .config.rope_scaling)"
    base other --head-dim 16 --stretch 32 1 4 500
    mf-import --quiet -o o.tar -t o.json other
    mf-export gguf --quiet -m o.tar -t o.json -o o.gguf
    refuses 65 "o.gguf: rope_freqs.weight stretches positions by a rule that is not Llama 3's" o.gguf
    mf-export gguf --quiet --type q4_0 -m llama.tar -t tokenizer.json -o q4.gguf
    refuses 65 "is Q4_0, not F32, F16, BF16 or Q8_0" q4.gguf
}

@test "GGUF: what is not known there is refused by its name" {
    edited() { # FROM TO (of the same length) TEXT
        FROM=$1 TO=$2 /usr/bin/python3 -c 'import os
raw, a, b = open("f32.gguf", "rb").read(), os.environb[b"FROM"], os.environb[b"TO"]
assert a in raw and len(a) == len(b)
open("e.gguf", "wb").write(raw.replace(a, b))'
        refuses 65 "e.gguf: $3" e.gguf
    }
    mf-export gguf --quiet --type f32 -m llama.tar -t tokenizer.json -o f32.gguf
    edited gpt-2 smol1 "has a tokenizer with the pre-tokenizer 'smol1', not gpt-2, smollm, llama-bpe or qwen2: take the Hugging Face folder"
    edited gpt2 bert "has a tokenizer of model 'bert', not gpt2 (byte-level BPE)"
    edited ffn_up ffn_xp "missing tensor blk.0.ffn_up.weight"
    edited llama mamba "is of architecture 'mamba', not llama, qwen2 or qwen3"
    edited ggml.token_type ggml.token_typo "has no tokenizer.ggml.token_type: take the Hugging Face folder"
    edited ggml.merges ggml.merged "has no tokenizer.ggml.merges"
    edited llama.block_count llama.block_caunt "llama.block_count must be a whole number above 0"
    edited llama.context_length llama.context_lengty "llama.context_length must be"
    mf-train-shared --quiet --config "$TINY" --set model.arch=llama --set train_shared.steps=2 --set train_shared.warmup=1 -o l.tar train.mf
    for e in 0 1; do mf-train-expert --quiet --config "$TINY" --set train_expert.steps=2 --set train_expert.warmup=1 -s l.tar -o l.$e.tar parts/part.$e.mp; done
    mf-assemble --quiet --config "$TINY" -o moe.safetensors l.tar l.0.tar l.1.tar
    mf-export gguf --quiet -m moe.safetensors -t tokenizer.json -o moe.gguf
    refuses 65 "moe.gguf: has experts already, a base is one dense model" moe.gguf
    mf-export hf --quiet -m moe.safetensors -t tokenizer.json -o moe
    refuses 65 "moe: is a MixtralForCausalLM: it has experts already" moe
}

@test "what the family does not have is refused by its name" {
    refuses_config 'c["architectures"] = ["MixtralForCausalLM"]' "is a MixtralForCausalLM: it has experts already, a base is one dense model"
    refuses_config 'c["architectures"] = ["Qwen3MoeForCausalLM"]' "is a Qwen3MoeForCausalLM: it has experts already"
    refuses_config 'c["architectures"] = ["GPT2LMHeadModel"]' "is a GPT2LMHeadModel, not a LlamaForCausalLM"
    refuses_config 'c["architectures"] = ["LlamaForCausalLM", "B"]' "config.json: architectures is not a list of one name"
    refuses_config 'del c["architectures"]; c["model_type"] = "phi"' "is a phi, not a LlamaForCausalLM"
    refuses_config 'c["num_local_experts"] = 8' "has experts (num_local_experts)"
    refuses_config 'c["attention_bias"] = True' "has a bias of o_proj (attention_bias)"
    refuses_config 'c["mlp_bias"] = True' "has biases in its FFN (mlp_bias)"
    refuses_config 'c["quantization_config"] = {"bits": 4}' "has quantised weights (quantization_config)"
    refuses_config 'c["hidden_act"] = "gelu"' "has the activation 'gelu' (hidden_act), not silu"
    refuses_config 'c["rope_scaling"] = {"type": "linear", "factor": 2.0}' "has positions of type 'linear' (rope_type), not llama3 or default"
    refuses_config 'c["rope_scaling"] = {"rope_type": "yarn", "factor": 2.0}' "has positions of type 'yarn'"
    refuses_config 'c["rope_parameters"] = {"rope_type": "dynamic", "rope_theta": 100.0}' "has positions of type 'dynamic'"
    refuses_config 'c["partial_rotary_factor"] = 0.5' "turns only a part of each head (partial_rotary_factor)"
    mistral='c.update(architectures=["MistralForCausalLM"], max_position_embeddings=8192'
    refuses_config "$mistral, sliding_window=16)" "attends to 16 tokens (sliding_window), fewer than the context of 2048: take --context 16"
    refuses_config "$mistral, sliding_window=3000)" "attends to 3000 tokens (sliding_window), fewer than the context of 4000: take --context 3000" --context 4000
    refuses_config "$mistral)" "attends to 4096 tokens (sliding_window), fewer than the context of 5000" --context 5000
    refuses_config 'c["max_position_embeddings"] = 100' "a context of 101 is longer than the base's 100" --context 101
    edit_config fits "$mistral, sliding_window=16)"
    mf-import --quiet --context 16 -o fits.tar -t fits.json fits
    assert_equal "$(tar xOf fits.tar manifest.json | jq .config.context)" 16
}

@test "the context is the base's, at most 2048, or what is asked for" {
    context() { tar xOf out.tar manifest.json | jq .config.context; }
    edit_config long 'c["max_position_embeddings"] = 131072'
    mf-import --quiet -o out.tar -t out.json base
    assert_equal "$(context)" 32
    mf-import --quiet -o out.tar -t out.json long
    assert_equal "$(context)" 2048
    mf-import --quiet --context 100000 -o out.tar -t out.json long
    assert_equal "$(context)" 100000
}

@test "values that a config leaves out are the class's own" {
    edit_config bare 'for k in "architectures hidden_act rope_theta rope_scaling tie_word_embeddings torch_dtype".split(): del c[k]'
    mf-import --quiet -o a.tar -t a.json base
    mf-import --quiet -o b.tar -t b.json bare
    cmp a.tar b.tar
    edit_config epsilon 'del c["rms_norm_eps"]'
    mf-import --quiet -o out.tar -t out.json epsilon
    assert_equal "$(tar xOf out.tar manifest.json | jq .config.norm_eps)" 1e-06
    rm out.tar out.json
    refuses_config 'del c["num_key_value_heads"]' "tensor model.layers.0.self_attn.k_proj.weight has shape [12,24], not [24,24]"
    refuses_config 'c.update(architectures=["Qwen3ForCausalLM"]); del c["head_dim"]' "tensor model.layers.0.self_attn.q_proj.weight has shape [24,24], not [512,24]"
}

@test "malformed settings are refused" {
    refuses_config 'del c["hidden_size"]' "config.json has no hidden_size"
    refuses_config 'c["hidden_size"] = 24.5' "config.json: hidden_size must be a whole number above 0"
    refuses_config 'c["num_hidden_layers"] = -1' "config.json: num_hidden_layers must be a whole number above 0"
    refuses_config 'c["num_hidden_layers"] = 10**9' "n_layers is 1000000000"
    refuses_config 'c["vocab_size"] = 2**40' "vocab_size is 1099511627776"
    refuses_config 'c["num_key_value_heads"] = 3' "n_heads 4 is not a multiple of n_kv_heads 3"
    refuses_config 'c["rms_norm_eps"] = "small"' "config.json: rms_norm_eps must be a number"
    refuses_config 'c["tie_word_embeddings"] = 1' "config.json: tie_word_embeddings must be true or false"
    refuses_config 'c["rope_scaling"] = 8' "config.json: rope_scaling is not an object"
    refuses_config 'c["rope_scaling"] = {"rope_type": "llama3", "factor": 8.0}' "rope_scaling: low_freq_factor must be a number above 0"
    refuses_config 'c = []' "config.json is not an object"
    refuses_config 'c["max_position_embeddings"] = None' "config.json has no max_position_embeddings"
    cp -rL base cut
    head -c 40 base/config.json > cut/config.json
    refuses 65 "cut/config.json: cannot be read as JSON: line" cut
    rm cut/config.json
    refuses 66 "cut/config.json" cut
    local file
    for file in /dev/null base/config.json; do
        cp $file file
        refuses 65 "file: neither a folder with a config.json and tensors nor a GGUF file" file
    done
}

@test "tensors that are missing, too many, of another shape or type, cut or not finite are refused" {
    refuses_tensors 'h["model.layers.1.mlp.other.weight"] = h.pop("model.layers.1.mlp.up_proj.weight")' "tensor model.layers.1.mlp.other.weight is none of a LlamaForCausalLM"
    refuses_tensors 'h["model.layers.0.self_attn.q_proj.weight"]["shape"] = [12, 48]' "q_proj.weight has shape [12,48], not [24,24]"
    refuses_tensors 'h["model.norm.weight"].update(dtype="I64", shape=[12]); h["model.norm.weight"]["shape"] = [12]' "model.norm.weight has shape [12], not [24]"
    refuses_tensors 'h["model.norm.weight"].update(dtype="F8_E4M3")' "dtype 'F8_E4M3' is not F32"
    refuses_tensors 'a = h["model.norm.weight"]["data_offsets"][0]; d[a : a + 4] = b"\0\0\x80\x7f"' "tensor model.norm.weight holds a NaN or infinity"
    refuses_tensors 'd = d[:-4]' "lm_head.weight: ends at"
    refuses_tensors 'e = h.pop("lm_head.weight"); d = d[: e["data_offsets"][0]]' "edited: missing tensor lm_head.weight"
    # what repeats other tensors is left alone
    edit_tensors table 'n = len(d); h["model.layers.0.self_attn.rotary_emb.inv_freq"] = {"dtype": "F32", "shape": [3], "data_offsets": [n, n + 12]}; d += bytes(12)'
    mf-import --quiet -o a.tar -t a.json base
    mf-import --quiet -o b.tar -t b.json table
    cmp a.tar b.tar
    edit_config tied 'c["tie_word_embeddings"] = True'
    mf-import --quiet -o tied.tar -t tied.json tied
    cmp <(sums a.tar | grep -v lm_head) <(sums tied.tar)
}

# A base in two files whose index was changed by a Python expression on `m`, its weight_map.
refuses_index() { # EDIT TEXT [STATUS]
    rm -rf edited
    cp -r shards edited
    /usr/bin/python3 -c 'import json, sys
i = json.load(open("shards/model.safetensors.index.json"))
m = i["weight_map"]
exec(sys.argv[1])
json.dump(i, open("edited/model.safetensors.index.json", "w"))' "$1"
    refuses "${3:-65}" "$2" edited
}

@test "an index is held to its files, and to its folder" {
    base shards --shards 2
    mf-import --quiet -o a.tar -t a.json base
    mf-import --quiet -o b.tar -t b.json shards
    cmp a.tar b.tar
    name=$(jq -r '.weight_map["model.norm.weight"]' shards/model.safetensors.index.json)
    refuses_index 'm["model.norm.weight"] = "../base/model.safetensors"' "names '../base/model.safetensors', which is no .safetensors file in the folder"
    refuses_index 'm["model.norm.weight"] = "/etc/passwd"' "names '/etc/passwd', which is no"
    refuses_index 'm["model.norm.weight"] = "..safetensors"' "names '..safetensors', which is no"
    refuses_index 'm["model.norm.weight"] = 7' "names '?', which is no"
    refuses_index 'm["model.norm.weight"] = "gone.safetensors"' "edited/gone.safetensors" 66
    refuses_index 'm["model.other.weight"] = m["model.norm.weight"]' "$name: missing tensor model.other.weight"
    refuses_index 'm["model.norm.weight"] = next(f for f in m.values() if f != m["model.norm.weight"])' "missing tensor model.norm.weight"
    refuses_index 'm.clear()' "has no weight_map"
    refuses_index 'i.clear()' "has no weight_map"
    refuses_index 'm.update({"t%d" % k: "f%d.safetensors" % k for k in range(300)})' "edited/f0.safetensors" 66
    cp base/model.safetensors shards/twice.safetensors
    refuses_index 'm["model.norm.weight"] = "twice.safetensors"' "tensor model.embed_tokens.weight is there twice"
}

# Imports a base whose tokenizer.json was changed by jq; prints what stands around a document, and the special tokens.
around() { # JQ [CONFIG EDIT]
    rm -rf edited
    edit_config edited "${2:-pass}"
    jq "$1" tokenizer.json > edited/tokenizer.json
    mf-import --quiet -o out.tar -t out.json edited
    printf 'ba' | mf-tokenize encode --no-warning --text -t out.json | mf-cat | jq -c 'select(.id).tokens | [.[0], .[-1]]'
    tar xOf out.tar manifest.json | jq -c '.special_tokens | [.bos, .eos, .pad]'
}

@test "documents begin with the base's BOS and end with its EOS, whatever its post-processor lacks" {
    run around '.'
    assert_output $'[2,3]\n[2,3,0]'
    run around '.post_processor = null'
    assert_output $'[2,3]\n[2,3,0]'
    run around 'del(.post_processor)'
    assert_output $'[2,3]\n[2,3,0]'
    run around '.post_processor = {"type": "ByteLevel", "trim_offsets": true}'
    assert_output $'[2,3]\n[2,3,0]'
    run around '.post_processor = {"type": "Sequence", "processors": [{"type": "ByteLevel"}, {"type": "TemplateProcessing", "single":
        [{"SpecialToken": {"id": "<bos>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}], "pair": [],
        "special_tokens": {"<bos>": {"id": "<bos>", "ids": [2], "tokens": ["<bos>"]}}}]}'
    assert_output $'[2,3]\n[2,3,0]'
    # of a list the first; names in tokenizer_config.json where no id is said; one token for both
    run around '.post_processor = null | .added_tokens |= map(.content |= sub("<eos>"; "<|end|>") | .content |= sub("<bos>"; "<|begin|>")) |
        .model.vocab |= with_entries(.key |= sub("<eos>"; "<|end|>") | .key |= sub("<bos>"; "<|begin|>"))' 'c["eos_token_id"] = [3, 1]'
    assert_output $'[2,3]\n[2,3,0]'
    run around '.post_processor = null | .added_tokens |= map(select(.content != "<bos>")) | .model.vocab |= with_entries(.key |= sub("<bos>"; "<other>"))' 'c["bos_token_id"] = None'
    assert_output $'[3,3]\n[3,3,0]'
}

@test "a tokenizer that is not there, does not fit or is not honoured is refused" {
    edit_config none pass
    rm none/tokenizer.json
    refuses 66 "none/tokenizer.json" none
    echo '{"model": {"type": "WordPiece"}}' > none/tokenizer.json
    refuses 65 "none/tokenizer.json: " none
    jq '.added_tokens += [{"id": 400, "content": "<more>", "special": true}]' tokenizer.json > none/tokenizer.json
    refuses 65 "none: has a tokenizer of 401 tokens, but an embedding of 400" none
}

@test "a base with more rows than tokens goes through all stages" {
    base padded --pad 9
    mf-import --quiet -o shared.tar -t t.json padded
    cmp t.json tokenizer.json
    for e in 0 1; do mf-train-expert --quiet --config "$TINY" -s shared.tar -v val.labelled.mf -p $e -o $e.tar parts/part.$e.mp; done
    mf-assemble --quiet --config "$TINY" -o model.safetensors shared.tar 0.tar 1.tar
    mf-calibrate --quiet --config "$TINY" -m model.safetensors -o calibrated.safetensors val.labelled.mf
    mf-eval report --quiet --config "$TINY" -m calibrated.safetensors -t t.json -s shared.tar -e 0.tar -o report.json test.mf
    assert_equal "$(jq '.perplexity | has("unigram")' report.json)" false
    mf-eval generate -m calibrated.safetensors -t t.json -p ba -n 20 --temperature 100 > text
    mf-export gguf --quiet -m calibrated.safetensors -t t.json -o model.gguf
    mf-export hf --quiet -m calibrated.safetensors -t t.json -o hf
    assert_equal "$(mf-cat calibrated.safetensors | head -n 1 | jq -r '.base | fromjson | .class')" LlamaForCausalLM
}

@test "no file of the base is written over" {
    base shards --shards 2
    for name in config.json generation_config.json tokenizer_config.json tokenizer.json model.safetensors.index.json \
        model-00002-of-00002.safetensors; do
        [ -e shards/$name ] || echo '{}' > shards/$name
        before=$(cat shards/* | sha256sum)
        run -64 mf-import -o shards/$name -t own.json shards
        assert_equal "$output" "mf-import: shards/$name is read, and cannot be the output"
        ln -sf shards/$name link
        run -64 mf-import -o out.tar -t link shards
        assert_equal "$output" "mf-import: shards/$name is read, and cannot be the tokenizer"
        assert_equal "$(cat shards/* | sha256sum)" "$before"
        assert [ ! -e out.tar ]
    done
    mf-import --quiet -o shards/shared.tar -t shards/ours.json shards
    mf-import --quiet -o shards/shared.tar -t shards/ours.json shards # its own outputs it may replace
}

@test "wrong use has its status, and nothing is left" {
    refuses 64 "which base?"
    refuses 64 "one base at a time, not 2" base base
    refuses 66 "no-such" no-such
    run mf-import -o out.tar base
    assert_failure 64
    assert_output "mf-import: into which tokenizer.json? (-t FILE)"
    run mf-import --context 0 -o out.tar -t out.json base
    assert_failure 64
    run mf-import --quiet -o no/out.tar -t out.json base
    assert_failure 73
    [ ! -e out.json ]
    run mf-import --quiet -o out.tar -t no/out.json base
    assert_failure 73
    [ ! -e out.tar ]
    refuses 65 "train.mf" train.mf
    mf-import --quiet -t t.json base > out.tar
    mf-import --quiet -o again.tar -t t.json base
    cmp out.tar again.tar
}

@test "memory does not grow with the base" {
    own_memory_only
    base large --dtype BF16 --D 512 --F 2048 --head-dim 128
    mb=$(peak_mb mf-import --quiet -o large.tar -t large.json large)
    [ "$(stat -c %s large.tar)" -gt 16000000 ]
    [ "$mb" -lt 24 ] || fail "$mb MB"
}
