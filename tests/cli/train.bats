# Training: what comes out, stopping and going on, what stays frozen, and what is refused.
load ../helper

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    make_tokens
}

setup() { link_made; }

shared() {
    mf-train-shared --quiet --config "$TINY" -v val.mf "$@" train.mf
}

# The same, broken off by a signal when it writes its checkpoint, which is there, for the Nth time again.
shared_struck() { # SIGNAL CHECKPOINT N [OPTION]...
    strike "$1" "$2" "$3" mf-train-shared --quiet --config "$TINY" --threads 1 -v val.mf "${@:4}" train.mf
}

# A step's numbers that must not differ from run to run.
curve() {
    mf-cat "$1" | jq -c 'select(.step) | [.step, .loss, .lr, .grad_norm, .val_loss]'
}

@test "shared training learns and says so in its metrics" {
    run --separate-stderr mf-train-shared --config "$TINY" -v val.mf --metrics m.mf -o s.tar train.mf
    assert_success
    [[ $stderr == *"60 of 60 steps"* ]]
    curve m.mf > curve
    assert_equal "$(wc -l < curve)" 60
    first=$(head -n 1 curve | jq '.[1]')
    last=$(tail -n 1 curve | jq '.[1]')
    awk "BEGIN { exit !($last < 0.8 * $first) }"
    # warmup is linear, then the rate falls
    assert_equal "$(sed -n 5p curve | jq '.[2]')" 0.01
    assert_equal "$(sed -n 60p curve | jq '.[2]')" 0.001
    [ ! -e s.tar.ckpt ]
    run bash -c 'tar tf s.tar | head -n 2'
    assert_line -n 0 manifest.json
    assert_line -n 1 shared.token_embedding.weight.f32
}

@test "the same inputs give the same bytes, another seed others" {
    shared -o a.tar
    shared -o b.tar
    cmp a.tar b.tar
    shared --seed 2 -o c.tar
    run cmp -s a.tar c.tar
    assert_failure
}

@test "stopped by SIGINT and by SIGKILL and resumed, a training ends with the same bytes" {
    long=(--threads 1 --set train_shared.steps=600 --set train_shared.checkpoint_every=90)
    shared "${long[@]}" --metrics whole.mf -o whole.tar
    run -130 shared_struck INT s.tar.ckpt 2 "${long[@]}" --metrics m.mf -o s.tar
    [ ! -e s.tar ]
    [ -e s.tar.ckpt ]
    run -137 shared_struck KILL s.tar.ckpt 3 "${long[@]}" --metrics m.mf --resume -o s.tar
    [ ! -e s.tar ]
    shared "${long[@]}" --metrics m.mf --resume -o s.tar
    cmp whole.tar s.tar
    curve whole.mf > whole.curve
    curve m.mf > m.curve
    cmp whole.curve m.curve
    [ ! -e s.tar.ckpt ]
    [ ! -e s.tar.ckpt.best ]
    [ -z "$(ls -A | grep tmp)" ]
}

@test "a checkpoint of another training is refused, and what differs is named" {
    run -143 shared_struck TERM s.tar.ckpt 1 --set train_shared.steps=5000 -o s.tar
    [ -e s.tar.ckpt ]
    run shared --set train_shared.steps=5000 --resume --seed 9 -o s.tar
    assert_failure 65
    assert_output --partial "seed is 1 there, 9 here"
    run shared --set train_shared.steps=5000 --resume --set model.d_ff=48 -o s.tar
    assert_failure 65
    assert_output --partial "of another training: model.d_ff is 64 there, 48 here"
    run mf-train-shared --quiet --config "$TINY" --set train_shared.steps=5000 --resume -v val.mf -o s.tar test.mf
    assert_failure 65
    assert_output --partial "tokens is"
    # the same text by another tokenizer of the same size
    jq '.model.merges |= (.[:-2] + [.[-1], .[-2]])' tokenizer.json > other.json
    for f in train val; do mf-tokenize encode -t other.json -o other.$f.mf $f.docs; done
    run mf-train-shared --quiet --config "$TINY" --set train_shared.steps=5000 --resume -v other.val.mf -o s.tar other.train.mf
    assert_failure 65
    assert_output --regexp "tokenizer[a-z_0-9]* is"
    [ ! -e s.tar ]
}

@test "frozen means frozen: the shared part of an assembled model is the bundle's, bit for bit" {
    shared -o s.tar
    before=$(sha256sum < s.tar)
    harsh=(--set train_expert.weight_decay=1 --set train_expert.lr=0.1 --set train_expert.steps=50)
    mf-train-expert --quiet --config "$TINY" "${harsh[@]}" -s s.tar -o e0.tar parts/part.0.mp
    mf-train-expert --quiet --config "$TINY" "${harsh[@]}" -s s.tar -o e1.tar parts/part.1.mp
    assert_equal "$(sha256sum < s.tar)" "$before"
    mf-assemble --quiet --config "$TINY" -o m.safetensors s.tar e0.tar e1.tar
    /usr/bin/python3 - <<'PY'
import json, struct, tarfile
data = open("m.safetensors", "rb").read()
n = struct.unpack("<Q", data[:8])[0]
header, body = json.loads(data[8 : 8 + n]), data[8 + n :]
tar, seen = tarfile.open("s.tar"), 0
for member in tar:
    name = member.name[: -len(".f32")]
    if name.startswith("shared."):
        begin, end = header[name]["data_offsets"]
        assert body[begin:end] == tar.extractfile(member).read(), name
        seen += 1
assert seen == 1 + 2 * (4 + 2) + 2, seen
PY
    # nothing of the shared part is in the optimizer's memory
    run -137 strike KILL e2.tar.ckpt 1 mf-train-expert --quiet --config "$TINY" --threads 1 --set train_expert.steps=5000 -s s.tar \
        -o e2.tar parts/part.2.mp
    tar tf e2.tar.ckpt > members
    grep -q 'fc1.weight' members
    refute grep -E 'shared|attention|embedding|output_norm' members
}

@test "with a learning rate of 0 an expert is what it began as" {
    shared -o s.tar
    mf-train-expert --quiet --config "$TINY" --set train_expert.lr=0 --set train_expert.min_lr=0 -s s.tar -o e.tar parts/part.0.mp
    mkdir s e
    tar xf s.tar -C s
    tar xf e.tar -C e
    for i in 0 1; do
        cmp s/dense_ffn.$i.fc1.weight.f32 e/layers.$i.fc1.weight.f32
        cmp s/dense_ffn.$i.fc2.weight.f32 e/layers.$i.fc2.weight.f32
        cmp s/shared.transformer_blocks.$i.ffn_norm.bias.f32 e/layers.$i.norm.bias.f32
    done
}

@test "experts trained at the same time equal experts trained one after the other" {
    shared -o s.tar
    expert() { mf-train-expert --quiet --config "$TINY" -s s.tar -v val.labelled.mf -p "$1" -o "$2" "parts/part.$1.mp"; }
    expert 0 a0.tar
    expert 1 a1.tar
    expert 0 b0.tar & first=$!
    expert 1 b1.tar & wait $first $!
    cmp a0.tar b0.tar
    cmp a1.tar b1.tar
}

@test "an expert writes its statistics" {
    shared -o s.tar
    mf-train-expert --quiet --config "$TINY" -s s.tar --stats st.mf --metrics m.mf -o e.tar parts/part.0.mp
    assert_equal "$(mf-cat st.mf | jq -c 'select(has("layer")) | .layer' | tr '\n' ' ')" "0 1 "
    run mf-cat --table e.tar
    assert_output --partial stats.ffn_in.1.square
    assert_output --partial token_counts
}

@test "pieces and tokens that do not belong together are refused" {
    shared -o s.tar
    mf-tokenize train --quiet --vocab-size 390 -o other.json train.docs 2> /dev/null
    mf-tokenize encode -t other.json -o other.mf train.docs
    run mf-train-expert --config "$TINY" -s s.tar -o e.tar other.mf
    assert_failure 65
    assert_output --partial "other.mf: tokenizer is"
    run mf-train-expert --config "$TINY" -s train.mf -o e.tar parts/part.0.mp
    assert_failure 65
    run mf-train-expert --config "$TINY" -s s.tar -v val.mf -p 0 -o e.tar parts/part.0.mp
    assert_failure 65
    assert_output --partial "no partition"
    [ ! -e e.tar ]
}

@test "each way to fail has its status, and leaves no output" {
    run mf-train-expert --config "$TINY" -o x.tar train.mf
    assert_failure 64
    run mf-train-shared --config "$TINY" -o x.tar nothing.mf
    assert_failure 66
    run mf-train-shared --config "$TINY" -o no/folder/x.tar train.mf
    assert_failure 73
    run mf-train-shared --config "$TINY" --set train_shared.steps=0 -o x.tar train.mf
    assert_failure 78
    run mf-train-shared --config "$TINY" --set train_shared.lr=100 --set train_shared.clip=0 --set model.init_std=100 -o x.tar train.mf
    [ "$status" -eq 70 ] || [ "$status" -eq 0 ]
    head -c 3000 train.mf > cut.mf
    run mf-train-shared --config "$TINY" -o y.tar cut.mf
    assert_failure 65
    [ ! -e y.tar ]
    [ ! -e no ]
}

@test "a bundle can be written to a pipe" {
    shared > piped.tar
    shared -o file.tar
    cmp piped.tar file.tar
}

@test "the memory is planned and printed, and a limit is kept or refused before training" {
    run mf-train-shared --config "$TINY" --set train_shared.steps=2 --set train_shared.warmup=1 -o s.tar train.mf
    assert_success
    assert_output --regexp 'memory [0-9]+ MB: parameters [0-9.]+, gradients [0-9.]+, optimizer [0-9.]+, activations'
    run mf-train-shared --config "$TINY" --max-memory 1M -o t.tar train.mf
    assert_failure 78
    assert_output --regexp 'max-memory: the training needs at least [0-9]+ MB'
    [ ! -e t.tar ]
    # a tight limit gives the same model up to rounding, a wide one the same bytes
    shared --set model.d_ff=1024 --set model.context=64 -o wide.tar
    shared --set model.d_ff=1024 --set model.context=64 --max-memory 1G -o wider.tar
    cmp wide.tar wider.tar
    shared --set model.d_ff=1024 --set model.context=64 --max-memory 22M -o tight.tar
    near "$(loss wide.tar)" "$(loss tight.tar)" 0.05
    # the tightest an expert can have keeps the frozen part in bf16
    shared --set model.d_model=256 --set model.n_layers=6 --set train_shared.steps=3 --set train_shared.warmup=1 -o deep.tar
    least=$(mf-train-expert --config "$TINY" --max-memory 1M -s deep.tar parts/part.0.mp 2>&1 | grep -o 'at least [0-9]*' | cut -d' ' -f3)
    run mf-train-expert --config "$TINY" -s deep.tar --max-memory $((least + 1))000000 -o narrow.tar parts/part.0.mp
    assert_success
    assert_output --regexp "[(][0-9.]+ frozen, bf16[)]"
    mf-train-expert --quiet --config "$TINY" -s deep.tar -o full.tar parts/part.0.mp
    near "$(loss deep.tar -e full.tar)" "$(loss deep.tar -e narrow.tar)" 0.05
}

@test "older checkpoints are kept when asked for, and go when the training is done" {
    often=(--threads 1 --set train_shared.steps=400 --set train_shared.checkpoint_every=20)
    run -137 shared_struck KILL c.ckpt 4 "${often[@]}" --keep 2 --checkpoint c.ckpt -o s.tar
    step() { mf-cat "$1" | head -n 1 | jq '.state.step // .manifest.state.step'; }
    assert_equal "$(step c.ckpt) $(step c.ckpt.1) $(step c.ckpt.2)" "80 60 40"
    # an older one is a checkpoint like the newest: from either the end is the same
    cp c.ckpt.2 old.ckpt
    ln -f c.ckpt c.ckpt.1 # as when it is killed after the old ones were moved
    shared "${often[@]}" --checkpoint old.ckpt --resume -o t.tar
    shared "${often[@]}" --keep 2 --checkpoint c.ckpt --resume -o s.tar
    cmp s.tar t.tar
    [ ! -e c.ckpt ] && [ ! -e c.ckpt.1 ] && [ ! -e c.ckpt.2 ]
}

@test "a non-finite value stops the training and is placed; a few steps may be passed over" {
    mf-train-shared --quiet --config "$TINY" --set train_shared.steps=3 --set train_shared.warmup=1 -o shared.tar train.mf
    break_tensor() { # NAME
        edit_bundle shared.tar broken.tar "
import struct
name = '$1'
member = next(k for k in data if k.startswith(name))
data[member][:4] = struct.pack('<f', float('nan'))
next(t for t in m['tensors'] if t['name'] == name)['sha256'] = hashlib.sha256(bytes(data[member])).hexdigest()"
    }
    expert() { mf-train-expert --config "$TINY" -s broken.tar --checkpoint e.ckpt -o e.tar "$@" parts/part.0.mp; }
    break_tensor shared.transformer_blocks.1.attention.qkv_proj.weight
    run -70 --separate-stderr expert --quiet
    assert_equal "$stderr" "mf-train-expert: step 1: the loss is not finite, first in the input of the FFN of layer 1; the training diverged"
    [ ! -e e.tar ]
    break_tensor dense_ffn.0.fc2.bias
    run -70 --separate-stderr expert --quiet
    assert_regex "$stderr" "step 1: the loss is not finite, first in the input of the attention of layer 1;"
    break_tensor shared.output_norm.weight
    run -70 --separate-stderr expert --quiet --skip-nonfinite 4
    assert_regex "$stderr" "^mf-train-expert: step 5: the loss is not finite, first in the gradient of layers.0.norm.weight;"
    run -0 --separate-stderr expert --skip-nonfinite 20
    assert_regex "$stderr" "step 20: the loss is not finite, .*; skipped \(20 of 20\)"
    # nothing was learnt, and no non-finite value got into the expert
    mf-train-expert --quiet --config "$TINY" -s broken.tar --set train_expert.lr=0 --set train_expert.min_lr=0 --skip-nonfinite 20 -o zero.tar parts/part.0.mp
    for t in layers.1.fc1.weight layers.0.norm.bias; do
        cmp <(tar -xOf e.tar --wildcards "$t*") <(tar -xOf zero.tar --wildcards "$t*")
    done
}

@test "by Muon a backbone and an expert learn more in the same steps, and resumed they end with the same bytes" {
    last() { mf-cat "$1" | jq -s 'map(select(.step))[-1].loss'; }
    for optimizer in adamw muon; do
        few=(--threads 1 --set train_shared.steps=40 --set train_shared.checkpoint_every=8 --set train_shared.optimizer=$optimizer)
        shared "${few[@]}" --metrics $optimizer.mf -o $optimizer.tar
    done
    awk "BEGIN { exit !($(last muon.mf) < 0.97 * $(last adamw.mf)) }"
    run -137 shared_struck KILL s.tar.ckpt 2 "${few[@]}" -o s.tar
    [ ! -e s.tar ]
    shared "${few[@]}" --resume -o s.tar
    cmp muon.tar s.tar
    mf-train-expert --quiet --config "$TINY" --set train_expert.optimizer=muon -s muon.tar --metrics e.mf -o e.tar parts/part.0.mp
    first=$(mf-cat e.mf | jq -s 'map(select(.step))[0].loss')
    awk "BEGIN { exit !($(last e.mf) < $first) }"
}

@test "a training that no longer gains ends early with its best weights, also when it was resumed" {
    long=(--threads 1 --set train_shared.steps=4000 --set train_shared.validate_every=10 --set train_shared.lr=0.05 --set train_shared.min_lr=0.05)
    run --separate-stderr mf-train-shared --config "$TINY" -v val.mf "${long[@]}" --set train_shared.patience=3 -o s.tar train.mf
    assert_success
    [[ $stderr =~ ([0-9]+)\ of\ 4000\ steps.*at\ step\ ([0-9]+), ]]
    assert_equal "${BASH_REMATCH[1]}" $((BASH_REMATCH[2] + 30))
    [ "${BASH_REMATCH[1]}" -lt 3000 ]
    end=${BASH_REMATCH[1]}
    assert_equal "$(mf-cat s.tar | head -n 1 | jq '.training.steps // .manifest.training.steps')" "$end"
    run -137 shared_struck KILL c.ckpt 1 "${long[@]}" --set train_shared.patience=3 --set train_shared.checkpoint_every=10 --checkpoint c.ckpt -o t.tar
    shared "${long[@]}" --set train_shared.patience=3 --set train_shared.checkpoint_every=10 --checkpoint c.ckpt --resume -o t.tar
    tar -xOf s.tar --wildcards "dense_ffn.0.fc1.weight*" | cmp - <(tar -xOf t.tar --wildcards "dense_ffn.0.fc1.weight*")
}

# The largest relative difference of two lists of losses, and how many there are.
apart() {
    paste "$1" "$2" | awk '{ d = ($1 - $2) / $2; if (d < 0) d = -d; if (d > most) most = d } END { print NR, most }'
}

@test "a training begins at the loss of a uniform guess, ln V" {
    mf-train-shared --quiet --config "$TINY" --set train_shared.steps=1 --set train_shared.warmup=0 --metrics m.mf -o s.tar train.mf
    run jq -n "$(mf-cat m.mf | jq -r 'select(.step).loss') / (400 | log) | . > 0.99 and . < 1.01"
    assert_output true
}

@test "the losses of 200 steps are those of the same training in PyTorch" {
    needs_torch
    settings() { # STAGE BATCH
        echo --set model.dropout=0 --set "$1.optimizer=adamw" --set "$1.accumulation=1" --set "$1.batch=$2" \
            --set "$1.steps=200" --set "$1.warmup=10" --set "$1.lr=0.003" --set "$1.min_lr=0.0003"
    }
    twin() { OMP_NUM_THREADS=1 /usr/bin/python3 "$MF_ROOT/tests/oracle/train_twin.py" "$@"; }
    zero=(--set train_shared.steps=1 --set train_shared.warmup=0 --set train_shared.lr=0 --set train_shared.min_lr=0)
    mf-train-shared --quiet --config "$TINY" "${zero[@]}" -o initial.tar train.mf
    # shellcheck disable=SC2046
    mf-train-shared --quiet --config "$TINY" $(settings train_shared 8) --metrics m.mf -o shared.tar train.mf
    mf-cat m.mf | jq 'select(.step).loss' > ours
    twin shared initial.tar train.mf 200 8 10 0.003 0.0003 > theirs
    apart ours theirs | tee far
    awk '{ exit !($1 == 200 && $2 < 1e-4) }' far
    # shellcheck disable=SC2046
    mf-train-expert --quiet --config "$TINY" $(settings train_expert 4) -s shared.tar --metrics e.mf -o e.tar parts/part.1.mp
    mf-cat e.mf | jq 'select(.step).loss' > ours
    twin expert shared.tar parts/part.1.mp 200 4 10 0.003 0.0003 > theirs
    apart ours theirs | tee far
    awk '{ exit !($1 == 200 && $2 < 1e-4) }' far
}

@test "the losses of 20 steps of an expert of low rank are those of the same training in PyTorch" {
    needs_torch
    shared --set model.dropout=0 -o shared.tar
    low() { # STEPS LR OPTION...
        mf-train-expert --quiet --config "$TINY" --set model.dropout=0 --set expert.rank=3 --set train_expert.accumulation=1 \
            --set train_expert.batch=4 --set train_expert.steps="$1" --set train_expert.warmup=1 --set train_expert.lr="$2" \
            --set train_expert.min_lr="$2" -s shared.tar "${@:3}" parts/part.1.mp
    }
    low 1 0 -o initial.tar
    low 20 0.01 --metrics e.mf -o e.tar
    mf-cat e.mf | jq 'select(.step).loss' > ours
    OMP_NUM_THREADS=1 /usr/bin/python3 "$MF_ROOT/tests/oracle/train_twin.py" initial.tar shared.tar parts/part.1.mp 20 4 1 0.01 0.01 > theirs
    apart ours theirs | tee far
    awk '{ exit !($1 == 20 && $2 < 1e-4) }' far
}

@test "an expert's own validation documents give the bytes that the labelled stream gives" {
    shared -o shared.tar
    mf-partition --quiet --label --saved parts/partition.mp --each own -o all.mf val.mf
    mf-docs --quiet --config "$TINY" --domain-from folder --split val words/alpha |
        mf-tokenize encode --quiet -t tokenizer.json -o alpha.mf
    mf-partition --quiet --label --saved parts/partition.mp --each few -o few.mf alpha.mf
    expert() { mf-train-expert --quiet --config "$TINY" --set train_expert.steps=3 --set train_expert.warmup=1 -s shared.tar -v "$1" -p "$2" -o "$3" "parts/part.$2.mp"; }
    for e in 0 1 2; do
        for kind in all/own few/few; do
            expert "${kind%/*}.mf" $e labelled.tar
            expert "${kind#*/}/part.$e.mf" $e own.tar
            cmp labelled.tar own.tar
        done
    done
    refute cmp own/part.0.mf own/part.1.mf
}

@test "the losses of 20 steps of an expert beside the anchor are those of the same training in PyTorch" {
    needs_torch
    shared --set model.dropout=0 -o shared.tar
    mf-train-expert --quiet --config "$TINY" --set model.dropout=0 --set expert.anchor=true --set train_expert.accumulation=1 \
        --set train_expert.batch=4 --set train_expert.steps=20 --set train_expert.warmup=1 --set train_expert.lr=0.01 \
        --set train_expert.min_lr=0.01 -s shared.tar --metrics e.mf -o e.tar parts/part.1.mp
    mf-cat e.mf | jq 'select(.step).loss' > ours
    ANCHOR=1 OMP_NUM_THREADS=1 /usr/bin/python3 "$MF_ROOT/tests/oracle/train_twin.py" expert shared.tar parts/part.1.mp 20 4 1 0.01 0.01 > theirs
    apart ours theirs | tee far
    awk '{ exit !($1 == 20 && $2 < 1e-4) }' far
}

@test "an expert without a document to validate on takes those of all partitions, and that is said" {
    shared -o shared.tar
    run --separate-stderr mf-train-expert --config "$TINY" -s shared.tar -v val.labelled.mf -p 7 -o e.tar parts/part.0.mp
    assert_success
    assert_equal "$(grep -c 'nothing to predict of partition 7: it is validated on all partitions' <<< "$stderr")" 1
    mf-train-expert --quiet --config "$TINY" -s shared.tar -v val.mf -o all.tar parts/part.0.mp
    assert_equal "$(mf-cat e.tar | head -n 1 | jq .training.validation_loss)" "$(mf-cat all.tar | head -n 1 | jq .training.validation_loss)"
}
