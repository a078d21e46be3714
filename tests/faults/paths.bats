# A long path is the whole path: in every program, for inputs, outputs, checkpoints, temporary files and locks, at 425 and at
# 4,000 letters, and nothing whose name is a part of it is ever opened.
load ../helper

setup_file() {
    cd "$BATS_FILE_TMPDIR" || return 1
    make_tokens 60
    make_pieces
    mf-assemble --quiet --config "$TINY" -o assembled.safetensors shared.tar expert.?.tar
    # the same model by another name would go unnoticed
    mf-train-expert --quiet --config "$TINY" --seed 9 -s shared.tar -v val.labelled.mf -p 0 -o other.tar parts/part.0.mp
    mf-assemble --quiet --config "$TINY" -o decoy.safetensors shared.tar other.tar expert.[12].tar
}

setup() { link_made; }

# Makes a folder below this one such that the path of a file of eight letters in it has so many letters.
deep_folder() { # LETTERS
    local path=$PWD left component
    while left=$(($1 - 9 - ${#path})) && [ $left -gt 0 ]; do
        component=$((left > 202 ? 200 : left - 1))
        path=$path/$(printf 'x%.0s' $(seq $component))
    done
    mkdir -p "$path"
    echo "$path"
}

# Every beginning of a path that is nobody's folder, at the lengths that a buffer might have, becomes another model's file.
lay_decoys() { # PATH
    local length
    for length in 127 255 256 511 1023 2047 4091; do
        [ "$length" -lt ${#1} ] && [ ! -e "${1:0:length}" ] && cp decoy.safetensors "${1:0:length}"
    done
    return 0
}

whole_path() { # LETTERS
    local deep
    deep=$(deep_folder "$1")
    export TMPDIR=$deep
    cp -rL words "$deep/words"
    cp assembled.safetensors "$deep/model.st"
    [ "$(wc -m <<< "$deep/model.st")" -eq $(($1 + 1)) ]
    lay_decoys "$deep/model.st"

    # the programs that open a model again, or part of it
    mf-calibrate --quiet --config "$TINY" -m assembled.safetensors -o near.st val.mf
    mf-calibrate --quiet --config "$TINY" -m "$deep/model.st" -o "$deep/out.st" val.mf
    cmp near.st "$deep/out.st"
    assert_equal "$(mf-eval routing --json -m "$deep/model.st" test.mf)" "$(mf-eval routing --json -m assembled.safetensors test.mf)"
    assert_equal "$(mf-eval perplexity --json -m "$deep/model.st" test.mf)" "$(mf-eval perplexity --json -m assembled.safetensors test.mf)"

    # text and tokens
    mf-docs --quiet --config "$TINY" --domain-from folder --split train -o "$deep/docs.mf" "$deep/words"
    [ "$(mf-cat "$deep/docs.mf" | sed 1d | jq -r .text | sort | md5sum)" = "$(mf-cat train.docs | sed 1d | jq -r .text | sort | md5sum)" ]
    mf-tokenize train --quiet --config "$TINY" -o "$deep/t.json" "$deep/docs.mf" 2> log
    cmp "$deep/t.json" tokenizer.json
    mf-tokenize encode -t "$deep/t.json" -o "$deep/tokens.mf" "$deep/docs.mf"
    [ -n "$(mf-tokenize decode -t "$deep/t.json" "$deep/tokens.mf" | head -c 100)" ]
    mf-partition --quiet --config "$TINY" -n 3 -o "$deep/parts" train.mf
    cmp "$deep/parts/part.0.mp" parts/part.0.mp
    mf-partition --quiet --label --saved "$deep/parts/partition.mp" -o "$deep/label.mf" val.mf
    cmp "$deep/label.mf" val.labelled.mf

    # training, killed as it writes over its checkpoint and resumed: the checkpoints and the best weights were there
    local train=(mf-train-shared --quiet --config "$TINY" --set train_shared.checkpoint_every=10 --threads 1 -v val.mf)
    "${train[@]}" -o near.tar train.mf
    train+=(--keep 2 --metrics "$deep/m.mf" -o "$deep/sh.tar")
    run -137 strike KILL "$deep/sh.tar.ckpt" 2 "${train[@]}" train.mf
    [ -s "$deep/sh.tar.ckpt" ]
    [ -s "$deep/sh.tar.ckpt.1" ]
    [ -s "$deep/sh.tar.ckpt.best" ]
    "${train[@]}" --resume train.mf
    cmp "$deep/sh.tar" near.tar
    [ ! -e "$deep/sh.tar.ckpt" ]
    [ ! -e "$deep/sh.tar.ckpt.best" ]
    cp shared.tar "$deep/sh.tar"
    mf-train-expert --quiet --config "$TINY" -s "$deep/sh.tar" -v "$deep/label.mf" -p 0 --stats "$deep/s.mf" -o "$deep/e.tar" "$deep/parts/part.0.mp"
    cmp "$deep/e.tar" expert.0.tar
    mf-assemble --quiet --config "$TINY" -o "$deep/again.st" "$deep/sh.tar" "$deep/e.tar" expert.[12].tar

    # what is left of the programs
    mf-eval report --quiet --config "$TINY" -m "$deep/model.st" -t "$deep/t.json" -o "$deep/r.json" test.mf
    mf-eval page -o "$deep/r.html" "$deep/r.json"
    [ -n "$(mf-eval generate --config "$TINY" --max-tokens 3 -m "$deep/model.st" -t "$deep/t.json" <<< word)" ]
    mf-eval compare "$deep/r.json" "$deep/r.json" > log
    mf-config slices "$deep/config" --config "$TINY"
    [ -s "$deep/config/partition.yaml" ]
    mf-config check --config "$deep/config/partition.yaml"
    mf-time -o "$deep/time.js" -- true
    [ -s "$deep/time.js" ]
    "$MF_ROOT/pipelines/lock.sh" "$deep/runs" true
    [ -s "$deep/runs/.lock" ]
    # temporary files are gone; those without a name had nowhere else to be
    [ -z "$(find "$deep" -name '*.tmp')" ]
}

@test "a path of 425 letters is the whole path" {
    whole_path 425
}

@test "a path of 4,000 letters is the whole path" {
    whole_path 4000
}

@test "names of files that begin alike for 400 letters give documents of different ids" {
    local deep
    mkdir top
    cd top || return 1
    deep=$(deep_folder 600)
    for name in a b; do
        printf '{"text": "the text %s"}\n' $name > "$deep/$name.jsonl"
        printf ' = Title = \n\nthe article %s\n' $name > "$deep/$name.txt"
    done
    mf-docs --quiet --near-dup 0 --set docs.val_fraction=0 --set docs.test_fraction=0 -o docs.mf .
    [ "$(mf-cat docs.mf | jq -r 'select(.id).id' | sort -u | wc -l)" -eq 4 ]
    [ "$(mf-cat docs.mf | jq -r 'select(.id).id' | grep -c '/[ab]\.\(jsonl:1\|txt#1\)$')" -eq 4 ]
}

@test "a message about a long path keeps its end and its reason" {
    local deep
    deep=$(deep_folder 4000)
    cp train.mf "$deep/tokens"
    for n in 1 2; do mkdir "$deep/folder$n"; done
    run -66 --separate-stderr mf-cat "$deep/nothing"
    [ ${#stderr} -lt 500 ]
    [[ "$stderr" == "mf-cat: /"*...*"/nothing: No such file or directory" ]]
    run -73 --separate-stderr mf-cat -o "$deep/folder1" train.mf
    [[ "$stderr" == "mf-cat: /"*...*"/folder1: is a folder" ]]
    run -65 --separate-stderr mf-tokenize encode -t "$deep/tokens" train.docs
    [[ "$stderr" == "mf-tokenize encode: /"*...*"/tokens: "* ]]
    # a line that names two files
    cp shared.tar "$deep/one.tar"
    edit_bundle expert.0.tar "$deep/two.tar" 'm["shared_sha256"] = "0" * 64'
    run -65 --separate-stderr mf-assemble -o out "$deep/one.tar" "$deep/two.tar"
    [ ${#stderr} -lt 500 ]
    [[ "$stderr" == "mf-assemble: /"*...*"/two.tar: trained against shared bundle 000000000000, but /"*...*"/one.tar is "* ]]
    # the line of a configuration
    printf 'model:\n  d_modell: 3\n' > "$deep/c.yaml"
    run -78 --separate-stderr mf-config check --config "$deep/c.yaml"
    [[ "$stderr" == "mf-config: /"*...*"/c.yaml:2: unknown key 'model.d_modell', did you mean 'model.d_model'?" ]]
    printf 'model:\n  top_k: 3\n  n_experts: 2\n' > "$deep/c.yaml"
    run -78 --separate-stderr mf-config check --config "$deep/c.yaml"
    [[ "$stderr" == "mf-config: /"*...*"/c.yaml:2: model.top_k is 3, above model.n_experts, which is 2" ]]
}

@test "outputs in a folder whose own path is longer than a path can be, and through links" {
    for _ in {1..21}; do
        mkdir "$(printf 'd%.0s' $(seq 240))"
        cd "$(printf 'd%.0s' $(seq 240))" || return 1
    done
    for time in 1 2; do
        mf-config print -o out.yaml --seed $time
        [ "$(mf-config get seed --config out.yaml)" = $time ]
    done
    mkdir there
    ln -s there/real.yaml link
    ln -s link second
    echo "seed: 1" > there/real.yaml
    mf-config print -o second --seed 5
    [ -L link ]
    [ -L second ]
    [ "$(mf-config get seed --config there/real.yaml)" = 5 ]
}
