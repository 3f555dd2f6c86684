"""The map is the plane of principal components, found by plain loops, and always the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.embeddings.projection import project_on_plane


def find_axis(rows, before=()):
    """By power iteration on the matrix of covariances: the direction in which rows differ most, beside those before."""
    size = len(rows[0])
    axis = [1.0 + n / 7 for n in range(size)]
    for _ in range(300):
        new = [0.0] * size
        for row in rows:
            along = sum(a * x for a, x in zip(axis, row, strict=True))
            new = [value + along * x for value, x in zip(new, row, strict=True)]
        for other in before:
            along = sum(a * b for a, b in zip(new, other, strict=True))
            new = [value - along * b for value, b in zip(new, other, strict=True)]
        length = sum(value * value for value in new) ** 0.5
        axis = [value / length for value in new]
    return axis


def test_places_are_along_the_two_directions_in_which_vectors_differ_most():
    draws = np.random.default_rng(1)
    vectors = (draws.normal(size=(40, 5)) * [5, 3, 1, 0.5, 0.1] + 7).astype(np.float32)
    places, share = project_on_plane(vectors)
    means = [sum(column) / 40 for column in zip(*vectors.tolist(), strict=True)]
    rows = [[x - mean for x, mean in zip(row, means, strict=True)] for row in vectors.tolist()]
    first = find_axis(rows)
    second = find_axis(rows, [first])
    along = [[sum(a * x for a, x in zip(axis, row, strict=True)) for row in rows] for axis in (first, second)]
    for place, oracle in zip(places.T, along, strict=True):
        sign = 1 if place[0] * oracle[0] > 0 else -1
        assert place.tolist() == pytest.approx([sign * value for value in oracle], abs=1e-4)
    kept = sum(value * value for axis in along for value in axis)
    assert share == pytest.approx(kept / sum(x * x for row in rows for x in row))


def test_dimension_that_an_axis_follows_most_goes_up_with_it():
    line = np.array([[0, 0, 0], [1, -3, 0], [2, -6, 1]], np.float32)
    for vectors in (line, line[::-1], -line):
        places, _ = project_on_plane(vectors)
        assert np.argsort(places[:, 0]).tolist() == np.argsort(vectors[:, 1]).tolist()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.integers(-9, 9), min_size=3, max_size=3), max_size=9), st.randoms())
def test_map_does_not_depend_on_the_order_of_tracks(rows, random):
    vectors = np.array(rows, np.float32).reshape(len(rows), 3)
    order = list(range(len(rows)))
    random.shuffle(order)
    (places, share), (shuffled, other_share) = project_on_plane(vectors), project_on_plane(vectors[order])
    assert share == pytest.approx(other_share) and -1e-9 <= share <= 1 + 1e-9
    # distances are those of the vectors, or less
    for i, j in zip(order, range(len(rows)), strict=True):
        assert np.abs(places[i]).sum() == pytest.approx(np.abs(shuffled[j]).sum(), abs=1e-6) or is_degenerate(
            vectors
        )
        assert np.linalg.norm(places[i] - places[j]) <= np.linalg.norm(vectors[i] - vectors[j]) + 1e-6


def is_degenerate(vectors):
    """Whether two axes are as long as each other, so that any two in their plane would do."""
    lengths = np.linalg.svd(vectors - vectors.mean(axis=0), compute_uv=False)
    return bool((np.abs(np.diff(lengths)) < 1e-3 * max(lengths.max(), 1e-9)).any())


@pytest.mark.parametrize("vectors", [np.empty((0, 4)), np.ones((3, 4)), np.ones((1, 1))])
def test_vectors_that_do_not_differ_are_in_one_place(vectors):
    places, share = project_on_plane(vectors.astype(np.float32))
    assert places.tolist() == [[0, 0]] * len(vectors) and share == 1


def test_one_dimension_has_one_axis():
    places, share = project_on_plane(np.array([[1], [3]], np.float32))
    assert places.tolist() == [[-1, 0], [1, 0]] and share == pytest.approx(1)
