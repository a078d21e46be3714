# mf-eval generate: temperatures, seeds, prompts of any bytes, ends.
load helper

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    load helper
    make_tokens
    make_pieces
    mf-assemble --quiet --config "$TINY" -o m.safetensors shared.tar expert.?.tar
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    ln -s "$BATS_FILE_TMPDIR"/* .
}

generate() {
    mf-eval generate -m m.safetensors -t tokenizer.json "$@"
}

@test "a prompt is continued, from standard input, a file or an option" {
    run bash -c 'printf "ten est" | mf-eval generate -m m.safetensors -t tokenizer.json --max-tokens 10'
    assert_success
    assert_output --regexp '^ten est.+'
    printf 'ten est' > prompt
    assert_equal "$(generate -n 10 prompt)" "$output"
    assert_equal "$(generate -n 10 -p 'ten est')" "$output"
    assert_equal "$(generate -n 10 --bare -p 'ten est')" "${output#ten est}"
    run generate -n 0 -p 'ten est'
    assert_output "ten est"
}

@test "temperature 0 is the same whatever the seed and the cuts, and so is a tiny one" {
    greedy=$(generate -n 30 --temperature 0 -p ten)
    for options in "--seed 5" "--seed 6 --top-k 3" "--top-p 0.5" "--min-p 0.3"; do
        # shellcheck disable=SC2086
        assert_equal "$(generate -n 30 --temperature 0 $options -p ten)" "$greedy"
    done
    assert_equal "$(generate -n 30 --temperature 1e-8 --seed 9 -p ten)" "$greedy"
}

@test "a negative temperature and one that is no number are refused by name" {
    for t in -1 nan; do
        run generate --temperature $t -p ten
        assert_failure 64
        assert_output --partial "--temperature"
    done
}

@test "the same seed gives the same text, another one another" {
    a=$(generate -n 40 --temperature 1 --seed 3 -p ten)
    assert_equal "$(generate -n 40 --temperature 1 --seed 3 -p ten)" "$a"
    b=$(generate -n 40 --temperature 1 --seed 4 -p ten)
    [ "$a" != "$b" ]
}

@test "a prompt may hold zero bytes and be longer than the context" {
    printf 'ten\0est' > zero
    generate -n 5 --json zero > out.json
    assert_equal "$(jq -r '.prompt | explode | .[3]' out.json)" 0
    head -c 3000 words/alpha/00?.txt > long
    run generate -n 40 --bare long
    assert_success
    run generate -n 5 --bare /dev/null
    assert_success
}

@test "a stop text ends the continuation and is not part of it" {
    generate -n 40 --temperature 0 --json -p ten > whole.json
    stop=$(jq -r '.text[4:7]' whole.json)
    generate -n 40 --temperature 0 --json -p ten --stop "$stop" > cut.json
    jq -es --arg stop "$stop" '.[1].end == "stop" and .[1].text == (.[0].text | split($stop)[0])' whole.json cut.json
}

@test "JSON tells the end, the tokens and the experts" {
    generate -n 7 --json --experts --samples 2 -p ten -p est > out.json
    assert_equal "$(wc -l < out.json)" 4
    jq -es 'all(.[]; (.end == "length" and .tokens == 7) or .end == "eos")' out.json
    jq -es 'all(.[]; .experts | length > 2)' out.json
}

@test "each way to fail has its status" {
    run mf-eval generate -t tokenizer.json -p x
    assert_failure 64
    run mf-eval generate -m m.safetensors -p x
    assert_failure 64
    run generate nothing.txt
    assert_failure 66
    mf-tokenize train --quiet --vocab-size 390 -o other.json train.docs 2> /dev/null
    run mf-eval generate -m m.safetensors -t other.json -p x
    assert_failure 65
    run bash -c 'mf-eval generate -m m.safetensors -t tokenizer.json -n 5000 -p ten | head -c 10'
    assert_success
}
