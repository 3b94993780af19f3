"""Call stacks as perf and callgrind tell of them, added up: a stack, from the outermost function on, to what was spent in it."""
import collections
import re

HEX = re.compile(r"^\s+([0-9a-f]+) (.*)$")


class Unreadable(Exception):
    """What a profiler wrote is not what is read here."""


def without_arguments(name):
    """A C++ function's name without what is in brackets: templates nest deeper than anybody reads."""
    name = name.removesuffix(" [clone .isra.0]").replace("(anonymous namespace)", "{}").replace("operator()", "operator{}")
    name = name.replace("operator<<", "operator{2}").replace("operator<", "operator{1}").replace("->", "{3}")
    kept, depth = [], 0
    for char in name:
        if char in "<([":
            depth += 1
        elif char in ">)]":
            depth = max(0, depth - 1)
        elif depth == 0:
            kept.append(char)
    short = "".join(kept).replace("operator{2}", "operator<<").replace("operator{1}", "operator<").replace("operator{}", "operator()")
    short = re.sub(r"\{\}::", "", short).replace("{3}", "->")
    short = re.sub(r"\s*(const|volatile|&|&&)*$", "", short.strip())
    # What is left of a return type in front of the name.
    words = short.split(" ")
    return next((" ".join(words[i:]) for i, word in enumerate(words) if word.startswith("operator") or "::operator" in word), words[-1]) or name


def of_perf(lines):
    """Folds `perf script -F comm,ip,sym`: a line for each sample's thread, then its frames from the innermost on, then an empty one."""
    folded = collections.Counter()
    frames, in_sample = [], False
    for line in [*lines, ""]:
        line = line.rstrip("\n")
        if not line.strip():
            if frames:
                folded[tuple(reversed(frames))] += 1
            frames, in_sample = [], False
        elif not in_sample and not line.startswith((" ", "\t")):
            in_sample = True
        elif (frame := HEX.match(line)) and in_sample:
            frames.append(frame[2].strip())
        else:
            raise Unreadable(f"neither a thread nor a frame: {line!r}")
    return folded


def below(folded, function):
    """The stacks from `function` on, of those that have it; a name without its arguments."""
    found = collections.Counter()
    for stack, spent in folded.items():
        at = next((i for i, frame in enumerate(stack) if without_arguments(frame) == function), None)
        if at is not None:
            found[stack[at:]] += spent
    return found


class CallGraph:
    """What callgrind wrote: each function's own cost, and what it spent in each that it calls."""

    def __init__(self, lines):
        self.own = collections.Counter()
        self.calls = collections.defaultdict(collections.Counter)
        self._names = {}
        self._read(iter(lines))
        if not self.own:
            raise Unreadable("no function has a cost")

    def _read(self, lines):
        function = called = None
        for line in lines:
            line = line.rstrip("\n")
            if line.startswith("fn="):
                function = self._name(line[3:])
            elif line.startswith("cfn="):
                called = self._name(line[4:])
            elif line.startswith("calls="):
                self.calls[function][called] += int(next(lines).split()[1])
            elif function is not None and re.match(r"^[+\-*\d]", line):
                self.own[function] += int(line.split()[1])

    def _name(self, text):
        """Names are written once and called by their number after that: `(3) name`, then `(3)`."""
        number, _, name = text.partition(" ")
        if name:
            self._names[number] = name.split("'")[0]
        if number not in self._names:
            raise Unreadable(f"a function without a name: {text!r}")
        return self._names[number]


def of_callgrind(lines, least=0.0005):
    """Stacks by callgrind's call graph.

    It knows who called whom, not through whom: what a function spends is shared among its callers as their calls were. Recursion is cut.
    """
    graph = CallGraph(lines)
    whole = {name: graph.own[name] + sum(graph.calls[name].values()) for name in {*graph.own, *graph.calls}}
    called = {name for calls in graph.calls.values() for name in calls}
    total = sum(graph.own.values())
    folded = collections.Counter()

    def go(name, path, share):
        path = (*path, name)
        folded[path] += round(graph.own[name] * share)
        for callee, cost in graph.calls[name].items():
            if callee in path or cost * share < least * total:
                folded[path] += round(cost * share)
            else:
                go(callee, path, share * cost / max(1, whole.get(callee, cost)))

    for root in sorted(name for name in whole if name not in called):
        go(root, (), 1.0)
    return +folded
