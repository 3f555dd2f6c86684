"""What the engine makes of a world: its partials, and features from those."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from pyspark.sql import DataFrame, SparkSession

from features.windows.daily import window_features
from features.windows.partials import partial_rows
from reference.frames import frame, rows
from reference.rows import Row
from schemas.declarations import FeatureGroup
from schemas.sessions import SESSIONS


def calendar(world: Iterable[Row], over: Iterable[date]) -> list[date]:
    """Every day from the first play, or the first of `over`, to the last of `over`."""
    over = list(over)
    first = min([*over, *(play["ds"] for play in world)])
    return [first + timedelta(days=n) for n in range((max(over) - first).days + 1)]


def features_of(
    sessions: DataFrame, group: FeatureGroup, days: Sequence[date], over: Sequence[date]
) -> list[Row]:
    """Features of the days `over`, from partials that were made of `days` at once."""
    made = partial_rows(sessions, group, days, None).localCheckpoint()
    return rows(window_features(made, sessions, group, over), group.contract())


def features(spark: SparkSession, world: list[Row], group: FeatureGroup, over: Sequence[date]) -> list[Row]:
    return features_of(frame(spark, world, SESSIONS), group, calendar(world, over), over)


def partials(
    spark: SparkSession, world: list[Row], group: FeatureGroup, chunks: Sequence[Sequence[date]]
) -> list[Row]:
    """The partials of all days, made chunk after chunk, each from what the ones before left."""
    sessions, earlier = frame(spark, world, SESSIONS), None
    for days in chunks:
        made = partial_rows(sessions, group, days, earlier).localCheckpoint()
        earlier = made if earlier is None else earlier.unionByName(made)
    return [] if earlier is None else rows(earlier, group.partials_contract())
