"""Rows J to Q of the failure table (exactly-once.md 4.3): what can go wrong while the job runs."""

import json
import struct
import subprocess
import time
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import (AclBinding, AclBindingFilter, AclOperation, AclPermissionType,
                                   ResourcePatternType, ResourceType)

from fault_proxy import Fault, Rule
from job import FAILED, FINISHED
from ledger import InputRecord
from ledger_run import LedgerRun
from process import wait_until
from small_disk import kept_full


@pytest.fixture
def make(kafka, name, tmp_path):
    """Makes the test's job with these settings of its Kafka sink; killed in the end."""
    made = []

    def run(brokers=None, checkpoints=None, interval="200ms", **sink):
        def settings(config):
            config["sinks"]["kafka"] |= sink
            if checkpoints is not None:
                config["checkpoint"]["dir"] = str(checkpoints)

        made.append(LedgerRun(kafka, name, tmp_path / "run", brokers=brokers, interval=interval,
                              configure=settings))
        return made[-1]

    yield run
    for one in made:
        one.close()


def stops(run, code, *texts, deadline_s=60):
    """The running job ends by itself with this code and says all of this."""
    exit_code = run.job.child.wait(deadline_s)
    assert exit_code == code, f"exit {exit_code}\n{run.job.child.tail()}"
    for text in texts:
        assert text.lower() in run.job.log.lower(), f"{text!r} is not in:\n{run.job.child.tail()}"


def assert_clean(run, **how):
    verdict = run.finish(**how)
    assert verdict.ok, f"{verdict}\n{run.job.child.tail()}"


def test_row_J_a_transaction_that_timed_out_is_replayed(make, proxy, name):
    """The commit is held back beyond the timeout once: restored in the same process."""
    run = make(brokers=proxy.address, transaction_timeout="2s")
    run.input.start(per_second=300)
    run.job.start()
    run.wait_rows(100)
    pid = run.job.child.process.pid
    rule = proxy.add(Rule(Fault.DELAY, api="EndTxn", client=name, times=1, seconds=3.5))
    rule.wait_hit(20)
    run.wait_rows(100, deadline_s=60)
    assert run.job.child.process.pid == pid
    assert "fenced" in run.job.log.lower(), run.job.child.tail()
    assert_clean(run)


def test_row_J_three_timeouts_without_progress_stop_the_job(make, proxy, name):
    run = make(brokers=proxy.address, transaction_timeout="1s")
    run.input.start(per_second=300)
    run.job.start()
    run.wait_rows(100)
    # Longer than the transaction may last, shorter than the client waits for an answer (2 s): each
    # commit is answered, with the news that the transaction is gone.
    rule = proxy.add(Rule(Fault.DELAY, api="EndTxn", client=name, seconds=1.5))
    stops(run, FAILED, "epoch does not fit", "transaction")
    assert rule.hits >= 3
    proxy.remove(rule)
    assert_clean(run)


def test_row_J_a_commit_that_nobody_answers_is_given_up(make, proxy, name):
    """The brokers take the commit and never say so. Its handle is given up after two requests have
    timed out, not after a minute, and a new one learns that it was committed; the third time in a
    row the process ends."""
    run = make(brokers=proxy.address, properties={"socket.timeout.ms": "2000"})
    run.input.start(per_second=300)
    run.job.start()
    run.wait_rows(100)
    pid = run.job.child.process.pid
    rule = proxy.add(Rule(Fault.DROP_ANSWER, api="EndTxn", client=name))
    started = time.monotonic()
    run.job.wait_log("restarting from the last committed checkpoint", deadline_s=30)
    assert time.monotonic() - started < 20
    assert "commit_transaction" in run.job.log, run.job.child.tail()
    proxy.remove(rule)
    run.wait_rows(100, deadline_s=60)
    assert run.job.child.process.pid == pid
    proxy.add(Rule(Fault.DROP, api="EndTxn", client=name))
    stops(run, FAILED, "3 Kafka transactions in a row were given up", deadline_s=90)
    proxy.reset()
    assert_clean(run)


def test_row_K_the_open_transaction_of_a_dead_worker_is_aborted_at_once(make, kafka):
    """Not after its timeout: the next start fences it."""
    run = make(transaction_timeout="10m")
    run.input.start(per_second=300)
    run.job.start()
    run.wait_rows(100)

    def is_open():
        return kafka.end_offsets(run.sink) != kafka.end_offsets(run.sink, committed=False)

    for _ in range(50):
        wait_until(is_open, 20, "a transaction is open")
        run.job.child.freeze()
        if is_open():
            break
        run.job.child.thaw()
    run.job.kill()
    assert is_open(), "nobody but the next owner ends it"
    run.job.start()
    run.wait_rows(100, deadline_s=15)
    assert_clean(run)


def test_row_L_an_open_transaction_of_the_input_is_waited_for_and_named(make, kafka, name):
    run = make()
    run.input.write(300)
    run.job.start()
    run.wait_total(300)
    hanging = Producer({"bootstrap.servers": kafka.address, "transactional.id": f"{name}-hanging"})
    hanging.init_transactions(20)
    hanging.begin_transaction()
    for partition in range(4):
        hanging.produce(run.source, b"never committed", "k", partition)
    assert hanging.flush(20) == 0
    run.input.write(300)
    with pytest.raises(TimeoutError):
        run.wait_rows(1, deadline_s=2)
    run.job.wait_log("open transaction", deadline_s=30)
    assert run.source in run.job.log
    hanging.abort_transaction(20)
    run.wait_total(600)
    assert_clean(run)


def write_large(run, key_bytes):
    """One input record whose row, which holds the key twice, is at least twice that large."""
    key = "".join(f"{i:08x}" for i in range(key_bytes // 8))  # does not compress away
    body = json.dumps({"user_id": key, "action": "view", "value": 1,
                       "timestamp": 1_767_225_600_000, "id": "large", "seq": 1})
    producer = Producer({"bootstrap.servers": run.cluster.address, "message.max.bytes": 3_900_000})

    def delivered(error, message):
        assert error is None, error
        run.input.records.append(InputRecord(0, message.offset(), key, 1, 1, "large", False))

    producer.produce(run.source, body, key, 0, delivered)
    assert producer.flush(20) == 0


@pytest.mark.parametrize("limit, key_bytes", [("client", 800_000), ("broker", 300_000)])
def test_row_M_a_row_that_is_too_large_stops_the_job_after_two_tries(make, kafka, limit,
                                                                     key_bytes):
    """Refused by the client's own call, or by the broker and so by a failed delivery."""
    run = make()
    if limit == "broker":
        kafka.set_topic(run.sink, max_message_bytes=100_000)
    run.input.write(300)
    run.job.start()
    run.wait_total(300)
    write_large(run, key_bytes)
    stops(run, FAILED, run.sink, "large")
    assert run.tail.count == 300, "nothing of the failed epoch is visible"
    if limit == "broker":  # the operator's way out
        kafka.set_topic(run.sink, max_message_bytes=2_000_000)
        run.input.write(100)
        assert_clean(run)


def test_row_N_a_disk_that_stays_full_stops_the_job(make, small_disk):
    """Checkpoints are declined, the transaction kept, for half of the transaction's life; then exit
    1 and no restart, which would need the disk as well."""
    run = make(checkpoints=small_disk / "checkpoints", transaction_timeout="6s")
    run.input.start(per_second=300)
    run.job.start()
    run.wait_rows(100)
    with kept_full(small_disk):
        run.job.wait_log("could not be stored and is declined")
        stops(run, FAILED, "no space left on device", "checkpoints cannot be stored", "3000",
              "free space", deadline_s=30)
        assert "restarting" not in run.job.log, run.job.child.tail()
        assert run.job.log.count("is declined") >= 3, "it tried again, every interval"
    assert_clean(run, strict_epochs=False)


@pytest.mark.parametrize("hours", [1, -1])
def test_row_O_the_wall_clock_jumps(make, tmp_path, hours):
    """Deadlines do not notice: nothing times out early, nothing waits an hour."""
    library, cell = tmp_path / "clock_shift.so", tmp_path / "clock"
    subprocess.run(["c++", "-std=c++20", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC",
                    Path(__file__).with_name("clock_shift.cc"), "-o", library, "-ldl"], check=True)
    cell.write_bytes(struct.pack("q", 0))
    run = make(transaction_timeout="10s")
    run.input.start(per_second=300)
    run.job.start(environment={"LD_PRELOAD": str(library), "CLOCK_SHIFT_FILE": str(cell)})
    run.wait_rows(100)
    with open(cell, "r+b") as file:  # the job has it mapped
        file.write(struct.pack("q", hours * 3600))
    started = time.monotonic()
    run.wait_rows(500)
    assert time.monotonic() - started < 20
    assert "fenced" not in run.job.log.lower()
    assert_clean(run)


def test_row_P_a_stray_consumer_in_the_group_is_told_and_harmless(make, kafka, name):
    run = make()
    run.input.write(300)
    stray = Consumer({"bootstrap.servers": kafka.address, "group.id": name, "log_level": 0,
                      "auto.offset.reset": "earliest", "enable.auto.commit": False})
    try:
        stray.subscribe([run.source])
        wait_until(lambda: stray.poll(0.1) is not None, 30, "the stray consumer has its partitions")
        stray.commit(offsets=[TopicPartition(run.source, p, end)
                              for p, end in kafka.end_offsets(run.source).items()],
                     asynchronous=False)
        run.job.start()
        run.job.wait_log(f"group {name}")
        run.wait_total(300)
        assert_clean(run)
    finally:
        stray.close()


def test_row_Q_a_lost_permission_stops_the_job_and_names_the_topic(make, kafka):
    run = make()
    run.input.start(per_second=300)
    run.job.start()
    run.wait_rows(100)

    def acl(operation, permission):
        return AclBinding(ResourceType.TOPIC, run.sink, ResourcePatternType.LITERAL,
                          "User:ANONYMOUS", "*", operation, permission)

    def change(futures):
        for future in futures.values():
            future.result(20)

    # An ACL on a resource ends the default that everybody may do everything with it.
    change(kafka.admin.create_acls([acl(AclOperation.ALL, AclPermissionType.ALLOW),
                                    acl(AclOperation.WRITE, AclPermissionType.DENY)]))
    try:
        stops(run, FAILED, run.sink, "authorization")
        assert run.job.run(deadline_s=60) == FAILED, "still denied"
        assert run.sink in run.job.log
    finally:
        change(kafka.admin.delete_acls([AclBindingFilter(
            ResourceType.TOPIC, run.sink, ResourcePatternType.LITERAL, None, None,
            AclOperation.ANY, AclPermissionType.ANY)]))
    assert run.job.start().child.running()
    assert_clean(run)
    assert run.job.child.exit_code == FINISHED
