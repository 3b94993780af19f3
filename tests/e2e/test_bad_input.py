"""What a user may have in files and settings by mistake: a clear error or a dead letter, never a
crash, and no more memory than the record is long a few times over."""

import json
import os
import resource
import subprocess

import pytest

from job import FINISHED, FAILED, WRONG_USAGE, binary

GOOD = '{"user_id":"u%d","action":"click","value":1.5,"timestamp":"2026-01-01T00:00:%02dZ"}'


def good(number):
    return (GOOD % (number % 3, number)).encode()


def write_log(folder, *lines):
    (folder / "events/partition-0").mkdir(parents=True)
    (folder / "events/partition-0/00000000000000000000.jsonl").write_bytes(
        b"".join(line + b"\n" for line in lines))


def run(folder, *flags, events=None, policy="dead_letter", address_space=None):
    """The main job over the folder's file log; the process as it ended."""
    settings = {"job": "bad", "source.file.dir": events or folder / "events",
                "sinks.file.dir": folder / "out/rows", "sinks.file.partitions": 1,
                "event_time.disorder": "5s", "bad_data.policy": policy, "http": "none",
                "checkpoint.dir": folder / "checkpoints", "restart.limit": 1,
                "restart.backoff": "10ms", "parallelism": 1}
    command = [binary("feature_pipeline"), *flags]
    for key, value in settings.items():
        command += ["--set", f"{key}={value}"]
    limit = (lambda: resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))) \
        if address_space else None
    return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=120,
                          check=False, preexec_fn=limit)  # noqa: PLW1509


def lines_of(folder):
    return [json.loads(line) for path in sorted(folder.glob("partition-*/*.jsonl"))
            for line in path.read_bytes().splitlines()]


def reasons(folder):
    return [letter["reason"] for letter in lines_of(folder / "out/user-events-dlq")]


BAD_LINES = {
    "empty": (b"", "malformed"),
    "blanks": (b"   \t", "malformed"),
    "nul bytes": (b'{"user_id":"u\x00","action":"a","value":1,"timestamp":1}', "malformed"),
    "only nul bytes": (b"\x00" * 100, "malformed"),
    "invalid utf-8": (b'{"user_id":"\xff\xfe","action":"a","value":1,"timestamp":1}', "not_utf8"),
    "no object": (b"[1,2]", "not_object"),
    "cut": (b'{"user_id":"u","act', "malformed"),
    "binary": (bytes(range(11, 256)), None),
    "number beyond doubles": (b'{"user_id":"u","action":"a","value":1e999,"timestamp":1}', None),
    "number as text": (b'{"user_id":"u","action":"a","value":"7","timestamp":1}', "mistyped"),
    "time beyond 64 bits": (
        b'{"user_id":"u","action":"a","value":1,"timestamp":99999999999999999999}', None),
    "time in the year 300000": (
        b'{"user_id":"u","action":"a","value":1,"timestamp":"300000-01-01T00:00:00Z"}', "bad_time"),
    "february 30": (
        b'{"user_id":"u","action":"a","value":1,"timestamp":"2026-02-30T00:00:00Z"}', "bad_time"),
    "no user": (b'{"action":"a","value":1,"timestamp":1}', "missing_field"),
    "deeper than a parser's stack": (b'{"x":' + b"[" * 100_000, None),
}


def test_bad_lines_become_dead_letters(tmp_path):
    write_log(tmp_path, good(1), *(line for line, _ in BAD_LINES.values()), good(2))
    done = run(tmp_path)
    assert done.returncode == FINISHED, done.stderr
    letters = lines_of(tmp_path / "out/user-events-dlq")
    assert [letter["offset"] for letter in letters] == list(range(1, len(BAD_LINES) + 1))
    for letter, (name, (_, reason)) in zip(letters, BAD_LINES.items()):
        assert letter["reason"] and reason in (None, letter["reason"]), (name, letter["reason"])
    assert f"bad {len(BAD_LINES)}" in done.stdout, done.stdout
    assert lines_of(tmp_path / "out/rows")


@pytest.mark.parametrize("name", ["empty", "invalid utf-8", "nul bytes"])
def test_policy_fail_names_the_line(tmp_path, name):
    write_log(tmp_path, good(1), BAD_LINES[name][0])
    done = run(tmp_path, policy="fail")
    assert done.returncode == FAILED
    assert "events/0 offset 1" in done.stderr, done.stderr


def test_a_line_of_100_mb_is_a_dead_letter_and_memory_stays_bounded(tmp_path):
    long = b'{"user_id":"' + b"x" * 100_000_000 + b'"}'
    write_log(tmp_path, good(1), long, good(2))
    done = run(tmp_path, address_space=3 << 30)
    assert done.returncode == FINISHED, done.stderr
    assert reasons(tmp_path) == ["too_large"]


def test_a_line_without_end_ends_the_job(tmp_path):
    write_log(tmp_path)
    with open(tmp_path / "events/partition-0/00000000000000000000.jsonl", "wb") as log:
        log.truncate(1 << 30)
    done = run(tmp_path, address_space=3 << 30)
    assert done.returncode == FAILED
    assert "longer than" in done.stderr and "partition-0 line 0" in done.stderr, done.stderr


def test_times_before_1970_and_far_ahead_are_times(tmp_path):
    event = '{"user_id":"u","action":"a","value":1,"timestamp":%s}'
    times = ["-62135596800000", '"1969-12-31T23:59:59.999Z"', "0", '"9999-12-31T23:59:59Z"']
    write_log(tmp_path, *((event % time).encode() for time in times))
    done = run(tmp_path)
    assert done.returncode == FINISHED, done.stderr
    assert reasons(tmp_path) == []
    at = [row["computed_at"] for row in lines_of(tmp_path / "out/rows")]
    assert "1969-12-31T23:59:59.999Z" in at and at[-1] >= "9999-12-31T23:59:59", at


def test_a_folder_where_a_file_should_be(tmp_path):
    write_log(tmp_path, good(1))
    (tmp_path / "events/partition-0/00000000000000000001.jsonl").mkdir()
    done = run(tmp_path)
    assert done.returncode == WRONG_USAGE, done.stderr
    assert "00000000000000000001.jsonl" in done.stderr, done.stderr


def test_a_pipe_where_a_file_should_be(tmp_path):
    write_log(tmp_path, good(1))
    os.mkfifo(tmp_path / "events/partition-0/00000000000000000001.jsonl")
    done = run(tmp_path)
    assert done.returncode == WRONG_USAGE, done.stderr
    assert "00000000000000000001.jsonl" in done.stderr, done.stderr


def test_a_file_where_the_log_should_be(tmp_path):
    (tmp_path / "file").write_bytes(good(1))
    done = run(tmp_path, events=tmp_path / "file")
    assert done.returncode == WRONG_USAGE, done.stderr
    assert str(tmp_path / "file") in done.stderr, done.stderr


@pytest.mark.parametrize("name", ["missing", "folder", "binary", "alias", "endless"])
def test_a_configuration_that_is_none(tmp_path, name):
    write_log(tmp_path, good(1))
    path = tmp_path / "features.yaml"
    if name == "folder":
        path.mkdir()
    elif name == "binary":
        path.write_bytes(bytes(range(256)) * 10)
    elif name == "alias":
        path.write_text("sinks: &a {kafka: *a}\n")
    elif name == "endless":
        path = "/dev/zero"
    done = run(tmp_path, "--config", path, address_space=3 << 30)
    assert done.returncode == WRONG_USAGE, done.stderr
    assert done.stderr.startswith("error: ") and str(path) in done.stderr, done.stderr


def test_words_that_are_no_flags(tmp_path):
    write_log(tmp_path, good(1))
    for words in (["--set", "="], ["--set", "x"], ["--set", "memory=nan"], ["--parallelism", "-1"],
                  ["--parallelism", "99999999999999999999"], ["--checkpoint-interval", "1e9s"],
                  ["--from-offsets", "events:0=-5"], ["--until-time", "yesterday"],
                  ["--no-such-flag"], ["--explain=xml"]):
        done = run(tmp_path, *words)
        assert done.returncode == WRONG_USAGE, (words, done.stderr)
        assert done.stderr.startswith("error: "), (words, done.stderr)


@pytest.mark.parametrize("policy", ["skip", "dead_letter"])
def test_more_bad_records_than_their_budget_stop_the_job(tmp_path, policy):
    write_log(tmp_path, good(1), b"bad", good(2), b"bad", good(3), b"worse")
    budget = ("--set", "bad_data.errors_per_minute=2")
    done = run(tmp_path, *budget, policy=policy)
    assert done.returncode == FAILED
    assert "more bad records than the error budget allows" in done.stderr
    assert "events/0 offset 5" in done.stderr
    assert "restart" not in done.stderr.lower().split("error", 1)[1], "it would meet them again"
    assert not reasons(tmp_path), "nothing of what was read is committed"
    done = run(tmp_path, *budget, "--set", "bad_data.error_percent=50", policy=policy)
    assert done.returncode == FINISHED, done.stderr
    assert len(reasons(tmp_path)) == (3 if policy == "dead_letter" else 0)


def test_a_share_of_bad_records_needs_a_number(tmp_path):
    write_log(tmp_path, good(1))
    done = run(tmp_path, "--set", "bad_data.error_percent=5")
    assert done.returncode == WRONG_USAGE
    assert "bad_data.errors_per_minute" in done.stderr
