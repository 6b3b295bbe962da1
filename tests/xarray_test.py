"""xarray_test.py PROBE SOURCE: timings files as readers see them that know nothing of Cleave.

PROBE is store_probe; its "sample" has numbers that are functions of (row, what, rank), stated again
here. Also runs every example of docs/reading-results.md.
"""

import ctypes
import os
import re
import subprocess
import sys
import tempfile
import unittest
import warnings
from pathlib import Path

import h5netcdf  # noqa: F401  here, since some builds of the engines warn when they are imported
import h5py
import netCDF4  # noqa: F401
import numpy as np
import xarray as xr

PROBE, SOURCE = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
# Warnings are errors, but for one that Debian's netCDF4 gives when it is imported.
STRICT = ["-W", "error", "-W", "ignore:numpy.ndarray size changed:RuntimeWarning"]
ENGINES = ["h5netcdf", "netcdf4"]
ROWS, RANKS, THREADS = 12, 3, 4
RANK_THREADS = [4, 2, 1]
DONE = range(9)
NAN = float("nan")
SIZES = {"rep": ROWS, "rank": RANKS, "thread": THREADS, "node": 2, "phase": 6}


def number(row, what, rank):
    """As in store_sample.hpp."""
    return 1000.0 * row + 10.0 * what + rank


def of_run(value, unused):
    """An array (rep): value(row) in committed rows."""
    return np.array([value(row) if row < 10 else unused for row in range(ROWS)])


def of_ranks(value, unused):
    """An array (rep, rank)."""
    return np.array([[value(row, k) if row < 10 else unused for k in range(RANKS)] for row in range(ROWS)])


def count(what):
    """Large 64-bit counters: a reader that goes through double loses their last digits."""
    return of_ranks(lambda row, rank: (1 << 60) + int(number(row, what, rank)), 0).astype("u8")


EXPECTED = {
    "wall": of_run(lambda row: number(row, 1, 0) if row in DONE else NAN, NAN),
    "barrier_skew": of_run(lambda row: number(row, 2, 0), NAN),
    "clock_error": of_run(lambda row: number(row, 3, 0), NAN),
    "rep_start_utc": of_run(lambda row: 1.7e9 + row, NAN),
    "load1": of_run(lambda row: row + 0.5, NAN).astype("f4"),
    "checksum": ~np.array([*range(10), -1, -1], "i8").view("u8"),
    "tasks_done": count(30),
    "chunks_done": count(31),
    "bytes_in": count(32),
    "bytes_out": count(33),
    "involuntary_switches": of_ranks(lambda row, rank: number(row, 34, rank), 0).astype("u4"),
    "peak_memory": count(35),
    "program_memory": count(36),
    "rep_state": np.array([1] * 9 + [2, 0, 0], "u1"),
    "verify": np.array([1] * 9 + [2, 0, 0], "u1"),
    "rank_node": np.array([0, 0, 1], "i4"),
    "rank_threads": np.array(RANK_THREADS, "i4"),
    "rank_pid": np.array([1001, 1002, 5_000_000_003], "i8"),
    "phase_time": np.stack(
        [of_ranks(lambda row, rank, p=p: number(row, 4 + p, rank) + 0.25, NAN) for p in range(6)], -1
    ),
    "phase_begin": np.stack(
        [of_ranks(lambda row, rank, p=p: NAN if p == 5 else number(row, 14, rank) + 0.5, NAN) for p in range(6)], -1
    ),
    "thread_busy": np.stack(
        [
            of_ranks(lambda row, k, t=t: number(row, 20 + t, k) if t < RANK_THREADS[k] else NAN, NAN)
            for t in range(THREADS)
        ],
        -1,
    ),
}
SUMMED = ("wall barrier_skew clock_error rep_start_utc load1 verify checksum phase_time phase_begin thread_busy tasks_done "
          "chunks_done bytes_in bytes_out involuntary_switches").split()
TEXTS = {
    "rank_cpus": ["0-3", "4,6", "0"],
    "node_name": ["alpha", "bêta"],
    "phase": ["setup", "scatter", "compute", "wait", "gather", "write"],
}
ATTRIBUTES = {
    "workload": "sample",
    "ranks": 3,
    "threads": 4,
    "nodes": 2,
    "oversubscribed": 1,
    "tasks": 5_000_000_000,
    "work_items": 1e6,
    "work_unit": "pairs",
    "schedule": "block",
    "sync_method": "window",
    "summary_method": "median",
}


class Readers(unittest.TestCase):
    """All in the folder of the sample files."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        subprocess.run([PROBE, "sample", cls.folder.name], check=True)
        os.chdir(cls.folder.name)

    @classmethod
    def tearDownClass(cls):
        os.chdir("/")
        cls.folder.cleanup()

    def setUp(self):
        warnings.simplefilter("error")

    def each_engine(self, file, group=None):
        """The loaded dataset, once by each engine."""
        for engine in ENGINES:
            with self.subTest(engine=engine, group=group):
                with xr.open_dataset(file, group=group, engine=engine) as dataset:
                    yield dataset.load()

    def test_every_number_arrives(self):
        for run in self.each_engine("run.h5", "run"):
            self.assertEqual(SIZES, dict(run.sizes))
            self.assertEqual(set(run.variables), set(EXPECTED) | set(TEXTS) | set(SIZES) | {"schedule_used", "row_xxh3", "added_xxh3"})
            for name, values in EXPECTED.items():
                self.assertEqual(values.dtype, run[name].dtype, name)
                np.testing.assert_array_equal(values, run[name].values, name)
            for name, texts in TEXTS.items():
                self.assertEqual(texts, list(run[name].values))
            self.assertEqual(["block"] * 5 + ["guided,64"] * 4 + ["block"], list(run.schedule_used.values[:10]))
            for name in ("rep", "rank", "thread", "node"):
                np.testing.assert_array_equal(np.arange(SIZES[name]), run[name].values)

    def test_dimensions_have_their_names(self):
        for run in self.each_engine("run.h5", "run"):
            self.assertEqual(("rep", "rank", "phase"), run.phase_time.dims)
            self.assertEqual(("rep", "rank", "thread"), run.thread_busy.dims)
            self.assertEqual(("rep", "rank"), run.tasks_done.dims)
            self.assertEqual(("node",), run.node_name.dims)
            self.assertEqual(number(4, 6, 2) + 0.25, run.phase_time.sel(rep=4, rank=2, phase="compute").item())

    def test_attributes_say_what_it_is(self):
        for run in self.each_engine("run.h5", "run"):
            self.assertEqual(ATTRIBUTES, run.attrs)
            for name, variable in run.variables.items():
                self.assertTrue(variable.attrs["units"] and variable.attrs["long_name"], name)
                if variable.dtype.kind == "f":
                    self.assertTrue(np.isnan(variable.encoding["_FillValue"]), name)
            for name, words in {
                "rep_state": "empty done wrong_answer interrupted resumed",
                "verify": "not_checked ok failed",
            }.items():
                self.assertEqual(words, run[name].attrs["flag_meanings"])
                self.assertEqual(list(range(len(words.split()))), list(run[name].attrs["flag_values"]))
        for root in self.each_engine("run.h5"):
            self.assertEqual(("cleave-timings", "1.2"), (root.attrs["format"], root.attrs["format_version"]))
            self.assertRegex(root.attrs["file_uuid"], "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
            self.assertRegex(root.attrs["created_utc"], "^20[0-9-]{8}T[0-9:]{8}Z$")
            self.assertEqual("00112233445566aa", root.attrs["config_hash"])

    def test_the_other_groups(self):
        for warm_up in self.each_engine("run.h5", "warm_up"):
            np.testing.assert_array_equal([1, 0], warm_up.rep_state.values)
            np.testing.assert_array_equal([number(100, 1, 0), NAN], warm_up.wall.values)
        for facts in self.each_engine("run.h5", "provenance"):
            self.assertEqual(
                {"argv": "cleave run sample", "job_file": "a = 1\n# é\n", "cwd": ""},
                {name: facts[name].item() for name in facts},
            )

    def test_traces(self):
        for trace in self.each_engine("run.trace.h5"):
            table = trace.to_dataframe()
            self.assertEqual(20, len(table))
            self.assertEqual([1, 1, 1, 1900, 100, 4.75, 4.95], list(table.loc[19, ["rep", "rank", "thread", "first_task", "tasks", "begin_s", "end_s"]]))
            self.assertEqual("s", trace.begin_s.attrs["units"])
        for trace in self.each_engine("empty.trace.h5"):
            self.assertEqual({"chunk": 0}, dict(trace.sizes))

    def test_sums_are_what_the_format_says(self):
        xxh3 = ctypes.CDLL("libxxhash.so.0").XXH3_64bits_withSeed
        xxh3.restype, xxh3.argtypes = ctypes.c_uint64, (ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64)

        def chained(pieces):
            total = 0
            for piece in pieces:
                total = xxh3(piece, len(piece), total)
            return total

        with h5py.File("run.h5") as file:
            run = file["run"]
            for row in range(10):
                pieces = [run[name][row].tobytes() for name in SUMMED]
                pieces += [run["schedule_used"].asstr()[row].encode(), run["rep_state"][row].tobytes()]
                self.assertEqual(chained(pieces), run["row_xxh3"][row], row)
                pieces = [run[name][row].tobytes() for name in ("peak_memory", "program_memory")]
                self.assertEqual(chained(pieces), run["added_xxh3"][row], row)
            for name in ("row_xxh3", "added_xxh3"):
                self.assertEqual([xxh3(b"", 0, 0)] * 2, list(run[name][10:]), name)
        with h5py.File("run.trace.h5") as file:
            columns = ("rep", "rank", "thread", "first_task", "tasks", "begin_s", "end_s")
            self.assertEqual(f"{chained(file[name][:].tobytes() for name in columns):016x}",
                             file.attrs["columns_xxh3"].decode().rstrip("\0"))

    def test_h5py_finds_contiguous_datasets_and_plain_attributes(self):
        with h5py.File("run.h5") as file:
            def visit(name, item):
                if isinstance(item, h5py.Dataset):
                    self.assertIsNone(item.chunks, name)
                    self.assertEqual(h5py.h5d.ALLOC_TIME_EARLY, item.id.get_create_plist().get_alloc_time(), name)
                for key in item.attrs:
                    kind = item.attrs.get_id(key).get_type()
                    if isinstance(kind, h5py.h5t.TypeStringID):
                        self.assertFalse(kind.is_variable_str(), f"{name} {key}")

            file.visititems(visit)
            self.assertEqual(["/run/rep", "/run/rank", "/run/phase"], [scale[0].name for scale in file["run/phase_time"].dims])
            self.assertTrue(all(h5py.h5ds.is_scale(file[f"run/{name}"].id) for name in SIZES))

    def test_results(self):
        with h5py.File("result.h5") as file:
            self.assertEqual(9_007_199_254_740_993, file["count"][()])
            self.assertEqual([1, -4, 9], list(file["values"]))
            self.assertEqual(["333332833333500000", "a\nb"], list(file["sums"].asstr()))
            self.assertEqual('pairs, "each"', file["unit"].asstr()[()])
            self.assertEqual((0,), file["nothing"].shape)

    def test_h5dump(self):
        dump = subprocess.run(["h5dump", "run.h5"], capture_output=True, check=True, text=True)
        self.assertEqual("", dump.stderr)
        self.assertIn("wrong_answer", dump.stdout)

    def test_table_of_a_study(self):
        for engine in ENGINES:
            with self.subTest(engine=engine):
                table = xr.open_dataset("study/study.h5", engine=engine).load()
                self.assertEqual(table.attrs["format"], "cleave-study")
                self.assertEqual(table.sizes, {"point": 3})
                self.assertEqual(table.workers.values.tolist(), [1, 2, 4])
                np.testing.assert_allclose(table.time.values, [8, 4.4, 2.5])
                np.testing.assert_allclose(table.efficiency.values, [1, 8 / 8.8, 0.8])
                self.assertEqual(table.workload.values.tolist(), ["ep"] * 3)
                laws = xr.open_dataset("study/study.h5", engine=engine, group="laws").load()
                self.assertEqual(laws.name.values.tolist(), ["f", "a", "b"])
                facts = xr.open_dataset("study/study.h5", engine=engine, group="provenance").load()
                self.assertIn("cpu_model", facts.name.values.tolist())

    def test_every_example_of_the_page_runs(self):
        page = (SOURCE / "docs/reading-results.md").read_text(encoding="utf-8")
        examples = re.findall(r"^```(python|sh)\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
        self.assertGreater(len(examples), 8)
        for language, text in examples:
            command = [sys.executable, *STRICT, "-c"] if language == "python" else ["bash", "-ec"]
            with self.subTest(example=text):
                done = subprocess.run(command + [text], capture_output=True, check=False, text=True)
                self.assertEqual((0, ""), (done.returncode, done.stderr))
                self.assertTrue(done.stdout)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
