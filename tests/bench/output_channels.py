#!/usr/bin/python3
"""Do experts gain by output channels? A twin in PyTorch of the demo's experts: output_channels.py RUN SHARED.tar STEPS [VARIANT]...

RUN is a run's folder, of which parts/ and tokens/test.labelled.mf are read; SHARED.tar is a dense backbone of family llama with a
tied head. An expert of each partition is trained for STEPS (350), else as configs/demo.yaml has it, in fp32 and one thread, on the
batches of mf-train-expert; its last weights are kept. Prints a line for each variant: the parameters an expert has beyond its FFNs,
and the perplexity of the test documents, each by the expert of its partition (an oracle: no router and no second expert). A VARIANT is

    backbone      nothing is learned
    ffn           the FFNs of all layers, which the others learn too
    channelsC     the last layer's W2 writes C more channels, at first random, which C columns of a head of the expert's own read,
                  at first 0: logits = E norm(x) + H u / rms(x). They are not counted in rms(x). channelsCxS: begins S times as large
    rankR         a change of rank R to the head: logits = (E + B A) norm(x), B at first 0
    head          a whole head, at first the backbone's

    output_channels.py bytes VOCABULARY D_MODEL HEADS LAYERS D_FF EXPERTS CHANNELS...

prints the sizes in F32 of models with such experts: of all tensors, of an expert's bundle, and of the products of one token with two
experts, in multiplications. A sparse model that plain llama.cpp runs has one head for all experts, so each needs channels of its own,
and every matrix that reads or writes the residual stream gets EXPERTS * CHANNELS columns or rows, beside those of the prefix router.
Its head cannot be the embedding, which would write into the channels.
"""
import glob
import math
import os
import re
import sys

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is loaded: the BLAS has threads of its own, which set_num_threads does not reach

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "oracle"))
from batches import Batches, adamw, rate_at  # noqa: E402
from files import read_bundle, read_tokens  # noqa: E402
from llama import Llama  # noqa: E402

BATCH, WARMUP, RATE, MIN_RATE, BETA2, SEED = 8, 30, 0.004, 0.0001, 0.98, 1  # configs/demo.yaml
VARIANTS = "backbone ffn channels16 channels64 channels128 rank16 rank64 head".split()
EMBEDDING = "model.embed_tokens.weight"


def what_learns(variant, config, backbone):
    """The tensors of an expert by name, at their initial values."""
    if variant == "backbone":
        return {}
    learns = {name: t.clone() for name, t in backbone.items() if ".mlp." in name}
    kind, size, factor = re.fullmatch(r"(ffn|channels|rank|head)(\d*)x?([\d.]*)", variant).groups()
    V, D, size = config["vocab_size"], config["d_model"], int(size or 0)
    random = torch.Generator().manual_seed(SEED)
    if kind == "channels":
        last = "model.layers.%d.mlp.down_proj.weight" % (config["n_layers"] - 1)
        more = torch.randn(size, config["d_ff"], generator=random) * learns[last].std() * float(factor or 1)
        learns[last] = torch.cat((learns[last], more))
        learns["lm_head.channels"] = torch.zeros(V, size)
    if kind == "rank":
        learns["lm_head.A"] = torch.randn(size, D, generator=random) / math.sqrt(D)
        learns["lm_head.B"] = torch.zeros(V, size)
    if kind == "head":
        learns["lm_head.weight"] = backbone[EMBEDDING].clone()
    return learns


class Expert(Llama):
    """The backbone with what an expert has in its place; in the last layer's FFN the rows behind the first D are the channels."""

    def __init__(self, config, backbone, learns):
        super().__init__(config, {**backbone, **learns})
        self.D = config["d_model"]

    def ffn(self, x, layer, evidence):
        out = super().ffn(x, layer, evidence)
        self.channels = out[:, self.D :]
        return out[:, : self.D]

    def features(self, tokens):
        """[n, D + C]: what the head reads."""
        x = self.hidden(tokens)
        one_over_rms = (x.pow(2).mean(-1, keepdim=True) + self.c["norm_eps"]).rsqrt()
        return torch.cat((self.norm(x, "model.norm"), self.channels * one_over_rms), -1)

    def head(self):
        """[V, D + C]"""
        head = self.t.get("lm_head.weight", self.t[EMBEDDING])
        if "lm_head.B" in self.t:
            head = head + self.t["lm_head.B"] @ self.t["lm_head.A"]
        return torch.cat((head, self.t["lm_head.channels"]), -1) if "lm_head.channels" in self.t else head

    def loss(self, pieces):
        """The sum over pieces of documents, and the number of targets."""
        logits = torch.cat([self.features(tokens) for tokens, _ in pieces]) @ self.head().T
        targets = torch.tensor([-100 if t is None else t for _, piece in pieces for t in piece])
        return F.cross_entropy(logits, targets, reduction="sum"), (targets >= 0).sum().item()


def train(variant, config, backbone, part, steps):
    learns = what_learns(variant, config, backbone)
    model = Expert(config, backbone, learns)
    if not learns:
        return model
    for tensor in learns.values():
        tensor.requires_grad_(True)
    batches = Batches(part, config["context"], BATCH, SEED)
    optimizer = adamw(learns.values(), lr=RATE, betas=(0.9, BETA2))
    for step in range(1, steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step, steps, WARMUP, RATE, MIN_RATE)
        nats, count = model.loss(list(batches.of_step(step)))
        optimizer.zero_grad()
        (nats / count).backward()
        torch.nn.utils.clip_grad_norm_(list(learns.values()), 1.0)
        optimizer.step()
    return model


@torch.no_grad()
def measure(model, documents, specials):
    """Nats and targets of documents, in windows of the context's length that begin anew."""
    total = [0.0, 0]
    for document in documents:
        targets = [t if t == specials["eos"] or t not in (specials["pad"], specials["bos"]) else None for t in document]
        for begin in range(0, len(document) - 1, model.S):
            end = min(begin + model.S, len(document) - 1)
            nats, count = model.loss([(document[begin:end], targets[begin + 1 : end + 1])])
            total = [total[0] + nats.item(), total[1] + count]
    return total


def compare(run, shared, steps, variants):
    manifest, backbone = read_bundle(shared)
    config, specials = manifest["config"], manifest["special_tokens"]
    test = read_tokens(run + "/tokens/test.labelled.mf")[1]
    parts = sorted(glob.glob(run + "/parts/part.*.mp"))
    print("variant", "more_parameters", "targets", "perplexity", *("perplexity.%d" % e for e in range(len(parts))), sep="\t", flush=True)
    for variant in variants:
        cells = []
        for e, part in enumerate(parts):
            model = train(variant, config, backbone, part, steps)
            cells.append(measure(model, [r["tokens"] for r in test if r["partition"] == e], specials))
        count = sum(t.numel() for t in what_learns(variant, config, backbone).values())
        more = max(0, count - sum(t.numel() for name, t in backbone.items() if ".mlp." in name))
        nats, targets = map(sum, zip(*cells))
        print(variant, more, targets, *("%.2f" % math.exp(n / t) for n, t in [(nats, targets), *cells]), sep="\t", flush=True)


def sizes(V, D, H, L, F_, E, channels):
    """A line for each kind of model: what it is, MB of all tensors, MB of an expert's bundle, millions of multiplications of a token."""
    d, ffn, router = D // H, 3 * D * F_, -(-(3 + 2 * E) // 32) * 32  # the router has one more head of attention

    def sparse(name, N, vocabularies, own):
        attention = 4 * (H + 1) * d * N
        layer = attention + 2 * N + E * N + E * 3 * N * F_
        return name, L * layer + N + vocabularies * V * N, L * ffn + own, L * (attention + E * N + 2 * 3 * N * F_) + V * N

    yield sparse("sparse, FFNs", D + router, 1, 0)
    for C in channels:
        wide = D + -(-(router + E * C) // 32) * 32  # rows are blocks of 32 where they are quantised
        yield sparse("sparse, %d channels of each expert" % C, wide, 2, C * (V + F_))
    name, weights, bundle, products = sparse("sparse, a head of each expert (no plain runtime)", D + router, 1, V * D)
    yield name, weights + E * V * D, bundle, products - V * (D + router) + 2 * V * D
    dense = L * (4 * D * D + 2 * D + ffn) + D + 2 * V * D
    yield "%d dense files, a head each" % E, E * dense, L * ffn + V * D, L * (4 * D * D + ffn) + V * D


def print_sizes(*numbers):
    print("model", "MB", "MB of an expert", "M multiplications", sep="\t")
    for name, weights, bundle, products in sizes(*numbers):
        print(name, *("%.2f" % (n / 1e6) for n in (4 * weights, 4 * bundle, products)), sep="\t")


if sys.argv[1] == "bytes":
    print_sizes(*map(int, sys.argv[2:8]), list(map(int, sys.argv[8:])))
else:
    compare(*sys.argv[1:3], int(sys.argv[3]), sys.argv[4:] or VARIANTS)
