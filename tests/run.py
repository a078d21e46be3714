"""A run of the pipeline in a folder, for tests that disturb it: starts make, waits, tells what is made and how two runs differ."""

import json
import os
import re
import signal
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("B", os.path.join(ROOT, "build"))
LIMIT = 300  # seconds that one make may take; some 5 are usual
STAGES = re.compile(r"docs/\w+\.mf|tokens/[\w.]+\.mf|tokenizer\.json|parts/part\.\d+\.mp|parts/partition\.mp|shared\.tar|"
                    r"expert\.\d+\.tar|(assembled|model)\.safetensors|calibration\.json|report\.json")
# What clock and system say in a report, and the stages' records, of which a killed mf-time leaves none.
MEASURED = ("memory", "peak_memory", "seconds", "cpu_seconds", "tokens_per_s", "attempts", "stages")


class Wrong(Exception):
    """What is not as it is to be after a kill."""


class Run:
    """A run folder and the make that fills it."""

    def __init__(self, folder, jobs, sets, words=None, goal="run"):
        self.folder, self.home = os.path.join(folder, "t"), folder
        # what a shell starts in the background ignores SIGINT
        if " " in folder:  # make's files are relative to its own place then
            folder = os.path.relpath(folder, os.path.realpath(ROOT))
        self.argv = ["env", "--default-signal=INT", "make", "-C", ROOT, "-j%d" % jobs, "B=" + BUILD, "RUNS=" + folder,
                     "NAME=t", "CONFIG=configs/tiny.yaml", "THREADS=1", "SET=" + sets,
                     "DATA=" + (words or os.path.join(os.path.dirname(folder), "words")),
                     goal if goal == "run" else os.path.join(folder, "t", goal)]

    def start(self, **env):
        with open(self.home + ".log", "w") as log:
            return subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                    start_new_session=True, env=dict(os.environ, **env))

    def finish(self, **env):
        make = self.start(**env)
        try:
            status = make.wait(LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(make.pid, signal.SIGKILL)
            raise Wrong("make was not done in %d s:\n%s" % (LIMIT, self.said()))
        if status != 0:
            raise Wrong("make failed:\n" + self.said())

    def said(self):
        with open(self.home + ".log", errors="replace") as log:
            return log.read()

    def files(self):
        found = {}
        for at, _, names in os.walk(self.folder):
            for name in names:
                path = os.path.relpath(os.path.join(at, name), self.folder)
                if STAGES.fullmatch(path):
                    st = os.stat(os.path.join(at, name))
                    found[path] = (st.st_ino, st.st_mtime_ns)
        return found

    def complete(self):
        """The files of stages that need not run again."""
        found = self.files()
        # written just before what says that their stage is complete
        for early, last in ("calibration.json", "model.safetensors"), ("parts/partition.mp", "parts/stamp"):
            path = os.path.join(self.folder, last)
            if early in found and (not os.path.exists(path) or os.stat(path).st_mtime_ns < found[early][1]):
                del found[early]
        return found

    def leftovers(self):
        return [n for _, _, names in os.walk(self.folder) for n in names if re.search(r"\.tmp$|\.new$|\.ckpt", n)]

    def content(self, path):
        with open(os.path.join(self.folder, path), "rb") as file:
            data = file.read()
        if path != "report.json":
            return data
        return json.loads(data, object_hook=lambda o: {k: v for k, v in o.items() if k not in MEASURED})


def fields(a, b, at=""):
    """Where two contents differ: one line for each field of a report."""
    if type(a) is type(b) is dict:
        return [line for key in sorted(a.keys() | b.keys())
                for line in fields(a.get(key), b.get(key), "%s.%s" % (at, key))]
    if type(a) is type(b) is list and len(a) == len(b):
        return [line for i, pair in enumerate(zip(a, b)) for line in fields(*pair, "%s[%d]" % (at, i))]
    if a == b:
        return []
    return ["  %s: %.200r, not %.200r" % (at.lstrip("."), b, a) if at else "  the bytes"]
