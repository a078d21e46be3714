"""The model once more, written in PyTorch from its description alone, to compare numbers with.

    reference.py MODEL.safetensors TOKENS.mf LOGITS.f32

Reads both files by itself, writes the logits of every row of every window (little-endian float32, in the stream's
order), and prints the perplexity and the number of scored tokens. It is plain and slow on purpose.
"""

import json
import math
import struct
import sys

import msgpack
import torch
import torch.nn.functional as F

PAD, BOS, EOS = 0, 2, 3  # of a model that says nothing


def read_model(path):
    with open(path, "rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
        data = file.read()
    meta = header.pop("__metadata__")
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        flat = torch.frombuffer(bytearray(data[begin:end]), dtype=torch.float32)
        tensors[name] = flat.reshape(entry["shape"])
    specials = json.loads(meta.get("special_tokens", json.dumps({"pad": PAD, "bos": BOS, "eos": EOS})))
    return json.loads(meta["config"]), json.loads(meta["router"]), specials, tensors


def read_documents(path):
    with open(path, "rb") as file:
        objects = list(msgpack.Unpacker(file, raw=False, strict_map_key=False))
    kind = "<%d" + ("H" if objects[0].get("width", 2) == 2 else "I")
    width = objects[0].get("width", 2)
    return [struct.unpack(kind % (len(o["tokens"]) // width), o["tokens"]) for o in objects[1:-1]]


class Model:
    def __init__(self, path):
        self.config, self.router, self.specials, self.t = read_model(path)
        c = self.config
        self.D, self.H, self.S = c["d_model"], c["n_heads"], c["context"]
        self.pe = self.t["shared.pos_encoding.pe"][0] if "shared.pos_encoding.pe" in self.t else self.positions()

    def positions(self):
        place = torch.arange(self.S, dtype=torch.float64)[:, None]
        rate = torch.exp(torch.arange(0, self.D, 2, dtype=torch.float64) * (-math.log(10000.0) / self.D))
        pe = torch.zeros(self.S, self.D, dtype=torch.float64)
        pe[:, 0::2] = torch.sin(place * rate)
        pe[:, 1::2] = torch.cos(place * rate)
        return (pe * self.config.get("position_scale", 1.0)).float()

    def is_target(self, token):
        return token == self.specials["eos"] or token not in (self.specials["pad"], self.specials["bos"])

    def norm(self, x, prefix):
        return F.layer_norm(x, (self.D,), self.t[prefix + ".weight"], self.t[prefix + ".bias"], 1e-5)

    def attention(self, x, prefix):
        n, width = x.shape[0], self.D // self.H
        q, k, v = (x @ self.t[prefix + ".qkv_proj.weight"].T).reshape(n, 3, self.H, width).permute(1, 2, 0, 3)
        scores = q @ k.transpose(1, 2) / math.sqrt(width)
        scores = scores.masked_fill(torch.ones(n, n).triu(1).bool(), float("-inf"))
        mixed = (scores.softmax(-1) @ v).transpose(0, 1).reshape(n, self.D)
        return mixed @ self.t[prefix + ".out_proj.weight"].T

    def expert(self, h, prefix):
        y = self.norm(h, prefix + "norm")
        y = F.gelu(F.linear(y, self.t[prefix + "fc1.weight"], self.t[prefix + "fc1.bias"]))
        return F.linear(y, self.t[prefix + "fc2.weight"], self.t[prefix + "fc2.bias"])

    def mixture(self, x, i, evidence):
        prefix, r = "moe_layers.%d." % i, self.router
        h = self.norm(x, prefix + "ffn_norm")
        is_prefix = r["kind"] == "prefix"
        logits = h @ self.t[prefix + "router.gate.weight"].T * r.get("gate_scale", 0.0 if is_prefix else 1.0)
        logits = logits + evidence * r.get("evidence_scale", 1.0 if is_prefix else 0.0)
        out = torch.zeros_like(x)
        every = logits.softmax(-1)
        for n in range(x.shape[0]):
            order = sorted(range(logits.shape[1]), key=lambda e: (-logits[n, e].item(), e))
            chosen = order[: self.config["top_k"]]
            w = every[n, chosen] if r.get("weights") == "all" else logits[n, chosen].softmax(-1)
            for weight, e in zip(w, chosen):
                out[n] += weight * self.expert(h[n : n + 1], prefix + "experts.%d." % e)[0]
        return out

    def logits(self, tokens, evidence):
        embedding = self.t["shared.token_embedding.weight"]
        x = embedding[torch.tensor(tokens)] + self.pe[: len(tokens)]
        for i in range(self.config["n_layers"]):
            block = "shared.transformer_blocks.%d." % i
            x = x + self.attention(self.norm(x, block + "attn_norm"), block + "attention")
            x = x + self.mixture(x, i, evidence)
        return self.norm(x, "shared.output_norm") @ embedding.T

    def evidence(self, tokens):
        """[n, E]: the decayed running sum of log P(token | partition), this token included; PAD and BOS are passed over."""
        table = self.t.get("prefix_router.log_likelihood")
        if table is None:
            return torch.zeros(len(tokens), self.config["n_experts"])
        state, rows = torch.zeros(table.shape[0], dtype=torch.float64), []
        for token in tokens:
            if token not in (self.specials["bos"], self.specials["pad"]):
                state = state * self.router.get("decay", 1.0) + table[:, token].double()
            rows.append(state.float())
        return torch.stack(rows)


def main(model_path, tokens_path, logits_path):
    model = Model(model_path)
    nats, count = 0.0, 0
    with torch.no_grad(), open(logits_path, "wb") as out:
        for document in read_documents(tokens_path):
            evidence = model.evidence(document)
            for start in range(0, len(document) - 1, model.S):
                end = min(start + model.S, len(document) - 1)
                logits = model.logits(document[start:end], evidence[start:end])
                out.write(logits.numpy().astype("<f4").tobytes())
                losses = -logits.double().log_softmax(-1)
                for row, target in enumerate(document[start + 1 : end + 1]):
                    if model.is_target(target):
                        nats += losses[row, target].item()
                        count += 1
    print("%.9f %d" % (math.exp(nats / count), count))


if __name__ == "__main__":
    main(*sys.argv[1:])
