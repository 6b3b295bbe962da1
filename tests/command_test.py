"""The workload command through the program: what runs, what is logged, what is left behind.

command_test.py CLEAVE MPIRUN [unittest arguments]. No test leaves a process behind: each marks its
own by a variable that all descendants inherit.
"""

import collections
import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

CLEAVE, MPIRUN = (os.path.abspath(p) for p in sys.argv[1:3])
HEADER = "Seq Host Starttime JobRuntime Send Receive Exitval Signal Command Rank MaxKiB XXH3".split()
NOTE = "sh -c 'echo $CLEAVE_TASK >> ran; sleep {}'"  # a task that tells that it has begun

MANY = 10_000_000 if os.environ.get("CLEAVE_SOAK") else 2_000_000  # tasks, some 0.1 ms each

# mpirun waits a second or two when a rank returns another status than 0, unless told.
AT_ONCE = {"OMPI_MCA_odls_base_sigkill_timeout": "0"}


def marked(mark):
    """Processes with this text in their environment: number -> command line."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in path.read_bytes():
                found[int(path.parent.name)] = (path.parent / "cmdline").read_bytes()
        except OSError:
            pass
    return found


def wait_until(condition, seconds=20):
    """Whether the condition came true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


class Case(unittest.TestCase):
    """A test in an empty directory of its own."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.home = Path(directory.name)
        self.mark = f"CLEAVE_TEST_MARK={os.getpid()}.{self.id()}"
        self.addCleanup(self.nobody_is_left)

    def nobody_is_left(self):
        gone = wait_until(lambda: not marked(self.mark.encode()))
        left = marked(self.mark.encode())
        for process in left:
            os.kill(process, signal.SIGKILL)
        self.assertTrue(gone, left)

    def line(self, *parameters, ranks=0, threads=1, extra=()):
        launcher = [MPIRUN, "-q", "-n", str(ranks)] if ranks else []
        options = [word for parameter in parameters for word in ("-p", parameter)]
        return [*launcher, CLEAVE, "run", "command", *options, "--threads", str(threads), *extra]

    def environment(self, variables):
        name, value = self.mark.split("=")
        return {**os.environ, name: value, **variables}

    def run_tasks(self, *parameters, status=0, given=None, variables=None, timeout=60, **options):
        run = subprocess.run(self.line(*parameters, **options), cwd=self.home, text=True, timeout=timeout,
                             capture_output=True, check=False, input=given,
                             env=self.environment({**AT_ONCE, **(variables or {})}))
        self.assertEqual(run.returncode, status, run.stdout + run.stderr)
        return run

    def start(self, *parameters, variables=None, **options):
        process = subprocess.Popen(self.line(*parameters, **options), cwd=self.home, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env=self.environment(variables or {}))
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def write(self, name, text):
        (self.home / name).write_text(text)
        return name

    def tasks(self, *commands):
        return "tasks=" + self.write("tasks", "".join(command + "\n" for command in commands))

    def log(self, name="log"):
        """The records of a job log, by task."""
        lines = (self.home / name).read_text().splitlines()
        self.assertEqual(lines[0].split("\t"), HEADER)
        records = [dict(zip(HEADER, line.split("\t"), strict=True)) for line in lines[1:]]
        return {int(record["Seq"]): record for record in records}

    def logged(self, name="log"):
        """Numbers of the tasks whose lines are whole; none before there is a log."""
        try:
            text = (self.home / name).read_text()
        except OSError:
            return []
        whole = text[: text.rfind("\n") + 1]
        return [int(line.split("\t")[0]) for line in whole.splitlines()[1:]]

    def ran(self):
        """How often each task has begun."""
        return collections.Counter(int(line) for line in (self.home / "ran").read_text().split())


class Runs(Case):
    def test_outputs_come_tagged_and_in_order(self):
        tasks = self.tasks("sh -c 'sleep 0.2; echo first; echo also >&2'", "printf 'a\\nb'", "# none", "",
                           "  echo 'a  b' \"c\\\"d\" e\\ f")
        for ranks, threads in [(0, 1), (0, 2), (1, 2), (2, 1), (3, 2), (4, 1)]:
            run = self.run_tasks(tasks, ranks=ranks, threads=threads, extra=["-q"])
            self.assertEqual(run.stdout, "1\tfirst\n2\ta\n2\tb\n3\ta  b c\"d e f\n")
            self.assertIn("1\talso\n", run.stderr)
        run = self.run_tasks(tasks, "tag=false", extra=["-q"])
        self.assertEqual(run.stdout, "first\na\nba  b c\"d e f\n")

    def test_the_answer_is_the_same_at_every_layout(self):
        tasks = self.tasks("true", "false", "sh -c 'exit 7'", "sh -c 'kill -9 $$'", "true")
        answers = set()
        for ranks, threads in [(1, 1), (2, 2), (4, 1)]:
            run = self.run_tasks(tasks, ranks=ranks, threads=threads, extra=["--json"], status=3)
            report = json.loads(run.stdout)
            self.assertEqual(report["result"]["failed"], 3)
            answers.add(json.dumps(report["result"]))
            answers.add(report["checksum"])
        self.assertEqual(len(answers), 2, answers)

    def test_json_stays_one_object(self):
        run = self.run_tasks(self.tasks("echo hello"), extra=["--json"])
        self.assertEqual(json.loads(run.stdout)["result"]["ended"], 1)
        self.assertIn("1\thello\n", run.stderr)

    def test_output_files_and_the_log(self):
        tasks = self.tasks("sh -c 'echo out; echo err >&2'", "sh -c 'exit 3'", "sh -c 'kill -15 $$'",
                           "nosuchprogram x", "./tasks", "echo a\tb")
        self.run_tasks(tasks, "outputs=new/folder", "joblog=log", ranks=2, status=2)  # no folder `new`
        run = self.run_tasks(tasks, "outputs=folder", "joblog=log", ranks=2, status=3)
        self.assertIn("4 of 6 tasks failed, the first is task 2: exit value 3", run.stderr)
        self.assertEqual((self.home / "folder/1.out").read_text(), "out\n")
        self.assertEqual((self.home / "folder/1.err").read_text(), "err\n")
        self.assertEqual((self.home / "folder/4.err").read_text(),
                         "cannot start nosuchprogram: No such file or directory\n")
        text = (self.home / "log").read_text().replace("a\tb", "a b")
        self.write("log", text)
        log = self.log()
        self.assertEqual({n: (r["Exitval"], r["Signal"]) for n, r in log.items()},
                         {1: ("0", "0"), 2: ("3", "0"), 3: ("0", "15"), 4: ("127", "0"), 5: ("126", "0"),
                          6: ("0", "0")})
        self.assertEqual(log[2]["Command"], "sh -c 'exit 3'")
        self.assertGreater(float(log[1]["Starttime"]), 1.6e9)
        self.assertGreater(int(log[1]["MaxKiB"]), 0)

    def test_templates(self):
        self.write("table.csv", 'name,"full"\nx,"a ""b"", c"\ny,\n')
        run = self.run_tasks("template=printf '[%s]' {frame} {{{eye}}} {task}", "over=frame=8..4..-2 eye=l,r",
                             extra=["-q"])
        self.assertEqual(run.stdout.splitlines()[:3], ["1\t[8][{l}][1]", "2\t[8][{r}][2]", "3\t[6][{l}][3]"])
        run = self.run_tasks("template=printf '[%s]' {name} {full}", "csv=table.csv", extra=["-q"])
        self.assertEqual(run.stdout, '1\t[x][a "b", c]\n2\t[y][]\n')
        run = self.run_tasks("template=printf %s {} | tr a-z A-Z", "shell=true",
                             "tasks=" + self.write("lines", "it's a b\n$(echo no)\n"), extra=["-q"])
        self.assertEqual(run.stdout, "1\tIT'S A B\n2\t$(ECHO NO)\n")

    def test_a_shell_when_asked(self):
        run = self.run_tasks(self.tasks("echo a | tr a b; echo $CLEAVE_TASK"), "shell=true", extra=["-q"])
        self.assertEqual(run.stdout, "1\tb\n1\t1\n")

    def test_tasks_from_standard_input(self):
        for ranks in (0, 2):
            run = self.run_tasks("tasks=-", given="echo a\necho b\n", ranks=ranks,
                                 extra=["-q", "--repetitions", "2"])
            self.assertEqual(run.stdout, "1\ta\n2\tb\n" * 2)

    def test_tasks_from_a_pipe(self):
        os.mkfifo(self.home / "pipe")
        process = self.start("tasks=pipe", extra=["-q"])
        self.write("pipe", "echo a\necho b\n")
        self.assertEqual(process.communicate(timeout=20)[0], "1\ta\n2\tb\n")

    def test_a_dry_run_shows_the_first_commands(self):
        run = self.run_tasks("template=render {n}", "over=n=1..12", "joblog=log", "outputs=folder",
                             extra=["--dry-run"])
        self.assertIn("1: render 1", run.stdout)
        self.assertIn("10: render 10", run.stdout)
        self.assertNotIn("11: render", run.stdout)
        self.assertEqual(list(self.home.iterdir()), [])

    def test_the_environment(self):
        names = "CLEAVE_TASK CLEAVE_RANK CLEAVE_NODE OMP_NUM_THREADS OPENBLAS_NUM_THREADS"
        show = " ".join(f"{name}=$" + name for name in names.split())
        tasks = self.tasks(*[f"sh -c 'echo {show}; env | grep -E \"^(OMPI|PMIX|PRTE|PMI|CLEAVE_LAUNCHED)\"'"] * 4)
        mine = {"OMPI_MCA_mca_base_help_aggregate": "1", "OMP_NUM_THREADS": "77"}
        for launch in ({"ranks": 0}, {"ranks": 2}, {"extra": ["-n", "2"]}):
            extra = ["-q", *launch.pop("extra", [])]
            run = self.run_tasks(tasks, variables=mine, extra=extra, **launch)
            lines = [line.split("\t") for line in run.stdout.splitlines()]
            for number, line in lines:
                if line.startswith("CLEAVE_TASK"):
                    self.assertRegex(line, rf"^CLEAVE_TASK={number} CLEAVE_RANK=[01] CLEAVE_NODE=0 "
                                           r"OMP_NUM_THREADS=[1-9]\d? OPENBLAS_NUM_THREADS=[1-9]\d?$")
                else:
                    self.assertIn(line, [f"{k}={v}" for k, v in {**os.environ, **mine}.items()]
                                  + ["OMPI_MCA_odls_base_sigkill_timeout=0", "OMPI_MCA_mpi_yield_when_idle=1"])
            self.assertIn("OMPI_MCA_mca_base_help_aggregate=1", run.stdout)

    def test_a_task_may_be_an_mpi_program(self):
        inner = f"{MPIRUN} -q -n 2 {CLEAVE} layout"
        for ranks in (1, 2):
            run = self.run_tasks(self.tasks(inner, inner), ranks=ranks, extra=["-q"])
            for task in (1, 2):
                self.assertRegex(run.stdout, rf"(?m)^{task}\tlayout +1 node x 2 ranks")

    def test_a_task_may_be_this_program(self):
        run = self.run_tasks(self.tasks(f"{CLEAVE} run -q -n 2 command -p 'template=echo {{i}}' -p over=i=5..6"),
                             ranks=2, extra=["-q"])
        self.assertEqual(run.stdout, "1\t1\t5\n1\t2\t6\n")


class Failures(Case):
    def test_a_time_out_ends_grandchildren(self):
        deaf = "sh -c \"trap '' TERM; sleep 1000 & sleep 1000; sleep 1000\""
        tasks = self.tasks("sh -c 'sleep 1000 & sleep 1000'", deaf, "sh -c 'sleep 1000 & exit 0'",
                           f"{MPIRUN} -q -n 2 sleep 1000")
        self.run_tasks(tasks, "timeout_s=1.5", "kill_after_s=2", "joblog=log", threads=4, status=3)
        log = self.log()
        self.assertEqual([log[n]["Exitval"] for n in (1, 2, 3, 4)], ["-1", "-1", "0", "-1"])
        self.assertEqual([log[n]["Signal"] for n in (1, 2)], ["15", "9"])

        def left():  # the process that starts programs ends a moment after the one it serves
            return marked(self.mark.encode())
        # What a task leaves in the background when it ends by itself is its own affair.
        self.assertTrue(wait_until(lambda: list(left().values()) == [b"sleep\x001000\x00"]), left())
        for process in left():
            os.kill(process, signal.SIGKILL)

    def test_retries(self):
        script = "sh -c 'echo x >> $0; test $(wc -l < $0) -ge 3'"
        self.run_tasks(self.tasks(f"{script} a", f"{script} b"), "retries=2", "joblog=log", ranks=2)
        self.assertEqual((self.home / "a").read_text(), "x\n" * 3)
        self.run_tasks(self.tasks(f"{script} c"), "retries=1", status=3)
        self.assertEqual((self.home / "c").read_text(), "x\n" * 2)

    def test_enough_failures(self):
        tasks = self.tasks(*["false"] * 50)
        run = self.run_tasks(tasks, "max_failures=3", "joblog=log", status=3)
        self.assertRegex(run.stderr, r"\d+ were not begun, by max_failures")
        ended = len(self.logged())
        self.assertTrue(3 <= ended <= 10, ended)
        self.run_tasks(tasks, "joblog=log", "resume=true", "retry_failed=true", status=3)
        self.assertEqual(set(self.logged()), set(range(1, 51)))

    def test_output_that_is_too_long_is_cut(self):
        run = self.run_tasks(self.tasks("sh -c 'yes | head -c 3000000'"), "tag=false", extra=["-q"])
        self.assertLess(len(run.stdout), 1_100_000)

    def test_refusals(self):
        self.write("bad", "true\n\n# x\necho 'a\n")
        self.write("pipe", "echo a > b\n")
        self.write("one", "true\n")
        self.write("table", "a,b\n1,2\n3\n")
        self.write("file", "")
        (self.home / "full").mkdir()
        self.write("full/x", "")
        for parameters, words in [
            ((), "tasks: missing"),
            (("tasks=none",), "none: cannot be read: No such file"),
            (("tasks=bad",), "bad:4: a single quote is not closed"),
            (("tasks=pipe",), 'pipe:1: ">" is for a shell; ask for one by shell=true'),
            (("template=a {fram}", "over=frame=1..3"), 'unknown field "fram"; did you mean "frame"'),
            (("template=a {frame", "over=frame=1..3"), "has no closing one"),
            (("template=a {frame}", "over=frame=1.."), "FIELD=FIRST..LAST"),
            (("template=a {frame}", "over=frame=1..3..-1"), "a step must lead"),
            (("template=a {a}", "csv=table"), "table:3: has 1 fields, where the header names 2"),
            (("template=a {a}", "csv=table", "over=a=1,2"), "give one of them"),
            (("template=a",), "tasks: missing; give tasks, over or csv"),
            (("tasks=one", "outputs=file"), "outputs: file must be a directory"),
            (("tasks=one", "outputs=full"), "outputs: full is not empty"),
            (("tasks=one", "outputs=none/folder"), "outputs: "),
            (("tasks=one", "joblog=none/log"), "joblog: "),
            (("tasks=one", "joblog=file"), "joblog: file exists"),
            (("tasks=one", "joblog=one", "resume=true"), "is no job log of cleave"),
            (("tasks=one", "resume=true"), "joblog: missing"),
            (("tasks=one", "retry_failed=true"), "goes with resume=true"),
        ]:
            with self.subTest(parameters=parameters):
                run = self.run_tasks(*parameters, status=2)
                self.assertIn(words, run.stderr)
                self.assertEqual(run.stderr.count("cleave: error"), 1, run.stderr)
        run = self.run_tasks("tasks=bad", status=2, ranks=3)
        self.assertEqual(run.stderr.count("cleave: error"), 1, run.stderr)
        self.assertFalse((self.home / "results").exists())

    def test_a_folder_of_outputs_that_vanishes(self):
        self.run_tasks(self.tasks("sh -c 'rm -r folder'", "true"), "outputs=folder", "joblog=log", status=3)
        self.assertEqual(self.log()[2]["Exitval"], "126")


class Resuming(Case):
    """Runs that are cut off: what the log has is not run again, all else is."""

    def cut_off(self, cut, tasks=40, sleep=0.05, **options):
        """Starts a run, calls cut(process) when some tasks are in the log; returns those."""
        list_of = self.tasks(*[NOTE.format(sleep)] * tasks)
        process = self.start(list_of, "joblog=log", "kill_after_s=1", **options)
        self.assertTrue(wait_until(lambda: len(self.logged()) >= 5), "no task ends")
        cut(process)
        output = process.communicate(timeout=30)
        self.assertTrue(wait_until(lambda: not marked(self.mark.encode())), marked(self.mark.encode()))
        done = self.logged()
        self.assertTrue(5 <= len(done) < tasks, done)
        return list_of, done, process.returncode, output

    def resume(self, list_of, done, tasks=40, **options):
        before = self.ran()
        run = self.run_tasks(list_of, "joblog=log", "resume=true", extra=["--json"], **options)
        after = self.ran()
        told = json.loads(run.stdout)
        self.assertEqual(told["result"]["earlier"], len(done))
        self.tells_of_the_earlier(told["timings_file"], len(done))
        self.assertEqual(sorted((after - before).elements()), sorted(set(range(1, tasks + 1)) - set(done)))
        self.assertEqual(sorted(self.logged()), list(range(1, tasks + 1)))

    def tells_of_the_earlier(self, timings, done):
        reader = ("import h5py, json, sys\nfile = h5py.File(sys.argv[1])\n" # here it would count as our memory
                  "facts = {name: text.asstr()[()] for name, text in file['provenance'].items()}\n"
                  "print(json.dumps([facts, file['run/rep_start_utc'][0]]))")
        facts, began = json.loads(subprocess.run([sys.executable, "-c", reader, timings], cwd=self.home, check=True,
                                                 capture_output=True, timeout=50).stdout)
        if done == 0:
            self.assertNotIn("attempt", facts)
            return
        self.assertEqual(facts["attempt"], "2")
        earlier, = json.loads(facts["attempts"])
        self.assertEqual(earlier["tasks"], done)
        log = list(self.log().values())[:done]
        last = max(float(line["Starttime"]) + float(line["JobRuntime"]) for line in log)
        self.assertTrue(0 < float(facts["lost_s"]) <= began - last + 0.01, facts)

    def ranks_of(self, process):
        """Processes of the run that are neither the launcher nor commands nor spawn servers."""
        names = {}
        for number in marked(self.mark.encode()):
            try:
                names[number] = Path(f"/proc/{number}/comm").read_text().strip()
            except OSError:
                pass
        return sorted(number for number, name in names.items() if name == "cleave" and number != process.pid)

    def test_after_kill_9_of_the_only_process(self):
        list_of, done, _, _ = self.cut_off(lambda process: process.kill(), threads=2)
        self.resume(list_of, done, threads=2)

    def test_after_kill_9_of_a_rank(self):
        for victim in (0, 1):
            with self.subTest(rank=victim):
                for name in ("ran", "log"):
                    (self.home / name).unlink(missing_ok=True)

                def kill(process, victim=victim):
                    os.kill(self.ranks_of(process)[victim], signal.SIGKILL)

                list_of, done, status, _ = self.cut_off(kill, ranks=2)
                self.assertNotEqual(status, 0)
                self.resume(list_of, done, ranks=3)

    def test_after_kill_9_of_mpirun(self):
        # Ranks notice it after a second or two.
        list_of, done, _, _ = self.cut_off(lambda process: process.kill(), sleep=0.3, ranks=2)
        self.resume(list_of, done, ranks=1, threads=4)

    def test_after_ctrl_c_and_sigterm(self):
        for number, options in [(signal.SIGINT, {"threads": 2}), (signal.SIGTERM, {}),
                                (signal.SIGTERM, {"ranks": 2}), (signal.SIGINT, {"ranks": 2})]:
            with self.subTest(signal=number, **options):
                for name in ("ran", "log"):
                    (self.home / name).unlink(missing_ok=True)
                sleep = 0.3 if "ranks" in options else 0.05  # mpirun takes a second to pass a signal on
                list_of, done, status, output = self.cut_off(lambda p, n=number: p.send_signal(n),
                                                             sleep=sleep, tasks=20, **options)
                if "ranks" not in options:
                    self.assertEqual(status, 75, output)
                self.assertIn("log has what was done: the same command with -p resume=true does the rest",
                              output[1])
                self.resume(list_of, done, tasks=20, **options)

    def test_after_a_signal_to_all_processes(self):
        """As some Slurms do when they hand a signal on to ranks: commands that it ends have not failed."""
        for number, options in [(signal.SIGUSR1, {"threads": 2}), (signal.SIGUSR1, {"ranks": 2}), (signal.SIGTERM, {})]:
            with self.subTest(signal=number, **options):
                for name in ("ran", "log"):
                    (self.home / name).unlink(missing_ok=True)

                def hit(process, number=number, options=options):
                    for pid in marked(self.mark.encode()): # not mpirun, which hands it on once more
                        if "ranks" not in options or pid != process.pid:
                            with contextlib.suppress(ProcessLookupError):
                                os.kill(pid, number)

                list_of, done, status, output = self.cut_off(hit, sleep=0.2, tasks=20, **options)
                if "ranks" not in options or number == signal.SIGUSR1:
                    self.assertEqual(status, 75, output)
                self.assertEqual({line["Signal"] + line["Exitval"] for line in self.log().values()}, {"00"})
                self.resume(list_of, done, tasks=20, **options)

    def test_no_command_outlives_its_run(self):
        def to_rank(number):
            return lambda process: os.kill(self.ranks_of(process)[number], signal.SIGKILL)

        def to_all(number):
            return lambda process: process.send_signal(number)

        for cut, ranks in [(to_all(signal.SIGINT), 0), (to_all(signal.SIGKILL), 0), (to_rank(0), 2),
                           (to_rank(1), 2), (to_all(signal.SIGKILL), 2), (to_all(signal.SIGTERM), 2)]:
            tasks = self.tasks(*["sh -c 'echo x > began$CLEAVE_TASK; sleep 1000 & sleep 1000'"] * 2)
            process = self.start(tasks, ranks=ranks, threads=2 if ranks == 0 else 1)
            self.assertTrue(wait_until(lambda: len(list(self.home.glob("began*"))) == 2))
            cut(process)
            self.assertNotEqual(process.wait(timeout=20), 0)
            self.nobody_is_left()
            for file in self.home.glob("began*"):
                file.unlink()

    def test_a_torn_last_line_is_mended(self):
        list_of = self.tasks(*[NOTE.format(0)] * 6)
        self.run_tasks(list_of, "joblog=log")
        whole = (self.home / "log").read_bytes()
        lines = whole.splitlines(keepends=True)
        for cut in (len(whole) - 1, len(whole) - 30, len(lines[0]) + 3, len(lines[0]), 7, 0):
            (self.home / "log").write_bytes(whole[:cut])
            self.resume(list_of, self.logged(), tasks=6)

    def test_failures_are_run_again_when_asked(self):
        list_of = self.tasks("true", "sh -c 'test -e there'", "false")
        self.run_tasks(list_of, "joblog=log", status=3)
        self.write("there", "")
        self.run_tasks(list_of, "joblog=log", "resume=true", status=3)
        self.assertEqual(sorted(self.logged()), [1, 2, 3])
        run = self.run_tasks(list_of, "joblog=log", "resume=true", "retry_failed=true", status=3)
        self.assertIn("1 of 3 tasks failed, the first is task 3", run.stderr)
        self.assertEqual(sorted(self.logged()), [1, 2, 2, 3, 3])
        self.run_tasks(list_of, "joblog=log", "resume=true", "retry_failed=true", status=3)
        self.assertEqual(sorted(self.logged()), [1, 2, 2, 3, 3, 3])

    def test_a_log_of_another_list_is_refused(self):
        self.run_tasks(self.tasks("echo a", "echo b"), "joblog=log")
        before = (self.home / "log").read_bytes()
        for commands, words in [(["echo a", "echo c"], 'task 2 is "echo b" there, and "echo c" in the list'),
                                (["echo a"], "it has task 2, the list ends before")]:
            run = self.run_tasks(self.tasks(*commands), "joblog=log", "resume=true", status=2)
            self.assertIn(words, run.stderr)
        self.run_tasks("tasks=-", "joblog=log", "resume=true", given="echo a\necho b\necho c\n")
        self.assertTrue((self.home / "log").read_bytes().startswith(before))
        self.assertEqual(sorted(self.logged()), [1, 2, 3])

    def test_two_runs_do_not_share_a_log(self):
        list_of = self.tasks(NOTE.format(3))
        process = self.start(list_of, "joblog=log")
        self.assertTrue(wait_until((self.home / "ran").exists))
        run = self.run_tasks(list_of, "joblog=log", "resume=true", status=3)
        self.assertIn("is being written by another run", run.stderr)
        self.assertEqual(process.wait(timeout=20), 0)


class Attempts(Case):
    """Attempts of a requeued Slurm job: an earlier one that was cut off, a zombie, goes on beside a later one."""

    TASKS = 12
    QUICK = 4  # the others wait for a file
    LIST = [NOTE.format(0)] * QUICK + [f"sh -c 'until test -e $GATE; do sleep 0.02; done' {i}"
                                       for i in range(TASKS - QUICK)]
    WHOLE = list(range(1, TASKS + 1))
    LINE = ("joblog=log", "resume=true", "kill_after_s=1")

    @staticmethod
    def slurm(attempt, gate="go", job=7):
        return {"SLURM_JOB_ID": str(job), "SLURM_RESTART_COUNT": str(attempt - 1), "GATE": gate}

    def begin(self, attempt, log=None, **how):
        """An attempt that has done what is quick, and waits in the next task for its gate."""
        process = self.start(self.tasks(*self.LIST), *self.LINE, variables=self.slurm(attempt, **how))
        self.assertTrue(wait_until(lambda: len(self.logged(log or "log")) == self.QUICK), self.names())
        return process

    def names(self):
        return sorted(path.name for path in self.home.iterdir() if path.name.startswith("log"))

    def end(self, process, *statuses):
        output = process.communicate(timeout=60)
        self.assertIn(process.returncode, statuses, output)

    def finish(self, attempt, job=7, **options):
        self.write("go", "")
        return self.run_tasks(self.tasks(*self.LIST), *self.LINE, variables=self.slurm(attempt, job=job), **options)

    def test_a_zombie_and_a_later_attempt_at_once(self):
        zombie = self.begin(1)
        later = self.begin(2, "log.j7-a2")
        self.assertEqual(self.names(), ["log", "log.j7-a2"])
        self.write("go", "")
        self.end(later, 0)
        self.end(zombie, 0, 3)
        self.assertEqual(self.names(), ["log"])
        self.assertEqual(sorted(self.logged()), self.WHOLE)
        self.assertEqual(self.ran(), dict.fromkeys(range(1, self.QUICK + 1), 1))

    def test_a_zombie_that_goes_on_when_a_later_attempt_has_ended(self):
        for number in (1, 2):
            with self.subTest(zombie=number):
                for name in ("log", "go", "late"):
                    (self.home / name).unlink(missing_ok=True)
                if number == 2:  # it has a log of its own
                    self.begin(1).kill()
                zombie = self.begin(number, "log" if number == 1 else "log.j7-a2", gate="late")
                run = self.finish(number + 1, extra=["--json"])
                self.assertEqual(json.loads(run.stdout)["result"]["earlier"], self.QUICK)
                self.assertEqual(sorted(self.logged()), self.WHOLE)
                before = (self.home / "log").read_bytes()
                self.write("late", "")
                self.end(zombie, 0, 3)
                self.assertEqual((self.home / "log").read_bytes(), before)
                self.assertEqual(self.names(), ["log"])

    def test_a_zombie_in_its_second_repetition(self):
        """Which begins the log anew: its own."""
        process = self.start(self.tasks(*self.LIST), *self.LINE, extra=["--repetitions", "30"],
                             variables=self.slurm(1, "late"))
        self.assertTrue(wait_until(lambda: len(self.logged()) == self.QUICK))
        self.finish(2)
        before = (self.home / "log").read_bytes()
        self.write("late", "")
        self.end(process, 0, 3)
        self.assertEqual((self.home / "log").read_bytes(), before)

    def test_an_attempt_whose_predecessor_wrote_nothing(self):
        self.finish(3)
        self.assertEqual((self.names(), sorted(self.logged())), (["log"], self.WHOLE))

    def test_a_run_by_hand_goes_on_with_the_latest(self):
        self.begin(1).kill()
        self.begin(2, "log.j7-a2").kill()
        with (self.home / "log").open("a") as log:  # a zombie's
            log.write("no line\n")
        list_of = self.tasks(*self.LIST)
        run = self.run_tasks(list_of, "joblog=log", status=2)
        self.assertIn("log.j7-a2 exists; go on with it by resume=true", run.stderr)
        self.write("go", "")
        run = self.run_tasks(list_of, *self.LINE, extra=["--json"])
        self.assertEqual(json.loads(run.stdout)["result"]["earlier"], self.QUICK)
        self.assertEqual((self.names(), sorted(self.logged())), (["log"], self.WHOLE))

    def test_no_later_attempt_of_the_same_job(self):
        """An earlier one, the same once more, and other jobs are refused as long as the attempt lives."""
        living = self.begin(2, "log.j7-a2")
        for variables in ({}, self.slurm(2), self.slurm(2, job=8), self.slurm(3, job=8)):
            run = self.run_tasks(self.tasks(*self.LIST), *self.LINE, variables=variables, status=3)
            self.assertIn("is being written by another run", run.stderr)
        third = self.begin(3, "log.j7-a3")
        run = self.run_tasks(self.tasks(*self.LIST), *self.LINE, variables=self.slurm(2), status=3)
        self.assertIn("a later attempt of this job has taken over", run.stderr)
        self.write("go", "")
        self.end(third, 0)
        self.end(living, 0, 3)
        self.assertEqual((self.names(), sorted(self.logged())), (["log"], self.WHOLE))

    def test_another_job_goes_on_with_what_an_attempt_has_left(self):
        self.begin(2, "log.j7-a2").kill()
        self.finish(2, job=8)
        self.assertEqual((self.names(), sorted(self.logged())), (["log"], self.WHOLE))


class Memory(Case):
    """Memory does not grow with the number of tasks but by a bit or two each."""

    def most_memory(self, tasks):
        with (self.home / "tasks").open("w") as file:  # a child begins with this process's memory
            for _ in range(tasks // 1000):
                file.write(": \n" * 1000)
        run = self.run_tasks("tasks=tasks", "joblog=log", extra=["--json"], timeout=900)
        self.assertEqual(json.loads(run.stdout)["result"]["ended"], tasks)
        (self.home / "log").unlink()
        return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss  # KiB, the most of any child

    def test_millions_of_tasks(self):
        few = self.most_memory(20_000)
        many = self.most_memory(MANY)
        self.assertLess(many - few, 2048 + MANY / 1000, f"{few} KiB at 2e4 tasks, {many} KiB at {MANY}")


if __name__ == "__main__":
    sys.exit(unittest.main(argv=[sys.argv[0], *sys.argv[3:]]))
