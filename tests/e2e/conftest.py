"""What the e2e tests share: one broker, one fault proxy before it, one Redis. Topics, groups and
transactional ids are each test's own."""

import hashlib
import re
import shutil
import signal
import tempfile
from pathlib import Path

import pytest

from broker import Cluster
from fault_proxy import FaultProxy
from redis_server import RedisServer
from small_disk import mount_small, unmount


@pytest.fixture(scope="session", autouse=True)
def _end_on_sigterm():
    """A terminated run ends at once, as a whole, and still stops its servers."""
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("terminated by SIGTERM", 143))


@pytest.fixture(scope="session")
def scratch():
    """Where servers keep their data: gone at the end, so nothing a run leaves fills the disk."""
    folder = Path(tempfile.mkdtemp(prefix="tidemill-e2e-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def _shared_kafka(scratch):
    # Everybody may do everything, except with what a test puts an ACL on.
    cluster = Cluster(scratch / "kafka", properties={
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "true"})
    yield cluster.start()
    cluster.stop()


@pytest.fixture
def kafka(_shared_kafka):
    """The shared broker, running and thawed again after every test."""
    yield _shared_kafka
    node = _shared_kafka.nodes[0]
    if node.child.running():
        node.thaw()
    else:
        _shared_kafka.restart()


@pytest.fixture(scope="session")
def _shared_proxy(_shared_kafka):
    node = _shared_kafka.nodes[0]
    proxy = FaultProxy(node.proxy_port, node.proxied_port)
    yield proxy.start()
    proxy.stop()


@pytest.fixture
def proxy(_shared_proxy):
    """The fault proxy before the shared broker, without rules."""
    _shared_proxy.reset()
    yield _shared_proxy
    _shared_proxy.reset()


@pytest.fixture
def redis_server(tmp_path):
    server = RedisServer(tmp_path / "redis")
    yield server.start()
    server.kill()


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of 128 MB: room for a job's state, and soon filled."""
    folder = tmp_path / "disk"
    mount_small(folder, 128)
    yield folder
    unmount(folder)


@pytest.fixture
def name(request):
    """A name no other test uses: for topics, groups, jobs."""
    distinct = hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:6]
    return re.sub(r"[^a-zA-Z0-9_-]", "-", request.node.name)[:80] + f"-{distinct}"
