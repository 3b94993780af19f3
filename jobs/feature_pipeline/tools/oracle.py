#!/usr/bin/env python3
"""An independent recomputation of the feature pipeline's rows, from the input alone.

It knows the rules of the main job (which events are bad or late, when an event counts in a trailing
window, when a window decays) and nothing of the engine. Times are integer milliseconds since the
epoch. Sums are exact: every value is a double, hence an integer multiple of a power of two.

An event of time t counts in window w of resolution r at instant T if and only if
t <= T < ceil(t / r) * r + w; the right-hand side is its expiry in w.

A row is a tuple (computed_at, count, unique, average per window ..., last_action, event_time).
"""

import argparse
import base64
import collections
import datetime
import json
import math
import os
import re
import sys

import file_log

Event = collections.namedtuple("Event", "time partition offset user action value")
Record = collections.namedtuple("Record", "partition offset key value timestamp")

INT64_MAX = 2**63 - 1
_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(r"(\d+)(ms|s|m|h|d)?$")
_ISO = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$")
_EPOCH = datetime.date(1970, 1, 1).toordinal()


def parse_duration(text):
    """'5m' -> 300000; without a unit, milliseconds."""
    match = _DURATION.match(text)
    if not match:
        raise ValueError(f"not a duration (such as 500ms, 5s, 1m, 24h): {text}")
    return int(match.group(1)) * _UNITS[match.group(2) or "ms"]


class Settings:
    """What decides the rows. Durations in milliseconds.

    `windows` are spelled as in the configuration, since the spelling is part of the field names.
    `max_future_skew` is None where records have no timestamp of their own (files).
    """

    def __init__(self, windows=("5m", "1h", "24h"), resolution="auto", disorder=5_000,
                 lateness=60_000, emit="on_record", interval=60_000, max_future_skew=None):
        self.names = tuple(windows)
        self.windows = tuple((size, _resolution(size, resolution))
                             for size in map(parse_duration, windows))
        self.disorder = disorder
        self.lateness = lateness
        self.emit = emit
        self.interval = interval
        self.max_future_skew = max_future_skew
        if emit not in ("on_record", "on_watermark", "coalesced"):
            raise ValueError(f"emit is on_record, on_watermark or coalesced, not {emit}")
        self.largest = max(range(len(self.windows)), key=lambda i: self.windows[i][0])
        largest = self.windows[self.largest][0]
        for size, resolution_ms in self.windows:
            if size != largest and largest - size < resolution_ms:
                raise ValueError("the largest window must exceed the others by their resolution, "
                                 "or an event could outlive its key")
        self.fields = (["user_id"]
                       + [f"{field}_{name}" for name in self.names
                          for field in ("event_count", "unique_actions", "avg_value")]
                       + ["last_action", "event_time", "computed_at"])


def _resolution(size, resolution):
    if resolution == "auto":
        return max(1000, size // 60)
    return 1 if resolution == "exact" else parse_duration(resolution)


# --- Which events are bad, which are late ---------------------------------------------------------

class BadEvent(Exception):
    """Its text is the reason."""


def _no_constant(name):
    raise ValueError(name)


_days = {}


def parse_iso(text):
    """ISO 8601 with a zone -> milliseconds; digits beyond the millisecond are cut."""
    match = _ISO.match(text)
    if not match:
        raise BadEvent("timestamp: unparsable")
    day, hour, minute, second, fraction, zone = match.groups()
    if day not in _days:
        try:
            _days[day] = (datetime.date.fromisoformat(day).toordinal() - _EPOCH) * 86_400_000
        except ValueError:
            raise BadEvent("timestamp: out of range") from None
    hour, minute, second = int(hour), int(minute), int(second)
    if hour > 23 or minute > 59 or second > 59:
        raise BadEvent("timestamp: out of range")
    time = _days[day] + hour * 3_600_000 + minute * 60_000 + second * 1000
    if fraction:
        time += int(fraction[:3].ljust(3, "0"))
    if zone != "Z":
        if int(zone[1:3]) > 23 or int(zone[4:6]) > 59:
            raise BadEvent("timestamp: out of range")
        shift = int(zone[1:3]) * 3_600_000 + int(zone[4:6]) * 60_000
        time -= shift if zone[0] == "+" else -shift
    return time


_seconds = {}


def format_iso(time):
    """Milliseconds -> ISO 8601 UTC with milliseconds."""
    second, milli = divmod(time, 1000)
    text = _seconds.get(second)
    if text is None:
        day, rest = divmod(second, 86_400)
        date = datetime.date.fromordinal(day + _EPOCH)
        text = f"{date.isoformat()}T{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
        _seconds[second] = text
    return f"{text}.{milli:03d}Z"


def _text_field(fields, name):
    text = fields[name]
    if type(text) is not str:
        raise BadEvent(f"{name}: mistyped")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:  # half of a surrogate pair
            raise BadEvent("unparsable") from None
    return text


def parse_event(record, max_future_skew=None):
    """The event of a record; raises BadEvent."""
    if record.value is None:
        raise BadEvent("no value")
    try:
        fields = json.loads(record.value.decode(), parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise BadEvent("not UTF-8") from None
    except (ValueError, RecursionError):
        raise BadEvent("unparsable") from None
    if type(fields) is not dict:
        raise BadEvent("not an object")
    for name in ("user_id", "action", "value", "timestamp"):
        if name not in fields:
            raise BadEvent(f"{name}: missing")
    user = _text_field(fields, "user_id")
    action = _text_field(fields, "action")
    value = fields["value"]
    if type(value) not in (int, float):
        raise BadEvent("value: mistyped")
    try:
        value = float(value)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise BadEvent("value: out of range")
    time = fields["timestamp"]
    if type(time) is float and time.is_integer() and abs(time) < 2**53:
        time = int(time)  # 3.0 is 3
    if type(time) is str:
        time = parse_iso(time)
    elif type(time) is not int:
        raise BadEvent("timestamp: mistyped")
    elif not -INT64_MAX - 1 <= time <= INT64_MAX:
        raise BadEvent("timestamp: out of range")
    if max_future_skew is not None and time > record.timestamp + max_future_skew:
        raise BadEvent("timestamp: too far in the future")
    return Event(time, record.partition, record.offset, user, action, value)


class Judged:
    """The verdict on an input: every record is accepted, late or bad."""

    def __init__(self):
        self.by_user = {}       # user -> its accepted events, in (partition, offset) order
        self.accepted = 0
        self.late = {}          # (partition, offset) -> record
        self.bad = {}           # (partition, offset) -> (reason, record)
        self.bad_by_reason = collections.Counter()
        self.highs = {}         # partition -> ([largest time so far], [offset that set it])

    @property
    def events_in(self):
        return self.accepted + len(self.late) + len(self.bad)

    @property
    def end(self):
        """The largest event time of the whole input: nothing decays past it. None without any."""
        return max((times[-1] for times, _ in self.highs.values() if times), default=None)

    def watermark(self, settings):
        """The merged watermark of an input that has not ended, every record read."""
        if any(not times for times, _ in self.highs.values()):
            return None
        return min(times[-1] for times, _ in self.highs.values()) - settings.disorder


def judge(partitions, settings):
    """`partitions`: {partition: iterable of Record in offset order}."""
    judged = Judged()
    for partition in sorted(partitions):
        times, offsets = judged.highs[partition] = ([], [])
        largest = None
        for record in partitions[partition]:
            try:
                event = parse_event(record, settings.max_future_skew)
            except BadEvent as bad:
                judged.bad[partition, record.offset] = (str(bad), record)
                judged.bad_by_reason[str(bad)] += 1
                continue
            if largest is None or event.time > largest:
                largest = event.time
                times.append(largest)
                offsets.append(record.offset)
            elif event.time < largest - settings.disorder - settings.lateness:
                judged.late[partition, record.offset] = record
                continue
            judged.accepted += 1
            judged.by_user.setdefault(event.user, []).append(event)
    return judged


# --- The rows -------------------------------------------------------------------------------------

class ExactSum:
    """Doubles as integers of one common scale, so that sums are exact and averages round once."""

    def __init__(self, events):
        ratios = {event.value: event.value.as_integer_ratio() for event in events}
        self.scale = max((denominator for _, denominator in ratios.values()), default=1)
        self.integer = {value: numerator * (self.scale // denominator)
                        for value, (numerator, denominator) in ratios.items()}

    def average(self, total, count):
        return total / (count * self.scale) if count else None


def expiry(time, window):
    size, resolution = window
    return -(-time // resolution) * resolution + size


def watermark_rows(events, settings, end):
    """The rows of one key for `emit: on_watermark`, in order, up to and including instant `end`."""
    events = sorted(events)
    exact = ExactSum(events)
    windows = settings.windows
    spans = range(len(windows))
    expiries = [[expiry(event.time, window) for event in events] for window in windows]
    head = [0] * len(windows)      # events before it have left the window
    total = [0] * len(windows)
    actions = [{} for _ in windows]
    rows = []
    arrived = 0

    def emit(instant):
        row = [instant]
        for w in spans:
            count = arrived - head[w]
            row += (count, len(actions[w]), exact.average(total[w], count))
        if head[settings.largest] < arrived:
            newest = events[arrived - 1]
            row += (newest.action, newest.time)
        else:
            row += (None, None)
        rows.append(tuple(row))

    def decay_to(limit):
        while True:
            instant = min((expiries[w][head[w]] for w in spans if head[w] < arrived), default=None)
            if instant is None or instant > limit:
                return
            for w in spans:
                while head[w] < arrived and expiries[w][head[w]] == instant:
                    event = events[head[w]]
                    total[w] -= exact.integer[event.value]
                    left = actions[w][event.action] - 1
                    if left:
                        actions[w][event.action] = left
                    else:
                        del actions[w][event.action]
                    head[w] += 1
            emit(instant)

    for event in events:
        if event.time > end:
            break
        decay_to(event.time)  # decays before records of the same instant
        arrived += 1
        for w in spans:
            total[w] += exact.integer[event.value]
            actions[w][event.action] = actions[w].get(event.action, 0) + 1
        emit(event.time)
    decay_to(end)
    return rows


def coalesced_rows(rows, interval):
    """Of rows in order, the last one in each interval [k I, (k+1) I) of event time."""
    last = {row[0] // interval: row for row in rows}
    return list(last.values())


def expected_rows(events, settings, end):
    rows = watermark_rows(events, settings, end)
    return coalesced_rows(rows, settings.interval) if settings.emit == "coalesced" else rows


def is_empty(row):
    """An emptied key: it has a last row and no online value."""
    return row[-1] is None


# --- Rows as the job prints them ------------------------------------------------------------------

def row_to_json(user, row):
    """The JSON object of a row, as a dict in field order (names of windows are left to zip)."""
    return [user, *row[1:-1], None if row[-1] is None else format_iso(row[-1]), format_iso(row[0])]


def print_row(user, row, settings):
    return json.dumps(dict(zip(settings.fields, row_to_json(user, row))), ensure_ascii=False,
                      separators=(",", ":"))


def read_dump(path):
    """The records of a Kafka topic as kafka_topic.py dumps them."""
    def content(text):
        return None if text is None else base64.b64decode(text)

    partitions = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            fields = json.loads(line)
            partitions.setdefault(fields["partition"], []).append(
                Record(fields["partition"], fields["offset"], content(fields["key"]),
                       content(fields["value"]), fields["timestamp"]))
    for records in partitions.values():
        records.sort(key=lambda record: record.offset)
    return partitions


def read_input(topic_dir):
    """The file log as {partition: Records}; files have no key and no timestamp of their own.

    A file instead of a directory is a dumped Kafka topic.
    """
    if os.path.isfile(topic_dir):
        return read_dump(topic_dir)

    def records(partition, path):
        for offset, line in file_log.read_partition(path):
            yield Record(partition, offset, None, line, None)

    return {partition: records(partition, path)
            for partition, path in file_log.partition_dirs(topic_dir)}


def add_settings(parser):
    parser.add_argument("--windows", default="5m,1h,24h", help="as spelled in the configuration")
    parser.add_argument("--resolution", default="auto", help="auto, exact or a duration")
    parser.add_argument("--disorder", default="5s")
    parser.add_argument("--lateness", default="1m")
    parser.add_argument("--emit", default="on_record",
                        choices=("on_record", "on_watermark", "coalesced"))
    parser.add_argument("--interval", default="1m", help="emit_interval of coalesced")
    parser.add_argument("--max-future-skew", default="1h", help="Kafka only: files are not judged")


def settings_of(args, kafka=False):
    return Settings(windows=args.windows.split(","), resolution=args.resolution,
                    disorder=parse_duration(args.disorder), lateness=parse_duration(args.lateness),
                    emit=args.emit, interval=parse_duration(args.interval),
                    max_future_skew=parse_duration(args.max_future_skew) if kafka else None)


def main(argv=None):
    parser = argparse.ArgumentParser(description="Prints the rows the feature pipeline owes for a "
                                     "file log, one JSON object a line, by user. For on_record "
                                     "(where interleaving is free): the last row of every user.")
    parser.add_argument("input", help="file log, or the file of a dumped Kafka topic")
    parser.add_argument("--last", action="store_true", help="the last row of every user only")
    add_settings(parser)
    args = parser.parse_args(argv)
    try:
        settings = settings_of(args, kafka=os.path.isfile(args.input))
        judged = judge(read_input(args.input), settings)
    except (ValueError, KeyError, OSError, file_log.FileLogError) as error:
        print(f"oracle: {error}", file=sys.stderr)
        return 2
    print(f"events in {judged.events_in}, accepted {judged.accepted}, late {len(judged.late)}, "
          f"bad {len(judged.bad)}", file=sys.stderr)
    for user in sorted(judged.by_user):
        rows = expected_rows(judged.by_user[user], settings, judged.end)
        for row in rows[-1:] if args.last or settings.emit == "on_record" else rows:
            print(print_row(user, row, settings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
