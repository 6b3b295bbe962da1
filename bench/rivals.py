#!/usr/bin/env python3
"""Cleave beside what users have today: what a null task costs, and the efficiency at some lengths.

usage: bench/rivals.py [BUILD] [--turns N] [--workers N]      (build/release, 11, 2)

Every side is started anew in each turn; start-up is not counted. Python's sides run under the
python3 that runs this. What is not installed is said and left out: mpi4py (python3-mpi4py, seen by
/usr/bin/python3), OpenMP and oneTBB (libtbb-dev) when BUILD was configured.
"""

import argparse
import concurrent.futures
import importlib.util
import math
import multiprocessing
import os
import statistics
import subprocess
import sys
import time

COLUMNS = {"null": "null task, us", "10": "10 us", "100": "100 us", "1000": "1 ms"}
PYTHON = ["multiprocessing", "concurrent.futures", "mpi4py.futures"]
MPIRUN = ["mpirun", "-q", "--bind-to", "none", "-n"]
ENVIRONMENT = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}


def task(steps):
    """The task of rivals.cpp: dependent multiplications."""
    x = 1.0
    for _ in range(steps):
        x = x * 1.0000001 + 1e-12
    return x


def bare(share):
    """A loop over so many tasks of so many steps: what each worker would do without a pool."""
    count, steps = share
    for _ in range(count):
        task(steps)


def seconds(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def seconds_a_step():
    return min(seconds(lambda: task(100_000)) for _ in range(20)) / 1e5


def make_map(side, workers):
    """map(function, inputs, chunk), which returns a list, on workers that have been started."""
    if side == "multiprocessing":
        pool = multiprocessing.Pool(workers)
        return lambda f, inputs, chunk: pool.map(f, inputs, chunksize=chunk)
    if side == "concurrent.futures":
        executor = concurrent.futures.ProcessPoolExecutor(workers)
    else:
        from mpi4py.futures import MPIPoolExecutor
        executor = MPIPoolExecutor(workers)
    return lambda f, inputs, chunk: list(executor.map(f, inputs, chunksize=chunk))


def measure(side, workers):
    """Prints lines of name, column and value, as rivals.cpp does."""
    pool_map = make_map(side, workers)
    step_s = seconds_a_step()
    pool_map(bare, [(1, 10_000)] * workers, 1)
    for chunk in ["chunk 1", "tuned"]:
        def run(f, inputs):
            # Four chunks a worker are what multiprocessing.Pool makes when it is not told.
            size = 1 if chunk == "chunk 1" else math.ceil(len(inputs) / (4 * workers))
            assert len(pool_map(f, inputs, size)) == len(inputs)

        inputs = range(10_000 if chunk == "chunk 1" else 400_000)
        run(float, inputs[:1000])
        print(f"{side}, {chunk}", "null", seconds(lambda: run(float, inputs)) / len(inputs) * 1e6,
              sep="\t")
        for us in [10, 100, 1000]:
            steps = round(us * 1e-6 / step_s)
            share = 100_000 // us  # 0.1 s
            alone = seconds(lambda: pool_map(bare, [(share, steps)] * workers, 1))
            together = seconds(lambda: run(task, [steps] * (share * workers)))
            print(f"{side}, {chunk}", us, alone / together, sep="\t")


def commands(build, workers):
    """What one turn starts: name, command and, in place of a command, why there is none."""
    rivals = os.path.join(build, "bench", "rivals")
    if os.path.exists(rivals):
        yield "Cleave", [*MPIRUN, str(workers), rivals], None
        yield "Cleave", [*MPIRUN, "1", rivals, "--threads", str(workers)], None
    else:
        yield "Cleave, OpenMP, oneTBB", None, f"no {rivals}"
    for side in PYTHON:
        command = [sys.executable, __file__, "--measure", side, "--workers", str(workers)]
        if side != "mpi4py.futures":
            yield side, command, None
        elif importlib.util.find_spec("mpi4py"):
            # Its root only hands out, as the parent does in Python's own pools.
            command[1:1] = ["-m", "mpi4py.futures"]
            yield side, [*MPIRUN, str(workers + 1), "--oversubscribe", *command], None
        else:
            yield side, None, "not installed"


def take_turns(build, workers, turns):
    """@return {name: {column: values}}, or {name: reason} of what is left out, in order"""
    table = {}
    for turn in range(turns):
        for name, command, missing in commands(build, workers):
            if missing:
                table[name] = missing
                continue
            done = subprocess.run(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True,
                                  check=True, timeout=300)
            for name, *rest in (line.split("\t") for line in done.stdout.splitlines()):
                if len(rest) == 1:
                    table[name] = rest[0]
                else:
                    table.setdefault(name, {}).setdefault(rest[0], []).append(float(rest[1]))
        print(f"turn {turn + 1} of {turns}", file=sys.stderr)
    return table


def figure(values):
    """The median with its 95 % interval of order statistics, as cleave::median_interval."""
    values, n, low = sorted(values), len(values), 0
    while sum(math.comb(n, k) for k in range(low + 1)) / 2**n <= 0.025:
        low += 1
    interval = f" [{values[low - 1]:.3g}, {values[n - low]:.3g}]" if low else " [no interval]"
    return f"{statistics.median(values):.3g}{interval}"


def print_heading(how):
    """The machine, its load and the command line, as bench.hpp."""
    with open("/proc/cpuinfo") as file:
        models = [line.split(": ")[1].strip() for line in file if line.startswith("model name")]
    model = models[0] if models else "unknown processor"
    print(f"machine: {model}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}")
    print("command:", *sys.argv)
    print(how)


def print_row(name, cells):
    """A row of Markdown's."""
    print(f"| {name:35} |", *(f"{cell:22} |" for cell in cells))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", nargs="?", default="build/release")
    parser.add_argument("--turns", type=int, default=11)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--measure", choices=PYTHON, help="for one turn of one side")
    options = parser.parse_args()
    if options.measure:
        measure(options.measure, options.workers)
        return
    print_heading(f"workers: {options.workers}, turns: {options.turns}; medians, 95 % intervals in brackets")
    print("null task: wall time / tasks; at a length: efficiency against bare loops on the same"
          " workers\n")
    table = take_turns(options.build, options.workers, options.turns)
    print_row("", COLUMNS.values())
    print("|---" * (len(COLUMNS) + 1) + "|")
    for name, row in table.items():
        missing = isinstance(row, str)
        print_row(name, [row, "", "", ""] if missing else [figure(row[key]) for key in COLUMNS])


if __name__ == "__main__":
    main()
