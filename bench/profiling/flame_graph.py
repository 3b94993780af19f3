"""Draws stacks as a flame graph: a box a function, as wide as what was spent in it and in what it calls, on top of who calls it.

The SVG needs no script: a browser shows the whole name and share of the box under the pointer.
"""
import html
import zlib
from dataclasses import dataclass, field

from profiling.stacks import without_arguments

WIDTH, ROW, MARGIN, HEAD = 1200, 17, 10, 44
CHARACTER = 6.6  # px of the font's
NARROWEST = 0.3  # px; what is less is not drawn


@dataclass
class Box:
    name: str
    spent: int = 0
    own: int = 0
    inside: dict = field(default_factory=dict)


def tree(folded):
    root = Box("all")
    for stack, spent in folded.items():
        box = root
        box.spent += spent
        for name in stack:
            box = box.inside.setdefault(name, Box(name))
            box.spent += spent
        box.own += spent
    return root


def depth(box, width_of):
    return 1 + max((depth(b, width_of) for b in box.inside.values() if width_of(b) >= NARROWEST), default=0)


def colour(name):
    """Warm for our own functions, blue for the kernel's and the libraries'; the same function always has the same."""
    shade = zlib.crc32(without_arguments(name).encode()) % 64
    return f"rgb({205 + shade // 2},{90 + shade * 2},{40 + shade // 2})" if "tidemill" in name else f"rgb({120 + shade},{165 + shade // 2},{205 + shade // 2})"


def draw(folded, title, below, unit):
    """The SVG's text; `below` is a line under the title."""
    root = tree(folded)
    if root.spent == 0:
        raise ValueError("no stacks to draw")

    def width_of(box):
        return box.spent / root.spent * (WIDTH - 2 * MARGIN)

    height = HEAD + ROW * depth(root, width_of) + MARGIN
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
             'font-family="monospace" font-size="11">', '<rect width="100%" height="100%" fill="#fffdf5"/>',
             f'<text x="{WIDTH / 2}" y="18" text-anchor="middle" font-size="14">{html.escape(title)}</text>',
             f'<text x="{WIDTH / 2}" y="34" text-anchor="middle" fill="#555">{html.escape(below)}</text>']

    def put(box, x, level):
        width = width_of(box)
        if width < NARROWEST:
            return
        y = height - MARGIN - ROW * (level + 1)
        told = f"{box.name}: {box.spent / root.spent:.1%}, itself {box.own / root.spent:.1%} ({box.spent:,} {unit})"
        short = without_arguments(box.name).removeprefix("tidemill::")
        room = int((width - 4) / CHARACTER)
        label = short if len(short) <= room else short[:max(0, room - 1)] + "…" if room >= 4 else ""
        parts.append(f'<g><title>{html.escape(told)}</title><rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{ROW - 1}" '
                     f'rx="1" fill="{colour(box.name)}"/>'
                     + (f'<text x="{x + 3:.1f}" y="{y + 12}">{html.escape(label)}</text>' if label else "") + "</g>")
        for name in sorted(box.inside):
            put(box.inside[name], x, level + 1)
            x += width_of(box.inside[name])

    put(root, MARGIN, 0)
    return "\n".join([*parts, "</svg>", ""])


def most(folded, count):
    """The functions that most was spent in themselves: (share, name), whatever called them."""
    own = {}
    for stack, spent in folded.items():
        name = without_arguments(stack[-1])
        own[name] = own.get(name, 0) + spent
    total = sum(own.values())
    return sorted(((spent / total, name) for name, spent in own.items()), reverse=True)[:count]
