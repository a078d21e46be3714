# Joining pieces: what the model holds, and pieces that do not belong together.
load ../helper

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    make_tokens
    make_pieces
}

setup() { link_made; }

assemble() {
    mf-assemble --quiet --config "$TINY" "$@"
}

# Refused with one line that holds all of the words, and no model left.
refuses() {
    local words=$1
    shift
    run assemble -o bad.safetensors "$@"
    assert_failure 65
    [ "${#lines[@]}" -eq 1 ]
    for word in $words; do assert_output --partial "$word"; done
    [ ! -e bad.safetensors ]
    [ -z "$(ls -A | grep tmp)" ]
    # before the first byte, but for what only the tensors' bytes show: a wrong hash, a NaN
    assemble "$@" > piped 2> /dev/null || true
    [ ! -s piped ] || [[ "$*" == *@(rot|nan).tar* ]]
}

@test "the model holds every tensor of the reference, and says which expert is which" {
    assemble -o m.safetensors shared.tar expert.2.tar expert.0.tar
    mf-cat m.safetensors > m.json
    for name in shared.token_embedding.weight shared.pos_encoding.pe shared.lm_head.weight shared.output_norm.bias \
        shared.transformer_blocks.1.attention.qkv_proj.weight moe_layers.1.router.gate.weight \
        moe_layers.0.router.noise_weight.weight moe_layers.1.experts.1.fc2.bias moe_layers.0.ffn_norm.weight; do
        grep -q "\"$name\"" m.json || fail "no $name"
    done
    metadata=$(head -n 1 m.json | jq -c '.metadata // .__metadata__ // .')
    experts=$(jq -r '.experts' <<< "$metadata")
    assert_equal "$(jq -c '[.[].partition]' <<< "$experts")" "[2,0]"
    assert_equal "$(jq -r '.[0].file' <<< "$experts")" expert.2.tar
    assert_equal "$(jq -r '.config' <<< "$metadata" | jq -c '[.n_experts,.top_k,.d_model]')" "[2,2,32]"
    run mf-eval perplexity -m m.safetensors test.mf
    assert_success
}

@test "assembly is the same bytes again, also through a pipe" {
    assemble -o a.safetensors shared.tar expert.0.tar expert.1.tar expert.2.tar
    assemble shared.tar expert.0.tar expert.1.tar expert.2.tar > b.safetensors
    cmp a.safetensors b.safetensors
    assemble --threads 4 -o c.safetensors shared.tar expert.0.tar expert.1.tar expert.2.tar
    cmp a.safetensors c.safetensors
}

@test "every router kind and init makes a model that can be measured" {
    for kind in hidden prefix; do
        for init in uniform kaiming data_stats; do
            assemble --set router.kind=$kind --set router.init=$init -o $kind.$init shared.tar expert.0.tar expert.1.tar
            run mf-eval perplexity -m $kind.$init test.mf
            assert_success
        done
    done
    run cmp -s hidden.uniform hidden.kaiming
    assert_failure
}

@test "one expert alone is a model, and measures as the expert does" {
    assemble --set model.top_k=1 -o one.safetensors shared.tar expert.1.tar
    model=$(mf-eval perplexity --json -m one.safetensors test.mf | jq .perplexity)
    expert=$(mf-eval perplexity --json -m shared.tar -e expert.1.tar test.mf | jq .perplexity)
    awk "BEGIN { d = ($model - $expert) / $expert; exit !(d < 1e-3 && d > -1e-3) }"
    run assemble -o bad.safetensors shared.tar expert.1.tar
    assert_failure 78
    assert_output --partial "top_k is 2"
}

@test "an expert of another width is refused" {
    edit_bundle expert.1.tar wide.tar 'm["config"]["d_ff"] = 128'
    refuses "wide.tar: d_ff 128 64 shared.tar" shared.tar expert.0.tar wide.tar
}

@test "positions of another scale are refused, and bundles that give none have scale 1" {
    edit_bundle expert.1.tar far.tar 'm["config"]["position_scale"] = 2'
    refuses "far.tar: position_scale 2 0.0282843 shared.tar" shared.tar expert.0.tar far.tar
    for bad in -1 1e300 '"large"'; do
        edit_bundle expert.1.tar bad.tar "m['config']['position_scale'] = $bad"
        refuses "bad.tar: position_scale must be a number" shared.tar expert.0.tar bad.tar
    done
    edit_bundle shared.tar one.tar 'm["config"]["position_scale"] = 1'
    edit_bundle shared.tar none.tar 'del m["config"]["position_scale"]'
    mf-eval perplexity --json -m one.tar test.mf > one.json
    mf-eval perplexity --json -m none.tar test.mf > none.json
    mf-eval perplexity --json -m shared.tar test.mf > shared.json
    cmp one.json none.json
    run cmp -s one.json shared.json
    assert_failure
}

@test "an expert with one layer fewer is refused" {
    edit_bundle expert.1.tar flat.tar 'm["config"]["n_layers"] = 1'
    refuses "flat.tar: n_layers 1 2" shared.tar expert.0.tar flat.tar
    edit_bundle expert.1.tar less.tar 'gone = m["tensors"].pop(); del data[gone["name"] + ".i64"]'
    refuses "less.tar: missing token_counts" shared.tar expert.0.tar less.tar
}

@test "an expert trained against another shared bundle is refused" {
    mf-train-shared --quiet --config "$TINY" --seed 5 --set train_shared.steps=3 --set train_shared.warmup=1 -o other.tar train.mf
    assemble --dense -o other.safetensors other.tar
    hashes=$(jq -nr --argjson m "$(mf-cat other.safetensors | head -n 1)" '$m.shared_sha256[:12]'; tar xOf expert.0.tar manifest.json | jq -r '.shared_sha256[:12]')
    refuses "expert.0.tar: other.tar $hashes" other.tar expert.0.tar expert.1.tar
}

@test "an expert of another vocabulary is refused" {
    edit_bundle expert.1.tar words.tar 'm["config"]["vocab_size"] += 100'
    size=$(tar xOf shared.tar manifest.json | jq .config.vocab_size)
    refuses "words.tar: vocab_size $((size + 100)) $size shared.tar" shared.tar expert.0.tar words.tar
}

@test "an expert with another tokenizer of the same size is refused" {
    edit_bundle expert.1.tar talk.tar 'm["tokenizer_sha256"] = "0" * 64'
    refuses "talk.tar: tokenizer 000000000000" shared.tar expert.0.tar talk.tar
}

# A copy of a bundle in which the bytes of one tensor became those of the Python expression on b, of another dtype.
retype() { # SOURCE TARGET TENSOR DTYPE EXPRESSION
    edit_bundle "$1" "$2" "
t = next(t for t in m['tensors'] if t['name'] == '$3')
t['dtype'] = '$4'
b = data['$3.f32']
b = bytearray($5)
t['sha256'] = hashlib.sha256(b).hexdigest()
data = {(k[:-3] + '$4'.lower() if k == '$3.f32' else k): (b if k == '$3.f32' else v) for k, v in data.items()}"
}

@test "a tensor in BF16 stays so and says what the same numbers in F32 say; one of whole numbers is refused" {
    retype expert.1.tar half.tar layers.0.fc1.weight BF16 'b"".join(b[i + 2 : i + 4] for i in range(0, len(b), 4))'
    retype expert.1.tar whole.tar layers.0.fc1.weight F32 'b"".join(b"\0\0" + b[i + 2 : i + 4] for i in range(0, len(b), 4))'
    for e in half whole; do mf-assemble --quiet --config "$TINY" -o $e.safetensors shared.tar expert.0.tar $e.tar; done
    for e in half whole; do mf-eval logits -m $e.safetensors -o $e.f32 test.mf; done
    cmp half.f32 whole.f32
    assert_equal "$(mf-cat half.safetensors | jq -r 'select(.dtype == "BF16") | .name')" moe_layers.0.experts.1.fc1.weight
    retype expert.1.tar int.tar layers.0.fc1.weight I64 'b + b'
    refuses "int.tar: layers.0.fc1.weight I64 F32" shared.tar expert.0.tar int.tar
    retype expert.1.tar nan.tar layers.0.fc1.weight BF16 'b[: len(b) // 2 - 2] + b"\xc0\x7f"'
    refuses "nan.tar: layers.0.fc1.weight NaN" shared.tar expert.0.tar nan.tar
}

@test "bytes that do not match their hash are refused, and the model does not get its name" {
    edit_bundle expert.1.tar rot.tar 'data["layers.1.fc2.weight.f32"][17] ^= 1'
    hashes=$(for e in rot expert.1; do tar xOf $e.tar layers.1.fc2.weight.f32 | sha256sum | cut -c1-12; done)
    refuses "rot.tar: layers.1.fc2.weight $hashes" shared.tar expert.0.tar rot.tar
    # of several, the first is named, whichever of the threads was there before the others
    edit_bundle expert.2.tar worse.tar 'data["layers.0.fc1.weight.f32"][0] ^= 1'
    for _ in 1 2 3 4 5; do refuses "rot.tar: layers.1.fc2.weight" --threads 4 shared.tar rot.tar expert.0.tar worse.tar; done
}

@test "a tensor whose name only resembles that of a statistic is left alone" {
    edit_bundle expert.1.tar more.tar '
t = dict(next(t for t in m["tensors"] if t["name"] == "stats.ffn_in.0.mean"))
other = data["layers.0.norm.weight.f32"]
t.update(name="stats.ffn_in.00.mean", sha256=hashlib.sha256(other).hexdigest())
m["tensors"].append(t)
data[t["name"] + ".f32"] = other'
    for expert in expert.1 more; do
        assemble --set router.kind=hidden --set router.init=data_stats -o $expert.safetensors shared.tar expert.0.tar $expert.tar
        mf-cat --stats $expert.safetensors | grep router.gate > $expert.gates
    done
    diff expert.1.gates more.gates
}

# A copy of a bundle in which a number of a tensor is another.
spoil() { # SOURCE TARGET TENSOR PLACE NUMBER
    edit_bundle "$1" "$2" "
import struct
numbers = data['$3.f32']
numbers[4 * $4 : 4 * $4 + 4] = struct.pack('<f', float('$5'))
next(t for t in m['tensors'] if t['name'] == '$3')['sha256'] = hashlib.sha256(numbers).hexdigest()"
}

@test "a weight that is a NaN or an infinity is refused, with its file and tensor" {
    spoil expert.1.tar nan.tar layers.1.fc2.weight 77 nan
    refuses "nan.tar: layers.1.fc2.weight NaN" shared.tar expert.0.tar nan.tar
    refuses "nan.tar: layers.1.fc2.weight NaN" --average shared.tar expert.0.tar nan.tar
    refuses "/dev/fd/ layers.1.fc2.weight" shared.tar expert.0.tar <(cat nan.tar)
    spoil expert.1.tar stats.nan.tar stats.ffn_in.0.mean 0 inf
    refuses "stats.nan.tar: stats.ffn_in.0.mean infinity" shared.tar expert.0.tar stats.nan.tar
    spoil shared.tar backbone.nan.tar shared.token_embedding.weight 400 -inf
    refuses "backbone.nan.tar: shared.token_embedding.weight" --dense backbone.nan.tar
    spoil shared.tar dense.nan.tar dense_ffn.0.fc1.bias 5 nan
    refuses "dense.nan.tar: dense_ffn.0.fc1.bias" --dense dense.nan.tar
}

@test "a shared bundle where an expert belongs, and the other way round, is refused" {
    refuses "shared.tar: shared expert" shared.tar expert.0.tar shared.tar
    refuses "expert.0.tar: expert shared" expert.0.tar expert.1.tar expert.2.tar
}

@test "the same expert twice is refused, under another name too" {
    cp expert.0.tar copy.tar
    refuses "copy.tar: same expert.0.tar" shared.tar expert.0.tar expert.1.tar copy.tar
}

@test "each way to fail has its status" {
    run mf-assemble shared.tar
    assert_failure 64
    run assemble -o x.safetensors shared.tar nothing.tar expert.0.tar
    assert_failure 66
    run assemble -o no/x.safetensors shared.tar expert.0.tar expert.1.tar
    assert_failure 73
    run assemble --set router.init=best -o x.safetensors shared.tar expert.0.tar expert.1.tar
    assert_failure 78
    head -c 5000 expert.0.tar > cut.tar
    refuses "cut.tar" shared.tar expert.1.tar cut.tar
}

@test "memory does not grow with the number of experts" {
    own_memory_only
    edit_bundle expert.1.tar many.10.tar 'm["partition"] = 10'
    for e in $(seq 11 73); do LC_ALL=C sed "s/\"partition\": 10/\"partition\": $e/" many.10.tar > many.$e.tar; done
    few=$(mf-assemble --config "$TINY" -o few.safetensors shared.tar many.1[01].tar 2>&1 | grep -o 'memory [0-9.]*' | cut -d' ' -f2)
    many=$(mf-assemble --config "$TINY" -o many.safetensors shared.tar many.*.tar 2>&1 | grep -o 'memory [0-9.]*' | cut -d' ' -f2)
    mf-cat many.safetensors | head -n 1 | jq -e '.experts | fromjson | length == 64'
    echo "2 experts $few MB, 64 experts $many MB"
    awk "BEGIN { exit !($many < $few + 2 && $many < 16) }"
}

@test "pieces may be pipes" {
    assemble -o files.safetensors shared.tar expert.0.tar expert.1.tar
    assemble -o pipes.safetensors <(cat shared.tar) <(cat expert.0.tar) - < <(cat expert.1.tar)
    # the same but for the files' names in the metadata
    tensors() { mf-cat "$1" | tail -n +2; }
    diff <(tensors files.safetensors) <(tensors pipes.safetensors)
    near "$(loss files.safetensors)" "$(loss pipes.safetensors)" 1e-3
    run -65 assemble -o bad.safetensors shared.tar expert.0.tar <(head -c 5000 expert.1.tar)
    [ ! -e bad.safetensors ]
    [[ $output != *proc/self* ]]
}

@test "experts are left out, taken in and put in order by their partitions" {
    assemble -o two.safetensors shared.tar expert.2.tar expert.0.tar
    assemble -o chosen.safetensors --experts 2,0 shared.tar expert.0.tar expert.1.tar expert.2.tar
    cmp two.safetensors chosen.safetensors
    assemble -o all.safetensors shared.tar expert.0.tar expert.1.tar expert.2.tar
    assemble -o again.safetensors --experts 0,1,2 shared.tar expert.2.tar expert.1.tar expert.0.tar
    cmp all.safetensors again.safetensors
    refuses "partition 7 3" --experts 0,7 shared.tar expert.0.tar expert.1.tar expert.2.tar
    run -64 assemble --experts 1,0,1 -o none shared.tar expert.0.tar expert.1.tar
    assert_output "mf-assemble: --experts: 1 is there twice"
    run -64 assemble --experts 0,x shared.tar expert.0.tar
    run -64 assemble --experts 0, shared.tar expert.0.tar
    run -78 assemble --experts 0 shared.tar expert.0.tar expert.1.tar
}

@test "top_k is judged by the experts that are there" {
    for e in 1 2; do edit_bundle "expert.$e.tar" "more.$e.tar" 'm["note"] = "another"'; done
    assemble --set model.top_k=5 -o five.safetensors shared.tar expert.?.tar more.?.tar
    assert_equal "$(mf-cat five.safetensors | head -n 1 | jq -r .config | jq .top_k)" 5
    run -78 --separate-stderr assemble --set model.top_k=3 -o none.safetensors shared.tar expert.0.tar expert.1.tar
    [[ $stderr == *"model.top_k is 3, above the number of experts given, 2" ]]
    [ ! -e none.safetensors ]
    mf-assemble --quiet --set model.n_experts=1 -o both.safetensors shared.tar expert.0.tar expert.1.tar
    assert_equal "$(mf-cat both.safetensors | head -n 1 | jq -r .config | jq .top_k)" 2
    assemble --set model.top_k=3 --set model.n_experts=3 --dense -o dense.safetensors shared.tar
}

@test "a list of names is as good as a command line" {
    assemble -o all.safetensors shared.tar expert.0.tar expert.1.tar expert.2.tar
    cp expert.2.tar "expert 2, the last.tar"
    printf '%s\n' expert.1.tar '' "expert 2, the last.tar" > names
    assemble -o listed.safetensors --experts 0,1,2 shared.tar expert.0.tar --list names
    cmp <(tail -c 10000 all.safetensors) <(tail -c 10000 listed.safetensors)
    printf '%s\n' shared.tar expert.0.tar expert.1.tar expert.2.tar | assemble --list - | cmp - all.safetensors
    printf 'shared.tar\nexpert.0.tar\nmissing.tar' > names
    run --separate-stderr -66 assemble -o none.safetensors --list names
    [[ $stderr == "mf-assemble: missing.tar: "* ]]
    printf 'shared.tar\n\0expert.0.tar\n' > names
    refuses "names zero" --list names
    run -66 assemble --list missing shared.tar
    run -64 assemble --list /dev/null shared.tar
}

@test "a report takes its lists of files from files too" {
    assemble -o m.safetensors shared.tar expert.0.tar expert.1.tar
    mf-train-shared --quiet --config "$TINY" --set train_shared.steps=2 --set train_shared.warmup=0 \
        --metrics "the metrics" -o other.tar train.mf
    mf-time -o stage.json -- true
    report=(mf-eval report --quiet --config "$TINY" -m m.safetensors -t tokenizer.json -s shared.tar)
    "${report[@]}" -e expert.0.tar -e expert.1.tar --metrics "the metrics" --stage stage.json -o given.json test.mf
    echo expert.1.tar > experts
    echo "the metrics" > metrics
    echo stage.json > stages
    "${report[@]}" -e expert.0.tar --expert-list experts --metrics-list metrics --stage-list stages -o listed.json test.mf
    same='del(.memory, .stages[-1])'
    assert_equal "$(jq -S "$same" listed.json)" "$(jq -S "$same" given.json)"
    assert_equal "$(jq '[(.perplexity.experts | length), (.training | length), (.stages | length)] | join(" ")' listed.json)" '"2 1 2"'
    run -66 --separate-stderr "${report[@]}" --expert-list missing test.mf
}

@test "a report without test documents says so, and is a report" {
    assemble -o m.safetensors shared.tar expert.0.tar expert.1.tar
    mf-docs --quiet -o none.docs /dev/null
    mf-tokenize encode -t tokenizer.json -o none.mf none.docs
    run --separate-stderr mf-eval report --config "$TINY" -m m.safetensors -t tokenizer.json -s shared.tar -e expert.0.tar -o r.json none.mf
    assert_success
    assert_equal "${#stderr_lines[@]}" 1
    [[ $stderr == *"nothing to measure: none.mf "*"docs.test_fraction"* ]]
    jq -e '.perplexity == {test: null, dense: null, experts: [null], unigram: null} and (.samples | length) > 0' r.json
    mf-eval page -o r.html r.json
    [ -s r.html ]
}

@test "the baselines: the dense FFN, and the mean of the experts" {
    assemble --dense -o dense.safetensors shared.tar
    near "$(loss dense.safetensors)" "$(loss shared.tar)" 1e-3
    assemble --average -o one.safetensors shared.tar expert.1.tar
    near "$(loss one.safetensors)" "$(loss shared.tar -e expert.1.tar)" 1e-3
    assemble --average -o mean.safetensors shared.tar expert.0.tar expert.1.tar expert.2.tar
    /usr/bin/python3 - <<'PY'
import array, json, struct, tarfile
def tensor(path, name):
    f = open(path, "rb")
    size, = struct.unpack("<Q", f.read(8))
    header = json.loads(f.read(size))
    begin, end = header[name]["data_offsets"]
    f.seek(8 + size + begin)
    return array.array("f", f.read(end - begin))
mean = tensor("mean.safetensors", "moe_layers.1.experts.0.fc1.weight")
parts = [array.array("f", tarfile.open(f"expert.{e}.tar").extractfile("layers.1.fc1.weight.f32").read()) for e in range(3)]
assert len(mean) == len(parts[0]) > 0
assert all(abs(m - sum(p) / 3) < 1e-6 for m, *p in zip(mean, *parts))
PY
    run -64 assemble --dense shared.tar expert.0.tar
    run -64 assemble --dense --average shared.tar expert.0.tar
    run -64 assemble --average shared.tar
}

@test "the sizes that docs/scaling.md counts with are those of the files" {
    assemble -o m.safetensors shared.tar expert.{0,1,2}.tar
    PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$MF_ROOT/tests/bench /usr/bin/python3 - <<'PY'
import json, os, struct, tarfile
from scaling import Shape

def tensors(path):
    with tarfile.open(path) as tar:
        return sum(member.size for member in tar if member.name != "manifest.json"), json.load(tar.extractfile("manifest.json"))

size, manifest = tensors("shared.tar")
shape = Shape(manifest["config"])
assert size == shape.shared_bytes(), (size, shape.shared_bytes())
assert tensors("expert.0.tar")[0] == shape.expert_bytes()
with open("m.safetensors", "rb") as f:
    header = struct.unpack("<Q", f.read(8))[0]
    listed = json.loads(f.read(header))
assert os.path.getsize("m.safetensors") - 8 - header == shape.model_bytes(3)
assert len(listed) - 1 == shape.model_tensors(3), len(listed)
PY
}

@test "a NaN is refused with the name of the bundle that has it, by what measures them too" {
    for bad in shared expert.1; do
        edit_bundle $bad.tar bad.tar '
t = [t for t in m["tensors"] if t["dtype"] == "F32"][-1]
raw = data[t["name"] + ".f32"]
raw[4:8] = b"\0\0\xc0\x7f"
t["sha256"] = hashlib.sha256(raw).hexdigest()'
        name=$(tar xOf bad.tar manifest.json | jq -r '[.tensors[] | select(.dtype == "F32")][-1].name')
        components=(-m shared.tar -e bad.tar)
        [ $bad != shared ] || components=(-m bad.tar)
        run -65 mf-eval perplexity "${components[@]}" test.mf
        assert_output "mf-eval perplexity: bad.tar: tensor $name holds a NaN or infinity"
    done
}
