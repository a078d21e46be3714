# Which documents go where: small corpora, blocks, the floor, and the three splits in one pass.
load ../helper

ordinary() { # FILES BYTES FOLDER [SEED]
    /usr/bin/python3 "$MF_ROOT/tests/ordinary.py" "$@"
}

# Every document of a stream as a line of JSON.
documents() {
    mf-cat "$1" | jq -c 'select(has("text"))'
}

# The texts of a folder of splits, put together again by their ids.
together() { # FOLDER
    for split in train val test; do documents "$1/$split.mf"; done |
        jq -sj 'map(.id |= (split("+") | .[1] = (.[1] // "0" | tonumber))) | sort_by(.id) | .[].text'
}

# Each split has what training, partitioning, validation, calibration and the report need.
assert_splits() { # FOLDER
    local split
    for split in train val test; do documents "$1/$split.mf" | jq -s 'map(.text | utf8bytelength)' > $split.sizes; done
    jq -ens --slurpfile train train.sizes --slurpfile val val.sizes --slurpfile test test.sizes '
        ($train + $val + $test | flatten | add) as $all | ($train[0] | add >= $all * 0.6 and length >= 20)
        and ([$val[0], $test[0]] | all((map(select(. >= 128)) | length >= 4) and add >= ([4000, $all / 8] | min)))' ||
        fail "$(jq -c . train.sizes val.sizes test.sizes)"
}

@test "any number of files gives each split what it needs, and every byte once" {
    local files
    for files in 1 3 10 30 100 300; do
        ordinary $files $((files * 1000 + 19000)) in.$files
        mf-docs --quiet --near-dup 0 --splits out in.$files
        assert_splits out
        together out | cmp - <(cat in.$files/*)
    done
}

@test "one file of 2 MB is cut into blocks of several KB at the ends of paragraphs" {
    ordinary 1 2000000 in
    mf-docs --splits out in/000.txt 2> table
    assert_splits out
    together out | cmp - in/000.txt
    grep -q '^blocks ' table
    for split in train val test; do documents out/$split.mf; done > all
    jq -es 'length > 250 and (map(.text | length) | min >= 4096 and max < 8192)
        and (map(select(.text | endswith("\n\n"))) | length) >= length - 1' all
    # in the order of reading
    jq -es 'map(.id | split("+")[1] | tonumber) | . == sort' <(documents out/train.mf)
}

@test "one document that is most of the text is cut, the others are not" {
    ordinary 200 100000 in
    mkdir in/zone
    ordinary 1 300000 big 6
    cp big/000.txt in/zone/big.txt
    mf-docs --quiet --domain-from folder --near-dup 0 --splits out in
    for split in train val test; do documents out/$split.mf; done > all
    jq -es 'map(select(.id | startswith("zone/"))) | length > 50 and all(.domain == "zone" and (.id | test("^zone/big.txt\\+[0-9]+$")))' all
    jq -es 'map(select(.id | startswith("zone/") | not)) | length == 200 and all(has("domain") | not)' all
    # unless asked not to, or where nothing is split
    mf-docs --quiet --set docs.blocks=0 --splits whole in
    for split in train val test; do documents whole/$split.mf; done > all
    assert_equal "$(wc -l < all)" 201
    assert_equal "$(mf-docs --quiet in | mf-cat | grep -c '"text"')" 201
    # more blocks where more are asked for
    mf-docs --quiet --set docs.blocks=500 --near-dup 0 --splits more in
    [ "$(documents more/train.mf | wc -l)" -gt $((2 * $(documents out/train.mf | wc -l))) ]
}

@test "what was cut is cut the same way when the corpus has grown, and its blocks stay where they were" {
    ordinary 12 40000 in
    mf-docs --quiet --near-dup 0 --splits small --cuts cuts in
    [ "$(wc -l < cuts)" -gt 5 ]
    cp cuts first
    ordinary 400 1500000 in/later 7
    mf-docs --quiet --near-dup 0 --splits forgot in
    mf-docs --quiet --near-dup 0 --splits grown --cuts cuts in
    blocks() { for split in train val test; do documents "$1/$split.mf" | jq -c --arg s $split 'select(.id | test("^[0-9]+.txt[+]")) | [$s, .id, .text]'; done; }
    blocks small > before
    [ "$(wc -l < before)" -gt 20 ]
    [ "$(blocks forgot | wc -l)" -lt "$(wc -l < before)" ]
    # but those that the floor had moved to validation and test and now leaves in training
    blocks grown | grep -F -x -v -f before > moved || true
    jq -es 'all(.[0] == "train")' moved
    assert_equal "$(blocks grown | jq -r '.[1]' | sort)" "$(jq -r '.[1]' before | sort)"
    # the list names what is cut by now, keeps what was, and its time
    grep -qxFf first cuts
    assert_equal "$(grep -cxFf first cuts)" "$(wc -l < first)"
    touch -d 2001-01-01 cuts
    for shards in 1 3; do
        for ((i = 0; i < shards; i++)); do mf-docs --quiet --shard $i/$shards -o $i.mf in; done
        mf-docs --quiet --near-dup 0 --merge --splits merged --cuts cuts $(seq -f %g.mf 0 $((shards - 1)))
        for split in train val test; do cmp <(documents grown/$split.mf) <(for file in merged/$split*.mf; do documents $file; done); done
        rm -r merged
    done
    assert_equal "$(stat -c %y cuts | cut -c 1-4)" 2001
    # without documents to cut it is empty, and what is no such list is refused
    printf 'one\n' > one.txt
    mf-docs --quiet --set docs.blocks=0 --split train --cuts none -o x.mf in
    [ -e none ] && [ ! -s none ]
    for line in "$(head -n 1 first)x" 0123456789abcdef "0123456789abcdef 0" "$(cat first first)"; do
        echo "$line" > bad
        run -65 mf-docs --quiet --splits x --cuts bad in
        assert_output --partial "bad: line "
        [ ! -e x/train.mf ]
    done
    printf '0123456789abcdef 1' > bad # without its end
    run -65 mf-docs --quiet --splits x --cuts bad in
    run -64 mf-docs --quiet --shard 0/2 --cuts cuts -o x.mf in
}

@test "blocks that are copies do not cross the split" {
    /usr/bin/python3 - > repeated.txt << 'PY'
import random
rng = random.Random(2)
words = ["".join(rng.choice("etaoinshrdlu") for _ in range(6)) for _ in range(900)]
paragraphs = [[rng.choice(words) for _ in range(160)] for _ in range(60)]
lines = lambda w: "\n".join(" ".join(w[i : i + 10]) for i in range(0, 160, 10)) + "\n\n"
for times in range(3):
    for p in paragraphs:
        p[rng.randrange(160)] = "changed"
        print(lines(p), end="")
PY
    mf-docs --removed removed --splits out repeated.txt 2> table
    for split in train val test; do documents out/$split.mf; done > all
    assert_equal "$(wc -l < all)" 60
    assert_equal "$(wc -l < removed)" 120
    assert_equal "$(jq -r '.removed, .kept' removed | grep -vc '^repeated.txt+[0-9]*$')" 0
    assert_splits out
}

@test "pieces of one document stay in its split" {
    ordinary 80 $((80 * 22000)) in
    mf-docs --quiet --set docs.val_fraction=0.2 --set docs.test_fraction=0.2 --set docs.blocks=0 --max-chars 500 --splits out in
    for split in train val test; do documents out/$split.mf | jq -r --arg s $split '(.id | split("+")[0]) + " " + $s'; done > pieces
    [ "$(wc -l < pieces)" -gt 3000 ]
    assert_equal "$(sort -u pieces | wc -l)" 80
    for split in train val test; do [ "$(sort -u pieces | grep -c " $split")" -gt 5 ]; done
    together out | cmp - <(cat in/*)
    jq -es 'all(.text | length <= 500)' <(documents out/train.mf)
    # the split is that of the whole documents
    mf-docs --quiet --set docs.val_fraction=0.2 --set docs.test_fraction=0.2 --set docs.blocks=0 --splits whole in
    for split in train val test; do documents whole/$split.mf | jq -r --arg s $split '.id + " " + $s'; done | sort | diff - <(sort -u pieces)
}

@test "the floor moves documents of training alone, the nearest hashes first, and none in a large corpus" {
    ordinary 200 60000 in
    local floor before=
    for floor in 0 300 600 1000 1500; do
        mf-docs --quiet --set docs.min_targets=$floor --set docs.blocks=0 --splits $floor in
        for split in train val test; do documents $floor/$split.mf | jq -r .id | sort > $floor.$split; done
        if [ "$before" ]; then
            for split in val test; do assert_equal "$(comm -23 $before.$split $floor.$split)" ""; done
        fi
        before=$floor
    done
    [ "$(wc -l < 1500.val)" -gt "$(wc -l < 0.val)" ]
    [ "$(wc -l < 1500.test)" -gt "$(wc -l < 0.test)" ]
    assert_splits 1000
    # in whatever order they come
    mf-docs --quiet --set docs.blocks=0 --splits turned $(ls -r in/*)
    for split in train val test; do documents turned/$split.mf | jq -r '.id | split("/") | last' | sort | diff 1000.$split -; done
    # by the fractions alone there is enough
    ordinary 300 1200000 large 7
    for floor in 0 1000; do
        mf-docs --quiet --set docs.val_fraction=0.1 --set docs.test_fraction=0.1 --set docs.min_targets=$floor --set docs.blocks=0 --splits large.$floor large
    done
    diff -r large.0 large.1000
    # a fraction of 0 is kept to
    mf-docs --quiet --set docs.test_fraction=0 --splits none in
    assert_equal "$(documents none/test.mf | wc -l)" 0
    [ "$(documents none/val.mf | wc -l)" -gt 7 ]
}

@test "a large document behind a corpus that has its floor moves none" {
    { seq 20000 | jq -c '{text: "document \(.) of a large corpus, \(. * 7) and \(. * 13)"}'
        seq 60000 | jq -sc '{text: map(tostring) | join(" ")}'
        seq 20 | jq -c '{text: "late document \(.), \(. * 5)"}'
    } > large.jsonl
    mf-docs --near-dup 0 --set docs.val_fraction=0.01 --set docs.test_fraction=0.01 --splits out large.jsonl 2> table
    grep -q '^blocks ' table
    if grep moved table; then fail "the floor was reached before"; fi
}

@test "few documents that may not be cut leave the largest to training" {
    local n
    ordinary 1 9000 big
    ordinary 1 500 a 2
    ordinary 1 600 b 3
    for n in a b big; do cp $n/000.txt $n.txt; done
    mf-docs --quiet --set docs.blocks=0 --splits out a.txt b.txt big.txt
    [[ "$(documents out/train.mf | jq -r .id)" == *big.txt* ]]
    assert_equal "$(for split in train val test; do documents out/$split.mf; done | wc -l)" 3
    mf-docs --quiet --set docs.blocks=0 --splits one big.txt
    assert_equal "$(for split in train val test; do documents one/$split.mf; done | jq -r .id)" big.txt
}

@test "--splits writes what --split does, and leaves a file that would not change as it is" {
    local split
    ordinary 40 40000 in
    mf-docs --quiet --splits out in
    for split in train val test; do mf-docs --quiet --split $split in | cmp - out/$split.mf; done
    stat -c '%n %i %Y' out/* > before
    mf-docs --quiet --splits out in
    stat -c '%n %i %Y' out/* | diff before -
    # a new document goes into one of them
    ordinary 200 200000 more
    mf-docs --quiet --splits out more
    stat -c '%n %i %Y' out/* > before
    printf 'some words that nobody wrote before, in a new document\n' > more/new.txt
    mf-docs --quiet --splits out more
    assert_equal "$(stat -c '%n %i %Y' out/* | diff before - | grep -c '^>')" 1
    assert_equal "$(ls -A out | tr '\n' ' ')" "test.mf train.mf val.mf "
}

@test "a failure leaves the splits of before" {
    ordinary 40 40000 in
    mf-docs --quiet --splits out in
    sha256sum out/* > sums
    { cat in/000.txt | jq -Rsc '{text: .}'; echo '{"text": '; } > bad.jsonl
    run mf-docs --splits out bad.jsonl
    assert_failure 65
    run mf-docs --splits out -o d.mf in
    assert_failure 64
    run mf-docs --splits out --split val in
    assert_failure 64
    seq 1000 | jq -c '{text: "document \(.)"}' > many.jsonl # more than waits in memory
    TMPDIR=$PWD/nowhere run mf-docs --splits out many.jsonl
    assert_failure 73
    assert_output --partial nowhere
    run mf-docs --splits no/such in
    assert_failure 73
    sha256sum --check --quiet sums
    assert_equal "$(ls -A out | tr '\n' ' ')" "test.mf train.mf val.mf "
}

@test "near copies are found in scripts without blanks as in others" {
    /usr/bin/python3 - << 'PY'
import json, random

rng = random.Random(4)
letters = lambda *ranges: [chr(c) for low, high in ranges for c in range(low, high + 1)]
scripts = {
    "chinese": letters((0x4E00, 0x9FA5)), "japanese": letters((0x3041, 0x3093), (0x30A1, 0x30F3), (0x4E00, 0x5FFF)),
    "thai": letters((0x0E01, 0x0E2E), (0x0E30, 0x0E39), (0x0E40, 0x0E44)), "lao": letters((0x0E81, 0x0E82), (0x0E94, 0x0E97), (0x0E99, 0x0E9F)),
    "khmer": letters((0x1780, 0x17B3)), "myanmar": letters((0x1000, 0x102A)), "ideographs": letters((0x20000, 0x20FFF)),
    "unbroken": [c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"],
}
for script, alphabet in scripts.items():
    with open(script + ".jsonl", "w") as out:
        for i in range(200):
            text = [rng.choice(alphabet) for _ in range(600)]
            near = list(text)
            for k in range(0, 600, 100):
                near[k + rng.randrange(100)] = rng.choice(alphabet)
            stop = "。" if script in ("chinese", "japanese") else "" if script == "unbroken" else " "
            write = lambda t: "".join("".join(t[k : k + 40]) + stop for k in range(0, 600, 40)) + "\n"
            for name, t in (("a", text), ("b", near)):
                out.write(json.dumps({"id": "%s%d" % (name, i), "text": write(t)}) + "\n")
PY
    local file
    for file in *.jsonl; do
        mf-docs --removed removed -o out.mf "$file" 2> table
        grep -Eq '^near copies +200 ' table || fail "$file: $(cat table)"
        assert_equal "$(jq -r 'select(.removed[1:] != .kept[1:])' removed)" ""
    done
}
