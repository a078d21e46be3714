# How mf-docs reads: damage is seen, archives give what their folders would, formats are found by content.
load ../helper

setup_file() {
    cd "$BATS_FILE_TMPDIR" || return 1
    /usr/bin/python3 "$MF_ROOT/tests/faults/reading.py"
}

setup() {
    link_made
}

texts() { # ARGUMENT...
    mf-docs --quiet --near-dup 0 "$@" | mf-cat | jq -c 'select(has("text")) | [.id, .text]'
}

counted() { # ARGUMENT...
    texts "$@" | wc -l
}

@test "every kind of damage is refused, in one line that names the file" {
    local file
    for file in damage/*; do
        run --separate-stderr mf-docs --quiet -o out "$file"
        [ "$status" -eq 65 ] || fail "$file: status $status: $stderr"
        [ "${#stderr_lines[@]}" -eq 1 ] || fail "$file: $stderr"
        [[ "$stderr" == "mf-docs: $file: "[a-zA-Z]* || "$stderr" == "mf-docs: $file/"[a-z0-9]*.txt": "[a-zA-Z]* ]] || fail "$file: $stderr"
        [[ "$stderr" != *"(null)"* ]] || fail "$file: $stderr"
        [ ! -e out ] || fail "$file left its output"
    done
}

@test "what is whole is read, also of several frames, and from a pipe" {
    local form
    for form in gz bz2 xz zst lz4 lzma; do
        assert_equal "$(mf-docs --quiet good.$form | mf-cat | jq -r 'select(.text) | .text' | wc -l)" 81
        assert_equal "$(mf-docs --quiet < good.$form | mf-cat | jq -r 'select(.text) | .text' | wc -l)" 81
    done
    for form in gz bz2 xz zst lz4; do
        assert_equal "$(mf-docs --quiet twice.$form | mf-cat | jq -r 'select(.text) | .text' | wc -l)" 161
    done
}

@test "joined archives and holes of zeros: all of it" {
    local file
    for file in joined.tar joined.tar.gz hole.tar; do
        assert_equal "$(texts $file)" "[\"$file/a.txt\",\"one\"]
[\"$file/b.txt\",\"two\"]"
    done
    assert_equal "$(cat joined.tar.gz | counted)" 2
}

@test "names with accents, in every locale" {
    local file locale
    for file in accents.tar accents.zip; do
        for locale in C C.UTF-8 tr_TR.UTF-8; do
            assert_equal "$(LC_ALL=$locale texts $file)" "[\"$file/café.txt\",\"one\"]
[\"$file/日本語.txt\",\"two\"]"
        done
    done
}

@test "an archive gives what its folder would" {
    assert_equal "$(texts w | sort)" '["a.txt","text of a"]
["sub/lines.json:1","text of line"]
["sub/z.txt","text of z"]'
    for file in w.tar w.zip; do
        assert_equal "$(texts $file | sed "s,\"$file/,\"," | sort)" "$(texts w | sort)"
        assert_equal "$(texts < $file | sed 's,"standard input/,",' | sort)" "$(texts w | sort)"
    done
    assert_equal "$(texts nested.tar | sed 's,"nested.tar/w.zip/,",' | sort)" "$(texts w | sort)"
}

@test "what is no text is counted and named, and taken with --all" {
    mf-docs -o d.mf w 2> table
    grep -q 'left out 4 that are no text (--all takes them): w/letter.docx, w/renamed, w/sub/picture.png, w/table$' table
    assert_equal "$(texts --all w | grep -c '"table"')" 1
    assert_equal "$(texts --all w | grep -c 'picture.png')" 1
    run --separate-stderr mf-docs --quiet -o none.mf w/table
    assert_failure 65
    [[ "$stderr" == "mf-docs: w/table: no text (--all takes it)"* ]]
    [ ! -e none.mf ]
}

@test "UTF-16 and UTF-32 with a mark are converted; a mark is no text" {
    local code
    for code in utf-16-le utf-16-be utf-32-le utf-32-be utf-8; do
        assert_equal "$(texts $code.txt)" "[\"$code.txt\",\"Grüße\\n日本 😀\"]"
    done
    run --separate-stderr mf-docs --quiet -o out half.txt
    assert_failure 65
    assert_equal "$stderr" "mf-docs: half.txt: damaged UTF-16: half a character"
    assert_equal "$(texts zero.zip)" '["zero.zip/zero.txt","before\u0000after"]'
}

@test "lines of JSON and WikiText are found by content" {
    local file
    for file in mark.jsonl c.json c.json.gz c.JSONL.GZ c.jsonl.1; do assert_equal "$(counted $file)" 3; done
    assert_equal "$(texts < c.json | tail -n 1)" '["standard input:3","three"]'
    assert_equal "$(cat c.json.gz | counted)" 3
    assert_equal "$(counted mark.wiki)" 2
    assert_equal "$(counted one.json)" 1
    assert_equal "$(texts one.json | jq -r '.[0]')" one.json
    # files with marks that were joined: a line may begin with one
    printf '\xef\xbb\xbf{"text": "a"}\n\n\xef\xbb\xbf{"text": "b"}\r\n\xef\xbb\xbf\n' | tee joined.json > joined.jsonl
    assert_equal "$(texts joined.jsonl)" $'["joined.jsonl:1","a"]\n["joined.jsonl:3","b"]'
    assert_equal "$(texts joined.json)" $'["joined.json:1","a"]\n["joined.json:3","b"]'
}

@test "only the fields that are used are judged, and --skip-bad leaves bad lines out" {
    printf '{"text": "a", "hash": 18446744073709551616, "x": [1e400, -Infinity, NaN]}\n{"x": {"text": 1e999}, "text": "b", "y\\u0000": "\\ud800"}\n{"x": 1, "x": 2, "text": "c"}\n' > odd.jsonl
    assert_equal "$(counted odd.jsonl)" 3
    local line
    for line in '{"text": 1e400}' '{"text": "\ud800"}' '{"text": "a", "text": "b"}' '{"text": "a", "id": 18446744073709551616}' '{"text": NaN}' 'x'; do
        printf '{"text": "good"}\n%s\n' "$line" > bad.jsonl
        run --separate-stderr mf-docs --quiet -o out bad.jsonl
        [ "$status" -eq 65 ] || fail "$line: $status"
        [[ "$stderr" == "mf-docs: bad.jsonl:2: "* ]] || fail "$line: $stderr"
        mf-docs --skip-bad 1 -o one.mf bad.jsonl 2> table
        grep -q 'left out 1 bad lines: bad.jsonl:2: ' table
    done
    # two objects are told from a key that stands twice
    for line in '{"text": "a"}{"text": "b"}' '{"text": "a"} {"text": "b"}' $'{"text": "a"}\r{"text": "b"}'; do
        printf '%s\n' "$line" > bad.jsonl
        run --separate-stderr mf-docs --quiet -o out bad.jsonl
        assert_equal "$status $stderr" "65 mf-docs: bad.jsonl:1: end of file expected near '{'"
    done
    printf '{"text": "good"}\nx\ny\n' > bad.jsonl
    run mf-docs --skip-bad 1 -o out bad.jsonl
    assert_failure 65
    assert_output --partial "bad.jsonl:3: "
}

@test "what ModularForge wrote is left out" {
    mkdir -p own/run/config own/run/docs
    printf 'a text\n' > own/a.txt
    mf-docs --quiet -o own/all.mf --removed own/removed.jsonl own/a.txt own/a.txt
    touch own/run/inputs.list own/run/config/docs.yaml
    printf 'made by make\n' > own/run/docs/x.txt
    mf-docs -o own/all.mf own 2> table
    assert_equal "$(mf-cat own/all.mf | grep -c '"text"')" 1
    grep -q 'left out 3 that ModularForge wrote: own/all.mf, own/removed.jsonl, own/run$' table
}
