"""Partials from what `schemas.parts` says that each kind holds: every one from all its plays, never merged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import date
from decimal import Decimal
from typing import Any

from features.windows.definitions import DAY, count_by_hour, count_values, decayed_sum, exact_sum, histogram
from reference.rows import Row, midnight_after
from reference.windows import by_entity, expression, key_columns, order
from schemas.declarations import SPANS, FeatureGroup, window_days
from schemas.parts import SKETCHES, Part


def partials(sessions: Iterable[Row], group: FeatureGroup, days: Iterable[date]) -> list[Row]:
    """Rows of the group's partials but sketches and `available_at`; None for a part without a value."""
    plays_by_entity = by_entity(sessions, group)
    return [
        key_columns(entity, ds, group) | {"span": span} | dict(fold_parts(span_plays, group, ds, span))
        for ds, span in tiles(days)
        for entity, plays in plays_by_entity.items()
        if (span_plays := [play for play in plays if 0 <= (ds - play["ds"]).days < span])
    ]


def tiles(days: Iterable[date]) -> Iterator[tuple[date, int]]:
    """The last day and the days of every partial that ends on one of these days."""
    for ds in days:
        number = (ds - date(1970, 1, 1)).days + 1
        yield from ((ds, span) for span in SPANS if number % span == 0)


def fold_parts(plays: list[Row], group: FeatureGroup, ds: date, span: int) -> Iterator[tuple[str, Any]]:
    """Each part; one that no window needs over so many days is left out."""
    in_order = sorted(plays, key=order)
    for part in group.parts:
        if part.kind not in SKETCHES:
            of, where = expression(part.of), expression(part.where)
            part_plays = [p for p in in_order if where(p) is True and of(p) is not None]
            is_needed = part_plays and span <= group.longest_span(part)
            yield (
                part.name,
                KINDS[part.kind](part, part_plays, [of(p) for p in part_plays], ds) if is_needed else None,
            )


def _first_or_last(part: Part, plays: list[Row], values: list[Any], _: date) -> list[Row]:
    records = [
        {"at": p["played_at"], "play_id": p["play_id"], "value": v}
        for p, v in zip(plays, values, strict=True)
    ]
    return (records[::-1] if part.kind == "latest" else records)[: int(part.detail)]


def _items(_: Part, __: list[Row], values: list[Any], ___: date) -> list[Row]:
    by_item = sorted(count_values(values), key=lambda item: item[0].encode())
    return [{"item": item, "count": count} for item, count in by_item]


def _active_days_bitmap(_: Part, plays: list[Row], __: list[Any], ds: date) -> int:
    ages = {(ds - play["ds"]).days for play in plays}
    return sum(2**age for age in ages if age <= 62)


def _of_values(fold: Callable[[list[Any]], Any]) -> Callable[[Part, list[Row], list[Any], date], Any]:
    return lambda _, __, values, ___: fold(values)


KINDS: dict[str, Callable[[Part, list[Row], list[Any], date], Any]] = {
    "count": _of_values(len),
    "true": _of_values(lambda values: values.count(True)),
    "sum": _of_values(sum),
    "exact": _of_values(exact_sum),
    "squares": _of_values(lambda values: Decimal(sum(each * each for each in values))),
    "exact_squares": _of_values(lambda values: exact_sum(each * each for each in values)),
    "min": _of_values(min),
    "max": _of_values(max),
    "earliest": _first_or_last,
    "latest": _first_or_last,
    "items": _items,
    "hours": _of_values(count_by_hour),
    "histogram": lambda part, _, values, __: histogram(values, [float(edge) for edge in part.detail.split()]),
    "decayed": lambda part, _, values, ds: Decimal(
        decayed_sum(values, midnight_after(ds), window_days(part.detail) * DAY)
    ),
    "heard_on": _active_days_bitmap,
}


def comparable(rows: Iterable[Row], group: FeatureGroup) -> list[Row]:
    """Without the sketches; null, zero and empty are all None, but where zero is a value."""
    parts = {part.name: part.kind for part in group.parts}
    zero_is_a_value = {
        name
        for name, kind in parts.items()
        if kind in ("sum", "exact", "squares", "exact_squares", "min", "max")
    }
    return [
        {
            n: v if n in zero_is_a_value or n not in parts else drop_empty(v)
            for n, v in row.items()
            if parts.get(n) not in SKETCHES
        }
        for row in rows
    ]


def drop_empty(value: Any) -> Any:
    return None if not value or (isinstance(value, list) and not any(value)) else value
