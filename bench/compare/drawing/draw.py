"""Draws what plots.py sends; prints the names of the files made in the folder given."""
import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402

matplotlib.rcParams.update({"svg.hashsalt": "compare", "svg.fonttype": "none", "font.size": 9})
# Told apart by people who see no red or green as well (Okabe and Ito).
COLOURS = ["#000000", "#0072B2", "#E69F00", "#F0E442", "#56B4E9", "#D55E00", "#CC79A7", "#009E73", "#999999"]


def bars(told, value, low, high, title, unit, path):
    names = [n for n in told["labels"] if any(f["contender"] == n for f in told["figures"])]
    queries = sorted({f["query"] for f in told["figures"]}, key=lambda q: int(q[1:]))
    figure, axes = plt.subplots(figsize=(max(6, 1.3 * len(queries)), 4.2))
    width = 0.85 / len(names)
    for i, name in enumerate(names):
        mine = {f["query"]: f for f in told["figures"] if f["contender"] == name}
        at = [x + (i - (len(names) - 1) / 2) * width for x, q in enumerate(queries) if q in mine]
        shown = [mine[q] for q in queries if q in mine]
        spread = [[f[value] - f[low] for f in shown], [f[high] - f[value] for f in shown]] if low else None
        axes.bar(at, [f[value] for f in shown], width, yerr=spread, label=told["labels"][name], color=COLOURS[i % len(COLOURS)],
                 error_kw={"elinewidth": 0.8, "ecolor": "#666666"})
    axes.set_xticks(range(len(queries)), queries)
    axes.set_yscale("log")
    axes.set_ylabel(unit)
    axes.set_title(title)
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    axes.legend(ncols=3, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.08), frameon=False)
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
    print(path.name)


def lines(charts, path):
    """Small charts side by side, three in a row."""
    columns = min(3, len(charts))
    rows = -(-len(charts) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(4.6 * columns, 3.4 * rows), squeeze=False)
    for chart, one in zip(charts, axes.flat):
        for i, (label, points) in enumerate(chart["series"].items()):
            one.plot(*zip(*points), marker="o", markersize=3, linewidth=1.2, label=label, color=COLOURS[i % len(COLOURS)])
        one.set_xscale("log")
        one.set_yscale("log")
        low, high = one.get_ylim()
        if high < 10 * low:  # a decade at least, or nothing looks flat
            one.set_ylim((low * high / 10) ** 0.5, (low * high * 10) ** 0.5)
        one.minorticks_off()
        one.set_title(chart["title"], fontsize=9)
        one.set_xlabel(chart["x"], fontsize=8)
        one.set_ylabel(chart["y"], fontsize=8)
        one.grid(alpha=0.3)
        one.legend(fontsize=7, frameon=False)
    for unused in axes.flat[len(charts):]:
        unused.remove()
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    print(path.name)


def main():
    told, out = json.load(sys.stdin), Path(sys.argv[1])
    if "charts" in told:
        lines(told["charts"], out / told["name"])
        return
    if not told["figures"]:
        return
    bars(told, "cpu_ns", "min", "max", "Nexmark in memory, one core: CPU of the whole process", "ns per event, logarithmic", out / "cpu.svg")
    bars(told, "peak_mb", None, None, "Most memory of the process, its input included", "MB, logarithmic", out / "memory.svg")


main()
