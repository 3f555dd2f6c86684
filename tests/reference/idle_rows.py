"""Which rows a table has that leaves out those of idle entities, from the definition: one loop over calendar days."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from reference.rows import Row
from reference.windows import by_entity
from schemas.declarations import FeatureGroup

LONGEST = 2**14


def select_written(
    rows: Iterable[Row], plays: Iterable[Row], group: FeatureGroup, table_days: Sequence[date]
) -> list[Row]:
    """Of the rows of all entities on all days, those that are written."""
    days_of_plays = {
        entity: sorted({play["ds"] for play in of_entity})
        for entity, of_entity in by_entity(plays, group).items()
    }
    return [
        row
        for row in rows
        if is_written(row["ds"], days_of_plays[tuple(row[key] for key in group.keys)], group, table_days)
    ]


def is_written(
    ds: date, days_of_plays: Sequence[date], group: FeatureGroup, table_days: Sequence[date]
) -> bool:
    last = max(day for day in days_of_plays if day <= ds)
    idle_from = last + timedelta(days=longest_window(group))
    return ds < idle_from or stands_for(ds, idle_from, table_days)


def longest_window(group: FeatureGroup) -> int:
    """In days. A growth looks at two windows, and a streak is 0 without a play on the last day."""
    lengths = [
        1 if feature.op == "streak" else int(window[:-1]) * (2 if feature.op == "trend" else 1)
        for feature in group.features
        for window in feature.windows
        if window != "lifetime" and feature.op != "decayed"
    ]
    return max(lengths, default=0)


def stands_for(ds: date, day: date, table_days: Sequence[date]) -> bool:
    """Whether `ds` has the rows of who became idle on `day`: it is one of the days up to `ds`, or up to a day without
    rows right before it, as many as the greatest power of two that divides the number of that day."""
    before = max((each for each in table_days if each < ds), default=date(1969, 12, 31))
    each = ds
    while each > before:
        number, span = (each - date(1969, 12, 31)).days, 1
        while span < LONGEST and number % (2 * span) == 0:
            span *= 2
        if each - timedelta(days=span) < day <= each:
            return True
        each -= timedelta(days=1)
    return False
