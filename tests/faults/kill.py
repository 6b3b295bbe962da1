"""kill -9 at random instants: of a rank, of mpirun, of the whole job; see helpers.py for the arguments.

After each: no process and no undocumented file is left, every HDF5 file opens, nothing that was committed is lost;
and who goes on from what is left comes to the answer of an undisturbed run. Each kill goes on from the one before,
until the work is done, and then anew. 12 kills of each kind of work; 60 with CLEAVE_SOAK=1. More than half are sent
while work is under way, which is counted.
"""

import json
import re
import signal
from collections import Counter

import h5py
import helpers
from helpers import MAY_STAY, Case

KILLS = 60 if helpers.SOAK else 12
LATEST = 30  # s, until work is under way


class Killing(Case):
    """The loop that all kinds of work share; they say what they start and what must hold."""

    kind = ""
    victims = ("rank 0", "rank 1", "mpirun", "the whole job")
    work_s = 1.0  # of an undisturbed job, at least
    struck_at_its_start = False  # the rank that was killed

    def begin(self):
        """Starts a job, or goes on."""
        raise NotImplementedError

    def under_way(self):
        """Whether work has begun."""
        raise NotImplementedError

    def after_a_kill(self, job):
        """Checks what is left."""
        raise NotImplementedError

    def after_the_end(self, job):
        """Checks the answer of a job that has ended by itself."""
        raise NotImplementedError

    def launcher(self, job):
        """Process of the mpirun that has the ranks."""
        return job.pid

    def strike(self, job, victim):
        """Kills it, when it is there; whether it was."""
        self.struck_at_its_start = False
        if victim == "the whole job":
            job.kill_all()
            return True
        if victim == "the study":
            helpers.send(signal.SIGKILL, [job.pid])
            return True
        launcher = self.launcher(job)
        found = {"mpirun": launcher} | {f"rank {r}": p for r, p in job.ranks(launcher).items()}
        if found.get(victim) is None:
            return False
        self.struck_at_its_start = victim.startswith("rank") and not self.under_way()
        helpers.send(signal.SIGKILL, [found[victim]])
        return True

    def end_unaware(self, job):
        """mpirun may take no notice of a rank killed in its first instants: docs/reliability.md. All ranks end; mpirun
        must be ended, by hand, or as a study does."""
        if not self.struck_at_its_start or self.launcher(job) != job.pid or helpers.patiently(job.has_ended, 10):
            return
        self.assertEqual(list(job.members()), [job.pid])
        print(f"{self.kind}: mpirun took no notice of a rank that was killed at its start", flush=True)
        helpers.send(signal.SIGKILL, [job.pid])

    def wait_for_the_instant(self, job, anywhere):
        """At any instant of the job, or of its work."""
        if not anywhere:
            helpers.patiently(lambda: self.under_way() or job.has_ended(), LATEST)
        span = self.work_s + (0.3 if anywhere else 0)
        helpers.patiently(job.has_ended, self.dice.uniform(0, 0.8 * span))

    def kill_at_random(self):
        """Kills and goes on, as often as is asked for; then ends the work that is left."""
        landed = kills = tries = 0
        while kills < KILLS:
            tries += 1
            self.assertLess(tries, 6 * KILLS, "the jobs end before they are killed")
            victim = self.victims[kills % len(self.victims)]
            anywhere = kills // len(self.victims) % 3 == 2
            job = self.begin()
            self.wait_for_the_instant(job, anywhere)
            working = self.under_way() and not job.has_ended()
            struck = helpers.patiently(lambda j=job, v=victim: j.has_ended() or self.strike(j, v), LATEST)
            if job.has_ended() and job.process.returncode == 0:
                self.after_the_end(job)
                continue
            kills += 1
            landed += working
            with self.fault(f"kill -9 of {victim}, {self.kind}"):
                self.assertTrue(struck)
                self.end_unaware(job)
                self.nobody_is_left(job)
                self.every_file_opens()
                self.after_a_kill(job)
        self.after_the_end(self.begin())
        print(f"{self.kind}: {landed} of {kills} kills while work was under way, seed {self.seed}", flush=True)
        self.assertGreaterEqual(2 * landed, kills)


class Run(Killing):
    """Repetitions: each is in the timings file once it is told."""

    kind = "run"
    line = ("run", "squares", "-p", "n=24", "-p", "sleep_ms=8", "--threads", "1")

    def setUp(self):
        super().setUp()
        self.checksum = self.report(*self.line, "-o", "a.h5")["checksum"]
        self.empty_home()

    def begin(self):
        self.empty_home()
        return self.start(*self.line, "--repetitions", "20", "-o", "a.h5", "--trace", "--result", "a.json",
                          "--log-level", "info", ranks=3)

    def under_way(self):
        return (self.home / "a.progress").exists()

    def after_a_kill(self, job):
        told = len(re.findall(r"repetition \d+: ", job.said()[1]))
        self.assertGreaterEqual(self.committed(), told)
        self.only(r"a\.h5|a\.trace\.h5|a\.json|" + MAY_STAY.format("a"))  # mpirun's ranks may come to the end
        again = self.report(*self.line, "-o", "a.h5", "--force")
        self.assertEqual(again["checksum"], self.checksum)
        self.assertNotIn("a.progress", self.names())

    def after_the_end(self, job):
        self.expect(job, 0)
        self.assertEqual(self.committed(), 20)

    def test_kills(self):
        self.kill_at_random()


class Checkpoint(Killing):
    """--resume goes on, at another layout and schedule each time, and comes to the same bytes."""

    kind = "run --checkpoint"
    work_s = 2.5
    works = (("squares", "-p", "n=300", "-p", "sleep_ms=20"),
             ("sum_squares", "-p", "n=1e6,1.5e10,3e6"),
             ("ep", "-p", "class=A", "--repetitions", "3"))
    layouts = ((3, 1, "auto"), (2, 1, "dynamic,3"), (4, 1, "guided"), (2, 2, "block"), (2, 1, "cyclic,2"))

    def setUp(self):
        super().setUp()
        self.wanted = []
        for work in self.works:
            checksum = self.report("run", *work, "--threads", "8" if work[0] == "squares" else "2", "-o", "a.h5",
                                   "--result", "a.json", "--force")["checksum"]
            self.wanted.append((checksum, (self.home / "a.json").read_bytes()))
        self.empty_home()
        self.begun = self.chain = 0
        self.earlier = {}

    def begin(self):
        ranks, threads, schedule = self.layouts[self.begun % len(self.layouts)]
        self.begun += 1
        self.known = set(self.attempts())
        return self.start("run", *self.works[self.chain % len(self.works)], "--checkpoint", "kept", "--resume", "-o",
                          "a.h5", "--result", "a.json", "--json", "--threads", threads, "--schedule", schedule,
                          ranks=ranks)

    def attempts(self):
        """The files of all attempts."""
        return sorted((self.home / "kept").glob("attempt-*"))

    def under_way(self):
        return bool(set(self.attempts()) - self.known)

    def after_a_kill(self, job):
        now = {path.name: path.read_bytes() for path in self.attempts()}
        over = (self.home / "a.json").exists()  # and what was kept is being removed
        for name, content in self.earlier.items():
            if name in now or not over:
                self.assertEqual(now.get(name), content, f"{name} is of an earlier attempt, and has changed")
        self.earlier = now
        self.only(r"kept/attempt-\d{4}\.(log|rank-\d{5}\.journal)|a\.json|a(\.attempt\d+)?\.h5|"
                  + MAY_STAY.format(r"a(\.attempt\d+)?"))
        if over and not now:
            self.begin_anew()

    def after_the_end(self, job):
        output, _ = self.expect(job, 0)
        self.assertEqual(json.loads(output)["checksum"], self.wanted[self.chain % len(self.works)][0])
        self.assertFalse((self.home / "kept").exists())
        self.begin_anew()

    def begin_anew(self):
        """An answer is there, which must be right; then comes the next kind of work."""
        self.every_file_opens()
        self.assertEqual((self.home / "a.json").read_bytes(), self.wanted[self.chain % len(self.works)][1])
        self.empty_home()
        self.chain += 1
        self.earlier = {}

    def test_kills(self):
        self.kill_at_random()


class Farm(Killing):
    """Programs as tasks: what the job log has is not run again, all else is."""

    kind = "command farm"
    tasks = 48
    layouts = ((2, 1), (3, 1), (2, 2))

    def setUp(self):
        super().setUp()
        self.list = self.tmp / "ompi.tasks"
        self.list.write_text("sh -c 'echo $CLEAVE_TASK >> ran; sleep 0.06; echo $CLEAVE_TASK'\n" * self.tasks)
        self.begun = 0
        self.logged = []

    def begin(self):
        ranks, threads = self.layouts[self.begun % len(self.layouts)]
        self.begun += 1
        resume = ["-p", "resume=true"] if (self.home / "log").exists() else []
        self.before = self.ran()
        return self.start("run", "command", "-p", f"tasks={self.list}", "-p", "joblog=log", *resume, "-o",
                          f"{self.begun}.h5", "--threads", threads, "--json", ranks=ranks)

    def ran(self):
        path = self.home / "ran"
        return Counter(map(int, path.read_text().split())) if path.exists() else Counter()

    def log(self):
        """Tasks in the log; a torn last line is none."""
        path = self.home / "log"
        text = path.read_text() if path.exists() else ""
        return [int(line.split("\t")[0]) for line in text[: text.rfind("\n") + 1].splitlines()[1:]]

    def under_way(self):
        return self.ran() != self.before

    def after_a_kill(self, job):
        log = self.log()
        self.assertEqual(log[: len(self.logged)], self.logged, "lines are lost")
        self.assertEqual(len(log), len(set(log)))
        new = self.ran() - self.before
        self.assertFalse(set(new) & set(self.logged), "what was done has run again")
        self.assertLessEqual(set(log[len(self.logged):]), set(new), "was logged, and has not run")
        self.logged = log
        self.only(r"log|ran|\d+\.h5|" + MAY_STAY.format(r"\d+"))

    def after_the_end(self, job):
        output, _ = self.expect(job, 0)
        self.assertEqual(json.loads(output)["result"]["earlier"], len(self.logged))
        self.assertEqual(sorted(self.log()), list(range(1, self.tasks + 1)))
        self.assertEqual(self.ran() - self.before,
                         Counter(set(range(1, self.tasks + 1)) - set(self.logged)))
        checksum = json.loads(output)["checksum"]
        self.checksum = getattr(self, "checksum", checksum)
        self.assertEqual(checksum, self.checksum)
        self.empty_home()
        self.logged = []

    def test_kills(self):
        self.kill_at_random()


STUDY = """
job = "squares"
mode = "strong"
ranks = [1, 2]
threads = 1
[parameters]
n = 24
sleep_ms = 4
[measure]
warmup = 0
repetitions = 15
half_width = 0
"""


class Study(Killing):
    """--resume measures what is missing, and no more."""

    kind = "study"
    victims = ("the study", "rank 0", "rank 1", "mpirun", "the whole job")

    def setUp(self):
        super().setUp()
        self.folder = self.home / "results/s"
        self.measured = Counter()

    def begin(self):
        (self.home / "s.toml").write_text(STUDY)
        resume = ["--resume"] if (self.folder / "study.json").exists() else []
        return self.start("study", "s.toml", "--oversubscribe", *resume)

    def launcher(self, job):
        """The mpirun of a launch of two ranks: of one rank, it may be the program itself."""
        for process in job.members():
            if helpers.parent_of(process) == job.pid and len(job.ranks(process)) == 2:
                return process
        return None

    def under_way(self):
        return bool(list(self.folder.glob("points/*.claim")))

    def counts(self):
        counts = Counter()
        for path in self.folder.glob("points/*.h5"):
            with h5py.File(path) as file:
                counts[path.name.rsplit(".", 2)[0]] += int((file["run/rep_state"][:] == 1).sum())
        return counts

    def after_a_kill(self, job):
        counts = self.counts()
        self.assertGreaterEqual(counts, self.measured, "repetitions are lost")
        self.assertLessEqual(max(counts.values(), default=0), 15)
        self.measured = counts

    def after_the_end(self, job):
        self.expect(job, 0)
        self.assertEqual(sorted(self.counts().values()), [15, 15])
        # Logs of failed launches; and of a file that was being made at a kill its temporary name: docs/reliability.md.
        self.only(r"s\.toml|results/s/(study\.\w+|job\.toml|points/.*\.(h5|log))(\.\d+\.tmp)?"
                  r"|results/s/points/.*\.claim\.\d+\.tmp")
        checksums = set()
        for path in self.folder.glob("points/*.h5"):
            with h5py.File(path) as file:
                states = file["run/rep_state"][:] == 1
                checksums |= set(file["run/checksum"][:][states])
        self.assertEqual(len(checksums), 1)
        self.empty_home()
        self.measured = Counter()

    def test_kills(self):
        self.kill_at_random()


if __name__ == "__main__":
    helpers.main()
