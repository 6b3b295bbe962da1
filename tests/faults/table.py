"""Tries all faults and writes how many were survived into docs/reliability.md.

table.py BUILD [ctest arguments], such as build/release -j 4. The tests are those of the label `fault`, --soak aside:
each prints a line "fault", name, tried, survived, separated by tabs. CLEAVE_SOAK=1 takes those of --soak instead.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/reliability.md"
BEGIN, END = "<!-- tests/faults/table.py writes from here -->\n", "<!-- to here -->\n"


def counts(build, arguments):
    """Test -> [(fault, tried, survived)], in the order in which the tests are named."""
    soak = ["-L", "soak"] if os.environ.get("CLEAVE_SOAK") == "1" else ["-LE", "soak"]
    run = subprocess.run(["ctest", "--test-dir", build, "-L", "^fault$", *soak, "-V", *arguments],
                         capture_output=True, text=True, check=False)
    names = dict(re.findall(r"test +(\d+)\n +Start +\d+: (\S+)", run.stdout))
    found = {}
    for number, fault, tried, survived in re.findall(r"(?m)^(\d+): fault\t(.+)\t(\d+)\t(\d+)$", run.stdout):
        found.setdefault(names[number], []).append((fault, int(tried), int(survived)))
    if not found:
        sys.exit(run.stdout + run.stderr)
    return dict(sorted(found.items()))


def main():
    """Runs, writes, and fails where something was not survived."""
    found = counts(sys.argv[1], sys.argv[2:])
    rows = [row for test in found.values() for row in test]
    lines = ["| fault | tried | survived | test |", "|---|---|---|---|"]
    lines += [f"| {fault} | {tried or 'not here'} | {survived if tried else ''} | {test} |"
              for test, told in found.items() for fault, tried, survived in told]
    tried, survived = (sum(row[i] for row in rows) for i in (1, 2))
    lines.append(f"| all | {tried} | {survived} | |")
    before, rest = DOCUMENT.read_text().split(BEGIN)
    after = rest.split(END)[1]
    DOCUMENT.write_text(before + BEGIN + "\n" + "\n".join(lines) + "\n\n" + END + after)
    print(f"{tried} faults tried, {survived} survived: {DOCUMENT}")
    sys.exit(tried != survived)


if __name__ == "__main__":
    main()
