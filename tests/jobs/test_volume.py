"""A day's plays against those of its weekday: what is compared, and with what."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from expectations.plays import SUITE
from jobs.volume import compare_with_weekdays, find_main_day

DAY = date(2026, 10, 30)
FOUR_WEEKS = {7: 100, 14: 90, 21: 1000, 28: 110, 1: 7, 8: 7}


def compare(rows_by_days_ago):
    return compare_with_weekdays({DAY - timedelta(days=n): rows for n, rows in rows_by_days_ago.items()}, DAY)


def warns(volume):
    """Of too few, of too many."""
    bounds = {each.name: each for each in SUITE.bounds}
    numbers = {"has_weekdays": 1.0, **volume.measures()}
    results = [bounds[name].check(numbers) for name in ("weekday_share", "fullest_weekday_share")]
    assert {each.severity for each in results} == {"warning"}
    return [not each.success for each in results]


def days(count, plays=lambda n: 10_000, today=10_000):
    return {n: plays(n) for n in range(1, count + 1)} | {0: today}


def test_volume_is_of_the_day_against_the_median_of_its_weekday():
    volume = compare(FOUR_WEEKS | {0: 52})
    assert (volume.share, volume.of_fullest) == (52 / 105, 52 / 1000)
    assert compare({7: 100, 14: 90, 21: 1000, 0: 50}) is None, "three weeks"
    assert compare(FOUR_WEEKS | {28: 0, 0: 50}) is None, "an empty day"


def test_main_day_of_a_delivery_is_the_one_with_most_plays():
    assert find_main_day({DAY: 105, DAY - timedelta(days=1): 20, DAY + timedelta(days=1): 3}) == DAY
    assert find_main_day({}) is None


@pytest.mark.parametrize(
    ("today", "expected"),
    [
        (10_000, [False, False]),
        (6_500, [False, False]),
        (6_400, [True, False]),
        (17_000, [False, False]),
        (20_000, [False, True]),
    ],
)
def test_gate_warns_of_half_a_day_and_of_two(today, expected):
    assert warns(compare(days(56, today=today))) == expected


def test_what_grows_is_compared_with_what_it_has_by_now():
    """By 10 % a week: half a day is 69 % of the median of the four weeks before."""
    growing = days(56, lambda n: round(10_000 * 1.1 ** (-n / 7)), today=5_000)
    assert compare(growing).share == pytest.approx(0.5, abs=0.001)
    assert warns(compare(growing)) == [True, False]


def test_few_plays_and_days_that_vary_are_allowed_more():
    assert compare(days(56)).allowance == 0
    assert compare(days(56, lambda n: 20, today=12)).allowance == pytest.approx(0.1), "by chance"
    # weeks in turn 20 % above and below: the median of four is in the middle
    varying = days(84, lambda n: 10_000 + (2_000 if n // 7 % 2 else -2_000), today=6_000)
    assert compare(varying).allowance == pytest.approx(0.1), "by their spread"
    assert compare(days(40, today=6_000)).allowance == 0, "too few shares to know a spread by"


def test_bounds_mean_nothing_without_weekdays():
    assert all(b.check({"has_weekdays": 0.0}).success for b in SUITE.bounds if b.applies_if == "has_weekdays")
