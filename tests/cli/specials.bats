#!/usr/bin/env bats
# Special tokens come from the stream: any ids, one token for two, none at all.
load ../helper

# A byte-level tokenizer without merges whose ids 0 to 255 are the bytes, from `!` on, and whose only special token is 256.
bytes_tokenizer() { # NAMES around a text: "", or "<|end|>" before and behind it
    /usr/bin/python3 - "$1" <<'PY'
import json, sys
printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
alphabet = {b: chr(b) for b in printable}
for n, b in enumerate(b for b in range(256) if b not in printable):
    alphabet[b] = chr(256 + n)
order = printable + [b for b in range(256) if b not in printable]
vocab = {alphabet[b]: i for i, b in enumerate(order)}
end = {"SpecialToken": {"id": "<|end|>", "type_id": 0}}
around = [end] if sys.argv[1] else []
post = {"type": "TemplateProcessing", "single": around + [{"Sequence": {"id": "A", "type_id": 0}}] + around, "pair": [],
        "special_tokens": {"<|end|>": {"id": "<|end|>", "ids": [256], "tokens": ["<|end|>"]}}}
json.dump({"version": "1.0", "added_tokens": [{"id": 256, "content": "<|end|>", "special": True, "normalized": False}],
           "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}, "post_processor": post if around else None,
           "decoder": {"type": "ByteLevel"}, "model": {"type": "BPE", "vocab": vocab, "merges": []}}, open("t.json", "w"))
PY
}

# Documents of `a!b#` repeated, as tokens: docs.mf has a few short ones, one.mf one of 66 characters.
encode_all() {
    /usr/bin/python3 -c '
import json
text = "a!b#" * 40
for name, lengths in (("docs", [8, 12, 40, 160, 7, 66]), ("one", [66])):
    with open(name + ".jsonl", "w") as f:
        for i, n in enumerate(lengths): print(json.dumps({"id": "%d" % i, "text": text[:n]}), file=f)'
    for name in docs one; do
        mf-docs --quiet --set docs.near_dup=1 -o $name.docs $name.jsonl
        mf-tokenize encode -t t.json -o $name.mf $name.docs
    done
}

SETTINGS=(--set model.d_model=16 --set model.n_heads=2 --set model.n_layers=1 --set model.d_ff=32 --set model.context=24
    --set train_shared.steps=150 --set model.init_std=0.3 --set train_shared.lr=0.01 --set train_shared.batch=4 --set train_shared.warmup=2 --set model.dropout=0
    --set train_shared.validate_every=10 --set seed=1)

targets_of() { mf-eval perplexity --quiet --json -m shared.tar "$1" | jq .tokens; }

@test "where BOS is EOS and ids 0, 1, 2 are text, every token but a document's first is scored, and generation writes !" {
    bytes_tokenizer end
    encode_all
    run -0 bash -c 'mf-cat --head 0 one.mf | jq -c "[.bos, .eos, .pad]"'
    assert_output '[256,256,-1]'
    mf-train-shared --quiet "${SETTINGS[@]}" -v docs.mf --metrics m.mf -o shared.tar docs.mf
    assert_equal "$(targets_of one.mf)" 67
    tar xOf shared.tar manifest.json | jq -e '.special_tokens == {bos: 256, eos: 256, pad: -1}'
    mf-eval generate --quiet -m shared.tar -t t.json -p 'a!b#a' --temperature 0 --max-tokens 3 --bare >text
    assert_equal "$(cat text)" '!b#'
    # training counts what evaluation does: one window holds the whole of `one`, and no step was taken
    mf-train-shared --quiet "${SETTINGS[@]}" --set model.context=128 --set train.precision=fp32 --set train_shared.lr=0 --set train_shared.min_lr=0 --set train_shared.warmup=0 \
        --set train_shared.steps=1 -v one.mf -o shared.tar one.mf
    tar xOf shared.tar manifest.json | jq .training.first_validation_loss >trained
    mf-eval perplexity --quiet --json -m shared.tar one.mf | jq .loss >measured
    paste trained measured
    paste trained measured | awk '{exit !($1 - $2 < 1e-5 && $2 - $1 < 1e-5)}'
}

@test "without BOS, EOS and PAD documents still do not see each other" {
    bytes_tokenizer ''
    encode_all
    run -0 bash -c 'mf-cat --head 0 one.mf | jq -c "[.bos, .eos, .pad]"'
    assert_output '[-1,-1,-1]'
    mf-train-shared --quiet "${SETTINGS[@]}" -v docs.mf -o shared.tar docs.mf
    assert_equal "$(targets_of one.mf)" 65
    assert_equal "$(targets_of docs.mf)" $((7 + 11 + 39 + 159 + 6 + 65))
    mf-eval generate --quiet -m shared.tar -t t.json -p 'a!b#a' --temperature 0 --max-tokens 3 --bare >text
    assert_equal "$(cat text)" '!b#'
    run --separate-stderr -65 mf-eval generate --quiet -m shared.tar -t t.json -p ''
    assert_equal "$stderr" "mf-eval generate: shared.tar: no token begins its texts: give it a prompt"
    # of documents in one window, each is a sequence: the loss is that of windows that begin with documents
    mf-train-shared --quiet "${SETTINGS[@]}" --set model.context=512 --set train.precision=fp32 --set train_shared.lr=0 --set train_shared.min_lr=0 --set train_shared.warmup=0 \
        --set train_shared.steps=1 -v docs.mf -o shared.tar docs.mf
    tar xOf shared.tar manifest.json | jq .training.first_validation_loss >trained
    mf-eval perplexity --quiet --json -m shared.tar docs.mf | jq .loss >measured
    paste trained measured | awk '{exit !($1 - $2 < 1e-5 && $2 - $1 < 1e-5)}'
}

# A tokens stream: HEADER fields on the first argument, a JSON list of documents on the second.
tokens_of() {
    jq -nc --argjson docs "$2" '$docs | to_entries[] | {id: "\(.key)", tokens: .value}' |
        /usr/bin/python3 "$MF_ROOT/tests/stream.py" '{"mf":"tokens","version":1,"width":2,"vocab_size":300,"tokenizer_sha256":"'"$(printf 'a%.0s' {1..64})"'"'"$1"'}'
}
OURS=',"bos":2,"eos":3,"pad":0'

@test "padding and boundaries alone are nothing to predict, for trainings, validation, measuring and calibration" {
    tokens_of "$OURS" '[[2,10,11,12,3],[2,14,15,3]]' >good.mf
    tokens_of "$OURS" '[[2,0,2,0,0],[2],[5],[]]' >nothing.mf
    local message="nothing to predict: of 7 tokens in 4 documents each is the first of its document, padding or a boundary"
    run --separate-stderr -65 mf-train-shared --quiet "${SETTINGS[@]}" -o shared.tar nothing.mf
    assert_equal "$stderr" "mf-train-shared: nothing.mf: $message"
    run --separate-stderr -65 mf-train-shared --quiet "${SETTINGS[@]}" -v nothing.mf -o shared.tar good.mf
    assert_equal "$stderr" "mf-train-shared: nothing.mf: $message (a larger docs.val_fraction or docs.min_targets helps)"
    [ ! -e shared.tar ]
    mf-train-shared --quiet "${SETTINGS[@]}" -o shared.tar good.mf
    run --separate-stderr -65 mf-train-expert --quiet "${SETTINGS[@]}" -s shared.tar -v nothing.mf -o e.tar good.mf
    assert_equal "$stderr" "mf-train-expert: nothing.mf: $message (a larger docs.val_fraction or docs.min_targets helps)"
    [ ! -e e.tar ]
    run --separate-stderr -65 mf-eval perplexity --quiet -m shared.tar -o out nothing.mf
    assert_equal "$stderr" "mf-eval perplexity: nothing.mf: nothing to score: each token is the first of its document, padding or a boundary"
    [ ! -e out ]
    mf-train-expert --quiet "${SETTINGS[@]}" --set train_expert.steps=1 -s shared.tar -o e.tar good.mf
    mf-assemble --quiet --set model.top_k=1 -o m.safetensors shared.tar e.tar
    # nothing to calibrate on: the model is written as it is, as for a stream without documents
    tokens_of "$OURS" '[]' >empty.mf
    for name in nothing empty; do
        run --separate-stderr -0 mf-calibrate -m m.safetensors -o $name.safetensors $name.mf
        [[ $stderr == *"mf-calibrate: not calibrated: $name.mf: too few tokens "* ]]
    done
}

@test "windows of a validation that hold no target are no loss of zero" {
    tokens_of "$OURS" '[[2,10,11,12,3],[2,14,15,3]]' >good.mf
    tokens_of "$OURS" "$(jq -nc '[[2] + [range(60) | 0] + [7, 3]]')" >late.mf
    run --separate-stderr -65 mf-train-shared --quiet "${SETTINGS[@]}" --set train_shared.validate_batches=1 --set train_shared.batch=1 \
        -v late.mf -o shared.tar good.mf
    assert_equal "$stderr" "mf-train-shared: late.mf: nothing to predict in the windows that are validated (validate_batches takes more)"
    mf-train-shared --quiet "${SETTINGS[@]}" -v late.mf -o shared.tar good.mf
}

@test "other special tokens than the bundle's or the model's are refused with both values" {
    tokens_of "$OURS" '[[2,10,11,12,3],[2,14,15,3]]' >ours.mf
    tokens_of ',"bos":2,"eos":4,"pad":0' '[[2,10,11,12,4],[2,14,15,4]]' >other.mf
    tokens_of '' '[[2,10,11,12,3],[2,14,15,3]]' >silent.mf
    mf-train-shared --quiet "${SETTINGS[@]}" -o shared.tar ours.mf
    run --separate-stderr -65 mf-train-shared --quiet "${SETTINGS[@]}" -v other.mf -o s2.tar ours.mf
    assert_equal "$stderr" "mf-train-shared: other.mf: eos is 4, not 3 as in ours.mf"
    run --separate-stderr -65 mf-train-expert --quiet "${SETTINGS[@]}" -s shared.tar -o e.tar other.mf
    assert_equal "$stderr" "mf-train-expert: other.mf: eos is 4, not 3 as in shared.tar"
    [ ! -e e.tar ]
    run --separate-stderr -65 mf-eval perplexity --quiet -m shared.tar other.mf
    assert_equal "$stderr" "mf-eval perplexity: other.mf: eos is 4, not 3 as in shared.tar"
    # a stream that names none goes with any, and takes what the bundle names
    mf-eval perplexity --quiet --json -m shared.tar ours.mf >a
    mf-eval perplexity --quiet --json -m shared.tar silent.mf >b
    cmp a b
    mf-train-expert --quiet "${SETTINGS[@]}" --set train_expert.steps=1 -s shared.tar -o e.tar silent.mf
    tar xOf e.tar manifest.json | jq -e '.special_tokens == {bos: 2, eos: 3, pad: 0}'
    edit_bundle e.tar wrong.tar 'm["special_tokens"]["pad"] = -1'
    run --separate-stderr -65 mf-assemble --quiet --set model.top_k=1 -o m.safetensors shared.tar wrong.tar
    assert_equal "$stderr" "mf-assemble: wrong.tar: pad is -1, not 0 as in shared.tar"
    [ ! -e m.safetensors ]
    edit_bundle shared.tar wrong.tar 'm["special_tokens"]["bos"] = 300'
    run --separate-stderr -65 mf-eval perplexity --quiet -m wrong.tar ours.mf
    assert_equal "$stderr" "mf-eval perplexity: wrong.tar: special_tokens: bos is 300, not between -1 and 299"
}

@test "a model keeps the special tokens, and older bundles and models are read as before" {
    tokens_of "$OURS" '[[2,10,11,0,12,2,9,3],[2,14,15,3]]' >ours.mf
    mf-train-shared --quiet "${SETTINGS[@]}" -o shared.tar ours.mf
    mf-train-expert --quiet "${SETTINGS[@]}" --set train_expert.steps=2 -s shared.tar -o e.tar ours.mf
    mf-assemble --quiet --set model.top_k=1 -o m.safetensors shared.tar e.tar
    mf-cat m.safetensors | grep -F '"special_tokens":"{\"bos\":2,\"eos\":3,\"pad\":0}"'
    edit_bundle shared.tar old.tar 'del m["special_tokens"]'
    edit_bundle e.tar old.e.tar 'del m["special_tokens"]; m["shared_sha256"] = "'"$(tar xOf old.tar manifest.json | sha256sum | cut -d' ' -f1)"'"'
    mf-assemble --quiet --set model.top_k=1 -o old.safetensors old.tar old.e.tar
    run mf-cat old.safetensors
    refute_output --partial special_tokens
    for model in m old; do mf-eval perplexity --quiet --json -m $model.safetensors ours.mf | jq -c '[.tokens, .nats]'; done >both
    assert_equal "$(sort -u both | wc -l)" 1
    assert_equal "$(jq '.[0]' both | head -n 1)" 8 # of ten behind the first ones, neither the padding nor the BOS inside
}
