"""Thresholds of rewards: quantiles by groups of plays, and by their parents where groups are small."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from schemas.reward_thresholds import Threshold


def select_plays(
    rewards: DataFrame, plays: DataFrame | None, tracks: DataFrame, threshold: Threshold
) -> DataFrame:
    """`user_id`, `value`, and a column for each group, of plays whose reward is a finite number and that are by no bot.

    Args:
        rewards: rows of `play_rewards` of the days.
        plays: the same of `sessions`; None where no group reads them.
        tracks: the catalogue; an empty one where there is none, whose columns are null.
    """
    named = threshold.columns
    value = F.col(threshold.reward).cast("double")
    # to Spark NaN is more than infinity: one of either would make the quantile of its group NaN, and no play over it
    is_finite = F.abs(value) < float("inf")
    rows = rewards.where(is_finite & ~F.col("is_bot")).select(
        "play_id", "user_id", "track_id", value.alias("_value")
    )
    of_play = [name for name in named if plays is not None and name in plays.columns]
    if plays is not None and (more := [name for name in of_play if name not in rows.columns]):
        rows = rows.join(plays.select("play_id", *more), "play_id", "left")
    of_track = [name for name in named if name not in rows.columns]
    if of_track:
        rows = rows.join(tracks.select("track_id", *of_track), "track_id", "left")
    groups = [F.expr(sql).cast("string").alias(_group_name(name)) for name, sql in threshold.by.items()]
    return rows.select("user_id", F.col("_value").alias("value"), *groups)


def compute_thresholds(
    plays: DataFrame, threshold: Threshold, days: tuple[date, date], ds: date
) -> DataFrame:
    """Rows of `reward_thresholds`: one for each group of these plays, and of each that it is part of.

    Args:
        plays: as `select_plays` gives them.
        days: the first and the last of them.
    """
    groups = _count_groups(plays, threshold)
    is_enough = (F.col("plays") >= threshold.min_plays) & (F.col("listeners") >= threshold.min_listeners)
    enough = groups.where(is_enough).select(
        F.col("group_values").alias("_parent"), F.struct("level", "own_value").alias("_found")
    )
    parents = groups.select("*", F.explode("_keys").alias("_parent")).join(enough, "_parent", "left")
    own = ("level", "group_values", "plays", "listeners")
    rows = parents.groupBy(*own).agg(F.max("_found").alias("_nearest"))
    found = rows.select(*own, "_nearest.level", "_nearest.own_value").toDF(*own, "value_level", "value")
    own_value = F.when(F.col("value_level") == F.col("level"), F.col("value"))
    constants: Mapping[str, Column] = {
        "threshold": F.lit(threshold.name),
        "reward": F.lit(threshold.reward),
        "quantile": F.lit(float(threshold.quantile)),
        "by": F.array(*map(F.lit, threshold.by)) if threshold.by else F.array().cast("array<string>"),
        "first_day": F.lit(days[0]),
        "last_day": F.lit(days[1]),
        "ds": F.lit(ds),
    }
    return found.withColumns({**constants, "own_value": own_value})


def _count_groups(plays: DataFrame, threshold: Threshold) -> DataFrame:
    """Each group with its level, its key and those of all that it is part of."""
    names = [_group_name(name) for name in threshold.by]
    totals = [
        F.count("*").alias("plays"),
        F.countDistinct("user_id").alias("listeners"),
        F.percentile("value", float(threshold.quantile)).alias("own_value"),
    ]
    # a value that is null is a group, and no group without it
    counted = plays.rollup(*names).agg(F.grouping_id().alias("_left_out"), *totals) if names else None
    groups = plays.agg(F.lit(0).cast("bigint").alias("_left_out"), *totals) if counted is None else counted
    level = F.lit(len(names)) - F.bit_count("_left_out")
    keys = [_make_key(list(threshold.by)[:n]) for n in range(len(names) + 1)]
    groups = groups.where("plays > 0").withColumns({"level": level, "_all": F.array(*keys)})
    # what comes to null is to the planner what may be
    own = F.coalesce(F.element_at("_all", F.col("level") + 1), F.lit("{}"))
    return groups.withColumns({"_keys": F.slice("_all", 1, F.col("level") + 1), "group_values": own})


def _group_name(name: str) -> str:
    return f"_group_{name}"


def _make_key(names: list[str]) -> Column:
    if not names:
        return F.lit("{}")
    values = F.struct(*(F.col(_group_name(name)).alias(name) for name in names))
    return F.to_json(values, {"ignoreNullFields": "false"})
