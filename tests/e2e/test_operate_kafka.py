"""A job's life on a real server with the real command, Kafka and Redis: killed, stopped, restarted, replayed, handed
over to a new version and back. What readers of the topic and of Redis see is what one uninterrupted run shows."""

import json
import os
import signal
from collections import Counter

import pytest
from job import FINISHED, REFUSED, binary
from job_server import Command, JobServer
from process import wait_until
from promotion import EVENTS, NEW, OLD, PREFIX, KafkaPromotion, by_key, findings, key_of


class Operated(KafkaPromotion):
    """The main job on a server, by what a person types."""

    def __init__(self, kafka, name, folder, redis):
        super().__init__(kafka, name, folder, redis)
        self.server = JobServer(folder).start()
        self.tidemill = Command(self.server)
        for kind, config in (("old", self.config), ("new", self.new)):
            (folder / f"{kind}.yaml").write_text(json.dumps(config))

    def do(self, *words):
        code, out, err = self.tidemill.run(*words)
        assert code == FINISHED, f"{words}: {code}\n{out}\n{err}"
        return out

    def status(self, job=None):
        return self.tidemill.json("status", job or self.name)

    def go_on(self):
        """More input, and until the job that stands in its place has read and committed it."""
        self.input.write(EVENTS // 4)
        self.wait_all_read(self.name)

    def wait_all_read(self, job):
        ends = self.log_ends(self.source)

        def there():
            status, answer = self.server.call("GET", f"/api/v1/jobs/{job}/hold")
            return status == 200 and answer["positions"] == ends

        wait_until(there, 60, f"{job} has read all", step_s=0.1)
        seen = None
        for _ in range(3):  # the first one may have been under way
            seen = wait_until(lambda last=seen: (now := self.last_checkpoint(job)) != last and now, 30,
                              f"{job} has committed it", step_s=0.1)

    def last_checkpoint(self, job):
        return (self.status(job)["checkpoint"] or {}).get("last_id")

    def rows(self, prefix=""):
        return {key[len(prefix) + len(PREFIX):]: row for key, row in self.redis.rows(prefix + PREFIX).items()}

    def promote(self, replay, kills=False):
        """The last line tells how to roll back. With kills the server is killed in each phase in which it is seen."""
        if not kills:
            return self.do("promote", replay).splitlines()[-1]
        self.do("promote", replay, "--no-wait")
        seen = []

        def done():
            now = self.server.call("GET", f"/api/v1/promotions?job={self.name}")[1]["promotions"][0]
            if now["phase"] not in seen:
                seen.append(now["phase"])
                self.server.child.kill()
                self.server.start()
            assert now["phase"] != "failed", now
            return now["phase"] == "done"

        wait_until(done, 60, f"{replay} is promoted")
        assert {"holding", "cutting", "moving"} & set(seen), seen
        return None

    def close(self):
        self.server.close()
        super().close()


@pytest.fixture
def run(kafka, name, tmp_path, redis_server):
    operated = Operated(kafka, f"ops-{name[-6:]}", tmp_path, redis_server)
    yield operated
    operated.close()


def kill_job(run):
    pid = run.server.line(run.name)["pid"]
    os.kill(pid, signal.SIGKILL)
    return wait_until(lambda: (now := run.server.line(run.name)["pid"]) not in (None, pid) and now, 30, "it runs again")


def first_of_each_key(new, replayed, visible, before):
    """Of an uninterrupted run's rows as many of each key as were put out until the roll back."""
    counts = Counter(key_of(row) for row in replayed + visible)
    counts.subtract(key_of(row) for row in before)
    return [row for key, rows in by_key(new).items() for row in rows[:counts[key]]]


def check_diff(diff, live, replay):
    """The answer by the test's own comparison of the two topics."""
    def last(texts):
        return {(key_of(text), json.loads(text)["computed_at"]): json.loads(text) for text in texts}

    new = last(replay)
    ends = [end(window for _, window in new) for end in (min, max)]
    old = {key: row for key, row in last(live).items() if ends[0] <= key[1] <= ends[1]}
    counts = {"equal": sum(old[key] == new[key] for key in old.keys() & new.keys()),
              "only_live": len(old.keys() - new.keys()), "only_replay": len(new.keys() - old.keys())}
    counts["different"] = len(old.keys() & new.keys()) - counts["equal"]
    assert counts["different"] and counts["only_replay"]
    assert {name: diff[name] for name in counts} == counts
    assert [diff["first_window"], diff["last_window"]] == ends
    for one in diff["differences"]:
        key = (one["key"], one["window"])
        assert (one["live"], one["replay"]) == (old.get(key), new.get(key))


@pytest.mark.timeout(240)  # a whole life: half a minute on an idle machine
def test_operated(run):
    job, do = run.name, run.do
    do("submit", binary("feature_pipeline"), "--name", job, "--config", run.folder / "old.yaml", "--wait")
    run.input.write(EVENTS)
    kill_job(run)
    run.go_on()

    # The server dies: its job does not notice, and is the next one's.
    pid = run.server.line(job)["pid"]
    run.server.child.kill()
    run.input.write(EVENTS // 4)
    run.server.start()
    run.server.wait_state(job, "running")
    assert run.server.line(job)["pid"] == pid
    run.wait_all_read(job)

    do("stop", job, "--savepoint", "--wait")
    kept = [p["id"] for p in run.tidemill.json("checkpoints", job)["restore_points"] if p["savepoint"]]
    assert len(kept) == 1
    do("restart", job, "--parallelism", 3, "--wait")
    assert wait_until(lambda: run.status()["parallelism"], 30, "its status") == 3
    do("cancel", job, "--wait")
    do("start", job, "--wait")
    run.go_on()
    assert run.tidemill.run("restore", job, "--from", kept[0])[0] == REFUSED

    # A range of the past, isolated.
    ends = run.log_ends(run.source)
    first, last = (",".join(f"{split}={end * share // 4}" for split, end in ends.items()) for share in (1, 3))
    do("replay", job, "--as", "part", "--from-offsets", first, "--until-offsets", last, "--wait")
    assert run.texts(f"{run.sink}.part")
    code, _, err = run.tidemill.run("promote", f"{job}.part")
    assert code == REFUSED and "the replay ends" in err
    of_range = run.tidemill.json("diff", f"{job}.part")
    assert of_range["outside"] and not of_range["only_replay"]  # its counts begin later: rows differ
    do("delete", f"{job}.part")

    # A new version, replayed from the beginning, takes over.
    do("replay", job, "--as", "new", "--config", run.folder / "new.yaml")
    run.wait_all_read(f"{job}.new")
    before, replayed, old_rows = run.texts(run.sink), run.texts(run.replay_sink), run.rows()
    assert run.rows("new:") and old_rows
    check_diff(run.tidemill.json("diff", f"{job}.new", "--show", 1000), before, replayed)
    of_redis = run.tidemill.json("diff", f"{job}.new", "--output", "redis")
    assert of_redis["keys"] == len(old_rows.keys() | run.rows("new:").keys())
    assert " different, " in do("diff", f"{job}.new")
    run.promote(f"{job}.new", kills=True)
    run.server.wait_state(job, "running")
    assert not run.rows("new:") and run.rows("before-new:") == old_rows
    run.go_on()

    # And back, from the savepoint at the cut, with the rows of then.
    promotion = run.tidemill.json("promotions")["promotions"][0]
    do("replay", job, "--as", "before-new", "--version", promotion["replaced_version"], "--restore", promotion["savepoint"])
    run.wait_all_read(f"{job}.before-new")
    at_roll_back = run.texts(run.sink)
    old_until_there = before + run.texts(f"{run.sink}.before-new")
    assert f"tidemill promote {job}.before-before-new" in run.promote(f"{job}.before-new")
    run.go_on()
    do("stop", job, "--drain", "--wait")

    run.input.finish()
    old, rows = run.reference(OLD, "ref-old")
    new, _ = run.reference(NEW, "ref-new")
    assert not findings(at_roll_back, before, replayed, old, first_of_each_key(new, replayed, at_roll_back, before))
    assert not findings(run.texts(run.sink), at_roll_back, old_until_there, at_roll_back, old)
    assert run.rows() == {key[len(PREFIX):] if key.startswith(PREFIX) else key: row for key, row in rows.items()}
    actions = do("audit")
    assert f"POST /api/v1/jobs/{job}/promote" in actions
