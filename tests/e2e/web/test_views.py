"""Every view in a real browser: what stands there, for whom, and that the browser has nothing to complain of."""

import canned
import pytest
from fixture_server import FixtureServer
from playwright.sync_api import expect

VIEWS = ["overview", "graph", "freshness", "checkpoints", "late", "keys", "exceptions", "state", "replays", "config", "logs"]


@pytest.fixture(scope="module")
def healthy():
    with FixtureServer() as server:
        yield server


@pytest.fixture(scope="module")
def troubled():
    with FixtureServer(trouble=True) as server:
        yield server


@pytest.fixture(scope="module")
def large():
    with FixtureServer(graph=canned.large_graph, trouble=True) as server:
        yield server


def go(page, view):
    page.evaluate(f"location.hash = '#/{view}'")
    expect(page.locator(f"#tab-{view}")).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("tabpanel")).not_to_contain_text("Loading…")


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_accessible_and_within_its_width(window, troubled, colours, width):
    one = window(troubled.url, width=width, colours=colours)
    found = {}
    for view in VIEWS:
        go(one.page, view)
        violations = one.axe()
        if violations != "[]":
            found[view] = violations
        overflow = one.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert overflow <= 0, f"{view} is {overflow} px wider than {width}"
    assert not found
    assert one.complaints == []
    assert one.requested == {troubled.url.rstrip("/")}, "the page asks nobody else"


def test_what_is_wrong_stands_first(window, troubled):
    page = window(troubled.url).page
    problems = page.locator(".problems li")
    expect(problems).to_have_count(3)
    expect(problems.first).to_contain_text("slow sink")
    expect(problems.first).to_contain_text("8192 rows wait")
    expect(problems.first.locator(".next")).to_have_text("look at the Redis server: redis-cli --latency, SLOWLOG GET 10")
    expect(page.locator(".held-by")).to_contain_text("events partition events:3, 41.2\u202fs behind the fastest, for 5\u202fm\u00a012\u202fs")
    expect(page).to_have_title("(3) features – Tidemill")
    # On top means: seen without scrolling.
    assert problems.first.bounding_box()["y"] < 400


def test_a_healthy_job_has_no_problem(window, healthy):
    page = window(healthy.url).page
    expect(page.get_by_text("No problem found.")).to_be_visible()
    expect(page.locator(".problems, .held-by, .last-failure, .notice.warn, .notice.bad")).to_have_count(0)
    expect(page).to_have_title("features – Tidemill")


def test_graph_of_three(window, troubled):
    page = window(troubled.url + "#/graph").page
    nodes = page.locator(".node")
    expect(nodes).to_have_count(3)
    expect(page.locator(".node.source")).to_contain_text("holds watermark")
    expect(page.locator(".edge text").first).to_have_text("48.2\u202fk/s")
    at = [nodes.nth(i).bounding_box() for i in range(3)]
    assert at[0]["x"] + at[0]["width"] < at[1]["x"] and at[1]["x"] + at[1]["width"] < at[2]["x"], "in the order of the flow"
    expect(page.get_by_role("region", name="operators").locator("tbody tr")).to_have_count(3)


@pytest.mark.parametrize("width", [390, 1440])
def test_graph_of_sixty_has_no_boxes_upon_each_other(window, large, width):
    page = window(large.url + "#/graph", width=width).page
    expect(page.locator(".node")).to_have_count(60)
    boxes = page.evaluate("[...document.querySelectorAll('.node .box')].map(b => { const r = b.getBoundingClientRect(); "
                          "return [r.left, r.top, r.right, r.bottom]; })")
    frame = page.locator(".graph").bounding_box()
    for i, a in enumerate(boxes):
        assert frame["x"] <= a[0] and a[2] <= frame["x"] + frame["width"] + 1, "all of it is shown at first"
        assert frame["y"] <= a[1] and a[3] <= frame["y"] + frame["height"] + 1
        for b in boxes[:i]:
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1], (a, b)
    assert page.locator(".edge").count() == len(canned.large_graph()["edges"])


def test_checkpoints(window, troubled):
    page = window(troubled.url + "#/checkpoints").page
    table = page.get_by_role("region", name="checkpoints", exact=True)
    expect(table.locator("tbody tr")).to_have_count(40)
    expect(table.locator("tbody tr").first).to_contain_text("features / 0")
    expect(table).to_contain_text("no space left on the device")
    expect(page.locator(".phase.drain").nth(5)).to_be_visible()
    expect(page.get_by_role("region", name="restore points")).to_contain_text("savepoint")
    table.get_by_role("button", name="took").click()
    expect(table.locator("th[aria-sort=descending]")).to_have_text("took▾")
    expect(table.locator("tbody tr").first).to_contain_text("7\u202f7")  # one of the six slow ones, 7776 to 7781


def test_freshness_keys_late_exceptions_config(window, troubled):
    page = window(troubled.url + "#/freshness").page
    expect(page.get_by_role("region", name="event age by stage").locator("tbody tr")).to_have_count(6)
    expect(page.locator(".chart")).to_have_count(6)
    go(page, "keys")
    expect(page.get_by_role("tabpanel")).to_contain_text("u-1000017")
    expect(page.get_by_role("tabpanel")).to_contain_text("Skew 2.41×")
    go(page, "late")
    expect(page.get_by_role("region", name="disorder by partition")).to_contain_text("raise by 36.2\u202fs")
    expect(page.get_by_role("region", name="samples of late records")).to_contain_text("events:3@94370727")
    go(page, "exceptions")
    expect(page.get_by_role("tabpanel")).to_contain_text("at record events:3@94370727")
    go(page, "config")
    page.get_by_label("Filter").fill("password")
    expect(page.get_by_role("region", name="settings").locator("tbody tr")).to_have_count(1)
    expect(page.get_by_role("region", name="settings")).to_contain_text("***")


def test_state_is_looked_up(window, healthy):
    page = window(healthy.url + "#/state").page
    page.get_by_label("Key").fill("a/b c&from=x")
    page.get_by_label("From").select_option("chk-000000007751")
    page.get_by_role("button", name="look up").click()
    expect(page.get_by_role("region", name="value")).to_contain_text('"count": 41')
    assert [r for r in healthy.requests if "state/get" in r][-1] == (
        "/api/v1/state/get?operator=features&state=windows&key=a%2Fb+c%26from%3Dx&from=chk-000000007751")
    page.get_by_label("Key").fill("nobody")
    page.get_by_role("button", name="look up").click()
    expect(page.get_by_text("There is nothing for this key.")).to_be_visible()


def test_log_follows_stops_and_filters(window, healthy):
    page = window(healthy.url + "#/logs").page
    log = page.get_by_role("region", name="log")
    expect(log.locator("div")).to_have_count(500)
    expect(log.locator("div").last).to_be_in_viewport()
    page.get_by_role("button", name="pause").click()
    expect(page.get_by_role("button", name="go on")).to_have_attribute("aria-pressed", "true")
    page.get_by_label("Filter").fill("OOM")
    expect(log.locator("div")).to_have_count(1)
    expect(page.get_by_text("1 of 500 lines")).to_be_visible()


def test_replay_of_this_job(window):
    with FixtureServer(replay=canned.replay_progress()) as server:
        page = window(server.url + "#/replays").page
        expect(page.get_by_role("progressbar")).to_have_attribute("value", "0.625")
        expect(page.get_by_role("tabpanel")).to_contain_text("done in 22\u202fm\u00a020\u202fs")


def test_live_numbers_change_and_a_dead_job_is_said_to_be(window):
    with FixtureServer(every_s=0.1) as server:
        page = window(server.url).page
        rate = page.locator(".figure b").first
        expect(page.locator(".connection")).to_have_text("live")
        before = rate.inner_text()
        expect(rate).not_to_have_text(before)
        page.evaluate("window.position = document.querySelector('.tabs').getBoundingClientRect().top")
        server.is_silent = True
        expect(page.get_by_role("alert")).to_contain_text("No connection since")
        expect(page.get_by_role("alert")).to_contain_text("What is shown is from then.")
        expect(page.locator(".job.stale")).to_have_count(1)
        expect(page).to_have_title("✕ features – Tidemill")
        server.is_silent = False
        expect(page.locator(".connection")).to_have_text("live")
        expect(page.get_by_role("alert")).to_have_count(0)


def test_an_answer_that_is_not_as_agreed_costs_its_view_only(window):
    with FixtureServer() as server:
        server.broken = {"keys"}
        page = window(server.url + "#/keys").page
        expect(page.get_by_role("alert")).to_contain_text("This cannot be shown")
        expect(page.locator(".connection")).to_have_text("live")
        go(page, "late")
        expect(page.get_by_role("region", name="disorder by partition")).to_be_visible()
        server.broken = set()
        go(page, "keys")
        expect(page.get_by_role("tabpanel")).to_contain_text("Skew")


def test_text_of_a_job_is_text(window):
    with FixtureServer(trouble=True, text=canned.HOSTILE) as server:
        one = window(server.url)
        for view in VIEWS:
            go(one.page, view)
            expect(one.page.get_by_role("tabpanel").locator("script, img")).to_have_count(0)
            if view in ("overview", "late", "keys", "exceptions", "config", "logs"):
                expect(one.page.get_by_text(canned.HOSTILE).first).to_be_attached()
        assert one.complaints == []
        assert one.page.title() != "owned"


def test_the_policy_is_in_force_and_its_violations_are_seen(window, healthy):
    one = window(healthy.url)
    expect(one.page.locator(".connection")).to_have_text("live")
    one.page.evaluate("document.body.append(Object.assign(document.createElement('script'), {textContent: 'document.title = 1'}))")
    one.page.evaluate("fetch('http://127.0.0.2:9/').catch(() => 0)")
    assert len([c for c in one.complaints if "Content Security Policy" in c]) >= 2, one.complaints
    assert one.page.title() != "1"


def test_nothing_moves_while_it_loads(window, healthy):
    page = window("about:blank").page
    page.add_init_script("window.moved = 0; new PerformanceObserver(l => l.getEntries().forEach(e => window.moved += e.value))"
                         ".observe({type: 'layout-shift', buffered: true})")
    page.goto(healthy.url + "#/graph")
    expect(page.locator(".node")).to_have_count(3)
    expect(page.locator(".figure b").first).not_to_have_text("–")
    assert page.evaluate("window.moved") < 0.1, "what browsers call good"


def test_colours_by_the_switch(window, healthy):
    page = window(healthy.url).page
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.get_by_role("button", name="colours: auto").click()
    page.get_by_role("button", name="colours: light").click()
    assert page.evaluate(ground) != light
    page.reload()
    expect(page.get_by_role("button", name="colours: dark")).to_be_visible()
    assert page.evaluate(ground) != light
