"""Kills makes of the pipeline, and programs in them, at random moments: kills.py [--kills N] [--seed N] [--jobs N].

In a new folder, by configs/tiny.yaml on made-up documents. After each kill, make again: now and then that one is killed
too. What a stage had completed keeps its file (inode and time), and the end is byte for byte that of a run that nobody
disturbed."""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from run import LIMIT, ROOT, Run, Wrong, fields  # noqa: E402


def processes(session):
    """The processes of a session: (pid, name)."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/stat" % pid) as file:
                name, rest = file.read().split("(", 1)[1].rsplit(")", 1)
            if int(rest.split()[3]) == session and rest.split()[0] != "Z":
                found.append((int(pid), name))
        except OSError:
            pass
    return found


def strike(make, rng):
    """Kills something of a running make; what and how, or None when nothing was there."""
    how = rng.choice([signal.SIGKILL, signal.SIGTERM])
    what = rng.choice(["all", "make", "program", "program"])
    there, programs, until = [], [], time.monotonic() + 0.5
    while what == "program" and not programs and time.monotonic() < until and make.poll() is None:
        there = processes(make.pid)
        programs = [pid for pid, name in there if name.startswith("mf-")]
    there = there or processes(make.pid)
    if what == "program" and not programs or not there:
        return None
    if what == "all":
        send, targets = os.killpg, [make.pid]
    elif what == "make":
        send, targets = os.kill, [pid for pid, name in there if name == "make"]
    else:
        send, targets = os.kill, [rng.choice(programs)]
    hit = 0
    for target in targets:
        try:
            send(target, how)
            hit += 1
        except ProcessLookupError:  # ended by itself, or with the make before it
            pass
    return (what, how.name) if hit else None


def settle(make):
    """Waits for the make and for all it started: a make that is killed leaves its programs running."""
    make.wait(LIMIT)
    until = time.monotonic() + LIMIT
    while processes(make.pid):
        if time.monotonic() > until:
            raise Wrong("these did not end in %d s: %s" % (LIMIT, processes(make.pid)))
        time.sleep(0.005)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--set", default="", help="settings, as for make")
    o = parser.parse_args()
    print("seed %d" % o.seed, flush=True)
    rng = random.Random(o.seed)
    place = tempfile.mkdtemp(prefix="kills.")
    subprocess.run([sys.executable, os.path.join(ROOT, "tests/words.py"), os.path.join(place, "words"), "40"], check=True)
    try:
        kill(o, rng, place)
    except Wrong as wrong:
        sys.exit("%s\nboth runs are kept: %s" % (wrong, place))
    shutil.rmtree(place)


def kill(o, rng, place):
    whole, run = Run(os.path.join(place, "whole"), o.jobs, o.set), Run(os.path.join(place, "runs"), o.jobs, o.set)
    began = time.monotonic()
    whole.finish()
    length = time.monotonic() - began
    done, rounds, kinds = 0, 0, {}
    while done < o.kills:
        make = run.start()
        time.sleep(rng.uniform(0, 0.9 * length))
        struck = strike(make, rng) if make.poll() is None else None
        # a make whose program or which itself was killed is left to end; its orphans are waited for in one case of two
        if struck is None or struck[0] != "make" or rng.random() < 0.5:
            settle(make)
        else:
            make.wait()
            subprocess.run(run.argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # waits for the orphans' lock
            settle(make)
        complete = run.complete()
        if struck:
            done += 1
            kinds[struck] = kinds.get(struck, 0) + 1
        elif make.returncode != 0:
            raise Wrong("make failed untouched:\n" + run.said())
        if "report.json" not in complete and rng.random() < 0.4:
            continue  # the make that goes on is killed too
        run.finish()
        check(whole, run, complete, struck)
        rounds += 1
        shutil.rmtree(run.home)
    print("%d kills (%s), %d runs to the end: all as undisturbed, nothing complete made again" % (
        done, ", ".join("%s %s %d" % (k + (n,)) for k, n in sorted(kinds.items())), rounds))


def check(whole, run, complete, struck):
    now, wanted, after = run.files(), whole.files(), "after %s " % (struck,)
    again = [n for n in complete if now.get(n) != complete[n]]
    if again:
        raise Wrong(after + "these were complete and made again: %s" % again)
    if set(now) != set(wanted):
        raise Wrong(after + "not the same files: %s" % (set(now) ^ set(wanted)))
    for name in sorted(now):
        differ = fields(whole.content(name), run.content(name))
        if differ:
            raise Wrong(after + "%s differs:\n%s" % (name, "\n".join(differ)))
    if run.leftovers():
        raise Wrong(after + "these are left over: %s" % run.leftovers())


if __name__ == "__main__":
    main()
