"""A model of family llama, dense or sparse (Mixtral's), in PyTorch, by the names and numbers of Hugging Face's files.

    llama.py MODEL.safetensors|FOLDER|SHARED.tar TOKENS.mf LOGITS.f32 [EXPERT.tar]

The dimensions come from the metadata or manifest's `config`, in this project's words, or from a folder's config.json, in
Hugging Face's. With an expert its FFN is the shared bundle's.
What a model has follows from its tensors: biases of q, k, v and o, norms of q and k, experts, a head of its own, a prefix
router. Writes logits and prints perplexity and the number of scored tokens, as reference.py does. Plain and slow on purpose.
"""

import json
import math
import os
import sys
import tarfile

import torch
import torch.nn.functional as F

from files import mean_scores, mixed_logits, read_bundle, read_safetensors, router_scales, running_evidence, score, with_expert

# what a dimension is called: here, and in Hugging Face's config.json
WORDS = {
    "d_model": "hidden_size", "n_heads": "num_attention_heads", "n_kv_heads": "num_key_value_heads",
    "n_layers": "num_hidden_layers", "context": "max_position_embeddings", "norm_eps": "rms_norm_eps",
    "rope_theta": "rope_theta", "head_dim": "head_dim", "top_k": "num_experts_per_tok", "rope_scaling": "rope_scaling",
}


def shape_of(config):
    """The dimensions in this project's words; n_kv_heads and head_dim filled in where they are 0 or not said."""
    newer = config.get("rope_parameters")  # where they are together
    if newer:
        config = dict(config, rope_theta=newer["rope_theta"], rope_scaling=newer if newer["rope_type"] != "default" else None)
    c = {ours: config.get(ours, config.get(theirs)) for ours, theirs in WORDS.items()}
    c["n_kv_heads"] = c["n_kv_heads"] or c["n_heads"]
    c["head_dim"] = c["head_dim"] or c["d_model"] // c["n_heads"]
    return c


def frequencies(c):
    """Radians a position of each pair of columns; with Llama 3.1's rule where the configuration has it."""
    rate = c["rope_theta"] ** -(torch.arange(0, c["head_dim"], 2, dtype=torch.float64) / c["head_dim"])
    rule = c["rope_scaling"]
    if rule:
        assert rule.get("rope_type", rule.get("type")) == "llama3", "positions are stretched by a rule not known here"
        turns = rule["original_max_position_embeddings"] * rate / (2 * math.pi)
        low, high = rule["low_freq_factor"], rule["high_freq_factor"]
        kept = ((turns - low) / (high - low)).clamp(0, 1)
        rate = rate * (kept + (1 - kept) / rule["factor"])
    return rate


class Llama:
    sparse, matrices = "block_sparse_moe", ("w1", "w3", "w2")  # the names of Mixtral's experts

    def __init__(self, config, tensors):
        self.c, self.t = shape_of(config), tensors
        self.S, self.rate = self.c["context"], frequencies(self.c)

    def linear(self, x, name):
        return F.linear(x, self.t[name + ".weight"], self.t.get(name + ".bias"))

    def norm(self, x, name):
        return x * (x.pow(2).mean(-1, keepdim=True) + self.c["norm_eps"]).rsqrt() * self.t[name + ".weight"]

    def turn(self, x):
        """[n, heads, head_dim]: column i with column i + head_dim / 2, by position times rate, as complex numbers."""
        real, imaginary = x.chunk(2, -1)
        angle = torch.outer(torch.arange(len(x), dtype=torch.float64), self.rate)
        turned = torch.complex(real, imaginary) * torch.polar(torch.ones_like(angle), angle).to(torch.complex64)[:, None]
        return torch.cat((turned.real, turned.imag), -1)

    def attention(self, x, name, own=""):
        """With `own` the queries and outputs are those of an expert, whose names have it before the last part."""
        n, H, K, d = len(x), self.c["n_heads"], self.c["n_kv_heads"], self.c["head_dim"]
        q = F.linear(x, self.t[name + own + ".q_proj.weight"], self.t.get(name + ".q_proj.bias")).view(n, H, d)
        k = self.linear(x, name + ".k_proj").view(n, K, d)
        v = self.linear(x, name + ".v_proj").view(n, K, d)
        if name + ".q_norm.weight" in self.t:
            q, k = self.norm(q, name + ".q_norm"), self.norm(k, name + ".k_norm")
        q, k = self.turn(q).view(n, K, H // K, d), self.turn(k)
        scores = torch.einsum("ikgd,jkd->kgij", q, k) / math.sqrt(d)
        later = torch.ones(n, n, dtype=torch.bool).triu(1)
        mixed = torch.einsum("kgij,jkd->ikgd", scores.masked_fill(later, float("-inf")).softmax(-1), v)
        return F.linear(mixed.reshape(n, H * d), self.t[name + own + ".o_proj.weight"], self.t.get(name + ".o_proj.bias"))

    def attentions(self, x, h, name, evidence):
        """Where experts have attention of their own each row's is weighed as its FFNs are, by token scores alone."""
        if not any(".self_attn.experts." in tensor for tensor in self.t):
            return self.attention(h, name)
        best, chosen = self.choose(self.scores(x, name, evidence))
        out = torch.zeros_like(x)
        for e in chosen.unique().tolist():
            own = ".experts.%d" % e
            own = own if name + own + ".q_proj.weight" in self.t else ""
            out = out + (best * (chosen == e)).sum(-1, keepdim=True) * self.attention(h, name, own)
        return out

    def choose(self, logits):
        """The top_k experts and their weights, a softmax over those alone; of equal logits the lower index first."""
        best, chosen = logits.sort(dim=-1, descending=True, stable=True)
        return best[:, : self.c["top_k"]].softmax(-1), chosen[:, : self.c["top_k"]]

    def gated(self, h, gate, up, down):
        return self.linear(F.silu(self.linear(h, gate)) * self.linear(h, up), down)

    def mixture(self, x, h, name, evidence):
        """Each row's experts."""
        best, chosen = self.choose(self.gates(x, h, name, evidence))
        self.choice = chosen.tolist(), best
        out = torch.zeros_like(h)
        for e in chosen.unique().tolist():
            rows, place = (chosen == e).nonzero(as_tuple=True)
            expert = "%s.experts.%d." % (name, e)
            y = self.gated(h[rows], *(expert + matrix for matrix in self.matrices))
            out = out.index_add(0, rows, best[rows, place, None] * y)
        return out

    def gates(self, x, h, name, evidence):
        return self.linear(h, name + ".gate")

    def ffn(self, x, layer, evidence):
        h, mlp = self.norm(x, layer + "post_attention_layernorm"), layer + "mlp"
        if layer + self.sparse + ".gate.weight" in self.t:
            return self.mixture(x, h, layer + self.sparse, evidence)
        return self.gated(h, mlp + ".gate_proj", mlp + ".up_proj", mlp + ".down_proj")

    def hidden(self, tokens, evidence=None):
        """[n, d_model], before the last norm."""
        x = self.t["model.embed_tokens.weight"][torch.tensor(tokens)]
        for i in range(self.c["n_layers"]):
            layer = "model.layers.%d." % i
            x = x + self.attentions(x, self.norm(x, layer + "input_layernorm"), layer + "self_attn", evidence)
            x = x + self.ffn(x, layer, evidence)
        return x

    def logits(self, tokens, evidence=None):
        h = self.norm(self.hidden(tokens, evidence), "model.norm")
        head = self.t.get("lm_head.weight", self.t["model.embed_tokens.weight"])
        if any(name.startswith("lm_head.experts.") for name in self.t):
            return mixed_logits(h, head, self.t, *self.choice)
        return h @ head.T


class Stored(Llama):
    """As it lies in a file of this project's."""

    def __init__(self, path, expert=None):
        if os.path.isfile(path) and tarfile.is_tarfile(path):
            manifest, tensors = read_bundle(path)
            meta = {name: json.dumps(manifest[name]) for name in ("config", "special_tokens") if name in manifest}
        else:
            meta, tensors = read_safetensors(path)
        if expert:
            tensors = with_expert(tensors, expert)
        super().__init__(json.loads(meta["config"]), tensors)
        default = {"pad": 0, "bos": 2, "eos": 3}
        self.specials = json.loads(meta["special_tokens"]) if "special_tokens" in meta else default
        self.router = json.loads(meta.get("router", "{}"))
        self.mean = self.router.get("token_scores") == "mean"
        self.layer_scale = self.router.get("layer_scale", [1.0] * self.c["n_layers"])
        assert self.router.get("weights", "chosen") == "chosen", self.router

    def scores(self, x, name, evidence):
        if self.mean:
            rms = (x.pow(2).mean(-1, keepdim=True) + self.c["norm_eps"]).sqrt()
            evidence = evidence * self.layer_scale[int(name.split(".")[2])] / rms
        return evidence * router_scales(self.router)[1]

    def gates(self, x, h, name, evidence):
        return super().gates(x, h, name, evidence) * router_scales(self.router)[0] + self.scores(x, name, evidence)

    def evidence(self, tokens):
        table = self.t.get("prefix_router.log_likelihood")
        if self.mean:
            return mean_scores(table, tokens, self.specials, self.router)
        return running_evidence(table, tokens, self.specials, self.router, 1)


class Noted(dict):
    """Notes which keys were asked for."""

    def __init__(self, items):
        super().__init__(items)
        self.asked = set()

    def __getitem__(self, key):
        self.asked.add(key)
        return super().__getitem__(key)

    def get(self, key, default=None):
        return self[key] if key in self else default


class Folder(Llama):
    """As it lies in a folder of Hugging Face's: config.json and tensors are all that is known of it."""

    def __init__(self, path):
        with open(os.path.join(path, "config.json")) as file:
            config = json.load(file)
        super().__init__(config, Noted(read_safetensors(path)[1]))
        self.experts = config.get("num_local_experts", config.get("num_experts", 0))
        if config.get("model_type") == "qwen3_moe":
            assert config["norm_topk_prob"] and config["decoder_sparse_step"] == 1 and config["mlp_only_layers"] == []
            self.sparse, self.matrices = "mlp", ("gate_proj", "up_proj", "down_proj")
        ids = {name: config.get(name + "_token_id") for name in ("pad", "bos", "eos")}
        self.specials = {name: -1 if value is None else value for name, value in ids.items()}
        assert ("lm_head.weight" in self.t) != config.get("tie_word_embeddings", True)

    def evidence(self, tokens):
        return [None] * len(tokens)

    def check(self):
        """Was every tensor read? An expert's maybe not: it has to be there, and one of so many."""
        for layer in range(self.c["n_layers"]):
            for e in range(self.experts):
                for matrix in self.matrices:
                    self.t["model.layers.%d.%s.experts.%d.%s.weight" % (layer, self.sparse, e, matrix)]
        assert self.t.asked == set(self.t), sorted(set(self.t) - self.t.asked)


if __name__ == "__main__":
    if os.path.isdir(sys.argv[1]):
        model = Folder(sys.argv[1])
        score(model, *sys.argv[2:4])
        model.check()
    else:
        score(Stored(sys.argv[1], *sys.argv[4:]), *sys.argv[2:4])
