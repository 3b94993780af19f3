#!/usr/bin/env python3
"""A second, naive implementation of the scenario language, to check the files and the product against.

    scenario_model.py [--print] FILE…

Runs each file and prints what differs, then `N passed, N failed`. Exit 0 only if none failed, 1 if one did, 2 for a mistake in a file.
--print prints each scenario with the rows the model expects in canonical form (itself a scenario) instead of comparing.
A kind is a class in STAGES and its parameters in language.KINDS.
"""
import sys
from collections import Counter

from global_windows import GlobalWindows
from inputs import Inputs
from joins import AsofJoin, IntervalJoin, WindowJoin
from keyed import Timers, TopN, make_dedup
from language import Mistake, read_scenario
from sessions import Sessions
from stages import Watermarks, records_of
from trailing import Trailing
from windows import Windows

STAGES = {
    "tumbling": Windows,
    "sliding": Windows,
    "session": Sessions,
    "global": GlobalWindows,
    "trailing": Trailing,
    "watermarks": Watermarks,
    "window-join": WindowJoin,
    "interval-join": IntervalJoin,
    "asof-join": AsofJoin,
    "dedup": make_dedup,
    "topn": TopN,
    "timers": Timers,
}


class Flow:
    """The stages behind the inputs. Collects the rows of the current step."""

    def __init__(self, stages):
        self.stages = [STAGES[stage.kind](stage) for stage in stages]
        self.shows_idleness = [stage.kind for stage in stages] == ["watermarks"]
        self.passed_on = 0  # records given to the second stage so far
        self.rows = []

    def batch(self, records):
        self.deliver(self.stages[0].batch(records))

    def watermark(self, time):
        self.deliver(self.stages[0].advance(time))
        if len(self.stages) == 2 and self.stages[0].forwarded(time) > self.stages[1].watermark:
            self.show(self.stages[1].advance(self.stages[0].forwarded(time)))

    def clock(self, now):
        for i, stage in enumerate(self.stages):
            self.deliver(stage.clock(now)) if i == 0 else self.show(stage.clock(now))

    def clock_alarms(self, now):
        return [stage.clock_alarm(now) for stage in self.stages]

    def idle(self):
        self.rows += ["idle"] if self.shows_idleness else []

    def active(self):
        self.rows += ["active"] if self.shows_idleness else []

    def deliver(self, outputs):
        """What the first stage gives out is shown, or is one batch to the second stage, all but the late rows."""
        if len(self.stages) == 1:
            self.show(outputs)
            return
        self.show([output for output in outputs if output.key is None])
        records = records_of(outputs, self.passed_on, self.stages[1].watermark)
        self.passed_on += len(records)
        if records:
            self.show(self.stages[1].batch(records))

    def show(self, outputs):
        self.rows += [output.row for output in outputs]


def expected_rows(scenario):
    """The sorted canonical rows of each step."""
    flow = Flow(scenario.stages)
    inputs = Inputs(scenario.stages[0].parameters, flow)
    rows = []
    for step in scenario.steps:
        flow.rows = []
        inputs.step(step.verb, step.inputs, step.value)
        rows.append(sorted(flow.rows))
    return rows


def differences(scenario):
    """Lines of text on the steps whose rows are not as the model expects."""
    lines = []
    for step, rows in zip(scenario.steps, expected_rows(scenario)):
        missing, unexpected = Counter(step.rows) - Counter(rows), Counter(rows) - Counter(step.rows)
        if missing or unexpected:
            lines.append((step.line, step.text, sorted(missing.elements()), sorted(unexpected.elements())))
    return lines


def filled_in(text):
    """The scenario `text` with the rows of the model in place of its own; without comments."""
    scenario = read_scenario(text)
    pipeline = next(line for line in text.split("\n") if line.split()[:1] == ["pipeline"])
    lines = [pipeline.partition(" #")[0].rstrip()]
    for step, rows in zip(scenario.steps, expected_rows(scenario)):
        lines.append(step.text + (" -> " + rows[0] if rows else ""))
        lines += ["    -> " + row for row in rows[1:]]
    return "\n".join(lines) + "\n"


def read_file(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def main(arguments):
    printing = "--print" in arguments
    paths = [argument for argument in arguments if argument != "--print"]
    if not paths or any(path.startswith("--") for path in paths):
        print(__doc__, file=sys.stderr)
        return 2
    passed, failed, mistakes = 0, 0, 0
    for path in paths:
        try:
            text = read_file(path)
            if printing:
                print(f"# {path}\n{filled_in(text)}")
                continue
            found = differences(read_scenario(text))
        except Mistake as mistake:
            print(f"{path}:{mistake.line}:{mistake.column}: {mistake}", file=sys.stderr)
            mistakes += 1
            continue
        except (OSError, UnicodeDecodeError) as error:
            print(f"{path}: {error}", file=sys.stderr)
            mistakes += 1
            continue
        passed += not found
        failed += bool(found)
        for line, step, missing, unexpected in found:
            print(f"{path}:{line}: {step}")
            print("".join(f"  - {row}\n" for row in missing) + "".join(f"  + {row}\n" for row in unexpected), end="")
    if not printing:
        print(f"{passed} passed, {failed} failed")
    return 2 if mistakes else 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
