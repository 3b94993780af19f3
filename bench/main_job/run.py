#!/usr/bin/env python3
"""The main job against a hand-written loop that does the same work: CPU per event, file log to file log.

Events are generated before anything is timed. Then the two run in pairs, A B B A, a fresh process each,
and every pair must write the same rows. CPU is that of the whole process, user and system, all threads.
"""

import argparse
import hashlib
import os
import platform
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "jobs" / "feature_pipeline" / "tools"
EMITS = ("on_record", "on_watermark", "coalesced")


def job_command(args, events, out, emit):
    settings = {
        "source.file.dir": events, "event_time.disorder": "5s", "event_time.lateness": "1m",
        "features.emit": emit, "sinks.file.dir": f"{out}/ml-features", "bad_data.policy": "dead_letter",
        "checkpoint.dir": f"{out}/checkpoints", "checkpoint.interval": args.checkpoint_interval, "http": "none",
    }
    if emit == "coalesced":
        settings["features.emit_interval"] = "1m"
    command = [str(args.bin / "feature_pipeline"), "--parallelism", str(args.parallelism)]
    for key, value in settings.items():
        command += ["--set", f"{key}={value}"]
    return command


def hand_command(args, events, out, emit):
    return [str(args.bin / "hand_loop"), str(events), f"{out}/ml-features", emit]


class Run:
    """One process: its CPU seconds, its time on the clock, and a checksum of its rows."""

    def __init__(self, command, out):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.monotonic()
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
        self.wall = time.monotonic() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode != 0:
            sys.exit(f"{command[0]} ended with {done.returncode}:\n{done.stderr.decode()[-2000:]}")
        self.cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        self.rows, self.checksum = rows_of(out / "ml-features")


def rows_of(folder):
    """(rows, checksum) of a file log, whatever the order within a partition and the cuts between files."""
    count, total = 0, 0
    for partition in sorted(folder.iterdir()):
        for path in partition.glob("*.jsonl"):
            for line in path.read_bytes().splitlines():
                count += 1
                digest = hashlib.blake2b(partition.name.encode() + b"/" + line, digest_size=8).digest()
                total = (total + int.from_bytes(digest, "big")) % 2**64
    return count, total


def measure(args, events, emit, scratch):
    commands = {"hand": hand_command, "job": job_command}
    pairs = []
    for i in range(args.pairs + 1):  # the first one warms up
        pair = {}
        for name in ("hand", "job") if i % 2 == 0 else ("job", "hand"):
            out = scratch / "out"
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir()
            pair[name] = Run(commands[name](args, events, out, emit), out)
        if args.parallelism == 1 or emit == "on_watermark":
            # Beyond, on_record and the last rows of an interval depend on the order of reading.
            hand, job = pair["hand"], pair["job"]
            if (hand.rows, hand.checksum) != (job.rows, job.checksum):
                sys.exit(f"{emit}: the rows differ: hand {hand.rows} {hand.checksum:016x}, "
                         f"job {job.rows} {job.checksum:016x}")
        if i > 0:
            pairs.append(pair)
    return pairs


def spread(values, form):
    return " / ".join(form.format(v) for v in (min(values), statistics.median(values), max(values)))


def report(args, emit, pairs):
    per_event = 1e9 / args.events
    hand = [p["hand"].cpu * per_event for p in pairs]
    job = [p["job"].cpu * per_event for p in pairs]
    print(f"{emit}: {pairs[0]['job'].rows} rows, checksum {pairs[0]['job'].checksum:016x}")
    print(f"  ratio job : hand          {spread([j / h for h, j in zip(hand, job)], '{:.2f}')}")
    print(f"  hand loop, CPU ns/event   {spread(hand, '{:.0f}')}")
    print(f"  job, CPU ns/event         {spread(job, '{:.0f}')}")
    print(f"  job, events/s per core    {spread([1e9 / j for j in job], '{:.0f}')}", flush=True)


def first_record(args, events, scratch):
    """Milliseconds from the start of a job without state to its end behind the first record of each partition: an upper
    bound of the time to the first record."""
    times = []
    for _ in range(args.pairs):
        out = scratch / "out"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        command = job_command(args, events, out, "on_record") + ["--until-offsets", one_record(events)]
        began = time.monotonic()
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
        times.append((time.monotonic() - began) * 1000)
        if done.returncode != 0:
            sys.exit(f"{command[0]} ended with {done.returncode}:\n{done.stderr.decode()[-2000:]}")
    print(f"start to first records written, committed and the process ended, ms: {spread(times, '{:.0f}')}")


def one_record(events):
    count = sum(1 for path in events.iterdir() if re.fullmatch(r"partition-\d+", path.name))
    return ",".join(f"{events.name}:{p}=1" for p in range(count))


def machine():
    model = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    load = os.getloadavg()[0]
    return (f"{os.cpu_count()} CPUs, {model.group(1) if model else platform.machine()}, "
            f"load {load:.1f} at the start, {time.strftime('%Y-%m-%d')}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", type=Path, default=ROOT / "build" / "release" / "bin")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--span", default="30h", help="of event time")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--parallelism", type=int, default=1)
    parser.add_argument("--checkpoint-interval", default="1s")
    parser.add_argument("--emit", choices=EMITS, action="append", help="repeatable; default: all three")
    parser.add_argument("--input", type=Path, help="a file log made before, instead of generating one")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="main_job_") as scratch:
        events = args.input or Path(scratch) / "user-events"
        if not args.input:
            subprocess.run([sys.executable, str(TOOLS / "generate_events.py"), str(events),
                            "--events", str(args.events), "--users", str(args.users), "--span", args.span],
                           check=True, stderr=subprocess.DEVNULL)
        print(f"{args.events} events, {args.users} users, {args.span}; {args.pairs} pairs, min / median / max; "
              f"{machine()}")
        first_record(args, events, Path(scratch))
        for emit in args.emit or EMITS:
            report(args, emit, measure(args, events, emit, Path(scratch)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
