"""One death at every step of the protocol (exactly-once.md 5.2.3), each at a chosen pass."""

from collections import Counter

import pytest

from fault_proxy import Fault, Rule
from features_run import FeaturesRun
from job import CRASH_POINTS, KILLED, binary
from ledger import read_topic
from ledger_run import LedgerRun

DEADLINE_S = 30
# Where the first pass after a restart tells the least.
PASS = {"mid_epoch": 57, "at_barrier": 2, "mid_snapshot": 2, "before_manifest_rename": 2,
        "after_manifest_rename": 2, "after_snapshot": 2, "after_control_record": 3, "in_commit": 2,
        "after_commit": 2}


def crash(run, point, **how):
    """The job dies at the point, and nowhere else."""
    run.job.start(crash_at=f"{point}:{PASS.get(point, 1)}", **how)
    assert run.job.child.wait(DEADLINE_S) == KILLED, run.job.child.tail()


@pytest.fixture
def run(kafka, name, tmp_path):
    """A job that was killed with output committed before and input left after."""
    made = LedgerRun(kafka, name, tmp_path)
    made.input.start(per_second=500)
    made.job.start()
    made.wait_rows(200)
    made.job.kill()
    yield made
    made.close()


@pytest.mark.parametrize("point", [p for p in CRASH_POINTS
                                   if p not in ("in_recycle", "in_outbox_apply")])
def test_crash_and_restart(run, point):
    crash(run, point)
    verdict = run.finish()
    assert verdict.ok, verdict


@pytest.mark.parametrize("point", ["after_fence", "mid_snapshot", "after_manifest_rename",
                                   "in_commit", "after_commit"])
def test_crash_at_the_very_first_start(kafka, name, tmp_path, point):
    """Commit record 0 is as safe as any other."""
    run = LedgerRun(kafka, name, tmp_path)
    try:
        run.input.write(300)
        run.job.start(crash_at=point)
        assert run.job.child.wait(DEADLINE_S) == KILLED, run.job.child.tail()
        verdict = run.finish()
        assert verdict.ok, verdict
    finally:
        run.close()


def test_crash_in_recycle(kafka, proxy, name, tmp_path):
    """The producer is replaced because a connection broke; the job dies while it does so."""
    run = LedgerRun(kafka, name, tmp_path, brokers=proxy.address)
    try:
        run.input.start(per_second=500)
        proxy.add(Rule(Fault.CUT_ANSWER, api="EndTxn", client=name, nth=3))
        crash(run, "in_recycle")
        verdict = run.finish()
        assert verdict.ok, verdict
    finally:
        run.close()


def test_crash_in_outbox_apply(kafka, name, tmp_path):
    """Files become visible after the commit in Kafka; the job dies between the two."""
    files = tmp_path / "rows"

    def into_files_too(config):
        config["sinks"]["file"] = {"dir": str(files), "partitions": 4}

    run = FeaturesRun(kafka, name, tmp_path, configure=into_files_too)
    try:
        run.input.start(per_second=500)
        crash(run, "in_outbox_apply")
        run.job.start()
        run.wait_rows(200)
        verdict = run.finish()
        assert verdict.ok, verdict
        in_files = Counter(line for path in files.glob("partition-*/*.jsonl")
                           for line in path.read_bytes().splitlines())
        in_topic = Counter(record.value for record in read_topic(kafka, run.sink))
        assert in_files == in_topic
    finally:
        run.close()


@pytest.mark.parametrize("program", ["ledger_job", "feature_pipeline"])
def test_release_programs_have_no_crash_points_and_no_broken_rules(program):
    content = binary(program).read_bytes()
    assert b"TIDEMILL_CRASH_AT" not in content
    assert b"TIDEMILL_BREAK" not in content
    testing = binary(f"{program}_testing").read_bytes()
    assert b"TIDEMILL_CRASH_AT" in testing and b"TIDEMILL_BREAK" in testing
