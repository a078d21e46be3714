# mf-cat, and the worked examples of formats/*.md: what the pages say is what the programs read.
load ../helper

# The Nth ```KIND block of a page.
block() { # PAGE KIND N
    awk -v open="\`\`\`$2" -v n="$3" '
        $0 == "```" && on { exit }
        on { print }
        $0 == open && ++seen == n { on = 1 }' "$MF_ROOT/formats/$1"
}

hex() { block "$1" hex "$2" | xxd -r -p; }

# A bundle of the page's example, packed by tar.
pack_bundle() {
    mkdir -p bundle
    block bundle.md json 1 >bundle/manifest.json
    hex bundle.md 1 >bundle/layers.0.fc1.bias.f32
    tar --format=ustar -C bundle -cf "$1" manifest.json layers.0.fc1.bias.f32
}

@test "the streams of stream.md are what the page says" {
    for i in 1 2; do
        hex stream.md $i >s
        block stream.md json $i >expected
        mf-cat s >shown
        diff expected shown
    done
    mf-cat <s >shown
    diff expected shown
    cat s | mf-cat - >shown
    diff expected shown
}

@test "the bundle of bundle.md is what the page says" {
    pack_bundle e.tar
    run -0 --separate-stderr mf-cat e.tar
    assert_line -n 0 '{"mf":"bundle","version":1,"kind":"expert","config":{"d_ff":2}}'
    assert_line -n 1 --partial '{"name":"layers.0.fc1.bias","dtype":"F32","shape":[2],"sha256":"e5e0ce39'
    assert_equal "${#lines[@]}" 2
    printf 'x' | dd of=bundle/layers.0.fc1.bias.f32 conv=notrunc status=none
    tar --format=ustar -C bundle -cf bad.tar manifest.json layers.0.fc1.bias.f32
    run -65 --separate-stderr mf-cat bad.tar
    hash=$(sha256sum < bundle/layers.0.fc1.bias.f32)
    [[ "$stderr" == "mf-cat: bad.tar: tensor layers.0.fc1.bias: bytes do not match their sha256: ${hash:0:12}, not e5e0ce39"* ]]
}

@test "the model of model.md is what the page says" {
    hex model.md 1 >m.safetensors
    run -0 --separate-stderr mf-cat m.safetensors
    assert_line -n 0 '{"config":"{}"}'
    assert_line -n 1 '{"name":"layers.0.fc1.bias","dtype":"F32","shape":[2],"bytes":8}'
    block model.md json 1 | tr -d '\n' >header
    cmp -n "$(stat -c %s header)" header <(tail -c +9 m.safetensors)
    mf-cat <m.safetensors
    run -66 --separate-stderr bash -c 'cat m.safetensors | mf-cat'
    assert_equal "$stderr" "mf-cat: standard input: a model is read by position and must be a file"
}

@test "the file of gguf.md is what the page says" {
    hex gguf.md 1 >m.gguf
    block gguf.md json 1 >expected
    mf-cat m.gguf >shown
    diff expected shown
    mf-cat <m.gguf >shown
    diff expected shown
    run -66 --separate-stderr bash -c 'cat m.gguf | mf-cat'
    assert_equal "$stderr" "mf-cat: standard input: a model is read by position and must be a file"
    run -64 --separate-stderr mf-cat --follow m.gguf
    assert_equal "$stderr" "mf-cat: m.gguf: not a stream, and only those can be followed"
    head -c 199 m.gguf >cut.gguf
    run -65 --separate-stderr mf-cat cut.gguf
    assert_equal "$stderr" "mf-cat: cut.gguf: tensor output_norm.weight: 8 bytes at 192, the file has 199"
}

@test "keys and tensors of a GGUF file as a table, and the numbers of each type" {
    /usr/bin/python3 - <<'PY'
import struct
text = lambda t: struct.pack("<Q", len(t)) + t.encode()
number = lambda name, value: text(name) + struct.pack("<II", 4, value)
names = "".join("%c" % (97 + i) for i in range(9))
keys = [number("general.file_type", 7), text("list") + struct.pack("<IIQ", 9, 8, 9) + b"".join(map(text, names)),
        text("nan") + struct.pack("<If", 6, float("nan"))]
scale = struct.pack("<e", 0.5)
tensors = [("f16", 1, [4], struct.pack("<4e", 1, 2, 3, float("inf"))), ("bf16", 30, [2, 1], bytes.fromhex("803f0040")),
           ("q8_0", 8, [32, 1], scale + struct.pack("<32b", *range(-16, 16))),
           ("q4_0", 2, [32], scale + bytes([0x0f] * 16)), ("q6_k", 14, [256], bytes(210))]
at, places = 0, []
for name, kind, dims, data in tensors:
    places.append(text(name) + struct.pack("<I%dQIQ" % len(dims), len(dims), *dims, kind, at))
    at += len(data) + -len(data) % 32
head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys)) + b"".join(keys + places)
padded = lambda b: b + bytes(-len(b) % 32)
open("m.gguf", "wb").write(padded(head) + b"".join(padded(data) for _, _, _, data in tensors))
PY
    run -0 --separate-stderr mf-cat --table m.gguf
    assert_line "general.file_type                                u32            7"
    assert_line 'list                                             string[9]      ["a","b","c","d",...]'
    assert_line "nan                                              f32            null"
    assert_line "tensor                                           dtype shape                 bytes"
    assert_line "q8_0                                             Q8_0  [1,32]                   34"
    assert_line "total: 5 tensors, 326 parameters, 274 bytes"
    run -0 --separate-stderr mf-cat --stats m.gguf
    assert_line --regexp '^f16 +F16 +\[4\] +2 +0.8165 +1 +3 +1$'
    assert_line --regexp '^bf16 +BF16 +\[1,2\] +1.5 +0.5 +1 +2 +0$'
    assert_line --regexp '^q8_0 +Q8_0 +\[1,32\] +-0.25 +4.6165 +-8 +7.5 +0$'
    assert_line --regexp '^q4_0 +Q4_0 +\[32\] +-0.25 +3.75 +-4 +3.5 +0$'
    assert_line --regexp '^q6_k +Q6_K +\[256\] +- +- +- +- +-$'
    assert_line "total: 5 tensors, 326 parameters, 274 bytes, 1 nan/inf"
    assert_equal "$(mf-cat --head 2 m.gguf | jq -c 'select(.name) | [.name, .dtype, .shape, .bytes]' | paste -s)" \
        '["f16","F16",[4],8]	["bf16","BF16",[1,2],4]'
}

@test "statistics of tensors and of records" {
    hex model.md 1 >m.safetensors
    pack_bundle e.tar
    for f in m.safetensors e.tar; do
        run -0 --separate-stderr mf-cat --stats $f
        assert_line --regexp '^layers\.0\.fc1\.bias +F32 +\[2\] +0\.25 +0\.75 +-0\.5 +1 +0$'
        assert_line --partial 'total: 1 tensors, 2 parameters, 8 bytes, 0 nan/inf'
    done
    # the last number becomes a NaN
    { head -c -4 m.safetensors; printf '\x00\x00\xc0\x7f'; } >nan.safetensors
    run -0 --separate-stderr mf-cat --stats nan.safetensors
    assert_line --regexp '^layers\.0\.fc1\.bias +F32 +\[2\] +1 +0 +1 +1 +1$'
    hex stream.md 1 >s
    run -0 --separate-stderr mf-cat --stats s
    assert_line 'kind docs  records 2  bytes 41'
    assert_line --regexp '^text +bytes +2 +2 +2\.5 +3 +5 +0$'
    assert_line --regexp '^domain +bytes +1 +4 +4 +4 +4 +0$'
}

@test "what a corpus is: lengths by percentiles, documents by domain" {
    /usr/bin/python3 -c 'import json
for i in range(1000):
    domain = {} if i < 10 else {"domain": "d%d" % (i % 10)} if i % 2 else {"domain": "rare-%d" % i if i < 60 else "much"}
    print(json.dumps({"id": str(i), "text": "x" * (i + 1), **domain}))' | mf-docs --quiet --near-dup 0 --format jsonl --min-chars 0 -o docs.mf -
    run -0 --separate-stderr mf-cat --stats docs.mf
    assert_line 'length (within 0.8%) of              1%          10%       median          90%          99%'
    assert_line --regexp '^text +bytes +10 +100 +50[0-4] +(89|90)[0-9] +(98|99)[0-9]$'
    assert_line 'domain (of 31)                documents       length'
    assert_line --regexp '^much +470 +249100$'
    assert_line --regexp '^d1 +99 +49698$'
    assert_line --regexp '^rare-1[0-9] +1 +1[0-9]$'
    assert_line --regexp '^\(others\) +11 +[0-9]+$'
    assert_line --regexp '^\(none\) +10 +55$'
    assert_equal "$(awk '/^domain \(of/ { on = 1; next } on { documents += $2; bytes += $3 } END { print documents, bytes }' <<< "$output")" "1000 500500"
}

@test "more domains than are told apart are counted, in little memory" {
    own_memory_only
    seq 6000 | jq -c '{text: "document \(.)", domain: "d\(. % 5000)"}' | mf-docs --quiet --near-dup 0 --format jsonl -o many.mf -
    mf-time --quiet -o time.json -- mf-cat --stats -o shown many.mf
    grep -q '^domain (of 4096 and more) ' shown
    assert_equal "$(awk '/^domain \(of/ { on = 1; next } on { n += $2 } END { print n }' shown)" 6000
    [ "$(jq .peak_memory time.json)" -lt 20000000 ]
}

@test "a table for people" {
    hex stream.md 1 >s
    run -0 --separate-stderr mf-cat --table s
    assert_line -n 0 --regexp '^id +text$'
    assert_line -n 2 --regexp '^b +x\?y$'
    hex model.md 1 >m.safetensors
    run -0 --separate-stderr mf-cat --table m.safetensors s
    assert_line '==> m.safetensors <=='
    assert_line --regexp '^layers\.0\.fc1\.bias +F32 +\[2\] +8$'
    assert_line '==> s <=='
    # other fields are other columns; white space of a text is no more than a blank
    printf '%s\n' '{"id":"a","text":"\n\n  one\r\n\t two"}' '{"id":"b"}' '{"n":1,"text2":"x"}' '{"n":2}' | /usr/bin/python3 "$MF_ROOT/tests/stream.py" > mixed
    run -0 --separate-stderr mf-cat --table mixed
    assert_line -n 1 --regexp '^a +one two$'
    assert_equal "$(sed 's/  */ /g; s/^ //' <<< "$output")" $'id text\na one two\nb -\nn text2\n1 x\n2 -'
}

@test "every kind of value, as JSON, as a table and in numbers" {
    cat >line <<'END'
{"text":"\"q\" \\ \n\t\u0001\u007f\u0085 é€😀 \udcff \udcc0\udcaf \udced\udca0\udc80 \udcf5","n":-3,"x":0.1,"nan":NaN,"up":Infinity,"down":-Infinity,"yes":true,"no":null,"bin":[1,2],"map":{"list":[1,-2,"z"],"empty":{}}}
END
    /usr/bin/python3 "$MF_ROOT/tests/stream.py" <line >s
    run -0 --separate-stderr mf-cat s
    assert_line -n 1 '{"text":"\"q\" \\ \n\t\u0001\u007f\u0085 é€😀 � �� ��� �","n":-3,"x":0.1,"nan":"NaN","up":"Infinity","down":"-Infinity","yes":true,"no":null,"bin":{"bin":4},"map":{"list":[1,-2,"z"],"empty":{}}}'
    run -0 --separate-stderr mf-cat --table s
    assert_line -n 1 --regexp '^"q" .* -3 +0\.1 +nan +inf +-inf +true +- +\(4 bytes\) +\(2 fields\)$'
    run -0 --separate-stderr mf-cat --stats s
    assert_line --regexp '^n +value +1 +-3 +-3 +-3 +-3 +0$'
    assert_line --regexp '^nan +value +1 .* 1$'
    assert_line --regexp '^yes +value +1 +1 '
    assert_line --regexp '^map +items +1 +2 '
    echo '{"id":"a","tokens":[5,260]}' |
        /usr/bin/python3 "$MF_ROOT/tests/stream.py" '{"mf":"tokens","version":1,"width":2}' >tokens
    run -0 --separate-stderr mf-cat tokens
    assert_line -n 1 '{"id":"a","tokens":[5,260]}'
    run -0 --separate-stderr mf-cat --stats tokens
    assert_line --regexp '^tokens +tokens +1 +2 '
}

@test "head shows the first ones and reads no further" {
    hex stream.md 1 >s
    head -c -3 s >cut
    run -0 --separate-stderr mf-cat --head 1 cut
    assert_line -n 1 '{"id":"a","text":"hi"}'
    assert_equal "${#lines[@]}" 2
    run -65 --separate-stderr mf-cat cut
    assert_equal "${#lines[@]}" 3
    [[ "$stderr" == "mf-cat: cut: record 3 at byte "*"truncated)" ]]
}

@test "a bad file is reported and the others are shown" {
    hex stream.md 1 >s
    echo hello >text
    : >empty
    run -66 --separate-stderr mf-cat absent s
    assert_equal "$stderr" "mf-cat: absent: No such file or directory"
    assert_equal "${#lines[@]}" 3
    run -65 --separate-stderr mf-cat text
    assert_equal "$stderr" "mf-cat: text: not a stream, a bundle or a model"
    run -65 --separate-stderr mf-cat empty
    assert_equal "$stderr" "mf-cat: empty: empty"
    run -66 --separate-stderr mf-cat .
    assert_equal "$stderr" "mf-cat: .: is a folder"
    run -65 --separate-stderr mf-cat -o out s text
    [ ! -e out ]
    mf-cat -o out s
    mf-cat s | cmp - out
}

@test "a growing stream is followed to its trailer" {
    hex stream.md 1 >s
    head -c 33 s >growing
    limited mf-cat --follow growing >shown 3>&- &
    local pid=$!
    await $pid has_lines shown 2
    assert_equal "$(wc -l <shown)" 2
    kill -0 $pid
    tail -c +34 s >>growing
    ended $pid
    mf-cat s | cmp - shown
    run -0 --separate-stderr bash -c "head -c 59 s | mf-cat --follow" # a pipe that ends without a trailer
    assert_equal "${#lines[@]}" 3
    run -64 --separate-stderr mf-cat --follow s s
    assert_equal "$stderr" "mf-cat: --follow takes one file, not 2"
}

@test "help, version, wrong options, full and closed outputs" {
    run -0 --separate-stderr mf-cat --help
    assert_line -n 0 "mf-cat - show streams, bundles and models"
    assert_line --partial "--head N"
    assert_line --partial "--threads N"
    run -0 --separate-stderr mf-cat --version
    assert_output "mf-cat (ModularForge) 0.1.0"
    run -64 --separate-stderr mf-cat --tabel
    assert_equal "$stderr" "mf-cat: unknown option '--tabel', did you mean '--table'?"
    run -64 --separate-stderr mf-cat --table --stats
    hex stream.md 1 >s
    run -74 --separate-stderr bash -c 'mf-cat s >/dev/full'
    assert_equal "$stderr" "mf-cat: standard output: No space left on device"
    run -74 --separate-stderr bash -c 'mf-cat --help >/dev/full'
    run -0 --separate-stderr bash -c 'mf-cat $(yes s | head -n 3000) | head -n 1'
    assert_equal "$stderr" ""
}

@test "strings and maps in every encoding of msgpack are the same stream" {
    printf '{"id":"a","text":"one two three"}\n{"id":"b","text":"four five"}\n' > lines
    header='{"mf":"tokens","version":1,"width":2,"vocab_size":300,"tokenizer_sha256":"'$(printf 'a%.0s' {1..64})'"}'
    printf '{"tokens":[2,40,50,3]}\n{"tokens":[2,60,3]}\n' > ids
    /usr/bin/python3 "$MF_ROOT/tests/stream.py" < lines > docs.mf
    /usr/bin/python3 "$MF_ROOT/tests/stream.py" "$header" < ids > tokens.mf
    mf-partition --quiet --set partition.method=random -n 2 -o parts tokens.mf
    for bits in 8 16 32; do
        STR=$bits /usr/bin/python3 "$MF_ROOT/tests/stream.py" < lines > wide.mf
        assert_equal "$(mf-cat wide.mf)" "$(mf-cat docs.mf)"
        assert_equal "$(mf-cat < wide.mf)" "$(mf-cat docs.mf)"
        STR=$bits /usr/bin/python3 "$MF_ROOT/tests/stream.py" "$header" < ids > wide.mf
        assert_equal "$(mf-cat wide.mf)" "$(mf-cat tokens.mf)"
        mf-partition --quiet --set partition.method=random -n 2 -o wide wide.mf
        assert_equal "$(for f in wide/part.?.mp; do mf-cat "$f"; done)" "$(for f in parts/part.?.mp; do mf-cat "$f"; done)"
    done
}

@test "a model's header begins with its brace, for every program" {
    /usr/bin/python3 - <<'PY'
import struct
for name, head in [("good", b"{}   "), ("blank", b" {}  "), ("line", b"\n{}  ")]:
    open(name + ".safetensors", "wb").write(struct.pack("<Q", len(head)) + head)
PY
    mf-cat good.safetensors
    for name in blank line; do
        run -65 --separate-stderr mf-cat $name.safetensors
        assert_equal "$stderr" "mf-cat: $name.safetensors: not a stream, a bundle or a model"
        for command in "mf-eval perplexity" "mf-eval routing" "mf-eval logits" "mf-calibrate"; do
            run -65 --separate-stderr $command -m $name.safetensors /dev/null
            assert_equal "$stderr" "$command: $name.safetensors: the header is not a JSON object: it does not begin with '{'"
        done
    done
}
