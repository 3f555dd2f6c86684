"""Training in blocks: which pairs an epoch has, that rounds part them, and what a task learns of them."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from features.embeddings import blocks
from features.embeddings.blocks import PARTS, Visit, fit_in_blocks, rounds, strata, visits
from features.embeddings.corpus import Corpus, Model
from features.embeddings.pair_kernel import TrackPairs, pairs_of
from features.embeddings.settings import Settings, SettingsError
from reference import item2vec as reference

MANY = examples(max_examples=100, deadline=None)
TRACKS = 9
sequences = st.lists(st.lists(st.integers(0, TRACKS - 1), min_size=2, max_size=8), max_size=12)
choices = st.builds(
    Settings,
    window=st.integers(1, 4),
    backward=st.sampled_from([0.0, 0.3, 1.0]),
    subsample=st.sampled_from([0.0, 0.05]),
    seed=st.integers(0, 5),
    blocks=st.integers(1, 12),  # more than there are tracks, too
)


def corpus(heard, tracks=TRACKS):
    tokens = np.array([track for each in heard for track in each], np.int32)
    offsets = np.cumsum([0, *map(len, heard)]).astype(np.int64)
    return Corpus(tokens, offsets, np.bincount(tokens, minlength=tracks).astype(np.int64).clip(min=1))


def drawn(made, chosen, epoch=0, first=0, parts=PARTS):
    numbers = first + np.arange(made.sequences)
    return pairs_of(made.tokens, made.offsets, numbers, made.counts, chosen, epoch, parts)


def rows(pairs):
    return list(zip(*(column.tolist() for column in pairs), strict=True))


# --- the pairs of an epoch


@MANY
@given(sequences, choices, st.integers(0, 12), st.integers(0, 3))
def test_a_corpus_cut_anywhere_has_the_same_pairs(heard, chosen, cut, epoch):
    whole = corpus(heard)
    front, back = (replace(corpus(part), counts=whole.counts) for part in (heard[:cut], heard[cut:]))
    parted = [*rows(drawn(front, chosen, epoch)), *rows(drawn(back, chosen, epoch, len(heard[:cut])))]
    assert parted == rows(drawn(whole, chosen, epoch))


@MANY
@given(
    st.lists(st.integers(0, 3), min_size=2, max_size=8), st.integers(1, 4), st.sampled_from([0.0, 0.3, 1.0])
)
def test_pairs_are_as_likely_as_their_places_say(sequence, window, backward):
    """The same sequence many times: the share of times a pair is learned is its chance, within 5 sigma."""
    times, chosen = 3_000, Settings(window=window, backward=backward)
    found = Counter(row[:2] for row in rows(drawn(corpus([sequence] * times, 4), chosen)))
    expected, variance = Counter(), Counter()
    for (i, j), chance in reference.chances(sequence, window, backward).items():
        pair = sequence[i], sequence[j]
        expected[pair] += chance
        variance[pair] += math.sqrt(chance * (1 - chance))  # at most: the same two at several places
    assert found.keys() <= expected.keys()
    for pair, mean in expected.items():
        assert abs(found[pair] - times * mean) <= 5 * math.sqrt(times) * variance[pair] + 1e-6, pair


def test_the_part_of_a_sequence_is_drawn_alike_and_anew_each_epoch():
    made = corpus([[0, 1]] * 4_000, 2)
    first, second = (drawn(made, Settings(backward=0.0), epoch).part for epoch in (0, 1))
    for parts in (first, second):
        assert np.abs(np.bincount(parts, minlength=PARTS) - 1000).max() < 5 * math.sqrt(4000 * 3 / 16)
    assert abs(np.count_nonzero(first == second) - 1000) < 5 * math.sqrt(4000 * 3 / 16)


def test_plays_of_what_is_often_played_are_thinned_as_word2vec_does():
    heard = [[0, 1 + n % 8] for n in range(8_000)]
    made, chosen = corpus(heard), Settings(subsample=0.05, backward=0.0)
    plays = made.counts.sum()
    chance = reference.kept(8_000, plays, 0.05) * reference.kept(1_000, plays, 0.05)
    found = len(drawn(made, chosen).query)
    assert abs(found - 8_000 * chance) < 5 * math.sqrt(8_000 * chance * (1 - chance))


# --- rounds and strata


@MANY
@given(sequences, choices, st.integers(0, 2))
def test_the_rounds_of_an_epoch_part_its_pairs(heard, chosen, epoch):
    """Each pair is in one visit of the epoch, with the blocks of its tracks, and pairs keep their order."""
    pairs, count = drawn(corpus(heard), chosen, epoch), chosen.blocks
    query, company, starts = strata(pairs, count)
    learned = Counter()
    for number in range(rounds(chosen, epoch), rounds(chosen, epoch + 1)):
        for visit in visits(chosen, number):
            assert visit.epoch == epoch
            own = slice(*starts[visit.stratum(count) :][:2])
            tracks = list(zip(query[own] * count + visit.into, company[own] * count + visit.out, strict=True))
            assert tracks == [
                row[:2]
                for row in rows(pairs)
                if (row[0] % count, row[1] % count, row[2]) == (visit.into, visit.out, visit.part)
            ]
            learned.update(tracks)
    assert learned == Counter(row[:2] for row in rows(pairs))


@MANY
@given(choices, st.integers(0, 200))
def test_no_row_is_held_by_two_tasks_of_a_round(chosen, number):
    made = visits(chosen, number)
    every = list(range(chosen.blocks))
    assert [visit.into for visit in made] == every
    assert sorted(visit.out for visit in made) == every


def test_tasks_of_a_round_may_go_in_any_order(monkeypatch):
    heard = np.random.default_rng(0).integers(0, TRACKS, (60, 5)).tolist()
    chosen = Settings(blocks=3, epochs=1, dimensions=4)
    expected = fit_in_blocks(corpus(heard), chosen)
    monkeypatch.setattr(blocks, "visits", lambda *asked: visits(*asked)[::-1])
    same(fit_in_blocks(corpus(heard), chosen), expected)


def same(found: Model, expected: Model):
    for name, array in vars(expected).items():
        np.testing.assert_array_equal(getattr(found, name), array, err_msg=name)


# --- learning


def test_a_pair_is_learned_as_the_definition_says():
    """Of two rows of the out block, one has all the plays: every track drawn is that one."""
    chosen = Settings(dimensions=3, exponent=2, negatives=2)
    rng = np.random.default_rng(1)
    into, out = (rng.normal(size=(2, 3)).astype(np.float32) for _ in range(2))
    states = [rng.random(2).astype(np.float32) for _ in range(2)]
    oracle = reference.Space(into.tolist(), out.tolist(), *(state.tolist() for state in states))
    for _ in range(5):
        oracle.learn(0, 1, [0, 0], chosen.learning_rate)
    model = Model(into, out, *states)
    pairs = np.zeros(5, np.int32), np.ones(5, np.int32)
    blocks.learn(model, Visit(0, 0, 0, 0), *pairs, np.array([10**6, 1]), chosen)
    for name, array in vars(model).items():
        np.testing.assert_allclose(array, getattr(oracle, name), rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("count", [1, 4])
def test_tracks_heard_together_come_to_lie_together(count):
    """Four groups of six tracks; every block holds some of each. A block that held one group alone could not
    tell it from others: what is drawn against a pair would be of the same group."""
    rng = np.random.default_rng(2)
    heard = [[int(6 * group + n) for n in rng.permutation(6)] for group in list(range(4)) * 60]
    chosen = Settings(blocks=count, dimensions=8, epochs=3)
    vectors = fit_in_blocks(corpus(heard, 24), chosen).combine()
    cosines = vectors @ vectors.T - 2 * np.eye(24)
    nearest = np.argsort(-cosines, axis=1)[:, :5]
    assert (nearest // 6 == np.arange(24)[:, None] // 6).mean() > 0.95


@pytest.mark.parametrize("heard", [[], [[0, 1]], [[0, 0, 1], [1, 0]]])
def test_a_world_smaller_than_its_blocks(heard):
    """Blocks without tracks, strata without pairs; a block's only track has none drawn against it."""
    model = fit_in_blocks(corpus(heard, 2), Settings(blocks=5, epochs=1, dimensions=2))
    assert model.into.shape == model.out.shape == (2, 2)
    assert all(np.isfinite(array).all() for array in vars(model).values())
    assert model.out_state.any() == bool(heard)


def test_a_training_depends_on_its_seed_and_on_nothing_else():
    heard = np.random.default_rng(3).integers(0, TRACKS, (20, 4)).tolist()
    one, again, other = (
        fit_in_blocks(corpus(heard), Settings(blocks=2, epochs=1, dimensions=4, seed=seed))
        for seed in (1, 1, 2)
    )
    same(one, again)
    assert not np.allclose(one.into, other.into)


@pytest.mark.parametrize(("count", "right"), [(0, False), (1, True), (4096, True), (4097, False)])
def test_the_number_of_blocks_has_bounds(count, right):
    if right:
        assert Settings(blocks=count).result_settings()["blocks"] == count
    else:
        with pytest.raises(SettingsError, match=f"blocks is {count}, must be 1 to 4,096"):
            Settings(blocks=count)


def test_of_no_pairs_there_are_no_strata():
    query, company, starts = strata(TrackPairs(*(np.empty(0, np.int32) for _ in range(3))), 3)
    assert not len(query) and not len(company) and starts.tolist() == [0] * (9 * PARTS + 1)
