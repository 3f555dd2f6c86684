"""Sequences as arrays, and the model learned of them: input and output of every trainer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from features.embeddings.arrays import Doubles, Floats, Ints, Matrix, Tokens, list_places, normalise_rows
from features.embeddings.mapped import PART

# Rows at a time where matrices are changed in place: what is copied stays small.
CHUNK = 50_000


@dataclass(frozen=True)
class Corpus:
    """Sequence i is tokens[offsets[i]:offsets[i + 1]]; tracks are numbered from 0, the most played first."""

    tokens: Tokens
    offsets: Ints
    # plays in the window by track number: those of sequences too short included, those held out not
    counts: Ints

    @property
    def sequences(self) -> int:
        return len(self.offsets) - 1

    def parts(self) -> Iterator[slice]:
        """Of sequences, one after the other."""
        return (slice(at, min(at + PART, self.sequences)) for at in range(0, self.sequences, PART))

    def lengths(self, part: slice) -> Ints:
        return np.diff(self.offsets[part.start : part.stop + 1])

    def count_lengths(self) -> Ints:
        """Sequences of each length, from 0 to the longest."""
        counts = [np.bincount(self.lengths(part)) for part in self.parts()]
        sequences = np.zeros(max(map(len, counts), default=1), np.int64)
        for each in counts:
            sequences[: len(each)] += each
        return sequences

    def count_tokens(self) -> Ints:
        """Of each track, in the sequences."""
        counts = np.zeros(len(self.counts), np.int64)
        for start in range(0, len(self.tokens), PART):
            counts += np.bincount(self.tokens[start : start + PART], minlength=len(counts))
        return counts

    def sample(self, most: int) -> Corpus:
        """So many sequences at equal distances, or this very corpus where it has no more."""
        if self.sequences <= most:
            return self
        rows = np.arange(most) * self.sequences // most
        starts, lengths = self.offsets[rows], self.offsets[rows + 1] - self.offsets[rows]
        return Corpus(
            self.tokens[list_places(starts, lengths)], np.append(0, np.cumsum(lengths)), self.counts
        )


@dataclass
class Model:
    """One row per track. Trainers write into these very arrays."""

    # at two million tracks of 128 numbers each matrix has a gigabyte, and there is no room for a second pair
    in_vectors: Matrix
    out_vectors: Matrix
    in_states: Floats  # Adagrad's sums of squared gradients, one per row
    out_states: Floats

    @classmethod
    def initialise(cls, tracks: int, dimensions: int, seed: int) -> Model:
        """In vectors small and random, out vectors zero, as word2vec begins."""
        in_vectors = np.empty((tracks, dimensions), np.float32)
        np.random.default_rng(seed).random(out=in_vectors, dtype=np.float32)
        in_vectors -= 0.5
        in_vectors /= np.float32(np.sqrt(dimensions))
        return cls(in_vectors, np.zeros_like(in_vectors), *(np.zeros(tracks, np.float32) for _ in range(2)))

    def initialise_new_rows(self) -> None:
        """Puts out rows of zeros, of tracks that a warm training meets first, at the mean of the others."""
        # out rows of a trained model lie where most scores are below zero: one near zero stands before almost
        # every other until it is learned, and within the one epoch of a warm training it is not. On a radio
        # history, with 3 % and 15 % of the sequences new, 0.90 and 0.83 of the hits were left; from the mean
        # 1.01 and 1.00
        learned = self.out_vectors.any(axis=1)
        if learned.any() and not learned.all():
            total = self.out_vectors.sum(axis=0, dtype=np.float64)
            self.out_vectors[~learned] = total / np.count_nonzero(learned)

    def combine(self) -> Matrix:
        """In + out, of length 1: what tracks are compared by; a row of zeros stays one."""
        return normalise_rows(self.in_vectors + self.out_vectors)

    def take(self, rows: Ints) -> Model:
        """These rows, in rising order, moved to the front of the very same arrays: this model is lost."""
        return Model(*(_move_to_front(array, rows) for array in vars(self).values()))

    def rotate(self, rotation: Doubles) -> None:
        """Both matrices by one rotation, in place: inner products of in and out stay what they were."""
        # Adagrad's states are sums over a row's squared gradient, which no rotation changes: they stay
        floats = rotation.astype(np.float32)
        for start in range(0, len(self.in_vectors), CHUNK):
            for matrix in (self.in_vectors, self.out_vectors):
                matrix[start : start + CHUNK] = matrix[start : start + CHUNK] @ floats

    def combine_in_place(self) -> tuple[Matrix, Floats]:
        """What `combine` gives and the lengths before, in the place of the in vectors: they are lost."""
        lengths = np.zeros(len(self.in_vectors), np.float32)
        for start in range(0, len(self.in_vectors), CHUNK):
            part = self.in_vectors[start : start + CHUNK]
            part += self.out_vectors[start : start + CHUNK]
            lengths[start : start + CHUNK] = np.linalg.norm(part, axis=1)
            part[:] = normalise_rows(part)
        return self.in_vectors, lengths


def _move_to_front(array: Floats, rows: Ints) -> Floats:
    # rows only ever move to the front, so chunk after chunk nothing is overwritten that is still to move
    for start in range(0, len(rows), CHUNK):
        chunk = rows[start : start + CHUNK]
        array[start : start + len(chunk)] = array[chunk]
    return array[: len(rows)]
