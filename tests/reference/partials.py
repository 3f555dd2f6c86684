"""Partials from what `schemas.parts` says that each kind holds: every one from all its plays, never merged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import date
from decimal import Decimal
from typing import Any

from features.windows.definitions import DAY, count_by_hour, count_values, decayed_sum, exact_sum, histogram
from reference.rows import Row
from reference.windows import by_entity, expression, framed, midnight_after, order
from schemas.declarations import SPANS, FeatureGroup, window_days
from schemas.parts import SKETCHES, Part


def partials(sessions: Iterable[Row], group: FeatureGroup, over: Iterable[date]) -> list[Row]:
    """Rows of the group's partials but sketches and `available_at`; None for a part without a value."""
    heard = by_entity(sessions, group)
    return [
        framed(entity, ds, group) | {"span": span} | dict(folded(inside, group, ds, span))
        for ds, span in tiles(over)
        for entity, plays in heard.items()
        if (inside := [play for play in plays if 0 <= (ds - play["ds"]).days < span])
    ]


def tiles(over: Iterable[date]) -> Iterator[tuple[date, int]]:
    """The last day and the days of every partial that ends on one of these days."""
    for ds in over:
        number = (ds - date(1970, 1, 1)).days + 1
        yield from ((ds, span) for span in SPANS if number % span == 0)


def folded(plays: list[Row], group: FeatureGroup, ds: date, span: int) -> Iterator[tuple[str, Any]]:
    """Each part; one that no window needs over so many days is left out."""
    for part in group.parts:
        if part.kind not in SKETCHES:
            of, where = expression(part.of), expression(part.where)
            known = sorted((p for p in plays if where(p) is True and of(p) is not None), key=order)
            kept = known and span <= group.longest_span(part)
            yield part.name, KINDS[part.kind](part, known, [of(p) for p in known], ds) if kept else None


def _kept(part: Part, plays: list[Row], known: list[Any], _: date) -> list[Row]:
    listed = [
        {"at": p["played_at"], "play_id": p["play_id"], "value": v} for p, v in zip(plays, known, strict=True)
    ]
    return (listed[::-1] if part.kind == "latest" else listed)[: int(part.detail)]


def _items(_: Part, __: list[Row], known: list[Any], ___: date) -> list[Row]:
    by_item = sorted(count_values(known), key=lambda item: item[0].encode())
    return [{"item": item, "count": count} for item, count in by_item]


def _heard_on(_: Part, plays: list[Row], __: list[Any], ds: date) -> int:
    ages = {(ds - play["ds"]).days for play in plays}
    return sum(2**age for age in ages if age <= 62)


def _of_values(fold: Callable[[list[Any]], Any]) -> Callable[[Part, list[Row], list[Any], date], Any]:
    return lambda _, __, known, ___: fold(known)


KINDS: dict[str, Callable[[Part, list[Row], list[Any], date], Any]] = {
    "count": _of_values(len),
    "true": _of_values(lambda known: known.count(True)),
    "sum": _of_values(sum),
    "exact": _of_values(exact_sum),
    "squares": _of_values(lambda known: Decimal(sum(each * each for each in known))),
    "exact_squares": _of_values(lambda known: exact_sum(each * each for each in known)),
    "min": _of_values(min),
    "max": _of_values(max),
    "earliest": _kept,
    "latest": _kept,
    "items": _items,
    "hours": _of_values(count_by_hour),
    "histogram": lambda part, _, known, __: histogram(known, [float(edge) for edge in part.detail.split()]),
    "decayed": lambda part, _, known, ds: Decimal(
        decayed_sum(known, midnight_after(ds), window_days(part.detail) * DAY)
    ),
    "heard_on": _heard_on,
}


def comparable(rows: Iterable[Row], group: FeatureGroup) -> list[Row]:
    """Without the sketches; null, zero and empty are all None, but where zero is a value."""
    parts = {part.name: part.kind for part in group.parts}
    valued = {
        name
        for name, kind in parts.items()
        if kind in ("sum", "exact", "squares", "exact_squares", "min", "max")
    }
    return [
        {
            n: v if n in valued or n not in parts else bare(v)
            for n, v in row.items()
            if parts.get(n) not in SKETCHES
        }
        for row in rows
    ]


def bare(value: Any) -> Any:
    return None if not value or (isinstance(value, list) and not any(value)) else value
