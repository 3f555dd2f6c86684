"""What plays are folded into, what windows add up to, and the values of that.

The families of operations say how; `items` and `distinct`, which need a row per value, compute their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from pyspark.sql import Column
from pyspark.sql import functions as F

from features.windows import counts_and_sums, lists, sketches, times
from features.windows.aggregates import Aggregate, Value, filtered_input
from features.windows.tiles import Tile
from schemas.declarations import Feature
from schemas.parts import Part

# Working columns, which no table has. A row is merged into a day, or into the instant of a label.
DAY: Final = "_day"
INSTANT: Final = "_instant"
# Days from the end of the row's own days to the end of what it is merged into.
AGE: Final = "_age"
# Bit i is set if the row is in the i-th window. So a row is read once for all windows, which overlap.
WINDOW_BITS: Final = "_window_bits"

# Features, each over one of its windows.
FeatureWindows = Sequence[tuple[Feature, str]]

_FAMILIES = (counts_and_sums, lists, sketches, times)
_AGGREGATES: dict[str, Aggregate] = {k: a for family in _FAMILIES for k, a in family.AGGREGATES.items()}
VALUES: dict[str, Value] = {op: value for family in _FAMILIES for op, value in family.VALUES.items()}


def fold(part: Part) -> Column:
    """Over the plays of one entity and day."""
    value = filtered_input(part.of, part.where)
    return _AGGREGATES[part.kind].fold(part, value).alias(part.name)


def merge(part: Part, column: Column, age: Column) -> Column:
    """Over parts whose days do not overlap; null where none is there."""
    return _AGGREGATES[part.kind].merge(part, column, age)


def required_totals(feature: Feature, window: str) -> list[tuple[Part, str]]:
    """The totals that a feature is computed from: which part, over which window."""
    windows = feature.operation.total_windows(window)
    return [(part, over) for part in feature.parts(window) for over in windows]


def windows_of(features: FeatureWindows) -> list[str]:
    """Every window that some total is over, each once."""
    return list(dict.fromkeys(over for f, w in features for _, over in required_totals(f, w)))


def window_bitmask(covers: Mapping[str, Iterable[Tile]]) -> dict[Tile, int]:
    """The tiles of some windows; bit i says that a tile belongs to the i-th."""
    masks: dict[Tile, int] = {}
    for i, tiles in enumerate(covers.values()):
        for tile in tiles:
            masks[tile] = masks.get(tile, 0) | 1 << i
    return masks


def in_window(windows: Sequence[str], window: str) -> Column:
    return F.col(WINDOW_BITS).bitwiseAND(1 << windows.index(window)) != 0


def totals(features: FeatureWindows, windows: Sequence[str], age: Column) -> list[Column]:
    """Every part over every window that needs it, once, to be aggregated per entity."""
    return [
        merge(part, F.when(in_window(windows, over), F.col(part.name)), age).alias(_total_name(part, over))
        for part, over in dict.fromkeys(need for f, w in features for need in required_totals(f, w))
    ]


def values(features: FeatureWindows, at: Column) -> list[Column]:
    """The features, in terms of the totals, as of the instant `at`; null where there is nothing."""
    columns = []
    for f, w in features:
        merged = [F.col(f"`{_total_name(part, over)}`") for part, over in required_totals(f, w)]
        columns.append(VALUES[f.op](f, merged, at).alias(f.name(w)))
    return columns


def _total_name(part: Part, window: str) -> str:
    """No column of a table has a comma in its name."""
    return f"{part.name}, {window}"


def with_default(feature: Feature, value: Column) -> Column:
    """In the type that was declared, and with the value of no plays where there were none."""
    # all windows of a feature have one type
    type_ = next(feature.columns()).type
    empty = feature.empty_value
    if empty is None:
        return value.cast(type_)
    default = F.array(*map(F.lit, empty)) if isinstance(empty, list) else F.lit(empty)
    return F.coalesce(value.cast(type_), default.cast(type_))
