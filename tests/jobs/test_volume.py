"""A day's plays against those of its weekday: what is compared, and with what."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from expectations.plays import SUITE
from jobs.publishing.state import DayState, TableState
from jobs.volume import compare_with_weekdays

DAY = date(2026, 10, 30)


def published(rows_by_days_ago):
    days = {DAY - timedelta(days=n): DayState(rows, 0, 0, "f") for n, rows in rows_by_days_ago.items()}
    return TableState(1, days)


FOUR_WEEKS = {7: 100, 14: 90, 21: 1000, 28: 110, 1: 7, 8: 7}


@pytest.mark.parametrize(
    ("before", "new", "share"),
    [
        (FOUR_WEEKS, {0: 105}, 1.0),
        (FOUR_WEEKS, {0: 52, 1: 20, -1: 3}, 52 / 105),
        (FOUR_WEEKS | {0: 53}, {0: 52}, 1.0),
        ({7: 100, 14: 90, 21: 1000}, {0: 50}, None),
        (FOUR_WEEKS | {28: 0}, {0: 50}, None),
        (FOUR_WEEKS, {}, None),
    ],
)
def test_volume_is_of_the_main_day_against_the_median_of_its_weekday(before, new, share):
    """A quiet night, half a day beside hours of others, a second delivery, three weeks, an empty day, no play."""
    days = {DAY - timedelta(days=n): rows for n, rows in new.items()}
    assert compare_with_weekdays(published(before), days) == share


@pytest.mark.parametrize(("share", "success"), [(0.5, False), (0.6, True), (1.0, True), (2.0, False)])
def test_gate_warns_of_half_a_day_and_of_two(share, success):
    (bound,) = [each for each in SUITE.bounds if each.measure == "weekday_share"]
    result = bound.check({"has_weekdays": 1.0, "weekday_share": share})
    assert (result.success, result.severity) == (success, "warning")
    assert bound.check({"has_weekdays": 0.0}).success
