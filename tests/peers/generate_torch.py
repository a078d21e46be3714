"""Generation once more in PyTorch without a cache: what `make bench-generate` measures ours against.

    generate_torch.py MODEL.safetensors FIRST COUNT THREADS

The model of tests/oracle/reference.py, with the rows of an expert together. From FIRST tokens on, takes the likeliest COUNT times,
each time from all tokens so far, and prints tokens a second.
"""

import os
import sys
import time

import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "oracle"))
from reference import BOS, Model  # noqa: E402


class Grouped(Model):
    def mixture(self, x, i, evidence):
        prefix, r = "moe_layers.%d." % i, self.router
        h = self.norm(x, prefix + "ffn_norm")
        logits = h @ self.t[prefix + "router.gate.weight"].T * r.get("gate_scale", 0.0) + evidence * r.get("evidence_scale", 1.0)
        best, chosen = logits.topk(self.config["top_k"], -1)
        weights, out = best.softmax(-1), torch.zeros_like(x)
        for e in chosen.unique().tolist():
            rows, k = (chosen == e).nonzero(as_tuple=True)
            out[rows] += weights[rows, k, None] * self.expert(h[rows], prefix + "experts.%d." % e)
        return out


torch.set_num_threads(int(sys.argv[4]))
model, count = Grouped(sys.argv[1]), int(sys.argv[3])
tokens = [BOS] + [4 + 7 * i % 256 for i in range(int(sys.argv[2]) - 1)]
with torch.no_grad():
    model.logits(tokens, model.evidence(tokens))
    began = time.monotonic()
    for _ in range(count):
        tokens.append(model.logits(tokens, model.evidence(tokens))[-1].argmax().item())
print("%.1f" % (count / (time.monotonic() - began)))
