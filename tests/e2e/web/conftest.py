"""One Chromium (Debian's) for a session; each test gets a window of its own that notes what a browser complains of."""

import re
from pathlib import Path

import axe_playwright_python
import pytest
from playwright.sync_api import sync_playwright

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync"]
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


class Window:
    """A page at an address, and what must stay empty: violations of the policy, errors of scripts."""

    def __init__(self, browser, url, width=1440, height=900, colours="light", **context):
        self.context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=colours, **context)
        self.page = self.context.new_page()
        self.page.set_default_timeout(15_000)
        self.complaints = []
        self._axe = None
        self.requested = set()
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._hear)
        self.page.on("request", lambda request: self.requested.add(re.match(r"\w+:(//[^/]*)?", request.url)[0]))
        self.page.goto(url)

    def _hear(self, message):
        # The browser also logs each answer that is an error, which some tests want.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.complaints.append(message.text)

    def axe(self):
        """What axe-core finds, with where. In a world of its own, so that the page's policy stays in force."""
        if self._axe is None:
            session = self.context.new_cdp_session(self.page)
            frame = session.send("Page.getFrameTree")["frameTree"]["frame"]["id"]
            world = session.send("Page.createIsolatedWorld", {"frameId": frame, "worldName": "axe"})["executionContextId"]
            self._axe = (session, world)
            self._evaluate(AXE + ";0")
        return self._evaluate("axe.run(document, {resultTypes: ['violations']}).then(r => JSON.stringify(r.violations.map(v => v.id + ': ' + "
                              "v.nodes.map(n => n.target.join(' ') + ' ' + n.failureSummary).join(' | '))))")

    def _evaluate(self, expression):
        session, world = self._axe
        result = session.send("Runtime.evaluate", {"expression": expression, "contextId": world, "awaitPromise": True, "returnByValue": True})
        assert "exceptionDetails" not in result, result
        return result["result"]["value"]


@pytest.fixture
def window(browser):
    """Opens windows, and closes them."""
    opened = []

    def open_window(url, **options):
        opened.append(Window(browser, url, **options))
        return opened[-1]

    yield open_window
    for one in opened:
        one.context.close()
