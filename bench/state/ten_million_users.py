#!/usr/bin/env python3
"""The main job with far more users than its memory holds: what it takes, how fast it is, and whether its rows are right.

A file log is written in which every user occurs, most of them once, the others uniformly, so that nearly every event meets
a user that is not in memory. Event time goes on as fast as the clock would at the rate that is asked for. The job reads it
with memory: 256MiB. Its memory is what the kernel says, once a second and at its greatest; the rows of sampled users are
compared with the oracle's.
"""

import argparse
import array
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "jobs" / "feature_pipeline" / "tools"
sys.path.insert(0, str(TOOLS))
import file_log  # noqa: E402
import interleaving  # noqa: E402
import oracle  # noqa: E402
import verify  # noqa: E402

START = oracle.parse_iso("2026-01-01T00:00:00Z")
ACTIONS = ("view", "click", "search", "purchase")
PARTITIONS = 4
SCRAMBLE = 2_654_435_769  # coprime to ten: it permutes the users of a power of ten


class Input:
    """Writes the events; knows of them what the oracle needs of the sampled users.

    Event n happens at about n / rate, up to 4 s earlier: within the disorder, so none is late. A user's events are all in
    one partition.
    """

    def __init__(self, args):
        self.judged = oracle.Judged()
        self._users = args.users
        self._events = args.events
        self._rate = args.rate
        self._sampled = {self._user(n * (args.users // args.sample)) for n in range(args.sample)}

    @property
    def names(self):
        return {f"u{user}" for user in self._sampled}

    def write(self, folder):
        writers = [file_log.PartitionWriter(folder, p, 1_000_000) for p in range(PARTITIONS)]
        lines = [[] for _ in range(PARTITIONS)]
        highs = [(array.array("q"), array.array("q")) for _ in range(PARTITIONS)]
        largest = [0] * PARTITIONS
        offsets = [0] * PARTITIONS
        mixed = 1
        for n in range(self._events):
            mixed = (mixed * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407) & 0xFFFFFFFFFFFFFFFF
            # Every user in turn first comes with its share of the events.
            known, following = n * self._users // self._events, (n + 1) * self._users // self._events
            user = self._user(known if following > known else (mixed >> 33) % self._users)
            partition = user % PARTITIONS
            at = START + n * 1000 // self._rate - (mixed >> 20) % 4000
            action, tenths = ACTIONS[mixed >> 62], (mixed >> 40) % 1000
            lines[partition].append(b'{"user_id":"u%d","action":"%s","value":%d.%d,"timestamp":%d}' % (
                user, action.encode(), tenths // 10, tenths % 10, at))
            if at > largest[partition]:
                largest[partition] = at
                highs[partition][0].append(at)
                highs[partition][1].append(offsets[partition])
            if user in self._sampled:
                self.judged.by_user.setdefault(f"u{user}", []).append(
                    oracle.Event(at, partition, offsets[partition], f"u{user}", action, tenths / 10))
            offsets[partition] += 1
            if len(lines[partition]) == 10_000:
                writers[partition].append(lines[partition])
                lines[partition].clear()
        for partition, writer in enumerate(writers):
            writer.append(lines[partition])
            writer.close()
        self.judged.highs = dict(enumerate(highs))
        self.judged.accepted = self._events

    def _user(self, n):
        return n * SCRAMBLE % self._users


class Memory(threading.Thread):
    """Resident memory of a process in kB, once a second until it ends."""

    def __init__(self, pid, log):
        super().__init__(daemon=True)
        self._status = Path(f"/proc/{pid}/status")
        self._log = log
        self.samples = []
        self.high = 0

    def run(self):
        began = time.monotonic()
        while True:
            try:
                text = self._status.read_text(encoding="ascii")
            except OSError:
                return
            found = dict(re.findall(r"(VmHWM|VmRSS|RssAnon|RssFile):\s+(\d+) kB", text))
            if not found:
                return  # a zombie has none
            self.samples.append(int(found["VmRSS"]))
            self.high = int(found["VmHWM"])
            if self._log:
                print(f"{time.monotonic() - began:.0f} s: {found}", file=self._log, flush=True)
            time.sleep(1)


def run_job(args, folder):
    settings = {
        "source.file.dir": f"{folder}/user-events", "event_time.disorder": "5s", "event_time.lateness": "1m",
        "features.emit": "on_record", "sinks.file.dir": f"{folder}/ml-features", "bad_data.policy": "fail",
        "checkpoint.dir": f"{folder}/checkpoints", "checkpoint.interval": args.checkpoint_interval,
        "memory": args.memory, "http": args.http,
    }
    command = [str(args.bin / "feature_pipeline"), "--parallelism", str(args.parallelism)]
    for key, value in settings.items():
        command += ["--set", f"{key}={value}"]
    with open(f"{folder}/job.log", "wb") as log, open(f"{folder}/memory.log", "w", encoding="ascii") as memory_log:
        began = time.monotonic()
        job = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log)
        memory = Memory(job.pid, memory_log)
        memory.start()
        try:
            _, status, usage = os.wait4(job.pid, 0)
        except BaseException:
            job.kill()
            raise
        wall = time.monotonic() - began
        memory.join()
    if status != 0:
        sys.exit(f"the job ended with {status}:\n{Path(folder, 'job.log').read_text(encoding='utf-8')[-2000:]}")
    return wall, usage, memory


def sampled_rows(folder, names, settings):
    """All rows, counted, and those of the sampled users, read."""
    output = verify.Output()
    reader = verify.RowReader(settings, output)
    partitions = file_log.partition_dirs(folder)
    wanted = {name.encode() for name in names}
    begin = len(b'{"user_id":"')
    rows = 0
    for partition, path in partitions:
        for offset, line in file_log.read_partition(path):
            rows += 1
            if line[begin:line.find(b'"', begin)] in wanted:
                reader.add(f"{path} offset {offset}", partition, len(partitions), line)
    return rows, output


def compare(judged, output, settings):
    differences = verify.Differences()
    for text in output.malformed:
        differences.add(text)
    end = max(times[-1] for times, _ in judged.highs.values())
    checker = interleaving.Checker(judged, settings, end)
    for user, events in judged.by_user.items():
        verify.compare_key(user, events, output.rows.get(user, []), settings, end, checker, differences)
    for text in differences.first:
        print(f"  {text}")
    return differences.count == 0 and output.misplaced == 0


def size_of(folder):
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def state_size(checkpoints):
    newest = max((path for path in checkpoints.glob("*/*-*") if path.is_dir()), key=lambda path: path.name, default=None)
    return size_of(newest) if newest else 0


def machine():
    model = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    return (f"{os.cpu_count()} CPUs, {model.group(1) if model else platform.machine()}, load {os.getloadavg()[0]:.1f}, "
            f"{time.strftime('%Y-%m-%d %H:%M')}")


def measure(args, folder):
    settings = oracle.Settings()
    events = Input(args)
    events.write(f"{folder}/user-events")
    print(f"{args.events} events of {args.users} users, {args.rate} a second of event time, {size_of(folder) >> 20} MiB; "
          f"memory: {args.memory}, parallelism {args.parallelism}; {machine()}", flush=True)
    wall, usage, memory = run_job(args, folder)
    cpu = usage.ru_utime + usage.ru_stime
    print(f"{args.events / wall / 1000:.1f} k events/s ({wall:.0f} s), CPU {cpu / args.events * 1e6:.2f} us an event; {machine()}")
    print(f"RSS: at most {max(memory.samples) / 1000:.0f} MB of {len(memory.samples)} samples, "
          f"by the kernel at most {max(memory.high, usage.ru_maxrss) / 1000:.0f} MB")
    print(f"newest checkpoint: {state_size(Path(folder, 'checkpoints')) >> 20} MiB", flush=True)
    rows, output = sampled_rows(f"{folder}/ml-features", events.names, settings)
    same = compare(events.judged, output, settings)
    print(f"{rows} rows; {output.row_count} rows of {len(output.rows)} sampled users equal the oracle: "
          f"{'yes' if same else 'no'}")
    return 0 if same else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", type=Path, default=ROOT / "build" / "release" / "bin")
    parser.add_argument("--events", type=int, default=15_000_000)
    parser.add_argument("--users", type=int, default=10_000_000, help="a power of ten")
    parser.add_argument("--sample", type=int, default=1000, help="users compared with the oracle")
    parser.add_argument("--rate", type=int, default=30_000, help="events a second of event time")
    parser.add_argument("--memory", default="256MiB")
    parser.add_argument("--parallelism", type=int, default=2)
    parser.add_argument("--checkpoint-interval", default="1s")
    parser.add_argument("--http", default="none", help="port for metrics")
    parser.add_argument("--dir", type=Path, help="works here, and leaves what it made; default: a folder that is removed")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # the job ends with this
    if args.dir:
        shutil.rmtree(args.dir, ignore_errors=True)
        args.dir.mkdir(parents=True)
        return measure(args, args.dir)
    with tempfile.TemporaryDirectory(prefix="ten_million_") as folder:
        return measure(args, Path(folder))


if __name__ == "__main__":
    sys.exit(main())
