"""One ledger job under test: its topics, its input, the reader that follows its output, and the
verdict at the end."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import ledger_checker
from control_topic import control_topic, records
from job import FINISHED, Job, binary, ledger_config
from ledger import InputLedger, Tail, read_topic
from process import wait_until


@dataclass
class Verdict:
    """The checker's report and what the concurrent reader found."""
    report: ledger_checker.Report
    tail: list
    last_exit: int

    @property
    def ok(self):
        return self.report.ok and not self.tail and self.last_exit == FINISHED

    def __str__(self):
        lines = [str(self.report)] + [f"  concurrent reader: {finding}" for finding in self.tail]
        if self.last_exit != FINISHED:
            lines.append(f"  the job's last run ended with {self.last_exit}")
        return "\n".join(lines)


class LedgerRun:
    """`jobs` are instances of the same job (same name, same checkpoints); most tests use one.

    brokers: what the job is given; the direct address unless a test puts the proxy between.
    """

    def __init__(self, cluster, name, folder, seed=1, program="ledger_job_testing", brokers=None,
                 partitions=4, interval="200ms", configure=None):
        binary(program)  # a missing one is told before anything else is started
        self.cluster = cluster
        self.name = name
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        # Tests may write an input larger than any client sends by default.
        self.source = cluster.create_topic(f"{name}-in", partitions, max_message_bytes=4_000_000)
        self.sink = cluster.create_topic(f"{name}-out", 2)
        self.input = InputLedger(cluster, self.source, self.folder / "ledger.jsonl", seed,
                                 partitions)
        self.tail = Tail(cluster, self.sink)
        self.config = ledger_config(name, brokers or cluster.address, self.source, self.sink,
                                    self.folder / "checkpoints", interval)
        if configure is not None:
            configure(self.config)
        self.program = program
        self.job = Job(program, self.folder / "job", self.config)
        self._others = []

    def second_instance(self):
        """Another process of the same job, sharing its checkpoint folder."""
        other = Job(self.program, self.folder / f"job-{len(self._others) + 2}", self.config)
        self._others.append(other)
        return other

    def wait_rows(self, more, deadline_s=30, job=None):
        """Until the job has committed that many rows more than now."""
        self.wait_total(self.tail.count + more, deadline_s, job)

    def wait_total(self, rows, deadline_s=30, job=None):
        """Until that many rows are committed; fails at once when the job ends before."""
        job = job or self.job

        def there():
            ended = not job.child.running()
            if self.tail.count >= rows:
                return True
            if ended:
                raise AssertionError(f"the job ended ({job.child.exit_code}) with "
                                     f"{self.tail.count} of {rows} rows:\n{job.child.tail()}")
            return False

        wait_until(there, deadline_s, f"{rows} rows committed (there are {self.tail.count})")

    def wait_for_commits(self, count, deadline_s=30):
        """Until the control topic holds that many commit records more than none."""
        topic = control_topic(self.name)

        def there():
            if not self.job.child.running():
                raise AssertionError(f"the job ended without a commit:\n{self.job.child.tail()}")
            if topic not in self.cluster.admin.list_topics(timeout=10).topics:
                return False
            # Every commit leaves a record and its transaction's marker.
            return self.cluster.end_offsets(topic)[0] >= 2 * count

        wait_until(there, deadline_s, f"{count} commit records", 0.1)

    def finish(self, job=None, deadline_s=60, strict_epochs=True):
        """Ends the input, lets the job (started if it does not run) commit all of it, stops it,
        and judges. Missing rows and a wrong exit code are part of the verdict."""
        job = job or self.job
        self.input.finish()
        if job.child is None or not job.child.running():
            job.start()
            # Asked to stop before it can know what that means, a process would just die.
            job.wait_log(f"job {self.name}: ")
        with suppress(AssertionError, TimeoutError):  # the checker says what is missing
            self.wait_total(len(self.input.committed), deadline_s, job)
        last_exit = job.stop() if job.child.running() else job.child.exit_code
        return self.judge(last_exit, strict_epochs)

    def judge(self, last_exit=FINISHED, strict_epochs=True):
        """The verdict on what is there now; nothing may run any more."""
        self.close()
        outputs = read_topic(self.cluster, self.sink, deadline_s=90)
        commits = [record.value for record in records(self.cluster, self.name)]
        report = ledger_checker.check(self.input.records, outputs, strict_epochs, commits)
        return Verdict(report, self.tail.finish(outputs), last_exit)

    def close(self):
        """Kills whatever still runs."""
        for job in (self.job, *self._others):
            job.kill()
