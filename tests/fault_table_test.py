"""tests/faults/table.py on tests made up for it: what it writes of those that fail, tell nothing, or are not tried."""

import contextlib
import io
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "faults"))
import table # pylint: disable=wrong-import-position


class Table(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.home = Path(folder.name)
        self.addCleanup(setattr, table, "DOCUMENT", table.DOCUMENT)
        table.DOCUMENT = self.home / "reliability.md"
        table.DOCUMENT.write_text(f"before\n{table.BEGIN}{table.END}after\n")

    def tests(self, **commands):
        """Tests by these commands, with their properties behind a semicolon."""
        lines = []
        for name, command in commands.items():
            command, _, properties = command.partition("; ")
            lines.append(f"add_test({name} {command})")
            lines.append(f'set_tests_properties({name} PROPERTIES {"" if "LABELS" in properties else "LABELS fault"} '
                         f"{properties})")
        (self.home / "CTestTestfile.cmake").write_text("\n".join(lines))

    def write(self, *arguments):
        """What it ends with, a status or words."""
        sys.argv = ["table.py", str(self.home), *arguments]
        with self.assertRaises(SystemExit) as ended, contextlib.redirect_stdout(io.StringIO()):
            table.main()
        return ended.exception.code

    def rows(self):
        lines = table.DOCUMENT.read_text().splitlines()
        self.assertEqual((lines[0], lines[-1]), ("before", "after"))
        return [line for line in lines if line.startswith("| ")][1:]

    def told(self, tried, survived):
        return f"""bash -c "printf 'fault\\\\tdisk full\\\\t{tried}\\\\t{survived}\\\\n'" """

    def test_counts(self):
        self.tests(a=self.told(3, 3), b=self.told(0, 0))
        self.assertEqual(self.write(), 0)
        self.assertEqual(self.rows(), [
            "| disk full | 3 | 3 | a |", "| disk full | not here |  | b |", "| all | 3 | 3 |  |"])

    def test_what_is_not_survived(self):
        self.tests(a=self.told(3, 2), b=self.told(3, 3))
        self.assertRegex(self.write(), ": a$")

    def test_tests_that_fail_or_tell_nothing_are_named(self):
        self.tests(dies='bash -c "kill -SEGV $$"', hangs="sleep 60; TIMEOUT 1", mute="true", absent="/nonexistent",
                   skips='bash -c "exit 77"; SKIP_RETURN_CODE 77', good=self.told(1, 1),
                   ends_badly=self.told(2, 2) + '; WILL_FAIL TRUE')
        self.assertRegex(self.write("-j4"), ": absent, dies, ends_badly, hangs, mute$")
        self.assertEqual(self.rows(), [
            "| **the test failed** |  |  | absent |", "| **the test failed** |  |  | dies |",
            "| disk full | 2 | 2 | ends_badly |", "| **the test failed** |  |  | ends_badly |",
            "| disk full | 1 | 1 | good |", "| **the test failed** |  |  | hangs |",
            "| **the test told nothing** |  |  | mute |", "| what the test tries | not here |  | skips |",
            "| all | 3 | 3 |  |"])

    def test_what_a_test_needs_is_no_fault(self):
        self.tests(build="true; LABELS slow FIXTURES_SETUP f", a=self.told(1, 1) + "; FIXTURES_REQUIRED f")
        self.assertEqual(self.write(), 0)
        self.tests(build="false; LABELS slow FIXTURES_SETUP f", a=self.told(1, 1) + "; FIXTURES_REQUIRED f")
        self.assertRegex(self.write(), ": a$")

    def test_rows_of_others_stay(self):
        self.tests(a=self.told(1, 1), b=self.told(2, 2), long=self.told(9, 9) + '; LABELS "fault;soak"')
        self.assertEqual(self.write(), 0)
        self.assertEqual(self.write("--soak"), 0)
        self.assertEqual(self.rows()[-2:], ["| disk full | 9 | 9 | long |", "| all | 12 | 12 |  |"])
        self.tests(a=self.told(5, 5), long=self.told(9, 9) + '; LABELS "fault;soak"') # b is gone
        self.assertEqual(self.write("-R", "a"), 0)
        self.assertEqual(self.rows(), [
            "| disk full | 5 | 5 | a |", "| disk full | 9 | 9 | long |", "| all | 14 | 14 |  |"])

    def test_nothing_to_try(self):
        self.tests(a=self.told(1, 1))
        self.assertIn("no test was tried", self.write("-R", "nosuch"))
        self.assertEqual(self.rows(), [])


if __name__ == "__main__":
    unittest.main()
