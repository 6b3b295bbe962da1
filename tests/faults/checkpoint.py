"""Checkpoints through signals, zombies, full disks and twins; kill.py kills them. See helpers.py for the arguments."""

import json
import os
import re
import shutil
import signal
import subprocess
import time

import h5py
import helpers
from helpers import CLEAVE, Case

SQUARES = ("squares", "-p", "n=300", "-p", "sleep_ms=20")
FULL = "No space left on device"


class Checkpoints(Case):
    """Runs that keep what they have in kept/."""

    def setUp(self):
        super().setUp()
        self.checksum = self.report("run", *SQUARES, "--threads", "8", "-o", "whole.h5", "--result",
                                    "whole.json")["checksum"]
        self.answer = (self.home / "whole.json").read_bytes()
        self.empty_home()

    def line(self, *more, job=SQUARES):
        return ("run", *job, "--checkpoint", "kept", "-o", "a.h5", "--result", "a.json", "--json", *more)

    def start_working(self, *more, ranks=2, seconds=1.6, job=SQUARES, **options):
        """A job that has kept something: that is done about once a second."""
        job = self.start(*self.line("--threads", "1", *more, job=job), ranks=ranks, **options)
        self.assertTrue(helpers.patiently(lambda: self.journals(1) or job.has_ended()), job.said())
        time.sleep(seconds)
        self.assertFalse(job.has_ended(), job.said())
        return job

    def journals(self, attempt):
        return sorted((self.home / "kept").glob(f"attempt-{attempt:04}.*"))

    def go_on(self, *more, ranks=3, **options):
        """Resumes at another layout, and comes to the bytes of an undisturbed run."""
        line = self.line("--resume", "--threads", "2", "--schedule", "dynamic,3", *more)
        began = time.monotonic()
        report = self.report(*line[:-1], ranks=ranks, **options) if line[-1] == "--json" else json.loads(
            self.succeed(*line, ranks=ranks, **options)[0])
        self.assertEqual(report["checksum"], self.checksum)
        self.assertEqual((self.home / "a.json").read_bytes(), self.answer)
        self.assertFalse((self.home / "kept").exists())
        self.every_file_opens()
        return time.monotonic() - began


class Signals(Checkpoints):
    def test_usr1_through_mpirun(self):
        for ranks in (2, 3):
            self.empty_home()
            with self.fault("SIGUSR1 to mpirun: status 75, then --resume"):
                job = self.start_working(ranks=ranks)
                helpers.send(signal.SIGUSR1, [job.pid])
                _, errors = self.expect(job, 75, seconds=10)
                self.assertEqual(errors.count("cleave: error: "), 1, errors)
                self.assertIn("--resume", errors)
                self.nobody_is_left(job)
                self.assertEqual(len(self.journals(1)), 1 + ranks)
                self.go_on()

    def test_usr1_to_one_process(self):
        with self.fault("SIGUSR1 without mpirun: status 75, then --resume"):
            job = self.start_working(ranks=0)
            helpers.send(signal.SIGUSR1, [job.pid])
            self.expect(job, 75, seconds=10)
            self.go_on()

    def test_the_end_of_a_slurm_job(self):
        """Slurm says that the job has 12 s left: tasks end 10 s before, and the run can be gone on with."""
        with self.fault("end of a Slurm job: status 75, then --resume"):
            squeue = self.home / "bin" / "squeue"
            squeue.parent.mkdir()
            squeue.write_text("#!/bin/sh\ndate -d '+12 seconds' +%FT%T\n")
            squeue.chmod(0o755)
            job = self.start(*self.line("--threads", "1"), SLURM_JOB_ID="7",
                             PATH=f"{squeue.parent}:{os.environ['PATH']}")
            _, errors = self.expect(job, 75, seconds=10)
            self.assertIn("--resume", errors)
            self.go_on()

    def test_a_long_run_begins_a_checkpoint_by_itself(self):
        """As soon as it is known that it will take over 10 minutes: after 10 s."""
        def start(name, *more, ranks):
            return self.start("run", "squares", "-p", "n=80000", "-p", "sleep_ms=20", "--threads", "1", "-o", name,
                              *more, ranks=ranks, TMPDIR=self.own_tmp(name))

        with self.fault("SIGUSR1 to a long run that has begun a checkpoint by itself: status 75"):
            without = start("b.h5", "--no-checkpoint", ranks=0)
            job = start("a.h5", ranks=2)
            kept = self.home / "a.checkpoint"
            self.assertTrue(helpers.patiently(lambda: kept.exists() or job.has_ended(), 40), job.said())
            time.sleep(1.6) # something is kept about once a second
            helpers.send(signal.SIGUSR1, [job.pid, without.pid])
            _, errors = self.expect(job, 75, seconds=10)
            self.assertIn("go on by --checkpoint a.checkpoint --resume", errors)
            self.assertGreater(sum(path.stat().st_size for path in kept.iterdir()), 2000)
            _, errors = self.expect(without, 75, seconds=10)
            self.assertNotIn("go on by", errors)
            self.assertFalse((self.home / "b.checkpoint").exists())

    def test_term(self):
        for ranks, number in ((0, signal.SIGTERM), (0, signal.SIGINT), (2, signal.SIGTERM)):
            self.empty_home()
            with self.fault("SIGTERM, SIGINT, then --resume"):
                job = self.start_working(ranks=ranks)
                helpers.send(number, [job.pid])
                self.expect(job, 1 if ranks else 75, seconds=10)
                self.nobody_is_left(job)
                kept = sum(path.stat().st_size for path in self.journals(1))
                self.assertGreater(kept, 2000, "nothing was kept")
                self.go_on()


class Zombie(Checkpoints):
    """The first attempt is stopped whole, a second one goes on and ends, the first is let go on."""

    def stop_whole(self):
        zombie = self.start_working()
        helpers.send(signal.SIGSTOP, zombie.members())
        return zombie

    def test_while_the_second_works(self):
        with self.fault("zombie attempt beside the second"):
            zombie = self.stop_whole()
            second = self.start(*self.line("--resume", "--threads", "1"), ranks=2)
            self.assertTrue(helpers.patiently(lambda: self.journals(2)))
            helpers.send(signal.SIGCONT, zombie.members())
            output, _ = self.expect(second, 0)
            zombie.end(30)
            self.assertEqual(json.loads(output)["checksum"], self.checksum)
            self.assertEqual((self.home / "a.json").read_bytes(), self.answer)
            self.only(r"a(\.attempt2)?\.h5|a\.json")
            self.every_file_opens()

    def test_after_the_second(self):
        with self.fault("zombie attempt after the second"):
            zombie = self.stop_whole()
            self.go_on()
            timings = self.home / "a.attempt2.h5"
            before = (timings.stat().st_ino, timings.stat().st_mtime_ns)
            helpers.send(signal.SIGCONT, zombie.members())
            zombie.end(30)
            self.assertEqual((timings.stat().st_ino, timings.stat().st_mtime_ns), before)
            self.assertEqual((self.home / "a.json").read_bytes(), self.answer)
            self.only(r"a(\.attempt2)?\.h5|a\.json")

    def test_beside_a_new_run_of_its_folder(self):
        """The second has removed the folder, and a third job begins there as attempt 1."""
        with self.fault("zombie attempt beside a new run in its folder"):
            zombie = self.stop_whole()
            self.go_on()
            line = ("run", *SQUARES, "--checkpoint", "kept", "-o", "b.h5", "--json", "--threads", "1")
            new = self.start(*line, ranks=2)
            self.assertTrue(helpers.patiently(lambda: self.journals(1)))
            helpers.send(signal.SIGCONT, zombie.members())
            zombie.end(30)
            self.assertFalse(new.has_ended(), "ended before the zombie: nothing is tested")
            self.assertEqual(len(self.journals(1)), 3)
            new.kill_all()
            report = self.report(*line[:-3], "--resume", ranks=2)
            self.assertEqual(report["checksum"], self.checksum)


class Places(Checkpoints):
    def mounted(self, mount, *line):
        if subprocess.run(["unshare", "--mount", "true"], stderr=subprocess.DEVNULL, check=False).returncode:
            self.skipTest("may not mount: needs root")
        (self.home / "small").mkdir()
        script = f'{mount} && "$@"; status=$?; ls -R small >listing; exit $status'
        return self.start_line(["unshare", "--mount", "bash", "-c", script, "bash", helpers.MPIRUN, "-q", "-n",
                                2, CLEAVE, *line])

    def small(self, job=SQUARES, *more):
        return ("run", *job, "--checkpoint", "small/kept", "-o", "a.h5", "--json", "--threads", "1",
                "--schedule", "dynamic,1", *more)

    def test_a_full_disk_costs_the_checkpoint_alone(self):
        for size in ("12k", "20k"):
            self.empty_home()
            with self.fault("disk full: checkpoint"):
                job = self.mounted(f"mount -t tmpfs -o size={size} none small", *self.small())
                output, errors = self.expect(job, 0)
                self.assertEqual(json.loads(output)["checksum"], self.checksum)
                self.assertIn(FULL, errors)
                self.assertIn("goes on without a checkpoint", errors)

    def test_no_place_from_the_beginning(self):
        for what, mount in (("disk full", "mount -t tmpfs -o size=4k none small; cp /bin/ls small/x 2>/dev/null; true"),
                            ("read-only folder", "mount --bind small small && mount -o remount,bind,ro small")):
            self.empty_home()
            with self.fault(f"{what}: checkpoint, at its beginning"):
                _, errors = self.expect(self.mounted(f"{{ {mount}; }}", *self.small()), 2)
                self.assertEqual(errors.count("cleave: error: "), 1, errors)
                self.assertIn("small/kept", errors)
                self.assertEqual(self.names(), ["listing"])

    def test_a_folder_that_vanishes(self):
        with self.fault("folder that vanishes: checkpoint"):
            job = self.start_working(seconds=0.5)
            (self.home / "kept").rename(self.tmp / "ompi.gone")
            shutil.rmtree(self.tmp / "ompi.gone")
            output, errors = self.expect(job, 0)
            self.assertEqual(json.loads(output)["checksum"], self.checksum)
            self.assertIn("goes on without a checkpoint", errors)
            self.assertEqual(self.names(), ["a.h5", "a.json"])

    def test_a_folder_that_vanishes_before_a_signal(self):
        with self.fault("folder that vanishes, and SIGUSR1: checkpoint"):
            job = self.start_working(seconds=0.2)
            (self.home / "kept").rename(self.tmp / "ompi.gone")
            helpers.send(signal.SIGUSR1, [job.pid])
            _, errors = self.expect(job, 75, seconds=10)
            self.assertNotIn("go on by", errors)
            shutil.rmtree(self.tmp / "ompi.gone")


class Others(Checkpoints):
    def kept_by(self, **options):
        """A checkpoint that a run has left behind."""
        job = self.start_working(**options)
        helpers.send(signal.SIGUSR1, [job.pid])
        self.expect(job, 75, seconds=10)

    def refuse(self, line, *words, **options):
        before = {path: path.stat().st_mtime_ns for path in self.home.rglob("*") if path.is_file()}
        _, errors = self.expect(self.start(*line, ranks=2, **options), 2)
        self.assertEqual(errors.count("cleave: error: "), 1, errors)
        for word in words:
            self.assertIn(word, errors)
        now = {path: path.stat().st_mtime_ns for path in self.home.rglob("*") if path.is_file()}
        self.assertEqual(now, before)

    def test_what_differs_is_named(self):
        self.kept_by()
        job = ("squares", "-p", "n=301", "-p", "sleep_ms=20")
        with self.fault("resume of another job's checkpoint"):
            self.refuse(self.line("--resume", job=job), "n was 300 and is 301")
        with self.fault("resume with another seed"):
            self.refuse(self.line("--resume", "--seed", "7"), "seed was 0 and is 7")
        with self.fault("resume with other warm-ups"):
            self.refuse(self.line("--resume", "--warmup", "2"), "warmup was 0 and is 2")
        with self.fault("a checkpoint is there, and no --resume"):
            self.refuse(("run", *SQUARES, "--checkpoint", "kept", "-o", "b.h5"), "--resume")
        with self.fault("nothing was lost by the refusals"):
            self.go_on()

    def test_another_input(self):
        rows = self.home / "rows.csv"
        rows.write_text("".join(f"{i},{i * i % 97}\n" for i in range(2000)))
        job = ("kmeans", "-p", "input=rows.csv", "-p", "k=9", "--repetitions", "100000")
        with self.fault("resume with another input"):
            self.kept_by(job=job)
            rows.write_text(rows.read_text().replace("7", "8", 1))
            self.refuse(self.line("--resume", job=job), "inputs was input=", " and is input=")

    def test_another_build(self):
        other = self.another_build()
        self.kept_by()
        time.sleep(1) # is lost
        with self.fault("resume by another build: refused, and taken by --accept-new-binary"):
            self.refuse(self.line("--resume"), "build_id", "--accept-new-binary", program=other)
            self.go_on("--accept-new-binary", program=other)
            with h5py.File(self.home / "a.attempt2.h5") as file:
                facts = {name: file[f"provenance/{name}"][()].decode() for name in ("attempts", "lost_s")}
            self.assertEqual(len(json.loads(facts["attempts"])), 1)
            self.assertTrue(1 <= float(facts["lost_s"]) < 60, facts["lost_s"])

    def test_journals_without_their_log(self):
        """Nobody knows of which job they are: their results are computed again."""
        with self.fault("log of a checkpoint is lost"):
            self.kept_by()
            (self.home / "kept/attempt-0001.log").unlink()
            self.assertGreater(self.go_on(), 300 * 0.02 / 6, "went on with what may be another job's")

    def test_twins(self):
        """Of two launches that go on at the same instant, one does, or each after the other."""
        self.kept_by()
        folder = self.home / "kept"
        shutil.copytree(folder, self.tmp / "ompi.kept")
        later = [0, 0, 0] + [self.dice.uniform(0, 2.5) for _ in range(60 if helpers.SOAK else 6)]
        for seconds in later:
            self.empty_home()
            shutil.copytree(self.tmp / "ompi.kept", folder)
            with self.fault("two jobs on one checkpoint"):
                line = ("run", *SQUARES, "--checkpoint", "kept", "--resume", "--json", "--threads", "1", "-o")
                jobs = []
                for name, wait in (("b", 0), ("c", seconds)):
                    time.sleep(wait)
                    jobs.append(self.start(*line, f"{name}.h5", ranks=2, TMPDIR=self.own_tmp(name)))
                ends = [job.end(30) for job in jobs]
                self.assertIn(0, [end[0] for end in ends], ends)
                for status, output, errors in ends:
                    self.assertIn(status, (0, 2, 3), output + errors)
                    if status == 0:
                        self.assertEqual(json.loads(output)["checksum"], self.checksum)
                    else:
                        self.assertTrue(re.search("another launch|later launch|exists", errors), errors)
                self.assertFalse(folder.exists(), seconds)


if __name__ == "__main__":
    helpers.main()
