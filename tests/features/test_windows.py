"""`features.windows.daily` against its definition in plain Python."""

from __future__ import annotations

from datetime import timedelta

import pytest

from features.windows.daily import window_features
from features.windows.partials import partial_rows
from reference.computed import calendar, features, features_of
from reference.frames import frame, rows
from reference.rows import assert_same
from reference.windows import settled
from reference.windows import window_features as expected_features
from reference.worlds import AROUND, DAY, MIDNIGHT, MS, US, heard, history
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
COUNT_AND_FADE = FeatureGroup(
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


def hold(spark, world, group, over):
    wanted, key = expected_features(world, group, over), (*group.keys, "ds")
    found = settled(wanted, features(spark, world, group, over), key)
    assert_same(wanted, found, key, world, group.keys[0])


@pytest.mark.product_settings
@pytest.mark.parametrize("group", [USER_FEATURE_GROUP, TRACK_FEATURE_GROUP], ids=lambda group: group.table)
def test_features_are_as_defined(spark, group):
    world, over = history(1)
    hold(spark, world, group, over)


def test_any_declared_group_is_as_defined(spark):
    world, over = history(2)
    hold(spark, world, ODD, over)


def test_order_place_and_plays_to_come_do_not_matter(spark):
    (world, over), group = history(3), TRACK_FEATURE_GROUP
    once = features(spark, sorted(world, key=lambda play: play["play_id"]), group, sorted(over))
    ahead = max(over) + 3 * timedelta(days=1) - min(play["ds"] for play in world)
    later = [
        play | {"play_id": f"later {play['play_id']}", "played_at": play["played_at"] + ahead}
        for play in world
    ]
    later = [play | {"ds": play["played_at"].date()} for play in later]
    elsewhere = frame(spark, [*later, *world], SESSIONS).repartition(7, "session_id")
    again = features_of(elsewhere, group, calendar(world, over), over)
    assert_same(once, again, (*group.keys, "ds"), world, group.keys[0])


def test_a_backfill_equals_its_days_one_by_one(spark):
    """Bit for bit but for the decayed, which partials round where they are put together."""
    world, over = history(4, (0, 0, 1, 2, 7, 14, 45))
    days, last = calendar(world, over), sorted(over)[-1]
    sessions, made = frame(spark, world, SESSIONS), None
    found = []
    for run in (days[:-3], *([ds] for ds in days[-3:])):
        made = with_more(made, partial_rows(sessions, COUNT_AND_FADE, run, made))
        found += rows(window_features(made, sessions, COUNT_AND_FADE, run[-1:]), COUNT_AND_FADE.contract())
    backfill = features(spark, world, COUNT_AND_FADE, days[-4:])
    assert last in {row["ds"] for row in backfill}
    assert_same(backfill, found, ("user_id", "ds"), world, "user_id")


def with_more(made, more):
    more = more.localCheckpoint()
    return more if made is None else made.unionByName(more)


def test_a_window_takes_its_left_edge_and_not_its_right(spark):
    edges = {
        f"{name} {off / US:+g} us": at + off
        for name, at in {"left": T - timedelta(days=7), "right": T}.items()
        for off in AROUND
    }
    world = [heard(user_id=name, play_id=name, played_at=at) for name, at in edges.items()]
    world += [heard(user_id=name, play_id=f"{name}, long ago", played_at=T - 99 * DAY) for name in edges]
    counts = {row["user_id"]: row["plays_count_7d"] for row in features(spark, world, COUNT, [DS])}
    in_order = [[counts[f"{side} {off / US:+g} us"] for off in sorted(AROUND)] for side in ("left", "right")]
    assert in_order == [[0, 0, 1, 1, 1], [1, 1, 0, 0, 0]]


def test_rows_begin_with_the_first_play_and_never_end(spark):
    world = [
        heard(user_id="at t", play_id="1", played_at=T),
        heard(user_id="just before t", play_id="2", played_at=T - US),
        heard(user_id="two years ago", play_id="3", played_at=T - 730 * DAY),
    ]
    over = [DS, DS + timedelta(days=1)]
    found = {
        (row["user_id"], row["ds"]): row["plays_count_7d"] for row in features(spark, world, COUNT, over)
    }
    assert found == {
        ("just before t", over[0]): 1,
        ("two years ago", over[0]): 0,
        ("at t", over[1]): 1,
        ("just before t", over[1]): 1,
        ("two years ago", over[1]): 0,
    }


def test_values_worked_out_by_hand(spark):
    world = [  # at 23 h and 0 h of the day itself, at 23 h and 12 h of the day before
        heard(play_id="1", played_at=T - timedelta(hours=1), ms_played=1000, skipped=True, artist_id=None),
        heard(play_id="2", played_at=T - timedelta(hours=24), ms_played=None, skipped=None, artist_id=None),
        heard(play_id="3", played_at=T - timedelta(hours=36), ms_played=500, session_id="s2", artist_id="a"),
        heard(play_id="4", played_at=T - timedelta(hours=25), ms_played=400, session_id="s2", artist_id="a"),
    ]
    (row,) = features(spark, world, USER_FEATURE_GROUP, [DS])
    wanted = {
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
    assert_same([wanted], [{name: row[name] for name in wanted}], (), [], "user_id")


def test_a_listener_with_almost_all_plays_is_as_defined(spark):
    world = [
        heard(play_id=f"p{n}", played_at=T - n * timedelta(minutes=97), track_id=f"t{n % 700}", ms_played=n)
        for n in range(3000)
    ]
    world += [heard(play_id=f"few {n}", user_id=f"few {n}", played_at=T - n * DAY - MS) for n in range(9)]
    hold(spark, world, USER_FEATURE_GROUP, [DS, DS - timedelta(days=100)])


def test_a_track_that_only_bots_play_has_no_row(spark):
    world = [
        heard(play_id="1", track_id="bots", is_bot=True),
        heard(play_id="2", track_id="both", is_bot=True, ms_played=7),
        heard(play_id="3", track_id="both", ms_played=1),
    ]
    found = features(spark, world, TRACK_FEATURE_GROUP, [DS])
    assert [(r["track_id"], r["plays_count_1d"], r["ms_played_sum_1d"]) for r in found] == [("both", 1, 1)]


@pytest.mark.parametrize("world", [[], [heard()]], ids=["no plays", "too early"])
def test_nothing_comes_of_nothing(spark, world):
    assert features(spark, world, USER_FEATURE_GROUP, [DS - timedelta(days=9)]) == []
