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

from schemas.declarations import Feature, FeatureGroup, days


@dataclass(frozen=True)
class _Count:
    """One column to count: a feature over one of its windows."""

    feature: Feature
    window: str

    @property
    def name(self) -> str:
        return self.feature.name(self.window)


def with_distinct_counts(
    described: DataFrame, heard: DataFrame, group: FeatureGroup, asked: Sequence[date]
) -> DataFrame:
    """`described` (entity, ds, …) with the group's distinct counts on the days `asked`.

    Args:
        heard: the plays to count in, none after the last of those days.
    """
    counts = [_Count(f, window) for f in group.features if f.op == "distinct" for window in f.windows]
    if not counts:
        return described
    reach = timedelta(days=max(days(count.window) for count in counts))
    changes = _changes(heard.where(F.col("ds") > F.lit(min(asked) - reach)), group.entity, counts)
    # The asked days stand among the changes, each to be given the sum of what came before; the
    # default frame holds the whole current day, so its own births and deaths are in.
    until_today = Window.partitionBy(group.entity).orderBy("ds")
    running = {count.name: F.coalesce(F.sum(count.name).over(until_today), F.lit(0)) for count in counts}
    together = _asked_days(heard, group.entity, asked).unionByName(changes, allowMissingColumns=True)
    counted = together.withColumns(running).where("_asked").drop("_asked")
    return described.join(counted, [group.entity, "ds"])


def _asked_days(heard: DataFrame, entity: str, asked: Sequence[date]) -> DataFrame:
    """Each entity on each of the days from its first play on."""
    known = F.filter(F.array(*[F.lit(day) for day in sorted(asked)]), lambda day: day >= F.col("_first"))
    first = heard.groupBy(entity).agg(F.min("ds").alias("_first"))
    return first.select(entity, F.explode(known).alias("ds"), F.lit(True).alias("_asked"))


def _changes(heard: DataFrame, entity: str, counts: list[_Count]) -> DataFrame:
    """Per entity and day, how much each count rises or falls there; null where it does not."""
    inputs = list(dict.fromkeys(count.feature.input for count in counts))
    values = F.explode(
        F.array(
            *[
                F.struct(F.lit(i).alias("input"), F.expr(sql).cast("string").alias("value"))
                for i, sql in enumerate(inputs)
            ]
        )
    )
    once = (
        heard.select(entity, "ds", values.alias("_"))
        .select(entity, "ds", "_.*")
        .where("value is not null")
        .distinct()
        .repartition(entity)
    )
    again = F.lead("ds").over(Window.partitionBy(entity, "input", "value").orderBy("ds"))
    events = once.withColumn("_again", again).select(
        entity, "input", F.explode(F.array(*_events(counts))).alias("_")
    )
    return events.groupBy(entity, F.col("_.at").alias("ds")).agg(
        *[F.sum(F.when(_touches(inputs, count), F.col("_.change"))).alias(count.name) for count in counts]
    )


def _events(counts: list[_Count]) -> Iterator[Column]:
    """A birth, which all windows share, and a death per window."""
    yield _event(F.col("ds"), 0, 1)
    for length in sorted({days(count.window) for count in counts}):
        yield _event(F.least("_again", F.date_add("ds", length)), length, -1)


def _event(at: Column, length: int, change: int) -> Column:
    return F.struct(at.alias("at"), F.lit(length).alias("length"), F.lit(change).alias("change"))


def _touches(inputs: list[str], count: _Count) -> Column:
    mine = F.col("input") == inputs.index(count.feature.input)
    return mine & F.col("_.length").isin(0, days(count.window))
