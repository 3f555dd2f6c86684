"""Vectors that learned anything are told from vectors that did not, at any size; against plain loops."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.embeddings import chance
from features.embeddings.chance import (
    MOST_PAIRS,
    sample_adjacent_pairs,
    z_of_scores,
    z_of_vectors,
    z_possible,
)
from features.embeddings.ranking import Pairs
from features.embeddings.settings import Settings
from features.embeddings.training import fit
from reference import chance as reference
from reference.corpora import corpus_of
from reference.planted import sessions

MANY = settings(max_examples=40, deadline=None)
# Of the gate: what z it asks for, and how much must be possible before it asks.
Z, POSSIBLE = 4.0, 12.0


@MANY
@given(st.integers(2, 5).flatmap(lambda n: st.lists(st.lists(st.integers(0, 3), min_size=n, max_size=n),
                                                    min_size=n, max_size=n)))  # fmt: skip
def test_z_of_scores_equals_z_over_all_ways_to_pair(scores):
    actual = z_of_scores(np.array(scores, np.float64))
    assert actual == pytest.approx(reference.z_of_all_pairings(scores), abs=1e-6)


@MANY
@given(st.lists(st.lists(st.integers(0, 5), max_size=6), min_size=1, max_size=8), st.integers(1, 9))
def test_sample_adjacent_pairs_and_z_possible_equal_plain_loops(sequences, part):
    """However many tokens are passed over at a time."""
    corpus = corpus_of(sequences)
    pairs = sample_adjacent_pairs(corpus)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chance, "PART", part)
        possible = z_possible(corpus, pairs)
    actual = list(zip(pairs.query.tolist(), pairs.target.tolist(), strict=True))
    adjacent_pairs = {pair for s in sequences for pair in pairwise(s) if pair[0] != pair[1]}
    assert set(actual) <= adjacent_pairs
    assert bool(actual) == bool(adjacent_pairs)
    assert len(set(pairs.query)) == len(set(pairs.target)) == len(actual), "a track is there twice"
    assert possible == pytest.approx(reference.z_possible(sequences, actual))


def test_sample_adjacent_pairs_stops_at_most_pairs():
    many = corpus_of(np.random.default_rng(0).integers(0, 50_000, (30_000, 5)).tolist())
    assert len(sample_adjacent_pairs(many)) == MOST_PAIRS


def test_z_of_scores_is_chance_for_popularity_alone():
    """Each query scores the targets alike: known targets high, which says nothing of the query."""
    of_target = np.random.default_rng(0).normal(size=200)
    assert z_of_scores(np.tile(of_target, (200, 1))) == 0
    own_norm = np.random.default_rng(1).normal(size=(200, 1))
    assert abs(z_of_scores(of_target + 0.01 * own_norm * of_target)) < Z


def test_z_of_vectors_is_nan_for_nan_and_0_for_zeros():
    vectors = np.ones((3, 2), np.float32)
    assert np.isnan(z_of_vectors(np.full((3, 2), np.nan, np.float32), vectors))
    assert z_of_vectors(vectors, np.zeros((3, 2), np.float32)) == 0, "out vectors before any training"


@pytest.mark.parametrize("count", [100, 1_000])
def test_z_of_vectors_separates_trained_models_from_others_at_any_size(count):
    """Of 100 shuffled and 100 random spaces at each size none passes; by the normal law 1 in 30,000 does."""
    session_tracks = sessions(count)
    corpus = corpus_of(
        np.unique(session_tracks, return_inverse=True)[1].reshape(session_tracks.shape).tolist()
    )
    pairs = sample_adjacent_pairs(corpus)
    assert z_possible(corpus, pairs) > POSSIBLE
    for seed in (1, 2):
        model = fit(corpus, Settings(dimensions=16, epochs=3, seed=seed, threads=1))
        assert z_of_vectors(model.in_vectors[pairs.query], model.out_vectors[pairs.target]) > 4 * Z
    pairs = Pairs(pairs.query[:300], pairs.target[:300])
    draws = np.random.default_rng(0)
    chance_zs = [
        z
        for _ in range(100)
        for order, into, out in [
            (
                draws.permutation(len(model.in_vectors)),
                *draws.normal(size=(2, len(pairs), 16)).astype(np.float32),
            )
        ]
        for z in (
            z_of_vectors(model.in_vectors[order][pairs.query], model.out_vectors[order][pairs.target]),
            z_of_vectors(into, out),
        )
    ]
    assert max(chance_zs) < Z, sorted(chance_zs)[-5:]
    assert 0.8 < np.std(chance_zs) < 1.2, "z is not standard normal by chance, so 4 means something else"


def test_z_possible_is_low_where_nothing_can_be_learned():
    """Twenty tracks in random order: there is nothing to learn; and three plays are too few."""
    dense = corpus_of(np.random.default_rng(0).integers(0, 20, (2_000, 8)).tolist())
    few = corpus_of([[0, 1, 2]])
    for corpus in (dense, few):
        assert z_possible(corpus, sample_adjacent_pairs(corpus)) < POSSIBLE
