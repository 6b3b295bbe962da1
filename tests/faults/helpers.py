"""What the tests of faults share: jobs that always end, what they leave behind, and the count of what they survived.

Every file of tests here runs as FILE.py CLEAVE MPIRUN LIBRARIES [--seed=N] [unittest arguments], LIBRARIES being
where clock_steps and crash_at are, as libraries. It ends with a line for each fault: "fault", its name, how often it was tried and how
often all held that must hold afterwards, separated by tabs.
"""

import collections
import contextlib
import json
import os
import random
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

CLEAVE, MPIRUN, LIBRARIES = (os.path.abspath(p) for p in sys.argv[1:4])
CLOCK, CRASH = (f"{LIBRARIES}/lib{name}.so" for name in ("clock_steps", "crash_at"))
SOAK = os.environ.get("CLEAVE_SOAK") == "1"

ENVIRONMENT = dict(os.environ)
os.environ["HDF5_USE_FILE_LOCKING"] = "FALSE"  # of this process: it reads what a stopped job has open

# mpirun waits a second or two before it ends the others when a rank has died, unless told.
AT_ONCE = {"OMPI_MCA_odls_base_sigkill_timeout": "0"}
OPEN_MPI_LEAVES = re.compile(r"(ompi|pmix|vader_segment|prte|dvm|pid)[.\w-]*")
SEEDS = [int(word.removeprefix("--seed=")) for word in sys.argv if word.startswith("--seed=")]

# What is documented to stay behind where root was killed (docs/reliability.md).
MAY_STAY = r"{0}\.progress(\.\d+)?|{0}\.[\w.]+\.\d+\.tmp"


def patiently(condition, seconds=20.0):
    """Whether the condition came true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def environment_of(process):
    """Variables that a process began with; none where it has gone."""
    try:
        words = Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
    except OSError:
        return {}
    return dict(word.decode(errors="replace").split("=", 1) for word in words if b"=" in word)


def named(process):
    """Number, name, state and parent, in the system's words."""
    try:
        return " ".join(Path(f"/proc/{process}/stat").read_text().split()[:4])
    except OSError:
        return f"{process} (gone)"


def parent_of(process):
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def processes():
    return [int(path.name) for path in Path("/proc").glob("[0-9]*")]


def send(number, victims):
    for victim in victims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, number)


def strings(place):
    """Texts of an HDF5 attribute or dataset."""
    return [text.decode() if isinstance(text, bytes) else str(text) for text in place]


class Job:
    """A command and all that it has started, known by a variable that all of them inherit."""

    def __init__(self, command, folder, mark, variables):
        self.mark = mark
        self.began = time.monotonic()
        self.files = [tempfile.TemporaryFile("w+") for _ in range(2)]
        name, value = mark.split("=")
        self.process = subprocess.Popen(
            [str(word) for word in command], cwd=folder, stdout=self.files[0], stderr=self.files[1],
            stdin=subprocess.DEVNULL, start_new_session=True,
            env={**ENVIRONMENT, **AT_ONCE, **variables, name: value})

    @property
    def pid(self):
        return self.process.pid

    def members(self):
        name, value = self.mark.split("=")
        return [process for process in processes() if environment_of(process).get(name) == value]

    def ranks(self, launcher=None):
        """Rank -> process, of the ranks that this mpirun has started."""
        return self.ranks_among(p for p in self.members() if parent_of(p) == (launcher or self.pid))

    def ranks_anywhere(self):
        """Rank -> process, on all hosts."""
        return self.ranks_among(self.members())

    @staticmethod
    def ranks_among(members):
        """Of what a rank has forked, such as its spawn server, the oldest is the rank."""
        found = {}
        for process in sorted(members, reverse=True):
            rank = environment_of(process).get("OMPI_COMM_WORLD_RANK")
            if rank is not None:
                found[int(rank)] = process
        return found

    def has_ended(self):
        return self.process.poll() is not None

    def kill_all(self):
        """The whole job, at one instant: nobody notices that others have gone."""
        members = self.members()
        send(signal.SIGSTOP, members)
        send(signal.SIGKILL, set(members) | set(self.members()))

    def said(self):
        """Standard output and standard error so far."""
        texts = []
        for file in self.files:
            file.seek(0)
            texts.append(file.read())
        return texts

    def end(self, seconds=60.0):
        """Exit status, standard output, standard error."""
        try:
            self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            left = [named(process) for process in self.members()]
            self.kill_all()
            raise AssertionError(f"still running after {seconds} s: {left}, {self.said()}") from None
        return self.process.returncode, *self.said()


COUNTS = collections.defaultdict(lambda: [0, 0])


class Case(unittest.TestCase):
    """A test in a folder of its own, `home`; whatever it starts has ended when it ends."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.home = Path(folder.name, "home")
        self.tmp = Path(folder.name, "tmp")
        self.home.mkdir()
        self.tmp.mkdir()
        self.jobs = []
        self.addCleanup(self.end_all)
        self.seed = SEEDS[0] if SEEDS else time.time_ns() if SOAK else 1
        self.dice = random.Random(self.seed)

    @contextlib.contextmanager
    def fault(self, name):
        """Counts a try, and whether the checks in it held; the next is tried all the same."""
        COUNTS[name]  # told even when it is skipped
        with self.subTest(fault=name, seed=self.seed):
            try:
                yield
            except unittest.SkipTest:
                raise
            except BaseException:
                COUNTS[name][0] += 1
                raise
            COUNTS[name][0] += 1
            COUNTS[name][1] += 1

    def another_build(self):
        """A copy of the program with another build id."""
        program = bytearray(Path(CLEAVE).read_bytes())
        note = re.search(rb"\x04\0\0\0.{4}\x03\0\0\0GNU\0", bytes(program), re.DOTALL)
        program[note.end()] ^= 0xFF
        other = self.tmp / "ompi.another/cleave"
        other.parent.mkdir()
        other.write_bytes(program)
        other.chmod(0o755)
        return other

    def start(self, *command, ranks=0, launcher=(), folder=None, program=CLEAVE, **variables):
        """Starts the program with these arguments, under mpirun when ranks are given."""
        mpirun = [MPIRUN, "-q", "-n", ranks, *launcher] if ranks else list(launcher)
        return self.start_line([*mpirun, program, *command], folder, **variables)

    def start_line(self, line, folder=None, **variables):
        mark = f"CLEAVE_TEST_MARK={os.getpid()}.{self.id()}.{len(self.jobs)}"
        tmp = str(self.tmp)
        job = Job(line, folder or self.home, mark, {
            "TMPDIR": tmp, "OMPI_MCA_btl_vader_backing_directory": tmp, **variables})
        self.jobs.append(job)
        return job

    def own_tmp(self, number):
        """A TMPDIR for one of several jobs that begin at once: Open MPI 4.1 fails where two do in one that has none
        of its folders yet."""
        own = self.tmp / f"ompi.{number}"
        own.mkdir(exist_ok=True)
        return str(own)

    def succeed(self, *command, status=0, seconds=60, **options):
        """Runs it to its end; standard output and standard error."""
        return self.expect(self.start(*command, **options), status, seconds=seconds)

    def expect(self, job, *statuses, seconds=60):
        """Waits for the end of a job, which must be one of these; standard output and standard error."""
        status, output, errors = job.end(seconds)
        self.assertIn(status, statuses, f"{job.process.args}\n{output}{errors}")
        return output, errors

    def report(self, *command, **options):
        return json.loads(self.succeed(*command, "--json", **options)[0])

    def end_all(self):
        for job in self.jobs:
            job.kill_all()
            job.process.wait()
            for file in job.files:
                file.close()

    def nobody_is_left(self, job, seconds=40.0): # mpirun takes its time on a machine with much else to do
        """All that the job has started has ended by itself."""
        if not patiently(lambda: job.has_ended() and not job.members(), seconds):
            left = {p: Path(f"/proc/{p}/cmdline").read_bytes() for p in job.members()}
            self.fail(f"left behind: {left}")

    def names(self):
        return sorted(str(path.relative_to(self.home)) for path in self.home.rglob("*") if path.is_file())

    def only(self, pattern):
        """No file but these, nor any in the folder for temporary ones."""
        stray = [name for name in self.names() if not re.fullmatch(pattern, name)]
        self.assertEqual(stray, [])
        stray = [path.name for path in self.tmp.iterdir() if not OPEN_MPI_LEAVES.fullmatch(path.name)]
        self.assertEqual(stray, [])

    def empty_home(self):
        shutil.rmtree(self.home)
        self.home.mkdir()

    def every_file_opens(self):
        """All HDF5 files are whole."""
        for path in self.home.rglob("*.h5"):
            with h5py.File(path) as file:
                file.visititems(lambda _, item: item[()] if isinstance(item, h5py.Dataset) else None)

    def committed(self, name="a.h5"):
        """Repetitions that a timings file has; their rows come first, and each is whole."""
        path = self.home / name
        if not path.exists():
            return 0
        with h5py.File(path) as file:
            states = list(file["run/rep_state"][:])
            walls = list(file["run/wall"][:])
        done = states.count(1)
        self.assertEqual(states, [1] * done + [0] * (len(states) - done))
        self.assertTrue(all(wall > 0 for wall in walls[:done]), walls)
        return done


def main():
    """Runs the tests, then tells what was tried and what was survived."""
    arguments = [word for word in sys.argv[4:] if not word.startswith("--seed=")]
    result = unittest.main(argv=[sys.argv[0], *arguments], exit=False).result
    for name, (tried, survived) in COUNTS.items():
        print(f"fault\t{name}\t{tried}\t{survived}", flush=True)
    sys.exit(not result.wasSuccessful())
