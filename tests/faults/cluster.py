"""Runs the pipeline on a cluster: a Slurm of this machine alone, with four nodes of one processor, started here and stopped
at the end: cluster.py [--seed N].

The shared backbone is trained on two nodes (RANKS=2); its job is cancelled, and make is interrupted as by Ctrl-C while the
next one goes on. While experts are trained, make is interrupted, and killed with its launchers; made again, one job is cancelled, one comes to its time limit, and one loses its node, twice: it is set down, and its power fails. Each goes on from
its checkpoint, no checkpoint ever goes back, and the end is byte for byte that of a run without a cluster."""

import argparse
import getpass
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from run import ROOT, Run  # noqa: E402

NODES = ["n1", "n2", "n3", "n4"]
LAUNCH = ("srun --job-name={run}.{stage} --dependency=singleton --nodes={ranks} --ntasks-per-node=1 --cpus-per-task={cpus} "
          "--mem={memory_mb}M --time={minutes} --mpi=pmix --kill-on-bad-exit")
CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={place}/munge.sock
StateSaveLocation={place}/state
SlurmdSpoolDir={place}/spool.%n
TmpFS={place}/spool.%n
SlurmctldPidFile={place}/slurmctld.pid
SlurmdPidFile={place}/slurmd.%n.pid
SlurmctldLogFile={place}/slurmctld.log
SlurmdLogFile={place}/slurmd.%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/none
ReturnToService=0
KillWait=10
SchedulerParameters=sched_interval=1,sched_min_interval=0
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


class Slurm:
    """The daemons of a cluster, all in one folder."""

    def __init__(self, place):
        self.place, self.daemons = place, {}
        os.makedirs(os.path.join(place, "state"))
        ports = free_ports(1 + len(NODES))
        host = socket.gethostname().split(".")[0]
        conf = CONF.format(host=host, ports=ports, user=getpass.getuser(), place=place)
        for node, port in zip(NODES, ports[1:]):
            os.makedirs(os.path.join(place, "spool." + node))
            conf += "NodeName=%s NodeHostname=%s NodeAddr=127.0.0.1 Port=%d CPUs=1 RealMemory=2000\n" % (node, host, port)
        with open(os.path.join(place, "slurm.conf"), "w") as file:
            file.write(conf)
        with open(os.path.join(place, "munge.key"), "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(os.urandom(1024))
        os.environ["OMPI_MCA_mpi_yield_when_idle"] = "1"  # as pipelines/mpirun.sh
        os.environ["SLURM_CONF"] = file.name.replace("munge.key", "slurm.conf")

    def start(self):
        own = ["--%s=%s/munge.%s" % (option, self.place, name) for option, name in
               [("key-file", "key"), ("socket", "sock"), ("pid-file", "pid"), ("log-file", "log"), ("seed-file", "seed")]]
        self.daemon(["munged", "--foreground", "--force"] + own)
        wait("munged", lambda: os.path.exists(os.path.join(self.place, "munge.sock")))
        self.daemon(["slurmctld", "-D", "-c"])
        for node in NODES:
            self.daemon(["slurmd", "-D", "-N", node])
        wait("the nodes", lambda: said("sinfo", "-h", "-N", "-o", "%T").split() == ["idle"] * len(NODES))

    def daemon(self, argv):
        """Of this process, and gone with it."""
        argv = ["setpriv", "--pdeathsig", "KILL", "--"] + argv
        env = dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin")
        with open(os.path.join(self.place, "daemons.log"), "a") as log:
            self.daemons[argv[-1]] = subprocess.Popen(argv, env=env, stdout=log, stderr=log)

    def power_off(self, node, program):
        """Kills the node's daemon and all of the job that `program` belongs to; the controller is told."""
        self.daemons[node].kill()
        for pid in ancestors(program, "slurmstepd"):
            os.kill(pid, signal.SIGKILL)
        said("scontrol", "update", "NodeName=" + node, "State=DOWN", "Reason=test")

    def stop(self):
        said("scancel", "--user", getpass.getuser())
        for _ in range(100):
            if not jobs():
                break
            time.sleep(0.1)
        for daemon in reversed(list(self.daemons.values())):
            daemon.terminate()
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


def ancestors(pid, last):
    """The process, its parent and so on, up to the one of the name `last`: killed in that order, none starts another."""
    found, name = [], ""
    while name != last:
        with open("/proc/%d/stat" % pid) as file:
            name, rest = file.read().split("(", 1)[1].rsplit(")", 1)
        found.append(pid)
        pid = int(rest.split()[1])
    return found[::-1]


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def said(*argv):
    return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout


def jobs():
    """{name: (id, node)} of the jobs that run, (id, "") of those that wait."""
    lines = [line.split("|") for line in said("squeue", "-h", "-o", "%j|%i|%T|%N").splitlines()]
    return {name: (number, node if state == "RUNNING" else "") for name, number, state, node in lines}


def wait(what, condition, seconds=600):
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError("waited %d s for %s" % (seconds, what))
        time.sleep(0.05)


def checkpoint_step(path, without=0):
    try:
        with tarfile.open(path) as tar:
            return json.load(tar.extractfile("manifest.json"))["state"]["step"]
    except (OSError, tarfile.ReadError):
        return without


class Experts:
    """The trainings of a run, as their jobs and their checkpoints show them."""

    def __init__(self, run):
        self.run, self.numbers, self.steps = run, [0, 1, 2], {}

    def step(self, e):
        """That of the checkpoint; it never goes back."""
        step = checkpoint_step(os.path.join(self.run.folder, "expert.%d.tar.ckpt" % e), self.steps.get(e, 0))
        if step < self.steps.get(e, 0):
            sys.exit("expert %d: its checkpoint went back from step %d to %d" % (e, self.steps[e], step))
        self.steps[e] = step
        return step

    def job(self, e):
        return jobs().get("t.expert.%d" % e, ("", ""))

    def wait(self, steps):
        """Until all run and have done more steps than that."""
        wait("the experts", lambda: all(self.step(e) > steps and self.job(e)[1] for e in self.numbers))

    def record(self, e):
        with open(os.path.join(self.run.folder, "stages/expert.%d.json" % e)) as file:
            return json.load(file)

    def program(self, e):
        """The process that trains it."""
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/cmdline" % pid, "rb") as file:
                    argv = file.read().decode().split("\0")
            except OSError:
                continue
            if argv[0].endswith("mf-train-expert") and os.path.join(self.run.folder, "expert.%d.tar" % e) in argv:
                return int(pid)
        raise LookupError("no process trains expert %d" % e)


def shared(run):
    """One training on two nodes: cancelled, it goes on in another job, and interrupted, it writes its checkpoint."""
    def step():
        return checkpoint_step(os.path.join(run.folder, "shared.tar.ckpt"))

    def job():
        return jobs().get("t.shared", ("", ""))

    make = run.start()
    wait("the shared training", lambda: step() > 0)
    first, nodes = job()
    if nodes not in ["n[%s]" % pair for pair in ("1-2", "2-3", "3-4", "1,3", "1,4", "2,4")]:
        sys.exit("the shared training runs on " + nodes)
    said("scancel", first)
    wait("another job", lambda: job()[0] not in ("", first) and job()[1])
    before = step()
    wait("the shared training to go on", lambda: step() > before)
    before = step()
    os.killpg(make.pid, signal.SIGINT)
    if make.wait(60) == 0 or step() <= before:
        sys.exit("the interrupted make: status %d, step %d, %d before" % (make.returncode, step(), before))
    wait("the job's last process", lambda: not jobs(), 60)
    print("shared: nodes %s, cancelled, interrupted in step %d" % (nodes, step()))


def interrupted(run, experts):
    """Ctrl-C: the jobs end, and each training has written its checkpoint."""
    make = run.start()
    experts.wait(0)
    before = [experts.step(e) for e in experts.numbers]
    os.killpg(make.pid, signal.SIGINT)
    if make.wait(600) == 0:
        sys.exit("the interrupted make ended well")
    wait("the jobs' last processes", lambda: not jobs(), 60)  # Slurm lists a job until its node has cleaned up
    for e, step in zip(experts.numbers, before):
        if experts.record(e)["status"] != 128 + signal.SIGTERM or experts.step(e) <= step:
            sys.exit("expert %d did not stop with a checkpoint: %s, step %d" % (e, experts.record(e), experts.step(e)))
    print("interrupted: no job is left, the checkpoints are of the steps %s" % [experts.step(e) for e in experts.numbers])


def killed(run, experts):
    """A make that is killed with all it started here takes its jobs with it."""
    make = run.start()
    experts.wait(max(experts.steps.values()))
    os.killpg(make.pid, signal.SIGKILL)
    make.wait()
    wait("the jobs to go with their make", lambda: not jobs())
    print("killed: no job is left")


def moved(experts, e, number, node):
    """The node that an expert is trained on after its job of that number was lost with its node, and goes on there."""
    wait("the job to go to another node", lambda: experts.job(e)[1] not in ("", node))
    if experts.job(e)[0] == number:
        sys.exit("expert %d: job %s was not lost" % (e, number))
    before = experts.step(e)
    wait("the job to go on", lambda: experts.step(e) > before)
    return experts.job(e)[1]


def struck(slurm, run, experts, rng):
    """One job cancelled, one at its limit, one without its node."""
    late, cancelled, failed = rng.sample(experts.numbers, 3)
    make = run.start()
    experts.wait(max(experts.steps.values()))
    os.kill(experts.program(late), signal.SIGSTOP)  # so that it does not end before the limit is looked at
    said("scontrol", "update", "JobId=" + experts.job(late)[0], "EndTime=now")
    said("scancel", experts.job(cancelled)[0])
    number, node = experts.job(failed)
    said("scontrol", "update", "NodeName=" + node, "State=DOWN", "Reason=test")
    other = moved(experts, failed, number, node)
    said("scontrol", "update", "NodeName=" + node, "State=RESUME")
    number = experts.job(failed)[0]
    slurm.power_off(other, experts.program(failed))
    moved(experts, failed, number, other)
    while make.poll() is None:
        for e in experts.numbers:
            experts.step(e)
        time.sleep(0.1)
    with open(run.home + ".log") as file:
        log = file.read()
    if make.returncode != 0:
        sys.exit("make failed:\n" + log)
    for e in experts.numbers:
        if not re.search(r"launch.sh: expert.%d: the job was (killed|lost) \(.*; again in" % e, log):
            sys.exit("expert %d was not tried again:\n%s" % (e, log))
    for sign in ("DUE TO TIME LIMIT", "Node failure on " + node, "Node failure on " + other, "CANCELLED"):
        if sign not in log:
            sys.exit("no '%s' from Slurm:\n%s" % (sign, log))
    print("tried again: %s" % ", ".join(re.findall(r"launch.sh: (.*);", log)))


def compare(whole, run):
    if set(whole.files()) != set(run.files()):
        sys.exit("not the same files: %s" % (set(whole.files()) ^ set(run.files())))
    differ = [name for name in run.files() if run.content(name) != whole.content(name)]
    if differ or run.leftovers():
        sys.exit("these differ: %s; left over: %s" % (differ, run.leftovers()))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--steps", type=int, default=12000, help="of each expert; seconds of work")
    o = parser.parse_args()
    print("seed %d" % o.seed, flush=True)
    place = tempfile.mkdtemp(prefix="cluster.")
    try:
        subprocess.run([sys.executable, os.path.join(ROOT, "tests/words.py"), os.path.join(place, "words"), "40"], check=True)
        sets = ("train_shared.steps=%d train_shared.checkpoint_every=50 train_shared.validate_every=400 train_expert.steps=%d "
                "train_expert.checkpoint_every=400 train_expert.validate_every=2000" % (o.steps // 4, o.steps))
        whole, run = Run(os.path.join(place, "whole"), 2, sets), Run(os.path.join(place, "runs"), 8, sets)
        for one in (whole, run):
            one.argv.append("RANKS=2")
        whole.finish()
        with open(os.path.join(ROOT, "configs/tiny.yaml")) as tiny, open(os.path.join(place, "t.yaml"), "w") as config:
            config.write(tiny.read() + "cluster:\n  launch: '%s'\n  minutes: 10\n" % LAUNCH)
        run.argv = [re.sub("^CONFIG=.*", "CONFIG=" + config.name, word) for word in run.argv]
        slurm, experts = Slurm(os.path.join(place, "slurm")), Experts(run)
        try:
            slurm.start()
            shared(run)
            interrupted(run, experts)
            killed(run, experts)
            struck(slurm, run, experts, random.Random(o.seed))
        finally:
            slurm.stop()
        compare(whole, run)
        print("as without a cluster, byte for byte")
    finally:
        shutil.rmtree(place)


if __name__ == "__main__":
    main()
