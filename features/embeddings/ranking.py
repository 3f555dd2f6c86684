"""The rank of the track that was in fact played next, and the scores made of it: HR, NDCG, MRR.

Every list is of all tracks: with sampled rivals another model can come out ahead (Krichene and Rendle, "On
Sampled Metrics for Item Recommendation", 2020).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.embeddings.arrays import Flags, Ints, Matrix

KS = (1, 5, 10, 50)
SEGMENTS = ("head", "torso", "tail", "new")
_HEAD, _TORSO, _TAIL, _NEW = range(len(SEGMENTS))

MOST_SCORES = 1 << 26  # of one block, 256 MB
HASHED = 10_000  # rows at a time


class EvaluationError(ValueError):
    """Something that no measure can be taken of."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Questions and answers, parallel: after track `query` came track `target`; -1 is a track not known.

    Raises:
        EvaluationError: the two are not parallel.
    """

    query: Ints
    target: Ints

    def __post_init__(self) -> None:
        if self.query.ndim != 1 or self.query.shape != self.target.shape:
            raise EvaluationError(
                f"pairs: query has shape {self.query.shape} and target {self.target.shape}; "
                "expected two columns of one length"
            )

    def __len__(self) -> int:
        return len(self.query)

    def first(self, count: int) -> Pairs:
        return Pairs(self.query[:count], self.target[:count])

    def answerable(self, tracks: int) -> Ints:
        """Places of the pairs whose two tracks are known and not the same.

        Raises:
            EvaluationError: a number that is no track's.
        """
        for name, numbers in (("query", self.query), ("target", self.target)):
            if len(numbers) and not -1 <= numbers.min() <= numbers.max() < tracks:
                raise EvaluationError(
                    f"pairs: {name} goes from {numbers.min()} to {numbers.max()}; "
                    f"expected -1 (not known) to {tracks - 1}, of {tracks} tracks"
                )
        # A track is left out of its own list, so one that follows itself is on no list. Repeats in a row are
        # dropped before sessions get here; one that is left is a miss.
        return np.flatnonzero((self.query >= 0) & (self.target >= 0) & (self.query != self.target))


def rank_targets(queries: Matrix, items: Matrix, pairs: Pairs, block: int = 512) -> Ints:
    """For each pair, the target's place among all tracks but the query by inner product, from 1; 0 is a miss.

    Of equal products the track with the lower number comes first. A row of zeros is no vector: as an
    item it is on no list, as a query it has none.

    Args:
        queries: of the track before, tracks x dimensions, in vectors, say; `items`: of the track after.
        block: queries at a time; fewer where their products would take more than 256 MB.

    Raises:
        EvaluationError: matrices of two shapes or with NaN or Inf, or a pair outside of them.
    """
    if queries.ndim != 2 or queries.shape != items.shape:
        raise EvaluationError(
            f"vectors: queries are {queries.shape} and items {items.shape}; expected one tracks x dimensions"
        )
    place, vectors = drop_zero_rows(items)
    valid = pairs.answerable(len(items))
    valid = valid[has_vector(queries)[pairs.query[valid]] & (place[pairs.target[valid]] >= 0)]
    # a track's products are made once
    valid = valid[np.argsort(pairs.query[valid], kind="stable")]
    distinct, row = np.unique(pairs.query[valid], return_inverse=True)
    ranks = np.zeros(len(pairs), np.int64)
    for first, products in iterate_products(queries, distinct, vectors, place, block):
        in_block = slice(*np.searchsorted(row, (first, first + len(products))))
        targets = place[pairs.target[valid[in_block]]]
        at = zip(row[in_block] - first, targets, strict=True)
        ranks[valid[in_block]] = [_rank(products[r], target) for r, target in at]
    return ranks


def drop_zero_rows(matrix: Matrix) -> tuple[Ints, Matrix]:
    """Of every track its place among those that have a vector, -1 where it has none; and their vectors."""
    has_row = has_vector(matrix)
    return np.where(has_row, np.cumsum(has_row) - 1, -1), matrix if has_row.all() else matrix[has_row]


def has_vector(matrix: Matrix) -> Flags:
    """Which rows are not all zero.

    Raises:
        EvaluationError: not float32, or NaN or Inf, which no order holds for.
    """
    if matrix.dtype != np.float32:
        raise EvaluationError(f"vectors: got {matrix.dtype}; expected float32")
    # one sum instead of a matrix of flags: no sum of finite float32 leaves the range of a double
    if not np.isfinite(matrix.sum(dtype=np.float64)):
        bad = np.flatnonzero(~np.isfinite(matrix).all(axis=1))
        raise EvaluationError(
            f"vectors: {len(bad)} rows hold NaN or Inf, row {bad[0]} first; expected finite numbers"
        )
    return np.asarray(matrix.any(axis=1))


def iterate_products(
    queries: Matrix, rows: Ints, vectors: Matrix, place: Ints, block: int
) -> Iterator[tuple[int, Matrix]]:
    """Inner products of `rows` of `queries` with all of `vectors`; -Inf where a track meets itself.

    Yields the place in `rows` of a block's first, and the block, whose memory the next one takes over.
    """
    if block < 1:
        raise EvaluationError(f"block is {block}; expected 1 or more queries at a time")
    size = min(block, max(1, MOST_SCORES // max(1, len(vectors))), len(rows) or 1)
    later, earlier = _find_duplicate_rows(vectors)
    # to be given fresh memory for each block costs more than to multiply
    memory = np.empty((size, len(vectors)), np.float32)
    for first in range(0, len(rows), size):
        block_rows = rows[first : first + size]
        products = np.matmul(queries[block_rows], vectors.T, out=memory[: len(block_rows)])
        products[:, later] = products[:, earlier]
        own_rows = np.flatnonzero(place[block_rows] >= 0)
        products[own_rows, place[block_rows[own_rows]]] = -np.inf
        yield first, products


def _find_duplicate_rows(vectors: Matrix) -> tuple[Ints, Ints]:
    """Rows that are an earlier one again, bit by bit, and the first that each of them is."""
    # cold tracks of one artist have one vector. BLAS rounds the last columns of a product otherwise than the
    # ones before, on many machines, so that such tracks would not tie
    if not vectors.size:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    # to sort all rows would copy them twice; few have the hash of another, and none of the others is one again
    _, which, count = np.unique(_hash_rows(vectors), return_inverse=True, return_counts=True)
    candidates = np.flatnonzero(count[which] > 1)
    row = np.dtype((np.void, vectors.itemsize * vectors.shape[1]))
    rows = np.ascontiguousarray(vectors[candidates]).view(row).ravel()
    _, first, which = np.unique(rows, return_index=True, return_inverse=True)
    later = np.flatnonzero(first[which] != np.arange(len(candidates)))
    return candidates[later], candidates[first[which[later]]]


def _hash_rows(vectors: Matrix) -> NDArray[np.uint64]:
    """A number per row, made of its bits: equal rows have one, and others hardly ever."""
    odd = np.random.default_rng(0).integers(0, 2**63, vectors.shape[1], dtype=np.uint64) * 2 + 1
    hashes = np.empty(len(vectors), np.uint64)
    for start in range(0, len(vectors), HASHED):
        bits = np.ascontiguousarray(vectors[start : start + HASHED]).view(np.uint32)
        hashes[start : start + HASHED] = bits.astype(np.uint64) @ odd
    return hashes


def _rank(products: Matrix, target: int) -> int:
    """One pass: equals before the target are ahead of it, equals after it are not."""
    score = products[target]
    ahead = np.count_nonzero(products[:target] >= score) + np.count_nonzero(products[target:] > score)
    return 1 + int(ahead)


def scores(ranks: Ints, ks: Sequence[int] = KS) -> dict[str, float]:
    """`hr@k` and `ndcg@k` for every k, and `mrr` over whole lists; a rank of 0 is a miss and counts as 0.

    Raises:
        EvaluationError: no pairs.
    """
    if not len(ranks):
        raise EvaluationError("scores: there are no pairs; expected one or more, from sessions held out")
    place = ranks[ranks > 0].astype(np.float64)
    metrics = {}
    for k in ks:
        metrics[f"hr@{k}"] = float(np.count_nonzero(place <= k)) / len(ranks)
        # with one right answer its ideal is 1 (Järvelin and Kekäläinen, 2002)
        metrics[f"ndcg@{k}"] = float((1 / np.log2(1 + place[place <= k])).sum()) / len(ranks)
    return metrics | {"mrr": float((1 / place).sum()) / len(ranks)}


def assign_segments(support: Ints) -> NDArray[np.int8]:
    """For each track, the place in `SEGMENTS` of its segment.

    In falling order of plays (equals by number), head is every track before which less than half of all
    plays lie, torso less than nine tenths, tail the rest. A track without plays is new.
    """
    order = np.lexsort((np.arange(len(support)), -support))
    plays_before = np.cumsum(support[order]) - support[order]
    total = int(support.sum())
    segments = np.full(len(support), _TAIL, np.int8)
    segments[order[10 * plays_before < 9 * total]] = _TORSO
    segments[order[2 * plays_before < total]] = _HEAD
    segments[support == 0] = _NEW
    return segments


def score_segments(
    ranks: Ints, pairs: Pairs, support: Ints, ks: Sequence[int] = KS
) -> dict[str, dict[str, float]]:
    """`scores` and the number of `pairs`, by the segment of the target; a segment without pairs is left out."""
    pairs.answerable(len(support))  # for its errors
    # -1, a target that is not known, takes the last: it is new, as one that was never played
    segments = np.append(assign_segments(support), _NEW)[pairs.target]
    return {
        name: {"pairs": float(len(own)), **scores(own, ks)}
        for number, name in enumerate(SEGMENTS)
        if len(own := ranks[segments == number])
    }
