"""How far one column tells another, of rows that count by weights: a weight of 2 is the row twice.

All are NaN where they are not defined, as of a column that is the same everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
# Of the weights of the rows.
Measure = Callable[[Floats], float]
Interval = tuple[float, float]

# Of a bin's predictions; ten are what a plot of calibration has room for.
BINS = 10
# A variance of this share of the squared mean is the rounding of equal values.
ROUNDING = 1e-28


@dataclass(frozen=True)
class Bin:
    """Rows of like predictions: how many, the mean that was predicted, and the mean that came."""

    rows: int
    predicted: float
    actual: float


def compute_spearman(codes: Ints, target_codes: Ints, weights: Floats) -> float:
    """Pearson's correlation of ranks, equal values at their middle rank.

    Args:
        codes, target_codes: of each row the place of its value among the distinct ones, as `np.unique` gives it.
    """
    ranks, spread = _rank(codes, weights)
    target_ranks, target_spread = _rank(target_codes, weights)
    if not spread * target_spread:
        return np.nan
    return float(weights @ (ranks[codes] * target_ranks[target_codes]) / np.sqrt(spread * target_spread))


def compute_auc(codes: Ints, is_positive: Flags, weights: Floats) -> float:
    """The chance that a positive row is above a negative one; equal ones count half (Mann and Whitney, 1947)."""
    # both at once, as a pass over all rows is what a draw costs
    negative, positive = (
        np.bincount(2 * codes + is_positive, weights, 2 * (codes.max(initial=-1) + 1)).reshape(-1, 2).T
    )
    pairs = positive.sum() * negative.sum()
    below = np.cumsum(negative) - negative / 2
    return float(positive @ below / pairs) if pairs else np.nan


def compute_r2(predicted: Floats, target: Floats, weights: Floats) -> float:
    """1 - squared errors of the prediction / those of the mean of these rows; below 0 where the mean is better."""
    spread = _spread(target, weights)
    return float(1 - weights @ (target - predicted) ** 2 / spread) if spread else np.nan


def compute_slope(predicted: Floats, target: Floats, weights: Floats) -> float:
    """Of the line of what came on what was predicted: 1 where calibrated, below 1 where predictions go too far."""
    spread = _spread(predicted, weights)
    centred = predicted - np.average(predicted, weights=weights) if spread else predicted
    return float(weights @ (centred * target) / spread) if spread else np.nan


def list_bins(predicted: Floats, target: Floats) -> list[Bin]:
    """Up to `BINS` of about as many rows each, by rising prediction; equal predictions are in one bin."""
    distinct, codes, counts = np.unique(predicted, return_inverse=True, return_counts=True)
    if not len(distinct):
        return []
    # by the middle of a value's own rows, so that a bin of many equal ones takes no others' place
    middles = (np.cumsum(counts) - counts / 2) / counts.sum()
    bins = np.minimum((middles * BINS).astype(np.int64), BINS - 1)[codes]
    rows = np.bincount(bins, minlength=BINS)
    sums = [np.bincount(bins, values, BINS) for values in (predicted, target)]
    return [
        Bin(int(rows[n]), float(sums[0][n] / rows[n]), float(sums[1][n] / rows[n]))
        for n in np.flatnonzero(rows)
    ]


def compute_calibration_error(bins: list[Bin]) -> float:
    """How far the mean that came is from the predicted one, in units of the target: the mean over rows of bins."""
    total = sum(each.rows for each in bins)
    return sum(each.rows * abs(each.actual - each.predicted) for each in bins) / total if total else np.nan


def estimate_intervals(
    measures: Mapping[str, Measure], listeners: Ints, replicates: int, seed: int
) -> dict[str, Interval]:
    """The middle 95 % of each measure over draws of as many listeners, with replacement (Efron, 1979).

    All rows of a listener come together, as they are no independent observations. NaN where half of the draws have no
    value, and of one listener.

    Args:
        listeners: of each row, the number of its listener.
    """
    distinct, own = np.unique(listeners, return_inverse=True)
    draws, size = np.random.default_rng(seed), len(distinct)
    values = np.full((replicates, len(measures)), np.nan)
    for replicate in range(replicates if size > 1 else 0):
        times = np.bincount(draws.integers(0, size, size), minlength=size)
        weights = times[own].astype(np.float64)
        values[replicate] = [measure(weights) for measure in measures.values()]
    return dict(zip(measures, map(_select_middle, values.T), strict=True))


def _select_middle(values: Floats) -> Interval:
    finite = values[np.isfinite(values)]
    if 2 * len(finite) <= len(values):
        return np.nan, np.nan
    low, high = np.quantile(finite, (0.025, 0.975))
    return float(low), float(high)


def _rank(codes: Ints, weights: Floats) -> tuple[Floats, float]:
    """Of each value the middle of the places of its rows, less the mean of all places; and the rows' sum of squares."""
    totals = np.bincount(codes, weights)
    # the mean of all places is the middle one, whatever ties
    ranks = np.cumsum(totals) - totals / 2 - totals.sum() / 2
    # sums of halves: exactly 0 where all rows have one value
    return ranks, float(totals @ ranks**2)


def _spread(values: Floats, weights: Floats) -> float:
    """The weighted sum of squares around the mean; 0 for values that differ by rounding alone."""
    total = weights.sum()
    if not total:
        return 0.0
    mean = weights @ values / total
    spread = float(weights @ (values - mean) ** 2)
    return spread if spread > ROUNDING * total * mean**2 else 0.0
