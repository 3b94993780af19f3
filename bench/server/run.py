#!/usr/bin/env python3
"""Fifty running jobs on one server: how fast it answers, and what it needs.

    bench/server/run.py [--bin FOLDER] [--jobs N] [--requests N] [--events N]

The jobs are the shipped one over one file log, to which `--events` a second are written (0: none), so that each job computes as many:
what is measured is the server, which asks each of them once a second. Prints p50, p99 and the greatest time of each call over one kept connection, and the server's resident memory and CPU.
"""
import argparse
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

CALLS = ("/api/v1/jobs", "/api/v1/jobs/job-7/status", "/api/v1/jobs/job-7", "/api/v1/jobs/job-7/graph", "/metrics", "/")


class Server:
    def __init__(self, folder, bin_folder):
        self.dir = folder / "server"
        self.log = folder / "server.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([bin_folder / "tidemill", "server", "--dir", self.dir, "--listen", "127.0.0.1:0",
                                             "--requests-per-second", "1000000"], stdout=log, stderr=subprocess.STDOUT)
        self.port = int(wait(lambda: next((line.rsplit(":", 1)[1] for line in self.log.read_text().splitlines()
                                           if line.startswith("tidemill server: ")), None), 30, "the server prints its address"))
        self.token = (self.dir / "admin.token").read_text().strip()
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def call(self, method, path, body=None):
        self.connection.request(method, path, body=body, headers={"Authorization": f"Bearer {self.token}"})
        answer = self.connection.getresponse()
        content = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {content[:500]}")
        return content

    def end(self):
        """The server, then its jobs, which would outlive it."""
        jobs = json.loads(self.call("GET", "/api/v1/jobs"))["jobs"]
        for job in jobs:
            self.call("POST", f"/api/v1/jobs/{job['name']}/cancel", b"{}")
        wait(lambda: all(job["pid"] is None for job in json.loads(self.call("GET", "/api/v1/jobs"))["jobs"]), 120, "all jobs have ended")
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


def wait(condition, seconds, what):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.2)
    raise TimeoutError(what)


def config(folder, name):
    events = folder / "events" / "partition-0"
    events.mkdir(parents=True, exist_ok=True)
    return json.dumps({
        "job": name, "parallelism": 1, "memory": "16MiB",
        "source": {"file": {"dir": str(events.parent), "follow": True}},
        "sinks": {"file": {"dir": str(folder / "rows" / name)}},
        "checkpoint": {"dir": str(folder / "checkpoints"), "interval": "5s"},
        "event_time": {"field": "timestamp", "disorder": "5s"}, "key": "user_id",
    })


class Writer(threading.Thread):
    """Events a second into the log that all jobs read."""

    def __init__(self, folder, per_second):
        super().__init__(daemon=True)
        self.folder = folder / "events" / "partition-0"
        self.per_second = per_second
        self.is_over = threading.Event()

    def run(self):
        users = random.Random(1)
        number = 0
        while not self.is_over.wait(1):
            now = int(time.time() * 1000)
            lines = "".join(json.dumps({"user_id": f"u-{users.randrange(1000)}", "action": "click", "value": 1, "timestamp": now}) + "\n"
                            for _ in range(self.per_second))
            number += 1
            written = self.folder / f"{number:06}.tmp"
            written.write_text(lines)
            written.rename(written.with_suffix(".jsonl"))


def processor_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid):
    return int(next(line.split()[1] for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))) / 1000


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=Path, default=Path(__file__).parents[2] / "build" / "release" / "bin")
    parser.add_argument("--jobs", type=int, default=50)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--events", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tidemill-bench-") as name:
        folder = Path(name)
        server = Server(folder, options.bin)
        try:
            binary = json.loads(server.call("PUT", "/api/v1/binaries", (options.bin / "feature_pipeline").read_bytes()))["sha256"]
            for i in range(options.jobs):
                server.call("POST", "/api/v1/jobs", json.dumps({"name": f"job-{i}", "binary": binary, "config": config(folder, f"job-{i}")}))
            wait(lambda: all(job["state"] == "running" for job in json.loads(server.call("GET", "/api/v1/jobs"))["jobs"]), 300, "all jobs run")
            if options.events:
                writer = Writer(folder, options.events)
                writer.start()
            before, since = processor_seconds(server.process.pid), time.monotonic()
            time.sleep(10)
            share = (processor_seconds(server.process.pid) - before) / (time.monotonic() - since)
            print(f"{options.jobs} running jobs, {options.events} events/s each, nobody asks: the server takes {100 * share:.1f} % of a core")
            worst = 0
            for path in CALLS:
                times = []
                for _ in range(options.requests):
                    start = time.perf_counter()
                    server.call("GET", path)
                    times.append(1000 * (time.perf_counter() - start))
                times.sort()
                p99 = times[int(0.99 * len(times))]
                worst = max(worst, p99)
                print(f"{path:30} p50 {times[len(times) // 2]:7.2f} ms   p99 {p99:7.2f} ms   max {times[-1]:7.2f} ms")
            resident = resident_mb(server.process.pid)
            if options.events:
                writer.is_over.set()
                events = [json.loads(server.call("GET", f"/api/v1/jobs/job-{i}/status"))["totals"]["events"] for i in range(options.jobs)]
                print(f"events seen by a job: {min(events)} to {max(events)}")
                if not min(events):
                    raise RuntimeError("a job has read nothing")
            print(f"server: {resident:.0f} MB resident")
            is_met = worst < 100 and resident < 100
            print("goal (p99 below 100 ms, below 100 MB): " + ("met" if is_met else "missed"))
            return 0 if is_met else 1
        finally:
            server.end()


if __name__ == "__main__":
    sys.exit(main())
