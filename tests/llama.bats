# Family llama, dense and sparse: small random models with Hugging Face's names against the same in PyTorch.
load helper

oracle() { # SCRIPT ARGUMENT...
    /usr/bin/python3 "$MF_ROOT/tests/oracle/$1.py" "${@:2}"
}

# The largest difference of two files of float32, in the largest number's terms.
difference() {
    /usr/bin/python3 -c 'import sys, array
a, b = array.array("f"), array.array("f")
for x, path in ((a, sys.argv[1]), (b, sys.argv[2])):
    x.frombytes(open(path, "rb").read())
assert len(a) == len(b) > 0, (len(a), len(b))
print(max(abs(x - y) for x, y in zip(a, b)) / max(map(abs, b)))' "$1" "$2"
}

kernels_agree() { # OPTION of the model...
    needs_torch
    oracle random_model llama -o m.safetensors "$@"
    oracle random_model tokens -o t.mf a=17 b=20 c=2 d=40 e=16
    oracle llama m.safetensors t.mf theirs.f32
    "$MF_ROOT/build/tests/llama_kernels_test" m.safetensors t.mf ours.f32 > log || fail "$(cat log)"
    run difference ours.f32 theirs.f32
    assert_success
    awk "BEGIN { exit !($output < 1e-5) }"
}

@test "the kernels' logits are PyTorch's: dense, one key head" {
    kernels_agree --has dense --H 4 --K 1
}

@test "the kernels' logits are PyTorch's: dense, biases, a head of its own, narrow heads" {
    kernels_agree --has dense bias head --D 24 --H 5 --K 5 --head-dim 2 --rope-theta 500000
}

@test "the kernels' logits are PyTorch's: sparse, norms of queries and keys, wide heads" {
    kernels_agree --has qk-norm --D 18 --H 6 --K 2 --head-dim 10 --E 5 --top-k 2
}

@test "the kernels' logits are PyTorch's: sparse, one expert of many, all there can be" {
    kernels_agree --has qk-norm bias head --H 4 --K 2 --E 7 --top-k 1 --L 3 --S 40
}
