"""cleave slurm: the scripts that it writes, what they do with stand-ins of Slurm, what it refuses; and what cleave
layout says in a Slurm job.

slurm_cli_test.py CLEAVE [unittest arguments]
"""

import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import h5py
import numpy as np

CLEAVE = os.path.abspath(sys.argv[1])
LAYOUT = ("--nodes", "2", "--ranks-per-node", "3", "--threads", "4")


class Case(unittest.TestCase):
    """A test in an empty directory of its own, whose folder bin comes first on PATH."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.home = Path(directory.name)
        (self.home / "bin").mkdir()

    def fake(self, name, lines):
        program = self.home / "bin" / name
        program.write_text("#!/bin/bash\n" + lines)
        program.chmod(0o755)

    def environment(self, **variables):
        return {**os.environ, "PATH": f"{self.home}/bin:{os.environ['PATH']}", **variables}

    def slurm(self, *arguments, status=0):
        run = subprocess.run([CLEAVE, "slurm", *arguments], cwd=self.home, text=True, timeout=50,
                             capture_output=True, env=self.environment(), check=False)
        self.assertEqual(run.returncode, status, run.stdout + run.stderr)
        return run.stderr if status else run.stdout

    def until(self, condition):
        for _ in range(2000):
            if condition():
                return
            time.sleep(0.01)
        self.fail("nothing has come of it for 20 s")


class Scripts(Case):
    def test_shellcheck_has_nothing_to_say(self):
        if not shutil.which("shellcheck"):
            self.skipTest("no shellcheck")
        for more in ((), ("--requeue",), ("--launcher", "mpirun"),
                     ("--launcher", "mpirun", "--requeue"), ("-p", "n=5", "--requeue", "sum_squares")):
            (self.home / "s.sh").write_text(self.slurm("squares", *LAYOUT, *more))
            subprocess.run(["shellcheck", "s.sh"], cwd=self.home, check=True)

    def test_time_and_memory_come_from_results(self):
        for name in ("a.h5", "b.h5"):
            subprocess.run([CLEAVE, "run", "squares", "-p", "n=8", "-p", "sleep_ms=20", "-q", "--threads", "1",
                            "--repetitions", "6", "-o", name], cwd=self.home, check=True, timeout=50)
        job = ("squares", "-p", "n=8", "-p", "sleep_ms=20", "--nodes", "1", "--threads", "2", "--from")
        for results in ("a.h5", "."):
            text = self.slurm(*job, results)
            self.assertRegex(text, r"(?m)^# time: 1 repetition of \S+ s, predicted for 2 workers from "
                                   r"\S*[ab]\.h5 \(1 worker: \S+ s\)")
            self.assertIn("#SBATCH --time=00:03:00\n", text)
            self.assertRegex(text, r"(?m)^# memory: 1.5 times what was held in \S*[ab]\.h5 \(1 rank x 1 thread\): "
                                   r"\S+ MiB by root; and 128 MiB for the launcher$")
        told = subprocess.run([CLEAVE, "predict", "a.h5", "-n", "2,4", "--cores-per-node", "4", "--schedules", "auto",
                               "--format", "json"], cwd=self.home, check=True, timeout=50, capture_output=True)
        predicted = json.loads(told.stdout)["predictions"]
        for ranks, point in zip((1, 2), predicted, strict=True): # of two threads
            text = self.slurm(*job, "a.h5", "--ranks-per-node", str(ranks))
            each = float(re.search(r"repetition of (\S+) s", text).group(1))
            self.assertEqual(point["workers"], 2 * ranks)
            self.assertAlmostEqual(each / point["time_s"]["interval"][1], 1, delta=0.01) # told in 3 digits
            self.assertGreater(each, 0.16 / (2 * ranks))
        text = self.slurm(*job, "a.h5", "--time", "7", "--mem", "1G")
        self.assertIn("# time: as given", text)
        self.assertIn("#SBATCH --mem=1G\n", text)
        self.assertIn("squares with these parameters", self.slurm("squares", *LAYOUT, "--from", "a.h5", status=2))

    def held_mib(self, name, of="peak_memory"):
        """By rank."""
        with h5py.File(self.home / name) as file:
            return file["run"][of][0] / 2**20

    def test_memory_is_what_ranks_have_held(self):
        run = (CLEAVE, "run", "squares", "-p", "n=8", "-q", "--threads", "1")
        subprocess.run([*run, "-o", "one.h5"], cwd=self.home, check=True, timeout=50)
        job = ("squares", "-p", "n=8", "--nodes", "1", "--threads", "2", "--ranks-per-node")
        root, = self.held_mib("one.h5")
        self.assertGreater(root, 5)
        for ranks, others in ((1, 0), (3, 2 * min(root, max(root - 1, 256)))): # its root holds 1 MiB, it says
            self.assertIn(f"#SBATCH --mem={math.ceil(1.5 * (root + others) + 128)}M\n",
                          self.slurm(*job, str(ranks), "--from", "one.h5"))
        with h5py.File(self.home / "one.h5", "r+") as file: # as it was before version 1.2
            del file["run/peak_memory"], file["run/program_memory"], file["run/added_xxh3"]
        self.assertIn("is not a whole timings file", self.slurm(*job, "3", "--from", "one.h5", status=2))
        with h5py.File(self.home / "one.h5", "r+") as file:
            file.attrs["format_version"] = np.bytes_("1.1")
        text = self.slurm(*job, "3", "--from", "one.h5")
        self.assertRegex(text, r"(?m)^# memory: twice the 1 MiB .* 256 MiB for each of 3 ranks a node$")
        self.assertIn("#SBATCH --mem=770M\n", text)

    def test_memory_of_commands_counts_for_each_worker(self):
        (self.home / "tasks").write_text("/usr/bin/python3 -c 'bytearray(100 << 20)'\ntrue\n")
        farm = ("command", "-p", "tasks=tasks")
        subprocess.run([CLEAVE, "run", *farm, "-p", "joblog=log", "-q", "--threads", "1", "-o", "farm.h5"],
                       cwd=self.home, check=True, timeout=50)
        program, = self.held_mib("farm.h5", "program_memory")
        self.assertTrue(100 < program < 150, program)
        root, = self.held_mib("farm.h5")
        layout = ("--nodes", "2", "--ranks-per-node", "2", "--threads", "4", "--from", "farm.h5")
        for more in ((), ("--requeue",), ("-p", "joblog=other", "-p", "resume=true")):
            text = self.slurm(*farm, *more, *layout)
            self.assertRegex(text, r"(?m)^# memory: .*, \S+ MiB by a program of each of 8 workers a node;")
            self.assertIn(f"#SBATCH --mem={math.ceil(1.5 * (2 * root + 8 * program) + 128)}M\n", text)
        subprocess.run([CLEAVE, "run", *farm, "-p", "joblog=log", "-p", "resume=true", "-q", "-o", "rest.h5"],
                       cwd=self.home, check=True, timeout=50)
        self.assertIn("has no run of command", self.slurm(*farm, *layout[:-1], "rest.h5", status=2))
        self.assertIn("-p joblog: is the script's to give",
                      self.slurm(*farm, "-p", "joblog=other", "--requeue", *layout, status=2))

    def test_notice_is_a_part_of_the_time(self):
        for arguments, seconds in (((), 120), (("--time", "4"), 60), (("--time", "1-0"), 120),
                                   (("--time", "1:00:00", "--notice", "300"), 300)):
            self.assertIn(f"#SBATCH --signal=B:USR1@{seconds}\n", self.slurm("squares", *LAYOUT, *arguments))

    def test_an_array_of_jobs(self):
        for name in ("a", "b"):
            (self.home / f"{name}.toml").write_text(f'workload = "squares"\n[output]\ntimings = "{name}.h5"\n')
        text = self.slurm("a.toml", "b.toml", *LAYOUT, "--at-once", "1")
        self.assertIn("#SBATCH --array=0-1%1\n", text)
        self.assertIn("jobs=(a.toml b.toml)\n", text)
        self.assertIn("of another job", self.slurm("a.toml", "a.toml", *LAYOUT, status=2))

    def test_what_is_refused(self):
        for arguments, words in [
                (("squares", "--nodes", "2"), "--ranks-per-node: missing"),
                (("squares", "--threads", "0"), "--threads: must be"),
                (("squares", *LAYOUT, "--nodes", "x"), "--nodes: is given twice"),
                (("squares", "--nodes", "x", "--threads", "2"), "--nodes: must be a whole number"),
                (("squares", *LAYOUT, "--time", "1h"), "--time: must be as sbatch takes it"),
                (("squares", *LAYOUT, "--mem", "4GB"), "--mem: must be"),
                (("squares", *LAYOUT, "--partition", "a\nrm -rf"), "--partition: must be a word"),
                (("squares", *LAYOUT, "--sbatch", "qos=low"), "--sbatch: must be an option"),
                (("squares", *LAYOUT, "--sbatch=--x\ny"), "--sbatch: must be a word"),
                (("squares", *LAYOUT, "--at-once", "2"), "--at-once: is for several jobs"),
                (("squares", *LAYOUT, "--launcher", "slurm"), "--launcher: must be srun or mpirun"),
                (("squares", *LAYOUT, "-p", "m=2"), "m: unknown parameter"),
                (("nosuch.toml", *LAYOUT), "nosuch.toml: cannot be read"),
                (("nosuch.toml", "--nodes", "2"), "nosuch.toml: cannot be read"),
                (("squares", "command", *LAYOUT, "-p", "n=3"), "unknown parameter"),
                (("squares", *LAYOUT, "-o", "no/s.sh"), "no"),
                (("squares", *LAYOUT, "--from", "no.h5"), "no.h5: there is no such file")]:
            with self.subTest(arguments=arguments):
                message = self.slurm(*arguments, status=2)
                self.assertEqual(message.count("cleave: error: "), 1)
                self.assertIn(words, message)
        self.assertEqual([p.name for p in self.home.iterdir()], ["bin"])


class Submission(Case):
    def test_the_number_is_printed_and_the_script_kept(self):
        self.fake("sbatch", f'echo "$*" >{self.home}/asked\necho "17;cluster"\n')
        self.assertEqual(self.slurm("squares", *LAYOUT, "--submit"), "17\n")
        self.assertEqual((self.home / "asked").read_text(), "--parsable squares.sh\n")
        (self.home / "squares.err").write_text("the user's")
        self.assertIn("exists already", self.slurm("squares", *LAYOUT, "--submit", status=2))
        self.assertEqual(self.slurm("squares", *LAYOUT, "--submit", "--force"), "17\n")
        self.assertEqual((self.home / "squares.err").read_text(), "the user's")
        self.assertIn("s.sh", self.slurm("squares", *LAYOUT, "-o", "s.sh"))
        self.assertTrue(os.access(self.home / "s.sh", os.X_OK))
        self.assertEqual(self.slurm("squares", *LAYOUT).splitlines()[3:],
                         (self.home / "s.sh").read_text().splitlines()[3:])

    def test_what_sbatch_says_is_told(self):
        self.fake("sbatch", 'echo "sbatch: error: invalid partition" >&2; exit 1\n')
        self.assertIn("invalid partition", self.slurm("squares", *LAYOUT, "--submit", status=3))


class Life(Case):
    """A script between its Slurm and its ranks."""

    def script(self, *more):
        self.fake("scontrol", f'echo "$*" >>{self.home}/asked\n')
        (self.home / "s.sh").write_text(self.slurm("squares", *LAYOUT, *more))
        self.fake("srun", f'echo "$@" >{self.home}/started\n[[ -n $DEAF ]] && trap "touch {self.home}/heard" USR1 || trap "echo saved; sleep 0.3; exit 75" USR1\n'
                          f'trap "echo saved; exit 75" TERM\ntouch {self.home}/ready\n[[ -z $END ]] || exit "$END"\n'
                          'for i in {1..300}; do sleep 0.1; done\n')

    def start(self, **variables):
        process = subprocess.Popen(["bash", "s.sh"], cwd=self.home, text=True, stdout=subprocess.PIPE,
                                   start_new_session=True,
                                   env=self.environment(SLURM_JOB_ID="17", **{"END": "", "DEAF": "", **variables}))
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.kill)
        return process

    def asked(self):
        file = self.home / "asked"
        return file.read_text() if file.exists() else ""

    def test_its_status_is_that_of_the_ranks(self):
        self.script("--requeue")
        for status in (0, 3, 137):
            self.assertEqual(self.start(END=str(status)).wait(20), status)
        self.assertEqual(self.asked(), "")
        self.assertIn(f"{CLEAVE} run squares --threads 4 --checkpoint results/squares-j17.checkpoint --resume",
                      (self.home / "started").read_text())

    def test_a_signal_reaches_the_ranks_and_the_job_starts_again(self):
        for more, asked in (((), ""), (("--requeue",), "requeue 17\n")):
            self.script(*more)
            process = self.start()
            self.until((self.home / "ready").exists)
            process.send_signal(signal.SIGUSR1)
            time.sleep(0.1)
            process.send_signal(signal.SIGUSR1) # while it waits for the ranks to save
            self.assertEqual(process.wait(20), 75)
            self.assertIn("saved", process.stdout.read())
            self.assertEqual(self.asked(), asked)
            (self.home / "ready").unlink()

    def test_the_very_end_starts_it_again_and_scancel_does_not(self):
        self.script("--requeue")
        for asked_before, asked in ((False, ""), (True, "requeue 17\n")):
            process = self.start(DEAF="yes")
            self.until((self.home / "ready").exists)
            if asked_before: # bash loses one of two signals that find it in `wait` at one instant
                process.send_signal(signal.SIGUSR1)
                self.until((self.home / "heard").exists)
            os.killpg(process.pid, signal.SIGTERM) # comes to all
            self.assertEqual(process.wait(20), 75)
            self.assertEqual(self.asked(), asked)
            (self.home / "ready").unlink()

    def test_a_signal_before_the_ranks_begin_starts_none(self):
        self.script("--requeue")
        self.fake("dirname", f'touch {self.home}/ready; sleep 0.3; echo results') # of the state's folder
        process = self.start()
        self.until((self.home / "ready").exists)
        process.send_signal(signal.SIGUSR1)
        self.assertEqual(process.wait(20), 75)
        self.assertFalse((self.home / "started").exists())
        self.assertEqual(self.asked(), "requeue 17\n")

    def test_a_job_that_comes_no_further_ends(self):
        self.script("--requeue")
        self.assertEqual(self.start(END="75", SLURM_RESTART_COUNT="98").wait(20), 75)
        self.assertEqual(self.asked(), "requeue 17\n")
        self.assertEqual(self.start(END="75", SLURM_RESTART_COUNT="99").wait(20), 75)
        self.assertEqual(self.asked(), "requeue 17\n")

    def test_a_farm_goes_on_by_its_log(self):
        (self.home / "list").write_text("true\n")
        text = self.slurm("command", "-p", "tasks=list", *LAYOUT, "--requeue")
        self.assertIn('-p joblog="$state" -p resume=true', text)
        self.assertNotIn("--checkpoint", text)


class Doctor(Case):
    """cleave layout in what looks like a Slurm job."""

    JOB = {"SLURM_JOB_ID": "17", "SLURM_JOB_NUM_NODES": "2", "SLURM_NTASKS": "4", "SLURM_MEM_PER_NODE": "2048",
           "SLURM_JOB_CPUS_PER_NODE": "2(x2)"}

    def layout(self, *arguments, **variables):
        run = subprocess.run([CLEAVE, "layout", "--threads", "1", *arguments], cwd=self.home, text=True, timeout=50,
                             capture_output=True, env=self.environment(**variables), check=True)
        self.assertEqual(run.stderr, "")
        return run.stdout

    def test_it_knows_the_job_and_its_end(self):
        self.fake("squeue", "date -d '+90 sec' +%FT%T\n")
        text = self.layout(**self.JOB)
        self.assertRegex(text, r"(?m)^slurm +job 17: 2 nodes, 4 tasks, 4 CPUs, 2 GiB a node, ends in 1 min \d+ s$")
        self.assertRegex(text, r"warning +Slurm ends this job in \d+ s\n")
        self.assertRegex(text, r"warning +the Slurm job has 4 CPUs on 2 nodes for 4 tasks, but 1 worker on 1 node "
                               r"computes.*\n +mend: srun --mpi=pmix -n 4 --cpus-per-task=1")
        job = json.loads(self.layout("--json", **self.JOB))["slurm"]
        self.assertAlmostEqual(job.pop("seconds_left"), 85, delta=6)
        self.assertEqual(job, {"job": 17, "nodes": 2, "tasks": 4, "cpus_per_task": None, "cpus": 4,
                               "memory_mib": 2048})

    def test_a_slurm_that_does_not_answer_is_no_hindrance(self):
        self.fake("squeue", "sleep 40\n")
        begun = time.monotonic()
        self.assertRegex(self.layout(**self.JOB), r"(?m)2 GiB a node$")
        self.assertLess(time.monotonic() - begun, 20)

    def test_outside_of_a_job_nobody_is_asked(self):
        self.fake("squeue", f"touch {self.home}/asked\n")
        self.assertNotIn("slurm", self.layout())
        self.assertIsNone(json.loads(self.layout("--json"))["slurm"])
        self.assertFalse((self.home / "asked").exists())


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]])
