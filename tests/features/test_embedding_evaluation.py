"""Ranks, scores and baselines against plain loops, on small worlds full of ties."""

from __future__ import annotations

import math
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.embeddings import baselines, ranking
from features.embeddings.baselines import rank_by_cooccurrence, rank_by_popularity
from features.embeddings.ranking import (
    SEGMENTS,
    EvaluationError,
    Pairs,
    assign_segments,
    rank_targets,
    score_segments,
    scores,
)
from reference import ranking as reference
from reference.corpora import flatten_sequences

MANY = settings(max_examples=150, deadline=None)


def pairs_of(pairs):
    columns = np.array(pairs, np.int64).reshape(-1, 2)
    return Pairs(columns[:, 0], columns[:, 1])


def pairs_among(tracks):
    number = st.integers(-1, tracks - 1)
    return st.lists(st.tuples(number, number), max_size=30)


@st.composite
def spaces(draw):
    """In vectors, out vectors, pairs. Few values, so that products tie and some rows are zero."""
    tracks, width = draw(st.integers(1, 12)), draw(st.integers(1, 3))
    matrix = st.lists(
        st.lists(st.integers(-2, 2), min_size=width, max_size=width), min_size=tracks, max_size=tracks
    )
    return draw(matrix), draw(matrix), draw(pairs_among(tracks))


@MANY
@given(spaces(), st.integers(1, 5))
def test_rank_targets_equals_whole_sorted_lists(space, block):
    queries, items, pairs = space
    score = reference.product(queries, items)
    expected = [reference.rank(q, t, len(items), score) for q, t in pairs]
    actual = rank_targets(np.array(queries, np.float32), np.array(items, np.float32), pairs_of(pairs), block)
    assert actual.tolist() == expected


def test_iterate_products_takes_smaller_blocks_where_products_would_not_fit():
    rng = np.random.default_rng(3)
    matrix = rng.integers(-3, 4, (40, 3)).astype(np.float32)
    pairs = Pairs(*rng.integers(0, 40, (2, 200)))
    with patch.object(ranking, "MOST_SCORES", 90):
        sizes = [
            len(block)
            for _, block in ranking.iterate_products(matrix, np.arange(9), matrix, np.arange(40), 512)
        ]
        small = rank_targets(matrix, matrix, pairs)
    assert sizes == [2, 2, 2, 2, 1]
    assert small.tolist() == rank_targets(matrix, matrix, pairs).tolist()


@pytest.mark.parametrize("tracks", [86, 353, 1025])
@pytest.mark.parametrize("queries", [1, 3, 16, 64])
def test_rank_targets_orders_tracks_of_one_vector_by_number(tracks, queries):
    rng = np.random.default_rng(tracks + queries)
    items = rng.standard_normal((3, 63)).astype(np.float32)[np.arange(tracks) % 3]
    pairs = [(q, t) for q in range(queries) for t in range(tracks)]
    actual = rank_targets(
        rng.standard_normal(items.shape).astype(np.float32), items, pairs_of(pairs), queries
    )
    for row, own in enumerate(actual.reshape(queries, tracks)):
        assert own[row] == 0
        assert sorted(own.tolist()) == list(range(tracks)), "two tracks have one place"
        for kind in range(3):
            alike = np.setdiff1d(np.arange(kind, tracks, 3), row)
            assert np.array_equal(own[alike], own[alike[0]] + np.arange(len(alike))), "equals not by number"


@MANY
@given(st.lists(st.integers(0, 60), min_size=1, max_size=30))
def test_scores_equal_their_definitions(places):
    ks = (1, 2, 10, 50)
    assert scores(np.array(places), ks) == pytest.approx(reference.scores(places, ks))


def test_scores_at_the_edge_of_k():
    actual = scores(np.array([9, 10, 11, 0]), (10,))
    assert actual["hr@10"] == 0.5
    assert actual["ndcg@10"] == pytest.approx((1 / math.log2(10) + 1 / math.log2(11)) / 4)
    assert actual["mrr"] == pytest.approx((1 / 9 + 1 / 10 + 1 / 11) / 4)


@MANY
@given(st.lists(st.integers(0, 9), min_size=1, max_size=25))
def test_assign_segments_equals_a_walk_down_the_list(support):
    actual = [SEGMENTS[i] for i in assign_segments(np.array(support, np.int64))]
    assert actual == reference.segments(support)


@pytest.mark.parametrize(
    ("support", "expected"),
    [
        ([5, 4, 1], ["head", "torso", "tail"]),  # what lies before is exactly half, exactly nine tenths
        ([4, 5, 1], ["torso", "head", "tail"]),
        ([2, 2, 0, 2, 2], ["head", "head", "new", "torso", "torso"]),
        ([0, 0], ["new", "new"]),
        ([7], ["head"]),
    ],
)
def test_assign_segments_ends_a_segment_where_its_share_is_reached(support, expected):
    assert [SEGMENTS[i] for i in assign_segments(np.array(support))] == expected


@MANY
@given(st.data(), st.lists(st.integers(0, 9), min_size=1, max_size=12))
def test_score_segments_scores_the_pairs_of_each_segment(data, support):
    pairs = data.draw(pairs_among(len(support)))
    places = [data.draw(st.integers(0, 12)) for _ in pairs]
    segments = [*reference.segments(support), "new"]  # -1 is the last
    expected = {}
    for name in SEGMENTS:
        own = [place for place, (_, t) in zip(places, pairs, strict=True) if segments[t] == name]
        if own:
            expected[name] = {"pairs": len(own), **reference.scores(own, (1, 5))}
    actual = score_segments(np.array(places, np.int64), pairs_of(pairs), np.array(support), (1, 5))
    assert actual.keys() == expected.keys()
    assert all(actual[name] == pytest.approx(expected[name]) for name in actual)


@MANY
@given(st.data(), st.lists(st.integers(0, 4), min_size=1, max_size=12))
def test_rank_by_popularity_leaves_out_the_query_and_tracks_without_plays(data, support):
    pairs = data.draw(pairs_among(len(support)))
    score = reference.popularity(support)
    expected = [reference.rank(q, t, len(support), score) for q, t in pairs]
    assert rank_by_popularity(np.array(support), pairs_of(pairs)).tolist() == expected


@st.composite
def histories(draw):
    """Number of tracks, sessions (some empty, some with tracks not known or that come back), pairs."""
    tracks = draw(st.integers(1, 8))
    session = st.lists(st.integers(-1, tracks - 1), max_size=7)
    return tracks, draw(st.lists(session, max_size=10)), draw(pairs_among(tracks))


@MANY
@given(histories(), st.sampled_from([None, 1, 2, 3, 20]), st.sampled_from([1, 3, 512]))
def test_rank_by_cooccurrence_equals_exact_fractions(history, window, block):
    tracks, sessions, pairs = history
    score = reference.plays_nearby(sessions, window) if window else reference.sessions_in_common(sessions)
    expected = [reference.rank(q, t, tracks, score) for q, t in pairs]
    with patch.object(baselines, "QUERIES", block):
        actual = rank_by_cooccurrence(*flatten_sequences(sessions), tracks, pairs_of(pairs), window)
    assert actual.tolist() == expected


def test_rank_by_cooccurrence_ties_fractions_that_differ_in_their_roots():
    # 0 is with 1 in three of its 27 sessions, with 2 in the only one it has of three: 1/sqrt(3) and 3/sqrt(27)
    sessions = [[0, 1]] * 3 + [[1]] * 24 + [[0, 2]] + [[2]] * 2
    assert rank_by_cooccurrence(*flatten_sequences(sessions), 3, pairs_of([(0, 1), (0, 2)])).tolist() == [
        1,
        2,
    ]


UNIT = np.eye(3, dtype=np.float32)
NAN = np.where(UNIT == 1, np.nan, UNIT).astype(np.float32)
ONE = pairs_of([(0, 1)])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Pairs(np.zeros(2, np.int64), np.zeros(3, np.int64)), r"query has shape \(2,\)"),
        (lambda: rank_targets(UNIT, UNIT, pairs_of([(0, 3)])), "target goes from 3 to 3; expected -1"),
        (lambda: rank_targets(UNIT, UNIT, pairs_of([(-2, 0)])), "query goes from -2 to -2"),
        (lambda: rank_targets(UNIT, UNIT[:2], ONE), "expected one tracks x dimensions"),
        (lambda: rank_targets(UNIT, NAN, ONE), "3 rows hold NaN or Inf, row 0 first"),
        (lambda: rank_targets(NAN, UNIT, ONE), "3 rows hold NaN or Inf"),
        (lambda: rank_targets(UNIT.astype(np.float64), UNIT, ONE), "got float64; expected float32"),
        (lambda: rank_targets(UNIT, UNIT, ONE, block=0), "block is 0"),
        (lambda: scores(np.array([], np.int64)), "there are no pairs"),
        (lambda: rank_by_popularity(np.ones(1, np.int64), ONE), "target goes from 1 to 1"),
        (lambda: rank_by_cooccurrence(*flatten_sequences([[0, 1]]), 1, ONE), "tokens go from 0 to 1"),
        (
            lambda: rank_by_cooccurrence(*flatten_sequences([[0, 1]]), 2, ONE, window=0),
            "window is 0; expected 1 to 20",
        ),
        (lambda: rank_by_cooccurrence(*flatten_sequences([[0, 1]]), 2, ONE, window=21), "window is 21"),
        (
            lambda: rank_by_cooccurrence(flatten_sequences([[0]])[0], np.array([0, 2]), 2, ONE),
            "expected a rising row",
        ),
        (
            lambda: rank_by_cooccurrence(flatten_sequences([[0]])[0], np.array([0, 2, 1]), 2, ONE),
            "expected a rising row",
        ),
        (
            lambda: rank_by_cooccurrence(flatten_sequences([[]])[0], np.array([], np.int64), 2, ONE),
            "expected a rising row",
        ),
    ],
)
def test_evaluation_refuses_wrong_shapes_and_values(call, message):
    with pytest.raises(EvaluationError, match=message):
        call()
