"""The same files, served by the server: its jobs, the token, a job within it."""

import pytest
from fixture_server import TOKEN, FixtureServer
from playwright.sync_api import expect


@pytest.fixture(scope="module")
def server():
    with FixtureServer(kind="server") as one:
        yield one


@pytest.mark.parametrize("width, colours", [(390, "dark"), (1440, "light")])
def test_jobs(window, server, width, colours):
    one = window(server.url, width=width, colours=colours)
    rows = one.page.get_by_role("region", name="jobs").locator("tbody tr")
    expect(rows).to_have_count(5)
    expect(rows.nth(0)).to_contain_text("crash loop")
    expect(rows.nth(1).locator("td").nth(2).locator(".chip")).to_have_text(["slow sink", "late producer", "hot key"])
    expect(rows.nth(1).get_by_text("slow sink")).to_be_in_viewport(ratio=1)
    expect(rows.nth(2)).to_contain_text("none")
    assert one.axe() == "[]"
    one.page.get_by_role("link", name="clicks").click()
    expect(one.page.get_by_role("heading", level=1)).to_have_text("clicks")
    expect(one.page.locator(".connection")).to_have_text("live")
    assert one.page.url.endswith("#/job/clicks/overview")
    one.page.get_by_role("link", name="Tidemill").click()
    expect(rows).to_have_count(5)
    assert one.complaints == []


def test_token_is_asked_for_and_stays_in_the_tab(window):
    with FixtureServer(kind="server", token=TOKEN) as server:
        one = window(server.url)
        page = one.page
        page.get_by_label("Token").fill("wrong")
        assert one.axe() == "[]"
        page.get_by_role("button", name="show the jobs").click()
        expect(page.get_by_role("alert")).to_have_text("this token is not known")
        page.get_by_label("Token").fill(TOKEN)
        page.get_by_role("button", name="show the jobs").click()
        expect(page.get_by_role("region", name="jobs")).to_be_visible()
        page.get_by_role("link", name="features", exact=True).click()
        expect(page.locator(".connection")).to_have_text("live")
        page.reload()
        expect(page.locator(".connection")).to_have_text("live")
        assert not any(TOKEN in request for request in server.requests), "never in an address"
        assert page.evaluate("JSON.stringify(localStorage)").find(TOKEN) < 0
        page.get_by_role("link", name="Tidemill").click()
        page.get_by_role("button", name="forget the token").click()
        expect(page.get_by_label("Token")).to_be_visible()


def test_a_job_that_does_not_run(window, server):
    one = window(server.url + "#/job/orders/overview")
    page = one.page
    expect(page.get_by_role("alert")).to_contain_text("orders does not run")
    expect(page.get_by_role("alert")).to_contain_text("start it: tidemill start orders")
    expect(page.locator(".problems")).to_contain_text("features.windows is empty")
    expect(page.locator(".problems .next")).to_have_text("mend the file, then: tidemill start orders")
    expect(page.locator(".top")).to_contain_text("crash loop")
    assert one.axe() == "[]"
    page.locator("#tab-exceptions").click()
    runs = page.get_by_role("region", name="runs").locator("tbody tr")
    expect(runs.nth(0)).to_contain_text("exit 2")
    expect(runs.nth(1)).to_contain_text("signal 9")
    assert one.complaints == []


def test_replays_of_a_job(window, server):
    one = window(server.url + "#/job/features/replays")
    panel = one.page.get_by_role("tabpanel")
    expect(panel).to_contain_text("catching up")
    expect(one.page.get_by_role("progressbar")).to_have_attribute("value", "0.625")
    one.page.get_by_role("button", name="compare with live").click()
    differences = one.page.get_by_role("region", name="first differences")
    expect(differences.locator("tbody tr")).to_have_count(2)
    expect(panel).to_contain_text("1\u202f204\u202f109")
    assert one.axe() == "[]"
    assert one.complaints == []
