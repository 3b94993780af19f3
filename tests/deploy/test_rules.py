"""The alert rules: what Prometheus' own tool says of them, and that none is left without a test and a way on."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "prometheus"


def promtool(*arguments):
    done = subprocess.run(["promtool", *arguments], cwd=FOLDER, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def rules():
    groups = yaml.safe_load((FOLDER / "tidemill.rules.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_promtool_accepts_rules_and_configuration(tmp_path):
    promtool("check", "rules", "tidemill.rules.yaml")
    for name in ("prometheus.yml", "tidemill.rules.yaml"):
        (tmp_path / name).write_text((FOLDER / name).read_text())
    (tmp_path / "viewer.token").write_text("token")
    promtool("check", "config", str(tmp_path / "prometheus.yml"))


def test_each_alert_fires_when_it_should_and_not_before():
    promtool("test", "rules", "tidemill.rules.test.yaml")
    cases = {}
    for test in yaml.safe_load((FOLDER / "tidemill.rules.test.yaml").read_text())["tests"]:
        for case in test["alert_rule_test"]:
            cases.setdefault(case["alertname"], set()).add(len(case["exp_alerts"]))
    assert cases == {rule["alert"]: {0, 1} for rule in rules()}


def test_each_problem_has_an_alert_of_its_name():
    listed = re.search(r"kProblemIds\[\] = \{(.*?)\}", (ROOT / "app" / "diagnosis.h").read_text(), re.DOTALL)[1]
    ids = set(re.findall(r'"(\w+)"', listed))
    assert len(ids) >= 13
    by_problem = {re.search(r'problem="(\w+)"', rule["expr"])[1]: rule["alert"] for rule in rules() if 'problem="' in rule["expr"]}
    assert by_problem == {id: id for id in ids}


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_each_alert_says_what_and_what_next(rule):
    assert rule["labels"]["severity"] in ("critical", "warning")
    notes = rule["annotations"]
    assert notes["summary"] and notes["next"]
    assert notes["runbook"] == f"docs/operations.md#{rule['alert']}"
    handbook = (ROOT / "docs" / "operations.md").read_text()
    assert re.search(rf"^### {rule['alert']}$", handbook, re.MULTILINE), "the section that it points to"
