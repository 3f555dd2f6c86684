"""Ranking without an embedding: by popularity and by co-occurrence, what every embedding is compared with.

They rank the pairs of `features.embeddings.ranking`, with its rule for ties and misses: a pair that an
embedding cannot answer because a track is not known is a miss here too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from features.embeddings.arrays import Doubles, Ints, Tokens
from features.embeddings.ranking import EvaluationError, Pairs

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


MOST_WINDOW = 20  # 1/d of all d times their least common multiple are whole; beyond, too large to be exact
QUERIES = 512  # of one block: a popular track co-occurs with tens of thousands


def rank_by_popularity(support: Ints, pairs: Pairs) -> Ints:
    """Ranks on the list of all tracks by plays, the same for every query but that it is left out itself.

    A track without plays is on no list.
    """
    place = np.empty(len(support), np.int64)
    place[np.lexsort((np.arange(len(support)), -support))] = np.arange(len(support))
    at = pairs.answerable(len(support))
    at = at[support[pairs.target[at]] > 0]
    query, target = place[pairs.query[at]], place[pairs.target[at]]
    ranks = np.zeros(len(pairs), np.int64)
    ranks[at] = 1 + target - (query < target)
    return ranks


def rank_by_cooccurrence(
    tokens: Tokens, offsets: Ints, tracks: int, pairs: Pairs, window: int | None = None
) -> Ints:
    """Ranks by the cosine of co-occurrence: together / sqrt(query alone * other alone).

    Without a `window`, what is counted is sessions: the item-kNN of Sarwar et al., "Item-based
    Collaborative Filtering" (2001), over a matrix of ones. With one, it is plays: two that are d places
    apart in a session, at most `window`, are together 1/d times, in either order.

    A track that never co-occurred with the query has no cosine and is a miss. Memory is that of the
    tokens, with a window that of the queries' plays twice `window` times, and the co-occurrences of 512 tracks.

    Args:
        tokens: tracks of all sessions, one after the other; -1 is a track not known, and keeps its place.
        offsets: where each session begins, and at the end the number of tokens.
        tracks: how many there are.

    Raises:
        EvaluationError: offsets or tokens that cannot be, or a window below 1 or above `MOST_WINDOW`.
    """
    _check_sessions(tokens, offsets, tracks, window)
    at = pairs.answerable(tracks)
    at = at[np.argsort(pairs.query[at], kind="stable")]
    distinct, row = np.unique(pairs.query[at], return_inverse=True)
    counts = (
        _count_in_sessions(tokens, offsets, tracks)
        if window is None
        else _count_within_window(tokens, offsets, tracks, distinct, window)
    )
    ranks = np.zeros(len(pairs), np.int64)
    for first in range(0, len(distinct), QUERIES):
        together = counts.together(distinct[first : first + QUERIES])
        here = slice(*np.searchsorted(row, (first, first + QUERIES)))
        for pair, r in zip(at[here], row[here] - first, strict=True):
            own = slice(together.indptr[r], together.indptr[r + 1])
            others = together.indices[own]
            cosine = together.data[own] ** 2 / counts.alone[others]
            ranks[pair] = _rank_among(cosine, others, pairs.query[pair], pairs.target[pair])
    return ranks


@dataclass(frozen=True)
class _Cooccurrence:
    """Whole numbers, as floats: `together(queries)`, a sparse row per query, and `alone`, of each track.

    together**2 / alone orders as the cosine does, and equal ones are equal to the last bit: of whole
    numbers, equal fractions round alike.
    """

    together: Callable[[Ints], csr_matrix]
    alone: Doubles


def _count_in_sessions(tokens: Tokens, offsets: Ints, tracks: int) -> _Cooccurrence:
    """Sessions that hold both; a track that comes back in a session is there once."""
    known = tokens >= 0
    incidence = _sum_entries(_number_sessions(offsets)[known], tokens[known], 1.0, (len(offsets) - 1, tracks))
    incidence.data[:] = 1
    holding = incidence.T.tocsr()
    alone = np.bincount(incidence.indices, minlength=tracks).astype(np.float64)
    return _Cooccurrence(lambda queries: holding[queries] @ incidence, alone)


def _count_within_window(
    tokens: Tokens, offsets: Ints, tracks: int, queries: Ints, window: int
) -> _Cooccurrence:
    """Plays within `window` of each other, each 1/d times a number that makes all of them whole."""
    session, whole = _number_sessions(offsets), math.lcm(*range(1, window + 1))
    is_query = np.zeros(tracks + 1, np.bool_)  # the last is of -1
    is_query[queries] = True
    near = _sum_entries(tokens[:0], tokens[:0], 1.0, (tracks, tracks))
    for d in range(1, min(window, len(tokens) - 1) + 1):
        same = np.flatnonzero(session[:-d] == session[d:])
        for one, other in ((tokens[same], tokens[same + d]), (tokens[same + d], tokens[same])):
            counted = is_query[one] & (other >= 0)
            near = near + _sum_entries(one[counted], other[counted], whole // d, (tracks, tracks))
    plays = np.bincount(tokens[tokens >= 0], minlength=tracks)
    return _Cooccurrence(lambda at: near[at], plays.astype(np.float64))


def _number_sessions(offsets: Ints) -> Ints:
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))


def _sum_entries(rows: Tokens | Ints, columns: Tokens, each: float, shape: tuple[int, int]) -> csr_matrix:
    """A matrix with `each` added at every place, as often as the place comes."""
    from scipy.sparse import csr_matrix

    return csr_matrix((np.full(len(rows), float(each)), (rows, columns)), shape=shape)


def _rank_among(cosine: Doubles, others: Ints, query: int, target: int) -> int:
    """Of `target` among `others` without `query`; 0 where it is not among them."""
    own = cosine[others == target]
    if not len(own):
        return 0
    ahead = (cosine > own) | ((cosine == own) & (others < target))
    return 1 + int(np.count_nonzero(ahead & (others != query)))


def _check_sessions(tokens: Tokens, offsets: Ints, tracks: int, window: int | None) -> None:
    ends = (int(offsets[0]), int(offsets[-1])) if len(offsets) else None
    if ends != (0, len(tokens)) or (np.diff(offsets) < 0).any():
        raise EvaluationError(
            f"sessions: offsets of {len(tokens)} tokens go from and to {ends}; "
            f"expected a rising row from 0 to {len(tokens)}"
        )
    if len(tokens) and not -1 <= tokens.min() <= tokens.max() < tracks:
        raise EvaluationError(
            f"sessions: tokens go from {tokens.min()} to {tokens.max()}; "
            f"expected -1 (not known) to {tracks - 1}, of {tracks} tracks"
        )
    if window is not None and not 1 <= window <= MOST_WINDOW:
        raise EvaluationError(
            f"co-occurrence: window is {window}; expected 1 to {MOST_WINDOW} places, or none"
        )
