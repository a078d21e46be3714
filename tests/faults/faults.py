"""Makes calls of the system fail, one at a time, in every program: faults.py FOLDER [OPTION]...

FOLDER holds what make_tokens and make_pieces of helper.bash make; the programs come from PATH and build/tests/faults/faults.so
does the failing (faults.c). For each command and kind of call: every call up to the last, or a sample of them. What may
happen is the right output, or one line on standard error, a status of sysexits.h and no output; then the same command
without a fault gives the right output, as if nothing had been."""

import argparse
import hashlib
import multiprocessing
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile

KINDS = ["write", "fsync", "rename", "read", "mmap", "memory", "open", "close", "thread"]
FAULTS = {
    "write": ["ENOSPC", "EIO", "EINTR", "short"],
    "fsync": ["EIO", "ENOSPC", "EINTR"],
    "rename": ["EIO", "ENOSPC"],
    "read": ["EIO", "EINTR", "short"],
    "mmap": ["ENOMEM"],
    "memory": ["ENOMEM"],
    "open": ["EMFILE", "ENOSPC", "EIO", "EINTR", "ENOMEM"],
    "close": ["EIO"],
    "thread": ["EAGAIN"],
}
HARMLESS = {("write", "EINTR"), ("write", "short"), ("read", "EINTR"), ("read", "short")}  # must go on as if nothing was
NEEDS_FILE = ("write", "fsync", "rename", "read", "open", "close")  # messages that have to name what failed

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LIBRARY = os.environ.get("MF_FAULTS", os.path.join(ROOT, "build/tests/faults/faults.so"))
TINY = os.path.join(ROOT, "configs/tiny.yaml")
STEPS = "--set train_shared.warmup=1 --set train_expert.warmup=1 --set train_shared.steps=4 --set train_shared.checkpoint_every=2 --set train_shared.validate_every=2 " \
        "--set train_expert.steps=4 --set train_expert.checkpoint_every=2 --set train_expert.validate_every=2"

# name: (command, outputs, leftovers a failure may leave). {i} is FOLDER; an output "-" is standard output.
CASES = {
    "config-slices": ("mf-config slices slices --config {tiny}", ["slices/*"], r"slices(/.*\.yaml)?"),
    "config-print": ("mf-config print --config {tiny}", ["-"], None),
    "docs": ("mf-docs --quiet --config {tiny} --domain-from folder --split train -o out.mf {i}/words", ["out.mf"], None),
    "docs-splits": ("mf-docs --quiet --config {tiny} --domain-from folder --splits splits {i}/words", ["splits/*"], r"splits(/.*\.mf)?"),
    "docs-shard": ("mf-docs --quiet --config {tiny} --shard 1/2 -o out.mf {i}/words", ["out.mf"], None),
    "docs-merge": ("mf-docs --quiet --config {tiny} --merge --splits splits {i}/shard.0.mf {i}/shard.1.mf", ["splits/*"],
                   r"splits(/.*\.mf)?"),
    "join": ("mf-cat --join -o out.mf {i}/train.mf {i}/val.mf", ["out.mf"], None),
    "docs-json": ("mf-docs --quiet --config {tiny} --removed removed.mf -o out.mf {i}/words.jsonl", ["out.mf"], r"removed\.mf"),
    "docs-spilled": ("mf-docs --quiet --max-memory 15M -o out.mf {i}/many.jsonl", ["out.mf"], None),
    "tokenize-train": ("mf-tokenize train --quiet --config {tiny} -o out.json {i}/train.docs", ["out.json"], None),
    "tokenize-train-spilled": ("mf-tokenize train --quiet --vocab-size 270 --max-memory 9M -o out.json {i}/many.docs", ["out.json"], None),
    "tokenize-encode": ("mf-tokenize encode -t {i}/tokenizer.json -o out.mf {i}/val.docs", ["out.mf"], None),
    "tokenize-decode": ("mf-tokenize decode -t {i}/tokenizer.json -o out.txt {i}/val.mf", ["out.txt"], None),
    "partition": ("mf-partition --quiet --threads 2 --config {tiny} -o parts {i}/train.mf", ["parts/*"], r"parts(/part.*)?"),
    "partition-label": ("mf-partition --label --saved {i}/parts/partition.mp -o out.mf {i}/val.mf", ["out.mf"], None),
    "partition-each": ("mf-partition --label --saved {i}/parts/partition.mp --each val -o out.mf {i}/val.mf", ["out.mf", "val/*"], r"val(/part.*)?"),
    "train-shared": ("mf-train-shared --quiet --threads 2 --config {tiny} {steps} --keep 1 --resume -v {i}/val.mf "
                     "--metrics metrics.mf -o out.tar {i}/train.mf", ["out.tar"], r"metrics\.mf|out\.tar\.ckpt.*"),
    "train-expert": ("mf-train-expert --quiet --threads 2 --config {tiny} {steps} --resume -s {i}/shared.tar -v "
                     "{i}/val.labelled.mf -p 1 --metrics metrics.mf -o out.tar {i}/parts/part.1.mp",
                     ["out.tar"], r"metrics\.mf|out\.tar\.ckpt.*"),
    "assemble": ("mf-assemble --quiet --config {tiny} -o out.safetensors {i}/shared.tar {i}/expert.0.tar {i}/expert.1.tar "
                 "{i}/expert.2.tar", ["out.safetensors"], None),
    "assemble-average": ("mf-assemble --quiet --average --config {tiny} -o out.safetensors {i}/shared.tar {i}/expert.0.tar "
                         "{i}/expert.1.tar", ["out.safetensors"], None),
    "export-hf": ("mf-export hf --quiet --shard 60K -m {i}/llama.tar -t {i}/tokenizer.json -o hf", ["hf/*"], None),
    "export-gguf": ("mf-export gguf --quiet -m {i}/llama.tar -t {i}/tokenizer.json -o out.gguf", ["out.gguf"], None),
    "import": ("mf-import --quiet -o out.tar -t out.json {i}/llama.hf", ["out.tar", "out.json"], r"out\.json"),
    "import-gguf": ("mf-import --quiet -o out.tar -t out.json {i}/llama.gguf", ["out.tar", "out.json"], r"out\.json"),
    "import-hints": ("mf-import --quiet -o out.tar -t out.json {i}/hints.hf", ["out.tar", "out.json"], r"out\.json"),
    "calibrate": ("mf-calibrate --quiet --threads 2 --config {tiny} --set calibrate.max_tokens=500 -m {i}/model.safetensors "
                  "--report report.json -o out.safetensors {i}/val.labelled.mf", ["out.safetensors"], r"report\.json"),
    "eval-report": ("mf-eval report --quiet --threads 2 --config {tiny} --set eval.sample_tokens=3 -m {i}/model.safetensors "
                    "-t {i}/tokenizer.json -s {i}/shared.tar -e {i}/expert.0.tar --metrics {i}/shared.metrics.mf "
                    "-o out.json {i}/test.mf", ["out.json"], None),
    "eval-perplexity": ("mf-eval perplexity --quiet --config {tiny} -m {i}/model.safetensors -o out.json {i}/test.mf",
                        ["out.json"], None),
    "eval-routing": ("mf-eval routing --quiet --config {tiny} -m {i}/model.safetensors -o out.txt {i}/test.mf", ["out.txt"], None),
    "eval-generate": ("mf-eval generate --quiet --config {tiny} -m {i}/model.safetensors -t {i}/tokenizer.json -n 4 "
                      "-p ba -o out.txt", ["out.txt"], None),
    "eval-logits": ("mf-eval logits --quiet --config {tiny} -m {i}/model.safetensors -o out.f32 {i}/test.mf", ["out.f32"], None),
    "eval-page": ("mf-eval page -o out.html {i}/report.json", ["out.html"], None),
    "eval-compare": ("mf-eval compare {i}/report.json {i}/report.json", ["-"], None),
    "time": ("mf-time -o out.json -- true", ["out.json"], None),
    "cat": ("mf-cat -o out.txt {i}/expert.1.tar", ["out.txt"], None),
    "cat-stream": ("mf-cat -o out.txt {i}/val.mf", ["out.txt"], None),
}


def preloaded(library):
    """The environment in which a program loads it: by its name alone, since a path must have no blank there."""
    return {"LD_PRELOAD": os.path.basename(library), "LD_LIBRARY_PATH": os.path.dirname(library)}


class Case:
    """One command, run in an empty folder of its own."""

    def __init__(self, name, folder):
        line, self.outputs, leftovers = CASES[name]
        self.name, self.folder = name, folder
        self.leftovers = re.compile(leftovers or r"(?!)")
        self.argv = [word.format(i=folder, tiny=TINY) for word in line.replace("{steps}", STEPS).split()]
        self.program = self.argv[0]

    def run(self, cwd, fault=None, log=None):
        scratch = cwd + ".scratch"
        os.makedirs(scratch, exist_ok=True)
        env = dict(os.environ, TMPDIR=scratch, OPENBLAS_NUM_THREADS="1")
        if log:
            env.update(preloaded(LIBRARY), MF_FAULT_LOG=log)
        if fault:
            env["MF_FAULT"] = fault
        try:
            done = subprocess.run(self.argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        except subprocess.TimeoutExpired:
            return None, b"", ["not done in 60 s"]
        left = os.listdir(scratch)
        shutil.rmtree(scratch)
        lines = done.stderr.decode(errors="replace").splitlines()
        return done.returncode, done.stdout, lines + ["scratch file left: " + name for name in left]

    def digest(self, path):
        data = open(path, "rb").read()
        if self.name in ("eval-report", "time") and path.endswith(".json"):  # time and memory differ from run to run
            data = re.sub(rb'"(eval_peak|peak_memory|(cpu_)?seconds)": [^,}\s]+', b"", data)
        return hashlib.sha256(data).hexdigest()

    def files(self, cwd):
        """The bytes (by hash) of every file below a folder; temporaries too."""
        found = {}
        for at, folders, names in os.walk(cwd):
            for name in names + folders:
                path = os.path.join(at, name)
                found[os.path.relpath(path, cwd)] = None if os.path.isdir(path) else self.digest(path)
        return found

    def is_output(self, name):
        return any(name == o or (o.endswith("/*") and name.startswith(o[:-1])) for o in self.outputs)

    def prepare(self, cwd):
        """The undisturbed run: its output, its messages, and how many calls of each kind it makes."""
        os.mkdir(cwd)
        log = cwd + ".log"
        status, self.stdout, self.stderr = self.run(cwd, log=log)
        if status != 0:
            sys.exit("%s: fails without a fault: %s" % (self.name, self.stderr))
        self.whole = {n: h for n, h in self.files(cwd).items() if self.is_output(n) and h}
        if not self.whole and "-" not in self.outputs:
            sys.exit("%s: no output without a fault" % self.name)
        self.calls = dict(zip(KINDS, struct.unpack("%dQ" % (len(KINDS) + 1), open(log, "rb").read())))
        shutil.rmtree(cwd)

    def right(self, cwd, stdout):
        files = self.files(cwd)
        return {n: files.get(n) for n in self.whole} == self.whole and ("-" not in self.outputs or stdout == self.stdout)

    def judge(self, cwd, kind, fault):
        """What is wrong with a run that had a fault, or None; and whether it failed."""
        what = fault.split(":")[2]
        status, stdout, stderr = self.run(cwd, fault, cwd + ".log")
        files = self.files(cwd)
        stray = [n for n in files if n.endswith((".tmp", ".new"))]
        if stray:
            return "leaves %s" % stray, True
        if status == 0:
            return (None if self.right(cwd, stdout) else "status 0 but another output"), False
        said = list(stderr)
        for line in self.stderr:
            if line in said:
                said.remove(line)
        if status is None or status < 64 or status > 78:
            return "ends with status %s: %s" % (status, said[-3:]), True
        if (kind, what) in HARMLESS and "+" not in fault:
            return "gives up: %s" % said, True
        pattern = r"%s( [a-z]+)?: [^:]+: ." if kind in NEEDS_FILE else r"%s( [a-z]+)?: ."
        if len(said) != 1 or not re.match(pattern % self.program, said[0]):
            return "says %s" % said, True
        for name, digest in files.items():
            if digest and self.leftovers.fullmatch(name):
                if self.is_output(name) and self.whole.get(name) != digest:
                    return "leaves a wrong %s" % name, True
            elif not self.leftovers.fullmatch(name):
                return "leaves %s after: %s" % (name, said[0]), True
        if files:
            status, stdout, stderr = self.run(cwd)
            if status != 0 or not self.right(cwd, stdout):
                return "and then, without a fault, status %s: %s" % (status, stderr[-2:]), True
        return None, True


def work(job):
    case, kind, fault, place = job
    cwd = os.path.join(place, "run.%d" % os.getpid())
    shutil.rmtree(cwd, ignore_errors=True)
    os.mkdir(cwd)
    problem, failed = case.judge(cwd, kind, fault)
    shutil.rmtree(cwd)
    return case.name, fault, problem, failed


def choose(calls, sample, rng):
    if not sample or calls <= sample:
        return range(1, calls + 1)
    return sorted({1, calls} | set(rng.sample(range(1, calls + 1), max(sample - 2, 0))))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--sample", type=int, default=0, help="this many calls of each kind, instead of all")
    parser.add_argument("--total", type=int, default=0, help="this many of them all, drawn at random")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--only", default="", help="cases whose name matches")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--one", help="one fault KIND:N:WHAT")
    parser.add_argument("--counts", action="store_true", help="only show the number of calls")
    o = parser.parse_args()
    rng = random.Random(o.seed)
    place = tempfile.mkdtemp(prefix="faults.", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    try:
        sys.exit(inject(o, rng, place))
    finally:
        shutil.rmtree(place)


def inject(o, rng, place):
    jobs = []
    for name in CASES:
        if not re.search(o.only, name):
            continue
        case = Case(name, os.path.abspath(o.folder))
        case.prepare(os.path.join(place, "first"))
        if o.counts:
            print(name, " ".join("%s %d" % pair for pair in case.calls.items()))
            continue
        if o.one:
            jobs.append((case, o.one.split(":")[0], o.one, place))
            continue
        for kind in o.kinds.split(","):
            for what in FAULTS[kind]:
                if 0 < o.sample < case.calls[kind] and what != FAULTS[kind][0] and rng.random() < 0.5:
                    continue
                ns = choose(case.calls[kind], o.sample, rng)
                jobs += [(case, kind, "%s:%d:%s" % (kind, n, what), place) for n in ns]
            if kind in ("write", "memory", "open") and case.calls[kind]:  # a disk stays full, memory stays short
                n = rng.randint(1, case.calls[kind])
                jobs.append((case, kind, "%s:%d+:%s" % (kind, n, FAULTS[kind][0]), place))
    if o.total:
        jobs = rng.sample(jobs, min(o.total, len(jobs)))
    bad = failed = 0
    with multiprocessing.Pool(o.jobs) as pool:
        for name, fault, problem, gave_up in pool.imap_unordered(work, jobs, chunksize=8):
            failed += gave_up
            if problem:
                bad += 1
                print("%s, %s: %s" % (name, fault, problem), flush=True)
    print("seed %d: %d faults, %d ended with an error, %d wrong" % (o.seed, len(jobs), failed, bad))
    return 1 if bad or (not jobs and not o.counts) else 0


if __name__ == "__main__":
    main()
