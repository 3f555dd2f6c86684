"""Rotations against what a rotation must be: orthogonal, nearest, and found again where one was made."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.embeddings.alignment import AlignmentError, fit_rotation, select_anchors

SEEDS = st.integers(0, 2**32 - 1)
QUICK = settings(max_examples=40, deadline=None)


def random_vectors(seed: int, rows: int, dimensions: int):
    return np.random.default_rng(seed).normal(size=(rows, dimensions)).astype(np.float32)


def random_rotation(seed: int, dimensions: int):
    basis, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(dimensions, dimensions)))
    return basis


def misfit(rotation, new, old) -> float:
    """The definition, row by row: squared distance of the rotated unit rows to the unit rows."""
    total = 0.0
    for n, o in zip(new.astype(float), old.astype(float), strict=True):
        difference = (n / np.linalg.norm(n)) @ rotation - o / np.linalg.norm(o)
        total += float(difference @ difference)
    return total


@given(SEEDS, st.integers(1, 8), st.integers(0, 12), SEEDS)
@QUICK
def test_fit_rotation_recovers_a_rotation(seed, dimensions, more, other):
    old, rotation = random_vectors(seed, dimensions + more, dimensions), random_rotation(other, dimensions)
    lengths = np.random.default_rng(seed).uniform(0.1, 30, (len(old), 1))
    new = (old * lengths) @ rotation.T
    assert np.abs(fit_rotation(new.astype(np.float32), old) - rotation).max() < 1e-3


@given(SEEDS, st.integers(1, 6), st.integers(0, 12))
@QUICK
def test_fit_rotation_is_orthogonal_and_of_least_misfit(seed, dimensions, more):
    rows = dimensions + more
    new, old = random_vectors(seed, rows, dimensions), random_vectors(seed + 1, rows, dimensions)
    rotation = fit_rotation(new, old)
    assert rotation.dtype == np.float64
    assert np.abs(rotation @ rotation.T - np.eye(dimensions)).max() < 1e-12
    best = misfit(rotation, new, old)
    for n in range(20):
        assert best <= misfit(random_rotation(n, dimensions), new, old) + 1e-9
        neighbour, _ = np.linalg.qr(rotation + 1e-3 * random_rotation(n, dimensions))
        neighbour = neighbour * np.sign((neighbour * rotation).sum(axis=0))
        assert best <= misfit(neighbour, new, old) + 1e-9


@pytest.mark.parametrize(("rows", "fails"), [(3, True), (4, False), (5, False)])
def test_fit_rotation_needs_as_many_tracks_as_dimensions(rows, fails):
    new, old = random_vectors(1, rows, 4), random_vectors(2, rows, 4)
    if fails:
        with pytest.raises(AlignmentError, match=f"4 dimensions cannot be fitted to {rows} tracks"):
            fit_rotation(new, old)
    else:
        assert fit_rotation(new, old).shape == (4, 4)


@pytest.mark.parametrize("missing", ["new", "old"])
def test_fit_rotation_ignores_vectors_of_zeros(missing):
    new, old = random_vectors(1, 5, 4), random_vectors(2, 5, 4)
    vectors = {"new": new, "old": old}[missing]
    vectors[0] = 0
    rotation = fit_rotation(new, old)
    assert np.allclose(rotation, fit_rotation(new[1:], old[1:]), atol=1e-12)
    vectors[1] = 0
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
def test_fit_rotation_and_select_anchors_refuse_inputs_that_do_not_match(spoil, complaint):
    with pytest.raises(AlignmentError, match=complaint):
        spoil(random_vectors(1, 9, 4), random_vectors(2, 9, 4))


SUPPORTS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=12)


@given(SUPPORTS, st.integers(0, 14))
@QUICK
def test_select_anchors_takes_tracks_with_most_plays_in_both(supports, most):
    new, old = (np.array([pair[side] for pair in supports], np.int64) for side in (0, 1))
    order = sorted((-min(pair), row) for row, pair in enumerate(supports) if min(pair) > 0)
    assert select_anchors(new, old, most).tolist() == sorted(row for _, row in order[:most])
