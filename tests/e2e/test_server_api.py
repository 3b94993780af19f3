"""The server's API against those who do not mean well, or do not know: every described call, noise, slow and oversized requests."""

import http.client
import random
import socket
import ssl
import subprocess
import sys
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
from job import binary
from job_server import JobServer

PUBLIC = {("GET", "/healthz"), ("GET", "/openapi.json")}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = JobServer(tmp_path_factory.mktemp("server_api"), "--requests-per-second", 100_000).start()
    try:
        yield server
    finally:
        server.close()


def is_serving(server):
    return server.call("GET", "/api/v1/jobs")[0] in (200, 429)


def endpoint(server):
    url = urllib.parse.urlsplit(server.url)
    return url.hostname, url.port


def described(server):
    document = server.call("GET", "/openapi.json", token="")[1]
    return [(method.upper(), path) for path, methods in document["paths"].items()
            for method in methods if method in ("get", "put", "post", "delete")]


def test_every_described_call_is_there_and_wants_a_token(server):
    calls = described(server)
    assert len(calls) > 30
    for method, path in calls:
        path_of_nobody = path.replace("{job}", "nobody").replace("{name}", "nobody").replace("{id}", "1-0-0")
        status, answer = server.call(method, path_of_nobody, token="")
        if (method, path) in PUBLIC:
            assert status == 200
        else:
            assert (status, bool(answer["error"]), bool(answer["next"])) == (401, True, True), (method, path, status)


def test_ten_thousand_random_requests_leave_it_serving(server):
    dice = random.Random(5)
    calls = described(server)
    host, port = endpoint(server)
    connection = http.client.HTTPConnection(host, port, timeout=20)
    seen = set()
    bodies = ["", "{}", "[]", "null", "{\"name\":", "{\"name\": 5}", "\x00\x01", "{\"config\": \"" + "x" * 3000 + "\"}", "[" * 2000]
    for _ in range(10_000):
        method, path = dice.choice(calls)
        path = "/".join(part if dice.random() < 0.8 else urllib.parse.quote(dice.choice(["..", "nobody", "{job}", "%00", "a" * 300, "ü", "; drop"]))
                        for part in path.replace("{job}", "nobody").split("/"))
        if dice.random() < 0.05:
            path += "?" + "".join(chr(dice.randrange(33, 126)) for _ in range(20)).replace("#", "")
        method = method if dice.random() < 0.8 else dice.choice(["PATCH", "HEAD", "OPTIONS", "GET", "POST"])
        headers = {"Authorization": f"Bearer {server.token}"} if dice.random() < 0.5 else {}
        try:
            connection.request(method, path, body=dice.choice(bodies).encode() if method in ("POST", "PUT") else None, headers=headers)
            answer = connection.getresponse()
            answer.read()
            seen.add(answer.status)
        except (http.client.HTTPException, ConnectionError):
            connection.close()
    assert not {status for status in seen if status >= 500}, seen
    assert {401, 404, 405} <= seen
    assert server.child.running() and is_serving(server)


def test_what_was_sent_and_is_no_utf8_or_cut_is_answered_in_json(server):
    for name in ("%FF", urllib.parse.quote("𝑻" * 60)):
        for path in (f"/api/v1/jobs/{name}/explain", "/api/v1/audit"):
            assert server.call("GET", path)[0] in (200, 404)
        assert server.call("POST", f"/api/v1/jobs/{name}/stop", {})[0] == 404


def test_slow_and_oversized_requests_leave_it_serving(server):
    host, port = endpoint(server)
    held = []
    for _ in range(100):  # headers that never end
        connection = socket.create_connection((host, port), timeout=20)
        connection.sendall(b"GET /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nX-")
        held.append(connection)
    assert is_serving(server)
    for connection in held:
        connection.close()
    for request, status in ((b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000, b"431"), (b"\x16\x03\x01\x02\x00\r\n\r\n", b"400"),
                            (b"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + server.token.encode() +
                             b"\r\nContent-Length: 99999999\r\n\r\n", b"413")):
        with socket.create_connection((host, port), timeout=20) as connection:
            try:
                connection.sendall(request)
            except ConnectionError:
                pass
            assert connection.recv(4096).split()[1] == status
    assert is_serving(server)


def test_tokens_never_cross_a_network_in_clear(tmp_path):
    def ended(*flags):
        return subprocess.run([binary("tidemill"), "server", "--dir", tmp_path / "server", *flags], capture_output=True, text=True, timeout=30, check=False)

    refused = ended("--listen", "0.0.0.0:0")
    assert refused.returncode == 2 and "--tls-certificate" in refused.stderr, refused
    assert ended("--listen", "127.0.0.1:0", "--tls-key", "x").returncode == 2
    assert not (tmp_path / "server").exists()
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", tmp_path / "key.pem", "-out", tmp_path / "certificate.pem"],
                   check=True, capture_output=True)
    server = JobServer(tmp_path, "--tls-certificate", tmp_path / "certificate.pem", "--tls-key", tmp_path / "key.pem").start()
    try:
        assert server.url.startswith("https://")
        context = ssl.create_default_context(cafile=tmp_path / "certificate.pem")
        request = urllib.request.Request(server.url + "/api/v1/jobs", headers={"Authorization": f"Bearer {server.token}"})
        with urllib.request.urlopen(request, timeout=20, context=context) as answer:
            assert answer.status == 200
        with pytest.raises(OSError):
            urllib.request.urlopen(server.url.replace("https", "http") + "/healthz", timeout=20)
        second = ended("--listen", "127.0.0.1:0")
        assert second.returncode == 3 and "another server" in second.stderr, second
    finally:
        server.close()


def test_an_unknown_binary_or_a_wrong_body_changes_nothing(server):
    before = server.call("GET", "/api/v1/jobs")[1]
    for body in ({}, {"name": "x"}, {"name": "../x", "binary": "0" * 64, "config": ""}, {"name": "x", "binary": "0" * 64, "config": "a: ["}):
        status, answer = server.call("POST", "/api/v1/jobs", body)
        assert status in (404, 409, 422), (body, answer)
    assert server.call("PUT", "/api/v1/binaries", content=b"#!/bin/sh\n")[0] == 422, "no ELF program"
    assert server.call("GET", "/api/v1/jobs")[1] == before


@pytest.mark.timeout(300)  # 40 calls; half a minute on an idle machine, minutes on a busy one
def test_what_schemathesis_makes_of_the_description_finds_nothing(server, tmp_path):
    """Each call is tried with what its schema allows and with what it does not."""
    done = subprocess.run(
        [str(Path(sys.executable).parent / "schemathesis"), "run", f"{server.url}/openapi.json", "--url", server.url, "--max-examples", "4",
         "--seed", "1", "--no-color", "-H", f"Authorization: Bearer {server.token}",
         # Bytes are no program though the schema can say no more of them: test_an_unknown_binary… tries that call.
         "--exclude-operation-id", "uploadBinary"],
        capture_output=True, text=True, timeout=280, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
