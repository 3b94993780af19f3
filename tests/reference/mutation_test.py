#!/usr/bin/env python3
"""Shows that the scenario files can fail: breaks one rule of the reference model at a time and demands that some file notices.

    mutation_test.py     prints the first file that notices each mutant; exit 1 if one survives
"""
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
SCENARIOS = sorted((HERE.parent / "scenarios").glob("*.scenario"))

# (file, what stands there once, what breaks a rule)
MUTANTS = [
    ("values.py", "max(MINUS_INFINITY, min(INFINITY, time + duration))", "(time + duration + 2**63) % 2**64 - 2**63"),
    # Watermarks.
    ("inputs.py", "self.move_to(min(active) if active else greatest)", "self.move_to(max(active) if active else greatest)"),
    ("inputs.py", "self.move_to(min(active) if active else greatest)", "self.move_to(min(active) if active else self.merged)"),
    ("inputs.py", "greatest = max(one.watermark for one in self.inputs)",
     "greatest = max(one.watermark for one in self.inputs if one.state == IDLE or one is self.inputs[-1])"),
    ("inputs.py", "one.watermark = max(one.watermark, time)", "one.watermark = time"),
    ("inputs.py", "one.watermark = max(one.watermark, add(one.greatest, 1))", "one.watermark = add(one.greatest, 1)"),
    ("inputs.py", "one.watermark = max(one.watermark, add(one.greatest, 1))", "pass"),
    ("inputs.py", "            one.state = FINISHED\n        self.merge()",
     "            self.merge()\n            one.state = FINISHED\n        self.merge()"),
    ("inputs.py", "        self.flow.batch(records)\n        if self.disorder is not None:\n"
     "            one.watermark = max(one.watermark, add(one.greatest, -self.disorder))\n        self.merge()",
     "        if self.disorder is not None:\n"
     "            one.watermark = max(one.watermark, add(one.greatest, -self.disorder))\n        self.merge()\n        self.flow.batch(records)"),
    ("inputs.py", "            self.move_to(INFINITY)", "            pass"),
    ("inputs.py", "                one.state = ACTIVE\n                one.watermark = max(one.watermark, self.merged)\n            one.idle_clock = 0\n"
     "        if self.whole", "                one.state = ACTIVE\n            one.idle_clock = 0\n        if self.whole"),
    ("inputs.py", "            one.idle_clock = 0\n        if self.whole", "        if self.whole"),
    ("inputs.py", "    def read_watermark(self, speakers, time):\n        self.make_active(speakers)", "    def read_watermark(self, speakers, time):"),
    ("inputs.py", "        (one,) = speakers\n        self.make_active(speakers)", "        (one,) = speakers"),
    ("inputs.py", "            self.flow.active()", "            pass"),
    ("inputs.py", "elif not active and not self.whole_is_idle", "elif not active"),
    # Reading, alignment, idleness, restart.
    ("inputs.py", "one.watermark - min(active) > self.drift", "one.watermark - min(active) >= self.drift"),
    ("inputs.py", "active = [other.watermark for other in self.inputs if other.state == ACTIVE]",
     "active = [other.watermark for other in self.inputs if other.state != FINISHED]"),
    ("inputs.py", "active = [other.watermark for other in self.inputs if other.state == ACTIVE]",
     "active = [other.watermark for other in self.inputs if other.state != IDLE]"),
    ("inputs.py", "return not one.paused and not self.is_aligned(one)", "return not self.is_aligned(one)"),
    ("inputs.py", "return not one.paused and not self.is_aligned(one)", "return not one.paused"),
    ("inputs.py", "number = min(one.waiting[0].number for one in ready)", "number = ready[0].waiting[0].number"),
    ("inputs.py", "one.state == ACTIVE and self.can_be_read(one)", "one.state == ACTIVE and not one.paused"),
    ("inputs.py", "one.state == ACTIVE and self.can_be_read(one)", "one.state == ACTIVE and not self.is_aligned(one)"),
    ("inputs.py", 'self.inputs[inputs[0]].paused = verb == "pause"',
     'self.inputs[inputs[0]].paused = verb == "pause"\n            self.inputs[inputs[0]].idle_clock = 0'),
    ("inputs.py", "if one.idle_clock >= self.idle_after]", "if one.idle_clock > self.idle_after]"),
    ("inputs.py", "            self.flow.clock(then)\n            if silent",
     "            if silent := [one for one in counting if one.idle_clock >= self.idle_after]:\n                self.read_idle(silent, None)\n"
     "            self.flow.clock(then)\n            if silent"),
    ("inputs.py", '        """Forgets idleness, and nothing else; says nothing."""', '        """Mutant."""\n        return'),
    ("inputs.py", "                one.watermark = max(one.watermark, self.merged)\n            one.idle_clock = 0\n        self.whole_is_idle = False",
     "            one.idle_clock = 0\n        self.whole_is_idle = False"),
    ("inputs.py", "            one.idle_clock = 0\n        self.whole_is_idle = False", "        self.whole_is_idle = False"),
    ("inputs.py", "            one.idle_clock = 0\n        self.whole_is_idle = False", "            one.idle_clock = 0"),
    ("inputs.py", "            if one.state == IDLE:\n                one.state = ACTIVE\n                one.watermark = max(one.watermark, self.merged)\n"
     "            one.idle_clock = 0\n        self.whole", "            if True:\n                one.state = ACTIVE\n"
     "                one.watermark = max(one.watermark, self.merged)\n            one.idle_clock = 0\n        self.whole"),
    # Windows.
    ("windows.py", "return self.watermark >= add(self.end(start), self.lateness)", "return self.watermark > add(self.end(start), self.lateness)"),
    ("windows.py", "return self.watermark >= add(self.end(start), self.lateness)", "return self.watermark >= self.end(start)"),
    ("windows.py", "before < self.end(start) <= watermark}", "before < self.end(start) < watermark}"),
    ("windows.py", "before < self.end(start) <= watermark}", "self.end(start) <= watermark}"),
    ("windows.py", "while start + self.size > time:", "while start + self.size >= time:"),
    ("windows.py", "(time - self.offset) // self.slide * self.slide + self.offset", "int((time - self.offset) / self.slide) * self.slide + self.offset"),
    ("windows.py", "(time - self.offset) // self.slide * self.slide + self.offset", "(time) // self.slide * self.slide + self.offset"),
    ("windows.py", "if windows and not open_ones:", "if not open_ones:"),
    ("windows.py", "if windows and not open_ones:", "if len(windows) > len(open_ones):"),
    ("windows.py", "for start in open_ones:", "for start in windows if open_ones else []:"),
    ("windows.py", "touched if self.watermark >= self.end(start)}", "touched if False}"),
    ("windows.py", "touched if self.watermark >= self.end(start)}", "touched if self.watermark > self.end(start)}"),
    ("windows.py", "key, add(end, -1), result))", "key, end, result))"),
    ("windows.py", "        if not self.on_update:\n            outputs += self.rows(", "        if True:\n            outputs += self.rows("),
    ("windows.py", "if self.changes_only and", "if False and"),
    ("windows.py", "            self.changed.discard((start, key))\n", ""),
    ("windows.py", "min(watermark, self.end(start) - 1))}", "watermark)}"),
    ("windows.py", "min(watermark, self.end(start) - 1))}", "watermark) and watermark < self.end(start)}"),
    ("windows.py", "last = start + (now - start) // self.early * self.early", "last = now // self.early * self.early"),
    ("windows.py", "return last > start and last > before", "return last >= start and last > before"),
    ("windows.py", "return last > start and last > before", "return last > start"),
    ("windows.py", "now % self.early_processing != 0", "False"),
    # Sessions and global windows.
    ("sessions.py", "one.start <= end and start <= one.end]", "one.start < end and start <= one.end]"),
    ("sessions.py", "one.start <= end and start <= one.end]", "one.start <= end and start < one.end]"),
    ("sessions.py", "one.key == record.key and ", ""),
    ("sessions.py", "return self.watermark > time or self.watermark == INFINITY", "return self.watermark >= time"),
    ("sessions.py", "return self.watermark > time or self.watermark == INFINITY", "return self.watermark > time"),
    ("sessions.py", "if self.has_passed(add(merged.end, self.lateness)):", "if self.has_passed(add(end, self.lateness)):"),
    ("sessions.py", "if self.has_passed(add(merged.end, self.lateness)):", "if self.has_passed(merged.end):"),
    ("sessions.py", "if self.has_passed(add(merged.end, self.lateness)):", "if record.time < self.watermark and not met:"),
    ("sessions.py", "            elif one.has_row:", "            elif False:"),
    ("sessions.py", "            elif one.has_row:", "            else:"),
    ("sessions.py", "if (one.start, one.end) == (merged.start, merged.end):", "if one.end == merged.end:"),
    ("sessions.py", "if (one.start, one.end) == (merged.start, merged.end):", "if one.start == merged.start:"),
    ("sessions.py", "merged.touched = merged.changed = True", "merged.touched, merged.changed = not met, True"),
    ("sessions.py", "one.touched and (self.on_update or self.has_passed(one.end))]", "one.touched and self.has_passed(one.end)]"),
    ("sessions.py", "one.touched and (self.on_update or self.has_passed(one.end))]", "one.touched and self.on_update]"),
    ("sessions.py", "one.touched and (self.on_update or self.has_passed(one.end))]", "self.on_update or self.has_passed(one.end)]"),
    ("sessions.py", "one.key, one.end, result))", "one.key, one.end - 1, result))"),
    ("sessions.py", "one.key, one.end, result))", "one.key, one.end + 1, result))"),
    ("sessions.py", "if self.changes_only and one.has_row and", "if False and"),
    ("sessions.py", "if self.changes_only and one.has_row and", "if one.has_row and"),
    ("sessions.py", "            one.changed = False\n", ""),
    ("sessions.py", "min(watermark, one.end))])", "min(watermark, one.end - 1))])"),
    ("sessions.py", "min(watermark, one.end))])", "watermark)])"),
    ("sessions.py", "last = one.start + (now - one.start) // self.early * self.early", "last = now // self.early * self.early"),
    ("sessions.py", "return last > one.start and last > before", "return last > one.start"),
    ("sessions.py", "        if not self.on_update:\n            outputs += self.rows(", "        if True:\n            outputs += self.rows("),
    ("sessions.py", "if not self.has_passed(add(one.end, self.lateness))]", "if True]"),
    ("sessions.py", "now % self.early_processing != 0", "False"),
    ("sessions.py", "if one.changed and not self.has_passed(one.end)]", "if not self.has_passed(one.end)]"),
    ("global_windows.py", "            if self.count:\n                taken.clear()", "            taken.clear()"),
    ("global_windows.py", "            if self.count:\n                taken.clear()", "            pass"),
    ("global_windows.py", "max(one.time for one in taken)", "record.time"),
    ("global_windows.py", "taken = self.taken.setdefault(record.key, [])", "taken = self.taken.setdefault(0, [])"),
    ("global_windows.py", "        self.watermark = watermark\n        return []",
     "        rows = [Output(point_row(k, watermark, self.aggregate(t))) for k, t in self.taken.items() if t and watermark > 2**60]\n"
     "        self.watermark = watermark\n        return rows"),
    ("stages.py", "results = sorted((output for output in outputs if output.key is not None), key=lambda output: output.time)",
     "results = [output for output in outputs if output.key is not None]"),
    # Trailing.
    ("trailing.py", "return -(-time // step) * step", "return (time // step + 1) * step"),
    ("trailing.py", "return -(-time // step) * step", "return time // step * step"),
    ("trailing.py", '"auto": max(1000, window // 60)', '"auto": max(1000, -(-window // 60))'),
    ("trailing.py", '"auto": max(1000, window // 60)', '"auto": 1000'),
    ("trailing.py", '{"exact": 1,', '{"exact": 1000,'),
    ("trailing.py", "< time < watermark]", "< time <= watermark]"),
    ("trailing.py", "if record.time <= time < self.expiry(record, i)]", "if record.time <= time <= self.expiry(record, i)]"),
    ("trailing.py", "instant = max(record.time, self.instant.get(record.key, MINUS_INFINITY))", "instant = record.time"),
    ("trailing.py", "due = [time for time in self.decays(records) if self.instant.get(key, MINUS_INFINITY) < time < watermark]",
     "due = [time for time in self.decays(records) if time < watermark and (key, time) not in self.last_row and "
     "not self.last_row.update({(key, time): self.row_at(0, [])})]"),
    ("trailing.py", "                self.instant[key] = due[-1]", "                pass"),
    ("trailing.py", "outputs += self.decay_until(self.last_finite)\n        return outputs", "pass\n        return outputs"),
    ("trailing.py", "outputs += self.decay_until(self.last_finite)\n        return outputs",
     "outputs += self.decay_until(self.watermark)\n        return outputs"),
    ("trailing.py", "if record.time < add(record.known, -self.lateness):", "if record.time <= add(record.known, -self.lateness):"),
    ("trailing.py", "if record.time < add(record.known, -self.lateness):", "if record.time < record.known:"),
    ("trailing.py", "if record.time < add(record.known, -self.lateness):", "if record.time < add(self.watermark, -self.lateness):"),
    ("trailing.py", "self.last_finite = self.last_finite if ended else watermark", "self.last_finite = watermark"),
    ("trailing.py", "self.last_finite if ended else add(watermark, -self.lateness), ended)", "add(watermark, -self.lateness), ended)"),
    ("trailing.py", "self.last_finite if ended else add(watermark, -self.lateness), ended)", "watermark if not ended else self.last_finite, ended)"),
    ("trailing.py", "self.last_finite if ended else add(watermark, -self.lateness), ended)", "add(self.last_finite, -self.lateness), ended)"),
    ("trailing.py", "deleted = self.deletes and row.is_empty", "deleted = False"),
    ("trailing.py", "if self.changes_only and (last", "if False and (last"),
    ("trailing.py", "if self.changes_only and (last", "if (last"),
    ("trailing.py", "Row(None, self.nothing, True))", "Row(None, None, None))"),
    ("trailing.py", "key=lambda record: (record.time, record.partition, record.offset)", "key=lambda record: record.time"),
    ("trailing.py", "(not rows or rows[-1].time < time) and time <= record.time:", "(not rows or rows[-1].time < time) and time < record.time:"),
    ("trailing.py", "end > self.effective and (end <= until or ended)", "end > self.effective and (end < until or ended)"),
    ("trailing.py", "end > self.effective and (end <= until or ended)", "end > self.effective and end <= until"),
    ("trailing.py", "if row.is_empty and add(self.watermark, -self.lateness) > row.time:", "if row.is_empty:"),
    # Aggregates.
    ("aggregates.py", "sum(numbers(records)) / Fraction(len(records))", "Fraction(sum(numbers(records)) // len(records))"),
    ("aggregates.py", "for value in numbers(records)) / len(records)", "for value in numbers(records)) / max(1, len(records) - 1)"),
    ("aggregates.py", "in_time_order(records)[0].value", "records[0].value"),
    ("aggregates.py", "in_time_order(records)[-1].value", "records[-1].value"),
    ("aggregates.py", "tuple(record.value for record in in_time_order(records))", "tuple(record.value for record in records)"),
    ("aggregates.py", "reverse=True)[:size]", "reverse=False)[:size]"),
    ("aggregates.py", "len({record.value for record in records})", "len(records)"),
    ("aggregates.py", '"min": lambda records: min(', '"min": lambda records: max('),
    ("aggregates.py", '"max": lambda records: max(', '"max": lambda records: min('),
    # Two stages.
    ("scenario_model.py", "        self.deliver(self.stages[0].advance(time))\n        if",
     "        if len(self.stages) == 2:\n            self.show(self.stages[1].advance(self.stages[0].forwarded(time)))\n"
     "        self.deliver(self.stages[0].advance(time))\n        if"),
    ("scenario_model.py", "self.show(self.stages[1].advance(self.stages[0].forwarded(time)))", "self.show(self.stages[1].advance(time))"),
    ("scenario_model.py", "        self.show([output for output in outputs if output.key is None])", "        pass"),
    ("scenario_model.py", "        self.show([output for output in outputs if output.key is None])", "        self.show(outputs)"),
    ("scenario_model.py", '[stage.kind for stage in stages] == ["watermarks"]', '[stage.kind for stage in stages][-1] == "watermarks"'),
    ("scenario_model.py", "            self.show(self.stages[1].batch(records))",
     "            for record in records:\n                self.show(self.stages[1].batch([record]))"),
    # Deduplication, top-N, timers.
    ("keyed.py", "for record in records if record.time >= self.watermark]\n        return", "for record in records]\n        return"),
    ("keyed.py", "for record in records if record.time < self.watermark]\n", "for record in records if record.time <= self.watermark]\n"),
    ("keyed.py", "passed = sorted((record for record in self.waiting if record.time < watermark), key=lambda record: record.time)",
     "passed = [record for record in self.waiting if record.time < watermark]"),
    ("keyed.py", "passed = sorted((record for record in self.waiting if record.time < watermark)",
     "passed = sorted((record for record in self.waiting if record.time <= watermark)"),
    ("keyed.py", "record.time >= self.last[record.key] + self.within", "record.time > self.last[record.key] + self.within"),
    ("keyed.py", "                self.last[record.key] = record.time\n", "                self.last.setdefault(record.key, record.time)\n"),
    ("keyed.py", "record.time >= self.last[record.key].time", "record.time > self.last[record.key].time"),
    ("keyed.py", "or record.time >= self.last[record.key].time:", "or True:"),
    ("keyed.py", "reverse=self.descending", "reverse=True"),
    ("keyed.py", "if before[key][i:i + 1] != [value]", "if True"),
    ("keyed.py", '(2, value) if isinstance(value, str) else (1, value)', '(1, value) if isinstance(value, str) else (2, value)'),
    ("keyed.py", "timer[1] <= self.now", "timer[1] < self.now"),
    ("keyed.py", "timer[1] < self.watermark", "timer[1] <= self.watermark"),
    ("keyed.py", "        self.timers -= due\n", ""),
    ("keyed.py", "            if command[\"sign\"] == \"-\":\n                self.timers.discard(timer)", "            if False:\n                pass"),
    ("keyed.py", 'command["name"] or "")', '"")'),
    ("keyed.py", "                self.timers.add(timer)\n        return self.fire()", "                self.timers.add(timer)\n        return []"),
]


def noticed_by(folder):
    """The first line of what the scenarios say about the model in `folder`; None if they all pass."""
    command = [sys.executable, str(folder / "scenario_model.py")] + [str(path) for path in SCENARIOS]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except subprocess.TimeoutExpired:
        return "does not come to an end"
    if run.returncode == 0:
        return None
    return (run.stdout.splitlines() or run.stderr.splitlines() or ["?"])[0] if run.returncode == 1 else "stopped: " + run.stderr[-200:]


def main():
    if noticed_by(HERE):
        print("the model as it is does not pass: scenario_model.py says what")
        return 1
    survivors = 0
    for number, (name, old, new) in enumerate(MUTANTS, 1):
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / "reference"
            shutil.copytree(HERE, folder, ignore=shutil.ignore_patterns("__pycache__"))
            text = (folder / name).read_text(encoding="utf-8")
            if text.count(old) != 1:
                print(f"{number}: {name} does not hold this once: {old}")
                survivors += 1
                continue
            (folder / name).write_text(text.replace(old, new), encoding="utf-8")
            line = noticed_by(folder)
        survivors += line is None
        print(f"{number}: SURVIVES: {name}: {old} => {new}" if line is None else f"{number}: {line.rsplit('/', 1)[-1]}")
    print(f"{len(MUTANTS) - survivors} of {len(MUTANTS)} mutants noticed")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
