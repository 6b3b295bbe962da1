"""Studies through the program: measured, killed and gone on with, shared, refused, as batch jobs.

study_cli_test.py CLEAVE FAULTY MPIRUN [unittest arguments]. FAULTY is faulty_program.cpp: workloads
that go wrong on purpose.
"""

import json
import os
import random
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import unittest
from collections import Counter
from pathlib import Path

import h5py

CLEAVE, FAULTY, MPIRUN = (os.path.abspath(p) for p in sys.argv[1:4])

STUDY = """
job = "{job}"
mode = "strong"
ranks = [1, 2]
threads = 1
[parameters]
{parameters}
[measure]
warmup = 0
repetitions = {repetitions}
half_width = {half_width}
"""


class Case(unittest.TestCase):
    """A test in an empty directory of its own, which mpirun may use as it likes."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.home = Path(directory.name)
        self.folder = self.home / "results/s"

    def study(self, job="squares", parameters="n = 20\nsleep_ms = 2", repetitions=10, half_width=0, more=""):
        """Writes s.toml."""
        text = STUDY.format(job=job, parameters=parameters, repetitions=repetitions, half_width=half_width)
        (self.home / "s.toml").write_text(text + more)

    def begin(self, *arguments, program=CLEAVE, **variables):
        if len(os.sched_getaffinity(0)) < 2:
            arguments = (*arguments, "--oversubscribe")
        return subprocess.Popen([program, "study", "s.toml", *arguments], cwd=self.home, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
                                env={**os.environ, **variables})

    def start(self, *arguments, status=0, **options):
        process = self.begin(*arguments, **options)
        output, errors = process.communicate(timeout=100)
        self.assertEqual(process.returncode, status, output + errors)
        return output if status == 0 else output + errors

    def measured(self):
        """Repetitions done by point; and that each has the layout its file's name says."""
        counts = Counter()
        for file in self.folder.glob("points/*.h5"):
            stem = file.name.rsplit(".", 2)[0]
            with h5py.File(file) as h5:
                counts[stem] += int((h5["run/rep_state"][:] == 1).sum())
                self.assertIn(f"-{h5['run'].attrs['ranks']}x{h5['run'].attrs['threads']}-", stem)
        return dict(counts)

    def all_measured(self, times):
        """Both points have so many repetitions."""
        self.assertEqual(sorted(self.measured().values()), [times, times])

    def leftovers(self):
        return sorted(p.name for p in self.folder.glob("points/*") if p.suffix != ".h5")

    def fake(self, name, text):
        """A program of this name, first on the PATH of self.path()."""
        file = self.home / "bin" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("#!/bin/bash\n" + text)
        file.chmod(file.stat().st_mode | stat.S_IXUSR)

    def path(self):
        return f"{self.home / 'bin'}:{os.environ['PATH']}"


class Measuring(Case):
    def test_every_point_in_every_round(self):
        self.study(repetitions=10)
        output = self.start()
        self.assertEqual(self.measured(), {"squares-20-2-1x1-auto": 10, "squares-20-2-2x1-auto": 10})
        self.assertEqual(self.leftovers(), [])
        self.assertRegex(output, r"squares-20-2-2x1-auto +10 .* repetitions")
        self.assertIn("cleave report results/s", output)
        starts = []
        for file in self.folder.glob("points/*.h5"):
            with h5py.File(file) as h5:
                starts.append((h5["run/rep_start_utc"][0], file.name.rsplit(".", 2)[0]))
        points = [point for _, point in sorted(starts)]
        for i in range(0, len(points), 2):
            self.assertEqual(len(set(points[i:i + 2])), 2, points)
        with h5py.File(self.folder / "study.h5") as h5:
            self.assertGreater(len(h5), 0)
        record = json.loads((self.folder / "study.json").read_text())
        self.assertEqual([(p["ranks"], p["threads"]) for p in record["planned"]], [(1, 1), (2, 1)])

    def test_a_narrow_interval_ends_a_point(self):
        self.study(repetitions=100, half_width=1, parameters="n = 20\nsleep_ms = 5")
        self.assertRegex(self.start(), "half width")
        self.assertLess(max(self.measured().values()), 100)

    def test_the_budget_of_a_point(self):
        self.study(repetitions=500, more="budget_s = 1e-6\n")
        self.assertRegex(self.start("--only", "ranks=1"), r"auto +1 .* budget")
        self.assertEqual(self.measured(), {"squares-20-2-1x1-auto": 1})

    def test_the_budget_of_the_study_leaves_the_rest_to_resume(self):
        self.study(repetitions=10)
        output = self.start("--budget", "1s")
        resume = re.search(r"go on by: (.*)", output).group(1)
        self.assertLess(sum(self.measured().values()), 20)
        subprocess.run(resume, shell=True, cwd=self.home, check=True, capture_output=True)
        self.all_measured(10)

    def test_weak_by_a_job_file_from_another_folder(self):
        (self.home / "jobs").mkdir()
        (self.home / "jobs/j.toml").write_text('workload = "sum_squares"\n[parameters]\nn = [1e6, 2e6]\n')
        self.study(job="jobs/j.toml", parameters="", repetitions=6)
        text = (self.home / "s.toml").read_text().replace("strong", "weak")
        (self.home / "s.toml").write_text(text)
        self.start()
        work = set()
        for file in self.folder.glob("points/*.h5"):
            with h5py.File(file) as h5:
                work.add((int(h5["run"].attrs["ranks"]), int(h5["run"].attrs["work_items"])))
        self.assertEqual(work, {(1, 3_000_000), (2, 6_000_000)})
        self.assertTrue((self.folder / "job.toml").exists())

    def test_over_subscribed_points_are_marked(self):
        self.study(repetitions=1)
        text = (self.home / "s.toml").read_text().replace("[1, 2]", f"[{os.cpu_count() + 1}]")
        (self.home / "s.toml").write_text(text)
        self.assertIn("--oversubscribe", self.start(status=2))
        self.assertFalse(self.folder.exists())
        self.assertIn("(over-subscribed)", self.start("--oversubscribe"))

    def test_every_workload_that_grows_does_so_by_the_factor(self):
        for job, parameters in [("squares", "n = 100"), ("sum_squares", "n = [[1e6, 2e6]]"),
                                ("primes", 'a = "1e6"\nb = "2e6"'),
                                ("mandelbrot", "columns = 100\nrows = 80\nlimit = 10")]:
            with self.subTest(job=job):
                if "not available" in subprocess.run([CLEAVE, "list", job], capture_output=True, text=True,
                                                     check=True).stdout:
                    self.skipTest(f"{job} was not built")
                self.study(job=job, parameters=parameters, repetitions=1)
                text = (self.home / "s.toml").read_text().replace("strong", "weak")
                (self.home / "s.toml").write_text(text)
                self.start("-o", f"results/s/{job}")
                work = {}
                for file in (self.folder / job / "points").glob("*.h5"):
                    with h5py.File(file) as h5:
                        work[int(h5["run"].attrs["ranks"])] = float(h5["run"].attrs["work_items"])
                self.assertAlmostEqual(work[2] / work[1], 2, delta=0.02)


class Resuming(Case):
    def test_a_study_is_begun_once_and_gone_on_with_by_the_same_study(self):
        self.study(repetitions=1)
        self.assertIn("leave --resume out", self.start("--resume", status=2))
        self.assertFalse(self.folder.exists())
        self.start()
        self.assertIn("by --resume", self.start(status=2))
        text = (self.home / "s.toml").read_text()
        (self.home / "s.toml").write_text(text.replace("repetitions = 1", "repetitions = 2"))
        self.assertIn("measure.repetitions was 1, is 2", self.start("--resume", status=2))
        (self.home / "s.toml").write_text("# nothing else\n" + text)
        self.start("--resume")
        self.all_measured(1)

    def test_killed_at_any_instant(self):
        seed = time.time_ns() if os.environ.get("CLEAVE_SOAK") else 1
        dice = random.Random(seed)
        self.study(repetitions=12)
        kills = 0
        while True:
            resume = ["--resume"] if (self.folder / "study.json").exists() else []
            process = self.begin(*resume)
            try:
                output, errors = process.communicate(timeout=dice.uniform(0.05, 0.9))
                break
            except subprocess.TimeoutExpired:
                children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True,
                                          check=False).stdout.split()
                for victim in [process.pid, *map(int, children if dice.random() < 0.5 else [])]:
                    try:
                        os.kill(victim, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
                process.communicate()
                kills += 1
        self.assertEqual(process.returncode, 0, f"seed {seed}: {output}{errors}")
        self.assertGreater(kills, 1)
        self.assertEqual(self.measured(), {"squares-20-2-1x1-auto": 12, "squares-20-2-2x1-auto": 12},
                         f"seed {seed}")
        self.assertFalse([name for name in self.leftovers() if name.endswith((".claim", ".log"))])

    def test_ctrl_c(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
            with self.subTest(signal=number):
                shutil.rmtree(self.folder, ignore_errors=True)
                self.study(repetitions=10, parameters="n = 100\nsleep_ms = 4")
                process = self.begin()
                while not list(self.folder.glob("points/*.claim")):
                    time.sleep(0.02)
                time.sleep(0.3)
                os.killpg(process.pid, number)
                if number == signal.SIGUSR1: # which batch scripts send again and again
                    time.sleep(0.05)
                    process.send_signal(number)
                _, errors = process.communicate(timeout=20)
                self.assertEqual(process.returncode, 75, errors)
                self.assertIn(f"go on by: {CLEAVE} study s.toml -o results/s --resume", errors)
                self.assertFalse(list(self.folder.glob("points/*.claim")))
                self.assertFalse(list(self.folder.glob("points/*.log")))
                self.start("--resume")
                self.all_measured(10)

    def test_a_launch_that_was_told_to_end_is_no_failure(self):
        self.fake("mpirun", "echo interrupted >&2\nexit 75\n")
        self.study(repetitions=4)
        output = self.start(status=75, PATH=self.path())
        self.assertNotIn("failed", output.lower())
        self.assertEqual(self.leftovers(), [])
        self.start("--resume")
        self.all_measured(4)

    def test_who_has_been_taken_over_ends(self):
        """And leaves the claim of who goes on."""
        theirs = '{"host":"elsewhere","pid":12,"started":5}'
        self.fake("mpirun", f"for claim in {self.folder}/points/*.claim; do echo '{theirs}' >$claim; done\n"
                            f'exec {MPIRUN} "$@"\n')
        self.study(repetitions=4)
        self.start(status=75, PATH=self.path())
        claim, = self.folder.glob("points/*.claim")
        self.assertEqual(claim.read_text().splitlines()[0], theirs)
        claim.unlink()
        self.start("--resume")
        self.all_measured(4)

    def test_a_failed_launch_leaves_the_others_to_go_on(self):
        """The launcher fails for 2 ranks until it is mended."""
        self.fake("mpirun", f'[[ " $* " == *" -n 2 "* && -e {self.home}/broken ]] && echo "no such node" >&2 '
                            f'&& exit 9\nexec {MPIRUN} "$@"\n')
        (self.home / "broken").touch()
        self.study(repetitions=4)
        output = self.start(status=3, PATH=self.path())
        self.assertIn("exit status 9: no such node", output)
        self.assertIn("1 of 2 points failed", output)
        self.assertEqual(self.measured(), {"squares-20-2-1x1-auto": 4})
        self.assertEqual(self.leftovers(), ["squares-20-2-2x1-auto.1.log"])
        self.assertIn("2x1-auto  failed: no such node", self.start("--dry-run", PATH=self.path()))
        (self.home / "broken").unlink()
        self.start("--resume", PATH=self.path())
        self.all_measured(4)

    def test_a_wrong_answer_is_a_failure(self):
        self.study(job="wrong", parameters="", repetitions=4)
        output = self.start("--only", "ranks=1", program=FAULTY, status=3)
        self.assertRegex(output, "exit status 3: .*wrong")
        self.assertEqual(sum(self.measured().values()), 0)


class Sharing(Case):
    def test_two_studies_share_the_points(self):
        self.study(repetitions=10)
        first = self.begin()
        while not (self.folder / "study.json").exists():
            time.sleep(0.01)
        second = self.begin("--resume")
        ends = [process.communicate(timeout=60) + (process.returncode,) for process in (first, second)]
        self.assertEqual([end[2] for end in ends], [0, 0], ends)
        self.all_measured(10)
        self.assertEqual(self.leftovers(), [])

    def test_a_claim_of_another_host_is_left_alone(self):
        self.study(repetitions=1)
        self.start("--only", "ranks=2")
        claim = self.folder / "points/squares-20-2-1x1-auto.claim"
        claim.write_text('{"host":"elsewhere","pid":12,"started":5}\n')
        output = self.start("--resume")
        self.assertIn("process 12 on elsewhere", output)
        self.assertIn("claimed by others", output)
        self.assertTrue(claim.exists())
        self.assertIn("running: process 12 on elsewhere", self.start("--dry-run"))
        claim.unlink()
        self.start("--resume")
        self.all_measured(1)

    def test_a_claim_of_an_earlier_attempt_of_the_slurm_job_is_taken_over(self):
        """The node that it was on may be gone for good."""
        self.fake("squeue", "echo UNLIMITED")
        self.study(repetitions=1)
        self.start("--only", "ranks=2")
        claim = self.folder / "points/squares-20-2-1x1-auto.claim"
        claim.write_text('{"host":"elsewhere","pid":12,"started":5,"slurm_job":17,"attempt":2}\n')
        for job, restarts, taken in ((17, 1, False), (18, 2, False), (17, 2, True)): # the last is attempt 3
            output = self.start("--resume", PATH=self.path(), SLURM_JOB_ID=str(job), SLURM_RESTART_COUNT=str(restarts))
            self.assertEqual(("claimed by others" in output, claim.exists()), (not taken, not taken), output)
        self.all_measured(1)

    def test_a_claim_of_a_process_that_has_gone_is_taken_over(self):
        self.study(repetitions=1)
        self.start("--only", "ranks=2")
        host = os.uname().nodename
        claim = self.folder / "points/squares-20-2-1x1-auto.claim"
        claim.write_text(json.dumps({"host": host, "pid": os.getpid(), "started": 1}) + "\n")
        self.assertIn("1x1-auto  missing", self.start("--dry-run"))
        self.start("--resume")
        self.all_measured(1)


class Asking(Case):
    def test_a_dry_run_writes_nothing_and_its_lines_work(self):
        self.study(repetitions=10)
        output = self.start("--dry-run")
        self.assertEqual([p.name for p in self.home.iterdir()], ["s.toml"])
        self.assertEqual(len(re.findall("(?m)^point .*missing$", output)), 2)
        self.start("--only", "ranks=2")
        lines = [line for line in self.start("--dry-run").splitlines() if line.startswith("  ")]
        self.assertEqual(len(lines), 2, lines)  # that of 1 rank, and the last words
        subprocess.run(lines[0], shell=True, cwd=self.home, check=True)
        self.assertEqual(self.measured(), {"squares-20-2-1x1-auto": 2, "squares-20-2-2x1-auto": 10})
        output = self.start("--dry-run")
        self.assertIn("1x1-auto  partly: 2 of 10", output)
        self.assertRegex(output, r"2x1-auto  done: .* \(repetitions\)")
        self.start("--resume")
        self.all_measured(10)

    def test_refusals(self):
        self.study()
        for arguments, words in [(("--launcher", "mpirum"), 'did you mean "mpirun"'),
                                 (("--budget", "soon"), "such as 90s, 30m or 2h"),
                                 (("--only", "rank=1"), 'did you mean "ranks"'),
                                 (("--only", "ranks=7"), "the study has ranks 1, 2"),
                                 (("--launcher", "slurm"), "cores_per_node")]:
            with self.subTest(arguments=arguments):
                self.assertIn(words, self.start(*arguments, status=2))
        self.assertIn("without mpirun", self.start(status=2, PMIX_RANK="0"))
        (self.home / "s.toml").write_text('job = "squares"\nmode = "storng"\n')
        self.assertIn('s.toml:2: mode: unknown mode "storng"; did you mean "strong"?', self.start(status=2))
        (self.home / "s.toml").unlink()
        self.assertIn("s.toml: cannot be read", self.start(status=2))
        self.assertFalse(self.folder.exists())


class Words(Case):
    def test_the_manual_page_and_the_completion_name_every_option(self):
        root = Path(__file__).resolve().parent.parent
        manual = (root / "docs/cleave.1").read_text().replace("\\-", "-")
        manual = manual[manual.index("OPTIONS OF STUDY"):]
        completion = (root / "scripts/completion/cleave.bash").read_text()
        text = subprocess.run([CLEAVE, "study", "--help"], capture_output=True, text=True, check=True).stdout
        options = re.findall(r"(?m)^  (?:-\w,)?(--[a-z-]+)", text)
        self.assertGreater(len(options), 6)
        for option in set(options) - {"--help"}:
            self.assertIn(option, manual)
            self.assertIn(option, re.search(r"study\) words=(.*)", completion).group(1))

    def test_the_study_files_that_come_with_it_are_right(self):
        root = Path(__file__).resolve().parent.parent
        files = sorted((root / "jobs/studies").glob("*.toml"))
        self.assertGreater(len(files), 3)
        for file in files:
            with self.subTest(file=file.name):
                run = subprocess.run([CLEAVE, "study", str(file), "--dry-run", "--oversubscribe"], text=True,
                                     cwd=self.home, capture_output=True, check=False)
                if "libprimesieve" not in run.stderr:
                    self.assertEqual(run.returncode, 0, run.stderr)
                    self.assertGreaterEqual(run.stdout.count("mpirun"), 1)


class Slurm(Case):
    """Stand-ins of Slurm's commands: what they are asked, and mpirun in place of srun."""

    def setUp(self):
        super().setUp()
        log = self.home / "asked"
        self.fake("sbatch", f'echo "$*" >> {log}\necho "$((100 + $(wc -l < {log})));cluster"\n')
        self.fake("squeue", f'[[ -e {self.home}/waiting ]] && echo "${{*##*=}}"\nexit 0\n')
        (self.home / "killed").write_text("0") # of the first launches, so many
        self.fake("srun", f'echo "srun $*" >> {log}\n(($(wc -l < {log}) > $(<{self.home}/killed))) || kill -9 $$\n'
                          'while [[ $1 == -* ]]; do [[ $1 == -n* ]] && n=${1#-n}; shift; done\n'
                          f'exec {MPIRUN} -q -n "$n" "$@"\n')
        self.study(repetitions=2, more="[slurm]\ncores_per_node = 1\ntime = \"0:10\"\npartition = \"p q\"\n")

    def asked(self):
        file = self.home / "asked"
        return file.read_text().splitlines() if file.exists() else []

    def test_a_job_a_number_of_nodes_one_after_the_other(self):
        shown = self.start("--launcher", "slurm", "--dry-run", PATH=self.path())
        self.assertIn("#SBATCH --nodes=2", shown)
        self.assertEqual((self.asked(), self.folder.exists()), ([], False))
        self.start("--launcher", "slurm", PATH=self.path())
        scripts = [str(self.folder / f"slurm/nodes-{n}.sh") for n in (1, 2)]
        self.assertEqual(self.asked(), [f"--parsable {scripts[0]}",
                                        f"--parsable --dependency=afterany:101 {scripts[1]}"])
        if shutil.which("shellcheck"):
            subprocess.run(["shellcheck", *scripts], check=True)
        (self.home / "waiting").touch()
        self.assertIn("queued as Slurm job 102", self.start("--launcher", "srun", "--dry-run", PATH=self.path()))
        self.assertIn("queued as job 101", self.start("--launcher", "slurm", "--resume", PATH=self.path()))
        (self.home / "waiting").unlink()
        for script in scripts:
            subprocess.run(["bash", script], check=True, capture_output=True,
                           env={**os.environ, "PATH": self.path()}, timeout=60)
        self.assertEqual(self.measured(), {"squares-20-2-1x1-auto": 2, "squares-20-2-2n-2x1-auto": 2})
        self.assertIn("srun --mpi=pmix -N2 -n2 -c1 --cpu-bind=cores " + CLEAVE, "\n".join(self.asked()))
        self.assertIn("all points are done", self.start("--launcher", "slurm", "--resume", PATH=self.path()))

    def test_a_launch_killed_in_the_place_of_an_earlier_attempts_is_measured_again(self):
        for attempt, killed, status, launches in ((1, 1, 3, 1), (2, 2, 0, 4), (2, 99, 3, 3)):
            (self.home / "killed").write_text(str(killed))
            restarts = {"SLURM_RESTART_COUNT": str(attempt - 1)} if attempt > 1 else {}
            said = self.start("--launcher", "srun", "--only", "nodes=1", status=status, PATH=self.path(), **restarts)
            self.assertEqual(len(self.asked()), launches, said)
            self.assertEqual(self.measured(), {"squares-20-2-1x1-auto": 2} if status == 0 else {})
            self.assertEqual(len(list(self.folder.glob("points/*.log"))), int(status != 0))
            shutil.rmtree(self.folder)
            (self.home / "asked").unlink()

    def test_what_sbatch_says_is_told(self):
        self.fake("sbatch", 'echo "sbatch: error: invalid partition" >&2; exit 1\n')
        self.assertIn("invalid partition", self.start("--launcher", "slurm", status=3, PATH=self.path()))


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[4:]])
