"""Pool, Executor and program on several nodes of unequal size, over TCP, on hosts made by hosts.sh.

usage: hosts_test.py CLEAVE TESTS FAULTS SHARED [unittest arguments]
TESTS: the folder of the test programs; SHARED: a folder that holds all of them
"""

import json
import os
import re
import subprocess
import sys
import time
import unittest
from pathlib import Path

HOSTS = Path(__file__).with_name("hosts.sh")
PROGRAM, TESTS, FAULTS, SHARED = sys.argv[1:5]
LAYOUTS = {2: "h1:1,h2:2", 3: "h1:1,h2:2,h3:1", 4: "h1:2,h2:1,h3:1,h4:2"}
ENVIRONMENT = {
    "OMPI_MCA_pml": "ob1",
    "OMPI_MCA_btl": "self,vader,tcp",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "OMPI_MCA_hwloc_base_binding_policy": "none",
    "OMPI_MCA_mpi_yield_when_idle": "1",
}


class Hosts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        made = subprocess.run([HOSTS, "up", "4", SHARED], capture_output=True, text=True, timeout=30)
        if made.returncode != 0:
            raise RuntimeError(made.stderr)
        name, folder = made.stdout.split("=")
        assert name == "export HOSTS"
        cls.environment = {**os.environ, **ENVIRONMENT, "HOSTS": folder.strip()}
        cls.addClassCleanup(
            subprocess.run, [HOSTS, "down"], env=cls.environment, timeout=30, check=True
        )

    def launch(self, nodes, *command, status=0, launcher=("mpirun", "-q")):
        layout = LAYOUTS[nodes]
        ranks = sum(int(host.split(":")[1]) for host in layout.split(","))
        run = subprocess.run(
            [HOSTS, "run", *launcher, "-n", str(ranks), "--host", layout, *command],
            env=self.environment, capture_output=True, text=True, timeout=150, cwd=SHARED,
        )
        if status is not None:
            self.assertEqual(run.returncode, status, run.stdout + run.stderr)
        return run

    def test_the_pool_keeps_its_promises(self):
        for nodes in LAYOUTS:
            with self.subTest(nodes=nodes):
                self.launch(nodes, f"{TESTS}/pool_test", "--gtest_filter=*/adaptive:*/auto")

    def test_the_executor_keeps_its_promises(self):
        for nodes in (2, 3):
            with self.subTest(nodes=nodes):
                self.launch(nodes, f"{TESTS}/executor_test", "--gtest_filter=*/one_node:*/threads")

    def test_who_waits_sleeps_and_who_works_is_kept_busy(self):
        """Not while root computes: these hosts share two cores, and it would take one from the others."""
        for nodes in (2, 3):
            with self.subTest(nodes=nodes):
                for test, cases in [("comm_waiting_test", "*.Sleeps*"), ("executor_waiting_test", "*/0:-*RootComputes*")]:
                    self.launch(nodes, f"{TESTS}/{test}", f"--gtest_filter={cases}", "--patience=120")

    def test_the_program_says_the_same_as_on_one_node(self):
        options = ["run", "sum_squares", "-p", "n=1e6,2e6,3e6", "--json", "-o"]
        answers = set()
        for nodes in LAYOUTS:
            for schedule in ["auto", "dynamic,2", "block"]:
                file = f"hosts{nodes}.h5"
                run = self.launch(
                    nodes, PROGRAM, *options, file, "--force", "--schedule", schedule
                )
                said = json.loads(run.stdout)
                self.assertEqual(said["layout"]["nodes"], nodes)
                self.assertTrue(said["verified"])
                answers.add(said["checksum"])
        self.assertEqual(len(answers), 1, answers)

    def test_a_failure_on_one_node_ends_all(self):
        run = self.launch(3, PROGRAM, "run", "denoise", "-p", "input=none.png", status=2)
        self.assertIn("none.png", run.stderr)

    def test_a_task_that_ignores_its_time_out_ends_all(self):
        for fault in ("stuck", "executor_stuck_elsewhere"):
            with self.subTest(fault=fault):
                run = self.launch(3, FAULTS, fault, status=3)
                self.assertRegex(run.stderr, r"task \d+ on rank \d \(thread \d+, host h\d\) ignores its time-out")

    def test_who_is_killed_or_exits_away_from_root_is_named_and_all_end(self):
        """By mpirun, within 5 s: rank 1 leads h2, and takes all that its node could tell with it."""
        killed, left = 137, 1
        for fault, status in [("kill", killed), ("exit", left), ("kill_between", killed), ("exit_between", left),
                              ("executor_kill", killed), ("executor_exit", left)]:
            with self.subTest(fault=fault):
                said = self.launch(3, FAULTS, fault, status=status, launcher=("mpirun",)).stderr
                end = time.monotonic()
                self.assertRegex(said, r"process rank 1 with PID \d+ on\s+node h2 exit(ed on signal 9|ing improperly)")
                self.assertRegex(said, r"\[fault at \S+ s\]")
                began = float(re.search(r"\[fault at (\S+) s\]", said)[1])
                self.assertLess(end - began, 5)

    def test_a_leader_that_is_killed_is_named_where_the_launcher_leaves_the_others_alone(self):
        """By its node's other rank. This mpirun would not end, even when all ranks have."""
        for fault in ("kill", "kill_between", "executor_kill"):
            with self.subTest(fault=fault):
                told = rf"\[rank (\d)\] {fault}: rank 1 \(host h2, pid \d+\) has left: its process has ended"
                for limit in ("4", "20"): # the second where this machine is slow
                    launcher = ("timeout", "-k", "2", limit, "mpirun", "--enable-recovery")
                    said = self.launch(3, FAULTS, fault, status=None, launcher=launcher).stderr
                    if (ranks := set(re.findall(told, said))) == {"0", "2", "3"}:
                        break
                self.assertEqual(ranks, {"0", "2", "3"}, said)

    def test_who_leaves_is_named_on_every_node(self):
        faults = [f"rank_{rank}_leaves" for rank in range(3)] # 0 and 1 lead their nodes
        for nodes in (2, 3):
            said = self.launch(nodes, FAULTS, *faults, "throw").stderr
            for leaver, fault in enumerate(faults):
                lives_on = said.index(f"[rank {leaver}] {fault}: wrong_answer: lives on")
                for rank in set(range(nodes + 1)) - {leaver}:
                    with self.subTest(nodes=nodes, leaver=leaver, rank=rank):
                        self.assertRegex(
                            said[:lives_on],
                            rf"\[rank {rank}\] {fault}: lost_peer: rank {leaver} \(host h\d, pid \d+\) "
                            "has left: an exception ended its use of the Pool",
                        )
            for rank in range(nodes + 1): # the Pool that nobody left
                self.assertRegex(said, rf"\[rank {rank}\] throw: failed_task: task 5 failed")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[5:]])
