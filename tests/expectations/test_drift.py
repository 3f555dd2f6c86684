"""Distances of histograms equal scipy's, and a move of the data moves them by more than chance does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.special import rel_entr
from scipy.stats import chi2

from expectations.drift import (
    SMOOTHING,
    expect_psi,
    find_largest_difference,
    group_bins,
    limit_chance,
    measure_js,
    measure_psi,
)

ROWS = st.one_of(st.just(0), st.integers(1, 5), st.integers(1, 10**9))
HISTOGRAMS = st.dictionaries(st.integers(-20, 20), ROWS, max_size=25)


def pair(counts, reference, smoothing=0.0):
    """Shares of every bin of either, in a loop of its own."""
    bins = sorted(set(counts) | set(reference))
    sides = [np.array([side.get(each, 0) + smoothing for each in bins]) for side in (counts, reference)]
    return [side / side.sum() for side in sides]


@settings(deadline=None)
@given(HISTOGRAMS, HISTOGRAMS)
def test_distances_equal_scipys(counts, reference):
    if not sum(counts.values()) or not sum(reference.values()):
        assert measure_psi(counts, reference) == measure_js(counts, reference) == 0
        assert find_largest_difference(counts, reference) == (None, 0, 0)
        return
    p, q = pair(counts, reference, SMOOTHING)
    expected = float((rel_entr(p, q) + rel_entr(q, p)).sum())
    assert measure_psi(counts, reference) == pytest.approx(expected, rel=1e-12, abs=1e-12)
    assert measure_psi(reference, counts) == pytest.approx(expected, rel=1e-12, abs=1e-12)
    p, q = pair(counts, reference)
    bits = float((rel_entr(p, (p + q) / 2) + rel_entr(q, (p + q) / 2)).sum()) / 2 / np.log(2)
    assert measure_js(counts, reference) == pytest.approx(bits, abs=1e-12)
    # its root loses half of the digits near 0
    assert np.sqrt(measure_js(counts, reference)) == pytest.approx(jensenshannon(p, q, base=2), abs=1e-7)
    key, before, now = find_largest_difference(counts, reference)
    assert abs(now - before) == pytest.approx(np.abs(p - q).max(), abs=1e-12)
    shares = [side.get(key, 0) / sum(side.values()) for side in (reference, counts)]
    assert [before, now] == pytest.approx(shares, abs=1e-12)


def group_in_a_loop(counts, reference, parts):
    """Group of each bin by the definition: what ends a group before the next bin."""
    total, present = sum(reference.values()), [each for each, rows in reference.items() if rows]
    groups, rows = [], 0
    for each in sorted(set(counts) | set(reference)):
        own = reference.get(each, 0)
        last = groups[-1][-1] if groups else None
        starts = last is None or own * parts >= total or rows * parts >= total
        if present and last is not None:
            starts |= (last < min(present)) != (each < min(present)) or (last > max(present)) != (
                each > max(present)
            )
        if starts:
            groups.append([])
            rows = 0
        groups[-1].append(each)
        rows += own
    return groups


@settings(deadline=None)
@given(HISTOGRAMS, HISTOGRAMS.filter(lambda each: sum(each.values()) > 0), st.integers(1, 12))
def test_groups_are_of_a_share_of_the_reference(counts, reference, parts):
    grouped, grouped_reference = group_bins(counts, reference, parts)
    expected = group_in_a_loop(counts, reference, parts)
    for histogram, sums in ((counts, grouped), (reference, grouped_reference)):
        loops = {n: sum(histogram.get(each, 0) for each in bins) for n, bins in enumerate(expected)}
        assert {n: rows for n, rows in sums.items() if rows} == {n: rows for n, rows in loops.items() if rows}
    # two neighbours of less than a share would be one
    assert len([n for n, rows in grouped_reference.items() if rows]) <= 2 * parts + 1


@pytest.mark.parametrize(
    ("counts", "groups"),
    [
        # all in one bin, and all in its neighbour on either side, are not the same
        ({6: 100}, 2),
        ({4: 100}, 2),
        ({5: 100}, 1),
        ({5: 50, 9: 25, 12: 25}, 2),
    ],
)
def test_a_move_off_one_bin_is_seen(counts, groups):
    grouped, reference = group_bins(counts, {5: 100})
    assert len({*grouped, *reference}) == groups
    assert (measure_psi(grouped, reference) > 0.25) == (groups > 1)


def test_an_empty_bin_has_half_a_row():
    # (p - q) ln(p / q) of 100.5 and 0.5 of 101, twice
    assert measure_psi({"a": 100}, {"b": 100}) == pytest.approx(2 * 100 / 101 * np.log(201))
    assert measure_psi({"a": 10**6}, {"a": 10}) == 0
    # with rows to prove it, a bin that lost all of them says more
    few, many = (measure_psi({"a": n}, {"a": n, "b": n}) for n in (10, 10_000))
    assert few < many < 10


def test_by_chance_the_index_is_as_large_as_expected():
    random, shares = np.random.default_rng(1), np.full(10, 0.1)
    for rows, reference_rows in ((200, 200), (2_000, 500)):
        drawn = [
            measure_psi(
                dict(enumerate(random.multinomial(rows, shares).tolist())),
                dict(enumerate(random.multinomial(reference_rows, shares).tolist())),
            )
            for _ in range(1_000)
        ]
        assert np.mean(drawn) == pytest.approx(expect_psi(10, rows, reference_rows), rel=0.1)
        limit = limit_chance(10, rows, reference_rows)
        assert np.mean(np.array(drawn) > limit) < 0.006


@pytest.mark.parametrize("groups", [2, 3, 10, 12])
def test_the_limit_of_chance_is_chi_squares(groups):
    expected = chi2.ppf(0.999, groups - 1) * (1 / 100 + 1 / 300)
    assert limit_chance(groups, 100, 300) == pytest.approx(expected, rel=0.04)


def test_one_group_and_no_rows_leave_nothing_to_chance():
    assert limit_chance(1, 10, 10) == limit_chance(0, 10, 10) == expect_psi(1, 10, 10) == 0
    assert limit_chance(5, 0, 10) == expect_psi(5, 10, 0) == 0
