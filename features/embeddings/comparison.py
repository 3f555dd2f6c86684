"""Measures of a space: neighbours, hubness, popularity bias; and of two versions of it compared.

Neighbours are int64, rows x k, nearest first; -1 where a row has fewer, and it equals no track.
"""

from __future__ import annotations

import numpy as np

from features.embeddings.arrays import Doubles, Flags, Ints, Matrix
from features.embeddings.ranking import EvaluationError, drop_zero_rows, iterate_products

Z_95 = 1.959964  # of a normal variable, 95 % are within so many standard deviations
PARTED = 64  # products to a part when the largest are looked for


def paired_ratio(new_hits: Flags, old_hits: Flags) -> tuple[float, float, float]:
    """Hits of the new version / hits of the old one on the same pairs, with a 95 % interval.

    Hits against none are Inf, none against none is 1.

    Raises:
        EvaluationError: no pairs, or hits that are not parallel.
    """
    if new_hits.shape != old_hits.shape or not len(new_hits):
        raise EvaluationError(
            f"ratio: {new_hits.shape} new hits, {old_hits.shape} old ones; "
            "expected both of the same pairs, and one or more"
        )
    new, old, both = (int(np.count_nonzero(hits)) for hits in (new_hits, old_hits, new_hits & old_hits))
    ratio = new / old if old else (float("inf") if new else 1.0)
    return ratio, *_bounds(new, old, both)


def _bounds(new: int, old: int, both: int) -> tuple[float, float]:
    # the hybrid interval of Bonett and Price, "Confidence Intervals for a Ratio of Binomial Proportions Based
    # on Paired Data" (2006): Wilson's for either proportion, among the pairs that either hit, narrowed by how
    # much the two correlate. A bootstrap is not honest where hits are few: five against none would be certain
    union = new + old - both
    if not union:
        return 0.0, float("inf")
    # one is added to each cell in which the two differ, so that no variance is 0
    paired_error = np.sqrt((new + old - 2 * both + 2) / ((new + 1) * (old + 1)))
    errors = sum(np.sqrt((1 - (hits + 1) / (union + 2)) / (hits + 1)) for hits in (new, old))
    z = Z_95 * paired_error / errors
    (new_low, new_high), (old_low, old_high) = _wilson(new, union, z), _wilson(old, union, z)
    return new_low / old_high, new_high / old_low if old_low > 0 else float("inf")


def _wilson(hits: int, pairs: int, z: float) -> tuple[float, float]:
    """The score interval of a proportion (Wilson, 1927)."""
    middle, half = 2 * hits + z * z, z * np.sqrt(z * z + 4 * hits * (1 - hits / pairs))
    scale = 2 * (pairs + z * z)
    return max(0.0, float((middle - half) / scale)) if hits else 0.0, float((middle + half) / scale)


def find_neighbours(matrix_unit: Matrix, rows: Ints, k: int = 10, block: int = 512) -> Ints:
    """The k tracks with the largest inner products with each of `rows`, itself left out; equals by number.

    A row of zeros is no vector: it is no track's neighbour and has none. `block` is as in `rank_targets`.

    Args:
        matrix_unit: tracks x dimensions, rows of length 1 for cosine.
        rows: numbers of the tracks whose neighbours are searched.

    Raises:
        EvaluationError: NaN or Inf, a row that is no track's, or k below 1.
    """
    tracks = len(matrix_unit)
    if k < 1:
        raise EvaluationError(f"neighbours: k is {k}; expected 1 or more")
    if len(rows) and not 0 <= rows.min() <= rows.max() < tracks:
        raise EvaluationError(
            f"neighbours: rows go from {rows.min()} to {rows.max()}; expected 0 to {tracks - 1}"
        )
    place, vectors = drop_zero_rows(matrix_unit)
    number = np.flatnonzero(place >= 0)
    neighbours = np.full((len(rows), k), -1, np.int64)
    at = np.flatnonzero(place[rows] >= 0)
    for first, products in iterate_products(matrix_unit, rows[at], vectors, place, block):
        for i, row in zip(at[first:], products, strict=False):
            nearest = number[_top_k(row, min(k, len(number) - 1))]
            neighbours[i, : len(nearest)] = nearest
    return neighbours


def _top_k(products: Matrix, k: int) -> Ints:
    """Places of the k largest, falling; of equals the first."""
    if k == 0:
        return np.empty(0, np.int64)
    # at least k products, and few more, are not below the k-th largest of the parts' largest, which is found
    # at a tenth of the cost of the k-th largest of all
    width, sample = len(products) // PARTED, products
    if width >= k:
        sample = products[: PARTED * width].reshape(PARTED, width).max(axis=0)
    threshold = np.partition(sample, len(sample) - k)[len(sample) - k]
    # partitioning alone would take any of the equal ones
    candidates = np.flatnonzero(products >= threshold)
    return candidates[np.argsort(-products[candidates], kind="stable")[:k]]


def overlap(neighbours_a: Ints, neighbours_b: Ints) -> float:
    """The share of neighbours that two searches for the same rows have in common, in any order; of all rows together.

    A row with fewer than k neighbours counts as many as it has, in the search that found more; 0 where none has any.

    Raises:
        EvaluationError: of two shapes, or empty.
    """
    if neighbours_a.shape != neighbours_b.shape or not neighbours_a.size:
        raise EvaluationError(
            f"overlap: neighbours are {neighbours_a.shape} and {neighbours_b.shape}; expected one rows x k"
        )
    # row and neighbour as one number: one intersection of all rows, not one of each
    rows = np.arange(len(neighbours_a))[:, None]
    width = 1 + max(neighbours_a.max(), neighbours_b.max())
    a, b = ((rows * width + near)[near >= 0] for near in (neighbours_a, neighbours_b))
    most = np.maximum(*((near >= 0).sum(axis=1) for near in (neighbours_a, neighbours_b))).sum()
    return len(np.intersect1d(a, b, assume_unique=True)) / max(1, int(most))


def mean_cosine(a: Matrix, b: Matrix) -> float:
    """The mean over rows of the cosine of a row of `a` and the same of `b`; where both have a vector.

    Raises:
        EvaluationError: of two shapes, or there is no such row.
    """
    if a.shape != b.shape:
        raise EvaluationError(f"cosine: matrices are {a.shape} and {b.shape}; expected the same rows of both")
    # summed in doubles, without a copy of a matrix in doubles
    products, squares_a, squares_b = (
        np.einsum("ij,ij->i", x, y, dtype=np.float64) for x, y in ((a, b), (a, a), (b, b))
    )
    in_both = (squares_a > 0) & (squares_b > 0)
    if not in_both.any():
        raise EvaluationError(f"cosine: of {len(a)} rows none has a vector in both; expected one or more")
    return float((products[in_both] / np.sqrt(squares_a[in_both] * squares_b[in_both])).mean())


def hubness(neighbours: Ints, tracks: int) -> dict[str, float]:
    """How unevenly tracks are neighbours of others (Radovanović et al., "Hubs in Space", 2010).

    - `largest`: rows that the most named track is a neighbour of.
    - `largest_ratio`: that against the mean over tracks, rows x k / tracks.
    - `skewness`: third standardised moment of the rows that name a track; 0 where all are named alike.
    - `orphans`: share of tracks that are no track's neighbour; of a sample of rows it is too large.

    Args:
        neighbours: of `find_neighbours`; -1 counts for no track, but in the mean.
        tracks: how many could be named: those with a vector, numbered without gaps.

    Raises:
        EvaluationError: no neighbours, or one that is no track.
    """
    mentions = neighbours[neighbours >= 0]
    if not len(mentions) or mentions.max() >= tracks:
        raise EvaluationError(f"hubness: expected neighbours among {tracks} tracks, and one or more of them")
    counts = np.bincount(mentions, minlength=tracks).astype(np.float64)
    deviations = counts - counts.mean()
    spread = np.sqrt((deviations**2).mean())
    return {
        "largest": float(counts.max()),
        # with all rows searched the mean is k; of a sample chance adds to the ratio: search rows enough for a
        # mean of one or more
        "largest_ratio": float(counts.max() * tracks / neighbours.size),
        "skewness": float((deviations**3).mean() / spread**3) if spread > 0 else 0.0,
        "orphans": float((counts == 0).mean()),
    }


def popularity_bias(neighbours: Ints, rows: Ints, support: Ints) -> dict[str, float]:
    """How much better known the neighbours are than the tracks that they are of.

    `lift` is the popularity lift of Abdollahpouri et al., "The Connection Between Popularity Bias,
    Calibration, and Fairness in Recommendation" (2020): the mean popularity of what is named, less that
    of what it is named for, as a share of the latter; above 0, known tracks are favoured. `neighbours` and
    `rows` are its two means.

    Raises:
        EvaluationError: not parallel, or no neighbours.
    """
    if len(neighbours) != len(rows) or not (neighbours >= 0).any():
        raise EvaluationError(
            f"popularity: {len(neighbours)} rows of neighbours for {len(rows)} rows; "
            "expected as many of both, and one or more neighbours"
        )
    # not plays, of which a few hits would make up the figure: the mean percentile of all tracks is 0.5
    percentile = percentiles(support)
    is_neighbour = neighbours >= 0
    neighbour_mean = float(percentile[neighbours[is_neighbour]].mean())
    row_mean = float(percentile[rows[is_neighbour.any(axis=1)]].mean())
    return {"neighbours": neighbour_mean, "rows": row_mean, "lift": neighbour_mean / row_mean - 1}


def percentiles(support: Ints) -> Doubles:
    """Of each track, the share of tracks with fewer plays and half of those with as many, itself included."""
    _, level, level_sizes = np.unique(support, return_inverse=True, return_counts=True)
    return ((np.cumsum(level_sizes) - level_sizes / 2) / max(1, len(support)))[level]


def norm_shift(new_norms: Doubles, old_norms: Doubles) -> tuple[float, float]:
    """New against old length of vectors, as two ratios: of the first percentiles and of the ninety-ninth.

    Raises:
        EvaluationError: no vectors on a side, or a norm that is NaN, Inf or below 0.
    """
    for name, norms in (("new", new_norms), ("old", old_norms)):
        if not (np.isfinite(norms).all() and (norms >= 0).all() and (norms > 0).any()):
            raise EvaluationError(
                f"norms: of the {name} vectors are not all finite and 0 or more, or all are 0"
            )
    # norms of 0 are of tracks without a vector; the least and the largest of the rest would each be one track's
    new, old = (np.percentile(norms[norms > 0], (1, 99)) for norms in (new_norms, old_norms))
    low, high = new / old
    return float(low), float(high)
