"""The installed package serves a job outside the tree."""

import os
import shutil
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


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze")
def test_the_unit_is_valid_and_exposes_little(tmp_path):
    # The program belongs to an installed system: the copy names one that is everywhere.
    text = (ROOT / "deploy" / "tidemill.service").read_text()
    assert "\nExecStart=tidemill server " in text and "\nKillMode=process\n" in text
    unit = tmp_path / "tidemill.service"
    unit.write_text(text.replace("ExecStart=tidemill ", "ExecStart=/bin/true "))
    verified = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], check=False,
                              text=True, capture_output=True)
    mine = [line for line in verified.stderr.splitlines() if "tidemill.service" in line]
    assert (verified.returncode, mine) == (0, []), verified.stderr
    judged = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=25", unit],
                            check=False, text=True, capture_output=True)
    assert judged.returncode == 0, judged.stdout + judged.stderr


@pytest.mark.skipif(not shutil.which("systemd-sysusers"), reason="no systemd-sysusers")
def test_the_service_user_cannot_log_in(tmp_path):
    (tmp_path / "etc").mkdir()
    subprocess.run(["systemd-sysusers", f"--root={tmp_path}", ROOT / "deploy" / "tidemill.sysusers"],
                   check=True)
    (user,) = [line.split(":") for line in (tmp_path / "etc" / "passwd").read_text().splitlines()
               if line.startswith("tidemill:")]
    assert 0 < int(user[2]) < 1000 and user[5] == "/var/lib/tidemill"
    assert user[6].endswith("/nologin")
