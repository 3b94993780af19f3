"""Tumbling and sliding windows. Every result is computed from the full list of the records the window has taken."""
from aggregates import aggregate_function
from stages import Output, Stage, late
from values import INFINITY, add, window_row


class Windows(Stage):
    def __init__(self, stage):
        super().__init__()
        parameters = stage.parameters
        self.size, self.offset = parameters["size"], parameters["offset"]
        self.slide = parameters.get("slide", self.size)
        self.lateness = parameters.get("lateness", 0)
        self.on_update = parameters["emit"] == "update"
        self.early, self.early_processing = parameters["early"], parameters["early_processing"]
        self.changes_only = parameters["changes_only"]
        self.aggregate = aggregate_function(stage.aggregate, stage.size)
        self.taken = []  # (key, start, record) in the order of arrival
        self.changed = set()  # (start, key) of windows that took a record since their last row
        self.last_result = {}  # (start, key) -> result of its last row

    def end(self, start):
        return add(start, self.size)

    def windows_of(self, time):
        start = (time - self.offset) // self.slide * self.slide + self.offset  # the last one that has begun
        starts = []
        while start + self.size > time:
            starts.append(start)
            start -= self.slide
        return starts

    def is_closed(self, start):
        return self.watermark >= add(self.end(start), self.lateness)

    # A row for each of `windows`, in the order of their times.
    def rows(self, windows):
        outputs = []
        for start, key in sorted(windows):
            result = self.aggregate([record for k, s, record in self.taken if (s, k) == (start, key)])
            self.changed.discard((start, key))
            if self.changes_only and self.last_result.get((start, key)) == result:
                continue
            self.last_result[start, key] = result
            end = self.end(start)
            outputs.append(Output(window_row(key, start, end, result), key, add(end, -1), result))
        return outputs

    def open_and_changed(self):
        return {(start, key) for start, key in self.changed if self.watermark < self.end(start)}

    def batch(self, records):
        outputs, touched = [], set()
        for record in records:
            windows = self.windows_of(record.time)
            open_ones = [start for start in windows if not self.is_closed(start)]
            if windows and not open_ones:
                outputs.append(late(record))
            for start in open_ones:
                self.taken.append((record.key, start, record))
                touched.add((start, record.key))
        self.changed |= touched
        if not self.on_update:
            touched = {(start, key) for start, key in touched if self.watermark >= self.end(start)}
        return outputs + self.rows(touched)

    def advance(self, watermark):
        """Event time moves on: first the early rows that are due before their window closes, then the windows that close."""
        before, outputs = self.watermark, []
        if self.early is not None:
            due = {(start, key) for start, key in self.open_and_changed()
                   if self.reaches_multiple(start, before, min(watermark, self.end(start) - 1))}
            outputs += self.rows(due)
        self.watermark = watermark
        if not self.on_update:
            outputs += self.rows({(start, key) for key, start, _ in self.taken if before < self.end(start) <= watermark})
        return sorted(outputs, key=lambda output: output.time)

    def reaches_multiple(self, start, before, now):
        """Whether start + k * early, k >= 1, lies in (before, now]."""
        last = start + (now - start) // self.early * self.early
        return last > start and last > before

    def clock(self, now):
        """Processing time has reached `now`."""
        if self.early_processing is None or now % self.early_processing != 0:
            return []
        return self.rows(self.open_and_changed())

    def clock_alarm(self, now):
        """The next instant of processing time after `now` that matters here."""
        every = self.early_processing
        return INFINITY if every is None else (now // every + 1) * every
