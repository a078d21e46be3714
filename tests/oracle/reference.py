"""The model once more, written in PyTorch from its description alone, to compare numbers with.

    reference.py MODEL.safetensors TOKENS.mf LOGITS.f32

Reads both files by itself, writes the logits of every row of every window (little-endian float32, in the stream's
order), and prints the perplexity and the number of scored tokens. It is plain and slow on purpose.
"""

import json
import math
import sys

import torch
import torch.nn.functional as F

from files import mixed_logits, read_safetensors, router_scales, running_evidence, score

PAD, BOS, EOS = 0, 2, 3  # of a model that says nothing


def read_model(path):
    meta, tensors = read_safetensors(path)
    specials = json.loads(meta.get("special_tokens", json.dumps({"pad": PAD, "bos": BOS, "eos": EOS})))
    return json.loads(meta["config"]), json.loads(meta["router"]), specials, tensors


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
        gate_scale, evidence_scale = router_scales(r)
        h = self.norm(x, prefix + "ffn_norm")
        logits = h @ self.t[prefix + "router.gate.weight"].T * gate_scale + evidence * evidence_scale
        out = torch.zeros_like(x)
        every = logits.softmax(-1)
        self.choice = [], []
        for n in range(x.shape[0]):
            order = sorted(range(logits.shape[1]), key=lambda e: (-logits[n, e].item(), e))
            chosen = order[: self.config["top_k"]]
            w = every[n, chosen] if r.get("weights") == "all" else logits[n, chosen].softmax(-1)
            self.choice[0].append(chosen)
            self.choice[1].append(w)
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
        h = self.norm(x, "shared.output_norm")
        if any(name.startswith("lm_head.experts.") for name in self.t):
            return mixed_logits(h, embedding, self.t, *self.choice)
        return h @ embedding.T

    def evidence(self, tokens):
        table = self.t.get("prefix_router.log_likelihood")
        return running_evidence(table, tokens, self.specials, self.router, self.config["n_experts"])


if __name__ == "__main__":
    score(Model(sys.argv[1]), *sys.argv[2:])
