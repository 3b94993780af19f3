"""`tidemill verify`: does Redis serve what the job has committed? Of a real job on a real server, with real keys damaged
in each way there is; what is committed is known from the test's own reading of the topic or the files."""

import json
import os
import signal

import pytest
from confluent_kafka import Producer
from features_run import FeaturesRun
from file_job import FileJob, event
from job import FAILED, FINISHED, REFUSED, WRONG_USAGE, binary
from job_server import Command, JobServer
from ledger import read_topic
from process import wait_until

PREFIX = "features:"
ALARMS = ("behind", "missing", "different", "unknown")
KINDS = (*ALARMS, "ahead", "expired", "equal", "absent")


class Verified:
    """A job on a server, whose Redis is looked at. `read` has all committed rows, those of a key in their order."""

    def __init__(self, folder, redis, config):
        self.folder, self.redis = folder, redis
        self.rows = []  # as last read
        self.job = config["job"]
        (folder / "job.yaml").write_text(json.dumps(config))
        self.server = JobServer(folder).start()
        self.tidemill = Command(self.server)

    def submit(self):
        self.do("submit", binary("feature_pipeline"), "--name", self.job, "--config", self.folder / "job.yaml", "--wait")

    def do(self, *words):
        code, out, err = self.tidemill.run(*words)
        assert code == FINISHED, f"{words}: {code}\n{out}\n{err}"
        return out

    def last(self):
        """The last committed row of each key."""
        return {json.loads(row)["user_id"]: row for row in self.rows}

    def served(self):
        """… of those that are to be in Redis: the others' features have all run out."""
        return {key: row for key, row in self.last().items() if json.loads(row)["event_time"]}

    def verify(self, *flags, job=None):
        """(exit code, the answer), without kinds that no key is of."""
        code, out, err = self.tidemill.run("verify", job or self.job, "--json", *flags)
        assert code in (FINISHED, FAILED), err
        found = json.loads(out)
        assert code == (FAILED if any(found[kind] for kind in ALARMS) else FINISHED), out
        assert found["sampled"] == sum(found[kind] for kind in KINDS)
        return code, {kind: found[kind] for kind in KINDS if found[kind]}, found["differences"]

    def wait_settled(self):
        """All that was put in has been committed: Redis has just that."""
        def settled():
            self.rows = self.read()
            want = {PREFIX + key: row for key, row in self.served().items()}
            return want and self.redis.rows(PREFIX) == want
        wait_until(settled, 60, "Redis has the last committed row of each key", step_s=0.2)

    def damage(self):
        """Keys by what was done to them; all of them are served now."""
        client = self.redis.client()
        served = sorted(self.served())
        done = dict(zip(("different", "missing", "behind", "ahead"), served, strict=False))
        row = json.loads(self.last()[done["different"]])
        row["last_action"] = "none"
        client.set(PREFIX + done["different"], json.dumps(row))
        client.delete(PREFIX + done["missing"])
        older = [row for row in self.rows if json.loads(row)["user_id"] == done["behind"]
                 and json.loads(row)["computed_at"] < json.loads(self.last()[done["behind"]])["computed_at"]]
        client.set(PREFIX + done["behind"], older[-1])
        row = json.loads(self.last()[done["ahead"]])
        client.set(PREFIX + done["ahead"], json.dumps(row | {"computed_at": "2030-01-01T00:00:00.000Z"}))
        done["unknown"] = "nobody"
        client.set(PREFIX + "nobody", self.last()[done["ahead"]])
        return done

    def check_damage(self):
        """Everything that is wrong is found, named and shown, and nothing else; mended, nothing is."""
        self.wait_settled()
        served, dead = len(self.served()), len(self.last()) - len(self.served())
        healthy = {kind: n for kind, n in (("equal", served), ("absent", dead)) if n}
        assert self.verify() == (FINISHED, healthy, [])
        before = self.redis.rows(PREFIX)
        done = self.damage()
        code, found, differences = self.verify()
        assert code == FAILED
        assert found == healthy | dict.fromkeys(done, 1) | {"equal": served - 4}
        assert {one["kind"]: one["key"] for one in differences} == done
        rows = self.last()
        for one in differences:
            stored = self.redis.client().get(PREFIX + one["key"])
            assert one["redis"] == (json.loads(stored) if stored else None)
            assert one["committed"] == (json.loads(rows[one["key"]]) if one["key"] in rows else None)
        code, out, err = self.tidemill.run("verify", self.job, "--show", 1)
        assert code == FAILED and out.count(done["behind"]) and "1 missing, 1 different, 1 unknown" in out
        assert "next: see docs/operations.md" in err and f"4 of {len(rows) + 1} keys" in err

        client = self.redis.client()
        client.delete(PREFIX + "nobody")
        client.mset(before)
        assert self.verify() == (FINISHED, healthy, [])
        client.flushall()
        code, found, differences = self.verify("--show", 1000)
        assert code == FAILED and found == {kind: n for kind, n in (("missing", served), ("absent", dead)) if n}
        assert {one["key"] for one in differences} == set(self.served())

    def close(self):
        self.server.close()


class OnKafka(Verified, FeaturesRun):
    def __init__(self, kafka, name, folder, redis, ttl="1h"):
        def configure(config):  # windows that users fall out of all the time
            config["features"]["windows"] = ["5s"]
            config["event_time"]["idle"] = "off"  # and that stand when the input does
            config["sinks"]["redis"]["ttl"] = ttl
        FeaturesRun.__init__(self, kafka, f"v-{name[-6:]}", folder, redis=redis, program="feature_pipeline", emit="on_record",
                             configure=configure)
        Verified.__init__(self, folder, redis, self.config)
        self.job = self.name

    def read(self):
        return [row.value.decode() for row in read_topic(self.cluster, self.sink)]

    def delete_in_topic(self, key):
        partition = next(row.partition for row in read_topic(self.cluster, self.sink) if row.key.decode() == key)
        producer = Producer({"bootstrap.servers": self.cluster.address})
        producer.produce(self.sink, None, key, partition)
        assert producer.flush(30) == 0


@pytest.fixture
def folder(tmp_path_factory):
    """A job's socket has a path below it, which may not be long."""
    return tmp_path_factory.mktemp("v")


@pytest.fixture
def on_kafka(kafka, name, folder, redis_server):
    made = OnKafka(kafka, name, folder, redis_server)
    yield made
    made.close()


def test_a_moving_job_is_right_and_damage_is_named(on_kafka):
    on_kafka.submit()
    on_kafka.input.write(200)
    on_kafka.wait_settled()
    on_kafka.input.start(per_second=400)
    seen = []
    try:
        for seed in range(4):
            if seed % 2:  # what it had put into Redis and not committed is put there again
                os.kill(on_kafka.server.line(on_kafka.job)["pid"], signal.SIGKILL)
            code, found, differences = on_kafka.verify("--seed", seed)
            assert code == FINISHED, differences
            seen.append(found)
        writes = on_kafka.redis.client().info("commandstats")["cmdstat_setex"]["calls"]
        wait_until(lambda: on_kafka.redis.client().info("commandstats")["cmdstat_setex"]["calls"] > writes, 20, "it moved")
    finally:
        on_kafka.input.finish()
    assert any(found.get("absent") for found in seen), f"users that went silent: {seen}"
    on_kafka.check_damage()


def test_a_stopped_job_is_verified_as_it_stands(on_kafka):
    on_kafka.submit()
    on_kafka.input.write(300)
    on_kafka.wait_settled()
    on_kafka.do("replay", on_kafka.job, "--as", "again", "--from-offsets", "earliest", "--until-offsets", "latest", "--wait")
    of_replay = on_kafka.verify(job=f"{on_kafka.job}.again")[1]
    assert of_replay["equal"] == len(on_kafka.redis.rows("again:" + PREFIX)) and "ahead" not in of_replay
    on_kafka.do("stop", on_kafka.job, "--wait")
    on_kafka.check_damage()
    code, found, _ = on_kafka.verify("--sample", 7)
    assert code == FAILED and sum(found.values()) == 7

    # Somebody deletes a key for good, in the topic too: it is rightly not there.
    missing = on_kafka.verify()[1]["missing"]
    key = min(on_kafka.served())
    on_kafka.delete_in_topic(key)
    found = on_kafka.verify()[1]
    assert found["missing"] == missing - 1 and found["absent"] == len(on_kafka.last()) - missing + 1
    on_kafka.redis.client().set(PREFIX + key, on_kafka.last()[key])
    assert on_kafka.verify()[1]["behind"] == 1  # than its deletion


def test_a_key_that_has_expired_is_not_missing(kafka, name, folder, redis_server):
    run = OnKafka(kafka, name, folder, redis_server, ttl="10s")
    try:
        run.submit()
        run.input.write(100).finish()
        run.wait_settled()
        wait_until(lambda: not run.redis.rows(PREFIX), 60, "its keys have expired")
        code, found, _ = run.verify()
        assert code == FINISHED and found["expired"] == len(run.served()), found
    finally:
        run.close()


class OnFiles(Verified):
    def __init__(self, folder, redis):
        self.files = FileJob(folder, source={"file": {"dir": str(folder / "events"), "follow": True}})
        self.files.config["sinks"]["redis"] = {"url": redis.url, "ttl": "1h"}
        super().__init__(folder, redis, self.files.config)

    def read(self):
        return [json.dumps(row, separators=(",", ":")) for row in self.files.rows()]


def test_of_files(folder, redis_server):
    run = OnFiles(folder, redis_server)
    try:
        run.files.append(0, *[event(f"u{i % 7}", i) for i in range(60)])
        run.files.append(1, event("early", 0), *[event("v", i) for i in range(900)])
        run.submit()
        run.check_damage()
    finally:
        run.close()


def test_what_a_job_does_not_commit_is_not_certain(folder, redis_server):
    """A frozen one commits nothing: its row in Redis may be right. Once it works again, it would have committed it."""
    run = OnFiles(folder, redis_server)
    try:
        run.files.append(0, event("u", 1), event("v", 2))
        run.submit()
        run.wait_settled()
        newer = json.loads(run.last()["u"]) | {"computed_at": "2026-01-01T01:00:00.000Z"}
        run.redis.client().set(PREFIX + "u", json.dumps(newer))
        run.redis.client().delete(PREFIX + "v")
        pid = run.server.line(run.job)["pid"]

        def ask():
            question = {"settings": {"sinks.redis.url": redis_server.url, "sinks.redis.key_prefix": PREFIX,
                                     "sinks.file.dir": run.files.config["sinks"]["file"]["dir"]},
                        "replay": "", "is_running": True, "checkpoints": f"{run.files.config['checkpoint']['dir']}/{run.job}",
                        "patience_ms": 1500, "since_ms": 0, "sample": 10, "seed": 0, "show": 10}
            (folder / "question.json").write_text(json.dumps(question))
            return json.loads(run.do("verify-outputs", folder / "question.json"))

        os.kill(pid, signal.SIGSTOP)
        frozen = ask()
        os.kill(pid, signal.SIGCONT)
        working = ask()
        for answer, is_certain in ((frozen, False), (working, True)):
            assert (answer["is_certain"], answer["ahead"], answer["missing"]) == (is_certain, 1, 1)
    finally:
        run.close()


@pytest.mark.parametrize("sinks, told", [
    (("redis",), "the job writes to Redis only"), (("file",), "the job does not write to Redis")])
def test_a_job_without_two_sides_is_refused(folder, redis_server, sinks, told):
    run = OnFiles(folder, redis_server)
    try:
        config = run.files.config
        config["sinks"] = {sink: config["sinks"][sink] for sink in sinks}
        config["late"] = {"dir": str(folder / "late")}
        config["bad_data"]["policy"] = "skip"
        (folder / "job.yaml").write_text(json.dumps(config))
        run.submit()
        code, out, err = run.tidemill.run("verify", run.job)
        assert (code, out) == (REFUSED, "") and told in err and "next: " in err
        assert run.tidemill.run("verify", "nobody")[0] == WRONG_USAGE
        assert run.tidemill.run("verify", run.job, "--sample", 0)[0] == WRONG_USAGE
    finally:
        run.close()


def test_redis_that_is_away_is_told(folder, redis_server):
    run = OnFiles(folder, redis_server)
    try:
        run.files.append(0, event("u", 1))
        run.submit()
        run.wait_settled()
        run.redis.kill()
        code, out, err = run.tidemill.run("verify", run.job)
        assert (code, out) == (FAILED, "") and "Redis does not answer" in err and "try again" in err
    finally:
        run.close()
