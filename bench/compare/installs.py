"""Builds the peers' programs from public package registries, into the cache; nothing of it is in the source tree."""
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CACHE = Path(os.environ.get("TIDEMILL_CACHE") or Path.home() / ".cache/tidemill") / "compare"


class Missing(Exception):
    """Why a contender cannot take part, and what would help."""


def need(program, package):
    if shutil.which(program) is None:
        raise Missing(f"{program} is not installed; run: apt-get install {package}")


def run_logged(name, *command, **options):
    """Runs a step of an installation; its output is in a log, whose end is shown if it fails."""
    CACHE.mkdir(parents=True, exist_ok=True)
    log = CACHE / f"{name}.log"
    with log.open("wb") as file:
        code = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, check=False, **options).returncode
    if code != 0:
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        raise Missing(f"{command[0]} ended with {code}, its log is {log}: " + " / ".join(line.strip() for line in lines[-3:])[:400])


def hash_of(*files):
    total = hashlib.sha256()
    for file in files:
        total.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return total.hexdigest()[:12]


def once(folder, make):
    """Makes a folder that counts only when it is whole."""
    marker = folder / "complete"
    if not marker.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        make(folder)
        marker.touch()
    return folder


def cargo(project):
    """The program of a Rust project with its locked dependencies."""
    need("cargo", "cargo (Timely 0.31 wants Rust 1.86 or newer; Debian 12's is 1.63, rustup has a newer one)")
    target = CACHE / f"cargo-{project.name}"
    run_logged(f"cargo-{project.name}", "cargo", "build", "--release", "--locked", "--manifest-path", project / "Cargo.toml",
               "--target-dir", target)
    return target / "release" / f"compare-{project.name}"


def maven_jars(pom):
    """The folder with the jars that a pom names."""
    need("mvn", "maven")
    folder = CACHE / f"jars-{pom.parent.name}-{hash_of(pom)}"
    return once(folder, lambda into: run_logged(f"mvn-{pom.parent.name}", "mvn", "-B", "-ntp", "-f", pom, "dependency:copy-dependencies",
                                                f"-DoutputDirectory={into}"))


def java(project, shared="jvm"):
    """The class path of a Java program: its classes, what it shares with others (a folder beside it), its jars."""
    need("javac", "openjdk-17-jdk-headless")
    jars = maven_jars(project / "pom.xml")
    sources = sorted([*project.glob("*.java"), *(HERE / shared).glob("*.java")])
    classes = CACHE / f"classes-{project.name}-{hash_of(project / 'pom.xml', *sources)}"
    once(classes, lambda into: run_logged(f"javac-{project.name}", "javac", "--release", "17", "-nowarn", "-cp", f"{jars}/*", "-d", into, *sources))
    return f"{classes}:{jars}/*"


def python_environment(requirements):
    """The interpreter of an environment with pinned packages."""
    folder = CACHE / f"venv-{requirements.parent.name}-{hash_of(requirements)}"

    def make(into):
        run_logged(f"venv-{requirements.parent.name}", "/usr/bin/python3", "-m", "venv", into)
        run_logged(f"pip-{requirements.parent.name}", into / "bin/pip", "install", "--disable-pip-version-check",
                   "--only-binary", ":all:", "-r", requirements)
    return once(folder, make) / "bin/python"
