"""The flags every job has, one by one, on the shipped program and the file log alone."""

import json
import re
import signal
import time

import pytest

from file_job import FileJob, event
from job import FAILED, FINISHED, REFUSED, WRONG_USAGE
from process import free_port, wait_until


@pytest.fixture
def job(tmp_path):
    made = FileJob(tmp_path)
    made.append(0, event("a", 0), event("a", 10))
    made.append(1, event("b", 5))
    yield made
    made.kill()


def printed(job, key, *flags, environment=None):
    """(value, origin) that --print-config gives for a key."""
    code, out, err = job.tell("--print-config", *flags, environment=environment)
    assert code == FINISHED, err
    return next(line for line in out.splitlines() if re.match(rf"{re.escape(key)}\s*[:=]", line))


def test_help_and_version_exit_0(job):
    code, out, _ = job.tell("--help", config=False)
    assert code == FINISHED
    for flag in ("--config", "--set", "--print-config", "--validate", "--explain", "--parallelism",
                 "--checkpoint-dir", "--checkpoint-interval", "--restore", "--accept-loss",
                 "--assume-committed", "--accept-duplicates", "--from-offsets", "--from-time",
                 "--until-offsets", "--until-time", "--as", "--rate", "--list-checkpoints",
                 "--inspect", "--http", "--log-level", "--log-format", "--version"):
        assert flag in out, flag
    code, out, _ = job.tell("--version", config=False)
    assert code == FINISHED and re.search(r"feature_pipeline [0-9]+\.[0-9]+\.[0-9]+", out)


def test_flag_over_variable_over_file_over_default(job):
    assert "1s" in printed(job, "restart.max_backoff", "--set", "restart.max_backoff=1s")
    assert "50ms" in printed(job, "checkpoint.interval")
    variable = {"TIDEMILL_CHECKPOINT_INTERVAL": "70ms"}
    line = printed(job, "checkpoint.interval", environment=variable)
    assert "70ms" in line and "TIDEMILL_CHECKPOINT_INTERVAL" in line
    line = printed(job, "checkpoint.interval", "--checkpoint-interval", "90ms",
                   environment=variable)
    assert "90ms" in line
    assert "25s" in printed(job, "stop_timeout"), "the default"


@pytest.mark.parametrize("flags, meant", [
    (("--chekpoint-dir", "x"), "--checkpoint-dir"), (("--valdate",), "--validate"),
    (("--set", "checkpoint.intervall=1s"), "checkpoint.interval"),
    (("--set", "features.window=5m"), "features.windows"), (("--frobnicate-all", "5"), "--drop-state"),
    (("--set", "stat.dir=x"), "state.dir")])
def test_an_unknown_flag_or_key_names_the_nearest(job, flags, meant):
    code, _, err = job.tell(*flags)
    assert code == WRONG_USAGE
    assert f"did you mean {meant}?" in err


def test_an_unknown_key_of_the_file_has_its_line(job):
    job.config["chekpoint"] = {"dir": "x"}
    code, _, err = job.tell()
    assert code == WRONG_USAGE
    assert re.search(r"chekpoint\.dir \(.*job\.yaml:[0-9]+\)", err), err
    assert "checkpoint.dir" in err


@pytest.mark.parametrize("flags", [
    ("--parallelism", "0"), ("--parallelism", "many"), ("--checkpoint-interval", "1"),
    ("--checkpoint-interval", "1ms"), ("--rate", "fast"), ("--until-time", "soon"),
    ("--from-offsets", "events:9"), ("--as", "../x"), ("--http", "8081"), ("--http", "0.0.0.0:0"),
    ("--log-level", "loud"), ("--log-format", "xml"), ("--explain", "svg"), ("--set", "job"),
    ("--inspect", "7"), ("--config", "/nowhere.yaml"), ("--set", "features.emit=sometimes"),
    ("--set", "event_time.disorder=-1s")])
def test_a_wrong_value_is_wrong_usage(job, flags):
    code, _, err = job.tell(*flags)
    assert code == WRONG_USAGE, err
    assert err.strip()
    assert not job.rows()


def test_explain_as_text_dot_and_json(job):
    for form in ((), ("text",)):
        code, out, _ = job.tell("--explain", *form)
        assert code == FINISHED and "features  (process, keeps state)" in out
    code, out, _ = job.tell("--explain", "dot")
    assert code == FINISHED and out.startswith("digraph")
    code, out, _ = job.tell("--explain", "json")
    assert code == FINISHED and json.loads(out)
    assert not job.checkpoints.exists(), "it has only looked"


def test_validate_is_one_report(job):
    code, out, _ = job.tell("--validate")
    assert code == FINISHED and out.splitlines()[-1] == "valid: no errors"
    assert not job.rows()
    job.config["source"]["file"]["dir"] = str(job.folder / "nowhere")
    code, out, err = job.tell("--validate")
    assert code == WRONG_USAGE and "nowhere" in out + err


@pytest.mark.parametrize("flags, word", [
    (("--set", "memory=-1MiB"), "memory"), (("--set", "stop_timeout=5 parsecs"), "stop_timeout"),
    (("--http", "here"), "ADDR:PORT"), (("--accept-loss", "topic"), "TOPIC:P"),
    (("--until-offsets", "earliest"), "expected latest, committed or TOPIC:P=N"),
    (("--set", "event_time.field=value"), "event_time.field"),
    (("--set", "late.dir=../rows"), "share a directory"),
    (("--set", "sinks.file.dir=../events/."), "share a directory"),
    (("--set", "late.dir=/dev/null/late"), "/dev/null is not a directory"),
    (("--checkpoint-dir", "/dev/null/x"), "/dev/null is not a directory")])
def test_validate_finds_what_a_start_would_fail_at(job, flags, word):
    code, out, err = job.tell("--validate", *flags)
    assert code == WRONG_USAGE and word in err, (code, out, err)


def test_validate_knows_whether_a_restore_is_possible(job):
    assert "would start from: first start" in job.tell("--validate")[1]
    assert job.run() == FINISHED
    code, out, _ = job.tell("--validate")
    assert code == FINISHED and "would start from: last committed checkpoint" in out
    for flags in (("--restore", "none"), ("--restore", "99"), ("--restore", "0")):
        code, out, err = job.tell("--validate", *flags)
        assert code == REFUSED and err, (flags, out)
        assert job.tell(*flags)[2].splitlines()[-1] in err, "the start says the same"


def test_parallelism_may_be_any(job):
    assert job.run("--parallelism", 5) == FINISHED
    assert len(job.rows()) == 3


def test_list_and_inspect(job):
    code, out, _ = job.tell("--list-checkpoints")
    assert code == FINISHED and len(out.splitlines()) == 1, "only a heading"
    assert job.run() == FINISHED
    code, out, _ = job.tell("--list-checkpoints")
    newest = out.splitlines()[-1]
    assert newest.endswith("final") and "2026-01-01" in newest
    name = newest.split()[0]
    told = [job.tell("--inspect", which)[1] for which in (name, name.split("-")[0], "latest")]
    assert told[0] == told[1] == told[2]
    for word in ("events:0", "next offset 2", "watermark 2026-01-01", "operator", "state bytes",
                 "final        yes"):
        assert word in told[0], word


def test_from_and_until(tmp_path):
    job = FileJob(tmp_path, partitions=1)
    job.append(0, *[event("a", second) for second in range(10)])
    assert job.run("--from-offsets", "events:0=2", "--until-offsets", "events:0=5") == FINISHED
    assert len(job.rows()) == 3
    assert job.run("--as", "t", "--from-time", "2026-01-01T00:00:04Z", "--until-time",
                   "2026-01-01T00:00:06Z") == FINISHED
    rows = job.rows(tmp_path / "rows.t")
    assert [row["event_time"][17:19] for row in rows] == ["04", "05"]
    assert job.run("--as", "l", "--from-offsets", "latest") == FINISHED
    assert not job.rows(tmp_path / "rows.l")
    assert len(job.rows()) == 3, "a replay has places of its own"
    assert (job.checkpoints / "features.t").is_dir()
    assert job.run("--from-offsets", "earliest", "--until-offsets", "events:0=5") == FINISHED
    assert "ignored" in job.log, "a restore goes on where it was, and says so"


def test_restore_by_choice_needs_consent(job):
    assert job.run() == FINISHED
    assert job.run("--restore", "none") == REFUSED
    assert "--accept-duplicates" in job.log
    assert len(job.rows()) == 3
    assert job.run("--restore", "none", "--accept-duplicates") == FINISHED
    assert len(job.rows()) == 6
    assert job.run("--restore", "99") in (REFUSED, WRONG_USAGE)


@pytest.mark.parametrize("parallelism", [1, 4])
def test_rate_limits_the_sources(tmp_path, parallelism):
    job = FileJob(tmp_path, partitions=1, parallelism=parallelism)
    job.append(0, *[event("a", second) for second in range(300)])
    begin = time.monotonic()
    assert job.run("--rate", "100/s") == FINISHED
    took = time.monotonic() - begin
    assert took > 1.9, "a second's worth at once, then a hundred a second"
    assert took < 8, "of all subtasks together: those without a partition keep no share of it"
    begin = time.monotonic()
    assert job.run("--as", "bytes", "--rate", "1MB/s") == FINISHED
    assert time.monotonic() - begin < 20


def test_sigterm_commits_and_the_next_start_goes_on(job):
    job.start("--set", "source.file.follow=true")
    job.wait_rows(3)
    assert job.stop() == FINISHED
    assert "features: stopped" in job.log
    job.append(0, event("a", 20))
    job.start("--set", "source.file.follow=true")
    job.wait_rows(4)
    job.child.signal(signal.SIGINT)
    assert job.child.wait(30) == FINISHED
    assert [r["event_count_5m"] for r in job.rows() if r["user_id"] == "a"] == [1, 2, 3]


def stuck(job, *flags):
    """Running, with rows that a Redis which is not there has not taken: no stop can succeed."""
    job.config["sinks"]["redis"] = {"url": f"redis://127.0.0.1:{free_port()}/0"}
    job.start("--set", "source.file.follow=true", "--http", "127.0.0.1:0", *flags)

    def waiting():
        return re.search(r"tidemill_redis_rows_waiting\{[^}]*\} [1-9]", job.get("/metrics")[1])

    wait_until(waiting, 30, "rows wait for Redis")


def test_a_stop_that_takes_too_long_fails(job):
    stuck(job, "--set", "stop_timeout=1s")
    assert job.stop() == FAILED
    assert "stop_timeout" in job.log


def test_a_second_signal_stops_at_once(job):
    stuck(job)
    job.child.signal(signal.SIGTERM)
    job.wait_log("signal received")
    job.child.signal(signal.SIGTERM)
    assert job.child.wait(5) == FINISHED
    assert not job.rows(), "nothing that was not committed can be seen"


def test_log_format_json_is_an_object_a_line(job):
    code, _, err = job.tell("--log-format", "json", "--http", "127.0.0.1:0")
    assert code == FINISHED
    lines = [json.loads(line) for line in err.splitlines()]
    assert lines and all({"time", "level", "message"} <= line.keys() for line in lines)
    code, _, err = job.tell("--log-format", "json", "--restore", "none")
    assert code == REFUSED
    assert json.loads(err.splitlines()[-1])["level"] == "error"


def test_log_level(job):
    code, _, err = job.tell("--log-level", "error")
    assert code == FINISHED
    assert all("events/s" in line for line in err.splitlines()), err
    code, _, err = job.tell("--as", "again")
    assert code == FINISHED and " info job features.again: first start" in err
