"""Days published as a whole: which of them a label sees follows from its instant alone, so rows are found by equality.

Time is cut into periods at every instant at which some table's newest usable day changes, or is published again: each
table serves one publication of one day in each period.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from heapq import heappop, heappush
from typing import Any, NamedTuple

from pyspark.sql import Column
from pyspark.sql import functions as F

from schemas.common import MICROS_A_DAY

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_micros(instant: datetime) -> int:
    # in whole numbers: seconds as a double, times a million, can come out a microsecond short
    return (instant - EPOCH) // timedelta(microseconds=1)


def from_micros(micros: int) -> datetime:
    return EPOCH + timedelta(microseconds=micros)


def midnight_after(day: date) -> datetime:
    return datetime.combine(day, time(), UTC) + timedelta(days=1)


@dataclass(frozen=True)
class PublishedDay:
    """A published day of a daily table; `available_at` must know its time zone.

    A day may be there several times, as it was published again. Without rows it was taken away.
    """

    ds: date
    available_at: datetime
    has_rows: bool = True

    def usable_from(self, as_published: bool) -> datetime:
        """The first instant whose labels may see it: midnight after it, in UTC, or when it was published if later."""
        midnight = midnight_after(self.ds)
        return max(midnight, self.available_at) if as_published else midnight


class ServingInterval(NamedTuple):
    """From `since` on (microseconds), until the next one, labels see `day`; None for no day at all."""

    since: int
    day: PublishedDay | None


def serving_intervals(days: Iterable[PublishedDay], as_published: bool) -> list[ServingInterval]:
    """The newest usable day as it was published last, whenever that changes."""
    intervals: list[ServingInterval] = []
    usable: dict[date, PublishedDay] = {}
    # the newest first; a day that was taken away is dropped when it comes to the top
    newest: list[tuple[int, date]] = []
    events = [(to_micros(day.usable_from(as_published)), day.ds, day.available_at, day) for day in days]
    for since, ds, _, day in sorted(events, key=lambda event: event[:3]):
        usable[ds] = day
        heappush(newest, (-ds.toordinal(), ds))
        while newest and not usable[newest[0][1]].has_rows:
            heappop(newest)
        # of days that were published at one instant, as by a backfill, only the newest is ever seen
        if intervals and intervals[-1].since == since:
            intervals.pop()
        served = usable[newest[0][1]] if newest else None
        # an old day, published again or late: a newer one is in use already
        if served != (intervals[-1].day if intervals else None):
            intervals.append(ServingInterval(since, served))
    return intervals


def serving_between(
    days: Sequence[PublishedDay], first: datetime, last: datetime, as_published: bool
) -> tuple[PublishedDay, ...]:
    """Those that some label between two instants can see, and those that were taken away."""
    intervals = serving_intervals(days, as_published)
    sinces = [interval.since for interval in intervals]
    # from the interval that the first label is in, if it is in one, to that of the last
    begin, end = max(bisect_right(sinces, to_micros(first)) - 1, 0), bisect_right(sinces, to_micros(last))
    served = {interval.day for interval in intervals[begin:end]}
    return tuple(day for day in days if day in served or not day.has_rows)


@dataclass(frozen=True)
class Periods:
    """Time cut at `starts`; period 0 is before the first, period n begins with the n-th."""

    starts: tuple[int, ...]

    @cached_property
    def first(self) -> int:
        return self.starts[0] // MICROS_A_DAY

    def of(self, instant: Column) -> Column:
        """The period of a timestamp: a look-up by its date, then a look at what changes on that date."""
        if not self.starts:
            return F.when(instant.isNotNull(), 0)
        at = F.unix_micros(instant)
        of_day = F.pmod(at, F.lit(MICROS_A_DAY))
        day = F.call_function("div", at - of_day, F.lit(MICROS_A_DAY)).cast("int") - self.first
        last = self.starts[-1] // MICROS_A_DAY - self.first
        midnights = [(self.first + n) * MICROS_A_DAY for n in range(last + 2)]
        by_midnight = [bisect_right(self.starts, midnight) for midnight in midnights[:-1]]
        before_next = [bisect_left(self.starts, midnight) for midnight in midnights[1:]]
        spans = zip(by_midnight, before_next, strict=True)
        within = [[start % MICROS_A_DAY for start in self.starts[begin:end]] for begin, end in spans]
        # By date: ten years are an array of 3,650 elements, and a look-up by place needs no search.
        period = F.get(literal_array(by_midnight, "int"), day)
        # Unless `as_published`, every day is usable from midnight on, and the date alone decides.
        if any(within):
            on_the_day = F.get(literal_array(within, "array<bigint>"), day)
            period += F.size(F.filter(on_the_day, lambda start: start <= of_day))
        return F.when(day < 0, 0).when(day > last, len(self.starts)).otherwise(period)

    def periods_served(self, intervals: Sequence[ServingInterval]) -> list[tuple[int, int]]:
        """First and last period of each serving; the last of them serves for ever."""
        begins = [bisect_right(self.starts, interval.since) for interval in intervals]
        ends = [*(n - 1 for n in begins[1:]), len(self.starts)]
        return list(zip(begins, ends, strict=True)) if begins else []


def literal_array(values: Sequence[Any], element: str) -> Column:
    # parsed once by the optimizer, where ten years of `lit` would be thousands of nodes
    return F.from_json(F.lit(json.dumps(values)), f"array<{element}>")


def intervals_of(
    days: Sequence[PublishedDay], intervals: Sequence[ServingInterval], ds: Column, available_at: Column
) -> tuple[Column, bool]:
    """The number of the interval in which a row's publication serves, null for one that never does; and whether it is
    an array, as a publication may serve again.

    `available_at` is looked at only where a day was published several times.
    """
    numbers: dict[PublishedDay, list[int]] = {day: [] for day in days if day.has_rows}
    for n, interval in enumerate(intervals):
        if interval.day is not None:
            numbers[interval.day].append(n)
    several = any(len(each) > 1 for each in numbers.values())
    element = "array<int>" if several else "int"
    if not numbers:
        return F.lit(None).cast(element), several
    first = min(day.ds for day in numbers)
    by_offset: list[dict[int, Any]] = [{} for _ in range((max(day.ds for day in numbers) - first).days + 1)]
    for day, of_day in numbers.items():
        value = (of_day if several else of_day[0]) if of_day else None
        by_offset[(day.ds - first).days][to_micros(day.available_at)] = value
    position = F.datediff(ds, F.lit(first))
    if all(len(each) <= 1 for each in by_offset):
        values = literal_array([next(iter(each.values()), None) for each in by_offset], element)
        return F.when(position >= 0, F.get(values, position)), several
    times = literal_array([list(each) for each in by_offset], "array<bigint>")
    values = literal_array([list(each.values()) for each in by_offset], f"array<{element}>")
    # 0 where it is not among them, and a look-up at -1 is null
    place = F.array_position(F.get(times, position), F.unix_micros(available_at)).cast("int") - 1
    return F.when(position >= 0, F.get(F.get(values, position), place)), several
