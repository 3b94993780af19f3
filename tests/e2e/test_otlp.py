"""Traces of checkpoints and restores, as a collector gets them, and what a bad collector does to a job: nothing."""

import json
import re
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from file_job import FileJob, event
from job import FINISHED, WRONG_USAGE
from process import wait_until


class Collector:
    """Takes OTLP/HTTP, JSON, and checks its form; `status` is what it answers."""

    def __init__(self):
        self.spans = []
        self.resource = None
        self.problem = None
        self.status = 200
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                try:
                    if collector.status == 200:
                        collector.take(self.path, self.headers["Content-Type"], json.loads(body))
                except Exception as error:  # noqa: BLE001: told by the test, not by this thread
                    collector.problem = repr(error)
                self.send_response(collector.status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, path, content_type, body):
        assert path == "/v1/traces" and content_type == "application/json"
        assert set(body) == {"resourceSpans"}
        (resource,) = body["resourceSpans"]
        self.resource = attributes(resource["resource"])
        (scope,) = resource["scopeSpans"]
        assert scope["scope"]["name"] == "tidemill"
        for span in scope["spans"]:
            assert re.fullmatch("[0-9a-f]{32}", span["traceId"]) and re.fullmatch("[0-9a-f]{16}", span["spanId"])
            assert re.fullmatch("[0-9a-f]{16}", span.get("parentSpanId", "0" * 16))
            assert int(span["traceId"], 16) and int(span["spanId"], 16), "all zero is no id"
            for end in ("startTimeUnixNano", "endTimeUnixNano"):
                assert isinstance(span[end], str) and re.fullmatch("[0-9]{19}", span[end]), span[end]
            assert span["kind"] == 1 and span["name"]
            attributes(span)
        self.spans += scope["spans"]

    def traces(self, name):
        """[(root, [its spans])]"""
        assert self.problem is None, self.problem
        spans = list(self.spans)
        return [(root, [span for span in spans if span.get("parentSpanId") == root["spanId"]])
                for root in spans if "parentSpanId" not in root and root["name"] == name]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def attributes(of):
    found = {}
    for each in of["attributes"]:
        ((kind, value),) = each["value"].items()
        assert kind in ("stringValue", "intValue") and isinstance(value, str)
        found[each["key"]] = value
    return found


@pytest.fixture
def collector():
    made = Collector()
    yield made
    made.close()


@pytest.fixture
def job(tmp_path):
    made = FileJob(tmp_path)
    yield made
    made.kill()


def follow(job, endpoint):
    job.start("--set", "source.file.follow=true", "--http", "127.0.0.1:0", "--set", f"otlp.endpoint={endpoint}")


def counted(job, name):
    found = re.search(rf"^{name} (\S+)$", job.get("/metrics")[1], re.MULTILINE)
    return float(found[1])


def test_checkpoints_and_restores_are_traced(job, collector):
    job.append(0, *[event(f"u{i}", i) for i in range(50)])
    follow(job, collector.url)
    job.wait_rows(50)
    wait_until(lambda: len(collector.traces("checkpoint")) >= 3, 30, "three checkpoints")
    (first, _), = collector.traces("restore")
    assert "tidemill.checkpoint" not in attributes(first), "there was none"
    assert collector.resource["service.name"] == "features"
    for root, spans in collector.traces("checkpoint"):
        names = [span["name"] for span in spans]
        assert names[-2:] == ["store", "commit"] and set(names[:-2]) == {"align", "drain"}
        assert all(span["traceId"] == root["traceId"] for span in spans)
        assert all(root["startTimeUnixNano"] <= span["startTimeUnixNano"] <= span["endTimeUnixNano"] <= root["endTimeUnixNano"]
                   for span in spans), (root, spans)
        parts = {kind: [(attributes(span)["tidemill.operator"], attributes(span)["tidemill.subtask"])
                        for span in spans if span["name"] == kind] for kind in ("align", "drain")}
        assert sorted(parts["align"]) == sorted(parts["drain"]) and len(set(parts["align"])) == len(parts["align"])
        assert {(task, subtask) for task in ("user_events", "features") for subtask in "01"} <= set(parts["align"])
        assert attributes(root)["tidemill.checkpoint"] and int(attributes(root)["tidemill.bytes"]) >= 0
    assert counted(job, "tidemill_traces_exported_total") >= 4
    assert counted(job, "tidemill_traces_dropped_total") == 0
    history = json.loads(job.get("/api/v1/checkpoints")[1])["history"]
    for run in history:
        parts = [run["phases"][phase] for phase in ("align_us", "drain_us", "store_us", "commit_us")]
        assert min(parts) >= 0 and abs(sum(parts) - run["duration_us"]) <= 4
    assert job.stop() == FINISHED
    seen = {attributes(root)["tidemill.checkpoint"] for root, _ in collector.traces("checkpoint")}
    last = max(job.manifests(), key=lambda path: path.stat().st_mtime).parent.name
    assert last in seen, "the last one too"

    follow(job, collector.url)
    (_, _), (root, spans) = wait_until(lambda: len(found := collector.traces("restore")) == 2 and found, 30, "the restore")
    assert attributes(root)["tidemill.checkpoint"] == last
    assert [span["name"] for span in spans if span["name"] in ("load", "build")] == ["load", "build"]


def test_a_collector_that_comes_back_gets_what_is_kept(job, collector):
    collector.status = 503
    follow(job, collector.url)
    job.wait_log("traces cannot be sent")
    assert job.log.count("traces cannot be sent") == 1
    collector.status = 200
    wait_until(lambda: collector.traces("checkpoint"), 30, "what it missed")
    job.wait_log("takes them again")


@pytest.mark.parametrize("kind", ["unreachable", "hanging"])
def test_a_collector_that_is_away_costs_nothing(job, kind):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        if kind == "hanging":
            taken.listen()  # and never accepts
        job.append(0, *[event("a", i) for i in range(100)])
        follow(job, f"http://127.0.0.1:{taken.getsockname()[1]}")
        job.wait_rows(100)
        # More checkpoints than are kept go by.
        wait_until(lambda: counted(job, "tidemill_checkpoints_committed_total") > 40, 30, "checkpoints go on")
        job.wait_log("traces cannot be sent, the job goes on without them")
        assert counted(job, "tidemill_traces_exported_total") == 0
        begin = time.monotonic()
        assert job.stop() == FINISHED
        assert time.monotonic() - begin < 10


def test_what_is_no_address_is_refused_at_the_start(job):
    code, _, error = job.tell("--set", "otlp.endpoint=ftp://collector")
    assert code == WRONG_USAGE and "otlp.endpoint" in error and "ftp://collector" in error
