#!/usr/bin/env python3
"""Holds the staircase: who may include whom, where each library may be named, how long a file may be, which words are banned,
and that no test is forgotten.

    tests/architecture/layers_test.py [ROOT]     prints one line a violation, "file:line: what is wrong"; exit 1 if there is one

The tables below are the rules; a change of architecture is a change of these tables.
"""
import re
import sys
from pathlib import Path

# Folder -> step. A file includes its own folder and folders on lower steps, never a sibling or a higher one.
# `x/*` makes every subfolder of x a folder of its own; without it all of x is one.
STEPS = {
    "engine/base": 1, "engine/data": 2, "engine/time": 3, "engine/operator": 4, "engine/graph": 5, "engine/runtime": 6,
    "engine/checkpoint": 7, "state": 8,
    "http": 9, "connectors/formats": 9, "connectors/*": 10, "operators": 10, "testing": 11, "app": 11,
    "service/tools": 12, "service/server": 13, "service/cli": 13, "service": 14, "jobs/*": 12, "examples": 12,
}
ANYTHING_GOES = ("tests", "bench")

# Prefix of an angle include -> the only places that may name it.
LIBRARIES = {
    "rocksdb/": "state/rocksdb_",
    "sqlite3": "service/server/sqlite_internal.h",
    "librdkafka/": "connectors/kafka/",
    "hiredis/": "connectors/redis/",
}
# These stay out of headers that another folder can reach: they would slow every build down.
HEAVY = ("boost/beast", "boost/asio", "spdlog/", "rocksdb/", "librdkafka/", "simdjson", "yaml-cpp/")

MAX_LINES = 500
BANNED_FILES = re.compile(r"(^|_)(utils?|helpers?|common|manager|impl|handler)(_|$)")
BANNED_TYPES = re.compile(r"\b(?:class|struct|enum(?: class)?|concept|using)\s+(\w*(?:Utils?|Helpers?|Common|Manager|Impl|Handler))\b(?!::)"
                          r"|\bnamespace\s+((?:\w+::)*(?:utils?|helpers?|common|impl))\b")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def folder_of(path):
    """The folder in STEPS that `path` (relative to the root) belongs to, or None."""
    parts = path.split("/")
    for length in range(len(parts) - 1, 0, -1):
        name = "/".join(parts[:length])
        if name in STEPS or (length > 1 and "/".join(parts[:length - 1]) + "/*" in STEPS):
            return name
    return None


def step_of(folder):
    return STEPS.get(folder) or STEPS[folder.rsplit("/", 1)[0] + "/*"]


def forgotten_headers(root):
    """A header that its folder's CMakeLists.txt does not name is neither installed nor checked to stand alone.

    x_internal.h stays inside its folder.
    """
    for path in sorted(path for top in ("engine", "state", "http", "connectors", "operators", "testing", "app", "service", "jobs")
                       for path in root.glob(f"{top}/**/*.h")):
        name = path.relative_to(root).as_posix()
        if not folder_of(name) or name.endswith("_internal.h"):
            continue
        folder = path.parent
        while folder != root and not (folder / "CMakeLists.txt").exists():
            folder = folder.parent
        lists = folder / "CMakeLists.txt"
        if folder != root and lists.exists() and path.relative_to(folder).as_posix() not in lists.read_text().split():
            yield f"{name}:1: {folder.relative_to(root).as_posix()}/CMakeLists.txt does not name this header: it is not installed"


def forgotten_tests(root):
    """x_test.cc and x_test.py are run by ctest, which knows what a CMakeLists.txt names; test_x.py by pytest, which finds all."""
    words = set()
    for cmake in root.glob("tests/**/CMakeLists.txt"):
        words.update(re.findall(r"\w+", cmake.read_text()))
    for path in sorted(root.glob("tests/**/*_test.*")):
        if path.suffix in (".cc", ".py") and path.stem not in words:
            yield f"{path.relative_to(root).as_posix()}:1: no CMakeLists.txt under tests/ names this test: nothing runs it"


def violations(root):
    yield from forgotten_tests(root)
    yield from forgotten_headers(root)
    files = {}  # path -> [(line number, '<' or '"', included name)]
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.suffix not in (".h", ".cc") or name.startswith(("build", ".")) or not path.is_file():
            continue
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        matches = [(number, INCLUDE.match(line)) for number, line in enumerate(lines, 1)]
        files[name] = [(number, match[1], match[2]) for number, match in matches if match]

        if len(lines) > MAX_LINES:
            yield f"{name}:{MAX_LINES + 1}: the file has {len(lines)} lines, {MAX_LINES} are allowed: it is two things"
        if path.suffix == ".cc" and path.with_suffix(".h").exists() and folder_of(name):
            own = f"{name[:-3]}.h"
            if not files[name] or files[name][0][2] != own:
                line = files[name][0][0] if files[name] else 1
                yield f"{name}:{line}: the first include is {own}: that shows that this header stands alone"
        if BANNED_FILES.search(path.stem):
            yield f"{name}:1: this file name says nothing: name the thing it holds"
        for number, line in enumerate(lines, 1):
            code = line.split("//")[0]
            for match in BANNED_TYPES.finditer(code):
                yield f"{name}:{number}: the name {match[1] or match[2]} says nothing: if it cannot be named, it is two things"
        if not folder_of(name) and not name.startswith(ANYTHING_GOES):
            yield f"{name}:1: this folder is not on the staircase: add it to STEPS in tests/architecture/layers_test.py"

    heavy = {}  # header -> its first heavy include, itself or through headers of its own folder

    def heavy_of(header):
        if header not in heavy:
            heavy[header] = None  # ends a cycle
            for number, mark, included in files.get(header, ()):
                through = f"{header}:{number}: <{included}>" if mark == "<" and included.startswith(HEAVY) else heavy_of(included)
                heavy[header] = heavy[header] or through
        return heavy[header]

    for name, includes in files.items():
        folder = folder_of(name)
        for number, mark, included in includes:
            where = f"{name}:{number}:"
            target = folder_of(included)
            if mark == '"' and not target and not included.startswith(ANYTHING_GOES):
                yield f'{where} "{included}" is not from the project root: write the whole path'
            if folder is None:
                continue
            if mark == '"' and included.startswith(ANYTHING_GOES):
                yield f"{where} {folder} includes {included}: product code never includes tests or benchmarks"
            if target and target != folder and step_of(target) >= step_of(folder):
                yield f"{where} {folder} includes {included}: only its own folder and lower steps of the staircase are allowed"
            if target and target != folder and mark == '"' and heavy_of(included):
                yield f"{heavy_of(included)} is heavy and reaches {name} through {included}: keep it in a .cc"
            for library, place in LIBRARIES.items():
                if mark == "<" and included.startswith(library) and not name.startswith(place):
                    yield f"{where} <{included}> may be named only in {place}"


def main():
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[2]
    found = list(dict.fromkeys(violations(root)))
    print("\n".join(found) if found else f"the staircase holds in {root}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
