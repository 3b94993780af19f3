"""Nexmark: published rows over both backends, an oracle for other events, kills in the middle, wrong flags."""
import json
import os
import random
import signal
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

import pytest

from job import binary
from process import wait_until

ROOT = Path(__file__).resolve().parents[2]
NEXMARK = binary("nexmark")
sys.path.insert(0, str(ROOT / "tests" / "bench" / "nexmark"))

import nexmark_oracle  # noqa: E402


def nexmark(*flags, timeout=600):
    return subprocess.run([NEXMARK, *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout, check=False)


def answers(*flags):
    """By query: rows, checksum, whether that is as published."""
    done = nexmark(*flags, "--verify", "--format", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    return {r["query"]: (r["rows"], r["checksum"], r.get("as_published")) for r in reports}


@pytest.mark.parametrize("backend", ["memory", "rocksdb"])
@pytest.mark.parametrize("parallelism", ["1", "2"])
def test_every_query_gives_the_published_rows(backend, parallelism):
    found = answers("--query", "all", "--backend", backend, "--parallelism", parallelism)
    assert len(found) == 23
    assert {query for query, (_, _, as_published) in found.items() if as_published is not True} == {"q6"}


# Disorder beyond batches and windows; sessions that end and begin again; groups and another base.
@pytest.mark.parametrize("events", [
    ("--events", "40000", "--rate", "10000", "--group", "10000", "--parallelism", "2"),
    ("--events", "40000", "--rate", "200", "--backend", "rocksdb"),
    ("--events", "30000", "--rate", "1000", "--group", "50", "--base-time", "1700000003217", "--parallelism", "2"),
], ids=["groups_of_10000", "200_a_second", "another_base"])
def test_the_oracle_agrees_on_other_events(tmp_path, events):
    dump = tmp_path / "events"
    assert nexmark(*events, "--dump-input", str(dump)).returncode == 0
    right = nexmark_oracle.Oracle(dump)
    found = answers("--query", ",".join(nexmark_oracle.QUERIES), *events)
    assert {query: found[query][:2] for query in nexmark_oracle.QUERIES} == {query: right.answer(query) for query in nexmark_oracle.QUERIES}


def killed_somewhere(command, checkpoints, wait):
    """Starts a job and kills it `wait` seconds after its first checkpoint. False: it ended before."""
    job = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: job.poll() is not None or (checkpoints.exists() and any(checkpoints.iterdir())), 60, "the job takes a checkpoint", 0.005)
    until = time.monotonic() + wait
    while job.poll() is None and time.monotonic() < until:  # a random point is what is asked for
        time.sleep(0.005)
    is_killed = job.poll() is None
    job.send_signal(signal.SIGKILL)
    job.wait()
    return is_killed


def test_every_query_goes_on_after_a_kill(tmp_path):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    choice = random.Random(seed)
    events = ["--events", "60000", "--rate", "2000"]
    flags = [*events, "--source", "file", "--sink", "file", "--backend", "rocksdb", "--parallelism", "2", "--dir", str(tmp_path)]
    queries = [f"q{number}" for number in range(23)]
    # A second's worth of lines may come at once, so a job takes half a second and more.
    killed = [query for query in queries
              if killed_somewhere([NEXMARK, "--query", query, *flags, "--checkpoint-interval", "20ms", "--rate", "40000/s"],
                                  tmp_path / "checkpoints" / f"nexmark-{query}", choice.uniform(0, 0.4))]
    print(f"killed before their end: {killed}")
    assert len(killed) > len(queries) / 2
    found = answers("--query", "all", *flags)
    right = answers("--query", "all", *events)
    assert found.pop("q12")[2] is True and right.pop("q12")[2] is True  # by the clock: each bid counts once
    assert found == right
    assert_in_their_minutes(tmp_path / "q10-rows")


def assert_in_their_minutes(rows):
    """q10: DIR/day=2015-07-15/00:01/partition-0/*.jsonl, auction|bidder|price|time|extra."""
    folders = 0
    for folder in rows.glob("day=*/*"):
        folders += 1
        for file in folder.rglob("*.jsonl"):
            for line in file.read_text().splitlines():
                at = datetime.fromtimestamp(int(line.split("|")[3]) / 1000, timezone.utc)
                assert f"{at:day=%Y-%m-%d/%H:%M}" == f"{folder.parent.name}/{folder.name}", file
    assert folders == 1  # 60,000 events at 2,000 a second are half a minute


@pytest.mark.parametrize("flags, text", [
    (["--query", "q23"], "there is no query q23"),
    (["--query", "q5", "--evnts", "10"], "did you mean --events?"),
    (["--query", "q5", "--events", "ten"], "--events wants a number"),
    (["--query", "q5", "--events", "0"], "--events wants a number"),
    (["--query", "q5", "--backend", "disk"], "--backend is none of memory, rocksdb"),
    (["--query", "q5", "--sink", "file"], "--sink file needs --source file"),
    (["--query", "q5", "--sink", "kafka"], "--sink kafka needs --source file"),
    (["--query", "q5", "--hand", "--group", "50"], "--group 1"),
    (["--query", "q5", "--hand", "--source", "kafka"], "in memory"),
    (["--query", "q5", "--hand", "--verify"], "one at a time"),
    (["--query", "q5", "--repeat", "2", "--verify"], "one at a time"),
    (["--query", "q5", "--repeat", "2", "--source", "file"], "a job that has finished is not run again"),
    (["--query", "q5", "--rate", "20000/s"], "--rate=20000/s limits the source of a job"),
    (["--query", "q5", "--rate", "MB/s", "--source", "file"], "--rate is neither bytes"),
    (["--query", "q5", "--checkpoint-interval", "1s"], "Flags of a job need --source file or kafka"),
    (["--query", "q5", "--source", "file", "--chekpoint-dir", "x"], "--checkpoint-dir"),
    (["--query", "q5", "--source", "file", "--set", "sinks.kafka.topic=x"], "sinks.kafka.topic"),
    (["--query", "q5,q7", "--source", "file", "--set", "job=x"], "each query has its own job"),
    (["--query", "q5,q7", "--source", "kafka", "--sink", "kafka", "--set", "sinks.kafka.topic=x"], "each query has its own sinks.kafka.topic"),
    (["--query", "q5", "--hash-input"], "run no --query"),
    (["--hash-input", "--dump-input", "x"], "exclude each other"),
    (["--query"], "--query wants a value"),
    ([], "--query is missing"),
])
def test_a_wrong_flag_is_named(flags, text):
    done = nexmark(*flags)
    assert done.returncode == 2
    assert text in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("flags, environment, text", [
    ([], {}, "parallelism: 1  # default"),
    ([], {"TIDEMILL_PARALLELISM": "3"}, "parallelism: 3  # TIDEMILL_PARALLELISM"),
    (["--parallelism", "2"], {"TIDEMILL_PARALLELISM": "3"}, "parallelism: 2  # command line"),
])
def test_a_job_has_defaults_of_its_own_that_others_beat(flags, environment, text):
    done = subprocess.run([NEXMARK, "--query", "q0", "--source", "file", "--print-config", *flags], env=os.environ | environment, capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "http: none  # default" in done.stdout
    assert text in done.stdout


def test_the_hash_of_the_input():
    assert nexmark("--hash-input", "--events", "1000000", "--rate", "10000", "--group", "50").stdout == "abab29f5be29be95\n"
