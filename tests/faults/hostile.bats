# Files meant to harm who reads them: refused in one line, in little memory, with nothing left behind. What a stream, a
# bundle or a model can lie about besides is in stream_test.c, bundle_members_test.c, safetensors_test.c and eval.bats;
# numbers that are none in assemble.bats.
load ../helper

setup_file() {
    cd "$BATS_FILE_TMPDIR" || return 1
    /usr/bin/python3 "$MF_ROOT/tests/faults/hostile.py"
}

setup() {
    cd "$BATS_FILE_TMPDIR" || return 1
}

# A program ends with this status and one line that begins so, in at most 400 MB of address space (of which libraries and
# threads, which are therefore few, have a part before anything is read), and writes nothing to `out`.
refused() { # STATUS MESSAGE PROGRAM [ARGUMENT]...
    local wanted=$1 message=$2
    shift 2
    # shellcheck disable=SC2016
    run --separate-stderr bash -c 'case $MF_BIN in */sanitized/*) ;; *) ulimit -v 400000 ;; esac; export OPENBLAS_NUM_THREADS=1; "$@" --threads 2' bash "$@"
    [ "$status" -eq "$wanted" ] || fail "$*: status $status: $stderr"
    [ "$(wc -l <<< "$stderr")" -eq 1 ] || fail "$*: $stderr"
    [[ "$stderr" == mf-*": $message"* ]] || fail "$*: $stderr"
    [ ! -e out ] || fail "$* left its output"
}

docs_refused() { # FILE MESSAGE
    refused 65 "$1$2" mf-docs --quiet --near-dup 0 -o out "$1"
}

@test "names in an archive are names only, and links, devices and pipes are no documents" {
    run -0 mf-docs --quiet -o names.mf names.tar
    assert_equal "$(mf-cat names.mf | jq -r 'select(.id) | .id + " " + .text')" "names.tar/../../up.txt above
names.tar//tmp/absolute.txt at the top
names.tar/twice.txt two"
    [ ! -e /tmp/absolute.txt ]
    [ ! -e ../../up.txt ]
}

@test "an archive's member does not have the size it says" {
    docs_refused size-below.tar ""
    docs_refused size-at.tar ": Tar entry size overflow"
    docs_refused size-above.tar ": Tar entry size overflow"
    docs_refused size-negative.tar ": Tar entry has negative size"
    docs_refused size.zip ""
}

@test "an archive unpacks to far more than it has" {
    for file in text.gz text.gz.gz.gz lines.jsonl.gz text.xz text.zst deflate.zip lzma.zip; do
        docs_refused $file ": unpacks to more than 250 times its size"
    done
    for file in hole.tar hole-pax.tar; do
        refused 65 "$file: unpacks to more than 250 times its size" mf-docs --quiet --all --near-dup 0 -o out $file
    done
    refused 65 "standard input: unpacks to more than" mf-docs --quiet -o out < text.zst
}

@test "lines of JSON that are deep or of very many values" {
    refused 65 "deep.jsonl:1: maximum parsing depth reached" mf-docs --quiet -o out deep.jsonl
    refused 65 "values.jsonl.gz:1: more than 1048576 values" mf-docs --quiet -o out values.jsonl.gz
}

@test "a bundle's members that are no files, have no bytes, or lie about them" {
    local f
    for f in device hole-bundle; do refused 65 "$f.tar: member 'a.f32' is not a plain file" mf-cat -o out $f.tar; done
    for f in size-{below,at}-{bundle,manifest}; do refused 65 "$f.tar: " mf-cat -o out $f.tar; done
    for f in zeros claim; do
        refused 65 "$f.tar.zst: unpacks to more than 250 times its size" mf-cat --stats -o out $f.tar.zst
    done
    refused 65 "standard input: unpacks to more than" mf-cat --stats -o out < zeros.tar.zst
}

@test "a GGUF file that promises more than it has" {
    local f
    for f in keys tensors list string shape data; do
        refused 65 "promise-$f.gguf: " mf-cat -o out promise-$f.gguf
    done
    refused 65 "list-lists.gguf: key a: a list of lists" mf-cat -o out list-lists.gguf
    refused 65 "big-endian.gguf: GGUF version 50331648, must be 2 or 3 (big-endian?)" mf-cat -o out big-endian.gguf
    assert_equal "$(mf-cat many-keys.gguf | jq length)" 131072
    assert_equal "$(mf-cat list-values.gguf | jq '.a | length')" 1048576
}

@test "JSON that is deep or of very many values, in manifests, headers, metadata, tokenizers and reports" {
    local kind what
    for kind in deep values; do
        [ $kind = deep ] && what="maximum parsing depth" || what="more than"
        refused 65 "$kind.tar.zst: manifest.json is not a JSON object: $what" mf-cat -o out $kind.tar.zst
        refused 65 "$kind.safetensors: the header is not a JSON object: $what" mf-cat -o out $kind.safetensors
        refused 65 "$kind-config.safetensors: no config in the metadata" mf-eval perplexity -o out -m $kind-config.safetensors names.mf
        refused 65 "$kind.json: cannot be read as JSON: line 1: $what" mf-tokenize encode -o out -t $kind.json names.mf
        refused 65 "$kind.json: cannot be read as JSON: line 1: $what" mf-eval page -o out $kind.json
    done
}

@test "headers that promise more than there is" {
    refused 65 "context.safetensors: context is 16777216, must be 1 to 1048576" mf-eval perplexity -o out -m context.safetensors names.mf
    refused 65 "experts.safetensors: 0 tensors are too few for 10000 layers of 65536 experts" mf-eval perplexity -o out -m experts.safetensors names.mf
    refused 65 "vocabulary.mf: the header's vocab_size is 2147483647, not between 1 and 16777216" mf-partition -o out vocabulary.mf
    for file in documents terms; do
        refused 65 "$file.mp: truncated: " mf-partition --label --saved $file.mp -o out names.mf
    done
}

@test "YAML that refers to itself, is deep, or long" {
    refused 78 "alias.yaml:3: aliases are not used here" mf-config print -o out --config alias.yaml
    for file in laughs lists maps steps keys long; do
        refused 78 "$file.yaml:" mf-config print -o out --config $file.yaml
    done
}
