"""Rotations against what a rotation must be: orthogonal, nearest, and found again where one was made."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.embeddings.alignment import AlignmentError, fit_rotation, select_anchors

SEEDS = st.integers(0, 2**32 - 1)
QUICK = settings(max_examples=40, deadline=None)


def space(seed: int, rows: int, dimensions: int):
    return np.random.default_rng(seed).normal(size=(rows, dimensions)).astype(np.float32)


def orthogonal(seed: int, dimensions: int):
    made, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(dimensions, dimensions)))
    return made


def misfit(by, new, old) -> float:
    """The definition, row by row: squared distance of the rotated unit rows to the unit rows."""
    found = 0.0
    for n, o in zip(new.astype(float), old.astype(float), strict=True):
        apart = (n / np.linalg.norm(n)) @ by - o / np.linalg.norm(o)
        found += float(apart @ apart)
    return found


@given(SEEDS, st.integers(1, 8), st.integers(0, 12), SEEDS)
@QUICK
def test_a_rotated_space_is_rotated_back(seed, dimensions, more, other):
    old, by = space(seed, dimensions + more, dimensions), orthogonal(other, dimensions)
    lengths = np.random.default_rng(seed).uniform(0.1, 30, (len(old), 1))
    new = (old * lengths) @ by.T
    assert np.abs(fit_rotation(new.astype(np.float32), old) - by).max() < 1e-3


@given(SEEDS, st.integers(1, 6), st.integers(0, 12))
@QUICK
def test_the_result_is_orthogonal_and_none_is_nearer(seed, dimensions, more):
    rows = dimensions + more
    new, old = space(seed, rows, dimensions), space(seed + 1, rows, dimensions)
    by = fit_rotation(new, old)
    assert by.dtype == np.float64
    assert np.abs(by @ by.T - np.eye(dimensions)).max() < 1e-12
    best = misfit(by, new, old)
    for n in range(20):
        assert best <= misfit(orthogonal(n, dimensions), new, old) + 1e-9
        near, _ = np.linalg.qr(by + 1e-3 * orthogonal(n, dimensions))
        near = near * np.sign((near * by).sum(axis=0))
        assert best <= misfit(near, new, old) + 1e-9


@pytest.mark.parametrize(("rows", "fails"), [(3, True), (4, False), (5, False)])
def test_as_many_rows_as_dimensions_are_enough(rows, fails):
    new, old = space(1, rows, 4), space(2, rows, 4)
    if fails:
        with pytest.raises(AlignmentError, match=f"4 dimensions cannot be fitted to {rows} tracks"):
            fit_rotation(new, old)
    else:
        assert fit_rotation(new, old).shape == (4, 4)


@pytest.mark.parametrize("missing", ["new", "old"])
def test_rows_without_direction_do_not_count(missing):
    new, old = space(1, 5, 4), space(2, 5, 4)
    emptied = {"new": new, "old": old}[missing]
    emptied[0] = 0
    by = fit_rotation(new, old)
    assert np.allclose(by, fit_rotation(new[1:], old[1:]), atol=1e-12)
    emptied[1] = 0
    with pytest.raises(AlignmentError, match="to 3 tracks"):
        fit_rotation(new, old)


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda new, old: fit_rotation(new[1:], old), r"shapes \(8, 4\) and \(9, 4\)"),
        (lambda new, old: fit_rotation(new[:, 1:], old), r"shapes \(9, 3\) and \(9, 4\)"),
        (lambda new, old: fit_rotation(new[0], old[0]), "matrices must match"),
        (lambda new, old: fit_rotation(new * np.float32("nan"), old), "9 of 9 vectors are not finite"),
        (lambda new, old: select_anchors(np.ones(3, int), np.ones(2, int)), "supports must match"),
    ],
)
def test_what_does_not_match_is_refused(spoil, complaint):
    with pytest.raises(AlignmentError, match=complaint):
        spoil(space(1, 9, 4), space(2, 9, 4))


SUPPORTS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=12)


@given(SUPPORTS, st.integers(0, 14))
@QUICK
def test_anchors_are_those_with_most_plays_in_both(supports, most):
    new, old = (np.array([pair[side] for pair in supports], np.int64) for side in (0, 1))
    ranked = sorted((-min(pair), row) for row, pair in enumerate(supports) if min(pair) > 0)
    assert select_anchors(new, old, most).tolist() == sorted(row for _, row in ranked[:most])
