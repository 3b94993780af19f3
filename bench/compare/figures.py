"""What turns say: parsing what a program printed, medians, which rows are right, which figures need an explanation.

A turn is one fresh process that runs one query of one contender: warm-up passes, then measured ones.
"""
import csv
import json
import statistics
from dataclasses import dataclass
from pathlib import Path

TOO_FAR = 1.5  # times the reference figure on a machine as fast: to be explained
REFERENCE = Path(__file__).with_name("reference.csv")


class BadOutput(Exception):
    """What a program printed is not what bench/compare/README.md asks for."""


@dataclass
class Turn:
    contender: str
    query: str
    round: int
    cpu_ns: float  # per event, the median of the measured passes
    events_per_s: float
    rows: int
    checksum: str | None = None  # of the first turn only
    peak_mb: float = 0.0
    others: float = 0.0  # cores that other processes had meanwhile


def parse_turn(contender, query, number, output, events):
    """`output`: a JSON object a line for each measured pass and, if it was asked for, one with a checksum at the end."""
    passes, checksum = [], None
    for line in output.splitlines():
        if not line.startswith("{"):
            continue
        try:
            told = json.loads(line)
            if told["query"] != query or told["events"] != events:
                raise BadOutput(f"{contender}: {query} over {events} events was asked for, this came: {line}")
            if "checksum" in told:
                checksum, rows = f"{int(told['checksum'], 16):016x}", int(told["rows"])
                if passes and rows != passes[-1][2]:
                    raise BadOutput(f"{contender}: {query} gave {passes[-1][2]} rows when timed and {rows} when checked")
            else:
                passes.append((told["cpu_s"], told["wall_s"], int(told["rows"])))
        except (KeyError, TypeError, ValueError) as error:
            raise BadOutput(f"{contender}: {query}: a pass cannot be read ({error!r}): {line}") from error
    if not passes:
        raise BadOutput(f"{contender}: {query}: no measured pass was printed; it printed: {output[-300:]!r}")
    if len({rows for _, _, rows in passes}) > 1:
        raise BadOutput(f"{contender}: {query}: passes gave different numbers of rows: {[rows for _, _, rows in passes]}")
    return Turn(contender, query, number, statistics.median(p[0] for p in passes) / events * 1e9,
                events / statistics.median(p[1] for p in passes), passes[0][2], checksum)


def turn_order(names, rounds):
    """A B C, C B A, A B C …: what drifts meets everyone alike."""
    return [(number, name) for number in range(rounds) for name in (names if number % 2 == 0 else names[::-1])]


@dataclass
class Summary:
    """One contender and query over all rounds."""
    contender: str
    query: str
    cpu_ns: float
    cpu_ns_min: float
    cpu_ns_max: float
    events_per_s: float
    peak_mb: float
    rows: int
    rows_right: bool | None  # None: nothing to compare with
    of_tidemill: float | None = None  # its CPU by Tidemill's, the median over rounds
    reference_ns: float | None = None  # scaled to this machine
    to_explain: bool = False


def rows_right(turns, expected):
    """Rows, and the checksum where there is one, against (rows, checksum) of the verified run; a single wrong turn counts."""
    if expected is None:
        return None
    rows, checksum = expected
    return all(t.rows == rows for t in turns) and all(t.checksum in (None, checksum) for t in turns)


def summarise(turns, expected, references, speed):
    """`expected`: query -> (rows, checksum). `references`: (contender, query) -> ns. `speed`: how much slower this machine is."""
    by_pair = {}
    for turn in turns:
        by_pair.setdefault((turn.contender, turn.query), []).append(turn)
    ours = {(t.query, t.round): t.cpu_ns for t in turns if t.contender == "tidemill"}
    result = []
    for (contender, query), mine in by_pair.items():
        cpu = statistics.median(t.cpu_ns for t in mine)
        ratios = [t.cpu_ns / ours[query, t.round] for t in mine if ours.get((query, t.round))]
        reference = references.get((contender, query))
        scaled = None if reference is None or speed is None else reference * speed
        result.append(Summary(
            contender, query, cpu, min(t.cpu_ns for t in mine), max(t.cpu_ns for t in mine),
            statistics.median(t.events_per_s for t in mine), max(t.peak_mb for t in mine), mine[0].rows,
            rows_right(mine, expected.get(query)), statistics.median(ratios) if ratios else None, scaled,
            contender != "hand" and scaled is not None and cpu > TOO_FAR * scaled))
    return result


def machine_speed(turns, references):
    """This machine's loops by hand by those of the reference: the median over the queries. None: nothing in common."""
    by_query = {}
    for turn in turns:
        if turn.contender == "hand" and ("hand", turn.query) in references:
            by_query.setdefault(turn.query, []).append(turn.cpu_ns)
    if not by_query:
        return None
    return statistics.median(statistics.median(ns) / references["hand", query] for query, ns in by_query.items())


def read_references(path=REFERENCE):
    with open(path, newline="") as file:
        return {(row["contender"], row["query"]): float(row["cpu_ns"]) for row in csv.DictReader(file)}
