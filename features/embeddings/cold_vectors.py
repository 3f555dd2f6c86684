"""Vectors for tracks that were not learned, filled in by a task: many artists at a time, no call per artist.

The regression is Hoerl and Kennard, "Ridge Regression" (1970), by the normal equations: two sums over tracks
that any number of tasks can share, and a system of some 260 equations that one solves. Words are hashed to
columns (Weinberger et al., "Feature Hashing for Large Scale Multitask Learning", 2009). All arithmetic is in
doubles.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.embeddings.arrays import Doubles, Flags, Ints, Matrix, check_one_width, to_matrix
from schemas.track_embeddings import SOURCES

LEARNED, ARTIST, CONTENT, NONE = range(len(SOURCES))
# What the regression reads. Words hash to so many columns of it, with one of two signs: collisions cancel out.
NUMBERS = ("length", "explicit", "year")
WORDS = 256
# a constant, each number and whether it is known, the words
COLUMNS = 1 + 2 * len(NUMBERS) + WORDS
# Plays that the artist's mean counts as much as: what two plays taught is mostly chance, yet a hit is one track.
KAPPA = 10.0
RIDGE = 1.0  # penalty on squared weights, where a track counts n / (n + KAPPA)
# Rows handed back at once: 15 MB of vectors at 128 dimensions
BATCH = 10_000


# --- the regression from what the catalogue says of a track to its in and out vectors


def sum_normal_equations(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """One row: the sums X'wX and X'wY side by side, of tracks that all have vectors."""
    from pyspark import TaskContext

    rows, total = 0, np.zeros(1)
    for batch in batches:
        pairs = stack_in_and_out(batch)
        support = batch.column("support").fill_null(0).to_numpy().astype(np.float64)
        sums = add_in_to_out(pairs)
        # a vector that is all zeros, or no number, teaches nothing
        usable = (support > 0) & (sums != 0).any(axis=1) & np.isfinite(sums).all(axis=1)
        # a track counts n / (n + KAPPA), as its own vector does against the artist's
        features, n = build_design_matrix(batch)[usable], support[usable, None]
        rows += len(n)
        total = total + (features * (n / (n + KAPPA))).T @ np.concatenate([features, pairs[usable]], axis=1)
    if rows:
        # sums of floats depend on their order: by the task's number they are added in one order each time
        context = TaskContext.get()
        task = context.partitionId() if context else 0
        columns = [pa.array([task], pa.int32()), pa.array([rows]), pa.array([total.tobytes()])]
        yield pa.RecordBatch.from_arrays(columns, ["task", "rows", "products"])


def solve_ridge(batches: Iterable[pa.RecordBatch], fewest: int) -> Iterator[pa.RecordBatch]:
    """One row: the (COLUMNS, 2 d) weights as float32; none where fewer than `fewest` tracks were summed."""
    rows, total = 0, np.zeros(1)
    for batch in batches:
        rows += int(batch.column("rows").to_numpy().sum())
        for sums in batch.column("products"):
            products = np.frombuffer(sums.as_buffer()).reshape(COLUMNS, -1)
            check_one_width(products.shape[1], total.shape[-1] if total.ndim > 1 else products.shape[1])
            total = total + products
    if rows >= fewest:
        penalty = np.full(COLUMNS, RIDGE)
        penalty[0] = 0  # the constant is the mean of the tracks, which nothing should shrink to 0
        weights = np.linalg.solve(total[:, :COLUMNS] + np.diag(penalty), total[:, COLUMNS:])
        yield pa.RecordBatch.from_arrays([pa.array([weights.astype(np.float32).tobytes()])], ["weights"])


def build_design_matrix(rows: pa.RecordBatch) -> Doubles:
    """(n, COLUMNS)."""
    design = np.zeros((rows.num_rows, COLUMNS))
    design[:, 0] = 1
    for at, name in enumerate(NUMBERS):
        column = rows.column(name)
        design[:, 1 + 2 * at] = column.fill_null(0).to_numpy()
        design[:, 2 + 2 * at] = column.is_valid().to_numpy(zero_copy_only=False)
    counts, numbers = _count_words(rows), rows.column("words").flatten().to_numpy()
    # a track's words together have a length of about 1, however many they are
    signs = np.where(numbers < WORDS, 1.0, -1.0) / np.sqrt(np.repeat(counts, counts))
    places = np.repeat(np.arange(len(counts)), counts) * WORDS + numbers % WORDS
    design[:, -WORDS:] = np.bincount(places, signs, len(counts) * WORDS).reshape(-1, WORDS)
    return design


def has_content(rows: pa.RecordBatch) -> Flags:
    """(n,): whether the catalogue says anything that `build_design_matrix` reads."""
    numbers = [rows.column(name).is_valid().to_numpy(zero_copy_only=False) for name in NUMBERS]
    return np.any([*numbers, _count_words(rows) > 0], axis=0)


def _count_words(rows: pa.RecordBatch) -> Ints:
    lengths = pc.list_value_length(rows.column("words")).fill_null(0)
    return np.asarray(lengths.to_numpy().astype(np.int64))


def stack_in_and_out(rows: pa.RecordBatch) -> Doubles:
    """(m, 2 d): in and out vector side by side, of the rows that have them; or VectorError."""
    in_vectors, out_vectors = (to_matrix(rows.column(name)) for name in ("in_vector", "out_vector"))
    check_one_width(in_vectors.shape[1], out_vectors.shape[1])
    return np.concatenate([in_vectors, out_vectors], axis=1, dtype=np.float64)


def add_in_to_out(pairs: NDArray[np.floating]) -> Doubles:
    """(m, d) of (m, 2 d)."""
    half = pairs.shape[1] // 2
    return pairs[:, :half].astype(np.float64) + pairs[:, half:]


# --- every track's vectors


def fill_vectors(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Rows with vectors, of rows sorted by artist; where there are weights, a row with them is the first."""
    batches = (batch for batch in batches if batch.num_rows)
    if (first := next(batches, None)) is None:
        return
    weights = None
    if (leader := first.column("weights")[0].as_py()) is not None:
        weights = np.frombuffer(leader, np.float32).reshape(COLUMNS, -1).astype(np.float64)
    for rows in regroup_by_artist(chain([first], batches)):
        filled = _fill_batch(rows, weights)
        for part in _slice_numbers(np.arange(rows.num_rows)):
            yield _build_batch(rows.slice(part[0], len(part)), filled.pairs[part], filled.source[part])


def regroup_by_artist(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same rows without those that bring weights, in batches that end where an artist ends."""
    # no more rows are in memory than a batch and the artist at its end have
    tail: list[pa.RecordBatch] = []
    for batch in batches:
        rows = batch.filter(batch.column("weights").is_null())
        if not rows.num_rows:
            continue
        start = _start_of_last_artist(rows)
        if tail and (start or not tail[0].column("artist_id")[0].equals(rows.column("artist_id")[0])):
            yield pa.concat_batches([*tail, rows.slice(0, start)])
            tail = []
        elif start:
            yield rows.slice(0, start)
        if start < rows.num_rows:
            tail.append(rows.slice(start))
    if tail:
        yield pa.concat_batches(tail)


def _start_of_last_artist(rows: pa.RecordBatch) -> int:
    artists = rows.column("artist_id")
    if not artists[-1].is_valid:  # of rows without artist each is whole by itself
        return rows.num_rows
    return rows.num_rows - int(pc.sum(pc.fill_null(pc.equal(artists, artists[-1]), False)).as_py())


@dataclass
class _Vectors:
    """In and out vector of each row side by side, and from which source; NONE until there is one."""

    pairs: Matrix
    source: NDArray[np.int8]

    def put(self, at: Ints, pairs: Doubles, source: int) -> None:
        """Unless there is one already, or in + out is all zeros."""
        # as they are stored; what is not a number is kept: the gate must see it
        floats = pairs.astype(np.float32)
        usable = (self.source[at] == NONE) & (add_in_to_out(floats) != 0).any(axis=1)
        self.pairs[at[usable]] = floats[usable]
        self.source[at[usable]] = source

    def missing(self) -> list[Ints]:
        # by parts: doubles of no more than BATCH of the rows to fill are in memory
        return _slice_numbers(np.flatnonzero(self.source == NONE))


def _fill_batch(rows: pa.RecordBatch, weights: Doubles | None) -> _Vectors:
    pairs = stack_in_and_out(rows)
    at = np.flatnonzero(rows.column("in_vector").is_valid().to_numpy(zero_copy_only=False))
    nonzero = (add_in_to_out(pairs) != 0).any(axis=1)
    at, pairs = at[nonzero], pairs[nonzero]
    width = pairs.shape[1] if weights is None else weights.shape[1]
    filled = _Vectors(np.zeros((rows.num_rows, width), np.float32), np.full(rows.num_rows, NONE, np.int8))
    if len(at):
        check_one_width(width, pairs.shape[1])
        filled.put(at, pairs, LEARNED)
        support = rows.column("support").fill_null(0).to_numpy().astype(np.float64)[at]
        groups = _Groups.of(rows, at, pairs, support)
        for part in filled.missing():
            filled.put(*groups.means(part), ARTIST)
    if weights is not None:
        # without the vectors: `take` copies what it takes
        content = rows.select([*NUMBERS, "words"])
        for part in filled.missing():
            usable = part[has_content(content.take(pa.array(part)))]
            filled.put(usable, build_design_matrix(content.take(pa.array(usable))) @ weights, CONTENT)
    return filled


def _slice_numbers(numbers: Ints) -> list[Ints]:
    return [numbers[start : start + BATCH] for start in range(0, len(numbers), BATCH)]


@dataclass
class _Groups:
    """Sums over the learned tracks of each artist and each album, by the number of its run of rows."""

    # rows are sorted by artist, album and track, so a sum over each of a hundred thousand groups is one call
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
        artist_of_album, artists = artist[first], int(artist[-1]) + 1
        artist_sums = _sum_by_run(album_sums, artist_of_album, artists)
        artist_support = _sum_by_run(album_support, artist_of_album, artists)[:, 0]
        named_support = np.where(albums[first] < 0, 0.0, album_support[:, 0])
        return cls(artist, album, artist_sums, album_sums, artist_support, named_support)

    def means(self, at: Ints) -> tuple[Ints, Doubles]:
        """Of these tracks, those whose artist has learned ones: the mean of the album's, shrunk to the artist's."""
        at = at[self.artist_support[self.artist[at]] > 0]
        artist, album = self.artist[at], self.album[at]
        mean = self.artist_sums[artist] / self.artist_support[artist, None]
        n = self.album_support[album, None]
        return at, (np.where(n > 0, self.album_sums[album], 0) + KAPPA * mean) / (n + KAPPA)


def _encode(column: pa.StringArray) -> Ints:
    """Equal numbers for equal strings, -1 for null."""
    return column.dictionary_encode().indices.fill_null(-1).to_numpy().astype(np.int64)


def _number_runs(*columns: Ints) -> Ints:
    """From 0, one more wherever a column changes."""
    changed = np.any([np.diff(column, prepend=column[0]) != 0 for column in columns], axis=0)
    return np.cumsum(changed)


def _sum_by_run(values: Doubles, runs: Ints, count: int) -> Doubles:
    """(count, k): the sum of each run's rows; runs ascend."""
    # from the first row to the last, so that no sum depends on how the rows were spread
    sums = np.zeros((count, values.shape[1]))
    first = np.flatnonzero(np.diff(runs, prepend=-1))
    if len(first):
        sums[runs[first]] = np.add.reduceat(values, first, axis=0)
    return sums


def _build_batch(rows: pa.RecordBatch, pairs: Matrix, source: NDArray[np.int8]) -> pa.RecordBatch:
    has_vector, learned = source != NONE, source == LEARNED
    pairs = pairs[has_vector]
    sums, half = add_in_to_out(pairs), pairs.shape[1] // 2
    norm = np.zeros(len(has_vector))
    norm[has_vector] = np.linalg.norm(sums, axis=1)
    # 0 where the vector came of other tracks: nothing was learned from the track's own plays
    support = np.where(learned, rows.column("support").fill_null(0).to_numpy(), 0)
    columns = {
        "track_id": rows.column("track_id"),
        "in_vector": _nullable_lists(pairs[:, :half], has_vector),
        "out_vector": _nullable_lists(pairs[:, half:], has_vector),
        "vector": _nullable_lists((sums / norm[has_vector, None]).astype(np.float32), has_vector),
        "norm": pa.array(norm, mask=~has_vector),
        "support": pa.array(support, pa.int64()),
        "source": pa.array(np.array(SOURCES)[source].tolist(), pa.string()),
        **{s: pc.if_else(pa.array(learned), rows.column(s), None) for s in ("in_state", "out_state")},
    }
    return pa.RecordBatch.from_pydict(columns)


def _nullable_lists(matrix: Matrix, has_row: Flags) -> pa.ListArray:
    """The matrix's rows in the places that have one, null elsewhere."""
    offsets = np.concatenate([[0], np.cumsum(has_row)]) * matrix.shape[1]
    values = pa.array(np.ascontiguousarray(matrix).reshape(-1))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values, mask=pa.array(~has_row))
