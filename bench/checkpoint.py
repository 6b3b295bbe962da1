#!/usr/bin/env python3
"""What a checkpoint costs: jobs with and without one, by turns. The bound is 1 % of the run.

usage: bench/checkpoint.py [BUILD] [--turns N] [--ranks N]                     (build/release, 11, 2)

Each tells its own time. Reductions keep partial sums, mandelbrot its packed image. Ratios of turns: the median, and the
second smallest and largest, which of 11 is an interval of 98 %.
"""

import argparse
import json
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


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", nargs="?", default="build/release")
    parser.add_argument("--turns", type=int, default=11)
    parser.add_argument("--ranks", type=int, default=2)
    options = parser.parse_args()
    for name, job in JOBS.items():
        pairs = [(seconds(options, job, True), seconds(options, job, False)) for _ in range(options.turns)]
        ratios = sorted(kept / plain for kept, plain in pairs)
        low, high = (ratios[1], ratios[-2]) if options.turns >= 9 else (ratios[0], ratios[-1])
        print(f"{name:14} {statistics.median(plain for _, plain in pairs):7.3f} s; with a checkpoint "
              f"{statistics.median(ratios):.4f} of it [{low:.4f}, {high:.4f}], bound 1.01", flush=True)


main()
