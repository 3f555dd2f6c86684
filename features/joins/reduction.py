"""Less to shuffle: rows that no label can get are dropped where they are read.

That takes a second look at the labels, so it is done only where they come straight from a source: a
label that is costly to compute is computed once, and one that is random has one value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

# Nodes of a logical plan that cost next to nothing compared with reading. A node of a newer Spark that is missing here
# costs the reduction, and changes no result.
CHEAP_NODES = {
    "Project", "Filter", "SubqueryAlias", "LocalRelation", "LogicalRelation", "LogicalRDD", "Range",
    "InMemoryRelation", "DataSourceV2ScanRelation", "Union",
}  # fmt: skip

# Labels of one key up to which a row's neighbours among them are searched for
MOST_MOMENTS = 64


def is_rereadable(df: DataFrame) -> bool:
    """Whether `df` is a source with columns and rows picked from it."""
    plan = _plan(df)
    return plan is not None and plan.deterministic() and _is_cheap(plan)


def size(df: DataFrame) -> int:
    """Bytes, as Spark estimates them when it chooses between joins; no job."""
    plan = _plan(df)
    # unknown is large, as it is to Spark
    return int(plan.stats().sizeInBytes()) if plan is not None else 2**63 - 1


def is_broadcastable(df: DataFrame) -> bool:
    """Whether Spark would send `df` to every task without a hint."""
    execution = getattr(df, "_jdf", None)
    if execution is None:
        return False
    return size(df) <= int(execution.sparkSession().sessionState().conf().autoBroadcastJoinThreshold())


def semi_join_labels(history: DataFrame, labels: DataFrame, on: Sequence[str]) -> DataFrame:
    """Rows of `history` that share the columns `on` with `labels`, and, one in 2^64, some that do not.

    All of them where that would be a shuffle.
    """
    # a table of single longs is looked up twice as fast as one of rows, and every row of a history is looked up
    if not is_broadcastable(labels.select(*on)):
        return history
    hashed = F.xxhash64(*on)
    hashes = labels.select(hashed.alias("hash"))
    return history.join(F.broadcast(hashes), hashed == hashes["hash"], "left_semi")


def keep_newest_per_label(history: DataFrame, labels: DataFrame, parts: Sequence[str], row: str) -> DataFrame:
    """Rows of `history` (key parts, `time`, struct `row`), every row that `labels` get as of its `time` among them."""
    # Of the rows between two neighbouring labels of a key only the newest can be one. Keys and times alone say which,
    # so the wide rows that are dropped are never shuffled nor sorted.
    if not is_broadcastable(labels):
        return history
    moments = labels.groupBy(*parts).agg(F.collect_set("time").alias("moments"))
    few = F.size("moments") <= MOST_MOMENTS
    newest = _newest_before_each_label(history, moments.where(few), parts, row)
    between = history.withColumn("feature_at", F.col(f"{row}.feature_at"))
    newest_rows = between.join(F.broadcast(newest), [*parts, "feature_at"], "left_semi").drop("feature_at")
    # for keys with more labels the search for the neighbours would cost more than it saves
    return newest_rows.unionByName(history.join(F.broadcast(moments.where(~few)), list(parts), "left_semi"))


def _newest_before_each_label(
    history: DataFrame, moments: DataFrame, parts: Sequence[str], row: str
) -> DataFrame:
    """The newest feature_at between any two labels."""
    # no more of them than labels, which are few enough to broadcast: so are these
    times = history.select(*parts, "time", F.col(f"{row}.feature_at").alias("feature_at"))
    next_label = F.array_min(F.filter("moments", lambda moment: moment >= F.col("time")))
    candidates = times.join(F.broadcast(moments), list(parts)).withColumn("next", next_label)
    by_label = candidates.where(F.col("next").isNotNull()).groupBy(*parts, "next")
    return by_label.agg(F.max("feature_at").alias("feature_at")).select(*parts, "feature_at")


def _plan(df: DataFrame) -> Any:
    execution = getattr(df, "_jdf", None)  # Spark Connect has none
    return execution.queryExecution().optimizedPlan() if execution is not None else None


def _is_cheap(plan: Any) -> bool:
    children = plan.children()
    return plan.nodeName().split(" ")[0] in CHEAP_NODES and all(
        _is_cheap(children.apply(n)) for n in range(children.size())
    )
