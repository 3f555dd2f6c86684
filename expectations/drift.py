"""How far two histograms lie apart, each a mapping of bins or of values to rows.

Equal to what scipy makes of the same bins: `scipy.special.rel_entr`, `scipy.spatial.distance.jensenshannon`.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Key = TypeVar("Key", bound=Hashable)
Counts = Mapping[Key, int]
Shares = NDArray[np.float64]

# Rows that each bin of each histogram has besides its own: half a row, as of Jeffreys' prior. Of a bin that is empty on
# one side the index would have no limit, and of one row there it would depend on nothing else.
SMOOTHING = 0.5
# Deciles: what bounds of the index (0.1, 0.25) were found for.
PARTS = 10
# The normal quantile of 0.999.
RARE_Z = 3.0902


def measure_psi(counts: Counts[Any], reference: Counts[Any]) -> float:
    """Population stability index, sum of (p - q) ln(p / q): 0 for equal shares; without rows on a side 0.

    p and q are shares of `counts` and `reference` with half a row more in each bin. Jeffreys, An Invariant Form for the
    Prior Probability (1946); as an index of scores, Siddiqi, Credit Risk Scorecards (2006): over 0.1 something moved,
    over 0.25 much did.
    """
    p, q = _share_pair(counts, reference, SMOOTHING)
    return float(np.sum((p - q) * np.log(p / q)))


def measure_js(counts: Counts[Any], reference: Counts[Any]) -> float:
    """Jensen-Shannon divergence in bits: 0 for equal shares, 1 where no bin has rows on both sides.

    Lin, Divergence Measures Based on the Shannon Entropy (1991). Empty bins need no smoothing. scipy's
    `jensenshannon(p, q, base=2)` is the root of it.
    """
    p, q = _share_pair(counts, reference, 0)
    middle = (p + q) / 2
    bits = (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2
    # of nearly equal shares a rounding error may be all of it
    return max(bits, 0.0)


def find_largest_difference(counts: Counts[Key], reference: Counts[Key]) -> tuple[Key | None, float, float]:
    """The bin whose share differs most, and its share in `reference` and in `counts`; of ties the first.

    The difference is the distance of two categorical distributions by the maximum norm.
    """
    keys = _list_keys(counts, reference)
    p, q = _share_pair(counts, reference, 0)
    if not len(p):
        return None, 0.0, 0.0
    place = int(np.argmax(np.abs(p - q)))
    return keys[place], float(q[place]), float(p[place])


def expect_psi(groups: int, rows: int, reference_rows: int) -> float:
    """What the index is on average where nothing but chance differs: (groups - 1) (1/n + 1/m).

    To second order it is the chi-square of homogeneity, times 1/n + 1/m: Yurdakul and Naranjo, Statistical
    Properties of the Population Stability Index (2020).
    """
    return max(groups - 1, 0) * _sum_inverses(rows, reference_rows)


def limit_chance(groups: int, rows: int, reference_rows: int, z: float = RARE_Z) -> float:
    """What the index exceeds by chance once in a thousand times, or by another normal quantile `z`.

    The quantile of chi-square is that of Wilson and Hilferty (1931).
    """
    freedom = groups - 1
    if freedom < 1:
        return 0.0
    part = 2 / (9 * freedom)
    return float(freedom * (1 - part + z * math.sqrt(part)) ** 3) * _sum_inverses(rows, reference_rows)


def group_bins(
    counts: Counts[int], reference: Counts[int], parts: int = PARTS
) -> tuple[dict[int, int], dict[int, int]]:
    """Both with neighbouring bins joined, so that each group has 1/`parts` of the reference, or a little more.

    Fine bins make the index large by chance alone. A bin of so large a share is a group by itself, as otherwise a move
    to a bin beside it would not be seen; bins below or above all of the reference are a group each, as they are new.
    """
    groups = {
        key: n for n, keys in enumerate(_cut(sorted({*counts, *reference}), reference, parts)) for key in keys
    }
    return _sum_groups(counts, groups), _sum_groups(reference, groups)


def _cut(keys: Sequence[int], reference: Counts[int], parts: int) -> Iterator[list[int]]:
    least = sum(reference.values()) / parts
    inside = [key for key, rows in reference.items() if rows]
    low, high = min(inside, default=0), max(inside, default=0)
    group: list[int] = []
    rows = 0.0
    for key in keys:
        own = reference.get(key, 0)
        # the first bins within, or above, the reference end what lies below
        is_border = bool(group) and (group[-1] < low <= key or group[-1] <= high < key)
        if group and (is_border or own >= least or rows >= least):
            yield group
            group, rows = [], 0.0
        group.append(key)
        rows += own
    if group:
        yield group


def _sum_groups(counts: Counts[int], groups: Mapping[int, int]) -> dict[int, int]:
    sums: dict[int, int] = {}
    for key, rows in counts.items():
        sums[groups[key]] = sums.get(groups[key], 0) + rows
    return sums


def _list_keys(counts: Counts[Key], reference: Counts[Key]) -> list[Key]:
    # in an order that does not depend on a hash
    return list(dict.fromkeys((*reference, *counts)))


def _share_pair(counts: Counts[Any], reference: Counts[Any], smoothing: float) -> tuple[Shares, Shares]:
    """Of every bin of either; of nothing, where a side has no rows."""
    keys = _list_keys(counts, reference)
    pair = [np.array([each.get(key, 0) for key in keys], float) for each in (counts, reference)]
    if not all(each.sum() for each in pair):
        return np.empty(0), np.empty(0)
    p, q = (each + smoothing for each in pair)
    return p / p.sum(), q / q.sum()


def _relative_entropy(p: Shares, q: Shares) -> float:
    where = p > 0
    return float(np.sum(p[where] * np.log2(p[where] / q[where])))


def _sum_inverses(rows: int, reference_rows: int) -> float:
    return 1 / rows + 1 / reference_rows if rows and reference_rows else 0.0
