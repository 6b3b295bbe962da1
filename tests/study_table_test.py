"""study.h5 beside the same figures by numpy, scipy and pandas, from the timings files themselves.

study_table_test.py CLEAVE. A small study is run, then its times are replaced by ones of a known law, so
that every figure can be told by other means; `cleave study --resume` derives the table again.
"""

import json
import os
import subprocess
import sys
import tempfile
import unittest
import warnings
from pathlib import Path

import h5py
import numpy as np
import xarray as xr

from edited import without_sums

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from scipy import stats

CLEAVE = os.path.abspath(sys.argv[1])
REPETITIONS = 10
RANKS = (1, 2, 3, 4)
STUDY = f"""
job = "squares"
mode = "strong"
ranks = {list(RANKS)}
threads = [1]
[measure]
warmup = 0
repetitions = {REPETITIONS}
half_width = 0
"""


def median_interval(values):
    """By the quantiles of the binomial distribution: ranks l and n+1-l."""
    n = len(values)
    least = int(stats.binom.ppf(0.025, n, 0.5))
    while least > 0 and stats.binom.cdf(least - 1, n, 0.5) > 0.025:
        least -= 1
    while stats.binom.cdf(least, n, 0.5) <= 0.025:
        least += 1
    return np.sort(values)[[least - 1, n - least]] if least > 0 else (np.nan, np.nan)


class Table(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.home = Path(cls.directory.name)
        (cls.home / "s.toml").write_text(STUDY)
        cls.study("s.toml", "-o", "s", "--oversubscribe")
        rng = np.random.default_rng(1)
        for path in sorted((cls.home / "s/points").glob("*.h5")):
            with h5py.File(path, "r+") as file:
                without_sums(file)
                run = file["run"]
                p = run.attrs["ranks"]
                done = run["rep_state"][:] == 1
                mean = 8 * (1 + 0.05 * (p - 1) + 0.002 * p * (p - 1)) / p
                walls = run["wall"][:]
                walls[done] = mean * (1 + 0.02 * rng.random(done.sum()))
                run["wall"][:] = walls
                run.attrs["oversubscribed"] = np.int64(0)
                busy = run["thread_busy"][:]
                busy[done, :, 0] = walls[done, None] * np.linspace(0.9, 0.6, p)[None, :]
                run["thread_busy"][:] = busy
        cls.study("s.toml", "-o", "s", "--oversubscribe", "--resume")
        cls.table = xr.open_dataset(cls.home / "s/study.h5").load()
        cls.points = cls.read_points()

    @classmethod
    def tearDownClass(cls):
        cls.directory.cleanup()

    @classmethod
    def study(cls, *arguments):
        subprocess.run([CLEAVE, "study", *arguments], cwd=cls.home, check=True, timeout=120,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    @classmethod
    def read_points(cls):
        """ranks -> (starts, walls, busy by rank) of its completed repetitions."""
        parts = {ranks: [] for ranks in RANKS}
        for path in (cls.home / "s/points").glob("*.h5"):
            with xr.open_dataset(path, group="run") as run:
                done = run.where(run.rep_state == 1, drop=True).load()
            parts[run.attrs["ranks"]].append((done.rep_start_utc.values, done.wall.values,
                                              done.thread_busy.mean("thread").values))
        return {ranks: [np.concatenate(column) for column in zip(*files)]
                for ranks, files in parts.items()}

    def column(self, name):
        return self.table[name].values

    def test_one_row_a_point(self):
        self.assertEqual(self.table.attrs["mode"], "strong")
        self.assertEqual(list(self.column("ranks")), list(RANKS))
        self.assertEqual(list(self.column("n")), [REPETITIONS] * len(RANKS))
        self.assertEqual(list(self.column("base")), [1, 0, 0, 0])
        self.assertEqual(set(self.column("verified")), {1})

    def test_pandas(self):
        frame = self.table.to_dataframe().set_index("ranks")
        self.assertEqual(list(frame.index), list(RANKS))
        self.assertEqual(frame.workload.unique().tolist(), ["squares"])

    def test_medians_and_intervals(self):
        for row, ranks in enumerate(RANKS):
            walls = self.points[ranks][1]
            self.assertAlmostEqual(self.column("time")[row], np.median(walls), places=12)
            ends = [self.column("time_lo")[row], self.column("time_hi")[row]]
            np.testing.assert_allclose(ends, median_interval(walls))

    def test_speed_up(self):
        base = self.points[1][1]
        for row, ranks in enumerate(RANKS[1:], 1):
            walls = self.points[ranks][1]
            speed_up = np.median(base) / np.median(walls)
            self.assertAlmostEqual(self.column("speedup")[row], speed_up, places=12)
            self.assertAlmostEqual(self.column("efficiency")[row], speed_up / ranks, places=12)
            self.assertAlmostEqual(self.column("karp_flatt")[row], (1 / speed_up - 1 / ranks) / (1 - 1 / ranks),
                                   places=12)
            ends = [self.column("speedup_lo")[row], self.column("speedup_hi")[row]]
            own, of_base = median_interval(walls), median_interval(base)
            np.testing.assert_allclose(ends, [of_base[0] / own[1], of_base[1] / own[0]])
        self.assertTrue(np.isnan(self.column("speedup_lo")[0]))

    def test_where_time_went(self):
        for row, ranks in enumerate(RANKS):
            _, walls, busy = self.points[ranks]
            most = busy.max(axis=1)
            for name, values in [("load_balance", busy.mean(axis=1) / most),
                                 ("communication_efficiency", most / walls),
                                 ("parallel_efficiency", busy.mean(axis=1) / walls),
                                 ("imbalance", 100 * (most / busy.mean(axis=1) - 1))]:
                self.assertAlmostEqual(self.column(name)[row], np.median(values), places=10, msg=name)

    def test_laws(self):
        laws = xr.open_dataset(self.home / "s/study.h5", group="laws").to_dataframe()
        p = np.array(RANKS, dtype=float)
        y = p * np.array([np.median(self.points[ranks][1]) for ranks in RANKS])
        for law, columns in [("Amdahl", [p - 1]), ("USL", [p - 1, p * (p - 1)])]:
            x = np.stack([np.ones_like(p), *columns], axis=1) / y[:, None]
            fitted, squares, _, _ = np.linalg.lstsq(x, np.ones_like(p), rcond=None)
            found = laws[laws.law == law]
            np.testing.assert_allclose(found.value, fitted[1:] / fitted[0], rtol=1e-9)
            freedom = len(p) - len(fitted)
            covariance = np.linalg.inv(x.T @ x) * squares[0] / freedom
            slope = np.array([-fitted[1] / fitted[0]**2, 1 / fitted[0]] + [0.0] * (len(fitted) - 2))
            half = stats.t.ppf(0.975, freedom) * np.sqrt(slope @ covariance @ slope)
            np.testing.assert_allclose(found.value_hi.iloc[0] - found.value.iloc[0], half, rtol=1e-6)

    def test_drift(self):
        residuals = sorted((start, wall / np.median(walls) - 1) for starts, walls, _ in self.points.values()
                           for start, wall in zip(starts, walls))
        values = [value for _, value in residuals]
        expected = stats.kendalltau(np.arange(len(values)), values, method="exact").pvalue
        self.assertAlmostEqual(float(self.table.attrs["drift_p"]), expected, places=5)

    def test_comparison(self):
        files = [str(next((self.home / "s/points").glob(f"*-{ranks}x1-*.1.h5"))) for ranks in (2, 3)]
        report = subprocess.run([CLEAVE, "compare", *files, "--format", "json"], text=True, check=True,
                                capture_output=True).stdout
        found = json.loads(report)["points"][0]
        times = []
        for file in files:
            with xr.open_dataset(file, group="run") as run:
                times.append(run.wall.values[~np.isnan(run.wall.values)])
        expected = stats.mannwhitneyu(*times, alternative="two-sided", method="exact").pvalue
        self.assertAlmostEqual(found["p"], expected, places=12)
        shift = np.median([b - a for a in times[0] for b in times[1]])
        self.assertAlmostEqual(found["shift_s"], shift, places=12)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[2:])
