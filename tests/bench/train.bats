# The benchmark of training: rows in the precisions that the processor has units for, ratios, and promises of memory.
load ../helper

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
    mkdir -p here/tests/{bench,oracle,peers} build/bin build/tests/bench
    cp "$MF_ROOT"/tests/bench/{train,growth,common}.sh here/tests/bench/
    touch here/tests/oracle/random_model.py
    echo 'import sys; print("200 1e9" if "--bf16" in sys.argv else "100 2e9")' > here/tests/peers/train_torch.py
    cp "$MF_ROOT/configs/default.yaml" .
    cp "$MF_ROOT/configs/default.yaml" other.yaml
    ln -s "$(command -v mf-config)" build/bin/mf-config
    for step in shared expert; do
        # shellcheck disable=SC2016 # the arguments are those of the program
        program bin/mf-train-$step '[[ $* == *precision=bf16* ]] && echo bf16 > precision || echo fp32 > precision'
    done
    # shellcheck disable=SC2016
    program bin/mf-cat '[ "$(cat precision)" = bf16 ] && rate=900 || rate=300
        echo "{\"tokens_per_s\":$rate,\"peak_memory\":1.5e8}"'
    program bin/mf-assemble true
    program bin/mf-eval true
    program tests/bench/sgemm_bench "echo 100"
    program tests/bench/bf16_bench "echo 600 a_kernel"
}

program() { # PATH BODY
    printf '#!/bin/bash\n%s\n' "$2" > "build/$1"
    chmod +x "build/$1"
}

@test "a step has rows of both precisions beside their own limits, and the ratios" {
    run here/tests/bench/train.sh build 2 other.yaml
    assert_success
    assert_line --regexp '^shared +ours fp32 +300 +150 +132.1 +40 +100 +40%$'
    assert_line --regexp '^shared +PyTorch fp32 +100 +2000 +132.1 +13 +100 +13%$'
    assert_line --regexp '^expert +ours bf16 +900 +150 +103.8 +93 +600 +16%$'
    assert_line --regexp '^expert +PyTorch bf16 +200 +1000 +103.8 +21 +600 +3%$'
    assert_line "expert  ours in fp32: 3.00x PyTorch, which takes 13.33x the memory"
    assert_line "expert  ours in bf16: 4.50x PyTorch in bf16, 9.00x in fp32; 3.00x ours in fp32"
    refute_line --partial 'without AMX' # the kernel here is another
    assert_line --regexp '^two experts, fp32: -j1 with 1 thread .* s: [0-9.]+x and [0-9.]+x$'
    assert_line --regexp '^two experts, bf16: '
}

@test "with matrix units there is a row of what bf16 is without them" {
    program tests/bench/bf16_bench "echo 600 brg:avx512_core_amx_bf16"
    # shellcheck disable=SC2016
    program bin/mf-train-expert '[[ $* == *precision=bf16* ]] && echo bf16 > precision || echo fp32 > precision
        [ "${ONEDNN_MAX_CPU_ISA:-}" != AVX512_CORE_BF16 ] || echo fp32 > precision # slow'
    run here/tests/bench/train.sh build 2 other.yaml
    assert_success
    assert_line "expert, bf16 without AMX (ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16): 300 tokens/s, 1.00x ours in fp32"
}

@test "without units for bf16 its rows are left out, and that is said" {
    program tests/bench/bf16_bench "echo none"
    run here/tests/bench/train.sh build 2 other.yaml
    assert_success
    assert_line "bf16: left out, this processor has no bf16 units"
    assert_line "shared  ours in fp32: 3.00x PyTorch, which takes 13.33x the memory"
    refute_line --regexp '(ours|PyTorch)( in)? bf16'
}

@test "a broken promise of memory is named when all is measured, and a program that fails ends it" {
    # shellcheck disable=SC2016
    program bin/mf-cat 'echo "{\"tokens_per_s\":300,\"peak_memory\":2.1e8}"'
    run --separate-stderr here/tests/bench/train.sh build 2 default.yaml other.yaml
    assert_failure 1
    assert_equal "${stderr_lines[0]}" "training, default.yaml, expert --max-memory 200M auto: took 210000000 bytes, the bound is 200000000"
    assert_line --partial "training, other.yaml, "
    # shellcheck disable=SC2016
    program bin/mf-train-expert '[[ $* != *--max-memory* ]] || { echo "mf-train-expert: needs more" >&2 && exit 64; }; echo fp32 > precision'
    run here/tests/bench/train.sh build 2 default.yaml other.yaml
    assert_failure 1
    assert_line "expert, auto, with --max-memory 200M: mf-train-expert: needs more"
    assert_line --partial "training, other.yaml, "
    program bin/mf-train-expert "exit 71"
    run here/tests/bench/train.sh build 2 other.yaml
    assert_failure
    refute_line --partial "two experts"
}

@test "growth has a line of each family, value and precision" {
    run here/tests/bench/growth.sh build
    assert_success
    for line in "reference d_model 128 fp32 300 150" "llama context 8192 bf16 900 150" "llama rank 64 fp32 300 150"; do
        assert_line "$line"
    done
    assert_line --regexp '^experts 32 perplexity [0-9]+$'
}
