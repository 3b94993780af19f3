#!/usr/bin/env python3
"""Compares what a feature pipeline run has committed with the oracle's recomputation of its input.

Every row must be there, once, and right; every late and bad event must be exactly once in its own
directory (or topic), bytes unchanged. Ends with the line "rows equal the oracle: yes|no"; exit 0
only if everything is right, 1 if not, 2 for wrong usage.
"""

import argparse
import base64
import collections
import json
import os
import sys

import file_log
import interleaving
import oracle
import redis_rows

SHOWN = 5  # differences printed of each kind


class Output:
    """What a run has committed: rows of each user in output order, late and bad events."""

    def __init__(self):
        self.rows = {}                          # user -> [row tuple]
        self.row_count = 0
        self.malformed = []                     # text: where and why
        self.misplaced = 0                      # rows outside the partition of their key
        self.late = collections.Counter()       # (partition, offset) -> copies
        self.bad = collections.Counter()
        self.late_reasons = collections.Counter()
        self.bad_reasons = collections.Counter()
        self.altered = []                       # text: late and bad events with other bytes


def murmur2(data):
    """Kafka's hash of a message key (Java's default partitioner)."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = 0x9747B28C ^ len(data)
    whole = len(data) & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i:i + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = h * m & mask ^ k
    if len(data) > whole:
        h = (h ^ int.from_bytes(data[whole:], "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


class RowReader:
    """JSON rows -> tuples of the oracle's shape; collects what is not to the letter."""

    def __init__(self, settings, output):
        self._fields = settings.fields
        self._output = output
        self._numbers_at_length = 0
        self._decoder = json.JSONDecoder(parse_float=self._number)
        self._partition_of = {}

    def _number(self, text):
        number = float(text)
        shortest = repr(number)
        if text != shortest and len(_digits(text)) > len(_digits(shortest)):
            self._numbers_at_length += 1
        return number

    def parse(self, text):
        """(user, row) of a JSON row; raises ValueError."""
        try:
            fields = self._decoder.decode(text.decode())
            if type(fields) is not dict or list(fields) != self._fields:
                raise ValueError(f"not an object of the fields {self._fields}")
            user, *features, event_time, computed_at = fields.values()
            row = (_exact_iso(computed_at), *features,
                   None if event_time is None else _exact_iso(event_time))
            if type(user) is not str or any(type(feature) is bool for feature in features):
                raise ValueError("user_id is not text, or a feature is true or false")
            if self._numbers_at_length:
                self._numbers_at_length = 0
                raise ValueError("a number is not in its shortest form")
        except (TypeError, oracle.BadEvent) as error:
            raise ValueError(str(error)) from None
        return user, row

    def add(self, place, partition, partitions, text, key=None):
        output = self._output
        output.row_count += 1
        try:
            user, row = self.parse(text)
            if key is not None and key != user.encode():
                raise ValueError(f"message key {key!r} is not the user_id")
        except ValueError as error:
            output.malformed.append(f"{place}: {error}: {text[:200]!r}")
            return
        if user not in self._partition_of:
            self._partition_of[user] = (murmur2(user.encode()) & 0x7FFFFFFF) % partitions
        output.misplaced += self._partition_of[user] != partition
        output.rows.setdefault(user, []).append(row)


def _digits(text):
    return text.lower().partition("e")[0].lstrip("-").replace(".", "").strip("0")


def _exact_iso(text):
    time = oracle.parse_iso(text)
    if len(text) != 24 or text[-1] != "Z":
        raise ValueError(f"not ISO 8601 UTC with milliseconds: {text}")
    return time


# --- Late and bad events --------------------------------------------------------------------------

def add_side_event(judged_records, copies, reasons, output, place, letter):
    """`letter`: partition, offset, reason, key and value (bytes) of one late or bad event."""
    position = letter["partition"], letter["offset"]
    copies[position] += 1
    reasons[letter["reason"]] += 1
    record = judged_records.get(position)
    if record is not None and (letter["value"] != record.value or letter["key"] != record.key):
        output.altered.append(f"{place}: key or value is not that of the input at {position}")


def letter_of_json(line):
    """A late or bad event as files hold it: one JSON object a line."""
    fields = json.loads(line)
    binary = fields.get("encoding") == "base64"

    def content(name):
        text = fields.get(name)
        if text is None:
            return None
        return base64.b64decode(text, validate=True) if binary else text.encode()

    return {"partition": int(fields["partition"]), "offset": int(fields["offset"]),
            "reason": str(fields["reason"]), "key": content("key"), "value": content("value")}


def read_side(topic_dir, judged_records, copies, reasons, output):
    if not os.path.isdir(topic_dir):
        return  # a run without late or bad events need not make it
    for _, path in file_log.partition_dirs(topic_dir):
        for offset, line in file_log.read_partition(path):
            place = f"{path} offset {offset}"
            try:
                letter = letter_of_json(line)
            except (ValueError, KeyError, TypeError) as error:
                output.malformed.append(f"{place}: {type(error).__name__} {error}: {line[:200]!r}")
                continue
            add_side_event(judged_records, copies, reasons, output, place, letter)


def read_files(output_dir, late_dir, bad_dir, judged, settings):
    output = Output()
    reader = RowReader(settings, output)
    partitions = file_log.partition_dirs(output_dir)
    count = max(partition for partition, _ in partitions) + 1
    for partition, path in partitions:
        for offset, line in file_log.read_partition(path):
            reader.add(f"{path} offset {offset}", partition, count, line)
    read_side(late_dir, judged.late, output.late, output.late_reasons, output)
    read_side(bad_dir, {place: record for place, (_, record) in judged.bad.items()},
              output.bad, output.bad_reasons, output)
    return output


def read_topics(brokers, topic, late_topic, bad_topic, judged, settings):
    import kafka_topic  # needs confluent_kafka
    output = Output()
    reader = RowReader(settings, output)
    found = kafka_topic.read(brokers, topic)
    for partition, messages in found.items():
        for message in messages:
            reader.add(f"{topic} partition {partition} offset {message.offset()}", partition,
                       len(found), message.value() or b"", message.key() or b"")
    bad = {place: record for place, (_, record) in judged.bad.items()}
    for name, records, copies, reasons in (
            (late_topic, judged.late, output.late, output.late_reasons),
            (bad_topic, bad, output.bad, output.bad_reasons)):
        for partition, messages in kafka_topic.read(brokers, name).items():
            for message in messages:
                place = f"{name} partition {partition} offset {message.offset()}"
                try:
                    letter = kafka_topic.letter(message)
                except (ValueError, KeyError) as error:
                    output.malformed.append(f"{place}: {type(error).__name__} {error}: "
                                            f"{message.headers()}")
                    continue
                add_side_event(records, copies, reasons, output, place, letter)
    return output


# --- The comparison -------------------------------------------------------------------------------

class Differences:
    """Counts and the first few, as text."""

    def __init__(self):
        self.count = 0
        self.first = []

    def add(self, text, count=1):
        self.count += count
        if len(self.first) < SHOWN:
            self.first.append(text)


def unmatched(actual, expected):
    """(rows missing, rows unexpected) of two multisets of rows, averages to 1e-9."""
    buckets = collections.defaultdict(list)
    for row in expected:
        buckets[_without_averages(row)].append(row)
    unexpected = []
    for row in actual:
        bucket = buckets[_without_averages(row)]
        match = next((i for i, other in enumerate(bucket) if interleaving.same_row(row, other)),
                     None)
        if match is None:
            unexpected.append(row)
        else:
            del bucket[match]
    return [row for bucket in buckets.values() for row in bucket], unexpected


def _without_averages(row):
    return tuple(value for i, value in enumerate(row) if i % 3 != 0 or i == 0 or i == len(row) - 1)


def compare_key(user, events, rows, settings, end, checker, differences):
    expected = oracle.expected_rows(events, settings, end)

    def show(sign, row):
        return f"{sign} {oracle.print_row(user, row, settings)}"

    if any(later[0] < earlier[0] for earlier, later in zip(rows, rows[1:])):
        differences.add(f"! computed_at of {user} moves back")
    if settings.emit == "on_record":
        problem = checker.explain(events, rows)
        if problem is not None:
            index, text = problem
            row = show("+", rows[index]) if index < len(rows) else f"- end of the rows of {user}"
            differences.add(f"{row}  # row {index} of {len(rows)} of this key: {text}")
    elif len(rows) != len(expected) or not all(map(interleaving.same_row, rows, expected)):
        missing, unexpected = unmatched(rows, expected)
        for row in missing:
            differences.add(show("-", row))
        for row in unexpected:
            differences.add(show("+", row))
    if rows and expected and not interleaving.same_row(rows[-1], expected[-1]):
        differences.add(f"last row of {user}: {show('-', expected[-1])}\n    {show('+', rows[-1])}")


def compare_rows(judged, output, settings, end, strict_watermark, differences, tell=None):
    checker = interleaving.Checker(judged, settings, end, strict_watermark)
    users = sorted(judged.by_user.keys() | output.rows.keys())
    for done, user in enumerate(users):
        compare_key(user, judged.by_user.get(user, []), output.rows.get(user, []), settings, end,
                    checker, differences)
        if tell and done % 100 == 0:
            tell(f"comparing the rows of user {done} of {len(users)}")


def compare_side(name, expected, copies, differences):
    lost = [position for position in expected if position not in copies]
    doubled = [position for position, count in copies.items() if count > 1]
    foreign = [position for position in copies if position not in expected]
    print(f"{name} events: {len(expected)} by the oracle, {sum(copies.values())} found, "
          f"{len(lost)} lost, {len(doubled)} doubled, {len(foreign)} that are not {name}")
    for what, positions in (("lost", lost), ("doubled", doubled), (f"not {name}", foreign)):
        for partition, offset in sorted(positions):
            differences.add(f"{name} event of partition {partition} offset {offset}: {what}")


def _by_reason(reasons):
    return ", ".join(f"{reason}: {count}" for reason, count in sorted(reasons.items())) or "none"


def report(judged, output, settings, strict_watermark=True, unfinished=False, tell=None):
    """Prints the proof; True if everything equals the oracle."""
    end = judged.end
    if unfinished:  # an input that goes on: what is settled by its watermark
        watermark = judged.watermark(settings)
        behind = 0 if settings.emit == "on_record" else settings.lateness
        end = None if watermark is None else watermark - behind - 1
    rows, sides = Differences(), Differences()
    for text in output.malformed:
        rows.add(f"! {text}")
    for text in output.altered:
        sides.add(text)
    if end is None:
        end = -oracle.INT64_MAX
    compare_rows(judged, output, settings, end, strict_watermark, rows, tell)
    if tell:
        tell("")
    print(f"events in: {judged.events_in} (accepted {judged.accepted}, late {len(judged.late)}, "
          f"bad {len(judged.bad)}; {len(judged.by_user)} users)")
    emptied = sum(oracle.is_empty(found[-1]) for found in output.rows.values())
    print(f"rows out: {output.row_count} of {len(output.rows)} users ({emptied} emptied)")
    print(f"late by reason: {_by_reason(output.late_reasons)}")
    print(f"bad by reason: {_by_reason(output.bad_reasons)}")
    print(f"bad by reason, as the oracle sees it: {_by_reason(judged.bad_by_reason)}")
    compare_side("late", judged.late, output.late, sides)
    compare_side("bad", judged.bad, output.bad, sides)
    if output.misplaced:
        rows.add(f"! {output.misplaced} rows are outside the partition of their key")
    for differences in (sides, rows):
        for text in differences.first:
            print(f"  {text}")
        if differences.count > len(differences.first):
            print(f"  and {differences.count - len(differences.first)} more")
    print(f"late and bad events equal the oracle: {'no' if sides.count else 'yes'}")
    print(f"rows equal the oracle: {'no' if rows.count else 'yes'}")
    return not rows.count and not sides.count


def progress(text):
    """One line of talk, in place on a terminal, nothing elsewhere."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("input", metavar="INPUT_DIR", help="file log of the events, or "
                        "a dumped Kafka topic; with --kafka a topic")
    parser.add_argument("output", metavar="OUTPUT_DIR", help="file log of the rows; "
                        "with --kafka a topic")
    parser.add_argument("--late", help="default: INPUT's name + -late, beside OUTPUT")
    parser.add_argument("--dlq", help="default: INPUT's name + -dlq, beside OUTPUT")
    parser.add_argument("--kafka", metavar="BROKERS", help="read topics instead of directories")
    parser.add_argument("--redis", metavar="HOST:PORT[/DB]", help="compare the last rows with it")
    parser.add_argument("--redis-prefix", default="features:")
    parser.add_argument("--unfinished", action="store_true",
                        help="the run was stopped, its input has not ended")
    parser.add_argument("--idle-may-happen", action="store_true",
                        help="on_record: a partition may have gone idle, so decays prove less")
    oracle.add_settings(parser)
    args = parser.parse_args(argv)
    beside = os.path.dirname(os.path.normpath(args.output)) if not args.kafka else ""
    name = os.path.basename(os.path.normpath(args.input))
    late = args.late or os.path.join(beside, f"{name}-late")
    bad = args.dlq or os.path.join(beside, f"{name}-dlq")
    try:
        own_timestamps = bool(args.kafka) or os.path.isfile(args.input)
        settings = oracle.settings_of(args, kafka=own_timestamps)
        progress("reading and judging the input")
        if args.kafka:
            import kafka_topic  # needs confluent_kafka
            judged = oracle.judge(kafka_topic.records(args.kafka, args.input), settings)
            progress("reading the output")
            output = read_topics(args.kafka, args.output, late, bad, judged, settings)
        else:
            judged = oracle.judge(oracle.read_input(args.input), settings)
            progress("reading the output")
            output = read_files(args.output, late, bad, judged, settings)
    except (ValueError, OSError, RuntimeError, ImportError, file_log.FileLogError) as error:
        progress("")
        print(f"verify: {error}", file=sys.stderr)
        print("rows equal the oracle: no")
        return 2 if isinstance(error, (ValueError, ImportError)) else 1
    good = report(judged, output, settings, not args.idle_may_happen, args.unfinished,
                  tell=progress)
    if args.redis:
        reader = RowReader(settings, Output())
        good = redis_rows.compare(args.redis, args.redis_prefix, output, reader.parse,
                                  settings) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
