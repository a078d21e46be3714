# mf-tokenize: train, encode, decode; what comes back; and the inputs that there is little or nothing to learn from.
load ../helper

# JSON lines to a docs stream.
docs() {
    /usr/bin/python3 "$MF_ROOT/tests/stream.py"
}

# Some text with words that come again, as three documents.
sample() {
    printf '%s\n' '{"id":"a","text":"the cat sat on the mat, the cat'"'"'s mat"}' \
        '{"id":"b","text":"low lower lowest low low\n\n  x","domain":"low"}' '{"id":"c","text":"the lowest cat"}' | docs
}

# The N smallest words of the vocabulary are the specials and the bytes; prints the others by id.
learnt() {
    jq -r '.model.vocab | to_entries | sort_by(.value)[260:][].key' "$1"
}

@test "documents to a tokenizer, to tokens, and back" {
    sample >docs.mf
    run -0 --separate-stderr mf-tokenize train --vocab-size 272 -o t.json docs.mf
    assert_output ""
    assert_equal "$stderr" "mf-tokenize train: 272 tokens from 0.0 MB of text"
    run -0 --separate-stderr mf-tokenize encode -t t.json -o tokens.mf docs.mf
    assert_output ""
    assert_equal "$stderr" ""
    mf-cat tokens.mf >shown
    run -0 jq -c '.kind?, .mf?, .width?, .vocab_size?, .bos?, .eos?, .pad?, .tokenizer_sha256?' <(head -n 1 shown)
    assert_output "$(printf 'null\n"tokens"\n2\n272\n2\n3\n0\n"%s"' "$(sha256sum <t.json | cut -d' ' -f1)")"
    run -0 jq -r 'select(.id) | [.id, .domain, .tokens[0], .tokens[-1], ([.tokens[1:-1][] | select(. < 4)] | length)] | @csv' shown
    assert_output "$(printf '"a",,2,3,0\n"b","low",2,3,0\n"c",,2,3,0')"
    mf-tokenize decode --docs -t t.json <tokens.mf | mf-cat >decoded
    jq -cS . decoded >a
    mf-cat docs.mf | jq -cS . >b
    diff a b
    mf-tokenize decode -t t.json --separator '#' tokens.mf >text
    printf '%s' "the cat sat on the mat, the cat's mat#low lower lowest low low"$'\n\n'"  x#the lowest cat" | cmp - text
}

@test "the three commands compose by pipes, and again give the same bytes" {
    sample | mf-tokenize train --quiet --vocab-size 270 >t.json
    sample | mf-tokenize encode -t t.json | mf-tokenize decode -t t.json --docs | mf-tokenize encode -t t.json >one
    sample | mf-tokenize encode -t t.json --threads 1 | cmp - one
    sample | mf-tokenize train --quiet --vocab-size 270 --threads 1 --seed 9 | cmp - t.json
}

@test "the order of documents does not matter to training" {
    for i in $(seq 200); do
        echo "{\"id\":\"$i\",\"text\":\"word$((i * 7919 % 150)) the $((i * i)) of thing$((i % 7))\"}"
    done >lines
    docs <lines | mf-tokenize train --quiet --vocab-size 380 >t.json
    tac lines | docs | mf-tokenize train --quiet --vocab-size 380 | cmp - t.json
    sort lines | docs | mf-tokenize train --quiet --vocab-size 380 | cmp - t.json
    assert_equal "$(learnt t.json | wc -l)" 120
}

@test "the vocabulary's size and the least frequency come from the config unless they are given" {
    sample >docs.mf
    printf 'tokenizer:\n  vocab_size: 265\n' >c.yaml
    mf-tokenize train --quiet --config c.yaml docs.mf >t.json
    assert_equal "$(learnt t.json | wc -l)" 5
    mf-tokenize train --quiet --config c.yaml --set tokenizer.vocab_size=266 docs.mf >t.json
    assert_equal "$(learnt t.json | wc -l)" 6
    mf-tokenize train --quiet --config c.yaml --vocab-size 267 docs.mf >t.json
    assert_equal "$(learnt t.json | wc -l)" 7
    mf-tokenize train --quiet --set tokenizer.min_frequency=4 docs.mf >seldom
    mf-tokenize train --quiet --min-frequency 4 docs.mf | cmp - seldom
    [ "$(learnt seldom | wc -l)" -lt 12 ]
}

@test "a sample takes the same documents in any order and company, and a tokenizer of it is one of these" {
    for i in $(seq 400); do
        echo "{\"id\":\"$i\",\"text\":\"word$((i * 7919 % 150)) the $((i * i)) of thing$((i % 7)) $i\"}"
    done >lines
    docs <lines >docs.mf
    train() { mf-tokenize train --vocab-size 380 "$@" 2>said; }
    taken() { sed -n 's/^mf-tokenize train: learnt from a sample of \([0-9]*\) of [0-9]* documents$/\1/p' said; }
    train docs.mf >all.json
    assert_equal "$(taken)" ""
    train --sample 1 docs.mf | cmp - all.json
    train --sample 0.3 docs.mf >t.json
    all=$(taken)
    [ "$all" -gt 80 ]
    [ "$all" -lt 160 ]
    run cmp -s t.json all.json
    assert_failure
    train --set tokenizer.sample=0.3 --threads 1 docs.mf | cmp - t.json
    train --sample 0.3 --threads 3 <(tac lines | docs) | cmp - t.json
    # whatever else is there
    head -n 150 lines | docs | train --sample 0.3 >few.json
    first=$(taken)
    tail -n +151 lines | docs | train --sample 0.3 >few.json
    assert_equal $((first + $(taken))) "$all"
    # a smaller one is part of a larger one
    train --sample 0.1 docs.mf >small.json
    [ "$(taken)" -gt 15 ]
    [ "$(taken)" -lt 70 ]
    run -65 --separate-stderr mf-tokenize train --sample 0.000001 -o none.json docs.mf
    assert_equal "$stderr" "mf-tokenize train: docs.mf: no text to learn from in 400 documents (a larger tokenizer.sample takes more)"
    [ ! -e none.json ]
    run -64 mf-tokenize train --sample 0 docs.mf
    run -78 mf-tokenize train --set tokenizer.sample=0 docs.mf
}

@test "any bytes come back exactly" {
    sample | mf-tokenize train --quiet --vocab-size 280 >t.json
    printf 'plain text, one document\n' >plain
    head -c 20000 /dev/urandom >random
    : >empty
    printf '\r\n\t  \r\n' >white
    for f in plain random empty white t.json; do
        mf-tokenize encode -t t.json --text <$f | mf-tokenize decode -t t.json | cmp - $f
        mf-tokenize encode -t t.json --text $f | mf-tokenize decode -t t.json | cmp - $f
    done
    run -0 --separate-stderr bash -c 'mf-tokenize encode -t t.json --text <empty | mf-cat'
    assert_line -n 1 --partial '"tokens":[2,3]}'
}

@test "a zero byte is a byte like others" {
    printf '%s\n' '{"id":"a","text":"before\u0000after"}' '{"id":"b","text":"\u0000"}' '{"id":"c","text":"ends\u0000"}' \
        '{"id":"d","text":"xx\u0000yyyy yyyy yyyy"}' '{"id":"e","text":"\u0000\u0000\u0000\u0000"}' | docs >docs.mf
    mf-tokenize train --quiet docs.mf >t.json
    learnt t.json | grep -qx 'yyyy' # behind the zero
    learnt t.json | grep -qx 'ĀĀ'   # of zeros
    mf-tokenize encode -t t.json docs.mf | mf-tokenize decode -t t.json --docs | mf-cat | jq -cS . >a
    mf-cat docs.mf | jq -cS . >b
    diff a b
    mf-tokenize encode -t t.json docs.mf | mf-tokenize decode -t t.json --separator '|' >text
    printf 'before\0after|\0|ends\0|xx\0yyyy yyyy yyyy|\0\0\0\0' | cmp - text
}

@test "no text to learn from leaves no tokenizer" {
    docs </dev/null >none.mf
    echo '{"id":"a","text":""}' | docs >blank.mf
    run -65 --separate-stderr mf-tokenize train -o t.json none.mf
    assert_equal "$stderr" "mf-tokenize train: none.mf: no text to learn from in 0 documents"
    [ ! -e t.json ]
    run -65 --separate-stderr mf-tokenize train -o t.json blank.mf
    assert_equal "$stderr" "mf-tokenize train: blank.mf: no text to learn from in 1 documents"
    assert_equal "$(find . -type f ! -name 'separate-stderr-*' | sort | tr '\n' ' ')" "./blank.mf ./none.mf "
}

@test "little to learn from is learnt, and both sizes are said" {
    echo '{"id":"a","text":"  \n\n  \n"}' | docs >white.mf
    echo '{"id":"a","text":"abab"}' | docs >abab.mf
    for f in white abab; do
        run -0 --separate-stderr mf-tokenize train --vocab-size 16384 -o $f.json $f.mf
        assert_regex "$stderr" '^mf-tokenize train: asked for 16384 tokens, the text supports 26[0-9]$'
        head -c 3000 /dev/urandom >bytes
        mf-tokenize encode -t $f.json --text bytes | mf-tokenize decode -t $f.json | cmp - bytes
    done
    assert_equal "$(learnt abab.json | tr '\n' ' ')" "ab " # twice; abab itself occurs once only
    mf-tokenize train --quiet --min-frequency 1 abab.mf >abab.json
    assert_equal "$(learnt abab.json | tr '\n' ' ')" "ab abab "
}

@test "a vocabulary too small for the bytes is refused with the smallest size" {
    sample >docs.mf
    run -64 --separate-stderr mf-tokenize train --vocab-size 100 -o t.json docs.mf
    assert_equal "$stderr" "mf-tokenize train: --vocab-size is 100, the smallest possible is 260: 256 bytes and 4 special tokens"
    run -78 --separate-stderr mf-tokenize train --set tokenizer.vocab_size=259 -o t.json docs.mf
    assert_regex "$stderr" '^mf-tokenize train: .*tokenizer.vocab_size.*260'
    [ ! -e t.json ]
    mf-tokenize train --quiet --vocab-size 260 -o t.json docs.mf
    assert_equal "$(learnt t.json | wc -l)" 0
    mf-tokenize encode -t t.json docs.mf | mf-tokenize decode -t t.json --docs | mf-cat | head -n 2
}

# How many tokens a stream of documents becomes.
tokens() {
    mf-tokenize encode -t "$1" "$2" | mf-cat | jq 'select(.id) | .tokens | length' | awk '{ n += $1 } END { print n }'
}

# A corpus of 1 MB, and the same with one document more, a line of 500 kB without space; MF_LONG times as much of both.
long_line() {
    /usr/bin/python3 - "$1" "${MF_LONG:-1}" <<'END'
import json, random, sys
random.seed(1)
times = int(sys.argv[2])
words = ["".join(random.choice("etaoinshrdlu") for _ in range(random.randint(2, 9))) for _ in range(3000)]
for i in range(200 * times):
    print(json.dumps({"id": f"d{i}", "text": " ".join(random.choice(words) for _ in range(800))}))
n = 500000 * times
line = {"none": "", "letters": "abcdefghijklmnopqrstuvwxyz", "base64": "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", "one": "a"}[sys.argv[1]]
if line:
    print(json.dumps({"id": "the long one", "text": "".join(random.choice(line) for _ in range(n))}))
END
}

# Runs a program and prints the milliseconds of processor time it took and the most memory it held, in MB.
cost() { # COMMAND [ARGUMENT]...
    /usr/bin/python3 -c 'import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
u = resource.getrusage(resource.RUSAGE_CHILDREN)
print(int((u.ru_utime + u.ru_stime) * 1000), u.ru_maxrss // 1000)' "$@"
}

@test "beside one enormous word training takes little more time and memory" {
    own_memory_only
    long_line none | docs >normal.mf
    read -r ms mb <<<"$(cost mf-tokenize train --quiet --threads 1 --vocab-size 2000 -o none.json normal.mf)"
    for kind in letters base64 one; do
        long_line $kind | docs >$kind.mf
        read -r more_ms more_mb <<<"$(cost mf-tokenize train --quiet --threads 1 --vocab-size 2000 -o $kind.json $kind.mf)"
        echo "$kind: $more_ms ms and $more_mb MB, without the line $ms ms and $mb MB"
        [ "$more_ms" -lt $((10 * ms)) ] # the square of its length would be a thousand times as much
        [ "$more_mb" -lt $((mb + 5)) ]
        # counted to its end: memory in proportion to its length
        read -r more_ms more_mb <<<"$(cost mf-tokenize train --quiet --threads 1 --vocab-size 2000 --max-word 0 -o $kind.json $kind.mf)"
        [ "$more_mb" -lt $((mb + 50 * ${MF_LONG:-1})) ]
    done
}

@test "one enormous word costs its length and does not take the vocabulary" {
    long_line none | docs >normal.mf
    mf-tokenize train --quiet --vocab-size 2000 -o none.json normal.mf
    best=$(tokens none.json normal.mf)
    for kind in letters base64 one; do
        long_line $kind | docs >$kind.mf
        run -0 --separate-stderr limited mf-tokenize train --vocab-size 2000 -o $kind.json $kind.mf
        assert_equal "${stderr_lines[0]}" "mf-tokenize train: 1 words of more than 16384 bytes were not counted beyond them; the first in document the long one"
        assert_regex "${stderr_lines[1]}" '^mf-tokenize train: 2000 tokens from [0-9.]+ MB of text$'
        assert_equal "${#stderr_lines[@]}" 2
        n=$(tokens $kind.json normal.mf)
        echo "$kind: $n tokens, without the line $best"
        [ "$n" -lt $((best * 101 / 100)) ]
        limited mf-tokenize encode -t $kind.json $kind.mf | mf-tokenize decode -t $kind.json --docs | cmp - $kind.mf
        # counted to its end it costs its length too
        limited mf-tokenize train --quiet --vocab-size 2000 --max-word 0 -o whole.json $kind.mf
        limited mf-tokenize encode -t whole.json $kind.mf | mf-tokenize decode -t whole.json --docs | cmp - $kind.mf
    done
}

@test "any --max-memory gives the same bytes: words that do not fit wait on disk" {
    /usr/bin/python3 - <<'END' | docs >docs.mf
import json
for i in range(3000):
    print(json.dumps({"id": str(i), "text": " ".join("w%x often and often" % (i * 997 + k) for k in range(60))}))
for i in range(3): # one document of more words than a thread's table holds
    print(json.dumps({"id": "long", "text": " ".join("%x-%d" % (k * k * 7919 % 99991, k) for k in range(40000))}))
END
    run -0 --separate-stderr mf-tokenize train --max-memory 1G --vocab-size 1000 --threads 2 -o all.json docs.mf
    assert_regex "$stderr" '^mf-tokenize train: 1000 tokens from [0-9.]+ MB of text$'
    for threads in 1 2 3; do
        run -0 --separate-stderr mf-tokenize train --max-memory 12M --vocab-size 1000 --threads $threads -o few.json docs.mf
        assert_regex "${stderr_lines[0]}" '^mf-tokenize train: more different words than --max-memory holds: learnt in [0-9]+ rounds$'
        cmp few.json all.json
    done
    run mf-tokenize train --max-memory 1 --vocab-size 1000 docs.mf
    [[ "$output" =~ least\ ([0-9]+)\ MB ]]
    run -0 --separate-stderr mf-tokenize train --max-memory "${BASH_REMATCH[1]}M" --vocab-size 1000 -o least.json docs.mf
    assert_regex "${stderr_lines[0]}" 'learnt in [0-9]+ rounds$'
    cmp least.json all.json
    run -0 --separate-stderr mf-tokenize train --max-memory 26M --vocab-size 1000 --threads 1 -o few.json docs.mf
    assert_regex "${stderr_lines[0]}" 'learnt in 1 round$'
}

@test "any number of threads gives the same bytes" {
    long_line letters | docs >docs.mf
    mf-tokenize train --quiet --threads 1 --vocab-size 900 docs.mf >t.json
    mf-tokenize encode --threads 1 -t t.json docs.mf >tokens.mf
    for threads in 2 5; do
        mf-tokenize train --quiet --threads $threads --vocab-size 900 docs.mf | cmp - t.json
        mf-tokenize encode --threads $threads -t t.json docs.mf | cmp - tokens.mf
    done
}

# One document of N bytes of ordinary words, as plain text.
one_document() { # N
    /usr/bin/python3 - "$1" <<'END'
import random, sys
random.seed(4)
words = ["".join(random.choice("etaoinshrdlu") for _ in range(random.randint(1, 9))) for _ in range(3000)]
size = int(sys.argv[1])
print(" ".join(random.choices(words, k=size // 4))[:size], end="")
END
}

@test "one large document is held once, and its tokens in their own width" {
    own_memory_only
    one_document 100000 >small.txt
    one_document 8000000 >large.txt
    for size in small large; do
        jq -Rsc '{id: "one", text: .}' $size.txt | docs >$size.mf
    done
    mf-tokenize train --quiet --vocab-size 1000 -o t.json small.mf
    base=$(peak_mb mf-tokenize encode -t t.json -o small.tokens small.mf)
    for threads in 1 3; do
        docs=$(peak_mb mf-tokenize encode --threads $threads -t t.json -o large.tokens large.mf)
        text=$(peak_mb mf-tokenize encode --threads $threads -t t.json --text -o text.tokens large.txt)
        tokens=$(($(stat -c %s large.tokens) / 1000000))
        echo "$threads threads: $docs MB as a stream, $text MB as text, $tokens MB of tokens, $base MB for a small one"
        [ "$docs" -lt $((base + 8 + tokens + 5)) ]
        [ "$text" -lt $((base + 8 + tokens + 5)) ]
        mf-tokenize decode -t t.json --separator "" large.tokens | cmp - large.txt
    done
}

@test "a document that fills a batch comes between those before and behind it" {
    one_document 3000000 >large.txt
    {
        printf '%s\n' '{"id":"a","text":"before it"}' '{"id":"b","text":"","domain":"none"}'
        jq -Rsc '{id: "large", text: ., domain: "of one"}' large.txt
        jq -Rsc '{text: .[5:]}' large.txt
        printf '%s\n' '{"id":"c","text":"behind it","domain":"last"}'
    } | docs >docs.mf
    mf-tokenize train --quiet --vocab-size 300 -o t.json docs.mf
    for threads in 1 3; do
        mf-tokenize encode --threads $threads -t t.json docs.mf | mf-tokenize decode -t t.json --docs | mf-cat >back
        diff <(jq -cS '.id //= ""' back) <(mf-cat docs.mf | jq -cS '.id //= ""')
    done
}

@test "memory does not grow with the corpus" {
    own_memory_only
    long_line none | docs >few.mf
    for _ in $(seq 12); do long_line none; done | docs >many.mf
    mf-tokenize train --quiet --vocab-size 2000 -o t.json few.mf
    [ "$(peak_mb mf-tokenize train --quiet --vocab-size 2000 -o u.json many.mf)" -lt $(($(peak_mb mf-tokenize train --quiet --vocab-size 2000 -o t.json few.mf) + 20)) ]
    few=$(peak_mb mf-tokenize encode -t t.json -o few.tokens few.mf)
    many=$(peak_mb mf-tokenize encode -t t.json -o many.tokens many.mf)
    echo "encode: $few MB, $many MB"
    [ "$many" -lt $((few + 8)) ]
    few=$(peak_mb mf-tokenize decode -t t.json -o few.txt few.tokens)
    many=$(peak_mb mf-tokenize decode -t t.json -o many.txt many.tokens)
    [ "$many" -lt $((few + 4)) ]
}

@test "a long word costs n log n" {
    long_line none | docs >docs.mf
    mf-tokenize train --quiet --vocab-size 2000 -o t.json docs.mf
    for letters in a ab "a-z"; do
        /usr/bin/python3 -c 'import random, sys
random.seed(2)
letters = sys.argv[1].replace("a-z", "abcdefghijklmnopqrstuvwxyz")
sys.stdout.write("".join(random.choice(letters) for _ in range(600000)))' $letters >word
        limited mf-tokenize encode -t t.json --text word | mf-tokenize decode -t t.json | cmp - word
    done
}

@test "another's file: added tokens, what comes around a document, a prefix space" {
    sample | mf-tokenize train --quiet --vocab-size 272 -o t.json
    jq '.added_tokens += [{id: 272, content: "[x]", special: false}, {id: 273, content: "dog", special: false, single_word: true, normalized: true},
            {id: 300, content: "<s>", special: true, rstrip: true}]
        | .pre_tokenizer.add_prefix_space = true
        | .post_processor = {type: "RobertaProcessing", sep: ["</s>", 270], cls: ["<s>", 300]}' t.json >other.json
    printf '%s' 'dog[x]dogs<s>  dog' >text
    run -0 bash -c 'mf-tokenize encode --special parse -t other.json --text text | mf-cat'
    ids=$(jq -c 'select(.id).tokens' <<<"$output")
    dogs=$(printf ' dogs' | mf-tokenize encode -t t.json --text | mf-cat | jq -c 'select(.id).tokens[1:-1]')
    assert_equal "$ids" "[300,273,272,${dogs:1:-1},300,273,270]"
    mf-tokenize encode --special parse -t other.json --text text | mf-tokenize decode -t other.json >back
    assert_equal "$(cat back)" "dog[x] dogsdog$(jq -r '.model.vocab | to_entries[] | select(.value == 270).key' t.json | sed 's/Ġ/ /')"
    mf-tokenize encode -t other.json --text text | mf-cat | jq -c 'select(.id).tokens' >plain
    assert_equal "$(jq -c 'map(select(. == 300)) | length' plain)" 1 # the one before the document only
}

@test "merges as strings and as pairs are the same merges" {
    sample | mf-tokenize train --quiet --vocab-size 274 >pairs.json
    jq '.model.merges |= map(join(" "))' pairs.json >strings.json
    jq -e '.model.merges[0] | type == "string"' strings.json
    sample >docs.mf
    for f in docs.mf; do
        mf-tokenize encode -t pairs.json $f | mf-cat | tail -n +2 >a
        mf-tokenize encode -t strings.json $f | mf-cat | tail -n +2 >b
        cmp a b
    done
    jq '.model.merges[3] = {"a": "b"}' pairs.json >neither.json
    run -65 --separate-stderr mf-tokenize encode -t neither.json docs.mf
    assert_equal "$stderr" 'mf-tokenize encode: neither.json: merge 3 is neither "a b" nor ["a", "b"]'
    jq '.model.merges[3] = ["q", "zzz"]' pairs.json >missing.json
    run -65 --separate-stderr mf-tokenize encode -t missing.json -o out docs.mf
    assert_equal "$stderr" "mf-tokenize encode: missing.json: merge 3 names a token missing from the vocabulary: 'zzz'"
    [ ! -e out ]
    jq '.model.merges = []' pairs.json >empty.json
    run -65 --separate-stderr mf-tokenize encode -t empty.json docs.mf
    assert_equal "$stderr" "mf-tokenize encode: empty.json: merges is empty, but the vocabulary has 14 tokens of several bytes"
}

@test "special tokens spelled in a text are text, unless asked for" {
    /usr/bin/python3 - <<'END' | docs >docs.mf
import json
for s in ["<pad>", "<unk>", "<bos>", "<eos>"]:
    for form in ["{0}", "in{0}side", "{0}{0}", "{1}", "x {0} y {0}.", "{0}{1}{0}"]:
        for i in range(5):
            print(json.dumps({"id": s + form + str(i), "text": form.format(s, s[:-1])}))
END
    mf-tokenize train --quiet docs.mf >t.json
    # no merge spells a special token
    assert_equal "$(jq -r '.model.merges[] | join("")' t.json | grep -cxE '<(pad|unk|bos|eos)>')" 0
    mf-tokenize encode -t t.json docs.mf | mf-cat >text
    assert_equal "$(jq -c 'select(.id) | .tokens[1:-1][] | select(. < 4)' text)" ""
    mf-tokenize encode -t t.json docs.mf | mf-tokenize decode -t t.json --docs | cmp - docs.mf
    mf-tokenize encode --special parse -t t.json docs.mf | mf-cat >parsed
    # each form holds the spelling so many times, and the two ways differ only there
    run -0 jq -r 'select(.id) | [.tokens[1:-1][] | select(. < 4)] | length' parsed
    assert_equal "$(echo $output)" "$(for s in 1 2 3 4; do for n in 1 1 2 0 2 2; do echo $n $n $n $n $n; done; done | tr '\n' ' ' | sed 's/ $//')"
    diff <(jq -c 'select(.id and (.id | test("{1}.$")) and (.id | test("{0}") | not))' text) \
        <(jq -c 'select(.id and (.id | test("{1}.$")) and (.id | test("{0}") | not))' parsed)
    run -0 jq -c 'select(.id == "<eos>{0}{0}0").tokens' parsed
    assert_output "[2,3,3,3]"
    run -65 --separate-stderr mf-tokenize encode --special error -t t.json -o out docs.mf
    assert_equal "$stderr" "mf-tokenize encode: document <pad>{0}0: the text spells the special token <pad> at byte 0"
    [ ! -e out ]
    mf-tokenize encode --special error -t t.json --text <(printf '<pad <eos') | mf-tokenize decode -t t.json >back
    printf '<pad <eos' | cmp - back
    run -0 mf-tokenize encode --help
    assert_output --partial "(default: text)"
}

@test "tokens of another tokenizer are refused" {
    sample >docs.mf
    mf-tokenize train --quiet --vocab-size 270 docs.mf >a.json
    mf-tokenize train --quiet --vocab-size 271 docs.mf >b.json
    mf-tokenize encode -t a.json docs.mf >tokens.mf
    a=$(sha256sum <a.json | head -c 12)
    b=$(sha256sum <b.json | head -c 12)
    run -65 --separate-stderr mf-tokenize decode -t b.json -o out tokens.mf
    assert_equal "$stderr" "mf-tokenize decode: tokens.mf: made with tokenizer $a, not $b"
    [ ! -e out ]
}

@test "the tokenizer of tokenizer.md is what the page says" {
    awk '/^```json$/ && !n++ { on = 1; next } /^```$/ { on = 0 } on' "$MF_ROOT/formats/tokenizer.md" >part.json
    awk '/^```json$/ && ++n == 2 { on = 1; next } /^```$/ { on = 0 } on' "$MF_ROOT/formats/tokenizer.md" >shown
    # the page leaves the 256 bytes out of the vocabulary: their ids follow the order of their characters
    jq 'def bytes: ([range(33; 127)] + [range(161; 173)] + [range(174; 256)] + [range(256; 324)]) | map([.] | implode);
        .model.vocab += (reduce (bytes | to_entries[]) as $b ({}; . + {($b.value): ($b.key + 4)}))' part.json >t.json
    printf '%s' "low lower" | mf-tokenize encode -t t.json --text | mf-cat | jq -c 'select(.id).tokens' >got
    diff shown got
    printf '%s' "low lower" | mf-tokenize encode -t t.json --text | mf-tokenize decode -t t.json >text
    assert_equal "$(cat text)" "low lower"
    # and training writes the same fields
    sample | mf-tokenize train --quiet >trained.json
    diff <(jq -S 'del(.model.vocab, .model.merges)' t.json) <(jq -S 'del(.model.vocab, .model.merges)' trained.json)
}

@test "wrong use" {
    sample >docs.mf
    mf-tokenize train --quiet --vocab-size 270 docs.mf >t.json
    run -64 --separate-stderr mf-tokenize
    assert_equal "${#stderr_lines[@]}" 1
    run -64 --separate-stderr mf-tokenize encod
    assert_regex "$stderr" "did you mean 'encode'"
    run -64 --separate-stderr mf-tokenize encode docs.mf
    assert_equal "$stderr" "mf-tokenize encode: which tokenizer? (-t FILE)"
    run -64 --separate-stderr mf-tokenize decode docs.mf
    assert_equal "$stderr" "mf-tokenize decode: which tokenizer? (-t FILE)"
    run -64 --separate-stderr mf-tokenize encode -t t.json docs.mf docs.mf
    run -64 --separate-stderr mf-tokenize encode -t t.json --special maybe docs.mf
    run -64 --separate-stderr mf-tokenize train --vocab-sise 300 docs.mf
    assert_equal "$stderr" "mf-tokenize train: unknown option '--vocab-sise', did you mean '--vocab-size'?"
    for command in train "encode -t t.json" "decode -t t.json"; do
        run -78 --separate-stderr mf-tokenize $command --set tokenizer.vocabsize=300 docs.mf
        assert_regex "$stderr" "did you mean 'tokenizer.vocab_size'"
    done
    for command in train encode decode; do
        run -0 mf-tokenize $command --help
        assert_line --partial "mf-tokenize $command - "
        assert_line "Exit status:"
    done
}

@test "malformed and missing inputs, full and closed outputs" {
    sample >docs.mf
    mf-tokenize train --quiet --vocab-size 270 docs.mf >t.json
    mf-tokenize encode -t t.json docs.mf >tokens.mf
    run -66 --separate-stderr mf-tokenize train -o out absent
    assert_equal "$stderr" "mf-tokenize train: absent: No such file or directory"
    run -66 --separate-stderr mf-tokenize encode -t absent docs.mf
    run -66 --separate-stderr mf-tokenize decode -t t.json absent
    # a stream of another kind, and streams cut short
    run -65 --separate-stderr mf-tokenize train -o out tokens.mf
    run -65 --separate-stderr mf-tokenize encode -t t.json -o out tokens.mf
    run -65 --separate-stderr mf-tokenize decode -t t.json -o out docs.mf
    head -c -5 docs.mf >cut
    for command in train "encode -t t.json"; do
        run -65 --separate-stderr mf-tokenize $command -o out cut
        assert_regex "$stderr" "^mf-tokenize [a-z]+: cut: record 4 at byte .*truncated"
    done
    head -c -5 tokens.mf >cut
    run -65 --separate-stderr mf-tokenize decode -t t.json -o out cut
    echo '{"id":"a"}' | docs >no-text
    for command in train "encode -t t.json"; do
        run -65 --separate-stderr mf-tokenize $command -o out no-text
        assert_regex "$stderr" "no-text: record 1 has no text"
    done
    [ ! -e out ]
    run -73 --separate-stderr mf-tokenize encode -t t.json -o absent/out docs.mf
    run -74 --separate-stderr bash -c 'mf-tokenize encode -t t.json docs.mf >/dev/full'
    run -74 --separate-stderr bash -c 'mf-tokenize train --quiet docs.mf >/dev/full'
    assert_equal "$stderr" "mf-tokenize train: standard output: No space left on device"
    run -0 --separate-stderr bash -c 'set +o pipefail; mf-tokenize train --quiet docs.mf | head -c 10'
    assert_equal "$stderr" ""
    assert_equal "$(ls -A | grep -c tmp)" 0
}

@test "text that the tokenizer's merges hardly meet is warned of, text of a related kind is not" {
    guide=/usr/share/doc/installation-guide-amd64
    [ -d "$guide/zh_CN" ] || skip "installation-guide-amd64 is not installed"
    for language in en de zh_CN; do
        for page in "$guide/$language"/*.html*; do
            zcat -f "$page" | sed 's/<[^>]*>//g' | jq -Rs --arg id "${page##*/}" '{id: $id, text: .}'
        done | jq -c . | mf-docs --quiet --near-dup 0 --set docs.val_fraction=0 --set docs.test_fraction=0 --split train -o $language.docs
    done
    jq -Rs '{id: "code", text: .}' "$MF_ROOT"/lib/*/*.c | jq -c . | mf-docs --quiet --set docs.val_fraction=0 \
        --set docs.test_fraction=0 --split train -o code.docs
    for size in 400 4096; do
        mf-tokenize train --quiet --vocab-size $size -o $size.json en.docs
        for docs in en de code; do
            run -0 --separate-stderr mf-tokenize encode --progress never -t $size.json -o tokens $docs.docs
            assert_equal "$stderr" ""
        done
        run -0 --separate-stderr mf-tokenize encode --progress never -t $size.json -o tokens zh_CN.docs
        [[ $stderr == "mf-tokenize encode: warning: 1."[0-9][0-9]" bytes a token: "*"make fresh"* ]] || fail "$stderr"
        assert_equal "$(wc -l <<< "$stderr")" 1
        run -0 --separate-stderr mf-tokenize encode --quiet -t $size.json -o tokens zh_CN.docs
        assert_equal "$stderr" ""
    done
    # a tokenizer of this text, and one that only has bytes
    mf-tokenize train --quiet --vocab-size 4096 -o zh.json zh_CN.docs
    mf-tokenize train --quiet --vocab-size 260 -o bytes.json en.docs
    for tokenizer in zh bytes; do
        run -0 --separate-stderr mf-tokenize encode --progress never -t $tokenizer.json -o tokens zh_CN.docs
        assert_equal "$stderr" ""
    done
}
