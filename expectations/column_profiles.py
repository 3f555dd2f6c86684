"""How the values of a column are distributed: a histogram on edges that never move, and what follows from it.

The bins are those of HdrHistogram (Gil Tene): each power of two is cut into 16 equal parts, so that a bin is 1/16 to
1/32 as wide as its values, whatever their size. DDSketch's logarithmic bins have one relative width, but its edges are
logarithms, which two machines round differently; these are doubles without rounding, and whole numbers below 32 have a
bin each.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt

NUMBER, TEXT, INSTANT, LENGTH = "number", "text", "instant", "length"
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
# How many top values a profile keeps.
TOP_VALUES = 20

_PARTS = 16
# Of a double that is not subnormal, as `frexp` says it: 0.5 * 2^-1021 is the smallest.
_LEAST_EXPONENT, _GREATEST_EXPONENT = -1021, 1024
_LAST = (_GREATEST_EXPONENT - _LEAST_EXPONENT + 1) * _PARTS
# Of infinity.
_INFINITE = _LAST + 1


@dataclass(frozen=True)
class ColumnProfile:
    """One column of one day; what its kind does not have is None or empty.

    Instants are binned by their hour of the day in UTC, lists by their length.
    """

    kind: str
    rows: int
    nulls: int = 0
    nans: int = 0
    # of finite values; standard deviation of the whole population
    mean: float | None = None
    spread: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    bins: Mapping[int, int] = field(default_factory=dict)
    distinct_values: int | None = None
    # most rows first; None where there are too many different ones to count each
    top_values: Mapping[str, int] | None = None

    @property
    def other_rows(self) -> int:
        """Rows with a value that is not among the top ones: of too few listeners, or with too few rows."""
        return self.rows - self.nulls - sum((self.top_values or {}).values())

    @property
    def quantiles(self) -> list[float] | None:
        """At `QUANTILES`; None without values."""
        return find_quantiles(self.bins, QUANTILES) if self.bins else None

    def to_row(self) -> dict[str, Any]:
        """As `feature_profiles` has it; structs are pairs, which Arrow takes for them."""
        top = self.top_values
        return {
            **vars(self),
            "quantiles": self.quantiles,
            "bins": sorted(self.bins.items()),
            "top_values": None if top is None else list(top.items()),
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> ColumnProfile:
        """Of a row of `feature_profiles`, in which `bins` and `top_values` are mappings."""
        return cls(**{each.name: row[each.name] for each in fields(cls)})


def bin_of(values: npt.ArrayLike) -> npt.NDArray[np.int32]:
    """The bin of each number: 0 of zero, 1 to 32,736 of positive ones by their size, 32,737 of infinity, the same below
    zero with a minus. Bins are in the order of their values. NaN has none, and must not be among them."""
    numbers = np.asarray(values, np.float64)
    mantissas, exponents = np.frexp(np.abs(numbers))
    parts = np.floor((2 * mantissas - 1) * _PARTS)
    bins = (exponents - _LEAST_EXPONENT) * _PARTS + np.where(np.isfinite(parts), parts, 0) + 1
    # subnormal numbers, below 2.3e-308, count as zero: edges between them would be equal
    bins = np.where((mantissas == 0) | (exponents < _LEAST_EXPONENT), 0, bins)
    bins = np.where(np.isinf(numbers), _INFINITE, bins)
    return (np.sign(numbers) * bins).astype(np.int32)


def edges_of(bin_: int) -> tuple[float, float]:
    """The smallest and the largest edge of a bin. The one nearer to zero is in it, the other is in the next bin; both
    are the value itself in those of zero and infinity."""
    if bin_ < 0:
        low, high = edges_of(-bin_)
        return -high, -low
    if bin_ in (0, _INFINITE):
        return (math.inf, math.inf) if bin_ else (0.0, 0.0)
    return _edge(bin_), _edge(bin_ + 1)


def _edge(bin_: int) -> float:
    exponent, part = divmod(bin_ - 1, _PARTS)
    # in halves: the edge above the greatest number is infinity, where ldexp would raise an error
    return math.inf if bin_ > _LAST else math.ldexp(1 + part / _PARTS, exponent + _LEAST_EXPONENT - 1)


def find_quantiles(bins: Mapping[int, int], shares: Sequence[float]) -> list[float]:
    """At each of `shares` (0..1), a number of the bin that holds the value of that rank, so within 1/16 of it: as far
    into the bin as the rank is, and whole numbers below 32 as they are."""
    names = sorted(bins)
    ends = list(accumulate(bins[name] for name in names))
    whole = all(_nearer_edge(name).is_integer() for name in names)
    found = []
    for rank in (share * ends[-1] for share in shares):
        place = min(bisect_left(ends, rank), len(names) - 1)
        into_bin = 1 - (ends[place] - rank) / bins[names[place]]
        found.append(_interpolate(names[place], into_bin, whole))
    return found


def _interpolate(bin_: int, share: float, whole: bool) -> float:
    low, high = edges_of(bin_)
    # the outermost bin of numbers ends at infinity
    if low == high or not math.isfinite(high - low) or (whole and high - low <= 1):
        return _nearer_edge(bin_)
    return low + share * (high - low)


def _nearer_edge(bin_: int) -> float:
    # to zero: of a bin of one whole number, that number
    return edges_of(bin_)[bin_ < 0]


def merge_profiles(a: ColumnProfile, b: ColumnProfile) -> ColumnProfile:
    """Of the rows of both, in any order and grouping; mean and spread but for rounding.

    What a profile no longer has is not made up: of distinct values there are at least as many as in either, and of top
    values those count that either lists.
    """
    finite = [(_count_finite(each), each) for each in (a, b)]
    mean, spread = merge_moments(*((n, each.mean or 0.0, each.spread or 0.0) for n, each in finite))
    known = any(each.mean is not None for each in (a, b))
    return replace(
        a,
        rows=a.rows + b.rows,
        nulls=a.nulls + b.nulls,
        nans=a.nans + b.nans,
        mean=mean if known else None,
        spread=spread if known else None,
        minimum=min((each for each in (a.minimum, b.minimum) if each is not None), default=None),
        maximum=max((each for each in (a.maximum, b.maximum) if each is not None), default=None),
        bins=dict(Counter(a.bins) + Counter(b.bins)),
        distinct_values=max(
            (each for each in (a.distinct_values, b.distinct_values) if each is not None), default=None
        ),
        top_values=_merge_top_values(a.top_values, b.top_values),
    )


Moments = tuple[int, float, float]


def merge_moments(a: Moments, b: Moments) -> tuple[float, float]:
    """Mean and standard deviation of both, each given as count, mean and standard deviation (Chan, Golub and LeVeque,
    1983)."""
    (count_a, mean_a, spread_a), (count_b, mean_b, spread_b) = a, b
    if not (count := count_a + count_b):
        return 0.0, 0.0
    share_a, share_b = count_a / count, count_b / count
    # in halves, and with `hypot`: neither a difference nor a square of great numbers may overflow
    half = mean_b / 2 - mean_a / 2
    distance = 2 * math.sqrt(share_a * share_b) * half
    spread = math.hypot(math.sqrt(share_a) * spread_a, math.sqrt(share_b) * spread_b, distance)
    # parts of the smallest numbers round to zero, and their sum to less than either
    mean = min(max(share_a * mean_a + share_b * mean_b, min(mean_a, mean_b)), max(mean_a, mean_b))
    return mean, spread


def _count_finite(profile: ColumnProfile) -> int:
    infinite = profile.bins.get(_INFINITE, 0) + profile.bins.get(-_INFINITE, 0)
    return sum(profile.bins.values()) - infinite


def _merge_top_values(a: Mapping[str, int] | None, b: Mapping[str, int] | None) -> Mapping[str, int] | None:
    return None if a is None or b is None else rank_values(Counter(a) + Counter(b))


def rank_values(counts: Mapping[str, int]) -> dict[str, int]:
    """The `TOP_VALUES` with the most rows, equals in the order of their text."""
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:TOP_VALUES])
