"""cleave compare: what it prints, and its exit status, on runs of real timings files with times of ours.

compare_test.py CLEAVE
"""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import h5py
import numpy as np

from edited import without_sums

CLEAVE = os.path.abspath(sys.argv[1])
REPETITIONS = 12


class Compare(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.home = Path(cls.directory.name)
        subprocess.run([CLEAVE, "run", "squares", "--threads", "1", "--repetitions", str(REPETITIONS), "-q",
                        "-o", "run.h5"], cwd=cls.home, check=True)

    @classmethod
    def tearDownClass(cls):
        cls.directory.cleanup()

    def make(self, name, scale=1.0, **facts):
        """The run with times around `scale` seconds, and other facts of its provenance."""
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((self.home / "run.h5").read_bytes())
        with h5py.File(path, "r+") as file:
            without_sums(file)
            file["run/wall"][:] = scale * np.linspace(0.99, 1.01, REPETITIONS)
            for fact, text in facts.items():
                file["provenance"][fact][()] = text
        return str(path)

    def compare(self, *arguments, status):
        run = subprocess.run([CLEAVE, "compare", *arguments], cwd=self.home, text=True, capture_output=True,
                             timeout=60, check=False)
        self.assertEqual(run.returncode, status, run.stdout + run.stderr)
        return run.stdout if status in (0, 3, 4) else run.stderr

    def test_equal_times_are_undecided_and_never_the_same(self):
        text = self.compare(self.make("a.h5"), self.make("b.h5"), status=0)
        self.assertIn("undecided at n = 12, 12", text)
        self.assertNotIn("same", text)

    def test_slower_beyond_the_threshold(self):
        base, slow = self.make("a.h5"), self.make("b.h5", 1.1)
        text = self.compare(base, slow, status=3)
        self.assertRegex(text, r"\+10\.0 % \[\+9\.\d, \+10\.\d\] +slower, beyond the threshold")
        self.compare(base, slow, "--threshold", "20%", status=0)
        self.assertIn("faster", self.compare(slow, base, status=0))

    def test_another_machine_is_not_comparable(self):
        text = self.compare(self.make("a.h5"), self.make("b.h5", cpu_model="Z80"), status=4)
        self.assertRegex(text, r'not comparable: cpu_model ".+" in the base, "Z80" in the new')

    def test_another_program_is_told_and_compared(self):
        text = self.compare(self.make("a.h5"), self.make("b.h5", git_commit="f00d"), status=0)
        self.assertRegex(text, r'note: git_commit ".+" in the base, "f00d" in the new')

    def test_directories_point_by_point(self):
        self.make("old/a.h5")
        self.make("new/a.h5", 0.5)
        self.assertIn("faster", self.compare("old", "new", status=0))

    def test_json_and_markdown(self):
        arguments = [self.make("a.h5"), self.make("b.h5", 1.1)]
        found = json.loads(self.compare(*arguments, "--format", "json", status=3))
        self.assertTrue(found["comparable"])
        point = found["points"][0]
        self.assertEqual((point["verdict"], point["beyond_threshold"]), ("slower", True))
        self.assertAlmostEqual(point["shift_s"], 0.1, places=2)
        self.assertEqual(point["base"]["n"], REPETITIONS)
        text = self.compare(*arguments, "--format", "md", status=3)
        self.assertTrue(text.startswith("| point, ranks x threads | n | base | new |"), text)

    def test_bad_input(self):
        base = self.make("a.h5")
        (self.home / "empty").mkdir(exist_ok=True)
        (self.home / "text.h5").write_text("no timings")
        whole = Path(base).read_bytes()
        (self.home / "cut.h5").write_bytes(whole[:len(whole) // 2])
        for arguments, message in [(["nowhere"], "nowhere: there is no such file"),
                                   (["empty"], "empty: there are no timings files in this directory"),
                                   (["text.h5"], "text.h5: is not a whole timings file"),
                                   (["cut.h5"], "cut.h5: is not a whole timings file"),
                                   ([], "NEW is required"),
                                   ([base, "--threshold", "-1"], "--threshold: must be a share such as 2%"),
                                   ([base, "--format", "xml"], "must be one of text, md, json")]:
            text = self.compare(base, *arguments, status=2)
            self.assertIn(message, text)
            self.assertEqual(text.count("\n"), 1, text)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[2:])
