"""Session windows. Every result is computed from the full list of the records the session has taken."""
from aggregates import aggregate_function
from stages import Output, Stage, late
from values import INFINITY, add, delete_row, window_row


class Session:
    def __init__(self, key, start, end):
        self.key, self.start, self.end = key, start, end
        self.taken = []  # (number of arrival, record)
        self.touched = False  # by the batch that is being taken
        self.changed = False  # since its last row
        self.has_row = False  # one was given out for exactly this window
        self.last_result = None  # of that row


class Sessions(Stage):
    def __init__(self, stage):
        super().__init__()
        parameters = stage.parameters
        self.gap, self.lateness = parameters["gap"], parameters.get("lateness", 0)
        self.on_update = parameters["emit"] == "update"
        self.early, self.early_processing = parameters["early"], parameters["early_processing"]
        self.changes_only = parameters["changes_only"]
        self.aggregate = aggregate_function(stage.aggregate, stage.size)
        self.sessions = []
        self.arrived = 0

    def has_passed(self, time):
        """A session's last instant is its end; at the end of input everything is passed."""
        return self.watermark > time or self.watermark == INFINITY

    def rows(self, sessions):
        outputs = []
        for one in sorted(sessions, key=lambda one: (one.end, one.key)):
            result = self.aggregate([record for _, record in sorted(one.taken, key=lambda taken: taken[0])])
            one.changed = False
            if self.changes_only and one.has_row and one.last_result == result:
                continue
            one.has_row, one.last_result = True, result
            outputs.append(Output(window_row(one.key, one.start, one.end, result), one.key, one.end, result))
        return outputs

    def take(self, record):
        """The output of a record that is too late; else None, and `self.deleted` has the sessions that are no more."""
        start, end = record.time, add(record.time, self.gap)
        met = [one for one in self.sessions if one.key == record.key and one.start <= end and start <= one.end]
        merged = Session(record.key, min([start] + [one.start for one in met]), max([end] + [one.end for one in met]))
        if self.has_passed(add(merged.end, self.lateness)):
            return late(record)
        for one in met:
            self.sessions.remove(one)
            if (one.start, one.end) == (merged.start, merged.end):
                merged.has_row, merged.last_result = one.has_row, one.last_result
            elif one.has_row:
                self.deleted.append(Output(delete_row(one.key, one.start, one.end)))
            merged.taken += one.taken
        merged.taken.append((self.arrived, record))
        merged.touched = merged.changed = True
        self.sessions.append(merged)
        return None

    def batch(self, records):
        self.deleted, outputs = [], []
        for one in self.sessions:
            one.touched = False
        for record in records:
            self.arrived += 1
            too_late = self.take(record)
            outputs += [too_late] if too_late else []
        due = [one for one in self.sessions if one.touched and (self.on_update or self.has_passed(one.end))]
        return outputs + self.deleted + self.rows(due)

    def advance(self, watermark):
        """Event time moves on: first the early rows of sessions that are still open, then the sessions whose end is passed."""
        before, outputs = self.watermark, []
        still_open = [one for one in self.sessions if not self.has_passed(one.end)]
        if self.early is not None:
            outputs += self.rows([one for one in still_open if one.changed and self.reaches_multiple(one, before, min(watermark, one.end))])
        self.watermark = watermark
        if not self.on_update:
            outputs += self.rows([one for one in still_open if self.has_passed(one.end)])
        self.sessions = [one for one in self.sessions if not self.has_passed(add(one.end, self.lateness))]
        return sorted(outputs, key=lambda output: output.time)

    def reaches_multiple(self, one, before, now):
        """Whether start + k * early, k >= 1, lies in (before, now]."""
        last = one.start + (now - one.start) // self.early * self.early
        return last > one.start and last > before

    def clock(self, now):
        if self.early_processing is None or now % self.early_processing != 0:
            return []
        return self.rows([one for one in self.sessions if one.changed and not self.has_passed(one.end)])

    def clock_alarm(self, now):
        every = self.early_processing
        return INFINITY if every is None else (now // every + 1) * every
