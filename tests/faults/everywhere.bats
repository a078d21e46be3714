# Hostile and odd files, each given to every program wherever it reads a file: it ends by itself, in little memory, with a
# status of sysexits.h; when it fails, with one line that tells nothing but text, and with no output.
load ../helper

setup_file() {
    cd "$BATS_FILE_TMPDIR" || return 1
    make_model
    make_llama
    mkdir hostile
    cd hostile || return 1
    /usr/bin/python3 "$MF_ROOT/tests/faults/hostile.py"
    : > empty
    head -c 3000 /dev/urandom > noise
    head -c 700 ../train.mf > cut.mf
    head -c 2000 ../model.safetensors > cut.safetensors
    head -c 9000 ../shared.tar > cut.tar
    gzip -c ../train.docs | head -c 900 > cut.docs.gz
    printf '\xff\xfe\x00' > mark
    cp empty $'line\nend\e[31m'
    mkdir folder
}

setup() {
    link_made
}

# A base in a folder, one of whose files is this one.
make_base() { # NAME FILE
    rm -rf base
    mkdir base
    ln -s ../llama.hf/* base
    ln -sfn "../$2" "base/$1"
}

# Each place where a program reads a file: FILE stands for it, BASE:NAME for a base that has it under this name.
places() {
    cat <<'END'
mf-assemble -o out FILE expert.0.tar
mf-assemble -o out shared.tar FILE
mf-calibrate -o out -m FILE val.mf
mf-calibrate -o out -m model.safetensors FILE
mf-cat -o out FILE
mf-cat -o out --provenance FILE
mf-cat -o out --provenance model.safetensors FILE
mf-config print -o out --config FILE
mf-docs --quiet -o out FILE
mf-docs --quiet --shard 0/1 -o out FILE
mf-docs --quiet --merge -o out FILE
mf-cat --join -o out FILE
mf-eval perplexity -o out -m FILE test.mf
mf-eval perplexity -o out -m shared.tar -e FILE test.mf
mf-eval perplexity -o out -m model.safetensors -t FILE test.mf
mf-eval routing -o out -m model.safetensors FILE
mf-eval generate -o out -m FILE -t tokenizer.json -p ten
mf-eval generate -o out -m model.safetensors -t FILE -p ten
mf-eval page -o out FILE
mf-eval compare -o out FILE FILE
mf-eval logits -o out -m model.safetensors FILE
mf-export hf --quiet -o out -m FILE -t tokenizer.json
mf-export hf --quiet -o out -m llama.tar -e FILE -t tokenizer.json
mf-export hf --quiet -o out -m llama.tar -t FILE
mf-export hf --quiet -o out -m llama.tar -t tokenizer.json --report FILE
mf-export gguf --quiet -o out -m FILE -t tokenizer.json
mf-export gguf --quiet -o out -m llama.tar -e FILE -t tokenizer.json
mf-export gguf --quiet -o out -m llama.tar -t FILE
mf-import --quiet -o out -t /dev/null FILE
mf-import --quiet -o out -t /dev/null BASE:config.json
mf-import --quiet -o out -t /dev/null BASE:model.safetensors.index.json
mf-import --quiet -o out -t /dev/null BASE:model-00001-of-00003.safetensors
mf-import --quiet -o out -t /dev/null BASE:tokenizer.json
mf-import --quiet -o out -t /dev/null BASE:tokenizer_config.json
mf-partition --quiet -n 2 -o out FILE
mf-partition --quiet --saved FILE --label -o out val.mf
mf-time --quiet -o /dev/null -- FILE
mf-tokenize train --quiet -o out FILE
mf-tokenize encode -t FILE -o out val.docs
mf-tokenize encode -t tokenizer.json -o out FILE
mf-tokenize decode -t tokenizer.json -o out FILE
mf-train-expert --quiet -s FILE -o out parts/part.0.mp
mf-train-expert --quiet -s shared.tar -o out FILE
mf-train-shared --quiet -o out FILE
END
}

@test "every program is tried here" {
    assert_equal "$(places | cut -d' ' -f1 | sort -u)" "$(cd "${MF_BIN:-$MF_ROOT/build/bin}" && ls)"
}

controls() { # LINE
    [[ $1 == *[$'\x01'-$'\x08'$'\x0e'-$'\x1f']* ]]
}

# A quarter of the files at each place, other ones at the next; all of them with MF_LONG.
@test "no file makes a program hang, crash, say more than a line, or leave an output when it fails" {
    local place file words places=0 files
    while read -r place; do
        files=$((places++))
        for file in hostile/* hostile/nothing; do
            if [ -z "${MF_LONG:-}" ] && [ $((files++ % 4)) -ne 0 ]; then continue; fi
            words=()
            for word in $place; do
                [[ $word != BASE:* ]] || make_base "${word#BASE:}" "$file"
                [[ $word != BASE:* ]] || word=base
                words+=("${word/#FILE/$file}")
            done
            local status=0
            case $place in mf-config*|mf-docs*|mf-cat*|mf-time*) ;; *) words+=(--threads 2) ;; esac
            (
                case ${MF_BIN:-} in */sanitized/*) ;; *) ulimit -v 1500000 ;; esac
                exec timeout 60 "${words[@]}"
            ) < /dev/null > shown 2> told || status=$?
            case $status in
            0) ;;
            64 | 65 | 66 | 69 | 70 | 71 | 73 | 74 | 78 | 126 | 127)
                mapfile -t lines < told
                if [ ${#lines[@]} -ne 1 ] || [ -e out ] || LC_ALL=C controls "${lines[0]}"; then
                    echo "${words[*]@Q}: status $status, ${#lines[@]} lines, $(ls -d out 2>&1): $(head -c 300 told)" >> wrong
                fi ;;
            *) echo "${words[*]@Q}: status $status: $(head -c 300 told)" >> wrong ;;
            esac
            [ ! -e out ] || rm -rf out
        done
    done < <(places)
    [ ! -e wrong ] || fail "$(cat wrong)"
}

# The input is a pipe that nobody writes to: a program that looked there first would wait.
@test "an output in a folder that is missing is an error before any input is read" {
    mkfifo pipe
    local place word words tried=0
    while read -r place; do
        words=()
        for word in ${place//BASE:*/FILE}; do
            [ "$word" != out ] || word=missing/out
            words+=("${word/#FILE/pipe}")
        done
        run --separate-stderr timeout 20 "${words[@]}" < /dev/null
        [[ $status == 73 && $stderr == *missing/out*"No such file or directory"* ]] || fail "$place: status $status, $stderr"
        tried=$((tried + 1))
    done < <(places | grep -v '/dev/null --\|^mf-eval compare'
        printf '%s\n' 'mf-calibrate -o kept -m FILE --report out val.mf' 'mf-docs -o kept --removed out FILE' 'mf-docs --splits out FILE' \
            'mf-docs -o kept --cuts out FILE' 'mf-import -o kept -t out FILE' 'mf-train-shared --metrics out -o kept FILE' \
            'mf-train-shared --checkpoint out -o kept FILE' 'mf-time -o out -- touch kept')
    assert [ "$tried" -gt 40 ]
    assert [ ! -e kept ]
}

# What is read of a base is in a folder, and what a partitioning writes, too. Lists of names are read, and the files in them.
@test "an output that is read is refused wherever a program reads a file, and stays as it was" {
    local place words tried=0 report='mf-eval report -o out -m model.safetensors -s shared.tar'
    printf '%s\n' expert.0.tar ./out > names
    while read -r place; do
        echo kept > out
        read -ra words <<< "${place//FILE/out}"
        run --separate-stderr -64 timeout 20 "${words[@]}" < /dev/null
        [[ $stderr == "${words[0]}"*": "?(./)"out is read, and cannot be the output" ]] || fail "$place: $stderr"
        assert_equal "$(cat out)" kept
        tried=$((tried + 1))
    done < <(places | grep -v '^mf-eval compare\|^mf-partition --quiet -n\|^mf-export hf\|BASE:\|/dev/null --'
        echo 'mf-partition --quiet --saved parts/partition.mp --label -o out FILE'
        echo 'mf-eval report -o out -m model.safetensors --stage FILE test.mf'
        echo 'mf-eval report -o out -m model.safetensors -e expert.0.tar -e FILE test.mf'
        for option in -s --dense --metrics --calibration --{expert,metrics,stage}-list; do echo "$report -t tokenizer.json $option FILE test.mf"; done
        for what in expert metrics stage; do echo "$report -t tokenizer.json --$what-list names test.mf"; done
        printf 'mf-assemble -o out shared.tar --list %s\n' FILE names)
    assert [ "$tried" -gt 42 ]
    # standard output is no file
    mf-partition --quiet --saved parts/partition.mp --label -o - - < val.mf | cmp - val.labelled.mf
    mkdir there
    cp tokenizer.json there
    run -64 mf-export hf --quiet -o there -m llama.tar -t there/tokenizer.json
    assert_output "mf-export hf: there/tokenizer.json is read, and cannot be in the output"
    cmp tokenizer.json there/tokenizer.json
}

@test "no two outputs are one file, and none that is written early is one that is read" {
    local place words tried=0
    mkdir outputs
    cp train.mf shared.tar outputs
    cd outputs || return 1
    ln -s train.mf link
    while IFS=: read -r said place; do
        read -ra words <<< "$place"
        sha256sum train.mf shared.tar > sums
        run --separate-stderr -64 timeout 20 "${words[@]}" < /dev/null
        assert_equal "$stderr" "${words[0]}: $said"
        sha256sum --quiet --check sums
        tried=$((tried + 1))
    done << 'END'
x is both --output and --checkpoint:mf-train-shared -o x --checkpoint x train.mf
./x is both --output and --metrics:mf-train-shared -o x --metrics ./x train.mf
train.mf is read, and cannot be the checkpoint:mf-train-shared -o x --checkpoint train.mf train.mf
link is read, and cannot be the metrics:mf-train-shared -o x --metrics train.mf link
train.mf is read, and cannot be the metrics:mf-train-shared -o x -v train.mf --metrics train.mf ../train.mf
shared.tar is read, and cannot be the output:mf-train-expert -s shared.tar -o shared.tar train.mf
shared.tar is read, and cannot be the output:mf-assemble -o ./shared.tar shared.tar ../expert.0.tar
shared.tar is read, and cannot be the checkpoint:mf-train-expert -s shared.tar --checkpoint ../outputs/shared.tar -o x train.mf
x is both --stats and --metrics:mf-train-expert -s shared.tar --stats x --metrics x -o y train.mf
x is both --output and --removed:mf-docs --removed x -o x train.mf
standard output is both --output and --removed:mf-docs --removed - train.mf
x is both --output and --tokenizer:mf-import -o x -t x ../llama.hf
x is both --output and --report:mf-calibrate -m ../model.safetensors -o x --report x train.mf
standard output is both --output and --report:mf-calibrate -m ../model.safetensors --report - train.mf
END
    assert_equal "$tried" 14
    assert_equal "$(find . -type f | sort | tr '\n' ' ')" "./shared.tar ./sums ./train.mf "
}
