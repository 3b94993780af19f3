"""`--restore ID --accept-duplicates`: what a user gets who goes back to an older checkpoint."""

import json

import pytest

from job import FINISHED, KILLED, REFUSED, Job
from ledger_run import LedgerRun
from process import wait_until


class FileRun:
    """The main job from files to files, stopped after 100 events (`old` is its checkpoint then) and
    again after 200."""

    def __init__(self, folder):
        self.rows_dir = folder / "rows"
        self.input = folder / "events" / "partition-0"
        self.input.mkdir(parents=True)
        self.written = 0
        self.job = Job("feature_pipeline_testing", folder / "job", {
            "job": "by-choice",
            "source": {"file": {"dir": str(self.input.parent), "follow": True}},
            "event_time": {"disorder": "5s"},
            "sinks": {"file": {"dir": str(self.rows_dir), "partitions": 2}},
            "checkpoint": {"dir": str(folder / "checkpoints"), "interval": "100ms",
                           "retained": 1000},
        })
        self.go_on(100)
        self.old = self.job.manifests()[-1].parent.name
        self.go_on(100)

    def go_on(self, events, *flags):
        """Reads that many more events and is stopped when their rows are there."""
        self.write(events)
        self.job.start(*flags)
        self.wait_all()
        assert self.job.stop() == FINISHED, self.job.child.tail()

    def write(self, events):
        with open(self.input / f"{self.written:06}.jsonl", "w", encoding="utf-8") as file:
            for i in range(self.written, self.written + events):
                file.write(json.dumps({"user_id": f"u{i % 7}", "action": "view", "value": i,
                                       "timestamp": 1_767_225_600_000 + i}) + "\n")
        self.written += events

    def wait_all(self):
        def there():
            assert self.job.child.running(), self.job.child.tail()
            rows = self.rows()
            return len(rows) == self.written and not self.hidden(".part")

        wait_until(there, 30, f"{self.written} rows")

    def rows(self):
        return [line for path in self.rows_dir.glob("partition-*/*.jsonl")
                for line in path.read_text().splitlines()]

    def hidden(self, pattern):
        return sorted(p for p in self.rows_dir.glob("partition-*/*") if pattern in p.name)

    def assert_whole(self):
        """Each event's row once, and each file's name is the number of its first row."""
        values = sorted(json.loads(row)["computed_at"] for row in self.rows())
        assert len(values) == len(set(values)) == self.written
        for partition in self.rows_dir.iterdir():
            offset = 0
            for path in sorted(partition.glob("*.jsonl")):
                assert int(path.stem) == offset, path
                offset += len(path.read_text().splitlines())

    def given_up_rows(self):
        return sorted(line for path in self.hidden(".given-up-")
                      for line in path.read_text().splitlines())


@pytest.fixture
def run(tmp_path):
    made = FileRun(tmp_path)
    yield made
    made.job.kill()


def test_files_of_later_checkpoints_are_replaced_not_doubled(run):
    before = sorted(run.rows())
    assert run.job.run("--restore", run.old) == REFUSED
    assert sorted(run.rows()) == before and not run.hidden(".given-up-")
    run.job.start("--restore", run.old, "--accept-duplicates")
    wait_until(lambda: run.hidden(".given-up-"), 30, "files of later checkpoints are given up")
    run.wait_all()
    assert run.job.stop() == FINISHED
    run.assert_whole()
    assert sorted(run.rows()) == before
    assert len(run.given_up_rows()) == 100
    run.go_on(50)  # a plain start goes on from there
    run.assert_whole()
    assert len(run.given_up_rows()) == 100


@pytest.mark.parametrize("point", ["after_fence", "before_manifest_rename"])
def test_until_the_new_history_is_committed_the_old_one_counts(run, point):
    before = sorted(run.rows())
    run.job.start("--restore", run.old, "--accept-duplicates", crash_at=point)
    assert run.job.child.wait(30) == KILLED
    assert sorted(run.rows()) == before
    run.go_on(50)
    run.assert_whole()
    assert not run.hidden(".given-up-")


@pytest.mark.parametrize("point", ["after_commit", "in_outbox_apply"])
def test_once_it_is_committed_a_crash_changes_nothing(run, point):
    run.job.start("--restore", run.old, "--accept-duplicates", crash_at=point)
    assert run.job.child.wait(30) == KILLED
    run.job.start()
    wait_until(lambda: run.hidden(".given-up-"), 30, "what was committed is published")
    run.wait_all()
    assert run.job.stop() == FINISHED
    run.assert_whole()
    assert len(run.given_up_rows()) == 100


def test_rows_in_kafka_come_again(kafka, name, tmp_path):
    """A topic keeps what was committed: the flag says so, and the new lineage is remembered."""
    def keep_all(config):
        config["checkpoint"]["retained"] = 1000

    run = LedgerRun(kafka, name, tmp_path, configure=keep_all)
    try:
        run.input.write(300)
        run.job.start()
        run.wait_total(300)
        assert run.job.stop() == FINISHED
        old = run.job.manifests()[-1].parent.name
        run.input.write(200)
        run.job.start()
        run.wait_total(500)
        assert run.job.stop() == FINISHED
        assert run.job.run("--restore", old) == REFUSED
        assert "--accept-duplicates" in run.job.log
        run.job.start("--restore", old, "--accept-duplicates")
        run.wait_total(700)
        assert run.job.stop() == FINISHED
        assert old in next(run.job.checkpoints.rglob("audit.log")).read_text()
        run.input.write(100)
        run.job.start()
        run.wait_total(800)
        assert run.job.stop() == FINISHED
        report = run.judge().report
        assert len(report.wrong["doubled"]) == 200 and "lost" not in report.wrong, report
    finally:
        run.close()
