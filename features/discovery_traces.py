"""Discovery traces: on which days after a discovery its item was played again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from functools import reduce
from typing import NamedTuple

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from features.joins.ripeness import CENSORED, UNRIPE, add_erasures
from schemas.discovery_traces import TracedItem


class Observed(NamedTuple):
    """What is known of the discoveries of a day."""

    days: int
    status: str


def trace_discoveries(
    play_rewards: DataFrame,
    partials: Mapping[str, DataFrame],
    items: Sequence[TracedItem],
    observed: Mapping[date, Observed],
    erased: Mapping[str, datetime] | None = None,
) -> DataFrame:
    """Rows of `discovery_traces`, of the discoveries of the days of `observed`.

    Args:
        partials: by the name of their table, of the days after these that were observed.
        erased: by the SHA-256 of a listener's id, the last instant before which their plays were erased.
    """
    of_days = [(day, *each) for day, each in observed.items()]
    days = play_rewards.sparkSession.createDataFrame(of_days, "ds date, days_observed int, status string")
    found = reduce(
        DataFrame.unionByName,
        (_trace(play_rewards, days, partials[item.group.partials_table], item) for item in items),
    )
    return _censor(found, erased) if erased else found


def _trace(play_rewards: DataFrame, days: DataFrame, partials: DataFrame, item: TracedItem) -> DataFrame:
    discoveries = _find_discoveries(play_rewards, item).join(F.broadcast(days), "ds", "left")
    # every day and item has one: what comes to null is to the planner what may be
    rows = discoveries.withColumns(
        {
            "item_id": F.coalesce("item_id", F.lit("")),
            "days_observed": F.coalesce("days_observed", F.lit(0)),
            "status": F.coalesce("status", F.lit(UNRIPE)),
        }
    )
    active = partials.where("span = 1").select(
        F.col("user_id").alias("_user"), F.col(item.column).alias("_item"), F.col("ds").alias("_active")
    )
    matches = [rows["user_id"] == active["_user"], rows["item_id"] == active["_item"]]
    matches += [
        active["_active"] > rows["ds"],
        active["_active"] <= F.date_add(rows["ds"], rows["days_observed"]),
    ]
    bit = F.expr("shiftleft(1L, datediff(_active, ds) - 1)")
    trace = F.coalesce(F.bit_or(bit), F.lit(0)).alias("trace")
    return rows.join(active, matches, "left").groupBy(*rows.columns).agg(trace)


def _find_discoveries(play_rewards: DataFrame, item: TracedItem) -> DataFrame:
    # plays at one instant are all discoveries, as none is before another
    order = Window.partitionBy("user_id", item.column, "ds").orderBy("played_at", "play_id")
    found = play_rewards.where(F.col(item.reward)).withColumn("_row", F.row_number().over(order))
    return found.where("_row = 1").select(
        "play_id",
        "user_id",
        F.lit(item.type).alias("item_type"),
        F.col(item.column).alias("item_id"),
        F.col("played_at").alias("discovered_at"),
        "ds",
    )


def _censor(rows: DataFrame, erased: Mapping[str, datetime]) -> DataFrame:
    # the plays that would have set bits are gone
    joined, erased_at = add_erasures(rows, erased)
    lost = F.coalesce(F.unix_micros("discovered_at") < erased_at, F.lit(False))
    unknown = {"trace": F.lit(None).cast("bigint"), "days_observed": F.lit(0), "status": F.lit(CENSORED)}
    kept = {name: F.when(lost, value).otherwise(F.col(name)) for name, value in unknown.items()}
    return joined.withColumns(kept).select(rows.columns)
