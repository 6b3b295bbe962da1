"""Ranks that do not belong together, a clock that is set, and two jobs on one output; see helpers.py."""

import json
import os
import re
import shutil
import time
from pathlib import Path

import h5py
import helpers
from helpers import CLEAVE, CLOCK, MPIRUN, Case


class Ranks(Case):
    """One rank of four is another program, or is asked something else: refused before any work."""

    def refuse(self, last, *words):
        line = [MPIRUN, "-q", "-n", 3, CLEAVE, "run", "squares", "-o", "a.h5", ":", "-n", 1, *last]
        before = self.names()
        _, errors = self.expect(self.start_line(line), 2)
        self.assertEqual(errors.count("cleave: error: "), 1, errors)
        for word in words:
            self.assertIn(word, errors)
        self.assertEqual(self.names(), before)

    def test_another_binary(self):
        other = self.another_build()
        for _ in range(3):
            with self.fault("1 of 4 ranks with another binary"):
                self.refuse([other, "run", "squares", "-o", "a.h5"], "rank 3", "another program")

    def test_another_place_of_the_same_binary(self):
        shutil.copy(CLEAVE, self.home / "cleave")
        line = [MPIRUN, "-q", "-n", 3, CLEAVE, "run", "squares", ":", "-n", 1, "./cleave", "run", "squares"]
        self.expect(self.start_line(line), 0)

    def test_another_job_file(self):
        for n, name in ((3, "a"), (4, "b")):
            folder = self.home / f"elsewhere{n}"
            folder.mkdir()
            (folder / "a.toml").write_text(f'workload = "squares"\n[parameters]\nn = {n}\n')
            (self.home / f"{name}.toml").write_text(f'workload = "squares"\n[parameters]\nn = {n}\n')
        with self.fault("1 of 4 ranks with another job file"):
            self.refuse([CLEAVE, "run", "b.toml", "-o", "a.h5"], "different arguments")
        with self.fault("1 of 4 ranks with another file of the same name: root's counts"):
            line = [MPIRUN, "-q", "-n", 3, "-wdir", "elsewhere3", CLEAVE, "run", "a.toml", "--json", ":",
                    "-n", 1, "-wdir", "elsewhere4", CLEAVE, "run", "a.toml", "--json"]
            report = json.loads(self.expect(self.start_line(line), 0)[0])
            self.assertEqual(report["result"]["values"], [0, 1, 4])


class Clock(Case):
    """The clock of the day is set by hours, thirty times in three seconds; time is measured by another one."""

    def test_wall_times(self):
        """Half a second of sleep a repetition."""
        for ranks in (0, 2):
            with self.fault("clock set back and forth: run"):
                name = f"{ranks}.h5"
                self.succeed("run", "squares", "-p", "n=50", "-p", f"sleep_ms={10 * max(ranks, 1)}",
                             "--threads", "1", "--repetitions", "4", "--trace", "-o", name, ranks=ranks,
                             LD_PRELOAD=CLOCK)
                with h5py.File(self.home / name) as file:
                    walls = file["run/wall"][:]
                    self.assertGreaterEqual(walls.min(), 0.5)
                    self.assertLess(walls.max(), 60)
                    busy = file["run/thread_busy"][:]
                    self.assertTrue(((busy > 0) & (busy < 60)).all(), busy)

    def test_the_farm(self):
        with self.fault("clock set back and forth: command farm"):
            self.succeed("run", "command", "-p", "template=sleep 0.3", "-p", "over=i=1..6", "-p", "joblog=log",
                         "-p", "timeout_s=20", "-o", "a.h5", ranks=2, LD_PRELOAD=CLOCK)
            lines = (self.home / "log").read_text().splitlines()[1:]
            for runtime in (float(line.split("\t")[3]) for line in lines):
                self.assertTrue(0.3 <= runtime < 60, runtime)

    def test_the_end_of_a_slurm_job(self):
        """Slurm has told an end in an hour; then the clock is set two hours ahead."""
        with self.fault("clock set ahead in a Slurm job: run"):
            end = time.strftime("%FT%T", time.localtime(time.time() + 3600))
            squeue = self.home / "bin" / "squeue"
            squeue.parent.mkdir()
            squeue.write_text(f"#!/bin/sh\ntouch {self.home}/asked\necho {end}\n")
            squeue.chmod(0o755)
            job = self.start("run", "squares", "-p", "n=80", "-p", "sleep_ms=100", "--threads", "1", "-o", "a.h5",
                             LD_PRELOAD=CLOCK, CLOCK_STEP=str(self.home / "set"), SLURM_JOB_ID="7",
                             PATH=f"{squeue.parent}:{os.environ['PATH']}")
            self.assertTrue(helpers.patiently((self.home / "asked").exists))
            time.sleep(2) # until the answer has been read
            (self.home / "set").touch()
            self.expect(job, 0)

    def test_the_clock_is_set(self):
        """Or the others could not fail."""
        line = ["python3", "-c", "import time\nfor _ in range(9): print(time.time()); time.sleep(0.05)"]
        output, _ = self.expect(self.start_line(line, LD_PRELOAD=CLOCK), 0)
        seen = [float(word) for word in output.split()]
        self.assertGreater(max(seen) - min(seen), 3500)


class Twins(Case):
    """Two jobs that are started at the same instant with one output: one succeeds, the other is refused."""

    def race(self, first, second):
        """Statuses and messages of both."""
        jobs = [self.start("run", *line, ranks=2, TMPDIR=self.own_tmp(number))
                for number, line in enumerate((first, second))]
        ends = [job.end(30) for job in jobs]
        statuses = sorted(end[0] for end in ends)
        self.assertEqual(statuses, [0, 2], ends)
        errors = "".join(end[2] for end in ends)
        self.assertRegex(errors, "exists|appeared")
        return jobs

    def test_timings(self):
        line = ("squares", "-p", "n=100", "-p", "sleep_ms=2", "-o", "a.h5", "-q")
        for _ in range(4):
            self.empty_home()
            with self.fault("two jobs on one timings file"):
                self.race(line, line)
                self.assertEqual(self.committed(), 1)
                self.assertEqual(self.names(), ["a.h5"])

    def test_a_job_log(self):
        for _ in range(4):
            self.empty_home()
            (self.home / "tasks").write_text("sleep 0.1\n" * 6)
            line = ("command", "-p", "tasks=tasks", "-p", "joblog=log", "-q", "-o")
            with self.fault("two jobs on one job log"):
                self.race((*line, "a.h5"), (*line, "b.h5"))
                log = (self.home / "log").read_text().splitlines()
                self.assertEqual(sorted(int(text.split("\t")[0]) for text in log[1:]), [1, 2, 3, 4, 5, 6])
                self.assertEqual(len(self.names()), 3)


if __name__ == "__main__":
    helpers.main()
