"""Kinds that keep something per key and are no windows: dedup, topn, timers. Each answer is computed from all that has come so far."""
import re

from stages import Output, Stage, late
from values import INFINITY, KEY, print_result, print_time, read_time

COMMAND = re.compile(r"(?P<sign>[+-]?)(?P<clock>p?)(?P<time>-?[0-9]+(ms|s|m|h|d)?)(?:/(?P<name>.*))?")


def is_command(text):
    """Whether `text` is a command to a timer: `+5s`, `-5s`, `p5s`, `-p5s`, each perhaps with a name."""
    match = COMMAND.fullmatch(text)
    if not match or not (match["sign"] or match["clock"]) or read_time(match["time"]) is None:
        return False
    return match["name"] is None or KEY.fullmatch(match["name"]) is not None


def point_row(record):
    return Output(f"{record.key}@{print_time(record.time)}={print_result(record.value)}", record.key, record.time, record.value)


class DedupFirst(Stage):
    def __init__(self, within):
        super().__init__()
        self.within = within
        self.waiting = []
        self.last = {}  # key -> time of the record that went out

    def batch(self, records):
        self.waiting += [record for record in records if record.time >= self.watermark]
        return [late(record) for record in records if record.time < self.watermark]

    def advance(self, watermark):
        self.watermark = watermark
        passed = sorted((record for record in self.waiting if record.time < watermark), key=lambda record: record.time)
        self.waiting = [record for record in self.waiting if record.time >= watermark]
        outputs = []
        for record in passed:
            if record.key not in self.last or (self.within is not None and record.time >= self.last[record.key] + self.within):
                self.last[record.key] = record.time
                outputs.append(point_row(record))
        return outputs


class DedupLast(Stage):
    def __init__(self):
        super().__init__()
        self.last = {}  # key -> its newest record

    def batch(self, records):
        changed = set()
        for record in records:
            if record.key not in self.last or record.time >= self.last[record.key].time:
                self.last[record.key] = record
                changed.add(record.key)
        return sorted((point_row(self.last[key]) for key in changed), key=lambda output: output.time)

    def advance(self, watermark):
        self.watermark = watermark
        return []


def make_dedup(stage):
    return DedupLast() if stage.parameters["keep"] == "last" else DedupFirst(stage.parameters["within"])


def order_of(value):
    """Numbers before words before lists, which go by their parts."""
    if isinstance(value, tuple):
        return 3, [order_of(part) for part in value]
    return (0, 0) if value is None else (2, value) if isinstance(value, str) else (1, value)


class TopN(Stage):
    def __init__(self, stage):
        super().__init__()
        self.n, self.descending = stage.parameters["n"], stage.parameters["order"] == "desc"
        self.records = {}  # key -> all of them, in the order of arrival

    def ranks(self, key):
        by_time = sorted(self.records.get(key, []), key=lambda record: record.time)
        by_value = sorted(by_time, key=lambda record: order_of(record.value), reverse=self.descending)  # ties stay in order
        return [record.value for record in by_value[:self.n]]

    def batch(self, records):
        keys = sorted({record.key for record in records})
        before = {key: self.ranks(key) for key in keys}
        for record in records:
            self.records.setdefault(record.key, []).append(record)
        return [Output(f"{key}#{i + 1}={print_result(value)}") for key in keys for i, value in enumerate(self.ranks(key))
                if before[key][i:i + 1] != [value]]

    def advance(self, watermark):
        self.watermark = watermark
        return []


class Timers(Stage):
    def __init__(self, stage):
        super().__init__()
        self.now = 0
        self.timers = set()  # (clock, time, key, name)

    def batch(self, records):
        for record in records:
            if not isinstance(record.value, str) or not is_command(record.value):
                continue
            command = COMMAND.fullmatch(record.value)
            timer = (command["clock"], read_time(command["time"]), record.key, command["name"] or "")
            if command["sign"] == "-":
                self.timers.discard(timer)
            else:
                self.timers.add(timer)
        return self.fire()

    def advance(self, watermark):
        self.watermark = watermark
        return self.fire()

    def clock(self, now):
        self.now = now
        return self.fire()

    def fire(self):
        due = {timer for timer in self.timers if (timer[1] <= self.now if timer[0] else timer[1] < self.watermark)}
        self.timers -= due
        return [Output(f"fire {key}@{clock}{print_time(time)}" + (f"/{name}" if name else "")) for clock, time, key, name in sorted(due)]

    def clock_alarm(self, now):
        return min((time for clock, time, _, _ in self.timers if clock), default=INFINITY)


# Random pipelines and values of these kinds, for random_scenarios.py.

def random_parameters(kind, script):
    if kind == "dedup":
        if script.now_and_then(0.4):
            return ["keep=last"]
        return ["keep=first"] + ([f"within={script.duration(1, 12)}"] if script.now_and_then(0.6) else [])
    if kind == "topn":
        return [f"n={script.pick(1, 2, 3, 5)}"] + ([f"order={script.pick('asc', 'desc')}"] if script.now_and_then(0.5) else [])
    return []


def random_command(script):
    time = script.cursor + script.rng.randrange(-6 * 1000, 12 * 1000, script.step_size)
    clock = script.pick("", "", "p")
    sign = script.pick("+", "+", "+", "-") if not clock else script.pick("", "+", "-")
    time = abs(time) % 40_000 if clock else time
    return f"{sign}{clock}{print_time(time)}{script.pick('', '', '/x', '/y')}"
