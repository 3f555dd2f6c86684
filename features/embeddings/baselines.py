"""Ranking without an embedding: by popularity and by co-occurrence, what every embedding is compared with."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from features.embeddings.arrays import Doubles, Ints, Tokens, number_sequences
from features.embeddings.ranking import EvaluationError, Pairs

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    # Rows of some queries, and of each track what it has alone: whole numbers, held as floats. Of whole numbers
    # together**2 / alone orders as the cosine does, and equal fractions round alike, so that ties are ties.
    Counts = tuple[Callable[[Ints], csr_matrix], Doubles]

MOST_WINDOW = 20  # 1/d of all d times their least common multiple are whole; beyond, too large to be exact
QUERIES = 512  # of one block: a popular track co-occurs with tens of thousands


def rank_by_popularity(support: Ints, pairs: Pairs) -> Ints:
    """Ranks on the list of all tracks by plays, the same for every query but that it is left out itself."""
    place = np.empty(len(support), np.int64)
    place[np.lexsort((np.arange(len(support)), -support))] = np.arange(len(support))
    # a pair that an embedding cannot answer because a track is not known is a miss here too
    valid = pairs.answerable(len(support))
    valid = valid[support[pairs.target[valid]] > 0]
    query, target = place[pairs.query[valid]], place[pairs.target[valid]]
    ranks = np.zeros(len(pairs), np.int64)
    ranks[valid] = 1 + target - (query < target)
    return ranks


def rank_by_cooccurrence(
    tokens: Tokens, offsets: Ints, tracks: int, pairs: Pairs, window: int | None = None
) -> Ints:
    """Ranks by the cosine of co-occurrence, together / sqrt(query alone * other alone); 0 where there is none.

    Without a `window`, what is counted is sessions: the item-kNN of Sarwar et al., "Item-based
    Collaborative Filtering" (2001), over a matrix of ones. With one, it is plays: two that are d places
    apart in a session, at most `window`, are together 1/d times, in either order.

    Args:
        tokens: tracks of all sessions, one after the other; -1 is a track not known, and keeps its place.
        offsets: where each session begins, and at the end the number of tokens.

    Raises:
        EvaluationError: offsets or tokens that cannot be, or a window below 1 or above `MOST_WINDOW`.
    """
    _check_sessions(tokens, offsets, tracks, window)
    valid = pairs.answerable(tracks)
    valid = valid[np.argsort(pairs.query[valid], kind="stable")]
    distinct, row = np.unique(pairs.query[valid], return_inverse=True)
    if window is None:
        count_together, occurrences = _count_in_sessions(tokens, offsets, tracks)
    else:
        count_together, occurrences = _count_within_window(tokens, offsets, tracks, distinct, window)
    ranks = np.zeros(len(pairs), np.int64)
    for first in range(0, len(distinct), QUERIES):
        counts = count_together(distinct[first : first + QUERIES])
        in_block = slice(*np.searchsorted(row, (first, first + QUERIES)))
        for pair, r in zip(valid[in_block], row[in_block] - first, strict=True):
            entries = slice(counts.indptr[r], counts.indptr[r + 1])
            others = counts.indices[entries]
            cosine = counts.data[entries] ** 2 / occurrences[others]
            ranks[pair] = _rank_among(cosine, others, pairs.query[pair], pairs.target[pair])
    return ranks


def _count_in_sessions(tokens: Tokens, offsets: Ints, tracks: int) -> Counts:
    """Sessions that hold both."""
    in_vocabulary = tokens >= 0
    sessions = number_sequences(offsets)[in_vocabulary]
    incidence = _sum_entries(sessions, tokens[in_vocabulary], 1.0, (len(offsets) - 1, tracks))
    incidence.data[:] = 1  # a track that comes back in a session is there once
    by_track = incidence.T.tocsr()
    occurrences = np.bincount(incidence.indices, minlength=tracks).astype(np.float64)

    def count_together(queries: Ints) -> csr_matrix:
        return by_track[queries] @ incidence

    return count_together, occurrences


def _count_within_window(tokens: Tokens, offsets: Ints, tracks: int, queries: Ints, window: int) -> Counts:
    """Plays within `window` of each other, each 1/d times a number that makes all of them whole."""
    session, scale = number_sequences(offsets), math.lcm(*range(1, window + 1))
    is_query = np.zeros(tracks + 1, np.bool_)  # the last is of -1
    is_query[queries] = True
    counts = _sum_entries(tokens[:0], tokens[:0], 1.0, (tracks, tracks))
    for d in range(1, min(window, len(tokens) - 1) + 1):
        places = np.flatnonzero(session[:-d] == session[d:])
        for one, other in ((tokens[places], tokens[places + d]), (tokens[places + d], tokens[places])):
            # only rows of queries are made: memory is that of their plays, twice `window` times
            is_entry = is_query[one] & (other >= 0)
            counts = counts + _sum_entries(one[is_entry], other[is_entry], scale // d, (tracks, tracks))
    plays = np.bincount(tokens[tokens >= 0], minlength=tracks)
    return counts.__getitem__, plays.astype(np.float64)


def _sum_entries(rows: Tokens | Ints, columns: Tokens, each: float, shape: tuple[int, int]) -> csr_matrix:
    from scipy.sparse import csr_matrix

    # a place that comes more than once holds the sum
    return csr_matrix((np.full(len(rows), float(each)), (rows, columns)), shape=shape)


def _rank_among(cosine: Doubles, others: Ints, query: int, target: int) -> int:
    """Of `target` among `others` without `query`; 0 where it is not among them."""
    target_cosine = cosine[others == target]
    if not len(target_cosine):
        return 0
    is_ahead = (cosine > target_cosine) | ((cosine == target_cosine) & (others < target))
    return 1 + int(np.count_nonzero(is_ahead & (others != query)))


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
