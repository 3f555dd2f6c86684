"""Windows over days: what an entity's plays add up to, as declared.

Every window of every day is a merge of a few tiles (`features/windows/tiles.py`). Days and windows both begin
at midnight UTC, so a window is exactly [t - w, t).
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from features.windows.distinct import add_distinct_counts
from features.windows.items import count_items
from features.windows.operations import ITEM_OPERATIONS, VALUES, item_value, required_totals, with_default
from features.windows.partials import plays_of_group
from features.windows.tiles import Tile, cover
from features.windows.totals import inside, totals, values, window_bitmask, windows_of
from schemas.declarations import Feature, FeatureGroup, days


def window_features(
    partials: DataFrame, sessions: DataFrame, group: FeatureGroup, over: Sequence[date]
) -> DataFrame:
    """One row per entity and day of `over`, for entities with a play before the end of that day.

    Args:
        partials: rows of the table `group.partials()`, at least those of `partial_days`.
        sessions: plays of the group's longest distinct window at least; other operations need none.
        over: the days to describe, in any order. N days cost one pass, not N.

    Raises:
        ValueError: no days.
    """
    if not over:
        raise ValueError("window_features: no days to describe; give one or more")
    aged = _aged(partials, group, over)
    by = [*group.keys, "_day"]
    merged = aged.groupBy(*by).agg(
        F.count("*").alias("_tiles"), *totals(_of(group, VALUES), _windows(group), F.col("_age"))
    )
    described = merged.select(*by, *values(_of(group, VALUES), F.date_add("_day", 1).cast("timestamp")))
    described = _add_item_features(described, aged, group, by).withColumnRenamed("_day", "ds")
    described = add_distinct_counts(described, plays_of_group(sessions, group), group, over)
    filled = [with_default(f, F.col(f.name(w))).alias(f.name(w)) for f, w in group.feature_windows]
    return described.select(
        *group.keys, "ds", F.date_add("ds", 1).cast("timestamp").alias("feature_at"), *filled
    )


def partial_days(group: FeatureGroup, over: Sequence[date]) -> list[date]:
    """The days of partials that these days' windows are merged from."""
    return sorted({tile.ds for day in over for tile in _tiles(group, day)})


def play_days(group: FeatureGroup, over: Sequence[date]) -> list[date]:
    """The days of plays that these days' exact distinct counts look at."""
    longest = max((days(w) for _, w in _of(group, ("distinct",))), default=0)
    first, last = min(over).toordinal() - longest + 1, max(over).toordinal()
    return [date.fromordinal(n) for n in range(first, last + 1)] if longest else []


def _windows(group: FeatureGroup) -> list[str]:
    """The first decides who has a row."""
    return list(dict.fromkeys([group.keep, *windows_of(group.feature_windows)]))


def _tiles(group: FeatureGroup, day: date) -> Mapping[Tile, int]:
    return window_bitmask({window: cover(day, window) for window in _windows(group)})


def _aged(partials: DataFrame, group: FeatureGroup, over: Sequence[date]) -> DataFrame:
    """Each partial once for each day that it is a part of, with its age there and the windows it is in."""
    plan = [
        (tile.ds, tile.span, day, inside)
        for day in sorted(set(over))
        for tile, inside in _tiles(group, day).items()
    ]
    placed = partials.sparkSession.createDataFrame(
        plan, "ds date, span int, _day date not null, _inside long"
    )
    rows = partials.select(*group.keys, "ds", "span", *[part.name for part in group.parts])
    return rows.join(F.broadcast(placed), ["ds", "span"]).withColumn("_age", F.datediff("_day", "ds"))


def _of(group: FeatureGroup, operations: Container[str]) -> list[tuple[Feature, str]]:
    return [(f, w) for f, w in group.feature_windows if f.op in operations]


def _add_item_features(
    described: DataFrame, aged: DataFrame, group: FeatureGroup, by: Sequence[str]
) -> DataFrame:
    """The features that are made of counts per value: each list is taken apart once, for all of them."""
    wanted = [(part, f, w) for f, w in _of(group, ITEM_OPERATIONS) for part, _ in required_totals(f, w)]
    for part in dict.fromkeys(part for part, _, _ in wanted):
        mine = [(f, w) for other, f, w in wanted if other == part]
        within = {w: inside(_windows(group), w) for w in dict.fromkeys(w for _, w in mine)}
        counted = count_items(aged, part, by, within)
        made = counted.groupBy(*by).agg(*[item_value(f, f"`{w}`").alias(f.name(w)) for f, w in mine])
        described = described.join(made, [*by], "left")
    return described
