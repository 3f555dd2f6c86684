"""Parts that are lists of values and their counts: folded and merged a row per value, so none is held at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from features.windows.folds import known
from schemas.parts import Part


def fold_items(daily: DataFrame, plays: DataFrame, parts: Sequence[Part], by: Sequence[str]) -> DataFrame:
    """`daily` (one row per `by`) with the list of each part, folded from the plays."""
    for part in parts:
        value = known(part.of, part.where)
        items = plays.select(*by, value.cast("string").alias("item")).where("item is not null")
        counted = items.groupBy(*by, "item").agg(F.count("*").alias("count"))
        daily = daily.join(_collect_items(counted, part, by), [*by], "left")
    return daily


def merge_items(merged: DataFrame, rows: DataFrame, parts: Sequence[Part], by: Sequence[str]) -> DataFrame:
    """`merged` (one row per `by`) with the lists of `rows` put together."""
    for part in parts:
        counted = count_items(rows, part, by, {"count": F.lit(True)}).select(*by, "item", "count")
        merged = merged.join(_collect_items(counted, part, by), [*by], "left")
    return merged


def count_items(rows: DataFrame, part: Part, by: Sequence[str], inside: Mapping[str, Column]) -> DataFrame:
    """One row per `by` and value, with its plays in the rows for which each condition is true."""
    items = rows.select(
        *by, *[c.alias(f"in {name}") for name, c in inside.items()], F.inline(f"`{part.name}`")
    )
    summed = [F.sum(F.when(F.col(f"in {name}"), F.col("count"))).alias(f"{name}") for name in inside]
    return items.groupBy(*by, "item").agg(*summed)


def _collect_items(counted: DataFrame, part: Part, by: Sequence[str]) -> DataFrame:
    """In the order of the values: the same plays, the same list."""
    pairs = F.sort_array(F.collect_list(F.struct("item", "count")))
    return counted.groupBy(*by).agg(pairs.alias(part.name))
