#!/usr/bin/env python3
"""Laws that the rules promise, checked on the reference model with random input: where the model breaks one, a rule or the model is wrong."""
import random
import re
import unittest
from collections import Counter

from language import read_scenario
from random_scenarios import Script
from scenario_model import expected_rows


def rows_of(lines):
    """All rows of a scenario given as lines, over all its steps."""
    return Counter(row for rows in expected_rows(read_scenario("\n".join(lines))) for row in rows)


def batches(rng, partitions, records=25):
    """Batches as (partition, its records), wandering on in event time and disordered."""
    time, made = 0, []
    for _ in range(records):
        time += rng.randrange(0, 3000, 250)
        at = time - rng.randrange(0, 6000, 250)
        made.append((rng.randrange(partitions), [f"{rng.choice('abc')}@{at - i * 500}={rng.randrange(1, 9)}" for i in range(rng.choice((1, 1, 3)))]))
    return made


def as_steps(given):
    return [f"in p{partition} " + " ".join(records) for partition, records in given]


class Laws(unittest.TestCase):
    def test_a_restart_between_any_two_steps_changes_nothing(self):
        for number in range(300):
            lines = Script(random.Random(f"restart/{number}")).text().splitlines()
            if "idle=" in lines[0]:
                continue
            lines = lines[:1] + [line for line in lines[1:] if not line.startswith(("idle", "active"))]
            often = [lines[0]] + [line for step in lines[1:] for line in (step, "restart parallelism=3")]
            with self.subTest(number=number):
                self.assertEqual(rows_of(lines), rows_of(often))

    def test_a_watermark_gives_what_it_would_give_step_by_step(self):
        for number in range(120):
            lines = Script(random.Random(f"stride/{number}")).text().splitlines()
            if "partitions=" in lines[0] or "disorder=" in lines[0] or "idle=" in lines[0] or "watermarks" in lines[0] or "|" in lines[0]:
                continue
            fine = lines[:1]
            for line in lines[1:]:
                match = re.fullmatch(r"watermark (p0 )?(-?[0-9]+)(ms|s|m|h|d)?", line)
                scenario = read_scenario("pipeline watermarks\n" + line) if match else None
                fine += [f"watermark {scenario.steps[0].value - back}" for back in range(40_000, 0, -1000)] if match else []
                fine.append(line)
            with self.subTest(number=number):
                self.assertEqual(rows_of(lines), rows_of(fine))

    def test_rows_of_on_watermark_depend_on_the_input_alone(self):
        for number in range(100):
            rng = random.Random(f"interleaving/{number}")
            mode = rng.choice(("emit=on_watermark", "emit=coalesced interval=4s", "emit=on_watermark changes_only"))
            pipeline = (f"pipeline trailing windows=3s,9s resolution=1s partitions=3 disorder=2s lateness={rng.choice((0, 3))}s {mode} "
                        f"{rng.choice(('collect', 'last', 'sum', 'distinct'))}")
            given = batches(rng, 3)
            queues = [[batch for batch in given if batch[0] == partition] for partition in range(3)]
            other = []
            while any(queues):
                other.append(rng.choice([queue for queue in queues if queue]).pop(0))
            with self.subTest(number=number):
                self.assertEqual(rows_of([pipeline] + as_steps(given) + ["end"]), rows_of([pipeline] + as_steps(other) + ["end"]))

    def test_all_modes_end_with_the_same_rows(self):
        """The last row of every key after the end of input is the same in all three modes."""
        for number in range(60):
            rng = random.Random(f"modes/{number}")
            pipeline = f"pipeline trailing windows=3s,9s resolution=1s disorder=2s lateness={rng.choice((0, 4, 30))}s collect"
            given, last = batches(rng, 1), []
            keys = sorted({record.split("@")[0] for _, records in given for record in records})
            for mode in ("emit=on_record", "emit=on_watermark", "emit=coalesced interval=5s"):
                rows = {}
                for key in keys:  # one key's rows at a time: the other keys' records are renamed, and still move event time
                    renamed = [(0, [record if record.startswith(f"{key}@") else "z" + record[1:] for record in records]) for _, records in given]
                    lines = [f"{pipeline} {mode}"] + as_steps(renamed) + ["end"]
                    rows[key] = self.last_in_time([row for step in expected_rows(read_scenario("\n".join(lines))) for row in step
                                                   if row.startswith(f"{key}@")])
                last.append(rows)
            with self.subTest(number=number):
                self.assertEqual(last[0], last[1])
                self.assertEqual(last[1], last[2])

    @staticmethod
    def last_in_time(rows):
        """Of the rows of one key those of its greatest instant that hold the most values: the last one adds to all before it."""
        time_of = {row: read_scenario(f"pipeline watermarks\nwatermark {row.split('@')[1].split('{')[0]}").steps[0].value for row in rows}
        greatest = max(time_of.values(), default=None)
        values = lambda row: sum(len(inner.split(",")) for inner in re.findall(r"\(([^)]*)\)", row))
        return max((row for row in rows if time_of[row] == greatest), key=values, default=None)


if __name__ == "__main__":
    unittest.main()
