"""A child process that cannot outlive the tests, and the waiting they do without sleeping blindly."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path


def wait_until(condition, deadline_s, what, step_s=0.02):
    """Polls `condition` until it returns something true; raises TimeoutError naming `what`."""
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"not within {deadline_s} s: {what}")
        time.sleep(step_s)


_handed_out = set()


def free_port():
    """A loopback port nobody listens on, outside the kernel's ephemeral range and never twice.

    A server that is killed and restarted must find its port still free: a port of the ephemeral
    range could meanwhile have become the local end of some client's connection.
    """
    low = 10_000
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as f:
        high = int(f.read().split()[0])
    if high <= low + 1000:
        raise RuntimeError(f"no room for servers below the ephemeral port range ({high})")
    for _ in range(1000):
        port = low + int.from_bytes(os.urandom(4), "big") % (high - low)
        if port in _handed_out:
            continue
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        _handed_out.add(port)
        return port
    raise RuntimeError("no free loopback port found in 1000 tries")


class ChildProcess:
    """One program with its output in a file. It dies with the thread that started it (SIGKILL)."""

    def __init__(self, argv, log_path, env=None, cwd=None):
        self.argv = [str(a) for a in argv]
        self.log_path = Path(log_path)
        self.env = env
        self.cwd = cwd
        self.process = None

    def start(self):
        assert not self.running(), f"{self.argv[0]} already runs"
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log_path, "ab") as log:
            # setpriv replaces itself by the program, so the id is the program's.
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *self.argv],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                env=self.env, cwd=self.cwd)
        return self

    def running(self):
        return self.process is not None and self.process.poll() is None

    @property
    def exit_code(self):
        """Exit code, or minus the signal's number; None while it runs."""
        return None if self.process is None else self.process.poll()

    def signal(self, number):
        if self.running():
            self.process.send_signal(number)

    def kill(self):
        """SIGKILL, also of a frozen process; returns when it is gone."""
        if self.process is not None:
            self.signal(signal.SIGKILL)
            self.process.wait()

    def freeze(self):
        """SIGSTOP; returns when every thread has stopped."""
        self.signal(signal.SIGSTOP)
        wait_until(self._stopped, 5, f"{self.argv[0]} stopped by SIGSTOP", 0.001)

    def thaw(self):
        self.signal(signal.SIGCONT)

    def terminate(self, deadline_s):
        """SIGTERM, then the exit code; a process that does not go is killed and named."""
        self.signal(signal.SIGTERM)
        return self.wait(deadline_s)

    def wait(self, deadline_s):
        """The exit code; raises TimeoutError with the end of the log, and kills, past the deadline."""
        try:
            return self.process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise TimeoutError(
                f"{self.argv[0]} did not end within {deadline_s} s; its log ends:\n{self.tail()}"
            ) from None

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def tail(self, lines=40):
        return "\n".join(self.log().splitlines()[-lines:])

    def _stopped(self):
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            # The state follows the command's name, which may itself hold parentheses.
            if (task / "stat").read_text().rsplit(")", 1)[1].split()[0] not in "TtZX":
                return False
        return True
