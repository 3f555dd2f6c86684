"""Item2vec: one contract for every backend, then what whole trainings of each alone promise."""

from __future__ import annotations

from copy import deepcopy
from itertools import pairwise
from random import Random

import numpy as np
import pytest

from features.embeddings.baselines import rank_by_popularity
from features.embeddings.corpus import Corpus, Model
from features.embeddings.held_out import hold_out_last
from features.embeddings.ranking import rank_targets
from features.embeddings.settings import BACKENDS, Settings, SettingsError
from features.embeddings.training import LONGEST_OF_GENSIM, fit
from reference.corpora import are_same_models, corpus_of, model_arrays

CLUSTERS, SIZE = 12, 10
TRACKS = CLUSTERS * SIZE
ALONE = TRACKS  # a track with plays, but in no sequence
SMALL = Settings(dimensions=16, epochs=8)


def cluster(track):
    return track % CLUSTERS


def plant_sequences(seed=0, sequences=900):
    """Sequences of eight tracks of one cluster each; the lower its number, the more often a track is in them."""
    rng = Random(seed)
    repeating = []
    for _ in range(sequences):
        home = rng.randrange(CLUSTERS)
        repeating.append([home + CLUSTERS * int(SIZE * rng.random() ** 1.5) for _ in range(8)])
    return [[each[0], *(t for before, t in pairwise(each) if t != before)] for each in repeating]


@pytest.fixture(scope="module")
def corpus_and_pairs():
    """What is learned from the planted world, and pairs held out of it."""
    whole = corpus_of(plant_sequences())
    folds = np.random.default_rng(0).integers(0, 1000, whole.sequences)
    tokens, offsets, pairs = hold_out_last(whole.tokens, whole.offsets, folds, 1000)
    assert len(pairs) > 60
    counts = [*np.bincount(tokens, minlength=TRACKS), 2]
    return Corpus(tokens, offsets, np.array(counts, np.int64)), pairs


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request):
    return SMALL.replace(backend=request.param)


@pytest.fixture(scope="module")
def model_of_backend(backend, corpus_and_pairs):
    return fit(corpus_and_pairs[0], backend)


def hit_rate(model, pairs):
    places = rank_targets(model.in_vectors, model.out_vectors, pairs)
    return np.mean((places > 0) & (places <= 10))


def similarity(model):
    vectors = model.combine()[:TRACKS]
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -2)
    return cosines


# --- every backend


def test_fit_puts_neighbours_into_the_same_cluster(model_of_backend):
    nearest = np.argsort(-similarity(model_of_backend), axis=1)[:, : SIZE - 1]
    own = cluster(nearest) == cluster(np.arange(TRACKS))[:, None]
    assert own.mean() > 0.97


def test_fit_predicts_the_next_track_far_better_than_popularity(model_of_backend, corpus_and_pairs):
    corpus, pairs = corpus_and_pairs
    popular = rank_by_popularity(corpus.counts, pairs)
    popularity_rate = np.mean((popular > 0) & (popular <= 10))
    assert popularity_rate < 0.3
    assert hit_rate(model_of_backend, pairs) > 0.9


def test_fit_returns_one_finite_row_per_track(model_of_backend, backend):
    assert (
        model_of_backend.in_vectors.shape
        == model_of_backend.out_vectors.shape
        == (TRACKS + 1, backend.dimensions)
    )
    assert model_of_backend.in_states.shape == model_of_backend.out_states.shape == (TRACKS + 1,)
    for array in model_arrays(model_of_backend):
        assert array.dtype == np.float32
        assert array.flags.c_contiguous
        assert np.isfinite(array).all()


def test_fit_with_one_thread_repeats_itself_and_depends_on_the_seed(
    model_of_backend, backend, corpus_and_pairs
):
    assert are_same_models(fit(corpus_and_pairs[0], backend), model_of_backend)
    other = fit(corpus_and_pairs[0], backend.replace(seed=2))
    assert not np.isclose(other.in_vectors, model_of_backend.in_vectors).any(axis=1).all()
    cosines = (other.combine() * model_of_backend.combine()).sum(axis=1)
    assert np.abs(cosines.mean()) < 0.5, "another seed, and yet the same space"


def test_fit_with_two_threads_learns_as_much(model_of_backend, backend, corpus_and_pairs):
    corpus, pairs = corpus_and_pairs
    with_two_threads = fit(corpus, backend.replace(threads=2))
    assert abs(hit_rate(with_two_threads, pairs) - hit_rate(model_of_backend, pairs)) < 0.06


def test_fit_keeps_the_first_vector_of_a_track_in_no_sequence(model_of_backend, backend, corpus_and_pairs):
    after_one_epoch = fit(corpus_and_pairs[0], backend.replace(epochs=1))
    assert np.array_equal(after_one_epoch.in_vectors[ALONE], model_of_backend.in_vectors[ALONE])
    assert (
        not np.isclose(after_one_epoch.in_vectors[:TRACKS], model_of_backend.in_vectors[:TRACKS])
        .all(axis=1)
        .any()
    )


def test_fit_of_no_sequences_learns_nothing(backend):
    model = fit(corpus_of([], counts=[3, 2, 1]), backend)
    model_of_one_epoch = fit(corpus_of([], counts=[3, 2, 1]), backend.replace(epochs=1))
    assert np.array_equal(model.in_vectors, model_of_one_epoch.in_vectors)
    assert not model.out_vectors.any()


def test_fit_keeps_the_numbers_of_the_vocabulary(backend):
    """Numbers are rows, whatever a backend makes of the counts."""
    sequences = [[0, 1], [1, 0]] * 30 + [[2, 3], [3, 2]] * 90
    model = fit(corpus_of(sequences, counts=[60, 60, 180, 180]), backend.replace(epochs=20, backward=1.0))
    vectors = model.combine()
    cosines = vectors @ vectors.T
    assert min(cosines[0, 1], cosines[2, 3]) > max(cosines[0, 2], cosines[0, 3], cosines[1, 2], cosines[1, 3])


@pytest.mark.parametrize(
    "change",
    [
        {"window": 4},
        {"negatives": 2},
        {"exponent": -0.5},
        {"subsample": 0.005},
        {"learning_rate": 0.05},
        {"epochs": 3},
    ],
    ids=lambda change: next(iter(change)),
)
def test_fit_passes_every_setting_to_the_trainer(backend, change):
    corpus = corpus_of(plant_sequences(sequences=60), counts=[5] * 60 + [1] * 60)
    usual, other = (fit(corpus, backend.replace(**{"epochs": 2} | extra)) for extra in ({}, change))
    assert not np.allclose(usual.in_vectors, other.in_vectors)


# --- gensim alone


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"backward": 0.2}, "backward is 0.2, and gensim looks both ways"),
        ({"max_length": 10_001}, "max_length is 10001, and gensim reads no more than 10000 tracks"),
    ],
)
def test_fit_with_gensim_refuses_settings_that_it_lacks(change, message):
    with pytest.raises(SettingsError, match=message):
        fit(corpus_of([[0, 1]]), Settings(backend="gensim", **change))


def test_fit_with_gensim_reads_a_sequence_up_to_its_longest():
    long = [[0, 1] * ((LONGEST_OF_GENSIM - 2) // 2) + [2, 3, 4, 5]]
    once, twice = (
        fit(corpus_of(long), Settings(backend="gensim", dimensions=4, epochs=n, window=1, max_length=10_000))
        for n in (1, 2)
    )
    untouched = (once.in_vectors == twice.in_vectors).all(axis=1)
    assert untouched.tolist() == [False] * 4 + [True] * 2


@pytest.mark.parametrize("change", [{"model": Model.initialise(2, 64, 1)}, {"epochs": range(1)}])
def test_fit_with_gensim_refuses_a_warm_start(change):
    with pytest.raises(SettingsError, match="gensim cannot go on from vectors"):
        fit(corpus_of([[0, 1]]), Settings(backend="gensim"), **change)


# --- sgns: whole trainings


def test_fit_in_two_parts_equals_fit_in_one(corpus_and_pairs):
    corpus, _ = corpus_and_pairs
    whole_epochs = []
    whole = fit(
        corpus,
        SMALL.replace(epochs=4),
        after_epoch=lambda n, pairs, model: whole_epochs.append((n, pairs)),
    )
    part_epochs = []
    first_half = [
        fit(corpus, SMALL, epochs=range(2), after_epoch=lambda n, pairs, _: part_epochs.append((n, pairs)))
    ]
    stored_model = deepcopy(first_half[0])
    second_half = fit(
        corpus, SMALL, stored_model, range(2, 4), lambda n, pairs, _: part_epochs.append((n, pairs))
    )
    assert are_same_models(second_half, whole)
    assert second_half is stored_model, "the arrays given are those written to"
    assert part_epochs == whole_epochs
    assert [n for n, _ in whole_epochs] == [1, 2, 3, 4]
    assert len({pairs for _, pairs in whole_epochs}) > 1, "each epoch draws anew"


def test_fit_of_no_epochs_changes_nothing(corpus_and_pairs):
    """A training that was cut off after its last epoch, and goes on from there."""
    model = Model.initialise(TRACKS + 1, 16, 1)
    before = deepcopy(model)
    assert are_same_models(fit(corpus_and_pairs[0], SMALL, model, range(8, 8)), before)


def test_fit_from_a_model_stays_in_its_space(corpus_and_pairs):
    corpus, pairs = corpus_and_pairs
    old = fit(corpus, SMALL)
    tomorrow = corpus_of(
        plant_sequences(seed=0)[90:] + plant_sequences(seed=5, sequences=90), counts=corpus.counts
    )
    new = fit(tomorrow, SMALL, deepcopy(old), range(1))
    cold = fit(tomorrow, SMALL.replace(seed=2))
    warm_cosine, cold_cosine = (
        float((model.combine() * old.combine())[:TRACKS].sum(axis=1).mean()) for model in (new, cold)
    )
    assert warm_cosine > 0.95 > 0.5 > abs(cold_cosine)
    near_old, near_new, near_cold = (
        np.argsort(-similarity(model), axis=1)[:, : SIZE // 2] for model in (old, new, cold)
    )
    warm_overlap, cold_overlap = (
        np.mean([len(np.intersect1d(a, b)) for a, b in zip(near_old, near, strict=True)]) / (SIZE // 2)
        for near in (near_new, near_cold)
    )
    assert warm_overlap > max(0.7, cold_overlap)
    assert hit_rate(new, pairs) > 0.9


def test_fit_keeps_the_first_vector_of_a_track_without_pairs_or_samples():
    """Against a track with a billion plays, squared, one with a single play is never drawn."""
    corpus = corpus_of([[0, 1], [1, 0]] * 20, counts=[10**9, 10**9, 1])
    model = fit(corpus, SMALL.replace(exponent=2.0))
    assert not model.out_vectors[2].any()
    assert model.in_states[2] == model.out_states[2] == 0
    assert np.array_equal(model.in_vectors[2], Model.initialise(3, 16, SMALL.seed).in_vectors[2])
    assert (model.out_states[:2] > 0).all()


def test_fit_with_more_threads_than_sequences():
    model = fit(corpus_of([[0, 1]]), SMALL.replace(threads=8))
    assert model.out_vectors.any() and np.isfinite(model.in_vectors).all()


def test_fit_of_vectors_far_out_stays_finite():
    model = Model(*(np.full((3, 4), far, np.float32) for far in (1e3, -1e3)), *np.zeros((2, 3), np.float32))
    fit(corpus_of([[0, 1, 2]] * 5), SMALL.replace(dimensions=4), model)
    assert all(np.isfinite(array).all() for array in model_arrays(model))
