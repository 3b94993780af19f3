#!/usr/bin/env python3
"""Holds what Nexmark's queries cost an event against what is on record (gate.json).

    bench/nexmark/gate.py               fails if one takes 3 % more instructions, or far more time beside the loop by hand
    bench/nexmark/gate.py --update      puts what it finds on record

Time differs from run to run by more than most changes are worth; what callgrind counts in the tasks' steps differs by a few
instructions in a million. It knows nothing of caches, so time is looked at too, loosely: as a multiple of the loop by hand in the
same run, which differs between processors. A change that is to make something faster is measured in pairs of runs.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
RECORD = HERE / "gate.json"
EVENTS = 100_000
TIMED_EVENTS = 2_000_000
ALLOWED = {"instructions an event": 1.03, "times the loop by hand": 3.0}
# A map, a filter, sliding and tumbling windows, timers, sessions, grouped aggregates, a join, the last row of a key.
QUERIES = ("q1", "q2", "q5", "q7", "q8", "q9", "q11", "q17", "q18", "q20")


def count(program, query):
    """Instructions an event, in the steps of tasks alone: neither making the input nor waiting is in them."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", "--toggle-collect=tidemill::Task::step(unsigned long)",
                   program, "--query", query, "--events", str(EVENTS), "--rate", "100000"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            sys.exit("valgrind is not installed: apt-get install valgrind")
    collected = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or not collected or collected[1] == "0":
        sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return round(int(collected[1]) / EVENTS, 1)


def time_by_hand(program, query):
    """CPU time as a multiple of the loop by hand, of the least of three runs each."""
    command = [program, "--query", query, "--events", str(TIMED_EVENTS), "--rate", "100000", "--hand", "--repeat", "3", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    runs = [json.loads(line) for line in done.stdout.splitlines()]
    return round(min(run["cpu_ns_per_event"] for run in runs) / min(run["hand_cpu_ns_per_event"] for run in runs), 2)


def judge(found, recorded):
    """A line for each query and measure, and those that are more than they may be."""
    lines, worse = [], []
    for measure, queries in found.items():
        for query, now in queries.items():
            former = recorded.get(measure, {}).get(query)
            change = f"{100 * (now / former - 1):+.1f} %" if former else "not on record"
            lines.append(f"{query:<5} {now:>9} {measure}, {change}")
            if former is None or now > former * ALLOWED[measure]:
                worse.append(f"{query}: {now} {measure}, {change}")
    return lines, worse


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, default=HERE.parents[1] / "build/release/bin/nexmark")
    parser.add_argument("--update", action="store_true", help="put what is found on record")
    options = parser.parse_args()
    if not options.program.exists():
        sys.exit(f"there is no {options.program}: build it first, scripts/build release bin/nexmark")
    found = {}
    for measure, look in zip(ALLOWED, (count, time_by_hand)):
        for query in QUERIES:
            print(f"{query}: {measure}", file=sys.stderr, flush=True)
            found.setdefault(measure, {})[query] = look(options.program, query)
    recorded = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    lines, worse = judge(found, recorded)
    print("\n".join(lines))
    if options.update:
        RECORD.write_text(json.dumps(found, indent=2) + "\n")
        return 0
    for one in worse:
        print(f"FAILED: {one}; if it is worth that, {Path(__file__).name} --update and say why in the commit", flush=True)
    print(f"{len(lines) - len(worse)} passed, {len(worse)} failed")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
