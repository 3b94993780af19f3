"""`tidemill server` as the tests run it: started, killed, asked. Its jobs outlive it, so `close` ends them."""

import json
import os
import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

from job import FINISHED, binary
from process import ChildProcess, wait_until


class JobServer:
    def __init__(self, folder, *flags):
        self.folder = Path(folder)
        self.dir = self.folder / "server"
        self.child = None
        self.flags = flags
        self.url = None
        self._starts = 0

    def start(self):
        self._starts += 1
        self.child = ChildProcess([binary("tidemill"), "server", "--dir", self.dir, *self.flags, "--listen", "127.0.0.1:0", "--restart-backoff", "50ms"],
                                  self.folder / f"server-{self._starts}.log")
        self.child.start()

        def address():
            assert self.child.running(), self.child.tail()
            found = [line.split()[-1] for line in self.child.log().splitlines() if line.startswith("tidemill server: ")]
            return found[0] if found else None

        self.url = wait_until(address, 20, "the server prints its address")
        return self

    @property
    def token(self):
        return (self.dir / "admin.token").read_text().strip()

    def call(self, method, path, body=None, token=None, content=None):
        """(status, answer): `content` are raw bytes instead of a JSON body; `token` "" sends none."""
        token = self.token if token is None else token
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        data = content if content is not None else None if body is None else json.dumps(body).encode()
        if data is not None:
            headers["Content-Type"] = "application/json" if content is None else "application/octet-stream"
        request = urllib.request.Request(self.url + path, method=method, data=data, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def upload(self, program):
        status, answer = self.call("PUT", "/api/v1/binaries", content=Path(program).read_bytes())
        assert status in (200, 201), answer
        return answer["sha256"]

    def line(self, job):
        """The job as the list of jobs has it."""
        return next(j for j in self.call("GET", "/api/v1/jobs")[1]["jobs"] if j["name"] == job)

    def wait_state(self, job, state, deadline_s=30):
        return wait_until(lambda: (line := self.line(job))["state"] == state and line, deadline_s, f"{job} is {state}")

    def close(self):
        """Ends the server, then every process whose folder is below ours."""
        if self.child is not None:
            self.child.kill()
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if any(str(self.dir).encode() in word for word in words) and int(entry.name) != os.getpid():
                try:
                    os.kill(int(entry.name), signal.SIGKILL)
                except ProcessLookupError:
                    pass


class Command:
    """`tidemill`, asking this server, wherever it listens by now."""

    def __init__(self, server):
        self.server = server

    @property
    def environment(self):
        return os.environ | {"TIDEMILL_SERVER": self.server.url,
                             "TIDEMILL_TOKEN_FILE": str(self.server.dir / "admin.token")}

    def run(self, *words, environment=None):
        """(exit code, stdout, stderr)"""
        done = subprocess.run([str(binary("tidemill")), *map(str, words)], capture_output=True, text=True, timeout=60, check=False,
                              env=self.environment | (environment or {}))
        return done.returncode, done.stdout, done.stderr

    def json(self, *words):
        code, out, err = self.run(*words, "--json")
        assert code == FINISHED, err
        return json.loads(out)
