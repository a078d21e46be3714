"""The training step once more in PyTorch, as fast as it goes there: what `make bench` measures ours against.

    train_torch.py [--bf16] shared|expert TOKENS.mf STEPS BATCH D H L F S THREADS [KEY_HEADS HEAD_DIM [RANK]]

The same architecture, batch, loss and AdamW; fused attention; no gradients for what is frozen. With KEY_HEADS the
model is of family llama, which has no dropout, else of the reference family; with RANK an expert learns changes of
that rank to its FFNs, each of which stays as it is. With --bf16 the forward pass is under autocast, as PyTorch's manual
has it: products in bf16, weights, loss and optimizer in fp32. Prints tokens a second after one step to warm up, and the
peak of resident memory in bytes.
"""

import resource
import struct
import sys
import time

import msgpack
import torch
import torch.nn as nn
import torch.nn.functional as F

arguments = [a for a in sys.argv[1:] if a != "--bf16"]
bf16 = len(arguments) < len(sys.argv) - 1
what, path = arguments[:2]
steps, batch, D, H, L, FF, S, threads = map(int, arguments[2:10])
K, d, rank = map(int, (arguments[10:13] + ["0"] * 3)[:3])
torch.set_num_threads(threads)
torch.manual_seed(1)


def attention(q, k, v):
    """[n, s, H d] of [n, H, s, d]."""
    n, heads, s, width = q.shape
    if hasattr(F, "scaled_dot_product_attention"):
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    else:
        scores = (q @ k.transpose(-1, -2)) / width ** 0.5
        mask = torch.ones(s, s, dtype=torch.bool).triu(1)
        mixed = scores.masked_fill(mask, float("-inf")).softmax(-1) @ v
    return mixed.transpose(1, 2).reshape(n, s, heads * width)


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.attn_norm, self.ffn_norm = nn.LayerNorm(D), nn.LayerNorm(D)
        self.qkv, self.out = nn.Linear(D, 3 * D, bias=False), nn.Linear(D, D, bias=False)
        self.fc1, self.fc2 = nn.Linear(D, FF), nn.Linear(FF, D)

    def forward(self, x):
        n, s, _ = x.shape
        q, k, v = self.qkv(self.attn_norm(x)).view(n, s, 3, H, D // H).permute(2, 0, 3, 1, 4)
        x = x + F.dropout(self.out(attention(q, k, v)), 0.1)
        return x + F.dropout(self.fc2(F.gelu(self.fc1(self.ffn_norm(x)))), 0.1)


class RMSNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(D))

    def forward(self, x):
        return x * (x.pow(2).mean(-1, keepdim=True) + 1e-5).rsqrt() * self.weight


class Changed(nn.Module):
    """A linear layer and changes of low rank to `parts` blocks of its rows, each a matrix of its own."""

    def __init__(self, linear, parts):
        super().__init__()
        self.linear, rows, columns = linear, linear.out_features // parts, linear.in_features
        self.a = nn.ParameterList(torch.randn(rank, columns) / columns ** 0.5 for _ in range(parts))
        self.b = nn.ParameterList(torch.zeros(rows, rank) for _ in range(parts))

    def forward(self, x):
        return self.linear(x) + 2 * torch.cat([x @ a.T @ b.T for a, b in zip(self.a, self.b)], -1)


class LlamaLayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.attn_norm, self.ffn_norm = RMSNorm(), RMSNorm()
        self.qkv, self.out = nn.Linear(D, (H + 2 * K) * d, bias=False), nn.Linear(H * d, D, bias=False)
        self.fc1, self.fc2 = nn.Linear(D, 2 * FF, bias=False), nn.Linear(FF, D, bias=False)
        if rank:
            self.fc1, self.fc2 = Changed(self.fc1, 2), Changed(self.fc2, 1)
        angle = torch.outer(torch.arange(S), 1e4 ** (-torch.arange(0, d, 2) / d))
        self.cosine, self.sine = angle.cos(), angle.sin()

    def turn(self, x):
        a, b = x.chunk(2, -1)
        cosine, sine = self.cosine[: x.shape[-2]], self.sine[: x.shape[-2]]
        return torch.cat((a * cosine - b * sine, b * cosine + a * sine), -1)

    def forward(self, x):
        n, s, _ = x.shape
        q, k, v = self.qkv(self.attn_norm(x)).view(n, s, H + 2 * K, d).transpose(1, 2).split((H, K, K), 1)
        k, v = self.turn(k).repeat_interleave(H // K, 1), v.repeat_interleave(H // K, 1)
        x = x + self.out(attention(self.turn(q), k, v))
        gate, up = self.fc1(self.ffn_norm(x)).chunk(2, -1)
        return x + self.fc2(F.silu(gate) * up)


class Model(nn.Module):
    def __init__(self, V):
        super().__init__()
        self.embedding = nn.Embedding(V, D)
        self.register_buffer("pe", torch.randn(S, D))
        self.layers = nn.ModuleList(LlamaLayer() if K else Layer() for _ in range(L))
        self.norm = RMSNorm() if K else nn.LayerNorm(D)

    def forward(self, tokens):
        x = self.embedding(tokens)
        if not K:
            x = F.dropout(x + self.pe[: tokens.shape[1]], 0.1)
        for layer in self.layers:
            x = layer(x)
        return self.norm(x) @ self.embedding.weight.T


with open(path, "rb") as file:
    objects = list(msgpack.Unpacker(file, raw=False, strict_map_key=False))
width, letter = {2: (2, "H"), 4: (4, "I")}[objects[0]["width"]]
stream = [t for o in objects[1:-1] for t in struct.unpack("<%d%s" % (len(o["tokens"]) // width, letter), o["tokens"])]
model = Model(objects[0]["vocab_size"])
if what == "expert":
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(".a." in name or ".b." in name if rank else "ffn_norm" in name or "fc1" in name or "fc2" in name)
trained = [p for p in model.parameters() if p.requires_grad]
optimizer = torch.optim.AdamW(trained, lr=1e-3, weight_decay=0.01)
for step in range(steps + 1):
    if step == 1:
        began = time.monotonic()
    at = [(step * batch + i) * S % (len(stream) - S - 1) for i in range(batch)]
    tokens = torch.tensor([stream[a : a + S + 1] for a in at])
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        logits = model(tokens[:, :-1])
    loss = F.cross_entropy(logits.float().flatten(0, 1), tokens[:, 1:].flatten(), ignore_index=0)
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(trained, 1.0)
    optimizer.step()
print("%.1f %d" % (steps * batch * S / (time.monotonic() - began), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))
