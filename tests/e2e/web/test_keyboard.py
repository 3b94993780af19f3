"""Without a mouse, and with fingers."""

import canned
import pytest
from fixture_server import FixtureServer
from playwright.sync_api import expect


@pytest.fixture(scope="module")
def server():
    with FixtureServer(trouble=True, graph=canned.large_graph) as one:
        yield one


def test_tabs(window, server):
    page = window(server.url).page
    page.locator("#tab-overview").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#tab-graph")).to_be_focused()
    expect(page.locator("#tab-graph")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("End")
    expect(page.locator("#tab-logs")).to_be_focused()
    expect(page.get_by_role("region", name="log")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#tab-overview")).to_be_focused()
    # One tab stop for all of them.
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('role')") != "tab"


def test_graph_is_walked_and_a_box_opened(window, server):
    page = window(server.url + "#/graph").page
    page.get_by_role("button", name="fit").focus()
    page.keyboard.press("Tab")
    expect(page.locator("#node-n0")).to_be_focused()
    page.keyboard.press("ArrowRight")
    first = page.evaluate("document.activeElement.id")
    assert first.startswith("node-") and first != "node-n0"
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.id") not in ("node-n0", first)
    page.keyboard.press("Enter")
    expect(page.locator(".details")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".details")).to_have_count(0)


def test_graph_zooms_pans_and_fits(window, server):
    page = window(server.url + "#/graph").page
    box = page.locator("#node-n0 .box")
    fitted = box.bounding_box()
    page.locator("#node-n0").focus()
    page.keyboard.press("+")
    expect(box).not_to_have_css("width", "0px")
    page.wait_for_function("w => document.querySelector('#node-n0 .box').getBoundingClientRect().width > w * 1.2", arg=fitted["width"])
    before = box.bounding_box()
    page.keyboard.press("Shift+ArrowLeft")
    page.wait_for_function("x => document.querySelector('#node-n0 .box').getBoundingClientRect().x > x + 50", arg=before["x"])
    page.keyboard.press("0")
    page.wait_for_function("w => Math.abs(document.querySelector('#node-n0 .box').getBoundingClientRect().width - w) < 1", arg=fitted["width"])
    page.mouse.move(700, 420)
    page.mouse.down()
    page.mouse.move(760, 450, steps=4)
    page.mouse.up()
    page.wait_for_function("x => Math.abs(document.querySelector('#node-n0 .box').getBoundingClientRect().x - x - 60) < 2", arg=fitted["x"])
    expect(page.locator(".details")).to_have_count(0)


def test_fingers_pinch_and_tap(window, server):
    one = window(server.url + "#/graph", width=390, height=844, has_touch=True, is_mobile=True)
    page = one.page
    frame = page.locator(".graph")
    frame.scroll_into_view_if_needed()
    at = frame.bounding_box()
    x, y = at["x"] + at["width"] / 2, at["y"] + at["height"] / 2
    width = page.locator("#node-n0 .box").bounding_box()["width"]
    session = one.context.new_cdp_session(page)

    def touch(kind, *points):
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": a, "y": b, "id": i} for i, (a, b) in enumerate(points)]})

    touch("touchStart", (x - 20, y), (x + 20, y))
    for step in range(1, 7):
        touch("touchMove", (x - 20 - 10 * step, y), (x + 20 + 10 * step, y))
    touch("touchEnd")
    page.wait_for_function("w => document.querySelector('#node-n0 .box').getBoundingClientRect().width > w * 2", arg=width)
    page.get_by_role("button", name="fit").tap()
    page.locator("#node-n20").tap()
    expect(page.locator(".details")).to_be_visible()


def test_focus_stays_while_numbers_change(window, server):
    page = window(server.url + "#/graph").page
    link = page.get_by_role("region", name="operators").get_by_role("button", name="enrich_1_2")
    link.focus()
    rate = page.locator(".figure b").first
    expect(rate).not_to_have_text(rate.inner_text())
    expect(link).to_be_focused()
