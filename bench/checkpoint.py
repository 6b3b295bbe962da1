#!/usr/bin/env python3
"""What a checkpoint costs: jobs with and without one, by turns. The bound is 1 % of the run.

usage: bench/checkpoint.py [BUILD] [--turns N] [--ranks N]                     (build/release, 21, 2)

Each tells its own time. Reductions keep partial sums, mandelbrot its packed image. Every other turn begins with the
run without one. Ratios of turns: the median with its interval of 95 % by order statistics; and the ratio of the fastest
runs, which what else the machine does disturbs least.
"""

import argparse
import json
import math
import statistics
import subprocess
import tempfile

JOBS = {
    "ep, class C": ["ep", "-p", "class=C"],
    "sum_squares": ["sum_squares", "-p", "n=4e10"],
    "mandelbrot": ["mandelbrot", "-p", "columns=3000", "-p", "rows=3000", "-p", "limit=20000"],
}


def seconds(options, job, kept):
    with tempfile.TemporaryDirectory(dir=".") as folder:
        extra = ["--checkpoint", f"{folder}/kept"] if kept else ["--no-checkpoint"]
        text = subprocess.run([f"{options.build}/cleave", "run", *job, *extra, "-n", str(options.ranks), "--threads",
                               "1", "-o", f"{folder}/t.h5", "--json"], text=True, capture_output=True, check=True).stdout
    return json.loads(text)["median_s"]


def both(options, job, turn):
    times = {kept: seconds(options, job, kept) for kept in ((False, True) if turn % 2 else (True, False))}
    return times[True], times[False]


def interval(values):
    """That of the median, of 95 % at least, of six values or more."""
    n = len(values)
    below = 0  # left out on either side
    while 2 * sum(math.comb(n, k) for k in range(below + 1)) <= 0.05 * 2**n:
        below += 1
    return sorted(values)[below - 1], sorted(values)[n - below]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", nargs="?", default="build/release")
    parser.add_argument("--turns", type=int, default=21)
    parser.add_argument("--ranks", type=int, default=2)
    options = parser.parse_args()
    for name, job in JOBS.items():
        pairs = [both(options, job, turn) for turn in range(options.turns)]
        ratios = [kept / plain for kept, plain in pairs]
        low, high = interval(ratios)
        fastest = min(kept for kept, _ in pairs) / min(plain for _, plain in pairs)
        print(f"{name:14} {statistics.median(plain for _, plain in pairs):7.3f} s; with a checkpoint "
              f"{statistics.median(ratios):.4f} of it [{low:.4f}, {high:.4f}], the fastest {fastest:.4f}; bound 1.01",
              flush=True)


main()
