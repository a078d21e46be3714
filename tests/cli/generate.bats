# mf-eval on a trained model with its tokenizer: generation (temperatures, seeds, prompts of any bytes, ends), and what
# perplexity and routing say of text and domains.
load ../helper

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    make_tokens
    make_pieces
    mf-assemble --quiet --config "$TINY" -o m.safetensors shared.tar expert.?.tar
}

setup() { link_made; }

generate() {
    mf-eval generate -m m.safetensors -t tokenizer.json "$@"
}

@test "a prompt is continued, from standard input, a file or an option" {
    run bash -c 'printf "ten est" | mf-eval generate -m m.safetensors -t tokenizer.json --max-tokens 10'
    assert_success
    assert_output --regexp '^ten est.+'
    printf 'ten est' > prompt
    assert_equal "$(generate --max-tokens 10 prompt)" "$output"
    assert_equal "$(generate --max-tokens 10 -p 'ten est')" "$output"
    assert_equal "$(generate --max-tokens 10 --bare -p 'ten est')" "${output#ten est}"
    run generate --max-tokens 0 -p 'ten est'
    assert_output "ten est"
}

@test "temperature 0 is the same whatever the seed and the cuts, and so is a tiny one" {
    greedy=$(generate --max-tokens 30 --temperature 0 -p ten)
    for options in "--seed 5" "--seed 6 --top-k 3" "--top-p 0.5" "--min-p 0.3"; do
        # shellcheck disable=SC2086
        assert_equal "$(generate --max-tokens 30 --temperature 0 $options -p ten)" "$greedy"
    done
    assert_equal "$(generate --max-tokens 30 --temperature 1e-8 --seed 9 -p ten)" "$greedy"
    # where all logits are equal the lowest id is taken: padding, unknown and begin are never drawn, so it is the end
    /usr/bin/python3 - << 'END'
import json, struct
data = bytearray(open("m.safetensors", "rb").read())
n = struct.unpack("<Q", data[:8])[0]
header = json.loads(data[8 : 8 + n])
for name in "shared.token_embedding.weight", "shared.lm_head.weight":
    begin, end = (8 + n + at for at in header[name]["data_offsets"])
    data[begin:end] = bytes(end - begin)
open("zero.safetensors", "wb").write(data)
END
    for options in "--seed 5" "--seed 6 --top-k 3" "--top-p 0.5"; do
        # shellcheck disable=SC2086
        mf-eval generate -m zero.safetensors -t tokenizer.json --temperature 0 $options --json -p ten > zero.json
        jq -e '.end == "eos" and .tokens == 1' zero.json
    done
}

@test "a negative temperature and one that is no number are refused by name" {
    for t in -1 nan; do
        run generate --temperature $t -p ten
        assert_failure 64
        assert_output --partial "--temperature"
    done
}

@test "the same seed gives the same text, another one another" {
    a=$(generate --max-tokens 40 --temperature 1 --seed 3 -p ten)
    assert_equal "$(generate --max-tokens 40 --temperature 1 --seed 3 -p ten)" "$a"
    b=$(generate --max-tokens 40 --temperature 1 --seed 4 -p ten)
    [ "$a" != "$b" ]
}

@test "edge values leave nothing out, or only the likeliest" {
    plain=$(generate --max-tokens 30 --temperature 1 --seed 3 -p ten)
    for options in "--top-k 0" "--top-k 100000" "--top-p 1" "--min-p 0" "--repetition-penalty 1"; do
        # shellcheck disable=SC2086
        assert_equal "$(generate --max-tokens 30 --temperature 1 --seed 3 $options -p ten)" "$plain"
    done
    greedy=$(generate --max-tokens 30 --temperature 0 -p ten)
    for options in "--top-k 1" "--top-p 0" "--min-p 1"; do
        # shellcheck disable=SC2086
        assert_equal "$(generate --max-tokens 30 --temperature 1 --seed 3 $options -p ten)" "$greedy"
    done
    [ "$(generate --max-tokens 30 --temperature 0 --repetition-penalty 5 -p ten)" != "$greedy" ]
}

@test "each line of standard input is a prompt; zero bytes and empty lines count" {
    printf 'ten\n\nest\0ten\nno end' | generate --max-tokens 4 --json > out.json
    assert_equal "$(jq -c .prompt out.json | tr '\n' ' ')" '"ten" "" "est\u0000ten" "no end" '
    assert_equal "$(generate --json < /dev/null)" ""
    # lines of any system, and bytes that are no characters, which are written as they are shown in JSON
    printf 'ten\r\n\r\nest\r\r\n\xc3\xa9\xff\xc3\n\r' > lines
    generate --max-tokens 1 --json < lines > out.json
    assert_equal "$(jq -c .prompt out.json | tr '\n' ' ')" '"ten" "" "est\r" "é��" "" '
    assert_equal "$(generate --max-tokens 1 < lines)" "$(jq -r '.prompt + .text' out.json)"
    rm lines
    # the answer comes before the next line is there
    mkfifo lines
    exec 7<> lines
    generate --max-tokens 3 --json < lines > answer 7>&- 3>&- &
    echo ten >&7
    await $! test -s answer
    echo est >&7
    exec 7>&-
    ended $!
    assert_equal "$(wc -l < answer)" 2
}

@test "the same text comes whatever memory the weights may have, and whatever the threads" {
    whole=$(generate --max-tokens 60 --temperature 1 -n 2 -p ten)
    assert_equal "$(generate --max-tokens 60 --temperature 1 -n 2 -p ten --max-memory 30M)" "$whole"
    assert_equal "$(generate --max-tokens 60 --temperature 1 -n 2 -p ten --threads 1)" "$whole"
}

@test "past the context it goes on and says so once" {
    S=$(mf-config get model.context --config "$TINY")
    run -0 --separate-stderr mf-eval generate -m m.safetensors -t tokenizer.json --json -p ten -p est -n 2 \
        --max-tokens $((3 * S))
    jq -es 'any(.[]; .slid)' <<< "$output"
    jq -es 'all(.[]; .slid == (.prompt_tokens + .tokens > '"$S"' + 1))' <<< "$output"
    assert_equal "$stderr" "mf-eval generate: past the context of $S tokens: went on from the last $((S / 2))"
    run -0 --separate-stderr mf-eval generate -m m.safetensors -t tokenizer.json -p ten --max-tokens 5
    assert_equal "$stderr" ""
}

@test "every piece that is written is whole UTF-8" {
    # a random model makes any bytes: each write is looked at on its own
    /usr/bin/python3 - "${MF_BIN:-$MF_ROOT/build/bin}/mf-eval" << 'END'
import os, subprocess, sys
read, write = os.pipe()
p = subprocess.Popen([sys.argv[1], "generate", "-m", "m.safetensors", "-t", "tokenizer.json", "--temperature", "1000",
                      "--max-tokens", "150", "-n", "3", "-p", "\u00e9\u4e16"], stdout=write)
os.close(write)
text = b""
while piece := os.read(read, 1 << 16):
    piece.decode()
    text += piece
assert p.wait() == 0
assert text.decode().count("\u00e9\u4e16") == 3
END
}

@test "at a terminal lines are edited, and Ctrl-C stops the answer, not the program" {
    /usr/bin/python3 - "${MF_BIN:-$MF_ROOT/build/bin}/mf-eval" << 'END'
import os, pty, select, signal, sys, time
pid, fd = pty.fork()
if pid == 0:
    os.environ["TERM"] = "xterm"
    os.execv(sys.argv[1], ["mf-eval", "generate", "-m", "m.safetensors", "-t", "tokenizer.json", "--interactive",
                           "--max-tokens", "1000", "-n", "1000000", "--bare"])  # goes on until it is stopped
seen = b""
def until(condition):
    global seen
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, ("waited 60 s for what is not here", seen[-400:])
        if select.select([fd], [], [], 0.1)[0]:
            try:
                seen += os.read(fd, 65536)
            except OSError:
                time.sleep(0.1)  # it has ended
# What is typed while the terminal changes its mode is lost or a character of the line: when nothing comes of it,
# the line is emptied (Ctrl-U) and it is typed again.
def type_until(keys, condition):
    typed = [0]
    def again():
        if time.monotonic() > typed[0] + 2:
            os.write(fd, keys)
            typed[0] = time.monotonic()
        return condition()
    until(again)
def answer(keys):
    before = len(seen)
    type_until(keys, lambda: len(seen) > before + 300)
    begin = len(seen)
    type_until(b"\x03", lambda: b"> " in seen[begin:])
ended = lambda: os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
until(lambda: b"> " in seen)
answer(b"\x15tenx\x7f est\r")  # the backspace takes the x away
for k in range(3):
    answer(b"\x15\x1b[A\r")  # the line before, from the history
assert b"ten est" in seen, seen[:200]
type_until(b"\x15\x04", ended)
_, status = os.waitpid(pid, 0)
assert os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0, status
END
    run generate --interactive -p ten
    assert_failure 64
}

@test "a prompt may hold zero bytes and be longer than the context" {
    printf 'ten\0est' > zero
    generate --max-tokens 5 --json zero > out.json
    assert_equal "$(jq -r '.prompt | explode | .[3]' out.json)" 0
    # all of it is read: as many tokens as encode makes of it, which adds one at the end
    assert_equal "$(jq .prompt_tokens out.json)" "$(mf-tokenize encode -t tokenizer.json --text zero | mf-cat | jq 'select(.id).tokens | length - 1')"
    head -c 3000 words/alpha/00?.txt > long
    run generate --max-tokens 40 --bare long
    assert_success
    run generate --max-tokens 5 --bare /dev/null
    assert_success
}

@test "a stop text ends the continuation and is not part of it" {
    generate --max-tokens 40 --temperature 0 --json -p ten > whole.json
    stop=$(jq -r '.text[4:7]' whole.json)
    generate --max-tokens 40 --temperature 0 --json -p ten --stop "$stop" > cut.json
    jq -es --arg stop "$stop" '.[1].end == "stop" and .[1].text == (.[0].text | split($stop)[0])' whole.json cut.json
}

@test "JSON tells the end, the tokens and the experts" {
    generate --max-tokens 7 --json --experts -n 2 -p ten -p est > out.json
    assert_equal "$(wc -l < out.json)" 4
    jq -es 'all(.[]; (.end == "length" and .tokens == 7) or .end == "eos")' out.json
    jq -es 'all(.[]; .experts | length > 2)' out.json
    run -64 --separate-stderr generate --experts -p ten
    assert_equal "$stderr" "mf-eval generate: --experts goes with --json"
}

@test "of a prompt longer than the context, the last window is read and the router knows all of it" {
    # one greedy token after n prompt tokens against the losses that every candidate would have: with a stride of
    # half the context, perplexity's windows lie where sliding comes to
    S=16 # of a model of random experts, which show in its text
    /usr/bin/python3 "$MF_ROOT/tests/oracle/random_model.py" model --kind prefix --S $S --V 400 --tokenizer "$(mf-cat test.mf | jq -r "select(.mf).tokenizer_sha256")" \
        -o random.safetensors
    cat > candidates.py << 'END'
import json, struct, sys
sys.path.insert(0, sys.argv[1])
import random_model
header, ids = (json.loads(line) for line in sys.stdin)
documents = [(str(v), ids + [v]) for v in range(header["vocab_size"]) if v > 2] if len(sys.argv) == 2 else [("", [int(sys.argv[2])])]
random_model.write_stream("-", header, [{"id": i, "tokens": struct.pack("<%dH" % len(t), *t)} for i, t in documents])
END
    cat words/*/00?.txt > text
    for size in 20 41 100 150 202 250; do
        head -c "$size" text > prompt
        mf-tokenize encode -t tokenizer.json --text prompt | mf-cat | jq -c 'if .mf then . elif .tokens then .tokens[:-1] else empty end' > ids
        candidates() { /usr/bin/python3 candidates.py "$MF_ROOT/tests/oracle" "$@" < ids; }
        best=$(candidates | mf-eval perplexity -m random.safetensors --stride $((S / 2)) --json --losses --batch 64 |
            jq -r '.per_document | min_by(.losses[-1]).id')
        mf-eval generate -m random.safetensors -t tokenizer.json --temperature 0 --max-tokens 1 --json prompt > out.json
        assert_equal "$(jq .prompt_tokens out.json)" "$(tail -n 1 ids | jq length)"
        candidates "$best" | mf-tokenize decode -t tokenizer.json --separator '' |
            /usr/bin/python3 -c 'import sys; print(sys.stdin.buffer.read().decode(errors="replace"))' > expected
        jq -r .text out.json | diff expected -
        jq -e ".slid == (.prompt_tokens > $S)" out.json
    done
    jq -e '.slid' out.json
}

@test "domains add up, the error is that over documents, and bits are per byte of text" {
    mf-eval perplexity -m m.safetensors -t tokenizer.json --json --documents test.mf > p.json
    bytes=$(mf-tokenize decode -t tokenizer.json --separator '' test.mf | wc -c)
    /usr/bin/python3 - "$bytes" << 'END'
import json, math, sys
p, bytes = json.load(open("p.json")), int(sys.argv[1])
near = lambda a, b: abs(a - b) < 1e-6 * abs(b) or sys.exit("%r is not %r" % (a, b))
assert sorted(d["domain"] for d in p["domains"]) == ["alpha", "beta", "gamma"]
for m in [p] + p["domains"]:
    docs = [d for d in p["per_document"] if m is p or d["domain"] == m["domain"]]
    n, tokens, nats = len(docs), sum(d["tokens"] for d in docs), sum(d["nats"] for d in docs)
    assert (m["documents"], m["tokens"]) == (n, tokens) and n > 1
    near(m["nats"], nats)
    near(m["perplexity"], math.exp(nats / tokens))
    spread = sum((d["nats"] - nats / tokens * d["tokens"]) ** 2 for d in docs) / (n - 1)
    near(m["error"], m["perplexity"] * math.sqrt(n * spread) / tokens)
near(p["bits_per_byte"], p["nats"] / math.log(2) / bytes)
near(sum(d["nats"] / d["bits_per_byte"] for d in p["domains"]), p["nats"] / p["bits_per_byte"])
END
    mf-eval perplexity -m m.safetensors -t tokenizer.json --threads 1 test.mf > table
    for row in all alpha beta gamma; do grep -qE "^$row +[0-9.]+ +[0-9.]+ +[0-9.]+ +[0-9.]+ +[0-9.]+ +[0-9]+ +[0-9]+$" table; done
}

@test "routing shows tokens that are line ends and tabs as C writes them" {
    printf 'a\n\t\ra\n\t\ra\n\t\r' | mf-tokenize encode -t tokenizer.json --text -o odd.mf
    mf-eval routing -m m.safetensors -t tokenizer.json odd.mf > table
    grep -o "'.*'" table | tr -d ' ' | sed "s/''/\n/g" | tr -d "'" | sort -u > shown
    grep -qF '\n' shown
    grep -qF '\t' shown
    refute grep -qF '?' table
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
    run bash -c 'mf-eval generate -m m.safetensors -t tokenizer.json --max-tokens 5000 -p ten | head -c 10'
    assert_success
}
