#!/usr/bin/env python3
"""Nexmark's stateless queries over JSON in a real Kafka that this starts and stops: Tidemill, a loop by hand and peers, in turn.

    scripts/compare kafka [--queries q0,q1,q2] [--only NAMES] [--without NAMES] [--events N] [--rounds N] [--out DIR]
"""
import argparse
import json
import resource
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[3] / folder) for folder in ("bench/compare", "tests/e2e")]
import installs  # noqa: E402
import tables  # noqa: E402
from contenders import OPENED  # noqa: E402
from figures import BadOutput, turn_order  # noqa: E402
from run import BIN, ROOT, TICKS, call, chosen, input_file, machine, prepare, say  # noqa: E402

QUERIES = ("q0", "q1", "q2")
PARTITIONS = 2
# As it is run: its compiler may do its work, and it has a heap in which its collector seldom stops it.
BROKER_JVM = ("-Xms2g", "-Xmx2g", "-Xmn1g")
JVM_WARM_UP_S = 15
MASK = (1 << 64) - 1


@dataclass
class Job:
    """What is asked of a turn."""
    query: str
    brokers: str
    input: str
    output: str
    warm_up_output: str
    records: int
    folder: Path


@dataclass
class Contender:
    name: str
    label: str
    prepare: object
    arguments: object  # (Job) -> what follows
    counts_itself: bool = False  # prints the CPU of its measured job; else it is that of the process
    queries: tuple[str, ...] = QUERIES
    called: tuple = ()


@dataclass
class Turn:
    contender: str
    query: str
    round: int
    cpu_us: float  # per bid
    bids_per_s: float
    broker_us: float
    rows: int
    right: bool
    others: float


# --- who takes part ---


def ours(name):
    def prepared():
        if not (BIN / name).exists():
            raise installs.Missing(f"{BIN / name} is not built; run: scripts/build release {name}")
        return [BIN / name]
    return prepared


def job_arguments(job):
    config = {"job": job.output, "source": {"kafka": {"brokers": job.brokers, "topic": job.input, "start": "earliest"}},
              "sinks": {"kafka": {"topic": job.output, "timestamp": "wall_clock"}}, "query": job.query, "parallelism": 1,
              "checkpoint": {"dir": str(job.folder / "checkpoints"), "interval": "1s"}}
    file = job.folder / f"{job.output}.yaml"
    file.write_text(json.dumps(config))
    return ["--config", file, "--http", "none", "--until-offsets", "latest"]


def peer_arguments(job, warm_up=JVM_WARM_UP_S):
    return ["--brokers", job.brokers, "--input", job.input, "--output", job.output, "--warm-up-output", job.warm_up_output, "--query", job.query,
            "--records", str(job.records), "--warm-up", str(warm_up)]


def jvm(project, main, *flags):
    return lambda: ["java", "-Xms2g", "-Xmx2g", "-Xmn1g", "-XX:+UseParallelGC", *flags, "-cp",
                    installs.java(ROOT / "bench/compare" / project, shared="jvm_kafka"), main]


def quix():
    return [installs.python_environment(ROOT / "bench/compare/quix/requirements.txt"), "-B", ROOT / "bench/compare/quix/quix_bids.py"]


def all_contenders():
    return [
        Contender("hand", "librdkafka by hand", ours("kafka_bids_by_hand"), lambda j: [j.brokers, j.input, j.output, j.query]),
        Contender("tidemill", "Tidemill", ours("kafka_bids"), job_arguments),
        Contender("flink", "Flink 2.3", jvm("flink_kafka", "compare.FlinkBids", *OPENED), peer_arguments, counts_itself=True),
        Contender("kafka-streams", "Kafka Streams 4.3", jvm("kafka_streams", "compare.StreamsBids"), peer_arguments, counts_itself=True),
        Contender("quix", "Quix Streams 3.28", quix, lambda job: peer_arguments(job, warm_up=0), counts_itself=True),
    ]


# --- input and what is right ---


def bids_of(path):
    """The bids of `nexmark --dump-input` as tuples of text."""
    with open(path, encoding="ascii") as lines:
        for line in lines:
            if line.startswith("B|"):
                yield line.rstrip("\n").split("|")[1:]


def as_json(bid):
    auction, bidder, price, channel, url, at, extra = bid
    return (f'{{"auction":{auction},"bidder":{bidder},"price":{price},"channel":"{channel}","url":"{url}","dateTime":{at},'
            f'"extra":"{extra}"}}')


def row_of(query, auction, bidder, price, at, extra):
    """A row as text, made here a second time from what the query says; None: the query gives none."""
    if query == "q2":
        return f"{auction}|{price}" if int(auction) % 123 == 0 else None
    return f"{auction}|{bidder}|{int(price) * (908 if query == 'q1' else 1)}|{at}|{extra}"


def row_in(query, value):
    """The same of a record that somebody wrote."""
    told = json.loads(value)
    if query == "q2":
        return f"{told['auction']}|{told['price']}"
    return f"{told['auction']}|{told['bidder']}|{told['price']}|{told['dateTime']}|{told['extra']}"


def tally(rows):
    """Their number and the sum of their hashes, which hold in this process only."""
    count = total = 0
    for row in rows:
        count += 1
        total += hash(row)
    return count, total & MASK


def expected_of(queries, path):
    result = {}
    for query in queries:
        made = (row_of(query, b[0], b[1], b[2], b[5], b[6]) for b in bids_of(path))
        result[query] = tally(row for row in made if row is not None)
    return result


def write_bids(cluster, topic, path):
    from confluent_kafka import Producer
    producer = Producer({"bootstrap.servers": cluster.address, "linger.ms": 20, "compression.type": "lz4", "batch.size": 1_000_000,
                         "queue.buffering.max.messages": 2_000_000})
    count = 0
    for bid in bids_of(path):
        while True:
            try:
                producer.produce(topic, as_json(bid), partition=count % PARTITIONS)
                break
            except BufferError:
                producer.poll(0.1)
        count += 1
        if count % 10_000 == 0:
            producer.poll(0)
    if producer.flush(120) != 0:
        raise SystemExit("the bids could not be written to Kafka")
    return count


# --- a turn ---


def cpu_of(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def take_turn(cluster, contender, query, number, source, records, expected, folder, timeout):
    from ledger import read_topic
    name = f"{contender.name}-{query}-{number}"
    output, warm_up = cluster.create_topic(name, PARTITIONS), cluster.create_topic(f"{name}-warm-up", PARTITIONS)
    broker = cluster.nodes[0].child.process.pid
    before, used = cpu_of(broker), resource.getrusage(resource.RUSAGE_CHILDREN)
    ended = call([*contender.called, *contender.arguments(Job(query, cluster.address, source, output, warm_up, records, folder))], timeout)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu, wall = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime, ended.seconds
    broker_s = cpu_of(broker) - before
    if contender.counts_itself:
        told = json.loads(next(line for line in reversed(ended.output.splitlines()) if line.startswith("{")))
        cpu, wall, broker_s = told["cpu_s"], told["wall_s"], float("nan")
    rows = tally(row_in(query, record.value) for record in read_topic(cluster, output, deadline_s=300))
    for topic in (output, warm_up):
        cluster.delete_topic(topic)
    return Turn(contender.name, query, number, cpu / records * 1e6, records / wall, broker_s / records * 1e6, rows[0],
                rows == expected[query], ended.others)


def report(turns, labels, missing, o, words):
    lines = [f"# Comparison over Kafka, {time.strftime('%Y-%m-%d %H:%M')}", "", machine(), "", f"    {shlex.join(['scripts/compare', 'kafka', *words])}", "",
             f"The bids of {o.events:,} Nexmark events as JSON in a topic of {PARTITIONS} partitions of one broker on the same machine, rows as JSON into "
             f"another, exactly once with a commit a second, {o.rounds} rounds in turn. bench/compare/README.md says what is measured.", ""]
    if missing:
        lines += ["Left out:", ""] + [f"- {labels.get(n, n)}: {why}" for n, why in missing.items()] + [""]
    lines += ["| query | who | client CPU, us a bid | by the loop by hand | bids/s by the clock | broker's CPU, us | rows | right |",
              "|---|---|---|---|---|---|---|---|"]
    for query in o.queries:
        by_name = {n: [t for t in turns if (t.contender, t.query) == (n, query)] for n in labels}
        hand = statistics.median(t.cpu_us for t in by_name["hand"]) if by_name.get("hand") else None
        for name, mine in by_name.items():
            if not mine:
                continue
            cpu = [t.cpu_us for t in mine]
            median = statistics.median(cpu)
            lines.append(f"| {query} | {labels[name]} | {median:.2f} ({min(cpu):.2f} to {max(cpu):.2f}) | "
                         f"{'–' if hand is None else f'{median / hand:.2f}'} | {statistics.median(t.bids_per_s for t in mine):,.0f} | "
                         f"{'–' if mine[0].broker_us != mine[0].broker_us else f'{statistics.median(t.broker_us for t in mine):.2f}'} | "
                         f"{mine[0].rows:,} | {'yes' if all(t.right for t in mine) else '**NO**'} |")
    others = [t.others for t in turns]
    return "\n".join(lines + ["", f"Other processes, the broker among them, had {statistics.mean(others):.2f} cores on average.", ""])


def arguments(words, names):
    parser = argparse.ArgumentParser(prog="scripts/compare kafka", description=__doc__.split("\n\n", 1)[0], epilog="who there is: " + ", ".join(names))
    parser.add_argument("--queries", type=lambda s: s.split(","), default=list(QUERIES), help="q0,q1,q2")
    parser.add_argument("--only", type=lambda s: s.split(","), default=[])
    parser.add_argument("--without", type=lambda s: s.split(","), default=[])
    parser.add_argument("--events", type=int, default=1_000_000, help="of all kinds; 46 in 50 are bids (%(default)s)")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--timeout", type=float, default=600)
    parser.add_argument("--out", type=Path, default=ROOT / "bench/results")
    o = parser.parse_args(words)
    for wanted, known, flag in ((o.only + o.without, names, "--only and --without"), (o.queries, QUERIES, "--queries")):
        for name in wanted:
            if name not in known:
                parser.error(f"{flag}: there is no {name}; there are {', '.join(known)}")
    return o


def main(words):
    contenders = all_contenders()
    labels = {c.name: c.label for c in contenders}
    o = arguments(words, list(labels))
    installs.CACHE.mkdir(parents=True, exist_ok=True)
    there, missing = prepare(chosen(contenders, o))
    if not there:
        return 1
    from broker import Cluster
    path = input_file(o.events, 100_000)
    expected = expected_of(o.queries, path)
    out = o.out / time.strftime("%Y-%m-%d-%H%M-kafka")
    out.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="compare-kafka-"))
    cluster = Cluster(folder / "kafka", jvm_flags=BROKER_JVM).start()
    turns = []
    try:
        source = cluster.create_topic("bids", PARTITIONS)
        records = write_bids(cluster, source, path)
        native = [c for c in there if not c.counts_itself]
        for number in range(-3, 0):  # the broker's code gets compiled
            for contender in native[:1] or there[:1]:
                take_turn(cluster, contender, o.queries[0], number, source, records, expected, folder, o.timeout)
        for query in o.queries:
            for number, name in turn_order([c.name for c in there], o.rounds):
                contender = next(c for c in there if c.name == name)
                try:
                    turn = take_turn(cluster, contender, query, number, source, records, expected, folder, o.timeout)
                except (BadOutput, TimeoutError, StopIteration, KeyError, ValueError) as why:
                    missing[f"{contender.label}, {query}"] = str(why)
                    say(f"{query} {name}: {why}")
                    continue
                turns.append(turn)
                tables.write_csv(out / "turns.csv", turns)
                say(f"{query} {name}: {turn.cpu_us:.2f} us CPU a bid, {turn.bids_per_s:,.0f} bids/s, {turn.rows} rows {'right' if turn.right else 'WRONG'}")
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)
    text = report(turns, labels, missing, o, words)
    (out / "README.md").write_text(text)
    print(text)
    say(f"written to {out}")
    return 0 if turns and all(t.right for t in turns) and not missing else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
