"""Rotations against what a rotation must be: orthogonal, nearest, and told back where one was made."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.embeddings.alignment import AlignmentError, fit_rotation, rotate, select_anchors

SEEDS = st.integers(0, 2**32 - 1)
QUICK = settings(max_examples=40, deadline=None)


def space(seed: int, rows: int, dimensions: int):
    return np.random.default_rng(seed).normal(size=(rows, dimensions)).astype(np.float32)


def orthogonal(seed: int, dimensions: int):
    made, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(dimensions, dimensions)))
    return made


def misfit(by, new, old, weight) -> float:
    """The definition, row by row: weighted squared distance of the turned unit rows to the unit rows."""
    found = 0.0
    for n, o, w in zip(new.astype(float), old.astype(float), weight, strict=True):
        apart = (n / np.linalg.norm(n)) @ by - o / np.linalg.norm(o)
        found += w * float(apart @ apart)
    return found


@given(SEEDS, st.integers(1, 8), st.integers(0, 12), SEEDS)
@QUICK
def test_a_turned_space_is_turned_back(seed, dimensions, more, other):
    old, by = space(seed, dimensions + more, dimensions), orthogonal(other, dimensions)
    lengths = np.random.default_rng(seed).uniform(0.1, 30, (len(old), 1))
    new = (old * lengths) @ by.T
    assert np.abs(fit_rotation(new.astype(np.float32), old) - by).max() < 1e-3


@given(SEEDS, st.integers(1, 6), st.integers(0, 12))
@QUICK
def test_the_result_is_orthogonal_and_none_is_nearer(seed, dimensions, more):
    rows = dimensions + more
    new, old = space(seed, rows, dimensions), space(seed + 1, rows, dimensions)
    weight = np.random.default_rng(seed).uniform(0.1, 5, rows)
    by = fit_rotation(new, old, weight)
    assert by.dtype == np.float64
    assert np.abs(by @ by.T - np.eye(dimensions)).max() < 1e-12
    best = misfit(by, new, old, weight)
    for n in range(20):
        assert best <= misfit(orthogonal(n, dimensions), new, old, weight) + 1e-9
        near, _ = np.linalg.qr(by + 1e-3 * orthogonal(n, dimensions))
        near = near * np.sign((near * by).sum(axis=0))
        assert best <= misfit(near, new, old, weight) + 1e-9


def test_inner_products_of_in_and_out_stay():
    into, out, old = space(1, 200, 16), space(2, 200, 16), space(3, 200, 16)
    by = fit_rotation(into + out, old)
    assert not np.allclose(rotate(into, by), into, atol=0.1), "nothing was turned, so this shows nothing"
    assert np.allclose(rotate(into, by) @ rotate(out, by).T, into @ out.T, atol=1e-4)
    assert rotate(into, by).dtype == np.float32


def test_a_whole_weight_is_that_many_rows():
    new, old = space(1, 9, 4), space(2, 9, 4)
    times = np.array([1, 2, 3, 1, 4, 1, 1, 2, 5])
    by = fit_rotation(np.repeat(new, times, axis=0), np.repeat(old, times, axis=0))
    assert np.allclose(fit_rotation(new, old, times), by, atol=1e-12)
    assert not np.allclose(fit_rotation(new, old), by, atol=1e-3)


@pytest.mark.parametrize(("rows", "fails"), [(3, True), (4, False), (5, False)])
def test_as_many_rows_as_dimensions_are_enough(rows, fails):
    new, old = space(1, rows, 4), space(2, rows, 4)
    if fails:
        with pytest.raises(AlignmentError, match=f"4 dimensions cannot be told from {rows} tracks"):
            fit_rotation(new, old)
    else:
        assert fit_rotation(new, old).shape == (4, 4)


@pytest.mark.parametrize("missing", ["new", "old", "weight"])
def test_rows_without_direction_or_weight_do_not_count(missing):
    new, old, weight = space(1, 5, 4), space(2, 5, 4), np.ones(5)
    emptied = {"new": new, "old": old, "weight": weight}[missing]
    emptied[0] = 0
    by = fit_rotation(new, old, weight)
    assert np.allclose(by, fit_rotation(new[1:], old[1:]), atol=1e-12)
    emptied[1] = 0
    with pytest.raises(AlignmentError, match="from 3 tracks"):
        fit_rotation(new, old, weight)


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda new, old: fit_rotation(new[1:], old), r"shapes \(8, 4\) and \(9, 4\)"),
        (lambda new, old: fit_rotation(new[:, 1:], old), r"shapes \(9, 3\) and \(9, 4\)"),
        (lambda new, old: fit_rotation(new[0], old[0]), "matrices must match"),
        (lambda new, old: fit_rotation(new, old, np.ones(8)), "rows and weights"),
        (lambda new, old: fit_rotation(new, old, -np.ones(9)), "0 or more"),
        (lambda new, old: fit_rotation(new * np.float32("nan"), old), "9 of 9 vectors are not finite"),
        (lambda new, old: select_anchors(np.ones(3, int), np.ones(2, int)), "supports must match"),
    ],
)
def test_what_does_not_match_is_told(spoil, complaint):
    with pytest.raises(AlignmentError, match=complaint):
        spoil(space(1, 9, 4), space(2, 9, 4))


SUPPORTS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=12)


@given(SUPPORTS, st.integers(0, 14))
@QUICK
def test_frequent_rows_are_those_with_most_plays_in_both(supports, most):
    new, old = (np.array([pair[side] for pair in supports], np.int64) for side in (0, 1))
    ranked = sorted((-min(pair), row) for row, pair in enumerate(supports) if min(pair) > 0)
    assert select_anchors(new, old, most).tolist() == sorted(row for _, row in ranked[:most])
