"""Joins of two inputs, left (0) and right (1). Everything that was on time is kept in plain lists."""
from stages import Output, Stage
from values import MINUS_INFINITY, add, late_row, print_result, print_time, window_row

LEFT, RIGHT = 0, 1


def late(record):
    side = "left" if record.partition == LEFT else "right"
    return Output(late_row(record.key, record.time, record.value).replace("late ", f"late {side} ", 1))


def point_row(key, time, left, right):
    return Output(f"{key}@{print_time(time)}={print_result((left, right))}", key, time, (left, right))


class IntervalJoin(Stage):
    def __init__(self, stage):
        super().__init__()
        self.lower, self.upper = stage.parameters["lower"], stage.parameters["upper"]
        kind = stage.parameters["type"]
        self.pads = {LEFT: kind in ("left", "outer"), RIGHT: kind in ("right", "outer")}
        self.taken = {LEFT: [], RIGHT: []}
        self.matched = set()  # (side, index in taken)
        self.decided = set()  # likewise: no partner can come any more

    def forwarded(self, watermark):
        delay = max(0, self.upper if self.pads[LEFT] else 0, -self.lower if self.pads[RIGHT] else 0)
        return add(watermark, -delay)

    def is_pair(self, left, right):
        return left.key == right.key and add(left.time, self.lower) <= right.time <= add(left.time, self.upper)

    def batch(self, records):
        outputs = []
        for record in records:
            if record.time < self.watermark:
                outputs.append(late(record))
                continue
            mine, other = record.partition, 1 - record.partition
            for i, partner in enumerate(self.taken[other]):
                left, right = (record, partner) if mine == LEFT else (partner, record)
                if self.is_pair(left, right):
                    outputs.append(point_row(record.key, max(left.time, right.time), left.value, right.value))
                    self.matched |= {(other, i), (mine, len(self.taken[mine]))}
            self.taken[mine].append(record)
        return sorted(outputs + self.rows_without_partner(), key=lambda output: output.time or 0)

    def rows_without_partner(self):
        outputs = []
        for side, bound in ((LEFT, self.upper), (RIGHT, -self.lower)):
            for i, record in enumerate(self.taken[side]):
                if (side, i) in self.decided or record.time >= add(self.watermark, -bound):
                    continue
                self.decided.add((side, i))
                if self.pads[side] and (side, i) not in self.matched:
                    both = (record.value, None) if side == LEFT else (None, record.value)
                    outputs.append(point_row(record.key, record.time, *both))
        return outputs

    def advance(self, watermark):
        self.watermark = watermark
        return sorted(self.rows_without_partner(), key=lambda output: output.time)


class WindowJoin(Stage):
    def __init__(self, stage):
        super().__init__()
        self.size, self.offset = stage.parameters["size"], stage.parameters["offset"]
        self.slide = stage.parameters["slide"] or self.size
        self.taken = []  # (start, record)

    def starts_of(self, time):
        start = (time - self.offset) // self.slide * self.slide + self.offset
        starts = []
        while start + self.size > time:
            starts.append(start)
            start -= self.slide
        return starts

    def is_open(self, start):
        return self.watermark < add(start, self.size)

    def batch(self, records):
        outputs = []
        for record in records:
            starts = self.starts_of(record.time)
            if starts and not any(self.is_open(start) for start in starts):
                outputs.append(late(record))
            self.taken += [(start, record) for start in starts if self.is_open(start)]
        return outputs

    def advance(self, watermark):
        self.watermark = watermark
        closed = [(start, record) for start, record in self.taken if not self.is_open(start)]
        self.taken = [(start, record) for start, record in self.taken if self.is_open(start)]
        outputs = []
        for start, left in closed:
            for other, right in closed:
                if start == other and left.key == right.key and (left.partition, right.partition) == (LEFT, RIGHT):
                    end, both = add(start, self.size), (left.value, right.value)
                    outputs.append(Output(window_row(left.key, start, end, both), left.key, add(end, -1), both))
        return sorted(outputs, key=lambda output: output.time)


class AsofJoin(Stage):
    def __init__(self, stage):
        super().__init__()
        self.pads = stage.parameters["type"] == "left"
        self.waiting = []
        self.versions = {}  # key -> {time: value}, None for a deletion

    def newest(self, key, time):
        """The time of the newest version at or before `time`."""
        return max((at for at in self.versions.get(key, {}) if at <= time), default=MINUS_INFINITY)

    def batch(self, records):
        outputs = []
        for record in records:
            if record.partition == LEFT:
                outputs += [late(record)] if record.time < self.watermark else []
                self.waiting += [record] if record.time >= self.watermark else []
            elif record.time < self.watermark and self.newest(record.key, self.watermark) > record.time:
                outputs.append(late(record))
            else:
                self.versions.setdefault(record.key, {})[record.time] = record.value
        return outputs

    def advance(self, watermark):
        self.watermark = watermark
        outputs = []
        for probe in sorted((probe for probe in self.waiting if probe.time < watermark), key=lambda probe: probe.time):
            version = self.versions.get(probe.key, {}).get(self.newest(probe.key, probe.time))
            if version is not None or self.pads:
                outputs.append(point_row(probe.key, probe.time, probe.value, version))
        self.waiting = [probe for probe in self.waiting if probe.time >= watermark]
        return outputs
