"""Days published as a whole: which of them a label sees follows from its instant alone, so rows are found by equality.

Time is cut into periods at every instant at which some table's newest usable day changes. Each table
serves one day in each period; tables that change at different instants still share the periods, and
so the labels' one shuffle.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import Any

from pyspark.sql import Column
from pyspark.sql import functions as F

from schemas.common import MICROS_A_DAY

DAY = MICROS_A_DAY
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_micros(instant: datetime) -> int:
    return (instant - EPOCH) // timedelta(microseconds=1)


def from_micros(micros: int) -> datetime:
    return EPOCH + timedelta(microseconds=micros)


@dataclass(frozen=True)
class ServingInterval:
    """From `since` on (microseconds), until the next one, labels see the day `ds`."""

    since: int
    ds: date

    @property
    def midnight_after(self) -> datetime:
        return datetime.combine(self.ds, time(), UTC) + timedelta(days=1)


def serving_intervals(days: Sequence[tuple[date, datetime]]) -> list[ServingInterval]:
    """From days and the instants from which each is usable: the newest usable one, whenever it changes."""
    found: list[ServingInterval] = []
    for usable, ds in sorted((to_micros(instant), ds) for ds, instant in days):
        if found and found[-1].ds >= ds:  # an old day, published again or late: a newer one is in use already
            continue
        if found and found[-1].since == usable:
            found.pop()
        found.append(ServingInterval(usable, ds))
    return found


@dataclass(frozen=True)
class Periods:
    """Time cut at `starts`; period 0 is before the first, period n begins with the n-th."""

    starts: tuple[int, ...]

    @cached_property
    def first(self) -> int:
        return self.starts[0] // DAY

    def of(self, instant: Column) -> Column:
        """The period of a timestamp: a look-up by its date, then a look at what changes on that date."""
        if not self.starts:
            return F.when(instant.isNotNull(), 0)
        at = F.unix_micros(instant)
        of_day = F.pmod(at, F.lit(DAY))
        day = F.call_function("div", at - of_day, F.lit(DAY)).cast("int") - self.first
        last = self.starts[-1] // DAY - self.first
        by_midnight = [bisect_right(self.starts, (self.first + n) * DAY) for n in range(last + 1)]
        before_next = [bisect_left(self.starts, (self.first + n + 1) * DAY) for n in range(last + 1)]
        spans = zip(by_midnight, before_next, strict=True)
        within = [[start % DAY for start in self.starts[begin:end]] for begin, end in spans]
        # By date: ten years are an array of 3,650 elements, and a look-up by place needs no search.
        period = F.get(literal_array(by_midnight, "int"), day)
        # Unless `as_published`, every day is usable from midnight on, and the date alone decides.
        if any(within):
            on_the_day = F.get(literal_array(within, "array<bigint>"), day)
            period += F.size(F.filter(on_the_day, lambda start: start <= of_day))
        return F.when(day < 0, 0).when(day > last, len(self.starts)).otherwise(period)

    def periods_served(self, intervals: Sequence[ServingInterval]) -> list[tuple[int, int]]:
        """First and last period of each serving."""
        begin = [bisect_right(self.starts, serving.since) for serving in intervals]
        return list(zip(begin, [*(n - 1 for n in begin[1:]), len(self.starts)], strict=True)) if begin else []


def literal_array(values: Sequence[Any], element: str) -> Column:
    """A literal array: parsed once by the optimizer, where ten years of `lit` would be thousands of nodes."""
    return F.from_json(F.lit(json.dumps(values)), f"array<{element}>")


def value_by_day(
    intervals: Sequence[ServingInterval], values: Sequence[Any], element: str, ds: Column
) -> Column:
    """What `values` holds for the serving of the day `ds`; null for other days."""
    if not intervals:
        return F.lit(None).cast(element)
    first = intervals[0].ds
    by_offset: list[Any] = [None] * ((intervals[-1].ds - first).days + 1)
    for serving, value in zip(intervals, values, strict=True):
        by_offset[(serving.ds - first).days] = value
    position = F.datediff(ds, F.lit(first))
    return F.when(position >= 0, F.get(literal_array(by_offset, element), position))
