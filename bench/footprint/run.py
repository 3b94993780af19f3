#!/usr/bin/env python3
"""What Tidemill takes before it does anything: memory a key, memory of an idle job, time to start, size of a binary.

    bench/footprint/run.py [--bin DIR] [--kafka]

Prints a table and fails if anything is above its limit. --kafka: an idle job on a Kafka that this starts and stops, too;
needs the Python of scripts/venv.
"""

import argparse
import json
import os
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
MB = 1_000_000
# At most: two times what is the user's own and 16 bytes a key; the rest as named.
BYTES_OF_A_KEY = (2, 16)
LIMITS = {"idle": 30.0, "start": 100.0, "binary": 25.0}
BINARIES = ("feature_pipeline", "word_count", "late_data", "custom_operator", "custom_source")
DEADLINE_S = 60


def fail(text):
    sys.exit(f"footprint: {text}")


def bytes_of_keys(folder):
    """(what, found, limit, unit) for each kind of key and number of keys."""
    rows = []
    for kind in ("u64", "text"):
        for keys in (1_000_000, 10_000_000):
            done = subprocess.run([str(folder / "key_memory"), kind, str(keys)], capture_output=True, text=True, check=False)
            if done.returncode != 0:
                fail(f"key_memory {kind} {keys} ended with {done.returncode}: {done.stderr[-500:]}")
            found = json.loads(done.stdout)
            times, more = BYTES_OF_A_KEY
            limit = times * found["payload"] + more
            rows += [(f"{kind} key, {found['payload']} bytes with its value, {keys:,} of them: {what}", found[what], limit, "bytes")
                     for what in ("tables", "resident")]
    return rows


def resident_mb(pid):
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(re.search(r"VmRSS:\s*(\d+) kB", status)[1]) * 1024 / MB


def idle_mb(what, command, checkpoints):
    """The greatest resident memory of a job that has nothing to read, from its first checkpoint to its third."""
    with open(checkpoints.parent / "log", "wb") as log:
        job = subprocess.Popen(command, stdout=log, stderr=log)
        most, until = 0.0, time.monotonic() + DEADLINE_S
        try:
            while True:
                seen = max((int(p.name.split("-")[0]) for p in checkpoints.glob("*/[0-9]*-*") if (p / "manifest").exists()), default=0)
                if seen >= 3:
                    return most
                if job.poll() is None and seen >= 1:
                    most = max(most, resident_mb(job.pid))
                if job.poll() is not None or time.monotonic() > until:
                    fail(f"{what} {'ended' if job.poll() is not None else 'took no third checkpoint'}:\n"
                         + (checkpoints.parent / "log").read_text(errors="replace")[-2000:])
                time.sleep(0.02)
        finally:
            job.kill()
            job.wait()


def pipeline(folder, scratch, settings):
    command = [str(folder / "feature_pipeline"), "--parallelism", "1"]
    settings = {"checkpoint.dir": scratch / "checkpoints", "checkpoint.interval": "1s", "http": "none", "bad_data.policy": "fail",
                "event_time.disorder": "5s", "event_time.lateness": "1m"} | settings
    for key, value in settings.items():
        command += ["--set", f"{key}={value}"]
    return command


def file_settings(scratch):
    return {"source.file.dir": scratch / "user-events", "sinks.file.dir": scratch / "ml-features"}


def write_log(scratch, lines):
    partition = scratch / "user-events" / "partition-0"
    partition.mkdir(parents=True)
    at = 1_767_225_600_000
    (partition / "00000000000000000000.jsonl").write_text("".join(
        f'{{"user_id":"u{i}","action":"view","value":1.5,"timestamp":{at + i}}}\n' for i in range(lines)))


def idle_on_files(folder, scratch):
    write_log(scratch, 0)
    command = pipeline(folder, scratch, file_settings(scratch) | {"source.file.follow": "true"})
    return "idle feature_pipeline on files, resident", idle_mb("feature_pipeline", command, scratch / "checkpoints"), LIMITS["idle"], "MB"


def idle_on_kafka(folder, scratch):
    sys.path.insert(0, str(ROOT / "tests/e2e"))
    from broker import Cluster  # pylint: disable=import-outside-toplevel
    cluster = Cluster(scratch / "kafka").start()
    try:
        settings = {"source.kafka.brokers": cluster.address, "source.kafka.topic": cluster.create_topic("events", 1),
                    "sinks.kafka.topic": cluster.create_topic("features", 1)}
        command = pipeline(folder, scratch, settings)
        return "idle feature_pipeline on Kafka, resident", idle_mb("feature_pipeline", command, scratch / "checkpoints"), LIMITS["idle"], "MB"
    finally:
        cluster.stop()


def most_of_an_example(folder):
    # The greatest of all children so far: so this comes first.
    subprocess.run([str(folder / "word_count"), "--http", "none"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / MB
    return "word_count from start to end, resident at most", most, LIMITS["idle"], "MB"


def start_ms(folder, scratch):
    """From the start of a job without state until its first record is read, its row committed and the process has ended."""
    write_log(scratch, 1)
    times = []
    for i in range(11):
        out = scratch / str(i)
        out.mkdir()
        command = pipeline(folder, out, file_settings(scratch) | {"sinks.file.dir": out / "ml-features"})
        began = time.monotonic()
        done = subprocess.run(command + ["--until-offsets", "user-events:0=1"], capture_output=True, text=True, check=False)
        times.append((time.monotonic() - began) * 1000)
        if done.returncode != 0:
            fail(f"feature_pipeline ended with {done.returncode}:\n{done.stderr[-2000:]}")
        rows = sum(path.read_text().count("\n") for path in (out / "ml-features").glob("*/*.jsonl"))
        if rows == 0:
            fail("the first record gave no row")
    # Whatever else runs only adds: the least is what the job takes.
    what = f"start to first row committed, process ended: least of 11 (median {statistics.median(times):.0f})"
    return what, min(times), LIMITS["start"], "ms"


def stripped_mb(folder, scratch):
    rows = []
    for name in BINARIES:
        copy = scratch / name
        subprocess.run(["strip", "-o", str(copy), str(folder / name)], check=True)
        rows.append((f"{name}, stripped", copy.stat().st_size / MB, LIMITS["binary"], "MB"))
    return rows


def judge(rows):
    """A line for each measure, and what is above its limit."""
    lines, above = [], []
    for what, found, limit, unit in rows:
        line = f"{what:<78} {found:8.1f} {unit:<5}  at most {limit:g}"
        lines.append(line + ("" if found <= limit else "  ABOVE"))
        if found > limit:
            above.append(line)
    return lines, above


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", type=Path, default=ROOT / "build" / "release" / "bin")
    parser.add_argument("--kafka", action="store_true", help="an idle job on Kafka too")
    args = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="tidemill-footprint-"))
    try:
        parts = [scratch / name for name in ("idle", "kafka", "start", "binaries")]
        for part in parts:
            part.mkdir()
        rows = [most_of_an_example(args.bin), idle_on_files(args.bin, parts[0])]
        if args.kafka:
            rows.append(idle_on_kafka(args.bin, parts[1]))
        rows += [start_ms(args.bin, parts[2])] + stripped_mb(args.bin, parts[3]) + bytes_of_keys(args.bin)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    lines, above = judge(rows)
    print(f"load {os.getloadavg()[0]:.1f}, {time.strftime('%Y-%m-%d')}", *lines, sep="\n")
    return 1 if above else 0


if __name__ == "__main__":
    sys.exit(main())
