"""Exact distinct counts over many windows of many days, without holding a set.

A value that an entity heard on day d counts in a window of w days from d on, until it is heard
again (which counts from then on) or the window has left d behind. So each value of each day is one
birth at d and, per window, one death at min(next day it was heard, d + w); the count on any day is
the running sum of births less deaths. That is linear in the plays, whatever the windows and days.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from features.windows.folds import known
from schemas.declarations import Feature, FeatureGroup, days


@dataclass(frozen=True)
class _DistinctCount:
    """One column to count: a feature over one of its windows."""

    feature: Feature
    window: str

    @property
    def name(self) -> str:
        return self.feature.name(self.window)

    @property
    def of(self) -> tuple[str, str]:
        return self.feature.input, self.feature.where


def add_distinct_counts(
    described: DataFrame, plays: DataFrame, group: FeatureGroup, requested: Sequence[date]
) -> DataFrame:
    """`described` (keys, ds, …) with the group's distinct counts on the days `requested`; null for none.

    Args:
        plays: those that count for the group, of the longest window of these at least.
    """
    counts = [_DistinctCount(f, w) for f, w in group.feature_windows if f.op == "distinct"]
    if not counts:
        return described
    reach = timedelta(days=max(days(count.window) for count in counts))
    within = (F.col("ds") > F.lit(min(requested) - reach)) & (F.col("ds") <= F.lit(max(requested)))
    changes = _changes(plays.where(within), group.keys, counts)
    # The asked days stand among the changes, each to be given the sum of what came before; the
    # default frame holds the whole current day, so its own births and deaths are in.
    until_today = Window.partitionBy(*group.keys).orderBy("ds")
    running = {count.name: F.sum(count.name).over(until_today) for count in counts}
    requested_days = _requested_days(plays.where(within), group.keys, requested)
    together = requested_days.unionByName(changes, allowMissingColumns=True)
    counted = together.withColumns(running).where("_asked").drop("_asked")
    return described.join(counted, [*group.keys, "ds"], "left")


def _requested_days(plays: DataFrame, keys: Sequence[str], requested: Sequence[date]) -> DataFrame:
    """Each entity on each of the days from its first play here on; on others it has none to count."""
    known = F.filter(F.array(*[F.lit(day) for day in sorted(requested)]), lambda day: day >= F.col("_first"))
    first = plays.groupBy(*keys).agg(F.min("ds").alias("_first"))
    return first.select(*keys, F.explode(known).alias("ds"), F.lit(True).alias("_asked"))


def _changes(plays: DataFrame, keys: Sequence[str], counts: list[_DistinctCount]) -> DataFrame:
    """Per entity and day, how much each count rises or falls there; null where it does not."""
    inputs = list(dict.fromkeys(count.of for count in counts))
    values = F.explode(
        F.array(
            *[
                F.struct(F.lit(i).alias("input"), known(sql, where).cast("string").alias("value"))
                for i, (sql, where) in enumerate(inputs)
            ]
        )
    )
    once = (
        plays.select(*keys, "ds", values.alias("_"))
        .select(*keys, "ds", "_.*")
        .where("value is not null")
        .distinct()
        .repartition(*keys)
    )
    again = F.lead("ds").over(Window.partitionBy(*keys, "input", "value").orderBy("ds"))
    events = once.withColumn("_again", again).select(
        *keys, "input", F.explode(F.array(*_events(counts))).alias("_")
    )
    return events.groupBy(*keys, F.col("_.at").alias("ds")).agg(
        *[F.sum(F.when(_applies_to(inputs, count), F.col("_.change"))).alias(count.name) for count in counts]
    )


def _events(counts: list[_DistinctCount]) -> Iterator[Column]:
    """A birth, which all windows share, and a death per window."""
    yield _event(F.col("ds"), 0, 1)
    for length in sorted({days(count.window) for count in counts}):
        yield _event(F.least("_again", F.date_add("ds", length)), length, -1)


def _event(at: Column, length: int, change: int) -> Column:
    return F.struct(at.alias("at"), F.lit(length).alias("length"), F.lit(change).alias("change"))


def _applies_to(inputs: list[tuple[str, str]], count: _DistinctCount) -> Column:
    mine = F.col("input") == inputs.index(count.of)
    return mine & F.col("_.length").isin(0, days(count.window))
