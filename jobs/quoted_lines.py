"""Whether the quotes of lines are those of CSV, or parts of names, as texts with tabs often have them. No Spark."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence

from jobs.column_values import NEARLY_ALL


def cut(line: str, separator: str, quote: str = '"') -> list[str]:
    """The fields of a line."""
    if len(separator) > 1 or not quote:
        return line.split(separator)
    try:
        return next(csv.reader([line], delimiter=separator), [])
    except csv.Error:  # a carriage return within, or a field longer than the reader takes
        return line.split(separator)


def find_width(lines: Sequence[str], separator: str) -> tuple[int, float]:
    """How many columns most lines have, and the part of the lines that have them."""
    counts = [len(cut(line, separator)) for line in lines[:50]]
    commonest = max(set(counts), key=counts.count)
    return commonest, counts.count(commonest) / len(counts)


def hides_rows(lines: Sequence[str], separator: str, width: int) -> bool:
    """Of lines that a quote makes one record: whether each is a row by itself, so that the quote closes nothing."""
    fitting = [line for line in lines if width in (len(line.split(separator)), len(cut(line, separator)))]
    return len(fitting) >= NEARLY_ALL * len(lines)


def are_parts_of_names(lines: Sequence[str], separator: str) -> bool:
    """Whether rows are right without quotes: more have one that is never closed than need theirs."""
    mark = re.escape(separator)
    whole = re.compile(rf'(?:\A|{mark})"((?:[^"]|"")*)"(?={mark}|\Z)')
    fields = [whole.findall(line) for line in lines]
    needed = sum(any(separator in field or '""' in field for field in each) for each in fields)
    opened = sum(bool(re.search(rf'(?:\A|{mark})"', whole.sub("", line))) for line in lines)
    return needed <= opened and 2 * sum(map(bool, fields)) <= len(lines)
