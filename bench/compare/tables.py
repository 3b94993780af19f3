"""The results as Markdown and CSV."""
import csv
import dataclasses


def number(value):
    """Three digits that mean something."""
    if value is None:
        return "–"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def mark_of(summary):
    marks = []
    if summary.rows_right is False:
        marks.append("**ROWS WRONG**")
    if summary.to_explain:
        marks.append(f"(1) {number(summary.reference_ns)}")
    return " ".join(marks)


def by_query(summaries):
    return sorted({s.query for s in summaries}, key=lambda q: int(q[1:]))


def cpu_table(summaries, labels):
    """A row a query, a column a contender."""
    names = [name for name in labels if any(s.contender == name for s in summaries)]
    found = {(s.contender, s.query): s for s in summaries}
    lines = ["| query | " + " | ".join(labels[n] for n in names) + " |", "|---" * (len(names) + 1) + "|"]
    for query in by_query(summaries):
        cells = []
        for name in names:
            s = found.get((name, query))
            cells.append("–" if s is None else " ".join(filter(None, [number(s.cpu_ns), mark_of(s)])))
        lines.append(f"| {query} | " + " | ".join(cells) + " |")
    return lines


def full_table(summaries, labels):
    lines = ["| query | who | CPU ns/event, median (min to max) | by Tidemill's | events/s | peak MB | rows | right |",
             "|---|---|---|---|---|---|---|---|"]
    for query in by_query(summaries):
        for s in (s for name in labels for s in summaries if s.contender == name and s.query == query):
            right = {True: "yes", False: "**NO**", None: "not checked"}[s.rows_right]
            lines.append(f"| {s.query} | {labels[s.contender]} | {number(s.cpu_ns)} ({number(s.cpu_ns_min)} to {number(s.cpu_ns_max)}) | "
                         f"{number(s.of_tidemill)} | {s.events_per_s:,.0f} | {s.peak_mb:,.0f} | {s.rows:,} | {right} |")
    return lines


def start_up_table(start_ups, labels):
    lines = ["| who | start-up, s |", "|---|---|"]
    return lines + [f"| {labels[name]} | {seconds:.2f} |" for name, seconds in start_ups.items()]


def goals(summaries):
    """Tidemill against what it is measured by: a line a query that has someone to be compared with. Timely from the same start: where
    Tidemill reads rows where they lie, so does it."""
    found = {(s.contender, s.query): s for s in summaries}
    lines = ["| query | by the loop by hand, + ns | by Timely | by Flink | by Jet |", "|---|---|---|---|---|"]
    for query in by_query(summaries):
        ours = found.get(("tidemill", query))
        if ours is None:
            continue
        cells = []
        for other in ("hand", "timely", "flink", "jet"):
            s = found.get((f"{other}-in-place", query)) or found.get((other, query))
            text = "–" if s is None else f"{ours.cpu_ns / s.cpu_ns:.2f}" if other in ("hand", "timely") else f"1/{s.cpu_ns / ours.cpu_ns:.1f}"
            if s is not None and other == "hand":
                text += f", {ours.cpu_ns - s.cpu_ns:+.1f}"
            cells.append(text)
        lines.append(f"| {query} | " + " | ".join(cells) + " |")
    return lines


def markdown(result, labels):
    """`result`: what run.py has gathered."""
    lines = [f"# Comparison of {result['date']}", "", result["machine"], "",
             f"    {result['command']}", "",
             f"{result['events']:,} Nexmark events at {result['rate']:,} a second of event time, in memory, one core's worth of parallelism, "
             f"{result['rounds']} rounds in turn (A B … B A), a fresh process each. CPU of the whole process between the first event and the end of "
             "all operators, after a warm-up in the same process. bench/compare/README.md says what each number means and how each peer is set.", ""]
    if result["missing"]:
        lines += ["Left out, because they are not there:", ""] + [f"- {labels.get(n, n)}: {why}" for n, why in result["missing"].items()] + [""]
    lines += ["## CPU ns per event", ""] + cpu_table(result["summaries"], labels) + [""]
    if any(s.to_explain for s in result["summaries"]):
        lines += [f"(1) To be explained: more than 1.5 times the reference figure, which follows, scaled by {result['speed']:.2f} (this run's loops "
                  "by hand by those of the reference).", ""]
    lines += ["## Tidemill by the others", "", "CPU by CPU; 1/20 is a twentieth.", ""] + goals(result["summaries"]) + [""]
    lines += ["## All figures", "", f"Other processes had {result['others']:.2f} cores on average, at most {result['others_most']:.2f} during a turn.", ""]
    lines += full_table(result["summaries"], labels) + [""]
    if result["start_ups"]:
        lines += ["## Start-up", "", "A whole process, start to exit, with one pass of q0 over 50 events; the fastest of three.", ""]
        lines += start_up_table(result["start_ups"], labels) + [""]
    if result["plots"]:
        lines += [f"![{name}]({name})" for name in result["plots"]] + [""]
    return "\n".join(lines)


def write_csv(path, rows):
    """Dataclasses of one kind, a column a field."""
    with open(path, "w", newline="") as file:
        if not rows:
            return
        writer = csv.DictWriter(file, [f.name for f in dataclasses.fields(rows[0])])
        writer.writeheader()
        writer.writerows(dataclasses.asdict(row) for row in rows)
