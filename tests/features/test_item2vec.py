"""Item2vec: one contract for every backend, then what the compiled trainer alone promises, against plain loops."""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import fields, replace
from random import Random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.embeddings import corpus as corpus_module
from features.embeddings import gensim_backend, sgns
from features.embeddings.baselines import popularity_ranks
from features.embeddings.corpus import Corpus, Model, flat, lists_of, unit
from features.embeddings.evaluation import held_out
from features.embeddings.ranking import Pairs, ranks
from features.embeddings.settings import BACKENDS, Settings, SettingsError
from features.embeddings.training import fit
from reference import item2vec as reference

CLUSTERS, SIZE = 12, 10
TRACKS = CLUSTERS * SIZE
ALONE = TRACKS  # a track with plays, but in no sequence
SMALL = Settings(dimensions=16, epochs=8)
SIGMAS = 5


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
    return [[t for t, before in zip(each, [None, *each], strict=False) if t != before] for each in found]


@pytest.fixture(scope="module")
def asked():
    """What is learned from the planted world, and pairs held out of it."""
    whole = corpus_of(planted())
    folds = np.random.default_rng(0).integers(0, 1000, whole.sequences)
    tokens, offsets, pairs = held_out(whole.tokens, whole.offsets, folds, 1000)
    assert len(pairs) > 60
    counts = [*np.bincount(tokens, minlength=TRACKS), 2]
    return Corpus(tokens, offsets, np.array(counts, np.int64)), pairs


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request):
    return replace(SMALL, backend=request.param)


@pytest.fixture(scope="module")
def learned(backend, asked):
    return fit(asked[0], backend)


def hit_rate(model, pairs):
    places = ranks(model.into, model.out, pairs)
    return np.mean((places > 0) & (places <= 10))


def similarity(model):
    published = model.published()[:TRACKS]
    found = published @ published.T
    np.fill_diagonal(found, -2)
    return found


def arrays(model):
    return (model.into, model.out, model.into_state, model.out_state)


def same(one, two):
    return all(np.array_equal(a, b) for a, b in zip(arrays(one), arrays(two), strict=True))


# --- every backend


def test_neighbours_are_of_the_same_cluster(learned):
    nearest = np.argsort(-similarity(learned), axis=1)[:, : SIZE - 1]
    own = cluster(nearest) == cluster(np.arange(TRACKS))[:, None]
    assert own.mean() > 0.97


def test_what_comes_next_is_found_far_above_popularity(learned, asked):
    corpus, pairs = asked
    popular = popularity_ranks(corpus.counts, pairs)
    by_popularity = np.mean((popular > 0) & (popular <= 10))
    assert by_popularity < 0.3
    assert hit_rate(learned, pairs) > 0.9


def test_one_row_a_track_and_all_of_them_numbers(learned, backend):
    assert learned.into.shape == learned.out.shape == (TRACKS + 1, backend.dimensions)
    assert learned.into_state.shape == learned.out_state.shape == (TRACKS + 1,)
    for array in arrays(learned):
        assert array.dtype == np.float32
        assert array.flags.c_contiguous
        assert np.isfinite(array).all()


def test_one_thread_repeats_itself_and_a_seed_changes_it(learned, backend, asked):
    assert same(fit(asked[0], backend), learned)
    other = fit(asked[0], replace(backend, seed=2))
    assert not np.isclose(other.into, learned.into).any(axis=1).all()
    cosines = (other.published() * learned.published()).sum(axis=1)
    assert np.abs(cosines.mean()) < 0.5, "another seed, and yet the same space"


def test_two_threads_learn_as_much(learned, backend, asked):
    corpus, pairs = asked
    together = fit(corpus, replace(backend, threads=2))
    assert abs(hit_rate(together, pairs) - hit_rate(learned, pairs)) < 0.06
    assert not np.array_equal(together.into, learned.into), "threads share the draws of one"


def test_what_no_sequence_holds_keeps_the_vector_it_began_with(learned, backend, asked):
    sooner = fit(asked[0], replace(backend, epochs=1))
    assert np.array_equal(sooner.into[ALONE], learned.into[ALONE])
    assert not np.isclose(sooner.into[:TRACKS], learned.into[:TRACKS]).all(axis=1).any()


def test_of_no_sequences_nothing_is_learned(backend):
    nothing = fit(corpus_of([], counts=[3, 2, 1]), backend)
    again = fit(corpus_of([], counts=[3, 2, 1]), replace(backend, epochs=1))
    assert np.array_equal(nothing.into, again.into)
    assert not nothing.out.any()


def test_a_vocabulary_is_not_taken_in_the_order_of_plays(backend):
    """Numbers are rows, whatever a backend makes of the counts."""
    sequences = [[0, 1], [1, 0]] * 30 + [[2, 3], [3, 2]] * 90
    model = fit(corpus_of(sequences, counts=[60, 60, 180, 180]), replace(backend, epochs=20, backward=1.0))
    published = model.published()
    found = published @ published.T
    assert min(found[0, 1], found[2, 3]) > max(found[0, 2], found[0, 3], found[1, 2], found[1, 3])


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
    long = [[0, 1] * ((gensim_backend.LONGEST - 2) // 2) + [2, 3, 4, 5]]
    once, twice = (
        fit(corpus_of(long), Settings(backend="gensim", dimensions=4, epochs=n, window=1, max_length=10_000))
        for n in (1, 2)
    )
    untouched = (once.into == twice.into).all(axis=1)
    assert untouched.tolist() == [False] * 4 + [True] * 2


@pytest.mark.parametrize("given", [{"model": Model.fresh(2, 64, 1)}, {"epochs": range(1)}])
def test_gensim_does_not_go_on(given):
    with pytest.raises(SettingsError, match="gensim cannot go on from vectors"):
        fit(corpus_of([[0, 1]]), Settings(backend="gensim"), **given)


# --- sgns: whole trainings


def test_a_training_in_two_parts_is_the_one_in_one(asked):
    corpus, _ = asked
    told = []
    whole = fit(corpus, replace(SMALL, epochs=4), after_epoch=lambda n, pairs, model: told.append((n, pairs)))
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
    model = Model.fresh(TRACKS + 1, 16, 1)
    before = deepcopy(model)
    assert same(fit(asked[0], SMALL, model, range(8, 8)), before)


def test_a_warm_start_stays_where_it_was(asked):
    corpus, pairs = asked
    old = fit(corpus, SMALL)
    tomorrow = corpus_of(planted(seed=0)[90:] + planted(seed=5, sequences=90), counts=corpus.counts)
    new = fit(tomorrow, SMALL, deepcopy(old), range(1))
    cold = fit(tomorrow, replace(SMALL, seed=2))
    warm_cosine, cold_cosine = (
        float((model.published() * old.published())[:TRACKS].sum(axis=1).mean()) for model in (new, cold)
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


def test_what_is_never_drawn_nor_heard_keeps_no_trace():
    """Against a track with a billion plays, squared, one with a single play is never drawn."""
    corpus = corpus_of([[0, 1], [1, 0]] * 20, counts=[10**9, 10**9, 1])
    model = fit(corpus, replace(SMALL, exponent=2.0))
    assert not model.out[2].any()
    assert model.into_state[2] == model.out_state[2] == 0
    assert np.array_equal(model.into[2], Model.fresh(3, 16, SMALL.seed).into[2])
    assert (model.out_state[:2] > 0).all()


def test_more_threads_than_sequences():
    model = fit(corpus_of([[0, 1]]), replace(SMALL, threads=8))
    assert model.out.any() and np.isfinite(model.into).all()


def test_vectors_far_out_stay_numbers():
    model = Model(*(np.full((3, 4), far, np.float32) for far in (1e3, -1e3)), *np.zeros((2, 3), np.float32))
    fit(corpus_of([[0, 1, 2]] * 5), replace(SMALL, dimensions=4), model)
    assert all(np.isfinite(array).all() for array in arrays(model))


def test_one_epoch_is_the_loop_in_doubles():
    """Two tracks: whoever is drawn against 0 -> 1 is 0, and against 1 -> 0 there is only the company itself."""
    corpus = corpus_of([[0, 1]], counts=[10**9, 1])
    chosen = replace(SMALL, exponent=2.0, window=1, backward=1.0, dimensions=5, negatives=3)
    model = Model.fresh(2, 5, 3)
    space = reference.Space(*(array.tolist() for array in arrays(model)))
    for number in range(4):
        assert sgns.epoch(corpus, model, chosen, number) == 2
        space.learn(0, 1, [0, 0, 0], chosen.learning_rate)
        space.learn(1, 0, [0, 0, 0], chosen.learning_rate)
    hold(model, space)


# --- sgns: one step


def hold(model, space):
    for name in ("into", "out", "into_state", "out_state"):
        np.testing.assert_allclose(
            getattr(model, name), np.array(getattr(space, name)), rtol=2e-4, atol=2e-5, err_msg=name
        )


def xorshift(state):
    """Marsaglia's, on whole numbers."""
    state ^= state << 13 & (2**64 - 1)
    state ^= state >> 7
    return state ^ (state << 17 & (2**64 - 1))


@settings(max_examples=150, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 6), st.integers(2, 9), st.integers(2, 5), st.booleans())
def test_a_pair_moves_vectors_as_the_loop_does(rng, negatives, dimensions, tracks, fresh):
    track, company = rng.sample(range(tracks), 2)
    matrices = [[[rng.gauss(0, 1) for _ in range(dimensions)] for _ in range(tracks)] for _ in range(2)]
    states = [[0.0 if fresh else rng.random() * 3 for _ in range(tracks)] for _ in range(2)]
    model = Model(*(np.array(m, np.float32) for m in matrices), *(np.array(s, np.float32) for s in states))
    space = reference.Space(*(array.tolist() for array in arrays(model)))
    places = np.random.default_rng(rng.randrange(2**32)).integers(0, tracks, sgns.PLACES, dtype=np.int32)
    state = np.array([rng.randrange(1, 2**63)], np.uint64)
    drawn, at = [], int(state[0])
    for _ in range(negatives):  # the company itself and the track may be among them, and one more than once
        at = xorshift(at)
        drawn.append(int(places[(at >> 11) % sgns.PLACES]))
    rate, gradient = np.float32(0.1), np.full(dimensions, 7, np.float32)  # left over from a pair before
    sgns._pair(track, company, places, *arrays(model), negatives, rate, gradient, state)
    space.learn(track, company, drawn, 0.1)
    hold(model, space)
    assert int(state[0]) == at


def test_chances_are_even():
    state = np.array([2**61 + 12345], np.uint64)
    found = np.array([sgns._chance(state) for _ in range(20_000)])
    assert 0 <= found.min() and found.max() < 1
    for share in (0.1, 0.3, 0.5, 0.9):
        assert np.mean(found < share) == pytest.approx(share, abs=SIGMAS * 0.5 / math.sqrt(len(found)))


# --- sgns: which pairs

SEQUENCES = ([0, 1], [3, 1, 4, 1, 5, 2, 6], [2, 2, 2], [0, 1, 2, 3, 4, 5])


@pytest.mark.parametrize("backward", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("window", [1, 2, 5])
def test_an_epoch_learns_as_many_pairs_as_expected(window, backward):
    times = 3_000
    moments = [reference.count_of_pairs(each, window, backward) for each in SEQUENCES]
    mean, variance = (times * sum(column) for column in zip(*moments, strict=True))
    settings = replace(SMALL, window=window, backward=backward, negatives=1, dimensions=2)
    corpus = corpus_of([*SEQUENCES] * times)
    pairs = sgns.epoch(corpus, Model.fresh(7, 2, 1), settings, 0)
    assert abs(pairs - mean) <= SIGMAS * math.sqrt(variance)


@pytest.fixture
def recorded(monkeypatch):
    """Learns a corpus with the very loop, before it is compiled, and gives the pairs in the order they come."""

    def record(corpus, settings, subsample=0.0):
        pairs = []
        with monkeypatch.context() as patch:
            patch.setattr(sgns, "_pair", lambda track, company, *_: pairs.append((int(track), int(company))))
            patch.setattr(sgns, "_learn", sgns._learn.py_func)
            count = sgns.epoch(corpus, Model.fresh(len(corpus.counts), 2, 1), settings, 0)
        assert count == len(pairs)
        return pairs

    return record


@pytest.mark.parametrize(("window", "backward"), [(1, 0.5), (2, 0.3), (4, 0.0), (9, 1.0), (5, 0.1)])
def test_pairs_come_as_often_as_reach_and_direction_say(recorded, window, backward):
    """All tracks are different: pairs of tracks are pairs of places."""
    times, sequence = 800, [3, 0, 5, 1, 2, 4]
    settings = replace(SMALL, window=window, backward=backward)
    pairs = recorded(corpus_of([sequence] * times), settings)
    wanted = {
        (sequence[i], sequence[j]): chance
        for (i, j), chance in reference.chances(sequence, window, backward).items()
    }
    assert set(pairs) == set(wanted)
    for pair, chance in wanted.items():
        spread = math.sqrt(times * chance * (1 - chance))
        assert abs(pairs.count(pair) - times * chance) <= SIGMAS * spread, f"{pair} has a chance of {chance}"


def test_compiled_or_not_the_same_pairs_are_drawn(recorded):
    corpus = corpus_of([*SEQUENCES] * 20)
    chosen = replace(SMALL, negatives=1, dimensions=2)
    unit_draws = [sgns.epoch(corpus, Model.fresh(7, 2, 1), replace(chosen, backward=b), 0) for b in (0.0, 1.0)]
    assert unit_draws[0] == len(recorded(corpus, replace(chosen, backward=0.0)))
    assert unit_draws[1] >= 2 * unit_draws[0] * 0.9


def test_a_track_is_no_company_of_its_own(recorded):
    pairs = recorded(corpus_of([[2, 2, 2], [0, 1, 0, 1, 1]] * 50), replace(SMALL, window=4, backward=1.0))
    assert set(pairs) == {(0, 1), (1, 0)}


def followers(backward):
    """In 40 pairs a, b the b always follows its a, and any pair follows another."""
    rng, pairs = Random(3), 40
    sequences = []
    for _ in range(600):
        some = rng.sample(range(pairs), 4)
        sequences.append([track for pair in some for track in (2 * pair, 2 * pair + 1)])
    settings = replace(SMALL, window=1, backward=backward, epochs=10)
    model = fit(corpus_of(sequences), settings)
    first, second = np.arange(0, 2 * pairs, 2), np.arange(1, 2 * pairs, 2)
    return (
        np.mean(ranks(model.into, model.out, Pairs(query, target)) == 1)
        for query, target in ((first, second), (second, first))
    )


def test_what_always_follows_is_learned_in_that_direction_alone():
    ahead, back = followers(backward=0.0)
    assert ahead > 0.95
    assert back < 0.2
    both = list(followers(backward=1.0))
    assert min(both) > 0.9


# --- sgns: draws


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 500), min_size=1, max_size=30), st.sampled_from([-0.5, 0.0, 0.75, 1.0, 2.0]))
def test_tracks_are_drawn_by_their_plays_to_the_exponent(counts, exponent):
    drawn = sgns._drawn(np.array(counts), exponent, np.random.default_rng(1))
    assert drawn.dtype == np.int32 and drawn.shape == (sgns.PLACES,)
    places = np.bincount(drawn, minlength=len(counts))
    total = sum(n**exponent for n in counts)
    for found, n in zip(places, counts, strict=True):
        assert abs(found - sgns.PLACES * n**exponent / total) <= 1 + 1e-6


def test_who_is_too_rare_for_a_place_is_drawn_in_some_epochs(monkeypatch):
    monkeypatch.setattr(sgns, "PLACES", 64)
    draws, epochs = np.random.default_rng(2), 2_000
    times = sum(int((sgns._drawn(np.array([255, 1]), 1.0, draws) == 1).sum()) for _ in range(epochs))
    chance = 64 / 256  # of one place in an epoch
    assert abs(times - epochs * chance) <= SIGMAS * math.sqrt(epochs * chance * (1 - chance))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=20), st.sampled_from([1e-5, 1e-3, 0.1, 1.0]))
def test_plays_are_kept_with_the_chance_of_word2vec(counts, subsample):
    found = sgns._kept(np.array(counts), subsample)
    assert found == pytest.approx([reference.kept(n, sum(counts), subsample) for n in counts], rel=1e-5)
    assert found.dtype == np.float32


def test_no_thinning_keeps_all():
    assert sgns._kept(np.array([1, 10**9]), 0.0).tolist() == [1, 1]


def test_what_is_thinned_out_is_learned_less_often():
    """Each sequence is a frequent track and a rare one, and a pair where both are kept."""
    times, rare = 5_000, 50
    sequences = [[0, 1 + n % rare] for n in range(times)]
    corpus = corpus_of(sequences)
    thin = replace(SMALL, window=1, backward=0.0, subsample=0.02, dimensions=2)
    chance = reference.kept(times, 2 * times, 0.02)
    assert reference.kept(times // rare, 2 * times, 0.02) == 1
    pairs = sgns.epoch(corpus, Model.fresh(rare + 1, 2, 1), thin, 0)
    assert abs(pairs - times * chance) <= SIGMAS * math.sqrt(times * chance * (1 - chance))


def test_who_is_left_out_makes_neighbours_of_those_beside(recorded):
    """The frequent track in between is dropped, then the window is laid, as in word2vec."""
    corpus = corpus_of([[1 + n, 0, 101 + n] for n in range(100)])
    thin = replace(SMALL, window=1, backward=0.0, subsample=1e-4)
    pairs = recorded(corpus, thin)
    assert any(pair == (1 + n, 101 + n) for n in range(100) for pair in pairs)


# --- models and lists

CHUNKS = pytest.mark.parametrize("chunk", [1, 2, 3, 6, 7, 50_000])


def some_model(tracks=7, dimensions=4):
    draws = np.random.default_rng(3)
    matrices = [draws.normal(size=(tracks, dimensions)).astype(np.float32) for _ in range(2)]
    model = Model(*matrices, *(draws.random(tracks).astype(np.float32) for _ in range(2)))
    model.into[2] = model.out[2] = 0
    return model


@CHUNKS
@pytest.mark.parametrize("rows", [[], [0], [6], [0, 1, 2], [1, 3, 4, 6], list(range(7))])
def test_some_rows_move_to_the_front_of_the_same_arrays(monkeypatch, chunk, rows):
    monkeypatch.setattr(corpus_module, "CHUNK", chunk)
    model = some_model()
    wanted = [array[rows].copy() for array in arrays(model)]
    found = model.only(np.array(rows, np.int64))
    for array, own, expected in zip(arrays(found), arrays(model), wanted, strict=True):
        assert np.array_equal(array, expected)
        assert array.base is own
        assert array.flags.c_contiguous


@CHUNKS
def test_a_turn_keeps_what_in_and_out_vectors_say(monkeypatch, chunk):
    monkeypatch.setattr(corpus_module, "CHUNK", chunk)
    model, before = some_model(), some_model()
    rotation = np.linalg.qr(np.random.default_rng(5).normal(size=(4, 4)))[0]
    model.turn(rotation)
    np.testing.assert_allclose(model.into @ model.out.T, before.into @ before.out.T, atol=1e-5)
    for turned, own in ((model.into, before.into), (model.out, before.out)):
        np.testing.assert_allclose(turned, own @ rotation, atol=1e-5)
        assert turned.dtype == np.float32


@CHUNKS
def test_merged_in_place_is_what_is_published(monkeypatch, chunk):
    monkeypatch.setattr(corpus_module, "CHUNK", chunk)
    model = some_model()
    published, lengths = model.published(), np.linalg.norm(model.into + model.out, axis=1)
    merged, norms = model.merge()
    assert merged is model.into
    np.testing.assert_allclose(merged, published, rtol=1e-6)
    np.testing.assert_allclose(norms, lengths, rtol=1e-6)
    assert norms[2] == 0 and not merged[2].any()
    np.testing.assert_allclose(np.delete(np.linalg.norm(merged, axis=1), 2), 1, rtol=1e-6)


def test_a_fresh_model_is_small_even_and_the_seeds():
    model = Model.fresh(2_000, 16, seed=4)
    assert same(model, Model.fresh(2_000, 16, seed=4))
    assert not np.isclose(model.into, Model.fresh(2_000, 16, seed=5).into).all(axis=1).any()
    assert np.abs(model.into).max() <= 0.5 / 4
    assert abs(model.into.mean()) < SIGMAS * (1 / 4 / math.sqrt(12)) / math.sqrt(model.into.size)
    assert not any(array.any() for array in arrays(model)[1:])


def test_length_one_or_none():
    assert unit(np.array([[3, 4], [0, 0]], np.float32)).tolist() == [[pytest.approx(0.6), pytest.approx(0.8)], [0, 0]]


LISTS = st.lists(st.lists(st.integers(0, 2**31 - 1), max_size=4), max_size=8)


@given(LISTS, st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=4))
def test_lists_become_tokens_whatever_part_of_an_array_they_are(lists, slices):
    whole = pa.record_batch([pa.array(lists, pa.list_(pa.int32()))], names=["tracks"])
    tokens, offsets = flat(whole.slice(start, length) for start, length in slices)
    wanted = [each for start, length in slices for each in lists[start : start + length]]
    assert [tokens[a:b].tolist() for a, b in zip(offsets[:-1], offsets[1:], strict=True)] == wanted
    assert (tokens.dtype, offsets.dtype) == (np.int32, np.int64)
    assert offsets[0] == 0 and offsets[-1] == len(tokens)


def test_no_batches_no_tokens():
    nothing = pa.record_batch([pa.array([], pa.list_(pa.int32()))], names=["tracks"])
    for batches in ([], [nothing], [nothing, nothing]):
        tokens, offsets = flat(batches)
        assert (tokens.tolist(), offsets.tolist()) == ([], [0])


@pytest.mark.parametrize("rows", [0, 1, 5])
def test_rows_become_lists_and_rows_again(rows):
    matrix = np.arange(20, dtype=np.float32).reshape(5, 4)[5 - rows :]
    lists = lists_of(matrix)
    assert lists.type == pa.list_(pa.float32())
    assert lists.to_pylist() == matrix.tolist()
    back, offsets = flat([pa.record_batch([lists], names=["vector"])], "vector")
    assert back.reshape(-1, 4).tolist() == matrix.tolist() and len(offsets) == rows + 1
    assert not rows or lists.values.to_numpy().ctypes.data == matrix.ctypes.data, "the numbers were copied"


# --- settings

RANGED = [each for each in fields(Settings) if "low" in each.metadata]


def outside(each):
    low, high = each.metadata["low"], each.metadata["high"]
    return [low - 1, high + 1, math.nan]


@pytest.mark.parametrize(("name", "value"), [(each.name, v) for each in RANGED for v in outside(each)])
def test_a_setting_out_of_range_is_named_once(name, value):
    with pytest.raises(SettingsError) as caught:
        Settings(**{name: value})
    told = str(caught.value)
    assert told.count(f"{name} is {value!r}, must be ") == told.count(f"{name} is") == 1
    assert told.count(" must be ") == 1


@pytest.mark.parametrize("each", RANGED, ids=lambda each: each.name)
def test_the_ends_of_a_range_are_in_it(each):
    lengths = {"min_length": 2, "max_length": 10**6} if "length" in each.name else {}
    for end in (each.metadata["low"], each.metadata["high"]):
        assert getattr(Settings(**lengths | {each.name: end}), each.name) == end


def test_all_that_is_wrong_is_said_at_once():
    wrong = {each.name: each.metadata["high"] + 1 for each in RANGED} | {"backend": "glove"}
    with pytest.raises(SettingsError) as caught:
        Settings(**wrong)
    told = str(caught.value)
    assert [told.count(f" {name} is ") for name in wrong] == [1] * len(wrong)
    assert "backend is 'glove', must be sgns or gensim" in told
    assert "seed is 2147483648, must be 0 to 2,147,483,647" in told


@pytest.mark.parametrize(("shortest", "longest", "fits"), [(4, 5, True), (5, 5, True), (6, 5, False)])
def test_the_shortest_sequence_fits_the_longest(shortest, longest, fits):
    if fits:
        Settings(min_length=shortest, max_length=longest)
        return
    with pytest.raises(SettingsError, match=r"min_length is 6, must be max_length \(5\) or less"):
        Settings(min_length=shortest, max_length=longest)


def test_threads_do_not_decide_and_all_else_does():
    deciding = Settings().deciding()
    assert set(deciding) == {each.name for each in fields(Settings)} - {"threads"}
    assert Settings(threads=7).deciding() == deciding != Settings(seed=2).deciding()
