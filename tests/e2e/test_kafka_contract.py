"""What a user reads and writes through Kafka and Redis, seen from outside: positions, replays, output
records byte by byte, late and bad ones, metrics, settings of Redis."""

import json
import os
import urllib.request
from collections import Counter
from datetime import datetime

import pytest
from confluent_kafka import (Consumer, ConsumerGroupTopicPartitions, Producer,
                             TopicPartition)
from confluent_kafka.admin import ConfigResource

from features_run import FeaturesRun
from job import FINISHED, REFUSED, WRONG_USAGE, Job, features_config, ledger_config
from ledger import FIRST_EVENT_MS, read_topic
from process import free_port, wait_until
from redis_server import RedisServer

MINUTE = 60_000


def event(user, at, action="view", value=1):
    return json.dumps({"user_id": user, "action": action, "value": value, "timestamp": at})


def write(kafka, topic, records):
    """records: (partition, key, value, timestamp)"""
    producer = Producer({"bootstrap.servers": kafka.address, "linger.ms": 5})
    for partition, key, value, at in records:
        producer.produce(topic, value, key, partition, timestamp=at)
    assert producer.flush(30) == 0


def messages(kafka, topic):
    """All committed messages of a topic, as the client gives them."""
    ends = kafka.end_offsets(topic)
    consumer = Consumer({"bootstrap.servers": kafka.address, "group.id": f"read-{topic}",
                         "enable.auto.commit": False, "isolation.level": "read_committed",
                         "enable.partition.eof": True, "log_level": 0})
    found, missing = [], {p for p, end in ends.items() if end > 0}
    try:
        consumer.assign([TopicPartition(topic, p, 0) for p in missing])
        while missing:
            message = consumer.poll(10)
            assert message is not None, f"{topic} is not read to its end"
            if message.error() is None:
                found.append(message)
            else:
                missing.discard(message.partition())
    finally:
        consumer.close()
    return found


def timestamp_ms(text):
    return int(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000 + 0.5)


def config_of(kafka, topic):
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    entries = kafka.admin.describe_configs([resource])[resource].result(20)
    return {name: entry.value for name, entry in entries.items()}


# --- where reading starts and ends ---


class Positions:
    """A topic of two partitions with 50 records each, one a second in turns; each question is asked
    of a job of its own."""

    def __init__(self, kafka, name, folder):
        self.kafka, self.name, self.folder = kafka, name, folder
        self.source = kafka.create_topic(f"{name}-in", 2)
        self.sink = kafka.create_topic(f"{name}-out", 1)
        write(kafka, self.source, [(i % 2, f"k{i}", event(f"k{i}", FIRST_EVENT_MS + i * 1000),
                                    FIRST_EVENT_MS + i * 1000) for i in range(100)])
        self.job = Job("ledger_job", folder, ledger_config(
            name, kafka.address, self.source, self.sink, folder / "checkpoints"))

    def commit(self, **offsets):
        """Offsets p0=N, p1=N of the job's group, as somebody else may have committed them."""
        consumer = Consumer({"bootstrap.servers": self.kafka.address, "group.id": self.name,
                             "enable.auto.commit": False})
        consumer.commit(offsets=[TopicPartition(self.source, int(p[1:]), n)
                                 for p, n in offsets.items()], asynchronous=False)
        consumer.close()

    def at(self, *offsets):
        return ",".join(f"{self.source}:{p}={n}" for p, n in enumerate(offsets))

    def read(self, *flags):
        """The first and the last offset read in each partition, nothing left out between."""
        if "--until" not in "".join(flags):
            flags += ("--until-offsets", "latest")
        assert self.job.run(*flags) == FINISHED, self.job.child.tail()
        places = Counter()
        for record in read_topic(self.kafka, self.sink):
            row = json.loads(record.value)
            places[row["p"], row["o"]] += 1
        assert set(places.values()) <= {1}
        spans = {}
        for p in (0, 1):
            offsets = sorted(o for q, o in places if q == p)
            assert offsets == list(range(offsets[0], offsets[-1] + 1)) if offsets else True
            spans[p] = (offsets[0], offsets[-1]) if offsets else None
        return spans[0], spans[1]


@pytest.fixture
def positions(kafka, name, tmp_path):
    made = Positions(kafka, name, tmp_path)
    yield made
    made.job.kill()


def test_from_and_until_time(positions):
    """The first record at or after T in each partition; the end is not read."""
    start, end = (datetime.utcfromtimestamp((FIRST_EVENT_MS + s * 1000) / 1000).isoformat() + "Z"
                  for s in (51, 80))
    assert positions.read("--from-time", start, "--until-time", end) == ((26, 39), (25, 39))


def test_from_and_until_time_in_milliseconds(positions):
    assert positions.read("--from-time", str(FIRST_EVENT_MS + 50_001),
                          "--until-time", str(FIRST_EVENT_MS + 500_000)) == ((26, 49), (25, 49))


def test_from_and_until_offsets(positions):
    assert positions.read("--from-offsets", positions.at(10, 20),
                          "--until-offsets", positions.at(31, 42)) == ((10, 30), (20, 41))


def test_from_latest_until_latest_is_nothing_and_finished(positions):
    assert positions.read("--from-offsets", "latest") == (None, None)


def test_from_and_until_committed(positions):
    positions.commit(p0=7, p1=9)
    assert positions.read("--from-offsets", "committed") == ((7, 49), (9, 49))


def test_until_committed(positions):
    positions.commit(p0=7, p1=9)
    assert positions.read("--until-offsets", "committed") == ((0, 6), (0, 8))


def test_from_committed_where_nothing_is_committed_needs_a_fallback(positions):
    positions.commit(p0=7)
    assert positions.job.run("--from-offsets", "committed") == REFUSED
    assert f"{positions.source}:1" in positions.job.log
    assert "committed:earliest" in positions.job.log
    assert positions.read("--from-offsets", "committed:earliest") == ((7, 49), (0, 49))


def test_from_committed_or_latest(positions):
    positions.commit(p0=7)
    assert positions.read("--from-offsets", "committed:latest") == ((7, 49), None)


def test_a_finished_bounded_run_is_finished(positions):
    until = ("--until-offsets", positions.at(10, 10))
    assert positions.read(*until) == ((0, 9), (0, 9))
    assert positions.read(*until) == ((0, 9), (0, 9)), "nothing is read twice"
    assert positions.read("--from-offsets", "latest", *until) == ((0, 9), (0, 9)), (
        "a restore goes on from its checkpoint, whatever --from-offsets says")
    assert "ignored" in positions.job.log


# --- a replay beside the original ---


def test_a_replay_touches_nothing_of_the_original(kafka, redis_server, name, tmp_path):
    run = FeaturesRun(kafka, name, tmp_path, redis=redis_server)
    try:
        kafka.set_topic(run.sink, message_timestamp_type="CreateTime", segment_ms="3600000")
        run.input.write(1000)
        write(kafka, run.source, [(0, "bad", "not json", FIRST_EVENT_MS)])
        verdict = run.finish()
        assert verdict.ok, verdict

        def group_offsets(group):
            answer = kafka.admin.list_consumer_group_offsets(
                [ConsumerGroupTopicPartitions(group)])[group].result(20)
            return {p.partition: p.offset for p in answer.topic_partitions if p.offset >= 0}

        wait_until(lambda: len(group_offsets(name)) == 4, 10, "the group's offsets")
        topics = (run.sink, f"{run.source}-late", f"{run.source}-dlq", f"{name}.__commits")
        before = {topic: kafka.end_offsets(topic, committed=False) for topic in topics}
        keys, offsets = redis_server.rows(), group_offsets(name)

        assert run.job.run("--as", "jan", "--until-offsets", "latest") == FINISHED, run.job.log
        assert {t: kafka.end_offsets(t, committed=False) for t in topics} == before
        assert redis_server.rows() == keys
        assert redis_server.rows("jan:features:") == {f"jan:{k}": v for k, v in keys.items()}
        assert group_offsets(name) == offsets
        wait_until(lambda: len(group_offsets(f"{name}.jan")) == 4, 10, "the replay's group")
        known = kafka.admin.list_topics(timeout=10).topics
        assert f"{name}.jan.__commits" in known
        for original in (run.sink, f"{run.source}-late", f"{run.source}-dlq"):
            assert len(known[f"{original}.jan"].partitions) == 4
        assert config_of(kafka, f"{run.sink}.jan")["retention.ms"] == "-1"
        rows, again = (Counter((r.key, r.value) for r in read_topic(kafka, topic))
                       for topic in (run.sink, f"{run.sink}.jan"))
        assert rows == again and rows, "emit: on_watermark gives the same rows"
        letters = [len(read_topic(kafka, f"{run.source}-dlq{suffix}")) for suffix in ("", ".jan")]
        assert letters == [1, 1]
        assert (run.job.checkpoints / f"{name}.jan").is_dir()
    finally:
        run.close()


# --- output records ---


def test_rows_carry_event_time_and_lie_where_java_would_put_them(kafka, name, tmp_path):
    run = FeaturesRun(kafka, name, tmp_path)
    try:
        users = [f"user-{i}" for i in range(200)] + ["", "ü€", "x" * 300]
        write(kafka, run.source, [(i % 4, u, event(u, FIRST_EVENT_MS + i * 1000),
                                   FIRST_EVENT_MS + i * 1000) for i, u in enumerate(users)])
        assert run.job.run("--until-offsets", "latest") == FINISHED, run.job.child.tail()
        rows = messages(kafka, run.sink)
        assert {row.key().decode() for row in rows} == set(users)
        for row in rows:
            body = json.loads(row.value())
            assert row.timestamp()[1] == timestamp_ms(body["computed_at"])
        # An implementation of Java's partitioner that is not ours.
        judge = kafka.create_topic(f"{name}-judge", 4)
        producer = Producer({"bootstrap.servers": kafka.address, "partitioner": "murmur2"})
        for user in users:
            producer.produce(judge, b"", user.encode())
        assert producer.flush(30) == 0
        assert ({row.key(): row.partition() for row in rows}
                == {m.key(): m.partition() for m in messages(kafka, judge)})
    finally:
        run.close()


def test_wall_clock_timestamps_are_a_choice(kafka, name, tmp_path):
    run = FeaturesRun(kafka, name, tmp_path)
    try:
        run.config["sinks"]["kafka"]["timestamp"] = "wall_clock"
        write(kafka, run.source, [(0, "u", event("u", FIRST_EVENT_MS), FIRST_EVENT_MS)])
        before = datetime.now().timestamp() * 1000 - 60_000
        assert run.job.run("--until-offsets", "latest") == FINISHED
        assert all(row.timestamp()[1] > before for row in messages(kafka, run.sink))
    finally:
        run.close()


def test_late_and_bad_records_go_out_as_they_came_in(kafka, name, tmp_path):
    run = FeaturesRun(kafka, name, tmp_path)
    try:
        late = event("u", FIRST_EVENT_MS - 10 * MINUTE).encode()
        bad = {1: (b"\x00key\xff", b"\xff\xfe\x00 not utf-8"), 2: (None, b'{"user_id": 5}'),
               3: (b"", b""), 4: (b"gone", None)}
        write(kafka, run.source, [
            (0, b"first", event("u", FIRST_EVENT_MS), FIRST_EVENT_MS),
            *((0, *record, FIRST_EVENT_MS + n) for n, record in bad.items()),
            (0, b"\x01late", late, FIRST_EVENT_MS + 9)])
        assert run.job.run("--until-offsets", "latest") == FINISHED, run.job.child.tail()
        (message,) = messages(kafka, f"{run.source}-late")
        assert (message.key(), message.value()) == (b"\x01late", late)
        headers = dict(message.headers())
        assert headers["tidemill.offset"] == b"5" and headers["tidemill.stage"] == b"source"
        letters = messages(kafka, f"{run.source}-dlq")
        assert len(letters) == len(bad)
        reasons = {}
        for letter in letters:
            headers = dict(letter.headers())
            offset = int(headers["tidemill.offset"])
            assert (letter.key(), letter.value()) == bad[offset]
            assert headers["tidemill.source"] == run.source.encode()
            assert headers["tidemill.partition"] == b"0"
            assert headers["tidemill.stage"] == b"decode"
            assert headers["tidemill.job"] == name.encode()
            assert int(headers["tidemill.checkpoint"]) >= 0
            assert "tidemill.detail" in headers
            reasons[offset] = headers["tidemill.reason"]
        assert reasons[1] == b"not_utf8" and reasons[2] == b"mistyped" and reasons[4] == b"no_value"
    finally:
        run.close()


def test_output_topics_are_made_only_when_asked_for(kafka, name, tmp_path):
    source = kafka.create_topic(f"{name}-in", 2)
    config = features_config(name, kafka.address, source, f"{name}-out", tmp_path / "checkpoints")
    job = Job("feature_pipeline", tmp_path / "job", config)
    write(kafka, source, [(0, "u", event("u", FIRST_EVENT_MS), FIRST_EVENT_MS)])
    assert job.run("--until-offsets", "latest") == WRONG_USAGE, job.log
    assert f"{name}-out" in job.log and "create" in job.log
    config["sinks"]["kafka"]["create"] = {"partitions": 3}
    assert job.run("--until-offsets", "latest") == FINISHED, job.log
    topics = kafka.admin.list_topics(timeout=10).topics
    for topic in (f"{name}-out", f"{source}-late", f"{source}-dlq"):
        assert len(topics[topic].partitions) == 3
    assert config_of(kafka, f"{name}-out")["retention.ms"] == "-1"


def test_topics_of_late_records_are_not_compacted_with_the_rows(kafka, name, tmp_path):
    """Bytes go there unchanged, and a compacted topic takes no record without a key."""
    source = kafka.create_topic(f"{name}-in", 2)
    sink = kafka.create_topic(f"{name}-out", 3, cleanup_policy="compact", max_message_bytes=70_000)
    config = features_config(name, kafka.address, source, sink, tmp_path / "checkpoints")
    job = Job("feature_pipeline", tmp_path / "job", config)
    write(kafka, source, [(0, None, event("u", FIRST_EVENT_MS + at), FIRST_EVENT_MS)
                          for at in (10 * MINUTE, 0)])
    write(kafka, source, [(1, None, "no json", FIRST_EVENT_MS)])
    for flags, suffix in (((), ""), (("--as", "again"), ".again")):
        assert job.run("--until-offsets", "latest", *flags) == FINISHED, job.log
        for topic in (f"{source}-late{suffix}", f"{source}-dlq{suffix}"):
            assert [m.key() for m in messages(kafka, topic)] == [None]
            assert config_of(kafka, topic)["cleanup.policy"] == "delete"
            assert len(kafka.admin.list_topics(topic, timeout=10).topics[topic].partitions) == 3
    made = config_of(kafka, f"{sink}.again")
    assert (made["cleanup.policy"], made["max.message.bytes"]) == ("compact", "70000")


# --- what can be watched ---


def test_lag_is_told_to_the_last_stable_offset_the_high_watermark_and_in_time(kafka, name,
                                                                            tmp_path):
    source, sink = kafka.create_topic(f"{name}-in", 1), kafka.create_topic(f"{name}-out", 1)
    config = features_config(name, kafka.address, source, sink, tmp_path / "checkpoints")
    config["sinks"]["kafka"]["create"] = {"partitions": 1}
    config["source"]["kafka"]["properties"] = {"statistics.interval.ms": "200"}
    config["rate"] = "200/s"
    config["parallelism"] = 1
    job = Job("feature_pipeline", tmp_path / "job", config)
    old = FIRST_EVENT_MS
    write(kafka, source, [(0, "k", event("k", old), old) for _ in range(3000)])
    hanging = Producer({"bootstrap.servers": kafka.address, "transactional.id": f"{name}-open"})
    hanging.init_transactions(20)
    hanging.begin_transaction()
    for _ in range(10):
        hanging.produce(source, b"open", b"k", 0)
    assert hanging.flush(20) == 0
    port = free_port()
    try:
        job.start("--http", f"127.0.0.1:{port}")

        def metric(metric_name):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as page:
                    text = page.read().decode()
            except OSError:
                return None
            values = [float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
                      if line.startswith(metric_name + "{") and source in line]
            return values[0] if values else None

        wait_until(lambda: metric("tidemill_kafka_lag_records"), 30, "lag is told")
        wait_until(lambda: metric("tidemill_kafka_open_transaction_records") == 10, 30,
                   "the open transaction is seen")
        assert metric("tidemill_kafka_open_transaction_seconds") == 0, "there is more to read yet"
        lag = metric("tidemill_kafka_lag_records")
        assert 0 < lag <= 3000
        assert metric("tidemill_kafka_lag_to_high_watermark_records") > 10
        wait_until(lambda: metric("tidemill_kafka_lag_seconds") > 24 * 3_600, 30,
                   "the lag in time is told")
        wait_until(lambda: metric("tidemill_kafka_lag_records") < lag, 30, "it gets less")
    finally:
        job.kill()
        hanging.abort_transaction(20)


# --- Redis ---


def test_an_emptied_user_is_deleted_and_a_ttl_can_be_chosen(kafka, redis_server, name, tmp_path):
    run = FeaturesRun(kafka, name, tmp_path, redis=redis_server, emit="on_record")
    try:
        run.config["sinks"]["redis"] |= {"ttl": "100s", "key_prefix": "f/"}
        run.config["event_time"]["idle"] = "1s"
        write(kafka, run.source, [(0, "gone", event("gone", FIRST_EVENT_MS), FIRST_EVENT_MS)])
        run.job.start()
        wait_until(lambda: redis_server.rows("f/"), 30, "the first user's row")
        assert 0 < redis_server.client().ttl("f/gone") <= 100
        at = FIRST_EVENT_MS + 26 * 60 * MINUTE
        write(kafka, run.source, [(p, "here", event("here", at), at) for p in range(4)])
        wait_until(lambda: list(redis_server.rows("f/")) == ["f/here"], 30,
                   "the emptied user's key is deleted")
        assert run.job.stop() == FINISHED
    finally:
        run.close()


@pytest.mark.parametrize("place", ["file", "env"])
def test_the_password_of_redis_comes_from_a_file_or_the_environment(kafka, name, tmp_path, place):
    secret = "s3cret-of-redis"
    server = RedisServer(tmp_path / "redis", password=secret).start()
    run = FeaturesRun(kafka, name, tmp_path, redis=server, emit="on_record")
    try:
        file = tmp_path / "password"
        file.write_text(secret + "\n")
        settings = {"file": {"password_file": str(file)}, "env": {"password_env": "REDIS_SECRET"}}
        run.config["sinks"]["redis"] |= settings[place]
        run.config["sinks"]["redis"]["url"] = f"redis://127.0.0.1:{server.port}/0"
        run.input.write(100)
        os.environ["REDIS_SECRET"] = secret
        assert secret not in run.job.ask("--print-config")[1]
        run.job.start()
        wait_until(lambda: server.rows() or not run.job.child.running(), 30, "rows in Redis")
        with open(f"/proc/{run.job.child.process.pid}/cmdline", "rb") as command:
            assert secret.encode() not in command.read()
        assert run.job.stop() == FINISHED, run.job.child.tail()
        assert secret not in run.job.log
    finally:
        os.environ.pop("REDIS_SECRET", None)
        run.close()
        server.kill()


# --- secrets of Kafka ---


@pytest.mark.parametrize("key", ["sasl.password", "ssl.key.password",
                                 "sasl.oauthbearer.client.secret"])
def test_a_secret_in_the_configuration_is_refused_and_never_printed(kafka, name, tmp_path, key):
    secret = "s3cret-of-kafka"
    config = ledger_config(name, kafka.address, "in", "out", tmp_path / "checkpoints")
    config["source"]["kafka"]["properties"] = {key: secret}
    job = Job("ledger_job", tmp_path / "job", config)
    exit_code, printed = job.ask("--print-config")
    assert exit_code == FINISHED and key in printed and secret not in printed
    assert job.run() == WRONG_USAGE
    assert key in job.log and secret not in job.log
