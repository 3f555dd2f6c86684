"""What windows add up to: which tiles are in which windows, the parts merged over each, the values of those."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pyspark.sql import Column
from pyspark.sql import functions as F

from features.windows.folds import merge
from features.windows.operations import required_totals, value
from features.windows.tiles import Tile
from schemas.declarations import Feature
from schemas.parts import Part

# Features, each over one of its windows.
Wanted = Sequence[tuple[Feature, str]]


def windows_of(wanted: Wanted) -> list[str]:
    """Every window that some total is over, each once."""
    return list(dict.fromkeys(over for f, w in wanted for _, over in required_totals(f, w)))


def window_bitmask(covers: Mapping[str, Iterable[Tile]]) -> dict[Tile, int]:
    """The tiles of some windows; bit i says that a tile belongs to the i-th."""
    found: dict[Tile, int] = {}
    for i, tiles in enumerate(covers.values()):
        for tile in tiles:
            found[tile] = found.get(tile, 0) | 1 << i
    return found


def inside(windows: Sequence[str], window: str) -> Column:
    """Whether a row, with those bits in `_inside`, is in a window."""
    return F.col("_inside").bitwiseAND(1 << windows.index(window)) != 0


def totals(wanted: Wanted, windows: Sequence[str], age: Column) -> list[Column]:
    """Every part over every window that needs it, once, to be aggregated per entity."""
    each = dict.fromkeys((part, over) for f, w in wanted for part, over in required_totals(f, w))
    return [
        merge(part, F.when(inside(windows, over), F.col(part.name)), age).alias(_total_name(part, over))
        for part, over in each
    ]


def values(wanted: Wanted, at: Column) -> list[Column]:
    """The features, in terms of the totals, as of the instant `at`; null where there is nothing."""
    return [
        value(f, w, [F.col(f"`{_total_name(*need)}`") for need in required_totals(f, w)], at)
        for f, w in wanted
    ]


def _total_name(part: Part, window: str) -> str:
    return f"{part.name}, {window}"
