"""What bench/curves calls alarming, and what it does with programs that answer well, badly or not at all."""

import csv
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench/compare"))
import installs  # noqa: E402

spec = importlib.util.spec_from_file_location("curves_of_bench", ROOT / "bench/curves/curves.py")
curves = importlib.util.module_from_spec(spec)
sys.modules["curves_of_bench"] = curves  # dataclasses look their module up
spec.loader.exec_module(curves)


def keys_row(ours, by_hand):
    return {"keys": 1000, "keys_by": "uniform", "ours_ns_an_update": ours, "by_hand_ns_an_update": by_hand}


def windows_rows(one, ten, hundred, by_hand):
    return [{"ratio": ratio, "ours_ns_a_record": ns, "by_hand_ns_a_record": by_hand} for ratio, ns in ((1, one), (10, ten), (100, hundred))]


def load_row(p99, p9999, load=50):
    return {"load": load, "p99_us": p99, "p99.99_us": p9999, "hiccup_p99_us": 1, "hiccup_p99.99_us": 1}


def checkpoint_row(stall, new_bytes):
    return {"keys": 10_000_000, "dirty_thousandths": 10, "dirty_keys": 100_000, "longest_stall_cpu_us": stall, "new_bytes": new_bytes}


def memory_rows(before, after):
    return [{"state_by_memory": 2, "cpu_ns_per_event": after}, {"state_by_memory": 0.5, "cpu_ns_per_event": before}]


def seconds(resident=lambda s: 100, files=lambda s: 7, p50=lambda s: 50):
    return [{"second": s, "resident_mb": resident(s), "open_files": files(s), "p50_us": p50(s), "cpu": 0.5} for s in range(60)]


@pytest.mark.parametrize("curve, rows, alarms", [
    ("keys", [keys_row(19.9, 10)], 0), ("keys", [keys_row(20.1, 10)], 1),
    ("windows", windows_rows(10, 19, 30, 601), 0), ("windows", windows_rows(10, 21, 30, 601), 1), ("windows", windows_rows(10, 19, 30, 599), 1),
    ("late", [{"late": 0, "ours_ns_a_record": 10}, {"late": 10, "ours_ns_a_record": 19}], 0),
    ("late", [{"late": 0, "ours_ns_a_record": 10}, {"late": 10, "ours_ns_a_record": 21}], 1),
    ("disorder", [{"group": 1, "cpu_ns_per_event": 10}, {"group": 1000, "cpu_ns_per_event": 14}, {"group": 10**6, "cpu_ns_per_event": 90}], 0),
    ("disorder", [{"group": 1, "cpu_ns_per_event": 10}, {"group": 1000, "cpu_ns_per_event": 16}], 1),
    ("memory", memory_rows(10, 190), 0), ("memory", memory_rows(10, 210), 1),
    ("checkpoints", [checkpoint_row(1999, 6_000_000)], 0), ("checkpoints", [checkpoint_row(2001, 6_000_000)], 1),
    ("checkpoints", [checkpoint_row(1999, 7_000_000)], 1),
    ("recovery", [{"keys": 10, "took_ms": 4999}], 0), ("recovery", [{"keys": 10, "took_ms": 5001}], 1),
    ("interval", [{"interval_s": 1, "cpu_ns_per_event": 14}, {"interval_s": 3600, "cpu_ns_per_event": 10}], 0),
    ("interval", [{"interval_s": 1, "cpu_ns_per_event": 16}, {"interval_s": 3600, "cpu_ns_per_event": 10}], 1),
    ("cores", [{"query": "q5", "parallelism": 1, "wall_s": 1.9}, {"query": "q5", "parallelism": 2, "wall_s": 1}], 0),
    ("cores", [{"query": "q5", "parallelism": 1, "wall_s": 1.7}, {"query": "q5", "parallelism": 2, "wall_s": 1}], 1),
    ("queries", [{"keys": 1, "queries": 1, "ns_a_record_and_query": 10}, {"keys": 1, "queries": 10, "ns_a_record_and_query": 14}], 0),
    ("queries", [{"keys": 1, "queries": 1, "ns_a_record_and_query": 10}, {"keys": 1, "queries": 10, "ns_a_record_and_query": 16}], 1),
    ("load", [load_row(1999, 9999)], 0), ("load", [load_row(2001, 9999)], 1), ("load", [load_row(1999, 10_001)], 1), ("load", [load_row(1e6, 1e6, 95)], 0),
    ("length", seconds(), 0), ("length", seconds(resident=lambda s: 100 + s), 1), ("length", seconds(files=lambda s: 7 + s // 30), 1),
    ("length", seconds(p50=lambda s: 50 * (1 + s // 30)), 1), ("length", seconds(resident=lambda s: 20 * min(s, 5)), 0),
])
def test_what_is_alarming(curve, rows, alarms):
    found = curves.CURVES[curve].alarms(rows)
    assert len(found) == alarms, found


def answer(ours=10.0, by_hand=500.0):
    return json.dumps({"ratio": 100, "keys": 1000, "keys_by": "uniform", "ours": {"ns_a_record": ours}, "by_hand": {"ns_a_record": by_hand}})


def run(tmp_path, program, *words):
    """bench/curves/run.py with a sliding_bench that is a line of shell; what is to be drawn goes to a file, and nothing is installed."""
    folder = tmp_path / "bin"
    folder.mkdir(exist_ok=True)
    (folder / "sliding_bench").write_text(f"#!/bin/sh\n{program}\n")
    (folder / "sliding_bench").chmod(0o755)
    drawing = tmp_path / f"cache/compare/venv-drawing-{installs.hash_of(ROOT / 'bench/compare/drawing/requirements.txt')}"
    (drawing / "bin").mkdir(parents=True)
    (drawing / "complete").touch()
    (drawing / "bin/python").write_text(f"#!/bin/sh\ncat > {tmp_path}/drawn\n")
    (drawing / "bin/python").chmod(0o755)
    return subprocess.run([sys.executable, "-B", ROOT / "bench/curves/run.py", *words, "--out", tmp_path / "out"], capture_output=True, text=True,
                          check=False, env={**os.environ, "TIDEMILL_BIN": str(folder), "TIDEMILL_CACHE": str(tmp_path / "cache")})


def test_figures_become_a_csv(tmp_path):
    done = run(tmp_path, f"echo '{answer()}'", "windows", "--points", "100")
    with open(tmp_path / "out/windows.csv", newline="", encoding="utf-8") as file:
        assert list(csv.DictReader(file)) == [{"ratio": "100", "keys": "1000", "keys_by": "uniform", "ours_ns_a_record": "10",
                                               "by_hand_ns_a_record": "500"}]
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "drawn").read_text())["charts"][0]["series"] == {"slices": [[100, 10.0]], "a map for each open window": [[100, 500.0]]}
    assert "bench/curves/run.py" in (tmp_path / "out/README.md").read_text()


def test_an_alarm_is_said_and_is_a_failure(tmp_path):
    done = run(tmp_path, f"echo '{answer(by_hand=150.0)}'", "windows", "--points", "100")
    assert done.returncode == 1
    assert "to explain: windows: at 100 a map for each open window takes 15.0 times" in (tmp_path / "out/README.md").read_text()


@pytest.mark.parametrize("program, why", [("echo 'the rows count other records' >&2; exit 1", "the rows count other records"),
                                          ("echo 12:30", "printed what is no JSON"), ("true", "printed nothing")])
def test_a_program_that_fails_is_a_failed_curve(tmp_path, program, why):
    done = run(tmp_path, program, "windows", "--points", "100")
    assert done.returncode == 1 and why in done.stdout and not (tmp_path / "out/windows.csv").exists()


@pytest.mark.parametrize("words, why", [(("nope",), "no curve nope"), (("windows", "late", "--points", "1"), "of one curve"),
                                        (("windows", "--points", "1,x"), "not a number"), (("cores",), "not built: nexmark")])
def test_wrong_words_are_refused(tmp_path, words, why):
    done = run(tmp_path, "true", *words)
    assert done.returncode == 2 and why in done.stderr
