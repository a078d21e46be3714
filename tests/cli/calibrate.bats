# Calibration: it helps where it can, says so where it cannot, and leaves the experts alone.
load ../helper

make_random() {
    /usr/bin/python3 "$MF_ROOT/tests/oracle/random_model.py" "$@"
}

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    make_tokens 200 5
    make_pieces --set train_expert.steps=150 --set train_expert.lr=0.01
    for kind in prefix hidden; do
        mf-assemble --quiet --config "$TINY" --set router.kind=$kind -o $kind.safetensors shared.tar expert.?.tar
    done
}

setup() { link_made; }

calibrate() {
    mf-calibrate --quiet --config "$TINY" --set calibrate.max_tokens=12000 "$@"
}

# The hash of a model's tensors that are never trained again, or of those whose names hold a word.
experts_of() { # MODEL [WORD]
    /usr/bin/python3 - "$@" <<'PY'
import hashlib, json, struct, sys
data = open(sys.argv[1], "rb").read()
n = struct.unpack("<Q", data[:8])[0]
header, body = json.loads(data[8 : 8 + n]), data[8 + n :]
digest = hashlib.sha256()
words = sys.argv[2:] or [".experts.", "attention", "embedding"]
for name in sorted(k for k in header if any(word in k for word in words)):
    begin, end = header[name]["data_offsets"]
    digest.update(name.encode() + body[begin:end])
print(digest.hexdigest())
PY
}

# Sets every gate of a model to an expression of e (expert), d (column), D, old (its numbers) and h (mean input of the
# layer's experts).
edit_gates() { # MODEL TARGET EXPRESSION [BIAS: how many times h is added to the norm's bias]
    /usr/bin/python3 - "$1" "$2" "$3" "${4:-0}" expert.?.tar <<'PY'
import json, struct, sys, tarfile
source, target, value, bias = sys.argv[1:5]
experts = [tarfile.open(path) for path in sys.argv[5:]]
data = bytearray(open(source, "rb").read())
n = struct.unpack("<Q", data[:8])[0]
header = json.loads(data[8 : 8 + n])
for name, entry in header.items():
    gate, norm = name.endswith("router.gate.weight"), name.startswith("moe_layers.") and name.endswith("ffn_norm.bias")
    if gate or norm:
        E, D = entry["shape"] if gate else [1] + entry["shape"]
        member = "stats.ffn_in.%s.mean.f32" % name.split(".")[1]
        h = [sum(x) / len(experts) for x in zip(*(struct.unpack("<%df" % D, t.extractfile(member).read()) for t in experts))]
        at = 8 + n + entry["data_offsets"][0]
        old = struct.unpack_from("<%df" % (E * D), data, at)
        new = [eval(value) if gate else old[d] + float(bias) * h[d] for e in range(E) for d in range(D)]
        data[at : at + 4 * E * D] = struct.pack("<%df" % (E * D), *new)
open(target, "wb").write(data)
PY
}

@test "the held-out loss never rises, the experts stay bit for bit, and the report says what was tried" {
    for kind in prefix hidden; do
        calibrate -m $kind.safetensors --report r.json -o c.safetensors val.labelled.mf
        jq -e '.loss_after <= .loss_before' r.json
        jq -e '.changes | length > 5' r.json
        assert_equal "$(experts_of c.safetensors)" "$(experts_of $kind.safetensors)"
        run mf-eval perplexity -m c.safetensors test.mf
        assert_success
        mf-cat c.safetensors | head -n 1 | grep -q calibration
    done
}

@test "documents that change their subject give the router a short memory; without them there is no reason for one" {
    for changes in 0 0.2; do
        calibrate --set calibrate.changes=$changes -m prefix.safetensors --report r.json -o c.safetensors val.labelled.mf
        mf-cat c.safetensors | head -n 1 | jq '.router | fromjson | .decay' > decay.$changes
        jq '[.changes[] | select(.kept and (.what | startswith("decay")))] | length' r.json > kept.$changes
        jq -e '.loss_after <= .loss_before' r.json
    done
    assert_equal "$(cat decay.0 kept.0)" $'1\n0'
    jq -n -e 'input < 0.96 and input > 0' decay.0.2 kept.0.2
}

@test "the same inputs give the same bytes" {
    calibrate -m prefix.safetensors -o a.safetensors val.labelled.mf
    calibrate -m prefix.safetensors -o b.safetensors < val.labelled.mf
    cmp a.safetensors b.safetensors
}

@test "one expert that takes everything gives the others work again: all gates zero" {
    for k in 1 2; do
        mf-assemble --quiet --config "$TINY" --set router.kind=hidden --set model.top_k=$k -o h.safetensors shared.tar expert.?.tar
        edit_gates h.safetensors bad.safetensors 0.0
        mf-eval routing --json -m bad.safetensors test.mf > bad.json # equal logits: the lowest index
        jq -e --argjson k $k 'all(.layers[]; .shares == [range(5) | if . < $k then 1 / $k else 0 end] and [.dead[].expert] == [range($k; 5)])' bad.json
        calibrate --set calibrate.norms=false -m bad.safetensors --report r.json -o good.safetensors val.labelled.mf
        jq -e '.loss_after < .loss_before' r.json
        after=$(mf-eval routing --json -m good.safetensors test.mf | jq '[.layers[].dead | length] | add')
        [ "$after" -lt $((2 * (5 - k))) ]
        assert_equal "$(experts_of good.safetensors)" "$(experts_of bad.safetensors)"
    done
}

@test "one expert that takes everything: its gate far above the others" {
    for k in 1 2; do
        mf-assemble --quiet --config "$TINY" --set router.kind=hidden --set model.top_k=$k -o h.safetensors shared.tar expert.?.tar
        edit_gates h.safetensors bad.safetensors '1e3 * h[d] if e == 0 else -1e3 * h[d]' 4
        mf-eval routing --json -m bad.safetensors test.mf > bad.json
        jq -e --argjson k $k 'all(.layers[]; .shares[0] > 0.99 / $k and (.shares | add) > 0.9999 and (.dead | length) == 5 - $k)' bad.json
        calibrate -m bad.safetensors --report r.json -o good.safetensors val.labelled.mf
        jq -e '.loss_after < .loss_before' r.json
        mf-eval routing --json -m good.safetensors test.mf > good.json
        jq -e --argjson k $k 'any(.layers[]; .shares[0] < 0.9 / $k) and ([.layers[].dead | length] | add) < 2 * (5 - $k)' good.json
        assert_equal "$(experts_of good.safetensors)" "$(experts_of bad.safetensors)"
    done
    # what is still idle is reported
    calibrate --set calibrate.router=keep -m bad.safetensors --report r.json -o same.safetensors val.labelled.mf
    jq -e '.notes | any(. == "layer 0: expert 2 still gets no token") and any(. == "layer 1: expert 2 still gets no token")' r.json
    # documents without a partition are labelled by the expert that predicts them best
    calibrate -m bad.safetensors --report r.json -o good.safetensors val.mf
    jq -e '.loss_after <= .loss_before' r.json
    jq -e '.notes | any(contains("predicts them best"))' r.json
}

@test "among copies of one expert there is nothing to choose: the gate stays, and that is said" {
    for e in 0 1 2 3 4; do edit_bundle expert.1.tar copy.$e.tar "m['partition'] = $e"; done
    mf-assemble --quiet --config "$TINY" --set router.kind=hidden -o same.safetensors shared.tar copy.?.tar
    run mf-calibrate --config "$TINY" --set calibrate.norms=false -m same.safetensors -o c.safetensors val.labelled.mf
    assert_success
    assert_output --partial "gates stay as they were"
    before=$(loss same.safetensors)
    after=$(loss c.safetensors)
    awk "BEGIN { d = ($before - $after) / $before; exit !(d < 1e-6 && d > -1e-6) }"
    # whatever the norms gain
    run mf-calibrate --config "$TINY" -m same.safetensors -o n.safetensors val.labelled.mf
    assert_success
    assert_output --partial "gates stay as they were"
    for model in c n; do
        assert_equal "$(experts_of $model.safetensors router)" "$(experts_of same.safetensors router)"
        assert_equal "$(experts_of $model.safetensors)" "$(experts_of same.safetensors)"
    done
}

@test "trained gates go further than those in closed form, and no expert changes" {
    calibrate --threads 2 --set calibrate.norms=false --set calibrate.router=train --set calibrate.steps=40 --set calibrate.lr=0.02 \
        -m hidden.safetensors --report r.json -o trained.safetensors val.labelled.mf
    jq -e '[.changes[] | select(.what | startswith("gates trained"))] | length == 4' r.json
    # those in closed form: each layer's anew, from the bottom, once the gates below it are fitted
    jq -e '[.changes[].what | select(test("^layer 1: (ridge|discriminant) gate$"))] | length == 2' r.json
    jq -e '.changes | map(select(.kept)) | last | .what | startswith("gates trained")' r.json
    jq -e '.loss_after == ([.changes[] | select(.kept).loss] | min)' r.json
    assert_equal "$(experts_of trained.safetensors)" "$(experts_of hidden.safetensors)"
    before=$(loss hidden.safetensors)
    after=$(loss trained.safetensors)
    awk "BEGIN { exit !($after < $before) }"
}

@test "gates that are sure without reason are brought to a better temperature, and stay the same gates" {
    edit_gates hidden.safetensors hot.safetensors '((7 * e + 13 * d) % 11 - 5) / 2'
    calibrate --set calibrate.router=temperature --set calibrate.norms=false -m hot.safetensors --report r.json -o cool.safetensors val.labelled.mf
    jq -e '.loss_after < .loss_before and all(.changes[]; .what | startswith("old gates, scale"))' r.json
    scale=$(jq '.changes | map(select(.kept)) | last | .what | split(" ") | last | tonumber' r.json)
    edit_gates hot.safetensors expected.safetensors "$scale * old[e * D + d]"
    /usr/bin/python3 - <<'PY'
import array, json, struct
def gates(path):
    data = open(path, "rb").read()
    n, = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + n])
    return [array.array("f", data[8 + n + b : 8 + n + e]) for b, e in (header[k]["data_offsets"] for k in sorted(header) if "router.gate" in k)]
ours, expected = gates("cool.safetensors"), gates("expected.safetensors")
assert len(ours) == 2 and all(abs(x - y) <= 1e-5 * abs(y) for a, b in zip(ours, expected) for x, y in zip(a, b))
PY
}

@test "gates that choose one expert are trained too, by the loss and not by the balance alone" {
    mf-assemble --quiet --config "$TINY" --set router.kind=hidden --set model.top_k=1 -o one.safetensors shared.tar expert.?.tar
    calibrate --threads 2 --set calibrate.norms=false --set calibrate.router=train --set calibrate.steps=40 --set calibrate.lr=0.02 \
        --set calibrate.balance=0 -m one.safetensors --report r.json -o trained.safetensors val.labelled.mf
    jq -e '.changes | map(select(.kept)) | last | .what | startswith("gates trained")' r.json
    mf-cat trained.safetensors | head -n 1 | jq -e '.config | fromjson | .top_k == 1'
    before=$(loss one.safetensors)
    after=$(loss trained.safetensors)
    awk "BEGIN { exit !($after < $before) }"
}

@test "training follows seed and config, and nothing else" {
    train() { # OUTPUT [OPTION]...
        calibrate --threads 2 --set calibrate.norms=false --set calibrate.router=train --set calibrate.steps=1 \
            --set calibrate.max_tokens=3000 -m hidden.safetensors -o "$@" val.labelled.mf
    }
    train a.safetensors
    train b.safetensors --seed 1
    cmp a.safetensors b.safetensors
    for other in seed=3 calibrate.noise=false calibrate.balance=0.5; do
        train b.safetensors --set $other
        run cmp a.safetensors b.safetensors
        assert_failure
    done
}

@test "both halves have documents where there are two, and a long one is cut" {
    make_random model -o small.safetensors
    # by the hash of the ids alone both fall into one half
    for ids in "a=17 c=9" "d=2 e=40" "a=3 b=2"; do
        make_random tokens -o two.mf $ids
        calibrate -m small.safetensors --report r.json -o x.safetensors two.mf
        # one is held out: whatever a change gains may be chance, so that none is tried
        jq -e '.calibrated and .loss_after == .loss_before and .changes == []' r.json
        jq -e '.notes | any(contains("one document is held out"))' r.json
    done
    make_random tokens -o one.mf a=40
    calibrate -m small.safetensors --report r.json -o x.safetensors one.mf
    jq -e '.calibrated and .loss_after == .loss_before and (.changes | all(.kept | not))' r.json
    calibrate -m small.safetensors -o y.safetensors one.mf
    cmp x.safetensors y.safetensors
    for n in 2 20 200 1500; do
        calibrate --set calibrate.max_tokens=$n -m prefix.safetensors --report r.json -o x.safetensors val.labelled.mf
        jq -e '.loss_after <= .loss_before' r.json
    done
}

@test "with too little to calibrate the model is as it was, and one line says what helps" {
    make_random model -o small.safetensors
    make_random tokens -o one.mf a=7
    make_random tokens -o none.mf
    for tokens in one none; do
        run --separate-stderr mf-calibrate -m small.safetensors --report r.json -o x.safetensors $tokens.mf
        assert_success
        assert_equal "${#stderr_lines[@]}" 1
        [[ $stderr == "mf-calibrate: not calibrated: $tokens.mf: too few tokens "*"; a larger docs.val_fraction helps" ]]
        jq -e '.calibrated == false and .loss_before == null and (.notes | length) == 1' r.json
        assert_equal "$(experts_of x.safetensors .)" "$(experts_of small.safetensors .)"
    done
    run --separate-stderr mf-calibrate --set calibrate.max_tokens=2 -m prefix.safetensors -o x.safetensors val.labelled.mf
    assert_success
    [[ $stderr == *"; a larger calibrate.max_tokens helps" ]]
}

@test "each way to fail has its status, and leaves no output" {
    run calibrate -o x.safetensors val.mf
    assert_failure 64
    run calibrate -m nothing.safetensors -o x.safetensors val.mf
    assert_failure 66
    run calibrate -m shared.tar -o x.safetensors val.mf
    assert_failure 65
    assert_output --partial "not an assembled model"
    # that is said before tokens are read
    for program in "mf-calibrate -o x.safetensors" "mf-eval routing"; do
        run $program -m shared.tar nothing.mf
        assert_failure 65
        assert_output "${program%% -o*}: shared.tar: not an assembled model: there is no router"
    done
    run calibrate -m prefix.safetensors -o x.safetensors --report x.safetensors val.mf
    assert_failure 64
    assert_output "mf-calibrate: x.safetensors is both --output and --report"
    run calibrate -m prefix.safetensors --set calibrate.ridge=-1 -o x.safetensors val.mf
    assert_failure 78
    run calibrate -m prefix.safetensors -o no/x.safetensors val.mf
    assert_failure 73
    make_random tokens -o other.mf a=17
    run calibrate -m prefix.safetensors -o x.safetensors other.mf
    assert_failure 65
    [ ! -e x.safetensors ]
}
