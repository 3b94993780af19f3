"""The installed package serves a job outside the tree."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(300)  # it compiles
def test_a_job_outside_the_tree_builds_and_runs(tmp_path):
    prefix, build = tmp_path / "prefix", tmp_path / "build"
    release = Path(os.environ.get("TIDEMILL_BUILD") or ROOT / "build" / "release")
    subprocess.run(["cmake", "--install", release, "--prefix", prefix], check=True,
                   stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "-S", ROOT / "tests" / "external", "-B", build, "-G", "Ninja",
                    f"-DCMAKE_PREFIX_PATH={prefix}", "-DCMAKE_BUILD_TYPE=Release"], check=True,
                   stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", build], check=True, stdout=subprocess.DEVNULL)
    run = subprocess.run([build / "outside", "--checkpoint-dir", tmp_path / "checkpoints",
                          "--http", "none"], check=True, text=True, capture_output=True)
    rows = {line for line in run.stdout.splitlines() if "=" in line}
    assert rows == {"0@0=500", "1@0=500", "0@1000=500", "1@1000=500"}, run.stdout
    test = subprocess.run([build / "outside_test"], check=False, text=True, capture_output=True)
    assert (test.returncode, test.stdout) == (0, "passed\n"), test.stderr
