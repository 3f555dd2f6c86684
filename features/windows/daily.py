"""Windows over days: what an entity's plays add up to, as declared.

Every window of every day is a merge of a few tiles (`features/windows/tiles.py`). Days and windows both begin
at midnight UTC, so a window is exactly [t - w, t).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from features.windows.distinct import add_distinct_counts
from features.windows.items import add_item_features
from features.windows.operations import (
    AGE,
    DAY,
    VALUES,
    WINDOW_BITS,
    totals,
    values,
    window_bitmask,
    windows_of,
    with_default,
)
from features.windows.partials import plays_of_group
from features.windows.tiles import Tile, cover
from schemas.declarations import LIFETIME, FeatureGroup, window_days


def window_features(
    partials: DataFrame, sessions: DataFrame, group: FeatureGroup, days: Sequence[date]
) -> DataFrame:
    """One row per entity and day, for entities with a play before the end of that day.

    Args:
        partials: rows of the group's table of partials, at least those of `partial_days`.
        sessions: plays of `play_days` at least.
        days: to describe, in any order. N days cost one pass, not N.

    Raises:
        ValueError: no days.
    """
    if not days:
        raise ValueError("window_features: no days to describe; give one or more")
    by = [*group.keys, DAY]
    aged = _add_ages_and_windows(partials, group, days)
    aggregated = [(f, w) for f, w in group.feature_windows if f.op in VALUES]
    # an aggregate of nothing is needed where no feature is computed from totals
    merged = aged.groupBy(*by).agg(
        F.count("*").alias("_tiles"), *totals(aggregated, _windows(group), F.col(AGE))
    )
    described = merged.select(*by, *values(aggregated, F.date_add(DAY, 1).cast("timestamp")))
    described = add_item_features(described, aged, group.feature_windows, _windows(group), by)
    described = described.withColumnRenamed(DAY, "ds")
    described = add_distinct_counts(described, plays_of_group(sessions, group), group, days)
    columns = [with_default(f, F.col(f.name(w))).alias(f.name(w)) for f, w in group.feature_windows]
    return described.select(
        *group.keys, "ds", F.date_add("ds", 1).cast("timestamp").alias("feature_at"), *columns
    )


def partial_days(group: FeatureGroup, days: Sequence[date]) -> list[date]:
    """The days of partials that these days' windows are merged from."""
    return sorted({tile.ds for day in days for tile in _tiles(group, day)})


def play_days(group: FeatureGroup, days: Sequence[date]) -> list[date]:
    """The days of plays that exact distinct counts look at; no other operation reads plays."""
    longest = max((window_days(w) for f, w in group.feature_windows if f.op == "distinct"), default=0)
    first, last = min(days).toordinal() - longest + 1, max(days).toordinal()
    return [date.fromordinal(n) for n in range(first, last + 1)] if longest else []


def _windows(group: FeatureGroup) -> list[str]:
    """All time is among them: its tiles give a row to every entity that ever had a play."""
    return list(dict.fromkeys([LIFETIME, *windows_of(group.feature_windows)]))


def _tiles(group: FeatureGroup, day: date) -> Mapping[Tile, int]:
    return window_bitmask({window: cover(day, window) for window in _windows(group)})


def _add_ages_and_windows(partials: DataFrame, group: FeatureGroup, days: Sequence[date]) -> DataFrame:
    """Each partial once for each day that it is a part of, with its age there and the windows it is in."""
    plan = [
        (tile.ds, tile.span, day, bits)
        for day in sorted(set(days))
        for tile, bits in _tiles(group, day).items()
    ]
    schema = f"ds date, span int, {DAY} date not null, {WINDOW_BITS} long"
    placed = partials.sparkSession.createDataFrame(plan, schema)
    rows = partials.select(*group.keys, "ds", "span", *[part.name for part in group.parts])
    return rows.join(F.broadcast(placed), ["ds", "span"]).withColumn(AGE, F.datediff(DAY, "ds"))
