"""Nexmark: published rows over both backends, an oracle for other events, kills in the middle, wrong flags."""
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NEXMARK = ROOT / "build" / "release" / "bin" / "nexmark"
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


@pytest.mark.parametrize("query", ["q9", "q17"])
def test_a_killed_job_gives_the_published_rows(tmp_path, query):
    command = [NEXMARK, "--query", query, "--source", "file", "--sink", "file", "--backend", "rocksdb", "--parallelism", "2", "--dir", str(tmp_path),
               "--checkpoint-interval", "100ms", "--verify", "--format", "json"]
    checkpoints = tmp_path / "checkpoints" / f"nexmark-{query}"
    choice = random.Random(query)
    for _ in range(2):
        job = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 300
        while job.poll() is None and not (checkpoints.exists() and any(checkpoints.iterdir())):
            assert time.monotonic() < deadline, "the job took no checkpoint"
            time.sleep(0.01)
        until = time.monotonic() + choice.random()  # a random point is what is asked for
        while job.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        job.send_signal(signal.SIGKILL)
        job.communicate()
    found = answers(*command[1:])
    assert found[query][2] is True, found


@pytest.mark.parametrize("flags, text", [
    (["--query", "q23"], "there is no query q23"),
    (["--query", "q5", "--evnts", "10"], "did you mean --events?"),
    (["--query", "q5", "--events", "ten"], "--events wants a number"),
    (["--query", "q5", "--events", "0"], "--events wants a number"),
    (["--query", "q5", "--backend", "disk"], "--backend is none of memory, rocksdb"),
    (["--query", "q5", "--sink", "file"], "--sink file needs --source file"),
    (["--query", "q5", "--hand", "--group", "50"], "--group 1"),
    (["--query"], "--query wants a value"),
    ([], "--query is missing"),
])
def test_a_wrong_flag_is_named(flags, text):
    done = nexmark(*flags)
    assert done.returncode == 2
    assert text in done.stderr
    assert done.stdout == ""


def test_the_hash_of_the_input():
    assert nexmark("--hash-input", "--events", "1000000", "--rate", "10000", "--group", "50").stdout == "abab29f5be29be95\n"
