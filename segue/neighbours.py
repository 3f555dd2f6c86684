"""Nearest tracks, from the lists that were made for all or by exact search. Vectors know nothing of the model
that made them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
from numpy.typing import NDArray

from segue.errors import SegueError, UsageError
from segue.keys import read_keys
from segue.lookup import Key, read_by_key
from segue.spaces import find_first_days
from segue.storage import Snapshot

Matrix = NDArray[np.float32]
RankedTracks = tuple[list[str], list[float]]

# Two equal vectors may differ in the last bit of a score, by their places in a matrix. Six decimals do not,
# and those are what `similar_tracks` holds.
DECIMALS = 6
# How far apart, at most, two scores are whose six decimals are equal; and the last bits of a float32.
SLACK = 2e-6


class Neighbours:
    """Of the tracks of the newest day of `track_embeddings`, all of one space.

    `lists` is the table `similar_tracks`, None where it is not released. Each matrix is read once, when
    a search first needs it, and stays in memory as Arrow read it.
    """

    def __init__(self, embeddings: Snapshot, lists: Snapshot | None) -> None:
        self._embeddings, self._lists = embeddings, lists
        self._day = embeddings.resolve_day(None)
        self._items = cache(self._read_vectors)

    def similar_tracks(self, track_id: str, k: int) -> RankedTracks:
        """The k tracks whose `vector` has the greatest inner product with that of `track_id`: vectors are of
        length 1, so that it is the cosine. Itself is left out; equal scores are in the order of ids."""
        _check(track_id, k)
        if neighbours := self._from_lists(track_id, k):
            return neighbours
        items = self._items("vector")
        place = items.place(track_id)
        if place < 0:
            raise self._explain_missing(track_id, self._read_row(self._embeddings, track_id, ["track_id"]))
        return items.find_nearest(place, items.vector(place), k)

    def next_tracks(self, track_id: str, k: int) -> RankedTracks:
        """The same by the inner product of `in_vector` with the others' `out_vector`."""
        _check(track_id, k)
        # Read alone: the matrix of all in vectors would stay in memory for one of its rows.
        row = self._read_row(self._embeddings, track_id, self._embeddings.names(["track_id", "in_vector"]))
        if row is None or row["in_vector"] is None:
            raise self._explain_missing(track_id, row)
        items = self._items("out_vector")
        # Lengths count: scaled to length 1, vectors find fewer of the tracks that were played next (HR@10 0.161, not
        # 0.165).
        return items.find_nearest(items.place(track_id), np.array(row["in_vector"], np.float32), k)

    def _from_lists(self, track_id: str, k: int) -> RankedTracks | None:
        """From the lists, if these are of the same day and version, and long enough."""
        # A release can hold lists of the day before: where they were refused, or are made later than the vectors.
        if self._lists is None or self._day is None or self._lists.resolve_day(None) != self._day:
            return None
        row = self._read_row(self._lists, track_id, ["track_id", "version_id", "neighbours", "scores"])
        if row is None or row["version_id"] != self._version or k > len(row["neighbours"]):
            return None
        return row["neighbours"][:k], _round_scores(np.array(row["scores"][:k], np.float32))

    def _explain_missing(self, track_id: str, row: object) -> SegueError:
        """Why a track has no vector: it may have a row all the same."""
        if row is not None:
            return SegueError(
                f"track {track_id!r} is known, but on {self._day} nothing is known of it that a vector could be made "
                "of: too few plays, no other track of its artist, nothing in the catalogue",
                "ask for another track",
            )
        tracks = self._embeddings.count(self._embeddings.select(self._day))
        return SegueError(
            f"track {track_id!r} has no embedding; on {self._day} {tracks} tracks have one",
            "a track has one from the training after it was first played or came into the catalogue",
        )

    def _read_row(self, snapshot: Snapshot, track_id: str, names: Sequence[str]) -> dict[str, Any] | None:
        """The track's own of the newest day."""
        key = Key.of(pa.chunked_array([[track_id]], pa.string()))
        rows, _ = read_by_key(snapshot, {"track_id": key}, snapshot.select(self._day), names)
        return next(iter(rows.to_pylist()), None)

    @cached_property
    def _version(self) -> str | None:
        return self._embeddings.read_version_id(self._day)

    def _read_vectors(self, column: str) -> Items:
        if self._day is not None:  # raises where the day has several spaces
            find_first_days({self._embeddings.name: [(self._day, self._embeddings.spaces(self._day))]})
        has_vector = pads.field(column).is_valid()  # a track of which nothing is known is near nothing
        names = self._embeddings.names(["track_id", column])
        rows = self._embeddings.read(self._embeddings.select(self._day), names, has_vector)
        return Items(rows["track_id"], matrices(rows[column], column))


@dataclass(frozen=True)
class Items:
    """What is searched: a vector per track, in the same order."""

    track_ids: pa.ChunkedArray
    # several, as Arrow read them: one matrix would be a copy, and twice the memory while it is made
    matrices: Sequence[Matrix]

    def place(self, track_id: str) -> int:
        """-1 for a track that has no vector."""
        return int(pc.index(self.track_ids, pa.scalar(track_id, self.track_ids.type)).as_py())

    def vector(self, place: int) -> NDArray[np.float32]:
        for matrix in self.matrices:
            if place < len(matrix):
                return matrix[place]
            place -= len(matrix)
        raise IndexError(place)

    def find_nearest(self, itself: int, query: NDArray[np.float32], k: int) -> RankedTracks:
        """The k with the greatest inner product with `query`, the one at the place `itself` left out."""
        scores = np.concatenate([matrix @ query for matrix in self.matrices] or [np.empty(0, np.float32)])
        best = _find_best(scores, itself, k)
        tracks = self.track_ids.take(pa.array(best)).to_pylist()
        pairs = zip(_round_scores(scores[best]), tracks, strict=True)
        ranked = sorted(pairs, key=lambda pair: (-pair[0], pair[1]))[:k]
        return [track for _, track in ranked], [score for score, _ in ranked]


def matrices(column: pa.ChunkedArray, name: str) -> list[Matrix]:
    """A column of lists as matrices where they lie, a row each, one after the other.

    Raises:
        SegueError: a vector is null, or they differ in length.
    """
    lengths = pc.list_value_length(column).unique().to_pylist()
    if len(lengths) > 1 or None in lengths:
        texts = ", ".join("null" if length is None else str(length) for length in lengths)
        raise SegueError(
            f"vectors in {name} must all have one length; got {texts}", "roll back to an earlier release"
        )
    # not `values`: a chunk can be a slice, of which `flatten` takes its own part alone
    arrays = (chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks if chunk)
    return [array.reshape(-1, lengths[0]) for array in arrays]


def _check(track_id: str, k: int) -> None:
    if not isinstance(track_id, str):
        raise UsageError(f"track_id must be a string; got {track_id!r}", "ask for one track at a time")
    read_keys([track_id])
    # a boolean is a number to Python
    if isinstance(k, bool) or not isinstance(k, int | np.integer):
        raise UsageError(f"k must be a whole number; got {k!r}")
    if k < 1:
        raise UsageError(f"k must be 1 or more; got {k}")


def _round_scores(scores: Matrix) -> list[float]:
    rounded: list[float] = (np.round(scores.astype(np.float64), DECIMALS) + 0.0).tolist()  # no -0.0
    return rounded


def _find_best(scores: Matrix, itself: int, k: int) -> NDArray[np.int64]:
    """Places of the k greatest scores and of all that may equal the last of them, in any order."""
    k = min(k, len(scores) - (itself >= 0))
    if k == 0:
        return np.empty(0, np.int64)
    if itself >= 0:
        scores[itself] = -np.inf
    # a partition, not a sort: one pass over all scores for the few that count
    least = np.partition(scores, -k)[-k]
    return np.flatnonzero(scores >= least - np.float32(SLACK))
