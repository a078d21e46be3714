"""Kills one process of a make of the pipeline at every call that changes a file: every_kill.py [--sample N] [--seed N]
[--jobs N] [--only SCENARIO]... [--one NAME.I.K [--all]].

tests/faults/kills.c numbers what each process does. A make that nobody disturbs lists it: of calls that come in a row and do the
same to the same file, the first and the last are taken, of programs that are not ours the start and the end. Then for each
of these there is a make in which that process is killed just before it, and for each that changes a file one in which all of
that make's processes are killed together. After it, make again: what kills.py looks for must be true here too."""

import argparse
import collections
import multiprocessing
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

import kills
from faults import preloaded
from run import BUILD, ROOT, Wrong, Run as PlainRun  # kills has put tests/ on the path

# What is removed from a complete run before the make, and what that make makes; `again` has new documents instead.
SCENARIOS = {
    "documents": (r".*", "tokens/val.labelled.mf"),
    "shared": (r"shared\.", "shared.tar"),
    "expert": (r"expert\.0\.", "expert.0.tar"),
    "model": (r"assembled|model|calibration|report", "run"),
    "again": (None, "run"),
}
LIBRARY = os.path.join(BUILD, "tests/faults/kills.so")
TRAINED = ("shared.metrics.mf", "expert.0.metrics.mf", "expert.1.metrics.mf", "expert.2.metrics.mf")


class Run(PlainRun):
    """With the metrics as they are apart from what the clock says, since not every scenario ends with a report."""

    def files(self):
        found = super().files()
        for name in TRAINED:
            path = os.path.join(self.folder, name)
            if os.path.exists(path):
                found[name] = (0, 0)  # written anew when its training goes on
        return found

    def leftovers(self):
        """They go when the last file is made."""
        return super().leftovers() if self.argv[-1] == "run" else []

    def content(self, path):
        if path not in TRAINED:
            return super().content(path)
        text = subprocess.run([os.path.join(BUILD, "bin/mf-cat"), os.path.join(self.folder, path)], check=True,
                              capture_output=True, text=True).stdout
        return re.sub(r'"(tokens_per_s|peak_memory|xxh64)": ?[^,}]*', "", text).splitlines()


def fresh(place, scenario):
    """A run folder in which the scenario can begin."""
    removed, goal = SCENARIOS[scenario]
    words = os.path.join(os.path.dirname(place), "more" if removed is None else "words")
    run = Run(os.path.join(place, "run"), 1, "", words, goal)
    shutil.rmtree(run.home, ignore_errors=True)
    os.mkdir(run.home)
    subprocess.run(["cp", "-a", os.path.join(place, "../whole/t"), run.folder], check=True)
    for at, _, names in os.walk(run.folder):
        for name in names:
            if removed and re.match(removed, os.path.relpath(os.path.join(at, name), run.folder)):
                os.unlink(os.path.join(at, name))
    return run


def watch(folder, kill=None, everything=False):
    """The environment of a make whose processes are numbered."""
    shutil.rmtree(folder, ignore_errors=True)
    os.mkdir(folder)
    env = dict(preloaded(LIBRARY), MF_KILL_FOLDER=folder)
    if kill:
        env["MF_KILL"] = kill
    if everything:
        env["MF_KILL_ALL"] = "1"
    return env


def events(folder):
    """Where to kill: (NAME.I.K, whether all) of each event that leaves something else behind than the one before and after
    it. Those that change no file leave the same when all processes are killed."""
    chains = collections.OrderedDict()
    with open(os.path.join(folder, "log"), errors="replace") as log:
        for line in log:
            name, i, k, what, path = line.rstrip("\n").split(" ", 4)
            what = (what, re.sub(r"\.[a-z0-9]{6}\.tmp", ".tmp", path))
            chains.setdefault((name, i), []).append((int(k), what))
    for (name, i), chain in chains.items():
        if name in ("sh", "env"):
            continue
        for n, (k, what) in enumerate(chain):
            event = "%s.%s.%d" % (name, i, k)
            inner = 0 < n < len(chain) - 1
            if inner and chain[n - 1][1] == what == chain[n + 1][1]:
                continue
            if inner:
                yield event, True
            if name.startswith("mf-") or not inner:
                yield event, False


def undisturbed(place, scenario):
    """Makes the scenario's end as it is to be, in PLACE/SCENARIO; its events."""
    own = os.path.join(place, scenario)
    os.mkdir(own)
    run = fresh(own, scenario)
    run.finish(**watch(os.path.join(own, "watch")))
    return list(events(os.path.join(own, "watch")))


def strike(place, scenario, kill, everything):
    """One kill, and what came of it: (reached, what is wrong or None)."""
    own = os.path.join(place, "worker.%d" % os.getpid())
    os.makedirs(own, exist_ok=True)
    whole = Run(os.path.join(place, scenario, "run"), 1, "")
    run = fresh(own, scenario)
    before = run.files()
    changed = {n for n, v in before.items() if whole.content(n) != run.content(n) or n in TRAINED}
    try:
        make = run.start(**watch(os.path.join(own, "watch"), kill, everything))
        kills.settle(make)
        with open(os.path.join(own, "watch/log")) as log:
            name, i, k = kill.rsplit(".", 2)
            reached = any(line.startswith("%s %s %s " % (name, i, k)) for line in log)
        complete = {n: v for n, v in run.complete().items() if n not in TRAINED and (n not in changed or before[n] != v)}
        if make.returncode == 0 and everything and reached:
            raise Wrong("the make went on")
        first = run.said()
        run.finish()
        kills.check(whole, run, complete, kill)
    except Wrong as wrong:
        kept = tempfile.mkdtemp(prefix="every_kill.%s." % scenario)
        shutil.copytree(whole.folder, os.path.join(kept, "whole"))
        shutil.copytree(run.folder, os.path.join(kept, "run"))
        with open(os.path.join(kept, "log"), "w") as log:
            log.write(locals().get("first", run.said()))
        return reached, "%s\nboth runs are kept: %s" % (wrong, kept)
    return reached, None


def work(job):
    return job, strike(*job)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sample", type=int, default=0, help="so many kills of each scenario, drawn at random, not all")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--only", action="append", help="a scenario: " + ", ".join(SCENARIOS))
    parser.add_argument("--match", default="", help="only the events NAME.I.K that match")
    parser.add_argument("--one", help="one event NAME.I.K, as it is printed")
    parser.add_argument("--all", action="store_true", help="with --one: kill all processes")
    o = parser.parse_args()
    place = tempfile.mkdtemp(prefix="every_kill.")
    try:
        sys.exit(kill(o, place))
    finally:
        shutil.rmtree(place)


def prepare(place):
    """The documents, more of them, and the run of the first that nobody disturbs."""
    words = [sys.executable, os.path.join(ROOT, "tests/words.py")]
    subprocess.run(words + [os.path.join(place, "words"), "40"], check=True)
    subprocess.run(words + [os.path.join(place, "more"), "40", "1", "4"], check=True)
    Run(os.path.join(place, "whole"), 1, "", os.path.join(place, "words")).finish()


def kill(o, place):
    prepare(place)
    jobs, count, rng = [], 0, random.Random(o.seed)
    for scenario in o.only or SCENARIOS:
        found = undisturbed(place, scenario)
        if o.one:
            found = [(o.one, o.all)]
        found = [(event, everything) for event, everything in found if re.match(o.match, event)]
        count += len(found)
        if o.sample:
            found = rng.sample(found, min(o.sample, len(found)))
        jobs += [(place, scenario, event, everything) for event, everything in found]
    missed = bad = 0
    with multiprocessing.Pool(o.jobs) as pool:
        for (_, scenario, event, everything), (reached, wrong) in pool.imap_unordered(work, jobs):
            missed += not reached
            if wrong:
                bad += 1
                print("%s, %s%s: %s" % (scenario, event, " --all" if everything else "", wrong), flush=True)
    print("seed %d: %d kills of %d, %d not reached, %d wrong" % (o.seed, len(jobs), count, missed, bad))
    return 1 if bad or not jobs or missed > len(jobs) / 20 else 0


if __name__ == "__main__":
    main()
