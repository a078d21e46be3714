"""Is make exact, key by key? keys.py RUNS CONFIG SETTINGS MAKE... where MAKE made RUNS/t by CONFIG and SET=SETTINGS.

For each key of the schema another value is taken, and `make -n` has to show just the stages that read it by the schema, with
all that follow from them. And the other way round: every stage runs again, by the commands that `make -n` shows, with other
values for all keys that it does not read by the schema, and has to make the same bytes. So a key that is forgotten in the
schema or in the rules is found here."""

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from run import Run  # noqa: E402

# What is made from what a stage makes. Tokenizer and shared backbone are not made again for new documents.
FOLLOWS = {
    "docs": ["encode"],
    "tokenizer": ["encode", "partition", "label", "train-shared"],
    "encode": ["partition", "label", "eval"],
    "partition": ["label", "train-expert"],
    "label": ["calibrate", "eval"],
    "train-shared": ["train-expert", "assemble"],
    "train-expert": ["assemble"],
    "assemble": ["calibrate"],
    "calibrate": ["eval", "export"],
    "eval": ["export"],
    "export": [],
}
RECORDS = {"tokens": "encode", "shared": "train-shared", "expert": "train-expert", "join": "assemble", "report": "eval", "gguf": "export", "hf": "export"}


# what a key's other value cannot be without
COMPANY = {"expert.train": "model.arch"}


def output(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def closure(stages):
    found, new = set(), set(stages)
    while new:
        found |= new
        new = {f for s in new for f in FOLLOWS[s]} - found
    return found


def shown(commands):
    """The stages in the output of make -n."""
    records = re.findall(r"mf-time -o \S+/stages/([a-z]+)", commands)
    return {RECORDS.get(r, r) for r in records}


class Config:
    """The settings of the run, and another value for each key."""

    def __init__(self, path, settings, pool):
        self.options = ["--config", path] + self.sets(settings.split())
        self.schema = json.loads(output("mf-config", "keys", "--json"))
        self.others = dict(zip((key["key"] for key in self.schema), pool.map(self.other, self.schema)))

    @staticmethod
    def sets(settings):
        return [word for s in settings for word in ("--set", s)]

    def show(self, command, settings):
        """What mf-config says; None when it refuses the settings."""
        done = subprocess.run(["mf-config"] + command + self.options + self.sets(settings), stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True)
        return done.stdout if done.returncode == 0 else None

    def other(self, key):
        """A setting "KEY=VALUE" that changes the key and is valid."""
        name, now = key["key"], self.show(["get", key["key"]], [])
        if key["kind"] == "int" and now.strip() not in key.get("choices", []):
            values = [int(now) * 2, int(now) - 1, int(now) + 1, int(now) + 8, int(now) + 9]
            if name == "docs.min_chars":  # the other value of docs.max_chars is small
                values.insert(0, int(now) - 1)
        elif key["kind"] == "real":
            values = [float(now) / 2, (key["low"] + min(key["high"], 1)) / 2, key["high"]]
        else:
            values = {"bool": ["true", "false"], "text": ["other"]}.get(key["kind"], key.get("choices"))
        company = [self.other(other) for other in self.schema if other["key"] == COMPANY.get(name)]
        for setting in ["%s=%s" % (name, value) for value in values]:
            if self.show(["get", name], [setting] + company) not in (now, None):
                return " ".join([setting] + company)
        sys.exit("%s: no valid value found but %s" % (name, now))


def check_stages(config, runs, settings, make, pool):
    # whether new splits and partitions differ from the old is known only when they are made: let all change
    docs = ["-W" + os.path.join(runs, "t/docs", name + ".mf") for name in ("train", "val", "test")]
    parts = ["-W" + os.path.join(runs, "t/parts", name) for name in os.listdir(runs + "/t/parts") if name.startswith("part.")]

    def wrong(key):
        both = key["key"], COMPANY.get(key["key"])
        expected = closure([stage for k in config.schema if k["key"] in both for stage in k["stages"]])
        if config.show(["get", "model.arch"], config.others[key["key"]].split()).strip() != "llama":  # only these are exported
            expected -= {"export"}
        commands = output(*make, "-n", "SET=%s %s" % (settings, config.others[key["key"]]),
                          *(docs if "docs" in expected else []), *(parts if "partition" in expected else []))
        if shown(commands) != expected:
            return "%s: make runs %s, by the schema %s" % (config.others[key["key"]], sorted(shown(commands)), sorted(expected))

    found = list(filter(None, pool.map(wrong, config.schema)))
    if found:
        sys.exit("\n".join(found))
    print("%d keys: make runs the stages that read them" % len(config.schema))


def check_slices(config, runs, make):
    again = runs + ".again"
    make = [word.replace("RUNS=" + runs, "RUNS=" + again) for word in make]

    def mixed(match):
        """In place of the command that writes a slice: the slice, and other values for all else."""
        stage, path = match.groups()
        # a rank and an expert from scratch do not go together, nor attention of experts and a router of hidden states
        apart = ("expert.rank", "expert.train")
        others = [config.others[key["key"]] for key in config.schema if stage not in key["stages"] and key["key"] not in apart]
        text = config.show(["print"], others)
        if text is None:
            sys.exit("these do not go together: " + " ".join(others))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
        return ":"

    commands = output(*make, "-n")
    commands, count = re.subn(r"^\S*mf-config stage (\S+) .* -o (\S+)$", mixed, commands, flags=re.M)
    commands = "".join(line for line in commands.splitlines(True) if not line.startswith("make"))
    root = make[make.index("-C") + 1]
    done = subprocess.run(["bash", "-euc", commands], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        sys.exit(done.stdout)
    one, two = Run(runs, 1, ""), Run(again, 1, "")
    if set(one.files()) != set(two.files()):
        sys.exit("not the same files: %s" % (set(one.files()) ^ set(two.files())))
    differ = [name for name in one.files() if one.content(name) != two.content(name)]
    if differ:
        sys.exit("made of more than their slices: " + " ".join(differ))
    print("%d slices: no stage reads other keys" % count)


def main():
    runs, path, settings, *make = sys.argv[1:]
    if " " in runs:  # make's files are relative to its own place then
        given, root = runs, os.path.realpath(make[make.index("-C") + 1])
        os.chdir(root)
        runs = os.path.relpath(runs, root)
        make = [word.replace("RUNS=" + given, "RUNS=" + runs) for word in make]
    with ThreadPoolExecutor(2) as pool:
        config = Config(path, settings, pool)
        check_stages(config, runs, settings, make, pool)
    check_slices(config, runs, make)


if __name__ == "__main__":
    main()
