#!/usr/bin/env python3
"""Kafka topics as the tools read and fill them (needs confluent_kafka).

As a program it dumps a topic as JSON lines that oracle.py and verify.py take as input:
{"partition": 0, "offset": 7, "key": base64 or null, "value": base64 or null, "timestamp": ms}
"""

import argparse
import base64
import json
import sys
import time

import confluent_kafka

import oracle

DEADLINE_S = 60  # without a single message


def _refuse(error, topic):
    raise RuntimeError(f"Kafka topic {topic}: {error}")


def read(brokers, topic):
    """{partition: [message]}: what is committed in the topic now. An unknown topic is {}."""
    consumer = confluent_kafka.Consumer({
        "bootstrap.servers": brokers, "group.id": "tidemill-verify", "enable.auto.commit": False,
        "isolation.level": "read_committed", "auto.offset.reset": "error",
        "enable.partition.eof": True, "check.crcs": True, "log_level": 3})
    try:
        known = consumer.list_topics(topic, timeout=30).topics[topic]
        if known.error is not None:
            if known.error.code() == confluent_kafka.KafkaError.UNKNOWN_TOPIC_OR_PART:
                return {}
            _refuse(known.error, topic)
        found = {partition: [] for partition in sorted(known.partitions)}
        start, end = {}, {}
        for partition in found:
            start[partition], end[partition] = consumer.get_watermark_offsets(
                confluent_kafka.TopicPartition(topic, partition), timeout=30)
        open_ones = {partition for partition in found if start[partition] < end[partition]}
        consumer.assign([confluent_kafka.TopicPartition(topic, partition, start[partition])
                         for partition in sorted(open_ones)])
        deadline = time.monotonic() + DEADLINE_S
        while open_ones:
            messages = consumer.consume(10_000, timeout=1)
            if time.monotonic() > deadline:
                _refuse(f"nothing came for {DEADLINE_S} s, partitions {sorted(open_ones)} are not "
                        "at their ends; is a transaction open?", topic)
            for message in messages:
                error = message.error()
                if error is None:
                    deadline = time.monotonic() + DEADLINE_S
                    if message.partition() in open_ones:
                        found[message.partition()].append(message)
                        if message.offset() + 1 >= end[message.partition()]:
                            open_ones.discard(message.partition())
                elif error.code() == confluent_kafka.KafkaError._PARTITION_EOF:
                    # Past the last message there may be transaction markers only.
                    open_ones.discard(message.partition())
                elif not error.retriable():
                    _refuse(error, topic)
        return found
    finally:
        consumer.close()


def records(brokers, topic):
    """{partition: [oracle.Record]} of an input topic, which must exist."""
    found = read(brokers, topic)
    if not found:
        _refuse("it is not there", topic)
    return {partition: [oracle.Record(partition, message.offset(), message.key(), message.value(),
                                      message.timestamp()[1]) for message in messages]
            for partition, messages in found.items()}


def letter(message):
    """A late or bad event of a topic: its origin is in the headers, key and value are its own."""
    headers = {name: value.decode() for name, value in message.headers() or []}
    return {"partition": int(headers["tidemill.partition"]),
            "offset": int(headers["tidemill.offset"]), "reason": headers["tidemill.reason"],
            "key": message.key(), "value": message.value()}


class Writer:
    """Delivers pieces of events; the records' Kafka timestamps are their event times."""

    def __init__(self, brokers, topic):
        self._topic = topic
        self._failed = None
        self._producer = confluent_kafka.Producer({
            "bootstrap.servers": brokers, "enable.idempotence": True, "linger.ms": 20,
            "queue.buffering.max.messages": 1_000_000, "log_level": 3})

    def deliver(self, piece, torn=False):
        del torn  # a record is whole in Kafka
        for partition, lines in enumerate(piece):
            for value, key, timestamp in lines:
                self._produce(partition, value, key, timestamp)
        while self._producer.flush(1) > 0:
            pass
        if self._failed is not None:
            _refuse(self._failed, self._topic)

    def _produce(self, partition, value, key, timestamp):
        while True:
            try:
                self._producer.produce(self._topic, value=value, key=key, partition=partition,
                                       timestamp=timestamp, on_delivery=self._delivered)
                self._producer.poll(0)
                return
            except BufferError:
                self._producer.poll(0.1)

    def _delivered(self, error, _):
        if error is not None:
            self._failed = error

    def close(self):
        self._producer.flush()


def main(argv=None):
    parser = argparse.ArgumentParser(description="Dumps a topic, committed records only, as JSON "
                                     "lines for oracle.py and verify.py.")
    parser.add_argument("brokers")
    parser.add_argument("topic")
    args = parser.parse_args(argv)

    def text(data):
        return None if data is None else base64.b64encode(data).decode()

    for partition, found in records(args.brokers, args.topic).items():
        for record in found:
            print(json.dumps({"partition": partition, "offset": record.offset,
                              "key": text(record.key), "value": text(record.value),
                              "timestamp": record.timestamp}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
