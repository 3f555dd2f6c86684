"""Which play each impression led to, by rules."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import reduce

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType

from features.ingest import select_event_columns
from schemas.attributions import ATTRIBUTIONS, OF_IMPRESSION, OF_PLAY, AttributionRule

# What both kinds of events have; the window puts them in one order.
_ITEM = ("user_id", "item_type", "item_id")


def attribute_plays(plays: DataFrame, impressions: DataFrame, rules: Sequence[AttributionRule]) -> DataFrame:
    """Rows of `attributions`: the plays that an impression led to, each once for each rule.

    A play at T is led to by impressions from (T - window, T]; so those of an impression at S lie in [S, S + window).

    Args:
        plays: rows of `sessions`, with the columns of the catalogue that name items.
        impressions: all of a window before these plays, at least.
    """
    rows = reduce(DataFrame.unionByName, (_apply(rule, plays, impressions) for rule in rules))
    return select_event_columns(rows, ATTRIBUTIONS)


def _apply(rule: AttributionRule, plays: DataFrame, impressions: DataFrame) -> DataFrame:
    events = _select_impressions(rule, impressions)
    for item_type, column in sorted(rule.items.items()):
        events = events.unionByName(_select_plays(plays, item_type, column), allowMissingColumns=True)
    # at one instant impressions come before plays, as 0 does before 1
    item = Window.partitionBy(*_ITEM).orderBy("_at", "_is_play")
    last = F.max("_impression").over(item.rowsBetween(Window.unboundedPreceding, Window.currentRow))
    delay = F.col("_at") - F.unix_micros("_last.shown_at")
    pairs = events.withColumn("_last", last).withColumn("_delay", delay).where("_is_play = 1")
    # null, so left out, where nothing was shown before
    pairs = pairs.where(F.col("_delay") < rule.length // timedelta(microseconds=1))
    if len(rule.items) > 1 or any(_is_list(plays, column) for column in rule.items.values()):
        # what was shown as a track and as its artist, or on two playlists: the last of all
        last = F.max(F.struct("_last", "_play", "_delay")).alias("_best")
        pairs = pairs.groupBy("_play.play_id").agg(last).select("_best.*")
    return pairs.select(
        F.sha1(F.concat_ws("\x1f", F.lit(rule.name), "_play.play_id")).alias("attribution_id"),
        F.lit(rule.name).alias("rule_id"),
        *(f"_last.{name}" for name in OF_IMPRESSION),
        *(f"_play.{name}" for name in OF_PLAY),
        F.expr("_delay div 1000").alias("delay_ms"),
        "_play.ds",
    )


def _select_impressions(rule: AttributionRule, impressions: DataFrame) -> DataFrame:
    ordered = ("shown_at", "impression_id")
    # By these in turn one impression is greater than another, nulls being least: the later; of one instant that which
    # was in view, then what nobody measured; then the nearer to the top; then the greater id, mostly the younger.
    impression = F.struct(
        "shown_at",
        F.coalesce(F.col("seen").cast("int") * 2, F.lit(1)).alias("_in_view"),
        F.negative("shelf_position").alias("_shelf_height"),
        F.negative("position").alias("_height"),
        "impression_id",
        *(name for name in OF_IMPRESSION if name not in ordered),
    )
    counted = impressions.where(rule.where).where(F.col("item_type").isin(list(rule.items)))
    at, kind = F.unix_micros("shown_at").alias("_at"), F.lit(0).alias("_is_play")
    return counted.select(*_ITEM, at, kind, impression.alias("_impression"))


def _select_plays(plays: DataFrame, item_type: str, column: str) -> DataFrame:
    item_id = F.explode(F.array_distinct(column)) if _is_list(plays, column) else F.col(column)
    item = F.lit(item_type).alias("item_type"), item_id.alias("item_id")
    at, kind = F.unix_micros("played_at").alias("_at"), F.lit(1).alias("_is_play")
    play = F.struct(*OF_PLAY, "ds").alias("_play")
    return plays.select("user_id", *item, at, kind, play).where("item_id is not null")


def _is_list(plays: DataFrame, column: str) -> bool:
    return isinstance(plays.schema[column].dataType, ArrayType)
