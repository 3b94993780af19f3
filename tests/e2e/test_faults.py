"""Ten faults on real jobs under a real server: `tidemill status` names each, nothing else, and the next step; the API,
of which the page shows the same line, too. The jobs run beside each other, one of them in good health."""

import json
import re
import threading
import uuid
from contextlib import ExitStack

import pytest
from fault_proxy import Fault, Rule
from fleet import Fleet
from job import FINISHED
from process import wait_until
from redis_server import RedisServer
from small_disk import kept_full, mount_small, unmount


class Slow:
    """A Redis whose writes wait, most of the time."""

    def __init__(self, redis):
        self.redis = redis
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stop.wait(0.45):
            self.redis.pause_writes(0.4)

    def stop(self):
        self._stop.set()
        self._thread.join()


class Faults:
    """All of them at once; `mend` takes them away again."""

    def __init__(self, fleet, proxy, folder, stack):
        self.fleet = fleet
        self.proxy = proxy
        self.folder = folder
        self.stack = stack
        self.mended = False

    def begin(self):
        fleet, proxied = self.fleet, self.proxy.address
        redis, slow_redis = (RedisServer(self.folder / name) for name in ("redis", "slow-redis"))
        for server in (redis, slow_redis):
            server.start()
            self.stack.callback(server.kill)
        fleet.submit("expired", fleet.config("expired"))
        fleet.submit("broker", fleet.config("broker", brokers=proxied))
        fleet.submit("checkpoint", fleet.config("checkpoint", brokers=proxied, interval="500ms"))
        disk = self.folder / "disk"
        mount_small(disk, 128)
        self.stack.callback(unmount, disk)
        fleet.submit("disk", fleet.config("disk", checkpoints=disk / "checkpoints"))
        fleet.submit("held", fleet.config("held", event_time={"idle": "off"}), partitions=(0,))
        fleet.submit("idle", fleet.config("idle", event_time={"idle": "4s"}), partitions=(0,))
        fleet.submit("late", fleet.config("late"), late=10)
        fleet.submit("bad", fleet.config("bad"), bad=10)
        fleet.submit("hot", fleet.config("hot"), good=160, hot=260)
        fleet.submit("slow", fleet.config("slow", redis=slow_redis))
        fleet.submit("loop", fleet.config("loop", bad_data={"policy": "fail"}), bad=10)
        fleet.submit("healthy", fleet.config("healthy", redis=redis))
        self.slow = Slow(slow_redis)
        self.stack.callback(self.slow.stop)

        self.wait_committed("checkpoint", "broker", "disk", "expired")
        fleet.server.call("POST", f"/api/v1/jobs/{fleet.job('expired')}/stop", {})
        self.delay = self.proxy.add(Rule(Fault.DELAY, api="EndTxn", client=fleet.job("checkpoint"), seconds=1.5))
        self.cut = self.proxy.add(Rule(Fault.CUT, client=fleet.job("broker")))
        self.proxy.cut_all(fleet.job("broker"))
        self.full = self.stack.enter_context(ExitStack())
        self.full.enter_context(kept_full(disk))

        fleet.server.wait_state(fleet.job("expired"), "stopped")
        topic = fleet.inputs["expired"].topic
        before = fleet.cluster.end_offsets(topic)[0]
        end = wait_until(lambda: (now := fleet.cluster.end_offsets(topic)[0]) > before + 10 and now, 20, "more input")
        fleet.cluster.delete_before(topic, 0, end)
        status, answer = fleet.server.call("POST", f"/api/v1/jobs/{fleet.job('expired')}/start", {})
        assert status in (200, 202), answer
        return self

    def wait_committed(self, *names):
        def committed(name):
            checkpoint = self.fleet.server.call("GET", f"/api/v1/jobs/{self.fleet.job(name)}/status")[1]["checkpoint"]
            return checkpoint and checkpoint["last_id"]

        for name in names:
            wait_until(lambda name=name: committed(name), 60, f"a commit of {name}", 0.1)

    def mend(self):
        """Once, and when each was named."""
        if self.mended:
            return
        self.mended = True
        try:
            for name, (problem, *_) in FAULTS.items():
                self.fleet.wait_problem(name, problem)
        finally:
            self._mend()

    def _mend(self):
        fleet = self.fleet
        self.proxy.remove(self.delay)
        self.proxy.remove(self.cut)
        self.full.close()
        self.slow.stop()
        for name in ("held", "idle"):
            fleet.inputs[name].partitions = (0, 1)
        fleet.inputs["late"].rates["late"] = 0
        fleet.inputs["bad"].rates["bad"] = 0
        fleet.inputs["hot"].rates = {"good": 420}
        status, answer = fleet.server.call("POST", f"/api/v1/jobs/{fleet.job('loop')}/restart",
                                           {"config": json.dumps(fleet.config("loop", bad_data={"policy": "dead_letter"}))})
        assert status in (200, 202), answer
        fleet.inputs["loop"].rates["bad"] = 0


@pytest.fixture(scope="module")
def faults(_shared_kafka, _shared_proxy, tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults")
    with ExitStack() as stack:
        fleet = Fleet(folder, _shared_kafka, uuid.uuid4().hex[:8])
        stack.callback(_shared_proxy.reset)
        stack.callback(fleet.close)
        fleet.start()
        yield Faults(fleet, _shared_proxy, folder, stack).begin()


FAULTS = {
    # job: problem, severity, its line, the next step
    "held": ("partition_idle", "warning",
             r"partition \S+-held-in:1 of .* has had no data yet and holds the watermark back, for \d+(\.\d)? s",
             "see whether its producers run; event_time.idle says when it stops to count"),
    "idle": ("partition_idle", "warning", r"partition \S+-idle-in:1 of .* has no data; it is idle and does not hold the watermark",
             "see whether its producers run and whether their keys reach it"),
    "late": ("late_producer", "warning", r"\d+(\.\d)? late records/s \(\d+(\.\d)? %\), most from \S+-late-in:1",
             "look at the late records (page: late data; /late) for their producer; raise event_time.disorder or lateness if they are to count"),
    "hot": ("hot_key", "warning", r"key u-hot has \d+(\.\d)? % of the records to features: one of 2 subtasks does most of the work",
            "see who sends it; filter it, or split it into several keys and add up behind them"),
    "slow": ("slow_sink", "warning", r"Redis takes long to acknowledge rows of \S+: p50 \d+ ms, p99 \d+ ms, \S+ rows wait",
             "look at Redis (SLOWLOG, CPU, memory, network); rows wait and nothing is lost"),
    "disk": ("disk_full", "error", r"checkpoints cannot be stored: .*No space left on device.*",
             "free space on the checkpoint folder's file system; the job goes on by itself"),
    "broker": ("broker_gone", "error",
               r"the Kafka brokers do not answer: no connection to who leads \S+-broker-in:0, \S+-broker-in:1 for \d+(\.\d)? s",
               "bring the brokers back, or the network to them; the job goes on by itself"),
    "expired": ("offset_expired", "error",
                r"the input is gone where the job would go on: partition \S+-expired-in:0 lost offsets \d+\.\.\d+ before they were read .*",
                "see what is lost and how to go on: tidemill recover expired-"),
    "checkpoint": ("checkpoint_slow", "warning",
                   r"checkpoints take longer than their interval: \d\.\d s of 500 ms; most of it until it was committed",
                   "raise checkpoint.interval, or find what is slow: the page's checkpoints show each phase"),
    "bad": ("bad_data", "error", r"\d+(\.\d)? bad records/s \(\d+(\.\d)? %\), most: malformed",
            "look at the dead letters for their origin and mend the producer; they can be replayed afterwards"),
    "loop": ("crash_loop", "error",
             r"crash loop: ended \d+ times for one reason without a checkpoint in between: bad record \(policy fail\): .* offset \d+; .*",
             "see logs and exceptions; mend the cause or restart it with the binary and settings that worked: tidemill restart loop-"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named_alone_and_with_the_next_step(faults, name):
    problem, severity, line, step = FAULTS[name]
    found = faults.fleet.wait_problem(name, problem)
    assert (found["id"], found["severity"]) == (problem, severity)
    assert re.fullmatch(line, found["text"]), found
    assert found["next"].startswith(step), found
    code, out, err = faults.fleet.command.run("status", faults.fleet.job(name))
    assert code == FINISHED, err
    told = [text for text in out.splitlines() if re.match(r"(error|warning) \w+: ", text)]
    assert len(told) == 1 and told[0].startswith(f"{severity} {problem}: "), out
    assert re.search(line.removesuffix(".*"), told[0]), out
    assert out.splitlines()[1].startswith(f"  next: {step}"), out
    assert faults.fleet.seen[faults.fleet.job(name)].keys() <= {problem}, "nothing else, at any time"


def test_each_problem_goes_with_its_fault_and_a_healthy_job_never_had_one(faults):
    """All but that of the offset, which somebody has to decide about. Beside them one runs well for its whole life."""
    faults.mend()
    for name in FAULTS:
        if name != "expired":
            wait_until(lambda name=name: faults.fleet.problems(name) == [], 60, f"{name} is well again", 0.2)
    name = faults.fleet.job("healthy")
    wait_until(lambda: name in faults.fleet.seen, 20, "it was looked at")
    code, out, err = faults.fleet.command.run("status", name)
    assert code == FINISHED, err
    assert not re.search(r"(error|warning) \w+: ", out) and "running" in out, out
    status = faults.fleet.server.call("GET", f"/api/v1/jobs/{name}/status")[1]
    assert status["totals"]["rows"] > 100 and status["checkpoint"]["last_id"], status
    assert faults.fleet.seen[name] == {}
