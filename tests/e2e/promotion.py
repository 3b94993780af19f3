"""A job, a replay of it, and the hand-over between them, by what a person or the server calls: `--as`,
SIGTERM, `--hold-offsets`, `--take-over`. Old and new version are two settings of the main job."""

import json
import re
from collections import defaultdict

from job import FINISHED
from process import wait_until


def offsets_of(job, *flags):
    """Where the last checkpoint stands: {split: offset}."""
    listed = job.ask(*flags, "--inspect", "latest")
    return {split: int(offset) for split, offset in
            re.findall(r"^  (\S+) +next offset (\d+)", listed[1], re.M)}


def lineage_of(job):
    listed = job.ask("--inspect", "latest")
    return re.search(r"^lineage +(\S+)", listed[1], re.M).group(1)


def by_key(rows):
    """Rows (JSON texts) in the order in which a reader of one key sees them."""
    keys = defaultdict(list)
    for row in rows:
        keys[json.loads(row)["user_id"]].append(row)
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
