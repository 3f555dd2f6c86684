"""Two spaces held side by side: neighbours, ratios and the measures of a space, against plain loops."""

from __future__ import annotations

import math
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.embeddings import comparison
from features.embeddings.comparison import (
    find_neighbours,
    hubness,
    mean_cosine,
    norm_shift,
    overlap,
    paired_ratio,
    percentiles,
    popularity_bias,
)
from features.embeddings.ranking import EvaluationError
from reference import ranking as reference

MANY = settings(max_examples=150, deadline=None)
FLAGS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=20)


def hits(both, old, new, neither):
    """Hits of the new version and of the old one."""
    return (
        np.repeat([True, False, True, False], [both, old, new, neither]),
        np.repeat([True, True, False, False], [both, old, new, neither]),
    )


# --- neighbours


@st.composite
def matrices(draw):
    """Few values, so that products tie and some rows are zero."""
    tracks, width = draw(st.integers(1, 14)), draw(st.integers(1, 3))
    row = st.lists(st.integers(-2, 2), min_size=width, max_size=width)
    return draw(st.lists(row, min_size=tracks, max_size=tracks))


@MANY
@given(st.data(), matrices(), st.integers(1, 5), st.integers(1, 5), st.sampled_from([2, 3, 64]))
def test_find_neighbours_equals_the_first_of_whole_sorted_lists(data, matrix, k, block, partition_size):
    rows = data.draw(st.lists(st.integers(0, len(matrix) - 1), max_size=20))
    score = reference.product(matrix, matrix)
    expected = [(reference.best(row, len(matrix), score) + [-1] * k)[:k] for row in rows]
    with patch.object(comparison, "PARTED", partition_size):
        actual = find_neighbours(np.array(matrix, np.float32), np.array(rows, np.int64), k, block)
    assert actual.tolist() == expected


def test_find_neighbours_among_many_equals_a_whole_sort():
    rng = np.random.default_rng(0)
    matrix = rng.integers(-4, 5, (3000, 6)).astype(np.float32)
    matrix[::50] = 0
    rows = np.array([1, 2999, 50, 77])
    score = reference.product(matrix.astype(int).tolist(), matrix.astype(int).tolist())
    expected = [(reference.best(int(row), len(matrix), score) + [-1] * 10)[:10] for row in rows]
    assert find_neighbours(matrix, rows, 10).tolist() == expected


def lists_of(tracks):
    """Neighbours of some rows: distinct, the last ones perhaps missing."""

    def lists_of_length(k):
        some = st.lists(st.integers(0, tracks - 1), unique=True, max_size=k)
        return st.lists(some.map(lambda row: row + [-1] * (k - len(row))), min_size=1, max_size=8)

    return st.integers(1, 4).flatmap(lists_of_length)


@MANY
@given(st.integers(1, 6).flatmap(lambda tracks: st.tuples(st.just(tracks), lists_of(tracks))), st.randoms())
def test_overlap_is_the_share_of_neighbours_in_common_in_any_order(world, random):
    tracks, a = world
    k = len(a[0])
    b = [(random.sample(range(tracks), random.randint(0, min(k, tracks))) + [-1] * k)[:k] for _ in a]
    names = [(set(x) - {-1}, set(y) - {-1}) for x, y in zip(a, b, strict=True)]
    common, most = sum(len(x & y) for x, y in names), sum(max(len(x), len(y)) for x, y in names)
    assert overlap(np.array(a), np.array(b)) == pytest.approx(common / max(1, most))
    shuffled = [random.sample(row, k) for row in b]
    assert overlap(np.array(a), np.array(shuffled)) == overlap(np.array(a), np.array(b))


@MANY
@given(st.integers(1, 6).flatmap(lambda tracks: st.tuples(st.just(tracks), lists_of(tracks))))
def test_hubness_equals_counting(world):
    tracks, neighbours = world
    if any(row[0] >= 0 for row in neighbours):
        assert hubness(np.array(neighbours), tracks) == pytest.approx(reference.hubness(neighbours, tracks))


def test_hubness_largest_ratio_of_20_is_20_times_k_for_all_rows():
    tracks, k = 100, 2
    neighbours = np.stack([np.arange(1, tracks + 1) % tracks, np.arange(2, tracks + 2) % tracks], axis=1)
    assert hubness(neighbours, tracks) == {"largest": k, "largest_ratio": 1, "skewness": 0, "orphans": 0}
    neighbours[10:48, 0] = 5  # 38 rows, and the two that had it
    assert hubness(neighbours, tracks)["largest"] == 20 * k
    assert hubness(neighbours, tracks)["largest_ratio"] == 20
    half = hubness(neighbours[10:60], tracks)
    assert (half["largest"], half["largest_ratio"]) == (38, 38)


@MANY
@given(st.lists(st.integers(0, 3), min_size=1, max_size=12))
def test_percentiles_take_equals_at_their_middle(support):
    actual = percentiles(np.array(support))
    assert actual.tolist() == pytest.approx([reference.percentile(support, i) for i in range(len(support))])
    assert actual.mean() == pytest.approx(0.5)


def test_popularity_bias_lift_is_of_means_of_percentiles():
    support = np.array([1, 2, 3, 4])  # percentiles of 1/8, 3/8, 5/8 and 7/8
    actual = popularity_bias(np.array([[3, 2], [3, -1], [-1, -1]]), np.array([0, 1, 3]), support)
    assert actual == pytest.approx({"neighbours": 19 / 24, "rows": 1 / 4, "lift": 19 / 6 - 1})
    assert popularity_bias(np.array([[1], [0]]), np.array([0, 1]), support)["lift"] == 0


# --- versions side by side


def test_paired_ratio_interval_equals_the_bootstrap_for_many_hits():
    new, old = hits(both=60, old=15, new=30, neither=195)
    ratio, low, high = paired_ratio(new, old)
    ratios = reference.bootstrap_ratios(new.tolist(), old.tolist(), rounds=4000, seed=3)
    assert ratio == 90 / 75
    assert low == pytest.approx(ratios[100], abs=0.04)
    assert high == pytest.approx(ratios[3900], abs=0.04)


@MANY
@given(FLAGS)
def test_paired_ratio_is_of_hits_and_lies_in_its_interval(flags):
    new, old = np.array(flags).T
    ratio, low, high = paired_ratio(new, old)
    if new.any() or old.any():
        assert ratio == reference.hit_ratio(new.tolist(), old.tolist())
    assert 0 <= low <= ratio <= high
    assert paired_ratio(new[::-1], old[::-1]) == (ratio, low, high)


@MANY
@given(FLAGS)
def test_paired_ratio_of_swapped_versions_is_the_inverse(flags):
    new, old = np.array(flags).T
    _, low, high = paired_ratio(new, old)
    _, low_of_other, high_of_other = paired_ratio(old, new)
    assert low_of_other == pytest.approx(1 / high if high else math.inf)
    assert (1 / high_of_other if high_of_other else math.inf) == pytest.approx(low)


def test_paired_ratio_of_few_hits_has_a_wide_interval():
    assert paired_ratio(*hits(0, 0, 0, 60)) == (1.0, 0.0, math.inf), "no hit at all says nothing"
    assert paired_ratio(*hits(both=0, old=3, new=0, neither=57))[2] > 0.95
    assert paired_ratio(*hits(both=5, old=2, new=1, neither=52))[2] > 0.95
    _, low, high = paired_ratio(*hits(both=3000, old=0, new=0, neither=7000))
    assert 0.99 < low < 1 < high < 1.01, "the same hits: paired, there is little doubt"


@pytest.mark.parametrize(
    ("pairs", "worse", "least", "most"),
    [
        (60, 1.0, 0.0, 0.03),
        (10_000, 1.0, 0.0, 0.0),
        (10_000, 0.8, 1.0, 1.0),
    ],
)
def test_paired_ratio_refuses_noise_seldom_and_a_worse_version_always(pairs, worse, least, most):
    """As the gate has it: the upper end under 0.95. Of 2,000 drawn pairs of versions with a hit rate of 0.2, equal
    ones share 60 % of their hits."""
    draws = np.random.default_rng(7)
    refusals = []
    for _ in range(2_000 if pairs < 100 else 200):
        old = draws.random(pairs) < 0.2
        baseline = np.where(old, draws.random(pairs) < 0.6, draws.random(pairs) < 0.1)
        new = baseline & (draws.random(pairs) < worse)
        refusals.append(paired_ratio(new, old)[2] < 0.95)
    assert least <= np.mean(refusals) <= most, np.mean(refusals)


@MANY
@given(matrices(), st.randoms())
def test_mean_cosine_is_over_rows_with_two_vectors(matrix, random):
    other = [[random.randint(-2, 2) for _ in row] for row in matrix]
    cosines = [
        sum(x * y for x, y in zip(a, b, strict=True)) / (math.hypot(*a) * math.hypot(*b))
        for a, b in zip(matrix, other, strict=True)
        if any(a) and any(b)
    ]
    if cosines:
        actual = mean_cosine(np.array(matrix, np.float32), np.array(other, np.float32))
        assert actual == pytest.approx(sum(cosines) / len(cosines))


def test_norm_shift_compares_both_ends():
    old = np.arange(1.0, 102.0)  # its percentiles are 2 and 100
    new = np.append(np.where(old > 50, 2 * old, old / 2), 0.0)  # the last has no vector
    assert norm_shift(new, old) == pytest.approx((0.5, 2.0))


ROWS = np.array([[0, 1]])
NONE = np.full((1, 2), -1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: paired_ratio(np.ones(2, bool), np.ones(3, bool)), "both of the same pairs"),
        (lambda: paired_ratio(np.ones(0, bool), np.ones(0, bool)), "both of the same pairs"),
        (
            lambda: find_neighbours(np.eye(2, dtype=np.float32), np.array([2])),
            "rows go from 2 to 2; expected 0 to 1",
        ),
        (lambda: find_neighbours(np.eye(2, dtype=np.float32), np.array([-1])), "rows go from -1"),
        (lambda: find_neighbours(np.eye(2, dtype=np.float32), np.array([0]), k=0), "k is 0"),
        (lambda: overlap(ROWS, ROWS[:, :1]), "expected one rows x k"),
        (lambda: overlap(ROWS[:0], ROWS[:0]), "expected one rows x k"),
        (lambda: mean_cosine(np.eye(2), np.zeros((2, 2))), "of 2 rows none has a vector in both"),
        (lambda: mean_cosine(np.eye(2), np.eye(3)), "expected the same rows"),
        (lambda: hubness(ROWS, 1), "expected neighbours among 1 tracks"),
        (lambda: hubness(NONE, 1), "expected neighbours among 1 tracks"),
        (lambda: popularity_bias(NONE, np.array([0]), np.ones(2)), "one or more neighbours"),
        (lambda: popularity_bias(ROWS, np.array([0, 1]), np.ones(2)), "1 rows of neighbours for 2"),
        (lambda: norm_shift(np.zeros(1), np.ones(1)), "of the new vectors"),
        (lambda: norm_shift(np.ones(1), np.array([np.nan])), "of the old vectors"),
    ],
)
def test_comparison_refuses_wrong_shapes_and_values(call, message):
    with pytest.raises(EvaluationError, match=message):
        call()
