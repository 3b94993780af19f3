"""Writes a C++ source with the files of the page in it: embed_page.py DIST OUTPUT.cc

Each file as it is and gzipped, once at build time. The same files give the same source.
"""
import gzip
import hashlib
import sys
from pathlib import Path

TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
         ".svg": "image/svg+xml", ".txt": "text/plain; charset=utf-8"}


def literal(data):
    """Octal escapes of three digits: no digit after them can be taken for one of theirs."""
    printable = {byte: chr(byte) for byte in range(32, 127) if chr(byte) not in '"\\?'}
    lines = []
    for at in range(0, len(data), 100):
        lines.append('"' + "".join(printable.get(byte, f"\\{byte:03o}") for byte in data[at:at + 100]) + '"')
    return "\n    ".join(lines or ['""'])


def main(dist, output):
    parts = ['#include "app/page_files_internal.h"\n\nnamespace tidemill {\nnamespace {\n']
    rows = []
    for number, path in enumerate(sorted(dist.iterdir())):
        content = path.read_bytes()
        packed = gzip.compress(content, 9, mtime=0)
        etag = hashlib.sha256(content).hexdigest()[:32]
        parts.append(f"\nconstexpr char kBytes{number}[] =\n    {literal(content)};\nconstexpr char kGzip{number}[] =\n    {literal(packed)};\n")
        rows.append(f'    {{"/{path.name}", "{TYPES[path.suffix]}", "\\"{etag}\\"", {{kBytes{number}, sizeof kBytes{number} - 1}}, '
                    f"{{kGzip{number}, sizeof kGzip{number} - 1}}}},\n")
    parts.append("\nconstexpr PageFile kFiles[] = {\n" + "".join(rows) + "};\n\n}  // namespace\n\n")
    parts.append("std::span<const PageFile> page_files() { return kFiles; }\n\n}  // namespace tidemill\n")
    output.write_text("".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
