"""run.py FUZZER CORPUS: tries a reader on mutated inputs for 20 s, or for 60 s with CLEAVE_SOAK=1.

The kept corpus is where it begins and is never written to. Prints how many inputs were tried; fails on a
crash, an error of a sanitizer, an input that takes 10 s, or 1 GiB of memory, and prints that input.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

FUZZER, CORPUS = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
SECONDS = 60 if os.environ.get("CLEAVE_SOAK") else 20

with tempfile.TemporaryDirectory() as folder:
    found = Path(folder, "found")
    found.mkdir()
    run = subprocess.run(
        [FUZZER, f"-max_total_time={SECONDS}", "-timeout=10", "-rss_limit_mb=1024", "-malloc_limit_mb=512",
         "-max_len=4096", "-print_final_stats=1", found, CORPUS],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS + 60, check=False)
    said = run.stdout.decode(errors="replace")
    if run.returncode != 0:
        print(said[-6000:])
        for file in Path(folder).glob("*-*"):
            print(f"{file.name}: {file.read_bytes()!r}")
        sys.exit(1)
    tried = re.search(r"number_of_executed_units: (\d+)", said)
    print(f"{len(list(found.iterdir()))} new ways found")
    print(f"fault\tmutated inputs: {FUZZER.name.removesuffix('_fuzz')}\t{tried[1]}\t{tried[1]}")
