#!/usr/bin/env python3
"""Runs a scenario runner on the malformed and random files: each plainly, and in one of the ways that must not change a result.

    differential.py RUNNER… [--seed S] [--count N] [--keep DIR] [--every-way] [--plain]

RUNNER is the command that takes files, e.g. `build/release/bin/tidemill scenario`. The rows in the random files are those of the reference
model. Prints what the runner says about each file that fails, and keeps random ones that fail in DIR. Exit 0 only if nothing differs.
"""
import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from random_scenarios import random_scenario

SCENARIOS = Path(__file__).parent.parent / "scenarios"
WAYS = ([], ["--restart-everywhere"], ["--parallelism", "3"], ["--seed", "5", "--parallelism", "4"], ["--backend", "rocksdb"],
        ["--backend", "rocksdb", "--restart-everywhere", "--parallelism", "2", "--seed", "9"])
FILES_A_RUN = 100


def run(runner, way, files):
    return subprocess.run(runner + way + [str(path) for path in files], capture_output=True, text=True, timeout=600, check=False)


def differing(runner, way, files):
    """The files that the runner does not pass, each with what it says; found by halves, so that it need say nothing special."""
    said = run(runner, way, files)
    if said.returncode == 0:
        count = re.search(r"([0-9]+) passed, 0 failed", said.stdout)
        skipped = len(re.findall("skip", said.stdout + said.stderr))
        if count and int(count[1]) + skipped >= len(files):
            return []
    if len(files) == 1:
        return [(files[0], said.returncode, said.stdout + said.stderr)]
    half = len(files) // 2
    return differing(runner, way, files[:half]) + differing(runner, way, files[half:])


def misplaced(runner, files):
    """The malformed files that the runner takes, or whose mistake it places elsewhere."""
    for path in files:
        line, column = re.match(r"# error ([0-9]+):([0-9]+) ", path.read_text(encoding="utf-8")).groups()
        said = run(runner, [], [path])
        if said.returncode != 2 or f":{line}:{column}:" not in said.stderr:
            yield path, said.returncode, f"expected exit 2 and :{line}:{column}:\n{said.stdout}{said.stderr}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("runner", nargs="+")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--every-way", action="store_true", help="each file in every way, the hand-written ones too")
    parser.add_argument("--plain", action="store_true", help="without the flags that must not change a result")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        written = [Path(temporary) / f"random_{arguments.seed}_{number}.scenario" for number in range(arguments.count)]
        for number, path in enumerate(written):
            path.write_text(random_scenario(arguments.seed, number), encoding="utf-8")
        files = (sorted(SCENARIOS.glob("*.scenario")) if arguments.every_way else []) + written
        found = [("", *one) for one in misplaced(arguments.runner, sorted((SCENARIOS / "malformed").glob("*.scenario")))]
        ways = WAYS[:1] if arguments.plain else WAYS
        runs = 0
        for i, way in enumerate(ways):
            chosen = files if i == 0 or arguments.every_way else files[i - 1::len(ways) - 1]
            runs += len(chosen)
            for first in range(0, len(chosen), FILES_A_RUN):
                found += [(" ".join(way), *one) for one in differing(arguments.runner, way, chosen[first:first + FILES_A_RUN])]
        for way, path, code, said in found:
            print(f"--- {path.name} {way} (exit {code})\n{said.rstrip()}")
            if arguments.keep and path in written:
                arguments.keep.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, arguments.keep)
        print(f"{len(files)} files, {runs} runs in {len(ways)} ways, {len(found)} differences")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
