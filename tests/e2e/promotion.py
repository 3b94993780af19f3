"""A job, a replay of it, and the hand-over between them, by what a person or the server calls: `--as`,
SIGTERM, `--hold-offsets`, `--take-over`. Old and new version are two settings of the main job."""

import json
import re
from collections import defaultdict

from confluent_kafka import Consumer, TopicPartition

from features_run import FeaturesRun
from job import FINISHED, Job
from ledger import read_topic
from process import wait_until

EVENTS = 400
OLD, NEW = ["1m", "1h"], ["10s"]
PREFIX = "features:"


def offsets_of(job, *flags):
    """Where the last checkpoint stands: {split: offset}."""
    listed = job.ask(*flags, "--inspect", "latest")
    return {split: int(offset) for split, offset in
            re.findall(r"^  (\S+) +next offset (\d+)", listed[1], re.M)}


def lineage_of(job):
    listed = job.ask("--inspect", "latest")
    return re.search(r"^lineage +(\S+)", listed[1], re.M).group(1)


def key_of(row):
    return json.loads(row)["user_id"]


def by_key(rows):
    """Rows (JSON texts) in the order in which a reader of one key sees them."""
    keys = defaultdict(list)
    for row in rows:
        keys[key_of(row)].append(row)
    return keys


def findings(visible, before, replayed, all_old, all_new):
    """What is wrong with the rows a reader sees in the end. Per key: first the old version's, as they
    were at the cut, then those of the new one that its replay had not put out there; neither version
    may differ from a run of it that nobody interrupted."""
    wrong = []
    visible, before, replayed = by_key(visible), by_key(before), by_key(replayed)
    all_old, all_new = by_key(all_old), by_key(all_new)
    for key in sorted(visible.keys() | before.keys() | replayed.keys() | all_old.keys() | all_new.keys()):
        seen, old, new = visible[key], before[key], replayed[key]
        if old != all_old[key][:len(old)]:
            wrong.append(f"{key}: the old version's rows are not those of an uninterrupted run")
        if seen[:len(old)] != old:
            wrong.append(f"{key}: rows of before the cut have changed")
        if new + seen[len(old):] != all_new[key]:
            wrong.append(f"{key}: {len(new)} replayed and {len(seen) - len(old)} rows after the cut are "
                         f"not the {len(all_new[key])} of an uninterrupted run of the new version")
    return wrong


class Promotion:
    """`live`, `replay` and `promoted` are Jobs: the old version, and twice the new one."""

    def __init__(self, live, replay, promoted, name="new"):
        self.live, self.replay, self.promoted, self.name = live, replay, promoted, name
        self.replay_name = f"{live.config['job']}.{name}"

    def start_replay(self, hold=None, more=()):
        flags = ["--as", self.name, *more]
        if hold is not None:
            flags += ["--hold-offsets", ",".join(f"{s}={n}" for s, n in hold.items())]
        self.replay.start(*flags)

    def stop_live(self):
        """The cut: the offsets of the old version's last commit."""
        assert self.live.stop() == FINISHED, self.live.child.tail()
        return offsets_of(self.live)

    def stop_replay_at(self, offsets, deadline_s=60):
        """Once the replay, held there, has a checkpoint of exactly these offsets."""
        def there():
            assert self.replay.child.running(), self.replay.child.tail()
            return offsets_of(self.replay, "--as", self.name) == offsets

        wait_until(there, deadline_s, f"the replay stands at {offsets}", step_s=0.1)
        assert self.replay.stop() == FINISHED, self.replay.child.tail()
        assert offsets_of(self.replay, "--as", self.name) == offsets

    def take_over(self, **how):
        return self.promoted.run("--take-over", self.replay_name, **how)

    def close(self):
        for job in (self.live, self.replay, self.promoted):
            job.kill()


class KafkaPromotion(FeaturesRun):
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
