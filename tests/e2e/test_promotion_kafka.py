"""A promotion on a real Kafka and Redis: the topic has the old version's rows, then the new one's, each once;
each Redis key moves to the new version's row once and never back, also when the hand-over is killed at each
of its steps."""

import pytest

from job import FINISHED, KILLED, REFUSED
from promotion import PREFIX, KafkaPromotion

# In the order of a hand-over; the keys move behind the decision.
STEPS = ("after_init", "take_over_noted", "before_manifest_rename", "after_manifest_rename",
         "after_control_record", "after_commit", "take_over_decided", "keys_remove", "keys_removing:5",
         "keys_move", "keys_moving:7", "keys_done")
DECIDED = STEPS.index("after_commit")


@pytest.fixture
def run(kafka, name, tmp_path, redis_server):
    made = KafkaPromotion(kafka, name, tmp_path, redis_server)
    made.to_the_cut()
    yield made
    made.roles.close()
    made.close()


def test_killed_at_every_step(run):
    """One hand-over, killed at each of its steps in turn; between two of them each key has the row of one
    version, and never the old one's again."""
    moved = set()

    def look():
        rows = run.redis.rows(PREFIX)
        for key, before in run.rows_before.items():
            row, new = rows.get(key), run.replay_rows.get(key)
            if key in moved:
                assert row == new, key
            elif row != before:
                assert row == new, key
                moved.add(key)

    assert run.rows_before.keys() - run.replay_rows.keys(), "the shorter window has fewer users"
    for number, point in enumerate(STEPS):
        assert run.roles.take_over(crash_at=point) == KILLED, (point, run.roles.promoted.child.tail())
        look()
        if number < STEPS.index("take_over_decided"):
            assert not moved, point
        old = run.roles.live
        if number < DECIDED:
            old.start("--hold-offsets", ",".join(f"{s}={n}" for s, n in run.cut.items()))
            old.wait_log("last committed checkpoint")
            assert run.roles.stop_live() == run.cut
        else:
            assert old.run() == REFUSED and "is decided and not finished" in old.log, point
    assert run.roles.take_over() == FINISHED, run.roles.promoted.child.tail()
    look()
    assert moved == {key for key in run.rows_before if run.rows_before[key] != run.replay_rows.get(key)}
    assert not run.redis.rows("new:" + PREFIX)
    kept = {key[len("before-new:"):]: row for key, row in run.redis.rows("before-new:").items()}
    assert kept == run.rows_before
    run.go_on_to_the_end()
    assert not run.judge()
