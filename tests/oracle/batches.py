"""What a training sees at each step, from the pages that describe it, and the rule of its rate.

The batches are those of mf-train-*: windows of the context's length over all tokens, in an order permuted anew in each pass. Attention
and positions begin anew at each document, whose first token is never a target; nor is padding, or a <bos> that is not <eos> as well.
"""

import math

import torch

from files import read_tokens

M = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15


def mix(x):
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & M
    x = (x ^ x >> 27) * 0x94D049BB133111EB & M
    return x ^ x >> 31


def at(key, counter):
    return mix((mix((counter + GOLDEN) & M) + key) & M)


def key(seed, purpose, index):
    h = 0xCBF29CE484222325
    for byte in purpose.encode():
        h = (h ^ byte) * 0x100000001B3 & M
    return at(at(seed, h), index)


def permute(k, n, index):
    half = 1
    while (n - 1) >> (2 * half):
        half += 1
    mask = (1 << half) - 1
    while True:
        left, right = index >> half, index & mask
        for r in range(4):
            left, right = right, left ^ at((k + r * GOLDEN) & M, right) & mask
        index = left << half | right
        if index < n:
            return index


class Batches:
    def __init__(self, path, context, size, seed):
        header, records = read_tokens(path)
        self.stream = [t for r in records for t in r["tokens"]]
        self.begins = [i == 0 for r in records for i in range(len(r["tokens"]))]
        self.pad, self.bos, self.eos = (header[name] for name in ("pad", "bos", "eos"))
        self.S, self.size, self.seed = context, size, seed
        self.windows = (len(self.stream) - 1 + context - 1) // context

    def target(self, n):
        token = self.stream[n]
        return None if self.begins[n] or token in (self.pad, self.bos) and token != self.eos else token

    def pieces(self, window):
        begin = window * self.S
        rows = min(self.S, len(self.stream) - 1 - begin)
        tokens = self.stream[begin : begin + rows]
        targets = [self.target(n) for n in range(begin + 1, begin + rows + 1)]
        cuts = [0] + [n for n in range(1, rows) if self.begins[begin + n]] + [rows]
        return [(tokens[a:b], targets[a:b]) for a, b in zip(cuts, cuts[1:])]

    def of_step(self, step):
        """Pairs of the tokens and the targets of one piece of one document; a target None is none."""
        for number in range((step - 1) * self.size, step * self.size):
            order = key(self.seed, "order", number // self.windows)
            yield from self.pieces(permute(order, self.windows, number % self.windows))


def rate_at(step, steps, warmup, lr, min_lr):
    """Linear warmup and cosine."""
    done = (step - warmup) / (steps - warmup) if steps > warmup else 1
    return lr * step / warmup if step <= warmup else min_lr + (lr - min_lr) * 0.5 * (1 + math.cos(math.pi * done))


def adamw(tensors, **settings):
    """Matrices decay, vectors do not."""
    groups = [[t for t in tensors if t.dim() > 1], [t for t in tensors if t.dim() == 1]]
    return torch.optim.AdamW([{"params": group, "weight_decay": decay} for group, decay in zip(groups, (0.01, 0))], **settings)
