#!/usr/bin/env python3
"""Makes a program's manual page of what its --help prints, and that of its verbs.

    cmake/man_page.py PROGRAM VERSION PAGE.1.gz
"""
import gzip
import re
import subprocess
import sys
from pathlib import Path

ENTRY = re.compile(r"^ {2}(\S.*?)(?: {2,}(\S.*))?$")


def told(program, *words):
    """What it prints; nothing if it does not take these words."""
    done = subprocess.run([program, *words], capture_output=True, text=True, check=False, timeout=30)
    return done.stdout if done.returncode == 0 else ""


def escaped(text):
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text.startswith((".", "'")) else text


def section(text, heading):
    """roff of one --help: its usage, paragraphs, and lists of what is indented by two."""
    out = []
    for line in text.splitlines():
        entry = ENTRY.match(line)
        if re.match(r"^usage: ", line, re.IGNORECASE):
            out += [".PP", f".B {escaped(re.sub(r'^[Uu]sage: *', '', line))}", ".PP"]
        elif re.fullmatch(r"[A-Z]\w+:", line):
            out.append(f"{heading} {escaped(line[:-1])}")
        elif entry:
            out += [".TP", f".B {escaped(entry[1])}", escaped(entry[2] or "")]
        elif line.startswith("   ") and out:
            out.append(escaped(line.strip()))  # the rest of an entry
        else:
            out.append(escaped(line) if line.strip() else ".PP")
    return [line for before, line in zip([None, *out], out) if line != ".PP" or before != ".PP"]


def page(program, version):
    name = Path(program).name
    usage = told(program, "--help").replace(str(program), name)
    if not usage:
        sys.exit(f"{program} --help prints nothing")
    verbs = [entry[1] for line in usage.splitlines()
             if usage.startswith("usage: tidemill") and (entry := ENTRY.match(line)) and re.fullmatch(r"[a-z][a-z ]*", entry[1])]
    line = "stream processor with event time: server, commands, scenarios" if verbs else usage.splitlines()[0].rstrip(".")
    out = [f'.TH {name.upper()} 1 "" "Tidemill {version}" "Tidemill"', ".SH NAME", f"{name} \\- {escaped(line)}", ".SH DESCRIPTION"]
    out += section(usage, ".SH")
    if verbs:
        out.append(".SH VERBS")
    for verb in verbs:
        text = told(program, *verb.split(), "--help")
        if text:
            out += [f".SS {name} {verb}", *section(text, ".PP\n.I")]
    out += [".SH EXIT STATUS", "0 finished or stopped as asked, 1 failed, 2 wrong usage or configuration, 3 refused for safety.",
            ".SH SEE ALSO", "Documentation in the source tree: docs/operations.md, docs/recovery.md"]
    return "\n".join(out) + "\n"


def main():
    program, version, target = sys.argv[1:]
    Path(target).write_bytes(gzip.compress(page(program, version).encode(), mtime=0))


if __name__ == "__main__":
    main()
