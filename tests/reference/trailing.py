"""Trailing windows with decay.

Slices are left-open: a record of time t counts in window w at instant T if t <= T < ceil(t / r) * r + w, r being the resolution of w.
Every row is computed from the full list of the accepted records of its key.
"""
from collections import namedtuple

from aggregates import aggregate_function
from stages import Output, Stage, late
from values import INFINITY, MINUS_INFINITY, add, print_time, trailing_row

Row = namedtuple("Row", "time results is_empty")


def ceil_to(time, step):
    return -(-time // step) * step


class Trailing(Stage):
    def __init__(self, stage):
        super().__init__()
        parameters = stage.parameters
        self.windows = sorted(parameters["windows"])
        resolution = parameters["resolution"]
        self.resolutions = [{"exact": 1, "auto": max(1000, window // 60)}.get(resolution, resolution) for window in self.windows]
        self.lateness = parameters.get("lateness", 0)
        self.emit, self.interval = parameters["emit"], parameters["interval"]
        self.deletes = parameters["empty"] == "delete"
        self.changes_only = parameters["changes_only"]
        self.aggregate = aggregate_function(stage.aggregate, stage.size)
        self.nothing = tuple(self.aggregate([]) for _ in self.windows)
        self.accepted = {}  # key -> records in the order of arrival
        self.instant = {}  # on_record: key -> the greatest instant of its rows so far
        self.effective = MINUS_INFINITY  # the others: instants before this one have taken effect
        self.last_row = {}  # key -> its last row, for changes_only
        self.last_finite = MINUS_INFINITY  # the greatest watermark but for infinity: nothing decays beyond it

    # What a key's records come to.

    def expiry(self, record, i):
        """The instant at which the record's slice leaves window i."""
        return add(ceil_to(record.time, self.resolutions[i]), self.windows[i])

    def decays(self, records):
        return sorted({self.expiry(record, i) for record in records for i in range(len(self.windows))})

    def row_at(self, time, records):
        counted = [[record for record in records if record.time <= time < self.expiry(record, i)] for i in range(len(self.windows))]
        return Row(time, tuple(self.aggregate(in_window) for in_window in counted), not any(counted))

    def outputs(self, key, rows):
        """Spells the rows of a key, without those that `changes_only` drops."""
        spelled = []
        for row in rows:
            last = self.last_row.get(key, Row(None, self.nothing, True))  # a key that is not known stands empty
            self.last_row[key] = row
            if self.changes_only and (last.results, last.is_empty) == (row.results, row.is_empty):
                continue
            deleted = self.deletes and row.is_empty
            spelled.append(Output(f"delete {key}@{print_time(row.time)}" if deleted
                                  else trailing_row(key, row.time, self.windows, row.results)))
        return spelled

    def forget_empty_keys(self):
        """Once watermark - lateness has passed the last decay of an emptied key, nothing of it is left."""
        for key, row in list(self.last_row.items()):
            if row.is_empty and add(self.watermark, -self.lateness) > row.time:
                del self.last_row[key]
                if self.emit == "on_record":
                    del self.instant[key], self.accepted[key]

    # What happens.

    def batch(self, records):
        outputs, touched = [], {}
        for record in records:
            if record.time < add(record.known, -self.lateness):
                outputs.append(late(record))
                continue
            mine = self.accepted.setdefault(record.key, [])
            mine.append(record)
            if self.emit == "on_record":
                instant = max(record.time, self.instant.get(record.key, MINUS_INFINITY))
                self.instant[record.key] = instant
                outputs += self.outputs(record.key, [self.row_at(instant, mine)])
        if self.emit == "on_record":
            outputs += self.decay_until(self.last_finite)
        return outputs

    def advance(self, watermark):
        ended = watermark == INFINITY
        self.last_finite = self.last_finite if ended else watermark
        if self.emit == "on_record":
            outputs = self.decay_until(self.last_finite)
        else:
            outputs = self.take_effect(self.last_finite if ended else add(watermark, -self.lateness), ended)
        self.watermark = watermark
        self.forget_empty_keys()
        return outputs

    def decay_until(self, watermark):
        """on_record: the decays that lie ahead of a key's last row and that the watermark has passed."""
        outputs = []
        for key, records in self.accepted.items():
            due = [time for time in self.decays(records) if self.instant.get(key, MINUS_INFINITY) < time < watermark]
            outputs += self.outputs(key, [self.row_at(time, records) for time in due])
            if due:
                self.instant[key] = due[-1]
        return outputs

    def take_effect(self, until, ended):
        """on_watermark, coalesced: all rows, from the start, in the order of their instants; given out are those that are new."""
        outputs = []
        for key, records in self.accepted.items():
            rows = self.rows_in_order(records, until, ended)
            if self.emit == "on_watermark":
                new = [row for row in rows if row.time >= self.effective]
            else:
                new = [row for row in self.last_of_intervals(rows) if self.is_new_interval(row, until, ended)]
            outputs += self.outputs(key, new)
        self.effective = until
        return outputs

    def rows_in_order(self, records, until, ended):
        """One row per decay and per record of a key before `until`; decays before records, then by partition and offset.

        At the end every record takes effect, and what decays before it, but nothing decays beyond the last finite watermark.
        """
        records = sorted(records, key=lambda record: (record.time, record.partition, record.offset))
        rows = []
        for i, record in enumerate(records):
            for time in self.decays(records[:i]):
                if (time < until or ended) and (not rows or rows[-1].time < time) and time <= record.time:
                    rows.append(self.row_at(time, records[:i]))
            if record.time < until or ended:
                rows.append(self.row_at(record.time, records[:i + 1]))
        rows += [self.row_at(time, records) for time in self.decays(records) if time < until and (not rows or rows[-1].time < time)]
        return rows

    def last_of_intervals(self, rows):
        return list({row.time // self.interval: row for row in rows}.values())

    def is_new_interval(self, row, until, ended):
        """Whether the interval of `row` was open so far and is over now."""
        end = (row.time // self.interval + 1) * self.interval
        return end > self.effective and (end <= until or ended)
