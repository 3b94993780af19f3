"""What a running job tells about itself: /metrics, /healthz, /readyz, the progress line."""

import json
import re
import socket

import pytest

from file_job import START_MS, FileJob, event
from job import FINISHED
from process import wait_until


@pytest.fixture
def job(tmp_path):
    made = FileJob(tmp_path)
    yield made
    made.kill()


def follow(job, *flags):
    job.start("--set", "source.file.follow=true", "--http", "127.0.0.1:0", *flags)


class Scrape:
    """The samples of one /metrics."""

    def __init__(self, job):
        status, self.text = job.get("/metrics")
        assert status == 200
        self.samples = []
        for line in self.text.splitlines():
            if match := re.match(r"([a-z_]+)(?:\{(.*)\})? (\S+)$", line):
                labels = dict(re.findall(r'(\w+)="([^"]*)"', match[2] or ""))
                self.samples.append((match[1], labels, float(match[3])))

    def all(self, name, **labels):
        return [value for found, has, value in self.samples
                if found == name and labels.items() <= has.items()]

    def sum(self, name, **labels):
        return sum(self.all(name, **labels))


def settled(job, condition, what):
    """The first scrape for which `condition` holds."""
    def holds():
        scrape = Scrape(job)
        return scrape if condition(scrape) else None

    return wait_until(holds, 30, what)


def test_what_has_gone_through_is_counted(job):
    job.append(0, event("a", 100), event("a", 0), "no json", '{"user_id": "a"}')
    job.append(1, event("b", 50))
    follow(job)
    job.wait_rows(2)
    # The late and the bad ones are written in the same checkpoint.
    scrape = settled(job, lambda s: s.sum("tidemill_records_out_total") == 5, "rows are counted")
    assert scrape.sum("tidemill_source_records_total") == 5
    assert scrape.sum("tidemill_source_bytes_total") > 200
    assert scrape.sum("tidemill_late_records_total", reason="late") == 1
    assert scrape.sum("tidemill_bad_records_total") == 2
    assert scrape.sum("tidemill_bad_records_total", reason="malformed") == 1
    assert scrape.sum("tidemill_dead_letters_total", reason="missing_field") == 1
    assert scrape.sum("tidemill_records_in_total", operator="features") == 2
    assert scrape.sum("tidemill_operator_records_out_total", operator="features") == 2
    assert scrape.sum("tidemill_bytes_out_total") > 100
    assert scrape.all("tidemill_restarts_total") == [0], "there before the first, for alerts"
    status, body = job.get("/late")
    assert status == 200
    (late,) = json.loads(body)
    assert late["reason"] == "late" and late["behind_ms"] > 60_000
    assert late["operator"] == "user_events" and late["origin"].endswith("/0 offset 1")


def test_the_watermark_and_who_holds_it_back(job):
    job.append(0, event("a", 100))
    job.append(1, event("b", 40))
    follow(job)
    at = START_MS / 1000 + 35
    scrape = settled(job, lambda s: s.all("tidemill_watermark_timestamp_seconds", operator="features")
                     == [at, at], "the watermark has come to both subtasks")
    held = [labels for name, labels, _ in scrape.samples
            if name == "tidemill_watermark_held_by_split_seconds"]
    assert [labels["split"] for labels in held] == ["events:1"]
    assert scrape.all("tidemill_watermark_held_by_split_seconds") == [60]
    assert scrape.all("tidemill_watermark_held_by_split_since_seconds")[0] >= 0
    job.append(1, event("b", 200))
    scrape = settled(job, lambda s: s.all("tidemill_watermark_timestamp_seconds", operator="features")
                     == [START_MS / 1000 + 95] * 2, "the other one holds it now")
    assert [labels["split"] for name, labels, _ in scrape.samples
            if name == "tidemill_watermark_held_by_split_seconds"] == ["events:0"]


def test_lag_in_records_and_in_event_time(tmp_path):
    job = FileJob(tmp_path, partitions=1, parallelism=1)
    job.append(0, *[event("a", second) for second in range(3000)])
    follow(job, "--rate", "300/s")
    try:
        scrape = settled(job, lambda s: s.sum("tidemill_source_lag_records") > 0, "it is behind")
        assert 500 < scrape.sum("tidemill_source_lag_records", split="events:0") < 3100
        assert scrape.sum("tidemill_source_lag_seconds", split="events:0") > 0
        assert wait_until(lambda: re.search(r"  lag [1-9][0-9]+  ", job.log), 10, "the line has it")
        settled(job, lambda s: s.sum("tidemill_source_records_total") == 3000
                and s.sum("tidemill_source_lag_records") == 0
                and s.sum("tidemill_source_lag_seconds") == 0, "it has caught up")
    finally:
        job.kill()


def test_time_of_tasks_checkpoints_and_state(job):
    job.append(0, *[event(f"u{i}", i) for i in range(2000)])
    follow(job)
    job.wait_rows(2000)
    scrape = settled(job, lambda s: s.sum("tidemill_checkpoints_committed_total") >= 3
                     and s.sum("tidemill_state_memory_bytes", operator="features") > 0,
                     "some checkpoints")
    time = "tidemill_task_time_seconds_total"
    assert scrape.sum(time, task="features", state="busy") > 0
    assert scrape.sum(time, task="features", state="idle") > 0
    assert len(scrape.all(time, task="user_events", state="back_pressured")) == 2
    before = scrape.sum(time, task="features", subtask="0")
    assert settled(job, lambda s: s.sum(time, task="features", subtask="0") > before + 0.1,
                   "time passes")
    for name in ("tidemill_checkpoint_duration_seconds_count",
                 "tidemill_checkpoint_stall_seconds_count"):
        assert scrape.sum(name) >= 3, name
    assert scrape.sum("tidemill_checkpoint_last_bytes") > 0
    assert scrape.sum("tidemill_checkpoint_last_committed_timestamp_seconds") > START_MS / 1000
    assert scrape.sum("tidemill_state_memory_budget_bytes") > 1e7
    assert scrape.sum("tidemill_state_memory_used_bytes") > 0
    assert scrape.sum("tidemill_state_store_memory_bytes", use="filters_and_indexes") > 0
    assert scrape.all("tidemill_job_state", state="running") == [1]
    assert scrape.sum("process_resident_memory_bytes") > 1e6


def test_ages_of_events_at_every_stage(job):
    job.append(0, event("a", 0), event("a", 10), "no json")
    follow(job)
    job.wait_rows(2)
    name = "tidemill_event_age_seconds"
    scrape = settled(job, lambda s: s.sum(f"{name}_count", stage="committed") >= 1, "it is committed")
    for operator, stage, times in (("user_events", "source", 2), ("features", "after_exchange", 2),
                                   ("features", "output", 2), ("file", "written", 2),
                                   ("file", "acknowledged", 1),
                                   ("file", "committed", 1)):
        count = sum(value for found, has, value in scrape.samples
                    if found == f"{name}_count" and has.get("stage") == stage
                    and operator in has["operator"] and has.get("output", "0") == "0")
        assert count >= times, (operator, stage)
    # Months, and not ages: the input is older than this test, and no record is without a time.
    mean = scrape.sum(f"{name}_sum", stage="written") / scrape.sum(f"{name}_count", stage="written")
    assert 1e6 < mean < 1e10


def test_health_and_readiness(job):
    follow(job)
    assert job.get("/healthz")[0] == 200
    wait_until(lambda: job.get("/readyz")[0] == 200, 20, "it is ready")
    assert job.get("/nothing")[0] == 404
    assert job.get("/")[0] == 200
    assert job.stop() == FINISHED


def test_it_is_not_ready_before_records_can_flow(job, tmp_path):
    """A disk that takes no checkpoint: alive, not ready, and no record is read."""
    job.append(0, event("a", 0))
    job.config["sinks"]["redis"] = {"url": "redis://127.0.0.1:1/0"}
    follow(job, "--checkpoint-interval", "1h")
    wait_until(lambda: job.get("/readyz")[0] == 200, 20, "the first checkpoint is committed")
    job.kill()
    follow(job, "--checkpoint-interval", "1h")
    status, body = job.get("/readyz")
    assert status == 503 and "no checkpoint" in body
    assert job.get("/healthz")[0] == 200


def test_a_busy_port_gives_the_next_one(job):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        job.start("--set", "source.file.follow=true", "--http", f"127.0.0.1:{port}")
        address = job.address()
        assert port < int(address.rstrip("/").rsplit(":", 1)[1]) < port + 10
        assert job.get("/healthz")[0] == 200


def test_no_port_at_all(job):
    job.start("--set", "source.file.follow=true")  # with --http none, as all tests start it
    wait_until(lambda: "events/s" in job.log, 20, "a progress line")
    assert "http://" not in job.log


def test_the_progress_line(job):
    job.append(0, event("a", 100), event("a", 0), "no json")
    job.append(1, event("b", 40))
    follow(job)
    line = wait_until(lambda: next((each for each in job.log.splitlines()
                                    if "events 4" in each and "held by" in each), None),
                      20, "a line that knows it all")
    assert re.search(r"[0-9]+ events/s  events 4  rows 2  late 1  bad 1  lag 0  watermark "
                     r"2026-01-01T00:00:35\.000Z held by events:1  checkpoint \d+ ms ago", line), line
    assert "\r" not in job.log, "plain lines where there is no terminal"


def test_names_of_operators_are_those_of_the_plan(job):
    _, out, _ = job.tell("--explain", "json")
    assert {"user_events", "features"} <= set(re.findall(r'"name": ?"([^"]+)"', out)), json.loads(out)
