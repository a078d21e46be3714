# Bases of others as shared bundles: logits and perplexity of what mf-import wrote against PyTorch, which reads the folder by itself.
load ../helper

setup_file() {
    cd "$BATS_FILE_TMPDIR" || return 1
    make_tokens
}

setup() {
    link_made
}

# A random base of these options as a bundle: logits and perplexity of test.mf are those of the folder.
imports() { # [OPTION of random_base.py]...
    needs_torch
    /usr/bin/python3 "$MF_ROOT/tests/oracle/random_base.py" base tokenizer.json "$@"
    mf-import --quiet -o base.tar -t own.json base
    cmp own.json tokenizer.json
    agrees base base.tar
}

agrees() { # FOLDER MODEL [OPTION of mf-eval]...
    /usr/bin/python3 "$MF_ROOT/tests/oracle/llama.py" "$1" test.mf theirs.f32 > theirs
    says_the_same "${@:2}"
}

dtypes() { # FILE
    tar xOf "$1" manifest.json | jq -r '.tensors[] | select(.name != "token_counts").dtype' | sort -u
}

@test "a Llama: grouped heads, a head of its own" {
    imports
}

@test "a Llama: tied, a narrow head_dim, positions in the newer form, another theta" {
    imports --tied --H 6 --K 3 --head-dim 10 --newer --theta 500000 --eps 1e-6
}

@test "a Llama 3: stretched positions, in both forms" {
    imports --stretch 4 1 4 24 --head-dim 12
    cp ours.f32 once.f32
    imports --stretch 4 1 4 24 --head-dim 12 --newer
    cmp ours.f32 once.f32
}

@test "a Mistral, one key head" {
    imports --kind Mistral --K 1
}

@test "a Qwen2: biases of queries, keys and values; more rows than tokens" {
    imports --kind Qwen2 --tied --pad 24
    assert_equal "$(tar xOf base.tar manifest.json | jq .config.vocab_size)" $(($(jq '.model.vocab | length' tokenizer.json) + 24))
}

@test "a Qwen3: norms of queries and keys, heads wider than the model; five files and an index" {
    imports --kind Qwen3 --head-dim 16 --shards 5
}

@test "halves stay halves and are widened exactly" {
    for dtype in BF16 F16; do
        imports --kind Qwen2 --dtype $dtype --shards 2
        assert_equal "$(dtypes base.tar)" $dtype
    done
}

@test "a base in BF16 goes through all stages like the same numbers in F32" {
    needs_torch
    /usr/bin/python3 "$MF_ROOT/tests/oracle/random_base.py" base tokenizer.json --dtype BF16 --D 768 --pad 7
    mf-import --quiet -o half.tar -t own.json base
    edit_bundle half.tar whole.tar 'data = {k: v for k, v in data.items()}
for t in m["tensors"]:
    if t["dtype"] == "BF16":
        raw = data[t["name"] + ".bf16"]
        raw = bytearray(b"".join(b"\0\0" + bytes(raw[i : i + 2]) for i in range(0, len(raw), 2)))
        t["dtype"], t["sha256"] = "F32", hashlib.sha256(raw).hexdigest()
        data = {(k if k != t["name"] + ".bf16" else t["name"] + ".f32"): (v if k != t["name"] + ".bf16" else raw) for k, v in data.items()}'
    for b in half whole; do
        for e in 0 1; do
            mf-train-expert --quiet --threads 1 --config "$TINY" -s $b.tar -v val.labelled.mf -p $e -o $b.$e.tar parts/part.$e.mp
        done
        narrow=(mf-train-expert --threads 1 --config "$TINY" --set train_expert.steps=4 -s $b.tar -o $b.narrow.tar parts/part.2.mp)
        run "${narrow[@]}" --max-memory 1M
        "${narrow[@]}" --max-memory "$(sed -E 's/.* at least ([0-9]+) MB.*/\1/' <<< "$output")000000" 2> plan
        grep -q 'bf16' plan
        mf-assemble --quiet --config "$TINY" --set model.top_k=1 -o $b.safetensors $b.tar $b.0.tar $b.1.tar
        mf-export gguf --quiet -m $b.tar -e $b.0.tar -t tokenizer.json -o $b.gguf
        for x in 0 1 narrow; do tar xf $b.$x.tar --wildcards 'model.*' --to-command='sha256sum; echo "$TAR_FILENAME"' > $b.$x.sums; done
        mf-eval logits -m $b.safetensors -o $b.f32 test.mf
        mf-cat --stats $b.safetensors | grep -v sha256 | sed 's/ B*F[13][26] / /; s/  */ /g; s/[0-9]* bytes//' > $b.list
        mf-eval perplexity -m $b.safetensors --quiet --json test.mf > $b.measured
        mf-cat --stats $b.gguf | grep -v sha256 > $b.ggufs
    done
    for x in 0.sums 1.sums narrow.sums f32 list measured ggufs; do cmp half.$x whole.$x; done
    # all that the model has of the base is in BF16
    mf-cat half.safetensors | jq -r 'select(.dtype == "BF16") | .name' | sort > halves
    tar tf half.tar | grep -v -e mlp -e manifest -e token_counts | sed 's/.bf16$//' | sort | cmp - halves
    mf-calibrate --quiet --config "$TINY" -m half.safetensors -o calibrated.safetensors val.labelled.mf
    mf-eval perplexity -m calibrated.safetensors --quiet --json test.mf | jq -e '.perplexity > 1'
}
