"""The array types of this package, and Arrow columns of vectors and sequences as such arrays."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Matrix = NDArray[np.float32]  # a row per track
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]
Tokens = NDArray[np.int32]  # track numbers
Flags = NDArray[np.bool_]
Real = TypeVar("Real", np.float32, np.float64)


class VectorError(ValueError):
    """Vectors of one space that have different lengths."""


def to_matrix(lists: pa.ListArray) -> Matrix:
    """(n, d), a row for each list that is not null; d is 0 where there is none.

    Raises:
        VectorError: lists of different lengths.
    """
    lists = lists.drop_null()
    lengths = np.unique(np.diff(lists.offsets.to_numpy())).tolist() or [0]
    check_one_width(*lengths)
    # where they lie, without a Python object per number: 60,000 lists of 64 take 0.2 ms, with `to_pylist` 233
    numbers = lists.flatten().to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
    return numbers.reshape(len(lists), lengths[0])


def check_one_width(*lengths: int) -> None:
    """Raises VectorError where they differ."""
    if len(set(lengths)) > 1:
        raise VectorError(
            f"vectors of {sorted(set(lengths))} numbers; expected one length: read those of one space"
        )


def to_list_array(matrix: Matrix) -> pa.ListArray:
    """The rows as lists, without a copy of the numbers."""
    rows, width = matrix.shape
    # Arrow's lists have offsets of 32 bits, so no more than 2^31 numbers: callers hand on a batch at a time
    offsets = np.arange(0, rows * width + 1, width, dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(matrix.reshape(-1)))


def flatten_lists(batches: Iterable[pa.RecordBatch], column: str = "tracks") -> tuple[Tokens, Ints]:
    """Tokens and offsets of a column of lists of int32."""
    tokens, lengths = [np.empty(0, np.int32)], [np.zeros(1, np.int64)]
    for batch in batches:
        lists = batch.column(column)
        tokens.append(lists.flatten().to_numpy(zero_copy_only=False))
        # not the offsets: those of a batch begin where its slice of Arrow's memory does
        lengths.append(np.diff(lists.offsets.to_numpy()).astype(np.int64))
    return np.concatenate(tokens), np.cumsum(np.concatenate(lengths))


def list_places(starts: Ints, lengths: Ints) -> Ints:
    """Places of lists that begin at `starts`, one list after the other."""
    before = np.cumsum(lengths) - lengths
    return np.arange(lengths.sum()) + np.repeat(starts - before, lengths)


def number_sequences(offsets: Ints) -> Ints:
    """Of every token the number of its sequence."""
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))


def normalise_rows(matrix: NDArray[Real]) -> NDArray[Real]:
    """Rows of length 1; rows of zeros stay."""
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    return np.divide(matrix, lengths, out=np.zeros_like(matrix), where=lengths > 0)
