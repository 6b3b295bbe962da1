"""Ranks that are stopped for a while, zombies that go on after others have taken over, a node without network.

See helpers.py for the arguments. Hosts are network namespaces (../hosts.sh), made by root; else these are skipped.
"""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import helpers
from helpers import Case

HOSTS = Path(__file__).parent.with_name("hosts.sh")
SQUARES = ("run", "squares", "-p", "n=60", "-p", "sleep_ms=20", "--threads", "1")
FARM = ("run", "command", "-p", "template=sleep 0.05", "-p", "over=i=1..60", "--threads", "1")


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Stopped(Case):
    """SIGSTOP of one rank for 5 s: the others wait, name it, and the answer is right."""

    def test_for_five_seconds(self):
        squares = ("run", "squares", "-p", "n=60", "-p", "sleep_ms=100")  # 2 s: slow machines stop it in time
        farm = ("run", "command", "-p", "template=sleep 0.1", "-p", "over=i=1..60")
        checksums = {line: self.report(*line, "--threads", "4", "-o", f"{i}.h5")["checksum"]
                     for i, line in enumerate((squares, farm))}
        jobs = []
        for line in (squares, farm):
            for victim in (0, 1):
                name = f"{line[1]}{victim}"
                job = self.start(*line, "--threads", "1", "--patience", "2", "-o", f"{name}.h5", "--json", ranks=3,
                                 TMPDIR=self.own_tmp(name))
                self.assertTrue(helpers.patiently((self.home / f"{name}.progress").exists))
                helpers.send(signal.SIGSTOP, [job.ranks()[victim]])
                jobs.append((job, line, victim))
        time.sleep(5)
        for job, _, victim in jobs:
            helpers.send(signal.SIGCONT, [job.ranks()[victim]])
        for job, line, victim in jobs:
            with self.fault(f"SIGSTOP of rank {victim} for 5 s, {'run' if line == squares else 'command farm'}"):
                output, errors = self.expect(job, 0)
                self.assertIn(f'"checksum":"{checksums[line]}"', output.replace(" ", "").replace("\n", ""))
                if line == squares:
                    self.assertRegex(errors, rf"has waited 2 s for rank {victim} \(")
                self.nobody_is_left(job)


class Zombie(Case):
    """A job that is stopped whole, taken over by another, and goes on: what the other has written stays."""

    def stop_whole(self, *line):
        job = self.start(*line, ranks=2)
        self.assertTrue(helpers.patiently((self.home / "a.progress").exists))
        time.sleep(0.3)
        helpers.send(signal.SIGSTOP, job.members())
        return job

    def go_on(self, job):
        helpers.send(signal.SIGCONT, job.members())

    def test_the_timings_are_those_of_the_second(self):
        with self.fault("zombie job: timings"):
            line = (*SQUARES, "--repetitions", "4", "-o", "a.h5", "-q")
            zombie = self.stop_whole(*line)
            self.succeed(*line, "--force", ranks=2)
            before = digest(self.home / "a.h5")
            self.go_on(zombie)
            zombie.end(20)
            self.assertEqual(digest(self.home / "a.h5"), before)
            self.assertEqual(self.committed(), 4)
            self.assertEqual(self.names(), ["a.h5"])

    def test_a_job_log_is_locked(self):
        with self.fault("zombie job: job log"):
            line = (*FARM, "-p", "joblog=log", "-q", "-o")
            zombie = self.stop_whole(*line, "a.h5")
            _, errors = self.expect(self.start(*line, "b.h5", "-p", "resume=true", ranks=2), 3)
            self.assertIn("is being written by another run", errors)
            self.go_on(zombie)
            self.expect(zombie, 0)
            log = (self.home / "log").read_text().splitlines()[1:]
            self.assertEqual(sorted(int(text.split("\t")[0]) for text in log), list(range(1, 61)))

    def test_a_later_attempt_has_a_job_log_of_its_own(self):
        """What Slurm starts again is not refused: the zombie's log is a file without a name in the end."""
        with self.fault("zombie job: job log, later attempt"):
            line = (*FARM, "-p", "joblog=log", "-p", "resume=true", "-q", "-o")
            zombie = self.stop_whole(*line, "a.h5")
            again = self.start(*line, "b.h5", SLURM_JOB_ID="7", SLURM_RESTART_COUNT="1")
            self.expect(again, 0)
            before = digest(self.home / "log")
            self.go_on(zombie)
            self.assertIn(zombie.end(20)[0], (0, 3))
            self.assertEqual(digest(self.home / "log"), before)
            log = (self.home / "log").read_text().splitlines()[1:]
            self.assertEqual(sorted(int(text.split("\t")[0]) for text in log), list(range(1, 61)))
            self.assertEqual(self.names(), ["a.h5", "b.h5", "log"])


class Cut(Case):
    """A host without network: whoever waits for it says so. mpirun notices nothing; killing it ends the job."""

    def setUp(self):
        super().setUp()
        shutil.copy(helpers.CLEAVE, self.home / "cleave")  # where every host sees it
        made = subprocess.run([HOSTS, "up", "3", self.home.parent], capture_output=True, text=True, timeout=30,
                              check=False)
        if made.returncode != 0:
            self.skipTest("no network namespaces: needs root")
        self.hosts = {"HOSTS": made.stdout.split("=")[1].strip()}
        self.addCleanup(subprocess.run, [HOSTS, "down"], env={**os.environ, **self.hosts}, timeout=30, check=True)

    def link(self, state):
        """Takes h3 off the network, or lets it come back."""
        subprocess.run([HOSTS, "run", "ip", "link", "set", "v3", state], env={**os.environ, **self.hosts},
                       cwd=self.home, check=True, timeout=10)  # every host sees that folder, not all of /tmp

    def on(self, *parts, **variables):
        """Starts a job: for each part hosts, and what runs there."""
        line = []
        for hosts, command in parts:
            ranks = hosts.count(":")
            line += [":"] * bool(line) + ["-n", ranks, "--host", hosts, self.home / "cleave", *command]
        return self.start_line([HOSTS, "run", "mpirun", "-q", *line], **self.hosts, **{
            "OMPI_MCA_btl": "self,vader,tcp", "OMPI_MCA_btl_vader_backing_directory": "/dev/shm", **variables})

    def cut_off(self, seconds=0.1):
        """Cuts h3 off while work is under way."""
        self.assertTrue(helpers.patiently((self.home / "a.progress").exists))
        time.sleep(seconds)
        self.link("down")
        return time.monotonic()

    def end(self, job, survivors):
        """mpirun notices no cut; it is killed, and with it go the ranks that are not cut off."""
        for process in job.members():
            if Path(f"/proc/{process}/comm").read_text() == "mpirun\n":
                helpers.send(signal.SIGKILL, [process])
        self.assertTrue(helpers.patiently(lambda: not survivors & set(job.ranks_anywhere()), 10),
                        "survivors do not end")

    def go_on_without(self, job, *line):
        """The same again on the other hosts, while the zombie lives; then that has its network again."""
        again = self.on(("h1:1,h2:1", (*line, "--force")))
        self.expect(again, 0, seconds=30)
        before = digest(self.home / "a.h5")
        self.link("up")
        time.sleep(1)
        self.assertEqual(digest(self.home / "a.h5"), before)
        job.kill_all()
        self.assertEqual(self.committed(), 2)

    line = ("run", "squares", "-p", "n=150", "-p", "sleep_ms=20", "--threads", "1", "--patience", "2",
            "--repetitions", "2", "-o", "a.h5")

    def test_a_host_without_root(self):
        with self.fault("node cut off the network"):
            job = self.on(("h1:1,h2:1,h3:1", self.line))
            since = self.cut_off()
            named = "has waited 2 s for rank 2 (host h3,"
            self.assertTrue(helpers.patiently(lambda: named in job.said()[1], 15), job.said())
            self.assertLess(time.monotonic() - since, 8)
            self.end(job, {0, 1})
            self.go_on_without(job, *self.line)

    def test_the_host_of_root(self):
        with self.fault("node of rank 0 cut off the network"):
            job = self.on(("h3:1", self.line), ("h1:1,h2:1", self.line))
            self.cut_off()
            self.assertTrue(helpers.patiently(lambda: "has waited 2 s for" in job.said()[1], 15), job.said())
            self.end(job, {1, 2})
            self.assertIn(0, job.ranks_anywhere(), "the zombie has ended: nothing is tested")
            self.go_on_without(job, *self.line)

    def test_with_a_checkpoint(self):
        """The next attempt goes on from what the cut-off rank, too, has kept; it cannot disturb that attempt."""
        work = ("run", "squares", "-p", "n=300", "--json", "-o")
        checksum = self.report(*work[:-2], "-o", "whole.h5")["checksum"]
        line = (*work, "a.h5", "-p", "sleep_ms=20", "--threads", "1", "--checkpoint", "kept")
        with self.fault("node cut off the network, --checkpoint"):
            job = self.on(("h1:1,h2:1,h3:1", line))
            self.cut_off(seconds=1.6)
            self.end(job, {0, 1})
            self.assertIn(2, job.ranks_anywhere(), "the zombie has ended: nothing is tested")
            output, _ = self.expect(self.on(("h1:1,h2:1", (*line, "--resume"))), 0, seconds=30)
            self.assertEqual(json.loads(output)["checksum"], checksum)
            self.link("up")
            time.sleep(1)
            self.assertFalse((self.home / "kept").exists())
            self.every_file_opens()


if __name__ == "__main__":
    helpers.main()
