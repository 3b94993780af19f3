"""A checkpoint that a former version wrote: today's program goes on from it, and the rows are as if
nothing had happened (tests/e2e/old_checkpoint/README.md says how it was made)."""

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from job import FINISHED, Job

HERE = Path(__file__).parent
VERIFY = HERE.parents[1] / "jobs" / "feature_pipeline" / "tools" / "verify.py"
CONFIG = {
    "job": "features",
    "source": {"file": {"dir": "../events"}},
    "event_time": {"field": "timestamp", "disorder": "5s", "lateness": "1m", "idle": "off"},
    "features": {"windows": ["5m", "10m"], "emit": "on_record"},
    "sinks": {"file": {"dir": "../rows"}},
    "bad_data": {"policy": "dead_letter"},
    "checkpoint": {"dir": "../checkpoints", "interval": "50ms"},
    "parallelism": 2,
}


@pytest.fixture
def folder(tmp_path):
    with tarfile.open(HERE / "old_checkpoint" / "features-83d1344.tar.gz") as packed:
        packed.extractall(tmp_path)
    return tmp_path / "features"


def end_input(folder):
    for partition in (0, 1):
        name = f"partition-{partition}"
        for file in (folder / "rest" / name).iterdir():
            shutil.copy(file, folder / "events" / name)


def verdict(folder):
    done = subprocess.run(
        [sys.executable, VERIFY, folder / "events", folder / "rows", "--windows", "5m,10m",
         "--disorder", "5s", "--lateness", "1m", "--emit", "on_record",
         "--late", folder / "user-events-late", "--dlq", folder / "user-events-dlq"],
        capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("parallelism", [1, 2])
def test_it_is_restored_and_ends_with_the_rows_of_the_oracle(folder, parallelism):
    end_input(folder)
    job = Job("feature_pipeline", folder / "job", CONFIG | {"parallelism": parallelism})
    assert job.run() == FINISHED, job.child.tail()
    assert "last committed checkpoint 20-e263d95b-c546fc4d" in job.log
    code, text = verdict(folder)
    assert code == 0, text


def test_the_rows_come_from_its_state(folder):
    """Negative control: the second half alone, without the checkpoint, gives other rows."""
    shutil.rmtree(folder / "checkpoints")
    for name in ("rows", "user-events-late", "user-events-dlq"):
        shutil.rmtree(folder / name)
    first_half = folder / "events"
    (folder / "rest").rename(folder / "rest-alone")
    first_half.rename(folder / "rest")
    (folder / "rest-alone").rename(folder / "events")
    assert Job("feature_pipeline", folder / "job", CONFIG).run() == FINISHED
    end_input(folder)
    code, text = verdict(folder)
    assert code == 1, text
