# mf-partition: who goes where, by each method; what a saved partitioning keeps; and points that coincide.
load ../helper

HEADER='{"mf":"tokens","version":1,"width":2,"vocab_size":400,"tokenizer_sha256":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","bos":2,"eos":3,"pad":0}'

# JSON lines {"id":..., "tokens":[...]} to a tokens stream.
tokens() {
    /usr/bin/python3 "$MF_ROOT/tests/stream.py" "$HEADER"
}

# N documents of each of four topics, which have their own words among common ones.
topics() { # N [SEED]
    /usr/bin/python3 - "$1" "${2:-4}" <<'END'
import json, random, sys
random.seed(int(sys.argv[2]))
for i in range(int(sys.argv[1])):
    for k, name in enumerate(["fish", "rock", "star", "tree"]):
        text = [random.randrange(100 + 40 * k, 140 + 40 * k) if random.random() < 0.5 else random.randrange(10, 40)
                for _ in range(random.randint(20, 60))]
        print(json.dumps({"id": f"{name}{i}", "domain": name, "tokens": [2] + text + [3]}))
END
}

# The ids of the documents in a part or a stream, sorted.
ids() {
    mf-cat "$1" | sed -n 's/^{"id":"\([^"]*\)".*/\1/p' | sort
}

# Every document of a stream is in exactly one part of a folder, and each part has one.
assert_parted() { # STREAM FOLDER
    for part in "$2"/part.*.mp; do
        ids "$part" >one
        [ -s one ]
        cat one
    done | sort >all
    ids "$1" | cmp - all
}

# No part is larger than balance * mean and one document more.
assert_balanced() { # FOLDER BALANCE
    for part in "$1"/part.*.mp; do
        mf-cat "$part"
    done | awk -F '[][]' -v balance="$2" '
        /^{"mf"/ { part++ }
        /^{"id"/ { n = split($2, ids, ","); sum[part] += n; all += n; if (n > most) most = n }
        END { for (p in sum) if (sum[p] > balance * all / part + most) exit 1 }'
}

assert_finite() { # FOLDER
    /usr/bin/python3 - "$1/partition.mp" <<'END'
import math, struct, sys
import msgpack
for record in msgpack.Unpacker(open(sys.argv[1], "rb"), raw=True):
    for key in (b"centroid", b"idf"):
        values = record.get(key, b"")
        assert all(math.isfinite(x) for x in struct.unpack(f"<{len(values) // 4}f", values))
    assert all(math.isfinite(record.get(key, 0)) for key in (b"price", b"hardest"))
END
}

@test "clusters find the topics" {
    topics 25 | tokens >t.mf
    run -0 --separate-stderr mf-partition -n 4 -o parts t.mf
    assert_output ""
    assert_regex "${stderr_lines[0]}" '^mf-partition: memory 200 MB: program [0-9]+, .* sorting [0-9]+$'
    assert_regex "${stderr_lines[1]}" '^partition +documents +tokens +share +domain$'
    for e in 2 3 4 5; do
        assert_regex "${stderr_lines[$e]}" "^$((e - 2)) +25 +[0-9]+ +[0-9.]+% +100% (fish|rock|star|tree)$"
    done
    assert_equal "${stderr_lines[6]}" "mf-partition: clustered, agreement with 4 domains 1.000"
    assert_equal "${stderr_lines[7]}" "mf-partition: 4 of 4 partitions changed"
    assert_equal "${#stderr_lines[@]}" 8
    assert_equal "$(ls -A parts | tr '\n' ' ')" "part.0.mp part.1.mp part.2.mp part.3.mp partition.mp "
    assert_parted t.mf parts
    # a part is a tokens stream with the same header and records, in the same order
    mf-cat parts/part.0.mp >shown
    run -0 jq -c 'select(.mf) | [.mf, .vocab_size, .width, .bos, .eos, .pad, .partition]' shown
    assert_output '["tokens",400,2,2,3,0,0]'
    mf-cat t.mf | grep -F -f <(jq -r 'select(.id) | "\"\(.id)\""' shown) >expected
    tail -n +2 shown | cmp - expected
}

@test "clusters find the domains of the demonstration corpus, and their words are shown" {
    "$MF_ROOT/pipelines/corpus.sh" corpus 300000 >sources
    mf-docs --quiet --domain-from folder -o docs.mf corpus
    mf-tokenize train --quiet --vocab-size 4096 -o t.json docs.mf
    mf-tokenize encode -t t.json -o tokens.mf docs.mf
    run -0 --separate-stderr mf-partition -n 5 -t t.json -o parts tokens.mf
    echo "$stderr"
    assert_regex "${stderr_lines[1]}" 'domain +telling words$'
    agreement=$(sed -n 's/.*agreement with 5 domains //p' <<<"$stderr")
    awk "BEGIN { exit !($agreement >= 0.9) }"
    assert_regex "$stderr" '[0-9]+% scripture .* unto '
    assert_regex "$stderr" '[0-9]+% python .* Python'
    # each word once, whatever its case
    while read -r _ _ _ _ _ _ words; do
        assert_equal "$(tr 'A-Z ' 'a-z\n' <<<"$words" | sort | uniq -d)" ""
    done < <(sed -n '3,7p' <<<"$stderr")
    # the documents' own labels
    mf-partition -n 5 --by domain -o own tokens.mf 2>table
    assert_equal "$(grep -c ' 100% ' table)" 5
    grep -q 'domain, agreement with 5 domains 1.000' table
}

@test "the same bytes by pipe, by file, with any number of threads; another seed may differ" {
    topics 20 | tokens >t.mf
    mf-partition --quiet -n 4 --threads 1 -o one t.mf
    mf-partition --quiet -n 4 --threads 2 -o two t.mf
    diff -r one two
    mf-partition --quiet -n 4 -o three <t.mf
    diff -r one three
    cat t.mf | mf-partition --quiet -n 4 -o four
    diff -r one four
    mf-partition --quiet -n 4 -o five <(cat t.mf)
    diff -r one five
    run -0 --separate-stderr mf-partition --quiet -n 4 --method random --seed 1 -o six t.mf
    assert_equal "$stderr" ""
    mf-partition --quiet -n 4 --method random --seed 2 -o seven t.mf
    run -1 diff -rq six seven
}

@test "random partitions are balanced and ignore the topics" {
    topics 25 | tokens >t.mf
    run -0 --separate-stderr mf-partition -n 5 --method random -o parts t.mf
    assert_regex "$stderr" 'random, agreement with 4 domains 0\.[01]'
    assert_parted t.mf parts
    assert_balanced parts 1.1
}

@test "the balance is kept" {
    # three topics of four in equal numbers, the fourth in few: clusters alone would be uneven
    topics 30 | jq -c 'select(.domain != "tree" or (.id | test("[05]$")))' | tokens >t.mf
    for balance in 1 1.05 1.5; do
        mf-partition --quiet -n 4 --balance $balance -o "parts$balance" t.mf
        assert_parted t.mf "parts$balance"
        assert_balanced "parts$balance" "$balance"
    done
}

@test "domains are taken as they are" {
    topics 10 | tokens >t.mf
    mf-partition --quiet -n 4 --method domain -o parts t.mf
    e=0
    for name in fish rock star tree; do
        diff <(ids parts/part.$e.mp) <(ids t.mf | grep "^$name")
        e=$((e + 1))
    done
    run -65 --separate-stderr mf-partition -n 5 --method domain -o parts5 t.mf
    assert_equal "${stderr_lines[-1]}" "mf-partition: t.mf: documents of 4 domains do not make 5 partitions by domain (model.n_experts=4 does)"
    topics 10 | jq -c 'if .id == "star0" then del(.domain) else . end' | tokens >u.mf
    run -65 --separate-stderr mf-partition -n 4 --method domain -o parts5 u.mf
    assert_equal "${stderr_lines[-1]}" "mf-partition: u.mf: record 3 has no domain to partition by"
    [ ! -e parts5 ]
}

@test "a curriculum goes from easy to hard" {
    /usr/bin/python3 - >lines <<'END'
import json, random
random.seed(3)
for i in range(60):
    words = ["".join(random.choice("abcdefgh") for _ in range(random.randint(1, 2 + i % 7))) for _ in range(random.randint(1, 30))]
    print(json.dumps({"id": str(i), "text": " ".join(words)}))
END
    /usr/bin/python3 "$MF_ROOT/tests/stream.py" <lines >docs.mf
    mf-tokenize train --quiet --vocab-size 300 -o t.json docs.mf
    mf-tokenize encode -t t.json -o t.mf docs.mf
    mf-partition --quiet -n 3 --method curriculum -t t.json -o parts t.mf
    assert_parted t.mf parts
    assert_balanced parts 1
    ids parts/part.0.mp >easy
    ids parts/part.1.mp >middle
    ids parts/part.2.mp >hard
    /usr/bin/python3 - <<'END'
import json, math
text = {r["id"]: r["text"].split() for r in map(json.loads, open("lines"))}
def difficulty(w):
    return sum(map(len, w)) / len(w) * math.log(len(set(w))) * math.sqrt(len(w))
parts = [[difficulty(text[i.strip()]) for i in open(name)] for name in ("easy", "middle", "hard")]
eps = 1e-4 # they are compared in 32 bits
assert max(parts[0]) <= min(parts[1]) + eps and max(parts[1]) <= min(parts[2]) + eps, parts
END
    run -64 --separate-stderr mf-partition -n 3 --method curriculum -o other t.mf
    assert_equal "${stderr_lines[-1]}" "mf-partition: the curriculum reads the text: which tokenizer? (-t FILE)"
    mf-tokenize train --quiet --vocab-size 299 -o u.json docs.mf
    run -65 --separate-stderr mf-partition -n 3 -t u.json -o other t.mf
    assert_regex "${stderr_lines[-1]}" "^mf-partition: t.mf: made with tokenizer [0-9a-f]{12}, not [0-9a-f]{12}$"
    [ ! -e other ]
    # and saved, it needs no more than the tokenizer
    mf-partition --quiet --saved parts/partition.mp -t t.json -o again t.mf
    diff -r parts again
}

@test "overlap adds the nearest documents of others" {
    topics 20 | tokens >t.mf
    mf-partition --quiet -n 4 -o parts t.mf
    mf-partition --quiet -n 4 --overlap 0.25 -o over t.mf
    for e in 0 1 2 3; do
        ids parts/part.$e.mp >own
        ids over/part.$e.mp >more
        comm -23 own more >lost
        [ ! -s lost ]
        added=$(comm -13 own more | wc -l)
        [ "$added" -ge 3 ]
        [ "$added" -le 8 ]
    done
}

# Tokens in a stream of those documents whose ids the second file has.
tokens_of() { # STREAM IDS
    mf-cat "$1" | jq -n --rawfile ids "$2" '[$ids | split("\n")[] | select(. != "")] as $ids
        | [inputs | select(.id as $id | $ids | index($id)).tokens | length] | add // 0'
}

@test "general text: about the share asked for, of the other partitions, the same in every order" {
    topics 400 | tokens >t.mf
    topics 400 | tac | tokens >turned.mf
    mf-partition --quiet -n 4 -o parts t.mf
    for threads in 1 2; do mf-partition --quiet --threads $threads -n 4 --general 0.2 -o general.$threads t.mf; done
    diff -r general.1 general.2
    mf-partition --quiet -n 4 --set partition.general=0.2 -o general.2 <t.mf
    diff -r general.1 general.2
    mf-partition --quiet --saved general.1/partition.mp -o turned turned.mf
    for e in 0 1 2 3; do
        ids parts/part.$e.mp >own
        ids general.1/part.$e.mp >more
        ids turned/part.$e.mp | diff more -
        comm -23 own more >lost
        [ ! -s lost ]
        comm -13 own more >added
        # of each of the three others, a fifth of its own tokens in all; 0.07 are more than three deviations
        assert_equal "$(tr -d 0-9 <added | sort -u | wc -l)" 3
        awk -v own="$(tokens_of t.mf own)" -v added="$(tokens_of t.mf added)" \
            'BEGIN { print added / own; exit !(added > 0.13 * own && added < 0.27 * own) }'
    done
    # records are the stream's, in its order; whose a document is, labels say
    mf-cat general.1/part.0.mp | tail -n +2 >shown
    mf-cat t.mf | grep -F -f <(jq -r '"\"\(.id)\""' shown) | diff - shown
    mf-partition --label --saved general.1/partition.mp t.mf | mf-cat | jq -r 'select(.id and .partition == 0).id' | sort >labelled
    ids parts/part.0.mp | diff labelled -
    # none of one partition alone, nor of none
    mf-partition --quiet -n 1 --general 1 -o single t.mf
    assert_parted t.mf single
    mf-partition --quiet -n 4 --general 0 -o none t.mf
    diff -r parts none
}

@test "general text: documents that come or go change no other document's places" {
    topics 100 | tokens >old.mf
    { topics 100; topics 10 77 | jq -c '.id = "new-" + .id'; } | tokens >both.mf
    mf-partition --quiet -n 4 --general 0.3 -o parts old.mf
    cp -a parts more
    mf-partition --quiet --saved more/partition.mp -o more both.mf
    for e in 0 1 2 3; do diff <(ids parts/part.$e.mp) <(ids more/part.$e.mp | grep -v new-); done
    assert_equal "$(cat more/part.*.mp | grep -ao 'new-[[:alpha:]]*[[:digit:]]*' | sort -u | wc -l)" 40
    [ "$(cat more/part.*.mp | grep -ao 'new-[[:alpha:]]*[[:digit:]]*' | wc -l)" -gt 40 ]
    # and when they are gone again, nothing is left of them
    mf-partition --quiet --saved more/partition.mp -o more old.mf
    for e in 0 1 2 3; do cmp parts/part.$e.mp more/part.$e.mp; done
    mf-partition --quiet --saved parts/partition.mp -o parts old.mf
    cmp parts/partition.mp more/partition.mp
}

@test "general text: more partitions leave the old ones their bytes, and see text of those" {
    for method in clustered random domain; do
        topics 60 | jq -c 'select(.domain != "tree" and .domain != "fish")' | tokens >two.mf
        topics 60 | jq -c 'select(.domain != "fish")' | tokens >three.mf
        topics 60 | tokens >four.mf
        rm -rf parts
        mf-partition --quiet -n 2 --method $method --general 0.4 -o parts two.mf
        sha256sum parts/part.* >sums
        mf-partition --quiet --saved parts/partition.mp -n 3 -o parts three.mf
        sha256sum --check --quiet sums
        assert_equal "$(ids parts/part.2.mp | tr -d 0-9 | sort -u | tr '\n' ' ')" "rock star tree "
        sha256sum parts/part.* >sums
        mf-partition --quiet --saved parts/partition.mp -n 4 -o parts four.mf
        sha256sum --check --quiet sums
        assert_equal "$(ids parts/part.3.mp | tr -d 0-9 | sort -u | tr '\n' ' ')" "fish rock star tree "
    done
}

@test "an unchanged partition keeps its file and time, one too many goes" {
    topics 20 | tokens >t.mf
    mf-partition --quiet -n 4 -o parts t.mf
    stat -c '%n %i %.Y' parts/* >before
    run -0 --separate-stderr mf-partition -n 4 -o parts t.mf
    assert_equal "${stderr_lines[-1]}" "mf-partition: 0 of 4 partitions changed"
    stat -c '%n %i %.Y' parts/* | diff before -
    mf-partition --quiet -n 3 -o parts t.mf
    assert_equal "$(ls -A parts | tr '\n' ' ')" "part.0.mp part.1.mp part.2.mp partition.mp "
}

@test "new documents join without moving the old ones" {
    topics 20 | tokens >old.mf
    { topics 20; topics 1 77 | jq -c '.id = "new-" + .id'; } >lines
    tokens <lines >both.mf
    mf-partition --quiet -n 4 -o parts old.mf
    for e in 0 1 2 3; do ids parts/part.$e.mp >old.$e; done
    cp -a parts first
    mf-partition --quiet --centroids parts/partition.mp -o parts both.mf
    assert_parted both.mf parts
    for e in 0 1 2 3; do
        ids parts/part.$e.mp >now
        comm -23 old.$e now >moved
        [ ! -s moved ]
        # the new one of its topic, and no other
        assert_equal "$(comm -13 old.$e now | tr -d '0-9')" "new-$(head -n 1 old.$e | tr -d '0-9')"
    done
    # one new document changes one part
    grep -v 'new-\(rock\|star\|tree\)' lines | tokens >one.mf
    stat -c '%n %i %.Y' first/part.* >before
    run -0 --separate-stderr mf-partition --saved first/partition.mp -o first one.mf
    assert_equal "${stderr_lines[-1]}" "mf-partition: 1 of 4 partitions changed"
    assert_equal "$(stat -c '%n %i %.Y' first/part.* | comm -12 before - | wc -l)" 3
    # the order of the documents does not matter to where they are
    tac lines | tokens >turned.mf
    mf-partition --quiet --saved parts/partition.mp -o turned turned.mf
    for e in 0 1 2 3; do diff <(ids parts/part.$e.mp) <(ids turned/part.$e.mp); done
}

@test "new documents make new partitions, and the old ones keep their bytes" {
    kinds() { topics 20 | jq -c 'select(.id | test($ARGS.positional[0]))' --args "$1" | tokens; }
    kinds 'star|rock' >old.mf
    kinds 'star|rock|tree' >three.mf
    mf-partition --quiet -n 2 -o parts old.mf
    stat -c '%n %i %.Y' parts/part.* >before
    sha256sum parts/part.* >sums
    run -0 --separate-stderr mf-partition --saved parts/partition.mp -n 3 -o parts three.mf
    assert_equal "${stderr_lines[-1]}" "mf-partition: 1 of 3 partitions changed"
    stat -c '%n %i %.Y' parts/part.[01].mp | diff before -
    assert_equal "$(ids parts/part.2.mp)" "$(ids three.mf | grep tree)"
    # nothing more to do; new texts go to the nearest, the new ones too
    run -0 --separate-stderr mf-partition --saved parts/partition.mp -n 3 -o parts three.mf
    assert_equal "${stderr_lines[-1]}" "mf-partition: 0 of 3 partitions changed"
    topics 5 99 | jq -c 'select(.domain == "tree")' | tokens >val.mf
    mf-partition --label --saved parts/partition.mp val.mf | mf-cat >shown
    assert_equal "$(jq -s -c '[.[] | select(.id).partition] | unique' shown)" "[2]"
    # two at once, told apart by words that the first documents have, by any number of threads
    kinds 'star|rock|[a-z]0$' >few.mf
    kinds . >all.mf
    mf-partition --quiet -n 2 -o two few.mf
    for t in 1 2; do mf-partition --quiet --threads $t --saved two/partition.mp -n 4 -o four.$t all.mf; done
    diff -r four.1 four.2
    for e in 0 1; do cmp two/part.$e.mp four.1/part.$e.mp; done
    assert_equal "$(for e in 2 3; do ids four.1/part.$e.mp | tr -d '0-9' | sort -u; done | sort | tr '\n' ' ')" "fish tree "
    # by lot and by domain
    for method in random domain; do
        mf-partition --quiet --method $method -n 2 -o $method old.mf
        sha256sum $method/part.* >sums
        run -65 --separate-stderr mf-partition --saved $method/partition.mp -n 3 -o $method old.mf
        assert_regex "${stderr_lines[-1]}" "^mf-partition: old.mf: .* more partition"
        mf-partition --quiet --saved $method/partition.mp -n 3 -o $method three.mf
        sha256sum --check --quiet sums
        assert_equal "$(ids $method/part.2.mp)" "$(ids three.mf | grep tree)"
    done
}

@test "a partitioning does not grow out of nothing, nor shrink" {
    topics 20 | tokens >t.mf
    mf-partition --quiet -n 4 -o parts t.mf
    sha256sum parts/* >sums
    run -65 --separate-stderr mf-partition --saved parts/partition.mp -n 5 -o parts t.mf
    assert_equal "${stderr_lines[-1]}" "mf-partition: t.mf: 0 documents not seen before: too few for 1 more partition (model.n_experts=4 does, or more text)"
    run -64 --separate-stderr mf-partition --saved parts/partition.mp -n 3 -o parts t.mf
    assert_equal "${stderr_lines[-1]}" "mf-partition: parts/partition.mp has 4 partitions; fewer, 3, need a new partitioning"
    run -64 --separate-stderr mf-partition --saved parts/partition.mp -n 5 --label t.mf
    sha256sum --check --quiet sums
}

@test "labels say where documents belong" {
    topics 20 | tokens >t.mf
    topics 5 99 | tokens >val.mf
    mf-partition --quiet -n 4 -o parts t.mf
    mf-partition --label --saved parts/partition.mp -o labelled.mf t.mf
    for e in 0 1 2 3; do
        diff <(mf-cat labelled.mf | jq -r "select(.id and .partition == $e).id" | sort) <(ids parts/part.$e.mp)
    done
    # all else is as it was
    mf-cat labelled.mf | jq -cS 'del(.partition)' >a
    mf-cat t.mf | jq -cS . >b
    diff a b
    cat val.mf | mf-partition --label --saved parts/partition.mp | mf-cat >shown
    run -0 jq -s '[.[] | select(.id)] | group_by(.domain) | map([.[].partition] | unique | length)' --compact-output shown
    assert_output "[1,1,1,1]"
    # a stream without documents has no labels, which is no error
    tokens </dev/null | mf-partition --label --saved parts/partition.mp | mf-cat >shown
    assert_equal "$(wc -l <shown)" 1
    run -64 --separate-stderr mf-partition --label val.mf
    assert_equal "$stderr" "mf-partition: --label goes with a saved partitioning (--saved FILE)"
}

@test "with --each a labelled stream is also divided, and a partition with nothing to predict has all of it" {
    topics 20 | tokens >t.mf
    topics 5 99 | tokens >val.mf
    mf-partition --quiet -n 4 --by domain -o parts t.mf
    mf-partition --label --saved parts/partition.mp --each val -o labelled.mf val.mf
    mf-partition --label --saved parts/partition.mp val.mf | cmp - labelled.mf
    for e in 0 1 2 3; do
        diff <(mf-cat labelled.mf | jq -c "select(.id and .partition == $e)") <(mf-cat val/part.$e.mf | jq -c 'select(.id)')
        diff <(mf-cat labelled.mf | head -n 1) <(mf-cat val/part.$e.mf | head -n 1)
    done
    [ "$(mf-cat val/part.0.mf | jq -s 'map(select(.id)) | length')" -gt 0 ]
    # what does not change keeps its file; files of partitions that are no more go
    touch -d 2001-01-01 val/part.*.mf
    cp val/part.0.mf val/part.4.mf
    mf-partition --label --saved parts/partition.mp --each val -o labelled.mf val.mf
    [ ! -e val/part.4.mf ]
    [ -z "$(find val -newermt 2002-01-01 -name 'part.*')" ]
    # a document of one token predicts nothing
    { topics 5 99 | grep -v tree && topics 1 99 | grep tree | jq -c '.tokens = .tokens[:1]'; } | tokens >less.mf
    mf-partition --quiet --label --saved parts/partition.mp --each less -o less.labelled.mf less.mf
    cmp less/part.3.mf less.labelled.mf
    cmp less/part.0.mf val/part.0.mf
    run -64 --separate-stderr mf-partition -n 2 --each val -o other t.mf
    assert_equal "$stderr" "mf-partition: --each goes with --label"
    # a write that fails leaves the old ones
    cp -a val before
    run -74 --separate-stderr bash -c 'ulimit -f 1; mf-partition --label --saved parts/partition.mp --each val -o labelled.mf t.mf'
    assert_equal "$(find val | sort)" "$(find before | sed 's/^before/val/' | sort)"
    diff -r val before
}

@test "points that coincide: all alike" {
    for i in $(seq 10); do echo "{\"id\":\"$i\",\"tokens\":[2,50,51,52,50,3]}"; done | tokens >t.mf
    for method in clustered random; do
        limited mf-partition --quiet -n 5 --method $method -o $method t.mf
        assert_parted t.mf $method
        assert_balanced $method 1.1
        assert_finite $method
        mf-partition --quiet -n 5 --method $method -o again t.mf
        diff -r $method again
        mf-partition --quiet --saved $method/partition.mp -o again t.mf
        diff -r $method again
    done
}

@test "points that coincide: fewer documents than partitions" {
    topics 1 | head -n 3 | tokens >t.mf
    run -65 --separate-stderr mf-partition -n 5 -o parts t.mf
    assert_equal "${stderr_lines[-1]}" "mf-partition: t.mf: 3 documents are too few for 5 partitions (model.n_experts=3 does, or shorter blocks by docs.max_chars)"
    [ ! -e parts ]
    run -65 --separate-stderr bash -c 'cat t.mf | mf-partition -o parts'
    assert_equal "${stderr_lines[-1]}" "mf-partition: standard input: 3 documents are too few for 5 partitions (model.n_experts=3 does, or shorter blocks by docs.max_chars)"
    topics 1 | head -n 1 | tokens >one.mf
    run -65 --separate-stderr mf-partition -n 2 -o parts one.mf
    [[ ${stderr_lines[-1]} == *"1 document is too few for 2 partitions (model.n_experts=1 model.top_k=1 does, "* ]]
    tokens </dev/null >none.mf
    run -65 --separate-stderr mf-partition -n 1 -o parts none.mf
    assert_equal "${stderr_lines[-1]}" "mf-partition: none.mf: no documents to partition"
    mf-partition --quiet -n 3 -o parts t.mf
    assert_parted t.mf parts
    mf-partition --quiet -n 1 -o single t.mf
    assert_parted t.mf single
    # placed by a saved one, they may be few; the parts are there all the same and can be gone on from
    head -n 1 <(topics 1) | tokens >single.mf
    mf-partition --quiet --saved parts/partition.mp -o few single.mf
    assert_equal "$(ls few | wc -l)" 4
    mf-partition --quiet --saved few/partition.mp -o few t.mf
    ids t.mf >all
    cat <(ids few/part.0.mp) <(ids few/part.1.mp) <(ids few/part.2.mp) | sort | cmp - all
}

@test "points that coincide: most alike" {
    {
        for i in $(seq 45); do echo "{\"id\":\"same$i\",\"tokens\":[2,50,51,52,50,3]}"; done
        topics 2 | head -n 5
    } | tokens >t.mf
    limited mf-partition --quiet -n 5 -o parts t.mf
    assert_parted t.mf parts
    assert_balanced parts 1.1
    assert_finite parts
    mf-partition --quiet --saved parts/partition.mp -o again t.mf
    diff -r parts again
}

@test "documents without terms" {
    {
        echo '{"id":"empty1","tokens":[2,3]}'
        topics 5
        echo '{"id":"empty2","tokens":[2,3]}'
        echo '{"id":"none","tokens":[]}'
        echo '{"id":"digits","tokens":[2,20,20,21,3]}'
        echo '{"id":"pad","tokens":[2,0,0,0,3]}'
    } | tokens >t.mf
    for method in clustered random; do
        limited mf-partition --quiet -n 4 --method $method -o $method t.mf
        assert_parted t.mf $method
        assert_balanced $method 1.1
        assert_finite $method
        mf-partition --quiet --saved $method/partition.mp -o again t.mf
        diff -r $method again
    done
    # nothing but such documents
    for i in $(seq 6); do echo "{\"id\":\"$i\",\"tokens\":[2,3]}"; done | tokens >t.mf
    limited mf-partition --quiet -n 3 -o void t.mf
    assert_parted t.mf void
    assert_finite void
    mf-partition --quiet --saved void/partition.mp -o again t.mf
    diff -r void again
}

@test "a zero byte in a text is counted like others" {
    /usr/bin/python3 - <<'END' | /usr/bin/python3 "$MF_ROOT/tests/stream.py" >docs.mf
import json
for i in range(6):
    print(json.dumps({"id": f"a{i}", "text": "x\0" + "fish " * 20 + str(i)}))
    print(json.dumps({"id": f"b{i}", "text": "x\0" + "rock " * 20 + str(i)}))
END
    mf-tokenize train --quiet --vocab-size 300 -o t.json docs.mf
    mf-tokenize encode -t t.json docs.mf >t.mf
    mf-partition --quiet -n 2 -o parts t.mf
    assert_equal "$(ids parts/part.0.mp | cut -c1 | uniq | wc -l)" 1
    assert_equal "$(ids parts/part.1.mp | cut -c1 | uniq | wc -l)" 1
}

@test "the partitioning of partition.md is what the page says" {
    awk '/^```hex$/ { on = 1; next } /^```$/ { on = 0 } on' "$MF_ROOT/formats/partition.md" | xxd -r -p >example.mp
    awk '/^```json$/ { on = 1; next } /^```$/ { on = 0 } on' "$MF_ROOT/formats/partition.md" >page
    mf-cat example.mp | diff page -
    # the documents it was made from make it again
    HEADER=${HEADER/400/30} tokens >t.mf <<'END'
{"id":"a","tokens":[2,10,10,11,3]}
{"id":"b","tokens":[2,20,21,20,3]}
END
    mf-partition --quiet -n 2 -o parts t.mf
    cmp parts/partition.mp example.mp
    mf-partition --quiet --saved example.mp -o parts t.mf
    assert_equal "$(ids parts/part.1.mp)" a
    assert_equal "$(ids parts/part.0.mp)" b
}

@test "a stream need not have special tokens" {
    topics 5 | HEADER=${HEADER/,\"bos\":2,\"eos\":3,\"pad\":0/} tokens >t.mf
    mf-cat --head 0 t.mf | grep -v bos
    mf-partition --quiet -n 4 -o parts t.mf
    assert_parted t.mf parts
    mf-cat --head 0 parts/part.0.mp | grep '"bos":-1,"eos":-1,"pad":-1'
    HEADER=${HEADER/\"eos\":3/\"eos\":400} tokens </dev/null >u.mf
    run -65 --separate-stderr mf-partition -n 1 -o parts u.mf
    assert_equal "${stderr_lines[-1]}" "mf-partition: u.mf: the header's eos is 400, not between -1 and 399"
}

@test "a damaged or foreign partitioning is refused" {
    topics 5 | tokens >t.mf
    mf-partition --quiet -n 2 -o parts t.mf
    head -c -9 parts/partition.mp >cut.mp
    run -65 --separate-stderr mf-partition --saved cut.mp -o again t.mf
    run -65 --separate-stderr mf-partition --saved t.mf -o again t.mf
    run -66 --separate-stderr mf-partition --saved absent -o again t.mf
    assert_equal "$stderr" "mf-partition: absent: No such file or directory"
    topics 5 | HEADER=${HEADER/aaaa/bbbb} tokens >u.mf
    run -65 --separate-stderr mf-partition --saved parts/partition.mp -o again u.mf
    assert_regex "${stderr_lines[-1]}" "^mf-partition: parts/partition.mp: made with tokenizer aaaaaaaaaaaa, not bbbbaaaaaaaa as in u.mf$"
    [ ! -e again ]
    # general text at impossible rates, or of partitions that are not there
    mf-partition --quiet -n 2 --general 0.5 -o general t.mf
    for change in general=2.0 rate=-0.5 rate=nan origin=3; do
        /usr/bin/python3 - "$change" >bad.mp <<'END'
import re, struct, sys
key, value = sys.argv[1].split("=")
data = open("general/partition.mp", "rb").read()
new = bytes([int(value)]) if key == "origin" else b"\xcb" + struct.pack(">d", float(value))
at = re.search(b"[\xa4-\xa7]%s" % key.encode(), data).end()
sys.stdout.buffer.write(data[:at] + new + data[at + len(new):])
END
        run -65 --separate-stderr mf-partition --saved bad.mp -o again t.mf
        assert_regex "$stderr" "^mf-partition: bad.mp: ${change%=*} is "
    done
    [ ! -e again ]
    for size in $(seq 1 397 "$(stat -c %s parts/partition.mp)"); do
        head -c "$size" parts/partition.mp >cut.mp
        run -65 --separate-stderr mf-partition --saved cut.mp -o again t.mf
    done
}

@test "wrong use, malformed input, outputs that cannot be written" {
    topics 5 | tokens >t.mf
    run -64 --separate-stderr mf-partition t.mf
    assert_equal "$stderr" "mf-partition: which folder? (-o DIR)"
    run -64 --separate-stderr mf-partition --metod random -o parts t.mf
    assert_equal "$stderr" "mf-partition: unknown option '--metod', did you mean '--method'?"
    run -64 --separate-stderr mf-partition -n 0 -o parts t.mf
    run -64 --separate-stderr mf-partition --balance 0.5 -o parts t.mf
    run -64 --separate-stderr mf-partition --overlap 2 -o parts t.mf
    run -64 --separate-stderr mf-partition --general 1.5 -o parts t.mf
    run -64 --separate-stderr mf-partition -o parts t.mf t.mf
    run -78 --separate-stderr mf-partition --set partition.balence=2 -o parts t.mf
    assert_regex "$stderr" "did you mean 'partition.balance'"
    run -66 --separate-stderr mf-partition -o parts absent
    run -66 --separate-stderr mf-partition -o parts .
    head -c -7 t.mf >cut.mf
    run -65 --separate-stderr mf-partition -n 2 -o parts cut.mf
    assert_regex "${stderr_lines[-1]}" "^mf-partition: cut.mf: .*truncated"
    run -65 --separate-stderr bash -c 'cat cut.mf | mf-partition -n 2 -o parts'
    assert_regex "${stderr_lines[-1]}" "^mf-partition: standard input: .*truncated"
    echo '{"id":"a","tokens":[2,400,3]}' | tokens >high.mf
    run -65 --separate-stderr mf-partition -n 1 -o parts high.mf
    assert_regex "${stderr_lines[-1]}" "record 1: token 400 is not below the vocabulary's size 400"
    echo '{"id":"a","text":"docs"}' | /usr/bin/python3 "$MF_ROOT/tests/stream.py" >docs.mf
    run -65 --separate-stderr mf-partition -n 1 -o parts docs.mf
    [ ! -e parts ]
    run -73 --separate-stderr mf-partition -n 2 -o absent/parts t.mf
    run -73 --separate-stderr mf-partition -n 2 -o t.mf t.mf
    mf-partition --quiet -n 2 -o parts t.mf
    for option in --method=random --general=0.1; do
        run -64 --separate-stderr mf-partition --saved parts/partition.mp $option -o parts t.mf
        assert_equal "$stderr" "mf-partition: --method, --overlap, --general and --balance belong to a new partitioning, a saved one has its own"
    done
    run -74 --separate-stderr bash -c 'mf-partition --label --saved parts/partition.mp t.mf >/dev/full'
    # a write that fails leaves the old parts
    cp -a parts before
    run -74 --separate-stderr bash -c 'ulimit -f 1; mf-partition --quiet -n 2 --seed 9 --method random -o parts t.mf'
    diff -r parts before
    run -0 mf-partition --help
    assert_line "Exit status:"
}

@test "a partition that loses its documents keeps its file, and another corpus under the same name is noticed" {
    topics 20 | tokens > t.mf
    mf-partition --quiet -n 4 --by domain -o parts t.mf
    cp parts/part.3.mp tree.mp
    topics 20 | grep -v tree | tokens > less.mf
    run --separate-stderr mf-partition --saved parts/partition.mp -o parts less.mf
    assert_success
    [[ $stderr == *"mf-partition: partition 3 has no documents now: its file, and so its expert, stay as they are"* ]]
    [[ $stderr != *"another corpus"* ]]
    cmp tree.mp parts/part.3.mp
    run --separate-stderr mf-partition --saved parts/partition.mp --label -o labelled.mf less.mf
    [[ $stderr == *"less.mf has no document of partition 3: "*"docs.val_fraction"* ]]
    topics 20 | grep fish | tokens > few.mf
    run --separate-stderr mf-partition --saved parts/partition.mp --label -o labelled.mf few.mf
    [[ $stderr == *"few.mf has no document of partitions 1, 2, 3: "*"docs.val_fraction"* ]]
    topics 20 | head -n 0 | tokens > none.mf
    run --separate-stderr mf-partition --saved parts/partition.mp --label -o labelled.mf none.mf
    assert_success
    [[ $stderr == "mf-partition: none.mf has no document: nothing to validate or calibrate on"* ]]
    topics 20 9 | tokens > other.mf
    run --separate-stderr mf-partition --saved parts/partition.mp -o parts other.mf
    assert_success
    [[ $stderr == *"only 0 of 80 documents are among the 60 that were partitioned"*"make fresh"* ]]
}

@test "more partitions than the soft limit of open files" {
    topics 30 | tokens > t.mf
    (ulimit -Sn 40; mf-partition --quiet -n 100 --by random -o parts t.mf)
    assert_parted t.mf parts
}

@test "more partitions than the hard limit of open files: they are opened in turns, with the same bytes" {
    topics 30 | tokens > t.mf
    mf-partition --quiet -n 100 --by random -o whole t.mf
    for most in 26 40; do
        (ulimit -n $most; mf-partition --quiet -n 100 --by random -o parts.$most t.mf)
        diff -r whole parts.$most
        assert_equal "$(find parts.$most -name '.*.new*' -o -name '*.tmp')" ""
    done
    # again, where the parts are there already
    (ulimit -n 40; mf-partition --quiet -n 100 --by random --seed 5 -o whole t.mf)
    mf-partition --quiet -n 100 --by random --seed 5 -o other t.mf
    diff -r whole other
}

# Many documents of a few tokens, of 20 topics.
many() { # N
    /usr/bin/python3 - "$1" << 'END'
import random, sys
random.seed(8)
for i in range(int(sys.argv[1])):
    k = random.randrange(20) if i % 7 else 3 # one topic is larger
    text = [100 + 15 * k + random.randrange(15) if random.random() < 0.7 else random.randrange(10, 100) for _ in range(random.randint(8, 14))]
    print('{"id":"%d","domain":"topic %d","tokens":%s}' % (i, k, [2] + text + [3]))
END
}

@test "more documents than the sample: the same bytes for every memory, in balance, nothing left behind" {
    many 33500 | tokens > t.mf
    mkdir scratch
    export TMPDIR=$PWD/scratch
    quick=(--set partition.restarts=1 --set partition.iterations=3 -n 20)
    run -0 --separate-stderr mf-partition "${quick[@]}" --overlap 0.05 -o parts t.mf
    awk -v nmi="$(sed -n 's/.*agreement with 20 domains //p' <<< "$stderr")" 'BEGIN { print nmi; exit !(nmi > 0.7) }'
    run -78 --separate-stderr mf-partition "${quick[@]}" --max-memory 1 -o other t.mf
    [[ "$stderr" =~ at\ least\ ([0-9]+)\ MB ]]
    mf-partition --quiet "${quick[@]}" --overlap 0.05 --max-memory "${BASH_REMATCH[1]}M" --threads 3 -o least t.mf
    diff -r parts least
    mf-partition --quiet --saved parts/partition.mp -o again t.mf
    diff -r parts again
    for method in clustered random; do
        mf-partition --quiet "${quick[@]}" --method $method --balance 1.02 -o $method t.mf
        assert_parted t.mf $method
        assert_balanced $method 1.02
    done
    assert_equal "$(ls -A scratch)" ""
}

@test "more partitions than are all looked at: none is empty, in balance, and placed by the same search" {
    many 3000 | tokens > t.mf
    many 3300 | tail -n 300 | jq -c '.id = "new" + .id' | cat <(many 3000) - | tokens > both.mf
    for method in clustered random; do
        mf-partition --quiet -n 90 --method $method --threads 1 -o $method t.mf
        mf-partition --quiet -n 90 --method $method --threads 3 -o threads t.mf
        diff -r $method threads
        assert_parted t.mf $method
        assert_balanced $method 1.1
        mf-partition --quiet --saved $method/partition.mp -o again t.mf
        diff -r $method again
        # more of them, of new documents only
        mf-partition --quiet --saved $method/partition.mp -n 170 -o more both.mf
        assert_parted both.mf more
        for e in 0 44 89; do cmp $method/part.$e.mp more/part.$e.mp; done
        assert_equal "$(ids more/part.169.mp | grep -cv new)" 0
    done
    # each is of one topic mostly
    for part in clustered/part.*.mp; do
        mf-cat "$part" | jq -r 'select(.id).domain' | sort | uniq -c | sort -rn | awk '{ all += $1 } NR == 1 { most = $1 } END { print most, all }'
    done | awk '{ most += $1; all += $2 } END { exit !(most > 0.8 * all) }'
}
