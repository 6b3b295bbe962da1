"""`cleave report` as users type it: what it prints, writes and refuses.

report_cli_test.py CLEAVE REPORT_PROBE [unittest arguments]. REPORT_PROBE writes made-up studies.
"""

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as xml
from pathlib import Path

import h5py

CLEAVE, PROBE = (os.path.abspath(p) for p in sys.argv[1:3])
GNUPLOT = shutil.which("gnuplot")
BAD_NAME = "<script>alert('x')</script>`date`"


class Case(unittest.TestCase):
    """Tests in a folder with made-up studies, made once."""

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.home = Path(cls.directory.name)
        for kind in ("strong", "weak", "layout", "schedule"):
            subprocess.run([PROBE, cls.home / kind, kind], check=True)
        subprocess.run([PROBE, cls.home / "bad", "layout", BAD_NAME], check=True)

    @classmethod
    def tearDownClass(cls):
        cls.directory.cleanup()

    def report(self, *arguments, status=0, path=None):
        environment = {**os.environ, "PATH": path} if path else None
        done = subprocess.run([CLEAVE, "report", *map(str, arguments)], cwd=self.home, text=True,
                              capture_output=True, env=environment, timeout=60)
        self.assertEqual(status, done.returncode, done.stdout + done.stderr)
        return done

    def refused(self, words, *arguments, status=2):
        done = self.report(*arguments, status=status)
        self.assertRegex(done.stderr, words)
        self.assertEqual(1, done.stderr.count("cleave: error"), done.stderr)
        self.assertEqual("", done.stdout)

    def point(self, number=0, study="strong"):
        return self.home / study / "points" / f"point-{number}.h5"


class Recorded(Case):
    """A study that was really run: tests/data/ep-layouts."""

    def setUp(self):
        if not (self.home / "recorded").exists():
            shutil.copytree(Path(__file__).resolve().parent / "data/ep-layouts", self.home / "recorded")

    def test_report(self):
        text = self.report("recorded").stdout
        self.assertIn("Base: 1 rank x 1 thread, 1.23 s [1.18, 1.30]. n = 15", text)
        self.assertIn("Times drifted by -6.8 %", text)
        self.assertIn("3 points (2\u00d72, 4\u00d71, 4\u00d72) have more workers than cores", text)
        rows = list(csv.DictReader(io.StringIO(self.report("recorded", "--format", "csv").stdout)))
        layouts = [(row["ranks"], row["threads"], row["n"]) for row in rows]
        self.assertEqual(layouts, [("1", "1", "15"), ("1", "2", "15"), ("2", "1", "15"), ("2", "2", "15"),
                                   ("4", "1", "15"), ("4", "2", "15")])

    def test_comparison_with_itself(self):
        (self.home / "recorded/study.h5").unlink(missing_ok=True)
        done = subprocess.run([CLEAVE, "compare", "recorded", "recorded"], cwd=self.home, text=True,
                              capture_output=True, timeout=60, check=True)
        self.assertEqual(done.stdout.count("undecided at n = 15, 15"), 6, done.stdout)
        self.assertTrue((self.home / "recorded/study.h5").exists())


class Formats(Case):
    def test_text_is_for_a_terminal(self):
        text = self.report("strong").stdout
        self.assertLessEqual(max(map(len, text.splitlines())), 100)
        for words in ("Base: 1 rank x 1 thread, 24", "n = 30 repetitions", "Speed-up:", "Efficiency:",
                      "USL: a = ", "cores' time is lost to imbalance", "Hosts: node1, node2"):
            self.assertIn(words, text)

    def test_every_kind_of_study_has_a_report(self):
        self.assertIn("Gustafson: f = ", self.report("weak").stdout)
        self.assertIn("4 ranks x 4 threads has the least median", self.report("layout").stdout)
        self.assertRegex(self.report("schedule").stdout, "has the least median.*undecided against")

    def test_study_h5_is_renewed(self):
        self.report("layout")
        with h5py.File(self.home / "layout" / "study.h5") as file:
            self.assertTrue(len(file))

    def test_csv_has_a_row_a_point(self):
        rows = list(csv.DictReader(io.StringIO(self.report("strong", "--format", "csv").stdout)))
        self.assertEqual([1, 2, 4, 8, 16, 32, 64], [int(row["workers"]) for row in rows])
        for row in rows[1:]:
            self.assertLess(float(row["speedup_lo"]), float(row["speedup"]))
            self.assertLess(float(row["speedup"]), float(row["speedup_hi"]))

    def test_json_has_every_sample(self):
        report = json.loads(self.report("strong", "--format", "json").stdout)
        points = report["series"][0]["points"]
        self.assertEqual([30] * 7, [len(point["samples"]) for point in points])
        self.assertEqual(64, len(points[-1]["loads"]))
        self.assertEqual(["Amdahl", "USL"], [law["law"] for law in report["series"][0]["laws"]])

    def test_markdown_has_tables(self):
        text = self.report("weak", "--format", "md").stdout
        self.assertIn("| ranks | threads | n | time s | speed-up | efficiency |", text)

    def test_all_at_once(self):
        formats = "text,html,svg,pdf,png,csv,json,md,perfetto"
        out = self.home / "all"
        told = self.report("strong", "-o", out, "--format", formats).stdout.split()
        self.assertEqual(sorted(told), sorted(str(file) for file in out.iterdir()))
        names = {file.name for file in out.iterdir()}
        self.assertLessEqual({"report.txt", "report.html", "report.md", "report.json", "points.csv",
                              "trace-point-4.json"}, names)
        if GNUPLOT:
            self.assertLessEqual({"figure-speed-up.svg", "figure-time-line.pdf", "figure-load.png"},
                                 names)
            for svg in out.glob("*.svg"):
                xml.parse(svg)
            self.assertTrue((out / "figure-time.pdf").read_bytes().startswith(b"%PDF-"))
            self.assertTrue((out / "figure-time.png").read_bytes().startswith(b"\x89PNG"))

    def test_traces_are_events(self):
        out = self.home / "traces"
        self.report("strong", "-o", out, "--format", "perfetto")
        events = json.loads((out / "trace-point-4.json").read_text())["traceEvents"]
        chunks = [event for event in events if event.get("cat") == "chunk"]
        self.assertEqual(16, len({(event["pid"], event["tid"]) for event in chunks}))
        phases = json.loads((out / "trace-point-2.json").read_text())["traceEvents"]
        self.assertIn("compute", {event["name"] for event in phases})

    def test_a_folder_gets_page_and_text_in_place_of_what_was_there(self):
        out = self.home / "again"
        for _ in range(2):
            self.report("layout", "-o", out)
        self.assertEqual({"report.html", "report.txt"}, {file.name for file in out.iterdir()})

    def test_one_point_works(self):
        text = self.report(self.point()).stdout
        self.assertIn("One point only: scaling takes two or more.", text)
        self.assertNotIn("Speed-up:", text)

    def test_a_trace_among_the_files_goes_with_its_timings(self):
        files = sorted((self.home / "strong" / "points").glob("*.h5"))
        self.assertTrue(any(file.name.endswith(".trace.h5") for file in files))
        self.assertIn("Speed-up:", self.report(*files).stdout)


class Page(Case):
    def page(self, study):
        out = self.home / f"page-{study}"
        self.report(study, "-o", out, "--format", "html")
        return (out / "report.html").read_text()

    @unittest.skipUnless(GNUPLOT, "no gnuplot")
    def test_ids_are_unique_and_targets_exist(self):
        page = self.page("strong")
        ids = re.findall(r"""\bid=["']([^"']+)["']""", page)
        self.assertEqual(len(ids), len(set(ids)))
        for target in re.findall(r"""href=["']#([^"']+)["']""", page):
            self.assertIn(target, ids)
        self.assertGreater(page.count("<figure "), 8)

    def test_it_loads_nothing(self):
        page = self.page("strong")
        self.assertNotRegex(page, r"""(?:src|href)\s*=\s*["'](?!#)""")
        self.assertNotRegex(page, r"@import|url\((?!#)")

    def test_texts_of_files_stay_texts(self):
        page = self.page("bad")
        self.assertNotIn("<script>alert", page)
        self.assertIn("&lt;script&gt;alert(&#39;x&#39;)", page)
        self.assertNotIn(BAD_NAME, self.report("bad", "--format", "md").stdout)

    def test_without_gnuplot_all_else_is_there(self):
        empty = self.home / "empty"
        empty.mkdir(exist_ok=True)
        out = self.home / "bare"
        done = self.report("strong", "-o", out, "--format", "html,text,svg,csv", path=str(empty))
        self.assertEqual(1, done.stderr.count("gnuplot is not on PATH"))
        self.assertIn("gnuplot was not found", (out / "report.html").read_text())
        self.assertEqual({"report.html", "report.txt", "points.csv"},
                         {file.name for file in out.iterdir()})


class Strict(Case):
    def test_good_data_pass(self):
        self.assertEqual("", self.report("strong", "--strict").stderr)

    def test_each_broken_rule_is_named(self):
        record = self.home / "weak" / "study.json"
        text = record.read_text()
        study = json.loads(text)
        study["planned"] = [{"workload": "ep", "config_hash": "", "schedule": "guided", "nodes": 4,
                             "ranks": 64, "threads": 1}]
        record.write_text(json.dumps(study))
        try:
            done = self.report("weak", "--strict", status=3)
        finally:
            record.write_text(text)
        self.assertRegex(done.stderr, r"rule 2 \(.*\) planned and not measured: 4n 64×1")
        self.assertIn("4n 64×1", done.stdout)


class Refusals(Case):
    def test_what_is_no_result(self):
        self.refused("no such file", "nowhere.h5")
        (self.home / "text.h5").write_text("rank,seconds\n")
        self.refused("not a whole timings file", "text.h5")
        (self.home / "nothing").mkdir(exist_ok=True)
        self.refused("nothing", "nothing")
        shutil.copy(self.home / "strong" / "points" / "point-4.trace.h5", self.home / "t.trace.h5")
        self.refused("not a timings file", "t.trace.h5")

    def test_damaged_and_newer_files(self):
        data = self.point().read_bytes()
        (self.home / "short.h5").write_bytes(data[:len(data) // 2])
        self.refused("not a whole timings file", "short.h5")
        (self.home / "newer.h5").write_bytes(data.replace(b"1.2\0", b"2.1\0"))
        self.refused("format version 2.1.*take a newer one", "newer.h5")

    def test_a_damaged_trace(self):
        folder = self.home / "damaged"
        shutil.copytree(self.home / "strong" / "points", folder)
        trace = folder / "point-4.trace.h5"
        trace.write_bytes(trace.read_bytes()[:1000])
        self.refused("point-4.trace.h5: is not a whole trace file", "damaged")

    def test_several_workloads(self):
        self.refused("several workloads", self.point(), self.point(0, "bad"))

    def test_formats(self):
        self.refused(r'unknown format "htm"; did you mean "html"', "strong", "--format", "htm")
        self.refused("must name a format", "strong", "--format", "")
        self.refused("-o: .*html is written into a folder", self.point(), "--format", "html")
        self.refused("text, html are written into a folder", self.point(), "--format", "text,html")

    def test_a_folder_that_cannot_be(self):
        (self.home / "file").write_text("")
        self.refused("cannot make the folder", "strong", "-o", "file")


if __name__ == "__main__":
    sys.exit(unittest.main(argv=[sys.argv[0], *sys.argv[3:]], verbosity=1))
