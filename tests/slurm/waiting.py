"""How the batch scripts wait for their launcher, without a Slurm."""

import os
import shutil
import signal
import subprocess
import time
import tomllib
import unittest
from pathlib import Path

from helpers import ENVIRONMENT, SOURCE


class Waiting(unittest.TestCase):
    """What the scripts make of signals, statuses and settings, with stand-ins of what they start."""

    def setUp(self):
        self.home = Path(os.environ["TMPDIR"]) / "waiting"
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir()

    def fake(self, name, lines):
        (self.home / name).write_text(f"#!/bin/bash\n{lines}\n")
        (self.home / name).chmod(0o755)

    def job(self, **variables):
        """The environment of a batch job."""
        return {**ENVIRONMENT, "SLURM_JOB_ID": "1", "SLURM_JOB_NUM_NODES": "1", "SLURM_NTASKS_PER_NODE": "1",
                "SLURM_CPUS_PER_TASK": "1", "PATH": f"{self.home}:{os.environ['PATH']}", "HOME": str(self.home),
                "CLEAVE_HOME": str(SOURCE), **variables}

    def launch(self, srun, signals, signal_number=signal.SIGUSR1, **job):
        self.fake("srun", srun)
        lines = f"set -euo pipefail\nsource {SOURCE}/slurm/launch.sh\nlaunch run x"
        shell = subprocess.Popen(["bash", "-c", lines], env=self.job(**job), cwd=self.home,
                                 start_new_session=True)
        self.addCleanup(shell.kill)
        while not (self.home / "ready").exists():
            time.sleep(0.01)
        for _ in range(signals):
            # USR1 comes to the batch shell alone, TERM to all processes of the job.
            shell.send_signal(signal_number) if signal_number == signal.SIGUSR1 else \
                os.killpg(shell.pid, signal_number)
            time.sleep(0.01)
        return shell.wait(timeout=20)

    def run_script(self, name, *arguments, **job):
        return subprocess.run([SOURCE / "slurm" / name, *arguments], env=self.job(**job), cwd=self.home,
                              timeout=20, capture_output=True, text=True)

    def test_the_status_is_the_launchers(self):
        self.assertEqual(self.launch("touch ready; exit 7", 0), 7)

    def test_usr1_is_handed_on_and_the_status_kept(self):
        saves = "trap 'exit 75' USR1; touch ready; for _ in {1..100}; do sleep 0.05; done; exit 1"
        self.assertEqual(self.launch(saves, 1), 75)

    def test_usr1_before_the_start_leaves_all_for_later(self):
        counts_up = 'case "$*" in *true) touch ready; sleep 0.3 ;; *) exit 1 ;; esac'
        self.assertEqual(self.launch(counts_up, 1, SLURM_RESTART_COUNT="1"), 75)

    def test_a_launcher_that_usr1_kills_has_lost_nothing(self):
        self.assertEqual(self.launch("touch ready; exec sleep 5", 1), 75)

    def test_usr1_is_repeated_until_there_are_ranks(self):
        deaf = "trap : USR1; touch ready; sleep 0.5; trap 'exit 75' USR1; for _ in {1..100}; do sleep 0.05; done"
        self.assertEqual(self.launch(deaf, 1), 75)

    def test_many_signals_lose_no_status(self):
        self.assertEqual(self.launch("trap : USR1; touch ready; sleep 0.1; sleep 0.1; exit 9", 30), 9)

    def test_term_is_left_to_slurm(self):
        stays = "trap : TERM; touch ready; sleep 0.3; sleep 0.3; exit 75" # TERM ends one sleep
        self.assertEqual(self.launch(stays, 1, signal.SIGTERM), 75)

    def test_another_launcher_is_refused(self):
        for script in (("one-node.sh", "x.toml"), ("study.sh", "strong", "x.toml")):
            run = self.run_script(*script, LAUNCHER="orterun")
            self.assertEqual(run.returncode, 2)
            self.assertIn("LAUNCHER must be srun or mpirun, not 'orterun'", run.stderr)

    def test_ranks_of_a_hybrid_job_are_spread_over_sockets(self):
        job = {"SLURM_NTASKS_PER_NODE": "2", "SLURM_CPUS_PER_TASK": "3", "SLURM_NTASKS_PER_SOCKET": "1"}
        for launcher in ("srun", "mpirun"):
            self.fake(launcher, 'echo "$*"')
        for sockets, where in (("0 1", "1:socket"), ("0", "2:node")):
            self.fake("lscpu", f"printf '%s\\n' '# Socket' {sockets} {sockets}")
            self.assertIn(f" ppr:{where}:PE=3 ", self.run_script("hybrid.sh", "x", LAUNCHER="mpirun", **job).stdout)
        self.assertIn(" --ntasks-per-socket=1 -c 3 ", self.run_script("hybrid.sh", "x", **job).stdout)
        del job["SLURM_NTASKS_PER_SOCKET"]
        self.assertIn(" --ntasks-per-node=2 -c 3 ", self.run_script("hybrid.sh", "x", **job).stdout)

    def test_a_study_has_its_job_and_its_launcher(self):
        self.fake("cleave", 'echo "$*"')
        name = self.home / 'a "b"\\n.toml'
        name.write_text("")
        for launcher in ("srun", "mpirun"):
            run = self.run_script("study.sh", "weak", name, "--only", "ranks=1", LAUNCHER=launcher)
            file = 'results/a "b"\\n-weak-j1'
            self.assertEqual(run.stdout, f"study {file}.toml -o {file} --launcher {launcher} --only ranks=1\n",
                             run.stderr)
            study = tomllib.loads((self.home / f"{file}.toml").read_text())
            self.assertEqual((study["job"], study["mode"]), (str(name.resolve()), "weak"))
        run = self.run_script("study.sh", "weak", name, LAUNCHER="mpirun", SLURM_JOB_NUM_NODES="2")
        self.assertEqual((run.returncode, run.stdout), (2, ""))
        self.assertIn("one node", run.stderr)
