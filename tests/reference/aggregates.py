"""The aggregates, each a function from the records of a window to its result; None is the "-" of an empty one.

Records come in the order of their arrival; "in time order" is by time, ties by arrival.
"""
from fractions import Fraction


def in_time_order(records):
    return sorted(records, key=lambda record: record.time)  # stable: ties stay in the order of arrival


def numbers(records):
    return [record.value for record in records]


def mean(records):
    return sum(numbers(records)) / Fraction(len(records)) if records else None


def variance(records):
    """Of the population: the mean square of the distances from the mean."""
    return sum((value - mean(records)) ** 2 for value in numbers(records)) / len(records) if records else None


def top(records, size):
    return tuple(sorted(numbers(records), reverse=True)[:size]) or None


AGGREGATES = {
    "count": lambda records: Fraction(len(records)),
    "sum": lambda records: Fraction(sum(numbers(records))),
    "mean": mean,
    "min": lambda records: min(numbers(records), default=None),
    "max": lambda records: max(numbers(records), default=None),
    "variance": variance,
    "first": lambda records: in_time_order(records)[0].value if records else None,
    "last": lambda records: in_time_order(records)[-1].value if records else None,
    "distinct": lambda records: Fraction(len({record.value for record in records})),
    "collect": lambda records: tuple(record.value for record in in_time_order(records)) or None,
    "top": top,
}
NUMBERS_ONLY = {"sum", "mean", "min", "max", "variance", "top"}
PRINTS_LISTS = {"collect", "top"}


def aggregate_function(name, size):
    """The function of aggregate `name`; `size` is the N of top(N)."""
    return (lambda records: top(records, size)) if name == "top" else AGGREGATES[name]
