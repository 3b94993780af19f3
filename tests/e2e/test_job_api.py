"""A running job's own API: each call's shape, and what only the control socket may do."""

import http.client
import json
import os
import socket
import stat
import subprocess
import urllib.error
import urllib.request

import pytest
from file_job import FileJob, event
from process import wait_until


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(30)
        self.sock.connect(self.path)


def ask(path, method, target, body=None):
    connection = UnixConnection(path)
    connection.request(method, target, body=None if body is None else json.dumps(body))
    answer = connection.getresponse()
    text = answer.read().decode()
    return answer.status, json.loads(text) if text.startswith("{") else text


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    folder = tmp_path_factory.mktemp("job_api")
    job = FileJob(folder, source={"file": {"dir": str(folder / "events"), "follow": True}}, control=str(folder / "control"))
    job.control = folder / "control"
    job.append(0, *[event(f"u{i % 7}", i) for i in range(200)], event("u1", -4000), "no JSON")
    job.append(1, *[event(f"u{i % 7}", i) for i in range(200)])
    job.start("--http", "127.0.0.1:0")
    job.wait_rows(400)
    yield job
    if job.child.running():
        job.child.kill()


def get(job, name):
    with urllib.request.urlopen(job.address().rstrip("/") + "/api/v1/" + name, timeout=30) as answer:
        assert answer.headers["Content-Type"] == "application/json"
        return json.load(answer)


def refused(job, method, path):
    request = urllib.request.Request(job.address().rstrip("/") + path, method=method)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=30)
    body = json.load(caught.value)
    assert body["error"] and "next" in body
    return caught.value.code


def test_status_says_what_the_job_has_done(job):
    wait_until(lambda: get(job, "status")["checkpoint"]["last_ms"], 20, "a commit to show")
    status = get(job, "status")
    assert (status["job"], status["state"]) == ("features", "running")
    assert status["totals"]["events"] == 402
    assert (status["totals"]["late"], status["totals"]["bad"]) == (1, 1)
    assert status["parallelism"] == 2 and status["restarts"] == 0 and status["last_failure"] is None
    assert status["checkpoint"]["interval_ms"] == 50 and status["checkpoint"]["last_id"]
    assert {s["split"] for s in status["sources"]} == {"events:0", "events:1"}
    assert all(s["offset"] > 0 for s in status["sources"])
    assert status["watermark_ms"] > 0 and status["replay"] is None
    assert [o["output"] for o in status["freshness"]]


def test_graph_has_each_operator_and_edge(job):
    graph = get(job, "graph")
    kinds = {node["kind"] for node in graph["nodes"]}
    assert kinds == {"source", "operator", "sink"}
    ids = {node["id"] for node in graph["nodes"]}
    assert all(edge["from"] in ids and edge["to"] in ids for edge in graph["edges"])

    def has_shares():
        shares = [node["busy"] for node in get(job, "graph")["nodes"]]
        return None not in shares and all(0 <= share <= 1 for share in shares)

    wait_until(has_shares, 20, "shares of each operator")


def test_checkpoints_have_their_phases(job):
    wait_until(lambda: get(job, "checkpoints")["history"], 20, "a checkpoint")
    checkpoints = get(job, "checkpoints")
    newest = checkpoints["history"][0]
    assert newest["result"] == "committed" and newest["slowest"]["operator"]
    phases = newest["phases"]
    assert abs(sum(phases[p] for p in ("align_us", "drain_us", "store_us", "commit_us")) - newest["duration_us"]) <= 4
    assert min(phases.values()) >= 0 and 0 <= newest["stall_us"] <= newest["duration_us"]
    assert checkpoints["restore_points"][0]["seq"] >= checkpoints["restore_points"][-1]["seq"]


def test_late_and_bad_records_are_counted_and_shown(job):
    def counted():
        late = get(job, "late")
        return late if (sum(x["count"] for x in late["late"]), sum(x["count"] for x in late["bad"])) == (1, 1) else None

    late = wait_until(counted, 20, "one late and one bad record")
    assert late["samples"][0]["origin"].startswith("events/0 offset ")
    assert [(x["reason"], x["split"]) for x in late["late"]] == [("late", "events:0")]
    assert [x["split"] for x in late["bad"]] == ["events:0"]
    bad, = late["bad_samples"]
    assert bad["origin"].startswith("events/0 offset ") and bad["text"] == "no JSON" and bad["reason"] == late["bad"][0]["reason"]


def test_the_bound_is_told_that_would_have_saved_the_late_records(job):
    """Greatest event time 199 s, a record at -4,000 s, lateness 1 min: 4,139 s, and up to a fifth more."""
    disorder, = get(job, "late")["disorder"]
    assert (disorder["split"], disorder["configured_ms"]) == ("events:0", 5_000)
    assert 4_139_000 <= disorder["needed_999_ms"] <= 1.25 * 4_139_000


def test_a_replay_tells_how_far_it_is_in_event_time(tmp_path):
    """An hour of it, ten minutes in a second."""
    job = FileJob(tmp_path, partitions=1, source={"file": {"dir": str(tmp_path / "events")}}, parallelism=1)
    job.append(0, *[event("a", i) for i in range(0, 3601, 3)])
    job.start("--http", "127.0.0.1:0", "--as", "past", "--from-time", "2026-01-01T00:00:00Z", "--until-time", "2026-01-01T01:00:00Z", "--rate", "200/s")
    try:
        replay = wait_until(lambda: (found := get(job, "status")["replay"])["eta_s"] and found, 20, "time left")
        assert replay["until_ms"] - replay["from_ms"] == 3_600_000
        done = (replay["at_ms"] - replay["from_ms"]) / 3_600_000
        assert 0 < done < 1 and abs(replay["percent"] - 100 * done) < 0.01
        assert 0 < replay["eta_s"] < 60
    finally:
        job.kill()


@pytest.mark.parametrize("name", ["freshness", "keys", "exceptions", "config", "logs", "explain"])
def test_every_other_list_is_an_object(job, name):
    assert isinstance(get(job, name), dict)


def test_config_hides_nothing_but_secrets(job):
    settings = {s["key"]: s for s in get(job, "config")["settings"]}
    assert settings["parallelism"]["value"] == "2" and settings["checkpoint.retained"]["source"] == "default"


def test_a_key_is_asked_of_the_running_job(job):
    states = get(job, "state")["states"]
    assert {"features"} <= {s["operator"] for s in states}
    state = next(s for s in states if s["operator"] == "features" and s["kind"] == "value")
    query = f"state/get?operator=features&state={state['state']}&key="
    answer = get(job, query + "u3")
    assert answer["found"] and answer["value"] is not None and answer["subtask"] in (0, 1)
    assert not get(job, query + "nobody")["found"]
    assert refused(job, "GET", "/api/v1/state/get?operator=features&state=none&key=u3") == 404
    assert refused(job, "GET", "/api/v1/state/get?operator=features") == 422


def test_logs_are_the_last_lines(job):
    assert any("http://" in line for line in get(job, "logs")["lines"])
    assert len(get(job, "logs?lines=1")["lines"]) == 1
    assert refused(job, "GET", "/api/v1/logs?lines=x") == 422


def test_events_come_every_second(job):
    with urllib.request.urlopen(job.address().rstrip("/") + "/api/v1/events", timeout=30) as stream:
        assert stream.headers["Content-Type"] == "text/event-stream"
        seen = [json.loads(line[6:]) for line in (stream.readline().decode() for _ in range(3)) if line.startswith("data: ")]
    assert set(seen[0]) == {"status", "graph"}


def test_the_port_only_reads(job):
    assert refused(job, "POST", "/api/v1/stop") == 403
    assert refused(job, "POST", "/api/v1/savepoint") == 403
    assert refused(job, "POST", "/api/v1/status") == 405
    assert refused(job, "GET", "/api/v1/nothing") == 404
    assert job.child.running()


def test_a_page_of_elsewhere_cannot_read_the_port(job):
    request = urllib.request.Request(job.address().rstrip("/") + "/api/v1/status", headers={"Host": "evil.example"})
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=30)
    assert caught.value.code == 421


def test_the_socket_is_its_owners_and_nobody_elses(job):
    assert stat.S_IMODE(os.stat(job.control).st_mode) == 0o600
    other = subprocess.run([*job.child.argv, "--checkpoint-dir", str(job.control.parent / "other")],
                           capture_output=True, text=True, timeout=60, check=False)
    assert other.returncode == 2 and "another process answers" in other.stderr


def test_savepoint_hold_and_stop_on_the_socket(job):
    status, answer = ask(job.control, "POST", "/api/v1/savepoint", {})
    assert status == 200
    kept = [p for p in ask(job.control, "GET", "/api/v1/checkpoints")[1]["restore_points"] if p["savepoint"]]
    assert [p["id"] for p in kept] == [answer["id"]]
    assert ask(job.control, "POST", "/api/v1/hold", {"offsets": {"events:0": 1}})[0] == 409
    status, held = ask(job.control, "POST", "/api/v1/hold", {"here": True})
    assert (status, held["offsets"]) == (200, {"events:0": 202, "events:1": 200})
    assert held["positions"] == held["offsets"] and held["reached"]
    job.append(0, event("u0", 201))
    assert ask(job.control, "POST", "/api/v1/hold", {"offsets": {"events:0": 202}, "here": True})[0] == 422
    assert ask(job.control, "POST", "/api/v1/hold", {"here": "no"})[0] == 422
    assert ask(job.control, "GET", "/api/v1/hold")[1] == held
    status, held = ask(job.control, "POST", "/api/v1/hold", {})
    assert status == 200 and held["offsets"] is None and not held["reached"]
    job.wait_rows(401)
    assert ask(job.control, "POST", "/api/v1/stop", {"mode": "sideways"})[0] == 422
    assert ask(job.control, "POST", "/api/v1/stop", [1])[0] == 422
    status, last = ask(job.control, "POST", "/api/v1/stop", {"mode": "savepoint"})
    assert status == 200 and last["id"] != answer["id"]
    assert job.child.wait(30) == 0
    assert not job.control.exists()
