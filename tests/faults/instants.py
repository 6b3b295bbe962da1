"""kill -9 at every change of a folder: each file that is made, named, replaced or removed. See helpers.py.

What random kills hit once in a thousand: the instants between two files. After each the same line is given again,
and has to come to the answer of an undisturbed run.
"""

import json
import signal

import helpers
from helpers import Case

SQUARES = ("squares", "-p", "n=12", "-p", "sleep_ms=2", "--threads", "2")


class Instants(Case):
    def explore(self, name, line, after, least, step=1):
        """Kills a job at its first change, at its second, and so on, until it is not killed any more."""
        for instant in range(1, 200, 1 if helpers.SOAK else step):
            self.empty_home()
            job = self.start(*line, LD_PRELOAD=helpers.CRASH, CLEAVE_CRASH_AT=str(instant))
            status, output, errors = job.end(30)
            if status == 0:
                break
            with self.subTest(instant=instant, left=self.names()), self.fault(name):
                self.assertIn(status, (-signal.SIGKILL, 3), output + errors)
                self.nobody_is_left(job)
                self.every_file_opens()
                after()
        self.assertGreater(instant, least)

    def test_a_run(self):
        line = ("run", *SQUARES, "--repetitions", "2", "-o", "a.h5", "--trace", "--result", "a.json", "--json")
        checksum = self.report(*line[:-1])["checksum"]

        def again():
            self.committed()
            report = json.loads(self.succeed(*line, "--force")[0])
            self.assertEqual((report["checksum"], report["error"] if "error" in report else None), (checksum, None))
            self.assertEqual(self.committed(), 2)
            self.assertLessEqual({"a.h5", "a.json", "a.trace.h5"}, set(self.names()))

        self.explore("kill -9 at each file: run", line, again, least=8)

    def test_a_run_that_replaces(self):
        line = ("run", *SQUARES, "-o", "a.h5", "--force", "--json")
        checksum = self.report(*line[:-1])["checksum"]

        def again():
            self.assertEqual(json.loads(self.succeed(*line)[0])["checksum"], checksum)

        self.explore("kill -9 at each file: run --force", line, again, least=4)

    def test_a_checkpoint(self):
        """The same line serves the first launch and all later ones."""
        line = ("run", *SQUARES, "--repetitions", "2", "-o", "a.h5", "--result", "a.json", "--json", "--checkpoint",
                "kept", "--resume")
        checksum = json.loads(self.succeed(*line)[0])["checksum"]
        answer = (self.home / "a.json").read_bytes()

        def again():
            if not list((self.home / "kept").glob("*")) and (self.home / "a.json").exists():
                return  # it had come to its end
            self.assertEqual(json.loads(self.succeed(*line)[0])["checksum"], checksum)
            self.assertEqual((self.home / "a.json").read_bytes(), answer)
            self.assertFalse((self.home / "kept").exists())

        self.explore("kill -9 at each file: run --checkpoint", line, again, least=8)

    def test_a_study(self):
        text = 'job = "squares"\nmode = "strong"\nranks = 1\nthreads = 1\n[measure]\nrepetitions = 2\nwarmup = 0\n'

        def begin_with_it():
            (self.home / "s.toml").write_text(text)

        def again():
            folder = self.home / "results/s"
            resume = ["--resume"] if (folder / "study.json").exists() else []
            self.succeed("study", "s.toml", *resume)
            self.assertEqual(sum(self.committed(path.relative_to(self.home)) for path in folder.glob("points/*.h5")),
                             2)
            self.assertFalse(list(folder.glob("points/*.claim")))

        self.empty_home = lambda: (Case.empty_home(self), begin_with_it())
        self.explore("kill -9 at each file: study", ("study", "s.toml"), again, least=8, step=3)


if __name__ == "__main__":
    helpers.main()
