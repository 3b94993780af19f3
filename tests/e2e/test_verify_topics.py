"""The proof over topics and Redis sees what is missing, doubled or wrong: what a right job would write
is written by hand, then spoiled."""

import sys
from pathlib import Path

import confluent_kafka
import pytest

TOOLS = Path(__file__).parents[2] / "jobs" / "feature_pipeline" / "tools"
sys.path.insert(0, str(TOOLS))

import generate_events  # noqa: E402
import kafka_topic  # noqa: E402
import oracle  # noqa: E402
import redis_rows  # noqa: E402
import verify  # noqa: E402

PARTITIONS = 3


class Run:
    """Topics of a run, filled by hand. `verify` gives (exit code, output)."""

    def __init__(self, kafka, redis_server, name, capsys):
        self.brokers = kafka.address
        self._capsys = capsys
        self.redis = redis_server
        self.events, self.rows = f"{name}-events", f"{name}-rows"
        self.late, self.bad = f"{self.events}-late", f"{self.events}-dlq"
        for topic in (self.events, self.rows, self.late, self.bad):
            kafka.create_topic(topic, PARTITIONS)
        writer = kafka_topic.Writer(self.brokers, self.events)
        writer.deliver(generate_events.Generator(900, 12, partitions=PARTITIONS,
                                                 future=True).partitions())
        writer.close()
        self.settings = oracle.Settings(emit="on_watermark", max_future_skew=3_600_000)
        self.judged = oracle.judge(kafka_topic.records(self.brokers, self.events), self.settings)
        self.expected = {user: oracle.expected_rows(events, self.settings, self.judged.end)
                         for user, events in self.judged.by_user.items()}

    def write(self, rows, late, bad, commit=True):
        """`rows`: [(user, row)]; late and bad: [(reason, record)]."""
        producer = confluent_kafka.Producer({"bootstrap.servers": self.brokers, "linger.ms": 5,
                                             "transactional.id": self.rows})
        producer.init_transactions(30)
        producer.begin_transaction()
        for user, row in rows:
            partition = (verify.murmur2(user.encode()) & 0x7FFFFFFF) % PARTITIONS
            producer.produce(self.rows, oracle.print_row(user, row, self.settings), user,
                             partition)
        for topic, letters in ((self.late, late), (self.bad, bad)):
            for reason, record in letters:
                producer.produce(topic, record.value, record.key, headers={
                    "tidemill.reason": reason, "tidemill.partition": str(record.partition),
                    "tidemill.offset": str(record.offset)})
        if commit:
            producer.commit_transaction(30)
        else:
            producer.flush(30)
            producer.abort_transaction(30)

    def write_right(self):
        self.write(self.all_rows(), self.all_late(), self.judged.bad.values())
        client = self.redis.client()
        for user, rows in self.expected.items():
            if not oracle.is_empty(rows[-1]):
                client.set(f"features:{user}", oracle.print_row(user, rows[-1], self.settings),
                           ex=86_400 + 1_440)

    def all_rows(self):
        return [(user, row) for user, rows in self.expected.items() for row in rows]

    def all_late(self):
        return [("late", record) for record in self.judged.late.values()]

    def verify(self):
        status = verify.main([self.events, self.rows, "--kafka", self.brokers, "--redis",
                              f"127.0.0.1:{self.redis.port}/0", "--emit", "on_watermark"])
        return status, self._capsys.readouterr().out


@pytest.fixture
def run(kafka, redis_server, name, capsys):
    return Run(kafka, redis_server, name, capsys)


def test_a_right_run_is_proven(run):
    run.write(run.all_rows(), run.all_late(), run.judged.bad.values(), commit=False)
    run.write_right()
    status, text = run.verify()
    assert status == 0, text
    assert "rows equal the oracle: yes" in text and "redis equals the last rows: yes" in text
    assert "too far in the future: 1" in text
    assert any(oracle.is_empty(rows[-1]) for rows in run.expected.values())


def test_a_lost_row_is_seen(run):
    run.write(run.all_rows()[1:], run.all_late(), run.judged.bad.values())
    status, text = run.verify()
    assert status == 1 and "rows equal the oracle: no" in text


def test_a_doubled_row_is_seen(run):
    run.write_right()
    run.write(run.all_rows()[:1], [], [])
    status, text = run.verify()
    assert status == 1 and "rows equal the oracle: no" in text


def test_a_doubled_late_event_is_seen(run):
    run.write_right()
    run.write([], run.all_late()[:1], [])
    status, text = run.verify()
    assert status == 1 and "late and bad events equal the oracle: no" in text
    assert "rows equal the oracle: yes" in text


@pytest.mark.parametrize("spoil", ["stale", "missing", "emptied", "foreign", "immortal"])
def test_a_wrong_key_in_redis_is_seen(run, spoil):
    run.write_right()
    client = run.redis.client()
    user, rows = next((u, r) for u, r in run.expected.items() if not oracle.is_empty(r[-1]))
    gone = next(u for u, r in run.expected.items() if oracle.is_empty(r[-1]))
    if spoil == "stale":
        client.set(f"features:{user}", oracle.print_row(user, rows[-2], run.settings), ex=100)
    elif spoil == "missing":
        client.delete(f"features:{user}")
    elif spoil == "immortal":
        client.persist(f"features:{user}")
    else:
        who = gone if spoil == "emptied" else "nobody"
        client.set(f"features:{who}", oracle.print_row(who, rows[-1], run.settings), ex=100)
    status, text = run.verify()
    assert status == 1 and "redis equals the last rows: no" in text
    assert "rows equal the oracle: yes" in text


def test_an_unknown_topic_is_told(kafka, capsys):
    assert verify.main(["no-such-topic", "rows", "--kafka", kafka.address]) == 1
    assert "no-such-topic" in capsys.readouterr().err


def test_a_dumped_topic_gives_the_same_verdict(run, tmp_path, capsys):
    dump = tmp_path / "events.jsonl"
    capsys.readouterr()
    kafka_topic.main([run.brokers, run.events])
    dump.write_text(capsys.readouterr().out)
    again = oracle.judge(oracle.read_input(str(dump)), run.settings)
    assert (again.by_user, again.late, again.bad) == (run.judged.by_user, run.judged.late,
                                                      run.judged.bad)
    assert redis_rows.read(f"127.0.0.1:{run.redis.port}", "features:") == {}
