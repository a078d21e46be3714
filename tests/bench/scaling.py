#!/usr/bin/python3
"""A model of what experts cost, checked against runs and carried on: scaling.py PROGRAMS RUNS EXPERTS...

RUNS is what tests/bench/scaling.sh measured. The model knows the work of each stage and the size of each file as functions
of the configuration and the number of experts E; the speed of each stage comes from the run with the fewest experts.
It predicts the other runs, which were measured, and then, with the speeds of docs/performance.md for training, a thousand
experts on a thousand nodes. Writes Markdown; exit status 1 when a size is predicted wrongly by more than 2%, or a step of
several processes sends other bytes than it should.
"""
import glob
import heapq
import json
import math
import os
import random
import re
import subprocess
import sys
import tarfile
import textwrap

# The cluster of the last part: what is assumed, not measured.
LINK = 125e6  # bytes a second of a node's network: 1 Gbit/s
STORAGE = 2e9  # bytes a second of the shared storage, for all nodes together
LATENCY = 50e-6  # seconds of a message
MTBF = 30 * 86400  # seconds between two failures of one node, on average
NODES = 1000
MANY = 1000  # experts
PART = 1 << 16  # floats of a message of lib/train/ranks_mpi.c


# --- the model ---


class Shape:
    """The dimensions of a model: numbers of parameters, and operations of a token (docs/performance.md)."""

    def __init__(self, config):
        self.V, self.D, self.L = config["vocab_size"], config["d_model"], config["n_layers"]
        self.F, self.S = config["d_ff"], config["context"]
        V, D, L, F = self.V, self.D, self.L, self.F
        self.backbone = V * D + L * (4 * D * D + 2 * D) + 2 * D
        self.ffn = L * (2 * D * F + F + 3 * D)

    def forward(self, experts):
        V, D, L, F, S = self.V, self.D, self.L, self.F, self.S
        return 2 * (L * (4 * D * D + 2 * experts * D * F + S * D) + V * D)

    def shared_step(self):
        return 3 * self.forward(1)

    def expert_step(self):
        V, D, L, F, S = self.V, self.D, self.L, self.F, self.S
        return self.forward(1) + 2 * (V * D + 4 * L * D * F + (L - 1) * (4 * D * D + 2 * S * D))

    # Bytes of the tensors in the files of formats/bundle.md and formats/model.md, without headers.
    def shared_bytes(self):
        return 4 * (self.backbone + self.ffn) + 8 * self.V

    def expert_bytes(self):
        return 4 * self.ffn + 8 * self.V + 4 * 2 * self.D * (2 * self.L + 1)

    def checkpoint_bytes(self):
        return 3 * 4 * self.ffn

    def model_bytes(self, E):
        V, D, L = self.V, self.D, self.L
        return 4 * (self.backbone + V * D + self.S * D + L * 4 * D + E * (2 * L * D + V + self.ffn))

    def model_tensors(self, E):
        return 6 + self.L * (10 + 6 * E)


def sent(shape, ranks):
    """Bytes that each of several processes of a shared training sends in a step: its part of the gradients' sum."""
    return 2 * (ranks - 1) / ranks * 4 * (shape.backbone + shape.ffn)


def schedule(durations, workers):
    """When the last of the jobs ends that are taken by whichever worker is free first."""
    free = [0.0] * workers
    for d in durations:
        heapq.heapreplace(free, free[0] + d)
    return max(free)


def compared(E):
    """Centroids that mf-partition compares a document with, in one level or two (formats/partition.md)."""
    return E if E <= 64 else 5 * round(math.sqrt(E))


# --- what was measured ---


def size(path):
    return os.path.getsize(path)


def load(path):
    with open(path) as f:
        return json.load(f)


class Run:
    def __init__(self, folder, experts):
        self.E = experts
        with tarfile.open(folder + "/shared.tar") as tar:
            manifest = json.load(tar.extractfile("manifest.json"))
        self.shape = Shape(manifest["config"])
        self.tokens = manifest["training"]["tokens"]
        self.documents = manifest["training"]["documents"]
        record = lambda name: load(f"{folder}/stages/{name}.json")
        stage = lambda name: record(name)["cpu_seconds"]
        shards = range(len(glob.glob(folder + "/docs/train.*.mf")))
        self.seconds = {
            "docs, read": sum(stage(f"docs.{i}") for i in shards),
            "docs, merged": stage("docs"),
            "tokenizer": stage("tokenizer"),
            "tokens": sum(stage("tokens." + s) for s in ["val", "test", *(f"train.{i}" for i in shards)]),
            "tokens, joined": stage("tokens.train"),
            "partition": stage("partition"),
            "shared": stage("shared"),
            "one expert": sum(stage(f"expert.{e}") for e in range(experts)) / experts,
            "join": stage("join"),
            "calibrate": stage("calibrate"),
            "report": [s["cpu_seconds"] for s in load(folder + "/report.json")["stages"] if s["stage"] == "report"][0],
        }
        self.alone = [record(f"expert.{e}")["seconds"] for e in range(experts)]
        self.together = record("experts")["seconds"]
        self.text = sum(size(f"{folder}/docs/train.{i}.mf") for i in shards)
        self.bytes = {
            "tokens": size(folder + "/tokens/train.mf"),
            "parts": sum(size(f"{folder}/parts/part.{e}.mp") for e in range(experts)),
            "shared.tar": size(folder + "/shared.tar"),
            "experts": sum(size(f"{folder}/expert.{e}.tar") for e in range(experts)),
            "model": size(folder + "/assembled.safetensors"),
        }
        self.trials = len(load(folder + "/calibration.json")["changes"])


def predict(base, second, E):
    """Processor seconds and bytes of a run with E experts that is otherwise like `base`. Only the partitioning's time, which is k-means
    on the documents beside reading them, takes two runs."""
    s, shape = dict(base.seconds), base.shape
    slope = (second.seconds["partition"] - base.seconds["partition"]) / (second.E - base.E)
    s["partition"] += slope * (E - base.E)
    s["join"] *= shape.model_bytes(E) / shape.model_bytes(base.E)
    alone = lambda n: max(min(n, 8), n / 2)  # passes of experts over 20000 tokens, by formats/report.md
    passes = lambda n: (alone(n) + 2) * shape.forward(1) + 2 * shape.forward(2)
    s["report"] *= passes(E) / passes(base.E)
    b = dict(base.bytes)
    b["experts"] *= E / base.E
    header = (base.bytes["model"] - shape.model_bytes(base.E)) / shape.model_tensors(base.E)
    b["model"] = shape.model_bytes(E) + header * shape.model_tensors(E)
    return s, b


# --- the document ---


def prose(text):
    for paragraph in text.strip().split("\n\n"):
        print(paragraph if paragraph.startswith("#") else textwrap.fill(" ".join(paragraph.split()), 100, break_long_words=False, break_on_hyphens=False))
        print()


def table(head, rows):
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


def amount(n):
    for unit, name in ((1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "KB")):
        if n >= unit:
            return f"{n / unit:.3g} {name}"
    return f"{n:.0f} B"


def time(s):
    for unit, name in ((86400 * 365, "years"), (86400, "days"), (3600, "h"), (60, "min")):
        if s >= unit * 1.5:
            return f"{s / unit:.3g} {name}"
    return f"{s:.2g} s"


def check(runs):
    """Prints predicted beside measured; the largest relative error of a size."""
    base, worst = runs[0], 0
    predicted = [predict(base, runs[1], r.E) for r in runs]
    head = [f"{r.E} experts{m}" for r in runs for m in ([", measured"] if r is base else [", predicted", ", measured"])]
    for which, unit in ((0, "processor seconds"), (1, "bytes")):
        rows = []
        for name in predicted[0][which]:
            row = [name]
            for run, p in zip(runs, predicted):
                measured = (run.seconds if which == 0 else run.bytes)[name]
                text = f"{measured:.2f}" if which == 0 else str(measured)
                if run is base:
                    row.append(text)
                    continue
                error = measured / p[which][name] - 1
                worst = max(worst, abs(error)) if which == 1 else worst
                row += [f"{p[which][name]:.2f}" if which == 0 else f"{p[which][name]:.0f}", f"{text} ({100 * error:+.1f}%)"]
            rows.append(row)
        table([unit] + head, rows)
    return worst


def check_schedule(runs):
    rows = []
    for r in runs:
        predicted = schedule(r.alone, 2)
        rows.append([str(r.E), f"{sum(r.alone):.2f}", f"{predicted:.2f}", f"{r.together:.2f} ({100 * (r.together / predicted - 1):+.1f}%)"])
    table(["experts", "seconds, added up", "on two workers, predicted", "measured"], rows)


def check_ranks(shape, path):
    rows, worst = [], 0
    with open(path) as f:
        for line in f:
            ranks, measured = map(int, line.split())
            error = measured / sent(shape, ranks) - 1
            worst = max(worst, abs(error))
            rows.append([str(ranks), f"{sent(shape, ranks):.0f}", f"{measured} ({100 * error:+.3f}%)"])
    table(["processes", "bytes a step, predicted", "measured"], rows)
    return worst


def read_speeds(docs="docs/performance"):
    """From the benchmarks' figures of the kind of processor that was measured last: the kind, threads, tokens a second of the
    default model's two trainings, in the precision that they choose by themselves, and seconds that dividing takes for each
    document and centroid it is compared with (of a million into 16 partitions, with reading them: an upper bound)."""
    def read(section):
        with open(f"{docs}/{kind}/{section}.txt") as f:
            return f.read()

    def measured(path):
        with open(path) as f:
            return f.readline().partition("; measured ")[2]

    both = [p for p in sorted(glob.glob(docs + "/*/train.txt")) if os.path.exists(os.path.dirname(p) + "/partition.txt")]
    kind = os.path.basename(os.path.dirname(max(both, key=measured)))
    text = read("train").split("training, default.yaml, ", 1)[1].split("\ntraining, ", 1)[0]
    rates = [float(re.findall(rf"^{step} +(?:ours \w+ +)?([0-9.]+)", text, re.M)[-1]) for step in ("shared", "expert")]
    dividing = float(read("partition").split("\n   1000000 ", 1)[1].split()[1]) / 1e6 / compared(16)
    return kind, int(text.split()[0]), *rates, dividing


def read_config(programs, path):
    """{"section.key": number} of the numbers in a configuration."""
    text = subprocess.run([programs + "/mf-config", "print", "--config", path], check=True, capture_output=True, text=True).stdout
    config, section = {}, ""
    for line in text.splitlines():
        key, _, value = line.strip().partition(":")
        if not line.startswith(" "):
            section = key + "."
        try:
            config[section + key] = float(value)
        except ValueError:
            pass
    return config


def train_experts(nodes, experts, seconds, between, fetched, seed=1):
    """Simulates the experts' training: each is taken by the node that is free first, fetches its inputs from the shared
    storage, and loses what it did since its last checkpoint when its node fails. Returns seconds, failures, seconds lost."""
    chance = random.Random(seed)
    fetch = max(fetched / LINK, fetched * min(nodes, experts) / STORAGE)
    free, failures, lost = [0.0] * nodes, 0, 0.0
    for _ in range(experts):
        spent, done = 0.0, 0.0
        while True:
            until = chance.expovariate(1 / MTBF)
            if until > fetch + seconds - done:
                spent += fetch + seconds - done
                break
            failures += 1
            kept = max(until - fetch, 0) // between * between
            lost += until - kept
            done += kept
            spent += until
        heapq.heapreplace(free, free[0] + spent)
    return max(free), failures, lost


def carry_on(base, programs):
    config = read_config(programs, "configs/default.yaml")
    key = lambda name: int(config[name])
    shape = Shape({"vocab_size": key("tokenizer.vocab_size"), **{k: key("model." + k) for k in ("d_model", "n_layers", "d_ff", "context")}})
    E = MANY
    kind, threads, shared_rate, expert_rate, dividing = read_speeds()
    step = lambda stage: key(stage + ".batch") * key(stage + ".accumulation") * shape.S
    operations = expert_rate * shape.expert_step()  # a second
    # one pass of each expert over its own part
    tokens = E * step("train_expert") * key("train_expert.steps")
    text = tokens * base.text / base.tokens
    documents = tokens * base.documents / base.tokens
    held = tokens * config["docs.val_fraction"]
    file_tokens = tokens * base.bytes["tokens"] / base.tokens

    scale = text / base.text
    per_expert = step("train_expert") * key("train_expert.steps") / expert_rate
    per_shared = step("train_shared") * key("train_shared.steps") / shared_rate
    between = key("train_expert.checkpoint_every") * step("train_expert") / expert_rate
    model = shape.model_bytes(E)
    passes = base.trials + 3 * (shape.L - base.shape.L) + 5
    scored = key("calibrate.max_tokens") / 2 * passes
    batch = key("eval.batch") * shape.S
    distinct = lambda low: (2 * key("eval.batch") if low else min(E, 2 * batch)) * 4 * shape.ffn
    calibrate = scored * shape.forward(key("model.top_k")) / operations
    prose(
        f"""## {E} experts on {NODES} nodes

configs/default.yaml: an expert is {amount(4 * shape.ffn)}, the backbone
{amount(4 * shape.backbone)}. Each expert passes once over a part of its own, {tokens / E / 1e6:.1f}
million tokens, so that all have {tokens / 1e9:.1f} billion tokens, {amount(text)} of text in
{documents / 1e6:.0f} million documents as long as those of the runs. A node is {kind} of
[performance.md](performance.md): {threads} threads train an expert at {expert_rate:.0f} tokens/s
and the backbone at {shared_rate:.0f}; what has one thread has the speed of the runs above. Assumed:
a network of {amount(LINK)}/s for each node, a shared storage of {amount(STORAGE)}/s for all,
{time(LATENCY * 1e6)[:-2]} µs a message, one failure of a node in {MTBF / 86400:.0f} days.

### Time
"""
    )
    validated = held * base.bytes["tokens"] / base.tokens
    fetched = shape.shared_bytes() + (file_tokens + validated) / E
    rows = []
    for nodes in (1, 10, 100, 1000):
        wall, failures, lost = train_experts(nodes, E, per_expert, between, fetched)
        rows.append([str(nodes), time(wall), f"{E * per_expert / nodes / wall:.2f}", str(failures), time(lost)])
    table(["nodes", "experts, simulated", "of ideal", "failures", "work lost"], rows)
    report = lambda n, experts: (2 * n * (shape.forward(1) + shape.forward(2)) + experts * shape.forward(1)) / operations
    sample, first = 1 << 20, 10000  # at most; of an expert at least (formats/report.md)
    rows = [
        ["mf-docs --shard", str(NODES), time(base.seconds["docs, read"] * scale / NODES), f"`SHARDS={NODES}`; one reads {amount(text / NODES)}"],
        ["mf-docs --merge", "1", time(base.seconds["docs, merged"] * scale), "decides about copies, writes all text"],
        ["mf-tokenize train", "1", time(base.seconds["tokenizer"] * scale), "of all documents; `tokenizer.sample` takes a share"],
        [
            "mf-tokenize encode",
            str(NODES),
            time(base.seconds["tokens"] * scale * max(1 / NODES, config["docs.val_fraction"])),
            "training's shards each by one; validation's documents, all by one, take longest",
        ],
        ["mf-cat --join", "1", time(base.seconds["tokens, joined"] * scale), "the tokens of all shards as one stream"],
        [
            "mf-partition",
            "1",
            time(documents * compared(E) * dividing),
            f"at most: as a million documents in 16 parts take for each document and centroid; {compared(E)} of {E} are compared",
        ],
        ["mf-train-shared", "1", time(per_shared), "of several: below"],
        ["mf-train-expert", str(NODES), rows[-1][1], "above"],
        ["mf-assemble", "1", time(2 * model / LINK), "reads and writes the model once, through the node's network"],
        ["mf-calibrate", "1", time(calibrate), f"{passes} passes over half of {key('calibrate.max_tokens')} tokens, and reading the experts they meet"],
        ["mf-eval report, eval.max_tokens=0", "1", time(report(held, E * held)), "each expert alone on all test documents"],
        ["mf-eval report", "1", time(report(sample, max(8 * sample, E * first))), "at most: on a sample; and reading each expert once"],
    ]
    table(["stage", "nodes", "time", ""], rows)

    print("### Bytes\n")
    batches = scored / batch
    rows = [
        ["shared.tar to each expert", amount(E * shape.shared_bytes()), time(E * shape.shared_bytes() / STORAGE)],
        ["its part to each expert", amount(file_tokens), time(file_tokens / STORAGE)],
        [f"its validation documents to each (docs.val_fraction {config['docs.val_fraction']:g})", amount(validated), time(validated / STORAGE)],
        ["experts back", amount(E * shape.expert_bytes()), time(E * shape.expert_bytes() / STORAGE)],
        [
            "checkpoints, all that are written",
            amount(E * shape.checkpoint_bytes() * (key("train_expert.steps") // key("train_expert.checkpoint_every") - 1)),
            f"{amount(E * shape.checkpoint_bytes() / between)}/s while experts train",
        ],
        ["assembly, read and written", amount(2 * model), time(2 * model / LINK) + " by one node"],
        [
            "experts read by calibration",
            f"{amount(batches * distinct(True))} to {amount(batches * distinct(False))}",
            f"{time(batches * distinct(True) / LINK)} to {time(batches * distinct(False) / LINK)} by one node",
        ],
    ]
    table(["what moves", "bytes", "time, alone on the storage"], rows)
    rows = [
        ["documents", amount(text)],
        ["tokens, and again as parts", amount(2 * file_tokens)],
        ["shared.tar", amount(shape.shared_bytes())],
        ["experts", amount(E * shape.expert_bytes())],
        ["checkpoints, the newest of each and its best", amount(E * (shape.checkpoint_bytes() + 4 * shape.ffn))],
        ["assembled and calibrated model", amount(2 * model)],
    ]
    table(["what is stored", "bytes"], rows)

    print("### The shared phase on several nodes\n")
    rows = []
    whole = step("train_shared")
    for ranks in (1, 2, 4, 8, 16):
        compute = whole / ranks / shared_rate
        messages = 2 * (ranks - 1) * math.ceil((shape.backbone + shape.ffn) / (ranks * PART))
        row = [str(ranks), str(key("train_shared.batch") // ranks), amount(sent(shape, ranks)), f"{compute:.2f}"]
        for link in (LINK, 10 * LINK):
            seconds = compute + sent(shape, ranks) / link + messages * LATENCY
            row += [f"{seconds:.2f}", time(seconds * key("train_shared.steps")), f"{whole / shared_rate / seconds:.1f}x"]
        rows.append(row)
    fast = amount(10 * LINK) + "/s"
    slow = amount(LINK) + "/s"
    table(["processes", "batch", "sent a step", "s of work", f"s a step, {slow}", "all", "faster", f"s a step, {fast}", "all", "faster"], rows)


def main():
    programs, folder = sys.argv[1], sys.argv[2]
    runs = [Run(f"{folder}/{n}", int(n)) for n in sys.argv[3:]]
    base = runs[0]
    if len(runs) < 3:
        sys.exit("scaling.py: three numbers of experts at least")
    prose(
        f"""# Scaling

Made by `make scaling`: a model of what each stage does, in tests/bench/scaling.py, with the speeds
of a run of {base.E} experts; beside runs of {', '.join(str(r.E) for r in runs[1:])} experts; then
carried on.

## The model beside runs

configs/scaling.yaml with fewer steps, {base.tokens} tokens in {base.documents} documents, one
thread a program. Work of a token as in [performance.md](performance.md), sizes as in
[formats](../formats), time as processors worked, which depends less on what else a machine does.
What does not depend on the number of experts is predicted to stay as it is; joining follows the
model's bytes, the report the experts that it measures alone. Partitioning's time is a line through
the first two runs, so that its second is no prediction.
"""
    )
    worst = check(runs)
    prose("Experts trained two at a time (`make -j2`), scheduled as the simulation below does it from the seconds of each:")
    check_schedule(runs)
    prose("In a step of shared training by several processes each sends its share of the gradients' sum, counted by Open MPI's monitoring:")
    worst_sent = check_ranks(base.shape, folder + "/ranks.tsv")
    carry_on(base, programs)
    return 1 if worst > 0.02 or worst_sent > 0.001 else 0


if __name__ == "__main__":
    sys.exit(main())
