"""What makes a green run mean something: with one rule of the protocol broken, the same scenario
that is clean otherwise must be found wrong by the checker.

The test build breaks a rule when TIDEMILL_BREAK names it. Three more rules (maximum instead of
minimum watermark, source position left out of the snapshot, late record accepted) are the
simulation's.
"""

import json

import pytest
from confluent_kafka import Producer

from fault_proxy import Answered, Fault, Rule, Seen
from job import KILLED, REFUSED
from ledger import InputRecord
from ledger_run import LedgerRun


@pytest.fixture
def make_run(kafka, proxy, name, tmp_path):
    made = []

    def make():
        n = len(made)
        made.append(LedgerRun(kafka, f"{name}-{n}", tmp_path / str(n), brokers=proxy.address))
        return made[-1]

    yield make
    for run in made:
        run.close()


@pytest.fixture
def run(make_run):
    return make_run()


def commit_late(run, proxy, broken):
    """The first owner's commit is still under way when it dies: the broker gets it after the
    second one has started, and before its fence."""
    run.input.start(per_second=500)
    run.job.start(broken=broken)
    run.wait_rows(200)
    proxy.add(Rule(Fault.DELAY, api="InitProducerId", client=run.name, nth=1, seconds=1))
    late = proxy.add(Rule(Fault.LATE, api="EndTxn", client=run.name, nth=1,
                          until=Seen("InitProducerId", client=run.name)))
    retry = proxy.add(Rule(Fault.CUT, api="EndTxn", client=run.name))
    late.wait_hit(20)
    run.job.kill()
    run.job.start(broken=broken)
    assert late.wait_delivered(20) == [0]
    proxy.remove(retry)


def die_while_writing_the_snapshot(run, proxy, broken):
    run.input.start(per_second=500)
    run.job.start(broken=broken)
    run.wait_rows(200)
    run.job.kill()
    exit_code = run.job.run(broken=broken, crash_at="mid_snapshot:2", deadline_s=30)
    # Broken, the kill before may already have left a record that names no checkpoint.
    assert exit_code == KILLED or broken and exit_code == REFUSED, run.job.child.tail()
    run.job.start(broken=broken)


def commits_arrive_in_the_next_transaction(run, proxy, broken):
    run.input.start(per_second=500)
    run.job.start(broken=broken)
    run.wait_rows(100)
    late = proxy.add(Rule(Fault.LATE, api="EndTxn", client=run.name, probability=0.5, times=8,
                          until=Answered("Produce", 2, client=run.name)))
    late.wait_hit(60, 8)


def die_after_commits(run, proxy, broken):
    """Input flows all the time, so there is some between the barrier and the commit."""
    run.input.start(per_second=2000)
    for passes in (2, 3, 4, 3, 2):
        assert run.job.run(broken=broken, crash_at=f"after_commit:{passes}",
                           deadline_s=30) == KILLED
    run.job.start(broken=broken)


def a_row_is_refused(run, proxy, broken):
    """A row with a key of 600 kB, which it holds twice, is more than a client sends."""
    run.input.write(500)
    run.job.start(broken=broken)
    run.wait_total(500)
    key = "x" * 600_000
    producer = Producer({"bootstrap.servers": run.cluster.address,
                         "message.max.bytes": 2_000_000})
    body = json.dumps({"user_id": key, "action": "view", "value": 1, "timestamp": 1_767_225_600_000,
                       "id": "large", "seq": 1})

    def delivered(error, message):
        assert error is None, error
        run.input.records.append(InputRecord(0, message.offset(), key, 1, 1, "large", False))

    producer.produce(run.source, body, key, 0, delivered)
    assert producer.flush(20) == 0
    run.input.write(500)


SCENARIOS = {
    "record_before_fence": commit_late,
    "commit_before_snapshot": die_while_writing_the_snapshot,
    "no_recycle": commits_arrive_in_the_next_transaction,
    "no_staging": die_after_commits,
}


@pytest.mark.parametrize("rule", SCENARIOS)
def test_broken_rule_is_found(make_run, proxy, rule):
    """The scenarios are races, which a busy machine may decide the other way once."""
    verdicts = []
    while len(verdicts) < 3:
        run = make_run()
        SCENARIOS[rule](run, proxy, broken=rule)
        verdicts.append(run.finish(deadline_s=10))
        if not verdicts[-1].ok:
            return
    pytest.fail(f"{rule} was broken and nobody noticed: {verdicts[-1]}")


@pytest.mark.parametrize("rule", SCENARIOS)
def test_the_same_scenario_is_clean_when_the_rule_is_kept(run, proxy, rule):
    SCENARIOS[rule](run, proxy, broken=None)
    verdict = run.finish()
    assert verdict.ok, verdict


def test_ignored_produce_result_is_found(run, proxy):
    """Kept, the job stops instead (row M of the failure table)."""
    a_row_is_refused(run, proxy, broken="ignore_produce_result")
    verdict = run.finish(deadline_s=10)
    assert "lost" in verdict.report.wrong, verdict
