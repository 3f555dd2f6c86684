"""Item2vec: one contract for every backend, then what whole trainings of each alone promise."""

from __future__ import annotations

from copy import deepcopy
from itertools import pairwise
from random import Random

import numpy as np
import pytest

from features.embeddings.baselines import rank_by_popularity
from features.embeddings.corpus import Corpus, Model
from features.embeddings.evaluation import hold_out_last
from features.embeddings.ranking import rank_targets
from features.embeddings.settings import BACKENDS, Settings, SettingsError
from features.embeddings.training import LONGEST_OF_GENSIM, fit

CLUSTERS, SIZE = 12, 10
TRACKS = CLUSTERS * SIZE
ALONE = TRACKS  # a track with plays, but in no sequence
SMALL = Settings(dimensions=16, epochs=8)


def corpus_of(sequences, counts=None):
    tokens = np.array([token for each in sequences for token in each], np.int32)
    offsets = np.cumsum([0, *map(len, sequences)]).astype(np.int64)
    return Corpus(tokens, offsets, np.bincount(tokens) if counts is None else np.array(counts, np.int64))


def cluster(track):
    return track % CLUSTERS


def planted(seed=0, sequences=900):
    """Sequences of eight tracks of one cluster each; the lower its number, the more often a track is in them."""
    rng = Random(seed)
    found = []
    for _ in range(sequences):
        home = rng.randrange(CLUSTERS)
        found.append([home + CLUSTERS * int(SIZE * rng.random() ** 1.5) for _ in range(8)])
    return [[each[0], *(t for before, t in pairwise(each) if t != before)] for each in found]


@pytest.fixture(scope="module")
def asked():
    """What is learned from the planted world, and pairs held out of it."""
    whole = corpus_of(planted())
    folds = np.random.default_rng(0).integers(0, 1000, whole.sequences)
    tokens, offsets, pairs = hold_out_last(whole.tokens, whole.offsets, folds, 1000)
    assert len(pairs) > 60
    counts = [*np.bincount(tokens, minlength=TRACKS), 2]
    return Corpus(tokens, offsets, np.array(counts, np.int64)), pairs


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request):
    return SMALL.replace(backend=request.param)


@pytest.fixture(scope="module")
def learned(backend, asked):
    return fit(asked[0], backend)


def hit_rate(model, pairs):
    places = rank_targets(model.in_vectors, model.out_vectors, pairs)
    return np.mean((places > 0) & (places <= 10))


def similarity(model):
    published = model.combine()[:TRACKS]
    found = published @ published.T
    np.fill_diagonal(found, -2)
    return found


def arrays(model):
    return (model.in_vectors, model.out_vectors, model.in_states, model.out_states)


def same(one, two):
    return all(np.array_equal(a, b) for a, b in zip(arrays(one), arrays(two), strict=True))


# --- every backend


def test_neighbours_are_of_the_same_cluster(learned):
    nearest = np.argsort(-similarity(learned), axis=1)[:, : SIZE - 1]
    own = cluster(nearest) == cluster(np.arange(TRACKS))[:, None]
    assert own.mean() > 0.97


def test_what_comes_next_is_found_far_above_popularity(learned, asked):
    corpus, pairs = asked
    popular = rank_by_popularity(corpus.counts, pairs)
    by_popularity = np.mean((popular > 0) & (popular <= 10))
    assert by_popularity < 0.3
    assert hit_rate(learned, pairs) > 0.9


def test_one_row_a_track_and_all_of_them_numbers(learned, backend):
    assert learned.in_vectors.shape == learned.out_vectors.shape == (TRACKS + 1, backend.dimensions)
    assert learned.in_states.shape == learned.out_states.shape == (TRACKS + 1,)
    for array in arrays(learned):
        assert array.dtype == np.float32
        assert array.flags.c_contiguous
        assert np.isfinite(array).all()


def test_one_thread_repeats_itself_and_a_seed_changes_it(learned, backend, asked):
    assert same(fit(asked[0], backend), learned)
    other = fit(asked[0], backend.replace(seed=2))
    assert not np.isclose(other.in_vectors, learned.in_vectors).any(axis=1).all()
    cosines = (other.combine() * learned.combine()).sum(axis=1)
    assert np.abs(cosines.mean()) < 0.5, "another seed, and yet the same space"


def test_two_threads_learn_as_much(learned, backend, asked):
    corpus, pairs = asked
    together = fit(corpus, backend.replace(threads=2))
    assert abs(hit_rate(together, pairs) - hit_rate(learned, pairs)) < 0.06


def test_what_no_sequence_holds_keeps_the_vector_it_began_with(learned, backend, asked):
    sooner = fit(asked[0], backend.replace(epochs=1))
    assert np.array_equal(sooner.in_vectors[ALONE], learned.in_vectors[ALONE])
    assert not np.isclose(sooner.in_vectors[:TRACKS], learned.in_vectors[:TRACKS]).all(axis=1).any()


def test_of_no_sequences_nothing_is_learned(backend):
    nothing = fit(corpus_of([], counts=[3, 2, 1]), backend)
    again = fit(corpus_of([], counts=[3, 2, 1]), backend.replace(epochs=1))
    assert np.array_equal(nothing.in_vectors, again.in_vectors)
    assert not nothing.out_vectors.any()


def test_a_vocabulary_is_not_taken_in_the_order_of_plays(backend):
    """Numbers are rows, whatever a backend makes of the counts."""
    sequences = [[0, 1], [1, 0]] * 30 + [[2, 3], [3, 2]] * 90
    model = fit(corpus_of(sequences, counts=[60, 60, 180, 180]), backend.replace(epochs=20, backward=1.0))
    published = model.combine()
    found = published @ published.T
    assert min(found[0, 1], found[2, 3]) > max(found[0, 2], found[0, 3], found[1, 2], found[1, 3])


@pytest.mark.parametrize(
    "given",
    [
        {"window": 4},
        {"negatives": 2},
        {"exponent": -0.5},
        {"subsample": 0.005},
        {"learning_rate": 0.05},
        {"epochs": 3},
    ],
    ids=lambda given: next(iter(given)),
)
def test_every_setting_reaches_the_trainer(backend, given):
    corpus = corpus_of(planted(sequences=60), counts=[5] * 60 + [1] * 60)
    usual, other = (fit(corpus, backend.replace(**{"epochs": 2} | extra)) for extra in ({}, given))
    assert not np.allclose(usual.in_vectors, other.in_vectors)


# --- gensim alone


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"backward": 0.2}, "backward is 0.2, and gensim looks both ways"),
        ({"max_length": 10_001}, "max_length is 10001, and gensim reads no more than 10000 tracks"),
    ],
)
def test_what_gensim_has_no_word_for_is_refused(given, says):
    with pytest.raises(SettingsError, match=says):
        fit(corpus_of([[0, 1]]), Settings(backend="gensim", **given))


def test_gensim_reads_as_much_of_a_sequence_as_we_say_and_no_more():
    long = [[0, 1] * ((LONGEST_OF_GENSIM - 2) // 2) + [2, 3, 4, 5]]
    once, twice = (
        fit(corpus_of(long), Settings(backend="gensim", dimensions=4, epochs=n, window=1, max_length=10_000))
        for n in (1, 2)
    )
    untouched = (once.in_vectors == twice.in_vectors).all(axis=1)
    assert untouched.tolist() == [False] * 4 + [True] * 2


@pytest.mark.parametrize("given", [{"model": Model.initialise(2, 64, 1)}, {"epochs": range(1)}])
def test_gensim_does_not_go_on(given):
    with pytest.raises(SettingsError, match="gensim cannot go on from vectors"):
        fit(corpus_of([[0, 1]]), Settings(backend="gensim"), **given)


# --- sgns: whole trainings


def test_a_training_in_two_parts_is_the_one_in_one(asked):
    corpus, _ = asked
    told = []
    whole = fit(corpus, SMALL.replace(epochs=4), after_epoch=lambda n, pairs, model: told.append((n, pairs)))
    parts = []
    halves = [fit(corpus, SMALL, epochs=range(2), after_epoch=lambda n, pairs, _: parts.append((n, pairs)))]
    stored = deepcopy(halves[0])
    gone_on = fit(corpus, SMALL, stored, range(2, 4), lambda n, pairs, _: parts.append((n, pairs)))
    assert same(gone_on, whole)
    assert gone_on is stored, "the arrays given are those written to"
    assert parts == told
    assert [n for n, _ in told] == [1, 2, 3, 4]
    assert len({pairs for _, pairs in told}) > 1, "each epoch draws anew"


def test_no_epochs_left_means_none(asked):
    """A training that was cut off after its last epoch, and goes on from there."""
    model = Model.initialise(TRACKS + 1, 16, 1)
    before = deepcopy(model)
    assert same(fit(asked[0], SMALL, model, range(8, 8)), before)


def test_a_warm_start_stays_where_it_was(asked):
    corpus, pairs = asked
    old = fit(corpus, SMALL)
    tomorrow = corpus_of(planted(seed=0)[90:] + planted(seed=5, sequences=90), counts=corpus.counts)
    new = fit(tomorrow, SMALL, deepcopy(old), range(1))
    cold = fit(tomorrow, SMALL.replace(seed=2))
    warm_cosine, cold_cosine = (
        float((model.combine() * old.combine())[:TRACKS].sum(axis=1).mean()) for model in (new, cold)
    )
    assert warm_cosine > 0.95 > 0.5 > abs(cold_cosine)
    near_old, near_new, near_cold = (
        np.argsort(-similarity(model), axis=1)[:, : SIZE // 2] for model in (old, new, cold)
    )
    kept, by_chance = (
        np.mean([len(np.intersect1d(a, b)) for a, b in zip(near_old, near, strict=True)]) / (SIZE // 2)
        for near in (near_new, near_cold)
    )
    assert kept > max(0.7, by_chance)
    assert hit_rate(new, pairs) > 0.9


def test_a_track_without_pairs_or_samples_keeps_its_first_vector():
    """Against a track with a billion plays, squared, one with a single play is never drawn."""
    corpus = corpus_of([[0, 1], [1, 0]] * 20, counts=[10**9, 10**9, 1])
    model = fit(corpus, SMALL.replace(exponent=2.0))
    assert not model.out_vectors[2].any()
    assert model.in_states[2] == model.out_states[2] == 0
    assert np.array_equal(model.in_vectors[2], Model.initialise(3, 16, SMALL.seed).in_vectors[2])
    assert (model.out_states[:2] > 0).all()


def test_more_threads_than_sequences():
    model = fit(corpus_of([[0, 1]]), SMALL.replace(threads=8))
    assert model.out_vectors.any() and np.isfinite(model.in_vectors).all()


def test_vectors_far_out_stay_numbers():
    model = Model(*(np.full((3, 4), far, np.float32) for far in (1e3, -1e3)), *np.zeros((2, 3), np.float32))
    fit(corpus_of([[0, 1, 2]] * 5), SMALL.replace(dimensions=4), model)
    assert all(np.isfinite(array).all() for array in arrays(model))
