# The pipeline by make: what runs when, parallel and interrupted.
load ../helper

setup() {
    cd "$BATS_TEST_TMPDIR"
    /usr/bin/python3 "$MF_ROOT/tests/words.py" words 60
}

@test "make makes everything, and then there is nothing to do" {
    mf_make > log 2>&1
    [ -s runs/t/tokenizer.json ]
    [ -s runs/t/model.safetensors ]
    jq -e '.perplexity | .test > 1 and .dense > 1 and (.experts | length == 3) and .test < .unigram' runs/t/report.json
    jq -e 'has("routing") and has("memory") and (.samples | length == 3)' runs/t/report.json
    mf_make > again 2>&1
    assert_equal "$(stages again)" ""
    [ -z "$(find runs -name '*.tmp' -o -name '*.ckpt*')" ]
    case ${MF_BIN:-} in */sanitized/*) return ;; esac
    refute grep 'above its bound' log
    # a stage that took more than it may is named at the end
    jq -c '.peak_memory = 123456789' runs/t/stages/tokens.val.json > changed
    cp changed runs/t/stages/tokens.val.json
    rm runs/t/report.html
    mf_make 2> errors
    assert_equal "$(cat errors)" "make: stage tokens.val took 123.5 MB of memory, above its bound of 100.0 MB"
}

@test "what needs no training is made before the first training, also in a parallel make" {
    GOAL=$PWD/runs/t/shared.tar mf_make -n -j4 > log
    sed -n '1,/mf-train-shared/p' log > before
    grep -q 'partition --label' before
    grep -q 'tokens/test.mf' before
    # more partitions than documents
    run mf_make -j4 SET='model.n_experts=1000'
    assert_failure
    assert_output --partial "mf-partition: "
    refute_output --partial 'mf-train-shared'
}

@test "a thousand experts are no more than lists: make reads its rules in seconds, and no command is long" {
    run mf_make -n SET=model.n_experts=1000
    assert_success
    assert_equal "$(grep -c 'mf-train-expert --config' <<< "$output")" 1000
    [ "$(wc -L <<< "$output")" -lt 3000 ]
    [ "$SECONDS" -lt 60 ]
}

@test "make -j2 gives the same model as make -j1, byte for byte" {
    mf_make -j1 > log 2>&1
    mv runs one
    mf_make -j2 > log 2>&1
    cmp one/t/model.safetensors runs/t/model.safetensors
    cmp one/t/shared.tar runs/t/shared.tar
}

@test "a run of family llama ends with what llama.cpp and transformers read, the same bytes by -j1 and -j2" {
    llama='model.arch=llama train_shared.steps=8 train_shared.warmup=1 train_expert.steps=4 train_expert.warmup=1 eval.samples=0'
    mf_make -j1 SET="$llama" > log 2>&1
    cp -r runs one
    mf-cat runs/t/model.gguf | head -n 1 | jq -e '."general.architecture" == "llama" and ."llama.expert_count" == 3'
    jq -e '.architectures == ["MixtralForCausalLM"]' runs/t/hf/config.json
    [ -s runs/t/hf/model.safetensors ]
    grep -q '[0-9]' runs/t/hf/README.md
    mf_make SET="$llama" > again 2>&1
    assert_equal "$(stages again)" ""
    rm runs/t/model.gguf runs/t/hf/config.json
    mf_make SET="$llama" > again 2>&1
    assert_equal "$(stages again)" "eval export "
    cmp one/t/model.gguf runs/t/model.gguf
    rm -r runs
    mf_make -j2 SET="$llama" > log 2>&1
    cmp one/t/model.gguf runs/t/model.gguf
    cmp one/t/hf/model.safetensors runs/t/hf/model.safetensors
}

@test "new documents of one kind retrain one expert" {
    mf_make > log 2>&1
    sha256sum runs/t/expert.*.tar runs/t/shared.tar runs/t/tokenizer.json > before
    /usr/bin/python3 "$MF_ROOT/tests/words.py" more 25 9
    mkdir words/delta
    cp more/beta/*.txt words/delta/
    mf_make > log 2>&1
    ran=$(stages log)
    assert_equal "$(grep -o 'train-expert' <<< "$ran" | wc -l)" 1
    [[ $ran != *train-shared* ]]
    [[ $ran == *assemble* ]]
    [[ $ran == *calibrate* ]]
    run env LC_ALL=C sha256sum --check --quiet before
    assert_equal "$(grep -c FAILED <<< "$output")" 1
    assert_output --partial expert
    mf_make > log 2>&1
    assert_equal "$(stages log)" ""
}

@test "a new domain and one expert more trains that expert alone" {
    mf_make > log 2>&1
    sha256sum runs/t/expert.*.tar runs/t/parts/part.*.mp runs/t/shared.tar runs/t/tokenizer.json > sums
    stat -c '%n %i %.Y' runs/t/expert.*.tar runs/t/parts/part.*.mp runs/t/shared.tar runs/t/tokenizer.json > times
    # words of the three domains turned round
    /usr/bin/python3 "$MF_ROOT/tests/words.py" more 60 9
    mkdir words/delta
    for f in more/beta/*.txt; do rev "$f" > words/delta/"${f##*/}"; done
    cp runs/t/model.safetensors three.safetensors
    mf_make SET=model.n_experts=4 > log 2>&1
    [[ $(stages log) == *"partition tokenize train-expert.3 " ]]
    [[ $(stages log) == *assemble*calibrate* ]]
    sha256sum --check --quiet sums
    stat -c '%n %i %.Y' $(cut -d' ' -f1 times) | diff times -
    # the router is made for the four
    mf-cat runs/t/model.safetensors | grep -F 'experts.3.'
    mf-eval routing --json -m runs/t/model.safetensors runs/t/tokens/test.mf > routing.json
    jq -e '.experts | length == 4' routing.json
    # the new domain gains a fifth at least, the old ones lose no more than a fiftieth
    mf-eval perplexity --json -m three.safetensors runs/t/tokens/test.mf > before.json
    mf-eval perplexity --json -m runs/t/model.safetensors runs/t/tokens/test.mf > after.json
    jq -n -e --slurpfile b before.json --slurpfile a after.json '
        [$b[0].domains, $a[0].domains] | transpose | all(.[1].perplexity / .[0].perplexity <
            (if .[0].domain == "delta" then 0.8 else 1.02 end))' || fail "$(jq -c .domains before.json after.json)"
    mf_make SET=model.n_experts=4 > log 2>&1
    assert_equal "$(stages log)" ""
    # a make that is refused leaves the partitions as they grew, which no other make would find again
    sha256sum runs/t/expert.*.tar runs/t/parts/*.mp runs/t/model.safetensors > sums
    run mf_make SET='partition.method=domain model.n_experts=1000'
    assert_failure
    assert_output --partial "1000 partitions"
    mf_make SET=model.n_experts=4 > log 2>&1
    sha256sum --check --quiet sums
}

# Touches all files of a run, in no order of theirs.
shuffle() { # RUN
    find "$1" -type f | sort | shuf --random-source="$TINY" | while read -r file; do touch "$file"; done
}

@test "copied, touched or in another order, a run is as it was; a change of content is seen" {
    mf_make > log 2>&1
    cp -r runs/t runs/u
    shuffle runs/u
    mf_make NAME=u > log 2>&1
    assert_equal "$(stages log)" ""
    touch runs/t/parts/part.1.mp runs/t/tokenizer.json
    mf_make > log 2>&1
    assert_equal "$(stages log)" ""
    # documents that were touched are read again, and no more
    find words -type f -exec touch {} +
    mf_make > log 2>&1
    assert_equal "$(stages log)" "docs "
    # an edit that keeps size and time
    file=$(find words/alpha -type f | sort | head -n 1)
    touch -r "$file" time
    tr a-z b-za < "$file" > edited
    cat edited > "$file"
    touch -r time "$file"
    run -1 mf_make -q
    mf_make > log 2>&1
    [[ $(stages log) == *"docs "* ]]
    [[ $(stages log) == *tokenize* || $(stages log) == *eval* ]]
    # other bytes in one file are a change, and times of the others stay
    sleep 0.01
    mf-partition --quiet --config "$TINY" --seed 5 -n 3 -o other runs/t/tokens/train.mf
    cat other/part.1.mp > runs/t/parts/part.1.mp
    mf_make > log 2>&1
    assert_equal "$(stages log)" "assemble calibrate eval train-expert.1 "
}

@test "a run broken off is as it was too when it is copied or touched; a change of content in it is seen" {
    more="train_expert.steps=600 train_expert.checkpoint_every=40"
    run -2 strike KILL runs/t/expert.1.tar.ckpt 2 bash -c "mf_make SET='$more'"
    [ -s runs/t/expert.0.tar ]
    [ -s runs/t/expert.1.tar.ckpt ]
    cp -r runs/t runs/u
    shuffle runs/u
    # other bytes in one file, of a time when all was old
    cp -r runs/t runs/v
    mf-partition --quiet --config "$TINY" --seed 5 -n 3 -o other runs/t/tokens/train.mf
    refute cmp other/part.0.mp runs/v/parts/part.0.mp
    cp other/part.0.mp runs/v/parts/part.0.mp
    touch -d 2001-01-01 runs/v/parts/part.0.mp
    mf_make SET="$more" > log 2>&1
    assert_equal "$(stages log)" "assemble calibrate config eval train-expert.1 train-expert.2 "
    GOAL=$PWD/runs/u/expert.0.tar mf_make NAME=u SET="$more" > log 2>&1
    assert_equal "$(stages log)" ""
    # the training that was stopped goes on
    for made in shared.tar parts/part.1.mp config/train-expert.yaml; do [ "runs/u/$made" -ot runs/u/expert.1.tar.ckpt ]; done
    mf_make NAME=u SET="$more" > log 2>&1
    assert_equal "$(stages log)" "assemble calibrate config eval train-expert.1 train-expert.2 "
    cmp runs/t/model.safetensors runs/u/model.safetensors
    mf_make NAME=v SET="$more" > log 2>&1
    assert_equal "$(stages log)" "assemble calibrate config eval train-expert.0 train-expert.1 train-expert.2 "
    # what was to be made anew is not taken for new
    run -2 strike KILL runs/t/expert.1.tar.ckpt 1 bash -c "mf_make SET='$more train_expert.lr=0.002'"
    rm -r runs/u
    cp -r runs/t runs/u
    shuffle runs/u
    mf_make NAME=u SET="$more train_expert.lr=0.002" > log 2>&1
    assert_equal "$(stages log)" "assemble calibrate eval train-expert.1 train-expert.2 "
}

@test "another corpus under the same name is said, once each by tokenizer and partition" {
    prepared() { GOAL=$PWD/runs/t/tokens/val.labelled.mf mf_make "$@"; }
    prepared > log 2>&1
    refute grep -q 'make fresh' log
    mkdir chinese
    /usr/bin/python3 -c 'import random
rng = random.Random(1)
for i in range(120):
    with open("chinese/%d.txt" % i, "w", encoding="utf-8") as file:
        file.write("".join(chr(0x4e00 + rng.randrange(300)) for _ in range(200)))'
    prepared DATA="$PWD/chinese" > log 2>&1 || fail "$(cat log)"
    assert_equal "$(grep 'make fresh' log | sed 's/: .*//')" $'mf-tokenize encode\nmf-partition'
}

@test "a changed value re-runs the stages that read it" {
    mf_make > log 2>&1
    mf_make SET='eval.samples=2 train_expert.steps=21' > log 2>&1
    assert_equal "$(stages log)" "assemble calibrate config eval train-expert.0 train-expert.1 train-expert.2 "
    jq -e '.samples | length == 2' runs/t/report.json
    mf_make SET='eval.samples=2 train_expert.steps=21' > log 2>&1
    assert_equal "$(stages log)" ""
}

@test "broken off by SIGINT, SIGKILL and a full disk, make goes on to the same model" {
    long="train_expert.steps=600 train_expert.checkpoint_every=40"
    mf_make SET="$long" > log 2>&1
    mv runs whole
    # SIGINT to the whole group, as from a terminal, while an expert is held in training
    set -m
    strike STOP runs/t/expert.0.tar.ckpt 1 env --default-signal=INT bash -c "mf_make SET='$long' -j4" > log 2>&1 3>&- &
    set +m
    until_stopped $!
    kill -INT -- -$!
    kill -CONT "$stopped"
    ended $! || true
    [ ! -e runs/t/model.safetensors ]
    [ ! -e runs/t/expert.0.tar ]
    # one program killed
    run -2 strike KILL runs/t/expert.0.tar.ckpt 1 bash -c "mf_make SET='$long' -j4"
    assert_output --partial "expert.0.tar] Error 137"
    [ ! -e runs/t/model.safetensors ]
    # a cap on the size of files
    run bash -c "ulimit -f 20; mf_make SET='$long'"
    assert_failure
    assert_output --partial "File too large"
    [ ! -e runs/t/model.safetensors ]
    mf_make SET="$long" > log 2>&1 || fail "$(cat log)"
    [[ $(stages log) != *train-shared* ]]
    cmp whole/t/model.safetensors runs/t/model.safetensors
    [ -z "$(find runs -name '*.tmp' -o -name '*.ckpt*')" ]
}

@test "JSON lines and WikiText are data too" {
    for f in words/*/*.txt; do jq -Rs --arg f "$f" '{id: $f, body: .}' "$f"; done | jq -c . > words.jsonl
    mf_make DATA="$PWD/words.jsonl" DOCS_FLAGS='--text-key body' > log 2>&1
    jq -e '.perplexity.test > 1' runs/t/report.json
    rm -r runs
    for f in words/*/*.txt; do printf ' = %s = \n' "$f"; cat "$f"; done > wiki.txt
    mf_make DATA="$PWD/wiki.txt" DOCS_FLAGS= > log 2>&1
    jq -e '.perplexity.test > 1' runs/t/report.json
}

@test "documents, configuration and build may lie below names with blanks and quotes, and below links to themselves" {
    mkdir "it's here"
    mv words "it's here/my words"
    ln -s .. "it's here/my words/alpha/up"
    cp "$TINY" "it's here/my tiny.yaml"
    ln -s "$(cd "${MF_BIN:-$MF_ROOT/build/bin}/.." && pwd)" "a build"
    WORDS="$PWD/it's here/my words" mf_make CONFIG="$PWD/it's here/my tiny.yaml" B="$PWD/a build" > log 2>&1 || fail "$(cat log)"
    jq -e '.perplexity.test > 1' runs/t/report.json
    refute grep -q 'loop' log
    # what is one name as a whole is one, or else it is a list
    mkdir plain
    cp -r "it's here/my words/alpha" "it's here/my words/beta" plain
    here=$(for_make "$PWD")
    GOAL="$here/runs/u/docs/train.mf" WORDS="$here/plain/a* '$here/plain/beta'" mf_make NAME=u > log 2>&1 || fail "$(cat log)"
    [ "$(mf-cat runs/u/docs/train.mf | jq -s '[.[] | select(.text)] | length')" -gt 80 ]
    # the name of the run follows from that of the configuration
    run make -C "$MF_ROOT" -n CONFIG="$PWD/it's here/my tiny.yaml" DATA="$PWD/plain" RUNS="$here/runs"
    assert_output --partial "$here/runs/my-tiny/"
}

@test "a run's folder with a blank, or inside its own documents, is refused by one line" {
    run mf_make RUNS="$PWD/my runs"
    assert_failure
    assert_output --partial "/my runs/t' has a blank"
    [ ! -e "my runs" ]
    run mf_make NAME='a b'
    assert_failure
    assert_output --partial "a b' has a blank"
    run mf_make NAME= # as of a variable of the shell that is not set
    assert_failure
    assert_output --partial "NAME is empty"
    run mf_make NAME=../t
    assert_failure
    assert_output --partial "NAME: '../t' would leave the folder of runs"
    ln -s . here
    run mf_make RUNS="$PWD/words/runs" DATA="$PWD/here/words"
    assert_failure
    assert_line "make: $PWD/here/words: the run's folder is inside it ($PWD/words/runs/t), so it would read what it makes; set RUNS= to another folder"
    [ ! -e words/runs/t/docs ]
}

@test "no documents is an error that says so" {
    mkdir empty
    run mf_make DATA="$PWD/empty"
    assert_failure
    assert_output --partial "no documents in"
}
