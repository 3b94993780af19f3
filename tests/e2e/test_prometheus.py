"""Debian's Prometheus over a real server with a real job: it finds them, and rules and dashboard ask for what there is."""

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
import yaml
from file_job import FileJob, event
from job import binary
from job_server import JobServer
from process import ChildProcess, free_port, wait_until

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
# What a job on files has no reason to have.
ELSEWHERE = re.compile(r"tidemill_(kafka|redis|exchange|records_pre_aggregated)_?\w*")


class Prometheus:
    def __init__(self, folder, server):
        folder.mkdir()
        self.url = f"http://127.0.0.1:{free_port()}"
        token = server.call("POST", "/api/v1/tokens", {"name": "prometheus", "role": "viewer"})[1]["token"]
        (folder / "viewer.token").write_text(token)
        # The shipped files; only the times are those of a test.
        config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"}
        (discovery,) = config["scrape_configs"][0]["http_sd_configs"]
        assert discovery["url"] == "http://127.0.0.1:8090/api/v1/scrape-targets"
        discovery |= {"url": f"{server.url}/api/v1/scrape-targets", "refresh_interval": "1s"}
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        rules = (DEPLOY / "prometheus" / "tidemill.rules.yaml").read_text()
        (folder / "tidemill.rules.yaml").write_text(re.sub(r"for: \d+[ms]$", "for: 1s", rules, flags=re.MULTILINE))
        self.child = ChildProcess(
            ["prometheus", "--config.file", folder / "prometheus.yml", "--storage.tsdb.path", folder / "data",
             "--web.listen-address", self.url.removeprefix("http://"), "--log.level", "warn"], folder / "prometheus.log")
        self.child.start()

    def ask(self, path, **query):
        """The data of one answer; None while it is starting."""
        assert self.child.running(), self.child.tail()
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}", timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            if error.code == 503:
                return None
            raise AssertionError(f"{query}: {error.read().decode()}") from error
        except OSError:
            return None

    def value(self, expression):
        found = self.ask("query", query=expression)
        return [float(each["value"][1]) for each in found["result"]] if found else []

    def firing(self):
        return {(alert["labels"]["alertname"], alert["labels"].get("job"))
                for alert in self.ask("alerts")["alerts"] if alert["state"] == "firing"}


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prometheus")
    server = JobServer(folder).start()
    prometheus = None
    try:
        job = FileJob(folder, source={"file": {"dir": str(folder / "events"), "follow": True}})
        job.append(0, *[event(f"u{i}", i) for i in range(100)], "no json")
        job.append(1, *[event(f"u{i}", i) for i in range(100)], event("late", 0))
        job.config["checkpoint"]["interval"] = "1s"  # shorter ones may be slow beside other tests
        status, answer = server.call("POST", "/api/v1/jobs", {
            "name": "features", "binary": server.upload(binary("feature_pipeline")), "config": json.dumps(job.config), "start": True})
        assert status == 201, answer
        server.wait_state("features", "running")
        prometheus = Prometheus(folder / "prometheus", server)
        wait_until(lambda: prometheus.value('sum(tidemill_checkpoints_committed_total{job="features"}) > 2'), 30,
                   "Prometheus has scraped the job")
        yield server, job, prometheus
    finally:
        if prometheus is not None:
            prometheus.child.kill()
        server.close()


def dashboard_queries():
    dashboard = json.loads((DEPLOY / "grafana" / "tidemill.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    queries += [each["expr"] for each in dashboard["annotations"]["list"]]
    assert len(queries) > 40
    return [query.replace("$job", ".*").replace("$__rate_interval", "1m") for query in queries]


def rule_queries():
    groups = yaml.safe_load((DEPLOY / "prometheus" / "tidemill.rules.yaml").read_text())["groups"]
    return [rule["expr"] for group in groups for rule in group["rules"]]


def test_the_server_and_its_jobs_are_found(watched):
    _, _, prometheus = watched
    for target in ('up{job="features", tidemill="job"}', 'up{job="tidemill-server", tidemill="server"}'):
        wait_until(lambda: prometheus.value(target) == [1], 20, target)
    # Of the job whose name the server's own metrics say, not of the server.
    assert prometheus.value('tidemill_server_job_state{job="features", state="running"}') == [1]
    loaded = {rule["name"] for group in prometheus.ask("rules")["groups"] for rule in group["rules"] if rule["health"] != "err"}
    assert len(loaded) == len(rule_queries())


def test_every_query_works_and_asks_for_a_metric_that_exists(watched):
    _, _, prometheus = watched
    queries = dashboard_queries() + rule_queries()
    for query in queries:
        prometheus.ask("query", query=query)
    existing = set(prometheus.ask("label/__name__/values"))
    # Kafka's and Redis' are in the table of help, which is tested against the code that counts them.
    helped = set(re.findall(r'^    \{"(\w+)",', (ROOT / "app" / "metric_help.cc").read_text(), re.MULTILINE))
    asked = set(re.findall(r"\b(?:tidemill|process)_\w+", " ".join(queries)))
    assert len(asked) > 40
    for name in asked:
        if ELSEWHERE.fullmatch(name):
            assert re.sub(r"^tidemill_|_bucket$", "", name) in helped, name
        else:
            assert name in existing, name


def test_what_the_dashboard_shows_of_a_healthy_job(watched):
    _, _, prometheus = watched
    # Problems, alerts and open transactions: none of a healthy job.
    full = [query for query in dashboard_queries()
            if not ELSEWHERE.search(query) and "problem" not in query and "ALERTS" not in query]
    assert len(full) > 25

    def missing():
        return [query for query in full if not prometheus.ask("query", query=query)["result"]]

    try:
        wait_until(lambda: not missing(), 20, "every panel has something to show")
    except TimeoutError:
        raise AssertionError(missing()) from None
    assert not {name for name, _ in prometheus.firing()} - {"freshness"}, "the events are months old, which is all that is wrong"


def test_a_bad_data_burst_raises_its_alert_and_no_other(watched):
    _, job, prometheus = watched
    second = iter(range(1000, 100_000))

    def burst_has_fired():
        at = next(second)  # in both: neither is behind
        job.append(0, *[event("u1", at)] * 20, *["no json"] * 20)
        job.append(1, *[event("u2", at)] * 20)
        return ("bad_data", "features") in prometheus.firing()

    wait_until(burst_has_fired, 30, "bad_data fires", 0.25)
    assert {name for name, _ in prometheus.firing()} <= {"bad_data", "freshness"}
    (alert,) = [each for each in prometheus.ask("alerts")["alerts"] if each["labels"]["alertname"] == "bad_data"]
    assert alert["annotations"]["runbook"] == "docs/operations.md#bad_data"
    assert alert["annotations"]["summary"].startswith("features: ")
