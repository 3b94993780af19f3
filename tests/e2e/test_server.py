"""The real server with real jobs over the file log: submit, kill the job, kill the server, stop, restart, restore."""

import json
import os
import signal

import pytest
from file_job import FileJob, event
from job import binary
from job_server import JobServer
from process import wait_until

USERS = 7


class Submitted:
    """The shipped job under a server, with its folders."""

    def __init__(self, folder, server, binary_hash):
        self.server = server
        self.files = FileJob(folder, source={"file": {"dir": str(folder / "events"), "follow": True}})
        self.sent = 0
        config = dict(self.files.config)
        config["checkpoint"] = {"dir": str(folder / "checkpoints"), "interval": "100ms"}
        status, answer = server.call("POST", "/api/v1/jobs",
                                     {"name": "features", "binary": binary_hash, "config": json.dumps(config), "start": True})
        assert status == 201, answer

    def feed(self, count):
        """More events in both partitions; waits for one row each."""
        for partition in (0, 1):
            self.files.append(partition, *[event(f"u{i % USERS}", i) for i in range(self.sent, self.sent + count)])
        self.sent += count
        wait_until(lambda: len(self.files.rows()) >= 2 * self.sent, 30, f"{2 * self.sent} rows")
        assert len(self.files.rows()) == 2 * self.sent, "nothing twice"

    def pid(self):
        return wait_until(lambda: self.server.line("features")["pid"], 30, "a process of the job")


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    server = JobServer(folder).start()
    try:
        job = Submitted(folder, server, server.upload(binary("feature_pipeline")))
        server.wait_state("features", "running")
        yield server, job
    finally:
        server.close()


def test_a_killed_job_is_restarted_and_nothing_is_lost_or_doubled(running):
    server, job = running
    job.feed(50)
    before = job.pid()
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: server.line("features")["pid"] not in (None, before), 30, "another process")
    server.wait_state("features", "running")
    job.feed(50)
    runs = server.call("GET", "/api/v1/jobs/features")[1]["runs"]
    assert any(run["signal"] == signal.SIGKILL for run in runs), runs


def test_a_killed_server_finds_its_job_again(running):
    server, job = running
    before = job.pid()
    server.child.kill()
    job.feed(50)  # without a server
    server.start()
    line = server.wait_state("features", "running")
    assert line["pid"] == before, "adopted, not started again"
    job.feed(50)


def test_every_call_of_the_job_goes_through_the_server(running):
    server, _ = running
    for name in ("status", "graph", "freshness", "checkpoints", "late", "keys", "exceptions", "config", "logs", "state", "explain"):
        status, answer = server.call("GET", f"/api/v1/jobs/features/{name}")
        assert status == 200 and isinstance(answer, dict), (name, answer)


def test_stop_with_savepoint_and_restart_with_another_parallelism(running):
    server, job = running
    status, answer = server.call("POST", "/api/v1/jobs/features/savepoint", {})
    assert status == 200 and answer["id"], answer
    points = server.call("GET", "/api/v1/jobs/features/checkpoints")[1]["restore_points"]
    savepoint = answer["id"]
    assert [p["id"] for p in points if p["savepoint"]] == [savepoint]
    assert server.call("POST", "/api/v1/jobs/features/stop", {})[0] in (200, 202)
    server.wait_state("features", "stopped")
    points = server.call("GET", "/api/v1/jobs/features/checkpoints")[1]["restore_points"]
    assert savepoint in [p["id"] for p in points if p["savepoint"]], "also when no process answers"
    status, answer = server.call("POST", "/api/v1/jobs/features/restart", {"parallelism": 3})
    assert status in (200, 202), answer
    server.wait_state("features", "running")
    wait_until(lambda: server.call("GET", "/api/v1/jobs/features/status")[1]["parallelism"] == 3, 30, "three subtasks")
    job.feed(50)


def test_a_restore_that_repeats_output_is_refused_with_its_consequence(running):
    server, _ = running
    oldest = server.call("GET", "/api/v1/jobs/features/checkpoints")[1]["restore_points"][-1]["id"]
    status, answer = server.call("POST", "/api/v1/jobs/features/restore", {"from": oldest})
    assert status == 409 and answer["error"] and "accept_duplicates" in json.dumps(answer), answer


def test_a_crash_loop_is_told_with_its_cause(running, tmp_path):
    server, _ = running
    script = tmp_path / "job"
    script.write_bytes(binary("feature_pipeline").read_bytes())
    status, answer = server.call("POST", "/api/v1/jobs", {
        "name": "broken", "binary": server.upload(script), "start": True,
        "config": json.dumps({"job": "broken", "source": {"file": {"dir": str(tmp_path / "none")}}})})
    if status == 201:
        line = wait_until(lambda: (found := server.line("broken"))["state"] in ("failed", "crash_loop") and found, 30, "it fails")
        assert line["reason"], line
    else:
        assert status == 422 and answer["error"], answer


@pytest.mark.parametrize("method, path, least", [
    ("GET", "/api/v1/jobs", "viewer"), ("POST", "/api/v1/jobs/features/savepoint", "operator"), ("GET", "/api/v1/audit", "admin"),
    ("GET", "/api/v1/binaries", "admin")])
def test_each_role_may_what_it_is_for(running, method, path, least):
    server, _ = running
    roles = ("viewer", "operator", "admin")
    assert server.call(method, path, token="")[0] == 401
    assert server.call(method, path, token="wrong")[0] == 401
    for role in roles:
        name = f"{role}-{abs(hash((method, path)))}"
        status, made = server.call("POST", "/api/v1/tokens", {"name": name, "role": role})
        assert status == 201, made
        status, _ = server.call(method, path, {} if method == "POST" else None, token=made["token"])
        assert (status == 403) == (roles.index(role) < roles.index(least)), (role, status)


def test_changes_are_in_the_audit(running):
    server, _ = running
    assert server.call("POST", "/api/v1/jobs/features/savepoint", {})[0] == 200
    rows = server.call("GET", "/api/v1/audit")[1]["audit"]
    assert any((row["who"], row["action"], row["status"]) == ("admin", "POST /api/v1/jobs/features/savepoint", 200) for row in rows), rows
    assert server.token not in json.dumps(rows)
