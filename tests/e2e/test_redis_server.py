"""The Redis the tests use does what its name says."""

import pytest
import redis

from redis_server import RedisServer


def test_restarts_empty(redis_server):
    redis_server.client().set("features:u1", "row")
    assert redis_server.rows() == {"features:u1": "row"}
    redis_server.restart_empty()
    assert redis_server.rows() == {}


def test_full_server_refuses_writes_and_keeps_what_it_has(tmp_path):
    server = RedisServer(tmp_path / "redis", maxmemory="2mb").start()
    try:
        client = server.client()
        client.set("features:first", "x")
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            for i in range(100):
                client.set(f"features:{i}", "x" * 100_000)
        assert client.get("features:first") == "x"
    finally:
        server.kill()


def test_frozen_server_answers_again_when_thawed(redis_server):
    redis_server.freeze()
    with pytest.raises(redis.TimeoutError):
        redis.Redis(port=redis_server.port, socket_timeout=0.2, retry=None).ping()
    redis_server.thaw()
    assert redis_server.client().ping()


def test_paused_writes_wait_and_reads_do_not(redis_server):
    redis_server.client().set("k", "1")
    redis_server.pause_writes(30)
    hurried = redis.Redis(port=redis_server.port, socket_timeout=0.2, retry=None)
    assert hurried.get("k") == b"1"
    with pytest.raises(redis.TimeoutError):
        hurried.set("k", "2")
    redis_server.client().execute_command("CLIENT", "UNPAUSE")
    assert redis_server.client().set("k", "3")
