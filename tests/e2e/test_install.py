"""The installed package serves a job outside the tree; the Debian package has what an operator needs."""

import gzip
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


def command(*words, **how):
    return subprocess.run([str(word) for word in words], check=True, text=True, capture_output=True, **how).stdout


@pytest.mark.timeout(120)
def test_the_debian_package_is_whole_and_its_programs_run(tmp_path):
    """Packed from the build, unpacked into a folder: what is in it, whose it is, and what it needs."""
    release = Path(os.environ.get("TIDEMILL_BUILD") or ROOT / "build" / "release")
    command("cpack", "-G", "DEB", "-B", tmp_path, "--config", release / "CPackConfig.cmake")
    (package,) = tmp_path.glob("tidemill_*_*.deb")
    fields = {name: command("dpkg-deb", "-f", package, name).strip() for name in ("Package", "Depends", "Maintainer", "Description", "Installed-Size")}
    assert fields["Package"] == "tidemill" and fields["Maintainer"].endswith(">") and len(fields["Description"].splitlines()) > 1
    for needed in ("librdkafka1 (>= 2.0", "librocksdb7.8", "libhiredis0.14", "libsqlite3-0", "libssl3", "libc6 (>= "):
        assert needed in fields["Depends"], fields["Depends"]
    assert "-dev" not in fields["Depends"]
    listed = [line.split() for line in command("dpkg-deb", "-c", package).splitlines()]
    assert {line[1] for line in listed} == {"root/root"}
    for mode, path in ((line[0], line[5]) for line in listed):
        wanted = "drwxr-xr-x" if path.endswith("/") else "-rwxr-xr-x" if path.startswith("./usr/bin/") else "-rw-r--r--"
        assert mode == wanted, (mode, path)
        assert path.startswith(("./usr/bin/", "./usr/lib/sys", "./usr/share/")) or path.endswith("/"), f"not for users: {path}"

    root, control = tmp_path / "root", tmp_path / "control"
    command("dpkg-deb", "-x", package, root)
    command("dpkg-deb", "-e", package, control)
    for script in ("postinst", "postrm"):
        command("sh", "-n", control / script)
    for line in (control / "md5sums").read_text().splitlines():
        assert command("md5sum", root / line.split()[1]).split()[0] == line.split()[0]
    share = root / "usr" / "share"
    for program in ("tidemill", "feature_pipeline"):
        path = root / "usr" / "bin" / program
        assert command(path, "--version").startswith(f"{program} 0."), program
        assert "not found" not in command("ldd", path)
        manual = gzip.decompress((share / "man" / "man1" / f"{program}.1.gz").read_bytes()).decode()
        assert manual.startswith(f".TH {program.upper()} 1") and str(ROOT) not in manual
    manual = gzip.decompress((share / "man" / "man1" / "tidemill.1.gz").read_bytes()).decode()
    for verb in ("submit", "recover", "txn abort", "run", "server", "scenario"):
        assert f"\n.SS tidemill {verb}\n" in manual, verb
    assert "\\-\\-accept\\-loss TOPIC:P" in manual and "\\-\\-until\\-time" in manual
    command("bash", "-n", share / "bash-completion" / "completions" / "tidemill")
    assert (share / "zsh" / "vendor-completions" / "_tidemill").read_text().startswith("#compdef tidemill")
    assert (share / "doc" / "tidemill" / "copyright").exists() and (root / "usr/lib/systemd/system/tidemill.service").exists()
    assert (root / "usr/lib/sysusers.d/tidemill.conf").exists()


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


def test_the_service_user_cannot_log_in(tmp_path):
    (tmp_path / "etc").mkdir()
    subprocess.run(["systemd-sysusers", f"--root={tmp_path}", ROOT / "deploy" / "tidemill.sysusers"],
                   check=True)
    (user,) = [line.split(":") for line in (tmp_path / "etc" / "passwd").read_text().splitlines()
               if line.startswith("tidemill:")]
    assert 0 < int(user[2]) < 1000 and user[5] == "/var/lib/tidemill"
    assert user[6].endswith("/nologin")
