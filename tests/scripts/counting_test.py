#!/usr/bin/env python3
"""The last line of scripts/test is only as good as its counting: a crash, a leak or an empty run must never look like a pass."""
import contextlib
import io
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
import test_stages  # noqa: E402

GTEST = """<testsuites tests="4"><testsuite name="S">
<testcase name="a" status="run" result="completed"/>
<testcase name="b" status="run" result="completed">{failure}</testcase>
<testcase name="c" status="run" result="skipped"><skipped message="no server"/></testcase>
<testcase name="d" status="notrun" result="suppressed"/>
</testsuite></testsuites>"""
FAILURE = '<failure message="expected 1"/>'


def ctest_xml(*tests):
    """`tests` are (name, status) or (name, "notrun", why)."""
    cases = "".join(f'<testcase name="{name}" status="{status}">{"".join(f"<skipped message={why!r}/>" for why in whys)}</testcase>'
                    for name, status, *whys in tests)
    return f"<testsuite>{cases}</testsuite>"


class CountingTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.results = Path(folder.name)

    def ctest(self, exit_code, **files):
        for name, text in files.items():
            (self.results / f"{name}.xml").write_text(text)
        return str(test_stages.count_ctest(self.results, exit_code))

    def test_cases_of_a_gtest_program_count_one_by_one(self):
        self.assertEqual(self.ctest(0, ctest=ctest_xml(("x", "run")), x=GTEST.format(failure="")), "2 passed, 0 failed")
        self.assertEqual(self.ctest(8, ctest=ctest_xml(("x", "fail")), x=GTEST.format(failure=FAILURE)), "1 passed, 1 failed")

    def test_a_program_that_is_no_gtest_is_one_case(self):
        self.assertEqual(self.ctest(8, ctest=ctest_xml(("x", "run"), ("y", "fail"))), "1 passed, 1 failed")

    def test_a_crash_before_the_report_is_a_failure(self):
        self.assertEqual(self.ctest(8, ctest=ctest_xml(("x", "fail"))), "0 passed, 1 failed")
        self.assertEqual(self.ctest(8, ctest=ctest_xml(("x", "fail")), x="<testsuites><testsui"), "0 passed, 1 failed")

    def test_a_leak_after_the_report_is_a_failure(self):
        self.assertEqual(self.ctest(8, ctest=ctest_xml(("x", "fail")), x=GTEST.format(failure="")), "2 passed, 1 failed")

    def test_a_skipped_program_is_neither(self):
        self.assertEqual(self.ctest(0, ctest=ctest_xml(("x", "run"), ("y", "notrun", "SKIP_RETURN_CODE=77"))), "1 passed, 0 failed")

    def test_a_program_that_cannot_be_started_is_a_failure(self):
        missing = "Unable to find executable"
        self.assertEqual(self.ctest(8, ctest=ctest_xml(("x", "notrun", missing), ("y", "notrun", missing))), "0 passed, 2 failed")

    def test_a_run_that_failed_as_a_whole_is_a_failure(self):
        self.assertEqual(self.ctest(8), "0 passed, 1 failed")
        self.assertEqual(self.ctest(8, ctest=ctest_xml(("x", "run"))), "1 passed, 1 failed")

    def test_pytest_errors_are_failures(self):
        report = self.results / "e2e.xml"
        report.write_text('<testsuites><testsuite><testcase name="a"/><testcase name="b"><error/></testcase>'
                          '<testcase name="c"><skipped/></testcase></testsuite></testsuites>')
        self.assertEqual(str(test_stages.count_cases(report)), "1 passed, 1 failed")

    def test_summary_line(self):
        for output, exit_code, expected in (
                ("x\n12 passed, 0 failed\n", 0, "12 passed, 0 failed"),
                ("12 passed, 3 failed\n", 1, "12 passed, 3 failed"),
                ("12 passed, 0 failed\n", 1, "12 passed, 1 failed"),
                ("12 passed, 0 failed\nand then it crashed\n", 139, "0 passed, 1 failed"),
                ("nothing to say\n", 0, "0 passed, 1 failed"),
                ("", 2, "0 passed, 1 failed")):
            with self.subTest(output):
                self.assertEqual(str(test_stages.count_summary(output, exit_code)), expected)

    def beside(self, output, command):
        sanitizers = test_stages.Beside.__new__(test_stages.Beside)
        sanitizers.log = self.results / "sanitizers.log"
        sanitizers.log.write_text(output)
        sanitizers.process = subprocess.Popen([sys.executable, "-c", command])
        with contextlib.redirect_stdout(io.StringIO()) as shown:
            count, lines = sanitizers.finish()
        self.assertIn(output, shown.getvalue())
        return str(count), lines

    def test_what_ran_beside_the_stages_is_counted_with_them(self):
        rows = ["address sanitizer   7 passed, 0 failed   0:10", "fuzz   8 passed, 0 failed   4:00"]
        output = "\n".join(["=== fuzz (after 0:10) ===", rows[1], "", "=== result (after 4:10) ===", *rows, "15 passed, 0 failed", ""])
        self.assertEqual(self.beside(output, ""), ("15 passed, 0 failed", rows))
        self.assertEqual(self.beside(output, "exit(1)")[0], "15 passed, 1 failed")

    def test_what_died_beside_the_stages_is_a_failure(self):
        self.assertEqual(self.beside("[1/2] Building\n", "import os; os.kill(os.getpid(), 9)"), ("0 passed, 1 failed", []))


if __name__ == "__main__":
    unittest.main()
