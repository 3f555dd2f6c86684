"""`features.windows.daily` against its definition in plain Python."""

from __future__ import annotations

from datetime import timedelta

import pytest

from features.windows.daily import window_features
from features.windows.partials import partial_rows
from reference.computed import assert_features_as_defined, calendar, features, features_of
from reference.frames import frame, rows
from reference.rows import assert_same
from reference.worlds import AROUND, DAY, MIDNIGHT, MS, US, history, session_play
from schemas.declarations import LIFETIME, USER, Feature, FeatureGroup
from schemas.sessions import SESSIONS
from schemas.track_features import TRACK_FEATURE_GROUP
from schemas.user_features import USER_FEATURE_GROUP

# Windows that no group has, and one group with a single feature: nothing may lean on the declared ones.
ODD = FeatureGroup(
    table="odd_features",
    keys=("session_id",),
    meaning="one row per session and day",
    where="position = 1",
    features=(
        Feature("skips", "rate", "skipped", "skips", ("2d", "45d")),
        Feature("plays", "trend", "play_id", "growth", ("3d",)),
        Feature("plays", "decayed", "played_at", "plays", ("1d",)),
        Feature("plays", "hours", "played_at", "by hour", ("2d",)),
        Feature("listeners", "distinct", "user_id", "listeners", ("5d",)),
    ),
)
COUNT = FeatureGroup(
    "counted", USER, "one row per listener", (Feature("plays", "count", "play_id", "plays", ("7d",)),)
)
COUNT_AND_DECAY = FeatureGroup(
    "faded",
    USER,
    "one row per listener",
    (
        Feature("plays", "count", "play_id", "plays", ("3d", LIFETIME)),
        Feature("completion", "sum", "completion", "doubles", ("7d", LIFETIME)),
        Feature("tracks", "top_k", "track_id", "ids", ("45d",), k=2),
        Feature("tracks", "last_k", "track_id", "ids", (LIFETIME,), k=2),
        Feature("tracks", "distinct", "track_id", "tracks", ("7d",)),
        Feature("plays", "streak", "played_at", "days", ("7d",)),
        Feature("plays", "decayed", "played_at", "plays", ("7d",)),
    ),
)
DS = MIDNIGHT.date()
T = MIDNIGHT + DAY


@pytest.mark.product_settings
@pytest.mark.parametrize("group", [USER_FEATURE_GROUP, TRACK_FEATURE_GROUP], ids=lambda group: group.table)
def test_window_features_of_declared_groups_equal_the_definition(spark, group):
    world, feature_days = history(1)
    assert_features_as_defined(spark, world, group, feature_days)


def test_window_features_of_an_odd_group_equal_the_definition(spark):
    world, feature_days = history(2)
    assert_features_as_defined(spark, world, ODD, feature_days)


def test_keys_can_have_the_names_of_fields_of_parts(spark):
    world, feature_days = history(4, (0, 1, 2))
    # an empty text is an id, and no derived key
    world = [play for play in world if play["track_id"] and play["artist_id"]]
    values = (
        Feature("places", "top_k", "position", "places", ("2d",), k=2),
        Feature("places", "entropy", "position", "bits", ("2d",)),
        Feature("places", "distinct", "position", "places", ("2d",)),
    )
    plain = FeatureGroup("g", ("track_id", "artist_id"), "m", values)
    names = {"item": "track_id", "count": "artist_id"}
    other = FeatureGroup("g", tuple(names), "m", values, derived_keys=names)
    expected = features(spark, world, plain, feature_days)
    assert any(row["places_entropy_2d"] for row in expected)
    renamed = [{new: row[old] for new, old in names.items()} | row for row in expected]
    actual = features(spark, world, other, feature_days)
    renamed = [{name: row[name] for name in actual[0]} for row in renamed]
    assert_same(renamed, actual, ("item", "count", "ds"), world, "track_id")


def test_window_features_do_not_depend_on_order_partitions_and_later_plays(spark):
    (world, feature_days), group = history(3), TRACK_FEATURE_GROUP
    sorted_rows = features(
        spark, sorted(world, key=lambda play: play["play_id"]), group, sorted(feature_days)
    )
    shift = max(feature_days) + 3 * timedelta(days=1) - min(play["ds"] for play in world)
    later = [
        play | {"play_id": f"later {play['play_id']}", "played_at": play["played_at"] + shift}
        for play in world
    ]
    later = [play | {"ds": play["played_at"].date()} for play in later]
    repartitioned = frame(spark, [*later, *world], SESSIONS).repartition(7, "session_id")
    repartitioned_rows = features_of(repartitioned, group, calendar(world, feature_days), feature_days)
    assert_same(sorted_rows, repartitioned_rows, (*group.keys, "ds"), world, group.keys[0])


def test_window_features_of_a_backfill_equal_days_one_by_one(spark):
    """Bit for bit but for the decayed, which partials round where they are put together."""
    world, feature_days = history(4, (0, 0, 1, 2, 7, 14, 45))
    days, last = calendar(world, feature_days), sorted(feature_days)[-1]
    sessions, group_partials = frame(spark, world, SESSIONS), None
    actual = []
    for run in (days[:-3], *([ds] for ds in days[-3:])):
        group_partials = append_partials(
            group_partials, partial_rows(sessions, COUNT_AND_DECAY, run, group_partials)
        )
        actual += rows(
            window_features(group_partials, sessions, COUNT_AND_DECAY, run[-1:]), COUNT_AND_DECAY.contract()
        )
    backfill = features(spark, world, COUNT_AND_DECAY, days[-4:])
    assert last in {row["ds"] for row in backfill}
    assert_same(backfill, actual, ("user_id", "ds"), world, "user_id")


def append_partials(earlier, later):
    later = later.localCheckpoint()
    return later if earlier is None else earlier.unionByName(later)


def test_window_features_include_the_left_edge_and_not_the_right(spark):
    edges = {
        f"{name} {off / US:+g} us": at + off
        for name, at in {"left": T - timedelta(days=7), "right": T}.items()
        for off in AROUND
    }
    world = [session_play(user_id=name, play_id=name, played_at=at) for name, at in edges.items()]
    world += [
        session_play(user_id=name, play_id=f"{name}, long ago", played_at=T - 99 * DAY) for name in edges
    ]
    counts = {row["user_id"]: row["plays_count_7d"] for row in features(spark, world, COUNT, [DS])}
    in_order = [[counts[f"{side} {off / US:+g} us"] for off in sorted(AROUND)] for side in ("left", "right")]
    assert in_order == [[0, 0, 1, 1, 1], [1, 1, 0, 0, 0]]


def test_window_features_have_rows_from_the_first_play_on(spark):
    world = [
        session_play(user_id="at t", play_id="1", played_at=T),
        session_play(user_id="just before t", play_id="2", played_at=T - US),
        session_play(user_id="two years ago", play_id="3", played_at=T - 730 * DAY),
    ]
    feature_days = [DS, DS + timedelta(days=1)]
    actual = {
        (row["user_id"], row["ds"]): row["plays_count_7d"]
        for row in features(spark, world, COUNT, feature_days)
    }
    assert actual == {
        ("just before t", feature_days[0]): 1,
        ("two years ago", feature_days[0]): 0,
        ("at t", feature_days[1]): 1,
        ("just before t", feature_days[1]): 1,
        ("two years ago", feature_days[1]): 0,
    }


def test_window_features_equal_values_worked_out_by_hand(spark):
    world = [  # at 23 h and 0 h of the day itself, at 23 h and 12 h of the day before
        session_play(
            play_id="1", played_at=T - timedelta(hours=1), ms_played=1000, skipped=True, artist_id=None
        ),
        session_play(
            play_id="2", played_at=T - timedelta(hours=24), ms_played=None, skipped=None, artist_id=None
        ),
        session_play(
            play_id="3", played_at=T - timedelta(hours=36), ms_played=500, session_id="s2", artist_id="a"
        ),
        session_play(
            play_id="4", played_at=T - timedelta(hours=25), ms_played=400, session_id="s2", artist_id="a"
        ),
    ]
    (row,) = features(spark, world, USER_FEATURE_GROUP, [DS])
    expected = {
        "feature_at": T,
        "ds": DS,
        "plays_count_1d": 2,
        "plays_count_7d": 4,
        "ms_played_sum_1d": 1000,
        "ms_played_sum_7d": 1900,
        "completion_mean_1d": 0.9,
        "skips_rate_1d": 1.0,
        "skips_rate_7d": 1 / 3,
        "saves_rate_30d": 0.0,
        "tracks_distinct_30d": 1,
        "artists_distinct_1d": 0,
        "artists_distinct_7d": 1,
        "sessions_distinct_1d": 1,
        "sessions_distinct_30d": 2,
        "plays_decayed_7d": sum(2 ** (-hours / 168) for hours in (1, 24, 25, 36)),
        "plays_trend_7d": 2.321928094887362,
        "plays_hours_30d": [{0: 0.25, 12: 0.25, 23: 0.5}.get(hour, 0.0) for hour in range(24)],
        "plays_days_since_first_lifetime": 1.5,
        "plays_days_since_last_lifetime": 1 / 24,
    }
    assert_same([expected], [{name: row[name] for name in expected}], (), [], "user_id")


def test_window_features_of_a_listener_with_almost_all_plays_equal_the_definition(spark):
    world = [
        session_play(
            play_id=f"p{n}", played_at=T - n * timedelta(minutes=97), track_id=f"t{n % 700}", ms_played=n
        )
        for n in range(3000)
    ]
    world += [
        session_play(play_id=f"few {n}", user_id=f"few {n}", played_at=T - n * DAY - MS) for n in range(9)
    ]
    assert_features_as_defined(spark, world, USER_FEATURE_GROUP, [DS, DS - timedelta(days=100)])


def test_window_features_have_no_row_for_a_track_that_only_bots_play(spark):
    world = [
        session_play(play_id="1", track_id="bots", is_bot=True),
        session_play(play_id="2", track_id="both", is_bot=True, ms_played=7),
        session_play(play_id="3", track_id="both", ms_played=1),
    ]
    actual = features(spark, world, TRACK_FEATURE_GROUP, [DS])
    assert [(r["track_id"], r["plays_count_1d"], r["ms_played_sum_1d"]) for r in actual] == [("both", 1, 1)]


@pytest.mark.parametrize("world", [[], [session_play()]], ids=["no plays", "too early"])
def test_window_features_of_no_plays_are_empty(spark, world):
    assert features(spark, world, USER_FEATURE_GROUP, [DS - timedelta(days=9)]) == []
