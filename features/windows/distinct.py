"""distinct: exact counts of different values over many windows of many days, without holding a set.

For a few days, as of a night: a row per value with a bit for each day that has it, of which each window of
each day is a mask. Rows are added up where the plays are read and spread by value, so that neither a track with
a twentieth of all plays nor a bot makes one task larger than the others.

For many days, as of a backfill: a value that an entity has on day d counts in a window of w days from d on, until it
has it again (which counts from then on) or the window has left d behind. So each value of each day is one birth at d
and, per window, one death at min(next day it has it, d + w); the count on any day is the running sum of births less
deaths. That is linear in the plays, whatever the windows and days.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from functools import reduce
from typing import NamedTuple

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from features.windows.operations import FeatureWindows, filtered_input
from schemas.declarations import FeatureGroup, window_days

# Of a first to a last day to describe, up to which a row per value and day is less than its births and deaths. Decides
# speed alone.
FEW_DAYS = 10
# Days in a word: bit 63 of a bigint is its sign.
WORD = 63
# Working columns, which no key can be: which of the inputs a value is of, and it; where counts over windows of a length
# rise or fall, and by what.
SOURCE, VALUE = "_source", "_value"
CHANGED_AT, LENGTH, CHANGE = "_changed_at", "_length", "_change"


class DistinctCount(NamedTuple):
    """One column to count: its name, the days of its window, and the input and the filter of its values."""

    name: str
    days: int
    source: tuple[str, str]


def add_distinct_counts(
    feature_rows: DataFrame, plays: DataFrame, group: FeatureGroup, days: Sequence[date]
) -> DataFrame:
    """`feature_rows` (keys, ds, …) with the group's distinct counts on some days; null for none.

    Args:
        plays: those that count for the group, of the longest window of these at least.
    """
    counts = list_counts(group.feature_windows)
    if not counts:
        return feature_rows
    lookback = timedelta(days=max(count.days for count in counts))
    recent = plays.where((F.col("ds") > F.lit(min(days) - lookback)) & (F.col("ds") <= F.lit(max(days))))
    are_few = (max(days) - min(days)).days < FEW_DAYS
    count_days = count_by_masks if are_few else count_by_changes
    # An entity whose plays are all older than its windows has no count here, and the default says 0.
    counts_by_day = count_days(recent, group.keys, counts, sorted(set(days)))
    return feature_rows.join(counts_by_day, [*group.keys, "ds"], "left")


def list_counts(features: FeatureWindows) -> list[DistinctCount]:
    return [
        DistinctCount(f.name(w), window_days(w), (f.input, f.where))
        for f, w in features
        if f.op == "distinct"
    ]


def count_by_masks(
    plays: DataFrame, keys: Sequence[str], counts: list[DistinctCount], days: Sequence[date]
) -> DataFrame:
    """Per entity and day, each count.

    Args:
        plays: none of after the last of the days.
        days: in order.
    """
    first = days[0] - timedelta(days=max(count.days for count in counts) - 1)
    words = range((days[-1] - first).days // WORD + 1)
    n = F.datediff("ds", F.lit(first))
    bit = F.call_function("shiftleft", F.lit(1).cast("bigint"), (n % WORD).cast("int"))
    days_of_values = (
        select_values(plays, counts, [*keys, "ds"])
        .groupBy(*keys, SOURCE, VALUE)
        .agg(*[F.bit_or(F.when(F.floor(n / WORD) == word, bit)).alias(f"_word_{word}") for word in words])
    )
    # a row per value and day that is described, whatever its windows
    described = [
        F.struct(
            F.lit(day).alias("ds"), *[_is_in_window(day, each, first).alias(each.name) for each in counts]
        )
        for day in days
    ]
    in_windows = days_of_values.select(*keys, SOURCE, F.inline(F.array(*described)))
    sources = _list_sources(counts)
    is_counted = {c.name: F.col(c.name) & (F.col(SOURCE) == sources.index(c.source)) for c in counts}
    sizes = [F.count_if(condition).alias(name) for name, condition in is_counted.items()]
    return in_windows.groupBy(*keys, "ds").agg(*sizes)


def _is_in_window(day: date, count: DistinctCount, first: date) -> Column:
    """Whether a value has one of the days of a window, by its words of bits from the day `first` on."""
    end = (day - first).days + 1
    bits = sum(1 << n for n in range(end - count.days, end))
    words = {i: bits >> i * WORD & (1 << WORD) - 1 for i in range(end // WORD + 1)}
    has_day = [
        F.col(f"_word_{i}").bitwiseAND(F.lit(word).cast("bigint")) != 0 for i, word in words.items() if word
    ]
    # a word is null where the value has none of its days
    return F.coalesce(reduce(Column.__or__, has_day), F.lit(False))


def count_by_changes(
    plays: DataFrame, keys: Sequence[str], counts: list[DistinctCount], days: Sequence[date]
) -> DataFrame:
    """The same, for any number of days; an entity may have nulls, or no row, where none of its plays has a value."""
    # The days to describe are put among the changes, from an entity's first play here on, each to be given the sum
    # of all changes up to it; the default frame contains the whole current day, so its own births and deaths count.
    since = F.filter(F.array(*[F.lit(day) for day in days]), lambda day: day >= F.col("_first"))
    first = plays.groupBy(*keys).agg(F.min("ds").alias("_first"))
    requested_days = first.select(*keys, F.explode(since).alias("ds"), F.lit(True).alias("_described"))
    until_today = Window.partitionBy(*keys).orderBy("ds")
    running = {count.name: F.sum(count.name).over(until_today) for count in counts}
    changes = _changes(plays, keys, counts)
    running_counts = requested_days.unionByName(changes, allowMissingColumns=True).withColumns(running)
    return running_counts.where("_described").drop("_described")


def _list_sources(counts: Sequence[DistinctCount]) -> list[tuple[str, str]]:
    return list(dict.fromkeys(count.source for count in counts))


def select_values(plays: DataFrame, counts: Sequence[DistinctCount], by: Sequence[str]) -> DataFrame:
    """A row for each play and each `source`, by its number, that has a value there."""
    values = [
        F.struct(F.lit(i).alias(SOURCE), filtered_input(sql, where).cast("string").alias(VALUE))
        for i, (sql, where) in enumerate(_list_sources(counts))
    ]
    return plays.select(*by, F.inline(F.array(*values))).where(F.col(VALUE).isNotNull())


def _changes(plays: DataFrame, keys: Sequence[str], counts: list[DistinctCount]) -> DataFrame:
    """Per entity and day, how much each count rises or falls there; null where it does not."""
    # A row per value and day, not per play. collect_set instead fell back to a sort-based aggregation, and took three
    # minutes for 65,000 rows. By the keys alone: the windows and the sum that follow are by these and more, and need
    # no other shuffle.
    values_by_day = select_values(plays, counts, [*keys, "ds"]).distinct().repartition(*keys)
    next_day = F.lead("ds").over(Window.partitionBy(*keys, SOURCE, VALUE).orderBy("ds"))
    # a birth, which all windows share, of length 0; and a death per window. least() passes over a null `_again`.
    changes = [change_at(F.col("ds"), 0, 1)]
    for days in sorted({count.days for count in counts}):
        changes.append(change_at(F.least("_again", F.date_add("ds", days)), days, -1))
    values_by_day = values_by_day.withColumn("_again", next_day)
    events = values_by_day.select(*keys, SOURCE, F.inline(F.array(*changes)))
    return sum_changes(events.withColumnRenamed(CHANGED_AT, "ds"), counts, [*keys, "ds"])


def sum_changes(events: DataFrame, counts: Sequence[DistinctCount], by: Sequence[str]) -> DataFrame:
    """How much each count rises or falls; of the births and deaths of a length, or of length 0 for all."""
    sources, sums = _list_sources(counts), []
    for count in counts:
        applies = (F.col(SOURCE) == sources.index(count.source)) & F.col(LENGTH).isin(0, count.days)
        sums.append(F.sum(F.when(applies, F.col(CHANGE))).alias(count.name))
    return events.groupBy(*by).agg(*sums)


def change_at(at: Column, length: int, change: int) -> Column:
    return F.struct(at.alias(CHANGED_AT), F.lit(length).alias(LENGTH), F.lit(change).alias(CHANGE))
