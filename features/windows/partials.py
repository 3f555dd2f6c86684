"""Daily partials, and their merges over 2, 4, 8 … days: what every window is made of.

A day's plays are folded once. Whatever ends with that day is then merged from it and from what earlier
days left, so a day costs its own plays and a few rows per entity, however long the history.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from features.windows.folds import fold, merge
from features.windows.items import fold_items, merge_items
from features.windows.tiles import Tile, merge_inputs, tiles_ending_on
from schemas.declarations import FeatureGroup
from schemas.parts import Part

_PLAN_SCHEMA = "ds date, span int, _fresh boolean, _ds date not null, _span int not null"


def partial_rows(
    sessions: DataFrame, group: FeatureGroup, days: Sequence[date], earlier: DataFrame | None = None
) -> DataFrame:
    """Rows of `group.partials()` for some days.

    Args:
        sessions: the plays of those days at least, as in table `sessions`.
        days: in any order, with gaps or without. N days cost one pass.
        earlier: rows of the table `group.partials()` of all other days, if there are any.

    Raises:
        ValueError: no days.
    """
    if not days:
        raise ValueError("partial_rows: no days to fold; give one or more")
    fresh = F.lit(True).alias("_fresh")
    rows = fold_days(sessions, group, days).select("*", F.lit(1).alias("span"), fresh)
    if earlier is not None:
        kept = ["ds", "span", *group.keys, *(part.name for part in group.parts)]
        others = earlier.where(~F.col("ds").isin(list(days))).select(*kept, F.lit(False).alias("_fresh"))
        rows = rows.unionByName(others)
    # By entity alone: what follows needs no other order, and an entity has a row a day at most.
    return _merge_rows(rows.repartition(*group.keys), group, _merge_plan(days))


def earlier_days(days: Sequence[date]) -> list[date]:
    """The days of the table that tiles ending on these days are merged from."""
    return sorted({source.ds for _, source, fresh in _merge_inputs(sorted(days)) if not fresh})


def fold_days(sessions: DataFrame, group: FeatureGroup, days: Sequence[date]) -> DataFrame:
    """One row per entity and day: its plays, folded."""
    plays = plays_of_group(sessions, group).where(F.col("ds").isin(list(days)))
    by = [*group.keys, "ds"]
    plain, listed = split_parts(group)
    # an aggregate of nothing is needed where every part is a list
    daily = plays.groupBy(*by).agg(F.count("*").alias("_plays"), *map(fold, plain)).drop("_plays")
    return fold_items(daily, plays, listed, by)


def plays_of_group(sessions: DataFrame, group: FeatureGroup) -> DataFrame:
    """The plays that count for a group; one without an artist is no artist's."""
    plays = sessions.where(group.where)
    for key in group.keys:  # after a filter, the planner still thinks that they may be null
        plays = plays.where(F.col(key).isNotNull()).withColumn(key, F.coalesce(key, F.lit("")))
    return plays


def split_parts(group: FeatureGroup) -> tuple[list[Part], list[Part]]:
    """Parts that one aggregation folds, and the lists of items."""
    plain = [part for part in group.parts if part.kind != "items"]
    return plain, [part for part in group.parts if part.kind == "items"]


def _merge_plan(days: Sequence[date]) -> list[tuple[date, int, bool, date, int]]:
    """Which row (day, span, whether just folded) goes into which tile."""
    return [
        (source.ds, source.span, fresh, tile.ds, tile.span)
        for tile, source, fresh in _merge_inputs(sorted(days))
    ]


def _merge_inputs(days: Sequence[date]) -> Iterator[tuple[Tile, Tile, bool]]:
    for tile in (tile for day in days for tile in tiles_ending_on(day)):
        yield from ((tile, source, fresh) for source, fresh in merge_inputs(tile, days))


def _merge_rows(
    rows: DataFrame, group: FeatureGroup, plan: list[tuple[date, int, bool, date, int]]
) -> DataFrame:
    targets = rows.sparkSession.createDataFrame(plan, _PLAN_SCHEMA)
    placed = rows.join(F.broadcast(targets), ["ds", "span", "_fresh"])
    aged = placed.withColumn("_age", F.datediff("_ds", "ds"))
    by = [*group.keys, "_ds", "_span"]
    plain, listed = split_parts(group)
    merged = aged.groupBy(*by).agg(
        F.count("*").alias("_rows"),
        *[_drop_long_spans(group, part, merge(part, F.col(part.name), F.col("_age"))) for part in plain],
    )
    items = aged.select(*by, *[_drop_long_spans(group, part, F.col(part.name)) for part in listed])
    whole = merge_items(merged, items, listed, by)
    return whole.select(
        *group.keys,
        F.col("_ds").alias("ds"),
        F.col("_span").alias("span"),
        *[part.name for part in group.parts],
    )


def _drop_long_spans(group: FeatureGroup, part: Part, column: Column) -> Column:
    """Spans that no window needs a part of do without: a year of items is most of all items."""
    return F.when(F.col("_span") <= group.longest(part), column).alias(part.name)
