"""Ridge regression from what the catalogue says of a track to its in and out vectors.

Hoerl and Kennard, "Ridge Regression" (1970), by the normal equations: two sums over tracks that any number
of tasks can share, and a system of some 260 equations that one solves. Words are hashed to columns
(Weinberger et al., "Feature Hashing for Large Scale Multitask Learning", 2009).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.embeddings.arrow_vectors import check_one_width, to_matrix
from features.embeddings.cold_tracks import NUMBERS, WORDS

Doubles = NDArray[np.float64]

# a constant, each number and whether it is known, the words
COLUMNS = 1 + 2 * len(NUMBERS) + WORDS


def build_design_matrix(rows: pa.RecordBatch) -> Doubles:
    """(n, COLUMNS). A track's words together have a length of about 1, however many they are."""
    found = np.zeros((rows.num_rows, COLUMNS))
    found[:, 0] = 1
    for at, name in enumerate(NUMBERS):
        column = rows.column(name)
        found[:, 1 + 2 * at] = column.fill_null(0).to_numpy()
        found[:, 2 + 2 * at] = column.is_valid().to_numpy(zero_copy_only=False)
    found[:, -WORDS:] = _words(rows.column("words"))
    return found


def has_content(rows: pa.RecordBatch) -> NDArray[np.bool_]:
    """(n,): whether the catalogue says anything that `build_design_matrix` reads."""
    numbers = [rows.column(name).is_valid().to_numpy(zero_copy_only=False) for name in NUMBERS]
    return np.any([*numbers, _lengths(rows.column("words")) > 0], axis=0)


def stack_in_and_out(rows: pa.RecordBatch) -> Doubles:
    """(m, 2 d): in and out vector side by side, of the rows that have them.

    Raises:
        VectorError: vectors of different lengths.
    """
    into, out = (to_matrix(rows.column(name)) for name in ("in_vector", "out_vector"))
    check_one_width(into.shape[1], out.shape[1])
    return np.concatenate([into, out], axis=1, dtype=np.float64)


def add_in_to_out(pairs: NDArray[np.floating]) -> Doubles:
    """(m, d): in + out."""
    half = pairs.shape[1] // 2
    return pairs[:, :half].astype(np.float64) + pairs[:, half:]


def _lengths(lists: pa.ListArray) -> NDArray[np.int64]:
    return np.asarray(pc.list_value_length(lists).fill_null(0).to_numpy().astype(np.int64))


def _words(lists: pa.ListArray) -> Doubles:
    counts = _lengths(lists)
    numbers = lists.flatten().to_numpy()
    signs = np.where(numbers < WORDS, 1.0, -1.0) / np.sqrt(np.repeat(counts, counts))
    places = np.repeat(np.arange(len(counts)), counts) * WORDS + numbers % WORDS
    return np.asarray(np.bincount(places, signs, len(counts) * WORDS).reshape(-1, WORDS), np.float64)


def sum_normal_equations(batches: Iterable[pa.RecordBatch], kappa: float) -> Iterator[pa.RecordBatch]:
    """One row: the sums X'wX and X'wY side by side, of tracks that all have vectors.

    A track counts n / (n + kappa), as its own vector does against the artist's: what two plays taught is
    mostly chance, yet a hit is one track.
    """
    from pyspark import TaskContext

    rows, total = 0, np.zeros(1)
    for batch in batches:
        more, sums = _products(batch, kappa)
        rows, total = rows + more, total + sums
    if rows:
        context = TaskContext.get()
        task = context.partitionId() if context else 0
        columns = [pa.array([task], pa.int32()), pa.array([rows]), pa.array([total.tobytes()])]
        yield pa.RecordBatch.from_arrays(columns, ["task", "rows", "products"])


def _products(batch: pa.RecordBatch, kappa: float) -> tuple[int, Doubles]:
    """How many tracks count, and their sums. One that is all zeros, or no number, teaches nothing."""
    pairs, support = (
        stack_in_and_out(batch),
        batch.column("support").fill_null(0).to_numpy().astype(np.float64),
    )
    sums = add_in_to_out(pairs)
    good = (support > 0) & (sums != 0).any(axis=1) & np.isfinite(sums).all(axis=1)
    features, pairs, n = build_design_matrix(batch)[good], pairs[good], support[good, None]
    return len(n), (features * (n / (n + kappa))).T @ np.concatenate([features, pairs], axis=1)


def solve_ridge(batches: Iterable[pa.RecordBatch], ridge: float, fit_on: int) -> Iterator[pa.RecordBatch]:
    """One row: the (COLUMNS, 2 d) weights as float32; none where fewer than `fit_on` tracks were summed."""
    rows, total = 0, np.zeros(1)
    for batch in batches:
        rows += int(batch.column("rows").to_numpy().sum())
        for sums in batch.column("products"):
            more = np.frombuffer(sums.as_buffer()).reshape(COLUMNS, -1)
            check_one_width(more.shape[1], total.shape[-1] if total.ndim > 1 else more.shape[1])
            total = total + more
    if rows >= fit_on:
        penalty = np.full(COLUMNS, ridge)
        penalty[0] = 0  # the constant is where the tracks lie, which nothing should draw to 0
        weights = np.linalg.solve(total[:, :COLUMNS] + np.diag(penalty), total[:, COLUMNS:])
        yield pa.RecordBatch.from_arrays([pa.array([weights.astype(np.float32).tobytes()])], ["weights"])


def parse_weights(stored: bytes) -> Doubles:
    return np.frombuffer(stored, np.float32).reshape(COLUMNS, -1).astype(np.float64)
