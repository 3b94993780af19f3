"""`tidemill` against a real server with a real job: what people read, what programs read, and what is refused."""

import json
from pathlib import Path

import pytest
from file_job import FileJob, event
from job import FINISHED, REFUSED, WRONG_USAGE, binary
from job_server import Command, JobServer
from process import wait_until


@pytest.fixture(scope="module")
def tidemill(tmp_path_factory):
    folder = tmp_path_factory.mktemp("command")
    server = JobServer(folder).start()
    try:
        # An interval that a busy machine keeps, or the job would have a problem.
        files = FileJob(folder, source={"file": {"dir": str(folder / "events"), "follow": True}},
                        checkpoint={"dir": str(folder / "checkpoints"), "interval": "1s"})
        files.append(0, *[event(f"u{i % 5}", i) for i in range(100)])
        (folder / "features.yaml").write_text(json.dumps(files.config))
        command = Command(server)
        code, out, err = command.run("submit", binary("feature_pipeline"), "--name", "features", "--config", folder / "features.yaml", "--wait")
        assert code == FINISHED and "features is running" in out + err
        yield command
    finally:
        server.close()


def test_list_and_status_show_a_healthy_job(tidemill):
    line = tidemill.run("list")[1].splitlines()[1].split()
    assert line[:2] == ["features", "running"]
    wait_until(lambda: "100 events, 100 rows" in tidemill.run("status", "features")[1], 20, "all rows in the status")
    code, out, _ = tidemill.run("status", "features")
    assert code == FINISHED and len(out.splitlines()) < 24
    assert tidemill.json("status", "features")["problems"] == []
    assert tidemill.json("list")["jobs"][0]["problems"] == []


def test_savepoint_restart_and_stop(tidemill):
    savepoint = tidemill.json("savepoint", "features")["id"]
    assert f"{savepoint} " in tidemill.run("checkpoints", "features")[1]
    code, _, err = tidemill.run("restart", "features", "--parallelism", 3, "--wait")
    assert code == FINISHED, err
    wait_until(lambda: tidemill.json("status", "features")["parallelism"] == 3, 20, "three subtasks")
    assert tidemill.run("restore", "features", "--from", savepoint)[0] == REFUSED
    assert "first start" in tidemill.run("logs", "features", "--lines", 200)[1]
    assert tidemill.run("stop", "features", "--wait")[0] == FINISHED
    assert tidemill.json("list")["jobs"][0]["state"] == "stopped"
    assert "/restart" in tidemill.run("audit")[1]


def test_recover_asks_a_replay_where_it_works(tidemill, tmp_path):
    """A checkpoint folder that is relative is below the folder that the replay works in, which is its job's."""
    files = FileJob(tmp_path, source={"file": {"dir": str(tmp_path / "events"), "follow": True}}, checkpoint={"dir": "checkpoints", "interval": "1s"}, job="relative")
    files.append(0, *[event(f"u{i % 5}", i) for i in range(100)])
    (tmp_path / "relative.yaml").write_text(json.dumps(files.config))
    for words in (("submit", binary("feature_pipeline"), "--name", "relative", "--config", tmp_path / "relative.yaml", "--wait"),
                  ("replay", "relative", "--as", "again")):
        code, out, err = tidemill.run(*words)
        assert code == FINISHED, out + err
    wait_until(lambda: tidemill.json("list")["jobs"][-1]["state"] == "running", 20, "the replay")
    assert tidemill.run("stop", "relative.again", "--wait")[0] == FINISHED
    kept = tidemill.json("checkpoints", "relative.again")["restore_points"]
    told = tidemill.json("recover", "relative.again", "--dry-run")
    assert told["starts"] and told["committed"] in [point["id"] for point in kept], told


@pytest.mark.parametrize("words, told", [
    (("stauts", "features"), "did you mean status?"), (("status", "nobody"), "there is no job nobody"),
    (("status",), "JOB"), (("restart", "features", "--paralelism", "2"), "--parallelism"),
    (("submit", "/nowhere", "--name", "x", "--config", "/nowhere"), "/nowhere")])
def test_what_is_wrong_is_told_with_the_next_step(tidemill, words, told):
    code, out, err = tidemill.run(*words)
    assert (code, out) == (WRONG_USAGE, "")
    assert told in err


def test_tokens_are_made_on_the_machine_and_listed_by_the_server(tidemill):
    folder = Path(tidemill.environment["TIDEMILL_TOKEN_FILE"]).parent
    code, made, err = tidemill.run("token", "create", "--dir", folder, "--role", "viewer", "--name", "reader")
    assert code == FINISHED and made.strip(), err
    assert "reader" in tidemill.run("token", "list")[1] and made.strip() not in tidemill.run("token", "list")[1]
    assert tidemill.run("token", "delete", "--dir", folder, "--name", "reader")[0] == FINISHED
    assert "reader" not in tidemill.run("token", "list")[1]


def test_a_job_without_a_server_is_asked_at_its_socket(tidemill, tmp_path):
    job = FileJob(tmp_path, source={"file": {"dir": str(tmp_path / "events"), "follow": True}}, control=str(tmp_path / "control"))
    job.start()
    try:
        wait_until((tmp_path / "control").exists, 20, "the socket")
        code, out, err = tidemill.run("status", "--at", f"unix:{tmp_path}/control")
        assert code == FINISHED and "features" in out, err
        assert tidemill.json("explain", "--at", f"unix:{tmp_path}/control")["nodes"]
    finally:
        job.kill()


def test_a_wrong_token_or_no_server_is_told(tidemill, tmp_path):
    (tmp_path / "token").write_text("wrong")
    code, _, err = tidemill.run("list", environment={"TIDEMILL_TOKEN_FILE": str(tmp_path / "token")})
    assert code == WRONG_USAGE and "token" in err and "wrong" not in err.replace("wrong usage", "")
    code, _, err = tidemill.run("list", "--server", "http://127.0.0.1:1")
    assert code == 1 and "127.0.0.1:1" in err
