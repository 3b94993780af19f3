"""Checks the rows of `emit: on_record`, whose order between partitions is free.

For one key: is there an order of its accepted events, keeping the offset order of each partition,
that explains every row in its place? A record's row holds at T, the largest of the key's event
times and decay instants so far; a decay row at E follows only when the watermark may be beyond E,
so when every partition has delivered all up to the first event of a time > E + disorder.
A decay that a later record overtook (the watermark was not yet beyond it) makes no row.
"""

import bisect
import collections

import oracle

TOLERANCE = 1e-9


def same_row(actual, expected):
    """Equal but for the averages, which may differ by 1e-9 (relative above 1)."""
    if actual == expected:
        return True
    if len(actual) != len(expected):
        return False
    last_average = len(expected) - 3
    for i, (a, e) in enumerate(zip(actual, expected)):
        if a == e:
            continue
        if i % 3 != 0 or not 0 < i <= last_average or type(a) not in (int, float) or e is None:
            return False
        if not abs(a - e) <= TOLERANCE * max(1.0, abs(e)):
            return False
    return True


class _Window:
    """One window's counted events: those of the key's live list from `start` on."""
    __slots__ = ("span", "start", "total", "actions")

    def __init__(self, span, start=0, total=0, actions=None):
        self.span = span
        self.start = start
        self.total = total
        self.actions = actions if actions is not None else {}

    def copy(self):
        return _Window(self.span, self.start, self.total, dict(self.actions))


class _Key:
    """A key after some of its events and decays. `live` is sorted and holds at least what the
    largest window counts."""

    def __init__(self, settings, exact):
        self.exact = exact
        self.largest = settings.largest
        self.live = []
        self.windows = [_Window(span) for span in settings.windows]
        self.instant = None
        self.next = {}  # partition -> events of this key taken from it

    def copy(self):
        twin = object.__new__(_Key)
        twin.exact, twin.largest, twin.instant = self.exact, self.largest, self.instant
        twin.live = list(self.live)
        twin.windows = [window.copy() for window in self.windows]
        twin.next = dict(self.next)
        return twin

    def next_decay(self):
        """The next instant after now at which a counted event leaves a window, or None."""
        first = None
        for window in self.windows:
            if window.start < len(self.live):
                instant = oracle.expiry(self.live[window.start].time, window.span)
                if first is None or instant < first:
                    first = instant
        return first

    def advance(self, instant):
        """Drops what has left its window at `instant`."""
        self.instant = instant
        for window in self.windows:
            while (window.start < len(self.live)
                   and oracle.expiry(self.live[window.start].time, window.span) <= instant):
                event = self.live[window.start]
                window.start += 1
                window.total -= self.exact.integer[event.value]
                left = window.actions[event.action] - 1
                if left:
                    window.actions[event.action] = left
                else:
                    del window.actions[event.action]
        dead = self.windows[self.largest].start
        if dead > 64:  # forget what no window counts (the largest lets go last)
            del self.live[:dead]
            for window in self.windows:
                window.start -= dead

    def add(self, event):
        self.next[event.partition] = self.next.get(event.partition, 0) + 1
        self.advance(event.time if self.instant is None else max(self.instant, event.time))
        at = bisect.bisect(self.live, event)
        self.live.insert(at, event)
        for window in self.windows:
            if oracle.expiry(event.time, window.span) > self.instant:
                window.total += self.exact.integer[event.value]
                window.actions[event.action] = window.actions.get(event.action, 0) + 1
            else:
                window.start += 1  # it was never counted here

    def row(self):
        row = [self.instant]
        for window in self.windows:
            count = len(self.live) - window.start
            row += (count, len(window.actions), self.exact.average(window.total, count))
        if self.windows[self.largest].start < len(self.live):
            row += (self.live[-1].action, self.live[-1].time)
        else:
            row += (None, None)
        return tuple(row)


class Checker:
    """`judged`: the oracle's verdict on the whole input; `end`: the last instant that decays.

    `strict_watermark` off: a partition may have gone idle, then a decay proves nothing about it.
    """

    def __init__(self, judged, settings, end, strict_watermark=True):
        self._settings = settings
        self._highs = judged.highs
        self._end = end
        self._strict = strict_watermark

    def explain(self, events, rows):
        """None if the rows are explained, else (index of the first row that is not, text)."""
        queues = collections.defaultdict(list)
        for event in sorted(events, key=lambda event: (event.partition, event.offset)):
            queues[event.partition].append(event)
        partitions = sorted(queues)
        best = (0, "no event explains it")
        seen = set()
        # Depth first. Row number and events taken from each partition say all about a state.
        stack = [(0, _Key(self._settings, oracle.ExactSum(events)))]
        while stack:
            index, key = stack.pop()
            while True:
                place = (index, tuple(key.next.get(p, 0) for p in partitions))
                if place in seen:
                    break
                seen.add(place)
                if index == len(rows):
                    problem = self._unfinished(key, queues)
                    if problem is None:
                        return None
                    if index >= best[0]:
                        best = (index, problem)
                    break
                following = self._candidates(key, queues, partitions, rows[index])
                if not following:
                    if index >= best[0]:
                        best = (index, self._why(key, queues))
                    break
                index += 1
                key = following[0]
                stack.extend((index, other) for other in following[1:])
        return best

    def _candidates(self, key, queues, partitions, row):
        """The key after each cause that explains `row`: the next decay or an event."""
        found = []
        instant = row[0]
        if key.next_decay() == instant and self._may_decay(key, queues, instant):
            after = key.copy()
            after.advance(instant)
            if same_row(row, after.row()):
                found.append(after)
        for partition in partitions:
            taken = key.next.get(partition, 0)
            if taken == len(queues[partition]):
                continue
            event = queues[partition][taken]
            if key.instant is None or event.time > key.instant:
                if event.time != instant:
                    continue
            elif key.instant != instant:
                continue
            after = key.copy()
            after.add(event)
            if same_row(row, after.row()):
                found.append(after)
        return found

    def _may_decay(self, key, queues, instant):
        """Whether the watermark may be beyond `instant`, given the events this key has taken."""
        if instant > self._end:
            return False
        if not self._strict:
            return True
        for partition, queue in queues.items():
            taken = key.next.get(partition, 0)
            if taken == len(queue):
                continue
            times, offsets = self._highs[partition]
            passed = bisect.bisect(times, instant + self._settings.disorder)
            # Never passed: the partition had to end first, with all of its events taken.
            if passed == len(times) or queue[taken].offset <= offsets[passed]:
                return False
        return True

    def _unfinished(self, key, queues):
        left = sum(len(queue) for queue in queues.values()) - sum(key.next.values())
        if left:
            return f"{left} accepted events have no row"
        decay = key.next_decay()
        if decay is not None and decay <= self._end:
            return f"the decay at {oracle.format_iso(decay)} has no row"
        return None

    def _why(self, key, queues):
        taken = sum(key.next.values())
        total = sum(len(queue) for queue in queues.values())
        decay = key.next_decay()
        text = f"after {taken} of {total} events of this key no event explains it"
        return text if decay is None else f"{text}, nor the decay at {oracle.format_iso(decay)}"
