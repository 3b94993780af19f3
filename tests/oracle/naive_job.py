"""The rules of the feature pipeline read literally and slowly: what the oracle is compared with."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "jobs", "feature_pipeline",
                                "tools"))

import oracle  # noqa: E402


def settings(**changes):
    return oracle.Settings(**({"windows": ("5s", "20s"), "resolution": "1s", "disorder": 0,
                               "lateness": 0, "emit": "on_watermark"} | changes))


def line(time, user="u", action="a", value=1):
    return json.dumps({"user_id": user, "action": action, "value": value,
                       "timestamp": time}).encode()


def judge(partitions, rules=None):
    return oracle.judge(
        {p: [oracle.Record(p, offset, None, value, None) for offset, value in enumerate(lines)]
         for p, lines in enumerate(partitions)}, rules or settings())


def expires(e, window):
    size, resolution = window
    past = e.time % resolution  # of the slice (k r, (k + 1) r]; 0 is its very end
    return e.time + (resolution - past if past else 0) + size


def naive_rows(events, windows, end):
    """The definition, read literally at every instant; events in any order."""
    events = sorted(events)
    instants = [(e.time, 1, e.partition, e.offset) for e in events]
    instants += {(expires(e, window), 0, 0, 0) for e in events for window in windows}
    rows = []
    for instant, kind, partition, offset in sorted(instants):
        if instant > end:
            break
        there = [e for e in events if e.time < instant
                 or (kind == 1 and (e.time, e.partition, e.offset) <= (instant, partition, offset))]
        rows.append(naive_row(there, windows, instant))
    return rows


def naive_row(there, windows, instant):
    row = [instant]
    for window in windows:
        counted = [e for e in there if e.time <= instant < expires(e, window)]
        row += [len(counted), len({e.action for e in counted}),
                sum(e.value for e in counted) / len(counted) if counted else None]
    counted = [e for e in there if e.time <= instant < expires(e, max(windows))]
    newest = max(counted, key=lambda e: (e.time, e.partition, e.offset), default=None)
    return (*row, newest and newest.action, newest and newest.time)


def run_on_record(partitions, rules, rand):
    """A naive job: batches from partitions in random order; {user: rows}. Judged as in the rules,
    recomputed from the definition at each row."""
    largest = [None] * len(partitions)
    position = [0] * len(partitions)
    state, rows = {}, {}

    def emit(user, instant):
        state[user][1] = instant
        rows.setdefault(user, []).append(
            naive_row(state[user][0], rules.windows, instant))

    def decay(watermark):
        for user, (events, now) in list(state.items()):
            due = {expires(e, w) for e in events for w in rules.windows}
            for instant in sorted(d for d in due if now < d < watermark):
                emit(user, instant)

    end = max(event.time for events in partitions for event in events)
    while any(position[p] < len(events) for p, events in enumerate(partitions)):
        p = rand.choice([p for p, events in enumerate(partitions) if position[p] < len(events)])
        for _ in range(rand.randint(1, 4)):
            if position[p] == len(partitions[p]):
                break
            e = partitions[p][position[p]]
            position[p] += 1
            late = (largest[p] is not None
                    and e.time < largest[p] - rules.disorder - rules.lateness)
            largest[p] = e.time if largest[p] is None else max(largest[p], e.time)
            if late:
                continue
            events, now = state.setdefault(e.user, [[], None])
            events.append(e)
            emit(e.user, e.time if now is None else max(now, e.time))
        if None not in largest:
            active = [largest[q] - rules.disorder for q, events in enumerate(partitions)
                      if position[q] < len(events)]
            decay(min(active) if active else end + 1)
    return rows


def random_input(rand, partitions, count):
    made = []
    for p in range(partitions):
        at, events = 0, []
        for offset in range(count):
            at += rand.randint(0, 30)
            time = at - rand.choice((0, 0, 0, 5, 10, 25, 60))
            events.append(oracle.Event(time, p, offset, rand.choice("uvw"), rand.choice("ab"),
                                       float(rand.randint(0, 3))))
        made.append(events)
    return made


def judged_of(partitions, rules):
    return judge([[line(e.time, e.user, e.action, e.value) for e in events]
                  for events in partitions], rules)
