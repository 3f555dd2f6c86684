"""Nearest tracks by exact search. Vectors know nothing of the model that made them."""

from __future__ import annotations

from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from segue.errors import SegueError, UsageError
from segue.storage import Snapshot

Matrix = NDArray[np.float32]


class Embeddings:
    """All vectors of the newest day of `track_embeddings`, scaled to length 1, read when first needed."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._day = snapshot.one_day(None)
        spaces = self._column("space_id").unique().to_pylist()
        if len(spaces) > 1:
            raise SegueError.many_spaces(self._day, spaces)
        self._track_ids = self._column("track_id").combine_chunks()
        self._vectors = cache(lambda column: _unit(vectors(self._column(column), column)))

    def nearest(self, track_id: str, column: str, k: int) -> tuple[list[str], list[float]]:
        """The k tracks whose vector in `column` has the greatest cosine with the in vector of
        `track_id`, itself left out; equal scores in the order of their ids."""
        if k < 1:
            raise UsageError(f"k must be 1 or more; got {k}")
        itself = pc.index(self._track_ids, pa.scalar(track_id, pa.string())).as_py()
        if itself < 0:
            raise SegueError.no_embedding(track_id, self._day, len(self._track_ids))
        scores = self._vectors(column) @ self._vectors("in_vector")[itself]
        best = _best(scores, itself, k)
        pairs = zip(scores[best].tolist(), self._track_ids.take(pa.array(best)).to_pylist(), strict=True)
        ranked = sorted(pairs, key=lambda pair: (-pair[0], pair[1]))[:k]
        return [track for _, track in ranked], [score for score, _ in ranked]

    def _column(self, name: str) -> pa.ChunkedArray:
        return self._snapshot.read(self._snapshot.select(self._day), [name])[name]


def vectors(column: pa.ChunkedArray, name: str) -> Matrix:
    """A column of lists as a matrix, one row each.

    Raises:
        SegueError: a vector is null, or they differ in length.
    """
    lengths = pc.list_value_length(column).unique().to_pylist()
    if len(lengths) > 1 or None in lengths:
        raise SegueError.ragged(name, lengths)
    # Chunk by chunk: one list array can hold no more than 2^31 numbers.
    rows = [
        chunk.flatten().to_numpy(zero_copy_only=False).reshape(len(chunk), -1)
        for chunk in column.chunks
        if chunk
    ]
    return np.concatenate(rows) if rows else np.empty((0, 0), np.float32)


def _unit(matrix: Matrix) -> Matrix:
    """A vector of zeros stays one: its cosine with any other is 0."""
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    return np.divide(matrix, lengths, out=np.zeros_like(matrix), where=lengths > 0)


def _best(scores: NDArray[np.float32], itself: int, k: int) -> NDArray[np.int64]:
    """Rows of the k greatest scores and of all that equal the last of them, in any order."""
    scores = scores.copy()
    scores[itself] = -np.inf
    k = min(k, len(scores) - 1)
    if k == 0:
        return np.empty(0, np.int64)
    least = np.partition(scores, -k)[-k]
    return np.flatnonzero(scores >= least)
