#!/usr/bin/env python3
"""Seeded user events for the feature pipeline: into a file log, or a Kafka topic.

The same arguments always give the same bytes. Events come in bursts of a user; some users fall
silent early, so that all of their windows decay to zero, and some of those return. Most events are
out of order within the disorder, some only within the lateness, some are late, a few exactly on the
edge; bad ones are of every kind.
"""

import argparse
import json
import random
import sys
import time

import file_log
import oracle

START = oracle.parse_iso("2026-01-01T00:00:00Z")
ACTIONS = ("view", "click", "add_to_cart", "purchase", "search", "sign-in", "añadir", 'say "hi"')
ACTION_WEIGHTS = (40, 25, 8, 4, 12, 6, 3, 2)
LATE_SHARE = 0.01
BEHIND_SHARE = 0.03   # beyond the disorder, within the lateness
BAD_SHARE = 0.005
EDGE_SHARE = 0.001    # exactly at, or 1 ms beyond, the lateness

# One bad record of each kind; %U a user, %T a good timestamp.
BAD = (
    b'{"action":"click","value":1.5,"timestamp":%T}',
    b'{"user_id":"%U","value":1.5,"timestamp":%T}',
    b'{"user_id":"%U","action":"click","timestamp":%T}',
    b'{"user_id":"%U","action":"click","value":1.5}',
    b'{"user_id":42,"action":"click","value":1.5,"timestamp":%T}',
    b'{"user_id":null,"action":"click","value":1.5,"timestamp":%T}',
    b'{"user_id":"%U","action":["click"],"value":1.5,"timestamp":%T}',
    b'{"user_id":"%U","action":true,"value":1.5,"timestamp":%T}',
    b'{"user_id":"%U","action":"click","value":"1.5","timestamp":%T}',
    b'{"user_id":"%U","action":"click","value":false,"timestamp":%T}',
    b'{"user_id":"%U","action":"click","value":null,"timestamp":%T}',
    b'{"user_id":"%U","action":"click","value":1.5,"timestamp":true}',
    b'{"user_id":"%U","action":"click","value":1.5,"timestamp":{"ms":%T}}',
    b'{"user_id":"%U","action":"click","value":1e999,"timestamp":%T}',
    b'{"user_id":"%U","action":"click","value":1.5,"timestamp":99999999999999999999}',
    b'{"user_id":"%U","action":"click","value":1.5,"timestamp":"2026-02-30T00:00:00Z"}',
    b'{"user_id":"%U","action":"click","value":1.5,"timestamp":"2026-01-01T25:00:00Z"}',
    b'{"user_id":"%U","action":"click","value":1.5,"timestamp":"2026-13-01T00:00:00Z"}',
    b'{"user_id":"%U","action":"click","value":1.5,"timestamp":"yesterday"}',
    b'{"user_id":"%U","action":"click","value":1.5,"timestamp":""}',
    b'{"user_id":"%U","action":"click","value":1.5,"timestamp":%T',
    b'{"user_id":"%U","action":"cli',
    b'{"user_id":"%U","action":"click","value":,"timestamp":%T}',
    b'{"user_id":"%U","action":"click","value":01.5,"timestamp":%T}',
    b'{"user_id":"%U","action":"click","value":NaN,"timestamp":%T}',
    b'{"user_id":"%U" "action":"click","value":1.5,"timestamp":%T}',
    b"{'user_id':'%U','action':'click','value':1.5,'timestamp':%T}",
    b'{"user_id":"%U\xff\xfe","action":"click","value":1.5,"timestamp":%T}',
    b'{"user_id":"%U","action":"\xc3","value":1.5,"timestamp":%T}',
    b'{"user_id":"%U","action":"a\x00b","value":1.5,"timestamp":%T}',
    b'["%U","click",1.5,%T]',
    b'"%U"',
    b"null",
    b"%T",
    b"",
    b"   ",
    b"\x00\x00\x00",
    b"<event user='%U'/>",
)
# Kafka only: too far ahead of the record's own timestamp.
FUTURE = b'{"user_id":"%U","action":"click","value":1.5,"timestamp":%F}'


class Generator:
    def __init__(self, events=300_000, users=1000, span=30 * 3_600_000, partitions=4,
                 disorder=5_000, lateness=60_000, seed=1, future=False):
        self._random = random.Random(seed)
        self._events = events
        self._users = [self._user_name(i) for i in range(users)]
        self._span = span
        self._partitions = partitions
        self._disorder = disorder
        self._lateness = lateness
        self._bad = BAD + (FUTURE,) if future else BAD
        self._next_bad = 0

    def partitions(self):
        """[[(line, key, Kafka timestamp)]], one list a partition, in offset order."""
        bad = max(len(self._bad), int(self._events * BAD_SHARE)) if self._events >= 200 else 0
        arrivals = [[] for _ in range(self._partitions)]
        for at, user in self._bursts(self._events - bad):
            self._arrive(arrivals, at, user, self._delay())
        for _ in range(bad):
            self._arrive(arrivals, self._random.randrange(self._span), None, 0)
        return [self._lines(sorted(partition)) for partition in arrivals]

    def _user_name(self, i):
        strange = (f"ü {i}", f'"{i}"', f"ユーザー{i}", f"a:b/{i}")
        return f"u{i}" if i % 97 else strange[i // 97 % 4]

    def _bursts(self, count):
        """(time since the start, user) of `count` events."""
        rand = self._random
        lives = [self._life(i) for i in range(len(self._users))]
        weights = [life[1] for life in lives]
        made = []
        order = list(range(len(self._users)))  # every user at least once, if there is room
        while len(made) < count:
            who = order.pop() if order else rand.choices(range(len(lives)), weights)[0]
            start, end = rand.choice(lives[who][0])
            at = start + int(rand.random() * (end - start))
            for _ in range(min(int(rand.expovariate(0.3)) + 1, count - len(made))):
                made.append((self._round(min(at, self._span - 1)), self._users[who]))
                at += int(rand.expovariate(1 / 4000))
        return made

    def _life(self, i):
        """Spans of activity and weight of user i."""
        span, kind = self._span, i % 10
        if kind < 6:
            return [(0, span)], 1.0 + 20.0 / (1 + i)       # active throughout, a few of them hot
        if kind < 8:
            return [(0, span // 6)], 0.3                   # falls silent
        if kind == 8:
            return [(0, span // 12), (span - span // 12, span)], 0.3  # is emptied and returns
        at = self._random.randrange(span)
        return [(at, at + 1)], 0.01                        # once

    def _round(self, at):
        """Ties, and instants at the very ends of slices, are common in real data."""
        chance = self._random.random()
        if chance < 0.15:
            return at - at % 1000
        if chance < 0.17:
            return at - at % 5000
        return at - at % 60_000 if chance < 0.18 else at

    def _delay(self):
        chance = self._random.random()
        if chance < LATE_SHARE:
            return self._disorder + self._lateness + self._random.randrange(1, 1_800_000)
        if chance < LATE_SHARE + BEHIND_SHARE:
            return self._disorder + self._random.randrange(self._lateness + 1)
        return self._random.randrange(self._disorder + 1)

    def _arrive(self, arrivals, at, user, delay):
        partition = self._random.randrange(self._partitions)
        arrivals[partition].append((at + delay, self._random.random(), at, user))

    def _lines(self, arrivals):
        """The lines of one partition; knows the largest time so far, for the edge cases."""
        rand = self._random
        lines = []
        largest = good = START
        edge = self._disorder + self._lateness
        for _, _, at, user in arrivals:
            if user is None:
                lines.append((self._bad_line(good), self._key(), good))
                continue
            at += START
            if at < largest - edge and rand.random() < EDGE_SHARE / LATE_SHARE:
                at = largest - edge - rand.randrange(2)
            largest = max(largest, at)
            good = at
            lines.append((self._line(user, at), self._key(), at))
        return lines

    def _key(self):
        """Unrelated to the user, as the job must not rely on it."""
        chance = self._random.random()
        return None if chance < 0.1 else b"%d" % int(chance * 1000)

    def _line(self, user, at):
        rand = self._random
        action = rand.choices(ACTIONS, ACTION_WEIGHTS)[0]
        kind = rand.random()
        if kind < 0.6:
            value = rand.randrange(-500, 20_000) / 100
        elif kind < 0.9:
            value = rand.randrange(0, 50)
        else:
            value = rand.choice((0, -0.0, 0.1, 1e-3, 1e6, 123456.789, 2.5e3, 1 / 3))
        if rand.random() < 0.4:
            stamp = str(at)
        else:
            stamp = oracle.format_iso(at)
            if at % 1000 == 0 and kind < 0.5:
                stamp = stamp[:-5] + "Z"
            stamp = f'"{stamp}"'
        chance = rand.random()
        plain = chance >= 0.02
        user = json.dumps(user, ensure_ascii=not plain)
        action = json.dumps(action, ensure_ascii=not plain)
        if chance < 0.02:    # other order, blanks
            line = (f'{{ "timestamp" : {stamp} , "value" : {value},\t'
                    f'"action":{action}, "user_id":{user} }}')
        elif chance < 0.05:  # unknown fields
            line = (f'{{"v":2,"user_id":{user},"tags":["a",{{"user_id":"x"}}],"action":{action},'
                    f'"value":{value},"note":"\\u00e9\\n","timestamp":{stamp},"extra":null}}')
        else:
            line = f'{{"user_id":{user},"action":{action},"value":{value},"timestamp":{stamp}}}'
        return line.encode()

    def _bad_line(self, good):
        template = self._bad[self._next_bad % len(self._bad)]
        self._next_bad += 1
        user = self._random.choice(self._users).encode()
        if b'"' in user:
            user = b"quoted"
        return (template.replace(b"%U", user).replace(b"%T", b"%d" % good)
                .replace(b"%F", b"%d" % (good + 7_200_000)))


def chunks(partitions, count):
    """Cuts every partition into `count` pieces: [[records of partition 0], ...] for each."""
    return [[records[len(records) * i // count:len(records) * (i + 1) // count]
             for records in partitions] for i in range(count)]


class FileLog:
    """Delivers pieces into a file log; with `torn`, each leaves a half-written line behind."""

    def __init__(self, topic_dir, partitions, records_per_file=20_000):
        self._writers = [file_log.PartitionWriter(topic_dir, partition, records_per_file)
                         for partition in range(partitions)]

    def deliver(self, piece, torn=False):
        for writer, records in zip(self._writers, piece):
            lines = [line for line, _, _ in records]
            if torn and lines:
                writer.append(lines[:-1])
                writer.append_torn(lines[-1])
            elif lines:
                writer.append(lines)

    def close(self):
        for writer in self._writers:
            writer.close()


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", help="directory of the file log; with --kafka the topic")
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--span", default="30h", help="of event time")
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--disorder", default="5s")
    parser.add_argument("--lateness", default="1m")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kafka", metavar="BROKERS", help="into a topic (needs confluent_kafka)")
    parser.add_argument("--append-chunks", type=int, default=1, metavar="N",
                        help="deliver in N pieces over time")
    parser.add_argument("--chunk-interval", default="1s", help="between two pieces")
    args = parser.parse_args(argv)
    try:
        generator = Generator(args.events, args.users, oracle.parse_duration(args.span),
                              args.partitions, oracle.parse_duration(args.disorder),
                              oracle.parse_duration(args.lateness), args.seed, bool(args.kafka))
        interval = oracle.parse_duration(args.chunk_interval) / 1000
    except ValueError as error:
        print(f"generate_events: {error}", file=sys.stderr)
        return 2
    pieces = chunks(generator.partitions(), args.append_chunks)
    if args.kafka:
        import kafka_topic  # needs confluent_kafka
        target = kafka_topic.Writer(args.kafka, args.target)
    else:
        target = FileLog(args.target, args.partitions)
    for i, piece in enumerate(pieces):
        last = i + 1 == len(pieces)
        target.deliver(piece, torn=not last)
        print(f"delivered piece {i + 1} of {len(pieces)}", file=sys.stderr)
        if not last:
            time.sleep(interval)
    target.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
