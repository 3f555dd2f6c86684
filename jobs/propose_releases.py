"""SQL of release dates by the values that are seen of a column: 1994, 1994-05, 1994-05-02 or 19940502."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from jobs.column_values import Mapped, map_unread
from jobs.propose_instants import DIGITS_OF_DAY

_PARTIAL = re.compile(r"\d{4}(-\d{1,2}(-\d{1,2}([T ]\d.*)?)?)?", re.ASCII)
_DIGITS = re.compile(DIGITS_OF_DAY, re.ASCII)
_MARK = "regexp_replace({}, '^([0-9]{{4}})([0-9]{{2}})([0-9]{{2}})$', '$1-$2-$3')"


def has_releases(values: Sequence[Any]) -> bool:
    """Whether a year, a month or a day can be read of most of these."""
    texts = [str(value).strip() for value in values]
    count = len([text for text in texts if _PARTIAL.fullmatch(text) or _DIGITS.fullmatch(text)])
    return count > 0 and 2 * count >= len(texts)


def map_release(column: str, values: Sequence[Any]) -> Mapped:
    if unread := map_unread(column, values, has_releases, "dates such as 1994-05-02"):
        return unread
    marked = [value for value in values if _DIGITS.fullmatch(str(value).strip())]
    return Mapped(_MARK.format(column), "19940502 is read as 1994-05-02") if marked else Mapped(column)
