# Jobs that read a shard of the files each, and the merge: what comes out does not depend on their number.
load ../helper

# A folder with all that reading meets: documents, copies across files, blocks of a large one, an archive, bad lines, files
# that are left out, empty ones, names with blanks.
make_data() {
    /usr/bin/python3 "$MF_ROOT/tests/words.py" data 40
    cp data/alpha/001.txt "data/gamma/a copy.txt"
    cat data/beta/0*.txt > data/large.txt
    printf 'no json\n{"id":"one","text":"a line of text"}\n' > data/b.jsonl
    printf '{"id":"two","text":"a line of text"}\n{"id":"three","text":"another line"}\n[1]\n' > data/zz.jsonl
    tar -C data -cf data/members.tar alpha/002.txt beta/003.txt
    gzip -c data/alpha/004.txt > data/packed.txt.gz
    head -c 3000 /dev/urandom > data/picture.png
    head -c 3000 /dev/urandom > data/noise
    mf-docs --quiet -o data/own.mf data/alpha
    : > data/empty.txt
}
reading=(--domain-from folder --skip-bad 2 --set docs.min_targets=500)

# Reads data in $1 jobs and merges it into merged.$1.
in_shards() { # N [ARGUMENT]...
    mkdir "shards.$1"
    for ((i = 0; i < $1; i++)); do
        mf-docs --quiet "${reading[@]}" --shard "$i/$1" -o "shards.$1/$i.mf" data
    done
    # their order is that of their numbers, not that of the names
    mf-docs "${reading[@]}" --removed "removed.$1" --merge --splits "merged.$1" "${@:2}" $(printf '%s\n' "shards.$1"/*.mf | sort -R) 2> "said.$1"
}

@test "any number of shards gives the documents, splits, copies and messages of one reading" {
    make_data
    mf-docs "${reading[@]}" --removed removed --splits one data 2> said
    grep -q 'left out 2 bad lines' said
    grep -q 'left out 2 that are no text' said
    grep -q 'left out 1 that ModularForge wrote' said
    for n in 1 2 5 40; do
        in_shards $n
        cmp removed removed.$n
        diff said said.$n
        cmp one/val.mf merged.$n/val.mf
        cmp one/test.mf merged.$n/test.mf
        for ((i = 0; i < n; i++)); do echo "merged.$n/train.$i.mf"; done | xargs mf-cat --join -o train.mf
        cmp one/train.mf train.mf
        assert_equal "$(ls merged.$n | wc -l)" $((n + 2))
    done
    # all of it went to some shard, and shards are of about equal size
    for n in 2 5; do
        run -0 bash -c "mf-cat shards.$n/0.mf | jq -s '[.[] | select(.text)] | length'"
        [ "$output" -gt 10 ]
        [ "$output" -lt 130 ]
    done
}

@test "no limit of memory and no lack of signatures changes what is merged" {
    make_data
    in_shards 3
    in_shards=$(sha256sum merged.3/*.mf)
    mkdir unsigned
    for i in 0 1 2; do mf-docs --quiet "${reading[@]}" --near-dup 0 --shard $i/3 -o unsigned/$i.mf data; done
    mf-docs --quiet "${reading[@]}" --max-memory 15M --merge --splits merged.3 unsigned/*.mf
    assert_equal "$(sha256sum merged.3/*.mf)" "$in_shards"
    [ "$(wc -c < unsigned/0.mf)" -lt "$(wc -c < shards.3/0.mf)" ]
    # one split, or all documents, go to one file
    mf-docs --quiet "${reading[@]}" --merge --split val -o val.mf shards.3/*.mf
    cmp val.mf merged.3/val.mf
    mf-docs --quiet "${reading[@]}" -o all.mf data
    mf-docs --quiet "${reading[@]}" --merge -o merged.mf shards.3/*.mf
    cmp all.mf merged.mf
    mf-docs --quiet "${reading[@]}" --max-docs 50 -o all.mf data
    mf-docs --quiet "${reading[@]}" --max-docs 50 --merge -o merged.mf shards.3/*.mf
    cmp all.mf merged.mf
}

# A command that fails with a status, and one line that says this.
refused() { # STATUS TEXT COMMAND...
    run --separate-stderr "${@:3}"
    assert_equal "$status" "$1"
    [[ "$stderr" == mf-*": $2"* ]] || fail "$stderr"
    assert_equal "$(wc -l <<< "$stderr")" 1
    [ ! -e out ]
}

@test "shards that are not all of one input are refused" {
    make_data
    in_shards 3
    in_shards 2
    merge=(mf-docs --quiet "${reading[@]}" --merge -o out)
    refused 65 "shard 1 of 3 is missing" "${merge[@]}" shards.3/0.mf shards.3/2.mf
    refused 65 "shard 2 of 3 is missing" "${merge[@]}" shards.3/0.mf shards.3/1.mf
    refused 65 "shards.3/1.mf: shard 1 of 3 is there twice" "${merge[@]}" shards.3/{0,1,1,2}.mf
    refused 65 "shards.2/1.mf: of another input, or of it before it changed, than shards.3/0.mf" "${merge[@]}" shards.3/0.mf shards.2/1.mf
    echo more >> data/large.txt
    mf-docs --quiet "${reading[@]}" --shard 2/3 -o shards.3/2.mf data
    refused 65 "shards.3/2.mf: of another input, or of it before it changed, than shards.3/0.mf" "${merge[@]}" shards.3/*.mf
    refused 65 "merged.3/val.mf: a stream of kind 'docs', not 'shard'" "${merge[@]}" merged.3/val.mf
    head -c 1000 shards.2/0.mf > cut.mf
    refused 65 "cut.mf: " "${merge[@]}" cut.mf shards.2/1.mf
    # bad lines of all shards count together
    refused 65 "data/zz.jsonl:3: " mf-docs --quiet --skip-bad 1 --merge -o out shards.2/0.mf shards.2/1.mf
    refused 65 "data/b.jsonl:1: " mf-docs --quiet --shard 0/1 -o out data
    refused 64 "--shard is I/N" mf-docs --shard 3/3 -o out data
    refused 64 "--shard is I/N" mf-docs --shard 3 -o out data
    refused 64 "--shard only reads" mf-docs --shard 0/3 --splits out data
    refused 64 "which shards?" mf-docs --merge -o out
}

@test "a shard's records are checked" {
    header='{"mf":"shard","version":1,"number":0,"count":1,"bytes":1,"files":"0123456789abcdef"}'
    merged() { # RECORD
        /usr/bin/python3 "$MF_ROOT/tests/stream.py" "${2:-$header}" <<< "$1" > x.mf
        run --separate-stderr mf-docs --quiet --merge -o out x.mf
    }
    merged '{"id":"a","text":"some text"}'
    assert_equal "$status" 0
    rm out
    for record in '{"id":"a"}' '{"left":"x","why":"?"}' '{"left":"x"}' '{"left":3,"why":"own"}' '{"bad":1}' '{"id":"a","text":"t","signature":"s"}'; do
        merged "$record"
        assert_equal "$status" 65
        [ ! -e out ]
    done
    for bad in '{"mf":"shard","version":1}' "${header/:0,/:1,}" "${header/:0,/:-1,}" "${header/abcdef/}" "${header/\"count\":1,/}"; do
        merged '{"id":"a","text":"some text"}' "$bad"
        assert_equal "$status" 65
        [[ "$stderr" == *"its header does not say which shard it is"* ]]
    done
}

@test "mf-cat --join joins streams of one kind and header, and nothing else" {
    make_data
    in_shards 2
    refused 65 "shards.2/0.mf: its header is not that of merged.2/val.mf" mf-cat --join -o out merged.2/val.mf shards.2/0.mf
    refused 64 "--join of which streams?" mf-cat --join -o out
    refused 64 "--join writes a stream" mf-cat --join --table -o out merged.2/val.mf
    head -c -20 merged.2/val.mf > cut.mf
    refused 65 "cut.mf: " mf-cat --join -o out merged.2/test.mf cut.mf
    mf-cat --join merged.2/val.mf > same.mf
    cmp same.mf merged.2/val.mf
}

@test "a tokenizer is the same from one stream or from several" {
    make_data
    in_shards 4
    mf-cat --join -o train.mf merged.4/train.{0..3}.mf
    mf-tokenize train --quiet --vocab-size 400 -o one.json train.mf
    mf-tokenize train --quiet --vocab-size 400 -o several.json merged.4/train.{0..3}.mf
    cmp one.json several.json
}

@test "make SHARDS=N: the same model for any number; a change of it trains nothing; new text comes in as ever" {
    /usr/bin/python3 "$MF_ROOT/tests/words.py" words 40
    mf_make > log 2>&1 || fail "$(cat log)"
    mv runs one
    mf_make -j3 SHARDS=3 > log 2>&1 || fail "$(cat log)"
    for file in tokenizer.json tokens/train.mf docs/val.mf docs/test.mf parts/partition.mp shared.tar expert.1.tar model.safetensors; do
        cmp "one/t/$file" "runs/t/$file"
    done
    [ ! -e runs/t/docs/train.mf ]
    mf_make -q SHARDS=3
    # text that is new to shard 1 only
    mkdir words/news
    cp words/beta/00*.txt words/news
    for file in words/news/*; do echo "something new" >> "$file"; done
    mf_make -j3 SHARDS=2 > log 2>&1 || fail "$(cat log)"
    cp runs/t/model.safetensors grown.safetensors
    [ ! -e runs/t/docs/train.2.mf ]
    rm -rf runs
    cp -a one runs
    mf_make > log 2>&1 || fail "$(cat log)"
    cmp grown.safetensors runs/t/model.safetensors
    mf_make SHARDS=2 > log 2>&1 || fail "$(cat log)"
    ! grep -q 'mf-train' log || fail "$(cat log)"
    for bad in 0 x -1 1.5; do
        run mf_make SHARDS=$bad
        assert_failure
        assert_output --partial "SHARDS is a number from 1 on, not '$bad'"
    done
}
