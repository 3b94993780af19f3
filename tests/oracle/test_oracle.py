"""The oracle: hand-made cases taken from the rules, and a brute-force reading of the definition."""

import random

import pytest
from naive_job import judge, line, naive_rows, settings

import generate_events
import interleaving
import oracle

S = 1000


def event(time, action="a", value=1.0, partition=0, offset=None):
    event.count += 1
    return oracle.Event(time, partition, event.count if offset is None else offset, "u", action,
                        value)


event.count = 0


def counts(rows):
    """(instant, count per window ...) of each row."""
    return [(row[0], *row[1:-2:3]) for row in rows]


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
