"""Corpora of sequences that a test writes down, and whether two models are the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from features.embeddings.corpus import Corpus, Model


def flatten_sequences(sequences: Iterable[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Tokens one after the other, and where each sequence begins and the last ends."""
    sequences = list(sequences)
    offsets = np.cumsum([0, *map(len, sequences)]).astype(np.int64)
    return np.array([token for each in sequences for token in each], np.int32), offsets


def corpus_of(sequences: Iterable[Sequence[int]], counts: Sequence[int] | None = None) -> Corpus:
    """Without `counts`, the plays of a track are those in the sequences."""
    tokens, offsets = flatten_sequences(sequences)
    # bincount of no tokens has no counts at all; a corpus has one track at least
    plays = np.bincount(tokens, minlength=1) if counts is None else np.array(counts)
    return Corpus(tokens, offsets, plays.astype(np.int64))


def model_arrays(model: Model) -> tuple[np.ndarray, ...]:
    return (model.in_vectors, model.out_vectors, model.in_states, model.out_states)


def are_same_models(one: Model, two: Model) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(model_arrays(one), model_arrays(two), strict=True))
