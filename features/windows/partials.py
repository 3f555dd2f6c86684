"""Daily partials, and their merges over 2, 4, 8 … days: what every window is merged from.

A day costs its own plays and a few rows per entity, however long the history.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import NamedTuple

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from features.windows.events import plays_of_group
from features.windows.input_types import check_input_types
from features.windows.items import fold_items, merge_items
from features.windows.operations import AGE, fold, merge
from features.windows.reopened import CHANGED, ReopenedDays
from features.windows.tiles import Tile, merge_inputs, tiles_ending_on
from schemas.declarations import FeatureGroup
from schemas.parts import Part

# Which row, of a day that was just folded or of the table, is merged into which tile; of which entities.
_PLAN = (
    "ds date, span int, _rebuilt boolean, _changed boolean, _tile_ds date not null, _tile_span int not null"
)


class _Merge(NamedTuple):
    """A source of a tile: whether that was just folded, and whether it is of entities that changed."""

    tile: Tile
    source: Tile
    rebuilt: bool
    changed: bool


def partial_rows(
    sessions: DataFrame,
    group: FeatureGroup,
    days: Sequence[date],
    earlier: DataFrame | None = None,
    parts: Sequence[Part] | None = None,
    reopened: ReopenedDays | None = None,
) -> DataFrame:
    """Rows of the group's table of partials for some days.

    Args:
        sessions: the plays of those days at least, as in the group's source; see `plays_of_group`.
        days: in any order, with gaps or without.
        earlier: rows of the table of all other days, if there are any.
        parts: these alone; which rows there are does not depend on them.
        reopened: those of the days of which most rows are as published; `earlier` has them, too.

    Raises:
        ValueError: no days.
        DeclarationError: see `check_input_types`.
    """
    if not days:
        raise ValueError("partial_rows: no days to fold; give one or more")
    parts = group.parts if parts is None else parts
    plays = plays_of_group(sessions, group).where(F.col("ds").isin(list(days)))
    check_input_types(plays, group, parts)
    if reopened:
        plays = reopened.select_events(plays)
    rows = fold_parts(plays, parts, [*group.keys, "ds"]).select(
        "*", F.lit(1).alias("span"), F.lit(True).alias("_rebuilt")
    )
    if earlier is not None:
        columns = ["ds", "span", *group.keys, *(part.name for part in parts)]
        rows = rows.unionByName(earlier.select(*columns, F.lit(False).alias("_rebuilt")))
    rows = reopened.mark(rows) if reopened else rows.withColumn(CHANGED, F.lit(True))
    tile_rows = _merge_rows(rows, group, _plan_merges(days, reopened.days if reopened else ()), parts)
    return reopened.add_others(tile_rows) if reopened else tile_rows


def earlier_days(days: Sequence[date], reopened: Sequence[date] = ()) -> list[date]:
    """The days of the table that tiles ending on these days are merged from."""
    return sorted({each.source.ds for each in _plan_merges(days, reopened) if not each.rebuilt})


def fold_parts(plays: DataFrame, parts: Sequence[Part], by: Sequence[str]) -> DataFrame:
    """One row per `by` with all parts of its plays."""
    aggregated, item_lists = _split_parts(parts)
    # an aggregate of nothing is needed where every part is a list
    daily = plays.groupBy(*by).agg(F.count("*").alias("_plays"), *map(fold, aggregated)).drop("_plays")
    return fold_items(daily, plays, item_lists, by)


def _merge_rows(
    rows: DataFrame, group: FeatureGroup, merges: Sequence[_Merge], parts: Sequence[Part]
) -> DataFrame:
    plan = [(*each.source, each.rebuilt, each.changed, *each.tile) for each in merges]
    targets = rows.sparkSession.createDataFrame(plan, _PLAN)
    # small enough to broadcast: three years of days at once are 12,937 rows
    targets, by_source = F.broadcast(targets), ["ds", "span", "_rebuilt", CHANGED]
    # A day has tiles of many spans, of which mostly one is needed. Shuffled by entity alone: what follows needs no
    # other order, and an entity has a row a day at most.
    rows = rows.join(targets, by_source, "left_semi").repartition(*group.keys)
    sources = rows.join(targets, by_source)
    source_rows = sources.withColumn(AGE, F.datediff("_tile_ds", "ds"))
    by = [*group.keys, "_tile_ds", "_tile_span"]
    aggregated, item_lists = _split_parts(parts)
    part_merges = {part: merge(part, F.col(part.name), F.col(AGE)) for part in aggregated}
    tile_rows = source_rows.groupBy(*by).agg(
        F.count("*").alias("_rows"), *[_drop_long_spans(group, *each) for each in part_merges.items()]
    )
    items = source_rows.select(*by, *[_drop_long_spans(group, part, F.col(part.name)) for part in item_lists])
    tile = (F.col("_tile_ds").alias("ds"), F.col("_tile_span").alias("span"))
    return merge_items(tile_rows, items, item_lists, by).select(
        *group.keys, *tile, *[part.name for part in parts]
    )


def _plan_merges(days: Sequence[date], reopened: Sequence[date]) -> list[_Merge]:
    """What is merged into the tiles that end on these days; those of reopened days, for entities that changed alone."""
    merges = [_Merge(*each, True) for each in _merges(days)]
    # of all others the days and tiles that are published there go into those of the other days
    others = [day for day in days if day not in reopened]
    return merges + ([_Merge(*each, False) for each in _merges(others)] if reopened else [])


def _merges(days: Sequence[date]) -> Iterator[tuple[Tile, Tile, bool]]:
    """Tiles that end on these days, what each is merged from, and whether that was just folded."""
    for tile in [tile for day in sorted(days) for tile in tiles_ending_on(day)]:
        # from days, not from the tiles of this same run: those would have to be merged first, level by level
        yield from ((tile, source, rebuilt) for source, rebuilt in merge_inputs(tile, days))


def _split_parts(parts: Sequence[Part]) -> tuple[list[Part], list[Part]]:
    """Those that one aggregation makes, and the lists of items."""
    aggregated = [part for part in parts if part.kind != "items"]
    return aggregated, [part for part in parts if part.kind == "items"]


def _drop_long_spans(group: FeatureGroup, part: Part, column: Column) -> Column:
    # spans that no window needs a part of do without: a year of items is most of all items
    return F.when(F.col("_tile_span") <= group.longest_span(part), column).alias(part.name)
