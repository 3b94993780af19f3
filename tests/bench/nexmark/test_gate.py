"""What bench/nexmark/gate.py calls worse than on record."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
spec = importlib.util.spec_from_file_location("gate", ROOT / "bench/nexmark/gate.py")
gate = importlib.util.module_from_spec(spec)
spec.loader.exec_module(gate)
INSTRUCTIONS, TIMES = gate.ALLOWED


@pytest.mark.parametrize("measure, former, now, is_worse", [
    (INSTRUCTIONS, 100.0, 100.0, False), (INSTRUCTIONS, 100.0, 102.9, False), (INSTRUCTIONS, 100.0, 103.1, True),
    (INSTRUCTIONS, 100.0, 50.0, False), (TIMES, 2.0, 5.9, False), (TIMES, 2.0, 6.1, True)])
def test_more_than_allowed_is_worse(measure, former, now, is_worse):
    lines, worse = gate.judge({measure: {"q5": now}}, {measure: {"q5": former}})
    assert len(lines) == 1 and bool(worse) == is_worse, lines
    assert not worse or "q5" in worse[0]


def test_what_is_not_on_record_is_no_pass():
    assert gate.judge({INSTRUCTIONS: {"q5": 1.0}}, {})[1]
