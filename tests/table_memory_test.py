"""A rank holds its own rows of a table and little more, so that the table need not fit one node.

usage: table_memory_test.py PROGRAM MPIEXEC...   where MPIEXEC ends with the flag for the ranks
"""

import os
import subprocess
import sys
import tempfile

import h5py
import numpy

ROWS, COLUMNS, RANKS = 2_097_152, 64, 4  # 1 GiB, of which a rank holds a quarter
HELD_MIB, WANTED_MIB = 256, 381  # the latter is 400 MB
BLOCK = 4096


def peak_mib(program, mpiexec, *arguments):
    """The most memory that any rank has held."""
    with tempfile.TemporaryDirectory() as folder:
        run = subprocess.Popen([*mpiexec, str(RANKS), program, "run", *arguments, "--threads", "1",
                                "-o", os.path.join(folder, "t.h5")], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(run.pid, 0)
        run.returncode = os.waitstatus_to_exitcode(status)
    if run.returncode != 0:
        sys.exit(f"{arguments}: status {run.returncode}")
    return usage.ru_maxrss / 1024


def main(program, *mpiexec):
    with tempfile.TemporaryDirectory() as folder:
        table = os.path.join(folder, "table.h5")
        block = numpy.random.default_rng(1).normal(size=(BLOCK, COLUMNS))
        with h5py.File(table, "w") as file:
            rows = file.create_dataset("x", (ROWS, COLUMNS), dtype="f8")
            for first in range(0, ROWS, BLOCK):
                rows[first:first + BLOCK] = block + first / ROWS
        peak = peak_mib(program, mpiexec, "kmeans", "-p", f"input={table}", "-p", "k=4",
                        "-p", "max_iterations=2")
    print(f"{peak:.0f} MiB with a quarter of 1 GiB, wanted: less than {WANTED_MIB}")
    sys.exit(0 if HELD_MIB < peak < WANTED_MIB else 1)


main(*sys.argv[1:])
