"""The curves: for each, which knob is turned, what measures it, what is drawn, and what about its shape is alarming.

`measure` gives a row of figures for each point; the programs check their own results and fail if these are wrong.
"""
from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class Curve:
    title: str
    x: str
    y: str
    points: list
    measure: Callable  # (points, call) -> rows
    series: Callable  # rows -> {label: [(x, y)]}
    alarms: Callable  # rows -> what about them needs an explanation
    programs: tuple
    more: tuple = ()  # points of a long run, besides


def flat(figures):
    """Figures that may be in figures, by one name each."""
    return {f"{name}_{inner}" if isinstance(value, dict) else name: part for name, value in figures.items()
            for inner, part in (value.items() if isinstance(value, dict) else [(None, value)])}


def line(rows, x, y, **where):
    return [(row[x], row[y]) for row in rows if row.get(y) and row[x] and all(row[name] == value for name, value in where.items())]


def value(rows, name, **where):
    """Of the only row that is meant; None: there is none."""
    return next((row[name] for row in rows if name in row and all(row[n] == v for n, v in where.items())), None)


# --- distinct keys ---

def measure_keys(points, call):
    rows = []
    for keys in map(int, points):
        for kind in ("uniform", "zipf"):
            records = max(2_000_000, min(3 * keys, keys + 20_000_000))
            rows += map(flat, call.json("sliding_bench", "--ratios", 1, "--slides", 1, "--keys", keys, "--keys-by", kind, "--records", records,
                                        "--by-hand", "windows", "--format", "json"))
    return rows


def alarms_of_keys(rows):
    return [f"{row['keys']:,} keys ({row['keys_by']}): {row['ours_ns_an_update']:.1f} ns an update, by hand {row['by_hand_ns_an_update']:.1f}: "
            "more than twice" for row in rows if row["ours_ns_an_update"] > 2 * row["by_hand_ns_an_update"]]


def series_of_keys(rows):
    return {f"{kind}{who}": line(rows, "keys", f"{figure}_ns_an_update", keys_by=kind)
            for kind in ("uniform", "zipf") for who, figure in (("", "ours"), (", by hand", "by_hand"))}


# --- size of a window by its slide ---

def measure_windows(points, call):
    rows = []
    for ratio in map(int, points):
        by_hand = ("--by-hand", "windows") if ratio <= 100 else ()
        rows += map(flat, call.json("sliding_bench", "--ratios", ratio, "--slides", 100, *by_hand, "--format", "json"))
    return rows


def alarms_of_windows(rows):
    one, ten, hundred = (value(rows, "ours_ns_a_record", ratio=ratio) for ratio in (1, 10, 100))
    by_hand = value(rows, "by_hand_ns_a_record", ratio=100)
    found = [f"size / slide 10 takes {ten / one:.1f} times what 1 takes"] if one and ten and ten > 2 * one else []
    if hundred and by_hand and by_hand < 20 * hundred:
        found.append(f"at 100 a map for each open window takes {by_hand / hundred:.1f} times as long only")
    return found


# --- records out of order, and too late ---

def measure_late(points, call):
    return [flat(row) for share in points for row in call.json("sliding_bench", "--ratios", 5, "--late", int(share), "--format", "json")]


def alarms_of_late(rows):
    none, some = (value(rows, "ours_ns_a_record", late=late) for late in (0, 10))
    return [f"1 % too late: {some / none:.1f} times what none takes"] if none and some and some > 2 * none else []


def measure_disorder(points, call):
    """Rows must be those of a run whose windows all close at the end, when nothing can be late."""
    rows = []
    for group in map(int, points):
        words = ("--query", "q5", "--events", 2_000_000, "--rate", 100_000, "--group", group, "--format", "json")
        right, = call.json("nexmark", *words, "--verify", "--disorder", 1 << 40)
        checked, = call.json("nexmark", *words, "--verify")
        if (checked["rows"], checked["checksum"]) != (right["rows"], right["checksum"]):
            raise call.Failed(f"q5 with groups of {group}: rows {checked['rows']} {checked['checksum']}, not {right['rows']} {right['checksum']}")
        fastest = min(call.json("nexmark", *words, "--repeat", 5), key=lambda run: run["cpu_ns_per_event"])
        rows.append({"group": group, **{name: fastest[name] for name in ("rows", "cpu_ns_per_event", "peak_rss_bytes")}})
    return rows


def alarms_of_disorder(rows):
    first = value(rows, "cpu_ns_per_event", group=1)
    return [f"groups of {row['group']:,}, which fit a slice: {row['cpu_ns_per_event'] / first:.1f} times what order takes"
            for row in rows if first and row["group"] <= 100_000 and row["cpu_ns_per_event"] > 1.5 * first]


# --- state by memory ---

def measure_memory(points, call):
    """q18 keeps the last bid of each bidder and auction. How large that is, a run says that has room for all of it."""
    words = ("--query", "q18", "--events", 5_000_000, "--rate", 100_000, "--backend", "rocksdb", "--format", "json")
    whole, = call.json("nexmark", *words, "--memory", "16GiB")
    rows = []
    for times in map(float, points):
        memory = max(1, round(whole["tables_bytes"] / times / 2**20))
        run, = call.json("nexmark", *words, "--memory", f"{memory}MiB")
        if run["rows"] != whole["rows"]:
            raise call.Failed(f"q18 with {memory} MiB gives {run['rows']} rows, not {whole['rows']}")
        rows.append({"state_by_memory": times, "state_bytes": whole["tables_bytes"], "memory_mib": memory,
                     **{name: run[name] for name in ("cpu_ns_per_event", "wall_s", "tables_bytes", "peak_rss_bytes", "rows")}})
    return rows


def alarms_of_memory(rows):
    rows = sorted(rows, key=lambda row: row["state_by_memory"])
    return [f"from {before['state_by_memory']} to {after['state_by_memory']} times the memory: {after['cpu_ns_per_event'] / before['cpu_ns_per_event']:.0f} "
            "times as long" for before, after in zip(rows, rows[1:]) if after["cpu_ns_per_event"] > 20 * before["cpu_ns_per_event"]]


# --- checkpoints ---

def measure_checkpoints(points, call):
    keys = "|".join(str(int(point)) for point in points)
    rows = []
    for run in call.google("state_bench", f"BM_Checkpoint/({keys})/"):
        _, keys, thousandths, *_ = run["name"].split("/")
        rows.append({"keys": int(keys), "dirty_thousandths": int(thousandths), "dirty_keys": int(keys) * int(thousandths) // 1000,
                     "took_ms": run["real_time"], **{name: run[name] for name in ("longest_stall_us", "longest_stall_cpu_us", "all_stalls_ms",
                                                                                  "snapshot_ms", "new_bytes")}})
    return rows


def alarms_of_checkpoints(rows):
    found = [f"{row['keys']:,} keys, {row['dirty_thousandths'] / 10} % dirty: the task stands still for {row['longest_stall_cpu_us'] / 1000:.1f} ms of CPU"
             for row in rows if row["longest_stall_cpu_us"] > 2000]
    return found + [f"{row['keys']:,} keys, {row['dirty_thousandths'] / 10} % dirty: {row['new_bytes'] / 1e6:.1f} MB are written"
                    for row in rows if row["new_bytes"] > 64 * row["dirty_keys"] + 256 * 1024]


def measure_recovery(points, call):
    rows = []
    for keys in map(int, points):
        run, = call.google("state_bench", f"BM_Restore/{keys}/")
        rows.append({"keys": keys, "took_ms": run["real_time"]})
    return rows


def measure_interval(points, call):
    """q17 over a file log, on RocksDB; the longest interval takes no checkpoint but the last."""
    rows = []
    for seconds in map(float, points):
        run, = call.json("nexmark", "--query", "q17", "--events", 5_000_000, "--rate", 100_000, "--source", "file", "--sink", "discard", "--backend",
                         "rocksdb", "--checkpoint-interval", f"{round(seconds * 1000)}ms", "--as", f"interval-{round(seconds * 1000)}", "--dir",
                         call.scratch, "--format", "json")
        rows.append({"interval_s": seconds, **{name: run[name] for name in ("cpu_ns_per_event", "wall_s", "peak_rss_bytes")}})
    return rows


def alarms_of_interval(rows):
    most = max(rows, key=lambda row: row["interval_s"])
    return [f"a checkpoint each {row['interval_s']} s: {row['cpu_ns_per_event'] / most['cpu_ns_per_event']:.2f} times the CPU of one each "
            f"{most['interval_s']:.0f} s" for row in rows if row["interval_s"] >= 1 and row["cpu_ns_per_event"] > 1.5 * most["cpu_ns_per_event"]]


# --- cores, queries ---

def measure_cores(points, call):
    rows = []
    for query in ("q5", "q17"):
        for cores in map(int, points):
            call.json("nexmark", "--query", query, "--verify", "--parallelism", cores, "--format", "json")  # fails unless as published
            runs = call.json("nexmark", "--query", query, "--events", 5_000_000, "--rate", 100_000, "--parallelism", cores, "--repeat", 5, "--format",
                             "json")
            fastest = min(runs, key=lambda run: run["wall_s"])
            rows.append({"query": query, "parallelism": cores, **{name: fastest[name] for name in ("wall_s", "cpu_ns_per_event", "rows")}})
    return rows


def alarms_of_cores(rows):
    found = []
    for query in ("q5", "q17"):
        one, two = (value(rows, "wall_s", query=query, parallelism=cores) for cores in (1, 2))
        if one and two and one < 1.8 * two:
            found.append(f"{query} on two cores: {one / two:.2f} times as fast as on one")
    return found


def measure_queries(points, call):
    rows = []
    for run in call.google("window_bench", f"concurrent_counts/[0-9]+/({'|'.join(str(int(point)) for point in points)})/"):
        _, keys, queries, *_ = run["name"].split("/")
        rows.append({"keys": int(keys), "queries": int(queries), "ns_a_record": run["ns/record"], "ns_a_record_and_query": run["ns/record"] / int(queries)})
    return rows


def alarms_of_queries(rows):
    """Tables of 10^6 keys in all are beyond the caches, which is no matter of queries."""
    return [f"{row['queries']} queries of {row['keys']:,} keys: {row['ns_a_record_and_query'] / one:.1f} times as much a record and query as one"
            for row in rows if (one := value(rows, "ns_a_record_and_query", keys=row["keys"], queries=1))
            and row["keys"] * row["queries"] < 1_000_000 and row["ns_a_record_and_query"] > 1.5 * one]


# --- latency ---

LATENCY = ("p50", "p90", "p99", "p99.9", "p99.99", "max")


def latency_row(told, **knobs):
    return {**knobs, "events_per_s": told["events_per_s"], "capacity_per_s": told["capacity_per_s"], "cpu_cores": told["cpu_cores"],
            **{f"{name}_us": told["latency_us"][name] for name in LATENCY}, **{f"hiccup_{name}_us": told["hiccup_us"][name] for name in LATENCY}}


def measure_poll(points, call):
    """What a source may hand on at once is what shares an operator's work; what waits for company is sent on as soon as there is no more."""
    return [latency_row(call.json("latency_bench", "--seconds", 5, "--warm-up", 2, "--poll", int(poll), "--workers", workers)[0], rows_a_step=int(poll),
                        workers=workers) for workers in (1, 2) for poll in points]


def measure_load(points, call):
    capacity = None
    rows = []
    for load in map(int, points):
        rate = ("--rate", round(capacity * load / 100)) if capacity else ("--load", load)
        told, = call.json("latency_bench", "--seconds", 10, "--warm-up", 3, *rate)
        capacity = capacity or told["capacity_per_s"]
        rows.append(latency_row({**told, "capacity_per_s": capacity}, load=load))
    return rows


def alarms_of_load(rows):
    return [f"{row['load']} % load: {name} is {row[f'{name}_us'] / 1000:.1f} ms, the machine's own {row[f'hiccup_{name}_us'] / 1000:.1f} ms"
            for row in rows if row["load"] <= 50 for name, most in (("p99", 2000), ("p99.99", 10_000)) if row[f"{name}_us"] > most]


def measure_length(points, call):
    return call.series("latency_bench", "--seconds", int(points[-1]), "--warm-up", 0, "--load", 60)


def alarms_of_length(rows):
    rows = rows[5:]  # what is being filled at first
    part = max(1, len(rows) // 4)

    def typical(name, of):
        return sorted(row[name] for row in of)[len(of) // 2]
    return [f"{name} goes from {typical(name, rows[:part]):g} to {typical(name, rows[-part:]):g}" for name, most in
            (("resident_mb", 1.05), ("open_files", 1.0), ("p50_us", 1.5), ("cpu", 1.3))
            if typical(name, rows[-part:]) > most * typical(name, rows[:part])]


CURVES = {
    "keys": Curve("An update by the number of keys", "distinct keys", "CPU ns an update", [100, 1000, 10_000, 100_000, 1_000_000, 10_000_000],
                  measure_keys, series_of_keys, alarms_of_keys, ("sliding_bench",), (100_000_000,)),
    "windows": Curve("Sliding windows", "size / slide", "CPU ns a record", [1, 2, 5, 10, 50, 100, 1000], measure_windows,
                     lambda rows: {"slices": line(rows, "ratio", "ours_ns_a_record"), "a map for each open window": line(rows, "ratio", "by_hand_ns_a_record")},
                     alarms_of_windows, ("sliding_bench",)),
    "disorder": Curve("Events out of order (q5)", "events among which order is lost", "CPU ns an event", [1, 50, 1000, 100_000, 1_000_000],
                      measure_disorder, lambda rows: {"q5": line(rows, "group", "cpu_ns_per_event")}, alarms_of_disorder, ("nexmark",)),
    "late": Curve("Records beyond every window", "of a thousand too late", "CPU ns a record", [0, 1, 10, 100], measure_late,
                  lambda rows: {"size / slide 5": line(rows, "late", "ours_ns_a_record")}, alarms_of_late, ("sliding_bench",)),
    "memory": Curve("State beyond memory (q18)", "state / memory", "CPU ns an event", [0.1, 0.5, 0.7, 0.9, 1.1, 2, 4, 8], measure_memory,
                    lambda rows: {"q18": line(rows, "state_by_memory", "cpu_ns_per_event")}, alarms_of_memory, ("nexmark",)),
    "checkpoints": Curve("Bytes of a checkpoint", "dirty keys", "bytes", [10_000, 1_000_000, 10_000_000], measure_checkpoints,
                         lambda rows: {f"{keys:,} keys": line(rows, "dirty_keys", "new_bytes", keys=keys) for keys in sorted({r["keys"] for r in rows})},
                         alarms_of_checkpoints, ("state_bench",)),
    "recovery": Curve("Restore until the first batch", "keys", "ms", [10_000, 1_000_000, 10_000_000], measure_recovery,
                      lambda rows: {"256 MiB": line(rows, "keys", "took_ms")},
                      lambda rows: [f"{row['keys']:,} keys: {row['took_ms'] / 1000:.1f} s" for row in rows if row["took_ms"] > 5000], ("state_bench",)),
    "interval": Curve("Checkpoints (q17, files, RocksDB)", "seconds between checkpoints", "CPU ns an event", [0.1, 1, 10, 3600], measure_interval,
                      lambda rows: {"q17": line(rows, "interval_s", "cpu_ns_per_event")}, alarms_of_interval, ("nexmark",)),
    "cores": Curve("Worker threads", "threads", "s for 5 M events", [1, 2, 4, 8], measure_cores,
                   lambda rows: {query: line(rows, "parallelism", "wall_s", query=query) for query in ("q5", "q17")}, alarms_of_cores, ("nexmark",)),
    "queries": Curve("Queries of one stream", "queries", "CPU ns a record and query", [1, 10, 100], measure_queries,
                     lambda rows: {f"{keys:,} keys": line(rows, "queries", "ns_a_record_and_query", keys=keys) for keys in sorted({r["keys"] for r in rows})},
                     alarms_of_queries, ("window_bench",)),
    "poll": Curve("Rows a step, at half of what that allows", "events/s", "latency us", [1, 16, 256, 1024, 16_384], measure_poll,
                  lambda rows: {f"{name}, {workers} worker{'s' * (workers > 1)}": line(rows, "events_per_s", f"{name}_us", workers=workers)
                                for workers in (1, 2) for name in ("p50", "p99")}, lambda rows: [], ("latency_bench",)),
    "load": Curve("Latency by load", "% of capacity", "us", [10, 25, 50, 70, 80, 90, 95], measure_load,
                  lambda rows: {**{name: line(rows, "load", f"{name}_us") for name in ("p50", "p99", "p99.99")},
                                "machine's p99.99": line(rows, "load", "hiccup_p99.99_us")}, alarms_of_load, ("latency_bench",)),
    "length": Curve("A long run at 60 % load", "second", "", [30], measure_length,
                    lambda rows: {"p50, us": line(rows, "second", "p50_us"), "longest, us": line(rows, "second", "max_us"),
                                  "resident, MB": line(rows, "second", "resident_mb")}, alarms_of_length, ("latency_bench",), (600,)),
}
