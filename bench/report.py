#!/usr/bin/env python3
"""How long `cleave report` takes for 1,000 points of 30 repetitions; the bound is 3 s for the page.

usage: bench/report.py [BUILD] [--turns N]                                       (build/release, 5)
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

BOUND_S = 3


def seconds(command):
    begin = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", nargs="?", default="build/release")
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    worst = 0
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([f"{options.build}/tests/report_probe", f"{folder}/study", "large"], check=True)
        print(f"1,000 points x 30 repetitions, load {os.getloadavg()[0]:.1f}")
        for formats in ("text", "html", "csv", "json", "md"):
            command = [f"{options.build}/cleave", "report", f"{folder}/study", "-o", f"{folder}/out",
                       "--format", formats]
            taken = [seconds(command) for _ in range(options.turns)]
            print(f"{formats:5} {statistics.median(taken):6.2f} s  ({min(taken):.2f} to {max(taken):.2f})")
            worst = max(worst, statistics.median(taken))
    print(f"bound {BOUND_S} s: {'kept' if worst < BOUND_S else 'NOT kept'}")
    return 0 if worst < BOUND_S else 3


if __name__ == "__main__":
    sys.exit(main())
