"""A bounded run that has finished is finished: the same again outputs nothing, more is refused
(contract: a restore never lets rows go back)."""

import pytest

from features_run import FeaturesRun
from file_job import FileJob, event
from job import FINISHED, REFUSED
from ledger import read_topic


@pytest.fixture(params=["on_record", "on_watermark", "coalesced"])
def finished(request, tmp_path):
    job = FileJob(tmp_path, emit=request.param)
    if request.param == "coalesced":
        job.config["features"]["emit_interval"] = "10s"
    job.append(0, event("a", 0), event("a", 10))
    job.append(1, event("b", 5))
    assert job.run() == FINISHED
    assert {row["user_id"] for row in job.rows()} == {"a", "b"}
    yield job
    job.kill()


@pytest.fixture
def stopped(tmp_path):
    """A run without an end that was stopped after the one event there was."""
    job = FileJob(tmp_path, partitions=1)
    job.append(0, event("a", 0))
    job.start("--set", "source.file.follow=true")
    job.wait_rows(1)
    assert job.stop() == FINISHED
    yield job
    job.kill()


def test_the_same_again_outputs_nothing(finished):
    before = finished.rows()
    assert finished.run() == FINISHED
    assert finished.run("--parallelism", 3) == FINISHED
    assert finished.rows() == before


def test_what_has_come_since_is_none_of_it(finished):
    before = finished.rows()
    finished.append(0, event("a", 1))
    (finished.events / "partition-2").mkdir()
    finished.append(2, event("c", 700))
    assert finished.run() == FINISHED
    assert finished.rows() == before


def test_following_from_there_is_refused(finished):
    before = finished.rows()
    assert finished.run("--set", "source.file.follow=true") == REFUSED
    assert "the bounded run has finished" in finished.log
    assert "--as NAME" in finished.log and "--restore ID --accept-duplicates" in finished.log
    finished.append(0, event("a", 1))
    assert finished.run("--set", "source.file.follow=true") == REFUSED
    assert finished.rows() == before


def test_a_later_end_is_refused(finished):
    before = finished.rows()
    finished.append(0, event("a", 1))
    assert finished.run("--until-offsets", "latest") == REFUSED
    assert finished.rows() == before
    assert finished.run() == FINISHED, "a refused start changes nothing"


def test_an_end_that_is_said_otherwise_but_adds_nothing_is_no_reason(finished):
    before = finished.rows()
    assert finished.run("--until-offsets", "events:0=2,events:1=1") == FINISHED
    assert finished.rows() == before


def test_an_until_that_has_been_reached_stays(tmp_path):
    job = FileJob(tmp_path, partitions=1)
    job.append(0, event("a", 0), event("a", 10), event("a", 20))
    assert job.run("--until-offsets", "events:0=2") == FINISHED
    assert len(job.rows()) == 2
    assert job.run("--until-offsets", "events:0=2") == FINISHED
    assert job.run("--until-offsets", "events:0=3") == REFUSED
    assert "events:0 was read to its end" in job.log
    assert job.run() == REFUSED
    assert len(job.rows()) == 2


def test_a_run_that_was_stopped_goes_on(stopped):
    stopped.append(0, event("a", 10))
    assert stopped.run() == FINISHED
    assert [row["event_count_5m"] for row in stopped.rows()] == [1, 2]


def test_an_earlier_checkpoint_goes_on_where_the_end_does_not(stopped):
    code, said, _ = stopped.tell("--list-checkpoints")
    assert code == FINISHED
    before_the_end = max((line.split()[0] for line in said.splitlines() if line[:1].isdigit()),
                         key=lambda name: int(name.split("-")[0]))
    assert stopped.run("--set", "checkpoint.retained=9") == FINISHED
    stopped.append(0, event("a", 10))
    assert stopped.run("--set", "source.file.follow=true") == REFUSED
    stopped.start("--set", "source.file.follow=true", "--restore", before_the_end,
                  "--accept-duplicates")
    stopped.wait_rows(2)
    assert stopped.stop() == FINISHED
    assert [row["event_count_5m"] for row in stopped.rows()] == [1, 2]


def test_the_same_on_kafka(kafka, name, tmp_path):
    run = FeaturesRun(kafka, name, tmp_path)
    run.input.write(300)
    assert run.job.run("--until-offsets", "latest") == FINISHED
    before = len(read_topic(kafka, run.sink))
    run.input.write(100)
    assert run.job.run("--until-offsets", "latest") == FINISHED, "the same end is the same offsets"
    assert run.job.run() == REFUSED
    assert "the bounded run has finished" in run.job.log
    assert run.job.run("--until-time", "2040-01-01") == REFUSED
    assert len(read_topic(kafka, run.sink)) == before
    run.close()
