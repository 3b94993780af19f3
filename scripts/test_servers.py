"""Runs a command with a Kafka broker and a Redis of its own on this machine, and stops them when it ends.

    "$(scripts/venv)/bin/python" scripts/test_servers.py COMMAND…

The command finds them in TIDEMILL_TEST_KAFKA (host:port) and TIDEMILL_TEST_REDIS (a redis:// address).
"""
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests/e2e"))
from broker import Cluster  # noqa: E402
from redis_server import RedisServer  # noqa: E402


def main(command):
    with tempfile.TemporaryDirectory(prefix="tidemill-servers-") as folder:
        kafka, redis = Cluster(f"{folder}/kafka"), RedisServer(f"{folder}/redis")
        try:
            kafka.start()
            redis.start()
            environment = {**os.environ, "TIDEMILL_TEST_KAFKA": kafka.address, "TIDEMILL_TEST_REDIS": redis.url}
            return subprocess.run(command, env=environment, check=False).returncode
        finally:
            redis.kill()
            kafka.stop()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
