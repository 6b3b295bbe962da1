"""Places that do not take what is written to them, and too little memory; see helpers.py for the arguments.

Disks that are full, read-only or vanish, a /dev/shm of 1 MB, a small address space. Whatever happens: one message
that names the file and what went wrong, another status than 0, no torn file under its final name; and what was
committed before is there. Mounts are made in a mount namespace of their own, by root; else these tests are skipped.
"""

import json
import re
import shutil
import subprocess

import helpers
from helpers import Case

FULL = "No space left on device"
COPY = "; status=$?; cp -a small/. kept/; exit $status"
MAY_MOUNT = subprocess.run(["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"],
                           stderr=subprocess.DEVNULL, check=False).returncode == 0
TASKS = "".join(f"sh -c 'echo {i} >> ran' {'x' * 60}\n" for i in range(1, 81))


class Mounting(Case):
    """Jobs that see a file system in which small/ is a mount; what was on it lands in kept/."""

    def setUp(self):
        if not MAY_MOUNT:
            self.skipTest("may not mount: needs root")
        super().setUp()
        self.begin_anew()

    def begin_anew(self):
        self.empty_home()
        for folder in ("small", "kept"):
            (self.home / folder).mkdir()
        (self.home / "tasks").write_text(TASKS)

    def mounted(self, mount, *command, ranks=2, **variables):
        script = f'{mount} && "$@"{COPY}'
        line = ["unshare", "--mount", "bash", "-c", script, "bash", helpers.MPIRUN, "-q", "-n", ranks]
        return self.start_line([*line, helpers.CLEAVE, *command], **variables)

    def on_a_disk_of(self, size, *command):
        return self.mounted(f"mount -t tmpfs -o size={size} none small", *command)

    def one_message(self, errors, *words):
        """Exactly one message, that has these words."""
        told = re.findall(r"(?m)^cleave: error: .*", errors)
        self.assertEqual(len(told), 1, errors)
        for word in words:
            self.assertIn(word, told[0])

    def kept(self):
        return sorted(path.name for path in (self.home / "kept").iterdir())


class Full(Mounting):
    """What is written at the end has its place refused at the end, with status 3; the answer is not lost."""

    def test_timings_and_trace(self):
        line = ("run", "squares", "-p", "n=2000", "--schedule", "dynamic,1", "-q", "--trace", "-o",
                "small/a.h5", "--repetitions", "3")
        for size, status, name, kept in [("4k", 2, "a.h5", []), ("16k", 2, "a.h5", []),
                                         ("64k", 3, "a.trace.h5", ["a.h5"])]:
            self.begin_anew()
            with self.fault(f"disk full: {'trace' if status == 3 else 'timings'}"):
                _, errors = self.expect(self.on_a_disk_of(size, *line), status)
                self.one_message(errors, f"small/{name}", FULL)
                self.assertEqual(self.kept(), kept)
                if kept:
                    self.assertEqual(self.committed("kept/a.h5"), 3)
                self.every_file_opens()

    def test_answers(self):
        for what, name, arguments, whole in [
                ("image", "m.png", ("mandelbrot", "-p", "columns=256", "-p", "rows=256"), "1m"),
                ("HDF5 grid", "m.h5", ("mandelbrot", "-p", "columns=256", "-p", "rows=256"), "2m"),
                ("result", "r.h5", ("squares", "-p", "n=20000"), "2m"),
                ("result", "r.json", ("squares", "-p", "n=20000"), "2m")]:
            how = {"image": ["-p", f"output=small/{name}"], "HDF5 grid": ["-p", f"raw=small/{name}"]}.get(
                what, ["--result", f"small/{name}"])
            for size, status in [("4k", 3), ("8k", 3), (whole, 0)]:
                self.begin_anew()
                with self.fault(f"disk full: {what}"):
                    job = self.on_a_disk_of(size, "run", *arguments, *how, "-q", "-o", "a.h5")
                    _, errors = self.expect(job, status)
                    self.assertEqual(self.kept(), [] if status else [name])
                    self.assertEqual(self.committed(), 1)
                    if status:
                        self.one_message(errors, f"small/{name}", FULL)

    def test_the_job_log(self):
        line = ("run", "command", "-p", "tasks=tasks", "-p", "joblog=small/log", "--json")
        for size in ("4k", "8k"):
            self.begin_anew()
            with self.fault("disk full: job log"):
                _, errors = self.expect(self.on_a_disk_of(size, *line, "-o", "a.h5"), 3)
                self.one_message(errors, "small/log", FULL)
                log = (self.home / "kept/log").read_text()
                logged = log[: log.rfind("\n")].count("\n")
                self.assertGreater(logged, 10)
                shutil.copy(self.home / "kept/log", self.home / "small/log")
                (self.home / "ran").unlink()
                again = json.loads(self.succeed(*line, "-p", "resume=true", "-o", "b.h5")[0])
                self.assertEqual(again["result"]["earlier"], logged)
                ran = {int(word) for word in (self.home / "ran").read_text().split()}
                self.assertEqual(len(ran), 80 - logged)


class ReadOnly(Mounting):
    """Refused before any work, where it can be told."""

    def test_every_output(self):
        squares, command = ("squares",), ("command", "-p", "tasks=tasks")
        for what, name, arguments in [
                ("timings", "a.h5", (*squares, "-o", "small/a.h5")),
                ("result", "r.json", (*squares, "-o", "a.h5", "--result", "small/r.json")),
                ("image", "m.png", ("mandelbrot", "-p", "output=small/m.png", "-o", "a.h5")),
                ("job log", "log", (*command, "-p", "joblog=small/log", "-o", "a.h5")),
                ("outputs", "out", (*command, "-p", "outputs=small/out", "-o", "a.h5"))]:
            self.begin_anew()
            with self.fault(f"read-only folder: {what}"):
                mount = "mount --bind small small && mount -o remount,bind,ro small"
                _, errors = self.expect(self.mounted(mount, "run", *arguments), 2)
                self.one_message(errors, f"small/{name}" if what != "outputs" else "small",
                                 "Read-only file system")
                self.assertEqual(self.names(), ["tasks"])


class Vanished(Case):
    """The folder of the outputs is removed while work is under way."""

    def test_every_output(self):
        squares = ("squares", "-p", "n=40", "-p", "sleep_ms=30")
        for what, arguments in [
                ("timings", (*squares, "--repetitions", "3", "-o", "folder/a.h5")),
                ("trace", (*squares, "--trace", "-o", "folder/a.h5")),
                ("result", (*squares, "-o", "a.h5", "--result", "folder/r.json")),
                ("image", ("mandelbrot", "-p", "columns=600", "-p", "rows=600", "-p", "limit=1e5", "-p",
                           "output=folder/m.png", "-o", "a.h5")),
                ("job log", ("command", "-p", "template=sleep 0.02", "-p", "over=i=1..40", "-p",
                             "joblog=folder/log", "-o", "a.h5"))]:
            self.empty_home()
            (self.home / "folder").mkdir()
            with self.fault(f"folder that vanishes: {what}"):
                job = self.start("run", *arguments, "-q", "--threads", "1", ranks=2)
                self.assertTrue(helpers.patiently(lambda: list(self.home.rglob("*.progress"))))
                (self.home / "folder").rename(self.tmp / "ompi.gone")
                shutil.rmtree(self.tmp / "ompi.gone")
                _, errors = self.expect(job, 3)
                self.assertIn("folder/", errors)
                self.nobody_is_left(job)


class Memory(Mounting):
    def test_a_small_dev_shm(self):
        for workload in (("squares", "-p", "n=20000"), ("ep", "-p", "class=S")):
            with self.fault("/dev/shm of 1 MB"):
                job = self.mounted("mount -t tmpfs -o size=1m none /dev/shm", "run", *workload, "-o",
                                   f"{workload[0]}.h5", "--json", ranks=3,
                                   OMPI_MCA_btl_vader_backing_directory="/dev/shm")
                output, _ = self.expect(job, 0)
                alone = self.report("run", *workload, "-o", f"{workload[0]}-alone.h5")
                self.assertEqual(json.loads(output)["checksum"], alone["checksum"])


class AddressSpace(Case):
    """Too little memory is a message: of Cleave, or of the loader or MPI where they have not begun."""

    def test_alone(self):
        for megabytes in (20, 60, 100, 150, 200, 300, 400, 500, 600):
            with self.fault("RLIMIT_AS"):
                limit = ["prlimit", f"--as={megabytes * 1000000}"]
                job = self.start("run", "squares", "-p", "n=3e7", "--threads", "2", "-q", "-o", "a.h5",
                                 launcher=limit)
                status, output, errors = job.end(20)
                self.assertIn(status, (1, 2, 3, 127), output + errors)
                told = [line for line in errors.splitlines()
                        if re.search("cleave: error: |error while loading|failed|not enough", line)]
                self.assertTrue(told, errors)
                self.assertNotIn("bad_alloc", errors)
                self.assertEqual(self.names(), [])

    def test_of_every_rank(self):
        for megabytes in (100, 150, 300, 600):
            with self.fault("RLIMIT_AS of every rank"):
                line = [helpers.MPIRUN, "-q", "-n", 2, "prlimit", f"--as={megabytes * 1000000}"]
                job = self.start_line([*line, helpers.CLEAVE, "run", "squares", "-p", "n=3e7", "--threads",
                                       "2", "-q", "-o", "a.h5"])
                status, output, errors = job.end(20)
                self.assertIn(status, (1, 2, 3), output + errors)
                self.assertNotEqual(errors, "")
                self.nobody_is_left(job)


if __name__ == "__main__":
    helpers.main()
