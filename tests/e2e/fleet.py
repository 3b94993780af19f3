"""Jobs beside each other under one server, each over a topic of its own that is written all the time:
what is wrong with one of them is all that differs."""

import json
import random
import threading
import time

from confluent_kafka import Producer

from job import binary, features_config
from job_server import Command, JobServer
from process import wait_until

TICK_S = 0.05
USERS = 40


def record(user, at_ms):
    return json.dumps({"user_id": user, "action": "click", "value": 1, "timestamp": at_ms})


class Input:
    """What one topic gets at each tick, as long as `rates` says so: {kind of record: one each second}."""

    def __init__(self, topic, partitions=(0, 1), **per_s):
        self.topic = topic
        self.partitions = partitions
        self.rates = {"good": 40, **per_s}
        self._owed = {}
        self._random = random.Random(1)

    def due(self, now_ms):
        """(partition, value) of each record that this tick brings."""
        for kind, per_s in self.rates.items():
            owed = self._owed.get(kind, 0) + per_s * TICK_S
            self._owed[kind] = owed % 1
            for _ in range(int(owed)):
                yield self._one(kind, now_ms)

    def _one(self, kind, now_ms):
        user = f"u{self._random.randrange(USERS)}"
        partition = self._random.choice(self.partitions)
        if kind == "bad":
            return partition, "no JSON"
        if kind == "hot":
            return partition, record("u-hot", now_ms)
        if kind == "late":  # from one producer
            return 1, record(user, now_ms - 600_000)
        return partition, record(user, now_ms)


class Fleet:
    def __init__(self, folder, cluster, tag):
        self.folder = folder
        self.cluster = cluster
        self.tag = tag
        self.server = JobServer(folder)
        self.command = None
        self.inputs = {}
        self.seen = {}  # job: {problem: its text}, of its whole life
        self._stop = threading.Event()
        self._threads = []
        self._hash = None

    def start(self):
        self.server.start()
        self.command = Command(self.server)
        self._hash = self.server.upload(binary("feature_pipeline"))
        for name in ("out", "late", "dlq"):
            self.cluster.create_topic(f"{self.tag}-{name}")
        for work in (self._feed, self._watch):
            self._threads.append(threading.Thread(target=work, daemon=True))
            self._threads[-1].start()
        return self

    def job(self, name):
        return f"{name}-{self.tag}"

    def config(self, name, brokers=None, interval="2s", redis=None, checkpoints=None, **more):
        config = features_config(self.job(name), brokers or self.cluster.address, f"{self.tag}-{name}-in", f"{self.tag}-out",
                                 checkpoints or self.folder / f"checkpoints-{name}", interval, redis.url if redis else None,
                                 emit="on_record")
        config["features"]["windows"] = ["5m"]
        config["late"]["topic"] = f"{self.tag}-late"
        config["bad_data"]["topic"] = f"{self.tag}-dlq"
        config["parallelism"] = 2
        for key, value in more.items():
            config[key] = config.get(key, {}) | value
        return config

    def submit(self, name, config, **how):
        """The job over a new topic, which is written from now on."""
        topic = self.cluster.create_topic(f"{self.tag}-{name}-in", 2)
        self.inputs[name] = Input(topic, **how)
        status, answer = self.server.call("POST", "/api/v1/jobs", {
            "name": self.job(name), "binary": self._hash, "config": json.dumps(config), "start": True})
        assert status == 201, answer

    def problems(self, name):
        return self.server.call("GET", f"/api/v1/jobs/{self.job(name)}/status")[1]["problems"]

    def close(self):
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self.server.close()

    def _feed(self):
        producer = Producer({"bootstrap.servers": self.cluster.address, "linger.ms": 5, "log_level": 0})
        while not self._stop.wait(TICK_S):
            now_ms = int(time.time() * 1000)
            for one in list(self.inputs.values()):
                for partition, value in one.due(now_ms):
                    producer.produce(one.topic, value.encode(), None, partition)
            producer.poll(0)
        producer.flush(10)

    def _watch(self):
        while not self._stop.wait(0.3):
            for line in self.server.call("GET", "/api/v1/jobs")[1]["jobs"]:
                self.seen.setdefault(line["name"], {}).update({p["id"]: p["text"] for p in line["problems"]})

    def wait_problem(self, name, problem, deadline_s=40):
        def named():
            found = self.problems(name)
            assert {p["id"] for p in found} <= {problem}, found
            return found

        return wait_until(named, deadline_s, f"{name} has the problem {problem}", 0.2)[0]
