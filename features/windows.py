"""Windows over days: what an entity's plays add up to, as declared.

Plays are folded once into a partial aggregate per entity and day; every window of every day is a
merge of those. Days and windows both begin at midnight UTC, so a window is exactly [t - w, t).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from features.distinct import with_distinct_counts
from features.operations import partials, totals, values
from schemas.declarations import FeatureGroup


def window_features(sessions: DataFrame, group: FeatureGroup, days: Sequence[date]) -> DataFrame:
    """One row per entity and day of `days`, for entities with a play before the end of that day.

    Args:
        sessions: every play since the entity's first, as in table `sessions`.
        days: the days to describe, one or more, in any order. N days cost one pass, not N.
    """
    if not days:
        raise ValueError("window_features: no days to describe; give one or more")
    heard = sessions.where(group.where).where(F.col("ds") <= F.lit(max(days)))
    # By entity alone from here on: what follows needs no other order, and a day's fold of even the
    # most played track is one row, so no task gets more than an entity's number of days.
    daily = heard.groupBy(group.entity, "ds").agg(*partials(group)).repartition(group.entity)
    # A partial is copied to each asked-for day that it is a part of: no join, no second shuffle
    # of the plays, and for a single day no copies at all.
    asked = F.array(*[F.lit(day) for day in sorted(days)])
    described = F.explode(F.filter(asked, lambda day: day >= F.col("ds"))).alias("_day")
    aged = daily.select("*", described).withColumn("_age", F.datediff("_day", "ds")).drop("ds")
    summed = aged.groupBy(group.entity, F.col("_day").alias("ds")).agg(*totals(group))
    described_days = summed.select(group.entity, "ds", *values(group))
    return with_distinct_counts(described_days, heard, group, days).withColumn(
        "feature_at", F.date_add("ds", 1).cast("timestamp")
    )
