"""As-of joins in one pass: labels and histories in one frame, ordered by time, the newest row carried along.

Every history brings one struct per row (`features.joins.histories` says what is in it). The greatest struct so
far is the row that a label gets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from features.joins.hot_keys import HotKeys, union_rows

# A row of a label's own instant counts for it, so it sorts first.
BEFORE, AT = 0, 1
# Labels without a key match nothing; as one group they may be the largest, sorted by a single task.
SPREAD = 64


def join_as_of(
    labels: DataFrame, keys: Sequence[str], at: str, histories: Mapping[str, DataFrame], hot: HotKeys | None
) -> DataFrame:
    """`labels` and, per history, the struct of its greatest row up to the label's instant, or null.

    Args:
        histories: name of the struct column -> key parts k0, k1 ..., never null, `time`, and that struct.
    """
    parts = [f"k{n}" for n in range(len(keys))]
    # one shuffle and one sort for all tables of the same keys; a join by inequality would be keys times instants
    label_rows = labels.select(
        *[F.col(key).alias(part) for key, part in zip(keys, parts, strict=True)],
        F.col(at).alias("time"),
        # One struct, so that labels and histories, whose columns differ, can be rows of one frame.
        F.struct(*labels.columns).alias("label"),
        F.lit(AT).alias("side"),
    )
    history_rows = [history.withColumn("side", F.lit(BEFORE)) for history in histories.values()]
    structs = list(histories)
    if hot is None:
        branches = [
            label_rows.withColumn("bracket", spread_keyless(parts, F.lit(0))),
            *[rows.withColumn("bracket", F.lit(0)) for rows in history_rows],
        ]
    else:
        branches = hot.cut_by_time(label_rows, history_rows, structs, spread_keyless(parts, F.lit(0)))
    return _carry_newest(reduce(union_rows, branches), parts, structs)


def spread_keyless(parts: Sequence[str], otherwise: Column) -> Column:
    """`otherwise`, or any number below 0 where a part of the key is null: no history row has such a bracket."""
    keyless = reduce(Column.__or__, [F.col(part).isNull() for part in parts])
    anywhere = (-1 - F.monotonically_increasing_id() % SPREAD).cast("int")
    return F.when(keyless, anywhere).otherwise(otherwise)


def _carry_newest(rows: DataFrame, parts: Sequence[str], structs: Sequence[str]) -> DataFrame:
    # The greatest struct, not the last row that has one: with `as_published`, a row that became available late
    # may describe an earlier instant than the row before it.
    until_now = (
        Window.partitionBy(*parts, "bracket")
        .orderBy("time", "side")
        .rowsBetween(Window.unboundedPreceding, Window.currentRow)
    )
    newest = [F.max(struct).over(until_now).alias(struct) for struct in structs]
    # the window is over all rows, so labels are picked after it and not before
    return rows.select("label", "side", *newest).where(F.col("side") == AT).select("label.*", *structs)
