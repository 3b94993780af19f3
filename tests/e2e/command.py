"""The command `tidemill` as a person at a terminal or a program runs it, against a server of the tests."""

import json
import os
import subprocess

from job import FINISHED, binary


class Command:
    def __init__(self, server):
        self.environment = os.environ | {"TIDEMILL_SERVER": server.url, "TIDEMILL_TOKEN_FILE": str(server.dir / "admin.token")}

    def run(self, *words, environment=None):
        """(exit code, stdout, stderr)"""
        done = subprocess.run([str(binary("tidemill")), *map(str, words)], capture_output=True, text=True, timeout=60, check=False,
                              env=self.environment | (environment or {}))
        return done.returncode, done.stdout, done.stderr

    def json(self, *words):
        code, out, err = self.run(*words, "--json")
        assert code == FINISHED, err
        return json.loads(out)
