"""What the oracles read, and how they score: safetensors, bundles, token streams, windows of a document."""

import glob
import json
import math
import os
import struct
import tarfile

import msgpack
import torch

DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def read_safetensors(path):
    """The metadata and the tensors, in float32, of a file, or of all such files in a folder."""
    meta, tensors = {}, {}
    for name in sorted(glob.glob(os.path.join(path, "*.safetensors"))) if os.path.isdir(path) else [path]:
        with open(name, "rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(size))
            data = file.read()
        meta.update(header.pop("__metadata__", {}))
        for key, entry in header.items():
            if entry["dtype"] in DTYPES:
                begin, end = entry["data_offsets"]
                flat = torch.frombuffer(bytearray(data[begin:end]), dtype=DTYPES[entry["dtype"]])
                tensors[key] = flat.reshape(entry["shape"]).float()
    return meta, tensors


def read_bundle(path):
    """The manifest and the tensors of float32."""
    with tarfile.open(path) as tar:
        manifest = json.load(tar.extractfile("manifest.json"))
        members, tensors = {name.rsplit(".", 1)[0]: name for name in tar.getnames()}, {}
        for t in manifest["tensors"]:
            if t["dtype"] == "F32":
                data = bytearray(tar.extractfile(members[t["name"]]).read())
                tensors[t["name"]] = torch.frombuffer(data, dtype=torch.float32).reshape(t["shape"])
    return manifest, tensors


class Changed(dict):
    """Tensors by name, of which those of a dense FFN have an expert's changes: w + alpha / rank B A."""

    def __init__(self, tensors, path):
        super().__init__(tensors)
        manifest, factors = read_bundle(path)
        self.factors = {name: t for name, t in factors.items() if not name.startswith("lm_head.")}
        self.scale = manifest["alpha"] / manifest["rank"]

    def __getitem__(self, name):
        w, stem = super().__getitem__(name), name.replace("dense_ffn.", "layers.")[: -len("weight")]
        a, b = (self.factors.get(stem + "lora_%s.weight" % x) for x in "AB")
        return w if a is None else w + self.scale * b @ a

    def get(self, name, default=None):
        return self[name] if name in self else default


def with_expert(tensors, path):
    """The tensors of a shared bundle with an expert's FFN, and attention and a head if it has them, in the place of their own."""
    manifest, expert = read_bundle(path)
    base = tensors.get("lm_head.weight", tensors.get("model.embed_tokens.weight"))
    tensors = Changed(tensors, path) if "rank" in manifest else {**tensors, **expert}
    tensors.update((name, t) for name, t in expert.items() if ".self_attn." in name)
    if "lm_head.weight" in expert:
        tensors["lm_head.weight"] = expert["lm_head.weight"]
    if "lm_head.lora_A.weight" in expert:
        tensors["lm_head.weight"] = base + expert["lm_head.lora_B.weight"] @ expert["lm_head.lora_A.weight"]
    return tensors


def mixed_logits(h, embedding, t, chosen, weights):
    """[n, V] of rows h [n, D] that chose so many experts in the last layer: E h where they have no head of their own, with
    what theirs change; H h where they have a whole one. What the weights leave of one is the backbone's."""
    rows = []
    for n, row in enumerate(h):
        out, left = torch.zeros(len(embedding)), 1.0
        for e, w in zip(chosen[n], weights[n]):
            whole, a, b = (t.get("lm_head.experts.%d.%sweight" % (e, part)) for part in ("", "lora_A.", "lora_B."))
            if whole is not None:
                out, left = out + w * (whole @ row), left - w
            elif a is not None:
                out = out + w * (b @ (a @ row))
        rows.append(out + left * (embedding @ row))
    return torch.stack(rows)


def read_tokens(path):
    """The header of a stream of kind tokens and its records, their tokens as numbers."""
    with open(path, "rb") as file:
        header, *records, _ = msgpack.Unpacker(file, raw=False, strict_map_key=False)
    width = header.get("width", 2)
    kind = "<%d" + ("H" if width == 2 else "I")
    return header, [dict(r, tokens=struct.unpack(kind % (len(r["tokens"]) // width), r["tokens"])) for r in records]


def read_documents(path):
    return [record["tokens"] for record in read_tokens(path)[1]]


def running_evidence(table, tokens, specials, router, experts):
    """[n, E]: the decayed running sum of log P(token | partition), this token included; PAD and BOS are passed over."""
    if table is None:
        return torch.zeros(len(tokens), experts)
    state, rows = torch.zeros(table.shape[0], dtype=torch.float64), []
    for token in tokens:
        if token not in (specials["bos"], specials["pad"]):
            state = state * router.get("decay", 1.0) + table[:, token].double()
        rows.append(state.float())
    return torch.stack(rows)


def mean_scores(table, tokens, specials, router):
    """[n, E] of a router whose token scores are a mean: a softmax over BOS, with the weight that it has at any distance and
    prior / weight as its value, and the tokens behind it, with decay ^ distance and their log-likelihoods, as a head of
    attention has it: row by row, from the first token on."""
    weight = router.get("bos_weight", 4096.0)
    prior = torch.tensor(router.get("prior", [0.0] * len(table)), dtype=torch.float64)
    silent = torch.zeros(len(table), dtype=torch.float64)
    values = [silent if t == specials["pad"] else table[:, t].double() for t in tokens if t != specials["bos"]]
    rows, n = [], 0
    for token in tokens:
        n += token != specials["bos"]
        weights = router.get("decay", 1.0) ** torch.arange(n - 1, -1, -1, dtype=torch.float64)
        total = prior + sum((w * v for w, v in zip(weights, values)), silent)
        rows.append((total / (weight + weights.sum())).float())
    return torch.stack(rows)


def router_scales(router):
    """The factors of gate and evidence in a router's logits."""
    prefix = router.get("kind") == "prefix"
    return router.get("gate_scale", 0.0 if prefix else 1.0), router.get("evidence_scale", 1.0 if prefix else 0.0)


def score(model, tokens_path, logits_path):
    """Writes the logits of every row of every window (little-endian float32, in the stream's order), and prints the
    perplexity and the number of scored tokens."""
    nats, count = 0.0, 0
    pad, bos, eos = (model.specials[name] for name in ("pad", "bos", "eos"))
    with torch.no_grad(), open(logits_path, "wb") as out:
        for document in read_documents(tokens_path):
            evidence = model.evidence(document)
            for start in range(0, len(document) - 1, model.S):
                end = min(start + model.S, len(document) - 1)
                logits = model.logits(document[start:end], evidence[start:end])
                out.write(logits.numpy().astype("<f4").tobytes())
                losses = -logits.double().log_softmax(-1)
                for row, target in enumerate(document[start + 1 : end + 1]):
                    if target == eos or target not in (pad, bos):
                        nats += losses[row, target].item()
                        count += 1
    print("%.9f %d" % (math.exp(nats / count), count))
