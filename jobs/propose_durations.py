"""SQL of lengths of time by the values that are seen of a column: 205000, 205.3, 3:25 or 205,300, of some unit."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from jobs.column_values import (
    NEARLY_ALL,
    PLAIN,
    Mapped,
    cast_number,
    find_notation,
    has_fractions,
    list_texts,
    round_number,
)
from schemas.plays import MAX_PLAY_MS

# 3:25, 75:00, 1:02:03, 0:03:25.4
_CLOCK = re.compile(r"(\d+:[0-5]?\d|\d+):[0-5]\d(\.\d+)?", re.ASCII)
_CLOCK_SECONDS = "aggregate(split({}, ':'), 0d, (total, part) -> total * 60 + try_cast(part as double))"
# How many milliseconds one is.
_FACTORS = {"seconds": "1000", "milliseconds": "1", "microseconds": "1e-3", "nanoseconds": "1e-6"}


def has_lengths(values: Sequence[Any]) -> bool:
    """Whether a length of time can be read of most of these."""
    texts = list_texts(values)
    count = len(texts) if _is_clock(texts) else len(find_notation(texts).select(texts))
    return count > 0 and 2 * count >= len(values)


def map_duration(name: str, column: str, values: Sequence[Any]) -> Mapped:
    """In milliseconds; `column` is the column `name` as SQL writes it."""
    texts = list_texts(values)
    if not has_lengths(values):
        return Mapped(column, _describe_no_lengths(values), is_read=False)
    if _is_clock(texts):
        return Mapped(round_number(_CLOCK_SECONDS.format(column), "1000"), "read as m:ss or h:mm:ss")
    notation = find_notation(texts)
    numbers = sorted(notation.read(texts))
    unit, note = _find_unit(name, numbers)
    is_whole = notation is PLAIN and not has_fractions(PLAIN.select(texts))
    if is_whole and unit == "milliseconds":
        return Mapped(column, note)
    sql = round_number(cast_number(notation.format(column)), _FACTORS[unit])
    return Mapped(sql, notation.note).add(note)


def _describe_no_lengths(values: Sequence[Any]) -> str:
    problems = [value for value in values if not has_lengths([value])]
    found = "few numbers were" if len(problems) < len(values) else "no number was"
    return f"{found} seen in it" + (f"; seen: {problems[0]}" if problems else "")


def _is_clock(texts: Sequence[str]) -> bool:
    found = sum(_CLOCK.fullmatch(text) is not None for text in texts)
    return found > 0 and found >= NEARLY_ALL * len(texts)


def _find_unit(name: str, numbers: Sequence[float]) -> tuple[str, str]:
    """The unit, and what is to be checked of it."""
    by_name, by_values = _find_unit_of_name(name.lower()), _find_unit_of_values(numbers)
    if not by_name:
        return by_values, f"taken as {by_values}, by its values"
    if by_name == by_values:
        return by_name, "" if by_name == "milliseconds" else f"taken as {by_name}, by its name"
    return by_name, f"taken as {by_name}, by its name; by its values they may be {by_values}"


def _find_unit_of_name(name: str) -> str:
    if "ms" in name or "milli" in name:
        return "milliseconds"
    return "seconds" if "sec" in name else ""


def _find_unit_of_values(numbers: Sequence[float]) -> str:
    """Of sorted numbers."""
    median, high = numbers[len(numbers) // 2], numbers[len(numbers) * 19 // 20]
    # a track of 1,000 s is rare, and one of 1,000 ms too, but for plays that are skipped at once; no play is longer
    # than a day
    if median < 1000 and high * 1000 <= MAX_PLAY_MS:
        return "seconds"
    if median <= MAX_PLAY_MS:
        return "milliseconds"
    return "microseconds" if median <= 1000 * MAX_PLAY_MS else "nanoseconds"
