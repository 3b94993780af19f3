"""The main job on the file log alone: an input of its own, no server, seconds to run."""

import json
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

from job import Job
from process import wait_until

START_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z


def event(user, at_s, value=1, action="click"):
    return {"user_id": user, "action": action, "value": value, "timestamp": START_MS + at_s * 1000}


class FileJob(Job):
    """`feature_pipeline` over folder/events; rows in folder/rows."""

    def __init__(self, folder, partitions=2, emit="on_record", **more):
        folder = Path(folder)
        self.events = folder / "events"
        self.rows_folder = folder / "rows"
        self._files = 0
        config = {
            "job": "features",
            "source": {"file": {"dir": str(self.events)}},
            "event_time": {"field": "timestamp", "disorder": "5s", "lateness": "1m", "idle": "off"},
            "features": {"windows": ["5m"], "emit": emit},
            "sinks": {"file": {"dir": str(self.rows_folder)}},
            "bad_data": {"policy": "dead_letter"},
            "checkpoint": {"dir": str(folder / "checkpoints"), "interval": "50ms"},
            "parallelism": 2,
        }
        super().__init__("feature_pipeline", folder / "job", config | more)
        for partition in range(partitions):
            (self.events / f"partition-{partition}").mkdir(parents=True)

    def append(self, partition, *events):
        """One more file of that partition, whole at once."""
        self._files += 1
        folder = self.events / f"partition-{partition}"
        text = "".join((e if isinstance(e, str) else json.dumps(e)) + "\n" for e in events)
        (folder / f"{self._files:06}.tmp").write_text(text, encoding="utf-8")
        (folder / f"{self._files:06}.tmp").rename(folder / f"{self._files:06}.jsonl")

    def rows(self, folder=None):
        files = sorted(Path(folder or self.rows_folder).rglob("*.jsonl"))
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]

    def wait_rows(self, count, deadline_s=30):
        def there():
            if not self.child.running() and len(self.rows()) < count:
                raise AssertionError(f"the job ended ({self.child.exit_code}):\n{self.child.tail()}")
            return len(self.rows()) >= count

        wait_until(there, deadline_s, f"{count} rows in {self.rows_folder}")

    def tell(self, *flags, environment=None, config=True):
        """Runs the program to its end: exit code, stdout, stderr apart."""
        command = self._command(*flags) if config else [str(self.path), *map(str, flags)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False,
                              cwd=self.folder, env=self._environment() | (environment or {}))
        return done.returncode, done.stdout, done.stderr

    def address(self):
        """Where the running job serves metrics and health, from its log."""
        def found():
            at = self.log.find("http://")
            return self.log[at:].split()[0] if at >= 0 else None

        return wait_until(found, 20, "the job prints its address")

    def get(self, path):
        """(status, body) of the running job's page."""
        try:
            with urllib.request.urlopen(self.address().rstrip("/") + path, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
