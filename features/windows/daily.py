"""Windows over days: what an entity's plays add up to, as declared.

Every window of every day is a merge of a few tiles (`features/windows/tiles.py`). Days and windows both begin
at midnight UTC, so a window is exactly [t - w, t).
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from features.windows.distinct import with_distinct_counts
from features.windows.folds import merge
from features.windows.items import counts
from features.windows.operations import OF_ITEMS, VALUES, needs, of_items, or_default, value
from features.windows.partials import heard
from features.windows.tiles import Tile, cover
from schemas.declarations import Feature, FeatureGroup, days
from schemas.parts import Part


def window_features(
    partials: DataFrame, sessions: DataFrame, group: FeatureGroup, over: Sequence[date]
) -> DataFrame:
    """One row per entity and day of `over`, for entities with a play before the end of that day.

    Args:
        partials: rows of the table `group.partials()`, at least those of `needed_days`.
        sessions: plays of the group's longest distinct window at least; other operations need none.
        over: the days to describe, in any order. N days cost one pass, not N.

    Raises:
        ValueError: no days.
    """
    if not over:
        raise ValueError("window_features: no days to describe; give one or more")
    aged = _aged(partials, group, over)
    by = [*group.keys, "_day"]
    merged = aged.groupBy(*by).agg(F.count("*").alias("_tiles"), *_totals(group))
    described = merged.select(*by, *_values(group, F.date_add("_day", 1).cast("timestamp")))
    described = _with_items(described, aged, group, by).withColumnRenamed("_day", "ds")
    described = with_distinct_counts(described, heard(sessions, group), group, over)
    filled = [or_default(f, F.col(f.name(w))).alias(f.name(w)) for f in group.features for w in f.windows]
    return described.select(
        *group.keys, "ds", F.date_add("ds", 1).cast("timestamp").alias("feature_at"), *filled
    )


def needed_days(group: FeatureGroup, over: Sequence[date]) -> list[date]:
    """The days of partials that these days' windows are merged from."""
    return sorted({tile.ds for day in over for tile in _tiles(group, day)})


def counted_days(group: FeatureGroup, over: Sequence[date]) -> list[date]:
    """The days of plays that these days' exact distinct counts look at."""
    longest = max((days(w) for f in group.features if f.op == "distinct" for w in f.windows), default=0)
    first, last = min(over).toordinal() - longest + 1, max(over).toordinal()
    return [date.fromordinal(n) for n in range(first, last + 1)] if longest else []


def _windows(group: FeatureGroup) -> list[str]:
    """Every window that some total is over, each once; the first decides who has a row."""
    totals = (over for f in group.features for w in f.windows for _, over in needs(f, w))
    return list(dict.fromkeys([group.keep, *totals]))


def _tiles(group: FeatureGroup, day: date) -> Mapping[Tile, int]:
    """The tiles of a day's windows; bit i says that a tile belongs to window i."""
    found: dict[Tile, int] = {}
    for i, window in enumerate(_windows(group)):
        for tile in cover(day, window):
            found[tile] = found.get(tile, 0) | 1 << i
    return found


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


def _inside(group: FeatureGroup, window: str) -> Column:
    return F.col("_inside").bitwiseAND(1 << _windows(group).index(window)) != 0


def _total(part: Part, window: str) -> str:
    return f"{part.name}, {window}"


def _totals(group: FeatureGroup) -> list[Column]:
    """Every part over every window that needs it, once."""
    wanted = {_total(part, over): (part, over) for f, w in _of(group, VALUES) for part, over in needs(f, w)}
    return [
        merge(part, F.when(_inside(group, over), F.col(part.name)), F.col("_age")).alias(name)
        for name, (part, over) in wanted.items()
    ]


def _values(group: FeatureGroup, at: Column) -> list[Column]:
    return [
        value(f, w, [F.col(f"`{_total(part, over)}`") for part, over in needs(f, w)], at)
        for f, w in _of(group, VALUES)
    ]


def _of(group: FeatureGroup, operations: Container[str]) -> list[tuple[Feature, str]]:
    return [(f, w) for f in group.features if f.op in operations for w in f.windows]


def _with_items(described: DataFrame, aged: DataFrame, group: FeatureGroup, by: Sequence[str]) -> DataFrame:
    """The features that are made of counts per value: each list is taken apart once, for all of them."""
    wanted = [(part, f, w) for f, w in _of(group, OF_ITEMS) for part, _ in needs(f, w)]
    for part in dict.fromkeys(part for part, _, _ in wanted):
        mine = [(f, w) for other, f, w in wanted if other == part]
        inside = {w: _inside(group, w) for w in dict.fromkeys(w for _, w in mine)}
        counted = counts(aged, part, by, inside)
        made = counted.groupBy(*by).agg(*[of_items(f, f"`{w}`").alias(f.name(w)) for f, w in mine])
        described = described.join(made, [*by], "left")
    return described
