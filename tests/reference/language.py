"""The scenario file format: text in, a Scenario out, or a Mistake with its line and column."""
import re
from collections import namedtuple

from aggregates import AGGREGATES, NUMBERS_ONLY, PRINTS_LISTS
from keyed import is_command
from values import KEY, INFINITY, canonical_row, read_time, read_value

Scenario = namedtuple("Scenario", "stages steps")
# One stage of the pipeline: `kind`, `parameters` by name (defaults filled in), `aggregate` (a name) and its `size` (of top(N)).
Stage = namedtuple("Stage", "kind parameters aggregate size")
# One step: `verb`, `inputs` (indices it speaks of, None for a step without inputs), `value` (records, time, duration or parallelism),
# `rows` (canonical spellings), `text` as written without its rows.
Step = namedtuple("Step", "line text verb inputs value rows")
GivenRecord = namedtuple("GivenRecord", "key time value")
Word = namedtuple("Word", "text line column")


class Mistake(Exception):
    def __init__(self, word, text):
        super().__init__(text)
        self.line, self.column = word.line, word.column


# Parameters of a kind: name -> (how it is read, default). REQUIRED has no default.
REQUIRED = object()
EMISSION = {"emit": ("close|update", "close"), "early": ("duration", None), "early_processing": ("duration", None),
            "changes_only": ("flag", False)}
KINDS = {
    "tumbling": {"size": ("duration", REQUIRED), "offset": ("time", 0), **EMISSION},
    "sliding": {"size": ("duration", REQUIRED), "slide": ("duration", REQUIRED), "offset": ("time", 0), **EMISSION},
    "session": {"gap": ("duration", REQUIRED), **EMISSION},
    "global": {"count": ("count to 999999999", None), "every": ("count to 999999999", None)},
    "trailing": {"windows": ("durations", REQUIRED), "resolution": ("auto|exact|duration", REQUIRED),
                 "emit": ("on_record|on_watermark|coalesced", "on_record"), "interval": ("duration", None),
                 "empty": ("row|delete", "row"), "changes_only": ("flag", False)},
    "window-join": {"size": ("duration", REQUIRED), "slide": ("duration", None), "offset": ("time", 0)},
    "interval-join": {"type": ("inner|left|right|outer", "inner"), "lower": ("time", REQUIRED), "upper": ("time", REQUIRED)},
    "asof-join": {"type": ("inner|left", "inner")},
    "dedup": {"keep": ("first|last", REQUIRED), "within": ("duration", None)},
    "topn": {"n": ("count to 999999999", REQUIRED), "order": ("desc|asc", "desc")},
    "timers": {},
    "watermarks": {},
}
TWO_INPUTS = ("window-join", "interval-join", "asof-join")
COMMON = {"partitions": ("count to 1000", 1), "disorder": ("duration or 0", None), "idle": ("off|duration", None),
          "drift": ("off|duration or 0", None), "parallelism": ("count to 128", 1)}
LATENESS = {"lateness": ("duration or 0", 0)}
WITHOUT_LATENESS = {"watermarks", "global", "dedup", "topn", "timers", *TWO_INPUTS}
WITHOUT_AGGREGATE = {"watermarks", "dedup", "topn", "timers", *TWO_INPUTS}
CAN_BE_FIRST_OF_TWO = {"tumbling", "sliding", "session", "global", "dedup", *TWO_INPUTS}

TOKEN = re.compile(r"[^ \t]+")
COMMENT = re.compile(r"(^|[ \t])#.*")


def read_scenario(text):
    stages, steps, ended = None, [], set()
    for number, line in enumerate(text.split("\n"), 1):
        line = COMMENT.sub("", line.rstrip("\r"))
        words = [Word(match[0], number, match.start() + 1) for match in TOKEN.finditer(line)]
        if not words:
            continue
        if stages is None:
            stages = read_pipeline(words)
        elif words[0].text == "->":
            add_rows(words, steps)
        else:
            steps.append(read_step(words, line, stages, ended))
    if stages is None:
        raise Mistake(Word("", 1, 1), "a scenario begins with its pipeline: the file has none")
    return Scenario(stages, steps)


# The pipeline line.

def read_pipeline(words):
    if words[0].text != "pipeline":
        raise Mistake(words[0], f"the first line is the pipeline: {words[0].text}")
    parts, start = [], 1
    for end in [i for i, word in enumerate(words) if word.text == "|"] + [len(words)]:
        if start == end:
            raise Mistake(words[min(end, len(words) - 1)], "a stage is missing: pipeline STAGE, or STAGE | STAGE")
        parts.append(words[start:end])
        start = end + 1
    if len(parts) > 2:
        raise Mistake(parts[2][0], "a pipeline has one or two stages")
    stages = [read_stage(part, first=i == 0) for i, part in enumerate(parts)]
    if len(stages) == 2:
        if stages[0].kind not in CAN_BE_FIRST_OF_TWO or deletes_rows(stages[0]):
            raise Mistake(parts[0][0], f"this kind cannot be the first of two stages: {stages[0].kind}")
        if stages[1].kind in TWO_INPUTS:
            raise Mistake(parts[1][0], f"the second stage has one input, this kind has two: {stages[1].kind}")
        if (stages[0].aggregate in PRINTS_LISTS or stages[0].kind in TWO_INPUTS) and stages[1].aggregate in NUMBERS_ONLY:
            raise Mistake(parts[1][0], f"{stages[1].aggregate} takes numbers only, not lists: {stages[0].kind}")
    return stages


def deletes_rows(stage):
    parameters = stage.parameters
    return stage.kind == "session" and bool(
        parameters["lateness"] or parameters["early"] or parameters["early_processing"] or parameters["emit"] == "update")


def read_stage(words, first):
    kind = words[0].text
    if kind not in KINDS:
        raise Mistake(words[0], f"unknown kind: {kind}")
    known = dict(KINDS[kind])
    if first:
        known |= COMMON if kind in WITHOUT_LATENESS else COMMON | LATENESS
        if kind in TWO_INPUTS:
            known.pop("partitions")
    given, aggregate, size = {}, None, None
    for word in words[1:]:
        name, equals, value = word.text.partition("=")
        if name in known and (equals or known[name][0] == "flag"):
            if name in given:
                raise Mistake(word, f"given twice: {name}")
            given[name] = read_parameter(word, known[name][0], equals, value)
        elif equals:
            raise Mistake(word, f"unknown parameter of {kind}: {name}")
        else:
            if aggregate or kind in WITHOUT_AGGREGATE:
                raise Mistake(word, f"{kind} takes no further aggregate or parameter: {word.text}")
            aggregate, size = read_aggregate(word)
    for name, (_, default) in known.items():
        if name not in given:
            if default is REQUIRED:
                raise Mistake(words[0], f"{kind} needs the parameter: {name}")
            given[name] = default
    if kind in TWO_INPUTS:
        given["partitions"] = 2
    if kind == "interval-join" and given["lower"] > given["upper"]:
        raise Mistake(words[0], "lower is greater than upper")
    if kind == "trailing" and (given["emit"] == "coalesced") != (given["interval"] is not None):
        raise Mistake(words[0], "interval goes with emit=coalesced, and with it only")
    if kind == "global" and (given["count"] is None) == (given["every"] is None):
        raise Mistake(words[0], "global needs one of count and every")
    if kind == "dedup" and given["within"] is not None and given["keep"] != "first":
        raise Mistake(words[0], "within goes with keep=first")
    return Stage(kind, given, None if kind in WITHOUT_AGGREGATE else aggregate or "count", size)


def read_aggregate(word):
    match = re.fullmatch(r"top\(([0-9]{1,9})\)", word.text)
    if match and int(match[1]) > 0:
        return "top", int(match[1])
    if word.text in AGGREGATES and word.text != "top":
        return word.text, None
    raise Mistake(word, f"unknown aggregate or parameter: {word.text}")


def read_parameter(word, form, equals, text):
    """`text` read as one of the forms that `form` lists, between bars."""
    if form == "flag":
        if equals:
            raise Mistake(word, f"takes no value: {word.text}")
        return True
    for choice in form.split("|"):
        if text == choice:
            return None if text == "off" else text
        value = None
        if choice.startswith("duration") and choice != "durations" or choice == "time":
            value = read_time(text)
            if value is not None and choice != "time" and value < (0 if choice == "duration or 0" else 1):
                value = None
        elif choice == "durations":
            value = [read_time(part) for part in text.split(",")]
            if None in value or min(value) <= 0 or len(set(value)) < len(value):
                value = None
        elif choice.startswith("count to ") and re.fullmatch("[0-9]{1,9}", text) and 0 < int(text) <= int(choice.split()[2]):
            value = int(text)
        if value is not None:
            return value
    raise Mistake(word, f"not a {form}: {word.text}")


# Steps and rows.

def read_step(words, line, stages, ended):
    arrow = next((i for i, word in enumerate(words) if word.text == "->"), len(words))
    said, rows = words[:arrow], read_rows(words[arrow:]) if arrow < len(words) else []
    text = line[:words[arrow].column - 1] if arrow < len(words) else line
    verb, inputs, value = read_action(said, stages, ended)
    return Step(words[0].line, text.strip(), verb, inputs, value, rows)


def add_rows(words, steps):
    if not steps:
        raise Mistake(words[0], "there is no step above to add rows to")
    steps[-1].rows.extend(read_rows(words))


def read_rows(words):
    """The canonical rows after an arrow."""
    arrow, words = words[0], words[1:]
    if not words:
        raise Mistake(arrow, "rows, or nothing, must follow the arrow")
    if len(words) == 1 and words[0].text == "nothing":
        return []
    rows, row = [], []
    for word in words:
        row.append(word)
        if word.text in ("late", "delete", "fire") and len(row) == 1:
            continue
        if word.text in ("left", "right") and len(row) == 2 and row[0].text == "late":
            continue
        rows.append(one_row(row))
        row = []
    if row:
        rows.append(one_row(row))
    return rows


def one_row(words):
    row = canonical_row([word.text for word in words])
    if row is None:
        raise Mistake(words[0], "not a row: " + " ".join(word.text for word in words))
    return row


def read_action(words, stages, ended):
    """(verb, inputs, value) of a step. `ended` are the inputs that have said their end; it is kept up to date."""
    verb, arguments = words[0].text, words[1:]
    names = input_names(stages[0])
    if verb == "in":
        target, arguments = take_input(words[0], arguments, names, lambda word: "@" in word.text)
        speaks(words[0], target, ended)
        if not arguments:
            raise Mistake(words[0], "a batch needs at least one record")
        return verb, [target], [read_record(word, stages, target) for word in arguments]
    if verb == "watermark":
        if len(arguments) not in (1, 2):
            raise Mistake(words[0], "watermark [INPUT] TIME")
        time = read_time(arguments[-1].text, infinite=True)
        if time is None:
            raise Mistake(arguments[-1], f"not a time: {arguments[-1].text}")
        return verb, named_or_all(words[0], arguments[:-1], names, ended), time
    if verb == "end":
        inputs = named_or_all(words[0], arguments, names, ended)
        ended.update(inputs)
        return verb, inputs, None
    if verb in ("idle", "active", "pause", "resume"):
        target, rest = take_input(words[0], arguments, names, lambda word: False)
        if rest:
            raise Mistake(rest[0], f"nothing may follow: {rest[0].text}")
        if verb in ("idle", "active"):
            speaks(words[0], target, ended)
        return verb, [target], None
    if verb == "advance":
        duration = read_time(arguments[0].text) if len(arguments) == 1 else None
        if duration is None or duration < 0:
            raise Mistake(words[-1], "advance DURATION, not negative")
        return verb, None, duration
    if verb == "restart":
        match = re.fullmatch("parallelism=([0-9]{1,9})", arguments[0].text) if len(arguments) == 1 else None
        if arguments and (not match or not 0 < int(match[1]) <= 128):
            raise Mistake(arguments[0], "restart [parallelism=N]")
        return verb, None, int(match[1]) if match else None
    raise Mistake(words[0], f"unknown step: {verb}")


def input_names(first):
    return ["left", "right"] if first.kind in TWO_INPUTS else [f"p{i}" for i in range(first.parameters["partitions"])]


def take_input(step, arguments, names, is_no_input):
    """The input a step names first, and what follows it. With one partition it may be left out."""
    choice = f"{names[0]} to {names[-1]}"
    if not arguments or is_no_input(arguments[0]):
        if len(names) > 1:
            raise Mistake(step, f"which input? one of {choice}")
        return 0, arguments
    if arguments[0].text not in names:
        raise Mistake(arguments[0], f"unknown input, not {choice}: {arguments[0].text}")
    return names.index(arguments[0].text), arguments[1:]


def named_or_all(step, arguments, names, ended):
    """The input that `arguments` name, or else all that have not ended."""
    if not arguments:
        return [i for i in range(len(names)) if i not in ended]
    target, rest = take_input(step, arguments, names, lambda word: False)
    if rest:
        raise Mistake(rest[0], f"nothing may follow: {rest[0].text}")
    speaks(step, target, ended)
    return [target]


def speaks(step, target, ended):
    if target in ended:
        raise Mistake(step, f"this input has ended: p{target}")


def read_record(word, stages, target):
    key, at, rest = word.text.partition("@")
    time_text, equals, value_text = rest.partition("=")
    time = read_time(time_text)
    value = read_value(value_text if equals else "1")
    if stages[0].kind == "timers" and is_command(value_text):
        value = value_text
    is_deletion = stages[0].kind == "asof-join" and target == 1 and value_text == "-"
    if not (at and KEY.fullmatch(key) and time is not None and time < INFINITY and (value is not None or is_deletion)):
        raise Mistake(word, f"not a record KEY@TIME[=VALUE]: {word.text}")
    takes_numbers = stages[0].aggregate in NUMBERS_ONLY or (
        (stages[0].aggregate in ("first", "last") or stages[0].kind == "dedup") and len(stages) == 2 and stages[1].aggregate in NUMBERS_ONLY)
    if takes_numbers and isinstance(value, str):
        raise Mistake(word, f"the aggregate takes numbers only: {word.text}")
    return GivenRecord(key, time, value)
