"""Less to shuffle: rows that no label can get are dropped where they are read.

That takes a second look at the labels, so it is done only where they come straight from a source: a
label that is costly to compute is computed once, and one that is random has one value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

# Nodes of a logical plan that cost next to nothing compared with reading. A node of a newer Spark that is missing here
# costs the reduction, and changes no result.
CHEAP_NODES = {
    "Project", "Filter", "SubqueryAlias", "LocalRelation", "LogicalRelation", "LogicalRDD", "Range",
    "InMemoryRelation", "DataSourceV2ScanRelation", "Union",
}  # fmt: skip


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


def hash_key(*columns: Column | str) -> Column:
    """A long by which rows are looked up: a table of single longs is twice as fast as one of rows."""
    return F.xxhash64(*columns)


def semi_join_labels(histories: Sequence[DataFrame], labels: DataFrame, on: Sequence[str]) -> list[DataFrame]:
    """Rows of each history that share the columns `on` with `labels`, and, one in 2^64, some that do not.

    All of them where that would be a shuffle.
    """
    if not is_broadcastable(labels.select(*on)):
        return list(histories)
    hashed = hash_key(*on)
    hashes = F.broadcast(labels.select(hashed.alias("hash")))
    return [history.join(hashes, hashed == F.col("hash"), "left_semi") for history in histories]


def _plan(df: DataFrame) -> Any:
    execution = getattr(df, "_jdf", None)  # Spark Connect has none
    return execution.queryExecution().optimizedPlan() if execution is not None else None


def _is_cheap(plan: Any) -> bool:
    children = plan.children()
    return plan.nodeName().split(" ")[0] in CHEAP_NODES and all(
        _is_cheap(children.apply(n)) for n in range(children.size())
    )
