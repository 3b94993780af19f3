#!/usr/bin/env python3
"""Writes random but meaningful scenario files, their rows filled in by the reference model, to compare another implementation with.

    random_scenarios.py --seed S --count N --out DIR     writes DIR/random_S_0.scenario to DIR/random_S_<N-1>.scenario

The same seed gives the same files. Each file depends on seed and number only, so that one can be made again alone with --first.
"""
import argparse
import random
from pathlib import Path

from aggregates import AGGREGATES, NUMBERS_ONLY
from keyed import random_command, random_parameters
from scenario_model import filled_in
from values import print_time

S = 1000
WORDS = ("x", "y", "z", "v1.5")


class Script:
    """Writes one scenario: a pipeline, then steps in which event time wanders on, unevenly over the partitions."""

    def __init__(self, rng):
        self.rng = rng
        self.partitions = self.pick(1, 1, 2, 3)
        self.idle = self.now_and_then(0.25)
        # Early rows by processing time and idleness may fall on one instant; the order is a decision of its own
        # (early_processing_before_idleness.scenario), so random files have one or the other.
        self.may_use_clock = not self.idle
        self.disorder = self.now_and_then(0.6)
        self.step_size = self.pick(S, S, S, 500, 137)
        self.names = [f"p{i}" for i in range(self.partitions)]
        self.ended = set()
        self.cursor = rng.randrange(-20, 20) * S
        self.numbers_only, self.no_negatives, self.gives_commands = False, False, False
        self.has_versions = False  # on the right: as-of joins
        self.speaks_of_idleness = self.partitions > 1 or self.idle

    def pick(self, *choices):
        return self.rng.choice(choices)

    def now_and_then(self, probability):
        return self.rng.random() < probability

    def duration(self, low, high):
        return print_time(max(1, self.rng.randrange(low * S, high * S + 1, self.step_size)))

    # The pipeline line.

    def pipeline(self):
        kind = self.pick("tumbling", "tumbling", "sliding", "sliding", "session", "session", "session", "global", "trailing", "trailing",
                         "trailing", "watermarks")
        if self.now_and_then(0.3):
            return self.join()
        if self.now_and_then(0.3):
            return self.of_keys(self.pick("dedup", "topn", "timers"))
        if kind == "watermarks":
            return "pipeline watermarks " + " ".join(self.common())
        lateness = [] if kind == "global" else self.lateness()
        if kind == "trailing" or self.now_and_then(0.7):
            return self.stage(kind, self.common() + lateness)
        first = self.stage(kind, self.common() + ([] if kind == "session" else lateness), before_another=True)
        second = self.pick("tumbling", "sliding", "session", "global", "trailing", "trailing", "watermarks")
        if " early=" in first and second == "trailing":
            second = "tumbling"  # where the early row of one window stands to the close of another is nobody's business
        return first + " | " + ("watermarks" if second == "watermarks" else self.stage(second, []).removeprefix("pipeline "))

    def join(self):
        self.partitions, self.names = 2, ["left", "right"]
        self.speaks_of_idleness = self.now_and_then(0.3)  # what does is not restarted between steps
        kind = self.pick("window-join", "interval-join", "interval-join", "asof-join")
        if kind == "window-join":
            parameters = [f"size={self.duration(3, 15)}"] + [f"slide={self.duration(2, 12)}"] * self.now_and_then(0.5)
            parameters += [f"offset={print_time(self.rng.randrange(-20, 20) * S)}"] * self.now_and_then(0.3)
        elif kind == "interval-join":
            lower = self.rng.randrange(-12 * S, 6 * S, self.step_size)
            upper = lower + self.rng.randrange(0, 12 * S, self.step_size)
            parameters = [f"lower={print_time(lower)}", f"upper={print_time(upper)}"]
            parameters += [f"type={self.pick('inner', 'left', 'right', 'outer')}"] * self.now_and_then(0.8)
        else:
            parameters = [f"type={self.pick('inner', 'left')}"] * self.now_and_then(0.8)
            self.has_versions = True
        parameters += self.common()
        self.rng.shuffle(parameters)
        line = " ".join(["pipeline", kind] + parameters)
        if self.now_and_then(0.7):
            return line
        # Rows of one key and instant come in no particular order: aggregates that show it are nobody's business.
        second = self.pick(f"tumbling size={self.duration(3, 15)} {self.pick('count', 'distinct')}", "watermarks",
                           f"sliding size={self.duration(3, 15)} slide={self.duration(2, 12)} {self.pick('count', 'distinct')}",
                           f"trailing windows={self.duration(3, 15)} resolution=1s count")
        return f"{line} | {second}"

    def of_keys(self, kind):
        """A pipeline of a kind of keyed.py; dedup also before or behind windows, the others behind them."""
        self.gives_commands = kind == "timers"
        own = " ".join([kind] + random_parameters(kind, self))
        if self.now_and_then(0.6):
            return " ".join(["pipeline", own] + self.common())
        if kind == "dedup" and self.now_and_then(0.5):
            second = self.pick("tumbling", "sliding", "trailing", "topn n=2", "watermarks")
            second = second if " " in second or second == "watermarks" else self.stage(second, []).removeprefix("pipeline ")
            return " ".join(["pipeline", own] + self.common()) + " | " + second
        self.gives_commands = False
        return self.stage(self.pick("tumbling", "sliding"), self.common() + self.lateness(), before_another=True) + " | " + own

    def stage(self, kind, parameters, before_another=False):
        if kind == "session":
            own = [f"gap={self.duration(1, 8)}"] + ([] if before_another else self.emission())
        elif kind == "global":
            own = [self.pick(f"count={self.pick(1, 2, 3, 4)}", f"every={self.pick(1, 2, 3)}")]
        else:
            own = self.trailing() if kind == "trailing" else self.windows(kind)
        parameters = own + parameters
        aggregate = self.pick(*(name for name in AGGREGATES if not (before_another and name in ("collect", "top"))))
        self.numbers_only |= before_another or aggregate in NUMBERS_ONLY
        if aggregate == "top":
            aggregate = f"top({self.pick(1, 2, 3)})"
        self.rng.shuffle(parameters)
        return " ".join(["pipeline", kind] + parameters + ([] if aggregate == "count" and self.now_and_then(0.5) else [aggregate]))

    def common(self):
        parameters = []
        if self.partitions > 1:
            if self.names[0] == "p0":
                parameters.append(f"partitions={self.partitions}")
            if self.now_and_then(0.3):
                parameters.append(f"drift={self.duration(0, 20)}")
        if self.disorder:
            parameters.append(f"disorder={print_time(self.pick(0, 1, 2, 5, 9) * S)}")
        if self.idle:
            parameters.append(f"idle={self.duration(3, 20)}")
        if self.now_and_then(0.3):
            parameters.append(f"parallelism={self.pick(2, 3, 5)}")
        return parameters

    def lateness(self):
        return [f"lateness={self.duration(0, 15)}"] if self.now_and_then(0.5) else []

    def windows(self, kind):
        parameters = [f"size={self.duration(3, 15)}"]
        if kind == "sliding":
            parameters.append(f"slide={self.duration(2, 12)}")
        if self.now_and_then(0.3):
            parameters.append(f"offset={print_time(self.rng.randrange(-20, 20) * S)}")
        return parameters + self.emission()

    def emission(self):
        parameters = []
        emission = self.rng.random()
        if emission < 0.2:
            parameters.append("emit=update")
        elif emission < 0.45:
            parameters.append(f"early={self.duration(1, 9)}")
        elif emission < 0.6 and self.may_use_clock:
            parameters.append(f"early_processing={self.duration(1, 9)}")
            self.may_use_clock = False  # in one stage only: which one looks at the clock first is nobody's business
        if self.now_and_then(0.25):
            parameters.append("changes_only")
        return parameters

    def trailing(self):
        windows = self.rng.sample((2, 3, 5, 8, 13, 20), self.pick(1, 2, 2, 3))
        resolution = self.pick("exact", "auto", "1s", "2s", self.duration(1, 4))
        parameters = ["windows=" + ",".join(f"{window}s" for window in windows), f"resolution={resolution}"]
        emit = self.pick("on_record", "on_record", "on_watermark", "coalesced")
        if emit != "on_record" or self.now_and_then(0.3):
            parameters.append(f"emit={emit}")
        if emit == "coalesced":
            parameters.append(f"interval={self.duration(2, 10)}")
        if self.now_and_then(0.3):
            parameters.append("empty=delete")
        if self.now_and_then(0.25):
            parameters.append("changes_only")
            self.no_negatives = True  # so that no sum of records equals that of none
        return parameters

    # The steps.

    def record(self, one):
        key = self.pick("a", "a", "b", "c")
        time = self.cursor + self.rng.randrange(-12 * S, 8 * S, self.step_size)
        if self.gives_commands and self.now_and_then(0.9):
            return f"{key}@{print_time(time)}={random_command(self)}"
        if self.now_and_then(0.3):
            return f"{key}@{print_time(time)}"
        if self.has_versions and one == 1 and self.now_and_then(0.25):
            return f"{key}@{print_time(time)}=-"
        if self.numbers_only or self.now_and_then(0.5):
            value = self.rng.randrange(1 if self.no_negatives else -4, 9) / self.pick(1, 1, 2)
            return f"{key}@{print_time(time)}={value:g}"
        return f"{key}@{print_time(time)}={self.pick(*WORDS)}"

    def step(self):
        self.cursor += self.pick(0, 0, 1, 2, 3, 5, 11) * S
        alive = [i for i in range(self.partitions) if i not in self.ended]
        one = self.pick(*alive) if alive else None
        verbs = ["in"] * 10 + ["watermark"] * (2 if self.disorder else 7) + ["restart"] * 2
        verbs += ["advance"] * (5 if self.idle or not self.may_use_clock else 1)
        verbs += ["idle", "active", "pause", "resume", "resume"] * (1 if self.speaks_of_idleness else 0)
        verbs += ["end"] if self.partitions > 1 and len(alive) > 1 and self.now_and_then(0.4) else []
        verb = self.pick(*verbs)
        if verb == "advance":
            return f"advance {self.duration(1, 12)}"
        if verb == "restart":
            return self.pick("restart", f"restart parallelism={self.pick(1, 2, 3, 4)}")
        if verb == "in":
            return f"in {self.names[one]} " + " ".join(self.record(one) for _ in range(self.pick(1, 1, 2, 3, 5)))
        if verb == "watermark":
            time = print_time(self.cursor + self.rng.randrange(-10 * S, 4 * S, self.step_size))
            time = "inf" if self.now_and_then(0.02) else time
            return f"watermark {time}" if self.now_and_then(0.5) else f"watermark {self.names[one]} {time}"
        if verb == "end":
            self.ended.add(one)
        return f"{verb} {self.names[one]}"

    def text(self):
        lines = [self.pipeline()] + [self.step() for _ in range(self.rng.randrange(4, 24))]
        if self.now_and_then(0.7):
            lines += [f"resume {name}" for name in self.names]
        if self.now_and_then(0.6):
            lines.append("end")
        return "\n".join(lines) + "\n"


def random_scenario(seed, number):
    return filled_in(Script(random.Random(f"{seed}/{number}")).text())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--first", type=int, default=0, help="number of the first file (default 0)")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for number in range(arguments.first, arguments.first + arguments.count):
        path = arguments.out / f"random_{arguments.seed}_{number}.scenario"
        path.write_text(random_scenario(arguments.seed, number), encoding="utf-8")
    print(f"{arguments.count} files in {arguments.out}")


if __name__ == "__main__":
    main()
