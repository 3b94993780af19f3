"""The results as SVG, drawn by matplotlib in an environment of its own; without it there are no plots, and the rest is as it is."""
import json
import subprocess
from pathlib import Path

import installs

HERE = Path(__file__).resolve().parent


def draw(summaries, labels, out, say):
    """Bars of what each contender takes; names of the files made in `out`."""
    return drawn({"labels": labels, "figures": [{"contender": s.contender, "query": s.query, "cpu_ns": s.cpu_ns, "min": s.cpu_ns_min,
                                                 "max": s.cpu_ns_max, "peak_mb": s.peak_mb} for s in summaries]}, out, say)


def draw_lines(charts, name, out, say):
    """Charts of lines over logarithmic scales, all in one file `name` in `out`; each chart has a title, labels x and y, and series: points by
    their label."""
    return drawn({"charts": charts, "name": name}, out, say)


def drawn(data, out, say):
    try:
        python = installs.python_environment(HERE / "drawing" / "requirements.txt")
    except installs.Missing as why:
        say(f"no plots: {why}")
        return []
    done = subprocess.run([python, HERE / "drawing" / "draw.py", out], input=json.dumps(data), text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False)
    if done.returncode != 0:
        say(f"no plots: {done.stderr.strip()[-400:]}")
        return []
    return done.stdout.split()
