"""What bench/footprint/run.py calls too much."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
spec = importlib.util.spec_from_file_location("footprint", ROOT / "bench/footprint/run.py")
footprint = importlib.util.module_from_spec(spec)
spec.loader.exec_module(footprint)


@pytest.mark.parametrize("found, is_above", [(29.9, False), (30.0, False), (30.1, True)])
def test_more_than_the_limit_fails(found, is_above):
    lines, above = footprint.judge([("idle", found, 30.0, "MB")])
    assert len(lines) == 1 and bool(above) == is_above and lines[0].endswith("ABOVE") == is_above


def test_one_above_is_enough():
    assert footprint.judge([("a", 1.0, 2.0, "MB"), ("b", 3.0, 2.0, "MB")])[1] == [footprint.judge([("b", 3.0, 2.0, "MB")])[1][0]]


def test_a_key_may_take_twice_its_payload_and_sixteen_bytes(tmp_path):
    program = tmp_path / "key_memory"
    program.write_text("#!/bin/sh\nprintf '{\"key\": \"%s\", \"keys\": %s, \"payload\": 16, \"tables\": 48.0, \"resident\": 48.1}' $1 $2\n")
    program.chmod(0o755)
    rows = footprint.bytes_of_keys(tmp_path)
    assert len(rows) == 8
    above = footprint.judge(rows)[1]
    assert len(above) == 4 and all("resident" in line for line in above)
