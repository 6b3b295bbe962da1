"""damaged_cli_test.py CLEAVE: damaged files and mutated command lines, through the program.

Random by a seed that is printed, CLEAVE_SEED; ten times as much with CLEAVE_SOAK=1. Each test prints how many
were tried; every one must survive: the right answer, or status 2 with a message, never a crash, and never
another number in silence.
"""

import os
import random
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import h5py

CLEAVE = os.path.abspath(sys.argv.pop(1))
SEED = int(os.environ.get("CLEAVE_SEED", random.randrange(2**32)))
TIMES = 10 if os.environ.get("CLEAVE_SOAK") else 1
SURVIVED = []  # (fault, how often), told at the end: lines of their own, without a dot of unittest before them


def damaged(rng, data):
    """A byte flipped, mostly; else a block of zeros, or the end cut off."""
    copy = bytearray(data)
    at = rng.randrange(len(copy))
    way = rng.randrange(10)
    if way == 0:
        return bytes(copy[:at])
    if way == 1:
        copy[at:at + 512] = bytes(len(copy[at:at + 512]))
    else:
        copy[at] ^= rng.randrange(1, 256)
    return bytes(copy)


class Program(unittest.TestCase):
    """The program in a folder with a small run."""

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.home = Path(cls.directory.name)
        print(f"CLEAVE_SEED={SEED}")
        cls.rng = random.Random(SEED)
        cls.run_cleave("run", "squares", "--threads", "2", "--repetitions", "8", "--trace", "-q", "-o", "run.h5", status={0})

    @classmethod
    def tearDownClass(cls):
        cls.directory.cleanup()

    @classmethod
    def run_cleave(cls, *arguments, status, cwd=None):
        # Without mpirun: some line may ask for a million ranks.
        run = subprocess.run([CLEAVE, *arguments], cwd=cwd or cls.home, capture_output=True, timeout=240, check=False,
                             stdin=subprocess.DEVNULL, env={**os.environ, "PATH": "/nonexistent"})
        said = run.stderr.decode(errors="replace")
        assert run.returncode in status, (run.returncode, arguments, said[-1000:])
        assert run.returncode != 2 or "error" in said, (arguments, said)
        return run


class Damaged(Program):
    def try_file(self, name, times, arguments):
        """Damages file `name` in copies of the home folder, and reads it by `arguments`."""
        data = (self.home / name).read_bytes()
        right = {tuple(a): self.run_cleave(*a, status={0}).stdout for a in arguments}
        with tempfile.TemporaryDirectory() as folder:
            for file in ("run.h5", "run.trace.h5"):
                shutil.copy(self.home / file, folder)
            for whole in (data[:len(data) // 2], bytes(len(data))): # that is noticed for certain
                (Path(folder) / name).write_bytes(whole)
                for a in arguments:
                    self.run_cleave(*a, status={2}, cwd=folder)
            for _ in range(times * TIMES):
                (Path(folder) / name).write_bytes(damaged(self.rng, data))
                for a in arguments:
                    run = self.run_cleave(*a, status={0, 2}, cwd=folder)
                    if run.returncode == 0:
                        self.assertEqual(right[tuple(a)], run.stdout)
        tried = times * TIMES * len(arguments)
        SURVIVED.append((f"bytes changed: {name}, by the program", tried))

    def test_timings_files(self):
        arguments = [["report", "run.h5"], ["compare", "run.h5", "run.h5"], ["predict", "run.h5"]]
        self.try_file("run.h5", 25, arguments)

    def test_traces(self):
        self.try_file("run.trace.h5", 15, [["predict", "run.h5"]])

    def test_a_table_that_claims_more_than_its_file_holds(self):
        with h5py.File(self.home / "claims.h5", "w") as file:
            file.create_dataset("a", shape=(10**12, 8), chunks=(1024, 8), dtype="f8")
        run = self.run_cleave("run", "kmeans", "-p", "input=claims.h5", "-p", "k=2", "--threads", "1", status={2})
        self.assertIn(b"claims more rows than the file can hold", run.stderr)

    # Going on must end with every task done once, or refuse the log: status 3 would mean a task was lost.
    def test_job_logs(self):
        (self.home / "tasks").write_text("".join(f"/bin/echo {i}\n" for i in range(20)))
        self.run_cleave("run", "command", "-p", "tasks=tasks", "-p", "joblog=log", "--threads", "1", "-q", status={0})
        data = (self.home / "log").read_bytes()
        refused = 0
        for _ in range(25 * TIMES):
            (self.home / "log").write_bytes(damaged(self.rng, data))
            run = self.run_cleave("run", "command", "-p", "tasks=tasks", "-p", "joblog=log", "-p", "resume=true",
                                  "--threads", "1", "-q", status={0, 2})
            refused += run.returncode == 2
            if run.returncode == 0:
                lines = (self.home / "log").read_text().splitlines()[1:]
                self.assertEqual(list(range(1, 21)), sorted(int(line.split("\t")[0]) for line in lines))
        self.assertGreater(refused, 10)
        SURVIVED.append(("bytes changed: job log, resume of a farm", 25 * TIMES))


# Lines that are right, each word of which may become another.
LINES = ["run squares --threads 1 --repetitions 2 -o OUT.h5 --dry-run",
         "run squares -p n=5 -p sleep_ms=0 --schedule dynamic,4 --warmup 1 --seed 3 --dry-run",
         "run jobs/none.toml --budget 3 --dry-run", "run ep -p class=S --dry-run --result OUT.json",
         "run command -p tasks=/dev/null --dry-run", "list", "list ep", "list primes --json", "layout --threads 2",
         "layout --json", "report none.h5 -o OUT", "compare a.h5 b.h5 --threshold 5", "predict none.h5 --nodes 4",
         "study none.toml -o OUT --dry-run", "--version", "--help"]
WORDS = ["", "-", "--", "=", "-p", "-n", "-o", "--json", "--threads", "--nonsense", "a=", "=b", "n=1e18", "n=-1", "1e999",
         "nan", "-1", "0", "99999999999999999999", "2147483648", "1e6", "../..", "/", "/dev/null", "/proc/self/mem", "auto,0",
         "dynamic,-5", "guided,1e30", "x" * 5000, "\u00e9\U0001f600", "%s%n", "$(id)", "'", '"', "\n", "\x07", "\udcff"]


class CommandLines(Program):
    def mutated(self):
        words = self.rng.choice(LINES).split()
        for _ in range(self.rng.randrange(1, 4)):
            at = self.rng.randrange(len(words) + 1)
            way = self.rng.randrange(5)
            if way == 0:
                words.insert(at, self.rng.choice(WORDS))
            elif way == 1 and words:
                words[at % len(words)] = self.rng.choice(WORDS)
            elif way == 2 and words:
                del words[at % len(words)]
            elif way == 3 and words:
                words.insert(at, words[at % len(words)])
            elif words:
                word = words[at % len(words)]
                cut = self.rng.randrange(len(word) + 1)
                words[at % len(words)] = word[:cut] + chr(self.rng.randrange(1, 256)) + word[cut + self.rng.randrange(2):]
        return words

    # A word less may make a line that is right and writes: those are run in a folder of their own, and what is
    # there afterwards must be what was asked for.
    def test_mutated_lines(self):
        statuses = {}
        times = 150 * TIMES
        for _ in range(times):
            words = self.mutated()
            with tempfile.TemporaryDirectory() as folder:
                run = self.run_cleave(*words, status={0, 2}, cwd=folder)
                statuses[run.returncode] = statuses.get(run.returncode, 0) + 1
                left = os.listdir(folder)
                if run.returncode == 2 or "--dry-run" in words:
                    self.assertEqual([], left, words)
        SURVIVED.append(("mutated command lines", times))
        self.assertGreater(statuses.get(2, 0), times // 4)


if __name__ == "__main__":
    ended = unittest.main(exit=False).result
    for fault, tried in SURVIVED:
        print(f"fault\t{fault}\t{tried}\t{tried}")
    sys.exit(not ended.wasSuccessful())
