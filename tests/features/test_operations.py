"""Every operation, over windows that no table has, against its definition in plain Python."""

from __future__ import annotations

import pytest

from reference.computed import assert_features_as_defined, features
from reference.rows import midnight_after
from reference.worlds import DAY, MIDNIGHT, US, history, session_play
from schemas.declarations import LIFETIME, USER, USER_ARTIST, USER_TRACK, Feature, FeatureGroup
from schemas.operations import OPERATIONS

DS = MIDNIGHT.date()
T = MIDNIGHT + DAY
EDGES = (0, 0, 0, 1, 1, 2, 2, 3, 4, 7, 7, 14, 45, 45, 62, 90, 90, 365, 365, 400)  # days before t
ODD = ("1d", "2d", "45d")
LONG = ("7d", "365d", LIFETIME)
# Ranks that are no multiple of 1 / n: there an inclusive quantile and an exclusive one are the same value.
RANKS = (0.0, 0.1234567, 0.9076543, 1.0)

EVERYTHING = FeatureGroup(
    table="everything_features",
    keys=USER,
    meaning="every operation, per listener",
    features=(
        Feature("plays", "count", "play_id", "plays", (*ODD, *LONG)),
        Feature("saved_skips", "count", "saved", "plays", LONG, where="skipped"),
        Feature("ms_played", "sum", "ms_played", "ms", ODD),
        Feature("positions", "sum", "position", "integers that are no bigint", LONG),
        Feature("off_middle", "sum", "completion - 0.5d", "doubles of both signs", ODD, type="double"),
        Feature("completion", "mean", "completion", "share", LONG, default=-1.0),
        Feature("ms_played", "mean", "ms_played", "ms", ODD),
        Feature("over_30s", "min", "ms_played - 30000", "ms", LONG, type="bigint"),
        Feature("completion", "max", "completion", "share", ODD, where="not is_bot", default=0.0),
        Feature("ms_played", "variance", "ms_played", "ms^2", LONG),
        Feature("completion", "variance", "completion", "share^2", ODD, default=0.0),
        Feature("skips", "rate", "skipped", "share", LONG, where="completion >= 0.5"),
        Feature("long_plays", "rate", "ms_played > 30000", "share", ODD, type="boolean", default=0.5),
        Feature("heard", "ratio", "ms_played", "share", LONG, per="track_ms"),
        Feature("shares", "ratio", "completion", "doubles", ODD, per="completion - 0.5d", default=9.0),
        Feature("artists", "first", "artist_id", "id", ODD, default="nobody"),
        Feature("tracks", "last", "track_id", "id", LONG),
        Feature("skips", "last", "skipped", "yes or no", ODD),
        Feature("tracks", "last_k", "track_id", "ids", ODD, k=3),
        Feature("ms_played", "last_k", "ms_played", "ms", LONG, where="saved", k=2),
        Feature("tracks", "top_k", "track_id", "ids", LONG, k=2),
        Feature("positions", "top_k", "position * 10", "integers as text", ODD, k=1, where="not is_bot"),
        Feature("tracks", "distinct", "track_id", "tracks", ("1d", "2d", "45d", "90d")),
        Feature("artists", "distinct", "artist_id", "artists", ("7d",), where="skipped"),
        Feature("tracks", "approx_distinct", "track_id", "tracks", ("2d", "365d", LIFETIME)),
        Feature("completion", "percentiles", "completion", "shares", ODD, at=RANKS),
        Feature("ms_played", "percentiles", "ms_played", "ms", ("365d",), at=(1.0,), default=(0.0,)),
        Feature("ms_played", "histogram", "ms_played", "plays", LONG, edges=(0, 1, 30_000, 1_234_567)),
        Feature("completion", "histogram", "completion", "plays", ODD, edges=(1 / 3, 0.5)),
        Feature("plays", "hours", "played_at", "by hour", ("2d", LIFETIME)),
        Feature("artists", "entropy", "artist_id", "bits", ODD),
        Feature("positions", "entropy", "position", "bits", LONG, where="ms_played > 30000"),
        Feature("plays", "trend", "play_id", "growth", ("1d", "2d", "45d", "365d")),
        Feature("plays", "decayed", "played_at", "plays", ("1d", "45d", "365d")),
        Feature("skips", "decayed", "played_at", "skips", ("7d",), where="skipped"),
        Feature("plays", "streak", "played_at", "days", ("1d", "2d", "7d", "62d")),
        Feature("saves", "streak", "saved", "days", ("45d",), where="saved"),
        Feature("plays", "days_since_first", "played_at", "days", (LIFETIME,)),
        Feature("saves", "days_since_last", "played_at", "days", (LIFETIME,), where="saved", default=9999.0),
    ),
)
PEOPLE = FeatureGroup(
    table="people_features",
    keys=USER_TRACK,
    meaning="pairs, bots left out",
    where="not is_bot",
    features=(
        Feature("plays", "count", "play_id", "plays", ("1d", "7d", "90d")),
        Feature("plays", "trend", "play_id", "growth", ("2d", "45d")),
        Feature("skips", "rate", "skipped", "share", ("2d", "90d"), where="saved"),
        Feature("artists", "distinct", "artist_id", "artists", ("45d",)),
        Feature("artists", "top_k", "artist_id", "ids", ("45d",), k=1),
    ),
)
PAIRS = FeatureGroup(
    table="pair_features",
    keys=USER_ARTIST,
    meaning="pairs of which one side may be null",
    features=(Feature("tracks", "distinct", "track_id", "tracks", ("2d",)),),
)


def test_everything_declares_every_operation():
    assert {feature.op for feature in EVERYTHING.features} == OPERATIONS.keys()


@pytest.mark.product_settings
def test_features_of_every_operation_equal_the_definition(spark):
    world, feature_days = history(11, EDGES)
    days = [
        max(feature_days) - n * DAY for n in range(70)
    ]  # in a row, and more of them than a streak can have
    world += [
        session_play(play_id=f"{ds}", user_id="daily", played_at=midnight_after(ds) - US) for ds in days
    ]
    assert_features_as_defined(spark, world, EVERYTHING, feature_days)


def test_features_of_a_group_with_a_filter_equal_the_definition(spark):
    world, feature_days = history(13, EDGES)
    assert_features_as_defined(spark, world, PEOPLE, feature_days)


def test_features_of_pairs_compare_keys_one_by_one_and_leave_out_null(spark):
    names = [("u1", "1a"), ("u11", "a"), ("u1", "1a"), ("u11", None), ("", "u11a")]
    world = [
        session_play(play_id=str(n), user_id=u, artist_id=a, track_id=str(n))
        for n, (u, a) in enumerate(names)
    ]
    assert_features_as_defined(spark, world, PAIRS, [DS])


def declare_group(*group_features: Feature) -> FeatureGroup:
    return FeatureGroup("some_features", USER, "one row per listener", group_features)


def test_features_of_one_input_keep_the_length_of_each_window(spark):
    """One that takes the other's is wrong only where both are asked for, so each is declared twice."""
    windows = ("3d", "1d", "30d", "2d")
    group = declare_group(
        Feature("plays", "count", "play_id", "plays", windows),
        Feature("more", "count", "play_id", "plays", windows[::-1]),
        Feature("plays", "trend", "play_id", "growth", ("1d", "15d")),
        Feature("tracks", "distinct", "track_id", "tracks", windows),
        Feature("tracks", "top_k", "track_id", "tracks", windows, k=9),
        Feature("tracks", "last_k", "track_id", "tracks", windows, k=2),
        Feature("more", "last_k", "track_id", "tracks", windows, k=5),
        Feature("plays", "decayed", "played_at", "plays", windows),
        Feature("plays", "histogram", "position", "by one edge", windows, edges=(4,)),
        Feature("more", "histogram", "position", "by two", windows, edges=(2, 4)),
    )
    world = [
        session_play(play_id=str(n), track_id=f"t{n}", position=n, played_at=T - n * DAY)
        for n in (1, 2, 3, 4, 30, 31)
    ]
    (row,) = features(spark, world, group, [DS])
    counts = [row[f"{what}_count_{window}"] for what in ("plays", "more") for window in windows]
    assert counts == [3, 1, 5, 2] * 2
    assert [row[f"tracks_distinct_{window}"] for window in windows] == [3, 1, 5, 2]
    assert [len(row[f"tracks_top_k_{window}"]) for window in windows] == [3, 1, 5, 2]
    assert_features_as_defined(spark, world, group, [DS])


def test_approximate_features_are_near_for_many_values(spark):
    group = declare_group(
        Feature("tracks", "approx_distinct", "track_id", "tracks", ("7d", LIFETIME)),
        Feature("positions", "percentiles", "position", "places", ("30d",), at=(0.0, 0.25, 0.5, 1.0)),
    )
    world = [
        session_play(play_id=str(n), track_id=f"t{n}", position=n, played_at=T - US - (n % 14) * DAY)
        for n in range(1, 6001)
    ]
    (row,) = features(spark, world, group, [DS])
    assert row["tracks_approx_distinct_7d"] == pytest.approx(3000, rel=0.06)
    assert row["tracks_approx_distinct_lifetime"] == pytest.approx(6000, rel=0.06)
    assert row["positions_percentiles_30d"] == pytest.approx([1, 1500, 3000, 6000], abs=6000 * 0.04)


def test_variances_of_doubles_are_off_by_what_is_said_of_them(spark):
    """Squares of large values leave nothing of differences that are small beside them."""
    means = (1e0, 1e3, 1e6, 1e9)
    group = declare_group(
        *(
            Feature(f"x{n}", "variance", f"{mean}d + if(position = 1, 1, -1)", "m", ("7d",), type="double")
            for n, mean in enumerate(means)
        )
    )
    world = [session_play(play_id=str(n), position=n, played_at=T - US - n * DAY) for n in (1, 2)]
    (row,) = features(spark, world, group, [DS])
    errors = [abs(row[f"x{n}_variance_7d"] - 1) for n in range(len(means))]
    assert all(error <= 2e-12 * (2 + mean**2) for error, mean in zip(errors, means, strict=True)), errors
    assert errors[:2] == [0, 0] and errors[-1] == 1, errors


def test_sums_and_variances_of_large_integers_are_exact(spark):
    group = declare_group(
        Feature("ms", "sum", "ms_played", "ms", ("7d",)),
        Feature("ms", "variance", "ms_played", "ms^2", ("7d",)),
    )
    world = [
        session_play(play_id=str(n), ms_played=2**53 + n % 2, played_at=T - US - n * DAY) for n in range(4)
    ]
    (row,) = features(spark, world, group, [DS])
    assert (row["ms_sum_7d"], row["ms_variance_7d"]) == (4 * 2**53 + 2, 0.25)
