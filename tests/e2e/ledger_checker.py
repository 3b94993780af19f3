"""Judges the output of `ledger_job` against the ledger: nothing lost, nothing twice, no state ahead
of or behind its offsets, no transaction torn.

The job copies every input record to the output topic, keyed by the record's key, as one JSON row:

    {"p": 0, "o": 123, "key": "k1", "n": 17, "sum": -250, "epoch": "<seq>-<attempt>"}

p and o are the input partition and offset, n and sum the key's running count and sum of `value` up
to and with this record, epoch the checkpoint whose transaction carries the row and the attempt that
wrote it, which no other attempt has.
"""

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field

SHOWN = 5


@dataclass
class Report:
    """What was found wrong: kind -> places. A green report has none."""
    rows: int = 0
    inputs: int = 0
    epochs: int = 0
    wrong: dict = field(default_factory=lambda: defaultdict(list))

    @property
    def ok(self):
        return not self.wrong

    def add(self, kind, place):
        self.wrong[kind].append(place)

    def __str__(self):
        lines = [f"{self.inputs} inputs, {self.rows} rows in {self.epochs} epochs: "
                 + ("exactly once" if self.ok else "WRONG")]
        for kind, places in sorted(self.wrong.items()):
            more = f" and {len(places) - SHOWN} more" if len(places) > SHOWN else ""
            lines.append(f"  {kind}: {len(places)}: " + "; ".join(places[:SHOWN]) + more)
        return "\n".join(lines)


@dataclass(frozen=True)
class Row:
    """One parsed output row and where it lies in the output topic."""
    partition: int
    offset: int
    p: int
    o: int
    key: str
    n: int
    sum: float
    epoch: str

    @property
    def where(self):
        return f"row {self.partition}@{self.offset} (input {self.p}@{self.o}, {self.key})"

    @property
    def epoch_number(self):
        return int(self.epoch.split("-", 1)[0])


def check(inputs, outputs, strict_epochs=True, commits=None):
    """inputs: InputRecords, aborted ones too; outputs: OutputRecords, read_committed, to the end;
    commits: the commit records, oldest first, as the job's control topic holds them.

    strict_epochs=False allows one transaction to hold several epochs, as when checkpoints were
    declined.
    """
    report = Report(inputs=sum(not r.aborted for r in inputs), rows=len(outputs))
    rows = _parse(outputs, report)
    _check_once(inputs, rows, report)
    _check_running_values(inputs, rows, report)
    _check_transactions(rows, strict_epochs, report)
    _check_cuts(rows, report)
    if commits is not None:
        _check_epochs_are_whole(inputs, rows, commits, report)
    return report


def _parse(outputs, report):
    rows = []
    for record in sorted(outputs, key=lambda r: (r.partition, r.offset)):
        where = f"{record.partition}@{record.offset}"
        try:
            body = json.loads(record.value)
            row = Row(record.partition, record.offset, int(body["p"]), int(body["o"]),
                      body["key"], int(body["n"]), body["sum"], body["epoch"])
            row.epoch_number  # must be readable
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            report.add("malformed row", f"{where}: {error!r}")
            continue
        if record.key.decode(errors="replace") != row.key:
            report.add("message key is not the row's key", where)
        rows.append(row)
    return rows


def _check_once(inputs, rows, report):
    """Every committed input exactly once, with its own key; nothing of an aborted transaction."""
    known = {(r.partition, r.offset): r for r in inputs}
    seen = Counter((row.p, row.o) for row in rows)
    for place, record in known.items():
        if not record.aborted and seen[place] == 0:
            report.add("lost", f"{record.partition}@{record.offset} ({record.key})")
    for row in rows:
        record = known.get((row.p, row.o))
        if record is None:
            report.add("row of no input", row.where)
        elif record.aborted:
            report.add("row of an aborted input", row.where)
        elif record.key != row.key:
            report.add("row with another key", row.where)
    for (p, o), copies in seen.items():
        if copies > 1:
            report.add("doubled", f"{p}@{o} ({copies} times)")


def _check_running_values(inputs, rows, report):
    """Per key in log order: n counts up by one from 1, sum grows by the input's value, offsets of
    one input partition rise. State that is ahead of or behind the committed offsets breaks this
    even where nothing is lost or doubled."""
    values = {(r.partition, r.offset): r.value for r in inputs}
    count, total, home, last_offset = Counter(), Counter(), {}, {}
    for row in rows:
        if home.setdefault(row.key, row.partition) != row.partition:
            report.add("key in two output partitions", row.where)
        count[row.key] += 1
        total[row.key] += values.get((row.p, row.o), 0)
        if row.n != count[row.key]:
            report.add("count skew", f"{row.where}: n {row.n}, expected {count[row.key]}")
            count[row.key] = row.n
        if row.sum != total[row.key]:
            report.add("sum skew", f"{row.where}: sum {row.sum}, expected {total[row.key]}")
            total[row.key] = row.sum
        if last_offset.get((row.key, row.p), -1) >= row.o:
            report.add("order of a key's inputs", row.where)
        last_offset[row.key, row.p] = row.o


def _check_transactions(rows, strict_epochs, report):
    """Output partitions hold epochs in order, each in one transaction.

    A transaction's end leaves a marker, so a hole in the offsets: rows of one epoch have none
    between them (else the transaction was torn), rows of two epochs have one.
    """
    identity = {}
    previous = None
    for row in rows:
        if identity.setdefault(row.epoch_number, row.epoch) != row.epoch:
            report.add("two attempts of one epoch visible", row.where)
        if previous is not None and previous.partition == row.partition:
            hole = row.offset != previous.offset + 1
            if row.epoch_number < previous.epoch_number:
                report.add("epochs out of order", row.where)
            elif row.epoch == previous.epoch and hole:
                report.add("torn transaction", f"{row.where}: epoch {row.epoch}")
            elif row.epoch != previous.epoch and not hole and strict_epochs:
                report.add("two epochs in one transaction", row.where)
        previous = row
    report.epochs = len(identity)


def _check_cuts(rows, report):
    """Barriers cut every input partition: the epochs of its records never fall with the offset."""
    newest = {}
    for row in sorted(rows, key=lambda r: (r.p, r.o)):
        before = newest.get(row.p)
        if before is not None and row.epoch_number < before:
            report.add("record before the cut in a later epoch", row.where)
        newest[row.p] = max(before or 0, row.epoch_number)


def _check_epochs_are_whole(inputs, rows, commits, report):
    """All or nothing: between two commit records of a lineage the visible rows of the later one's
    epochs are those of all inputs between the two records' positions."""
    bodies = [body for body in map(_commit, commits) if body is not None]
    for before, after in zip(bodies, bodies[1:]):
        if before["lineage"] != after["lineage"]:
            continue
        epochs = range(before["seq"] + 1, after["seq"] + 1)
        start, end = _positions(before), _positions(after)
        expected = {(r.partition, r.offset) for r in inputs if not r.aborted
                    and start.get(r.partition, 0) <= r.offset < end.get(r.partition, 0)}
        seen = {(row.p, row.o) for row in rows if row.epoch_number in epochs}
        if seen != expected:
            report.add("epoch is not whole",
                       f"commit {after['checkpoint']}: {len(expected - seen)} of {len(expected)} "
                       f"rows are missing, {len(seen - expected)} do not belong to it")


def _commit(value):
    """Nothing for what a test wrote into the topic that is no record of a commit."""
    try:
        return json.loads(value)
    except ValueError:
        return None


def _positions(commit):
    return {int(split["split"].rsplit(":", 1)[1]): split["offset"]
            for source in commit["sources"] for split in source["splits"]}
