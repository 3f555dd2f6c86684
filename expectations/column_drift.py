"""How far a column has moved from another day, and whether that is news: by profiles alone, whatever the rows were."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from statistics import median
from typing import Any

from expectations.column_profiles import INSTANT, TEXT, TOP_VALUES, ColumnProfile, edges_of, find_quantiles
from expectations.drift import (
    RARE_Z,
    find_largest_difference,
    group_bins,
    limit_chance,
    measure_js,
    measure_psi,
)
from expectations.wording import format_number, format_percent

Histogram = Mapping[Any, int]

# Values of text are compared one by one where these are nearly all rows; of ids, new ones come every day.
LISTED_SHARE = 0.9
# In place of all values that the reference does not list.
OTHERS = "other values"
# Below so many different values, a half of them is chance.
FEW_VALUES = 20
# A column moves by so much from week to week anyhow: twice that is no news either.
USUAL_TIMES = 2


@dataclass(frozen=True)
class Limits:
    """What a column may differ by from another day; a project's [drift] has others.

    `psi`: the stability index beyond chance; credit scoring calls over 0.25 a change of the population. `nulls`: by how
    much the share of rows without a value may differ; a source that stops to say something loses far more than a tenth.
    `distinct`: how many times as many, or as few, different values there may be; ids that are written in another way
    are twice as many for the days that have both.
    """

    psi: float = 0.25
    nulls: float = 0.1
    distinct: float = 2.0
    enabled: bool = True


@dataclass(frozen=True)
class Comparison:
    """A column of a day, and the same of an earlier one."""

    now: ColumnProfile
    before: ColumnProfile

    @cached_property
    def histograms(self) -> tuple[Histogram, Histogram]:
        """Of both, on the same bins; empty where values are too many to be compared one by one."""
        if self.now.kind == TEXT:
            return _list_values(self.now, self.before)
        # hours are few, and have no order that could be cut into tenths
        if self.now.kind == INSTANT:
            return self.now.bins, self.before.bins
        return group_bins(self.now.bins, self.before.bins)

    @property
    def is_measured(self) -> bool:
        """Whether both have values on those bins: else an index of 0 says that there is nothing to compare."""
        return all(any(each.values()) for each in self.histograms)

    @cached_property
    def psi(self) -> float:
        return measure_psi(*self.histograms)

    @property
    def js(self) -> float:
        return measure_js(*self.histograms)

    @property
    def chance(self) -> float:
        """What the index is once in a thousand times where nothing has changed."""
        now, before = self.histograms
        return limit_chance(len({*now, *before}), sum(now.values()), sum(before.values()))

    @property
    def nulls(self) -> float:
        """By how much the share of rows without a value, NaN among them, differs."""
        return abs(share_nulls(self.now) - share_nulls(self.before))

    @property
    def nulls_chance(self) -> float:
        rows, rows_before = self.now.rows, self.before.rows
        if not rows or not rows_before:
            return 0.0
        pooled = (count_nulls(self.now) + count_nulls(self.before)) / (rows + rows_before)
        return RARE_Z * math.sqrt(pooled * (1 - pooled) * (1 / rows + 1 / rows_before))

    @property
    def distinct(self) -> float:
        """How many doublings the number of different values is apart; of numbers, and of few values, 0."""
        counts = [each.distinct_values or 0 for each in (self.now, self.before)]
        if self.now.kind != TEXT or max(counts) < FEW_VALUES:
            return 0.0
        return abs(math.log2(max(counts[0], 1) / max(counts[1], 1)))


@dataclass(frozen=True)
class Finding:
    """One column that moved further than it may; `kind` is that of the alert."""

    kind: str
    column: str
    value: float
    bound: float
    unit: str
    what: str


@dataclass(frozen=True)
class _Measure:
    """`allow` is what its limits allow, by a comparison; `describe` says what is seen, in words."""

    kind: str
    unit: str
    value: Callable[[Comparison], float]
    allow: Callable[[Limits, Comparison], float]
    describe: Callable[[Comparison], str]


def judge_column(
    name: str, comparison: Comparison, usual: Iterable[Comparison], limits: Limits, than: str
) -> Iterator[Finding]:
    """What is beyond its limits.

    Args:
        usual: the same comparison of the weeks before; what differs as much each week is no news.
        than: the earlier day, in words.
    """
    for measure in _MEASURES if limits.enabled else ():
        value, allowed = measure.value(comparison), measure.allow(limits, comparison)
        if value > allowed:
            usual = list(usual)
            allowed += USUAL_TIMES * median(map(measure.value, usual)) if usual else 0
        if value > allowed:
            what = f"{name}: {measure.describe(comparison)} since {than}"
            yield Finding(measure.kind, name, value, allowed, measure.unit, what)


def count_nulls(profile: ColumnProfile) -> int:
    """Rows that a model gets no number of."""
    return profile.nulls + profile.nans


def share_nulls(profile: ColumnProfile) -> float:
    return count_nulls(profile) / profile.rows if profile.rows else 0.0


def _list_values(now: ColumnProfile, before: ColumnProfile) -> tuple[Histogram, Histogram]:
    if not before.top_values or not _are_nearly_all_listed(before) or _hides_values(now):
        return {}, {}
    top = now.top_values
    # where every row has a value that is listed, one that is not is gone
    may_have_all = top is not None and now.other_rows > 0
    values = [value for value in before.top_values if not may_have_all or value in (top or {})]
    return _count_values(now, values), _count_values(before, values)


def _are_nearly_all_listed(profile: ColumnProfile) -> bool:
    return profile.other_rows <= (1 - LISTED_SHARE) * (profile.rows - profile.nulls)


def _hides_values(profile: ColumnProfile) -> bool:
    """Whether many rows have values of too few listeners to be listed: such a value may be any of those of before."""
    few = profile.top_values is not None and (profile.distinct_values or 0) <= TOP_VALUES
    return few and not _are_nearly_all_listed(profile)


def _count_values(profile: ColumnProfile, values: Iterable[str]) -> Histogram:
    counts = {value: count for value in values if (count := (profile.top_values or {}).get(value))}
    others = profile.rows - profile.nulls - sum(counts.values())
    return {**counts, **({OTHERS: others} if others > 0 else {})}


def _describe_values(comparison: Comparison) -> str:
    now, before = comparison.now, comparison.before
    if now.kind not in (TEXT, INSTANT):
        middles = [find_quantiles(each.bins, (0.5,))[0] if each.bins else math.nan for each in (before, now)]
        means = [math.nan if each.mean is None else each.mean for each in (before, now)]
        middle, mean = (" to ".join(map(format_number, pair)) for pair in (middles, means))
        return f"median from {middle} and mean from {mean}"
    value, *shares = find_largest_difference(*comparison.histograms)
    if value == OTHERS:
        new = [each for each in now.top_values or {} if each not in (before.top_values or {})]
        value = f"other values, such as {new[0]!r}," if new else value
    name = f"hour {edges_of(int(value or 0))[0]:.0f} UTC" if now.kind == INSTANT else str(value)
    return f"{name} from {format_percent(shares[0])} to {format_percent(shares[1])} of rows"


def _describe_nulls(comparison: Comparison) -> str:
    shares = (share_nulls(comparison.before), share_nulls(comparison.now))
    return f"no value in {format_percent(shares[1])} of rows, which were {format_percent(shares[0])}"


def _describe_distinct(comparison: Comparison) -> str:
    now, before = comparison.now.distinct_values or 0, comparison.before.distinct_values or 0
    return f"{now:,} different values, which were {before:,}"


_MEASURES = (
    _Measure(
        "nulls", "share", lambda c: c.nulls, lambda limits, c: limits.nulls + c.nulls_chance, _describe_nulls
    ),
    _Measure("drift", "index", lambda c: c.psi, lambda limits, c: limits.psi + c.chance, _describe_values),
    _Measure(
        "drift",
        "doublings",
        lambda c: c.distinct,
        lambda limits, c: math.log2(limits.distinct),
        _describe_distinct,
    ),
)
