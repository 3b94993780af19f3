"""Times, numbers and results of the scenario language: how they are read and how they are printed.

A time is an int of milliseconds, with two infinities. A number is a Fraction, so that the model never rounds before it prints.
A result is a Fraction, a word (str), None for "-", or a tuple of results.
"""
import re
from fractions import Fraction

DIGITS = 15  # a number of a record has at most, a result is compared to
INFINITY = 2**63 - 1
MINUS_INFINITY = -(2**63)

UNITS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1))
TIME = re.compile(r"(-?[0-9]+)(ms|s|m|h|d)?")
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
WORD = re.compile(r"[A-Za-z0-9_.]+")
KEY = re.compile(r"[A-Za-z0-9_]+")


def add(time, duration):
    """time + duration, staying within the infinities; an infinity stays what it is."""
    if time in (INFINITY, MINUS_INFINITY):
        return time
    return max(MINUS_INFINITY, min(INFINITY, time + duration))


def read_time(text, infinite=False):
    """The time that `text` spells, or None. "inf" and "-inf" only where `infinite`."""
    if infinite and text in ("inf", "-inf"):
        return INFINITY if text == "inf" else MINUS_INFINITY
    match = TIME.fullmatch(text)
    if not match:
        return None
    time = int(match[1]) * dict(UNITS)[match[2] or "ms"]
    return time if MINUS_INFINITY < time < INFINITY else None


def print_time(time):
    if time == INFINITY:
        return "inf"
    if time == MINUS_INFINITY:
        return "-inf"
    if time == 0:
        return "0"
    for unit, length in UNITS:
        if time % length == 0:
            return f"{time // length}{unit}"


def read_value(text):
    """A number or a word, or None."""
    if NUMBER.fullmatch(text):
        return Fraction(text) if sum(letter.isdigit() for letter in text) <= DIGITS else None
    return text if WORD.fullmatch(text) else None


def print_number(number):
    """To 6 decimals and at most DIGITS digits, half to even, without trailing zeros."""
    whole = len(str(int(abs(number)))) if abs(number) >= 1 else 0
    unit = Fraction(10) ** min(6, DIGITS - whole)
    millionths = int(round(number * unit) / unit * 1_000_000)
    sign = "-" if millionths < 0 else ""
    whole, rest = divmod(abs(millionths), 1_000_000)
    return f"{sign}{whole}.{rest:06}".rstrip("0").rstrip(".")


def print_result(result):
    if result is None:
        return "-"
    if isinstance(result, tuple):
        return "(" + ",".join(print_result(part) for part in result) + ")"
    return result if isinstance(result, str) else print_number(result)


def split_commas(text):
    """Splits at the commas outside parentheses; None if the parentheses do not match."""
    parts, depth, part = [], 0, ""
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if depth < 0:
            return None
        if letter == "," and depth == 0:
            parts.append(part)
            part = ""
        else:
            part += letter
    return parts + [part] if depth == 0 else None


def canonical_result(text):
    """The canonical spelling of a result, or None if `text` is none."""
    if text == "-":
        return text
    if text.startswith("(") and text.endswith(")"):
        parts = split_commas(text[1:-1])
        parts = [canonical_result(part) for part in parts] if parts else [None]
        return None if None in parts else "(" + ",".join(parts) + ")"
    value = Fraction(text) if NUMBER.fullmatch(text) else read_value(text)
    return None if value is None else print_result(value)


WINDOW_ROW = re.compile(r"(?P<key>\w+)\[(?P<start>[^,\[\])]+),(?P<end>[^,\[\])]+)\)(?:=(?P<result>.+))?", re.ASCII)
POINT_ROW = re.compile(r"(?P<key>\w+)@(?P<time>[^={]+)(?:=(?P<result>.+))?", re.ASCII)
RANK_ROW = re.compile(r"(?P<key>\w+)#(?P<rank>[1-9][0-9]{0,8})=(?P<result>.+)", re.ASCII)
TIMER_ROW = re.compile(r"(?P<key>\w+)@(?P<clock>p?)(?P<time>[^/]+)(?P<name>/\w+)?", re.ASCII)
TRAILING_ROW = re.compile(r"(?P<key>\w+)@(?P<time>[^={]+)\{(?P<results>.+)\}", re.ASCII)


def window_row(key, start, end, result):
    return f"{key}[{print_time(start)},{print_time(end)})={print_result(result)}"


def delete_row(key, start, end):
    return f"delete {key}[{print_time(start)},{print_time(end)})"


def point_row(key, time, result):
    return f"{key}@{print_time(time)}={print_result(result)}"


def trailing_row(key, time, windows, results):
    inner = ",".join(f"{print_time(window)}={print_result(result)}" for window, result in zip(windows, results))
    return f"{key}@{print_time(time)}{{{inner}}}"


def late_row(key, time, value):
    text = print_result(value)
    return f"late {key}@{print_time(time)}" + ("" if text == "1" else f"={text}")


def canonical_row(words):
    """The canonical spelling of an expected row, given as its blank-separated words; None if it is no row."""
    if len(words) == 2 and words[0] == "fire":
        return canonical_fire(words[1])
    if len(words) == 2 and words[0] in ("late", "delete"):
        return canonical_prefixed(words[0], words[1])
    if len(words) == 3 and words[0] == "late" and words[1] in ("left", "right"):
        row = canonical_prefixed("late", words[2])
        return row and row.replace("late ", f"late {words[1]} ", 1)
    if len(words) != 1:
        return None
    row = words[0]
    if row in ("idle", "active"):
        return row
    if row.startswith("w="):
        time = read_time(row[2:], infinite=True)
        return None if time is None else f"w={print_time(time)}"
    if match := RANK_ROW.fullmatch(row):
        result = canonical_result(match["result"])
        return f"{match['key']}#{match['rank']}={result}" if result else None
    if match := WINDOW_ROW.fullmatch(row):
        bounds, result = canonical_bounds(match), canonical_result(match["result"] or "")
        return f"{bounds}={result}" if bounds and result else None
    if match := TRAILING_ROW.fullmatch(row):
        return canonical_trailing(match)
    if match := POINT_ROW.fullmatch(row):
        time, result = read_time(match["time"]), canonical_result(match["result"] or "")
        return f"{match['key']}@{print_time(time)}={result}" if time is not None and result else None
    return None


def canonical_fire(row):
    match = TIMER_ROW.fullmatch(row)
    time = read_time(match["time"]) if match else None
    return None if time is None else f"fire {match['key']}@{match['clock']}{print_time(time)}{match['name'] or ''}"


def canonical_prefixed(prefix, row):
    if prefix == "delete" and (match := WINDOW_ROW.fullmatch(row)):
        bounds = canonical_bounds(match)
        return f"delete {bounds}" if bounds and match["result"] is None else None
    match = POINT_ROW.fullmatch(row)
    time = read_time(match["time"]) if match else None
    if time is None:
        return None
    if prefix == "delete":
        return f"delete {match['key']}@{print_time(time)}" if match["result"] is None else None
    result = canonical_result(match["result"] or "1")
    if result is None:
        return None
    return f"late {match['key']}@{print_time(time)}" + ("" if result == "1" else f"={result}")


def canonical_bounds(match):
    start, end = read_time(match["start"], infinite=True), read_time(match["end"], infinite=True)
    return None if start is None or end is None else f"{match['key']}[{print_time(start)},{print_time(end)})"


def canonical_trailing(match):
    """`KEY@TIME{5m=R,1h=R}`, with the windows from the shortest to the longest."""
    time, results = read_time(match["time"]), {}
    for part in split_commas(match["results"]) or [""]:
        window, _, result = part.partition("=")
        window, result = read_time(window), canonical_result(result)
        if window is None or result is None or window in results:
            return None
        results[window] = result
    if time is None:
        return None
    inner = ",".join(f"{print_time(window)}={results[window]}" for window in sorted(results))
    return f"{match['key']}@{print_time(time)}{{{inner}}}"
