"""What impressions were worth: the rewards of the plays that they led to."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from features.joins.ripeness import RIPE
from features.rewards import add_day_statuses
from schemas.attributions import OF_IMPRESSION, AttributionRule
from schemas.impression_rewards import ImpressionRewards
from schemas.rewards import AT_ONCE, status_name

# The columns of the play's own statuses, while the impression's are there too.
_OF_PLAY = "_of_play_"


def reward_impressions(
    impressions: DataFrame,
    attributions: DataFrame,
    play_rewards: DataFrame,
    declared: ImpressionRewards,
    statuses: Mapping[date, Mapping[str, str]],
) -> DataFrame:
    """Rows of `impression_rewards`, one for each of these impressions and each rule by which it can lead to a play.

    Args:
        impressions: of the days that `statuses` has.
        attributions: all that these impressions led to.
        play_rewards: of the plays of these.
        statuses: by day and horizon of the play, whether plays can still come and whether that is over for all of them.
    """
    shown = reduce(
        DataFrame.unionByName, (_select(impressions, rule) for rule in declared.attributions.rules)
    )
    rows = add_day_statuses(shown, declared.horizons, statuses)
    rows = rows.join(_find_first_plays(attributions), ["impression_id", "rule_id"], "left")
    rows = rows.join(_select_rewards(play_rewards, declared), "play_id", "left")
    is_over = F.col(status_name(AT_ONCE)) == RIPE
    # a play that a late impression leads to tomorrow may be an earlier one
    led_to = {
        "plays": F.when(is_over, F.coalesce("plays", F.lit(0))),
        "play_id": F.when(is_over, F.col("play_id")),
        "delay_ms": F.when(is_over, F.col("delay_ms")),
    }
    # over for the day, and yet not known for a play of a listener who was erased
    own = {
        name: F.when(F.col(name) == RIPE, F.coalesce(F.col(_OF_PLAY + name), F.lit(RIPE))).otherwise(
            F.col(name)
        )
        for name in map(status_name, declared.rewards.horizons)
    }
    rows = rows.withColumns({**led_to, **own})
    rewards = [
        F.when(F.col(declared.status_of(each)) == RIPE, F.col(each.name)).alias(each.name)
        for each in declared.rewards.rewards
    ]
    names = (*OF_IMPRESSION, "user_id", "rule_id", *led_to)
    return rows.select(*names, *rewards, *map(status_name, declared.horizons), "ds")


def _select(impressions: DataFrame, rule: AttributionRule) -> DataFrame:
    can_lead = impressions.where(rule.where).where(F.col("item_type").isin(list(rule.items)))
    return can_lead.select(*OF_IMPRESSION, "user_id", "ds", F.lit(rule.name).alias("rule_id"))


def _find_first_plays(attributions: DataFrame) -> DataFrame:
    first = F.min(F.struct("played_at", "play_id", "delay_ms")).alias("_first")
    plays = attributions.groupBy("impression_id", "rule_id").agg(F.count("*").alias("plays"), first)
    return plays.select("impression_id", "rule_id", "plays", "_first.play_id", "_first.delay_ms")


def _select_rewards(play_rewards: DataFrame, declared: ImpressionRewards) -> DataFrame:
    statuses = [F.col(n).alias(_OF_PLAY + n) for n in map(status_name, declared.rewards.horizons)]
    return play_rewards.select("play_id", *(r.name for r in declared.rewards.rewards), *statuses)
