#!/usr/bin/python3
"""Which candidates a search by successive halving trains, with which settings, and how they did: search.py COMMAND [OPTION]...

    plan                  prints how many trainings and steps each round has: at most, where it depends on the round before
    totals                prints the total of each round, in steps of the backbone: a share of what the configuration has
    candidates TOTAL      prints the names of that round's candidates, chosen by the results of the round before
    settings TOTAL NAME   prints the --set options that train a backbone or an expert of a candidate
    result TOTAL NAME     measures a candidate and prints its line of the table
    table                 prints the table: all candidates of all rounds, the best first

A backbone is named SHARE-KIND: the percent of the total that it trains for, and how it is handed over: annealed (by the schedule
there is), steady (before its learning rate falls), or, of a share of 0, untrained. A candidate is named
SHARE-KIND-TRAINED-RATE: also what its experts learn (ffn, or qo, rankR and headR or headfull in this order, beside or in the
place of whole FFNs) and their learning rate over the configuration's.

The first round has all candidates, at rate 1. The second has the best of them at all rates, each later round the best of the
one before. The best of each share is always among them. FOLDER/TOTAL has the files of a round: SHARE-KIND.tar and .json, a
backbone and what mf-eval says of it, NAME.expert.E.tar, and NAME.tsv, the result. FOLDER/test has each expert's test documents.
"""
import argparse
import json
import math
import os
import re
import subprocess
import sys

COLUMNS = ("round total share backbone trained rate backbone_steps expert_steps backbone_perplexity oracle_perplexity "
           "expert_bytes").split()
TRAINED = re.compile(r"ffn|(?=.)(?P<qo>qo)?(rank(?P<rank>[1-9]\d*))?(head(?P<head>[1-9]\d*|full))?")
KINDS = "annealed", "steady"
NEVER = float("inf")  # the perplexity of what diverged

# What the plan's time is made of, measured at the demo's size in bf16 with AMX.
STEPS = 16  # steps a second and thread
AROUND = 1  # seconds of a training for loading, validation and measuring


def refuse(status, message):
    print("search.py: " + message, file=sys.stderr)
    sys.exit(status)


def number(text, fits, what):
    try:
        value = float(text)
    except ValueError:
        value = None
    if value is None or not fits(value):
        refuse(64, f"{what}, not '{text}'")
    return value


def diverged(expert):
    """The rule that trains experts leaves a word in the place of a bundle."""
    with open(expert, "rb") as file:
        return file.read(8) == b"diverged"


class Candidate:
    """share, kind and, if it is not a backbone alone, what its experts learn and at which rate: as its name says."""

    def __init__(self, name):
        self.name = name
        self.share, self.kind, self.trained, self.rate = (name.split("-") + [None, None])[:4]
        self.backbone = f"{self.share}-{self.kind}"

    def combination(self):
        return self.share, self.kind, self.trained


class Search:
    def __init__(self, options):
        self.programs, self.folder, self.threads = options.programs, options.folder, options.threads
        self.settings = options.settings
        self.shares, self.backbones = options.shares.split(), options.backbones.split()
        self.trained, self.rates = options.trained.split(), options.rates.split()
        self.read_config()
        self.check(options)

    def run(self, program, *arguments):
        done = subprocess.run([f"{self.programs}/{program}", *arguments], stdout=subprocess.PIPE, check=False)
        if done.returncode:
            sys.exit(done.returncode)  # it said why
        return done.stdout.decode()

    def read_config(self):
        """The settings of both trainings, and the total in steps of the backbone."""
        section, config = None, {}
        for line in self.run("mf-config", "print", *self.settings).splitlines():
            key, value = line.split(":", 1)
            if not line.startswith(" "):
                section = key
            config[f"{section}.{key.strip()}"] = value.strip()
        self.phases = [{key: float(config[f"{phase}.{key}"]) for key in ("steps", "batch", "accumulation", "warmup", "lr", "min_lr",
                        "validate_every", "checkpoint_every")} for phase in ("train_shared", "train_expert")]
        self.experts = int(config["model.n_experts"])
        shared, expert = (phase["batch"] * phase["accumulation"] for phase in self.phases)
        self.ratio = self.experts * expert / shared  # steps of the backbone that one step of each expert is worth
        self.total = self.phases[0]["steps"] + self.phases[1]["steps"] * self.ratio

    def check(self, options):
        for name in "shares", "backbones", "trained", "rates", "rounds":
            given = getattr(options, name).split()
            if not given or len(set(given)) < len(given):
                refuse(64, f"--{name} names at least one, and none twice")
        for share in self.shares:
            number(share, lambda x: 0 <= x < 100 and share.isdigit(), "a share is a whole percent from 0 to 99")
        for kind in self.backbones:
            if kind not in KINDS:
                refuse(64, f"a backbone is {' or '.join(KINDS)}, not '{kind}'")
        for trained in self.trained:
            if not TRAINED.fullmatch(trained):
                refuse(64, f"experts learn ffn, or qo, rankR, headR or headfull in this order, not '{trained}'")
        for rate in self.rates:
            number(rate, lambda x: x > 0 and re.fullmatch(r"[\d.]+", rate), "a rate is a number above 0, such as 0.5")
        rounds = [number(r, lambda x: 0 < x <= 100, "a round is a percent of the total, above 0") for r in options.rounds.split()]
        self.keep = [int(number(k, lambda x: x >= len(self.shares) and k.isdigit(), "a round keeps one of each share at least, "
                                f"which is {len(self.shares)}")) for k in options.keep.split()]
        if len(self.keep) != len(rounds) - 1:
            refuse(64, f"--keep has a number for each round but the last, which is {len(rounds) - 1}, not {len(self.keep)}")
        self.totals = [round(self.total * r / 100) for r in rounds]
        if any(a >= b for a, b in zip(self.totals, self.totals[1:])):
            refuse(64, "each round has more steps than the one before")
        if self.totals[0] < self.ratio:
            refuse(64, f"the first round has {self.totals[0]} steps, too few for one of each expert")

    # --- the steps of a candidate, and its settings ---

    def steps(self, total, candidate):
        """Of the backbone, and of each expert."""
        shared = round(total * int(candidate.share) / 100)
        return max(1, shared), max(1, round((total - shared) / self.ratio))

    def sets(self, total, candidate):
        """A training's settings: what counts in steps is scaled with them."""
        expert = candidate.trained is not None
        phase, section = self.phases[expert], ("train_shared", "train_expert")[expert]
        steps, lr, min_lr = self.steps(total, candidate)[expert], phase["lr"], phase["min_lr"]
        scaled = {key: round(phase[key] * steps / phase["steps"]) for key in ("warmup", "validate_every", "checkpoint_every")}
        if expert:
            lr, min_lr = lr * float(candidate.rate), min_lr * float(candidate.rate)
        elif candidate.kind == "untrained":
            lr = min_lr = 0
        elif candidate.kind == "steady":
            min_lr = lr
        sets = {f"{section}.{key}": value for key, value in (
            ("steps", steps), ("warmup", min(scaled["warmup"], steps)), ("lr", f"{lr:.10g}"), ("min_lr", f"{min_lr:.10g}"),
            ("validate_every", max(1, scaled["validate_every"])), ("checkpoint_every", max(1, scaled["checkpoint_every"])))}
        if expert:
            learned = TRAINED.fullmatch(candidate.trained).groupdict()
            sets.update({"expert.train": "ffn+qo" if learned["qo"] else "ffn", "expert.rank": learned["rank"] or 0,
                         "expert.head": learned["head"] or "none"})
        return " ".join(f"--set {key}={value}" for key, value in sets.items())

    # --- rounds ---

    def first(self):
        backbones = []
        for share in self.shares:
            backbones += [f"{share}-{kind}" for kind in (self.backbones if int(share) else ["untrained"])]
        return [Candidate(f"{backbone}-{trained}-1") for backbone in backbones for trained in self.trained]

    def results(self, index):
        """Lines of the table, the best first; None when one is missing."""
        candidates, lines = self.candidates(index), []
        for candidate in candidates or []:
            try:
                with open(f"{self.folder}/{self.totals[index]}/{candidate.name}.tsv", encoding="utf-8") as file:
                    line = file.read().rstrip("\n").split("\t")
            except FileNotFoundError:
                return None
            perplexity = line[COLUMNS.index("oracle_perplexity") - 2]
            lines.append((NEVER if perplexity == "-" else float(perplexity), candidate, line))
        return candidates and sorted(lines, key=lambda x: x[0])

    def candidates(self, index):
        """None when they are not known yet."""
        if index == 0:
            return self.first()
        results = self.results(index - 1)
        if results is None:
            return None
        kept = self.best([candidate for _, candidate, _ in results], self.keep[index - 1])
        return self.at_all_rates(kept) if index == 1 else kept

    def best(self, ranked, count):
        """The first of each share, then others as they come; of those that differ in their rate alone, the best."""
        best_rate = list({c.combination(): c for c in reversed(ranked)}.values())
        ranked = [c for c in ranked if c in best_rate]
        of_share = list({c.share: c for c in reversed(ranked)}.values())
        others = [c for c in ranked if c not in of_share]
        kept = of_share + others[:max(0, count - len(of_share))]
        return [c for c in ranked if c in kept]

    def at_all_rates(self, candidates):
        return [Candidate("-".join((*c.combination(), rate))) for c in candidates for rate in self.rates]

    # --- commands ---

    def index(self, total):
        if total not in map(str, self.totals):
            refuse(64, f"no round has {total} steps")
        return list(map(str, self.totals)).index(total)

    def plan(self):
        for candidate in self.at_all_rates(self.first()[:len(self.trained)]):  # what their trainings would refuse, before the first
            self.run("mf-config", "check", *self.settings, *self.sets(self.totals[0], candidate).split())
        trainings = steps = 0
        for index, total in enumerate(self.totals):
            candidates, bound = self.candidates(index), ""
            if candidates is None:  # the round is the longest if those are kept whose experts train the longest
                longest = self.best(sorted(self.first(), key=lambda c: int(c.share)), self.keep[index - 1])
                candidates, bound = self.at_all_rates(longest) if index == 1 else longest, "at most "
                backbones = sorted({c.backbone for c in self.first()}, key=lambda b: int(b.split("-")[0]))[-self.keep[index - 1]:]
            else:
                backbones = sorted({c.backbone for c in candidates})
            n = len(backbones) + len(candidates) * self.experts
            work = round(sum(self.steps(total, Candidate(b))[0] for b in backbones) +
                         sum(self.steps(total, c)[1] for c in candidates) * self.ratio)
            trainings, steps = trainings + n, steps + work
            print(f"round {index + 1}: {total} steps for each of {len(candidates)} candidates: "
                  f"{bound}{n} trainings, {work} steps")
        minutes = (steps / STEPS + trainings * AROUND) / 2 / 60
        print(f"in all at most {trainings} trainings, {steps} steps: {minutes:.0f} min of two threads at {STEPS} steps a second each")

    def result(self, total, name):
        candidate, folder = Candidate(name), f"{self.folder}/{total}"
        with open(f"{folder}/{candidate.backbone}.json", encoding="utf-8") as file:
            backbone = json.load(file)["perplexity"]
        experts = [f"{folder}/{name}.expert.{e}.tar" for e in range(self.experts)]
        oracle = size = "-"
        if not any(map(diverged, experts)):
            oracle = self.oracle(f"{folder}/{candidate.backbone}.tar", experts)
            size = max(map(os.path.getsize, experts))
        print(candidate.share, candidate.kind, candidate.trained, candidate.rate, *self.steps(int(total), candidate),
              f"{backbone:.6f}", oracle, size, sep="\t")

    def oracle(self, shared, experts):
        """Perplexity of the test documents, each by the expert of its partition."""
        nats = tokens = 0
        for e, expert in enumerate(experts):
            documents = f"{self.folder}/test/part.{e}.mf"
            if len(self.run("mf-cat", "--head", "1", documents).splitlines()) < 2:
                continue  # none is of this partition
            measured = json.loads(self.run("mf-eval", "perplexity", "--quiet", "--json", "--threads", self.threads,
                                           "-m", shared, "-e", expert, documents))
            nats, tokens = nats + measured["nats"], tokens + measured["tokens"]
        return f"{math.exp(nats / tokens):.6f}"

    def table(self):
        print(*COLUMNS, sep="\t")
        for index, total in enumerate(self.totals):
            for _, _, line in self.results(index) or refuse(66, f"the round of {total} steps is not complete"):
                print(index + 1, total, *line, sep="\t")

    def names(self, total):
        candidates = self.candidates(self.index(total))
        print(*[c.name for c in candidates or refuse(66, f"the round before that of {total} steps is not complete")], sep="\n")


def main():
    parser = argparse.ArgumentParser(description="which candidates a search trains, and how they did", allow_abbrev=False)
    parser.add_argument("command", nargs="+")
    for name in "programs", "folder", "threads", "shares", "backbones", "trained", "rates", "rounds", "keep":
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--settings", nargs=argparse.REMAINDER, default=[])
    options = parser.parse_args()
    search, (command, *arguments) = Search(options), options.command
    if command == "totals":
        print(*search.totals)
    elif command == "settings":
        print(search.sets(int(arguments[0]), Candidate(arguments[1])))
    else:
        {"plan": search.plan, "candidates": search.names, "result": search.result, "table": search.table}[command](*arguments)


if __name__ == "__main__":
    main()
