"""Windows over days: every window of every day is a merge of a few tiles (`features/windows/tiles.py`).

Days and windows both begin at midnight UTC, so a window is exactly [t - w, t).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from features.windows import operations
from features.windows.distinct import add_distinct_counts
from features.windows.events import plays_of_group
from features.windows.items import add_item_features
from features.windows.operations import AGE, DAY, WINDOW_BITS
from features.windows.reopened import CHANGED, ReopenedDays
from features.windows.tiles import Tile, cover
from features.windows.values import VALUES
from schemas.declarations import LIFETIME, FeatureGroup, window_days

# Of a day: an entity has a row if it has a play in this window.
RowWindows = Mapping[date, str]
# In place of a window of the group: that one, which is as long as its day says.
_ROW = "_row"
# The days of which an entity has a row; and what says where a partial belongs.
_ROW_DAYS = "_row_days"
_PLACE = ("ds", "span", CHANGED)


def window_features(
    partials: DataFrame,
    sessions: DataFrame,
    group: FeatureGroup,
    days: Sequence[date],
    every_entity: bool = True,
    reopened: ReopenedDays | None = None,
    row_windows: RowWindows | None = None,
) -> DataFrame:
    """One row per entity and day, for entities with a play before the end of that day, or in its row window.

    Args:
        partials: rows of the group's table of partials, at least those of `partial_days`.
        sessions: plays of `play_days` at least.
        days: to describe, in any order.
        every_entity: otherwise those alone that have a play in a window, all others having the values of no plays.
        reopened: those of the days of which most rows are as published.
        row_windows: of each day, if not all entities have a row.

    Raises:
        ValueError: no days.
    """
    if not days:
        raise ValueError("window_features: no days to describe; give one or more")
    by, windows = [*group.keys, DAY], _windows(group, every_entity, row_windows)
    rows = reopened.mark(partials) if reopened else partials.withColumn(CHANGED, F.lit(True))
    places = _place_tiles(days, windows, row_windows, reopened)
    if row_windows:
        rows = _add_row_days(rows, group, [each for each in places if each[-1] >> windows.index(_ROW) & 1])
    tile_rows = _add_ages_and_windows(rows, group, places)
    aggregated = [(f, w) for f, w in group.feature_windows if f.op in VALUES]
    # an aggregate of nothing is needed where no feature is computed from totals
    totals = [F.count("*").alias("_tiles"), *operations.totals(aggregated, windows, F.col(AGE))]
    window_totals = tile_rows.groupBy(*by).agg(*totals)
    midnight = F.date_add(DAY, 1).cast("timestamp")
    feature_rows = window_totals.select(*by, *operations.values(aggregated, midnight))
    feature_rows = add_item_features(feature_rows, tile_rows, group.feature_windows, windows, by)
    feature_rows = feature_rows.withColumnRenamed(DAY, "ds")
    feature_rows = add_distinct_counts(feature_rows, plays_of_group(sessions, group), group, days)
    # last of all: what comes by a join from the right is null for an entity without it, and has a default too
    columns = {f.name(w): operations.with_default(f, F.col(f.name(w))) for f, w in group.feature_windows}
    columns = {"feature_at": F.date_add("ds", 1).cast("timestamp"), **columns}
    rows = feature_rows.select(*group.keys, "ds", *[column.alias(name) for name, column in columns.items()])
    return reopened.add_others(rows) if reopened else rows


def partial_days(
    group: FeatureGroup,
    days: Sequence[date],
    every_entity: bool = True,
    row_windows: RowWindows | None = None,
) -> list[date]:
    """The days of partials that these days' windows are merged from."""
    windows = _windows(group, every_entity, row_windows)
    return sorted({tile.ds for day in days for tile in _tiles(windows, day, row_windows)})


def play_days(group: FeatureGroup, days: Sequence[date]) -> list[date]:
    """The days of plays that exact distinct counts look at."""
    # no other operation reads plays: a group without such a count costs its partials alone
    longest = max((window_days(w) for f, w in group.feature_windows if f.op == "distinct"), default=0)
    first, last = min(days).toordinal() - longest + 1, max(days).toordinal()
    return [date.fromordinal(n) for n in range(first, last + 1)] if longest else []


def _windows(group: FeatureGroup, every_entity: bool, row_windows: RowWindows | None) -> list[str]:
    windows = list(dict.fromkeys(operations.windows_of(group.feature_windows)))
    if row_windows:
        return [*windows, _ROW]
    # the tiles of all time give a row to every entity that ever had a play
    return list(dict.fromkeys([*([LIFETIME] if every_entity else []), *windows]))


def _tiles(windows: Sequence[str], day: date, row_windows: RowWindows | None) -> Mapping[Tile, int]:
    lengths = {window: row_windows[day] if row_windows and window == _ROW else window for window in windows}
    return operations.window_bitmask({window: cover(day, lengths[window]) for window in windows})


def _place_tiles(
    days: Sequence[date],
    windows: Sequence[str],
    row_windows: RowWindows | None,
    reopened: ReopenedDays | None,
) -> list[tuple[Any, ...]]:
    """Each day with the tiles of its windows; reopened days for entities that changed alone."""
    days_by_change = {True: days}
    if reopened:
        days_by_change[False] = [day for day in days if day not in reopened.days]
    return [
        (*tile, changed, day, bits)
        for changed, of_change in days_by_change.items()
        for day in sorted(set(of_change))
        for tile, bits in _tiles(windows, day, row_windows).items()
    ]


def _add_row_days(partials: DataFrame, group: FeatureGroup, places: Sequence[tuple[Any, ...]]) -> DataFrame:
    """The partials of entities that have a row, with its days."""
    keys = partials.select(*group.keys, *_PLACE)
    days = _join_places(keys, places).groupBy(*group.keys).agg(F.collect_set(DAY).alias(_ROW_DAYS))
    # before tiles of all time are put to each of their days, which are days times entities
    return partials.join(days, [*group.keys])


def _add_ages_and_windows(
    partials: DataFrame, group: FeatureGroup, places: Sequence[tuple[Any, ...]]
) -> DataFrame:
    """Each partial once for each day that it is a part of, with its age there and the windows it is in."""
    row_days = [name for name in partials.columns if name == _ROW_DAYS]
    rows = partials.select(*group.keys, *_PLACE, *row_days, *[part.name for part in group.parts])
    rows = _join_places(rows, places).drop(CHANGED)
    if row_days:
        rows = rows.where(F.array_contains(_ROW_DAYS, F.col(DAY))).drop(_ROW_DAYS)
    return rows.withColumn(AGE, F.datediff(DAY, "ds"))


def _join_places(partials: DataFrame, places: Sequence[tuple[Any, ...]]) -> DataFrame:
    # N days are one pass over the partials, not N: a tile that many days share is read once
    schema = f"ds date, span int, {CHANGED} boolean, {DAY} date not null, {WINDOW_BITS} long"
    placements = partials.sparkSession.createDataFrame(list(places), schema)
    return partials.join(F.broadcast(placements), [*_PLACE])
