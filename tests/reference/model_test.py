#!/usr/bin/env python3
"""Tests of the reference model itself: what it refuses, that it can fail, and that what it prints is what it reads."""
import io
import re
import subprocess
import sys
import tempfile
import unittest
from contextlib import redirect_stderr, redirect_stdout
from fractions import Fraction
from pathlib import Path

import scenario_model
from language import Mistake, read_scenario
from scenario_model import differences, filled_in
from values import INFINITY, MINUS_INFINITY, add, canonical_row, print_number, print_time, read_time

SCENARIOS = Path(__file__).parent.parent / "scenarios"


class Values(unittest.TestCase):
    def test_times(self):
        for text, printed in {"0": "0", "0s": "0", "60s": "1m", "90s": "90s", "1500ms": "1500ms", "1500": "1500ms", "-4s": "-4s",
                              "24h": "1d", "-0": "0", "3600000": "1h"}.items():
            self.assertEqual(print_time(read_time(text)), printed)
        for text in ("", "s", "1.5s", "+5s", "1 s", "inf", "1min", "9223372036854775807", "--1"):
            self.assertIsNone(read_time(text), text)
        self.assertEqual(read_time("-inf", infinite=True), MINUS_INFINITY)

    def test_times_saturate(self):
        self.assertEqual(add(INFINITY - 1, 5), INFINITY)
        self.assertEqual(add(MINUS_INFINITY + 1, -5), MINUS_INFINITY)
        self.assertEqual(add(INFINITY, -5), INFINITY)
        self.assertEqual(add(MINUS_INFINITY, 5), MINUS_INFINITY)

    def test_numbers(self):
        for number, printed in {Fraction(2, 3): "0.666667", Fraction(-1, 8): "-0.125", Fraction(10): "10", Fraction(0): "0",
                                Fraction(-1, 10**9): "0", Fraction(100): "100", Fraction(10**14 + 1, 3): "33333333333333.7",
                                Fraction(-1234567890123456): "-1234567890123460", Fraction(9999999999999996): "1" + 16 * "0"}.items():
            self.assertEqual(print_number(number), printed)

    def test_rows(self):
        for words, canonical in {
            "a[0,10000)=2.0": "a[0,10s)=2", "late a@1000=1.00": "late a@1s", "late a@1s": "late a@1s", "delete a@60s": "delete a@1m",
            "a@0{20s=(1,x),5000=-}": "a@0{5s=-,20s=(1,x)}", "w=inf": "w=inf", "a[0,5s)=((1),(x,y))": "a[0,5s)=((1),(x,y))",
            "a@1s=x": "a@1s=x", "a@1s=0.3333333333333333": "a@1s=0.333333", "delete a[0,1000)": "delete a[0,1s)", "idle": "idle",
        }.items():
            self.assertEqual(canonical_row(words.split()), canonical)
        for words in ("a", "a[0,10s]=1", "a[0,10s)", "late a", "a@1s{5s=1,5000=2}", "a@1s{5s}", "w=", "a[0,1s)=(1,(2)", "delete a@1s=2",
                      "late", "late a@1s=", "a b", "a@1s", "a[0,1s)=(1,)"):
            self.assertIsNone(canonical_row(words.split()), words)


class Files(unittest.TestCase):
    def test_every_mistake_has_its_place(self):
        files = sorted((SCENARIOS / "malformed").glob("*.scenario"))
        self.assertGreater(len(files), 40)
        for path in files:
            text = path.read_text(encoding="utf-8")
            place = re.match(r"# error ([0-9]+):([0-9]+) ", text)
            with self.subTest(path.name), self.assertRaises(Mistake) as caught:
                read_scenario(text)
            with self.subTest(path.name):
                self.assertEqual((caught.exception.line, caught.exception.column), (int(place[1]), int(place[2])))

    def test_all_pass_and_print_as_they_read(self):
        files = sorted(SCENARIOS.glob("*.scenario"))
        self.assertGreater(len(files), 100)
        for path in files:
            with self.subTest(path.name):
                text = path.read_text(encoding="utf-8")
                self.assertEqual(differences(read_scenario(text)), [])
                printed = filled_in(text)
                self.assertEqual(differences(read_scenario(printed)), [])
                self.assertEqual(filled_in(printed), printed)

    def test_a_wrong_row_fails(self):
        right = "pipeline tumbling size=10s\nin a@1s\nwatermark 10s -> a[0,10s)=1\nwatermark 20s\n"
        self.assertEqual(differences(read_scenario(right)), [])
        for wrong in (right.replace(")=1", ")=2"), right.replace(" -> a[0,10s)=1", ""), right.replace(")=1", ")=1 a[0,10s)=1"),
                      right.replace("20s", "20s -> a[0,10s)=1"), right.replace("10s)", "11s)")):
            self.assertEqual(len(differences(read_scenario(wrong))), 1)


class CommandLine(unittest.TestCase):
    def run_on(self, *texts):
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder) / f"{i}.scenario" for i in range(len(texts))]
            for path, text in zip(paths, texts):
                path.write_text(text, encoding="utf-8")
            out, err = io.StringIO(), io.StringIO()
            with redirect_stdout(out), redirect_stderr(err):
                code = scenario_model.main([str(path) for path in paths])
        return code, out.getvalue(), err.getvalue()

    def test_exit_codes(self):
        good = "pipeline watermarks\nwatermark 5s -> w=5s\n"
        bad = "pipeline watermarks\nwatermark 5s -> w=6s\n"
        mistaken = "pipeline watermarks\nwatermark x\n"
        code, out, _ = self.run_on(good, good)
        self.assertEqual((code, out), (0, "2 passed, 0 failed\n"))
        code, out, _ = self.run_on(good, bad)
        self.assertEqual((code, out.splitlines()[-3:]), (1, ["  - w=6s", "  + w=5s", "1 passed, 1 failed"]))
        code, _, err = self.run_on(bad, mistaken)
        self.assertEqual(code, 2)
        self.assertIn("1.scenario:2:11: not a time: x", err)

    def test_random_files_are_repeatable_and_pass(self):
        with tempfile.TemporaryDirectory() as folder:
            contents = []
            for _ in range(2):
                subprocess.run([sys.executable, str(Path(__file__).parent / "random_scenarios.py"), "--seed", "7", "--count", "30", "--out",
                                folder], check=True, stdout=subprocess.DEVNULL)
                contents.append({path.name: path.read_text(encoding="utf-8") for path in Path(folder).glob("*.scenario")})
        self.assertEqual(len(contents[0]), 30)
        self.assertEqual(contents[0], contents[1])
        for text in contents[0].values():
            self.assertEqual(differences(read_scenario(text)), [])
        self.assertTrue(any("->" in text for text in contents[0].values()))


if __name__ == "__main__":
    unittest.main()
