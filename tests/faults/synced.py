"""Would a loss of power leave half a file under its name? synced.py FOLDER: runs every command of faults.py and looks at its
calls of the system. A file is renamed only when all that was written to it has been synced, and its folder is synced after."""

import os
import re
import subprocess
import sys
import tempfile

from faults import CASES, Case

WRITES = "write,pwrite64,writev,pwritev,copy_file_range,sendfile,ftruncate,fallocate"
CALL = re.compile(r"^\d+ +(?:(\w+)\((?:\d+<[^>]*>, )?\d+<([^>]*)>|rename(?:at2?)?\((?:AT_FDCWD\S*, )?\"(.*?)\", (?:AT_FDCWD\S*, )?\"(.*?)\")")


def check(name, folder):
    """How many files got a name, and what is wrong with how."""
    case, wrong, named = Case(name, folder), [], 0
    with tempfile.TemporaryDirectory() as place:
        log, cwd = os.path.join(place, "calls"), os.path.join(place, "run")
        os.mkdir(cwd)
        subprocess.run(["strace", "-f", "-y", "-o", log, "-e", "signal=none", "-e", "trace=rename,renameat,renameat2,fsync,fdatasync," + WRITES]
                       + case.argv, cwd=cwd, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        dirty, folders = set(), set()
        with open(log, errors="replace") as file:
            for line in file:
                match = CALL.match(line)
                call, path, old, new = match.groups() if match else [None] * 4
                if old:
                    named += 1
                    before, after = (os.path.normpath(os.path.join(cwd, name)) for name in (old, new))  # as strace names what is open
                    if before in dirty:
                        wrong.append("%s is not synced when it becomes %s" % (old, new))
                    folders.add(os.path.dirname(after))
                elif call in ("fsync", "fdatasync"):
                    dirty.discard(path)
                    folders.discard(path)
                elif call:
                    dirty.add(path)
        wrong += ["the folder of %s is not synced" % f for f in folders]
    return named, wrong


def main():
    total = 0
    for name, (_, outputs, _) in CASES.items():
        named, wrong = check(name, os.path.abspath(sys.argv[1]))
        if not named and outputs != ["-"]:
            wrong.append("nothing was renamed")
        if wrong:
            sys.exit("%s: %s" % (name, "; ".join(wrong)))
        total += named
    print("%d files got their names after their bytes were on the disk" % total)


if __name__ == "__main__":
    main()
