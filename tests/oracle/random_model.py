"""Makes the small random files that the evaluation's tests run on: models, bundles, token and metrics streams.

Every tensor's values follow from the seed and its name alone, so a model, the shared bundle and the experts made with
the same options hold the same numbers. Only the standard library is used.
"""

import argparse
import array
import hashlib
import io
import json
import random
import struct
import sys
import tarfile

MASK = (1 << 64) - 1
TILE = 16411


def xxh64(data):
    """XXH64 with seed 0, as its specification describes it."""
    p1, p2, p3, p4, p5 = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63,
                          0x27D4EB2F165667C5)

    def rotl(x, r):
        return ((x << r) | (x >> (64 - r))) & MASK

    def turn(acc, lane):
        return rotl((acc + lane * p2) & MASK, 31) * p1 & MASK

    n, i = len(data), 0
    if n >= 32:
        v = [(p1 + p2) & MASK, p2, 0, (-p1) & MASK]
        while i + 32 <= n:
            v = [turn(a, lane) for a, lane in zip(v, struct.unpack_from("<4Q", data, i))]
            i += 32
        h = (rotl(v[0], 1) + rotl(v[1], 7) + rotl(v[2], 12) + rotl(v[3], 18)) & MASK
        for a in v:
            h = ((h ^ turn(0, a)) * p1 + p4) & MASK
    else:
        h = p5
    h = (h + n) & MASK
    while i + 8 <= n:
        h = (rotl(h ^ turn(0, struct.unpack_from("<Q", data, i)[0]), 27) * p1 + p4) & MASK
        i += 8
    if i + 4 <= n:
        h = (rotl(h ^ (struct.unpack_from("<I", data, i)[0] * p1 & MASK), 23) * p2 + p3) & MASK
        i += 4
    for byte in data[i:]:
        h = rotl(h ^ (byte * p5 & MASK), 11) * p1 & MASK
    h = (h ^ (h >> 33)) * p2 & MASK
    h = (h ^ (h >> 29)) * p3 & MASK
    return h ^ (h >> 32)


def pack(value):
    """msgpack of the few types that streams use."""
    if isinstance(value, dict):
        assert len(value) < 16
        return bytes([0x80 | len(value)]) + b"".join(pack(k) + pack(v) for k, v in value.items())
    if isinstance(value, str):
        raw = value.encode()
        return (bytes([0xA0 | len(raw)]) if len(raw) < 32 else b"\xda" + struct.pack(">H", len(raw))) + raw
    if isinstance(value, bytes):
        return b"\xc6" + struct.pack(">I", len(value)) + value
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    return b"\xcf" + struct.pack(">Q", value)


def write_stream(path, header, records):
    body = pack(header) + b"".join(map(pack, records))
    trailer = {"end": len(records), "xxh64": "%016x" % xxh64(body)}
    with sys.stdout.buffer if path == "-" else open(path, "wb") as file:
        file.write(body + pack(trailer))


class Tensors:
    """The tensors of a small model by name, as arrays of floats."""

    def __init__(self, a):
        self.a, self.mean_h, self.tile = a, {}, None

    def values(self, name, count, mean=0.0, spread=0.0):
        rng = random.Random("%s %s" % (self.a.seed, name))
        if self.a.tile and count > 4 * TILE:
            return self.tiled(rng.randrange(TILE), count, mean, spread * (16 / self.a.D) ** 0.5)
        return array.array("f", (rng.gauss(mean, spread) for _ in range(count)))

    def tiled(self, first, count, mean, spread):
        """One block again and again: a prime number long, so rows of a matrix differ."""
        if self.tile is None:
            rng = random.Random(str(self.a.seed))
            self.tile = [rng.gauss(0, 1) for _ in range(TILE)]
        block = array.array("f", (mean + spread * x for x in self.tile[first:] + self.tile[:first]))
        return (block * (count // TILE + 1))[:count]

    def backbone(self):
        a = self.a
        embedding = self.values("embedding", a.V * a.D, 0, 0 if a.zero_embedding else 0.3)
        embedding[: a.D] = array.array("f", bytes(4 * a.D))
        yield "shared.token_embedding.weight", [a.V, a.D], embedding
        for i in range(a.L):
            prefix = "shared.transformer_blocks.%d." % i
            yield prefix + "attn_norm.weight", [a.D], self.values(prefix + "g", a.D, 1, 0.2)
            yield prefix + "attn_norm.bias", [a.D], self.values(prefix + "b", a.D, 0, 0.2)
            yield prefix + "attention.qkv_proj.weight", [3 * a.D, a.D], self.values(prefix + "q", 3 * a.D * a.D, 0, 0.4)
            yield prefix + "attention.out_proj.weight", [a.D, a.D], self.values(prefix + "o", a.D * a.D, 0, 0.3)
        yield "shared.output_norm.weight", [a.D], self.values("og", a.D, 1, 0.2)
        yield "shared.output_norm.bias", [a.D], self.values("ob", a.D, 0, 0.2)

    def ffn(self, e, names):
        """One FFN; names(i) gives the prefixes of its norm and of fc1 and fc2 in layer i."""
        a = self.a
        for i in range(a.L):
            norm, rest = names(i)
            key = "ffn %s %d " % (0 if a.same_experts else e, i)
            yield norm + "weight", [a.D], self.values(key + "g", a.D, 1, 0.2)
            yield norm + "bias", [a.D], self.values(key + "b", a.D, 0, 0.2)
            yield rest + "fc1.weight", [a.F, a.D], self.values(key + "1", a.F * a.D, 0, 0.3)
            yield rest + "fc1.bias", [a.F], self.values(key + "c", a.F, 0, 0.2)
            yield rest + "fc2.weight", [a.D, a.F], self.values(key + "2", a.F * a.D, 0, 0.3)
            yield rest + "fc2.bias", [a.D], self.values(key + "d", a.D, 0, 0.2)

    def dense(self):
        return self.ffn("dense", lambda i: ("shared.transformer_blocks.%d.ffn_norm." % i, "dense_ffn.%d." % i))

    def expert(self, e):
        return self.ffn(e, lambda i: ("layers.%d.norm." % i, "layers.%d." % i))

    def routers(self):
        """Gates: random, all zero, or such that expert 0 wins: the router's input is then nearly its norm's bias."""
        a = self.a
        for i in range(a.L):
            key = "router %d " % i
            gain = self.values(key + "g", a.D, 0.01 if a.gate == "first" else 1, 0)
            bias = self.values(key + "b", a.D, 0, 0.5)
            gate = self.values(key + "w", a.E * a.D, 0, 0.5)
            if a.gate == "zero":
                gate = array.array("f", bytes(4 * a.E * a.D))
            if a.gate == "first":
                gate = array.array("f", [x * (50 if e == 0 else -50) for e in range(a.E) for x in bias])
            yield "moe_layers.%d.ffn_norm.weight" % i, [a.D], gain
            yield "moe_layers.%d.ffn_norm.bias" % i, [a.D], bias
            yield "moe_layers.%d.router.gate.weight" % i, [a.E, a.D], gate
            yield "moe_layers.%d.router.noise_weight.weight" % i, [a.E, a.D], array.array("f", bytes(4 * a.E * a.D))

    def model(self):
        a = self.a
        yield from self.backbone()
        yield from self.routers()
        for e in range(a.E):
            def names(i, e=e):
                prefix = "moe_layers.%d.experts.%d." % (i, e)
                return prefix + "norm.", prefix
            yield from self.ffn(e, names)
        yield from self.heads()
        yield from self.prefix()

    def heads(self):
        """Of the experts, in the place of the backbone's head or as a change to it."""
        a = self.a
        for e, rank in enumerate(a.heads):
            name = "lm_head.experts.%d." % e
            if rank == a.D:
                yield from self.matrix(name[:-1], a.V, a.D, 0.3)
            elif rank:
                yield from self.matrix(name + "lora_A", rank, a.D, 0.3)
                yield from self.matrix(name + "lora_B", a.V, rank, 0.3)

    def matrix(self, name, rows, columns, spread):
        yield name + ".weight", [rows, columns], self.values(name, rows * columns, 0, spread)

    def prefix(self):
        a = self.a
        if a.kind == "prefix":
            yield "prefix_router.log_likelihood", [a.E, a.V], self.values("evidence", a.E * a.V, -4, 1.0)


class LlamaTensors(Tensors):
    """Those of family llama, by Hugging Face's names; what a.has names is there: dense, bias, qk-norm, head."""

    def model(self):
        a = self.a
        d, out = a.head_dim or a.D // a.H, self.values("head", a.V * a.D, 0, 0.3)
        yield "model.embed_tokens.weight", [a.V, a.D], self.values("embedding", a.V * a.D, 0, 0.3)
        for i in range(a.L):
            yield from self.attention("model.layers.%d." % i, d)
            yield from self.mixture("model.layers.%d." % i)
        yield "model.norm.weight", [a.D], self.values("og", a.D, 1, 0.2)
        if "head" in a.has:
            yield "lm_head.weight", [a.V, a.D], out
        yield from self.heads()
        yield from self.prefix()

    def gain(self, name, count):
        yield name + ".weight", [count], self.values(name, count, 1, 0.2)

    def attention(self, layer, d):
        a, name = self.a, layer + "self_attn."
        yield from self.gain(layer + "input_layernorm", a.D)
        for letter, heads in (("q", a.H), ("k", a.K), ("v", a.K)):
            yield from self.matrix(name + letter + "_proj", heads * d, a.D, 0.4)
            if "bias" in a.has:
                yield name + letter + "_proj.bias", [heads * d], self.values(name + letter, heads * d, 0, 0.4)
            if "qk-norm" in a.has and letter != "v":
                yield from self.gain(name + letter + "_norm", d)
        yield from self.matrix(name + "o_proj", a.D, a.H * d, 0.3)
        for e in a.attention:
            yield from self.matrix(name + "experts.%d.q_proj" % e, a.H * d, a.D, 0.4)
            yield from self.matrix(name + "experts.%d.o_proj" % e, a.D, a.H * d, 0.3)
        yield from self.gain(layer + "post_attention_layernorm", a.D)

    def mixture(self, layer):
        a, sparse = self.a, layer + "block_sparse_moe."
        if "dense" in a.has:
            names = [(layer + "mlp.gate_proj", layer + "mlp.up_proj", layer + "mlp.down_proj")]
        else:
            yield from self.matrix(sparse + "gate", a.E, a.D, 0.5)
            names = [tuple("%sexperts.%d.w%d" % (sparse, e, w) for w in (1, 3, 2)) for e in range(a.E)]
        for gate, up, down in names:
            yield from self.matrix(gate, a.F, a.D, 0.3)
            yield from self.matrix(up, a.F, a.D, 0.3)
            yield from self.matrix(down, a.D, a.F, 0.3)


def shape(a):
    if a.what == "llama":
        c = {"arch": "llama", "vocab_size": a.V, "d_model": a.D, "n_heads": a.H, "n_kv_heads": a.K,
             "head_dim": a.head_dim or a.D // a.H,
             "n_layers": a.L, "d_ff": a.F, "context": a.S, "rope_theta": a.rope_theta, "norm_eps": 1e-5,
             "tied": "head" not in a.has, "qkv_bias": "bias" in a.has, "qk_norm": "qk-norm" in a.has}
        if a.rope_scaling:
            factor, low, high, context = a.rope_scaling
            c["rope_scaling"] = {"rope_type": "llama3", "factor": factor, "low_freq_factor": low, "high_freq_factor": high,
                                 "original_max_position_embeddings": context}
        return c
    return {"vocab_size": a.V, "d_model": a.D, "n_heads": a.H, "n_layers": a.L, "d_ff": a.F, "context": a.S}


def entry(a, e):
    """What the metadata say of an expert."""
    said = {"file": "part%d" % e}
    if e < len(a.heads) and a.heads[e]:
        said["head"] = a.heads[e]
    if e in a.attention:
        said["attention"] = "qo"
    return said


def write_model(a):
    make = LlamaTensors if a.what == "llama" else Tensors
    router = {"kind": a.kind}
    if a.kind == "prefix":
        router.update({"evidence_scale": a.evidence_scale, "gate_scale": a.gate_scale, "decay": a.decay})
    if a.token_scores == "mean":
        t = Tensors(a)
        router.update({"token_scores": "mean", "bos_weight": a.bos_weight, "prior": list(t.values("prior", a.E, 0, 20)),
                       "layer_scale": list(t.values("layer scale", a.L, 1, 0.3))})
    if a.weights != "chosen":
        router["weights"] = a.weights
    config = dict(shape(a), n_experts=a.E, top_k=a.top_k)
    header = {"__metadata__": {"config": json.dumps(config), "tokenizer_sha256": a.tokenizer,
                               "router": json.dumps(router),
                               "experts": json.dumps([entry(a, e) for e in range(a.E)])}}
    at = 0
    for name, dims, data in make(a).model():
        header[name] = {"dtype": "F32", "shape": dims, "data_offsets": [at, at + 4 * len(data)]}
        at += 4 * len(data)
    text = json.dumps(header).encode()
    text += b" " * (-(len(text) + 8) % 64)
    with open(a.output, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, _, data in make(a).model():  # made again, so that one tensor at a time is in memory
            file.write(data)


def manifest(a, kind, tensors, **fields):
    listed = [{"name": n, "dtype": t, "shape": d, "sha256": hashlib.sha256(b).hexdigest()} for n, t, d, b in tensors]
    return json.dumps(dict({"mf": "bundle", "version": 1, "kind": kind, "config": shape(a),
                            "tokenizer_sha256": a.tokenizer}, **fields, tensors=listed)).encode()


def shared_parts(a):
    t = Tensors(a)
    tensors = [(n, "F32", d, v.tobytes()) for part in (t.backbone(), t.dense()) for n, d, v in part]
    counts = struct.pack("<%dq" % a.V, *range(a.V))
    tensors.append(("token_counts", "I64", [a.V], counts))
    return manifest(a, "shared", tensors), tensors


def write_bundle(path, text, tensors):
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in [("manifest.json", text)] + [(n + "." + t.lower(), b) for n, t, d, b in tensors]:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def write_shared(a):
    write_bundle(a.output, *shared_parts(a))


def write_expert(a):
    name = hashlib.sha256(shared_parts(a)[0]).hexdigest()
    tensors = [(n, "F32", d, v.tobytes()) for n, d, v in Tensors(a).expert(a.expert)]
    write_bundle(a.output, manifest(a, "expert", tensors, shared_sha256=name, partition=a.expert), tensors)


def write_tokens(a):
    """Documents NAME=LENGTH[@DOMAIN]: BOS, random tokens, EOS, LENGTH in all; each depends on its name alone."""
    records = []
    for spec in a.documents:
        name, _, rest = spec.partition("=")
        length, _, domain = rest.partition("@")
        rng = random.Random("%s %s" % (a.seed, name))
        tokens = ([2] + [rng.randrange(4, a.V) for _ in range(int(length) - 2)] + [3])[: int(length)]
        record = {"id": name, "tokens": struct.pack("<%d%s" % (len(tokens), "H" if a.width == 2 else "I"), *tokens)}
        if domain:
            record["domain"] = domain
        records.append(record)
    header = {"mf": "tokens", "version": 1, "width": a.width, "vocab_size": a.V, "tokenizer_sha256": a.tokenizer}
    write_stream(a.output, header, records)


def write_metrics(a):
    records = []
    for step in range(1, 6):
        record = {"step": step, "loss": 6.0 / step, "lr": 0.001, "grad_norm": 1.0, "peak_memory": 1000000 * step}
        if step % 2:
            record["val_loss"] = 6.5 / step
        records.append(record)
    write_stream(a.output, {"mf": "metrics", "version": 1}, records)


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("what", choices=["model", "llama", "shared", "expert", "tokens", "metrics"])
    p.add_argument("-o", "--output", default="-")
    for name, value in (("V", 300), ("D", 16), ("H", 2), ("L", 2), ("F", 24), ("S", 16), ("E", 3), ("K", 2)):
        p.add_argument("--" + name, type=int, default=value)
    p.add_argument("--top-k", type=int, default=2)
    p.add_argument("--head-dim", type=int, default=0, help="of family llama; 0: D / H")
    p.add_argument("--rope-theta", type=float, default=10000.0)
    p.add_argument("--rope-scaling", nargs=4, type=float, metavar=("FACTOR", "LOW", "HIGH", "CONTEXT"), help="of family llama")
    p.add_argument("--has", nargs="*", default=[], choices=["dense", "bias", "qk-norm", "head"], help="of family llama")
    p.add_argument("--attention", nargs="*", type=int, default=[], metavar="E", help="experts with attention of their own")
    p.add_argument("--heads", nargs="*", type=int, default=[], metavar="RANK", help="of each expert's head; D: whole, 0: none")
    p.add_argument("--kind", choices=["hidden", "prefix"], default="hidden")
    p.add_argument("--weights", choices=["chosen", "all"], default="chosen")
    p.add_argument("--token-scores", choices=["sum", "mean"], default="sum", help="of kind prefix, family llama")
    p.add_argument("--bos-weight", type=float, default=4096.0)
    p.add_argument("--gate", choices=["random", "zero", "first"], default="random")
    p.add_argument("--zero-embedding", action="store_true")
    p.add_argument("--same-experts", action="store_true")
    p.add_argument("--tile", action="store_true", help="large tensors repeat one block: quick to make")
    p.add_argument("--evidence-scale", type=float, default=0.7)
    p.add_argument("--gate-scale", type=float, default=0.5)
    p.add_argument("--decay", type=float, default=0.9)
    p.add_argument("--expert", type=int, default=0)
    p.add_argument("--width", type=int, default=2)
    p.add_argument("--tokenizer", default="0" * 64)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("documents", nargs="*")
    a = p.parse_intermixed_args()
    {"model": write_model, "llama": write_model, "shared": write_shared, "expert": write_expert, "tokens": write_tokens,
     "metrics": write_metrics}[a.what](a)


if __name__ == "__main__":
    main()
