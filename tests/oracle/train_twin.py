"""A training once more in PyTorch, from the pages that describe it: the losses of its steps, a line each.

    train_twin.py shared|expert|EXPERT.tar BUNDLE.tar TOKENS.mf STEPS BATCH WARMUP LR MIN_LR [SEED]

BUNDLE.tar holds the initial values: of both trainings the backbone and the dense FFN of a shared bundle, of either family. With EXPERT.tar,
changes of low rank, its factors are the initial ones of those that learn. With ANCHOR=1 in the environment every FFN's result is
the mean of its own and of the FFN's that BUNDLE.tar brings, which stays as it is. With HEAD=EXPERT.tar a head learns too,
from what that bundle holds of it; with ATTENTION=1 the queries' and outputs' matrices too. No dropout; AdamW (0.9, 0.999,
1e-8, decay 0.01 of matrices), clipping at 1, linear warmup and cosine. The batches are the same (batches.py).
"""

import math
import os
import sys

import torch
import torch.nn.functional as F

from batches import Batches, adamw, rate_at
from files import Changed, read_bundle
from llama import Llama

what, bundle, path = sys.argv[1:4]
steps, batch, warmup = map(int, sys.argv[4:7])
lr, min_lr = map(float, sys.argv[7:9])
seed = int((sys.argv + [""] * 10)[9] or 1)
manifest, p = read_bundle(bundle)
c = manifest["config"]
D, H, L, S = c["d_model"], c["n_heads"], c["n_layers"], c["context"]
batches = Batches(path, S, batch, seed)
frozen_row = batches.pad if batches.pad not in (-1, batches.bos, batches.eos) else None
llama = "model.embed_tokens.weight" in p
ffn = [n for n in p if ".mlp." in n or n.startswith("dense_ffn.") or ".ffn_norm." in n]
learns = p if what == "shared" else {name: p[name] for name in ffn}
anchor = {name: t.detach().clone() for name, t in p.items()} if os.environ.get("ANCHOR") else None
if what.endswith(".tar"):
    p = Changed(p, what)
    learns = {name: factor for name, factor in p.factors.items() if ".lora_" in name}
head_from = read_bundle(os.environ["HEAD"])[1] if "HEAD" in os.environ else {}
own_head = {name: t for name, t in head_from.items() if name.startswith("lm_head.")}
learns = {**learns, **own_head}
if os.environ.get("ATTENTION"):
    learns.update((name, p[name]) for name in p if name.endswith((".q_proj.weight", ".o_proj.weight")))
for tensor in learns.values():
    tensor.requires_grad_(True)


def positions():
    place = torch.arange(S, dtype=torch.float64)[:, None]
    rate = torch.exp(torch.arange(0, D, 2, dtype=torch.float64) * (-math.log(10000.0) / D))
    pe = torch.zeros(S, D, dtype=torch.float64)
    pe[:, 0::2], pe[:, 1::2] = c["position_scale"] * torch.sin(place * rate), c["position_scale"] * torch.cos(place * rate)
    return pe.float()


def norm(x, name, t=None):
    t = p if t is None else t
    return F.layer_norm(x, (D,), t[name + ".weight"], t[name + ".bias"], 1e-5)


def dense(x, i, t):
    f = "dense_ffn.%d." % i
    h = F.gelu(norm(x, "shared.transformer_blocks.%d.ffn_norm" % i, t) @ t[f + "fc1.weight"].T + t[f + "fc1.bias"])
    return h @ t[f + "fc2.weight"].T + t[f + "fc2.bias"]


class Beside(Llama):
    def gated(self, h, *names):
        own, self.t = super().gated(h, *names), anchor
        other, self.t = super().gated(h, *names), p
        return (own + other) / 2


class Headed(Llama):
    def logits(self, tokens):
        self.t["lm_head.weight"] = head_matrix()
        return super().logits(tokens)


def head_matrix():
    """What makes the logits: a matrix that learns, or the backbone's with factors that do."""
    if "lm_head.weight" in own_head:
        return own_head["lm_head.weight"]
    shared = untied if untied is not None else embedding
    return shared + own_head["lm_head.lora_B.weight"] @ own_head["lm_head.lora_A.weight"] if own_head else shared


def reference_logits(tokens):
    n = len(tokens)
    x = embedding[torch.tensor(tokens)] + pe[:n]
    for i in range(L):
        b = "shared.transformer_blocks.%d." % i
        qkv = norm(x, b + "attn_norm") @ p[b + "attention.qkv_proj.weight"].T
        q, k, v = qkv.reshape(n, 3, H, D // H).permute(1, 2, 0, 3)
        scores = (q @ k.transpose(-1, -2)) / (D // H) ** 0.5
        scores = scores.masked_fill(torch.ones(n, n, dtype=torch.bool).triu(1), float("-inf"))
        mixed = (scores.softmax(-1) @ v).transpose(0, 1).reshape(n, D)
        x = x + mixed @ p[b + "attention.out_proj.weight"].T
        x = x + ((dense(x, i, p) + dense(x, i, anchor)) / 2 if anchor else dense(x, i, p))
    return norm(x, "shared.output_norm") @ head_matrix().T


untied = p.get("lm_head.weight")
if llama:
    kind = Beside if anchor else Headed if own_head else Llama
    embedding, logits = p["model.embed_tokens.weight"], kind(c, p).logits
else:
    embedding, logits, pe = p["shared.token_embedding.weight"], reference_logits, positions()


def losses(tokens, targets):
    """The sum over one piece of one document; a target None is none."""
    targets = [-100 if t is None else t for t in targets]
    return F.cross_entropy(logits(tokens), torch.tensor(targets), ignore_index=-100, reduction="sum")


optimizer = adamw(learns.values(), lr=lr)
for step in range(1, steps + 1):
    for group in optimizer.param_groups:
        group["lr"] = rate_at(step, steps, warmup, lr, min_lr)
    total, count = 0, 0
    for tokens, targets in batches.of_step(step):
        total = total + losses(tokens, targets)
        count += sum(t is not None for t in targets)
    optimizer.zero_grad()
    (total / count).backward()
    if embedding.grad is not None and frozen_row is not None:
        embedding.grad[frozen_row] = 0
    torch.nn.utils.clip_grad_norm_(list(learns.values()), 1.0)
    optimizer.step()
    print("%.9g" % (total.item() / count), flush=True)
