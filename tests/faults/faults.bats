# What programs do when the system fails them: no room, no right, no reader, and calls that fail one at a time (faults.py).
load ../helper

setup_file() {
    "$MF_ROOT/tests/pieces.sh" "$BATS_FILE_TMPDIR"
}

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
    ln -s "$BATS_FILE_TMPDIR" pieces # commands are lists of words here
    ln -s "$TINY" tiny.yaml
    pieces=pieces TINY=tiny.yaml
    export TMPDIR=$BATS_TEST_TMPDIR
    export ASAN_OPTIONS=detect_leaks=0 # libarchive loses 33 bytes of an archive whose writing failed
}

teardown() {
    [ ! -e mounted ] || umount disk
}

# A small file system of its own at disk/, or the test is skipped.
disk() { # OPTIONS
    mkdir disk
    mount -t tmpfs -o "$1" tmpfs disk 2> /dev/null || skip "cannot mount here"
    touch mounted
}

# The last command failed with this status, in one line that names this file, and left nothing in its folder.
assert_clean_failure() { # STATUS FILE
    assert_equal "$status" "$1"
    assert_equal "$(wc -l <<< "$stderr")" 1
    [[ "$stderr" == mf-*": $2: "* ]] || fail "$stderr"
    assert_equal "$(find disk -mindepth 1)" ""
}

# Each writer of the pipeline, its output disk/NAME.
each_writer() { # STATUS
    local config=(--quiet --config "$TINY") p=$pieces
    run --separate-stderr mf-docs "${config[@]}" -o disk/out.mf "$p/words"
    assert_clean_failure "$1" disk/out.mf
    run --separate-stderr mf-tokenize train "${config[@]}" -o disk/out.json "$p/train.docs"
    assert_clean_failure "$1" disk/out.json
    run --separate-stderr mf-tokenize encode -t "$p/tokenizer.json" -o disk/out.mf "$p/train.docs"
    assert_clean_failure "$1" disk/out.mf
    run --separate-stderr mf-train-shared "${config[@]}" --set train_shared.steps=5 -o disk/out.tar "$p/train.mf"
    assert_clean_failure "$1" disk/out.tar
    run --separate-stderr mf-assemble "${config[@]}" -o disk/out.safetensors "$p/shared.tar" "$p"/expert.*.tar
    assert_clean_failure "$1" disk/out.safetensors
    run --separate-stderr mf-calibrate "${config[@]}" -m "$p/model.safetensors" -o disk/out.safetensors "$p/val.labelled.mf"
    assert_clean_failure "$1" disk/out.safetensors
    run --separate-stderr mf-cat -o disk/out.txt "$p/model.safetensors"
    assert_clean_failure "$1" disk/out.txt
}

@test "a full disk: one line, status 74, nothing left" {
    disk size=4k
    each_writer 74
}

@test "no room for what mf-docs does not hold: one line, status 74, nothing left" {
    disk size=400k
    TMPDIR=disk run --separate-stderr mf-docs --quiet --max-memory 15M -o out.mf pieces/many.jsonl
    assert_clean_failure 74 "scratch file"
    [ ! -e out.mf ]
    mkdir folder
    TMPDIR=folder/gone run --separate-stderr mf-docs --quiet --max-memory 15M -o out.mf pieces/many.jsonl
    assert_clean_failure 73 folder/gone
    [ ! -e out.mf ]
}

@test "no room for what mf-partition keeps of documents: one line, status 74, nothing left" {
    /usr/bin/python3 - << 'END' > lines
import json, random
random.seed(1)
for i in range(8000):
    print(json.dumps({"id": str(i), "tokens": [random.randrange(10, 300) for _ in range(40)]}))
END
    /usr/bin/python3 "$MF_ROOT/tests/stream.py" '{"mf":"tokens","version":1,"width":2,"vocab_size":300,"tokenizer_sha256":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","bos":2,"eos":3,"pad":0}' < lines > t.mf
    TMPDIR=. run -0 mf-partition --quiet -n 3 -o parts t.mf
    assert_equal "$(ls -A parts | wc -l)" 4
    disk size=400k
    TMPDIR=disk run --separate-stderr mf-partition --quiet -n 3 -o full t.mf
    assert_clean_failure 74 "scratch file"
    [ ! -e full ]
    TMPDIR=disk run --separate-stderr mf-partition --quiet --saved parts/partition.mp --label -o full t.mf
    assert_clean_failure 74 "scratch file"
    [ ! -e full ]
    mkdir folder
    TMPDIR=folder/gone run --separate-stderr mf-partition --quiet -n 3 -o gone t.mf
    assert_clean_failure 73 folder/gone
    [ ! -e gone ]
}

@test "no room for the words that mf-tokenize train does not hold: one line, status 74, nothing left" {
    /usr/bin/python3 -c 'print("".join("%s{\"id\":\"%d\",\"text\":\"%s\"}" % ("\n" * (i > 0), i, " ".join("w%x" % (i * 997 + k * 31) for k in range(60))) for i in range(3000)))' |
        /usr/bin/python3 "$MF_ROOT/tests/stream.py" > docs.mf
    disk size=400k
    TMPDIR=disk run --separate-stderr mf-tokenize train --quiet --max-memory 10M --vocab-size 300 -o out.json docs.mf
    assert_clean_failure 74 "scratch file"
    [ ! -e out.json ]
    TMPDIR=. run -0 mf-tokenize train --quiet --max-memory 10M --vocab-size 300 -o out.json docs.mf
    TMPDIR=folder/gone run --separate-stderr mf-tokenize train --quiet --max-memory 10M --vocab-size 300 -o gone.json docs.mf
    assert_clean_failure 73 folder/gone
    [ ! -e gone.json ]
}

@test "a folder that cannot be written: one line, status 73, nothing left" {
    disk ro,size=4k
    each_writer 73
}

@test "a reader that has gone ends a program quietly" {
    local p=$pieces command status
    # a pipe that had a reader when it was opened to write
    mkfifo gone
    exec 6<> gone 7> gone 6<&-
    for command in "mf-cat $p/train.docs" "mf-tokenize decode -t $p/tokenizer.json $p/train.mf" \
        "mf-assemble --quiet --config $TINY $p/shared.tar $p/expert.0.tar $p/expert.1.tar" "mf-docs --quiet $p/words" \
        "mf-config print --config $TINY"; do
        status=0
        env --default-signal=PIPE $command >&7 2> said || status=$?
        [ -z "$(cat said)" ] || fail "$command: $(cat said)"
        assert_equal "$status" 141
    done
}

@test "a file gets its name when its bytes are on the disk, and its folder is synced after" {
    case ${MF_BIN:-} in */sanitized/*) skip "the leak check and strace do not go together" ;; esac
    run python3 "$MF_ROOT/tests/faults/synced.py" "$BATS_FILE_TMPDIR"
    assert_success
}

@test "calls of the system that fail one at a time: the right output, or one line and none" {
    case ${MF_BIN:-} in */sanitized/*) skip "the sanitizers have to be loaded first" ;; esac
    run python3 "$MF_ROOT/tests/faults/faults.py" "$BATS_FILE_TMPDIR" --seed 1 --sample 3 --total 60
    assert_success
}

@test "what the disk does not give of a base is missed" {
    case ${MF_BIN:-} in */sanitized/*) skip "the sanitizers have to be loaded first" ;; esac
    run python3 "$MF_ROOT/tests/faults/faults.py" "$BATS_FILE_TMPDIR" --seed 1 --only '^import-' --kinds read
    assert_success
}
