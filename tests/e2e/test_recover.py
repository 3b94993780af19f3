"""`tidemill recover`: each refusal told with its row and its choices, nothing changed by that, and a start with one choice, once."""

import json
import os
import re
import signal
import subprocess

import pytest

import control_topic
import ledger_checker
from job import FINISHED, REFUSED, WRONG_USAGE, binary
from job_server import JobServer
from ledger import read_topic
from ledger_run import LedgerRun
from process import ChildProcess, wait_until


@pytest.fixture
def stopped(kafka, name, tmp_path):
    """A job that has processed 1000 records and was stopped; 300 more wait."""
    run = LedgerRun(kafka, name, tmp_path, program="ledger_job")
    try:
        run.input.write(1000)
        run.job.start()
        run.wait_total(1000)
        assert run.job.stop() == FINISHED, run.job.child.tail()
        run.input.write(300)
        yield run
    finally:
        run.close()


class Recover:
    """The command for a job that no server runs."""

    def __init__(self, run):
        self.run = run
        program, _, config, *rest = run.job._command()
        self.words = ["recover", "--binary", program, "--config", config, *(f"--arg={word}" for word in rest)]
        self.environment = run.job._environment()

    def tell(self, *flags):
        """(exit code, stdout, stderr); what it found may not be changed by it."""
        before = self.state()
        done = subprocess.run([binary("tidemill"), *self.words, *flags], capture_output=True, text=True, timeout=90, check=False,
                              cwd=self.run.job.folder, env=self.environment)
        assert self.state() == before, "it only tells"
        return done.returncode, done.stdout, done.stderr

    def refusal(self, *flags):
        code, out, err = self.tell("--json", *flags)
        answer = json.loads(out)
        assert (code, answer["exit"], answer["starts"]) == (REFUSED, REFUSED, False), out + err
        return answer["refusal"] | {"error": answer["error"]}

    def start(self, *flags):
        self.run.job.child = ChildProcess([binary("tidemill"), *self.words, *flags], self.run.folder / "recover.log",
                                          cwd=self.run.job.folder, env=self.environment).start()

    def state(self):
        files = {path: path.stat().st_mtime_ns for path in self.run.job.checkpoints.rglob("*") if path.name != "LOCK" and path.is_file()}
        topics = self.run.cluster.admin.list_topics(timeout=10).topics
        ours = [topic for topic in topics if topic.startswith(self.run.name)]
        return files, {topic: self.run.cluster.end_offsets(topic, committed=False) for topic in ours}


def choices(refusal):
    return [" ".join(choice["flags"]) for choice in refusal["choices"]]


def checkpoints(run):
    """Their names, newest first."""
    return [manifest.parent.name for manifest in reversed(run.job.manifests())]


def test_rows_B_and_E_without_a_server(stopped):
    recover = Recover(stopped)
    code, out, _ = recover.tell()
    newest, older, *_ = checkpoints(stopped)
    assert code == FINISHED and f"it would start: last committed checkpoint {newest}" in out, out

    folder = stopped.job.manifests()[-1].parent
    kept = folder.rename(stopped.folder / "kept")
    refusal = recover.refusal()
    assert (refusal["id"], refusal["row"]) == ("checkpoint_missing", "E") and "copy" in refusal["mend"]
    assert f"--restore={older} --accept-duplicates" in choices(refusal) and re.search("reads (no record|.* records?) again", refusal["choices"][-1]["consequence"])
    kept.rename(folder)

    stopped.cluster.delete_topic(control_topic.control_topic(stopped.name))
    refusal = recover.refusal()
    assert (refusal["id"], refusal["row"], choices(refusal)[0]) == ("commit_record_missing", "B", f"--assume-committed={newest}")
    code, out, err = recover.tell()
    assert code == REFUSED and f"--assume-committed={newest}" in out and "row B" in out and err, out
    code, out, _ = recover.tell("--assume-committed", newest, "--dry-run")
    assert code == FINISHED and f"it would start: assumed committed: {newest}" in out, out
    assert recover.refusal("--assume-committed", "77-none")["id"] == "no_such_checkpoint"

    recover.start("--assume-committed", newest)
    stopped.wait_total(1300)
    stopped.job.child.signal(signal.SIGINT)
    assert stopped.job.child.wait(30) == FINISHED, stopped.job.child.tail()
    verdict = stopped.finish()
    assert verdict.ok, f"{verdict}\n{stopped.job.child.tail()}"


def test_row_D_without_a_server_and_a_choice_holds_once(stopped):
    """Killed after it has committed, the supervised job goes on from there: the choice is not made again."""
    recover = Recover(stopped)
    last = control_topic.records(stopped.cluster, stopped.name)[-1]
    control_topic.append(stopped.cluster, stopped.name, last.key, b"not a commit record")
    refusal = recover.refusal()
    newest = checkpoints(stopped)[0]
    assert (refusal["id"], refusal["row"]) == ("commit_record_unreadable", "D")
    assert choices(refusal)[0] == f"--restore={newest} --accept-duplicates"
    assert "no record again" in refusal["choices"][0]["consequence"], "it is the last committed one"
    recover.start("--restore", newest, "--accept-duplicates")
    stopped.wait_total(1300)
    process = subprocess.run(["ps", "--ppid", str(stopped.job.child.process.pid), "-o", "pid="], capture_output=True, text=True, check=True)
    os.kill(int(process.stdout), signal.SIGKILL)
    stopped.input.write(200)
    stopped.wait_total(1500)
    running = subprocess.run([binary("tidemill"), *recover.words], capture_output=True, text=True, timeout=90, check=False,
                             cwd=stopped.job.folder, env=recover.environment)
    assert running.returncode == REFUSED and "another process runs this job" in running.stdout
    stopped.job.child.signal(signal.SIGINT)
    assert stopped.job.child.wait(30) == FINISHED, stopped.job.child.tail()
    verdict = stopped.finish()
    assert verdict.ok, f"{verdict}\n{stopped.job.child.tail()}"


def test_row_F_by_server(stopped, scratch, tmp_path):
    """Two partitions have lost records; both are named at once."""
    ends = stopped.cluster.end_offsets(stopped.source)
    committed = {int(split["split"].rsplit(":", 1)[1]): split["offset"]
                 for split in json.loads(control_topic.records(stopped.cluster, stopped.name)[-1].value)["sources"][0]["splits"]}
    for partition in (1, 2):
        stopped.cluster.delete_before(stopped.source, partition, ends[partition])
    lost = {(r.partition, r.offset) for r in stopped.input.records
            if r.partition in (1, 2) and committed[r.partition] <= r.offset < ends[r.partition]}
    assert lost
    server = JobServer(scratch / "F").start()  # a short path: a socket's may not be long

    def command(*words):
        done = subprocess.run([binary("tidemill"), *words], capture_output=True, text=True, timeout=90, check=False,
                              env=os.environ | {"TIDEMILL_SERVER": server.url, "TIDEMILL_TOKEN_FILE": str(server.dir / "admin.token")})
        return done.returncode, done.stdout, done.stderr

    try:
        (tmp_path / "job.yaml").write_text(json.dumps(stopped.config))
        code, out, err = command("submit", binary("ledger_job"), "--name", stopped.name, "--config", tmp_path / "job.yaml")
        assert code == FINISHED, err
        server.wait_state(stopped.name, "failed")
        code, out, err = command("recover", stopped.name)
        both = f"{stopped.source}:1,{stopped.source}:2"
        assert code == REFUSED and "row F" in out and f"tidemill recover {stopped.name} --accept-loss={both}" in out, out + err
        one = json.loads(command("recover", stopped.name, "--accept-loss", f"{stopped.source}:1", "--dry-run", "--json")[1])
        assert one["refusal"]["choices"][0]["flags"] == [f"--accept-loss={stopped.source}:2"], one
        assert server.line(stopped.name)["state"] == "failed", "nothing was started"
        code, out, err = command("recover", stopped.name, "--accept-loss", both)
        assert code == FINISHED and "for this start only" in out, err
        server.wait_state(stopped.name, "running")
        assert command("recover", stopped.name)[0] == REFUSED, "it runs"
        assert command("txn", "abort", stopped.name)[0] == REFUSED, "it runs"
        code, out, err = command("txn", "status", stopped.name, "--json")
        assert code == FINISHED and json.loads(out)["transactional_id"] == f"{stopped.name}.0", err
        wait_until(lambda: stopped.tail.count >= len(stopped.input.committed) - len(lost), 30, "all that is left is processed")
        rows = server.call("GET", "/api/v1/audit")[1]["audit"]
        assert any(row["action"].endswith("/start") and both in json.dumps(row) for row in rows), rows
        assert command("stop", stopped.name, "--wait")[0] == FINISHED
        job = server.call("GET", f"/api/v1/jobs/{stopped.name}")[1]
        assert "--accept-loss" not in json.dumps({key: job[key] for key in job if key != "runs"}), "it is not kept"
    finally:
        server.close()
    assert both.split(",")[1] in next(stopped.job.checkpoints.rglob("audit.log")).read_text()
    outputs = read_topic(stopped.cluster, stopped.sink)
    report = ledger_checker.check([r for r in stopped.input.records if (r.partition, r.offset) not in lost], outputs)
    assert report.ok, report


def test_an_open_transaction_of_a_dead_job_is_shown_and_aborted(kafka, name, tmp_path):
    """Readers of committed rows wait for it as for one of a frozen job; aborted, it costs a replay and no row."""
    run = LedgerRun(kafka, name, tmp_path, program="ledger_job", interval="8s")
    recover = Recover(run)

    def txn(verb, *flags):
        done = subprocess.run([binary("tidemill"), "txn", verb, *recover.words[1:], *flags], capture_output=True, text=True, timeout=60, check=False,
                              cwd=run.job.folder, env=recover.environment)
        return done.returncode, done.stdout, done.stderr

    def held():
        ends = run.cluster.end_offsets(run.sink, committed=False)
        return sorted(f"{run.sink}:{p}" for p, end in run.cluster.end_offsets(run.sink).items() if end < ends[p])

    try:
        run.input.write(500)
        run.job.start()
        wait_until(held, 30, "rows in an open transaction")
        run.job.kill()
        code, out, err = txn("status", "--json")
        shown = json.loads(out)
        assert code == FINISHED and shown["transactional_id"] == f"{run.name}.0", err
        assert sorted(h["partition"] for h in shown["held"] if h["role"] == "output") == held()
        code, out, err = txn("abort")
        assert code == FINISHED and "no open transaction" in out and "aborted" in out, out + err
        assert held() == [] and run.tail.count == 0

        run.job.start()
        wait_until(held, 30, "rows in an open transaction")
        run.job.child.freeze()
        code, _, err = txn("abort")
        assert code == REFUSED and "another process runs this job" in err, err
        assert held(), "it is left alone"
        code, out, err = txn("abort", "--force")
        assert code == FINISHED and held() == [], err
        run.job.child.thaw()
        run.job.wait_log("attempt failed, restarting from the last committed checkpoint")
        verdict = run.finish()
        assert verdict.ok, f"{verdict}\n{run.job.child.tail()}"
    finally:
        run.close()


def test_what_is_wrong_is_told(tmp_path):
    for words, told in ((("recover",), "--binary"), (("recover", "job", "--binary", "/bin/true"), "JOB"),
                        (("recover", "--binary", "/bin/false"), "would not start")):
        done = subprocess.run([binary("tidemill"), *words], capture_output=True, text=True, timeout=30, check=False, cwd=tmp_path)
        assert done.returncode in (WRONG_USAGE, 1) and told in done.stderr, done.stderr
