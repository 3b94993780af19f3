"""Job binaries as the tests run them: found, configured, started, killed, and asked how they ended.

Two builds of each program: `feature_pipeline` is what users get; `feature_pipeline_testing` has the
crash points and the broken rules compiled in, chosen by the environment variables
TIDEMILL_CRASH_AT=<point>[:n] (the process kills itself with SIGKILL at the n-th pass) and
TIDEMILL_BREAK=<rule>.
"""

import json
import os
import signal
import subprocess
from pathlib import Path

from process import ChildProcess, wait_until

FINISHED, FAILED, WRONG_USAGE, REFUSED = 0, 1, 2, 3
KILLED = -signal.SIGKILL

# exactly-once.md 5.2.3, in the order in which a job passes them.
CRASH_POINTS = (
    "before_init", "after_init", "after_fence", "mid_restore", "mid_epoch", "at_barrier",
    "mid_snapshot", "before_manifest_rename", "after_manifest_rename", "after_snapshot",
    "after_control_record", "in_commit", "after_commit", "mid_gc", "in_recycle",
    "in_outbox_apply")


def binary(name):
    """The program's path. A missing one is a failure, never a skipped test."""
    folder = Path(os.environ.get("TIDEMILL_BIN")
                  or Path(__file__).parents[2] / "build" / "release" / "bin")
    path = folder / name
    if not os.access(path, os.X_OK):
        raise FileNotFoundError(f"{path} is not there: run scripts/build first")
    return path


def ledger_config(name, brokers, source, sink, checkpoints, interval="200ms"):
    """The configuration of `ledger_job`: the main job's names for the same things."""
    return {
        "job": name,
        "source": {"kafka": {"brokers": brokers, "topic": source, "start": "earliest"}},
        "sinks": {"kafka": {"topic": sink}},
        "checkpoint": {"dir": str(checkpoints), "interval": interval},
    }


def features_config(name, brokers, source, sink, checkpoints, interval="200ms", redis_url=None,
                    emit="on_watermark"):
    """The main job's configuration, with topics of its own for late and bad records."""
    config = ledger_config(name, brokers, source, sink, checkpoints, interval)
    config |= {
        "event_time": {"field": "timestamp", "disorder": "5s", "lateness": "1m", "idle": "30s",
                       "max_future_skew": "1h"},
        "key": "user_id",
        "features": {"windows": ["5m", "1h", "24h"], "emit": emit},
        "late": {"topic": f"{source}-late"},
        "bad_data": {"policy": "dead_letter", "topic": f"{source}-dlq"},
    }
    if redis_url is not None:
        config["sinks"]["redis"] = {"url": redis_url, "ttl": "auto"}
    return config


class Job:
    """One job with its configuration and checkpoint folder; one process of it at a time.

    A second instance of the same job is another Job over the same configuration.
    """

    def __init__(self, program, folder, config):
        self.path = binary(program)
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config = config
        self.checkpoints = Path(config["checkpoint"]["dir"])
        self.child = None
        self._starts = 0

    def start(self, *flags, crash_at=None, broken=None, environment=None):
        """Starts the program; its output goes to a log file of its own."""
        if self.child is not None and self.child.running():
            raise RuntimeError("the job already runs")
        env = self._environment() | (environment or {})
        if crash_at is not None:
            env["TIDEMILL_CRASH_AT"] = crash_at
        if broken is not None:
            env["TIDEMILL_BREAK"] = broken
        self._starts += 1
        self.child = ChildProcess(self._command(*flags), self.folder / f"job-{self._starts}.log",
                                  env=env, cwd=self.folder)
        self.child.start()
        return self

    def run(self, *flags, deadline_s=60, **how):
        """Starts it and waits for its end; returns the exit code."""
        self.start(*flags, **how)
        return self.child.wait(deadline_s)

    def ask(self, *flags, deadline_s=60):
        """Runs a command of the program that only tells something: (exit code, stdout)."""
        done = subprocess.run(self._command(*flags), capture_output=True, text=True,
                              timeout=deadline_s, cwd=self.folder, env=self._environment(),
                              check=False)
        return done.returncode, done.stdout

    @property
    def log(self):
        """Output of the newest start."""
        return self.child.log()

    def wait_log(self, text, deadline_s=30):
        """Until the newest start has printed this text; fails at once if it ended without."""
        def printed():
            ended = not self.child.running()
            if text in self.log:
                return True
            if ended:
                raise AssertionError(
                    f"the job ended ({self.child.exit_code}) without {text!r}:\n{self.child.tail()}")
            return False

        wait_until(printed, deadline_s, f"the job prints {text!r}")

    def stop(self, deadline_s=40):
        """SIGTERM; the exit code, which is 0 if it stopped as asked."""
        return self.child.terminate(deadline_s)

    def kill(self):
        if self.child is not None:
            self.child.kill()

    def manifests(self):
        """The manifests of all checkpoints on disk, oldest first."""
        return sorted((p for p in self.checkpoints.rglob("*")
                       if p.is_file() and p.name.lower().startswith("manifest")
                       and "-" not in p.name),  # RocksDB's own files are MANIFEST-000123
                      key=lambda p: p.stat().st_mtime_ns)

    @staticmethod
    def _environment():
        """Ours without what a job would take for settings."""
        return {k: v for k, v in os.environ.items() if not k.startswith("TIDEMILL_")}

    def _command(self, *flags):
        file = self.folder / "job.yaml"
        file.write_text(json.dumps(self.config, indent=1))  # JSON is YAML
        http = () if "--http" in flags else ("--http", "none")
        return [str(self.path), "--config", str(file), *http, *map(str, flags)]
