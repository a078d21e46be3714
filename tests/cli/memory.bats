# --max-memory holds for the whole program, in every program that has it: too little is refused before anything is written,
# with the least that is needed, and with that least it works and stays below.
load ../helper

setup_file() {
    cd "$BATS_FILE_TMPDIR" || return 1
    make_model
}

setup() {
    link_made
}

# A command of each program that has the option, which writes to `out`.
commands() {
    cat <<'END'
mf-calibrate -m model.safetensors -o out val.labelled.mf
mf-calibrate -m model.safetensors --set calibrate.router=train --set calibrate.steps=3 -o out val.mf
mf-docs -o out words
mf-eval perplexity -m model.safetensors -t tokenizer.json -o out test.mf
mf-eval perplexity -m model.safetensors --max-tokens 200 -o out test.mf
mf-eval perplexity -m shared.tar -e expert.1.tar -o out test.mf
mf-eval routing -m model.safetensors -t tokenizer.json -o out test.mf
mf-eval generate -m model.safetensors -t tokenizer.json -p ten -o out
mf-partition -n 2 -o out train.mf
mf-partition -n 3 --method curriculum --overlap 0.3 -t tokenizer.json -o out train.mf
mf-partition --saved parts/partition.mp --label -o out val.mf
mf-tokenize train --vocab-size 300 -o out train.docs
mf-train-expert -s shared.tar -o out parts/part.0.mp
mf-train-expert -s shared.tar --set expert.head=full -o out parts/part.0.mp
mf-train-shared -o out train.mf
END
}

# "PROGRAM COMMAND" of all programs, or "PROGRAM" of those without commands.
all_commands() {
    local program names name
    for program in "${MF_BIN:-$MF_ROOT/build/bin}"/mf-*; do
        program=${program##*/}
        names=$("$program" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')
        for name in ${names:-""}; do echo "$program${name:+ $name}"; done
        [ -n "$names" ] || echo "$program"
    done
}

@test "every program with --max-memory is tried here" {
    local command having=0
    while read -r command; do
        # shellcheck disable=SC2086
        $command --help | grep -q -- --max-memory || continue
        having=$((having + 1))
        commands | grep -q "^$command " || fail "no line of commands() for $command"
    done < <(all_commands)
    [ "$having" -ge 8 ]
}

@test "too little memory is refused with the least, and with the least it works and stays below" {
    own_memory_only
    local line least peak
    while read -r line; do
        # shellcheck disable=SC2086
        run --separate-stderr $line --config "$TINY" --max-memory 1
        [ "$status" -eq 78 ] || fail "$line: status $status"
        # shellcheck disable=SC2154
        [[ "$stderr" =~ ^mf-[a-z\ -]+:\ --max-memory:\ .*\ needs\ at\ least\ ([0-9]+)\ MB,\ not\ 0.0\ MB$ ]] || fail "$line: $stderr"
        least=${BASH_REMATCH[1]}
        [ ! -e out ]
        for threads in 1 2; do
            # shellcheck disable=SC2086
            mf-time --quiet -o time.json -- $line --config "$TINY" --quiet --threads $threads --max-memory "$((least * threads))000000"
            peak=$(jq .peak_memory time.json)
            [ "$peak" -le "$((least * threads))000000" ] || fail "$line: $peak bytes under a limit of $((least * threads)) MB"
            rm -r out
        done
    done < <(commands)
}

@test "under a limit a model's weights come and go, and nothing else changes" {
    size=(--V 2000 --D 128 --F 512 --L 3)
    for kind in model shared expert; do
        /usr/bin/python3 "$MF_ROOT/tests/oracle/random_model.py" $kind "${size[@]}" -o random.$kind
    done
    /usr/bin/python3 "$MF_ROOT/tests/oracle/random_model.py" model "${size[@]}" --heads 128 7 0 -o random.heads
    /usr/bin/python3 "$MF_ROOT/tests/oracle/random_model.py" tokens --V 2000 -o t.mf a=17 b=40
    for model in "random.model" "random.heads" "random.shared -e random.expert"; do
        # shellcheck disable=SC2086
        whole=$(mf-eval perplexity -m $model --batch 1 --json t.mf)
        # shellcheck disable=SC2086
        run mf-eval perplexity -m $model --max-memory 1 --json t.mf
        [[ "$output" =~ least\ ([0-9]+) ]]
        # shellcheck disable=SC2086
        assert_equal "$(mf-eval perplexity -m $model --batch 1 --max-memory "${BASH_REMATCH[1]}000000" --json t.mf)" "$whole"
    done
}

@test "learning words that are all different stays within its memory" {
    own_memory_only
    /usr/bin/python3 - << 'END' | mf-docs --quiet --near-dup 0 --set docs.val_fraction=0 --set docs.test_fraction=0 --split train -o words.docs
import json, random
random.seed(1)
for i in range(400):
    words = ("".join(random.choices("abcdefghijklmnopqrstuvwxyz", k=random.randint(3, 6))) for _ in range(1500))
    print(json.dumps({"id": str(i), "text": " ".join(words)}))
END
    for threads in 1 4; do
        mf-time --quiet -o time.json -- mf-tokenize train --quiet --vocab-size 400 --threads $threads --max-memory 20M -o $threads.json words.docs
        [ "$(jq .peak_memory time.json)" -le $((20 << 20)) ]
    done
    cmp 1.json 4.json
}
