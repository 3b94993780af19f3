"""The page as a running job serves it."""

import gzip
import json
import subprocess
import urllib.error
import urllib.request

import canned
import pytest
from file_job import FileJob, event
from fixture_server import DIST, TYPES, security_policy
from job import binary
from playwright.sync_api import expect
from process import wait_until
from test_views import VIEWS, go


@pytest.fixture
def job(tmp_path):
    one = FileJob(tmp_path)
    one.append(0, *(event(f"u-{i % 7}", i) for i in range(400)))
    one.append(1, *(event(f"u-{i % 5}", i) for i in range(300)), "no json")
    # Of an interval that a busy machine keeps, or it would have a problem.
    one.start("--set", "source.file.follow=true", "--set", "event_time.idle=3s", "--checkpoint-interval", "1s", "--http", "127.0.0.1:0")
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


def test_a_browser_takes_what_a_job_serves(job, window):
    """Compressed files, policy and all; what the job knows is canned."""
    one = window("about:blank")
    one.requested.clear()
    data = {"status": canned.status(), "graph": canned.small_graph()}
    one.page.route("**/api/v1/**", lambda route: route.fulfill(status=404, json={"error": "not this one", "next": ""}))
    one.page.route("**/api/v1/status", lambda route: route.fulfill(json=data["status"]))
    one.page.route("**/api/v1/events", lambda route: route.fulfill(content_type="text/event-stream", body=f"data: {json.dumps(data)}\n\n"))
    one.page.goto(job.address().rstrip("/") + "/#/graph")
    expect(one.page.get_by_role("heading", level=1)).to_have_text("features")
    expect(one.page.locator(".node")).to_have_count(3)
    assert one.page.evaluate("getComputedStyle(document.querySelector('.tabs')).display") == "flex", "its style sheet is in force"
    assert one.complaints == []
    assert one.requested == {job.address().rstrip("/")}


def test_page_of_a_running_job(job, window):
    """Everything from the job: no view is refused, and what it says of itself stands there."""
    one = window(job.address())
    expect(one.page.locator(".connection")).to_have_text("live")
    expect(one.page.get_by_role("heading", level=1)).to_have_text("features")
    for view in VIEWS:
        go(one.page, view)
        expect(one.page.get_by_role("tabpanel").locator(".notice.bad")).to_have_count(0)
    go(one.page, "graph")
    expect(one.page.locator(".node.source").first).to_be_visible()
    expect(one.page.locator(".node.sink").first).to_be_visible()
    go(one.page, "checkpoints")
    expect(one.page.get_by_role("region", name="checkpoints", exact=True).locator("tbody tr").first).to_contain_text("committed")
    go(one.page, "config")
    expect(one.page.get_by_role("region", name="settings")).to_contain_text("checkpoint.dir")
    assert one.complaints == []


def test_the_line_of_a_fault_is_the_one_of_the_command(job, window):
    """A partition without data, which both see: the same words, and the same next step; before, both see nothing."""
    root = job.address().rstrip("/")

    def told():
        done = subprocess.run([str(binary("tidemill")), "status", "--at", root, "--json"], capture_output=True, text=True, timeout=30, check=True)
        return [(p["severity"], p["id"].replace("_", " "), p["text"], p["next"]) for p in json.loads(done.stdout)["problems"]]

    one = window(job.address())
    expect(one.page.locator(".connection")).to_have_text("live")
    wait_until(lambda: told() == [], 20, "the command names nothing", 0.2)
    expect(one.page.get_by_text("No problem found.")).to_be_visible()

    def shown():
        job.append(0, event("u-1", 500))  # the other partition has nothing
        return one.page.evaluate("""[...document.querySelectorAll(".problems > li")].map(line => [
            line.classList.contains("bad") ? "error" : "warning", line.querySelector(".chip").textContent,
            line.querySelector(".what > span:nth-child(2)").textContent, line.querySelector(".next").textContent])""")

    def in_both():
        lines = [tuple(line) for line in shown()]
        return lines if lines and lines == told() else None

    line, = wait_until(in_both, 30, "the page and the command tell one line", 0.2)
    assert line[1] == "partition idle" and "events:1" in line[2], line
    assert one.complaints == []
