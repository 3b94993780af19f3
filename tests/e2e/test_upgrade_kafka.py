"""A job on Kafka under a server goes over to a program with an added field, exactly once, and one whose state does not fit is
refused with the reason while the job goes on."""

import json
import os
import signal
from collections import defaultdict

import pytest
from job import FINISHED, REFUSED, binary
from job_server import Command, JobServer
from ledger import read_topic
from ledger_run import LedgerRun
from process import wait_until


class Upgraded(LedgerRun):
    """The ledger under a server instead of as a process of its own."""

    def __init__(self, kafka, name, folder):
        super().__init__(kafka, name, folder, program="ledger_job")
        self.server = JobServer(folder).start()
        self.tidemill = Command(self.server)
        self.config_file = self.folder / "ledger.json"
        self.config_file.write_text(json.dumps(self.config))

    def do(self, *words):
        code, out, err = self.tidemill.run(*words)
        assert code == FINISHED, f"{words}: {code}\n{out}\n{err}"
        return out

    def wait_all(self):
        wait_until(lambda: self.tail.count >= len(self.input.committed), 60, "every record has its row")

    def close(self):
        self.server.close()
        super().close()


@pytest.fixture
def run(kafka, name, tmp_path):
    run = Upgraded(kafka, f"upgrade-{name[-6:]}", tmp_path)
    yield run
    run.close()


def rows_by_key(run):
    rows = defaultdict(list)
    for record in read_topic(run.cluster, run.sink):
        row = json.loads(record.value)
        rows[row["key"]].append(row)
    return rows


def test_upgraded(run):
    job = run.name
    run.do("submit", binary("ledger_job"), "--name", job, "--config", run.config_file, "--wait")
    run.input.write(1000)
    run.wait_all()

    pid = run.server.line(job)["pid"]
    code, _, err = run.tidemill.run("restart", job, "--binary", binary("ledger_job_text"), "--wait")
    assert code == REFUSED and "field n is int64, the program wants text" in err, (code, err)
    run.input.write(300)
    run.wait_all()
    assert run.server.line(job)["pid"] == pid, "it was not even stopped"

    out = run.do("check-upgrade", job, binary("ledger_job_longer"))
    assert "field added: since_upgrade" in out
    run.input.write(300)  # while it goes over
    run.do("restart", job, "--binary", binary("ledger_job_longer"), "--wait")
    run.input.write(500)
    pid = run.server.line(job)["pid"]
    os.kill(pid, signal.SIGKILL)
    run.input.write(200)
    run.input.finish()
    run.wait_all()
    run.do("stop", job, "--wait")

    verdict = run.judge()
    assert verdict.ok, verdict
    for key, rows in rows_by_key(run).items():
        rows.sort(key=lambda row: row["n"])
        since = [row["since_upgrade"] for row in rows if "since_upgrade" in row]
        assert since and since == list(range(1, len(since) + 1)), f"{key}: the added field began at 0 and was kept: {since}"
        assert all("since_upgrade" in row for row in rows[-len(since):]), f"{key}: the former program wrote behind the later one"
