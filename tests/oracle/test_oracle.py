"""The oracle of the feature pipeline is itself proven here: hand-made cases taken from the rules,
a brute-force reading of the definition, and runs whose output is altered, dropped and doubled."""

import base64
import copy
import json
import os
import random
import shutil
import sys

import pytest

TOOLS = os.path.join(os.path.dirname(__file__), "..", "..", "jobs", "feature_pipeline", "tools")
sys.path.insert(0, TOOLS)

import file_log  # noqa: E402
import generate_events  # noqa: E402
import interleaving  # noqa: E402
import oracle  # noqa: E402
import verify  # noqa: E402

S = 1000
MINUTE = 60 * S


def event(time, action="a", value=1.0, partition=0, offset=None):
    event.count += 1
    return oracle.Event(time, partition, event.count if offset is None else offset, "u", action,
                        value)


event.count = 0


def counts(rows):
    """(instant, count per window ...) of each row."""
    return [(row[0], *row[1:-2:3]) for row in rows]


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


# --- When an event counts -------------------------------------------------------------------------

def test_trailing_windows_fall_back_to_zero():
    rows = oracle.watermark_rows([event(1 * S), event(3 * S)], settings(), 30 * S)
    assert counts(rows) == [(1 * S, 1, 1), (3 * S, 2, 2), (6 * S, 1, 2), (8 * S, 0, 2),
                            (21 * S, 0, 1), (23 * S, 0, 0)]
    assert rows[-1] == (23 * S, 0, 0, None, 0, 0, None, None, None)
    assert oracle.is_empty(rows[-1]) and not oracle.is_empty(rows[-2])


def test_slices_are_left_open():
    window = (5 * S, 1 * S)
    assert oracle.expiry(1000, window) == 6000   # the end of its slice belongs to the slice
    assert oracle.expiry(1001, window) == 7000
    assert oracle.expiry(0, window) == 5000
    assert oracle.expiry(-1, window) == 5000
    assert oracle.expiry(-1000, window) == 4000


def test_exact_resolution_is_the_half_open_trailing_window():
    rows = oracle.watermark_rows([event(1234)], settings(windows=("5s",), resolution="exact"),
                                 60 * S)
    assert counts(rows) == [(1234, 1), (6234, 0)]


def test_default_resolution():
    assert oracle.Settings().windows == ((300 * S, 5 * S), (3600 * S, 60 * S),
                                         (86400 * S, 1440 * S))
    assert settings(windows=("10s",), resolution="auto").windows == ((10 * S, 1 * S),)


def test_decay_comes_before_a_record_of_the_same_instant():
    rows = oracle.watermark_rows([event(1 * S, "a"), event(6 * S, "b")],
                                 settings(windows=("5s",)), 6 * S)
    assert rows == [(1000, 1, 1, 1.0, "a", 1000), (6000, 0, 0, None, None, None),
                    (6000, 1, 1, 1.0, "b", 6000)]


def test_one_decay_row_though_two_windows_lose_slices():
    rows = oracle.watermark_rows([event(1 * S), event(16 * S)], settings(), 21 * S)
    assert counts(rows) == [(1 * S, 1, 1), (6 * S, 0, 1), (16 * S, 1, 2), (21 * S, 0, 1)]


def test_events_of_one_slice_leave_at_once():
    rows = oracle.watermark_rows([event(100), event(900), event(1000)],
                                 settings(windows=("5s",)), 60 * S)
    assert counts(rows) == [(100, 1), (900, 2), (1000, 3), (6000, 0)]


def test_nothing_decays_past_the_end():
    assert counts(oracle.watermark_rows([event(1 * S)], settings(), 5999)) == [(1000, 1, 1)]
    assert counts(oracle.watermark_rows([event(1 * S)], settings(), 6000))[1:] == [(6000, 0, 1)]


def test_last_action_is_of_the_largest_time_partition_offset():
    events = [event(1 * S, "late offset", partition=0, offset=9),
              event(1 * S, "late partition", partition=1, offset=2),
              event(1 * S, "first", partition=0, offset=3)]
    rows = oracle.watermark_rows(events, settings(), 1 * S)
    assert [row[-2] for row in rows] == ["first", "late offset", "late partition"]


def test_event_time_is_of_the_largest_window_and_unique_counts_actions():
    rows = oracle.watermark_rows([event(1 * S, "a", 2.0), event(2 * S, "b", 4.0),
                                  event(3 * S, "a", 6.0)], settings(), 10 * S)
    assert rows[2] == (3000, 3, 2, 4.0, 3, 2, 4.0, "a", 3000)
    assert rows[3] == (6000, 2, 2, 5.0, 3, 2, 4.0, "a", 3000)
    assert rows[-1] == (8000, 0, 0, None, 3, 2, 4.0, "a", 3000)


def test_sums_do_not_depend_on_order():
    values = [0.1, 1e6, -1e6, 1 / 3, 1e-3] * 40
    expected = oracle.watermark_rows([event(1, value=v) for v in values], settings(), 1)[-1][3]
    random.Random(1).shuffle(values)
    assert oracle.watermark_rows([event(1, value=v) for v in values], settings(), 1)[-1][3] \
        == expected == pytest.approx((0.1 + 1 / 3 + 1e-3) / 5, rel=1e-12)


def test_coalesced_keeps_the_last_row_of_each_interval():
    rows = oracle.expected_rows([event(1 * S), event(3 * S), event(4 * S)],
                                settings(emit="coalesced", interval=4 * S), 30 * S)
    assert counts(rows) == [(3 * S, 2, 2), (6 * S, 2, 3), (9 * S, 0, 3), (23 * S, 0, 1),
                            (24 * S, 0, 0)]


def test_a_window_that_could_outlive_the_largest_is_refused():
    with pytest.raises(ValueError):
        settings(windows=("20s", "20500ms"))


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


@pytest.mark.parametrize("seed", range(100))
def test_rows_equal_the_definition(seed):
    rand = random.Random(seed)
    windows = sorted(rand.sample((7, 20, 45, 90, 200), rand.randint(1, 3)))
    rules = settings(windows=[f"{w}ms" for w in windows],
                     resolution=rand.choice(("exact", "3ms", "5ms")))
    events = [event(rand.randint(-100, 400), rand.choice("abc"), float(rand.randint(-9, 9)),
                    rand.randint(0, 2)) for _ in range(rand.randint(1, 40))]
    end = rand.choice((max(e.time for e in events), 10_000))
    actual = oracle.watermark_rows(events, rules, end)
    expected = naive_rows(events, list(rules.windows), end)
    assert len(actual) == len(expected)
    for a, e in zip(actual, expected):
        assert interleaving.same_row(a, e)


# --- What is bad, what is late --------------------------------------------------------------------

def test_lateness_is_judged_per_partition_against_the_largest_time_before():
    rules = settings(disorder=2 * S, lateness=3 * S)
    judged = judge([[line(0), line(10_000), line(5_000), line(4_999), line(9_000), line(-9**9)],
                    [line(1_000)]], rules)
    assert sorted(judged.late) == [(0, 3), (0, 5)]
    assert judged.accepted == 5 and judged.end == 10_000
    assert judged.watermark(rules) == -1_000


def test_the_first_event_is_never_late_and_a_bad_one_moves_nothing():
    judged = judge([[b'{"user_id":"u","action":"a","value":"x","timestamp":99999999}',
                     line(-5 * S), line(-5 * S)]])
    assert sorted(judged.bad) == [(0, 0)] and not judged.late and judged.end == -5 * S


@pytest.mark.parametrize("template", generate_events.BAD)
def test_every_generated_bad_event_is_bad(template):
    value = template.replace(b"%U", b"u1").replace(b"%T", b"1767225600000")
    with pytest.raises(oracle.BadEvent):
        oracle.parse_event(oracle.Record(0, 0, None, value, None))


@pytest.mark.parametrize("value, reason", [
    (b'{"action":"a","value":1,"timestamp":0}', "user_id: missing"),
    (b'{"user_id":"u","action":1,"value":1,"timestamp":0}', "action: mistyped"),
    (b'{"user_id":"u","action":"a","value":true,"timestamp":0}', "value: mistyped"),
    (b'{"user_id":"u","action":"a","value":1e999,"timestamp":0}', "value: out of range"),
    (b'{"user_id":"u","action":"a","value":1,"timestamp":9223372036854775808}',
     "timestamp: out of range"),
    (b'{"user_id":"u","action":"a","value":1,"timestamp":"2026-02-29T00:00:00Z"}',
     "timestamp: out of range"),
    (b'{"user_id":"u","action":"a","value":1,"timestamp":"soon"}', "timestamp: unparsable"),
    (b'{"user_id":"\\ud800","action":"a","value":1,"timestamp":0}', "unparsable"),
    (b'{"user_id":"\xff","action":"a","value":1,"timestamp":0}', "not UTF-8"),
    (b'{"user_id":"u"', "unparsable"), (b"", "unparsable"), (b"[]", "not an object"),
])
def test_reasons(value, reason):
    with pytest.raises(oracle.BadEvent, match=reason):
        oracle.parse_event(oracle.Record(0, 0, None, value, None))


def test_timestamps():
    for text, expected in (('"1970-01-01T00:00:00.000Z"', 0), ('"1970-01-01T00:00:01Z"', 1000),
                           ('"1969-12-31T23:59:59.9Z"', -100), ("-1", -1),
                           ('"2026-01-01T01:00:00+01:00"', 1767225600000),
                           ('"2025-12-31T22:30:00-01:30"', 1767225600000),
                           ("1767225600123", 1767225600123)):
        value = b'{"user_id":"u","action":"a","value":1,"timestamp":%s,"x":[{}]}' % text.encode()
        assert oracle.parse_event(oracle.Record(0, 0, None, value, None)).time == expected
    for time in (0, -1, 1767225600123, 951782399999):
        assert oracle.parse_iso(oracle.format_iso(time)) == time
    assert oracle.format_iso(1767225600123) == "2026-01-01T00:00:00.123Z"


def test_future_is_judged_against_the_records_own_timestamp():
    def parse(time, own):
        return oracle.parse_event(oracle.Record(0, 0, None, line(time), own), 3_600_000)

    assert parse(3_600_000, 0).time == 3_600_000
    with pytest.raises(oracle.BadEvent, match="future"):
        parse(3_600_001, 0)
    assert oracle.parse_event(oracle.Record(0, 0, None, line(10**12), 0)).time == 10**12


# --- on_record: any consistent interleaving, nothing else -----------------------------------------

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


RECORD_RULES = dict(windows=("20ms", "100ms"), resolution="5ms", disorder=10, lateness=30,
                    emit="on_record")


@pytest.mark.parametrize("seed", range(60))
def test_on_record_rows_of_any_interleaving_are_explained(seed):
    rand = random.Random(seed)
    rules = settings(**RECORD_RULES)
    partitions = random_input(rand, rand.randint(1, 3), rand.randint(1, 40))
    judged = judged_of(partitions, rules)
    rows = run_on_record(partitions, rules, rand)
    checker = interleaving.Checker(judged, rules, judged.end)
    assert judged.by_user.keys() == rows.keys()
    for user, found in rows.items():
        assert checker.explain(judged.by_user[user], found) is None
        expected = oracle.expected_rows(judged.by_user[user], rules, judged.end)
        assert interleaving.same_row(found[-1], expected[-1])  # all modes end alike


@pytest.mark.parametrize("seed", range(40))
def test_on_record_altered_lost_or_doubled_rows_are_not(seed):
    rand = random.Random(seed)
    rules = settings(**RECORD_RULES)
    partitions = random_input(rand, 2, 30)
    judged = judged_of(partitions, rules)
    rows = run_on_record(partitions, rules, rand)["u"]
    checker = interleaving.Checker(judged, rules, judged.end)

    def explained(changed):
        return checker.explain(judged.by_user["u"], changed) is None

    assert explained(rows)
    at = rand.randrange(len(rows))
    changed = list(rows[at])
    field = rand.randrange(len(changed))
    changed[field] = "x" if changed[field] is None or type(changed[field]) is str \
        else changed[field] + 1
    assert not explained(rows[:at] + [tuple(changed)] + rows[at + 1:])
    assert not explained(rows[:at] + [rows[at]] + rows[at:])
    assert not explained(rows[:-1])
    assert not explained([])
    # A decay that a record overtook makes no row, so only rows of records are missed for sure.
    of_records = [i for i in range(1, len(rows)) if rows[i][0] == rows[i - 1][0]]
    for i in of_records:
        assert not explained(rows[:i] + rows[i + 1:])


def test_a_decay_before_the_watermark_could_pass_it_is_not_explained():
    rules = settings(windows=("5s",), disorder=2 * S, lateness=5 * S, emit="on_record")
    events = [oracle.Event(1 * S, 0, 0, "u", "a", 1.0), oracle.Event(8 * S, 0, 1, "v", "a", 1.0),
              oracle.Event(4 * S, 0, 2, "u", "a", 1.0), oracle.Event(20 * S, 0, 3, "v", "a", 1.0)]
    judged = judged_of([events], rules)
    checker = interleaving.Checker(judged, rules, judged.end)
    first, empty = (1000, 1, 1, 1.0, "a", 1000), (6000, 0, 0, None, None, None)
    second, last = (6000, 1, 1, 1.0, "a", 4000), (9000, 0, 0, None, None, None)
    both, one = (4000, 2, 1, 1.0, "a", 4000), (6000, 1, 1, 1.0, "a", 4000)
    assert checker.explain(judged.by_user["u"], [first, both, one, last]) is None
    # 8 s - 2 s = 6 s: the watermark is not beyond 6 s before the event of 4 s has come.
    assert checker.explain(judged.by_user["u"], [first, empty, second, last]) is not None


# --- verify, from the directories to the exit code ------------------------------------------------

FLAGS = ["--windows", "1m,10m,1h", "--disorder", "2s", "--lateness", "20s"]


class Run:
    """A run's directories: the generator's input and what a right job would have committed."""

    def __init__(self, root, emit):
        self.input, self.output = f"{root}/user-events", f"{root}/ml-features"
        self.late, self.bad = f"{root}/user-events-late", f"{root}/user-events-dlq"
        self.flags = [*FLAGS, "--emit", emit]
        generator = generate_events.Generator(1500, 12, 4 * 3_600_000, 3, 2_000, 20_000, seed=5)
        target = generate_events.FileLog(self.input, 3, 200)
        target.deliver(generator.partitions())
        target.close()
        self.rules = oracle.Settings(("1m", "10m", "1h"), "auto", 2_000, 20_000, emit)
        judged = oracle.judge(oracle.read_input(self.input), self.rules)
        lines = [[] for _ in range(3)]
        for user, rows in self.rows(judged).items():
            partition = (verify.murmur2(user.encode()) & 0x7FFFFFFF) % 3
            lines[partition] += [oracle.print_row(user, row, self.rules).encode() for row in rows]
        write(self.output, lines, 100)
        write(self.late, [[letter(r, "late") for r in judged.late.values()]])
        write(self.bad, [[letter(r, reason) for reason, r in judged.bad.values()]])

    def rows(self, judged):
        if self.rules.emit != "on_record":
            return {user: oracle.expected_rows(events, self.rules, judged.end)
                    for user, events in judged.by_user.items()}
        partitions = {}
        for p, records in oracle.read_input(self.input).items():
            partitions[p] = [oracle.parse_event(record) for record in records
                             if (p, record.offset) not in judged.bad]
        return run_on_record([partitions[p] for p in sorted(partitions)], self.rules,
                             random.Random(1))

    def verify(self, capsys):
        status = verify.main([self.input, self.output, *self.flags])
        return status, capsys.readouterr().out

    def change(self, topic, change):
        """Rewrites partition 0 of a topic with its lines changed by `change`."""
        path = os.path.join(topic, "partition-0")
        lines = [text for _, text in file_log.read_partition(path)]
        for name in os.listdir(path):
            os.remove(os.path.join(path, name))
        writer = file_log.PartitionWriter(topic, 0)
        writer.append(change(lines))
        writer.close()


def write(topic, partitions, records_per_file=20_000):
    for partition, lines in enumerate(partitions):
        writer = file_log.PartitionWriter(topic, partition, records_per_file)
        if lines:
            writer.append(lines)
        writer.close()


def letter(record, reason):
    fields = {"partition": record.partition, "offset": record.offset, "reason": reason,
              "key": None}
    try:
        fields["value"] = record.value.decode()
    except UnicodeDecodeError:
        fields |= {"encoding": "base64", "value": base64.b64encode(record.value).decode()}
    return json.dumps(fields).encode()


@pytest.fixture(scope="module", params=["on_watermark", "coalesced", "on_record"])
def made(request, tmp_path_factory):
    return Run(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture
def run(made, tmp_path):
    """A copy, to be spoiled."""
    spoiled = copy.copy(made)
    for topic in ("input", "output", "late", "bad"):
        path = getattr(made, topic)
        setattr(spoiled, topic, str(tmp_path / os.path.basename(path)))
        shutil.copytree(path, getattr(spoiled, topic))
    return spoiled


def test_a_right_run_is_proven(run, capsys):
    status, text = run.verify(capsys)
    assert status == 0 and text.endswith("rows equal the oracle: yes\n")
    assert "events in: 1500 " in text and "0 lost, 0 doubled" in text
    assert "bad by reason: action: missing: 1" in text and "late by reason: late: " in text


def altered(lines):
    lines[7] = lines[7].replace(b'"event_count_1h":', b'"event_count_1h":1')
    return lines


def altered_average(lines):
    at = next(i for i, text in enumerate(lines) if b'"avg_value_1h":null' not in text)
    row = json.loads(lines[at])
    row["avg_value_1h"] += 1e-5
    lines[at] = json.dumps(row).encode()
    return lines


@pytest.mark.parametrize("change", [
    altered,
    altered_average,
    lambda lines: lines[1:],  # the first of a key is always that of a record
    lambda lines: lines[:-1],
    lambda lines: lines[:7] + lines[7:8] + lines[7:],
    lambda lines: [],
    lambda lines: lines[:7] + [b"{}"] + lines[7:],
    lambda lines: lines[:7] + [b"not json"] + lines[8:],
    lambda lines: [lines[0].replace(b'"last_action":', b'"lastAction":')] + lines[1:],
    lambda lines: [lines[0].replace(b'.000Z"}', b'Z"}').replace(b'Z"}', b'+00:00"}')] + lines[1:],
], ids=["alter", "alter average", "drop", "drop last", "double", "drop all", "empty row", "garbage",
        "field name", "time form"])
def test_one_wrong_row_is_seen(run, capsys, change):
    run.change(run.output, change)
    status, text = run.verify(capsys)
    assert status == 1 and text.endswith("rows equal the oracle: no\n")


def test_every_single_dropped_or_doubled_row_is_seen(tmp_path, capsys):
    run = Run(tmp_path, "on_watermark")
    judged = oracle.judge(oracle.read_input(run.input), run.rules)
    output = verify.read_files(run.output, run.late, run.bad, judged, run.rules)
    user = max(output.rows, key=lambda user: len(output.rows[user]))
    rows = output.rows[user]
    for i in range(0, len(rows), max(1, len(rows) // 20)):
        for changed in (rows[:i] + rows[i + 1:], rows[:i] + rows[i:i + 1] + rows[i:]):
            found = verify.Differences()
            verify.compare_key(user, judged.by_user[user], changed, run.rules, judged.end, None,
                               found)
            assert found.count


def test_a_row_in_the_wrong_partition_is_seen(run, capsys):
    moved = [text for _, text in file_log.read_partition(os.path.join(run.output, "partition-0"))]
    run.change(run.output, lambda lines: [])
    writer = file_log.PartitionWriter(run.output, 3)
    writer.append(moved)
    writer.close()
    status, text = run.verify(capsys)
    assert status == 1 and "outside the partition of their key" in text


def test_a_missing_output_file_is_seen(run, capsys):
    files = sorted(os.listdir(os.path.join(run.output, "partition-0")))
    assert len(files) > 1
    os.remove(os.path.join(run.output, "partition-0", files[0]))
    status, text = run.verify(capsys)
    assert status == 1 and text.endswith("rows equal the oracle: no\n")


@pytest.mark.parametrize("side", ["late", "bad"])
@pytest.mark.parametrize("change, word", [
    (lambda lines: lines[1:], "lost"),
    (lambda lines: lines + lines[:1], "doubled"),
    (lambda lines: [lines[0].replace(b'"value": "', b'"value": "x')] + lines[1:], "not that of"),
], ids=["drop", "double", "alter"])
def test_a_wrong_late_or_bad_event_is_seen(run, capsys, side, change, word):
    run.change(getattr(run, side), change)
    status, text = run.verify(capsys)
    assert status == 1 and "late and bad events equal the oracle: no" in text
    assert "rows equal the oracle: yes" in text and word in text


def test_wrong_usage_is_exit_2(tmp_path, capsys):
    assert verify.main([str(tmp_path), str(tmp_path), "--windows", "soon"]) == 2
    capsys.readouterr()


def test_murmur2_is_that_of_java():
    # From the tests of Kafka's own client (UtilsTest.testMurmur2).
    for text, expected in ((b"21", -973932308), (b"foobar", -790332482),
                           (b"a-little-bit-long-string", -985981536),
                           (b"a-little-bit-longer-string", -1486304829),
                           (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
                           (b"abc", 479470107)):
        assert verify.murmur2(text) == expected & 0xFFFFFFFF


# --- The generator --------------------------------------------------------------------------------

def test_the_generator_repeats_itself_and_covers_everything():
    def make(seed=1, **more):
        return generate_events.Generator(20_000, 100, partitions=4, seed=seed, **more).partitions()

    made = make()
    assert made == make() and made != make(seed=2)
    rules = oracle.Settings(emit="on_watermark")
    judged = judge([[value for value, _, _ in partition] for partition in made], rules)
    assert judged.events_in == 20_000 and len(judged.by_user) == 100
    assert len(judged.bad) == 100 and len(judged.bad_by_reason) > 10 and len(judged.late) > 100
    assert judged.end - generate_events.START > 29 * 3_600_000
    last = [oracle.expected_rows(events, rules, judged.end)[-1]
            for events in judged.by_user.values()]
    assert 15 <= sum(map(oracle.is_empty, last)) <= 50
    edges = late_by_one = 0
    for p, (times, offsets) in judged.highs.items():
        largest = dict(zip(offsets, times))
        high = None
        for offset, (value, _, _) in enumerate(made[p]):
            high = largest.get(offset, high)
            if (p, offset) in judged.bad:
                continue
            time = oracle.parse_event(oracle.Record(p, offset, None, value, None)).time
            edges += time == high - 65_000
            late_by_one += time == high - 65_001
    assert edges and late_by_one


def test_future_events_are_made_for_kafka_only():
    made = generate_events.Generator(10_000, 10, future=True).partitions()
    rules = oracle.Settings(max_future_skew=3_600_000)
    judged = oracle.judge({p: [oracle.Record(p, offset, key, value, timestamp)
                               for offset, (value, key, timestamp) in enumerate(partition)]
                           for p, partition in enumerate(made)}, rules)
    assert judged.bad_by_reason["timestamp: too far in the future"] > 0
    assert judged.end - generate_events.START <= 30 * 3_600_000


def test_pieces_add_up_and_a_torn_line_is_no_record(tmp_path):
    made = generate_events.Generator(2000, 10, partitions=2).partitions()
    whole = generate_events.FileLog(tmp_path / "whole", 2, 300)
    whole.deliver(made)
    whole.close()
    pieces = generate_events.FileLog(tmp_path / "pieces", 2, 300)
    delivered = 0
    for piece in generate_events.chunks(made, 7):
        pieces.deliver(piece, torn=True)
        delivered += len(piece[0])
        seen = sum(1 for _ in file_log.read_partition(tmp_path / "pieces" / "partition-0"))
        assert seen in (delivered, delivered - 1)
    pieces.close()
    for p in ("partition-0", "partition-1"):
        assert list(file_log.read_partition(tmp_path / "whole" / p)) == \
            list(file_log.read_partition(tmp_path / "pieces" / p))
