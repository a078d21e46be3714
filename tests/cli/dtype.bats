# A model's tensors have the dtypes of its components: of a backbone in BF16 or F16 the model keeps the halves, and it says what
# the model of the same numbers in F32 says, to the last bit.
load ../helper

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    make_tokens
    sed 's/^model:/model:\n  arch: llama\n  n_kv_heads: 1\n  head_dim: 12/' "$TINY" > llama.yaml
    sed 's/^model:/model:\n  tied: false/' llama.yaml > untied.yaml
    cp "$TINY" reference.yaml
    local arch
    for arch in llama untied reference; do backbone $arch; done
}

setup() { link_made; }

# FAMILY.half.tar: a trained backbone's tensors in BF16, every third in F16 and two vectors in F32; FAMILY.wide.tar: the same
# numbers in F32. FAMILY.half.E.tar are experts of it (0 whole, 1 of low rank, 2 of low rank with a head), FAMILY.wide.E.tar the
# same ones of the other.
backbone() { # FAMILY
    local e options
    mf-train-shared --quiet --config "$1.yaml" --set train_shared.steps=30 -v val.mf -o trained.tar train.mf
    edit_bundle trained.tar "$1.half.tar" "$STORED"'
store(lambda i, t: "F32" if t["name"].endswith("norm.weight") and i % 3 == 1 else "F16" if i % 3 == 0 else "BF16")'
    edit_bundle "$1.half.tar" "$1.wide.tar" "$STORED"'
store(lambda i, t: "F32")'
    for e in 0 1 2; do
        options=(--set expert.rank=$((e > 0 ? 4 : 0)) --set expert.head=$((e > 1 ? 3 : 0)))
        mf-train-expert --quiet --config "$1.yaml" --set train_expert.lr=0.01 "${options[@]}" -s "$1.half.tar" -v val.labelled.mf -p $e \
            -o "$1.half.$e.tar" parts/part.$e.mp
        edit_bundle "$1.half.$e.tar" "$1.wide.$e.tar" "m['shared_sha256'] = '$(tar xOf "$1.wide.tar" manifest.json | sha256sum | cut -c 1-64)'"
    done
}

# store(dtype): every tensor of floats in dtype(its number, its entry).
export STORED='
import struct
def numbers(raw, dtype):
    if dtype == "BF16":
        raw, dtype = b"".join(b"\0\0" + bytes(raw[i : i + 2]) for i in range(0, len(raw), 2)), "F32"
    return struct.unpack("<%d%s" % (len(raw) // (4 if dtype == "F32" else 2), "f" if dtype == "F32" else "e"), raw)
def bytes_of(x, dtype):
    raw = struct.pack("<%d%s" % (len(x), "e" if dtype == "F16" else "f"), *x)
    return b"".join(raw[i + 2 : i + 4] for i in range(0, len(raw), 4)) if dtype == "BF16" else raw
def store(dtype):
    for i, t in enumerate(m["tensors"]):
        if t["dtype"] != "I64":
            old = t["name"] + "." + t["dtype"].lower()
            raw = bytes_of(numbers(data[old], t["dtype"]), dtype(i, t))
            t.update(dtype=dtype(i, t), sha256=hashlib.sha256(raw).hexdigest())
            new = t["name"] + "." + t["dtype"].lower()
            globals()["data"] = {new if k == old else k: raw if k == old else v for k, v in data.items()}
'

# Each tensor of a bundle that the model has, by its own name or (of the dense FFN) by that of the expert E, has its dtype and
# its bytes; all others are F32. Prints how many are in halves.
kept() { # MODEL SHARED [E]
    /usr/bin/python3 - "$@" << 'END'
import json, re, struct, sys, tarfile
data = open(sys.argv[1], "rb").read()
size = struct.unpack("<Q", data[:8])[0]
model = {n: (t["dtype"], data[8 + size + t["data_offsets"][0]:8 + size + t["data_offsets"][1]])
         for n, t in json.loads(data[8:8 + size]).items() if n != "__metadata__"}
tar = tarfile.open(sys.argv[2])
stored = {t["name"]: (t["dtype"], tar.extractfile(t["name"] + "." + t["dtype"].lower()).read())
          for t in json.load(tar.extractfile("manifest.json"))["tensors"]}
if "shared.lm_head.weight" in model:
    stored["shared.lm_head.weight"] = stored["shared.token_embedding.weight"]
if len(sys.argv) > 3:
    e = sys.argv[3]
    for name in list(stored):
        if match := re.fullmatch(r"dense_ffn\.(\d+)\.(fc[12].*)", name):
            stored["moe_layers.%s.experts.%s.%s" % (match[1], e, match[2])] = stored[name]
        if match := re.fullmatch(r"shared\.transformer_blocks\.(\d+)\.ffn_norm\.(.*)", name):
            stored["moe_layers.%s.experts.%s.norm.%s" % (match[1], e, match[2])] = stored[name]
        if match := re.fullmatch(r"model\.layers\.(\d+)\.mlp\.(gate|down|up)_proj\.weight", name):
            which = {"gate": "w1", "down": "w2", "up": "w3"}[match[2]]
            stored["model.layers.%s.block_sparse_moe.experts.%s.%s.weight" % (match[1], e, which)] = stored[name]
for name, (dtype, raw) in model.items():
    assert dtype == (stored[name][0] if name in stored else "F32"), (name, dtype)
    assert name not in stored or raw == stored[name][1], name
print(sum(dtype in ("BF16", "F16") for dtype, _ in model.values()))
END
}

assemble() { # FAMILY half|wide OPTION...
    mf-assemble --quiet --config "$1.yaml" "${@:3}" -o "$2.safetensors" "$1.$2.tar" "$1.$2".{0,1,2}.tar
}

# Both models have the same numbers and say the same.
same() {
    local b
    for b in half wide; do
        mf-cat --stats $b.safetensors | sed 's/ sha256.*//; s/[0-9]* bytes//; s/\bBF16\b\|\bF16\b\|\bF32\b//; s/  */ /g' | tail -n +4 > $b.stats
        mf-eval logits -m $b.safetensors -o $b.f32 test.mf
        mf-eval perplexity --json --quiet -m $b.safetensors test.mf > $b.json
        mf-eval routing --json --quiet -m $b.safetensors test.mf > $b.routing
        mf-eval generate --quiet -m $b.safetensors -t tokenizer.json --temperature 0.8 -n 30 -p in > $b.text
    done
    for b in stats f32 json routing text; do cmp half.$b wide.$b; done
}

@test "what is copied keeps its dtype, byte for byte, also from pipes; what is made is F32" {
    for arch in llama untied reference; do
        assemble $arch wide
        assert_equal "$(kept wide.safetensors $arch.wide.tar)" 0
        assemble $arch half
        [ "$(kept half.safetensors $arch.half.tar)" -ge 10 ]
        [ "$(wc -c < half.safetensors)" -lt "$(wc -c < wide.safetensors)" ]
        mf-assemble --quiet --threads 1 --config $arch.yaml $arch.half.tar $arch.half.{0,1,2}.tar | cmp - half.safetensors
        mf-assemble --quiet --config $arch.yaml <(cat $arch.half.tar) <(cat $arch.half.0.tar) > piped.safetensors --set model.top_k=1
        kept piped.safetensors $arch.half.tar
        assemble $arch half --set assemble.anchor=true
        kept half.safetensors $arch.half.tar 3
        mf-assemble --quiet --config $arch.yaml --dense -o dense.safetensors $arch.half.tar
        kept dense.safetensors $arch.half.tar 0
        mf-assemble --quiet --config $arch.yaml --average -o mean.safetensors $arch.half.tar $arch.half.{0,1}.tar
        kept mean.safetensors $arch.half.tar
    done
}

@test "the model says to the last bit what the one of the same numbers in F32 says" {
    for arch in llama untied reference; do
        for options in "" "--set assemble.anchor=true" "--set router.kind=hidden --set router.init=data_stats"; do
            # shellcheck disable=SC2086
            for b in half wide; do assemble $arch $b $options; done
            same
        done
    done
}

@test "calibrated it still does, and what calibration leaves alone keeps its dtype" {
    for arch in llama reference; do
        for b in half wide; do
            assemble $arch $b
            mf-calibrate --quiet --config $arch.yaml -m $b.safetensors -o new val.labelled.mf
            mv new $b.safetensors
        done
        same
        for b in half wide; do
            assemble $arch $b
            mf-calibrate --quiet --config $arch.yaml --set calibrate.norms=false --set calibrate.router=ridge -m $b.safetensors -o new val.labelled.mf
            mv new $b.safetensors
        done
        same
        kept half.safetensors $arch.half.tar
    done
}

@test "under a limit it is read within the limit, and says the same" {
    own_memory_only
    for b in half wide; do
        assemble llama $b
        run mf-eval perplexity --json --quiet -m $b.safetensors --max-memory 1 test.mf
        [[ $output =~ least\ ([0-9]+) ]]
        mf-time --quiet -o time.json -- mf-eval perplexity --json --quiet --threads 1 -m $b.safetensors --max-memory "${BASH_REMATCH[1]}000000" test.mf > $b.json
        [ "$(jq .peak_memory time.json)" -le "${BASH_REMATCH[1]}000000" ]
    done
    cmp half.json wide.json
}

@test "exports of it are those of the same numbers in F32" {
    for b in half wide; do
        mf-assemble --quiet --config llama.yaml --set router.kind=hidden -o $b.safetensors llama.$b.tar llama.$b.{0,1}.tar
        for type in f32 bf16; do
            mf-export hf --quiet --type $type -m $b.safetensors -t tokenizer.json -o $b.$type
            mf-export gguf --quiet --type $type -m $b.safetensors -t tokenizer.json -o $b.$type.gguf
            mf-cat --stats $b.$type/model.safetensors | grep -v sha256 > $b.$type.list
            mf-cat --stats $b.$type.gguf | grep -v sha256 > $b.$type.keys
        done
    done
    for file in f32.list bf16.list f32.keys bf16.keys; do cmp half.$file wide.$file; done
}

@test "a NaN or an infinity among the halves is refused, with its file and tensor" {
    for dtype in BF16 F16; do
        edit_bundle llama.half.tar bad.tar "$STORED"'
name = [t["name"] for t in m["tensors"] if t["dtype"] == "'$dtype'" and len(t["shape"]) == 2][-1]
for t in m["tensors"]:
    if t["name"] == name:
        raw = data[name + "." + t["dtype"].lower()]
        raw[6:8] = bytes_of([float("inf")], t["dtype"]) if t["dtype"] == "BF16" else b"\x01\xfe"
        t["sha256"] = hashlib.sha256(raw).hexdigest()'
        name=$(tar xOf bad.tar manifest.json | jq -r "[.tensors[] | select(.dtype == \"$dtype\" and (.shape | length) == 2)][-1].name")
        edit_bundle llama.half.0.tar e.tar "m['shared_sha256'] = '$(tar xOf bad.tar manifest.json | sha256sum | cut -c 1-64)'"
        run mf-assemble --quiet --config llama.yaml --set assemble.anchor=true -o m.safetensors bad.tar e.tar
        assert_failure 65
        assert_output "mf-assemble: bad.tar: tensor $name holds a NaN or infinity"
        [ ! -e m.safetensors ]
    done
}

@test "halves of a bundle that do not stay in memory are halves in the scratch file" {
    random=(/usr/bin/python3 "$MF_ROOT/tests/oracle/random_model.py")
    "${random[@]}" shared --V 2000 --D 128 --F 512 --L 3 -o random.tar
    "${random[@]}" tokens --V 2000 -o t.mf a=17 b=40
    edit_bundle random.tar half.tar "$STORED"'
store(lambda i, t: "F16" if i % 3 == 0 else "BF16")'
    edit_bundle half.tar wide.tar "$STORED"'
store(lambda i, t: "F32")'
    for b in half wide; do
        run mf-eval perplexity -m $b.tar --max-memory 1 --json t.mf
        [[ $output =~ least\ ([0-9]+) ]]
        measure=(mf-eval perplexity --quiet -m $b.tar --max-memory "${BASH_REMATCH[1]}000000" --json t.mf)
        "${measure[@]}" > $b.json
        run "-$([ $b = half ] && echo 0 || echo 74)" bash -c 'ulimit -f 2000; "$@"' - "${measure[@]}"
    done
    cmp half.json wide.json
}
