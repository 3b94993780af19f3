"""A promotion on a real Kafka and Redis: the topic has the old version's rows, then the new one's, each once;
each Redis key moves to the new version's row once and never back, also when the hand-over is killed at each
of its steps and when an instance of the old version wakes up behind it."""

import json
import shutil

import pytest
from confluent_kafka import Consumer, TopicPartition

from features_run import FeaturesRun
from job import FINISHED, KILLED, REFUSED, Job
from ledger import read_topic
from process import wait_until
from promotion import Promotion, findings, offsets_of

EVENTS = 400
OLD, NEW = ["1m", "1h"], ["10s"]
# In the order of a hand-over; the keys move behind the decision.
STEPS = ("after_init", "take_over_noted", "before_manifest_rename", "after_manifest_rename",
         "after_control_record", "after_commit", "take_over_decided", "keys_remove", "keys_removing:5",
         "keys_move", "keys_moving:7", "keys_done")
DECIDED = STEPS.index("after_commit")
PREFIX = "features:"


class Run(FeaturesRun):
    """The old version has read the first events and is stopped; its replay by the new one stands there."""

    def __init__(self, kafka, name, folder, redis):
        super().__init__(kafka, name, folder, redis=redis,
                         configure=self.configure)
        new = json.loads(json.dumps(self.config))
        new["features"]["windows"] = NEW
        program = "feature_pipeline_testing"
        self.replay_sink = f"{self.sink}.new"
        self.roles = Promotion(self.job, Job(program, self.folder / "replay", new),
                               Job(program, self.folder / "promoted", new))
        self.new = new

    @staticmethod
    def configure(config):
        config["features"]["windows"] = OLD
        config["event_time"]["lateness"] = "0s"
        config["sinks"]["redis"]["ttl"] = "1h"

    def to_the_cut(self):
        run = self.roles
        self.input.write(EVENTS)
        run.live.start()
        self.wait_read(run.live)
        run.start_replay(hold={})
        self.cut = run.stop_live()
        run.stop_replay_at(self.cut)
        self.rows_before = self.redis.rows(PREFIX)
        self.replay_rows = {key[len("new:"):]: row for key, row in self.redis.rows("new:" + PREFIX).items()}
        assert self.rows_before and self.replay_rows
        self.topic_before, self.topic_replayed = self.texts(self.sink), self.texts(self.replay_sink)

    def wait_read(self, job, *flags):
        """Until a checkpoint of the job stands at the end of the input (behind the markers)."""
        ends = self.log_ends(self.source)
        wait_until(lambda: offsets_of(job, *flags) == ends, 60, "all input is read", step_s=0.1)

    def log_ends(self, topic):
        consumer = Consumer({"bootstrap.servers": self.cluster.address, "group.id": "ends",
                             "isolation.level": "read_committed"})
        try:
            metadata = consumer.list_topics(topic).topics[topic]
            return {f"{topic}:{p}": consumer.get_watermark_offsets(TopicPartition(topic, p))[1]
                    for p in metadata.partitions}
        finally:
            consumer.close()

    def texts(self, topic):
        return [row.value if isinstance(row.value, str) else row.value.decode()
                for row in read_topic(self.cluster, topic)]

    def reference(self, windows, kind):
        """What an uninterrupted run of that version puts out: rows, and its Redis rows in the end."""
        config = json.loads(json.dumps(self.config))
        config["job"] = f"{self.name}-{kind}"
        config["features"]["windows"] = windows
        config["sinks"]["kafka"]["topic"] = self.cluster.create_topic(f"{self.name}-{kind}", 4)
        config["sinks"]["redis"]["key_prefix"] = f"{kind}:"
        config["checkpoint"]["dir"] = str(self.folder / f"checkpoints-{kind}")
        job = Job("feature_pipeline_testing", self.folder / kind, config)
        assert job.run("--until-offsets", "latest") == FINISHED, job.child.tail()
        return (self.texts(config["sinks"]["kafka"]["topic"]),
                {key[len(kind) + 1:]: row for key, row in self.redis.rows(f"{kind}:").items()})

    def go_on_to_the_end(self):
        self.input.write(EVENTS)
        job = Job("feature_pipeline_testing", self.folder / "last", self.new)
        assert job.run("--until-offsets", "latest") == FINISHED, job.child.tail()

    def judge(self):
        self.input.finish()
        old, _ = self.reference(OLD, "ref-old")
        new, rows = self.reference(NEW, "ref-new")
        wrong = findings(self.texts(self.sink), self.topic_before, self.topic_replayed, old, new)
        seen = {key[len(PREFIX):]: row for key, row in self.redis.rows(PREFIX).items()}
        for user in sorted(seen.keys() | rows.keys()):
            if seen.get(user) != rows.get(user):
                wrong.append(f"Redis, {user}: {seen.get(user)} instead of {rows.get(user)}")
        return wrong


@pytest.fixture
def run(kafka, name, tmp_path, redis_server):
    made = Run(kafka, name, tmp_path, redis_server)
    made.to_the_cut()
    yield made
    made.roles.close()
    made.close()


def test_killed_at_every_step(run):
    """One hand-over, killed at each of its steps in turn; between two of them each key has the row of one
    version, and never the old one's again."""
    moved = set()

    def look():
        rows = run.redis.rows(PREFIX)
        for key, before in run.rows_before.items():
            row, new = rows.get(key), run.replay_rows.get(key)
            if key in moved:
                assert row == new, key
            elif row != before:
                assert row == new, key
                moved.add(key)

    assert run.rows_before.keys() - run.replay_rows.keys(), "the shorter window has fewer users"
    for number, point in enumerate(STEPS):
        assert run.roles.take_over(crash_at=point) == KILLED, (point, run.roles.promoted.child.tail())
        look()
        if number < STEPS.index("take_over_decided"):
            assert not moved, point
        old = run.roles.live
        if number < DECIDED:
            old.start("--hold-offsets", ",".join(f"{s}={n}" for s, n in run.cut.items()))
            old.wait_log("last committed checkpoint")
            assert run.roles.stop_live() == run.cut
        else:
            assert old.run() == REFUSED and "is decided and not finished" in old.log, point
    assert run.roles.take_over() == FINISHED, run.roles.promoted.child.tail()
    look()
    assert moved == {key for key in run.rows_before if run.rows_before[key] != run.replay_rows.get(key)}
    assert not run.redis.rows("new:" + PREFIX)
    kept = {key[len("before-new:"):]: row for key, row in run.redis.rows("before-new:").items()}
    assert kept == run.rows_before
    run.go_on_to_the_end()
    assert not run.judge()


def zombie_of(run):
    """An instance of the old version on a copy of its checkpoints, as on another machine, frozen with rows
    it has not written yet."""
    copy = run.folder / "zombie-checkpoints"
    shutil.copytree(run.job.checkpoints, copy)
    config = json.loads(json.dumps(run.config))
    config["checkpoint"]["dir"] = str(copy)
    return Job("feature_pipeline_testing", run.folder / "zombie", config)


def test_an_old_instance_that_wakes_up_writes_nothing(run):
    """Its rows are later than the moved ones (its input goes on), so no guard by time would keep them out:
    the fence does."""
    zombie = zombie_of(run).start()
    zombie.wait_log("last committed checkpoint")
    wait_until(lambda: "rows_to_redis" in str(run.redis.client().client_list()), 30, "the zombie is connected")
    zombie.child.freeze()
    assert run.roles.take_over() == FINISHED, run.roles.promoted.child.tail()
    after = run.redis.rows(PREFIX)
    assert after == run.replay_rows
    run.input.write(EVENTS)
    zombie.child.thaw()
    zombie.child.wait(60)
    assert run.redis.rows(PREFIX) == after
