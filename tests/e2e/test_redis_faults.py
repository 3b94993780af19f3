"""Redis dies, comes back empty, hangs, or is full, while the main job writes to it and to Kafka:
Kafka stays exactly once, and in the end every key holds its user's last row."""

import json

import pytest
import redis

from features_run import FeaturesRun
from job import FAILED, FINISHED
from process import wait_until
from redis_server import RedisServer


@pytest.fixture
def run(kafka, redis_server, name, tmp_path):
    """A job that has written rows of all 40 users to both sinks."""
    made = FeaturesRun(kafka, name, tmp_path, redis=redis_server, emit="on_record")
    made.input.write(1000)
    made.job.start()
    wait_until(lambda: len(redis_server.rows()) == 40, 30, "all users are in Redis")
    yield made
    made.close()


def assert_converges(run):
    """Every user gets rows after the fault; both sinks then tell the same."""
    run.input.write(2000)
    verdict = run.finish()
    assert verdict.ok, f"{verdict}\n{run.job.child.tail()}"


def still_runs(run, seconds):
    """Looks that long for the end that must not come."""
    with pytest.raises(TimeoutError):
        wait_until(lambda: not run.job.child.running(), seconds, "the job ends (it must not)")


def test_plain(run):
    assert_converges(run)


def test_every_key_expires_after_the_largest_window(run):
    """24 h and its resolution of 24 min, from the write."""
    client = run.redis.client()
    expected = (24 * 60 + 24) * 60
    for key in run.redis.rows():
        assert expected - 60 <= client.ttl(key) <= expected, key


def test_killed_and_restarted_empty(run):
    run.redis.kill()
    run.input.write(300)
    still_runs(run, 1)
    run.redis.start()
    assert_converges(run)


def test_restarted_empty_again_and_again(run):
    for _ in range(5):
        run.input.write(100)
        run.redis.restart_empty()
    assert_converges(run)


def test_frozen(run):
    """Longer than any timeout of a connection test: no checkpoint completes meanwhile."""
    run.wait_rows(1000 - run.tail.count)  # what Redis has taken may be committed while it is frozen
    run.redis.freeze()
    rows = run.tail.count
    run.input.write(300)
    still_runs(run, 3)
    assert run.tail.count <= rows + 300
    run.redis.thaw()
    assert_converges(run)


def test_slow(run):
    for _ in range(5):
        run.redis.pause_writes(0.4)
        run.input.write(100)
        run.wait_rows(1)
    assert_converges(run)


def test_job_killed_while_redis_is_away(run):
    run.redis.freeze()
    run.input.write(300)
    still_runs(run, 0.5)
    run.job.kill()
    run.redis.thaw()
    run.job.start()
    assert_converges(run)


def test_an_older_row_never_replaces_a_newer_one(run):
    """A restore writes rows again that were written through before the kill: a reader never sees
    a key go back."""
    run.input.start(per_second=500)
    newest = {}
    for _ in range(3):
        run.wait_rows(100)
        run.job.kill()
        for key, row in run.redis.rows().items():
            newest[key] = max(newest.get(key, ""), computed_at(row))
        run.job.start()
        done = run.tail.count + 200
        while run.tail.count < done:
            for key, row in run.redis.rows().items():
                at = computed_at(row)
                assert at >= newest.get(key, ""), f"{key} went back to {at}"
                newest[key] = at
            assert run.job.child.running(), run.job.child.tail()
    verdict = run.finish()
    assert verdict.ok, verdict


def computed_at(row):
    return json.loads(row)["computed_at"]


def test_full_server_holds_the_job_up_until_there_is_room(kafka, name, tmp_path):
    """maxmemory with noeviction: no row is skipped and no checkpoint completes without it."""
    server = RedisServer(tmp_path / "redis", maxmemory="1500kb").start()
    run = None
    try:
        client = server.client()
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            for _ in range(1000):
                client.rpush("ballast", "x" * 10_000)
        run = FeaturesRun(kafka, name, tmp_path, redis=server, emit="on_record")
        run.input.write(300)
        run.job.start()
        run.job.wait_log("OOM")
        still_runs(run, 2)
        assert "maxmemory" in run.job.log, "it says what can be done"
        assert run.tail.count == 0, "rows are committed that Redis does not have"
        client.delete("ballast")
        run.wait_rows(300)
        assert_converges(run)
    finally:
        if run is not None:
            run.close()
        server.kill()


@pytest.fixture
def refusing(kafka, name, tmp_path):
    """A job before a server that takes no rows, and that server."""
    server = RedisServer(tmp_path / "redis", without="SETEX").start()
    made = FeaturesRun(kafka, name, tmp_path, redis=server, emit="on_record")
    made.input.write(1000)
    yield made, server
    made.close()
    server.kill()


def converges_on_another(run, server, tmp_path):
    server.kill()
    run.redis = RedisServer(tmp_path / "redis-2").start()
    run.config["sinks"]["redis"]["url"] = run.redis.url
    run.job.start()
    assert_converges(run)
    run.redis.kill()


def test_refused_rows_stop_the_job(refusing, tmp_path):
    run, server = refusing
    assert run.job.run("--set", "restart.limit=0") == FAILED
    assert "Redis refuses rows, more than the error budget allows" in run.job.log
    assert "features:" in run.job.log, "the key is named"
    converges_on_another(run, server, tmp_path)


def test_refused_rows_within_the_budget_do_not(refusing, tmp_path):
    run, server = refusing
    run.job.start("--set", "sinks.redis.errors_per_minute=1000000")
    run.wait_rows(1000)
    assert run.job.stop() == FINISHED
    assert not server.rows()
    converges_on_another(run, server, tmp_path)


def test_wrong_password_is_told_at_start(kafka, name, tmp_path):
    server = RedisServer(tmp_path / "redis", password="right").start()
    run = FeaturesRun(kafka, name, tmp_path, redis=server)
    try:
        run.config["sinks"]["redis"]["url"] = server.url.replace("right", "no-such-secret")
        assert run.job.run(deadline_s=60) != FINISHED
        assert "WRONGPASS" in run.job.log or "authentication" in run.job.log.lower()
        assert "no-such-secret" not in run.job.log, "the password is in the log"
    finally:
        run.close()
        server.kill()
