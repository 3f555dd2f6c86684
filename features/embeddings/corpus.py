"""Sequences as arrays, and what is learned of them: what every trainer takes and gives."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
Ints = NDArray[np.int64]
Tokens = NDArray[np.int32]


# Rows at a time where matrices are changed in place: what is copied stays small.
CHUNK = 50_000


@dataclass(frozen=True)
class Corpus:
    """Sequence i is tokens[offsets[i]:offsets[i + 1]]; tracks are numbered from 0, the most played first."""

    tokens: Tokens
    offsets: Ints
    counts: Ints  # plays in the window by track number, those of sequences too short included

    @property
    def sequences(self) -> int:
        return len(self.offsets) - 1


@dataclass
class Model:
    """One row per track. Trainers write into these very arrays: at two million tracks of 128 numbers
    each matrix has a gigabyte, and there is no room for a second pair."""

    into: Matrix
    out: Matrix
    into_state: NDArray[np.float32]  # Adagrad's sums of squared gradients, one per row
    out_state: NDArray[np.float32]

    @classmethod
    def initialise(cls, tracks: int, dimensions: int, seed: int) -> Model:
        """In vectors small and random, out vectors zero, as word2vec begins."""
        into = np.empty((tracks, dimensions), np.float32)
        np.random.default_rng(seed).random(out=into, dtype=np.float32)
        into -= 0.5
        into /= np.float32(np.sqrt(dimensions))
        return cls(into, np.zeros_like(into), *(np.zeros(tracks, np.float32) for _ in range(2)))

    def initialise_new_rows(self) -> None:
        """Puts out rows of zeros, of tracks that a warm training meets first, at the mean of the others.

        Out rows of a trained model lie where most scores are below zero: one near zero stands before almost every
        other until it is learned, and within the one epoch of a warm training it is not. On a radio history, with
        3 % and 15 % of the sequences new, 0.90 and 0.83 of the hits were left; from the mean 1.01 and 1.00.
        """
        learned = self.out.any(axis=1)
        if learned.any() and not learned.all():
            self.out[~learned] = self.out.sum(axis=0, dtype=np.float64) / np.count_nonzero(learned)

    def combine(self) -> Matrix:
        """In + out, of length 1: what tracks are compared by; a row of zeros stays one."""
        return normalise_rows(self.into + self.out)

    def take(self, rows: Ints) -> Model:
        """These rows, in rising order, moved to the front of the very same arrays: this model is lost."""
        return Model(
            *(_move_to_front(array, rows) for array in (self.into, self.out, self.into_state, self.out_state))
        )

    def rotate(self, rotation: NDArray[np.float64]) -> None:
        """Both matrices by one rotation, in place: inner products of in and out stay what they were."""
        by = rotation.astype(np.float32)
        for start in range(0, len(self.into), CHUNK):
            for matrix in (self.into, self.out):
                matrix[start : start + CHUNK] = matrix[start : start + CHUNK] @ by

    def combine_in_place(self) -> tuple[Matrix, NDArray[np.float32]]:
        """What `combine` gives and the lengths before, in the place of the in vectors: they are lost."""
        lengths = np.zeros(len(self.into), np.float32)
        for start in range(0, len(self.into), CHUNK):
            part = self.into[start : start + CHUNK]
            part += self.out[start : start + CHUNK]
            lengths[start : start + CHUNK] = np.linalg.norm(part, axis=1)
            part[:] = normalise_rows(part)
        return self.into, lengths


def _move_to_front(array: NDArray[np.float32], rows: Ints) -> NDArray[np.float32]:
    """Rows only ever move to the front, so chunk after chunk nothing is overwritten that is still to move."""
    for start in range(0, len(rows), CHUNK):
        some = rows[start : start + CHUNK]
        array[start : start + len(some)] = array[some]
    return array[: len(rows)]


def normalise_rows(matrix: Matrix) -> Matrix:
    """Rows of length 1; rows of zeros stay."""
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    return np.divide(matrix, lengths, out=np.zeros_like(matrix), where=lengths > 0)


def flatten_lists(batches: Iterable[pa.RecordBatch], column: str = "tracks") -> tuple[Tokens, Ints]:
    """Tokens and offsets of a column of lists of int32.

    Lists become one array without passing through Python: 0.2 ms for what `to_pylist` takes 233.
    """
    tokens, lengths = [np.empty(0, np.int32)], [np.zeros(1, np.int64)]
    for batch in batches:
        lists = batch.column(column)
        tokens.append(lists.flatten().to_numpy(zero_copy_only=False))
        lengths.append(np.diff(lists.offsets.to_numpy()).astype(np.int64))
    return np.concatenate(tokens), np.cumsum(np.concatenate(lengths))


def to_list_array(matrix: Matrix) -> pa.ListArray:
    """The rows as lists, without a copy of the numbers; no more than 2^31 of them."""
    rows, width = matrix.shape
    offsets = np.arange(0, rows * width + 1, width, dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(matrix.reshape(-1)))
