#!/usr/bin/env python3
"""Holds RULES.md to the folder: every rule has a file, every file is in a rule, every file states its rule, every name has a file.

    rules_test.py [FOLDER]     prints one line a violation; exit 1 if there is one
"""
import re
import sys
from pathlib import Path

ROW = re.compile(r"\| (?P<rule>.+?) \| (?P<files>.*?) ?\|")


def violations(folder):
    files = {path.stem: path for path in folder.glob("*.scenario")}
    named, rules = set(), 0
    for number, line in enumerate((folder / "RULES.md").read_text(encoding="utf-8").splitlines(), 1):
        if not line.startswith("| ") or line.startswith("| rule |"):
            continue
        row = ROW.fullmatch(line.replace(r"\|", "/"))
        names = re.findall("`([a-z0-9_]+)`", row["files"]) if row else []
        rules += 1
        if not names:
            yield f"RULES.md:{number}: a rule without a file: {line}"
        for name in names:
            if name not in files:
                yield f"RULES.md:{number}: there is no such file: {name}.scenario"
        named.update(names)
    if not rules:
        yield "RULES.md: there is no rule in it"
    for name, path in sorted(files.items()):
        if name not in named:
            yield f"RULES.md: a file in no rule: {name}.scenario"
        if not path.read_text(encoding="utf-8").startswith("# "):
            yield f"{path.name}:1: the first line states the rule, as a comment"


def main(arguments):
    folder = Path(arguments[0]) if arguments else Path(__file__).parent
    found = list(violations(folder))
    print("\n".join(found) if found else "rules: each has a file, each file has one")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
