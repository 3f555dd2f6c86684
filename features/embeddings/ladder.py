"""The ladder of `cold_tracks`, climbed in a task: many artists at a time, no call per artist or track.

Rows come sorted by artist, album and track, so that a group is a run of rows, and a sum over each of a
hundred thousand groups is one call. Only as many rows are held as a batch and the artist at its end have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.embeddings.arrow_vectors import check_one_width
from features.embeddings.cold_tracks import NUMBERS, Ladder
from features.embeddings.content import (
    add_in_to_out,
    build_design_matrix,
    has_content,
    parse_weights,
    stack_in_and_out,
)
from features.embeddings.corpus import Ints, Matrix
from schemas.track_embeddings import SOURCES

Doubles = NDArray[np.float64]

LEARNED, ARTIST, CONTENT, NONE = range(len(SOURCES))
# Rows handed back at once: 15 MB of vectors at 128 dimensions
BATCH = 10_000


def fill_vectors(batches: Iterable[pa.RecordBatch], ladder: Ladder) -> Iterator[pa.RecordBatch]:
    """Rows with vectors, of rows sorted by artist; where there are weights, a row with them is the first."""
    batches = (batch for batch in batches if batch.num_rows)
    if (first := next(batches, None)) is None:
        return
    leader = first.column("weights")[0]
    weights = parse_weights(leader.as_py()) if leader.is_valid else None
    for rows in regroup_by_artist(chain([first], batches)):
        filled = _fill_batch(rows, ladder, weights)
        for part in _slice_numbers(np.arange(rows.num_rows)):
            yield _build_batch(rows.slice(part[0], len(part)), filled.pairs[part], filled.source[part])


def regroup_by_artist(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same rows without those that bring weights, cut anew where an artist ends."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        rows = batch.filter(batch.column("weights").is_null())
        if not rows.num_rows:
            continue
        begin = _start_of_last_artist(rows)
        if held and (begin or not held[0].column("artist_id")[0].equals(rows.column("artist_id")[0])):
            yield pa.concat_batches([*held, rows.slice(0, begin)])
            held = []
        elif begin:
            yield rows.slice(0, begin)
        if begin < rows.num_rows:
            held.append(rows.slice(begin))
    if held:
        yield pa.concat_batches(held)


def _start_of_last_artist(rows: pa.RecordBatch) -> int:
    """Where the last artist's rows begin; of rows without artist each is whole by itself."""
    artists = rows.column("artist_id")
    if not artists[-1].is_valid:
        return rows.num_rows
    return rows.num_rows - int(pc.sum(pc.fill_null(pc.equal(artists, artists[-1]), False)).as_py())


@dataclass
class _Vectors:
    """What was found so far: in and out vector side by side, and by which rung."""

    pairs: Matrix
    source: NDArray[np.int8]

    def put(self, at: Ints, pairs: Doubles, source: int) -> None:
        """Unless there is one already, or in + out is all zeros. What is not a number is kept: the gate must see it."""
        single = pairs.astype(np.float32)
        good = (self.source[at] == NONE) & (add_in_to_out(single) != 0).any(axis=1)
        self.pairs[at[good]] = single[good]
        self.source[at[good]] = source

    def missing(self) -> list[Ints]:
        return _slice_numbers(np.flatnonzero(self.source == NONE))


def _fill_batch(rows: pa.RecordBatch, ladder: Ladder, weights: Doubles | None) -> _Vectors:
    at, pairs, support = _read_learned(rows)
    width = pairs.shape[1] if weights is None else weights.shape[1]
    filled = _Vectors(np.zeros((rows.num_rows, width), np.float32), np.full(rows.num_rows, NONE, np.int8))
    if len(at):
        check_one_width(width, pairs.shape[1])
        groups = _Groups.of(rows, at, pairs, support)
        few = support < ladder.shrunk_below
        filled.put(*groups.shrunk(at[few], pairs[few], support[few], ladder.kappa), LEARNED)
        filled.put(at, pairs, LEARNED)
        for part in filled.missing():
            filled.put(*groups.means(part, ladder.kappa), ARTIST)
    if weights is not None:
        content = rows.select([*NUMBERS, "words"])
        for part in filled.missing():
            some = part[has_content(content.take(pa.array(part)))]
            filled.put(some, build_design_matrix(content.take(pa.array(some))) @ weights, CONTENT)
    return filled


def _read_learned(rows: pa.RecordBatch) -> tuple[Ints, Doubles, Doubles]:
    """Numbers of the rows whose vectors are not all zeros together, the vectors, the plays."""
    pairs = stack_in_and_out(rows)
    at = np.flatnonzero(rows.column("in_vector").is_valid().to_numpy(zero_copy_only=False))
    counts = (add_in_to_out(pairs) != 0).any(axis=1)
    support = rows.column("support").fill_null(0).to_numpy().astype(np.float64)
    return at[counts], pairs[counts], support[at[counts]]


def _slice_numbers(numbers: Ints) -> list[Ints]:
    return [numbers[start : start + BATCH] for start in range(0, len(numbers), BATCH)]


@dataclass
class _Groups:
    """Sums over the learned tracks of each artist and each album, by the number of its run of rows."""

    artist: Ints  # run of each row
    album: Ints
    artist_sums: Doubles  # in and out vectors, each as often as it was played
    album_sums: Doubles
    artist_support: Doubles  # 0 for the rows without artist
    album_support: Doubles  # 0 for the rows without album as well

    @classmethod
    def of(cls, rows: pa.RecordBatch, at: Ints, pairs: Doubles, support: Doubles) -> _Groups:
        artist_ids, albums = _encode(rows.column("artist_id")), _encode(rows.column("album"))
        artist, album = _number_runs(artist_ids), _number_runs(artist_ids, albums)
        first = np.flatnonzero(np.diff(album, prepend=-1))  # of each album
        weight = np.where(artist_ids[at] < 0, 0.0, support)
        album_sums = _sum_by_run(pairs * weight[:, None], album[at], len(first))
        album_support = _sum_by_run(weight[:, None], album[at], len(first))
        of_album, artists = artist[first], int(artist[-1]) + 1
        artist_sums = _sum_by_run(album_sums, of_album, artists)
        artist_support = _sum_by_run(album_support, of_album, artists)[:, 0]
        named = np.where(albums[first] < 0, 0.0, album_support[:, 0])
        return cls(artist, album, artist_sums, album_sums, artist_support, named)

    def shrunk(self, at: Ints, pairs: Doubles, support: Doubles, kappa: float) -> tuple[Ints, Doubles]:
        """Of these learned tracks, those whose artist has others, drawn to them; no track counts as its own artist."""
        others = self.artist_support[self.artist[at]] - support
        some = others > 0
        at, pairs, n = at[some], pairs[some], support[some, None]
        mean = (self.artist_sums[self.artist[at]] - n * pairs) / others[some, None]
        return at, _shrink_towards(n * pairs, n, mean, kappa)

    def means(self, at: Ints, kappa: float) -> tuple[Ints, Doubles]:
        """Of these tracks, those whose artist has learned ones: the mean of the album's, drawn to the artist's."""
        at = at[self.artist_support[self.artist[at]] > 0]
        artist, album = self.artist[at], self.album[at]
        mean = self.artist_sums[artist] / self.artist_support[artist, None]
        n = self.album_support[album, None]
        return at, _shrink_towards(np.where(n > 0, self.album_sums[album], 0), n, mean, kappa)


def _shrink_towards(sums: Doubles, n: Doubles, mean: Doubles, kappa: float) -> Doubles:
    """The mean of n plays drawn to another as if that had kappa; where neither has any, the other."""
    counted = n + kappa
    return np.where(counted > 0, (sums + kappa * mean) / np.where(counted > 0, counted, 1), mean)


def _encode(column: pa.StringArray) -> Ints:
    """Equal numbers for equal strings, -1 for null."""
    return column.dictionary_encode().indices.fill_null(-1).to_numpy().astype(np.int64)


def _number_runs(*columns: Ints) -> Ints:
    """From 0, one more wherever a column changes."""
    changed = np.any([np.diff(column, prepend=column[0]) != 0 for column in columns], axis=0)
    return np.cumsum(changed)


def _sum_by_run(values: Doubles, runs: Ints, count: int) -> Doubles:
    """(count, k): the sum of each run's rows, from the first to the last; runs ascend."""
    sums = np.zeros((count, values.shape[1]))
    first = np.flatnonzero(np.diff(runs, prepend=-1))
    if len(first):
        sums[runs[first]] = np.add.reduceat(values, first, axis=0)
    return sums


def _build_batch(rows: pa.RecordBatch, pairs: Matrix, source: NDArray[np.int8]) -> pa.RecordBatch:
    known, learned = source != NONE, source == LEARNED
    pairs = pairs[known]
    sums, half = add_in_to_out(pairs), pairs.shape[1] // 2
    norm = np.zeros(len(known))
    norm[known] = np.linalg.norm(sums, axis=1)
    support = np.where(learned, rows.column("support").fill_null(0).to_numpy(), 0)
    states = ("in_state", "out_state")
    made = {
        "track_id": rows.column("track_id"),
        "in_vector": _nullable_lists(pairs[:, :half], known),
        "out_vector": _nullable_lists(pairs[:, half:], known),
        "vector": _nullable_lists((sums / norm[known, None]).astype(np.float32), known),
        "norm": pa.array(norm, mask=~known),
        "support": pa.array(support, pa.int64()),
        "source": pa.array(np.array(SOURCES)[source].tolist(), pa.string()),
        **{name: pc.if_else(pa.array(learned), rows.column(name), None) for name in states},
    }
    return pa.RecordBatch.from_pydict(made)


def _nullable_lists(matrix: Matrix, known: NDArray[np.bool_]) -> pa.ListArray:
    """The matrix's rows where `known`, null elsewhere."""
    offsets = np.concatenate([[0], np.cumsum(known)]) * matrix.shape[1]
    values = pa.array(np.ascontiguousarray(matrix).reshape(-1))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values, mask=pa.array(~known))
