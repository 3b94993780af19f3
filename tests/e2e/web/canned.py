"""What an API would answer: a job with 3 operators and one with 60, healthy or in trouble. Deterministic but for the clock."""

import math
import time

HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


def now_ms():
    return int(time.time() * 1000)


def problem(name, text, next_step, severity="warning", ago_s=120):
    return {"id": name, "severity": severity, "text": text, "next": next_step, "since_ms": now_ms() - ago_s * 1000}


TROUBLE = [
    lambda: problem("slow_sink", "redis waits for its server: the p99 of an acknowledgement is 1.8 s, usually 3 ms; 8192 rows wait",
                    "look at the Redis server: redis-cli --latency, SLOWLOG GET 10", "error", 95),
    lambda: problem("late_producer", "events:3 is 41 s behind the fastest partition and holds the watermark back",
                    "find the producer of partition 3; if it will stay away: event_time.idle=30s", "warning", 312),
    lambda: problem("hot_key", "key u-1000017 has 31 % of what features gets by key; subtask 2 does most of the work",
                    "see whether the key is a default or a bot; filter it in front of features", "warning", 48),
]


def small_graph(pressed=False):
    mark = now_ms() - 2_300
    nodes = [
        ("events", "source", 0, 0.31, 0.0 if not pressed else 0.62, 0, 48_210.0, None),
        ("features", "operator", 1, 0.74 if not pressed else 0.22, 0.02 if not pressed else 0.71, 48_210.0, 51_902.0, 812_345_678),
        ("redis", "sink", 1, 0.12, 0.0, 51_902.0, None, None),
    ]
    if pressed:
        nodes[2] = ("redis", "sink", 1, 0.97, 0.0, 9_120.0, None, None)
    return {
        "nodes": [{"id": f"n{i}", "name": name, "kind": kind, "chain": f"task-{chain}", "parallelism": 4, "busy": busy,
                   "back_pressured": back, "idle": max(0.0, 1 - busy - back), "records_in_per_s": rate_in, "records_out_per_s": out,
                   "watermark_ms": mark, "late": 17 if kind == "operator" else 0, "state_bytes": state}
                  for i, (name, kind, chain, busy, back, rate_in, out, state) in enumerate(nodes)],
        "edges": [{"from": "n0", "to": "n1", "partitioning": "hash", "records_per_s": 48_210.0},
                  {"from": "n1", "to": "n2", "partitioning": "forward", "records_per_s": 51_902.0 if not pressed else 9_120.0}],
    }


def large_graph(operators=60):
    """Sources, a lattice of stages with skips and joins, sinks: wide and deep, as generated pipelines are."""
    width = 6
    nodes, edges = [], []
    for i in range(operators):
        row, column = divmod(i, width)
        kind = "source" if row == 0 else "sink" if i >= operators - width else "operator"
        stem = {"source": "topic", "operator": ("parse", "enrich", "window", "join", "score", "dedupe")[row % 6], "sink": "out"}[kind]
        busy = round(0.5 + 0.45 * math.sin(i * 1.7), 3)
        back = round(max(0.0, 0.8 * math.sin(i * 0.9 + 2) - 0.2), 3) * (1 - busy)
        nodes.append({"id": f"n{i}", "name": f"{stem}_{row}_{column}", "kind": kind, "chain": f"task-{row}", "parallelism": 8,
                      "busy": busy, "back_pressured": round(back, 3), "idle": round(1 - busy - back, 3),
                      "records_in_per_s": None if kind == "source" else 900.0 * (i % 7 + 1),
                      "records_out_per_s": None if kind == "sink" else 1_100.0 * (i % 5 + 1),
                      "watermark_ms": now_ms() - 1_000 - 70 * i, "late": i % 4, "state_bytes": 1_000_003 * i if row % 2 else None})
        if row > 0:
            edges.append((i - width, i))
            if (i + row) % 3 == 0 and column + 1 < width:
                edges.append((i - width + 1, i))
            if i % 11 == 0 and row > 2:
                edges.append((i - 3 * width, i))
    return {"nodes": nodes,
            "edges": [{"from": f"n{a}", "to": f"n{b}", "partitioning": "hash" if (a + b) % 3 else "forward",
                       "records_per_s": 310.0 * ((a * 7 + b) % 13 + 1)} for a, b in edges]}


def status(job="features", trouble=False, replay=None, text=None):
    now = now_ms()
    wave = math.sin(now / 4_000)
    return {
        "job": job, "state": "running", "since_ms": now - 7_830_000, "version": "0.1.0", "pid": 41_123, "parallelism": 4,
        "started_ms": now - 7_830_000, "restarts": 2 if trouble else 0,
        "last_failure": text or ("redis: the server answered OOM: used memory > maxmemory; raise maxmemory" if trouble else None),
        "replay": replay,
        "totals": {"events": "377482910", "rows": 398_112_004, "late": 17_211 if trouble else 17, "bad": 3 if trouble else 0},
        "rates": {"events_per_s": 48_210 + 1_500 * wave, "rows_per_s": 51_902 + 1_800 * wave},
        "lag_records": 1_284_004 if trouble else 312, "watermark_ms": now - (41_700 if trouble else 2_300),
        "watermark_holder": {"source": "events", "split": text or "events:3", "behind_ms": 41_200, "since_s": 312} if trouble else None,
        "checkpoint": {"last_id": "chk-000000007811", "last_ms": now - 640, "duration_us": 84_120, "bytes": 812_345_678,
                       "interval_ms": 1_000},
        "freshness": [{"output": "redis", "p50_ms": 2_410, "p99_ms": 61_020 if trouble else 3_870, "max_ms": 70_150},
                      {"output": "kafka", "p50_ms": 2_900, "p99_ms": 4_400, "max_ms": 9_812}],
        "sources": [{"name": "events", "split": f"events:{p}", "offset": str(94_370_727 + 1_013 * p),
                     "lag_records": 1_283_001 if trouble and p == 3 else 78 + p,
                     "watermark_ms": now - (41_700 if trouble and p == 3 else 500 + 90 * p), "idle": p == 5} for p in range(6)],
        "problems": [make() for make in TROUBLE] if trouble else [],
    }


def freshness():
    now = now_ms()
    rows = [("source", "events", 90, 410), ("after_exchange", "features", 130, 620), ("output", "features", 1_900, 3_100),
            ("written", "redis", 2_300, 3_700), ("acknowledged", "redis", 2_410, 3_870), ("committed", "kafka", 2_900, 4_400)]
    history = []
    for i in range(120):
        swing = 1 + 0.25 * math.sin(i / 9) + (2.5 * math.exp(-((i - 80) / 6) ** 2))
        gap = 50 <= i < 54  # a restart
        history.append({"at_ms": now - (120 - i) * 5_000,
                        "stages": {} if gap else {f"{s} {o}": [p50 * swing, p99 * swing * 1.1] for s, o, p50, p99 in rows}})
    return {"stages": [{"stage": s, "operator": o, "replay": False, "p50_ms": p50, "p99_ms": p99, "max_ms": p99 * 2.6,
                        "count": 377_482_910 // (i + 1)} for i, (s, o, p50, p99) in enumerate(rows)], "history": history}


def checkpoints(trouble=False):
    now = now_ms()
    history = []
    for i in range(40):
        result = "declined" if i == 7 else "failed" if trouble and i == 21 else "committed"
        slow = 6 if 30 <= i < 36 else 1
        phases = {"align_us": 3_200 + 190 * (i % 7), "drain_us": 21_000 * slow + 700 * (i % 5), "store_us": 31_000 + 900 * (i % 11),
                  "commit_us": 18_000 + 400 * (i % 3)}
        if result != "committed":
            phases["commit_us"] = None
        history.append({"id": f"chk-{7811 - i:012}", "seq": 7_811 - i, "triggered_ms": now - 640 - 1_000 * i,
                        "duration_us": sum(v or 0 for v in phases.values()), "phases": phases, "bytes": 812_345_678 - 11_003 * i,
                        "stall_us": 2_800 + 120 * (i % 9), "slowest": {"operator": "features", "subtask": i % 4}, "result": result,
                        "reason": None if result == "committed" else "no space left on the device: data/checkpoints"})
    points = [{"id": f"chk-{7811 - 60 * i:012}", "seq": 7_811 - 60 * i, "created_ms": now - 640 - 60_000 * i, "bytes": 812_345_678,
               "watermark_ms": now - 2_900 - 60_000 * i, "lineage": "a41f", "final": False, "savepoint": i == 2} for i in range(4)]
    return {"history": history, "restore_points": points}


def late(trouble=False, text=None):
    now = now_ms()
    if not trouble:
        return {"late": [{"operator": "features", "reason": "behind_watermark", "split": "events:1", "count": 17}], "bad": [], "samples": [],
                "bad_samples": [],
                "disorder": [{"source": "events", "split": f"events:{p}", "configured_ms": 5_000, "needed_999_ms": 1_200 + 300 * p}
                             for p in range(6)]}
    return {
        "late": [{"operator": "features", "reason": "behind_watermark", "split": f"events:{p}", "count": 17_211 // (p + 1)} for p in range(4)],
        "bad": [{"operator": "events", "reason": "not_json", "split": "events:4", "count": 3}],
        "samples": [{"operator": "features", "subtask": i % 4, "reason": "behind_watermark", "side": None, "time": now - 61_000 - i * 700,
                     "watermark": now - 2_300, "behind_ms": 58_700 + i * 700, "key": text or f"u-{1000017 + i}",
                     "origin": f"events:3@{94_370_727 + i}"} for i in range(12)],
        "bad_samples": [{"reason": "not_json", "origin": f"events:4@{81_002_113 + i}", "text": text or '{"user_id": "u-7", "value": '}
                        for i in range(3)],
        "disorder": [{"source": "events", "split": f"events:{p}", "configured_ms": 5_000, "needed_999_ms": 41_200 if p == 3 else 1_200 + 300 * p}
                     for p in range(6)],
    }


def keys(text=None):
    shares = [0.31, 0.064, 0.041, 0.029, 0.021]
    return {"exchanges": [
        {"from": "events", "to": "features", "skew": 2.41,
         "keys": [{"key": text or f"u-{1000017 + i}", "share": share, "subtask": (2, 0, 1, 3, 0)[i]} for i, share in enumerate(shares)][:1 if text else 5]},
        {"from": "features", "to": "totals", "skew": 1.04, "keys": []}]}


def exceptions(text=None):
    now = now_ms()
    return {"exceptions": [
        {"at_ms": now - 7_000_000, "operator": "redis", "subtask": 1, "origin": None, "attempt": 2,
         "message": text or "redis: the server answered OOM: command not allowed when used memory > 'maxmemory'\nraise maxmemory, or see the TTL of the rows"},
        {"at_ms": now - 7_100_000, "operator": "features", "subtask": 0, "origin": "events:3@94370727", "attempt": 1,
         "message": "the field value is no number: \"n/a\""}]}


def config(text=None):
    rows = [("job", "features", "file"), ("parallelism", 4, "flag"), ("event_time.disorder", "5s", "file"),
            ("event_time.idle", "30s", "default"), ("checkpoint.interval", "1s", "default"), ("memory", "256MiB", "default"),
            ("features.windows", ["5m", "1h", "1d"], "file"), ("sinks.redis.password", "***", "variable"), ("log.level", text or "info", "default")]
    return {"settings": [{"key": k, "value": v, "source": s} for k, v, s in rows]}


def logs(lines, text=None):
    result = [f"2026-11-28 22:{i // 60 % 60:02}:{i % 60:02}.{i % 997:03} info  features: 48.2k events/s, lag 312, checkpoint {i}" for i in range(lines)]
    result[-2] = "2026-11-28 22:59:01.120 warning redis: reconnecting, the server has closed the connection"
    result[-1] = text or "2026-11-28 22:59:02.007 error redis: the server answered OOM; raise maxmemory"
    return {"lines": result}


def states():
    return {"checkpoint": "chk-000000007811", "states": [
        {"operator": "features", "state": "windows", "kind": "windowed value", "key": "string", "value": "struct Features{count: i64, sum: f64}",
         "entries": 1_204_112, "bytes": 712_345_678},
        {"operator": "features", "state": "timers", "kind": "timers", "key": "string", "value": "time", "entries": 1_204_112, "bytes": "81234567"}]}


def state_value(query, text=None):
    key = query.get("key", "")
    found = key != "nobody"
    return {"found": found, "operator": query.get("operator"), "state": query.get("state"), "key": key, "key_group": 93, "subtask": 2,
            "watermark_ms": now_ms() - 2_300, "checkpoint": None if query.get("from") == "running" else "chk-000000007811",
            "value": {"count": 41, "sum": 1204.5, "last": text or "click"} if found else None}


def replay_progress():
    return {"name": "jan", "from_ms": 1_767_225_600_000, "until_ms": 1_769_904_000_000, "at_ms": 1_768_900_000_000, "percent": 62.5, "eta_s": 1_340}


def diff(text=None):
    return {"keys": 1_204_112, "equal": 1_204_109, "different": 2, "only_live": 1, "only_replay": 0, "differences": [
        {"key": text or "u-1000017", "window": "5m", "live": {"count": 41}, "replay": {"count": 42}},
        {"key": "u-7", "window": "1h", "live": {"count": 7}, "replay": None}]}


def jobs():
    now = now_ms()

    def line(name, state, problems=(), **more):
        return {"name": name, "desired": "running", "state": state, "since_ms": now - 7_830_000, "pid": 41_123, "restarts": 0, "rate": 48_210.0,
                "freshness_p99_ms": 3_870, "lag_records": 312, "checkpoint_ms": now - 640, "problems": list(problems), "replay_of": None,
                "binary": "9f2c" * 16} | more

    return {"jobs": [
        line("clicks", "running"),
        line("features", "running", [make() for make in TROUBLE], freshness_p99_ms=61_020, lag_records=1_284_004, restarts=2),
        line("features.jan", "running", replay_of="features", rate=412_000.0, freshness_p99_ms=None, lag_records="9312004411"),
        line("orders", "crash_loop", [problem("crash_loop", "5 failures in 4 minutes: config: features.windows is empty", "mend the file, then: tidemill start orders", "error")],
             rate=None, freshness_p99_ms=None, lag_records=None, pid=None, restarts=5),
        line("sessions", "stopped", desired="stopped", rate=None, freshness_p99_ms=None, lag_records=None, pid=None, checkpoint_ms=None)]}


def job_runs():
    now = now_ms()
    return {"spec": {}, "versions": [], "runs": [
        {"started_ms": now - 40_000, "ended_ms": now - 38_000, "exit": 2, "signal": None, "reason": "config: features.windows is empty"},
        {"started_ms": now - 90_000, "ended_ms": now - 89_000, "exit": None, "signal": 9, "reason": "killed"}]}


def promotions():
    return {"promotions": [{"job": "features", "replay": "features.jan", "phase": "catching_up", "since_ms": now_ms() - 40_000, "error": None}]}
