"""The checker finds what it is there to find, and the generator writes what it remembers."""

import dataclasses
import json

import pytest
from confluent_kafka import Producer

import ledger_checker
from process import wait_until
from ledger import InputLedger, InputRecord, OutputRecord, Tail, prefix_findings, digest, read_topic


def small_ledger():
    """Six inputs of two keys in two partitions, one of them aborted, and their right rows."""
    inputs = [InputRecord(0, 0, "a", 1, 5, "i0", False), InputRecord(0, 1, "b", 1, 7, "i1", False),
              InputRecord(0, 3, "x", 1, 9, "i2", True), InputRecord(0, 5, "a", 2, -2, "i3", False),
              InputRecord(1, 0, "b", 2, 1, "i4", False), InputRecord(1, 1, "a", 3, 4, "i5", False)]
    rows = [(0, "a", 0, 0, 1, 5, "1-u"), (1, "b", 0, 1, 1, 7, "1-u"), (2, "b", 1, 0, 2, 8, "1-u"),
            (4, "a", 0, 5, 2, 3, "2-v"), (5, "a", 1, 1, 3, 7, "2-v")]
    return inputs, [output(*row) for row in rows]


def output(offset, key, p, o, n, total, epoch, partition=0):
    body = {"p": p, "o": o, "key": key, "n": n, "sum": total, "epoch": epoch}
    return OutputRecord(partition, offset, key.encode(), json.dumps(body).encode())


def changed(record, offset=None, **fields):
    body = json.loads(record.value) | fields
    return dataclasses.replace(record, value=json.dumps(body).encode(),
                               offset=record.offset if offset is None else offset)


def test_right_output_is_accepted():
    report = ledger_checker.check(*small_ledger())
    assert report.ok, report
    assert (report.inputs, report.rows, report.epochs) == (5, 5, 2)


@pytest.mark.parametrize("kind, spoil", [
    ("lost", lambda rows: rows[:-1]),
    ("count skew", lambda rows: rows[:3] + rows[4:]),
    ("doubled", lambda rows: rows + [changed(rows[4], offset=6)]),
    ("row of an aborted input",
     lambda rows: rows + [output(6, "x", 0, 3, 1, 9, "2-v")]),
    ("row of no input", lambda rows: rows + [output(6, "a", 7, 7, 4, 7, "2-v")]),
    ("row with another key", lambda rows: [changed(rows[0], key="b")] + rows[1:]),
    ("message key is not the row's key", lambda rows: [changed(rows[0], key="b")] + rows[1:]),
    ("count skew", lambda rows: rows[:4] + [changed(rows[4], n=4)]),
    ("sum skew", lambda rows: rows[:4] + [changed(rows[4], sum=8)]),
    ("key in two output partitions",
     lambda rows: rows[:4] + [dataclasses.replace(rows[4], partition=1)]),
    ("torn transaction", lambda rows: rows[:2] + [changed(rows[2], offset=3)] + [
        changed(r, offset=r.offset + 1) for r in rows[3:]]),
    ("two epochs in one transaction",
     lambda rows: rows[:3] + [changed(rows[3], offset=3), changed(rows[4], offset=4)]),
    ("two attempts of one epoch visible", lambda rows: rows[:4] + [
        changed(rows[4], offset=7, epoch="2-w")]),
    ("epochs out of order", lambda rows: rows[:4] + [changed(rows[4], epoch="1-u")]),
    ("record before the cut in a later epoch",
     lambda rows: [changed(rows[0], epoch="2-v", offset=8)] + rows[1:]),
    ("order of a key's inputs", lambda rows: [
        rows[0], rows[1], rows[2], changed(rows[3], p=1, o=1), changed(rows[4], p=1, o=0)]),
    ("malformed row", lambda rows: rows[:4] + [dataclasses.replace(rows[4], value=b"{")]),
    ("malformed row", lambda rows: rows[:4] + [changed(rows[4], epoch="current")]),
])
def test_wrong_output_is_found(kind, spoil):
    inputs, rows = small_ledger()
    report = ledger_checker.check(inputs, spoil(rows))
    assert kind in report.wrong, report
    assert not report.ok and "WRONG" in str(report) and kind in str(report)


def commit(seq, *offsets, lineage="l"):
    splits = [{"split": f"in:{p}", "offset": offset} for p, offset in enumerate(offsets)]
    return json.dumps({"seq": seq, "checkpoint": f"{seq}-x", "lineage": lineage,
                       "sources": [{"source": "in", "splits": splits}]}).encode()


@pytest.mark.parametrize("commits, whole", [
    ([commit(0, 0, 0), commit(1, 2, 1), commit(2, 6, 2)], True),
    ([commit(0, 0, 0), commit(2, 6, 2)], True),  # one was compacted away, or declined
    ([commit(0, 0, 0), b"no record", commit(1, 4, 1), commit(2, 6, 2)], True),  # only an aborted one
    ([commit(0, 0, 0), commit(1, 1, 1), commit(2, 6, 2)], False),
    ([commit(0, 0, 0), commit(1, 2, 1), commit(2, 5, 2)], False),
    ([commit(0, 0, 0), commit(1, 2, 1), commit(2, 5, 2, lineage="m")], True),
])
def test_an_epoch_that_is_not_whole_is_found(commits, whole):
    report = ledger_checker.check(*small_ledger(), commits=commits)
    assert ("epoch is not whole" not in report.wrong) == whole, report


def test_several_epochs_in_one_transaction_are_allowed_when_checkpoints_were_declined():
    inputs, rows = small_ledger()
    rows = rows[:3] + [changed(rows[3], offset=3), changed(rows[4], offset=4)]
    assert ledger_checker.check(inputs, rows, strict_epochs=False).ok


def test_a_concurrent_reader_must_have_seen_a_prefix():
    _, rows = small_ledger()
    seen = [(r.offset, digest(r)) for r in rows]
    assert prefix_findings({0: seen}, rows) == []
    assert prefix_findings({0: seen[:2]}, rows) == []
    assert prefix_findings({0: [seen[1]]}, rows) != [], "a hole"
    assert prefix_findings({0: [seen[0], (1, b"other")]}, rows) != [], "another value"
    assert prefix_findings({0: seen}, rows[:4]) != [], "taken back"
    assert prefix_findings({1: seen[:1]}, rows) != [], "another partition"


def test_generator_remembers_what_is_in_the_topic(kafka, name, tmp_path):
    kafka.create_topic(name, partitions=4)
    path = tmp_path / "ledger.jsonl"
    written = InputLedger(kafka, name, path, seed=7).write(2000).finish()
    assert len(written.committed) == 2000
    assert len(written.records) > 2000, "some transactions are aborted"
    in_topic = {(r.partition, r.offset): json.loads(r.value) for r in read_topic(kafka, name)}
    assert set(in_topic) == {(r.partition, r.offset) for r in written.committed}
    for record in written.committed:
        event = in_topic[record.partition, record.offset]
        assert (event["user_id"], event["seq"], event["value"], event["id"]) == (
            record.key, record.seq, record.value, record.id)
    assert [InputRecord(**json.loads(line)) for line in path.open()] == written.records
    per_key = {}
    for record in written.committed:
        per_key.setdefault(record.key, []).append(record.seq)
    assert all(sorted(s) == list(range(1, len(s) + 1)) for s in per_key.values())


def test_generator_keeps_its_pace_in_the_background(kafka, name, tmp_path):
    kafka.create_topic(name, partitions=4)
    written = InputLedger(kafka, name, tmp_path / "ledger.jsonl", seed=1).start(per_second=500)
    wait_until(lambda: len(written.records) > 300, 20, "300 records written")
    written.finish()
    assert len(read_topic(kafka, name)) == len(written.committed)


def test_tail_sees_only_committed_records_in_order(kafka, name):
    kafka.create_topic(name)
    tail = Tail(kafka, name)
    producer = Producer({"bootstrap.servers": kafka.address, "transactional.id": name})
    producer.init_transactions(30)
    for i in range(10):
        producer.begin_transaction()
        producer.produce(name, f"{i}".encode(), key="k")
        producer.flush(10)
        if i % 3 == 2:
            producer.abort_transaction(10)
        else:
            producer.commit_transaction(10)
    final = read_topic(kafka, name)
    assert [r.value for r in final] == [b"0", b"1", b"3", b"4", b"6", b"7", b"9"]
    wait_until(lambda: tail.count == 7, 10, "tail has caught up")
    assert tail.finish(final) == []
    assert tail.seen[0] == [(r.offset, digest(r)) for r in final]


def test_an_open_transaction_is_not_taken_for_the_end(kafka, name):
    kafka.create_topic(name)
    producer = Producer({"bootstrap.servers": kafka.address, "transactional.id": name})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(name, b"x", key="k")
    producer.flush(10)
    with pytest.raises(TimeoutError, match="no open transaction"):
        read_topic(kafka, name, deadline_s=0.5)
    producer.abort_transaction(10)
    assert read_topic(kafka, name) == []
