"""Who takes part: how each is made, what it is called with, and what it can run. A folder beside this file has each peer's program."""
import json
from dataclasses import dataclass, field
from pathlib import Path

import installs

HERE = Path(__file__).resolve().parent
IN_MEMORY = ("q0", "q1", "q2", "q3", "q4", "q5", "q7", "q8", "q9", "q11", "q17", "q18", "q20")
KEYED = ("q4", "q5", "q8", "q9", "q11", "q17", "q18", "q20")  # what a state backend makes a difference for


@dataclass
class Run:
    """What is asked of a turn."""
    query: str
    events: int
    rate: int
    input: Path | None = None  # the events as lines of text
    check: bool = False
    is_start_up: bool = False  # one pass, and no more


@dataclass
class Contender:
    name: str
    label: str
    queries: tuple[str, ...]
    prepare: object  # () -> a word or words that call the program; raises installs.Missing
    arguments: object  # (Run) -> what follows
    read: object = staticmethod(lambda output, run: output)  # output -> lines as bench/compare/README.md asks for
    called: list[str] = field(default_factory=list)

    def command(self, run):
        return [*self.called, *self.arguments(run)]


# --- Tidemill and the loops by hand, which are one program ---

NATIVE_PASSES = 3


def nexmark(binary):
    def prepare():
        if not binary.exists():
            raise installs.Missing(f"{binary} is not built; run: scripts/build nexmark")
        return [str(binary)]
    return prepare


def nexmark_arguments(*more):
    return lambda run: ["--query", run.query, "--events", str(run.events), "--rate", str(run.rate),
                        "--repeat", str(1 if run.is_start_up else 1 + NATIVE_PASSES), "--format", "json", *more]


def read_nexmark(output, run, by_hand=False):
    """Leaves the first pass, a warm-up, out."""
    told = [json.loads(line) for line in output.splitlines() if line.startswith("{")][1:]
    lines = []
    for t in told:
        ns = t["hand_cpu_ns_per_event"] if by_hand else t["cpu_ns_per_event"]
        cpu = ns * t["events"] / 1e9
        lines.append(json.dumps({"query": t["query"], "events": t["events"], "rows": t["rows"], "cpu_s": cpu,
                                 "wall_s": cpu if by_hand else t["wall_s"]}))
    return "\n".join(lines)


# --- programs that speak as bench/compare/README.md says ---

def peer_arguments(warm_up, measure, *more):
    def arguments(run):
        passes = (0, 0) if run.is_start_up else (warm_up, measure)
        return ["--input", str(run.input), "--query", run.query, "--warm-up", str(passes[0]), "--measure", str(passes[1]),
                *(["--check"] if run.check else []), *more]
    return arguments


def jvm(project, main, *flags):
    def prepare():
        class_path = installs.java(HERE / project)
        return ["java", *flags, "-cp", class_path, main]
    return prepare


# A heap that no query fills, half of it for what dies young, and the collector that costs the least CPU.
HEAP = ("-Xms6g", "-Xmx6g", "-Xmn3g", "-XX:+UseParallelGC")
OPENED = tuple(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in ("java.lang", "java.util", "java.time", "java.nio"))
JET_OPENED = ("--add-modules=java.se", "--add-exports=java.base/jdk.internal.ref=ALL-UNNAMED", "--add-opens=java.base/java.lang=ALL-UNNAMED",
              "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED", "--add-opens=java.management/sun.management=ALL-UNNAMED",
              "--add-opens=jdk.management/com.sun.management.internal=ALL-UNNAMED")
JVM_WARM_UP_S = 6


def all_contenders(binary):
    timely = lambda: [str(installs.cargo(HERE / "timely"))]  # noqa: E731
    stateless_and_windows = ("q0", "q1", "q2", "q3", "q5", "q7", "q8")
    flink = jvm("flink", "compare.FlinkNexmark", *HEAP, *OPENED)
    return [
        Contender("hand", "loop by hand", IN_MEMORY, nexmark(binary), nexmark_arguments("--hand"),
                  lambda output, run: read_nexmark(output, run, by_hand=True)),
        Contender("tidemill", "Tidemill", IN_MEMORY, nexmark(binary), nexmark_arguments(), read_nexmark),
        Contender("timely", "Timely 0.31", stateless_and_windows, timely, peer_arguments(0, NATIVE_PASSES)),
        Contender("timely-short", "Timely 0.31, least rows", stateless_and_windows, timely,
                  peer_arguments(0, NATIVE_PASSES, "--short-rows")),
        Contender("timely-in-place", "Timely 0.31, rows where they lie", ("q0", "q1", "q2", "q3", "q7", "q8"), timely,
                  peer_arguments(0, NATIVE_PASSES, "--in-place")),
        Contender("flink", "Flink 2.3", IN_MEMORY, flink, peer_arguments(JVM_WARM_UP_S, 2)),
        Contender("jet", "Hazelcast Jet 5.7", ("q0", "q1", "q2", "q5", "q7", "q8", "q11"), jvm("jet", "compare.JetNexmark", *HEAP, *JET_OPENED),
                  peer_arguments(JVM_WARM_UP_S, 2)),
        Contender("tidemill-rocksdb", "Tidemill on RocksDB", KEYED, nexmark(binary), nexmark_arguments("--backend", "rocksdb"), read_nexmark),
        Contender("flink-rocksdb", "Flink 2.3 on RocksDB", KEYED, flink, peer_arguments(JVM_WARM_UP_S, 1, "--backend", "rocksdb")),
    ]
