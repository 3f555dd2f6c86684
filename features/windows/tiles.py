"""Which tiles make up a window. A tile is the merge of 1, 2, 4, 8 … days, aligned like a binary number.

With days numbered from 1970-01-01, a tile of s days ends where (number of its last day + 1) is a
multiple of s. So any w days are at most 2 log2(w) tiles, and all days there ever were at most 15
(a Fenwick tree: Fenwick, "A New Data Structure for Cumulative Frequency Tables", 1994).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import date
from typing import NamedTuple

from schemas.declarations import LIFETIME, SPANS, window_days

_EPOCH = date(1970, 1, 1).toordinal()


class Tile(NamedTuple):
    """The `span` days that end with `ds`."""

    ds: date
    span: int

    @property
    def first(self) -> date:
        return date.fromordinal(self.ds.toordinal() - self.span + 1)

    def halves(self) -> tuple[Tile, Tile]:
        half = self.span // 2
        return Tile(date.fromordinal(self.ds.toordinal() - half), half), Tile(self.ds, half)


def tiles_ending_on(ds: date) -> list[Tile]:
    """Every tile that ends with this day, the shortest first."""
    # every second day ends a tile of 2, every fourth one of 4, …: about two rows per entity and day in all
    return [Tile(ds, span) for span in SPANS if _end(ds) % span == 0]


def cover(ds: date, window: str) -> Iterator[Tile]:
    """The tiles that make up the window that ends with `ds`, newest first; all days for "lifetime"."""
    end = _end(ds)
    start = 0 if window == LIFETIME else max(0, end - window_days(window))
    while end > start:
        span = max(s for s in SPANS if end % s == 0 and s <= end - start)
        yield Tile(_day(end), span)
        end -= span


def merge_inputs(tile: Tile, rebuilt_days: Collection[date]) -> Iterator[tuple[Tile, bool]]:
    """What a tile is merged from, if the days `rebuilt_days` were just folded: those, and the longest tiles between.

    The flag says which of the two a source is.
    """
    if not any(tile.first <= day <= tile.ds for day in rebuilt_days):
        yield tile, False
    elif tile.span == 1:
        yield tile, True
    else:  # a half without rebuilt days is one tile of the table, so a late play costs a path, not a tree
        for half in tile.halves():
            yield from merge_inputs(half, [day for day in rebuilt_days if half.first <= day <= half.ds])


def _end(ds: date) -> int:
    return ds.toordinal() - _EPOCH + 1


def _day(end: int) -> date:
    return date.fromordinal(end - 1 + _EPOCH)
