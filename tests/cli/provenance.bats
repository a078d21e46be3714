# Where a model comes from: the tree of its components and their documents, beside files; and an owner's documents taken out.
load ../helper

# "LABEL FILES" of each line of the tree that has files.
placed() {
    sed -nE 's/^[|` -]*([a-z]+( [0-9]+| on)?)[^=]*  = /\1 = /p'
}

@test "the tree names each component and what it was trained on, and finds files in it" {
    make_model
    mf-calibrate --quiet --config "$TINY" -m model.safetensors -o calibrated.safetensors val.labelled.mf
    mf-cat --provenance calibrated.safetensors tokenizer.json shared.tar train.mf val.mf val.labelled.mf expert.1.tar parts/part.*.mp > tree
    assert_equal "$(head -n 1 tree)" calibrated.safetensors
    assert_equal "$(placed < tree)" "tokenizer = tokenizer.json
backbone = shared.tar
trained on = train.mf
validated on = val.mf  = val.labelled.mf
trained on = parts/part.0.mp
validated on = val.labelled.mf
expert 1 = expert.1.tar
trained on = parts/part.1.mp
validated on = val.labelled.mf
trained on = parts/part.2.mp
validated on = val.labelled.mf"
    grep -qxF -- "|-- tokenizer  sha256 $(sha256sum < tokenizer.json | cut -d' ' -f1)  = tokenizer.json" tree
    grep -qF -- "|-- backbone  sha256 $(tar -xOf shared.tar manifest.json | sha256sum | cut -d' ' -f1)" tree
    grep -qF -- '`-- expert 2 (expert.2.tar)  sha256 ' tree
    documents=$(mf-cat parts/part.0.mp | jq -s 'map(select(.id)) | length')
    grep -q "trained on [0-9a-f]\{16\}: $documents documents, [0-9]* tokens  = parts/part.0.mp" tree
    assert_equal "$(mf-cat --provenance calibrated.safetensors | sed 's/  = .*//')" "$(sed 's/  = .*//' tree)"
}

@test "a file without a place in the model is refused, and nothing is written" {
    make_model
    head -c 3000 words/alpha/*.txt > more.txt
    mf-docs --quiet -o more.docs more.txt
    mf-tokenize encode --quiet -t tokenizer.json -o more.mf more.docs
    run -65 --separate-stderr mf-cat --provenance model.safetensors -o tree shared.tar more.mf
    assert_equal "$stderr" "mf-cat: more.mf: not a component of model.safetensors, nor what one of them was trained or validated on"
    [ ! -e tree ]
    edit_bundle expert.0.tar other.tar 'm["training"]["steps"] = 1'
    run -65 --separate-stderr mf-cat --provenance model.safetensors other.tar
    assert_equal "$stderr" "mf-cat: other.tar: not a component of model.safetensors, nor what one of them was trained or validated on"
    run -65 mf-cat --provenance shared.tar
    run -66 mf-cat --provenance absent.safetensors
    run -64 mf-cat --provenance model.safetensors --table
    # a model that says nothing of its components has a tree all the same
    /usr/bin/python3 - << 'END'
import json, struct
data = open("model.safetensors", "rb").read()
(size,) = struct.unpack("<Q", data[:8])
header = json.loads(data[8:8 + size])
for key in ("experts", "shared_trained", "shared_sha256"):
    del header["__metadata__"][key]
header = json.dumps(header).encode()
open("silent.safetensors", "wb").write(struct.pack("<Q", len(header)) + header + data[8 + size:])
END
    assert_equal "$(mf-cat --provenance silent.safetensors | tail -n 1)" '`-- backbone  sha256 not noted'
}

@test "documents that the backbone never saw can be taken out: the model is that of a run that never had them" {
    /usr/bin/python3 "$MF_ROOT/tests/words.py" words 40 1 4
    theirs=$(ls words | tail -n 1)
    mv "words/$theirs" theirs
    settings='partition.method=domain train_expert.steps=4 train_shared.steps=8 train_shared.warmup=1 train_expert.warmup=1 eval.samples=0'
    mf_make SET="$settings model.n_experts=3" > log 2>&1
    cp runs/t/model.safetensors never.safetensors
    cp -r theirs "words/$theirs"
    mf_make SET="$settings model.n_experts=4" > log 2>&1
    assert_equal "$(mf-cat --provenance runs/t/model.safetensors runs/t/parts/part.3.mp | placed)" "trained on = runs/t/parts/part.3.mp"
    refute cmp -s runs/t/model.safetensors never.safetensors
    cp runs/t/parts/part.3.mp theirs.mf
    # the owner takes the folder back
    rm -r "words/$theirs" runs/t/parts/partition.mp
    mf_make SET="$settings model.n_experts=3" > log 2>&1
    refute grep -q '^mf-train' log
    cmp runs/t/model.safetensors never.safetensors
    run -65 mf-cat --provenance runs/t/model.safetensors theirs.mf
}
