"""Which tiles make up a window. A tile is the merge of 1, 2, 4, 8 … days, aligned like a binary number.

With days numbered from 1970-01-01, a tile of s days ends where (number of its last day + 1) is a
multiple of s. So any w days are at most 2 log2(w) tiles, and all days there ever were at most 15
(a Fenwick tree: Fenwick, "A New Data Structure for Cumulative Frequency Tables", 1994).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import date, timedelta
from typing import NamedTuple

from schemas.declarations import LIFETIME, SPANS, window_days

# Days are numbered by what they end at, so that 1970-01-01 is 1: tiles of s days end at multiples of s.
_DAY_BEFORE_FIRST = date(1969, 12, 31)


class Tile(NamedTuple):
    """The `span` days that end with `ds`."""

    ds: date
    span: int

    @property
    def first(self) -> date:
        return self.ds - timedelta(days=self.span - 1)

    def halves(self) -> tuple[Tile, Tile]:
        half = self.span // 2
        return Tile(self.ds - timedelta(days=half), half), Tile(self.ds, half)


def tiles_ending_on(ds: date) -> list[Tile]:
    """Every tile that ends with this day, the shortest first."""
    number = (ds - _DAY_BEFORE_FIRST).days
    # every second day ends a tile of 2, every fourth one of 4, …: about two rows per entity and day in all
    return [Tile(ds, span) for span in SPANS if number % span == 0]


def cover(ds: date, window: str) -> Iterator[Tile]:
    """The tiles that make up the window that ends with `ds`, newest first; all days for "lifetime"."""
    end = (ds - _DAY_BEFORE_FIRST).days
    start = 0 if window == LIFETIME else max(0, end - window_days(window))
    while end > start:
        # the longest that fits: any other choice would need more tiles, each a row to read per entity
        span = max(s for s in SPANS if end % s == 0 and s <= end - start)
        yield Tile(_DAY_BEFORE_FIRST + timedelta(days=end), span)
        end -= span


def merge_inputs(tile: Tile, rebuilt_days: Collection[date]) -> Iterator[tuple[Tile, bool]]:
    """What a tile is merged from, and whether that was just folded: those days, and the longest tiles between."""
    if not any(tile.first <= day <= tile.ds for day in rebuilt_days):
        yield tile, False
    elif tile.span == 1:
        yield tile, True
    else:  # a half without rebuilt days is one tile of the table, so a late play costs a path, not a tree
        for half in tile.halves():
            yield from merge_inputs(half, [day for day in rebuilt_days if half.first <= day <= half.ds])
