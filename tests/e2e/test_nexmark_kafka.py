"""Nexmark over Kafka: the events are written into a topic once, rows are committed to another, and a killed job goes on."""
import json
import random
import signal
import subprocess
import time

import pytest

from job import binary
from process import wait_until

EVENTS = ["--events", "100000", "--rate", "2000"]


def nexmark(*flags, timeout=120):
    return subprocess.run([binary("nexmark"), *EVENTS, *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout, check=False)


def answer(*flags):
    """Rows and checksum of one query."""
    done = nexmark(*flags, "--verify", "--format", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    return report["rows"], report["checksum"], report.get("as_published")


def in_kafka(kafka, name, folder):
    return ["--set", f"source.kafka.brokers={kafka.address}", "--set", f"source.kafka.topic={name}-events", "--set", f"sinks.kafka.topic={name}-rows",
            "--set", f"job={name}", "--dir", str(folder), "--checkpoint-interval", "50ms"]


# Rows as they come, rows that revise each other, rows by the clock.
@pytest.mark.parametrize("query", ["q0", "q4", "q12"])
def test_a_killed_job_goes_on_exactly_once(kafka, name, tmp_path, query):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    choice = random.Random(seed)
    # 100,000 events take a second and more.
    flags = ["--query", query, "--source", "kafka", "--sink", "kafka", "--parallelism", "2", "--rate", "80000/s", *in_kafka(kafka, name, tmp_path)]
    kills = 0
    for _ in range(3):
        job = subprocess.Popen([binary("nexmark"), *EVENTS, *flags], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        checkpoints = tmp_path / "checkpoints" / name
        wait_until(lambda j=job: j.poll() is not None or (checkpoints.exists() and any(checkpoints.iterdir())), 60, "the job takes a checkpoint")
        until = time.monotonic() + choice.uniform(0, 0.8)
        while job.poll() is None and time.monotonic() < until:
            time.sleep(0.005)
        kills += job.poll() is None
        job.send_signal(signal.SIGKILL)
        job.wait()
    assert kills > 0
    found = answer(*flags)
    if query == "q12":
        assert found[2] is True
    else:
        assert found[:2] == answer("--query", query)[:2]


@pytest.mark.parametrize("source, sink", [("file", "kafka"), ("kafka", "file"), ("kafka", "count")])
def test_each_end_may_be_in_kafka(kafka, name, tmp_path, source, sink):
    found = answer("--query", "q2", "--source", source, "--sink", sink, *in_kafka(kafka, name, tmp_path))
    assert found[:2] == answer("--query", "q2")[:2]


def test_a_topic_of_other_events_is_refused(kafka, name, tmp_path):
    where = in_kafka(kafka, name, tmp_path)
    assert nexmark("--query", "q2", "--source", "kafka", *where).returncode == 0
    done = nexmark("--query", "q2", "--source", "kafka", "--events", "5000", *where)
    assert done.returncode == 3
    assert "has 100000 records instead of 5000" in done.stderr


def test_the_rate_of_a_source_has_a_unit(kafka, name, tmp_path):
    began = time.monotonic()
    done = nexmark("--query", "q2", "--source", "kafka", "--events", "3000", "--rate", "1000/s", *in_kafka(kafka, name, tmp_path))
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began > 1.5  # a second's worth may come at once
