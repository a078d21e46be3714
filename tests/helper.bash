# Common to all end-to-end tests: the programs just built come first on PATH, and each test works in its own folder.
load /usr/lib/bats/bats-support/load
load /usr/lib/bats/bats-assert/load
bats_require_minimum_version 1.5.0

MF_ROOT=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
export MF_ROOT
export PATH="${MF_BIN:-$MF_ROOT/build/bin}:$PATH"
# Where the text of the demo's packages is fetched to, once.
export CORPUS_FETCH=${CORPUS_FETCH-$MF_ROOT/runs/packages}

# What tests look for is the same in every language: ranges of letters are ASCII's, numbers of awk have points.
export LC_COLLATE=C
awk() {
    LC_ALL=C command awk "$@"
}
export -f awk

# A make of a test is not part of the one that runs the tests.
unset MAKEFLAGS MAKELEVEL

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
}

# The setup of tests that begin with what setup_file made in its folder.
link_made() {
    cd "$BATS_TEST_TMPDIR" && ln -s "$BATS_FILE_TMPDIR"/* .
}

# Runs a program and prints the most memory it held, in MB.
peak_mb() { # COMMAND [ARGUMENT]...
    /usr/bin/python3 -c 'import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1000)' "$@"
}

# Runs a command, in which a program that goes to write over the file PATH for the Nth time gets a signal just then: nobody
# has to be quick enough to send it. The programs are followed from call to call, so they should have one thread. What
# happened is in `struck` here, or in the file $STRUCK.
strike() { # SIGNAL PATH N COMMAND [ARGUMENT]...
    # a name's links are read before it is written over, by its path as it is given, which a make below a blank has relative
    # to its own place; the leak check and strace do not go together
    ASAN_OPTIONS=detect_leaks=0 strace -f -qq -e signal=stop -o "${STRUCK:-struck}" -P "$2" -P "$(realpath -m "$2")" \
        -P "$(realpath -m --relative-to="$MF_ROOT" "$2")" -e trace=/^readlink -e inject=/^readlink:signal="SIG$1":when="$3" "${@:4}"
}

# Waits for a condition, at most a minute; fails before when a process that should bring it about has ended.
await() { # PROCESS CONDITION...
    local end=$((SECONDS + 60))
    until "${@:2}"; do
        kill -0 "$1" 2> /dev/null || fail "process $1 ended before: ${*:2}"
        [ "$SECONDS" -lt "$end" ] || fail "waited 60 s for: ${*:2}"
        sleep 0.02
    done
}

# Runs a program, at most a minute.
limited() { # COMMAND...
    local status=0
    timeout 60 "$@" || status=$?
    [ "$status" -ne 124 ] || echo "waited 60 s for: $*" >&2
    return "$status"
}

# Does the file have so many lines?
has_lines() { # FILE [N: 1]
    [ "$(wc -l 2> /dev/null < "$1")" -ge "${2:-1}" ]
}

# Waits for a process to end, at most a minute; its status.
ended() { # PROCESS
    local end=$((SECONDS + 60))
    while kill -0 "$1" 2> /dev/null; do
        [ "$SECONDS" -lt "$end" ] || fail "waited 60 s for process $1 to end"
        sleep 0.02
    done
    wait "$1"
}

# Waits until a program struck by SIGSTOP has stopped, as process (or its thread) $stopped; fails when process $1 ends before.
until_stopped() { # PROCESS
    await "$1" grep -qs 'stopped by SIGSTOP' struck
    stopped=$(sed -n '/stopped by SIGSTOP/{s/ .*//p;q}' struck)
}

# The largest difference of two files of float32; `relative`: in terms of the second's largest number.
difference() { # FILE FILE [relative]
    /usr/bin/python3 -c 'import sys, array
a, b = array.array("f"), array.array("f")
for x, path in ((a, sys.argv[1]), (b, sys.argv[2])):
    x.frombytes(open(path, "rb").read())
assert len(a) == len(b) > 0, (len(a), len(b))
print(max(abs(x - y) for x, y in zip(a, b)) / (max(map(abs, b)) if sys.argv[3:] else 1))' "$@"
}

# The loss of a model, or of a shared bundle with -e EXPERT, on the test documents.
loss() { # MODEL [OPTION of mf-eval]...
    mf-eval perplexity --quiet --json -m "$@" test.mf | jq .loss
}

# Are two numbers less than LIMIT apart?
near() { # NUMBER NUMBER [LIMIT: 1e-5]
    awk -v a="$1" -v b="$2" -v limit="${3:-1e-5}" 'BEGIN { d = a - b; exit !(a + 0 == a && b + 0 == b && d < limit && d > -limit) }'
}

# mf-eval's logits of test.mf are those in theirs.f32; its perplexity and number of targets those in the line `theirs`.
says_the_same() { # MODEL [OPTION of mf-eval]...
    local perplexity tokens
    mf-eval logits -m "$@" -o ours.f32 test.mf
    mf-eval perplexity -m "$@" --json --quiet test.mf > ours.json
    run difference ours.f32 theirs.f32 relative
    assert_success
    awk "BEGIN { exit !($output < 1e-5) }"
    read -r perplexity tokens < theirs
    assert_equal "$(jq .tokens ours.json)" "$tokens"
    awk "BEGIN { d = $(jq .perplexity ours.json) / $perplexity - 1; exit !(d < 1e-5 && d > -1e-5) }"
}

needs_torch() {
    /usr/bin/python3 -c 'import torch, msgpack' 2> /dev/null || skip "python3-torch is not installed"
}

own_memory_only() {
    case ${MF_BIN:-} in */sanitized/*) skip "the sanitizers' own memory would be measured" ;; esac
}

# Streams of made-up documents in the current folder, ready to train on: {train,val,test}.mf, tokenizer.json, the parts
# in parts/, and val.labelled.mf; all by configs/tiny.yaml.
export TINY=$MF_ROOT/configs/tiny.yaml
make_tokens() { # [DOCUMENTS of each kind] [KINDS, each a part: 3]
    /usr/bin/python3 "$MF_ROOT/tests/words.py" words "${1:-40}" 1 "${2:-3}"
    for split in train val test; do
        mf-docs --quiet --config "$TINY" --domain-from folder --split $split -o $split.docs words
    done
    mf-tokenize train --quiet --config "$TINY" -o tokenizer.json train.docs 2> /dev/null
    for split in train val test; do mf-tokenize encode -t tokenizer.json -o $split.mf $split.docs; done
    mf-partition --quiet --config "$TINY" -n "${2:-3}" -o parts train.mf
    mf-partition --label --saved parts/partition.mp -o val.labelled.mf val.mf
}

# A shared bundle and experts of it, trained for a few steps.
make_pieces() { # [OPTION for the experts]...
    mf-train-shared --quiet --config "$TINY" -v val.mf -o shared.tar train.mf
    local e part
    for part in parts/part.*.mp; do
        e=${part//[!0-9]/}
        mf-train-expert --quiet --config "$TINY" "$@" -s shared.tar -v val.labelled.mf -p "$e" -o "expert.$e.tar" "$part"
    done
}

# All of that, and the model that is assembled from it.
make_model() {
    make_tokens
    make_pieces
    mf-assemble --config "$TINY" -o model.safetensors shared.tar expert.0.tar expert.1.tar expert.2.tar
}

# A backbone of family llama for the same tokens, that learnt hardly anything: llama.tar; and as other programs have it.
make_llama() {
    mf-train-shared --quiet --config "$TINY" --set model.arch=llama --set train_shared.steps=4 --set train_shared.warmup=1 -o llama.tar train.mf
    mf-export hf --quiet --type bf16 --shard 30K -m llama.tar -t tokenizer.json -o llama.hf
    mf-export gguf --quiet --type q8_0 -m llama.tar -t tokenizer.json -o llama.gguf
}

# A copy of good.safetensors whose header was changed by Python: as `h`, a dict, the text `raw`, or with the file's bytes `d`; `m` are
# its metadata, texts of JSON as what they say. drop(text) takes tensors out whose names have the text.
edit_model() { # TARGET EDIT
    /usr/bin/python3 - "$1" "$2" <<'PY'
import json, struct, sys
d = bytearray(open("good.safetensors", "rb").read())
n = struct.unpack("<Q", d[:8])[0]
h, body = json.loads(d[8 : 8 + n]), d[8 + n :]
names = sorted((k for k in h if k != "__metadata__"), key=lambda k: h[k]["data_offsets"])
a, b = h[names[3]], h[names[4]]
m = {key: json.loads(value) if value[0] in "[{" else value for key, value in h.get("__metadata__", {}).items()}
raw, before = None, json.dumps(m)
def drop(text):
    global body
    kept = bytearray()
    for name in names:
        begin, end = h[name]["data_offsets"]
        if text in name:
            del h[name]
            continue
        kept += body[begin:end]
        h[name]["data_offsets"] = [len(kept) - (end - begin), len(kept)]
    body = kept
exec(sys.argv[2])
if json.dumps(m) != before:
    h["__metadata__"] = {key: value if isinstance(value, str) else json.dumps(value) for key, value in m.items()}
text = json.dumps(h).encode() if raw is None else raw
open(sys.argv[1], "wb").write(struct.pack("<Q", len(text)) + text + body if raw != b"" else bytes(d))
PY
}

# A copy of a bundle whose manifest was changed by a Python expression on `m`, and tensors' bytes on `data` (by name).
edit_bundle() {
    /usr/bin/python3 - "$@" <<'PY'
import hashlib, io, json, sys, tarfile
source, target, edit = sys.argv[1:4]
tar = tarfile.open(source)
m = json.load(tar.extractfile("manifest.json"))
data = {member.name: bytearray(tar.extractfile(member).read()) for member in tar if member.name != "manifest.json"}
exec(edit)
with tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as out:
    for name, content in [("manifest.json", json.dumps(m).encode())] + list(data.items()):
        info = tarfile.TarInfo(name)
        info.size = len(content)
        out.addfile(info, io.BytesIO(bytes(content)))
PY
}

# A path as a make of the project can have it: below a blank relative to its own place.
for_make() { # PATH
    case $1 in
    *[[:space:]]*) realpath -m --relative-to="$MF_ROOT" "$1" ;;
    *) printf '%s\n' "$1" ;;
    esac
}

# Runs make on the documents in words/ (or WORDS) with the tiny configuration, in runs/ here.
mf_make() { # [ARGUMENT]...
    local build=${MF_BIN:-$MF_ROOT/build/bin} runs goal=${GOAL:-run}
    runs=$(for_make "$PWD/runs")
    make -C "$MF_ROOT" B="${build%/bin}" RUNS="$runs" NAME=t CONFIG="$TINY" DATA="${WORDS:-$PWD/words}" \
        THREADS=1 "$@" "${goal/#"$PWD/runs"/$runs}"
}
export -f mf_make for_make # for shells below strace

# The stages that a make's output shows to have run, in short: "docs tokenize ..."; experts with their numbers.
stages() {
    sed -e ':a' -e '/\\$/N; s/\\\n//; ta' "$1" | sed 's/^.*mf-time .* -- //' | grep -o 'bin/mf-[a-z-]* .*' | sed -E 's/^bin\/mf-([a-z-]+) .*-p ([0-9]+) .*/\1.\2/; s/^bin\/mf-([a-z-]+) .*/\1/' | sort -u | tr '\n' ' '
}
