"""The drills of docs/operations.md, by the commands that it prints, against a real server with a job on files."""

import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from file_job import FileJob, event
from job import binary
from job_server import JobServer
from process import free_port, wait_until
from redis_server import RedisServer

HANDBOOK = Path(__file__).parents[2] / "docs" / "operations.md"


def commands(drill):
    """The shell commands of one drill, as the handbook has them, one text for each block."""
    section = re.search(rf"^### Drill: {drill}$(.*?)^##", HANDBOOK.read_text(), re.MULTILINE | re.DOTALL)[1]
    found = re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert found
    return found


class Place:
    """A folder with programs and settings, a server, and its job `features`."""

    def __init__(self, folder):
        self.folder = folder
        self.port = free_port()
        self.server = JobServer(folder)
        self.server.url = f"http://127.0.0.1:{self.port}"
        self.redis = RedisServer(folder / "redis").start()
        self.files = FileJob(folder, source={"file": {"dir": str(folder / "events"), "follow": True}})
        self.files.config["sinks"]["redis"] = {"url": self.redis.url}
        self.sent = 0
        for version, program in (("old", "feature_pipeline"), ("new", "feature_pipeline_testing")):
            (folder / version).mkdir()
            shutil.copy(binary(program), folder / version / "feature_pipeline")
        (folder / "features.yaml").write_text(json.dumps(self.files.config))
        self.environment = os.environ | {
            "PATH": f"{binary('tidemill').parent}:{os.environ['PATH']}", "DIR": str(self.server.dir),
            "TIDEMILL_SERVER": self.server.url, "TIDEMILL_TOKEN_FILE": str(self.server.dir / "admin.token")}

    def run(self, script):
        with open(self.folder / "drill.log", "a+", encoding="utf-8") as log:
            start = log.tell()
            done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=self.folder, env=self.environment, timeout=60,
                                  stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, check=False)
            log.seek(start)
            said = log.read()
        assert done.returncode == 0, f"{script}\n{said}"
        return said

    def feed(self, count=20):
        """More events, and one row of each."""
        self.files.append(0, *[event(f"u{i % 7}", i) for i in range(self.sent, self.sent + count)])
        self.files.append(1, *[event(f"v{i % 7}", i) for i in range(self.sent, self.sent + count)])
        self.sent += count
        wait_until(lambda: len(self.files.rows()) >= 2 * self.sent, 30, f"{2 * self.sent} rows")
        assert len(self.files.rows()) == 2 * self.sent, "nothing twice"

    def sha256(self):
        return self.server.line("features")["binary"]

    def wait_program(self, is_it, what):
        """The list of jobs shows a change a moment after it was answered."""
        wait_until(lambda: is_it(self.sha256()), 20, what)


def handbook_commands():
    """Each command of our programs that the handbook names, in its blocks and in its text, as words."""
    text = HANDBOOK.read_text()
    lines = [line for block in re.findall(r"^```(?:sh)?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
             for line in block.replace("\\\n", " ").splitlines()]
    lines += [" ".join(code.split()) for code in re.findall(r"`((?:tidemill|feature_pipeline)\s[^`]+)`", text)]
    found = {}
    for line in lines:
        for command in re.split(r"\|\|?|&&|;|\$\(", line):
            words = re.split(r"\s#|[<>&]", command)[0].split()
            if words and words[0].rsplit("/", 1)[-1] in ("tidemill", "feature_pipeline"):
                found[" ".join(words)] = words
    return found.values()


def test_each_command_of_the_handbook_exists():
    checked = 0
    helps = {}
    for words in handbook_commands():
        program, *rest = words
        program = program.rsplit("/", 1)[-1]
        verb = []
        if program == "tidemill" and rest and not rest[0].startswith("-"):
            verb = rest[:2] if rest[0] in ("token", "state", "txn") else rest[:1]
        if verb == ["run"]:  # what comes behind the program is the program's
            rest = rest[:next((i for i, word in enumerate(rest) if word.startswith("./")), None)]
        if (program, *verb) not in helps:
            done = subprocess.run([binary(program), *verb, "--help"], capture_output=True, text=True, timeout=20, check=False)
            told = done.stdout + done.stderr
            assert done.returncode == 0 or told.startswith(f"usage: tidemill {' '.join(verb)}"), f"{' '.join(words)}: {told}"
            helps[program, *verb] = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", told))
        for flag in (word.split("=")[0] for word in rest if word.startswith("-")):
            assert flag in helps[program, *verb], f"{' '.join(words)}: {flag}"
        checked += 1
    assert checked > 40


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    made = Place(tmp_path_factory.mktemp("drills"))
    try:
        (started,) = commands("disaster recovery")
        made.run(started)
        made.feed()
        yield made
    finally:
        made.server.close()
        made.redis.kill()


def test_each_line_of_the_runbook_can_be_typed(place):
    """Against a healthy job: what they find is another matter, but nobody has to guess how they are meant."""
    runbook = re.search(r"^## Runbook$(.*?)^## ", HANDBOOK.read_text(), re.MULTILINE | re.DOTALL)[1]
    sections = re.split(r"^### ", runbook, flags=re.MULTILINE)[1:]
    assert len(sections) > 25
    typed = 0
    for section in sections:
        (block,) = re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
        assert all(f"**{part}**" in section for part in ("See", "Why", "Do")), section
        for line in block.splitlines():
            # Another's server, and a second one of ours.
            if line.startswith(("redis-cli ", "tidemill server ")):
                continue
            is_recovery = line.startswith("tidemill recover ")  # of a job that does not run
            if is_recovery:
                place.run("tidemill stop features --wait")
            place.run(line)
            if is_recovery:
                place.run("tidemill start features --wait")
            typed += 1
    assert typed > 40
    place.feed()


def test_upgrade_and_rollback(place):
    old = place.sha256()
    for script in commands("upgrade"):
        place.run(script)
    place.wait_program(lambda now: now != old, "the new version runs")
    place.feed()
    as_it_stands, to_the_savepoint = commands("rollback")
    place.run(as_it_stands)
    place.wait_program(lambda now: now == old, "the old version runs")
    place.feed()
    said = place.run(to_the_savepoint)
    assert "consumers of Kafka topics and of exactly-once files see these rows twice" in said, "the refusal's consequence"
    assert re.search(r"admin .* 409 +POST /api/v1/jobs/features/restore\b", said) and '"accept_duplicates":true' in said, said
    place.feed()


def test_backfill(place):
    def jobs():
        return [job["name"] for job in place.server.call("GET", "/api/v1/jobs")[1]["jobs"]]

    before, rows = jobs(), sorted(map(json.dumps, place.files.rows()))
    for script in commands("backfill"):
        place.run(script)
    (replayed,) = place.folder.glob("rows*fix*")
    assert sorted(map(json.dumps, place.files.rows(replayed))) == rows
    assert jobs() == before
    place.feed()


def test_hand_over_and_back(place):
    old = place.sha256()
    begin, there, back = commands("hand over")
    place.run(begin)
    wait_until((place.folder / "rows.new").exists, 60, "rows of the replay")
    place.run(there)
    place.wait_program(lambda now: now != old, "the new version runs")
    place.feed()
    place.run(back)
    place.wait_program(lambda now: now == old, "the old version runs")
    place.feed()


def test_disaster_recovery(place):
    pid = place.server.line("features")["pid"]
    place.server.close()
    os.kill(pid, signal.SIGKILL) if Path(f"/proc/{pid}").exists() else None
    shutil.rmtree(place.server.dir)
    for script in commands("disaster recovery"):
        place.run(script)
    place.feed()
