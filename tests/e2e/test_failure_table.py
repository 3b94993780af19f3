"""One test for each row of the failure table (exactly-once.md 4.3), named after its letter: the
exit code and the message, or what the job does and logs where it goes on. Rows J to Q are in
test_failure_table_run_time.py."""

import json
import re
from pathlib import Path

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, Producer
from confluent_kafka.admin import NewPartitions

import control_topic
import ledger_checker
from job import FINISHED, REFUSED
from ledger import read_topic
from ledger_run import LedgerRun
from process import wait_until

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def fresh(kafka, name, tmp_path):
    """A job that has never run; its source looks for new partitions every 200 ms."""
    def settings(config):
        config["source"]["kafka"]["discovery_interval"] = "200ms"

    made = LedgerRun(kafka, name, tmp_path, configure=settings)
    yield made
    made.close()


@pytest.fixture
def stopped(fresh):
    """A job that has processed 1000 records and was stopped; 300 more wait."""
    fresh.input.write(1000)
    fresh.job.start()
    fresh.wait_total(1000)
    assert fresh.job.stop() == FINISHED, fresh.job.child.tail()
    fresh.input.write(300)
    return fresh


def in_the_table(refusal):
    """What docs/recovery.md has of a refusal: the letters of its rows, and the flags that get over it at a price."""
    for line in (ROOT / "docs/recovery.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) != 6 or not cells[1].startswith("`"):
            continue
        first, *more = re.findall(r"`(\w+)`", cells[1])
        names = [first] + [first.removesuffix("_unreadable") + one if one.startswith("_") else one for one in more]
        if refusal in names:
            return cells[2].split(", "), set(re.findall(r"--[a-z-]+", cells[4]))
    raise AssertionError(f"docs/recovery.md does not have {refusal}")


def foretells(run, refusal, flags):
    """A dry start names the row of the table and the choices that the document promises, each with its price."""
    code, out = run.job.ask("--dry-start", *flags)
    told = json.loads(out)
    assert (code, told["exit"], told["starts"]) == (REFUSED, REFUSED, False), told
    rows, chosen = in_the_table(refusal)
    assert told["refusal"]["id"] == refusal and told["refusal"]["row"] in rows, told["refusal"]
    assert {flag.split("=")[0] for choice in told["refusal"]["choices"] for flag in choice["flags"]} == chosen, told["refusal"]
    assert all(choice["consequence"] for choice in told["refusal"]["choices"])


def refuses(run, refusal, *texts, flags=()):
    """The start ends with 3, says all of this, and writes no output; a dry start says so before."""
    foretells(run, refusal, flags)
    ends = run.cluster.end_offsets(run.sink)
    exit_code = run.job.run(*flags, deadline_s=30)
    log = run.job.log
    assert exit_code == REFUSED, f"exit {exit_code}\n{run.job.child.tail()}"
    for text in texts:
        assert text in log, f"{text!r} is not in:\n{run.job.child.tail()}"
    assert run.cluster.end_offsets(run.sink) == ends, "a refused start wrote output"
    return log


def last_checkpoint(run):
    return run.job.manifests()[-1].parent.name


def assert_clean(run):
    verdict = run.finish()
    assert verdict.ok, f"{verdict}\n{run.job.child.tail()}"


def check_without(run, is_gone):
    """The verdict on the output when the inputs that `is_gone` selects were never to be seen."""
    outputs = read_topic(run.cluster, run.sink)
    inputs = [r for r in run.input.records if not is_gone(r)]
    return ledger_checker.check(inputs, outputs), run.tail.finish(outputs)


def test_row_A_first_start_commits_its_start_positions_before_any_record(fresh):
    fresh.job.start()
    fresh.wait_for_commits(1)
    fresh.input.write(500)
    assert_clean(fresh)


def test_row_A_a_start_at_latest_is_resolved_once(kafka, name, tmp_path):
    """Killed before any record was committed, it goes on where it first started, not at the latest
    of then: there is no gap."""
    def at_latest(config):
        config["source"]["kafka"]["start"] = "latest"

    run = LedgerRun(kafka, name, tmp_path, configure=at_latest)
    try:
        run.input.write(300)
        before = {(r.partition, r.offset) for r in run.input.records}
        run.job.start()
        run.wait_for_commits(1)
        run.job.kill()
        run.input.write(200).finish()
        run.job.start()
        run.wait_total(200)
        assert run.job.stop() == FINISHED
        report, tail = check_without(run, lambda r: (r.partition, r.offset) in before)
        assert report.ok and not tail, report
    finally:
        run.close()


def test_row_B_checkpoints_without_a_commit_record(stopped):
    checkpoint = last_checkpoint(stopped)
    stopped.cluster.delete_topic(control_topic.control_topic(stopped.name))
    refuses(stopped, "commit_record_missing", "commit record missing", checkpoint, f"--assume-committed {checkpoint}")
    stopped.job.start("--assume-committed", checkpoint)
    stopped.wait_total(1300)
    assert_clean(stopped)


def test_row_B_an_empty_control_topic_is_a_missing_record(stopped):
    name = control_topic.control_topic(stopped.name)
    stopped.cluster.delete_topic(name)
    stopped.cluster.create_topic(name, cleanup_policy="compact")
    refuses(stopped, "commit_record_missing", "commit record missing", "--assume-committed")


def test_row_B_another_job_name_over_the_same_checkpoints(stopped):
    """A renamed job finds checkpoints, if its folder was renamed too, and no record of its own."""
    folder = stopped.job.manifests()[-1].parent.parent
    stopped.config["job"] += "-renamed"
    folder.rename(folder.parent / stopped.config["job"])
    refuses(stopped, "commit_record_missing", "commit record missing")


def test_row_C_a_partition_added_while_the_job_was_down_starts_at_its_earliest(stopped):
    stopped.cluster.admin.create_partitions([NewPartitions(stopped.source, 6)])[
        stopped.source].result(20)
    stopped.input.add_partitions(6)
    stopped.input.write(600)
    assert any(r.partition == 5 for r in stopped.input.committed)
    assert_clean(stopped)


def test_row_C_the_record_names_not_all_partitions_of_the_manifest(stopped):
    last = control_topic.records(stopped.cluster, stopped.name)[-1]
    record = json.loads(last.value)
    del record["sources"][0]["splits"][0]
    control_topic.append(stopped.cluster, stopped.name, last.key, json.dumps(record))
    refuses(stopped, "commit_record_disagrees", last_checkpoint(stopped))


def test_row_C_another_topic_than_the_checkpoint_is_of(stopped):
    stopped.job.config["source"]["kafka"]["topic"] = stopped.cluster.create_topic(f"{stopped.name}-other", 4)
    refuses(stopped, "input_partition_missing", f"{stopped.source}:0", "--restore none")


def test_row_D_offsets_of_the_record_were_edited(stopped):
    last = control_topic.records(stopped.cluster, stopped.name)[-1]
    record = json.loads(last.value)
    record["sources"][0]["splits"][0]["offset"] += 1
    control_topic.append(stopped.cluster, stopped.name, last.key, json.dumps(record))
    refuses(stopped, "commit_record_disagrees", "disagree", last_checkpoint(stopped), "--restore", "--accept-duplicates")


def test_row_D_an_unreadable_record(stopped):
    checkpoint = last_checkpoint(stopped)
    last = control_topic.records(stopped.cluster, stopped.name)[-1]
    control_topic.append(stopped.cluster, stopped.name, last.key, b"\x00\xffnot a commit record")
    refuses(stopped, "commit_record_unreadable", "--restore", "--accept-duplicates", control_topic.control_topic(stopped.name))
    # The checkpoint is the last committed one, so here nothing is doubled by going on.
    stopped.job.start("--restore", checkpoint, "--accept-duplicates")
    stopped.wait_total(1300)
    assert_clean(stopped)


def test_row_D_a_deleted_record(stopped):
    """A tombstone of the slot's key, as a cleaning tool would write it."""
    last = control_topic.records(stopped.cluster, stopped.name)[-1]
    control_topic.append(stopped.cluster, stopped.name, last.key, None)
    refuses(stopped, "commit_record_unreadable", control_topic.control_topic(stopped.name))


def test_row_D_the_record_of_another_job(stopped, kafka, tmp_path):
    other = LedgerRun(kafka, f"{stopped.name}-other", tmp_path / "other")
    try:
        other.input.write(100)
        other.job.start()
        other.wait_total(100)
        assert other.job.stop() == FINISHED
    finally:
        other.close()
    foreign = control_topic.records(kafka, other.name)[-1]
    control_topic.append(kafka, stopped.name, foreign.key, foreign.value)
    refuses(stopped, "checkpoint_missing", "--restore", "--accept-duplicates")


def test_row_D_an_older_record_written_again(stopped):
    """Its checkpoint may still be there, but outputs after it are committed. The control topic alone
    cannot tell; the group's offsets do, which are of our lineage and ahead of the record. (The
    Python client cannot write such offsets: it ends their metadata with a NUL.)"""
    group_offsets(stopped)  # they are written after the commit: let them be there
    records = control_topic.records(stopped.cluster, stopped.name)
    older = records[-2]
    control_topic.append(stopped.cluster, stopped.name, older.key, older.value)
    refuses(stopped, "commit_record_outdated", "--restore", "--accept-duplicates")


def group_offsets(run):
    """What lag tools see; written after the commit, so it is waited for. Their metadata must not be
    touched: the Python client reads beyond its end."""
    def read():
        answer = run.cluster.admin.list_consumer_group_offsets(
            [ConsumerGroupTopicPartitions(run.name)])[run.name].result(20)
        return [p for p in answer.topic_partitions if p.offset >= 0]

    return wait_until(read, 10, f"offsets of the group {run.name}")


@pytest.mark.parametrize("missing", ["folder", "manifest"])
def test_row_E_the_named_checkpoint_is_missing(stopped, missing):
    """Never an older one: output after it is committed. The offsets it needed are listed."""
    manifest = stopped.job.manifests()[-1]
    assert len(stopped.job.manifests()) >= 2, "an older checkpoint is there to be tempted by"
    needed = [f"{p.partition}={p.offset}" for p in group_offsets(stopped)]
    gone = manifest if missing == "manifest" else manifest.parent
    kept = gone.rename(stopped.folder / "kept")
    refuses(stopped, "checkpoint_missing", manifest.parent.name, *needed)
    kept.rename(gone)
    assert_clean(stopped)


def test_row_F_records_deleted_before_they_were_read(stopped):
    """Retention has removed unread records: how many of which partition, and the flag to go on."""
    partition, new_start = 1, stopped.cluster.end_offsets(stopped.source)[1]
    committed = {p.partition: p.offset for p in group_offsets(stopped)}[partition]
    stopped.cluster.delete_before(stopped.source, partition, new_start)
    log = refuses(stopped, "input_lost", f"--accept-loss {stopped.source}:{partition}")
    assert f"{committed}..{new_start - 1}" in log, "the lost offsets are named"
    lost = {(r.partition, r.offset) for r in stopped.input.records
            if r.partition == partition and committed <= r.offset < new_start}
    assert lost
    refuses(stopped, "input_lost", f"{stopped.source}:{partition}",
            flags=("--accept-loss", f"{stopped.source}:0"))
    stopped.job.start("--accept-loss", f"{stopped.source}:{partition}")
    stopped.input.write(100).finish()
    stopped.wait_total(sum((r.partition, r.offset) not in lost for r in stopped.input.committed))
    assert stopped.job.stop() == FINISHED
    report, tail = check_without(stopped, lambda r: (r.partition, r.offset) in lost)
    assert report.ok and not tail, report
    audit = next(stopped.job.checkpoints.rglob("audit.log")).read_text()
    assert f"{stopped.source}:{partition}" in audit


def test_row_T_a_log_that_ends_before_the_committed_offset(stopped):
    """As after an unclean leader election that lost the log's end."""
    recreate_source(stopped, records=5)
    log = refuses(stopped, "input_truncated", stopped.source)
    assert "truncat" in log.lower() or "end" in log.lower()


def test_row_G_a_topic_that_was_re_created_and_has_grown_again(stopped):
    """All offsets lie within the new log; the records there are others."""
    recreate_source(stopped, records=3000)
    refuses(stopped, "input_made_anew", stopped.source)


def test_row_G_another_log_with_a_marker_where_the_last_record_was(stopped):
    """No record there to compare with, and that is enough: a record that was read does not become a
    marker. (The topic is not compacted, and the place lies within the log.)"""
    record = json.loads(control_topic.records(stopped.cluster, stopped.name)[-1].value)
    tails = {int(split["split"].rsplit(":", 1)[1]): split["tail"]["offset"]
             for split in record["sources"][0]["splits"]}
    stopped.cluster.delete_topic(stopped.source)
    stopped.cluster.create_topic(stopped.source, 4)
    producer = Producer({"bootstrap.servers": stopped.cluster.address,
                         "transactional.id": f"{stopped.name}-anew"})
    producer.init_transactions(20)
    for more in (False, True):  # as many records as lie before the place, the marker, more records
        producer.begin_transaction()
        for partition, tail in tails.items():
            for _ in range(300 if more else tail):
                producer.produce(stopped.source, b"{}", b"k", partition)
        producer.commit_transaction(20)
    refuses(stopped, "input_made_anew", stopped.source, "has no record at offset", "made anew", "--restore none")


def test_row_G_a_topic_that_is_re_created_while_the_job_runs(fresh):
    """Noticed when the brokers do not know it for a moment; the restart looks at its log."""
    fresh.input.write(500)
    fresh.job.start()
    fresh.wait_total(500)
    ends = fresh.cluster.end_offsets(fresh.sink)
    recreate_source(fresh, records=2000)
    exit_code = fresh.job.child.wait(60)
    assert exit_code == REFUSED, f"exit {exit_code}\n{fresh.job.child.tail()}"
    assert fresh.source in fresh.job.log
    assert fresh.tail.count == 500, "rows of another log"
    assert fresh.cluster.end_offsets(fresh.sink).keys() == ends.keys()


def recreate_source(run, records):
    run.cluster.delete_topic(run.source)
    run.cluster.create_topic(run.source, 4)
    run.input.write(records)


def test_row_H_partitions_added_while_the_job_runs(fresh):
    fresh.input.write(500)
    fresh.job.start()
    fresh.wait_total(500)
    fresh.cluster.admin.create_partitions([NewPartitions(fresh.source, 6)])[
        fresh.source].result(20)
    fresh.input.add_partitions(6)
    fresh.input.write(500)
    assert any(r.partition == 5 for r in fresh.input.committed)
    fresh.wait_total(1000)
    assert "partition" in fresh.job.log and fresh.source in fresh.job.log, "it warns"
    assert_clean(fresh)


def test_row_I_the_input_topic_is_deleted_while_the_job_runs(fresh):
    fresh.input.write(500)
    fresh.job.start()
    fresh.wait_total(500)
    fresh.cluster.delete_topic(fresh.source)
    exit_code = fresh.job.child.wait(60)
    assert exit_code == REFUSED, f"exit {exit_code}\n{fresh.job.child.tail()}"
    assert fresh.source in fresh.job.log
