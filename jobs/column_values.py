"""How values that are seen of a column are written, and the SQL that reads such numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

# Of values, to be sure of a notation other than plain numbers and ISO.
NEARLY_ALL = 0.95
# Ids that pandas writes of whole numbers in a column with nulls; with more digits a float has lost some.
WHOLE_FLOAT = re.compile(r"[0-9]{1,15}[.]0+")
WHOLE_NUMBER_SQL = "regexp_replace({}, '[.]0+$', '')"


@dataclass(frozen=True)
class Mapped:
    """SQL of a column, and what its reader should look at; not `is_read` where what was seen would reject the rows."""

    sql: str
    note: str = ""
    is_read: bool = True

    def add(self, note: str) -> Mapped:
        return replace(self, note="; ".join(filter(None, (self.note, note))))


@dataclass(frozen=True)
class Notation:
    """Numbers of a `pattern`, in which `mark` is replaced by `put` before they are read."""

    pattern: str
    mark: str = ""
    put: str = ""
    note: str = ""

    def select(self, texts: Iterable[str]) -> list[str]:
        """Those that are written so; digits of other scripts are none to SQL."""
        return [text for text in texts if re.fullmatch(self.pattern, text, re.ASCII)]

    def read(self, texts: Iterable[str]) -> list[float]:
        selected = self.select(texts)
        return [float(text.replace(self.mark, self.put) if self.mark else text) for text in selected]

    def format(self, column: str) -> str:
        return f"replace({column}, '{self.mark}', '{self.put}')" if self.mark else column


# As SQL reads them: Python takes 1_000 and nan as well.
PLAIN = Notation(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_THOUSANDS = {",": "commas", ".": "points", " ": "spaces", "\u00a0": "spaces", "\u202f": "spaces"}
NOTATIONS = (
    PLAIN,
    Notation(r"\d+(,(\d{1,2}|\d{4,}))?", ",", ".", "a comma is taken as the decimal point"),
    *(
        Notation(rf"\d{{1,3}}({re.escape(mark)}\d{{3}})*", mark, "", f"{name} are taken as between thousands")
        for mark, name in _THOUSANDS.items()
    ),
)


def list_texts(values: Iterable[Any]) -> list[str]:
    """As SQL has them: of numbers and texts; a truth value or a span of time is neither."""
    return [str(value).strip() for value in values if type(value) in (str, int, float, Decimal)]


def map_unread(
    column: str, values: Sequence[Any], has: Callable[[Sequence[Any]], bool], what: str
) -> Mapped | None:
    """The column as it is, where no value is seen or most are none of `what`, by `has`; None where they are."""
    if not values:
        return Mapped(column, "no value was seen in it")
    if has(values):
        return None
    problem = next(value for value in values if not has([value]))
    return Mapped(column, f"no {what} were seen in it; seen: {problem}", is_read=False)


def trim(column: str, values: Iterable[Any]) -> str:
    """`column`, without blanks at its ends where some are seen: a pattern reads none."""
    has_blanks = any(isinstance(value, str) and value != value.strip(" ") for value in values)
    return f"btrim({column})" if has_blanks else column


def find_notation(texts: Sequence[str]) -> Notation:
    """That of most values; plain numbers where no other is that of nearly all."""
    best = max(NOTATIONS, key=lambda each: len(each.select(texts)))
    return best if len(best.select(texts)) >= NEARLY_ALL * len(texts) else PLAIN


def has_fractions(numbers: Iterable[str]) -> bool:
    """As pandas writes integers of a column with nulls, too: to SQL a text with a point is no integer, but null."""
    return any(set(number) & set(".eE") for number in numbers)


def round_number(sql: str, factor: str = "1") -> str:
    return f"cast(round({sql if factor == '1' else f'{sql} * {factor}'}) as bigint)"


def cast_number(sql: str) -> str:
    return f"try_cast({sql} as double)"
