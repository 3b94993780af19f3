"""emit: on_record: any consistent interleaving is explained, nothing else is."""

import random

import pytest
from naive_job import judged_of, random_input, run_on_record, settings

import interleaving
import oracle

S = 1000


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
