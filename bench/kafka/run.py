#!/usr/bin/env python3
"""Benchmarks of the main job on a real Kafka and Redis that this starts and stops.

    "$(scripts/venv)/bin/python" bench/kafka/run.py throughput [--events N] [--rounds N] [--interval 100ms]
    "$(scripts/venv)/bin/python" bench/kafka/run.py by_hand [--emit coalesced] [--rate N] [--users N]
    "$(scripts/venv)/bin/python" bench/kafka/run.py freshness [--seconds N] [--rate N] [--users N]

throughput: a topic full of events through feature_pipeline into another topic, checkpoints every second (--interval),
exactly_once and at_least_once in turns (A B B A …), each to the end of the input. Both must give the same rows: the
checksum is the sum of their hashes, whatever their order.
by_hand: the same into a topic and Redis, beside bench/main_job/hand_kafka_loop.cc, in turns. Rows and what Redis holds
must be equal. CPU is that of job or loop alone.
freshness: bench/kafka/freshness_bench.cc writes in an open loop and looks for the rows in Redis.
"""
import argparse
import hashlib
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(os.environ.get("TIDEMILL_BIN") or ROOT / "build/release/bin")
sys.path.insert(0, str(ROOT / "tests/e2e"))
from confluent_kafka import Producer  # noqa: E402

from broker import Cluster  # noqa: E402
from ledger import read_topic  # noqa: E402
from redis_server import RedisServer  # noqa: E402

PARTITIONS = 4
USERS = 10_000
EVENTS_PER_EVENT_SECOND = 10_000
FIRST_EVENT_MS = 1_767_225_600_000
TICKS = os.sysconf("SC_CLK_TCK")


# A broker as it is run: its compiler may do its work, and it has a heap in which its collector seldom stops it. With the
# 256 MB of the tests it stopped for 10 to 50 ms in every second.
BROKER_JVM = ("-Xms3g", "-Xmx3g", "-Xmn2g")


def start_cluster(folder):
    return Cluster(folder / "kafka", jvm_flags=BROKER_JVM).start()


def config(name, cluster, folder, source, sinks, interval="1s"):
    return {
        "job": name,
        "source": {"kafka": {"brokers": cluster.address, "topic": source, "start": "earliest"}},
        "event_time": {"disorder": "5s", "lateness": "1m", "idle": "30s", "max_future_skew": "1h"},
        "features": {"emit": "on_record"}, "sinks": sinks,
        "late": {"topic": f"{source}-late"}, "bad_data": {"policy": "fail"},
        "checkpoint": {"dir": str(folder / "checkpoints"), "interval": interval}, "parallelism": 2,
    }


def job_command(folder, name, settings, *flags):
    file = folder / f"{name}.yaml"
    file.write_text(json.dumps(settings))
    return [str(BIN / "feature_pipeline"), "--config", str(file), "--http", "none", *flags]


def write_events(cluster, topic, count, users=USERS, rate=EVENTS_PER_EVENT_SECOND):
    """`rate`: events a second of event time."""
    rng = random.Random(1)
    producer = Producer({"bootstrap.servers": cluster.address, "linger.ms": 20, "compression.type": "lz4",
                         "batch.size": 1_000_000, "queue.buffering.max.messages": 2_000_000})
    actions = ("view", "click", "purchase", "search")
    for i in range(count):
        user = f"u{rng.randrange(users)}"
        at = FIRST_EVENT_MS + i * 1000 // rate
        body = (f'{{"user_id":"{user}","action":"{actions[i & 3]}","value":{i % 1000 / 4},"timestamp":{at}}}')
        while True:
            try:
                producer.produce(topic, body, user, timestamp=at)
                break
            except BufferError:
                producer.poll(0.1)
        if i % 10_000 == 0:
            producer.poll(0)
    if producer.flush(120) != 0:
        raise RuntimeError("the input was not written")


def cpu_of(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def checksum(cluster, topic):
    rows = read_topic(cluster, topic, deadline_s=300)
    total = sum(int.from_bytes(hashlib.blake2b(r.value, digest_size=8).digest(), "little") for r in rows)
    return len(rows), f"{total % (1 << 64):016x}"


def one_run(cluster, folder, source, delivery, number, arguments):
    events = arguments.events
    name = f"bench-{number}-{delivery.replace('_', '-')}"
    sink = cluster.create_topic(name, PARTITIONS)
    settings = config(name, cluster, folder, source, {"kafka": {"topic": sink, "delivery": delivery}}, arguments.interval)
    broker = cluster.nodes[0].child.process.pid
    broker_before, before = cpu_of(broker), resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    with open(folder / f"{name}.log", "wb") as log:
        subprocess.run(job_command(folder, name, settings, "--until-offsets", "latest"), check=True,
                       stdout=log, stderr=log)
    wall = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    job = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    result = {"delivery": delivery, "wall_s": wall, "job_cpu_s": job, "broker_cpu_s": cpu_of(broker) - broker_before,
              "events": events}
    result["rows"], result["checksum"] = checksum(cluster, sink)
    cluster.delete_topic(sink)
    cpu = result["job_cpu_s"] + result["broker_cpu_s"]
    print(f"{delivery:14} {events / wall / 1e3:6.0f} k events/s by the clock   {cpu / events * 1e6:5.2f} us CPU an event "
          f"(job {job / events * 1e6:.2f}, broker {(cpu - job) / events * 1e6:.2f}): {2 * events / cpu / 1e3:.0f} k events/s "
          f"on 2 free cores   {result['rows']} rows {result['checksum']}", flush=True)
    return result


def throughput(arguments, folder):
    cluster = start_cluster(folder)
    try:
        source = cluster.create_topic("events", PARTITIONS)
        cluster.create_topic("events-late", PARTITIONS)
        write_events(cluster, source, arguments.events)
        order = ["exactly_once", "at_least_once", "at_least_once", "exactly_once"] * arguments.rounds
        for warm_up in (-2, -1, 0):  # the broker's code gets compiled
            one_run(cluster, folder, source, "exactly_once", warm_up, arguments)
        runs = [one_run(cluster, folder, source, delivery, i + 1, arguments) for i, delivery in enumerate(order)]
    finally:
        cluster.stop()

    def median(delivery, value):
        return statistics.median(value(r) for r in runs if r["delivery"] == delivery)

    for what, value in (("clock", lambda r: r["wall_s"]), ("CPU of the job", lambda r: r["job_cpu_s"]),
                        ("CPU of job and broker", lambda r: r["job_cpu_s"] + r["broker_cpu_s"])):
        tax = 100 * (median("exactly_once", value) / median("at_least_once", value) - 1)
        # Neighbours of the two kinds, of which each comes first as often as the other.
        pairs = [{r["delivery"]: value(r) for r in runs[i:i + 2]} for i in range(0, len(runs), 2)]
        taxes = sorted(100 * (pair["exactly_once"] / pair["at_least_once"] - 1) for pair in pairs)
        print(f"tax of exactly_once, {what}: {tax:+.1f} % of the medians; pairs {taxes[0]:+.1f} / {statistics.median(taxes):+.1f} / {taxes[-1]:+.1f} %")
    # At least once without a failure is once: the same rows.
    if len({(r["rows"], r["checksum"]) for r in runs}) != 1:
        print("the runs' rows differ")
        return 1
    return 0


def redis_content(client):
    """A checksum of every row in Redis; the job's own keys are no rows."""
    keys = [key for key in client.scan_iter(count=10_000) if not key.startswith("tidemill:")]
    total = 0
    for i in range(0, len(keys), 10_000):
        some = keys[i:i + 10_000]
        for key, value in zip(some, client.mget(some)):
            total += int.from_bytes(hashlib.blake2b(f"{key} {value}".encode(), digest_size=8).digest(), "little")
    return len(keys), f"{total % (1 << 64):016x}"


def milliseconds(text):
    for unit, factor in (("ms", 1), ("s", 1000), ("m", 60_000)):
        if text.endswith(unit) and text[:-len(unit)].isdigit():
            return int(text[:-len(unit)]) * factor
    raise SystemExit(f"no duration: {text}")


def hand_or_job(cluster, redis, folder, source, who, number, o):
    """A turn: CPU us an event, and everything that must be equal."""
    name = f"by-hand-{number}-{who}"
    sink = cluster.create_topic(name, PARTITIONS)
    if who == "hand":
        command = [str(BIN / "hand_kafka_loop"), cluster.address, source, sink, str(redis.port), o.emit,
                   *(str(milliseconds(d)) for d in (o.disorder, o.lateness, o.emit_interval, o.interval))]
    else:
        settings = config(name, cluster, folder, source, {"kafka": {"topic": sink}, "redis": {"url": redis.url}}, o.interval)
        settings["event_time"] |= {"disorder": o.disorder, "lateness": o.lateness}
        settings["features"] = {"emit": o.emit} | ({"emit_interval": o.emit_interval} if o.emit == "coalesced" else {})
        settings["parallelism"] = 1
        command = job_command(folder, name, settings, "--until-offsets", "latest")
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    with open(folder / f"{name}.log", "wb") as log:
        if subprocess.run(command, check=False, stdout=log, stderr=log).returncode != 0:
            raise SystemExit((folder / f"{name}.log").read_text(errors="replace")[-2000:])
    wall, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / o.events * 1e6
    result = checksum(cluster, sink) + redis_content(redis.client())
    cluster.delete_topic(sink)
    redis.client().flushall()
    print(f"{who:5} {cpu:5.2f} us CPU an event, {o.events / wall / 1e3:4.0f} k events/s by the clock, {result[0]} rows {result[1]}, "
          f"{result[2]} keys {result[3]}", flush=True)
    return cpu, result


def by_hand(arguments, folder):
    cluster = start_cluster(folder)
    redis = RedisServer(folder / "redis").start()
    try:
        source = cluster.create_topic("events", PARTITIONS)
        cluster.create_topic("events-late", PARTITIONS)
        write_events(cluster, source, arguments.events, arguments.users, arguments.rate)
        for warm_up in (-2, -1):  # the broker's code gets compiled
            hand_or_job(cluster, redis, folder, source, "job", warm_up, arguments)
        turns = {"hand": [], "job": []}
        for number in range(arguments.rounds):
            for who in ("hand", "job") if number % 2 == 0 else ("job", "hand"):
                turns[who].append(hand_or_job(cluster, redis, folder, source, who, number, arguments))
    finally:
        redis.kill()
        cluster.stop()
    for who, mine in turns.items():
        cpu = sorted(c for c, _ in mine)
        print(f"{who}: {cpu[0]:.2f} / {statistics.median(cpu):.2f} / {cpu[-1]:.2f} us CPU an event")
    ratios = sorted(j / h for (h, _), (j, _) in zip(turns["hand"], turns["job"]))
    print(f"job : hand {ratios[0]:.2f} / {statistics.median(ratios):.2f} / {ratios[-1]:.2f}")
    if len({result for mine in turns.values() for _, result in mine}) != 1:
        print("rows or what Redis holds differ")
        return 1
    return 0


def freshness(arguments, folder):
    cluster = start_cluster(folder)
    redis = RedisServer(folder / "redis").start()
    job = None
    try:
        source = cluster.create_topic("events", PARTITIONS)
        cluster.create_topic("events-late", PARTITIONS)
        sinks = {"redis": {"url": redis.url, "ttl": "auto"}}
        if arguments.with_kafka_sink:
            sinks["kafka"] = {"topic": cluster.create_topic("features", PARTITIONS)}
        settings = config("freshness", cluster, folder, source, sinks)
        with open(folder / "job.log", "wb") as log:
            flags = [flag for setting in arguments.set for flag in ("--set", setting)]
            job = subprocess.Popen(job_command(folder, "freshness", settings, *flags), stdout=log, stderr=log)
        done = subprocess.run([BIN / "freshness_bench", cluster.address, source, str(redis.port), str(arguments.rate),
                               str(arguments.seconds), str(arguments.users)], check=False)
        job.terminate()
        code = job.wait(60)
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        print(f"job exit {code}; CPU of job and writer {usage.ru_utime + usage.ru_stime:.0f} s, broker "
              f"{cpu_of(cluster.nodes[0].child.process.pid):.0f} s")
        log = (folder / "job.log").read_text(errors="replace")
        print("\n".join(line for line in log.splitlines() if " warning " in line or "error" in line)[-2000:])
        return done.returncode or code
    finally:
        if job is not None and job.poll() is None:
            job.kill()
        redis.kill()
        cluster.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("throughput")
    one.add_argument("--events", type=int, default=4_000_000)
    one.add_argument("--rounds", type=int, default=1)
    one.add_argument("--interval", default="1s", help="of checkpoints")
    one.set_defaults(run=throughput)
    two = commands.add_parser("freshness")
    two.add_argument("--seconds", type=int, default=300)
    two.add_argument("--rate", type=int, default=20_000)
    two.add_argument("--users", type=int, default=1_000, help="besides the probes, each of which is a user of its own")
    two.add_argument("--with-kafka-sink", action="store_true", help="rows go to Kafka as well")
    two.add_argument("--set", action="append", default=[], help="key.path=value of the job's configuration")
    two.set_defaults(run=freshness)
    three = commands.add_parser("by_hand")
    three.add_argument("--events", type=int, default=1_500_000)
    three.add_argument("--rounds", type=int, default=5)
    three.add_argument("--users", type=int, default=USERS)
    three.add_argument("--rate", type=int, default=EVENTS_PER_EVENT_SECOND, help="events a second of event time")
    three.add_argument("--emit", choices=("on_record", "on_watermark", "coalesced"), default="on_record")
    three.add_argument("--emit-interval", default="1s", help="coalesced: at most one row a user and interval")
    three.add_argument("--disorder", default="5s")
    three.add_argument("--lateness", default="1m")
    three.add_argument("--interval", default="1s", help="of checkpoints and commits")
    three.set_defaults(run=by_hand)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="tidemill-bench-"))
    try:
        return arguments.run(arguments, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
