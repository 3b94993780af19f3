"""Pictures of the page for docs/images, of real jobs under a real server over a real Kafka: scripts/venv's python
tests/e2e/web/screenshots.py [FOLDER]. Canned is only what no small job has: 60 operators, and a replay with its differences."""

import sys
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

from playwright.sync_api import sync_playwright  # noqa: E402

import canned  # noqa: E402
from broker import Cluster  # noqa: E402
from conftest import ARGUMENTS, CHROMIUM  # noqa: E402
from fixture_server import ROOT, FixtureServer  # noqa: E402
from fleet import Fleet  # noqa: E402
from process import wait_until  # noqa: E402
from redis_server import RedisServer  # noqa: E402

JOB = "features-eu"
# name, view, width, colours
REAL = [
    ("overview", f"#/job/{JOB}/overview", 1440, "light"),
    ("overview-phone", f"#/job/{JOB}/overview", 390, "dark"),
    ("graph", f"#/job/{JOB}/graph", 1440, "light"),
    ("freshness", f"#/job/{JOB}/freshness", 1440, "dark"),
    ("checkpoints", f"#/job/{JOB}/checkpoints", 1440, "light"),
    ("late", f"#/job/{JOB}/late", 1440, "light"),
    ("keys", f"#/job/{JOB}/keys", 1440, "dark"),
    ("state", f"#/job/{JOB}/state", 1440, "light"),
    ("jobs", "#/", 1440, "light"),
]
# … and options of the server
CANNED = [
    ("graph-60-dark", "#/graph", 1440, "dark", {"graph": canned.large_graph}),
    ("replays", "#/job/features/replays", 1440, "light", {"kind": "server"}),
]
PROBLEMS = {"bad_data", "late_producer", "hot_key"}


@contextmanager
def real_jobs():
    """A job with three problems and some minutes of history, beside two in good health."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tidemill-pictures-")))
        cluster = Cluster(folder / "kafka")
        stack.callback(cluster.stop)
        cluster.start()
        redis = RedisServer(folder / "redis")
        redis.start()
        stack.callback(redis.kill)
        fleet = Fleet(folder, cluster, "eu")
        stack.callback(fleet.close)
        fleet.start()
        fleet.submit("features", fleet.config("features", interval="1s", redis=redis), good=600, hot=400, late=30, bad=15)
        fleet.submit("clicks", fleet.config("clicks", interval="1s"), good=300)
        fleet.submit("payments", fleet.config("payments", interval="1s"), good=80)
        wait_until(lambda: {p["id"] for p in fleet.problems("features")} == PROBLEMS, 120, "its three problems", 1)
        history = f"/api/v1/jobs/{JOB}/freshness"
        wait_until(lambda: len(fleet.server.call("GET", history)[1]["history"]) >= 24, 240, "two minutes of history", 1)
        yield fleet


def picture(browser, url, folder, name, width, colours, token=None):
    page = browser.new_page(viewport={"width": width, "height": 900 if width > 500 else 844}, color_scheme=colours, reduced_motion="reduce")
    if token:
        page.add_init_script(f"sessionStorage.setItem('tidemill.token', '{token}')")
    page.goto(url)
    page.wait_for_selector(".view .panel")
    page.wait_for_timeout(3_500)  # some points of the lines that begin with the page
    if name == "state":
        page.get_by_role("textbox", name="Key").fill("u-hot")
        page.get_by_role("button", name="look up").click()
        page.wait_for_selector("[aria-label=value]")
    if name == "replays":
        page.get_by_role("button", name="compare with live").click()
        page.wait_for_selector("text=only replay")
    page.screenshot(path=folder / f"{name}.png")
    page.close()


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        with real_jobs() as fleet:
            for name, view, width, colours in REAL:
                picture(browser, f"{fleet.server.url}/{view}", folder, name, width, colours, fleet.server.token)
        for name, view, width, colours, options in CANNED:
            with FixtureServer(**options) as server:
                picture(browser, server.url + view, folder, name, width, colours)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs/images")
