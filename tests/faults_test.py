"""Faults, each told by a message that is checked, within a limit of seconds: never a hang.

faults_test.py FAULTS CLEAVE MPIRUN [unittest arguments]. FAULTS is faults_program.cpp, which goes wrong in
the ways that its arguments name.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

import h5py

FAULTS, CLEAVE, MPIRUN = (os.path.abspath(p) for p in sys.argv[1:4])
RANKS = 3

# Every rank survives these, with this message on every rank.
TASK_5 = r"failed_task: (root failed: )?task 5 failed on rank \d \(thread 0, host \S+\): "
NO_ROOM = ": Resource temporarily unavailable"
DISAGREE = r"lost_peer: the ranks do not make the same collective call: rank 0 makes call \d+, "
ON_ALL_RANKS = [
    ("throw", TASK_5 + r"std::runtime_error: five is too much"),
    ("throw_42", TASK_5 + r"int$"),
    ("bad_alloc", TASK_5 + r"std::bad_alloc: std::bad_alloc"),
    ("retries", TASK_5 + r"std::runtime_error: five is too much"),
    ("timeout", TASK_5 + r"cleave::TimedOut: timed out after 0.2 s"),
    ("timeout_throws", TASK_5 + r"cleave::TimedOut: timed out after 0.2 s"),
    ("timeout_in_reduction", TASK_5 + r"cleave::TimedOut: timed out after 0.2 s"),
    ("timeout_as_data", TASK_5 + r"cleave::TimedOut: timed out after 0.2 s$"),
    ("in_time", r"nothing was thrown"),
    ("op", r"failed_task: (task \d|the call) failed on rank \d .*: std::overflow_error: the sum is too large"),
    ("save_input", r"failed_task: the call failed on rank 0 .*: std::runtime_error: cannot be saved"),
    ("load_input", r"failed_task: the call failed on rank [12] .*: std::runtime_error: cannot be loaded"),
    ("save_result", r"failed_task: the call failed on rank [12] .*: std::runtime_error: cannot be saved"),
    ("load_result", r"failed_task: the call failed on rank 0 .*: std::runtime_error: cannot be loaded"),
    ("progress", r"failed_task: .* on rank 0 .*: std::runtime_error: nobody wants to know"),
    ("on_result", r"failed_task: root failed: std::runtime_error: the disk is full"),
    ("source", r"failed_task: root failed: std::runtime_error: the line is no number"),
    ("from_root", r"io: in:7: k: no such file"),
    ("executor_throw", TASK_5 + r"std::runtime_error: five is too much"),
    ("executor_throw_42", TASK_5 + r"int$"),
    ("executor_bad_alloc", TASK_5 + r"std::bad_alloc: std::bad_alloc"),
    ("executor_timeout", TASK_5 + r"cleave::TimedOut: timed out after 0.2 s"),
    ("executor_timeout_throws", TASK_5 + r"cleave::TimedOut: timed out after 0.2 s"),
    ("executor_save_argument", r"failed_task: root failed: std::runtime_error: cannot be saved"),
    ("executor_load_argument", r"task 0 failed on rank \d .*: std::runtime_error: cannot be loaded"),
    ("executor_save_result", r"task 0 failed on rank \d .*: std::runtime_error: cannot be saved"),
    ("executor_load_result", r"failed_task: root failed: std::runtime_error: cannot be loaded"),
    ("executor_function", r"failed_task: root failed: std::runtime_error: the plan is wrong"),
    ("no_threads", r"bad_input: rank 1 \(host \S+\): cannot start 4 threads" + NO_ROOM),
    ("executor_no_threads", r"bad_input: rank 1 \(host \S+\): cannot start 1 threads" + NO_ROOM),
    ("timeout_no_threads", r"the call failed on rank 1 .*: cannot start the thread that watches time-outs" + NO_ROOM),
    ("node_no_threads", r"the call failed on rank 1 .*: cannot start a thread beside the workers" + NO_ROOM),
    ("root_no_threads", r"the call failed on rank 0 .*: cannot start a thread beside the workers" + NO_ROOM),
    ("other_n", DISAGREE + r"map of 12 tasks, but rank 1 makes call \d+, map of 13 tasks"),
    ("other_type", DISAGREE + r"map of 12 tasks, with types.* that differ between ranks"),
    ("other_call", DISAGREE + r"map of 12 tasks, but rank 1 makes call \d+, from_root"),
    ("other_schedule", DISAGREE + r"map of 12 tasks, with types.* that differ between ranks"),
    ("other_leaves", DISAGREE + r"map_reduce of 12 tasks, with types.* that differ between ranks"),
    ("other_seed", r"bad_input: seed: differs between ranks"),
    ("executor_elsewhere", DISAGREE + r"from_root, but rank 1 makes call \d+, map of 12 tasks"),
]

# These end the job: mpirun's status (any failure: None), and what is said of rank 1, the culprit.
NOTICED = "noticed that process rank 1 .* exited on signal "
IMPROPER = "has exited due to process rank 1 .*exiting improperly"
MINE = r"\[rank 1\] {}: only this rank sees this"
STUCK = (r"cleave: task {} on rank {} \(thread 0, host \S+\) ignores its time-out of 0.2 s, and "
         r"the job ends.*It is in\n.*  sleep_for_ever\(\) in .*")
END_THE_JOB = [
    ("abort", 134, NOTICED + "6"),
    ("kill", 137, NOTICED + "9"),
    ("segv", 139, NOTICED + "11"),
    ("stuck", 3, STUCK.format("5", r"\d") + r"  main in "),
    ("executor_stuck", 3, STUCK.format("5", r"\d")),
    ("executor_stuck_elsewhere", 3, STUCK.format(r"\d+", "1")),
    ("terminate", 134, "thrown where nobody catches.*" + NOTICED + "6"),
    ("exit", 1, IMPROPER),
    ("_exit", 7, r"Process name: \[\[\d+,1\],1\]\s+Exit code: +7"),
    ("exit_between", 1, IMPROPER),
    ("throw_between", 3, MINE.format("throw_between")),
    ("return_early", None, r"\[rank [02]\] return_early: rank 1 .* has left: it makes no more calls"),
    ("executor_kill", 137, NOTICED + "9"),
    ("executor_exit", 1, IMPROPER),
    ("executor_throw_elsewhere", 3, MINE.format("executor_throw_elsewhere")),
]

# Where the launcher leaves the other ranks alone, they end by themselves, and say why.
HAS_LEFT = r"\[rank {}\] {}: rank 1 \(host \S+, pid \d+\) has left: {}"
WITHOUT_LAUNCHER = [
    ("kill_between", "its process has ended"),
    ("exit", "its process has ended"),
    ("executor_kill", "its process has ended"),
    ("throw_between", "an exception ended its use of the Pool"),
    ("executor_throw_elsewhere", "an exception ended its use of the Pool"),
]


def launch(*command):
    """Starts a command under mpirun, in a session of its own."""
    return subprocess.Popen([MPIRUN, "-n", str(RANKS), *command], text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, start_new_session=True)


def output_within(limit, job):
    """All that it prints, when it ends in time."""
    try:
        return job.communicate(timeout=limit)[0]
    except subprocess.TimeoutExpired:
        os.killpg(job.pid, signal.SIGKILL)
        raise AssertionError(f"still running after {limit} s: {job.communicate()[0]}") from None


def output_of_end(job):
    """All that it prints, when it has ended within 5 s of its fault, however long it took to begin."""
    output = output_within(60, job)
    end = time.monotonic()
    told = re.findall(r"\[fault at (\S+) s\]", output)
    if not told:
        raise AssertionError(f"nothing went wrong: {output}")
    lasted = end - min(map(float, told))
    if lasted > 5:
        raise AssertionError(f"it took {lasted:.1f} s to end: {output}")
    return output


class Survived(unittest.TestCase):
    def test_every_rank_says_the_same(self):
        job = launch(FAULTS, *[name for name, _ in ON_ALL_RANKS])
        output = output_within(20, job)
        self.assertEqual(job.returncode, 0, output)
        for name, message in ON_ALL_RANKS:
            for rank in range(RANKS):
                with self.subTest(fault=name, rank=rank):
                    self.assertRegex(output, rf"(?m)^\[rank {rank}\] {name}: .*{message}")

    def test_what_the_kernel_refuses(self):
        """For good: a process that was refused something goes on without it."""
        no_memory = r"io: the ranks of host \S+ cannot share memory: neither memfd through /proc nor another way"
        for name, message in [
            ("no_direct_memory", r"nothing was thrown"),
            ("lost_direct_memory", r"task 1 failed on rank 1 .*: the kernel no longer lets this rank read the root's memory"),
            ("no_node_memory", no_memory),
            ("no_node_memory_for_more", r"io: no room for \d+ MiB of memory shared by the node"),
        ]:
            job = launch(FAULTS, name)
            output = output_within(20, job)
            self.assertEqual(job.returncode, 0, output)
            for rank in range(RANKS):
                with self.subTest(fault=name, rank=rank):
                    self.assertRegex(output, rf"(?m)^\[rank {rank}\] {name}: .*{message}")


class Fatal(unittest.TestCase):
    def test_the_job_ends_and_names_the_rank(self):
        for name, status, message in END_THE_JOB:
            with self.subTest(fault=name):
                job = launch(FAULTS, name)
                output = output_of_end(job)
                self.assertNotEqual(job.returncode, 0, output)
                if status is not None:
                    self.assertEqual(job.returncode, status, output)
                self.assertRegex(output, re.compile(message, re.DOTALL))

    def test_without_the_launcher(self):
        for name, reason in WITHOUT_LAUNCHER:
            with self.subTest(fault=name):
                output = output_of_end(launch("--enable-recovery", FAULTS, name))
                for rank in (0, 2):
                    self.assertRegex(output, HAS_LEFT.format(rank, name, reason))

    def test_an_absent_rank_is_named(self):
        for name in ("absent", "executor_absent"):
            with self.subTest(fault=name), launch(FAULTS, name) as job:
                said = ""
                while "has waited 1 s for rank 1 (" not in said:
                    said = job.stdout.readline()
                    self.assertNotEqual(said, "")
                job.terminate()
                output_within(5, job)
                self.assertNotEqual(job.returncode, 0)

    def test_a_rank_that_is_stopped_in_a_task_is_named_and_goes_on(self):
        with launch(FAULTS, "executor_stopped") as job:
            limit = threading.Timer(10, job.terminate)
            limit.start()
            self.addCleanup(limit.cancel)
            named = None
            while not named:
                said = job.stdout.readline()
                self.assertNotEqual(said, "", "nobody is named")
                named = re.search(r"rank 0 \(.*\) has waited \d+ s for rank 1 \(.* pid (\d+)\): task \d+$", said)
            os.kill(int(named[1]), signal.SIGCONT)
            output = output_within(5, job)
            self.assertEqual(job.returncode, 0, output)
            self.assertEqual(output.count("executor_stopped: nothing was thrown"), RANKS)


class Signals(unittest.TestCase):
    """SIGTERM and SIGINT to a run: what is committed stays."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.home = Path(directory.name)

    def start(self, *launcher, n=8, sleep_ms=100, options=()):
        """A run that has committed a repetition, and is in one of its long tasks."""
        run = subprocess.Popen([*launcher, CLEAVE, "run", "squares", "-p", f"n={n}", "-p", f"sleep_ms={sleep_ms}",
                                "--threads", "1", "--repetitions", "1000", "-o", "a.h5", "--json", *options],
                               cwd=self.home, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               start_new_session=True)
        self.addCleanup(run.kill)
        deadline = time.monotonic() + 30
        while run.poll() is None and self.committed() < 1 and time.monotonic() < deadline:
            time.sleep(0.02)
        return run

    def progress(self):
        try:
            return json.loads((self.home / "a.progress").read_text())
        except FileNotFoundError:
            return {}

    def committed(self):
        return self.progress().get("repetition", 0)

    def end(self, run, limit):
        stdout, stderr = run.communicate(timeout=limit)
        with h5py.File(self.home / "a.h5") as file: # whole
            states = list(file["run/rep_state"][:])
        self.assertGreaterEqual(states.count(1), 1, states)
        self.assertEqual(set(states) - {0, 1}, set())
        self.assertEqual([p.name for p in self.home.iterdir()], ["a.h5"])
        return stdout, stderr

    def expect_interruption(self, stdout, stderr):
        message = r"interrupted; it keeps the (\d+ repetitions|repetition) that (was|were) done"
        self.assertRegex(stderr, rf"cleave: error: a.h5: {message}")
        error = json.loads(stdout)["error"] # one object
        self.assertEqual(error["kind"], "interrupted")
        self.assertRegex(error["message"], message)

    def test_a_signal_to_the_program(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number):
                run = self.start()
                run.send_signal(number)
                self.expect_interruption(*self.end(run, 3))
                self.assertEqual(run.returncode, 75)
                (self.home / "a.h5").unlink()

    def test_a_signal_to_mpirun(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number):
                run = self.start(MPIRUN, "-q", "-n", "2")
                run.send_signal(number)
                self.expect_interruption(*self.end(run, 5))
                self.assertNotEqual(run.returncode, 0)
                (self.home / "a.h5").unlink()

    def test_the_flush_is_over_before_mpirun_kills(self):
        """Which it does 1 s after it has passed SIGTERM on: the promise is 0.8 s. A busy machine may delay some."""
        for options in ((), ("--checkpoint", "a.checkpoint")):
            took = []
            while not took or (took[-1] >= 0.8 and len(took) < 5):
                run = self.start(n=1, sleep_ms=2500, options=options)
                sent = time.monotonic()
                run.send_signal(signal.SIGTERM)
                _, stderr = run.communicate(timeout=10)
                took.append(time.monotonic() - sent)
                self.assertEqual(run.returncode, 75, stderr)
                shutil.rmtree(self.home / "a.checkpoint", ignore_errors=True)
                (self.home / "a.h5").unlink()
            self.assertLess(took[-1], 0.8, took)

    def test_a_killed_rank_is_named(self):
        run = self.start(MPIRUN, "-q", "-n", "2")
        ranks = subprocess.run(["pgrep", "-P", str(run.pid)], capture_output=True, text=True, check=True)
        root = self.progress()["pid"]
        os.kill(next(int(p) for p in ranks.stdout.split() if int(p) != root), signal.SIGKILL)
        stdout, stderr = self.end(run, 5)
        self.assertEqual(run.returncode, 128 + signal.SIGKILL)
        self.assertRegex(stderr, r"cleave: error: a.h5: rank 1 \(host \S+, pid \d+\) has left: its process")
        self.assertEqual(json.loads(stdout)["error"]["kind"], "lost_peer")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[4:]])
