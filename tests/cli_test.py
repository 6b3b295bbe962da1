"""The command line: what the program prints, writes, refuses and returns, alone and under mpirun.

cli_test.py CLEAVE FAULTY MPIRUN [unittest arguments]. FAULTY is faulty_program.cpp: workloads that go
wrong on purpose.
"""

import json
import os
import re
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py

CLEAVE, FAULTY, MPIRUN = (os.path.abspath(p) for p in sys.argv[1:4])
REPOSITORY = Path(__file__).resolve().parent.parent


# mpirun waits a second or two when a rank returns another status than 0, unless told.
AT_ONCE = {"OMPI_MCA_odls_base_sigkill_timeout": "0"}


def png(width, height, grey=128):
    """A grey 8-bit PNG of one colour."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + bytes([grey]) * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows))
            + chunk(b"IEND", b""))


def chunks(data):
    """(kind, where its data start, their size) of the chunks of a PNG."""
    at = 8
    while at < len(data):
        size = int.from_bytes(data[at:at + 4], "big")
        yield data[at + 4:at + 8], at + 8, size
        at += size + 12


class Case(unittest.TestCase):
    """A test in an empty directory of its own."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.home = Path(directory.name)

    def start(self, *arguments, ranks=0, program=CLEAVE, **variables):
        """Runs the program, under mpirun when ranks are given."""
        launcher = [MPIRUN, "-q", "-n", str(ranks)] if ranks else []
        return subprocess.run([*launcher, program, *arguments], cwd=self.home, text=True, timeout=50,
                              capture_output=True, env={**os.environ, **variables}, check=False)

    def succeed(self, *arguments, status=0, **options):
        run = self.start(*arguments, **options)
        self.assertEqual(run.returncode, status, run.stdout + run.stderr)
        return run

    def report(self, *arguments, status=0, **options):
        """The object that --json prints, which is all of standard output."""
        return json.loads(self.succeed(*arguments, "--json", status=status, **options).stdout)

    def files(self):
        return sorted(str(p.relative_to(self.home)) for p in self.home.rglob("*") if p.is_file())

    def contents(self):
        return {name: (self.home / name).read_bytes() for name in self.files()}

    def write(self, name, content):
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content)
        return name


class Help(Case):
    def test_help_of_every_command(self):
        for arguments, words in [((), ["run", "layout", "list"]),
                                 (("run",), ["--schedule", "--dry-run", "Examples:", "Exit status"]),
                                 (("layout",), ["--json", "Examples:"]),
                                 (("list",), ["WORKLOAD", "Examples:"])]:
            run = self.succeed(*arguments, "--help")
            for word in words:
                self.assertIn(word, run.stdout)
            self.assertEqual(run.stderr, "")

    def test_help_is_printed_once_by_many_ranks(self):
        self.assertEqual(self.succeed("--help", ranks=3).stdout.count("Usage"), 1)

    def test_version_names_the_libraries(self):
        text = self.succeed("--version").stdout
        self.assertRegex(text, r"^cleave \d+\.\d+\.\d+\n")
        for library in ("mpi", "hdf5", "boost"):
            self.assertIn(library + "_version: ", text)

    def test_list(self):
        text = self.succeed("list", ranks=2).stdout
        for workload in ("command", "denoise", "ep", "kmeans", "logreg", "mandelbrot", "primes", "squares",
                         "sum_squares"):
            self.assertEqual(len(re.findall(rf"^{workload} ", text, re.MULTILINE)), 1, text)
        text = self.succeed("list", "squares").stdout
        self.assertRegex(text, r"parameter +type +default +range")
        self.assertRegex(text, r"sleep_ms +number +0 +0 to 1e6 ms")
        self.assertRegex(self.succeed("list", "denoise").stdout, r"input +input file +\(required\)")

    def test_the_manual_page_and_the_completion_name_every_option(self):
        manual = (REPOSITORY / "docs/cleave.1").read_text().replace("\\-", "-")
        completion = (REPOSITORY / "scripts/completion/cleave.bash").read_text()
        for command in ("run", "layout", "list"):
            text = self.succeed(command, "--help").stdout
            for option in re.findall(r"(?m)^  (?:-\w,)?(--[a-z-]+)", text):
                self.assertIn(option, manual)
                self.assertIn(option, completion)

    def test_completion(self):
        script = REPOSITORY / "scripts/completion/cleave.bash"
        for words, expected in [(("cleave", "la"), "layout"), (("cleave", "run", "--dry"), "--dry-run"),
                                (("cleave", "run", "squ"), "squares"),
                                (("cleave", "list", "sum"), "sum_squares"),
                                (("cleave", "run", "squares", "-p", "sl"), "sleep_ms=")]:
            line = " ".join(f"'{word}'" for word in words)
            run = subprocess.run(
                ["bash", "-c", f"source {script}; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; "
                               "_cleave; echo \"${COMPREPLY[*]}\""],
                text=True, capture_output=True, check=True, cwd=self.home,
                env={**os.environ, "PATH": f"{os.path.dirname(CLEAVE)}:{os.environ['PATH']}"})
            self.assertEqual(run.stdout.strip(), expected, run.stderr)


# Arguments that are refused -> what the one message must contain. First, before MPI begins.
MISTYPED = [
    ("", "say what to do"),
    ("ru", "did you mean \"run\"?"),
    ("run", "name a workload or a job file"),
    ("run squares extra", "unexpected argument \"extra\""),
    ("run squares --repetitons=2", "did you mean \"--repetitions\"?"),
    ("run squares -p", "--parameter: needs a value, KEY=VALUE; see"),
    ("run squares -v -q", "--verbose and --quiet exclude each other"),
    ("run squares --log-level loud", "--log-level: must be one of trace, debug"),
    ("run squares --log-level=", "--log-level: must be one of trace, debug"),
    ("run squares -o a.h5 -o b.h5", "--output: is given twice; give it once"),
    ("run squares -n 2 --ranks 2", "--ranks: is given twice"),
    ("run squares --force=false", "--force: takes no value"),
    ("run squares --nope", "unknown option \"--nope\"; see"),
    ("run squares ---", "unknown option \"---\"; see"),
    ("run squares --repetitons=", "did you mean \"--repetitions\"?"),
    ("foo", "unknown command \"foo\"; known: run, study, report, compare, predict, slurm, layout, list"),
    ("foo --help", "unknown command \"foo\""),
    ("foo --version", "unknown command \"foo\""),
    ("foo run --help", "unknown command \"foo\""),
    ("--nope --help", "unknown option \"--nope\""),
    ("list nosuch", "unknown workload \"nosuch\""),
    ("run squares -n 0", "-n: must be 1 to"),
    ("run squares -n two", "-n: must be a whole number"),
]
# Then, by all ranks together.
REFUSED = [
    ("run nosuch", "unknown workload \"nosuch\"; known: "),
    ("run square", "did you mean \"squares\"?"),
    ("run squares -p m=1", "m: unknown parameter \"m\"; known: n, sleep_ms"),
    ("run squares -p n", "-p: must be KEY=VALUE, not \"n\""),
    ("run squares -p n=3 -p sleep_ms=1 -p n=3", "n: is given twice by -p; give it once"),
    ("run squares -p n=x", "n: must be a whole number"),
    ("run squares -p n=", "n: must be a whole number"),
    ("run squares -p n=1.5", "n: must be a whole number"),
    ("run squares -p n=nan", "n: must be a whole number"),
    ("run squares -p n=-1", "n: must be 0 to 1e9, not -1"),
    ("run squares -p n=1e10", "n: must be 0 to 1e9, not 1e10"),
    ("run squares -p sleep_ms=nan", "sleep_ms: must be a finite number"),
    ("run squares -p sleep_ms=inf", "sleep_ms: must be a finite number"),
    ("run sum_squares -p n=1e6,x", "n: must be a whole number"),
    ("run sum_squares -p n=1e13", "n: must be 0 to 1e12"),
    ("run ep -p class=Z", "class: must be one of S, W, A"),
    ("run squares --schedule blok", "--schedule: "),
    ("run squares --schedule cyclic,0", "--schedule: "),
    ("run squares --schedule cyclic,x", "--schedule: "),
    ("run squares --threads 0", "--threads: must be auto or a whole number, 1 to 4096"),
    ("run squares --threads all", "--threads: must be auto"),
    ("run squares --warmup=-1", "--warmup: must be 0 to"),
    ("run squares --repetitions 0", "--repetitions: must be 1 to"),
    ("run squares --repetitions many", "--repetitions: must be a whole number"),
    ("run squares --budget nan", "--budget: must be a finite number"),
    ("run squares --budget=-1", "--budget: must be 0 to"),
    ("run squares --patience 0", "--patience: must be"),
    ("run squares --seed=-1", "--seed: must be"),
    ("run squares --simd MMX", "--simd: "),
    ("run squares --simd=", "--simd: must not be empty; leave it out"),
    ("run squares --output= --simd=", "--simd: must not be empty"),
    ("run squares --output=", "-o: must not be empty"),
    ("run squares --result=", "--result: must not be empty"),
    ("run squares --schedule=", "--schedule: must not be empty"),
    ("run squares --threads=", "--threads: must not be empty"),
    ("run squares --task-timeout -1", "--task-timeout: must be 0 to 1e9, not -1"),
    ("run squares --patience=", "--patience: must be a finite number"),
    ("run nosuch.toml", "nosuch.toml: cannot be read: No such file"),
    ("run folder/", "folder/: cannot be read: is a directory"),
    ("run pipe.toml", "pipe.toml: cannot be read: is not a regular file; write the job to a file"),
    ("run no_timings.toml", "no_timings.toml:2: timings: must not be empty; leave it out"),
    ("run no_result.toml", "no_result.toml:2: result: must not be empty; leave it out"),
    ("run text.toml", "text.toml:2: timings: must be a name that ends in .h5 or .hdf5, not \"a.txt\""),
    ("run broken.toml", "broken.toml:2: not valid TOML"),
    ("run key.toml", "key.toml:3: repetition: unknown key in [measure] \"repetition\"; did you mean"),
    ("run table.toml", "table.toml:2: measures: unknown table"),
    ("run parameter.toml", "parameter.toml:3: m: unknown parameter \"m\""),
    ("run type.toml", "type.toml:2: n: must be a number without quotes, not text"),
    ("run workload.toml", "workload.toml:1: workload: unknown workload \"square\""),
    ("run nothing.toml", "nothing.toml: workload: missing"),
    ("run technique.toml", "technique.toml:2: schedule: "),
    ("run denoise", "input: missing"),
    ("run denoise -p input=nosuch.png", "nosuch.png"),
    ("run denoise -p input=folder", "folder"),
    ("run denoise -p input=empty.png", "empty.png"),
    ("run denoise -p input=text.png", "text.png"),
    ("run denoise -p input=cut.png", "cut.png"),
    ("run denoise -p input=good.png -p sigma=nan", "sigma: must be a finite number"),
    ("run denoise -p input=good.png -p output=good.png", "good.png"),
    ("run denoise -p input=good.png -p output=folder/../good.png --force", "overwrite the input"),
    ("run denoise -p input=good.png -p output=hard.png --force", "would overwrite the input"),
    ("run denoise -p input=good.png -p output=nowhere/a.png", "nowhere"),
    ("run kmeans -p input=rows.csv", "k: missing"),
    ("run kmeans -p k=2", "input: missing"),
    ("run kmeans -p k=0 -p input=rows.csv", "k: must be 1 to 1e6, not 0"),
    ("run kmeans -p k=3 -p input=rows.csv", "k: must be at most the number of rows, 2, not 3"),
    ("run kmeans -p k=1 -p input=nosuch.csv", "nosuch.csv: there is no such file"),
    ("run kmeans -p k=1 -p input=folder", "folder: is a directory"),
    ("run kmeans -p k=1 -p input=empty.csv", "empty.csv: is empty"),
    ("run kmeans -p k=1 -p input=ragged.csv", "ragged.csv:2: has 1 columns where the first line has 2"),
    ("run kmeans -p k=1 -p input=nan.csv", "nan.csv:3: column 1 (from 0, \"y\"), \"nan\", is not a finite number"),
    ("run kmeans -p k=1 -p input=text.h5", "text.h5: is no HDF5 file"),
    ("run kmeans -p k=1 -p input=rows.csv -p drop_columns=z", "drop_columns: there is no column \"z\""),
    ("run kmeans -p k=1 -p input=rows.csv -p output=a.csv", "output: a.csv must end in .h5"),
    ("run kmeans -p k=1 -p input=rows.csv -p output=there.h5", "there.h5: output: exists already"),
    ("run kmeans -p k=1 -p input=there.h5:/x -p output=there.h5 --force", "is the input, which would be lost"),
    ("run mandelbrot -p columns=0", "columns: must be 1 to 5e8, not 0"),
    ("run mandelbrot -p limit=1.5", "limit: must be a whole number"),
    ("run mandelbrot -p corners=1,2,3", "corners: must be LEFT,BOTTOM,RIGHT,TOP"),
    ("run mandelbrot -p palette=pink", "palette: must be one of dusk"),
    ("run mandelbrot -p width=1e-15", "width: is too small for so many pixels"),
    ("run mandelbrot -p columns=5e8 -p rows=2e9", "columns: so large a picture needs "),
    ("run mandelbrot -p output=a.jpg", "output: a.jpg must end in .png"),
    ("run mandelbrot -p output=nowhere/a.png", "nowhere"),
    ("run mandelbrot -p output=good.png", "good.png: output: exists already"),
    ("run mandelbrot -p raw=folder.h5", "folder.h5: raw: is a directory"),
    ("run mandelbrot -p raw=a.h5 -o a.h5", "is also what -o names"),
    ("run logreg -p input=rows.csv -p label=9", "label: there is no column \"9\""),
    ("run logreg -p input=rows.csv -p rate=0.5,x", "rate: must be numbers of at least 0 between commas"),
    ("run logreg -p input=rows.csv -p l2=0,1", "folds: must be at least 2 to compare 2 settings"),
    ("run logreg -p input=rows.csv", "test_share: leaves no rows of the 2 to "),
    ("run logreg -p input=same.csv", "label: its column holds one value alone"),
    ("run own.toml", "own.toml: output: would overwrite the job file; give it another name"),
    ("run own.toml -p output=linked.toml", "linked.toml: output: would overwrite the job file"),
    ("run ./job.h5 --force -o job.h5", "job.h5: -o: would overwrite the job file"),
    ("run ./job.h5 --force --result folder/../job.h5", "--result: would overwrite the job file"),
    ("run ./job.progress --force -o job.h5", "job.progress: -o: would overwrite the job file"),
    ("run squares -o there.h5", "there.h5"),
    ("run squares -o a.txt", "-o: must be a name that ends in .h5 or .hdf5, not \"a.txt\""),
    ("run squares -o nowhere/a.h5", "nowhere"),
    ("run squares -o folder.h5", "folder.h5: -o: is a directory"),
    ("run squares -o /proc/a.h5", "/proc/a.h5"),
    ("run squares -o a.h5 --result there.h5", "there.h5"),
    ("run squares -o a.h5 --result a.h5", "a.h5: --result: is also what -o names"),
    ("run squares -o folder/a.h5 --result alias/a.h5", "--result: is also what -o names"),
    ("run squares --result a.txt", "a.txt"),
    ("run squares --result nowhere/a.json", "nowhere"),
    ("run squares -o t.h5 --trace", "t.trace.h5"),
]


# What the workload primes refuses, where the program has it.
REFUSED_PRIMES = [
    ("run primes -p b=2^64", "b: must be a whole number from 0 to 2^64-1, such as 1000000, 1e10 or "
                             "2^64-1, not \"2^64\""),
    ("run primes -p a=-1", "a: must be a whole number from 0 to 2^64-1"),
    ("run primes -p a=1e9 -p b=1e9", "b: must be above a, 1000000000, not 1000000000"),
    ("run primes -p output=a.h5", "output: a.h5 must end in .txt or .csv"),
    ("run primes -p output=nowhere/a.txt", "nowhere"),
    ("run primes.toml", "primes.toml:2: b: must be text in quotes, not a number"),
]


def has_primes():
    """Whether the program was built with libprimesieve."""
    text = subprocess.run([CLEAVE, "list", "primes"], text=True, capture_output=True, check=True).stdout
    return "not available" not in text


class Refusals(Case):
    """Bad input: status 2, one message from one rank, nothing written."""

    def setUp(self):
        super().setUp()
        (self.home / "folder").mkdir()
        (self.home / "folder.h5").mkdir()
        (self.home / "alias").symlink_to("folder")
        (self.home / "linked.toml").symlink_to("own.toml")
        os.mkfifo(self.home / "pipe.toml")
        self.write("there.h5", "precious")
        self.write("t.trace.h5", "precious")
        for name, text in {"rows.csv": "1,2\n3,4\n", "same.csv": "1,2\n3,2\n", "empty.csv": "", "ragged.csv": "1,2\n3\n",
                           "nan.csv": "x,y\n1,2\n3,nan\n", "text.h5": "1,2\n"}.items():
            self.write(name, text)
        good = png(4, 4)
        for name, content in {"empty.png": b"", "text.png": b"no image", "cut.png": good[:50],
                              "good.png": good}.items():
            self.write(name, content)
        for name, text in {
                "broken.toml": 'workload = "squares"\nn = = 1\n',
                "key.toml": 'workload = "squares"\n[measure]\nrepetition = 1\n',
                "table.toml": 'workload = "squares"\n[measures]\n',
                "parameter.toml": 'workload = "squares"\n[parameters]\nm = 1\n',
                "type.toml": 'workload = "squares"\nparameters = {n = "5"}\n',
                "workload.toml": 'workload = "square"\n', "nothing.toml": "",
                "primes.toml": 'workload = "primes"\nparameters = {b = 1e6}\n',
                "technique.toml": 'workload = "squares"\nschedule = "blok"\n',
                "no_timings.toml": 'workload = "squares"\noutput.timings = ""\n',
                "no_result.toml": 'workload = "squares"\noutput = {result = ""}\n',
                "text.toml": 'workload = "squares"\noutput.timings = "a.txt"\n',
                "own.toml": 'workload = "denoise"\noutput.force = true\n'
                            'parameters = {input = "good.png", output = "own.toml"}\n',
                "job.h5": 'workload = "squares"\n', "job.progress": 'workload = "squares"\n'}.items():
            self.write(name, text)
        os.link(self.home / "good.png", self.home / "hard.png")

    def check(self, refused, **options):
        def start(line):
            # Launchers that share a TMPDIR remove each other's folders.
            with tempfile.TemporaryDirectory() as own:
                return self.start(*line.split(), TMPDIR=own, **options)

        before = self.contents()
        with ThreadPoolExecutor(4) as threads:  # launchers wait most of their time
            runs = list(threads.map(start, [line for line, _ in refused]))
        for (line, message), run in zip(refused, runs):
            with self.subTest(line):
                self.assertEqual(run.returncode, 2, run.stdout + run.stderr)
                self.assertEqual(run.stdout, "")
                self.assertRegex(run.stderr, r"\Acleave: error: [^\n]*\n\Z")
                self.assertIn(message, run.stderr)
        self.assertEqual(self.contents(), before)

    def test_alone(self):
        self.check(MISTYPED + REFUSED)

    def test_under_mpirun(self):
        self.check(REFUSED, ranks=2, **AT_ONCE)

    def test_primes(self):
        refused = REFUSED_PRIMES if has_primes() else [("run primes", "is not available: ")]
        self.check(refused)
        self.check(refused[:1], ranks=2, **AT_ONCE)

    def test_mistyped_under_mpirun(self):
        self.check(MISTYPED[1:10:4], ranks=3)

    def test_an_empty_argument_names_nothing(self):
        for arguments, message in [(("list", ""), "unknown workload \"\""),
                                   (("run", ""), "unknown workload \"\""),
                                   (("run", "squares", "-o", ""), "-o: must not be empty"),
                                   (("run", "squares", "-n", ""), "-n: must be a whole number")]:
            self.assertIn(message, self.succeed(*arguments, status=2).stderr)

    def test_names_that_are_too_long(self):
        """The system cannot look them up. An output's must leave room for what stands beside it until it is whole."""
        name, output = "x" * 5000, "x" * 240
        commands = (("-p", "template=echo {a}", "-p", f"csv={name}"), ("-p", f"tasks={name}"),
                    *(("-p", "template=echo", "-p", "over=i=1..2", "-p", f"{key}={name}") for key in ("joblog", "outputs")))
        before = self.files()
        for arguments in (("compare", name, name), ("report", name), ("predict", name), ("study", name),
                          ("run", f"{name}.toml"), ("slurm", "squares", "--threads", "1", "--from", name),
                          ("slurm", "squares", "--threads", "1", "-o", output), ("run", "squares", "-o", f"{output}.h5"),
                          ("run", "squares", "--result", f"{output}.json"), ("run", "squares", "--result", f"{name}.json"),
                          ("run", "squares", "--checkpoint", name), ("run", "mandelbrot", "-p", f"output={output}.png"),
                          ("run", "denoise", "-p", f"input={name}.png", "-p", "output=o.png"),
                          ("run", "denoise", "-p", f"input={name}/*.png", "-p", "outputs=o"),
                          ("run", "kmeans", "-p", f"input={name}.csv"), *(("run", "command", *rest) for rest in commands)):
            with self.subTest(arguments=[word[:20] for word in arguments]):
                run = self.succeed(*arguments, status=2)
                self.assertRegex(run.stderr, r"\Acleave: error: [^\n]*\n\Z")
                self.assertEqual(self.files(), before)
        self.succeed("run", "squares", "-q", "-o", "x" * 220 + ".h5") # as long as they may be

    def test_a_place_that_cannot_be_written_has_a_mend(self):
        run = subprocess.run([CLEAVE, "run", "squares"], cwd="/proc", text=True, capture_output=True,
                             timeout=50, check=False)
        self.assertEqual(run.returncode, 2, run.stderr)
        self.assertRegex(run.stderr, r"\Acleave: error: results: [^\n]*by -o FILE\n\Z")
        self.write("results", "a file")
        self.assertIn("by -o FILE", self.succeed("run", "squares", status=2).stderr)

    def test_a_full_disk_has_a_mend(self):
        (self.home / "small").mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=4k", "none", str(self.home / "small")]
        if subprocess.run(mount, stderr=subprocess.DEVNULL, check=False).returncode != 0:
            self.skipTest("may not mount")
        self.addCleanup(subprocess.run, ["umount", str(self.home / "small")], check=True)
        run = self.succeed("run", "squares", "-o", "small/a.h5", status=2)
        self.assertIn("No space left on device; free some space, or name a file", run.stderr)
        self.assertEqual(list((self.home / "small").iterdir()), [])

    def test_json_tells_the_place(self):
        error = self.report("run", "key.toml", status=2)["error"]
        self.assertEqual({k: error[k] for k in ("kind", "file", "line", "key")},
                         {"kind": "bad_input", "file": "key.toml", "line": 3, "key": "repetition"})
        self.assertIn("did you mean", error["message"])
        error = self.report("run", "squares", "-p", "n=x", ranks=2, status=2)["error"]
        self.assertEqual((error["file"], error["line"], error["key"]), (None, None, "n"))
        for mistyped in (("--nosuch",), ("-o", "a.h5", "-o", "b.h5"), ("-n",)): # --json comes after
            run = self.succeed("run", "squares", "--json", *mistyped, status=2)
            self.assertEqual(json.loads(run.stdout)["error"]["kind"], "bad_input")
            self.assertEqual(run.stderr.count("cleave: error: "), 1) # for people, the same

    def test_ranks_that_are_asked_different_things(self):
        run = subprocess.run([MPIRUN, "-q", "-n", "1", CLEAVE, "run", "squares", ":",
                              "-n", "1", CLEAVE, "run", "squares", "-p", "n=3"],
                             cwd=self.home, text=True, capture_output=True, timeout=50, check=False)
        self.assertEqual(run.returncode, 2, run.stderr)
        self.assertIn("different arguments", run.stderr)
        self.assertEqual(run.stderr.count("cleave: error:"), 1)

    def test_copies_that_mpi_would_not_join(self):
        for rank, lines in (("0", 1), ("1", 0)):
            run = self.start("run", "squares", SLURM_STEP_NUM_TASKS="2", SLURM_PROCID=rank)
            self.assertEqual(run.returncode, 2)
            self.assertEqual(run.stderr.count("srun --mpi=pmix"), lines)


class Runs(Case):
    def test_the_default_run(self):
        run = self.succeed("run", "squares", ranks=2)
        self.assertEqual(run.stderr, "")
        for label in ("layout     1 node x 2 ranks x ", "workload   squares: n=16", "schedule   auto",
                      "time ", "rate ", "imbalance ", "verified ", "checksum ", "result ", "files "):
            self.assertIn("\n" + label, "\n" + run.stdout)
        self.assertRegex(run.stdout, r"(?m)^chunks     \d+, of \S+ tasks? in the mean: a task takes \S+ [mun]?s$")
        self.assertEqual(len(self.files()), 1)
        self.assertRegex(self.files()[0], r"^results/squares-\d{8}T\d{6}Z-1x2x\d+\.h5$")

    def test_what_auto_has_chosen_follows_from_the_time_of_a_task(self):
        dear = self.succeed("run", "squares", "-p", "n=20", "-p", "sleep_ms=1", ranks=2)
        self.assertRegex(dear.stdout, r"(?m)^chunks     20, of 1 task in the mean: a task takes [\d.]+ ms$")
        cheap = self.succeed("run", "squares", "-p", "n=1e6", ranks=2)
        chunks = re.search(r"(?m)^chunks     (\d+), of \S+ tasks in the mean: a task takes [\d.]+ [nu]s$", cheap.stdout)
        self.assertIsNotNone(chunks, cheap.stdout)
        self.assertLess(int(chunks[1]), 100_000)

    def test_more_workers_than_cores_are_marked(self):
        for threads, marked in ((1, 0), (2 * os.cpu_count(), 1)):
            self.succeed("run", "squares", "--threads", str(threads), "-o", "a.h5", "--force")
            with h5py.File(self.home / "a.h5") as file:
                self.assertEqual(file["run"].attrs["oversubscribed"], marked)

    def test_runs_of_one_instant_have_files_of_their_own(self):
        with ThreadPoolExecutor(6) as together:
            runs = list(together.map(lambda _: self.start("run", "squares", "--trace"), range(6)))
        self.assertEqual([(run.returncode, run.stderr) for run in runs], [(0, "")] * 6)
        told = [name for run in runs for name in re.findall(r"results/\S+", run.stdout)]
        self.assertEqual(len(told), 12)
        self.assertEqual(sorted(told), self.files())

    def test_files_of_a_slurm_job_bear_its_name(self):
        self.succeed("run", "squares", SLURM_JOB_ID="19", SLURM_ARRAY_JOB_ID="17", SLURM_ARRAY_TASK_ID="3",
                     SLURM_RESTART_COUNT="1")
        self.assertRegex(self.files()[0], r"^results/squares-\d{8}T\d{6}Z-1x1x\d+-j17_3-a2\.h5$")
        with h5py.File(self.home / self.files()[0]) as file:
            environment = json.loads(file["provenance/environment"][()])
        self.assertEqual(environment["SLURM_RESTART_COUNT"], "1")

    def test_the_printed_median_is_that_of_the_file(self):
        text = self.succeed("run", "squares", "--repetitions", "7", "--warmup", "2", "-o", "a.h5",
                            ranks=2).stdout
        printed = float(re.search(r"^time +(\S+) s, median of 7, 95 % interval", text, re.M).group(1))
        with h5py.File(self.home / "a.h5") as file:
            self.assertEqual(sorted(file["run/wall"][:])[3], printed)
            self.assertEqual(list(file["run/rep_state"][:]), [1] * 7)
            self.assertEqual(list(file["warm_up/rep_state"][:]), [1] * 2)
            self.assertEqual(file["provenance/argv"].asstr()[()].split()[1:3], ["run", "squares"])

    def test_json_says_everything(self):
        report = self.report("run", "squares", "-p", "n=1e1", "--repetitions", "6", "-o", "a.h5",
                             "--schedule", "cyclic,2", ranks=2)
        self.assertEqual(report["workload"], "squares")
        self.assertEqual(report["parameters"], {"n": 10, "sleep_ms": 0})
        self.assertEqual(report["layout"], {"nodes": 1, "ranks": 2,
                                            "threads": report["layout"]["threads"]})
        self.assertEqual(report["schedule"], "cyclic,2")
        self.assertEqual(report["repetitions"], 6)
        low, high = report["interval_s"]
        self.assertTrue(0 < low <= report["median_s"] <= high)
        self.assertAlmostEqual(report["rate"], 10 / report["median_s"])
        self.assertEqual(report["rate_unit"], "tasks/s")
        self.assertGreaterEqual(report["imbalance"], 0)
        self.assertEqual(report["chunks"], 5)
        self.assertTrue(0 < report["task_s"] <= report["median_s"])
        self.assertIs(report["verified"], True)
        self.assertRegex(report["checksum"], r"^[0-9a-f]{16}$")
        self.assertEqual(report["result"], {"values": [i * i for i in range(10)]})
        self.assertEqual(report["timings_file"], "a.h5")
        self.assertEqual(report["files"], ["a.h5"])
        self.assertEqual((report["tasks"], report["leaves"]), (10, 10))
        self.assertIs(report["dry_run"], False)
        self.assertNotIn("error", report)

    def test_no_interval_below_six_repetitions(self):
        self.assertIsNone(self.report("run", "squares", "--repetitions", "5")["interval_s"])
        self.assertIn("no interval at n=1", self.succeed("run", "squares").stdout)

    def test_answers(self):
        sums = self.report("run", "sum_squares", "-p", "n=1e6,2e6,3e6", ranks=2)["result"]["sums"]
        self.assertEqual(sums,
                         ["333332833333500000", "2666664666667000000", "8999995500000500000"])
        result = self.report("run", "ep", "-p", "class=S", ranks=2)["result"]
        self.assertAlmostEqual(result["sx"], -3.247834652034740e3, delta=1e-5)
        self.assertAlmostEqual(result["sy"], -6.958407078382297e3, delta=1e-5)
        self.assertEqual(len(result["counts"]), 10)

    def test_quiet_prints_nothing(self):
        run = self.succeed("run", "squares", "--quiet")
        self.assertEqual((run.stdout, run.stderr), ("", ""))

    def test_verbose_tells_who_computed_what(self):
        text = self.succeed("run", "squares", "--schedule", "block", "--verbose", ranks=2).stdout
        self.assertRegex(text, r"rank 0 .*pid \d+")
        self.assertRegex(text, r"rank 1 .*pid \d+")
        self.assertRegex(text, r"(?m)^data path")

    def test_log_lines_carry_their_rank(self):
        run = self.succeed("run", "squares", "--log-level", "debug", "-q", ranks=2)
        self.assertIn("[rank 0] [info] repetition 1: ", run.stderr)
        self.assertIn("[rank 1] [debug] plan agreed", run.stderr)

    def test_existing_files_are_replaced_by_force_alone(self):
        self.succeed("run", "squares", "-q", "-o", "a.h5")
        self.succeed("run", "squares", "-q", "-o", "a.h5", status=2)
        self.succeed("run", "squares", "-q", "-o", "a.h5", "--force", "-p", "n=3")
        with h5py.File(self.home / "a.h5") as file:
            self.assertEqual(file["run"].attrs["tasks"], 3)

    def test_more_ranks_than_tasks(self):
        self.assertEqual(self.report("run", "squares", "-p", "n=2", ranks=4)["result"]["values"], [0, 1])
        self.assertEqual(self.report("run", "squares", "-p", "n=0", ranks=2)["result"]["values"], [])

    def test_images_smaller_than_ranks(self):
        for width, height in ((1, 1), (5, 2)):
            self.write("in.png", png(width, height))
            self.assertTrue(self.report("run", "denoise", "-p", "input=in.png", "-p", "output=out.png",
                                        "--force", ranks=3)["verified"])
            self.assertTrue((self.home / "out.png").exists())

    def test_mandelbrot_writes_what_others_read(self):
        self.succeed("run", "mandelbrot", "-q", "-p", "columns=60", "-p", "rows=41", "-p", "limit=80",
                     "-p", "output=a.png", "-p", "raw=a.h5", "-o", "t.h5", "--result", "r.json", ranks=2)
        with h5py.File(self.home / "a.h5") as file:
            xs, ys, counts = file["x"][:], file["y"][:], file["count"][:]
            self.assertEqual([file["count"].dims[i][0].name for i in (0, 1)], ["/y", "/x"])
        for y, row in zip(ys, counts):
            for x, count in zip(xs, row):
                z, steps = 0, 0
                while steps < 80 and abs(z := z * z + complex(x, y)) <= 16:
                    steps += 1
                self.assertEqual(count, steps, (x, y))
        self.assertEqual(json.loads((self.home / "r.json").read_text())["inside"], (counts == 80).sum())
        data, samples = (self.home / "a.png").read_bytes(), b""
        for kind, start, size in chunks(data):
            crc = int.from_bytes(data[start + size:start + size + 4], "big")
            self.assertEqual(zlib.crc32(data[start - 4:start + size]), crc, kind)
            samples += data[start:start + size] if kind == b"IDAT" else b""
        rows = zlib.decompress(samples)
        self.assertEqual(len(rows), 41 * (1 + 3 * 60))
        for i, row in enumerate(counts):
            line = bytearray(rows[181 * i:181 * (i + 1)])
            self.assertEqual(line.pop(0), 1) # the filter Sub
            for k in range(3, 180):
                line[k] = (line[k] + line[k - 3]) % 256
            black = [line[3 * k:3 * k + 3] == b"\0\0\0" for k in range(60)]
            self.assertEqual(black, [count == 80 for count in row])

    def test_primes_are_those_of_the_library(self):
        if not has_primes():
            self.skipTest("built without libprimesieve")
        report = self.report("run", "primes", "-p", "b=1e8", "--result", "r.json", ranks=2)
        self.assertEqual(report["result"], {"count": 5761455})
        self.assertEqual(json.loads((self.home / "r.json").read_text()), {"count": 5761455})
        report = self.report("run", "primes", "-p", "a=2^40", "-p", "b=2^40+1000", "-p", "output=a.txt")
        self.assertTrue(report["verified"])
        found = [int(line) - 2**40 for line in (self.home / "a.txt").read_text().split()]
        self.assertEqual(found[:4], [15, 27, 55, 97]) # by trial division
        self.assertEqual(len(found), report["result"]["count"])

    def test_paths_in_a_job_file_start_from_it(self):
        self.write("jobs/in.png", png(4, 4))
        self.write("jobs/a.toml", 'workload = "denoise"\nparameters = {input = "in.png"}\n'
                                  '[output]\ntimings = "t.h5"\n')
        self.succeed("run", "jobs/a.toml", "-p", "output=out.png", ranks=2)
        self.assertEqual(self.files(), ["jobs/a.toml", "jobs/in.png", "jobs/t.h5", "out.png"])
        with h5py.File(self.home / "jobs/t.h5") as file:
            self.assertEqual(file["provenance/job_file"].asstr()[()],
                             (self.home / "jobs/a.toml").read_text())
            self.assertRegex(file["provenance/input_xxh3"].asstr()[()], "^input=[0-9a-f]{16}$")

    def test_the_command_line_wins(self):
        self.write("a.toml", 'workload = "squares"\nschedule = "cyclic"\nthreads = 1\n'
                             '[parameters]\nn = 4\n[measure]\nrepetitions = 2\n')
        report = self.report("run", "a.toml")
        self.assertEqual((report["schedule"], report["repetitions"]), ("cyclic", 2))
        report = self.report("run", "a.toml", "-p", "n=5", "--repetitions", "3", "--threads", "2")
        self.assertEqual((report["parameters"]["n"], report["repetitions"]), (5, 3))
        self.assertEqual(report["layout"]["threads"], 2)

    def test_every_job_file_of_the_project_is_valid(self):
        (self.home / "results").mkdir()
        for file in sorted((REPOSITORY / "jobs").glob("*.toml")):
            if file.stem == "primes" and not has_primes():
                continue
            writes = file.stem in ("denoise", "mandelbrot")
            arguments = ["-p", f"output={self.home}/out.png"] if writes else []
            self.assertTrue(self.report("run", str(file), *arguments, "--dry-run")["dry_run"], file)

    def test_the_answer_by_suffix(self):
        for suffix in ("json", "csv", "h5"):
            self.succeed("run", "squares", "-q", "-p", "n=3", "--result", "r." + suffix)
        self.assertEqual(json.loads((self.home / "r.json").read_text()), {"values": [0, 1, 4]})
        self.assertEqual((self.home / "r.csv").read_text().split(), ["values", "0", "1", "4"])
        with h5py.File(self.home / "r.h5") as file:
            self.assertEqual(list(file["values"][:]), [0, 1, 4])

    def test_a_trace_has_every_task_once(self):
        self.succeed("run", "squares", "-q", "-o", "a.h5", "--trace", "--schedule", "cyclic,3", ranks=2)
        with h5py.File(self.home / "a.trace.h5") as file:
            self.assertEqual(sum(file["tasks"][:]), 16)

    def test_a_dry_run_writes_nothing(self):
        run = self.succeed("run", "squares", "--dry-run", "--result", "r.json", "--trace", ranks=2)
        for words in ("layout ", "leaves     16", "memory ", "results/squares-", "r.json"):
            self.assertIn(words, run.stdout)
        report = self.report("run", "squares", "--dry-run", "-o", "a.h5")
        self.assertEqual((report["leaves"], report["files"]), (16, ["a.h5"]))
        self.assertIs(report["dry_run"], True)
        self.assertLess(set(report), set(self.report("run", "squares")))
        shutil.rmtree(self.home / "results")
        self.assertEqual(self.files(), [])

    def test_a_budget_ends_the_run(self):
        report = self.report("run", "squares", "-p", "n=1", "-p", "sleep_ms=100", "--budget", "0.25")
        self.assertTrue(2 <= report["repetitions"] <= 4, report["repetitions"])

    def test_progress_can_be_watched_in_a_file(self):
        command = [CLEAVE, "run", "squares", "-q", "-o", "a.h5", "-p", "n=4", "-p", "sleep_ms=500",
                   "--threads", "1"]
        seen = ""
        with subprocess.Popen(command, cwd=self.home) as run:
            while run.poll() is None and not seen:
                if (self.home / "a.progress").exists():
                    seen = (self.home / "a.progress").read_text()
        self.assertEqual(json.loads(seen)["workload"], "squares")
        self.assertEqual(self.files(), ["a.h5"])


class Launch(Case):
    def test_n_starts_mpirun(self):
        self.assertEqual(self.report("run", "squares", "-n", "3")["layout"]["ranks"], 3)
        self.assertEqual(len(self.report("layout", "-n", "2", "--threads", "1")["ranks"]), 2)

    def test_n_under_mpirun_must_be_its_own(self):
        self.assertEqual(self.report("run", "squares", "-n", "2", ranks=2)["layout"]["ranks"], 2)
        run = self.succeed("run", "squares", "-n", "3", ranks=2, status=2)
        self.assertEqual(run.stderr.count("\n"), 1)
        self.assertIn("-n: is 3, but the launcher started 2 ranks", run.stderr)

    def test_a_rank_that_is_not_there_waits_for_no_debugger(self):
        for rank, message in (("2", "--attach: there is no rank 2: the last is rank 1"),
                              ("-1", "--attach: must be a rank, 0 or above")):
            run = self.succeed("run", "squares", f"--attach={rank}", ranks=2, status=2)
            self.assertIn(message, run.stderr)
            self.assertEqual(run.stderr.count("\n"), 1)

    @unittest.skipUnless(shutil.which("gdb"), "needs gdb")
    def test_a_rank_waits_for_a_debugger(self):
        command = [MPIRUN, "-q", "-n", "2", CLEAVE, "run", "squares", "-q", "--attach", "1"]
        with subprocess.Popen(command, cwd=self.home, text=True, stderr=subprocess.PIPE) as run:
            self.assertRegex(run.stderr.readline(), r"^rank 1 waits for a debugger: on host \S+,$")
            words = shlex.split(run.stderr.readline())
            self.assertIsNone(run.poll())
            debugger = subprocess.run([*words, "-batch"], text=True, capture_output=True, check=False)
            if "Operation not permitted" in debugger.stderr:
                run.kill()
                self.skipTest("debuggers are forbidden here")
            self.assertEqual(run.wait(timeout=30), 0, debugger.stderr)

    def test_without_mpirun_the_mend_is_told(self):
        run = self.succeed("run", "squares", "-n", "2", status=2, PATH="/nowhere")
        self.assertIn("cannot start mpirun", run.stderr)
        self.assertIn("install openmpi-bin", run.stderr)

    def test_layout(self):
        text = self.succeed("layout", "--verbose", ranks=2).stdout
        self.assertIn("layout     1 node x 2 ranks x ", text)
        self.assertRegex(text, r"rank +pid +threads +cpus")
        self.assertRegex(text, r"(?m)^data path")
        layout = self.report("layout", "--threads", "3", ranks=2)
        self.assertEqual([rank["threads"] for rank in layout["ranks"]], [3, 3])
        self.assertEqual(layout["workers"], 6)
        if layout["nodes"][0]["cores"] < 6:
            self.assertTrue(layout["oversubscribed"])
            self.assertEqual(layout["findings"][0]["severity"], "warning")
            self.assertIn("mpirun", layout["findings"][0]["mend"])


class Failures(Case):
    """Failed work: status 3, one message, every rank gone within seconds."""

    def failure(self, workload, *arguments, ranks=3):
        run = self.start("run", workload, *arguments, ranks=ranks, program=FAULTY, **AT_ONCE)
        self.assertEqual(run.returncode, 3, run.stdout + run.stderr)
        self.assertEqual(run.stderr.count("cleave: error:"), 1, run.stderr)
        return run

    def test_a_task_that_throws(self):
        for ranks in (0, 3):
            self.assertRegex(self.failure("task", ranks=ranks).stderr,
                             r"task 5 failed on rank \d .*runtime_error: five is too much")
        self.assertEqual(self.files(), [])

    def test_json_tells_failures(self):
        run = self.failure("task", "--json")
        self.assertEqual(json.loads(run.stdout)["error"]["kind"], "failed_task")
        run = self.failure("silent", "--json")
        self.assertEqual(json.loads(run.stdout)["error"]["message"], "std::runtime_error: only the last rank sees this")

    def test_one_rank_that_throws(self):
        self.assertIn("on rank 2: std::runtime_error: only the last rank sees this", self.failure("last_rank").stderr)

    def test_one_rank_that_throws_while_the_others_are_busy(self):
        self.assertIn("on rank 2: std::runtime_error: only the last rank sees this", self.failure("silent").stderr)

    def test_terminate_names_the_rank(self):
        self.assertIn("rank 2 terminated: thrown where nobody catches",
                      self.failure("terminates").stderr)

    def test_one_rank_tells_even_where_mpirun_gives_the_others_time(self):
        for workload, options, told in [
                ("silent", (), "std::runtime_error: only the last rank sees this"),
                ("endless", ("--task-timeout", "0.1"),
                 r"task 5 on rank \d \(thread 0, host \S+\) ignores its time-out of 0.1 s.* It is in\n")]:
            run = self.start("run", workload, *options, "--threads", "1", "--json", ranks=3, program=FAULTY)
            self.assertEqual(run.returncode, 3, run.stderr)
            self.assertRegex(run.stderr, rf"\Acleave: error: .*{told}")
            self.assertEqual(run.stderr.count("cleave: error:"), 1, run.stderr)
            self.assertEqual(json.loads(run.stdout)["error"]["kind"], "failed_task") # one object

    def test_a_stop_that_one_rank_alone_has_heard_of(self):
        for rank in (0, 1):
            signalled = f'[ "$OMPI_COMM_WORLD_RANK" != {rank} ] || (sleep 2; kill -USR1 $$) & exec "$@"'
            run = self.start("-c", signalled, "sh", CLEAVE, "run", "squares", "-p", "n=800", "-p", "sleep_ms=50",
                             "--threads", "1", "--checkpoint", f"kept{rank}", ranks=2, program="sh", **AT_ONCE)
            self.assertEqual(run.returncode, 75, run.stderr)
            self.assertRegex(run.stderr, r"\Acleave: error: interrupted before the first .*--resume\n\Z")

    def test_a_wrong_answer_has_no_speed(self):
        for workload in ("wrong", "changes"):
            run = self.failure(workload, "--repetitions", "3")
            self.assertIn("\nWRONG ", run.stdout)
            for label in ("time ", "rate ", "verified "):
                self.assertNotIn("\n" + label, run.stdout)
        report = json.loads(self.failure("wrong", "--json", "-o", "w.h5").stdout)
        self.assertEqual((report["verified"], report["rate"], report["median_s"]), (False, None, None))
        self.assertIsNone(report["imbalance"])
        good = self.report("run", "good", program=FAULTY)
        self.assertEqual(list(report), [*good, "error"])
        self.assertEqual(report["error"]["kind"], "wrong_answer")
        with h5py.File(self.home / "w.h5") as file:
            self.assertEqual(list(file["run/rep_state"][:]), [2])

    def test_an_unchecked_answer_has_no_rate(self):
        run = self.succeed("run", "unchecked", program=FAULTY)
        self.assertIn("\nunchecked ", run.stdout)
        self.assertNotIn("\nrate ", run.stdout)

    def test_a_failed_file_does_not_lose_the_answer(self):
        run = self.failure("output")
        self.assertIn("\nresult     values = 0, 1, 2", run.stdout)
        self.assertIn("out.png: the disk is full", run.stderr)
        report = json.loads(self.failure("output", "--json").stdout)
        self.assertEqual(report["result"]["values"], list(range(8)))
        self.assertEqual(report["error"]["kind"], "io")

    def lose(self, redirection, *arguments, status=3, program=CLEAVE):
        """Runs the program with its standard output lost."""
        run = subprocess.run(["bash", "-c", f'exec "$@" {redirection}', "bash", program, *arguments],
                             cwd=self.home, text=True, capture_output=True, timeout=50, check=False)
        self.assertEqual(run.returncode, status, run.stdout + run.stderr)
        message = r"cleave: error: standard output: [^\n]*\n" if status else ""
        self.assertRegex(run.stderr, rf"\A{message}\Z")

    def test_an_answer_that_cannot_be_printed_is_a_failure(self):
        for redirection in (">/dev/full", ">&-"):
            for arguments in ("list", "list ep", "--help", "run --help", "--version", "layout",
                              "layout --json", "run squares -o a.h5", "run squares --dry-run"):
                with self.subTest(arguments + redirection):
                    self.lose(redirection, *arguments.split())
            self.assertEqual(self.files(), []) # a run is refused before any work
        self.lose(">&-", "run", "squares", "-n", "2")
        self.lose(">&-", "run", "squares", "-o", "a.h5", "--json")
        self.assertEqual(self.files(), [])

    def test_a_report_that_cannot_be_printed_costs_no_file(self):
        self.lose(">/dev/full", "run", "squares", "-o", "a.h5", "--result", "a.json", "--json")
        self.assertEqual(self.files(), ["a.h5", "a.json"])

    def test_quiet_needs_no_standard_output(self):
        for name, redirection in (("a.h5", "<&- >&- 2>&-"), ("b.h5", ">/dev/full")):
            self.lose(redirection, "run", "squares", "-q", "-o", name, status=0)
        self.assertEqual(self.files(), ["a.h5", "b.h5"])

    def test_no_file_takes_the_number_of_a_closed_stream(self):
        command = ["bash", "-c", 'exec "$@" <&- >&- 2>&-', "bash", CLEAVE, "run", "squares", "-q", "-o",
                   "a.h5", "-p", "sleep_ms=300", "--threads", "1", "-p", "n=4"]
        with subprocess.Popen(command, cwd=self.home) as run:
            while run.poll() is None and not (self.home / "a.progress").exists():
                time.sleep(0.01)
            streams = [os.readlink(f"/proc/{run.pid}/fd/{number}") for number in range(3)]
            self.assertEqual(run.wait(timeout=30), 0)
        self.assertEqual(streams, ["/dev/null"] * 3)

    def test_a_killed_rank_ends_the_run_by_its_signal(self):
        command = [MPIRUN, "-q", "-n", "2", CLEAVE, "run", "squares", "-q", "-o", "a.h5", "-p",
                   "sleep_ms=500", "--threads", "1"]
        with subprocess.Popen(command, cwd=self.home) as run:
            while run.poll() is None and not (self.home / "a.progress").exists():
                time.sleep(0.01)
            os.kill(json.loads((self.home / "a.progress").read_text())["pid"], signal.SIGKILL)
            self.assertEqual(run.wait(timeout=30), 128 + signal.SIGKILL)
        self.assertEqual(self.files(), ["a.h5", "a.progress"])
        self.succeed("run", "squares", "-q", "-o", "a.h5", "--force")
        self.assertEqual(self.files(), ["a.h5"]) # the next run of that name has replaced it

    def test_a_workload_that_was_not_built_says_why(self):
        why = "not available: the program was built without a crystal ball\n"
        text = self.succeed("list", program=FAULTY).stdout
        self.assertRegex(text, rf"(?m)^unavailable +goes wrong on purpose\n +{why}")
        self.assertEqual(text.count("not available"), 1)
        self.assertIn(f"\n{why}", self.succeed("list", "unavailable", program=FAULTY).stdout)
        for ranks in (0, 2):
            run = self.succeed("run", "unavailable", "--dry-run", status=2, ranks=ranks, program=FAULTY)
            self.assertEqual(run.stderr, f"cleave: error: the workload unavailable is {why}")
        self.assertEqual(self.files(), [])

    def test_a_workload_may_refuse(self):
        run = self.succeed("run", "refuses", "-p", "n=3", status=2, ranks=3, program=FAULTY)
        self.assertEqual(run.stderr, "cleave: error: n: must be even\n")
        self.assertEqual(self.files(), [])


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[4:]])
