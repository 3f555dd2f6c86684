"""Who is held out of a training, against plain loops: nobody whose answer the version before has learned."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.embeddings import corpus as corpus_module
from features.embeddings.held_out import hold_out_last, read_corpus
from reference.corpora import flatten_sequences
from reference.item2vec import HeldOut

MANY = settings(max_examples=200, deadline=None)
PLACES = 64  # an eighth of them is 8: halved three times
TRACKS = 5


@st.composite
def worlds(draw):
    """Sequences of two tracks or more and their folds, many of one fold."""
    sequences = draw(st.lists(st.lists(st.integers(0, TRACKS - 1), min_size=2, max_size=8), max_size=21))
    fold = st.one_of(st.integers(0, 9), st.integers(0, PLACES - 1))
    return sequences, [draw(fold) for _ in sequences]


def hold_out(world, most):
    sequences, folds = world
    tokens, offsets, pairs = hold_out_last(
        *flatten_sequences(sequences), np.array(folds, np.int64), PLACES, most
    )
    left = [tokens[start:end].tolist() for start, end in pairwise(offsets)]
    assert offsets[-1] == len(tokens)
    return left, list(zip(pairs.query.tolist(), pairs.target.tolist(), strict=True))


@MANY
@given(worlds(), st.integers(1, 6))
def test_hold_out_last_equals_the_definition(world, most):
    definition = HeldOut(*world, PLACES, most)
    assert hold_out(world, most) == (definition.left, definition.pairs)


@MANY
@given(worlds(), st.integers(1, 4), st.data())
def test_hold_out_last_of_fewer_sequences_holds_out_the_same(world, most, data):
    sequences, folds = world
    some = [i for i in range(len(sequences)) if data.draw(st.booleans())]
    large, _ = hold_out(world, most)
    small, _ = hold_out(([sequences[i] for i in some], [folds[i] for i in some]), most)
    for place, i in enumerate(some):
        if large[i] != sequences[i]:
            assert small[place] == large[i], "learned yesterday, asked today"


@MANY
@given(worlds(), st.integers(1, 4))
def test_hold_out_last_removes_tracks_from_their_sequences(world, most):
    left, pairs = hold_out(world, most)
    shortened = [i for i, each in enumerate(world[0]) if left[i] != each]
    assert len(pairs) == min(most, len(shortened))
    for i in shortened:
        assert left[i] == world[0][i][:-1]
        assert len(left[i]) >= 2, "what is left must still be a pair"
    candidates = [(world[0][i][-2], world[0][i][-1]) for i in sorted(shortened, key=lambda i: world[1][i])]
    assert pairs == candidates[: len(pairs)]


@pytest.mark.parametrize(
    ("sequences", "count"),
    [  # sequences with folds 0, 1, …, and how many lose their last track where four are enough
        (3, 3),
        (4, 4),
        (5, 4),
        (8, 4),  # an eighth is eight folds; four of them are enough, as those below 4 are four
        (20, 4),
    ],
)
def test_hold_out_last_halves_the_share_while_its_half_is_enough(sequences, count):
    left, pairs = hold_out(([[0, 1, 2]] * sequences, list(range(sequences))), most=4)
    assert left == [[0, 1]] * count + [[0, 1, 2]] * (sequences - count)
    assert len(pairs) == min(count, 4)


@pytest.mark.parametrize(
    ("length", "fold", "out"), [(2, 0, False), (3, 0, True), (3, 7, True), (3, 8, False)]
)
def test_hold_out_last_takes_an_eighth_of_sequences_of_three_tracks(length, fold, out):
    left, pairs = hold_out(([list(range(length))], [fold]), most=10)
    assert (len(left[0]), len(pairs)) == (length - out, int(out))


def test_hold_out_last_of_no_sequences_is_empty():
    assert hold_out(([], []), most=3) == ([], [])


@MANY
@given(worlds(), st.integers(1, 4), st.lists(st.integers(0, 21), max_size=4), st.integers(1, 6))
def test_read_corpus_of_any_batches_equals_hold_out_last(world, most, cuts, part):
    """And however many sequences are passed over at a time."""
    sequences, folds = world
    bounds = [0, *sorted(min(cut, len(sequences)) for cut in cuts), len(sequences)]
    columns = [pa.array(folds, pa.int32()), pa.array(sequences, pa.list_(pa.int32()))]
    whole = pa.record_batch(columns, names=["fold", "tracks"])
    batches = [whole.slice(start, end - start) for start, end in pairwise(bounds)]
    plays = np.bincount(np.concatenate([[], *sequences]).astype(np.int64), minlength=TRACKS) + 1
    corpus, _, pairs, pair_folds = read_corpus(lambda: batches, plays, PLACES, most)
    left = [corpus.tokens[start:end].tolist() for start, end in pairwise(corpus.offsets)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus_module, "PART", part)
        assert (left, list(zip(pairs.query.tolist(), pairs.target.tolist(), strict=True))) == hold_out(
            world, most
        )
    assert (corpus.tokens.dtype, corpus.offsets.dtype) == (np.int32, np.int64)
    assert corpus.counts.tolist() == (corpus.count_tokens() + 1).tolist(), "plays held out are counted"
    sessions = zip(folds, sequences, strict=True)
    by_pair = {(fold, *each[-2:]) for fold, each in sessions if len(each) > 2}
    pairs_by_fold = zip(pair_folds.tolist(), pairs.query.tolist(), pairs.target.tolist(), strict=True)
    assert set(pairs_by_fold) <= by_pair, "a pair has the fold of another session"
    assert (np.diff(pair_folds) >= 0).all(), "the first pairs are not those of the lowest folds"


@MANY
@given(worlds(), st.integers(1, 4), st.data())
def test_read_corpus_of_fewer_sequences_asks_nothing_that_was_learned_of_all(world, most, data):
    """Which sequences are held out of fewer is bounded by the fold that the training of all of them says."""

    def read(sequences, folds, highest=None):
        columns = [pa.array(folds, pa.int32()), pa.array(sequences, pa.list_(pa.int32()))]
        batch = pa.record_batch(columns, names=["fold", "tracks"])
        return read_corpus(lambda: [batch], np.ones(TRACKS, np.int64), PLACES, most, highest)

    sequences, folds = world
    _, fold, *_ = read(sequences, folds)
    kept = [n for n in range(len(folds)) if data.draw(st.booleans())]
    some, some_folds = [sequences[n] for n in kept], [folds[n] for n in kept]
    corpus, held_out_below, pairs, _ = read(some, some_folds, highest=fold)
    unseen = [each for each, own in zip(some, some_folds, strict=True) if len(each) > 2 and own < fold]
    assert held_out_below <= fold
    assert {*zip(pairs.query.tolist(), pairs.target.tolist(), strict=True)} <= {
        (*each[-2:],) for each in unseen
    }, "a pair is asked whose session was learned from"
    lengths = np.diff(corpus.offsets).tolist()
    assert lengths == [
        len(each) - (len(each) > 2 and own < held_out_below)
        for each, own in zip(some, some_folds, strict=True)
    ]
