"""Makes a small random base as a folder of Hugging Face's: random_base.py FOLDER TOKENIZER.json [OPTION]...

Tensors are N(0, 0.3 / sqrt(columns)), norms' gains around 1. The vocabulary is the tokenizer's, plus --pad rows. Only the
standard library is used."""

import argparse
import json
import os
import random
import shutil
import struct

KINDS = {"Llama": (False, False), "Mistral": (False, False), "Qwen2": (True, False), "Qwen3": (False, True)}  # biases, norms


def halves(x, dtype):
    if dtype == "F16":
        return struct.pack("<%de" % len(x), *x)
    raw = struct.pack("<%df" % len(x), *x)
    return raw if dtype == "F32" else b"".join(raw[i + 2 : i + 4] for i in range(0, len(raw), 4))


def tensors(a, rng):
    """(name, shape, numbers) in the order of the model."""
    bias, norm = KINDS[a.kind]

    def matrix(name, rows, columns):
        return name, [rows, columns], [rng.gauss(0, a.spread / columns**0.5) for _ in range(rows * columns)]

    def gain(name, n):
        return name, [n], [rng.uniform(0.7, 1.3) for _ in range(n)]

    V, D, F, A, C = a.V, a.D, a.F, a.H * a.head_dim, a.K * a.head_dim
    yield "model.embed_tokens.weight", [V, D], [rng.gauss(0, 0.3) for _ in range(V * D)]
    for i in range(a.L):
        layer = "model.layers.%d." % i
        yield gain(layer + "input_layernorm.weight", D)
        for which, rows in (("q", A), ("k", C), ("v", C)):
            yield matrix(layer + "self_attn.%s_proj.weight" % which, rows, D)
            if bias:
                yield layer + "self_attn.%s_proj.bias" % which, [rows], [rng.gauss(0, 0.3) for _ in range(rows)]
            if norm and which != "v":
                yield gain(layer + "self_attn.%s_norm.weight" % which, a.head_dim)
        yield matrix(layer + "self_attn.o_proj.weight", D, A)
        yield gain(layer + "post_attention_layernorm.weight", D)
        for which, rows, columns in (("gate", F, D), ("up", F, D), ("down", D, F)):
            yield matrix(layer + "mlp.%s_proj.weight" % which, rows, columns)
    yield gain("model.norm.weight", D)
    if not a.tied:
        yield matrix("lm_head.weight", V, D)


def write_file(path, items):
    header, body = {"__metadata__": {"format": "pt"}}, b""
    for name, dtype, shape, raw in items:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + body)


def write_tensors(a):
    rng = random.Random(a.seed)
    stored = [(name, a.dtype, shape, halves(x, a.dtype)) for name, shape, x in tensors(a, rng)]
    if a.shards == 1:
        write_file(os.path.join(a.folder, "model.safetensors"), stored)
        return
    rng.shuffle(stored)
    index = {"metadata": {"total_size": sum(len(raw) for *_, raw in stored)}, "weight_map": {}}
    for k in range(a.shards):
        name, part = "model-%05d-of-%05d.safetensors" % (k + 1, a.shards), stored[k :: a.shards]
        write_file(os.path.join(a.folder, name), part)
        index["weight_map"].update({item[0]: name for item in part})
    with open(os.path.join(a.folder, "model.safetensors.index.json"), "w") as file:
        json.dump(index, file)


def special(tokenizer, content):
    ids = [t["id"] for t in tokenizer["added_tokens"] if t["content"] == content]
    return ids[0] if ids else None


def config(a, tokenizer):
    c = {"architectures": [a.kind + "ForCausalLM"], "model_type": a.kind.lower(), "vocab_size": a.V, "hidden_size": a.D,
         "intermediate_size": a.F, "num_hidden_layers": a.L, "num_attention_heads": a.H, "num_key_value_heads": a.K,
         "head_dim": a.head_dim, "max_position_embeddings": a.S, "rms_norm_eps": a.eps, "hidden_act": "silu",
         "tie_word_embeddings": a.tied, "torch_dtype": "float32", "use_cache": True}
    c.update({name + "_token_id": special(tokenizer, "<%s>" % name) for name in ("bos", "eos", "pad")})
    if a.kind == "Mistral":
        c["sliding_window"] = None
    rule = None
    if a.stretch:
        rule = dict(zip(("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"), a.stretch),
                    rope_type="llama3")
    if a.newer:
        c["rope_parameters"] = dict(rule or {"rope_type": "default"}, rope_theta=a.theta)
    else:
        c.update(rope_theta=a.theta, rope_scaling=rule)
    return c


def main():
    p = argparse.ArgumentParser()
    p.add_argument("folder")
    p.add_argument("tokenizer")
    p.add_argument("--kind", choices=KINDS, default="Llama")
    p.add_argument("--dtype", choices=["F32", "F16", "BF16"], default="F32")
    for name, value in [("D", 24), ("H", 4), ("K", 2), ("head-dim", 6), ("F", 40), ("L", 2), ("S", 32), ("shards", 1), ("pad", 0), ("seed", 1)]:
        p.add_argument("--" + name, type=int, default=value)
    p.add_argument("--theta", type=float, default=10000.0)
    p.add_argument("--eps", type=float, default=1e-5)
    p.add_argument("--spread", type=float, default=1.0)
    p.add_argument("--stretch", nargs=4, type=float, metavar=("FACTOR", "LOW", "HIGH", "CONTEXT"))
    p.add_argument("--tied", action="store_true")
    p.add_argument("--newer", action="store_true", help="rope_parameters instead of rope_theta and rope_scaling")
    a = p.parse_args()
    with open(a.tokenizer) as file:
        tokenizer = json.load(file)
    a.V = 1 + max([t["id"] for t in tokenizer["added_tokens"]] + list(tokenizer["model"]["vocab"].values())) + a.pad
    os.makedirs(a.folder, exist_ok=True)
    write_tensors(a)
    with open(os.path.join(a.folder, "config.json"), "w") as file:
        json.dump(config(a, tokenizer), file, indent=1)
    shutil.copy(a.tokenizer, os.path.join(a.folder, "tokenizer.json"))


main()
