"""No ASSERT_ macro in the sources of MPI tests: a rank that returns early leaves the others waiting.

Arguments: the sources. GTEST_SKIP on a condition that differs between ranks is refused by review.
"""

import re
import sys
from pathlib import Path

ASSERT = re.compile(r"^\s*ASSERT_[A-Z]")


def breaches(name, text):
    """Lines "name:number: text" that use an ASSERT_ macro."""
    return [
        f"{name}:{number}: {line.strip()}"
        for number, line in enumerate(text.splitlines(), 1)
        if ASSERT.search(line)
    ]


def main(names):
    assert breaches("x", "  ASSERT_EQ(1, 1);") and not breaches("x", "  EXPECT_EQ(1, 1);")
    if not names:
        sys.exit("no sources given")
    found = [line for name in names for line in breaches(name, Path(name).read_text(encoding="utf-8"))]
    if found:
        sys.exit("use EXPECT_ in MPI tests:\n" + "\n".join(found))


main(sys.argv[1:])
