"""Jobs that end before their work is done."""

import datetime
import random
import subprocess
import time
from pathlib import Path

from helpers import CLUSTER, Case, NODES, SLURMD_KILLS, SOURCE

FARM = 'workload = "command"\n[parameters]\nshell = true\ntemplate = "{command}"\nover = "i=1..{n}"\n'
WAITS = 'workload = "squares"\nschedule = "dynamic,1"\n[parameters]\nn = {n}\nsleep_ms = 100\n'


class Ends(Case):
    """Jobs that end before their work is done: faults, counted for docs/reliability.md."""

    def pull_end_in(self, job, seconds):
        """Slurm looks at time limits every 30 s: fewer seconds may leave none for USR1."""
        end = datetime.datetime.now() + datetime.timedelta(seconds=seconds)
        self.login("scontrol", "update", f"JobId={job}", f"EndTime={end:%Y-%m-%dT%H:%M:%S}")

    def test_time_is_over(self):
        """NAS EP class D loses its time after 20 s and ends at another layout with the same bytes;
        beside it, on another node, a job that mostly sleeps is not started again."""
        lines = (SOURCE / "tests/data/ep-D.checksum").read_text().splitlines()
        expected = dict(line.split() for line in lines if not line.startswith("#"))
        self.write("ep-D.toml", 'workload = "ep"\n[parameters]\nclass = "D"\n')
        self.write("waits.toml", WAITS.format(n=4000))
        text = (SOURCE / "slurm/requeue.sh").read_text()
        other = "((${SLURM_RESTART_COUNT:-0} == 0)) || { SLURM_NTASKS_PER_NODE=1 SLURM_CPUS_PER_TASK=2; }\n"
        self.write("chain.sh", text.replace("\nname=", "\n" + other + "name=", 1))
        chain = self.submit("--nodes=1", "--ntasks-per-node=2", "chain.sh", "ep-D.toml")
        alone = self.submit("slurm/one-node.sh", "waits.toml")
        self.await_running(chain)
        self.await_running(alone)
        time.sleep(20)
        for job in (chain, alone):
            self.pull_end_in(job, 40)

        self.await_facts(chain, lambda facts: facts[0]["Restarts"] == "1", 60)
        self.login("scontrol", "update", f"JobId={chain}", "TimeLimit=10") # it was pulled in too
        self.assertEqual(self.ended(chain, 400), ["COMPLETED 0:0"], self.printed())
        self.assertRegex(self.printed(), r"1 node x 2 ranks x 1 thread(?s:.*)kept in results/ep-D")
        second = self.timings(f"ep-D-j{chain}.attempt2")
        self.assertEqual((second["layout"], second["done"], second["verified"]), ((1, 1, 2), 1, True))
        self.assertEqual(second["facts"]["attempt"], "2")
        self.assertLess(second["tasks"], 2 ** 20, "it went on, and did not begin anew")
        simd = second["facts"]["simd_target"]
        self.assertIn(simd, expected, "not in tests/data/ep-D.checksum, which says how it is made")
        self.assertEqual(second["checksums"], {expected[simd]})
        self.assertEqual(list((self.folder / "results").glob("*.checkpoint")), [], "removed")

        self.assertEqual(self.ended(alone), ["FAILED 75:0"], self.printed())
        self.assertIn("interrupted before the first repetition was done", self.printed())

    def test_a_later_attempt_has_fewer_nodes(self):
        self.write("waits.toml", WAITS.format(n=400))
        jobs = [self.submit("--nodes=2", "slurm/requeue.sh", "waits.toml", LAUNCHER=launcher)
                for launcher in ("srun", "mpirun")]
        for job in jobs:
            self.await_running(job)
        time.sleep(2)
        self.end_is_near(*jobs)
        for job in jobs:
            self.login("scontrol", "update", f"JobId={job}", "NumNodes=1-1", "NumTasks=2", "NumCPUs=2")
        for job in jobs:
            self.assertEqual(self.ended(job), ["COMPLETED 0:0"], self.printed())
            found = self.timings(f"waits-j{job}.attempt2")
            self.assertEqual((found["layout"], found["verified"]), ((1, 2, 1), True))
            self.assertGreater(float(found["facts"]["lost_s"]), 0)

    def end_is_near(self, *jobs):
        """They are told so, and wait then for their next attempts."""
        for job in jobs:
            self.login("scancel", "--batch", "--signal=USR1", job)
        for job in jobs:
            self.await_facts(job, lambda facts: facts[0]["JobState"] == "PENDING", 30)

    def test_a_farm_and_a_study_go_on_later(self):
        self.write("farm.toml", FARM.format(command="sleep 0.2; hostname", n=150))
        self.write("short.toml", WAITS.format(n=20))
        one = ("--nodes=1", "--exclusive")
        farm = self.submit(*one, "slurm/farm.sh", "farm.toml")
        study = self.submit(*one, "slurm/study.sh", "strong", "short.toml", "--only", "ranks=2")
        for job in (farm, study):
            self.await_running(job)
        time.sleep(4)
        self.end_is_near(farm, study)
        for job in (farm, study):
            self.assertEqual(self.ended(job, 120), ["COMPLETED 0:0"], self.printed())
        log = (self.folder / f"results/farm-j{farm}.joblog").read_text().splitlines()
        self.assertEqual(sorted(int(line.split("\t")[0]) for line in log[1:]), list(range(1, 151)))
        facts = self.timings(f"farm-j{farm}-a2")["facts"]
        self.assertEqual(facts["attempt"], "2")
        self.assertGreater(float(facts["lost_s"]), 0)
        self.assertLess(float(facts["lost_s"]), 60)
        self.assertIn("interrupted; what was measured is kept", self.printed())
        self.assertTrue((self.folder / f"results/short-strong-j{study}/study.h5").exists())

    def test_a_cancelled_job_keeps_what_is_committed(self):
        self.write("waits.toml", WAITS.format(n=8))
        for launcher in ("srun", "mpirun"):
            with self.subTest(launcher=launcher):
                job = self.submit("slurm/multiprocessor.sh", "waits.toml", "--repetitions", "500",
                                  LAUNCHER=launcher)
                nodes = self.nodes_of(self.await_running(job))
                time.sleep(3)
                self.login("scancel", job)
                self.assertEqual(self.ended(job)[0].split()[0], "CANCELLED")
                found = self.timings(f"waits-j{job}")
                self.assertGreater(found["done"], 0)
                self.assertTrue(found["verified"])
                for node in nodes:
                    self.assertNotIn("cleave", self.on(node, "sh", "-c", "cat /proc/[0-9]*/comm").stdout)

    def test_a_cancelled_job_does_not_come_back(self):
        self.write("waits.toml", WAITS.format(n=4000))
        job = self.submit("slurm/requeue.sh", "waits.toml")
        self.await_running(job)
        time.sleep(3)
        self.login("scancel", job)
        self.assertEqual(self.ended(job)[0].split()[0], "CANCELLED")
        self.assertEqual(self.facts(job)[0]["Restarts"], "0")
        time.sleep(1)
        self.assertEqual(self.login("squeue", "--noheader", "--states=pending,running", "--jobs", job), "")

    def test_slurmd_is_killed(self):
        """Each under another kind of work, at random instants. A new one takes its place before Slurm gives the
        node up: no job notices."""
        self.write("waits.toml", WAITS.format(n=100 * SLURMD_KILLS))
        self.write("short.toml", WAITS.format(n=10 * SLURMD_KILLS))
        self.write("farm.toml", FARM.format(command="sleep 0.2; hostname", n=50 * SLURMD_KILLS))
        one = ("--nodes=1", "--exclusive")
        jobs = {"run": self.submit(*one, "slurm/one-node.sh", "waits.toml"),
                "checkpoint": self.submit(*one, "slurm/requeue.sh", "waits.toml"),
                "farm": self.submit(*one, "slurm/farm.sh", "farm.toml"),
                "study": self.submit(*one, "slurm/study.sh", "strong", "short.toml", "--only", "ranks=2")}
        nodes = {kind: self.nodes_of(self.await_running(job))[0] for kind, job in jobs.items()}
        self.assertEqual(len(set(nodes.values())), len(jobs))
        seed = time.time_ns()
        chance = random.Random(seed)
        under_way = dict.fromkeys(jobs, 0)
        with self.subTest(seed=seed):
            for _ in range(SLURMD_KILLS):
                for kind in chance.sample(list(jobs), len(jobs)):
                    under_way[kind] += self.facts(jobs[kind])[0]["JobState"] == "RUNNING"
                    self.on(nodes[kind], "pkill", "-9", "-x", "slurmd")
                    time.sleep(chance.uniform(0, 0.5))
                for node in nodes.values():
                    self.on_cluster("restart", node)
                    self.until(lambda node=node: self.on(node, "pgrep", "-x", "slurmd", check=False).returncode == 0)
            for job in jobs.values():
                self.assertEqual(self.ended(job, 60 * SLURMD_KILLS), ["COMPLETED 0:0"], self.printed())
        for kind, times in under_way.items():
            self.assertGreater(2 * times, SLURMD_KILLS, f"{kind}: more than half while work was under way")
        for kind in ("run", "checkpoint"):
            self.assertTrue(self.timings(f"waits-j{jobs[kind]}")["verified"])
        farm = (self.folder / f"results/farm-j{jobs['farm']}.joblog").read_text().splitlines()
        self.assertEqual(sorted(int(line.split("\t")[0]) for line in farm[1:]), list(range(1, 50 * SLURMD_KILLS + 1)))
        self.assertTrue(list((self.folder / f"results/short-strong-j{jobs['study']}/points").glob("*.h5")))
        self.await_all_idle()

    def nodes_of(self, facts):
        shown = self.login("scontrol", "show", "hostnames", facts["NodeList"])
        return [int(name.removeprefix("h")) for name in shown.split()]

    def test_a_node_that_is_drained_ends_its_job_first(self):
        self.write("waits.toml", WAITS.format(n=40))
        job = self.submit("--nodelist=h2", "slurm/one-node.sh", "waits.toml")
        self.await_running(job)
        self.login("scontrol", "update", "NodeName=h2", "State=DRAIN", "Reason=test")
        self.addCleanup(self.login, "scontrol", "update", "NodeName=h2", "State=RESUME")
        later = self.submit("slurm/one-node.sh", "waits.toml")
        self.assertNotIn(2, self.nodes_of(self.await_running(later)))
        for each in (job, later):
            self.assertEqual(self.ended(each), ["COMPLETED 0:0"], self.printed())
            self.assertTrue(self.timings(f"waits-j{each}")["verified"])

    def test_nodes_fail(self):
        """One crashes, another is cut off the network and goes on computing while the requeued job
        runs: both jobs end with the right answer."""
        self.write("waits.toml", WAITS.format(n=600)) # 15 s on 4 ranks
        whole = self.timings(f"waits-j{self.succeeds('--nodes=4', 'slurm/multiprocessor.sh', 'waits.toml')}")
        jobs = [self.submit("slurm/requeue.sh", "waits.toml") for _ in range(2)]
        crashed, cut = (self.nodes_of(self.await_running(job))[1] for job in jobs)
        time.sleep(3)
        self.on_cluster("crash", crashed)
        self.on_cluster("cut", cut)
        for job in jobs:
            self.await_running(job, 90, restarts="1")
        for verb, node in (("heal", cut), ("start", crashed)):
            self.on_cluster(verb, node)
        for job in jobs:
            self.assertEqual(self.ended(job), ["COMPLETED 0:0"], self.printed())
            second = self.timings(f"waits-j{job}.attempt2")
            self.assertEqual(second["checksums"], whole["checksums"])
            self.assertLess(second["tasks"], 600, "it went on, and did not begin anew")
        self.await_all_idle()

    def test_the_root_of_a_farm_is_cut_off(self):
        """It goes on, with its lock on the job log, beside the attempt that Slurm starts: that has one of its own."""
        self.write("farm.toml", 'workload = "command"\n[parameters]\ntemplate = "sleep 0.5"\nover = "i=1..300"\n')
        job = self.submit("slurm/farm.sh", "farm.toml")
        root = self.nodes_of(self.await_running(job))[0]
        log = self.folder / f"results/farm-j{job}.joblog"
        later = log.with_name(f"{log.name}.j{job}-a2")
        self.await_lines(log, 20)
        with log.open("rb") as zombies:
            self.on_cluster("cut", root)
            self.await_running(job, 90, restarts="1")
            self.await_lines(later, 20)
            self.await_lines(f"/proc/self/fd/{zombies.fileno()}", zombies.read().count(b"\n") + 4)
            self.assertEqual(self.ended(job, 90), ["COMPLETED 0:0"], self.printed())
        self.on_cluster("heal", root)
        tasks = sorted(int(line.split("\t")[0]) for line in log.read_text().splitlines()[1:])
        self.assertEqual(tasks, list(range(1, 301)))
        self.assertFalse(later.exists())
        self.await_all_idle()

    def test_a_node_that_comes_back_ends_a_launch_of_a_study(self):
        """Slurm ends the step of the earlier attempt there by its number, which a launch of the later one has."""
        self.write("waits.toml", WAITS.format(n=120)) # a launch takes 15 s
        job = self.submit("slurm/study.sh", "strong", "waits.toml", "--only", "ranks=4")
        cut = self.nodes_of(self.await_running(job))[1]
        points = self.folder / f"results/waits-strong-j{job}/points"
        self.until(lambda: list(points.glob("*.2.h5")), 60) # the second launch is under way, step 1
        self.on_cluster("cut", cut)
        self.await_running(job, 90, restarts="1")
        self.until(lambda: list(points.glob("*.3.h5")), 60) # step 1 again, behind one that does nothing
        self.on_cluster("heal", cut)
        self.on(cut, "pkill", "-9", "-x", "slurmd") # a new one tells at once of the step, the old one within 20 s
        self.on_cluster("restart", cut)
        self.assertEqual(self.ended(job, 120), ["COMPLETED 0:0"], self.printed())
        self.assertIn("was killed, perhaps in the place of one of an earlier attempt", self.printed())
        self.assertTrue((self.folder / f"results/waits-strong-j{job}/study.h5").exists())
        self.await_all_idle()

    def await_lines(self, file, lines, seconds=60):
        until = time.monotonic() + seconds
        while not Path(file).exists() or Path(file).read_bytes().count(b"\n") < lines:
            self.assertLess(time.monotonic(), until, f"{file}\n{self.printed()}")
            time.sleep(0.1)

    def on_cluster(self, verb, node):
        subprocess.run([CLUSTER, verb, str(node)], env=Case.cluster, timeout=30, check=True)

    def await_all_idle(self):
        until = time.monotonic() + 90 # Slurm asks a silent node now and then
        while (said := self.login("sinfo", "--noheader", "--format=%D %T").strip()) != f"{NODES} idle":
            self.assertLess(time.monotonic(), until, said)
            time.sleep(0.2)
