# docs/performance.md is made of the figures of every kind of processor; the benchmarks write theirs below the processor's name.
load ../helper

results() { # KIND SECTION LINE...
    mkdir -p results
    printf '%s\n' "processor $1: a processor, 2 cores; avx2; measured 2026-01-01" "limits, 2 threads: sgemm 90.0 GFLOP/s" \
        "${@:3}" > "results/$2.txt"
}
adds() {
    "$MF_ROOT/tests/bench/performance.sh" results docs
    rm -r results
}

@test "a run on another kind of processor adds to the page, and a newer run replaces its own kind's" {
    results amd-epyc train "training on the first"
    adds
    echo "A note about that run." > docs/performance/amd-epyc/train.notes.md
    results intel-xeon-amx train "training on the second"
    adds
    grep -qx "training on the first" docs/performance.md
    grep -qx "training on the second" docs/performance.md
    grep -qx "A note about that run." docs/performance.md
    grep -q '^\*\*intel-xeon-amx\*\*: a processor, 2 cores; avx2; measured 2026-01-01. Limits, ' docs/performance.md
    results amd-epyc train "training on the first again"
    adds
    grep -qx "training on the first again" docs/performance.md
    grep -qx "training on the second" docs/performance.md
    run -1 grep -x "training on the first" docs/performance.md
    run -1 grep "A note" docs/performance.md
}

@test "sections that were not measured again stay, and the same results change nothing" {
    results amd-epyc train training
    adds
    echo "A note." > docs/performance/amd-epyc/train.notes.md
    results amd-epyc corpus copies
    adds
    grep -qx training docs/performance.md
    grep -qx copies docs/performance.md
    cp docs/performance.md before
    results amd-epyc train training
    adds
    cmp before docs/performance.md
    # what has no processor on its first line is no result
    mkdir results
    echo "half a run" > results/train.txt
    adds
    cmp before docs/performance.md
}

@test "growth is shown by family and precision" {
    command -v gnuplot > /dev/null || skip "gnuplot is not installed"
    results amd-epyc growth "reference d_model 128 fp32 900 33" "reference d_model 128 bf16 2000 34" "llama rank 4 fp32 800 35" \
        "experts 2 assembly 10"
    adds
    grep -qx '| d_model | 128 | 900 (33) | 2000 (34) | - | - |' docs/performance.md
    grep -qx '| rank | 4 | - | - | 800 (35) | - |' docs/performance.md
    grep -qx '| 2 | assembly | 10 |' docs/performance.md
    grep -qF '](performance/amd-epyc/growth.svg)' docs/performance.md
    [ -s docs/performance/amd-epyc/growth.svg ]
}

@test "the committed page is made of the committed figures" {
    command -v gnuplot > /dev/null || skip "gnuplot is not installed"
    cp -r "$MF_ROOT/docs" docs
    mkdir results
    adds
    diff "$MF_ROOT/docs/performance.md" docs/performance.md
}

program() { # NAME LINE
    mkdir -p build/tests/bench
    printf '#!/bin/bash\necho "%s"\n' "$2" > "build/tests/bench/$1"
    chmod +x "build/tests/bench/$1"
}

@test "results stand below the processor's kind and limits, and a benchmark that fails leaves none" {
    program sgemm_bench 100.0
    program bf16_bench "900.0 brg:avx512_core_amx_bf16"
    program bandwidth_bench 20.0
    printf 'model name\t: Intel(R) Xeon(R) Gold 6430 CPU @ 2.10GHz\nflags\t\t: fpu avx2 avx512f avx512_bf16 amx_bf16\n' > cpuinfo
    export CPUINFO=cpuinfo
    unset OPENBLAS_CORETYPE ONEDNN_MAX_CPU_ISA DNNL_MAX_CPU_ISA
    "$MF_ROOT/tests/bench/measure.sh" build 2 train echo "a row" > out
    assert_equal "$(cat out)" "$(cat build/bench/train.txt)"
    [[ $(sed -n 1p out) == "processor intel-xeon-gold-6430-amx: Intel Xeon Gold 6430, "*" cores; avx2 avx512 avx512_bf16 amx; measured "* ]]
    assert_equal "$(sed -n 2p out)" \
        "limits, 2 threads: sgemm 100.0 GFLOP/s, bf16 product 900.0 GFLOP/s (brg:avx512_core_amx_bf16), memory 20.0 GB/s"
    assert_equal "$(sed -n 3p out)" "a row"
    # a setting makes another kind
    program bf16_bench none
    printf 'model name\t: AMD EPYC Processor\nflags\t\t: avx2\n' > cpuinfo
    OPENBLAS_CORETYPE=Haswell "$MF_ROOT/tests/bench/measure.sh" build 2 train echo > out
    [[ $(sed -n 1p out) == "processor amd-epyc-avx2-haswell: AMD EPYC, "*"; avx2; OPENBLAS_CORETYPE=Haswell; measured "* ]]
    [[ $(sed -n 2p out) == *"bf16 product none, no bf16 units, memory"* ]]
    run -3 "$MF_ROOT/tests/bench/measure.sh" build 2 growth bash -c "echo half; exit 3"
    [ ! -e build/bench/growth.txt ]
    grep -qx half build/bench/growth.failed
}
