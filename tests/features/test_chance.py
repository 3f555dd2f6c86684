"""Vectors that learned anything are told from vectors that did not, at any size; against plain loops."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.embeddings.chance import (
    MOST_PAIRS,
    sample_adjacent_pairs,
    z_of_scores,
    z_of_vectors,
    z_possible,
)
from features.embeddings.corpus import Corpus
from features.embeddings.ranking import Pairs
from features.embeddings.settings import Settings
from features.embeddings.training import fit
from reference import chance as reference
from reference.planted import sessions

MANY = settings(max_examples=40, deadline=None)
# Of the gate: what z it asks for, and how much must be possible before it asks.
Z, POSSIBLE = 4.0, 12.0


def corpus_of(sequences):
    flat = np.array([track for sequence in sequences for track in sequence], np.int32)
    offsets = np.cumsum([0, *map(len, sequences)]).astype(np.int64)
    return Corpus(flat, offsets, np.bincount(flat, minlength=1).astype(np.int64))


@MANY
@given(st.integers(2, 5).flatmap(lambda n: st.lists(st.lists(st.integers(0, 3), min_size=n, max_size=n),
                                                    min_size=n, max_size=n)))  # fmt: skip
def test_z_is_that_of_all_ways_to_pair(scores):
    found = z_of_scores(np.array(scores, np.float64))
    assert found == pytest.approx(reference.z_of_all_pairings(scores), abs=1e-6)


@MANY
@given(st.lists(st.lists(st.integers(0, 5), max_size=6), min_size=1, max_size=8))
def test_pairs_follow_each_other_and_what_is_possible_is_counted(sequences):
    corpus = corpus_of(sequences)
    pairs = sample_adjacent_pairs(corpus)
    found = list(zip(pairs.query.tolist(), pairs.target.tolist(), strict=True))
    following = {pair for s in sequences for pair in pairwise(s) if pair[0] != pair[1]}
    assert set(found) <= following
    assert bool(found) == bool(following)
    assert len(set(pairs.query)) == len(set(pairs.target)) == len(found), "a track is there twice"
    assert z_possible(corpus, pairs) == pytest.approx(reference.z_possible(sequences, found))


def test_of_many_pairs_some_are_sampled():
    many = corpus_of(np.random.default_rng(0).integers(0, 50_000, (30_000, 5)).tolist())
    assert len(sample_adjacent_pairs(many)) == MOST_PAIRS


def test_popularity_alone_is_chance():
    """Each query scores the targets alike: known targets high, which says nothing of the query."""
    of_target = np.random.default_rng(0).normal(size=200)
    assert z_of_scores(np.tile(of_target, (200, 1))) == 0
    own_norm = np.random.default_rng(1).normal(size=(200, 1))
    assert abs(z_of_scores(of_target + 0.01 * own_norm * of_target)) < Z


def test_a_number_that_is_none_is_no_z():
    vectors = np.ones((3, 2), np.float32)
    assert np.isnan(z_of_vectors(np.full((3, 2), np.nan, np.float32), vectors))
    assert z_of_vectors(vectors, np.zeros((3, 2), np.float32)) == 0, "out vectors before any training"


@pytest.mark.parametrize("count", [100, 1_000])
def test_at_any_size_true_models_pass_and_the_others_do_not(count):
    """Of 100 shuffled and 100 random spaces at each size none passes; by the normal law 1 in 30,000 does."""
    heard = sessions(count)
    corpus = corpus_of(np.unique(heard, return_inverse=True)[1].reshape(heard.shape).tolist())
    pairs = sample_adjacent_pairs(corpus)
    assert z_possible(corpus, pairs) > POSSIBLE
    for seed in (1, 2):
        model = fit(corpus, Settings(dimensions=16, epochs=3, seed=seed, threads=1))
        assert z_of_vectors(model.in_vectors[pairs.query], model.out_vectors[pairs.target]) > 4 * Z
    pairs = Pairs(pairs.query[:300], pairs.target[:300])
    draws = np.random.default_rng(0)
    wrong = [
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
    assert max(wrong) < Z, sorted(wrong)[-5:]
    assert 0.8 < np.std(wrong) < 1.2, "z is not standard normal by chance, so 4 means something else"


def test_where_nothing_can_be_learned_nothing_is_possible():
    """Twenty tracks in random order: there is nothing to learn; and three plays are too few."""
    dense = corpus_of(np.random.default_rng(0).integers(0, 20, (2_000, 8)).tolist())
    few = corpus_of([[0, 1, 2]])
    for corpus in (dense, few):
        assert z_possible(corpus, sample_adjacent_pairs(corpus)) < POSSIBLE
