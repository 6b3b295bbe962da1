#!/usr/bin/env python3
"""`cleave run primes` beside the program primesieve, on as many cores.

usage: bench/primes.py [BUILD] [--turns N] [--threads N] [--below B]      (build/release, 11, 2, 1e10)

Both count the primes below B in turns; start-up is counted for neither: each tells its own time. The
program primesieve is in the Debian package of that name.
"""

import argparse
import json
import re
import statistics
import subprocess
import tempfile


def by_primesieve(options):
    """Seconds and primes."""
    text = subprocess.run(["primesieve", options.below, f"-t{options.threads}", "--time"], text=True,
                          capture_output=True, check=True).stdout
    return float(re.search(r"Seconds: ([\d.]+)", text)[1]), int(re.search(r"Primes: (\d+)", text)[1])


def by_cleave(options, ranks):
    """The same, by threads of one rank or by ranks of one thread."""
    layout = ["-n", str(options.threads), "--threads", "1"] if ranks else ["--threads", str(options.threads)]
    with tempfile.TemporaryDirectory() as folder:
        text = subprocess.run([f"{options.build}/cleave", "run", "primes", "-p", f"b={options.below}",
                               "-o", f"{folder}/t.h5", "--json", *layout], text=True,
                              capture_output=True, check=True).stdout
    report = json.loads(text)
    return report["median_s"], report["result"]["count"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", nargs="?", default="build/release")
    parser.add_argument("--turns", type=int, default=11)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--below", default="1e10")
    options = parser.parse_args()
    sides = {"primesieve": by_primesieve, "threads": lambda o: by_cleave(o, False),
             "ranks": lambda o: by_cleave(o, True)}
    seconds = {name: [] for name in sides}
    for _ in range(options.turns):
        counts = set()
        for name, side in sides.items():
            time_s, count = side(options)
            seconds[name].append(time_s)
            counts.add(count)
        if len(counts) > 1:
            raise SystemExit(f"the counts differ: {counts}")
    for name, times in seconds.items():
        ratios = sorted(t / p for t, p in zip(times, seconds["primesieve"]))
        print(f"{name:10}  {statistics.median(times):7.3f} s, best {min(times):.3f} s; of primesieve "
              f"{statistics.median(ratios):.3f} (from {ratios[0]:.3f} to {ratios[-1]:.3f}), "
              f"best of best {min(times) / min(seconds['primesieve']):.3f}")


main()
