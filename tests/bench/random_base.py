"""A shared bundle of family llama with random weights, for speed and memory at the shape of a real base.

    random_base.py OUTPUT.tar V D L H K HEAD_DIM F S [F32|BF16]

Tied embeddings. Tensor by tensor, each made twice: for its hash, which stands before it, and for its place.
"""

import hashlib
import io
import json
import sys
import tarfile

import numpy

path = sys.argv[1]
V, D, L, H, K, d, F, S = map(int, sys.argv[2:10])
dtype = sys.argv[10] if len(sys.argv) > 10 else "F32"


def shapes():
    yield "model.embed_tokens.weight", [V, D]
    for i in range(L):
        layer = "model.layers.%d." % i
        yield layer + "input_layernorm.weight", [D]
        for name, rows, columns in (("q", H * d, D), ("k", K * d, D), ("v", K * d, D), ("o", D, H * d)):
            yield "%sself_attn.%s_proj.weight" % (layer, name), [rows, columns]
        yield layer + "post_attention_layernorm.weight", [D]
    yield "model.norm.weight", [D]
    for i in range(L):
        for name, rows, columns in (("gate", F, D), ("down", D, F), ("up", F, D)):
            yield "model.layers.%d.mlp.%s_proj.weight" % (i, name), [rows, columns]


def stored(x):
    """Numbers as bytes; for BF16 the upper halves, whose lower ones are cut off."""
    return x.tobytes() if dtype == "F32" else numpy.ascontiguousarray(x.view(numpy.uint16).reshape(-1)[1::2]).tobytes()


def values(number, shape):
    if len(shape) == 1:
        return stored(numpy.ones(shape, numpy.float32))
    x = numpy.random.default_rng(number).standard_normal(shape, numpy.float32)
    x *= numpy.float32(0.02 if number == 0 else shape[1] ** -0.5)
    return stored(x)


def tensors():
    for number, (name, shape) in enumerate(shapes()):
        yield name, dtype, shape, values(number, shape)
    yield "token_counts", "I64", [V], bytes(8 * V)


config = {"arch": "llama", "vocab_size": V, "d_model": D, "n_heads": H, "n_kv_heads": K, "head_dim": d, "n_layers": L, "d_ff": F,
          "context": S, "rope_theta": 1e5, "norm_eps": 1e-5, "tied": True}
listed = [{"name": n, "dtype": t, "shape": s, "sha256": hashlib.sha256(data).hexdigest()} for n, t, s, data in tensors()]
manifest = {"mf": "bundle", "version": 1, "kind": "shared", "config": config, "tokenizer_sha256": "0" * 64, "tensors": listed}
with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:

    def add(name, data):
        info = tarfile.TarInfo(name)
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))

    add("manifest.json", json.dumps(manifest).encode())
    for name, dtype, _, data in tensors():
        add("%s.%s" % (name, dtype.lower()), data)
