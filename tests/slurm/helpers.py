"""What the tests of the batch scripts share: a Slurm of several nodes, made by slurm/cluster/cluster.sh, and its jobs."""

import os
import re
import shutil
import subprocess
import sys
import time
import unittest
from pathlib import Path

import h5py
import numpy as np

SOURCE = Path(__file__).resolve().parent.parent.parent
CLUSTER = SOURCE / "slurm/cluster/cluster.sh"
CLEAVE, SHARED = (os.path.realpath(path) for path in sys.argv[1:3])
NODES = 6
ENDED = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY"}
# As a user has it: neither what other tests set nor a TMPDIR that all nodes would share.
ENVIRONMENT = {name: value for name, value in os.environ.items()
               if not name.startswith(("OMPI_", "PRTE_", "SLURM_")) and name != "TMPDIR"}
SUMS = 'workload = "sum_squares"\n[parameters]\nn = {n}\n'
SLURMD_KILLS = 15 if os.environ.get("CLEAVE_SOAK") else 3 # under each of four kinds of work


class Case(unittest.TestCase):
    """A folder that all nodes see, with the scripts in it, and jobs on the one cluster."""

    cluster = None
    # Of the tests that are faults: what each tries, and how often.
    FAULTS = {
        "test_an_array_of_eight": [("Slurm: array of 8", 8)],
        "test_time_is_over": [("Slurm: time limit, with and without requeue", 2)],
        "test_a_cancelled_job_keeps_what_is_committed": [("Slurm: scancel", 2)],
        "test_a_cancelled_job_does_not_come_back": [("Slurm: scancel of a job that requeues itself", 1)],
        "test_a_node_that_is_drained_ends_its_job_first": [("Slurm: node drained", 1)],
        "test_slurmd_is_killed": [(f"Slurm: kill -9 of a node's slurmd: {kind}", SLURMD_KILLS)
                                  for kind in ("run", "map with checkpoint", "farm", "study")],
        "test_nodes_fail": [("Slurm: node crash", 1), ("Slurm: node cut off the network", 1)],
        "test_a_node_that_comes_back_ends_a_launch_of_a_study": [("Slurm: node back during a later attempt", 1)],
    }

    def run(self, result=None):
        before = len(result.failures) + len(result.errors)
        super().run(result)
        survived = len(result.failures) + len(result.errors) == before
        for name, tried in self.FAULTS.get(self._testMethodName, []):
            print(f"fault\t{name}\t{tried}\t{tried if survived else 0}", flush=True)

    def setUp(self):
        if Case.cluster is None:
            Case.cluster = begin_cluster()
        self.folder = Path(os.environ["TMPDIR"]) / self.id().rsplit(".", 1)[1]
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(SOURCE / "slurm", self.folder / "slurm")

    def on(self, host, *command, check=True, **variables):
        run = subprocess.run([CLUSTER, "on", str(host), *map(str, command)], cwd=self.folder, text=True,
                             capture_output=True, timeout=60,
                             env={**Case.cluster, "CLEAVE": CLEAVE, **variables})
        if check:
            self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        return run

    def login(self, *command, **variables):
        return self.on(1, *command, **variables).stdout

    def write(self, name, text):
        (self.folder / name).write_text(text)
        return name

    def submit(self, *arguments, **variables):
        return self.login("sbatch", "--parsable", "--output=log-%j", *arguments, **variables).strip()

    def until(self, condition, seconds=10):
        end = time.monotonic() + seconds
        while not condition():
            self.assertLess(time.monotonic(), end, "in vain")
            time.sleep(0.05)

    def facts(self, job):
        """A dictionary of what Slurm knows, for each task of the job."""
        shown = self.login("scontrol", "show", "job", job, "--oneliner")
        return [dict(re.findall(r"(\w+)=(\S*)", line)) for line in shown.splitlines() if line]

    def await_facts(self, job, wanted, seconds):
        """Waits until what Slurm knows of the job is as wanted."""
        until = time.monotonic() + seconds
        while not wanted(facts := self.facts(job)):
            if time.monotonic() > until:
                self.fail(f"job {job}: in vain for {seconds} s: {facts}\n{self.printed()}")
            time.sleep(0.2)
        return facts

    def await_running(self, job, seconds=30, restarts="0"):
        def wanted(facts):
            return all(f["JobState"] == "RUNNING" and f["Restarts"] == restarts for f in facts)
        return self.await_facts(job, wanted, seconds)[0]

    def ended(self, job, seconds=60):
        """How each task of the job has ended: "COMPLETED 0:0", its status before the colon."""
        facts = self.await_facts(job, lambda facts: all(f["JobState"] in ENDED for f in facts), seconds)
        return [f"{f['JobState']} {f['ExitCode']}" for f in facts]

    def printed(self):
        return "".join(f"== {log.name}\n{log.read_text()}" for log in sorted(self.folder.glob("log-*")))

    def succeeds(self, *arguments, seconds=60, **variables):
        job = self.submit(*arguments, **variables)
        how = set(self.ended(job, seconds))
        self.assertEqual(how, {"COMPLETED 0:0"}, self.printed())
        return job

    def timings(self, name):
        """The measured facts of results/NAME.h5."""
        with h5py.File(self.folder / "results" / (name + ".h5"), "r") as file:
            run = file["run"]
            done = np.isin(run["rep_state"][:], (1, 4)) # 4: an earlier attempt had computed a part
            return {
                "layout": tuple(int(run.attrs[key]) for key in ("nodes", "ranks", "threads")),
                "done": int(done.sum()),
                "verified": bool((run["verify"][:][done] == 1).all()),
                "checksums": {f"{value:016x}" for value in run["checksum"][:][done]},
                "tasks": int(run["tasks_done"][0].sum()),
                "cpus": [text.decode().rstrip("\0") for text in run["rank_cpus"][:]],
                "facts": {name: fact[()].decode().rstrip("\0")
                          for name, fact in file["provenance"].items()},
            }


def begin_cluster():
    made = subprocess.run([CLUSTER, "up", SHARED], text=True, capture_output=True, timeout=60,
                          env={**ENVIRONMENT, "CLUSTER_NODES": str(NODES), "CLUSTER_SOCKETS": "2",
                               "CLUSTER_SILENCE_S": "10", "HOSTS_LIFE_S": "1100"}) # should this program be killed
    if made.returncode != 0:
        raise RuntimeError(made.stderr)
    return {**ENVIRONMENT, "HOSTS": made.stdout.removeprefix("export HOSTS=").strip()}


def end_cluster():
    if Case.cluster is None:
        return
    logs = Path(os.environ["TMPDIR"]) / "slurm-logs"
    shutil.rmtree(logs, ignore_errors=True)
    shutil.copytree(Path(Case.cluster["HOSTS"]) / "slurm/log", logs) # to look at
    subprocess.run([CLUSTER, "down"], env=Case.cluster, timeout=30, check=True)


def lacking():
    """What this machine lacks for a Slurm of its own."""
    if os.getuid() != 0:
        return "root"
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    for program in ("slurmctld", "slurmd", "munged", "srun", "sbatch", "ip", "nsenter"):
        if shutil.which(program, path=path) is None:
            return f"{program} (scripts/setup --all installs it)"
    if len(os.sched_getaffinity(0)) < 2:
        return "two cores"
    namespaces = ["unshare", "--net", "--pid", "--uts", "--ipc", "--mount", "--fork", "true"]
    if subprocess.run(namespaces, capture_output=True).returncode != 0:
        return "namespaces of its own (unshare --net --mount ...)"
    return ""
