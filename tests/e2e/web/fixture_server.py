"""Serves web/dist and canned answers, as a job or as the server, with the headers of app/page.h."""

import json
import re
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import canned

ROOT = Path(__file__).resolve().parents[3]
DIST = ROOT / "web/dist"
TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
         ".svg": "image/svg+xml", ".txt": "text/plain; charset=utf-8"}
TOKEN = "viewer-token"


def security_policy():
    """What the binaries send, out of their source: the page is tested under the very same."""
    source = (ROOT / "app/page.h").read_text(encoding="utf-8")
    value = source.split("kContentSecurityPolicy", 1)[1].split(";\n", 1)[0]
    return "".join(re.findall(r'"([^"]*)"', value))


class FixtureServer:
    """`kind` "job" or "server"; `graph` is called for each event; text: put where names and values stand."""

    def __init__(self, kind="job", graph=canned.small_graph, trouble=False, text=None, token=None, replay=None, every_s=1.0):
        self.kind, self.graph, self.trouble, self.text, self.token, self.replay = kind, graph, trouble, text, token, replay
        self.every_s = every_s
        self.broken = set()  # calls whose answer has no field
        self.is_silent = False  # a dead process: connections end, nothing is answered
        self.requests = []
        handler = type("Handler", (_Handler,), {"fixture": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.is_silent = True
        self._server.shutdown()
        self._server.server_close()

    def status(self, job="features"):
        replay = self.replay or (canned.replay_progress() if job == "features.jan" else None)
        return canned.status(job, self.trouble, replay, self.text)

    def of_job(self, path, query, job="features"):
        text, trouble = self.text, self.trouble
        if path in self.broken:
            return {}
        answers = {
            "status": lambda: self.status(job), "graph": self.graph, "freshness": canned.freshness,
            "checkpoints": lambda: canned.checkpoints(trouble), "late": lambda: canned.late(trouble, text), "keys": lambda: canned.keys(text),
            "exceptions": lambda: canned.exceptions(text) if trouble or text else {"exceptions": []}, "config": lambda: canned.config(text),
            "logs": lambda: canned.logs(int(query.get("lines", "500")), text), "state": canned.states,
            "state/get": lambda: canned.state_value(query, text),
        }
        return answers[path]() if path in answers else None

    def of_server(self, path, query):
        if path == "jobs":
            return canned.jobs()
        if path == "promotions":
            return canned.promotions()
        match = re.fullmatch(r"jobs/([^/]+)(?:/(.+))?", path)
        if match is None:
            return None
        if match[2] is None:
            return canned.job_runs()
        return canned.diff(self.text) if match[2] == "diff" else self.of_job(match[2], query, match[1])


class _Handler(BaseHTTPRequestHandler):
    fixture = None
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):  # noqa: N802, the base's name
        if self.fixture.is_silent:
            self.close_connection = True
            return
        parts = urlsplit(self.path)
        path, query = unquote(parts.path), dict(parse_qsl(parts.query))
        self.fixture.requests.append(self.path)
        if not path.startswith("/api/v1/"):
            file = DIST / (path.lstrip("/") or "index.html")
            if not re.fullmatch(r"/[a-z.]*", path) or not file.is_file():
                return self._send(404, "text/plain", b"not found\n")
            return self._send(200, TYPES[file.suffix], file.read_bytes())
        if self.fixture.token is not None and self.headers.get("authorization") != f"Bearer {self.fixture.token}":
            return self._json(401, {"error": "this token is not known", "next": "ask an admin for one"})
        call = path.removeprefix("/api/v1/")
        if self.fixture.kind == "server" and re.fullmatch(r"jobs/orders/.+", call):
            return self._json(409, {"error": "orders does not run", "next": "start it: tidemill start orders"})
        if call.split("/")[-1] == "events":
            return self._events(call)
        answer = self.fixture.of_job(call, query) if self.fixture.kind == "job" else self.fixture.of_server(call, query)
        if answer is None:
            return self._json(404, {"error": f"there is no {path}", "next": "see /openapi.json"})
        return self._json(200, answer)

    def _events(self, call):
        job = call.split("/")[1] if call.startswith("jobs/") else "features"
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        try:
            while not self.fixture.is_silent:
                data = json.dumps({"status": self.fixture.status(job), "graph": self.fixture.graph()})
                self.wfile.write(f"data: {data}\n\n".encode())
                self.wfile.flush()
                time.sleep(self.fixture.every_s)
        except OSError:
            pass  # the page has gone

    def _json(self, status, body):
        self._send(status, "application/json", json.dumps(body).encode())

    def _send(self, status, content_type, body):
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", security_policy())
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)


def main(kind):
    with FixtureServer(kind=kind, trouble=True) as server:
        print(server.url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "job")
