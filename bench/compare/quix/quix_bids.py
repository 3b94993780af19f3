"""Nexmark's q0, q1 and q2 from JSON to JSON on Quix Streams, exactly once with a commit a second; settings: README.md."""
import argparse
import json
import time

import orjson
from quixstreams import Application


def arguments():
    parser = argparse.ArgumentParser()
    for flag in ("brokers", "input", "output", "warm-up-output", "query"):
        parser.add_argument(f"--{flag}", required=True)
    parser.add_argument("--records", type=int, required=True)
    parser.add_argument("--warm-up", type=float, default=0)
    return parser.parse_args()


def main():
    o = arguments()
    app = Application(
        broker_address=o.brokers, consumer_group=f"quix-{o.output}", auto_offset_reset="earliest", processing_guarantee="exactly-once",
        commit_interval=1.0, auto_create_topics=False, loglevel="WARNING",
        consumer_extra_config={"queued.min.messages": 100_000, "isolation.level": "read_committed"},
        producer_extra_config={"compression.type": "lz4", "linger.ms": 10, "batch.size": 1_000_000, "queue.buffering.max.messages": 1_000_000})
    source = app.topic(o.input, value_deserializer="bytes", key_deserializer="bytes")
    sink = app.topic(o.output, value_serializer="bytes", key_serializer="bytes")
    seen = 0

    def read(value):
        nonlocal seen
        seen += 1
        if seen == o.records:
            app.stop()  # after this record; what is open is committed then
        return orjson.loads(value)
    rows = app.dataframe(source).apply(read)
    if o.query == "q2":
        rows = rows.filter(lambda bid: bid["auction"] % 123 == 0)
        rows = rows.apply(lambda bid: orjson.dumps({"auction": bid["auction"], "price": bid["price"]}))
    else:
        factor = 908 if o.query == "q1" else 1
        rows = rows.apply(lambda bid: orjson.dumps({
            "auction": bid["auction"], "bidder": bid["bidder"], "price": bid["price"] * factor, "dateTime": bid["dateTime"], "extra": bid["extra"]}))
    rows.to_topic(sink)
    cpu, wall = time.process_time(), time.monotonic()
    app.run()
    print(json.dumps({"cpu_s": time.process_time() - cpu, "wall_s": time.monotonic() - wall}))


main()
