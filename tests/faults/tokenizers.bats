# Tokenizer files meant to harm who reads them, by tokenizers.py: each is refused in one line that names it, or read for a
# reason, in few seconds of processor time; by `mf-tokenize encode` and `decode` and by mf-import alike.
load ../helper

setup_file() {
    cd "$BATS_FILE_TMPDIR" || return 1
    /usr/bin/python3 "$MF_ROOT/tests/faults/tokenizers.py" > cases
    [ "$(wc -l < cases)" -gt 200 ]
    /usr/bin/python3 -c 'print("a" * 20000 + " !# " + "e" * 3000 + " " * 20000 + ".", end="")' > text
    printf 'abc' > short
    mf-docs --quiet -o docs short
    mf-tokenize train --quiet -o tokenizer.json --vocab-size 260 docs
    mf-tokenize encode --quiet -t tokenizer.json -o tokens docs
    /usr/bin/python3 "$MF_ROOT/tests/oracle/random_base.py" base tokenizer.json --pad 80000 --D 8 --F 8 --L 1
}

setup() {
    link_made
}

# Runs a program for at most 10 seconds of processor time: `status` and `stderr`.
brief() { # COMMAND...
    # shellcheck disable=SC2016
    run --separate-stderr bash -c 'ulimit -t 10; export OPENBLAS_NUM_THREADS=1; exec "$@"' bash "$@"
}

# The program ended so, with one line that begins so behind its name and has all texts between the stars, and left nothing.
refused() { # MESSAGE PROGRAM...
    local message=$1 part
    shift
    brief "$@"
    [ "$status" -eq 65 ] || fail "$*: status $status: $stderr"
    [ "$(wc -l <<< "$stderr")" -eq 1 ] || fail "$*: $stderr"
    while IFS= read -r -d '*' part; do
        [[ "$stderr" == *"$part"* ]] || fail "$*: $stderr"
    done <<< "$message*"
    [ ! -e out ] || fail "$* left its output"
}

reads() { # PROGRAM...
    brief "$@"
    [ "$status" -eq 0 ] || fail "$*: status $status: $stderr"
    rm -f out out.json
}

# The base with another tokenizer, in folder/.
base_with() { # NAME
    mkdir -p folder
    ln -sf ../base/{config.json,model.safetensors} folder
    ln -sf "../$1.json" folder/tokenizer.json
}

all_refused() { # PROGRAM...
    local name does says
    while IFS=$'\t' read -r name does says; do
        [ "$does" = refused ] || continue
        refused ": $name.json: $says" "$@" -o out -t "$name.json"
    done < cases
}

@test "what no program loads is refused with its file's name by mf-tokenize encode" {
    all_refused mf-tokenize encode --text short
}

@test "the same by mf-tokenize decode" {
    all_refused mf-tokenize decode tokens
}

@test "the same by mf-import, as the tokenizer of a base" {
    local name does says
    while IFS=$'\t' read -r name does says; do
        [ "$does" = refused ] || continue
        base_with "$name"
        refused ": folder/tokenizer.json: $says" mf-import -o out -t out.json folder
        [ ! -e out.json ]
    done < cases
}

@test "a text that would take too much ends with the file's name, and the rest is read for a reason" {
    local name does says
    while IFS=$'\t' read -r name does says; do
        [ "$does" != refused ] || continue
        if [ "$does" = text ]; then
            refused ": document text: $name.json: $says" mf-tokenize encode --threads 1 --text -t "$name.json" -o out text
        else
            reads mf-tokenize encode --threads 1 --no-warning --text -t "$name.json" -o out text
        fi
        mf-tokenize encode --no-warning --text -t "$name.json" -o own /dev/null
        reads mf-tokenize decode -t "$name.json" -o out own
        base_with "$name"
        reads mf-import --quiet -o out -t out.json folder
    done < cases
}
