"""Tries faults and writes how many were survived into docs/reliability.md.

table.py BUILD [--soak] [ctest arguments], such as build/release -j 4
table.py BUILD --read REPORT, such as build/release/tests.xml, which scripts/test has left: tries nothing itself

The tests are those of the label `fault`, or with --soak their long runs instead: each prints a line "fault", name, tried,
survived, separated by tabs. Rows of tests that are not tried this time stay. Ends with status 1 where a fault was not
survived, and where a test failed or told nothing, which then has a row that says so.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/reliability.md"
BEGIN, END = "<!-- tests/faults/table.py writes from here -->\n", "<!-- to here -->\n"
HEAD = ["| fault | tried | survived | test |", "|---|---|---|---|"]
ALL = "all" # the last row
FAILED, SILENT, SKIPPED = "**the test failed**", "**the test told nothing**", "what the test tries"
LONGEST = "1000000000" # bytes: more than a test prints


def rows_of(case):
    """What a test told, [[fault, tried, survived]], and what has become of itself where there is more to say."""
    told = re.findall(r"(?m)^fault\t(.+)\t(\d+)\t(\d+)$", case.findtext("system-out", ""))
    rows = [[fault, tried, survived] if int(tried) else [fault, "not here", ""] for fault, tried, survived in told]
    skipped = case.find("skipped") is not None and case.find("skipped").get("message", "").startswith("SKIP_")
    if skipped and not rows:
        return [[SKIPPED, "not here", ""]]
    if case.get("status") != "run" and not skipped:
        return [*rows, [FAILED, "", ""]]
    return rows or [[SILENT, "", ""]]


def ctest(build, *arguments, **options):
    return subprocess.run(["ctest", "--test-dir", build, "-L", "^fault$", *arguments], check=False, **options)


def names_in(build):
    """Tests of faults, tried or not; ctest shows what they need as well."""
    shown = json.loads(ctest(build, "--show-only=json-v1", capture_output=True).stdout)
    labels = {test["name"]: properties["value"] for test in shown["tests"] for properties in test["properties"]
              if properties["name"] == "LABELS"}
    return {test for test, those in labels.items() if "fault" in those}


def tried_in(report):
    """Test -> its rows, of ctest's report."""
    cases = ElementTree.parse(report).iter("testcase") if report.exists() else []
    return {case.get("name"): rows_of(case) for case in cases}


def tried_now(build, arguments):
    """The same, of tests that it runs."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "tests.xml")
        ctest(build, *arguments, "--output-on-failure", "--output-junit", report, "--test-output-size-passed", LONGEST,
              "--test-output-size-failed", LONGEST)
        return tried_in(report)


def written(table):
    """Test -> its rows, in what is there."""
    found = {}
    for line in table.splitlines():
        *row, test = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else [""]
        if test and line not in HEAD:
            found.setdefault(test, []).append(row)
    return found


def main():
    """Runs, writes, and fails where something was not survived."""
    build, *arguments = sys.argv[1:]
    known = names_in(build)
    if arguments[:1] == ["--read"]:
        tried = tried_in(Path(arguments[1]))
    else:
        label = "-L" if "--soak" in arguments else "-LE"
        tried = tried_now(build, [label, "soak", *(word for word in arguments if word != "--soak")])
    tried = {test: rows for test, rows in tried.items() if test in known} # what they need is run beside them
    if not tried:
        sys.exit("table.py: no test was tried")
    before, rest = DOCUMENT.read_text().split(BEGIN)
    table, after = rest.split(END)
    old = written(table)
    if gone := sorted(set(old) - known):
        print(f"not in this build, and no longer in the table: {', '.join(gone)}")
    found = {test: rows for test, rows in sorted({**old, **tried}.items()) if test in known}
    rows = [[*row, test] for test, told in found.items() for row in told]
    sums = [sum(int(row[i]) for row in rows if row[i].isdigit()) for i in (1, 2)]
    lines = HEAD + [f"| {' | '.join(map(str, row))} |" for row in [*rows, [ALL, *sums, ""]]]
    DOCUMENT.write_text(before + BEGIN + "\n" + "\n".join(lines) + "\n\n" + END + after)
    wrong = sorted({row[3] for row in rows if row[0] in (FAILED, SILENT) or row[1] != row[2] != ""})
    print(f"{sums[0]} faults tried, {sums[1]} survived: {DOCUMENT}")
    sys.exit(f"failed, told nothing or not survived: {', '.join(wrong)}" if wrong else 0)


if __name__ == "__main__":
    main()
