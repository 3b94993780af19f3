"""A real Redis server on a loopback port, without persistence: killed, it restarts empty."""

from pathlib import Path

import redis

from process import ChildProcess, free_port, wait_until


class RedisServer:
    def __init__(self, folder, maxmemory=None, password=None, without=None):
        """`maxmemory` (such as "3mb") comes with noeviction: when full, writes are refused.
        `without`: a command the server shall not know."""
        self.folder = Path(folder)
        self.port = free_port()
        self.password = password
        arguments = ["redis-server", "--port", self.port, "--bind", "127.0.0.1", "--dir",
                     self.folder, "--save", "", "--appendonly", "no"]
        if maxmemory is not None:
            arguments += ["--maxmemory", maxmemory, "--maxmemory-policy", "noeviction"]
        if password is not None:
            arguments += ["--requirepass", password]
        if without is not None:
            arguments += ["--rename-command", without, '""']
        self.child = ChildProcess(arguments, self.folder / "redis.log")

    @property
    def url(self):
        secret = f":{self.password}@" if self.password else ""
        return f"redis://{secret}127.0.0.1:{self.port}/0"

    def client(self):
        """A connection of the test's own; answers are text."""
        return redis.Redis(port=self.port, password=self.password, decode_responses=True,
                           socket_timeout=10)

    def start(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        self.child.start()

        def answers():
            if not self.child.running():
                raise RuntimeError(f"redis-server ended:\n{self.child.tail()}")
            try:
                return self.client().ping()
            except redis.ConnectionError:
                return False

        wait_until(answers, 10, "Redis answers PING")
        return self

    def kill(self):
        self.child.kill()

    def restart_empty(self):
        self.kill()
        self.start()

    def freeze(self):
        self.child.freeze()

    def thaw(self):
        self.child.thaw()

    def pause_writes(self, seconds):
        """Every write waits that long, reads go on: a slow server."""
        self.client().execute_command("CLIENT", "PAUSE", int(seconds * 1000), "WRITE")

    def rows(self, prefix="features:"):
        """All keys with this prefix and their values."""
        client = self.client()
        keys = list(client.scan_iter(prefix + "*", count=1000))
        return dict(zip(keys, client.mget(keys))) if keys else {}
