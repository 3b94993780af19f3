"""The broker dies, freezes, or hears the job late or not at all; the ledger stays clean."""

import pytest

from broker import Cluster
from control_topic import control_topic
from fault_proxy import Answered, Fault, Rule
from ledger_run import LedgerRun
from process import wait_until

SHORT_SOCKET_TIMEOUT = {"socket.timeout.ms": "2000"}


@pytest.fixture
def run(kafka, proxy, name, tmp_path):
    """A running job behind the proxy that has committed."""
    def short(config):
        # A request nobody answers is given up after this; the default is 10 s.
        config["source"]["kafka"]["properties"] = dict(SHORT_SOCKET_TIMEOUT)

    made = LedgerRun(kafka, name, tmp_path, brokers=proxy.address, configure=short)
    made.input.start(per_second=500)
    made.job.start()
    made.wait_rows(200)
    yield made
    made.close()


def goes_on(run):
    """The same process recovers, commits all, stops as asked, and the ledger is clean."""
    pid = run.job.child.process.pid
    run.wait_rows(200, deadline_s=60)
    assert run.job.child.process.pid == pid and run.job.child.running()
    verdict = run.finish()
    assert verdict.ok, f"{verdict}\n{run.job.child.tail()}"


def strike(run, proxy, rule, hits=1, deadline_s=30):
    proxy.add(rule)
    rule.wait_hit(deadline_s, hits)
    return rule


@pytest.mark.parametrize("api", ["EndTxn", "Produce", "AddPartitionsToTxn"])
def test_requests_and_answers_are_lost(run, proxy, name, api):
    """One after the other: lost before and after the broker acted on them, noticed at once or by
    the socket timeout only."""
    for fault in (Fault.CUT, Fault.CUT_ANSWER, Fault.DROP, Fault.DROP_ANSWER, Fault.HALF_OPEN):
        strike(run, proxy, Rule(fault, api=api, client=name, times=1))
        run.wait_rows(50)
    goes_on(run)


def test_init_is_lost_at_start(run, proxy, name):
    run.job.kill()
    run.job.start()
    strike(run, proxy, Rule(Fault.CUT_ANSWER, api="InitProducerId", client=name, times=1))
    goes_on(run)


def test_slow_network(run, proxy, name):
    strike(run, proxy, Rule(Fault.DELAY, client=name, seconds=0.05), hits=50)
    goes_on(run)


def test_late_requests(run, proxy, name):
    """Each arrives while the next transaction is being written: rule R makes it harmless. Without
    the rule the late EndTxn tear a transaction: test_negative_controls.py."""
    rules = [proxy.add(Rule(Fault.LATE, api=api, client=name, probability=0.3, times=4,
                            until=Answered("Produce", 2, client=name)))
             for api in ("EndTxn", "AddPartitionsToTxn", "Produce")]
    for rule in rules:
        rule.wait_hit(60, 4)
    for rule in rules:
        rule.wait_delivered(30, 4)
    goes_on(run)


def test_everything_is_cut_again_and_again(run, proxy):
    for _ in range(10):
        proxy.cut_all(client=run.name)
        run.wait_rows(20, deadline_s=60)
    goes_on(run)


def test_broker_killed_in_a_transaction_and_restarted(run, kafka, proxy, name):
    produced = proxy.count("Produce", name)
    wait_until(lambda: proxy.count("Produce", name) > produced, 10, "a transaction is being written")
    kafka.nodes[0].kill()
    kafka.restart()
    goes_on(run)


def test_broker_killed_inside_a_commit(run, kafka, proxy, name):
    """The request has reached the proxy, the broker dies before or while it acts on it."""
    strike(run, proxy, Rule(Fault.DELAY, api="EndTxn", client=name, times=1, seconds=0.005))
    kafka.nodes[0].kill()
    kafka.restart()
    goes_on(run)


def test_broker_frozen(run, kafka):
    """Shorter than the socket timeout: a stall. Longer: given up, tried again."""
    for seconds in (0.5, 3.5):
        kafka.nodes[0].freeze()
        with pytest.raises(TimeoutError):
            wait_until(lambda: not run.job.child.running(), seconds, "the job ends (it must not)")
        kafka.nodes[0].thaw()
        run.wait_rows(50, deadline_s=60)
    goes_on(run)


def test_broker_is_away_at_start(kafka, name, tmp_path):
    run = LedgerRun(kafka, name, tmp_path)
    try:
        run.input.write(500)
        # A commit is answered before its markers are written, and a broker that dies in between may
        # not write them any more: readers of that partition then wait for ever, whoever they are.
        wait_until(lambda: kafka.end_offsets(run.source) == kafka.end_offsets(run.source, False), 20,
                   "the input's last transaction is complete")
        kafka.nodes[0].kill()
        run.job.start()
        with pytest.raises(TimeoutError):
            wait_until(lambda: not run.job.child.running(), 2, "the job ends (it must wait)")
        kafka.restart()
        run.wait_total(500, deadline_s=60)
        verdict = run.finish()
        assert verdict.ok, verdict
    finally:
        run.close()


def test_frozen_job_is_timed_out_by_the_broker(kafka, name, tmp_path):
    """SIGSTOP beyond transaction.timeout: the broker aborts the transaction, the job restores."""
    def short(config):
        config["sinks"]["kafka"]["transaction_timeout"] = "2s"

    run = LedgerRun(kafka, name, tmp_path, configure=short)
    try:
        run.input.start(per_second=500)
        run.job.start()
        run.wait_rows(200)
        run.job.child.freeze()
        # Frozen with a transaction open, or between two; only the first lets the broker time it out.
        for _ in range(20):
            if kafka.end_offsets(run.sink) != kafka.end_offsets(run.sink, committed=False):
                break
            run.job.child.thaw()
            run.wait_rows(1)
            run.job.child.freeze()
        wait_until(lambda: kafka.end_offsets(run.sink) == kafka.end_offsets(run.sink, False), 20,
                   "the broker aborts the transaction")
        run.job.child.thaw()
        goes_on(run)
        # The broker's news, or before them the client's own: its records are older than that, too.
        assert "fenced" in run.job.log.lower() or "message(s) timed out" in run.job.log
        assert "restarting from the last committed checkpoint" in run.job.log
    finally:
        run.close()


@pytest.mark.timeout(180)
def test_one_of_three_brokers_is_killed(name, tmp_path):
    """The one that leads the job's control topic; commits go on once the others have noticed."""
    cluster = Cluster(tmp_path / "kafka", nodes=3)
    run = None
    try:
        cluster.start()
        run = LedgerRun(cluster, name, tmp_path / "run")
        run.input.start(per_second=300)
        run.job.start()
        run.wait_rows(100)
        leader = cluster.leader(control_topic(name), 0)
        leader.kill()
        run.wait_rows(100, deadline_s=60)
        cluster.restart(leader)
        verdict = run.finish(deadline_s=90)
        assert verdict.ok, verdict
    finally:
        if run is not None:
            run.close()
        cluster.stop()


def test_records_that_are_never_acknowledged_are_not_taken_for_refused(kafka, proxy, name,
                                                                      tmp_path):
    """Only Produce gets lost, attempt after attempt, with the same records first each time: that
    is the network's fault, not theirs, and passes."""
    def short(config):
        config["sinks"]["kafka"]["transaction_timeout"] = "2s"
        config["source"]["kafka"]["properties"] = {"socket.timeout.ms": "1000"}

    run = LedgerRun(kafka, name, tmp_path, brokers=proxy.address, configure=short)
    try:
        run.input.write(300)
        run.job.start()
        run.wait_total(300)
        rule = proxy.add(Rule(Fault.DROP, api="Produce", client=f"{name}.0"))
        run.input.write(300)
        # Each by the job's own deadline or by the client's, whichever finds it first.
        wait_until(lambda: run.job.log.count("restarting from the last committed checkpoint") >= 4
                   or not run.job.child.running(), 60, "four attempts have failed")
        assert run.job.child.running(), run.job.child.tail()
        proxy.remove(rule)
        run.wait_total(600, deadline_s=60)
        verdict = run.finish()
        assert verdict.ok, verdict
    finally:
        run.close()
