"""A new version or configuration of the main job that lacks an operator of the checkpoint
(tests/app/state_changes_test.cc has the cases, this the program as users have it)."""

import pytest

from file_job import FileJob, event
from job import FINISHED, REFUSED, WRONG_USAGE


@pytest.fixture
def job(tmp_path):
    """Stopped half-way, with a sink of bad events that has written."""
    job = FileJob(tmp_path, partitions=1)
    job.append(0, event("a", 0), "no event", event("a", 10))
    job.start("--set", "source.file.follow=true")
    job.wait_rows(2)
    assert job.stop() == FINISHED
    job.append(0, event("a", 20))
    yield job
    job.kill()


def test_an_operator_that_is_gone_is_named_until_its_state_is_dropped(job):
    before = job.rows()
    assert job.run("--set", "bad_data.policy=skip") == REFUSED
    assert "or let it go with --drop-state NAME: bad_to_files" in job.log
    assert job.rows() == before
    assert job.run("--set", "bad_data.policy=skip", "--drop-state", "bad_to_files") == FINISHED
    assert [row["event_count_5m"] for row in job.rows()][:3] == [1, 2, 3]
    audit = (job.checkpoints / "features" / "audit.log").read_text(encoding="utf-8")
    assert "state of bad_to_files dropped (--drop-state)" in audit


def test_state_goes_where_it_is_told(job):
    assert job.run("--rename-state", "features=elsewhere") == REFUSED
    assert "or let it go with --drop-state NAME: elsewhere" in job.log
    assert job.run("--rename-state", "features=user_events") == WRONG_USAGE
    assert "a name that the checkpoint has already" in job.log
    assert job.run() == FINISHED, "a refused start changes nothing"
    assert [row["event_count_5m"] for row in job.rows()][:3] == [1, 2, 3]
