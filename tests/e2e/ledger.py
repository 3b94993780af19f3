"""The ledger: what was written to the input topic, known independently of any job, and what the
job's output topic shows to a read_committed reader.

Input records are user events of the main job (user_id, action, value, timestamp) with a unique
`id` and a per-key sequence number `seq`; values are whole numbers, so that sums are exact. They
come in transactions, some of which are aborted: their records must never be seen. Half of the keys
keep to one partition, the others move between all of them.
"""

import hashlib
import json
import random
import threading
import time
from dataclasses import asdict, dataclass

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from process import wait_until

FIRST_EVENT_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z


@dataclass(frozen=True)
class InputRecord:
    """One record the generator wrote. An aborted one has an offset too, and must have no effect."""
    partition: int
    offset: int
    key: str
    seq: int
    value: int
    id: str
    aborted: bool


@dataclass(frozen=True)
class OutputRecord:
    """One record of an output topic, as read."""
    partition: int
    offset: int
    key: bytes
    value: bytes
    headers: tuple = ()


class InputLedger:
    """Writes input records and remembers them, in memory and in a file (one JSON object a line).

    Use either write() or start() and finish(); one thread writes at a time.
    """

    def __init__(self, cluster, topic, path, seed, partitions=4, keys=40):
        self.topic = topic
        self.records = []
        self.failure = None
        self._partitions = self._pinned_partitions = partitions
        self._keys = [f"k{i}" for i in range(keys)]
        self._rng = random.Random(seed)
        self._file = open(path, "w", encoding="utf-8")
        self._sequence = {}
        self._written = 0
        self._stop = threading.Event()
        self._thread = None
        self._cluster = cluster
        self._producer = self._make_producer()

    @property
    def committed(self):
        return [r for r in self.records if not r.aborted]

    def write(self, count):
        """Writes transactions until `count` more records are committed."""
        end = len(self.committed) + count
        missing = count
        while missing > 0:
            self._transaction(min(missing, self._rng.randint(1, 80)))
            missing = end - len(self.committed)
        return self

    def start(self, per_second):
        """Writes about that many records a second from a thread until finish()."""
        def run():
            try:
                due = time.monotonic()
                while not self._stop.is_set():
                    size = self._rng.randint(1, 60)
                    self._transaction(size)
                    due += size / per_second
                    self._stop.wait(max(0.0, due - time.monotonic()))
            except Exception as error:  # a dead generator must not look like a short input
                self.failure = error

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()
        return self

    def add_partitions(self, partitions):
        """The topic has that many now: keys that move use all of them from here on."""
        self._partitions = partitions
        # A client learns of new partitions late; a new one knows them at once.
        self._producer = self._make_producer()

    def finish(self):
        """Ends the input; what was written stays known."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(60)
            assert not self._thread.is_alive(), "the generator hangs"
        self._file.close()
        if self.failure is not None:
            raise self.failure
        return self

    def _make_producer(self):
        producer = Producer({
            "bootstrap.servers": self._cluster.address, "transactional.id": f"upstream-{self.topic}",
            "linger.ms": 1, "log_level": 0, "transaction.timeout.ms": 60_000})
        producer.init_transactions(30)
        return producer

    def _transaction(self, size):
        aborted = self._rng.random() < 0.15
        delivered = []
        self._producer.begin_transaction()
        sequence = dict(self._sequence) if aborted else self._sequence
        for _ in range(size):
            self._produce(sequence, aborted, delivered)
        if self._producer.flush(60) != 0 or len(delivered) != size:
            raise RuntimeError(f"{size - len(delivered)} input records were not delivered")
        if aborted:
            self._producer.abort_transaction(60)
        else:
            self._producer.commit_transaction(60)
        self.records += delivered
        self._file.writelines(json.dumps(asdict(r)) + "\n" for r in delivered)
        self._file.flush()

    def _produce(self, sequence, aborted, delivered):
        number = self._rng.randrange(len(self._keys))
        key = self._keys[number]
        moves = number % 2 == 1
        partition = (self._rng.randrange(self._partitions) if moves
                     else number // 2 % self._pinned_partitions)
        sequence[key] = seq = sequence.get(key, 0) + 1
        self._written += 1
        identity = f"{self._written}-{self._rng.getrandbits(48):012x}"
        value = self._rng.randint(-1000, 1000)
        event_time = FIRST_EVENT_MS + 100 * self._written - self._rng.randint(0, 4000)
        body = json.dumps({
            "user_id": key, "action": self._rng.choice(("view", "click", "purchase")),
            "value": value, "timestamp": event_time, "id": identity, "seq": seq})

        def on_delivery(error, message):
            if error is None:
                delivered.append(InputRecord(partition, message.offset(), key, seq, value,
                                             identity, aborted))

        self._producer.produce(self.topic, body, key, partition, on_delivery, event_time)


def read_topic(cluster, topic, partitions=None, deadline_s=60):
    """All records a read_committed reader sees, once no transaction is open any more.

    Raises TimeoutError while the last stable offset lies behind the high watermark.
    """
    wait_until(lambda: cluster.end_offsets(topic) == cluster.end_offsets(topic, committed=False),
               deadline_s, f"no open transaction on {topic}")
    ends = cluster.end_offsets(topic)
    if partitions is not None:
        ends = {p: ends[p] for p in partitions}
    consumer = _reader(cluster, f"read-{topic}")
    try:
        return _read_to(consumer, topic, ends, deadline_s)
    finally:
        consumer.close()


def _read_to(consumer, topic, ends, deadline_s):
    consumer.assign([TopicPartition(topic, p, 0) for p, end in ends.items() if end > 0])
    missing = {p for p, end in ends.items() if end > 0}
    records = []
    deadline = time.monotonic() + deadline_s
    while missing:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{topic}: partitions {missing} not read to {ends}")
        for message in consumer.consume(1000, 0.5):
            position = message.offset()
            if message.error() is None:
                records.append(_record(message))
                position += 1
            elif message.error().code() != KafkaError._PARTITION_EOF:
                raise KafkaException(message.error())
            if position >= ends[message.partition()]:
                missing.discard(message.partition())
    return records


class Tail:
    """A second reader that follows an output topic while the job lives and dies.

    What it saw must be a prefix of what is there in the end: a read_committed reader never sees
    anything that is later taken back or reordered.
    """

    def __init__(self, cluster, topic):
        self.topic = topic
        self.seen = {}  # partition -> [(offset, digest)]
        self._failure = None
        self._stop = threading.Event()
        self._consumer = _reader(cluster, f"tail-{topic}")
        partitions = self._consumer.list_topics(topic, timeout=10).topics[topic].partitions
        self._consumer.assign([TopicPartition(topic, p, 0) for p in partitions])
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def count(self):
        return sum(len(rows) for rows in list(self.seen.values()))

    def finish(self, final):
        """Ends the reader; findings: where what it saw is no prefix of the final records."""
        self._stop.set()
        self._thread.join(30)
        assert not self._thread.is_alive(), "the tailing reader hangs"
        if self._failure is not None:
            raise self._failure
        return prefix_findings(self.seen, final)

    def _run(self):
        try:
            while not self._stop.is_set():
                for message in self._consumer.consume(500, 0.1):
                    if message.error() is None:
                        record = _record(message)
                        self.seen.setdefault(record.partition, []).append(
                            (record.offset, digest(record)))
                    elif not message.error().retriable() and (
                            message.error().code() != KafkaError._PARTITION_EOF):
                        raise KafkaException(message.error())
        except Exception as error:
            self._failure = error
        finally:
            self._consumer.close()


def prefix_findings(seen, final):
    """Where what a concurrent reader saw ({partition: [(offset, digest)]}) is no prefix."""
    whole = {}
    for record in sorted(final, key=lambda r: r.offset):
        whole.setdefault(record.partition, []).append((record.offset, digest(record)))
    findings = []
    for partition, rows in sorted(seen.items()):
        there = whole.get(partition, [])
        if rows != there[:len(rows)]:
            at = next((i for i, (a, b) in enumerate(zip(rows, there)) if a != b), len(there))
            findings.append(f"partition {partition}: what the concurrent reader saw as record {at} "
                            f"(offset {rows[at][0]}) is not in the final output there")
    return findings


def digest(record):
    return hashlib.blake2b(record.key + b"\0" + record.value, digest_size=8).digest()


def _record(message):
    return OutputRecord(message.partition(), message.offset(), message.key() or b"",
                        message.value() or b"", tuple(message.headers() or ()))


def _reader(cluster, group):
    return Consumer({
        "bootstrap.servers": cluster.address, "group.id": group, "log_level": 0,
        "enable.auto.commit": False, "enable.auto.offset.store": False,
        "isolation.level": "read_committed", "auto.offset.reset": "error",
        "enable.partition.eof": True, "reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 500,
        "fetch.wait.max.ms": 50})
