"""The compiled trainer against plain loops: one step, which pairs an epoch learns, and what is drawn."""

from __future__ import annotations

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.embeddings import sgns
from features.embeddings.corpus import Model
from features.embeddings.ranking import Pairs, rank_targets
from features.embeddings.settings import BACKENDS, Settings
from features.embeddings.training import fit
from reference import item2vec as reference
from reference.corpora import corpus_of, model_arrays

SMALL = Settings(dimensions=16, epochs=8)
SIGMAS = 5


def test_train_epoch_equals_the_loop_in_doubles():
    """Two tracks: the negative sample of 0 -> 1 is 0, and of 1 -> 0 there is only the context itself."""
    corpus = corpus_of([[0, 1]], counts=[10**9, 1])
    trainer_settings = SMALL.replace(exponent=2.0, window=1, backward=1.0, dimensions=5, negatives=3)
    model = Model.initialise(2, 5, 3)
    space = reference.Space(*(array.tolist() for array in model_arrays(model)))
    for number in range(4):
        assert sgns.train_epoch(corpus, model, trainer_settings, number) == 2
        space.learn(0, 1, [0, 0, 0], trainer_settings.learning_rate)
        space.learn(1, 0, [0, 0, 0], trainer_settings.learning_rate)
    assert_close(model, space)


def assert_close(model, space):
    for name in ("in_vectors", "out_vectors", "in_states", "out_states"):
        np.testing.assert_allclose(
            getattr(model, name), np.array(getattr(space, name)), rtol=2e-4, atol=2e-5, err_msg=name
        )


def xorshift(state):
    """Marsaglia's, on whole numbers."""
    state ^= state << 13 & (2**64 - 1)
    state ^= state >> 7
    return state ^ (state << 17 & (2**64 - 1))


PLACES = {n: np.random.default_rng(n).integers(0, n, sgns.PLACES, dtype=np.int32) for n in range(2, 6)}


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 2**32),
    st.integers(1, 6),
    st.integers(2, 9),
    st.sampled_from(sorted(PLACES)),
    st.booleans(),
)
def test_train_pair_moves_vectors_as_the_loop_does(seed, negatives, dimensions, tracks, fresh):
    rng = Random(seed)
    track, context = rng.sample(range(tracks), 2)
    matrices = [[[rng.gauss(0, 1) for _ in range(dimensions)] for _ in range(tracks)] for _ in range(2)]
    states = [[0.0 if fresh else rng.random() * 3 for _ in range(tracks)] for _ in range(2)]
    model = Model(*(np.array(m, np.float32) for m in matrices), *(np.array(s, np.float32) for s in states))
    space = reference.Space(*(array.tolist() for array in model_arrays(model)))
    state = np.array([rng.randrange(1, 2**63)], np.uint64)
    negative_tracks, at = [], int(state[0])
    for _ in range(negatives):  # the context itself and the track may be among them, and one more than once
        at = xorshift(at)
        negative_tracks.append(int(PLACES[tracks][(at >> 11) % sgns.PLACES]))
    rate, gradient = np.float32(0.1), np.full(dimensions, 7, np.float32)  # left over from a pair before
    sgns._train_pair(track, context, PLACES[tracks], *model_arrays(model), negatives, rate, gradient, state)
    space.learn(track, context, negative_tracks, 0.1)
    assert_close(model, space)
    assert int(state[0]) == at


def test_random_share_is_even():
    state = np.array([2**61 + 12345], np.uint64)
    shares = np.array([sgns._random_share(state) for _ in range(20_000)])
    assert shares.min() >= 0 and shares.max() < 1
    for share in (0.1, 0.3, 0.5, 0.9):
        assert np.mean(shares < share) == pytest.approx(share, abs=SIGMAS * 0.5 / math.sqrt(len(shares)))


# --- sgns: which pairs

SEQUENCES = ([0, 1], [3, 1, 4, 1, 5, 2, 6], [2, 2, 2], [0, 1, 2, 3, 4, 5])


@pytest.mark.parametrize("backward", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("window", [1, 2, 5])
def test_train_epoch_learns_as_many_pairs_as_expected(window, backward):
    times = 3_000
    moments = [reference.count_of_pairs(each, window, backward) for each in SEQUENCES]
    mean, variance = (times * sum(column) for column in zip(*moments, strict=True))
    settings = SMALL.replace(window=window, backward=backward, negatives=1, dimensions=2)
    corpus = corpus_of([*SEQUENCES] * times)
    pairs = sgns.train_epoch(corpus, Model.initialise(7, 2, 1), settings, 0)
    assert abs(pairs - mean) <= SIGMAS * math.sqrt(variance)


@pytest.fixture
def record_pairs(monkeypatch):
    """Goes over a corpus with the very loop, before it is compiled, and gives the pairs in the order they come."""

    def record(corpus, settings):
        pairs = []

        def pair(track, context, *others):
            pairs.append((int(track), int(context)))
            for _ in range(settings.negatives):
                sgns._random(others[-1])  # as many draws as a pair that is learned

        with monkeypatch.context() as patch:
            patch.setattr(sgns, "_train_pair", pair)
            patch.setattr(sgns, "_train_sequences", sgns._train_sequences.py_func)
            count = sgns.train_epoch(corpus, Model.initialise(len(corpus.counts), 2, 1), settings, 0)
        assert count == len(pairs)
        return pairs

    return record


@pytest.mark.parametrize(("window", "backward"), [(1, 0.5), (2, 0.3), (4, 0.0), (9, 1.0), (5, 0.1)])
def test_train_epoch_draws_pairs_as_often_as_window_and_backward_say(record_pairs, window, backward):
    """All tracks are different: pairs of tracks are pairs of places."""
    times, sequence = 800, [3, 0, 5, 1, 2, 4]
    settings = SMALL.replace(window=window, backward=backward)
    pairs = record_pairs(corpus_of([sequence] * times), settings)
    chance_by_pair = {
        (sequence[i], sequence[j]): chance
        for (i, j), chance in reference.chances(sequence, window, backward).items()
    }
    assert set(pairs) == set(chance_by_pair)
    for pair, chance in chance_by_pair.items():
        spread = math.sqrt(times * chance * (1 - chance))
        assert abs(pairs.count(pair) - times * chance) <= SIGMAS * spread, f"{pair} has a chance of {chance}"


@pytest.mark.parametrize("subsample", [0.0, 0.05])
@pytest.mark.parametrize("backward", [0.0, 0.3, 1.0])
def test_train_epoch_draws_the_same_pairs_compiled_or_not(record_pairs, backward, subsample):
    """So what is recorded of the loop here is what the compiled one learns."""
    corpus = corpus_of([*SEQUENCES] * 20)
    trainer_settings = SMALL.replace(window=5, backward=backward, subsample=subsample)
    for seed in range(3):
        settings = trainer_settings.replace(seed=seed)
        pair_count = sgns.train_epoch(corpus, Model.initialise(7, 16, 1), settings, 0)
        assert pair_count == len(record_pairs(corpus, settings)) > 0


def test_train_epoch_takes_no_track_as_its_own_context(record_pairs):
    pairs = record_pairs(corpus_of([[2, 2, 2], [0, 1, 0, 1, 1]] * 50), SMALL.replace(window=4, backward=1.0))
    assert set(pairs) == {(0, 1), (1, 0)}


def followers(backward):
    """In 40 pairs a, b the b always follows its a, and any pair follows another."""
    rng, pairs = Random(3), 40
    sequences = []
    for _ in range(600):
        some = rng.sample(range(pairs), 4)
        sequences.append([track for pair in some for track in (2 * pair, 2 * pair + 1)])
    settings = SMALL.replace(window=1, backward=backward, epochs=10)
    model = fit(corpus_of(sequences), settings)
    first, second = np.arange(0, 2 * pairs, 2), np.arange(1, 2 * pairs, 2)
    return (
        np.mean(rank_targets(model.in_vectors, model.out_vectors, Pairs(query, target)) == 1)
        for query, target in ((first, second), (second, first))
    )


def test_fit_without_backward_learns_one_direction_alone():
    ahead, back = followers(backward=0.0)
    assert ahead > 0.95
    assert back < 0.2
    both = list(followers(backward=1.0))
    assert min(both) > 0.9


# --- sgns: draws


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 500), min_size=1, max_size=30), st.sampled_from([-0.5, 0.0, 0.75, 1.0, 2.0]))
def test_negative_sampling_table_follows_plays_to_the_exponent(counts, exponent):
    negative_table = sgns._negative_sampling_table(np.array(counts), exponent, np.random.default_rng(1))
    assert negative_table.dtype == np.int32 and negative_table.shape == (sgns.PLACES,)
    places = np.bincount(negative_table, minlength=len(counts))
    total = sum(n**exponent for n in counts)
    for place_count, n in zip(places, counts, strict=True):
        assert abs(place_count - sgns.PLACES * n**exponent / total) <= 1 + 1e-6


@pytest.mark.parametrize("exponent", [-1.0, 0.0, 0.75])
def test_a_track_whose_every_play_is_held_out_is_no_negative(exponent):
    table = sgns._negative_sampling_table(np.array([3, 0, 2]), exponent, np.random.default_rng(1))
    assert set(table.tolist()) == {0, 2}, "a track is drawn of which no play is left"


@pytest.mark.parametrize("backend", BACKENDS)
def test_fit_trains_beside_a_track_whose_every_play_is_held_out(backend):
    corpus = corpus_of([[0, 1, 2]] * 5, counts=[5, 5, 5, 0])
    choices = {"subsample": 0.5} if backend == "sgns" else {}
    with np.errstate(all="raise", under="ignore"):
        model = fit(corpus, Settings(dimensions=4, epochs=2, backend=backend, **choices))
    assert model.in_vectors.shape == model.out_vectors.shape == (4, 4)
    assert all(np.isfinite(array).all() for array in model_arrays(model))


def test_negative_sampling_table_has_a_track_too_rare_for_a_place_in_some_epochs(monkeypatch):
    monkeypatch.setattr(sgns, "PLACES", 64)
    draws, epochs = np.random.default_rng(2), 2_000
    times = sum(
        int((sgns._negative_sampling_table(np.array([255, 1]), 1.0, draws) == 1).sum()) for _ in range(epochs)
    )
    chance = 64 / 256  # of one place in an epoch
    assert abs(times - epochs * chance) <= SIGMAS * math.sqrt(epochs * chance * (1 - chance))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=20), st.sampled_from([1e-5, 1e-3, 0.1, 1.0]))
def test_keep_probabilities_are_those_of_word2vec(counts, subsample):
    actual = sgns._keep_probabilities(np.array(counts), subsample)
    assert actual == pytest.approx(
        [reference.keep_probability(n, sum(counts), subsample) for n in counts], rel=1e-5
    )
    assert actual.dtype == np.float32


def test_keep_probabilities_without_subsampling_are_1():
    assert sgns._keep_probabilities(np.array([1, 10**9]), 0.0).tolist() == [1, 1]


def test_train_epoch_with_subsampling_learns_frequent_tracks_less_often():
    """Each sequence is a frequent track and a rare one, and a pair where both are kept."""
    times, rare = 5_000, 50
    sequences = [[0, 1 + n % rare] for n in range(times)]
    corpus = corpus_of(sequences)
    thin = SMALL.replace(window=1, backward=0.0, subsample=0.02, dimensions=2)
    chance = reference.keep_probability(times, 2 * times, 0.02)
    assert reference.keep_probability(times // rare, 2 * times, 0.02) == 1
    pairs = sgns.train_epoch(corpus, Model.initialise(rare + 1, 2, 1), thin, 0)
    assert abs(pairs - times * chance) <= SIGMAS * math.sqrt(times * chance * (1 - chance))


def test_train_epoch_lays_the_window_after_subsampling(record_pairs):
    """The frequent track in between is dropped, then the window is laid, as in word2vec."""
    corpus = corpus_of([[1 + n, 0, 101 + n] for n in range(100)])
    thin = SMALL.replace(window=1, backward=0.0, subsample=1e-4)
    pairs = record_pairs(corpus, thin)
    assert any(pair == (1 + n, 101 + n) for n in range(100) for pair in pairs)
