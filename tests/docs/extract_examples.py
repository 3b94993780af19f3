#!/usr/bin/env python3
"""Makes one C++ source of the examples in docs/operators: what the pages show is compiled, and each job is planned.

    extract_examples.py OUT PAGE…

A block that begins with ```cpp is the body of a function which has the streams of tests/docs/streams.h; one that begins with
```cpp declarations stands before it, at namespace scope. What a page declares holds for the rest of the page.
"""
import sys
from pathlib import Path


def blocks_of(page):
    """(whether it is declarations, number of its first line, its text) of each block of C++ in a page."""
    lines = page.read_text(encoding="utf-8").split("\n")
    begin = kind = None
    for number, line in enumerate(lines, 1):
        if begin is None and line.startswith("```cpp"):
            begin, kind = number, line.removeprefix("```cpp").strip()
            if kind not in ("", "declarations"):
                sys.exit(f"{page}:{number}: neither ```cpp nor ```cpp declarations: {line}")
        elif begin is not None and line.startswith("```"):
            yield kind == "declarations", begin + 1, "\n".join(lines[begin:number - 1])
            begin = None
    if begin is not None:
        sys.exit(f"{page}:{begin}: the block does not end")


def source_of(page):
    """The page's examples as functions in a namespace of its own, and their names."""
    parts, names = [f"namespace {page.stem}_page {{"], []
    for is_declarations, line, text in blocks_of(page):
        located = f'#line {line} "{page}"\n{text}'
        if is_declarations:
            parts.append(located)
            continue
        name = f"line_{line}"
        names.append(f"{page.stem}_page::{name}")
        parts.append(f"[[maybe_unused]] void {name}(const Streams& streams) {{\n  TIDEMILL_STREAMS(streams)\n{located}\n}}")
    if not names:
        sys.exit(f"{page}: a page without an example")
    parts.append("}")
    return "\n".join(parts), names


def main(out, *pages):
    sources, examples = [], []
    for page in sorted(map(Path, pages)):
        source, names = source_of(page)
        sources.append(source)
        examples += [f'{{"{page.name}:{name.rpartition("_")[2]}", &{name}}},' for name in names]
    Path(out).write_text("\n".join([
        '#include "tests/docs/streams.h"', "namespace tidemill {", *sources,
        "const std::vector<Example> kExamples = {", *examples, "};", "}", ""]), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
