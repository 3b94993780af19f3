"""Pictures of the page for docs/images, from canned answers: scripts/venv's python tests/e2e/web/screenshots.py [FOLDER]"""

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

import canned
from conftest import ARGUMENTS, CHROMIUM
from fixture_server import ROOT, FixtureServer

# name, view, width, colours, options of the server
PICTURES = [
    ("overview", "#/overview", 1440, "light", {"trouble": True}),
    ("overview-phone", "#/overview", 390, "dark", {"trouble": True}),
    ("graph", "#/graph", 1440, "light", {"trouble": True, "graph": lambda: canned.small_graph(True)}),
    ("graph-60-dark", "#/graph", 1440, "dark", {"graph": canned.large_graph}),
    ("freshness", "#/freshness", 1440, "dark", {}),
    ("checkpoints", "#/checkpoints", 1440, "light", {"trouble": True}),
    ("late", "#/late", 1440, "light", {"trouble": True}),
    ("keys", "#/keys", 1440, "dark", {"trouble": True}),
    ("state", "#/state", 1440, "light", {}),
    ("jobs", "#/", 1440, "light", {"kind": "server"}),
    ("replays", "#/job/features/replays", 1440, "light", {"kind": "server"}),
]


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        for name, view, width, colours, options in PICTURES:
            with FixtureServer(**options) as server:
                page = browser.new_page(viewport={"width": width, "height": 900 if width > 500 else 844}, color_scheme=colours,
                                        reduced_motion="reduce")
                page.goto(server.url + view)
                page.wait_for_selector(".view .panel")
                page.wait_for_timeout(3_500)  # some points of the lines that begin with the page
                if name == "state":
                    page.get_by_label("Key").fill("u-1000017")
                    page.get_by_role("button", name="look up").click()
                if name == "replays":
                    page.get_by_role("button", name="compare with live").click()
                    page.wait_for_selector("text=only replay")
                page.screenshot(path=folder / f"{name}.png")
                page.close()
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs/images")
