"""The main job under test: its topics, its input, and the verdict of the independent oracle
(jobs/feature_pipeline/tools) over what Kafka and Redis show."""

import json
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from job import FINISHED, Job, binary, features_config
from ledger import InputLedger, Tail, read_topic
from process import wait_until

VERIFY = Path(__file__).parents[2] / "jobs" / "feature_pipeline" / "tools" / "verify.py"


@dataclass
class Verdict:
    """What the oracle says, what it does not look at, and how the job ended."""
    equal: bool
    text: str
    findings: list
    last_exit: int

    @property
    def ok(self):
        return self.equal and not self.findings and self.last_exit == FINISHED

    def __str__(self):
        return "\n".join([self.text, *self.findings, f"last exit {self.last_exit}"])


class FeaturesRun:
    """Input events are the ledger's: 40 users, in order within the job's disorder."""

    def __init__(self, cluster, name, folder, seed=1, redis=None,
                 program="feature_pipeline_testing", brokers=None, partitions=4,
                 interval="200ms", emit="on_watermark", configure=None):
        binary(program)  # a missing one is told before anything else is started
        self.cluster = cluster
        self.name = name
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.redis = redis
        self.emit = emit
        self.source = cluster.create_topic(f"{name}-in", partitions)
        self.sink = cluster.create_topic(f"{name}-out", partitions)
        for kind in ("late", "dlq"):
            cluster.create_topic(f"{name}-in-{kind}", partitions)
        self.input = InputLedger(cluster, self.source, self.folder / "ledger.jsonl", seed,
                                 partitions)
        self.tail = Tail(cluster, self.sink)
        self.config = features_config(
            name, brokers or cluster.address, self.source, self.sink,
            self.folder / "checkpoints", interval, redis.url if redis else None, emit)
        if configure is not None:
            configure(self.config)
        self.job = Job(program, self.folder / "job", self.config)

    def wait_rows(self, more, deadline_s=30):
        """Until that many more rows are committed; fails at once when the job ends before."""
        rows = self.tail.count + more

        def there():
            ended = not self.job.child.running()
            if self.tail.count >= rows:
                return True
            if ended:
                raise AssertionError(f"the job ended ({self.job.child.exit_code}) with "
                                     f"{self.tail.count} of {rows} rows:\n{self.job.child.tail()}")
            return False

        wait_until(there, deadline_s, f"{rows} rows committed (there are {self.tail.count})")

    def finish(self, deadline_s=60):
        """Ends the input, runs the job to the end of it, and judges."""
        self.input.finish()
        if self.job.child is not None and self.job.child.running():
            self.job.stop()
        last_exit = self.job.run("--until-offsets", "latest", deadline_s=deadline_s)
        return self.judge(last_exit)

    def judge(self, last_exit, unfinished=False):
        """The verdict on what is there now. unfinished: the job was stopped, not at its end."""
        arguments = [self.source, self.sink, "--kafka", self.cluster.address, "--emit", self.emit]
        if self.redis is not None:
            arguments += ["--redis", f"127.0.0.1:{self.redis.port}/0"]
        if unfinished:
            arguments += ["--unfinished"]
        done = subprocess.run([sys.executable, VERIFY, *arguments], capture_output=True, text=True,
                              timeout=120, check=False)
        rows = read_topic(self.cluster, self.sink, deadline_s=90)
        findings = self.tail.finish(rows) + row_findings(rows)
        return Verdict(done.returncode == 0, done.stdout + done.stderr, findings, last_exit)

    def close(self):
        self.job.kill()


def row_findings(rows):
    """No row twice; for each user one partition, and computed_at never moves back in the log."""
    findings = []
    for (key, value), copies in Counter((r.key, r.value) for r in rows).items():
        if copies > 1:
            findings.append(f"{copies} times the row {value.decode(errors='replace')}")
    newest, home = {}, {}
    for row in sorted(rows, key=lambda r: (r.partition, r.offset)):
        at = json.loads(row.value)["computed_at"]  # ISO 8601, one width: order of text is of time
        where = f"{row.partition}@{row.offset} ({row.key.decode(errors='replace')})"
        if home.setdefault(row.key, row.partition) != row.partition:
            findings.append(f"user in two partitions: {where}")
        if at < newest.get(row.key, ""):
            findings.append(f"computed_at moves back: {where}")
        newest[row.key] = at
    return findings
