"""Which publication serves when, against the loop over all of them; without Spark."""

from __future__ import annotations

from bisect import bisect_right
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.joins.serving import PublishedDay, serving_between, serving_intervals, to_micros
from reference.publications import Publication, find_served
from reference.rows import midnight_after
from reference.worlds import DAY, MIDNIGHT, US

_days = st.lists(
    st.builds(
        lambda day, hours, offset, has_rows: PublishedDay(
            (MIDNIGHT + day * DAY).date(), MIDNIGHT + timedelta(hours=hours) + offset * US, has_rows
        ),
        st.integers(0, 4),
        st.integers(0, 140).map(lambda hours: hours // 4 * 4),
        st.integers(-1, 1),
        st.sampled_from((True, True, False)),
    ),
    unique_by=lambda day: (day.ds, day.available_at),
    max_size=12,
)


def find_by_definition(days, at):
    """As a log: a day has one row that says which publication it is of."""
    log = [Publication(day.ds, day.available_at, ({"day": day},) if day.has_rows else ()) for day in days]
    served = find_served(log, at)
    return served and served.rows[0]["day"]


def find_in_intervals(days, at):
    intervals = serving_intervals(days, as_published=True)
    place = bisect_right([interval.since for interval in intervals], to_micros(at)) - 1
    return intervals[place].day if place >= 0 else None


def list_instants(days):
    changes = {instant for day in days for instant in (day.available_at, midnight_after(day.ds))}
    return [at + offset for at in sorted(changes) for offset in (-US, 0 * US, US)]


@given(days=_days)
def test_serving_intervals_equal_the_definition(days):
    for at in list_instants(days):
        assert find_in_intervals(days, at) == find_by_definition(days, at), at


@given(days=_days)
def test_serving_intervals_change_at_each_since(days):
    intervals = serving_intervals(days, as_published=True)
    sinces = [interval.since for interval in intervals]
    assert sinces == sorted(set(sinces))
    assert all(one.day != other.day for one, other in pairwise(intervals))


@given(days=_days, picks=st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)))
def test_serving_between_two_labels_leaves_out_nothing_that_one_between_sees(days, picks):
    if not (instants := list_instants(days)):
        return
    first, last = sorted(instants[pick % len(instants)] for pick in picks)
    some = serving_between(days, first, last, as_published=True)
    for at in instants:
        if first <= at <= last:
            assert find_in_intervals(some, at) == find_by_definition(days, at), at
    seen = {find_by_definition(days, at) for at in instants if first <= at <= last}
    assert {day for day in some if day.has_rows} <= seen | {find_by_definition(days, first)}


@pytest.mark.parametrize("as_published", [False, True])
def test_serving_intervals_of_days_in_order_are_one_each(as_published):
    days = [PublishedDay((MIDNIGHT + n * DAY).date(), MIDNIGHT + (n + 1.1) * DAY) for n in range(5)]
    assert [interval.day for interval in serving_intervals(days, as_published)] == days
    assert serving_between(days, MIDNIGHT + 2 * DAY, MIDNIGHT + 3 * DAY, as_published) == tuple(
        days[not as_published : 3 - as_published]
    )
