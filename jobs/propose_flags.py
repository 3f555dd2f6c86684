"""SQL of truth values by the values that are seen of a column: true, yes, 1, or 1.0 as pandas writes it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from jobs.column_values import Mapped, map_unread

# What a cast of SQL reads.
_FLAG = re.compile(r"true|t|yes|y|1|false|f|no|n|0", re.IGNORECASE)
_FLOAT = re.compile(r"[01][.]0*")


def has_flags(values: Sequence[Any]) -> bool:
    """Whether a truth value can be read of most of these."""
    count = len([text for text in _list_texts(values) if _FLAG.fullmatch(text) or _FLOAT.fullmatch(text)])
    return count > 0 and 2 * count >= len(values)


def map_flag(column: str, values: Sequence[Any]) -> Mapped:
    if unread := map_unread(column, values, has_flags, "truth values"):
        return unread
    if any(map(_FLOAT.fullmatch, _list_texts(values))):
        numbers = f"try_cast(try_cast({column} as double) as boolean)"
        return Mapped(numbers, "1.0 is read as true")
    return Mapped(column)


def _list_texts(values: Sequence[Any]) -> list[str]:
    return [str(value).strip() for value in values]
