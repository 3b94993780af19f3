"""The page as a running job serves it."""

import gzip
import urllib.error
import urllib.request

import pytest
from file_job import FileJob, event
from fixture_server import DIST, TYPES, security_policy


@pytest.fixture
def job(tmp_path):
    one = FileJob(tmp_path)
    one.append(0, *(event(f"u-{i % 7}", i) for i in range(400)))
    one.append(1, *(event(f"u-{i % 5}", i) for i in range(300)), "no json")
    one.start("--set", "source.file.follow=true", "--http", "127.0.0.1:0")
    yield one
    one.kill()


def get(url, **headers):
    request = urllib.request.Request(url, headers={name.replace("_", "-"): value for name, value in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def test_files_and_their_headers(job):
    root = job.address().rstrip("/")
    for file in DIST.iterdir():
        status, headers, body = get(f"{root}/{file.name}")
        assert status == 200 and body == file.read_bytes()
        assert headers["Content-Type"] == TYPES[file.suffix]
        assert headers["Content-Security-Policy"] == security_policy()
        assert headers["X-Content-Type-Options"] == "nosniff"
        _, packed_headers, packed = get(f"{root}/{file.name}", Accept_Encoding="gzip")
        assert packed_headers["Content-Encoding"] == "gzip" and gzip.decompress(packed) == body
        assert get(f"{root}/{file.name}", If_None_Match=headers["ETag"])[0] == 304
    assert get(root + "/")[2] == (DIST / "index.html").read_bytes()
