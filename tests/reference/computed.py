"""What the engine makes of a world: its partials, and features from those."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from pyspark.sql import DataFrame, SparkSession

from features.windows.daily import window_features
from features.windows.partials import partial_rows
from reference.frames import frame, rows
from reference.rows import Row, assert_same
from reference.windows import snap_to_expected
from reference.windows import window_features as expected_features
from schemas.declarations import FeatureGroup
from schemas.sessions import SESSIONS


def calendar(world: Iterable[Row], feature_days: Iterable[date]) -> list[date]:
    """Every day from the first play, or the first of `feature_days`, to the last of `feature_days`."""
    feature_days = list(feature_days)
    first = min([*feature_days, *(play["ds"] for play in world)])
    return [first + timedelta(days=n) for n in range((max(feature_days) - first).days + 1)]


def features_of(
    sessions: DataFrame, group: FeatureGroup, days: Sequence[date], feature_days: Sequence[date]
) -> list[Row]:
    """Features of the days `feature_days`, from partials that were made of `days` at once."""
    group_partials = partial_rows(sessions, group, days, None).localCheckpoint()
    return rows(window_features(group_partials, sessions, group, feature_days), group.contract())


def features(
    spark: SparkSession, world: list[Row], group: FeatureGroup, feature_days: Sequence[date]
) -> list[Row]:
    return features_of(frame(spark, world, SESSIONS), group, calendar(world, feature_days), feature_days)


def assert_features_as_defined(
    spark: SparkSession, world: list[Row], group: FeatureGroup, feature_days: Sequence[date]
) -> None:
    expected, key = expected_features(world, group, feature_days), (*group.keys, "ds")
    assert expected, "nothing is expected, so this shows nothing"
    actual = snap_to_expected(expected, features(spark, world, group, feature_days), key)
    assert_same(expected, actual, key, world, group.keys[0])


def partials(
    spark: SparkSession, world: list[Row], group: FeatureGroup, chunks: Sequence[Sequence[date]]
) -> list[Row]:
    """The partials of all days, made chunk after chunk, each from what the ones before left."""
    sessions, earlier = frame(spark, world, SESSIONS), None
    for days in chunks:
        group_partials = partial_rows(sessions, group, days, earlier).localCheckpoint()
        earlier = group_partials if earlier is None else earlier.unionByName(group_partials)
    return [] if earlier is None else rows(earlier, group.partials_contract())
