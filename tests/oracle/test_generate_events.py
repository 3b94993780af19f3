"""The generator repeats itself and makes everything that the proof has to meet."""

from naive_job import judge

import file_log
import generate_events
import oracle


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
