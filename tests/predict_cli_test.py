"""cleave predict: what it prints in every format, what it refuses, and with which status.

predict_cli_test.py CLEAVE
"""

import csv
import io
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

CLEAVE = os.path.abspath(sys.argv[1])
SCHEDULES = ["auto", "block", "cyclic", "dynamic", "guided", "trapezoid", "factoring", "weighted", "adaptive"]


class Predict(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.home = Path(cls.directory.name)
        cls.run_job("squares", "traced/run.h5", "--trace", "-p", "n=64", "-p", "sleep_ms=0.2")
        cls.run_job("squares", "plain.h5", "-p", "n=64")
        cls.run_job("sum_squares", "traced/other.h5")

    @classmethod
    def tearDownClass(cls):
        cls.directory.cleanup()

    @classmethod
    def run_job(cls, workload, name, *options):
        (cls.home / name).parent.mkdir(exist_ok=True)
        subprocess.run([CLEAVE, "run", workload, "--threads", "1", "--repetitions", "7", "-q", "-o", name, *options],
                       cwd=cls.home, check=True)

    def predict(self, *arguments, status=0):
        done = subprocess.run([CLEAVE, "predict", *arguments], cwd=self.home, capture_output=True, text=True)
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stdout if status == 0 else done.stderr

    def refused(self, words, *arguments):
        message = self.predict(*arguments, status=2)
        self.assertIn(words, message)
        self.assertEqual(message.count("\n"), 1, message)

    def test_text_has_the_fastest_schedule_of_each_machine(self):
        text = self.predict("traced/run.h5", "--ranks", "1..8")
        table = [line.split() for line in text.split("\n\n")[1].splitlines()]
        self.assertEqual(table[0], ["workers", "nodes", "schedule", "time", "efficiency", "node-hours", "regret"])
        self.assertEqual([row[0] for row in table[1:]], ["1", "2", "4", "8"])
        self.assertIn("squares, measured on 1 worker", text)
        self.assertIn("ask for ", text)

    def test_one_machine_has_a_row_a_schedule(self):
        text = self.predict("traced/run.h5", "--ranks", "16", "--cores-per-node", "4")
        rows = [line.split() for line in text.split("\n\n")[1].splitlines()[1:]]
        self.assertEqual([row[2] for row in rows], SCHEDULES)
        self.assertEqual({row[1] for row in rows}, {"4"})

    def test_json_is_one_object_that_keeps_its_promises(self):
        answer = json.loads(self.predict("traced/run.h5", "--ranks", "1,2,3,64", "--format", "json"))
        self.assertTrue(answer["traced"])
        self.assertEqual(len(answer["predictions"]), 4 * len(SCHEDULES))
        for row in answer["predictions"]:
            self.assertGreaterEqual(row["regret"], 0)
            self.assertGreaterEqual(row["time_s"]["value"], 0.999 * row["bound_s"])
            self.assertLessEqual(row["time_s"]["interval"][0], row["time_s"]["interval"][1])

    def test_csv_and_markdown_have_every_row(self):
        arguments = ["traced/run.h5", "--ranks", "2..8", "--schedules", "guided,4,block"]
        rows = list(csv.DictReader(io.StringIO(self.predict(*arguments, "--format", "csv"))))
        self.assertEqual([(row["workers"], row["schedule"]) for row in rows],
                         [(n, s) for n in ("2", "4", "8") for s in ("guided,4", "block")])
        self.assertTrue(all(float(row["efficiency"]) > 0 for row in rows))
        lines = self.predict(*arguments, "--format", "md").splitlines()
        self.assertEqual(len([line for line in lines if line.startswith("|")]), 2 + 6)

    def test_without_a_trace_it_says_that_it_is_coarser(self):
        self.assertIn("no trace", self.predict("plain.h5", "--ranks", "2"))
        self.assertNotIn("no trace", self.predict("traced/run.h5", "--ranks", "2"))

    def test_costs_of_the_larger_machine_count(self):
        def time(*costs):
            arguments = ["--ranks", "8", "--cores-per-node", "2", "--schedules", "auto", "--format", "json"]
            return json.loads(self.predict("traced/run.h5", *arguments, *costs))["predictions"][0]["time_s"]["value"]

        self.assertGreater(time("--costs", "message=50ms,nap=1us"), 0.1 + time("--costs", "message=0s"))

    def test_more_tasks_of_the_same_shape_take_longer(self):
        small = json.loads(self.predict("traced/run.h5", "--ranks", "4", "--format", "json"))
        large = json.loads(self.predict("traced/run.h5", "--ranks", "4", "--tasks", "6400", "--format", "json"))
        ratio = large["predictions"][1]["bound_s"] / small["predictions"][1]["bound_s"]
        self.assertTrue(10 < ratio < 101, ratio)

    def test_wishes(self):
        self.assertIn("ask for ", self.predict("traced/run.h5", "--ranks", "1..4", "--deadline", "10m"))
        self.assertIn("no machine", self.predict("traced/run.h5", "--ranks", "1..4", "--deadline", "1us"))
        self.refused("exclude each other", "traced/run.h5", "--deadline", "1s", "--efficiency", "0.5")

    def test_bad_input_is_refused_in_a_line(self):
        self.refused("there is no such file", "missing.h5")
        self.refused("several workloads", "traced")
        for option, value in [("--ranks", "two"), ("--ranks", "8..2"), ("--ranks", ","), ("--ranks", "0..4"),
                              ("--schedules", "magic"), ("--efficiency", "2"), ("--deadline", "soon"),
                              ("--cores-per-node", "0"), ("--tasks", "1.5"), ("--costs", "luck=1s"),
                              ("--costs", "draw=fast"), ("--format", "xml")]:
            with self.subTest(option=option, value=value):
                self.refused(option, "plain.h5", f"{option}={value}")
        (self.home / "text.h5").write_text("no HDF5")
        self.refused("text.h5", "text.h5")


if __name__ == "__main__":
    sys.exit(unittest.main(argv=sys.argv[:1], verbosity=1))
