"""Ranges of values that histograms are drawn by: few, and the same for all that is drawn together."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from expectations.charts.histograms import Bar
from expectations.column_profiles import edges_of

# As many bars as are still distinct on a phone.
MOST_BARS = 24
# Whole numbers below this have a bin each.
SMALL = 32
# Ranges are of one width up to so many times the median; beyond, most values would be in the first of them.
EVEN_TIMES = 20

Bins = Mapping[int, int]


@dataclass(frozen=True)
class Ranges:
    """From each edge to the next, the lowest first; or of whole numbers from the first edge to the last, each alone."""

    edges: Sequence[float]
    whole: bool = False
    # of a bin, where it lies and with how much of it: many days have the same bins
    _places: dict[int, list[tuple[int, float]]] = field(default_factory=dict, repr=False, compare=False)

    def count(self, bins: Bins) -> list[Bar]:
        """Rows of each range; of a bin that lies in several, each has the share that lies in it."""
        pairs = [(edge, edge) for edge in self.edges] if self.whole else [*pairwise(self.edges)]
        counts = [0.0] * len(pairs)
        for name, rows in bins.items():
            if name not in self._places:
                self._places[name] = [*self._find_places(name)] if pairs and _is_finite(name) else []
            for place, share in self._places[name]:
                counts[place] += rows * share
        return [Bar(*pair, count) for pair, count in zip(pairs, counts, strict=True)]

    def _find_places(self, name: int) -> Iterator[tuple[int, float]]:
        low, high = edges_of(name)
        if self.whole:
            yield bisect_left(self.edges, _to_value(name)), 1.0
            return
        last = len(self.edges) - 2
        for place in range(min(last, max(0, bisect_right(self.edges, low) - 1)), last + 1):
            inside = min(high, self.edges[place + 1]) - max(low, self.edges[place])
            yield place, inside / (high - low) if high > low else 1.0
            if high <= self.edges[place + 1]:
                return


def choose_ranges(histograms: Iterable[Bins], most: int = MOST_BARS) -> Ranges:
    """Ranges that hold all finite values of all histograms; none where there are none.

    Small whole numbers have a range each. Others have ranges of one width or, where some are many times the median,
    ranges that widen with the values on both sides of zero.
    """
    rows = _sum_finite(histograms)
    if not rows:
        return Ranges(())
    first, last = min(rows), max(rows)
    low, high = edges_of(first)[0], edges_of(last)[1]
    if all(_to_value(name).is_integer() for name in rows) and max(-low, high) <= SMALL + 1:
        return Ranges(
            [float(value) for value in range(int(_to_value(first)), int(_to_value(last)) + 1)], whole=True
        )
    if last - first < most:
        # as they are: narrower ranges would make up what is within them
        return Ranges([*(edges_of(name)[0] for name in range(first, last + 1)), high])
    return Ranges([low, *_choose_inner(low, high, _find_median(rows), most), high])


def _choose_inner(low: float, high: float, median: float, most: int) -> list[float]:
    reach = max(abs(low), abs(high))
    if reach <= EVEN_TIMES * median:
        return [low + (high / most - low / most) * place for place in range(1, most)]
    # a unit that is too small would make the largest values infinite
    unit = max(median, reach * 1e-15)
    start, end = math.asinh(low / unit), math.asinh(high / unit)
    return [unit * math.sinh(start + (end - start) * place / most) for place in range(1, most)]


def _sum_finite(histograms: Iterable[Bins]) -> Counter[int]:
    """Rows by bin, of all; without infinity and its neighbour, whose far edge is infinite too."""
    total: Counter[int] = Counter()
    for bins in histograms:
        total.update(bins)
    return Counter({name: rows for name, rows in total.items() if rows and _is_finite(name)})


def _is_finite(name: int) -> bool:
    return all(map(math.isfinite, edges_of(name)))


def _to_value(name: int) -> float:
    """The edge nearer to zero, which is in the bin: of a bin of one whole number, that number."""
    return edges_of(name)[name < 0]


def _find_median(rows: Mapping[int, int]) -> float:
    """Of how large values are that are not zero."""
    sizes: Counter[float] = Counter()
    for name, count in rows.items():
        sizes[max(map(abs, edges_of(name)))] += count if name else 0
    half, passed = sum(sizes.values()) / 2, 0
    for size in sorted(sizes):
        passed += sizes[size]
        if passed and passed >= half:
            return size
    return 0.0
