# The benchmark of a base's training says which of its programs failed, and ends with that program's status.
load ../helper

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
    mkdir -p here/tests/{bench,oracle,peers} build/bin build/tests/bench
    cp "$MF_ROOT"/tests/bench/{base,common}.sh here/tests/bench/
    touch here/tests/oracle/random_model.py here/tests/bench/random_base.py
    echo 'print("100 1e9")' > here/tests/peers/train_torch.py
    printf '#!/bin/bash\necho none\n' > build/tests/bench/bf16_bench
    chmod +x build/tests/bench/bf16_bench
    program mf-train-expert 'echo "mf-train-expert: memory 600 MB" >&2'
    program mf-cat "echo '{\"tokens_per_s\":200,\"peak_memory\":6e8}'"
}

program() { # NAME BODY
    printf '#!/bin/bash\n%s\n' "$2" > "build/bin/$1"
    chmod +x "build/bin/$1"
}

measures() {
    run here/tests/bench/base.sh build 1
}

@test "a row has both programs' figures, and a broken bound is named" {
    measures
    assert_line --regexp '^SmolLM2-135M +16 +fp32 +200.0 +100.0 +2.00x +600 +600 +1000 '
    program mf-cat "echo '{\"tokens_per_s\":200,\"peak_memory\":8e8}'"
    measures
    assert_failure 1
    assert_line --partial "base.sh: SmolLM2-135M, rank 16, fp32: took "
}

@test "a program that fails or is killed is named, with what it said" {
    program mf-train-expert 'echo "mf-train-expert: out of memory" >&2; exit 71'
    measures
    assert_failure 71
    assert_line "mf-train-expert: out of memory"
    assert_line --partial "base.sh: mf_train_expert 16: status 71"
    program mf-train-expert 'kill -KILL $$'
    measures
    assert_failure 137
    assert_line --partial "base.sh: mf_train_expert 16: status 137, signal 9"
    program mf-train-expert 'echo "mf-train-expert: memory 600 MB" >&2'
    echo 'import os; os.kill(os.getpid(), 9)' > here/tests/peers/train_torch.py
    measures
    assert_failure 137
    assert_line --partial "base.sh: python3 train_torch.py: status 137, signal 9"
    echo 'raise SystemExit(3)' > here/tests/bench/random_base.py
    measures
    assert_failure 3
    assert_line "base.sh: python3 random_base.py: status 3"
}
