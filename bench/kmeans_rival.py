#!/usr/bin/env python3
"""An iteration of k-means on one core: Cleave beside scikit-learn's Lloyd.

usage: bench/kmeans_rival.py [BUILD] [--turns N] [--rows N] [--columns N] [--clusters N]

Both sides begin with the same centroids and run 1 and 11 iterations; the difference is ten
iterations without start-up, reading and checks. Both end with the same inertia, or the status is 3.
Without scikit-learn (python3-sklearn, seen by /usr/bin/python3) that is said, and nothing is
measured. Its products are those of the BLAS that numpy finds: libopenblas0-pthread for a fair
rival.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
              "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
SHORT, LONG = 1, 11


def cleave(build, table, clusters, iterations):
    """@return seconds and inertia"""
    with tempfile.TemporaryDirectory() as folder:
        run = subprocess.run(
            [os.path.join(build, "cleave"), "run", "kmeans", "-p", f"input={table}", "-p", f"k={clusters}",
             "-p", f"max_iterations={iterations}", "--threads", "1", "--json", "-o", folder + "/t.h5"],
            env={**os.environ, **ONE_THREAD}, stdout=subprocess.PIPE, text=True, check=True)
    report = json.loads(run.stdout)
    return report["median_s"], report["result"]["inertia"]


def sklearn(rows, clusters, iterations):
    """The same of scikit-learn, whose last iteration is followed by one more assignment."""
    import warnings
    from sklearn.cluster import KMeans
    warnings.simplefilter("ignore")
    start = time.perf_counter()
    done = KMeans(clusters, init=rows[:clusters].copy(), n_init=1, max_iter=iterations, tol=0,
                  algorithm="lloyd", copy_x=True).fit(rows)
    return time.perf_counter() - start, done.inertia_


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", nargs="?", default="build/release")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--columns", type=int, default=64)
    parser.add_argument("--clusters", type=int, default=64)
    options = parser.parse_args()
    try:
        import h5py
        import numpy
        import sklearn as rival
    except ImportError as missing:
        print(f"not measured: {missing}; install python3-sklearn and python3-h5py")
        return 0
    print(f"machine: {os.cpu_count()} cores, load {os.getloadavg()[0]:.2f};"
          f" scikit-learn {rival.__version__}, numpy {numpy.__version__}")
    print("command:", *sys.argv)
    rows = numpy.random.default_rng(1).normal(size=(options.rows, options.columns))
    times = {"Cleave": [], "scikit-learn": []}
    with tempfile.TemporaryDirectory() as folder:
        table = os.path.join(folder, "table.h5")
        with h5py.File(table, "w") as file:
            file["x"] = rows
        for _ in range(options.turns):
            # scikit-learn's inertia is that of one more assignment.
            _, inertia = cleave(options.build, table, options.clusters, SHORT + 1)
            ours = [cleave(options.build, table, options.clusters, n)[0] for n in (SHORT, LONG)]
            theirs = [sklearn(rows, options.clusters, n) for n in (SHORT, LONG)]
            if abs(inertia / theirs[0][1] - 1) > 1e-9:
                print(f"WRONG: inertia {inertia} and {theirs[0][1]}")
                return 3
            times["Cleave"].append((ours[1] - ours[0]) / (LONG - SHORT))
            times["scikit-learn"].append((theirs[1][0] - theirs[0][0]) / (LONG - SHORT))
    for side, seconds in times.items():
        flop = 2 * options.rows * options.columns * options.clusters
        print(f"{side:14} {1e3 * statistics.median(seconds):8.1f} ms an iteration,"
              f" {flop / statistics.median(seconds) * 1e-9:6.2f} Gflop/s")
    ratios = [b / a for a, b in zip(times["Cleave"], times["scikit-learn"])]
    print(f"scikit-learn / Cleave {statistics.median(ratios):.2f}"
          f" [{min(ratios):.2f} to {max(ratios):.2f}], wanted: >= 1.2")
    return 0


if __name__ == "__main__":
    os.environ.update(ONE_THREAD)
    sys.exit(main())
