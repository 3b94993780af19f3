#!/usr/bin/env python3
"""The run behind scripts/demo: feed, kill three times, let it finish, prove.

The input arrives in slices. Each of the first three runs of the job follows it and is killed with
SIGKILL once a row that only this run can have made is committed and more input has come since; the
last run is bounded, ends by itself, and so owes all decays up to the end of the input.
"""

import argparse
import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ROOT / "jobs" / "feature_pipeline" / "tools"
sys.path[:0] = [str(TOOLS), str(ROOT / "tests" / "e2e")]

import generate_events  # noqa: E402
import oracle  # noqa: E402
from process import ChildProcess, free_port, wait_until  # noqa: E402

KILLS = 3
SLICES = 200
PARTITIONS = 4
PARALLELISM = (2, 1, 3, 2)  # of each run: state must find its way to another number of subtasks
DEADLINE_S = 120            # for anything awaited
CONFIG = """\
job: features
source:
  {source}
# A partition may not go idle here: what is late would then depend on the clock.
event_time: {{field: timestamp, disorder: 5s, lateness: 1m, idle: 1h, max_future_skew: 1h}}
key: user_id
features:
  windows: [5m, 1h, 24h]
  emit: {emit}
  {interval}
sinks:
  {sinks}
bad_data: {{policy: dead_letter}}
checkpoint: {{dir: {folder}/checkpoints, interval: 500ms}}
"""


class DemoError(Exception):
    """What went wrong, for people."""


# --- Talk -----------------------------------------------------------------------------------------

_told = {"at": 0.0, "text": ""}


def tell(text, done=False):
    """Where we are, on stderr: in place on a terminal, else every 5 s and when `done`."""
    now = time.monotonic()
    if sys.stderr.isatty():
        end = "\n" if done else ""
        print(f"\r\033[K{text[:shutil.get_terminal_size().columns - 1]}", end=end, file=sys.stderr,
              flush=True)
    elif done or now - _told["at"] > 5 and text != _told["text"]:
        print(f"demo: {text}", file=sys.stderr, flush=True)
        _told.update(at=now, text=text)


# --- Where events come from and rows go -----------------------------------------------------------

class Files:
    """The embedded default: directories."""

    def __init__(self, folder):
        self._events, self._rows = folder / "user-events", folder / "ml-features"
        self.source = f"file: {{dir: {self._events}, follow: true}}"
        self.sinks = f"file: {{dir: {self._rows}}}"
        self.where = f"rows: {self._rows}/partition-*/*.jsonl"

    def start(self):
        self.writer = generate_events.FileLog(self._events, PARTITIONS)

    def committed(self):
        """(committed rows, newest computed_at among the last rows of the partitions)"""
        rows, newest = 0, None
        for path in sorted(self._rows.glob("partition-*")):
            files = sorted(path.glob("*.jsonl"))
            if not files:
                continue
            lines = files[-1].read_bytes().splitlines()
            rows += int(files[-1].stem) + len(lines)
            if lines:
                at = oracle.parse_iso(json.loads(lines[-1])["computed_at"])
                newest = at if newest is None else max(newest, at)
        return rows, newest

    def verify_arguments(self):
        return [str(self._events), str(self._rows)]

    def stop(self):
        pass


class Servers:
    """A real Kafka and a real Redis on loopback ports."""

    def __init__(self, folder):
        import broker
        import redis_server
        self._cluster = broker.Cluster(folder / "kafka")
        self._redis = redis_server.RedisServer(folder / "redis")
        self._rows = self._count = 0
        self._newest = self._tail = None

    def start(self):
        import confluent_kafka
        import kafka_topic
        tell("starting Kafka and Redis")
        self._cluster.start()
        self._redis.start()
        for topic in ("user-events", "ml-features", "user-events-late", "user-events-dlq"):
            self._cluster.create_topic(topic, PARTITIONS)
        brokers = self._cluster.address
        tell(f"Kafka serves on {brokers}, Redis on 127.0.0.1:{self._redis.port}", done=True)
        self.source = f"kafka: {{brokers: {brokers}, topic: user-events, start: earliest}}"
        self.sinks = (f"kafka: {{topic: ml-features}}\n  redis: {{url: \"{self._redis.url}\", "
                      "ttl: auto}")
        self.where = f"rows: topic ml-features of {brokers}, Redis keys features:*"
        self.writer = kafka_topic.Writer(brokers, "user-events")
        self._tail = confluent_kafka.Consumer({
            "bootstrap.servers": brokers, "group.id": "demo-tail", "enable.auto.commit": False,
            "isolation.level": "read_committed", "log_level": 3})
        self._tail.assign([confluent_kafka.TopicPartition("ml-features", partition, 0)
                           for partition in range(PARTITIONS)])

    def committed(self):
        for message in self._tail.consume(20_000, timeout=0.01):
            if message.error() is None:
                self._count += 1
                at = oracle.parse_iso(json.loads(message.value())["computed_at"])
                self._newest = at if self._newest is None else max(self._newest, at)
        return self._count, self._newest

    def verify_arguments(self):
        return ["user-events", "ml-features", "--kafka", self._cluster.address,
                "--redis", f"127.0.0.1:{self._redis.port}/0"]

    def stop(self):
        if self._tail is not None:
            self._tail.close()
        self._redis.kill()
        self._cluster.stop()


class Feed:
    """The input in slices, evenly over `seconds`; never more than `allowed` slices."""

    def __init__(self, partitions, seconds, writer):
        self._slices = generate_events.chunks(partitions, SLICES)
        self._writer = writer
        self._pace = seconds / SLICES
        self._due = time.monotonic()
        self.total = sum(map(len, partitions))
        self.slices = 0       # delivered
        self.events = 0       # delivered
        self.largest = None   # event time delivered
        self.allowed = 0

    def pump(self):
        """Delivers what is due."""
        now = time.monotonic()
        self._due = max(self._due, now - 1)  # what could not be delivered is not made up for
        while self.slices < min(self.allowed, SLICES) and self._due <= now:
            self._due += self._pace
            piece = self._slices[self.slices]
            self.slices += 1
            self._writer.deliver(piece, torn=self.slices < SLICES)
            for records in piece:
                self.events += len(records)
                for _, _, at in records:
                    if self.largest is None or at > self.largest:
                        self.largest = at


# --- The job --------------------------------------------------------------------------------------

class Job:
    """Runs of the job, one at a time; each has a log of its own."""

    def __init__(self, binary, config, folder):
        self._command = [str(binary), "--config", str(config)]
        self._folder = folder
        self.child = None
        self.runs = 0
        self.http = None

    def start(self, *flags):
        self.runs += 1
        self.http = f"127.0.0.1:{free_port()}"
        self.child = ChildProcess([*self._command, "--http", self.http, *flags],
                                  self._folder / f"job-{self.runs}.log", cwd=self._folder)
        self.child.start()

    def require_running(self):
        if not self.child.running():
            raise DemoError(f"run {self.runs} ended by itself with exit code "
                            f"{self.child.exit_code}; its log ends:\n{self.child.tail()}")


def wait(condition, what, job):
    try:
        return wait_until(condition, DEADLINE_S, what)
    except TimeoutError as error:
        raise DemoError(f"{error}; the job's log ends:\n{job.child.tail()}") from None


def run_and_kill(job, feed, place, kill):
    """One run that follows the input until it is killed."""
    before = feed.largest
    job.start("--parallelism", str(PARALLELISM[kill]))
    feed.allowed = SLICES * (kill + 1) // (KILLS + 1)
    enough = feed.slices + (feed.allowed - feed.slices) * 3 // 4

    def progress():
        feed.pump()
        job.require_running()
        rows, newest = place.committed()
        tell(f"run {kill + 1} of {KILLS + 1}: {feed.events} of {feed.total} events delivered, "
             f"{rows} rows committed, killed {kill} times")
        return rows, newest

    def has_committed():
        # A row of a time beyond all that was delivered before is this run's own work.
        _, newest = progress()
        return (newest is not None and (before is None or newest > before)
                and feed.slices >= enough)

    wait(has_committed, f"run {kill + 1} commits a row", job)
    seen = feed.slices
    feed.allowed = max(feed.allowed, seen + 2)

    def has_more_input():
        progress()
        return feed.slices > seen

    wait(has_more_input, "more input arrives", job)
    job.require_running()
    job.child.kill()
    rows, _ = place.committed()
    tell(f"run {kill + 1} of {KILLS + 1}: killed with SIGKILL, {rows} rows committed, "
         f"{feed.total - feed.events} of {feed.total} events still to come", done=True)
    return rows, feed.total - feed.events


def finish(job, feed, place):
    """The last run: bounded by what is there once everything is delivered."""
    feed.allowed = SLICES

    def delivered():
        feed.pump()
        tell(f"{feed.events} of {feed.total} events delivered")
        return feed.slices == SLICES

    wait_until(delivered, DEADLINE_S + 10 * feed._pace * SLICES, "the rest of the input")
    feed._writer.close()
    job.start("--parallelism", str(PARALLELISM[KILLS]), "--until-offsets", "latest")

    def ended():
        rows, _ = place.committed()
        tell(f"run {KILLS + 1} of {KILLS + 1}, to the end of the input: {rows} rows committed")
        return not job.child.running()

    wait(ended, "the bounded run ends", job)
    if job.child.exit_code != 0:
        job.require_running()
    tell(f"run {KILLS + 1} of {KILLS + 1}: finished by itself, exit code 0", done=True)


# --- The whole ------------------------------------------------------------------------------------

def arguments(argv):
    parser = argparse.ArgumentParser(prog="demo", description=__doc__.splitlines()[0])
    parser.add_argument("--kafka", action="store_true")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--emit", default="on_watermark",
                        choices=("on_watermark", "on_record", "coalesced"))
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--check-arguments", action="store_true")
    args = parser.parse_args(argv)
    if args.events < 10_000 or not 0 <= args.seconds <= 600:
        parser.error("--events is at least 10000 (or nothing would be committed between two "
                     "kills), --seconds at most 600")
    return args


def run(args, folder, stack):
    """The proof's exit code and the job, ready for --keep."""
    started = time.monotonic()
    binary = ROOT / "build" / "release" / "bin" / "feature_pipeline"
    binary = Path(os.environ.get("TIDEMILL_BIN", binary.parent)) / binary.name
    if not os.access(binary, os.X_OK):
        raise DemoError(f"{binary} is not there: run scripts/build first")
    place = Servers(folder) if args.kafka else Files(folder)
    stack.callback(place.stop)
    place.start()
    tell(f"generating {args.events} events")
    partitions = generate_events.Generator(args.events, future=args.kafka,
                                           partitions=PARTITIONS).partitions()
    interval = "emit_interval: 1m" if args.emit == "coalesced" else ""
    config = folder / "features.yaml"
    config.write_text(CONFIG.format(source=place.source, sinks=place.sinks, emit=args.emit,
                                    interval=interval, folder=folder))
    tell(f"configuration: {config}", done=True)
    feed = Feed(partitions, args.seconds, place.writer)
    job = Job(binary, config, folder)
    stack.callback(lambda: job.child and job.child.kill())
    kills = [run_and_kill(job, feed, place, kill) for kill in range(KILLS)]
    finish(job, feed, place)
    for i, (rows, left) in enumerate(kills):
        print(f"kill {i + 1}: SIGKILL with {rows} rows committed and {left} events still to come")
    print(f"{place.where}\nran for {time.monotonic() - started:.0f} s", flush=True)
    tell("comparing with the independent recomputation")
    proof = subprocess.run([sys.executable, str(TOOLS / "verify.py"), *place.verify_arguments(),
                            "--emit", args.emit], check=False)
    return proof.returncode, job


def keep(job):
    """Leaves a copy of the job running over the same input; returns what tells of it."""
    job.start("--as", "kept")

    def ready():
        job.require_running()
        return job.child.log() and re.search(re.escape(job.http), job.child.log())

    wait(ready, "the kept job prints its address", job)
    return (f"kept running: http://{job.http}/ (metrics, health); stop it and its servers with: "
            f"kill {os.getpid()}")


def in_guardian(work):
    """Runs `work(report)` in a process that may outlive this one: it holds what --keep leaves.

    `report(exit code)` lets this process go. Children die with the process that made them.
    """
    reader, writer = os.pipe()
    if os.fork():
        os.close(writer)
        code = os.read(reader, 1)
        sys.exit(code[0] if code else 1)
    os.close(reader)
    os.setsid()

    def report(code):
        sys.stdout.flush()
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        os.write(writer, bytes([code]))
        os.close(writer)

    sys.exit(work(report))


def main(argv=None):
    args = arguments(argv)
    if args.check_arguments:
        return 0
    if args.keep:
        return in_guardian(lambda report: demo(args, report))
    return demo(args, None)


def demo(args, report):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = ROOT / "data" / "demo"
    folder.parent.mkdir(exist_ok=True)
    with open(folder.with_suffix(".lock"), "w", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"demo: another demo runs in {folder}; stop it first", file=sys.stderr)
            return 1
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        with contextlib.ExitStack() as stack:
            try:
                status, job = run(args, folder, stack)
                if report is None or status != 0:
                    return status
                print(keep(job))
                report(0)
                job.child.process.wait()
            except (DemoError, TimeoutError, RuntimeError, OSError) as error:
                tell("", done=sys.stderr.isatty())
                print(f"demo: {error}", file=sys.stderr)
                return 1
            except KeyboardInterrupt:
                return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
