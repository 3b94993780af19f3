"""A replayed version takes the place of the live one: rows of the old version before the cut, of the new
one behind it, each once, whatever is killed when (docs/decisions/0005_promotion.md). On the file log,
where the manifest is the commit record."""

import json
import random
import shutil

import pytest

from job import FINISHED, KILLED, REFUSED, Job
from process import wait_until
from promotion import Promotion, findings, lineage_of, offsets_of

EVENTS = 400
START_MS = 1_767_225_600_000
# From the start of a take-over to its end; the decision is the rename of the manifest.
BEFORE_DECISION = ("after_fence", "take_over_noted", "mid_restore", "mid_snapshot", "before_manifest_rename")
BEHIND_DECISION = ("after_manifest_rename", "after_commit", "take_over_decided")


def config(root, windows, follow):
    return {
        "job": "features",
        "source": {"file": {"dir": str(root / "events"), "follow": follow}},
        "event_time": {"disorder": "5s", "lateness": "10s", "idle": "off"},
        "features": {"windows": windows, "emit": "on_watermark"},
        "sinks": {"file": {"dir": str(root / "rows"), "partitions": 2}},
        "checkpoint": {"dir": str(root / "checkpoints"), "interval": "50ms"},
        "parallelism": 2,
    }


OLD, NEW = ["1m"], ["1m", "5m"]


def job(root, name, windows, follow=True):
    return Job("feature_pipeline_testing", root / name, config(root, windows, follow))


def write(root, part, events):
    """Both partitions go on, in event time by a second an event, within the disorder."""
    chance = random.Random(part)
    for partition in range(2):
        folder = root / "events" / f"partition-{partition}"
        folder.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps({"user_id": f"u{chance.randrange(9)}", "action": "view", "value": i,
                             "timestamp": START_MS + (part * events + i) * 1000 - chance.randrange(4000)})
                 for i in range(events)]
        (folder / f"{part}.tmp").write_text("\n".join(lines) + "\n")
        (folder / f"{part}.tmp").rename(folder / f"{part:06}.jsonl")


def rows(folder):
    return [line for path in sorted(folder.glob("partition-*/*.jsonl"))
            for line in path.read_text().splitlines()]


def promotion(root):
    return Promotion(job(root, "live", OLD), job(root, "replay", NEW), job(root, "promoted", NEW))


class Cut:
    """The files of a job that was stopped in the middle of its input, and of a replay that stands there."""

    def __init__(self, root):
        self.root = root
        write(root, 0, EVENTS)
        self.reference = {}
        run = promotion(root)
        run.live.start()
        run.start_replay(hold={"events:0": EVENTS // 2, "events:1": EVENTS // 2})  # never beyond the live one
        wait_until(lambda: set(offsets_of(run.live).values()) == {EVENTS}, 60, "the live job has read all")
        self.offsets = run.stop_live()
        run.stop_replay_at({"events:0": EVENTS // 2, "events:1": EVENTS // 2})
        run.start_replay(hold=self.offsets)
        run.stop_replay_at(self.offsets)
        self.before = rows(root / "rows")
        self.replayed = rows(root / "rows.new")
        write(root, 1, EVENTS)
        for name, windows in (("old", OLD), ("new", NEW)):
            other = root / f"reference-{name}"
            other.mkdir()
            shutil.copytree(root / "events", other / "events")
            reference = job(other, "job", windows, follow=False)
            assert reference.run() == FINISHED, reference.child.tail()
            self.reference[name] = rows(other / "rows")

    def judge(self, root):
        return findings(rows(root / "rows"), self.before, self.replayed, self.reference["old"],
                        self.reference["new"])


@pytest.fixture(scope="module")
def cut(tmp_path_factory):
    return Cut(tmp_path_factory.mktemp("cut"))


@pytest.fixture
def root(cut, tmp_path):
    for name in ("events", "rows", "rows.new", "checkpoints", "user-events-late", "user-events-late.new"):
        shutil.copytree(cut.root / name, tmp_path / name)
    return tmp_path


def go_on_to_the_end(root):
    """The new version, started as the job."""
    last = job(root, "last", NEW, follow=False)
    assert last.run() == FINISHED, last.child.tail()


def test_rows_begin_where_the_old_ones_end(cut, root):
    run = promotion(root)
    assert cut.before and cut.replayed, "both versions have rows before the cut"
    assert run.take_over() == FINISHED, run.promoted.child.tail()
    assert offsets_of(run.promoted) == cut.offsets
    assert lineage_of(run.promoted).startswith("features.new/")
    assert "takes over features.new/" in (root / "checkpoints/features/audit.log").read_text()
    assert run.take_over() == FINISHED  # again: it is done
    go_on_to_the_end(root)
    assert not cut.judge(root)


@pytest.mark.parametrize("point", BEFORE_DECISION)
def test_killed_before_the_decision_the_old_version_stands(cut, root, point):
    run = promotion(root)
    assert run.take_over(crash_at=point) == KILLED, run.promoted.child.tail()
    assert not lineage_of(run.live).startswith("features.new/")
    hold = ",".join(f"{s}={n}" for s, n in cut.offsets.items())
    run.live.start("--hold-offsets", hold)  # it goes on, only not beyond the cut
    run.live.wait_log("last committed checkpoint")
    assert run.stop_live() == cut.offsets
    assert run.take_over() == FINISHED, run.promoted.child.tail()
    go_on_to_the_end(root)
    assert not cut.judge(root)


@pytest.mark.parametrize("point", BEHIND_DECISION)
def test_killed_behind_the_decision_the_new_one_does(cut, root, point):
    run = promotion(root)
    assert run.take_over(crash_at=point) == KILLED, run.promoted.child.tail()
    assert lineage_of(run.live).startswith("features.new/")
    assert run.live.run() == REFUSED and "--take-over features.new/" in run.live.log
    assert run.take_over() == FINISHED, run.promoted.child.tail()
    go_on_to_the_end(root)
    assert not cut.judge(root)


def test_refused_unless_the_offsets_are_equal(cut, root):
    run = promotion(root)
    beyond = {"events:0": EVENTS + 20, "events:1": EVENTS + 27}
    run.start_replay(hold=beyond)
    run.replay.wait_log("last committed checkpoint")  # it has the lock
    assert run.take_over() == REFUSED and "another process runs this job" in run.promoted.log
    run.stop_replay_at(beyond)
    assert run.take_over() == REFUSED
    assert (f"events:0: {EVENTS} and {EVENTS + 20}, events:1: {EVENTS} and {EVENTS + 27};"
            in run.promoted.log), run.promoted.log
    run.live.start("--hold-offsets", f"events:0={EVENTS},events:1={EVENTS}")  # nothing has changed
    run.live.wait_log("last committed checkpoint")
    assert run.stop_live() == cut.offsets
    # The control: without the comparison the rows are wrong, and that is seen.
    assert run.take_over(broken="take_over_anywhere") == FINISHED, run.promoted.child.tail()
    go_on_to_the_end(root)
    assert cut.judge(root)


def test_a_hold_beyond_which_the_job_stands_is_refused(root):
    run = promotion(root)
    assert run.live.run("--hold-offsets", f"events:0={EVENTS},events:1={EVENTS - 1}") == REFUSED
    assert f"events:1 is at {EVENTS}, beyond {EVENTS - 1}" in run.live.log


def test_roll_back_to_the_previous_version(cut, root):
    """It begins with the state at the cut, whatever the new one has put out since."""
    run = promotion(root)
    savepoint = root / "savepoint"
    shutil.copytree(root / "checkpoints/features", savepoint)
    at_the_cut = max((p for p in savepoint.iterdir() if (p / "manifest").exists()),
                     key=lambda p: int(p.name.split("-")[0])).name
    assert run.take_over() == FINISHED, run.promoted.child.tail()
    middle = {split: EVENTS + EVENTS // 2 for split in cut.offsets}
    run.promoted.start("--hold-offsets", ",".join(f"{s}={n}" for s, n in middle.items()))
    wait_until(lambda: offsets_of(run.promoted) == middle, 60, "the new version has gone on")
    assert run.promoted.stop() == FINISHED
    shutil.copytree(savepoint / at_the_cut, root / "checkpoints/features" / at_the_cut,
                    dirs_exist_ok=True)  # savepoints stay; this one is kept by hand
    at_roll_back = rows(root / "rows")
    back = Promotion(job(root, "promoted", NEW), job(root, "replay", OLD), job(root, "live", OLD),
                     name="before-new")
    back.start_replay(hold=middle, more=("--from-checkpoint", f"features/{at_the_cut}"))
    back.stop_replay_at(middle)
    assert back.take_over() == FINISHED, back.promoted.child.tail()
    last = job(root, "last", OLD, follow=False)
    assert last.run() == FINISHED, last.child.tail()
    # Up to there the new version's rows stay; from there on they are the old one's.
    old_until_there = cut.before + rows(root / "rows.before-new")
    assert not findings(rows(root / "rows"), at_roll_back, old_until_there, at_roll_back,
                        cut.reference["old"])


def test_an_old_instance_that_wakes_up_writes_nothing(tmp_path, redis_server):
    """Frozen over the hand-over, its connection closed by it, it reads on and has rows that are later than the
    moved ones, so that no guard by time keeps them out. A job with a Kafka sink may be stopped by its fenced
    producer before; this one writes to Redis alone, where only the fence does. The control: without it the old
    version's rows come back."""
    root = tmp_path

    def redis_job(name, windows, checkpoints="checkpoints"):
        settings = config(root, windows, follow=True)
        settings["sinks"] = {"redis": {"url": redis_server.url, "key_prefix": "features:", "ttl": "1h"}}
        settings["late"] = {"dir": str(root / "late")}
        settings["checkpoint"]["dir"] = str(root / checkpoints)
        return Job("feature_pipeline_testing", root / name, settings)

    def connections():
        return str(redis_server.client().client_list()).count("tidemill/features/rows_to_redis/")

    write(root, 0, EVENTS)
    run = Promotion(redis_job("live", OLD), redis_job("replay", NEW), redis_job("promoted", NEW))
    run.live.start()
    run.live.wait_log("first start")
    wait_until(lambda: set(offsets_of(run.live).values()) == {EVENTS}, 60, "the live job has read all")
    at_the_cut = run.stop_live()
    run.start_replay(hold=at_the_cut)
    run.stop_replay_at(at_the_cut)
    zombies = []
    for broken in (None, "no_redis_fence"):
        folder = f"zombie-{broken}"
        shutil.copytree(root / "checkpoints", root / folder)  # as on another machine: no lock keeps it out
        zombies.append(redis_job(folder, OLD, folder).start(broken=broken))
        zombies[-1].wait_log("last committed checkpoint")
        wait_until(lambda: connections() == 2, 30, "its subtasks are connected, those of an older one not any more")
        zombies[-1].child.freeze()
    try:
        assert run.take_over() == FINISHED, run.promoted.child.tail()
        moved = redis_server.rows()
        assert moved and connections() == 0
        write(root, 1, EVENTS)
        fenced, broken = zombies
        fenced.child.thaw()
        fenced.wait_log("another version of this job has taken over its Redis keys")
        fenced.kill()
        assert redis_server.rows() == moved
        broken.child.thaw()
        wait_until(lambda: redis_server.rows() != moved, 30, "the old version's rows come back")
    finally:
        for zombie in zombies:
            zombie.kill()
