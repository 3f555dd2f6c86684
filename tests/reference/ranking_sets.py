"""What a ranking set is, in loops over rows: which requests it has, in which order, and why not others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from reference.rows import Row


def requests(rows: Sequence[Row], labels: Sequence[str]) -> tuple[list[list[Row]], dict[str, int]]:
    """Requests in order, each a list of its rows in order; and how many were left out, by reason."""
    by_id: dict[str, list[Row]] = {}
    for row in rows:
        by_id.setdefault(row["request_id"], []).append(row)
    kept, left_out = [], {}
    for request in by_id.values():
        reasons = [_find_reason(row, label) for row in request for label in labels]
        reason = next((each for each in ("censored", "unripe", "null") if each in reasons), None)
        if reason is None:
            kept.append(sorted(request, key=_place_in_request))
        else:
            left_out[reason] = left_out.get(reason, 0) + 1
    kept.sort(key=lambda request: (begin(request), request[0]["request_id"]))
    return kept, left_out


def begin(request: Sequence[Row]) -> datetime:
    return min(row["shown_at"] for row in request)


def _place_in_request(row: Row) -> tuple[bool, int, str]:
    # a row without a position comes last
    return row["position"] is None, row["position"] or 0, row["impression_id"]


def _find_reason(row: Row, label: str) -> str | None:
    status = row.get(f"{label}_status")
    if status in ("censored", "unripe"):
        return status
    value = row[label]
    return "null" if value is None or (isinstance(value, float) and math.isnan(value)) else None


def split(request: Sequence[Row], instants: Sequence[datetime]) -> str:
    """By its first instant."""
    names = ("train", "test") if len(instants) == 1 else ("train", "validation", "test")
    passed = 0
    for instant in instants:
        if begin(request) >= instant:
            passed += 1
    return names[passed]


def taken(
    impression: Row,
    attributions: Sequence[Row],
    within: timedelta,
    rule: str,
    first: datetime,
    end: datetime,
    through: datetime,
) -> tuple[bool | None, str]:
    """Whether an impression led to a play in time, and whether that is known; plays are of [first, end)."""
    over = impression["shown_at"] + within
    if impression["shown_at"] < first:
        return None, "censored"
    if over > through:
        return None, "unripe"
    if over > end:
        return None, "censored"
    for row in attributions:
        of_it: Any = row["impression_id"] == impression["impression_id"] and row["rule_id"] == rule
        if of_it and timedelta(milliseconds=row["delay_ms"]) < within:
            return True, "ripe"
    return False, "ripe"
