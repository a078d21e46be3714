# Documents in: every kind of input, copies, splits, and what is refused.
load ../helper

# Text and id of every document of a stream, as JSON lines.
docs() {
    mf-cat "$1" | jq -c 'select(has("text"))'
}

# 300 different texts as JSON lines, and the copies of CASES.md.
make_jsonl() {
    /usr/bin/python3 - <<'PY'
import json, random
rng = random.Random(3)
words = ["".join(rng.choice("abcdefghijklmnopqrst") for _ in range(rng.randint(2, 9))) for _ in range(3000)]
texts = [[rng.choice(words) for _ in range(200)] for _ in range(420)]
lines = lambda w: "\n".join(" ".join(w[i : i + 10]) for i in range(0, len(w), 10)) + "\n"
base = [{"id": "d%d" % i, "text": lines(t)} for i, t in enumerate(texts[:300])]
copies = [{"id": "exact%d" % i, "text": base[i * 7]["text"]} for i in range(40)]
copies += [{"id": "space%d" % i, "text": base[i * 11]["text"].replace("\n", "  \r\n") + "\n \n"} for i in range(20)]
for i in range(20):
    w = list(texts[i * 13])
    for k in range(0, len(w), 100):
        w[k + rng.randrange(100)] = "changed"
    copies.append({"id": "near%d" % i, "text": lines(w)})
write = lambda name, docs: open(name, "w").write("".join(json.dumps(d) + "\n" for d in docs))
write("base.jsonl", base)
write("all.jsonl", base + copies)
rng.shuffle(both := base + copies)
write("shuffled.jsonl", both)
write("more.jsonl", base + [{"id": "new%d" % i, "text": lines(t)} for i, t in enumerate(texts[300:400])])
PY
}

splits=(--set docs.val_fraction=0.2 --set docs.test_fraction=0.2)

# "id split" of every document.
assigned() {
    for split in train val test; do
        mf-docs --quiet "${splits[@]}" --split $split "$1" | mf-cat | jq -r --arg s $split 'select(has("id")) | .id + " " + $s'
    done | sort
}

@test "copies do not cross the split, are counted by sort, and can be traced" {
    make_jsonl
    mf-docs "${splits[@]}" --removed removed.jsonl -o all.mf all.jsonl 2> table
    assert_equal "$(docs all.mf | wc -l)" 300
    grep -Eq '^exact copies +60 ' table
    grep -Eq '^near copies +20 ' table
    assert_equal "$(wc -l < removed.jsonl)" 80
    assert_equal "$(jq -r 'select(.copy == "near") | .removed' removed.jsonl | grep -c '^near')" 20
    assert_equal "$(jq -r 'select(.removed == "exact3") | .kept' removed.jsonl)" d21
    assert_equal "$(jq -r 'select(.removed == "space2") | .kept' removed.jsonl)" d22
    assert_equal "$(jq -r 'select(.removed == "near4") | .kept' removed.jsonl)" d52
    # all three splits together are all documents, each once
    assigned all.jsonl > assigned
    assert_equal "$(wc -l < assigned)" 300
    assert_equal "$(cut -d' ' -f1 assigned | sort -u | wc -l)" 300
    for split in train val test; do [ "$(grep -c " $split" assigned)" -gt 30 ]; done
}

@test "shuffling leaves every text in its split, and new documents move none" {
    make_jsonl
    assigned base.jsonl > base
    assigned shuffled.jsonl > shuffled
    # texts without a copy are where they were
    grep -vE '^(exact|space|near)' shuffled | while read -r id split; do grep -qx "$id $split" base; done
    # a copy that stands for its group is in the split of the group, unless it is a near one
    while read -r id split; do
        case $id in exact*) grep -qx "d$((${id#exact} * 7)) $split" base ;; space*) grep -qx "d$((${id#space} * 11)) $split" base ;; esac
    done < shuffled
    assigned more.jsonl > more
    assert_equal "$(grep -v '^new' more)" "$(cat base)"
    assert_equal "$(grep -c '^new' more)" 100
}

@test "near copies are kept when asked for" {
    make_jsonl
    assert_equal "$(mf-docs --quiet --near-dup 0 all.jsonl | mf-cat | grep -c '"text"')" 320
}

@test "a folder: sorted, hidden and foreign files left out, domains by its folders" {
    mkdir -p in/b/deep in/a in/.hidden
    printf one > in/b/1.txt
    printf two > in/b/deep/2.txt
    printf three > in/a/3.md
    printf four > in/4.txt
    printf no > in/.hidden/5.txt
    printf no > in/a/.6.txt
    printf '\211PNG' > in/a/7.png
    mf-docs --domain-from folder -o d.mf in 2> table
    assert_equal "$(docs d.mf | jq -r '[.id, .text, .domain // "-"] | join(" ")')" "4.txt four -
a/3.md three a
b/1.txt one b
b/deep/2.txt two b"
    grep -q 'left out 1 that are no text (--all takes them): in/a/7.png' table
    assert_equal "$(mf-docs --quiet --domain x in/4.txt | mf-cat | jq -r 'select(.id) | .domain')" x
    mf-docs --quiet in/ > slash.mf
    assert_equal "$(docs slash.mf | head -n 1 | jq -r .id)" 4.txt
}

@test "standard input, and bytes that are no UTF-8 or zero" {
    printf 'a\0b\377c' > bytes
    mf-docs --quiet < bytes > one.mf
    mf-docs --quiet bytes > two.mf
    assert_equal "$(docs one.mf | jq -c .text)" "$(docs two.mf | jq -c .text)"
    mf-docs --quiet bytes | mf-tokenize train --quiet --vocab-size 260 -o t.json 2> /dev/null
    mf-docs --quiet bytes | mf-tokenize encode -t t.json | mf-tokenize decode -t t.json | cmp - bytes
    printf '{"text": "%s"}\n' 'before\u0000after' '\u0000' 'end\u0000' > zero.jsonl
    mf-docs --quiet zero.jsonl | mf-tokenize encode -t t.json | mf-tokenize decode -t t.json --separator '|' > text
    printf 'before\0after|\0|end\0' | cmp - text
}

@test "JSON lines: keys, ids, domains, blank lines" {
    printf '{"body": "one", "url": "u1", "kind": "k"}\n\n{"body": "two", "url": 7}\n{"body": "three"}' > in.jsonl
    mf-docs --quiet --text-key body --id-key url --domain-key kind -o d.mf in.jsonl
    assert_equal "$(docs d.mf | jq -c '[.id, .text, .domain]')" '["u1","one","k"]
["7","two",null]
["in.jsonl:4","three",null]'
}

@test "WikiText: documents begin at headings of the first level" {
    printf '\n = First = \n\n text \n = = Section = = \n more \n = Second = \n end\n' > wiki.txt
    mf-docs --quiet -o d.mf wiki.txt
    assert_equal "$(docs d.mf | jq -r .id)" "wiki.txt#1
wiki.txt#2"
    docs d.mf | head -n 1 | jq -e '.text | contains("Section") and (contains("Second") | not)'
    assert_equal "$(mf-docs --quiet --format text wiki.txt | mf-cat | grep -c '"text"')" 1
}

@test "compressed files and archives" {
    mkdir -p in/x
    printf one > in/x/1.txt
    printf '{"text": "two"}\n{"text": "three"}\n' > in/2.jsonl
    tar czf in.tar.gz in
    /usr/bin/python3 -m zipfile -c in.zip in
    for file in in.tar.gz in.zip; do
        assert_equal "$(mf-docs --quiet $file | mf-cat | jq -r 'select(.text) | .text' | sort | tr '\n' ' ')" "one three two "
    done
    xz -k in/2.jsonl
    gzip -k in/x/1.txt
    assert_equal "$(mf-docs --quiet in/2.jsonl.xz | mf-cat | grep -c '"text"')" 2
    assert_equal "$(mf-docs --quiet < in/x/1.txt.gz | mf-cat | jq -r 'select(.text) | .text')" one
    head -c 60 in.tar.gz > cut.tar.gz
    run mf-docs cut.tar.gz
    assert_failure 65
    assert_output --partial cut.tar.gz
}

@test "short documents are left out, long ones cut at paragraphs, and counting stops" {
    printf 'abc' > short
    { for i in 1 2 3 4; do printf 'paragraph %s of some words\nin two lines\n\n' $i; done; } > long
    mf-docs --quiet --min-chars 4 --max-chars 90 -o d.mf short long
    assert_equal "$(docs d.mf | jq -r .id)" "long+1
long+2"
    docs d.mf | jq -j .text | cmp - long
    docs d.mf | jq -e '.text | endswith("\n\n")'
    printf 'ééééé' > accents
    assert_equal "$(mf-docs --quiet --near-dup 0 --max-chars 2 accents | mf-cat | jq -c 'select(.text) | .text' | tr '\n' ' ')" '"éé" "éé" "é" '
    assert_equal "$(mf-docs --quiet --max-docs 1 short long | mf-cat | grep -c '"text"')" 1
}

@test "nothing but white space is no document; what is not UTF-8 is kept, and named" {
    mkdir in
    printf ' \n\t\r\n' > in/blank.txt
    printf 'un caf\xe9 cr\xe8me' > in/latin1.txt
    printf 'un café crème' > in/utf8.txt
    mf-docs -o d.mf in 2> table
    assert_equal "$(docs d.mf | jq -r .id)" "latin1.txt
utf8.txt"
    grep -qx 'too short  *1  *5' table
    grep -qx 'mf-docs: 1 with bytes that are not UTF-8, kept as they are (iconv converts a file): latin1.txt' table
    assert_equal "$(mf-docs --quiet --min-chars 0 in | mf-cat | grep -c blank.txt)" 1
}

@test "no documents make an empty stream" {
    mkdir empty
    mf-docs --quiet -o d.mf empty
    assert_equal "$(docs d.mf | wc -l)" 0
    mf-docs --quiet -o e.mf < /dev/null
    assert_equal "$(docs e.mf | wc -l)" 0
}

@test "each way to fail has its status, and leaves no output" {
    run mf-docs --split trian -o d.mf .
    assert_failure 64
    run mf-docs --max-cahrs 3 -o d.mf .
    assert_failure 64
    assert_output --partial "--max-chars"
    run mf-docs -o d.mf nothing
    assert_failure 66
    [[ "$output" == "mf-docs: nothing: "* ]] || fail "a plan, and then: $output"
    assert_equal "${#lines[@]}" 1
    printf '{"text": "a"}\n{"text": \n' > bad.jsonl
    run mf-docs --removed r.jsonl -o d.mf bad.jsonl
    assert_failure 65
    assert_output --partial "bad.jsonl:2: "
    printf '[1]\n' > list.jsonl
    run mf-docs -o d.mf list.jsonl
    assert_failure 65
    printf '{"txt": "a"}\n' > key.jsonl
    run mf-docs -o d.mf key.jsonl
    assert_failure 65
    assert_output --partial "no text under the key 'text'"
    run mf-docs -o no/d.mf .
    assert_failure 73
    run mf-docs --set docs.val_fraction=2 -o d.mf .
    assert_failure 78
    [ ! -e d.mf ]
    [ ! -e r.jsonl ]
}

@test "the whole way from files to a perplexity is a pipe" {
    make_tokens
    make_pieces
    mf-assemble --quiet --config "$TINY" -o m.safetensors shared.tar expert.?.tar
    run bash -c 'mf-docs --quiet words/alpha | mf-tokenize encode -t tokenizer.json | mf-eval perplexity --quiet -m m.safetensors'
    assert_success
    assert_output --partial perplexity
}

# 6,000 short documents, a quarter of them copies of sorts: more keys than the least memory sorts at once.
make_many() {
    /usr/bin/python3 - > many.jsonl <<'PY'
import json, random
rng = random.Random(5)
texts = []
for i in range(6000):
    words = list(rng.choice(texts)) if texts and i % 4 == 0 else [str(rng.randrange(10**6)) for _ in range(rng.randint(5, 60))]
    if i % 8 == 0:
        words[rng.randrange(len(words))] = "changed"
    texts.append(words)
    print(json.dumps({"id": "d%d" % i, "text": " ".join(words)}))
PY
}

@test "any memory keeps the same documents, and what it does not hold leaves no file" {
    make_many
    mkdir scratch
    export TMPDIR=$PWD/scratch
    for memory in 15M 40M 1G; do
        mf-docs "${splits[@]}" --max-memory $memory --removed removed.$memory --splits $memory many.jsonl 2> table
        grep -q "^mf-docs: memory [0-9]* MB: program 13, sorting " table
        assert_equal "$(find scratch -mindepth 1)" ""
        diff removed.15M removed.$memory
        for split in train val test; do cmp 15M/$split.mf $memory/$split.mf; done
    done
    [ "$(grep -c exact removed.15M)" -gt 500 ]
    [ "$(grep -c near removed.15M)" -gt 100 ]
    run --separate-stderr mf-docs --max-memory 13M -o out many.jsonl
    assert_equal "$status" 78
    assert_equal "$stderr" "mf-docs: --max-memory: finding copies needs at least 15 MB, not 13.6 MB"
    [ ! -e out ]
}
