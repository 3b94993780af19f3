"""Another version of a job: the check says what a start would, a fitting one goes on, another is refused and the job with it not stopped."""

import json
import subprocess

import pytest
from job import REFUSED, WRONG_USAGE, binary
from job_server import JobServer
from process import wait_until


class Counts:
    """The job of tests/e2e/upgrade_job under a server."""

    def __init__(self, folder):
        self.lines = folder / "lines"
        self.lines.write_text("")
        self.config = {"lines": {"file": str(self.lines)}, "parallelism": 2,
                       "checkpoint": {"dir": str(folder / "checkpoints"), "interval": "100ms"}}
        self.folder = folder / "checkpoints" / "counts"
        self.config_file = folder / "counts.json"
        self.config_file.write_text(json.dumps(self.config))
        self.server = JobServer(folder).start()
        self.programs = {v: self.server.upload(binary(f"upgrade_job_{v}")) for v in ("first", "longer", "text", "renamed")}
        self.call("", {"name": "counts", "binary": self.programs["first"], "config": json.dumps(self.config)}, 201)

    def call(self, verb, body=None, *expected):
        path = f"/api/v1/jobs/counts/{verb}" if verb else "/api/v1/jobs"
        status, answer = self.server.call("GET" if body is None else "POST", path, body)
        assert not expected or status in expected, (status, answer)
        return answer

    def add(self, *lines):
        with self.lines.open("a", encoding="utf-8") as out:
            out.write("".join(line + "\n" for line in lines))

    def value(self, key, source="running", operator="counts"):
        status, answer = self.server.call("GET", f"/api/v1/jobs/counts/state/get?operator={operator}&state=seen&key={key}&from={source}")
        return answer["value"] if status == 200 else None

    def wait_value(self, key, value, **where):
        wait_until(lambda: self.value(key, **where) == value, 30, f"{key} is {value}")

    def pid(self):
        return self.server.line("counts")["pid"]

    def command(self, *words):
        done = subprocess.run([binary("tidemill"), *map(str, words)], capture_output=True, text=True, timeout=60, check=False,
                              env={"TIDEMILL_SERVER": self.server.url, "TIDEMILL_TOKEN_FILE": str(self.server.dir / "admin.token")})
        return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def counts(tmp_path_factory):
    job = Counts(tmp_path_factory.mktemp("upgrade"))
    try:
        job.add("a", "b", "a")
        job.wait_value("a", {"lines": 2})
        yield job
    finally:
        job.server.close()


def test_what_does_not_fit_is_refused_and_the_job_goes_on(counts):
    pid = counts.pid()
    for version, words, exit_code in (("text", "field lines is int64, the program wants text", WRONG_USAGE),
                                      ("renamed", "--drop-state NAME: counts", REFUSED)):
        program = counts.programs[version]
        answer = counts.call("check-upgrade", {"binary": program}, 200)
        assert (answer["fits"], answer["exit"]) == (False, exit_code) and words in answer["reason"], answer
        assert words in counts.call("restart", {"binary": program}, 409)["error"]
        code, out, err = counts.command("check-upgrade", counts.folder, binary(f"upgrade_job_{version}"), "--config", counts.config_file)
        assert code == exit_code and words in err and ("refused" if version == "text" else "lost") in out, (code, out, err)
    counts.add("a")
    counts.wait_value("a", {"lines": 3})
    assert counts.pid() == pid, "it was not even stopped"
    assert len(counts.server.call("GET", "/api/v1/jobs/counts")[1]["versions"]) == 1


def test_an_added_field_fits_and_the_counts_go_on(counts):
    answer = counts.call("check-upgrade", {"binary": counts.programs["longer"]}, 200)
    assert answer["fits"] and answer["changed"][0]["changes"] == ["field added: since_upgrade (int32), 0 in what is stored"], answer
    code, out, err = counts.command("check-upgrade", "counts", binary("upgrade_job_longer"))
    assert code == 0 and "field added: since_upgrade" in out and "fits: the program can go on" in out, (code, out, err)
    before = counts.value("b")["lines"]
    code, out, err = counts.command("restart", "counts", "--binary", binary("upgrade_job_longer"), "--wait")
    assert code == 0, (code, out, err)
    counts.add("b")
    counts.wait_value("b", {"lines": before + 1, "since_upgrade": 1})
    assert counts.value("a") == {"lines": 3}, "as it was stored: it has not been touched since"


def test_state_that_another_operator_has_goes_there_if_said(counts):
    body = {"binary": counts.programs["renamed"], "once": ["--rename-state=counts=tallies"]}
    answer = counts.call("check-upgrade", body, 200)
    assert answer["fits"] and "field removed: since_upgrade" in answer["changed"][0]["changes"][0], answer
    counts.call("restart", body, 200, 202)
    counts.wait_value("a", {"lines": 3}, operator="tallies")


def test_a_program_that_is_none_is_told_apart(counts, tmp_path):
    script = tmp_path / "job"
    script.write_text("#!/bin/sh\nexit 1\n")
    script.chmod(0o755)
    status, answer = counts.server.call("POST", "/api/v1/jobs/counts/check-upgrade", {"binary": counts.server.upload("/bin/false")})
    assert status == 422 and answer["error"], answer
    code, _, err = counts.command("check-upgrade", counts.folder, script)
    assert code == WRONG_USAGE and "is it a Tidemill job?" in err
    token = counts.server.call("POST", "/api/v1/tokens", {"name": "reader", "role": "viewer"})[1]["token"]
    assert counts.server.call("POST", "/api/v1/jobs/counts/check-upgrade", {}, token=token)[0] == 403
    audit = counts.server.call("GET", "/api/v1/audit")[1]["audit"]
    assert any("check-upgrade" in entry["action"] for entry in audit)


def test_state_of_a_stopped_job_is_read_from_its_folder(counts):
    counts.call("stop", {}, 200, 202)
    counts.server.wait_state("counts", "stopped")
    assert counts.value("a", "checkpoint", "tallies") == {"lines": 3}
    assert [s["operator"] for s in counts.call("state")["states"] if s["kind"] != "operator"] == ["tallies"]
    newest = counts.call("checkpoints")["restore_points"][0]["id"]
    code, out, err = counts.command("state", "get", f"counts/{newest}", "--key", "b", "--json")
    assert code == 0 and json.loads(out)["answers"][0]["value"] == {"lines": counts.value("b", newest, "tallies")["lines"]}, (out, err)
    code, out, err = counts.command("state", "ls", counts.folder)
    assert code == 0 and "tallies" in out and "struct{lines: int64}" in out, (out, err)
    code, out, err = counts.command("state", "diff", f"counts/{newest}", counts.folder / newest, "--json")
    assert code == 0 and json.loads(out)["states"][0]["different"] == 0, (out, err)
    assert counts.server.call("GET", "/api/v1/jobs/counts/state/get?operator=tallies&state=seen&key=a&from=999")[0] == 404
