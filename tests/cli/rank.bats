# Experts of low rank: what a bundle holds, what is assembled of it, the anchor, and what is refused.
load ../helper

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    make_tokens
    sed 's/^model:/model:\n  arch: llama\n  n_kv_heads: 1\n  head_dim: 12/' "$TINY" > llama.yaml
    cp "$TINY" reference.yaml
    local arch e
    for arch in llama reference; do
        mf-train-shared --quiet --config $arch.yaml -v val.mf -o $arch.tar train.mf
        for e in 0 1 2; do low $arch $e -o $arch.$e.tar; done
    done
}

setup() { link_made; }

low() { # FAMILY PARTITION OPTION...
    mf-train-expert --quiet --config "$1.yaml" --set expert.rank=4 --set train_expert.lr=0.01 -s "$1.tar" -v val.labelled.mf -p "$2" \
        "${@:3}" "parts/part.$2.mp"
}

# Sums and names of a model's tensors: NAME SHA256
sums() { # MODEL
    /usr/bin/python3 - "$1" << 'END'
import hashlib, json, struct, sys
data = open(sys.argv[1], "rb").read()
size = struct.unpack("<Q", data[:8])[0]
for name, t in json.loads(data[8:8 + size]).items():
    if name != "__metadata__":
        begin, end = t["data_offsets"]
        print(name, hashlib.sha256(data[8 + size + begin:8 + size + end]).hexdigest())
END
}

@test "a bundle holds factors only, and says their rank and alpha; twice the rank by default" {
    for arch in llama reference; do
        tar tf $arch.0.tar | grep -v -e '^stats' -e manifest -e token_counts > names
        [ "$(wc -l < names)" -eq "$(grep -c 'lora_[AB].weight.f32$' names)" ]
    done
    assert_equal "$(wc -l < names)" 8
    tar tf llama.0.tar > names
    for m in gate up down; do grep -qx "model.layers.1.mlp.${m}_proj.lora_A.weight.f32" names; done
    mf-cat llama.0.tar | head -n 1 | jq -e '.rank == 4 and .alpha == 8'
    low llama 0 --set expert.alpha=3.5 -o other.tar
    mf-cat other.tar | head -n 1 | jq -e '.rank == 4 and .alpha == 3.5'
}

@test "an expert of low rank learns its partition, by AdamW and by Muon" {
    dense=$(mf-cat llama.0.tar | head -n 1 | jq .training.first_validation_loss)
    mf-cat llama.0.tar | head -n 1 | jq -e ".training.validation_loss < 0.99 * $dense"
    low llama 0 --set train_expert.optimizer=muon --set train_expert.lr=0.03 -o muon.tar
    mf-cat muon.tar | head -n 1 | jq -e ".training.validation_loss" > learned
    awk "{ print; exit !(\$1 < 0.99 * $dense) }" learned
}

@test "beside the anchor an expert begins as the dense model, learns, and stores itself alone" {
    beside() { # FAMILY OPTION...
        mf-train-expert --quiet --config "$1.yaml" --set expert.anchor=true --set train_expert.lr=0.01 -v val.labelled.mf -p 1 "${@:2}"
    }
    for arch in llama reference; do
        for rank in 0 4; do
            beside $arch --set expert.rank=$rank -s $arch.tar -o anchored.tar parts/part.1.mp
            mf-train-expert --quiet --config $arch.yaml --set expert.rank=$rank --set train_expert.lr=0.01 -s $arch.tar \
                -v val.labelled.mf -p 1 -o alone.tar parts/part.1.mp
            diff <(tar tf alone.tar) <(tar tf anchored.tar)
            first=$(mf-cat alone.tar | head -n 1 | jq .training.first_validation_loss)
            near "$first" "$(mf-cat anchored.tar | head -n 1 | jq .training.first_validation_loss)"
            mf-cat anchored.tar | head -n 1 | jq -e ".training.validation_loss < 0.998 * $first and .training.settings.expert.anchor"
            mv anchored.tar beside.$arch.$rank.tar
        done
    done
    # from a pipe, where nothing is mapped; the plan counts the anchor, which a limit makes bf16; other numbers at the start
    beside llama -s - -o piped.tar parts/part.1.mp < <(cat llama.tar)
    cmp beside.llama.0.tar piped.tar
    mf-train-shared --quiet --config llama.yaml --set model.d_ff=4096 --set model.n_layers=8 --set train_shared.steps=1 --set train_shared.warmup=0 -o wide.tar train.mf
    frozen() { # OPTION...
        mf-train-expert --config llama.yaml --set train_expert.steps=1 --set train_expert.warmup=0 -s wide.tar -o wide.1.tar "$@" \
            parts/part.1.mp 2>&1 | sed -n 's/.* (\([0-9.]*\) frozen.*/\1/p'
    }
    frozen > frozen
    frozen --set expert.anchor=true >> frozen
    run mf-train-expert --config llama.yaml --set expert.anchor=true --max-memory 1M -s wide.tar -o no.tar parts/part.1.mp
    assert_failure
    frozen --set expert.anchor=true --max-memory "$(grep -oE '[0-9]+ ?M' <<< "$output" | sort -n | tail -n 1 | tr -d ' ')" >> frozen
    cat frozen
    awk '{ f[NR] = $1 } END { exit !(NR == 3 && f[2] > f[1] + 4 && f[3] < 0.6 * f[2]) }' frozen
    beside llama --set expert.init=kaiming -s llama.tar -o random.tar parts/part.1.mp
    first=$(mf-cat piped.tar | head -n 1 | jq .training.first_validation_loss)
    mf-cat random.tar | head -n 1 | jq -e ".training.first_validation_loss != $first"
    # the two work together in the model: the anchor is one of its experts
    mf-assemble --quiet --config llama.yaml --set assemble.anchor=true --set model.n_experts=1 --set model.top_k=2 -o model.safetensors llama.tar beside.llama.0.tar
    loss model.safetensors > measured
    awk '{ exit !($1 > 0) }' measured
}

@test "killed and resumed it ends with the same bytes, and its checkpoint holds factors only" {
    long=(--threads 1 --set train_expert.steps=300 --set train_expert.checkpoint_every=90)
    low llama 1 "${long[@]}" -o whole.tar
    STRUCK=$PWD/struck
    run -137 strike KILL e.tar.ckpt 2 mf-train-expert --quiet --config llama.yaml --set expert.rank=4 --set train_expert.lr=0.01 -s llama.tar \
        -v val.labelled.mf -p 1 "${long[@]}" -o e.tar parts/part.1.mp
    tar tf e.tar.ckpt > names
    grep -q '^m.model.layers.0.mlp.gate_proj.lora_B' names
    run grep -v -e manifest -e lora_ names
    assert_failure
    low llama 1 "${long[@]}" --resume -o e.tar
    cmp whole.tar e.tar
    run low llama 1 "${long[@]}" --resume --set expert.rank=5 --checkpoint whole.tar -o e.tar
    assert_failure 65
}

@test "before it has learned it is the dense model, and with less memory" {
    for arch in llama reference; do
        low $arch 0 --set train_expert.lr=0 --set train_expert.min_lr=0 -o same.tar
        near "$(loss $arch.tar)" "$(loss $arch.tar -e same.tar)"
    done
    mf-train-shared --quiet --config llama.yaml --set model.d_ff=8192 --set train_shared.steps=1 --set train_shared.warmup=0 -o wide.tar train.mf
    plan() { mf-train-expert --config llama.yaml --set expert.rank="$1" --set train_expert.steps=1 --set train_expert.warmup=0 -s wide.tar -o e.tar parts/part.0.mp 2>&1; }
    plan 0 | grep -o 'gradients [0-9.]*, optimizer [0-9.]*' > plans
    plan 1 | grep -o 'gradients [0-9.]*, optimizer [0-9.]*' >> plans
    awk '{ g[NR] = $2; o[NR] = $4 } END { exit !(g[1] > 4 && g[2] < g[1] / 9 && o[2] < o[1] / 9) }' plans
}

@test "a backbone in BF16 is held and planned so, and gives the numbers of the same one in F32" {
    cut='for t in m["tensors"]:
    if t["dtype"] == "F32":
        name = t["name"] + ".f32"
        raw = data[name]
        raw[0::4] = raw[1::4] = bytes(len(raw) // 4)'
    bf16='
        raw = bytearray(b"".join(raw[i + 2 : i + 4] for i in range(0, len(raw), 4)))
        t["dtype"] = "BF16"
        data = {(t["name"] + ".bf16" if n == name else n): (raw if n == name else b) for n, b in data.items()}'
    hash='
        t["sha256"] = hashlib.sha256(raw).hexdigest()'
    edit_bundle llama.tar halves.tar "$cut$bf16$hash"
    edit_bundle llama.tar wide.tar "$cut$hash"
    expert() { # RANK SHARED OPTION...
        mf-train-expert --config llama.yaml --set expert.rank="$1" -s "$2" -v val.labelled.mf -p 1 "${@:3}" parts/part.1.mp
    }
    for rank in 0 4; do
        expert $rank halves.tar -o halves.$rank.tar 2> said
        grep -E 'frozen, bf16, [0-9.]+ mapped[)]' said
        assert_equal "$(mf-config memory train-expert --config llama.yaml --set expert.rank=$rank -s halves.tar)" \
            "$(sed -n 's/.*: memory \([0-9]*\) MB.*/\1/p' said | awk '{ print $1 + 1 }')"
        expert $rank - --quiet -o piped.$rank.tar < halves.tar
        cmp halves.$rank.tar piped.$rank.tar
        expert $rank wide.tar -o wide.$rank.tar 2> said
        refute grep bf16 said
        for name in halves wide; do mf-cat $name.$rank.tar | head -n 1 | jq .training.validation_loss > $name.loss; done
        near "$(cat halves.loss)" "$(cat wide.loss)"
    done
}

@test "what is frozen is mapped from a file: the same bytes as from a pipe or a compressed bundle" {
    run low llama 0 -o mapped.tar
    assert_success
    mf-train-expert --config llama.yaml --set expert.rank=4 --set train_expert.steps=1 --set train_expert.warmup=0 -s llama.tar -o e.tar \
        parts/part.0.mp 2>&1 | grep -E 'frozen, [0-9.]+ mapped[)]'
    mf-train-expert --config llama.yaml --set expert.rank=4 --set train_expert.steps=1 --set train_expert.warmup=0 -s - -o e.tar \
        parts/part.0.mp 2> said < llama.tar
    refute grep mapped said
    zstd -q < llama.tar > packed.tar.zst
    for shared in - packed.tar.zst; do
        mf-train-expert --quiet --config llama.yaml --set expert.rank=4 --set train_expert.lr=0.01 -s $shared -v val.labelled.mf -p 0 \
            -o other.tar parts/part.0.mp < <(cat llama.tar)
        cmp mapped.tar other.tar
    done
    # headers that take more than one block before each member
    /usr/bin/python3 - << 'END'
import tarfile
with tarfile.open("llama.tar") as source, tarfile.open("pax.tar", "w", format=tarfile.PAX_FORMAT) as target:
    for member in source:
        member.pax_headers = {"comment": "x" * 700}
        target.addfile(member, source.extractfile(member))
END
    mf-train-expert --quiet --config llama.yaml --set expert.rank=4 --set train_expert.lr=0.01 -s pax.tar -v val.labelled.mf -p 0 \
        -o other.tar parts/part.0.mp
    cmp mapped.tar other.tar
    # bytes that are not the manifest's are refused, mapped or not
    cp llama.tar bad.tar
    at=$(LC_ALL=C tar tRvf llama.tar | grep -F layers.1.mlp.up_proj.weight | grep -o 'block [0-9]*' | cut -d' ' -f2)
    printf x | dd of=bad.tar bs=1 seek=$((512 * (at + 1) + 7)) conv=notrunc status=none
    run mf-train-expert --quiet --config llama.yaml --set expert.rank=4 -s bad.tar -o e2.tar parts/part.0.mp
    assert_failure 65
    assert_output --partial "do not match their sha256"
    [ ! -e e2.tar ]
}

@test "assembled, an expert is the dense FFN with its changes added; alone it measures the same" {
    needs_torch
    for arch in llama reference; do
        mf-assemble --quiet --config $arch.yaml --set model.top_k=1 -o one.safetensors $arch.tar $arch.1.tar
        near "$(loss $arch.tar -e $arch.1.tar)" "$(loss one.safetensors)"
        mf-assemble --quiet --config $arch.yaml -o three.safetensors $arch.tar $arch.{0,1,2}.tar
        PYTHONPATH=$MF_ROOT/tests/oracle /usr/bin/python3 - three.safetensors $arch.tar $arch.2.tar << 'END'
import sys
from files import Changed, read_bundle, read_safetensors
model, dense = read_safetensors(sys.argv[1])[1], read_bundle(sys.argv[2])[1]
changed, seen = Changed(dense, sys.argv[3]), 0
names = {"mlp.gate_proj": "w1", "mlp.down_proj": "w2", "mlp.up_proj": "w3", "fc1": "fc1", "fc2": "fc2"}
for name, w in dense.items():
    layer = [part for part in name.split(".") if part.isdigit()]
    for theirs, ours in names.items():
        if name.endswith(theirs + ".weight"):
            got = [t for n, t in model.items() if n.endswith(".experts.2.%s.weight" % ours) and ".%s." % layer[0] in n[:20]]
            assert len(got) == 1, (name, len(got))
            assert (got[0] - changed[name]).abs().max() < 1e-6, name
            assert (got[0] - w).abs().max() > 1e-4, name
            seen += 1
assert seen in (4, 6), seen
END
    done
}

@test "experts of low rank and whole ones go into one model, and average" {
    mf-train-expert --quiet --config llama.yaml -s llama.tar -v val.labelled.mf -p 1 -o whole.tar parts/part.1.mp
    mf-assemble --quiet --config llama.yaml -o mixed.safetensors llama.tar llama.0.tar whole.tar
    mf-assemble --quiet --config llama.yaml -o wholes.safetensors llama.tar whole.tar llama.0.tar
    sums mixed.safetensors | grep -F '.experts.1.' | cut -d' ' -f2 > a
    sums wholes.safetensors | grep -F '.experts.0.' | cut -d' ' -f2 > b
    cmp a b
    mf-assemble --quiet --config llama.yaml --average -o mean.safetensors llama.tar llama.{0,1}.tar
    mf-assemble --quiet --config llama.yaml --average -o same.safetensors llama.tar llama.0.tar
    near "$(loss same.safetensors)" "$(loss llama.tar -e llama.0.tar)"
    loss mean.safetensors
    # to a pipe, with one thread and with several: the same bytes
    mf-assemble --quiet --config llama.yaml --threads 1 llama.tar llama.0.tar whole.tar > piped.safetensors
    cmp mixed.safetensors piped.safetensors
}

@test "the anchor is the dense FFN as one more expert, of every router" {
    for arch in llama reference; do
        for kind in prefix hidden; do
            mf-assemble --quiet --config $arch.yaml --set assemble.anchor=true --set router.kind=$kind --set model.top_k=4 -o $kind.safetensors \
                $arch.tar $arch.{0,1,2}.tar
            loss $kind.safetensors
        done
        mf-assemble --quiet --config $arch.yaml --dense -o dense.safetensors $arch.tar
        sums prefix.safetensors | grep -F '.experts.3.' | cut -d' ' -f2 > a
        sums dense.safetensors | grep -F '.experts.0.' | cut -d' ' -f2 > b
        [ -s a ]
        cmp a b
        # the gates of hidden states: the anchor's is zero, so it has what is left when no domain's is above
        mf-cat --stats hidden.safetensors | grep gate.weight > gates
    done
    run mf-assemble --config llama.yaml --set assemble.anchor=true --set model.top_k=5 -o m.safetensors llama.tar llama.{0,1,2}.tar
    assert_failure 78
    mf-calibrate --quiet --config llama.yaml -m prefix.safetensors -o calibrated.safetensors val.labelled.mf
    mf-eval routing --json -m calibrated.safetensors test.mf | jq -e '.experts == ["partition 0", "partition 1", "partition 2", "anchor"]'
}

@test "provenance, exports and the report know experts of low rank and the anchor" {
    mf-assemble --quiet --config llama.yaml --set assemble.anchor=true -o model.safetensors llama.tar llama.{0,1,2}.tar
    run mf-cat --provenance model.safetensors llama.tar llama.2.tar
    assert_success
    assert_line --regexp 'expert 2 .*= llama.2.tar'
    assert_line --regexp 'expert 3 .*= llama.tar'
    mf-export hf --quiet -m model.safetensors -t tokenizer.json -o hf
    tr '\n' ' ' < hf/README.md | grep -q 'A mixture of 3 experts .* one shared backbone, whose own FFN is one more. A router chooses 2 of all these'
    grep -q "^| expert 3, the backbone's own FFN | " hf/README.md
    jq -e '.num_local_experts == 4' hf/config.json
    mf-export gguf --quiet -m model.safetensors -t tokenizer.json -o model.gguf
    mf-eval report --quiet --config llama.yaml -m model.safetensors -t tokenizer.json -s llama.tar -e llama.0.tar -e llama.1.tar -e llama.2.tar \
        -o report.json test.mf
    jq -e '.perplexity.experts | length == 3' report.json
    mf-eval generate -m llama.tar -e llama.0.tar -t tokenizer.json --temperature 0 -n 5 -p in
    mf-eval perplexity --quiet -m llama.tar -e llama.0.tar --max-memory 30M test.mf
}

@test "what does not fit together is refused, and nothing is written" {
    refused() { # STATUS WORDS COMMAND...
        run --separate-stderr "${@:3}"
        assert_failure "$1"
        [[ $stderr == *"$2"* ]] || fail "$stderr"
        [ ! -e m.safetensors ] && [ ! -e e.tar ]
    }
    refused 78 "config: expert.rank is 300, must be at most" mf-train-expert --config llama.yaml --set expert.rank=300 -s llama.tar -o e.tar parts/part.0.mp
    refused 78 "expert.init must be shared" mf-train-expert --config llama.yaml --set expert.rank=4 --set expert.init=kaiming -s llama.tar -o e.tar parts/part.0.mp
    local edit words
    while IFS='|' read -r edit words; do
        edit_bundle llama.0.tar bad.tar "$edit"
        refused 65 "$words" mf-assemble --config llama.yaml --set model.top_k=1 -o m.safetensors llama.tar bad.tar
        refused 65 "$words" mf-eval perplexity -m llama.tar -e bad.tar test.mf
    done << 'END'
m["rank"] = 5|lora_A.weight is F32 [4,
m["rank"] = 0|rank must be an integer above 0
m["rank"] = 1 << 40|must be at most
m["rank"] = "4"|rank must be an integer above 0
m["alpha"] = 0|alpha must be a number above 0
del m["alpha"]|alpha must be a number above 0
m["alpha"] = 1e300|alpha must be a number above 0
del m["rank"]|missing tensor model.layers.0.mlp.gate_proj.weight
m["tensors"] = [t for t in m["tensors"] if "0.mlp.up_proj.lora_B" not in t["name"]]|missing tensor model.layers.0.mlp.up_proj.lora_B.weight
END
    edit_bundle llama.0.tar bad.tar 'data["model.layers.0.mlp.up_proj.lora_B.weight.f32"][0:4] = b"\0\0\xc0\x7f"'
    refused 65 "model.layers.0.mlp.up_proj.lora_B.weight" mf-assemble --config llama.yaml --set model.top_k=1 -o m.safetensors llama.tar bad.tar
}
