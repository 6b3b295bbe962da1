"""Promise 1: every workload gives the same bytes at every ranks x threads x schedule x data path.

usage: same_bytes_test.py PROGRAM MPIEXEC...   where MPIEXEC ends with the flag for the ranks
"""

import subprocess
import sys


def lines(program, mpiexec, ranks):
    run = subprocess.run([*mpiexec, str(ranks), program], capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(f"{ranks} ranks: status {run.returncode}\n{run.stdout}{run.stderr}")
    return [line.split(" ", 2) for line in run.stdout.splitlines()]


def main(program, *mpiexec):
    first = {}  # workload -> checksum, split
    splits = 0
    wrong = []
    for ranks in (1, 2, 3, 4):
        for workload, checksum, split in lines(program, mpiexec, ranks):
            splits += 1
            expected, where = first.setdefault(workload, (checksum, split))
            if checksum != expected or checksum.endswith("WRONG"):
                wrong.append(f"{workload}: {checksum} at {split}, but {expected} at {where}")
    for workload, (checksum, _) in first.items():
        print(f"{workload} {checksum}")
    print(f"{len(first)} workloads, {splits} splits, {len(wrong)} with other bytes")
    print("\n".join(wrong))
    sys.exit(1 if wrong or splits < 200 or len(set(first.values())) < len(first) else 0)


main(*sys.argv[1:])
