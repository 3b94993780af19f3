#!/usr/bin/env python3
"""Draws the curves by which Tidemill is judged: one knob is turned, the others stay. A CSV and an SVG each, in bench/results/curves.

    bench/curves/run.py keys windows              these two
    bench/curves/run.py all                       all with their usual points: about a quarter of an hour
    bench/curves/run.py keys --points 1000,10000,100000
    bench/curves/run.py all --long                also those points that take long: 10^8 keys (9 GB), ten minutes at 60 % load

Every run checks its rows. What about a shape needs an explanation is printed at the end, and makes the exit code 1. Machine and load are
in README.md beside the CSVs. bench/CURVES.md says what the shapes are and why.
"""

import argparse
import csv
import json
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "bench/compare"))
import plots  # noqa: E402
from curves import CURVES  # noqa: E402

BIN = Path(os.environ.get("TIDEMILL_BIN", ROOT / "build/release/bin"))


def say(text):
    print(f"curves: {text}", file=sys.stderr, flush=True)


class Failed(Exception):
    """A program could not run, or its results were wrong."""


class Call:
    """Runs the benchmarks."""
    Failed = Failed

    def __init__(self, scratch):
        self.scratch = scratch

    def text(self, program, *words):
        command = [str(BIN / program), *map(str, words)]
        say(" ".join([program, *command[1:]]))
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failed(f"{shlex.join(command)} ended with {done.returncode}: {done.stderr.strip()[-500:]}")
        return done.stdout

    def json(self, program, *words):
        """The JSON objects that it prints, one after the other."""
        text = self.text(program, *words).strip()
        found, decoder = [], json.JSONDecoder()
        while text:
            try:
                one, end = decoder.raw_decode(text)
            except ValueError as why:
                raise Failed(f"{program} printed what is no JSON ({why}): {text[:200]}") from why
            found.append(one)
            text = text[end:].strip()
        if not found:
            raise Failed(f"{program} printed nothing")
        return found

    def google(self, program, pattern):
        """What Google Benchmark says of the benchmarks whose names match."""
        told, = self.json(program, f"--benchmark_filter={pattern}", "--benchmark_format=json")
        for run in told["benchmarks"]:
            if run.get("error_occurred"):
                raise Failed(f"{program}: {run['name']}: {run['error_message']}")
        return told["benchmarks"]

    def series(self, program, *words):
        """What it writes with --series, a row for each second."""
        path = Path(self.scratch) / "series.csv"
        self.text(program, *words, "--series", path)
        with open(path, newline="", encoding="utf-8") as file:
            return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def machine():
    model = next((text.split(":", 1)[1].strip() for text in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
                  if text.startswith("model name")), platform.processor())
    return f"{os.cpu_count()} CPUs ({model}), {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"


def number(text):
    try:
        return float(text) if "." in text or "e" in text.lower() else int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"not a number: {text!r}; --points wants some with commas between, as 1,10,100") from None


def arguments(words):
    parser = argparse.ArgumentParser(prog="bench/curves/run.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("curves", nargs="+", metavar="CURVE", help=f"{', '.join(CURVES)}, or all")
    parser.add_argument("--points", type=lambda text: [number(part) for part in text.split(",")], help="of one curve, instead of the usual ones")
    parser.add_argument("--long", action="store_true", help="with the points that take long")
    parser.add_argument("--out", type=Path, default=ROOT / "bench/results/curves")
    o = parser.parse_args(words)
    if unknown := [name for name in o.curves if name not in (*CURVES, "all")]:
        parser.error(f"there is no curve {unknown[0]}; there are {', '.join(CURVES)}, and all")
    if "all" in o.curves:
        o.curves = list(CURVES)
    if o.points and len(o.curves) != 1:
        parser.error("--points are of one curve")
    if missing := sorted({program for name in o.curves for program in CURVES[name].programs if not (BIN / program).exists()}):
        parser.error(f"not built: {', '.join(missing)}; scripts/build release {' '.join(f'bin/{program}' for program in missing)}")
    return o


def write_csv(path, rows):
    names = list(dict.fromkeys(name for row in rows for name in row))
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: f"{value:.6g}" if isinstance(value, float) else value for name, value in row.items()} for row in rows)


def chart_of(curve, rows):
    return {"title": curve.title, "x": curve.x, "y": curve.y, "series": {label: points for label, points in curve.series(rows).items() if points}}


def draw(name, points, call, out):
    """Its chart and its alarms."""
    curve = CURVES[name]
    rows = curve.measure(points, call)
    write_csv(out / f"{name}.csv", rows)
    chart = chart_of(curve, rows)
    plots.draw_lines([chart], f"{name}.svg", out, say)
    return chart, [f"{name}: {alarm}" for alarm in curve.alarms(rows)]


def main(words):
    o = arguments(words)
    o.out.mkdir(parents=True, exist_ok=True)
    charts, alarms, failed, notes = [], [], [], []
    with tempfile.TemporaryDirectory(prefix="curves-") as scratch:
        call = Call(scratch)
        for name in o.curves:
            curve, began = CURVES[name], time.monotonic()
            load = os.getloadavg()[0]
            try:
                chart, found = draw(name, o.points or [*curve.points, *(curve.more if o.long else ())], call, o.out)
            except Failed as why:
                failed.append(f"{name}: {why}")
                say(f"FAILED: {failed[-1]}")
                continue
            charts.append(chart)
            alarms += found
            notes.append(f"| {name} | {curve.title} | {load:.1f} | {time.monotonic() - began:.0f} |")
            say(f"{name}: done in {time.monotonic() - began:.0f} s" + "".join(f"; TO EXPLAIN: {alarm}" for alarm in found))
    if len(charts) > 1:
        plots.draw_lines(charts, "curves.svg", o.out, say)
    told = [f"{time.strftime('%Y-%m-%d %H:%M')}, {machine()}. `bench/curves/run.py {shlex.join(words)}`", "", "| curve | | load before | s |",
            "|---|---|---|---|", *notes, "", *(f"- to explain: {alarm}" for alarm in alarms), *(f"- FAILED: {why}" for why in failed)]
    (o.out / "README.md").write_text("\n".join(told) + "\n", encoding="utf-8")
    print("\n".join(told))
    return 1 if alarms or failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
