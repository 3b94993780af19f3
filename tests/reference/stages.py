"""What every stage of a pipeline is to the model, and the simplest one."""
from collections import namedtuple

from inputs import Record
from values import INFINITY, MINUS_INFINITY, late_row, print_time

# What a stage gives out: a row's spelling, and the record it is to a next stage (no key: it is no result).
Output = namedtuple("Output", "row key time value", defaults=(None, None, None))


def late(record):
    return Output(late_row(record.key, record.time, record.value))


def records_of(outputs, arrived, known):
    """The records that a first stage's results are to a second one, which has taken `arrived` before and knows event time `known`.

    What one cause gave out comes in the order of time.
    """
    results = sorted((output for output in outputs if output.key is not None), key=lambda output: output.time)
    return [Record(output.key, output.time, output.value, 0, arrived + i, known) for i, output in enumerate(results)]


class Stage:
    def __init__(self):
        self.watermark = MINUS_INFINITY

    def batch(self, records):
        """Takes one batch; gives out what it causes."""
        raise NotImplementedError

    def advance(self, watermark):
        """Event time has moved on to `watermark`; gives out what that causes."""
        raise NotImplementedError

    def forwarded(self, watermark):
        """What holds for the rows to come, once event time has moved on to `watermark` here."""
        return watermark

    def clock(self, now):
        """Processing time has reached `now`; gives out what that causes."""
        return []

    def clock_alarm(self, now):
        """The next instant of processing time after `now` that matters here."""
        return INFINITY


class Watermarks(Stage):
    """Shows event time itself."""

    def __init__(self, stage):
        super().__init__()

    def batch(self, records):
        return []

    def advance(self, watermark):
        self.watermark = watermark
        return [Output(f"w={print_time(watermark)}")]
