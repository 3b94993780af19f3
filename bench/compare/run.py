#!/usr/bin/env python3
"""Tidemill beside its peers on one machine in one run; scripts/compare is the way to call it, README.md says what is compared.

    scripts/compare [--queries q0,q5] [--only NAMES] [--without NAMES] [--events N] [--rounds N] [--out DIR]
"""
import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import installs
import plots
import tables
from contenders import IN_MEMORY, Run, all_contenders
from figures import BadOutput, machine_speed, parse_turn, read_references, summarise, turn_order

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(os.environ.get("TIDEMILL_BIN") or ROOT / "build/release/bin")
TICKS = os.sysconf("SC_CLK_TCK")
GOLDEN_EVENTS, GOLDEN_RATE = 1_000_000, 10_000


def say(text):
    print(text, file=sys.stderr, flush=True)


def arguments(words, names):
    parser = argparse.ArgumentParser(prog="scripts/compare", formatter_class=argparse.RawDescriptionHelpFormatter, description=(
        "Runs the same Nexmark events through Tidemill and its peers, in turn, and writes a table, CSV and plots.\n"
        "Peers are built from public package registries; one that cannot be had is reported, and the rest runs."),
        epilog="who there is: " + ", ".join(names))
    parser.add_argument("--queries", default=",".join(IN_MEMORY), help="some of q0 q1 … (%(default)s)")
    parser.add_argument("--only", default="", help="take part: a list of names")
    parser.add_argument("--without", default="", help="do not take part: a list of names")
    parser.add_argument("--events", type=int, default=5_000_000, help="(%(default)s)")
    parser.add_argument("--rate", type=int, default=100_000, help="events a second of event time (%(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="turns of each contender and query (%(default)s)")
    parser.add_argument("--out", type=Path, default=ROOT / "bench/results", help="results go to a folder of the day in it (bench/results)")
    parser.add_argument("--timeout", type=float, default=900, help="seconds that a turn may take (%(default)s)")
    parser.add_argument("--prepare", action="store_true", help="only install and build what takes part")
    o = parser.parse_args(words)
    for flag in ("only", "without"):
        wanted = [name for name in getattr(o, flag).split(",") if name]
        for name in wanted:
            if name not in names:
                parser.error(f"--{flag}: there is no {name}; there are {', '.join(names)}")
        setattr(o, flag, wanted)
    o.queries = [q for q in o.queries.split(",") if q]
    for query in o.queries:
        if query not in IN_MEMORY:
            parser.error(f"--queries: {query} is none of {', '.join(IN_MEMORY)}")
    for flag in ("events", "rate", "rounds"):
        if getattr(o, flag) < 1:
            parser.error(f"--{flag} wants a number from 1 up")
    return o


def chosen(contenders, o):
    return [c for c in contenders if (not o.only or c.name in o.only) and c.name not in o.without]


def prepare(contenders):
    """Who is there, and why the others are not."""
    there, missing = [], {}
    for contender in contenders:
        say(f"{contender.label}: building or finding its program")
        try:
            contender.called = contender.prepare()
            there.append(contender)
        except installs.Missing as why:
            missing[contender.name] = str(why)
            say(f"{contender.label} is left out: {why}")
    return there, missing


# --- the input and what is right ---

def nexmark(*words):
    return subprocess.run([BIN / "nexmark", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)


def input_file(events, rate):
    path = installs.CACHE / f"events-{events}-{rate}.txt"
    if not path.exists():
        say(f"writing {events} events to {path}")
        made = path.with_suffix(".making")
        done = nexmark("--dump-input", str(made), "--events", str(events), "--rate", str(rate))
        if done.returncode != 0:
            raise SystemExit(f"the events could not be written: {done.stderr.strip()}")
        made.rename(path)
    return path


def expected_rows(queries, events, rate):
    """Query -> (rows, checksum) of Tidemill over this input; and which queries differ from the published rows over the published input."""
    expected, wrong = {}, []
    for query in queries:
        golden = nexmark("--query", query, "--verify", "--events", str(GOLDEN_EVENTS), "--rate", str(GOLDEN_RATE), "--format", "json")
        if golden.returncode != 0:
            wrong.append(query)
        told = nexmark("--query", query, "--verify", "--events", str(events), "--rate", str(rate), "--format", "json")
        if told.returncode != 0:
            raise SystemExit(f"Tidemill could not run {query}: {told.stderr.strip()}")
        row = json.loads(told.stdout)
        expected[query] = (row["rows"], row["checksum"])
        say(f"{query}: {row['rows']} rows {row['checksum']}" + (", NOT AS PUBLISHED on the published input" if query in wrong else ""))
    return expected, wrong


# --- a turn ---

def busy_ticks():
    """Of all processes and cores, by the kernel."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    user, nice, system, _, _, irq, soft, steal = map(int, fields)
    return user + nice + system + irq + soft + steal


@dataclass
class Ended:
    output: str
    seconds: float
    peak_mb: float
    others: float  # cores that other processes had meanwhile


def call(command, timeout):
    """Runs a process to its end; raises BadOutput if it fails or takes too long."""
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as log:
        ended = call_into(said, log, command, timeout)
        said.seek(0)
        ended.output = said.read().decode(errors="replace")
        return ended


def call_into(said, log, command, timeout):
    busy, begun = busy_ticks(), time.monotonic()
    process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=said, stderr=log)
    while True:
        pid, status, used = os.wait4(process.pid, os.WNOHANG)
        seconds = time.monotonic() - begun
        if pid != 0:
            break
        if seconds > timeout:
            process.kill()
            process.wait()
            raise BadOutput(f"was ended after {timeout:.0f} s: {shlex.join(map(str, command))[:300]}")
        time.sleep(0.002)
    process.returncode = os.waitstatus_to_exitcode(status)
    own = used.ru_utime + used.ru_stime
    if process.returncode != 0:
        log.seek(0)
        lines = log.read().decode(errors="replace").strip().splitlines()
        raise BadOutput(f"ended with {process.returncode}: " + " / ".join(lines[-3:])[:400])
    return Ended("", seconds, used.ru_maxrss / 1024, max(0.0, (busy_ticks() - busy) / TICKS - own) / seconds)


def take_turn(contender, run, number, timeout):
    ended = call(contender.command(run), timeout)
    turn = parse_turn(contender.name, run.query, number, contender.read(ended.output, run), run.events)
    turn.peak_mb, turn.others = ended.peak_mb, ended.others
    return turn


def start_up(contender, timeout):
    """The fastest of three whole processes over 50 events."""
    events = 50
    run = Run("q0", events, 1000, input_file(events, 1000), is_start_up=True)
    if run.query not in contender.queries:
        return None
    try:
        return min(call(contender.command(run), timeout).seconds for _ in range(3))
    except BadOutput as why:
        say(f"{contender.name}: start-up: {why}")
        return None


def take_turns(there, o, expected, out):
    turns, failed = [], {}
    lines = input_file(o.events, o.rate)
    for query in o.queries:
        names = {c.name: c for c in there if query in c.queries}
        for number, name in turn_order(list(names), o.rounds):
            if (name, query) in failed:
                continue
            run = Run(query, o.events, o.rate, lines, check=number == 0)
            try:
                turn = take_turn(names[name], run, number, o.timeout)
            except BadOutput as why:
                failed[name, query] = str(why)
                say(f"{query} {name}: {why}")
                continue
            turns.append(turn)
            tables.write_csv(out / "turns.csv", turns)
            right = (turn.rows, turn.checksum or expected[query][1]) == expected[query]
            say(f"{query} {name}: {turn.cpu_ns:.1f} ns CPU an event, {turn.events_per_s:,.0f} events/s, {turn.peak_mb:.0f} MB, {turn.rows} rows "
                f"{'right' if right else 'WRONG'}; others had {turn.others:.2f} cores")
    return turns, failed


def machine():
    model = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")),
                 platform.processor())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores ({model}), {memory:.0f} GiB, Linux {platform.release()}."


def main(words):
    contenders = all_contenders(BIN / "nexmark")
    o = arguments(words, [c.name for c in contenders])
    installs.CACHE.mkdir(parents=True, exist_ok=True)
    there, missing = prepare(chosen(contenders, o))
    if o.prepare or not there:
        return 1 if missing or not there else 0
    out = o.out / time.strftime("%Y-%m-%d-%H%M")
    out.mkdir(parents=True, exist_ok=True)
    expected, unpublished = expected_rows(o.queries, o.events, o.rate)
    start_ups = {c.name: seconds for c in there if (seconds := start_up(c, o.timeout)) is not None}
    turns, failed = take_turns(there, o, expected, out)
    references = read_references()
    speed = machine_speed(turns, references)
    summaries = summarise(turns, expected, references, speed)
    labels = {c.name: c.label for c in contenders}
    for (name, query), why in failed.items():
        missing[f"{labels[name]}, {query}"] = why
    tables.write_csv(out / "summary.csv", summaries)
    result = {"date": time.strftime("%Y-%m-%d %H:%M"), "machine": machine(), "command": shlex.join(["scripts/compare", *words]), "events": o.events,
              "rate": o.rate, "rounds": o.rounds, "missing": missing, "summaries": summaries, "speed": speed, "start_ups": start_ups,
              "others": sum(t.others for t in turns) / max(1, len(turns)), "others_most": max((t.others for t in turns), default=0.0),
              "plots": plots.draw(summaries, labels, out, say)}
    (out / "README.md").write_text(tables.markdown(result, labels))
    print(tables.markdown(result, labels))
    say(f"written to {out}")
    wrong = [s for s in summaries if s.rows_right is False]
    return 1 if wrong or unpublished or failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
