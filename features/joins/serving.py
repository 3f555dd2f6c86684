"""Days published as a whole: which of them a label sees follows from its instant alone, so rows are found by equality.

Time is cut into periods at every instant at which some table's newest usable day changes: each table serves one
day in each period.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
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


class ServingInterval(NamedTuple):
    """From `since` on (microseconds), until the next one, labels see the day `ds`."""

    since: int
    ds: date


def serving_intervals(days: Sequence[tuple[date, datetime]]) -> list[ServingInterval]:
    """From days and the instants from which each is usable: the newest usable one, whenever it changes."""
    intervals: list[ServingInterval] = []
    for usable, ds in sorted((to_micros(instant), ds) for ds, instant in days):
        # an old day, published again or late: a newer one is in use already
        if intervals and intervals[-1].ds >= ds:
            continue
        # of days that were published at one instant, as by a backfill, only the newest is ever seen
        if intervals and intervals[-1].since == usable:
            intervals.pop()
        intervals.append(ServingInterval(usable, ds))
    return intervals


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


def value_by_day(
    intervals: Sequence[ServingInterval], values: Sequence[Any], element: str, ds: Column
) -> Column:
    """What `values`, parallel to `intervals`, holds for the day `ds`; null for days that never serve."""
    if not intervals:
        return F.lit(None).cast(element)
    first = intervals[0].ds
    by_offset: list[Any] = [None] * ((intervals[-1].ds - first).days + 1)
    for interval, value in zip(intervals, values, strict=True):
        by_offset[(interval.ds - first).days] = value
    position = F.datediff(ds, F.lit(first))
    return F.when(position >= 0, F.get(literal_array(by_offset, element), position))
