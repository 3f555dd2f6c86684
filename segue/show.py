"""Values, rows and records as text: aligned for people, JSON for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from unicodedata import category, east_asian_width

ABSENT = "(absent)"
VECTOR_HEAD = 3
# Characters of a value that a source sent: titles of five thousand were seen. JSON has them all.
LONGEST_VALUE = 80
# Controls, the halves of surrogate pairs, and two line ends of Unicode's own.
UNSAFE_CATEGORIES = ("Cc", "Cs", "Zl", "Zp")
# They turn the direction of what follows, so that one name is read as another.
OVERRIDES = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def escape(text: str) -> str:
    """`text` with what would act on a terminal written as Python writes it; ends of lines stay."""
    return "".join(
        character.encode("unicode_escape").decode()
        if character != "\n" and (category(character) in UNSAFE_CATEGORIES or character in OVERRIDES)
        else character
        for character in text
    )


def format_cell(value: Any) -> str:
    """One value in one cell: 4 significant digits, the head of a vector, an instant to the second."""
    if value is None:
        return "-"
    if isinstance(value, float):
        # g alone would write 12345.6 as 1.235e+04
        return f"{value:.0f}" if 1e4 <= abs(value) < 1e15 else f"{value:.4g}"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%SZ")
    if isinstance(value, list):
        return _format_list(value)
    # A line break in a title would break the table.
    return escape(" ".join(str(value).split()))


def format_table(header: Sequence[str], rows: Iterable[Sequence[Any]], longest: int | None = None) -> str:
    """A table of lines, columns two spaces apart; columns of numbers are flush right.

    Args:
        longest: cells of more characters are cut, and say so.
    """
    body = [list(row) for row in rows]
    cells = [list(header), *([cut(format_cell(value), longest) for value in row] for row in body)]
    widths = [max(map(_cell_width, column)) for column in zip(*cells, strict=True)]
    right = [_is_numeric(column) for column in zip(*body, strict=True)] or [False] * len(widths)
    lines = ("  ".join(map(_pad, row, widths, right)).rstrip() for row in cells)
    return "\n".join(lines)


def format_records(rows: Sequence[Mapping[str, Any]], key: str, absent: Sequence[bool] = ()) -> str:
    """Looked-up rows. Few and wide ones are turned: a line per column, a column per row."""
    names = list(rows[0])
    labels = [
        cut(format_cell(row[key]), LONGEST_VALUE) + (f" {ABSENT}" if gone else "")
        for row, gone in zip(rows, absent or [False] * len(rows), strict=True)
    ]
    others = [name for name in names if name != key]
    if len(rows) <= 5 and len(others) > len(rows):
        by_column = [[name, *(row[name] for row in rows)] for name in others]
        return format_table([key, *labels], by_column, LONGEST_VALUE)
    cells = [[label, *(row[o] for o in others)] for label, row in zip(labels, rows, strict=True)]
    return format_table([key, *others], cells, LONGEST_VALUE)


def format_json_lines(rows: Iterable[Mapping[str, Any]]) -> str:
    """One JSON object a line; instants and days as ISO 8601, what JSON has no number for as null."""
    return "\n".join(map(format_json, rows))


def format_json(value: Any) -> str:
    return json.dumps(_to_json_value(value), ensure_ascii=False, allow_nan=False)


def cut(cell: str, longest: int | None) -> str:
    if longest is None or len(cell) <= longest:
        return cell
    return f"{cell[: longest // 2]}… ({len(cell):,} characters)"


def _format_list(values: list[Any]) -> str:
    head = ", ".join(format_cell(value) for value in values[:VECTOR_HEAD])
    return f"[{head}, … {len(values)}]" if len(values) > VECTOR_HEAD else f"[{head}]"


def _is_numeric(column: Iterable[Any]) -> bool:
    present = [value for value in column if value is not None]
    # a bool is an int to Python; a column of nulls is one of no numbers
    return bool(present) and all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in present
    )


def _pad(cell: str, width: int, right: bool) -> str:
    # not str.ljust, which counts characters and not terminal cells
    space = " " * (width - _cell_width(cell))
    return space + cell if right else cell + space


def _cell_width(cell: str) -> int:
    """In terminal cells: Chinese and Japanese titles take two for each character."""
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in cell)


def _to_json_value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _to_json_value(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_to_json_value(each) for each in value]
    if isinstance(value, date):  # a datetime is one too
        return value.isoformat()
    # json.dumps writes NaN and Infinity, which no strict parser reads
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
