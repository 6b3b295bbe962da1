"""The batch scripts of slurm/ on a real Slurm of several nodes.

usage: run.py CLEAVE SHARED GROUP ...

SHARED: a folder that holds CLEAVE and TMPDIR. Groups: Waiting needs no Slurm; Shapes runs every
script; Doctor looks at layouts; Ends has time limits, cancelled jobs and failing nodes.
"""

import sys
import unittest

from doctor import Doctor # noqa: F401
from ends import Ends # noqa: F401
from helpers import end_cluster, lacking
from shapes import Shapes # noqa: F401
from waiting import Waiting # noqa: F401

if __name__ == "__main__":
    if set(sys.argv[3:]) != {"Waiting"} and (missing := lacking()):
        print(f"skipped: a Slurm on this machine needs {missing}")
        sys.exit(77)
    try:
        tests = unittest.main(argv=[sys.argv[0], *sys.argv[3:]], verbosity=2, exit=False)
    finally:
        end_cluster()
    sys.exit(not tests.result.wasSuccessful())
