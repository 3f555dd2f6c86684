"""`features.windows.partials` against what each part is said to hold, however the days were made."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from features.windows.partials import partial_rows
from reference.computed import calendar, partials
from reference.frames import frame, rows
from reference.partials import comparable
from reference.partials import partials as expected_partials
from reference.rows import assert_same, day, midnight_after
from reference.windows import snap_to_expected
from reference.worlds import DAY, US, history, session_play
from schemas.declarations import LIFETIME, USER, USER_ARTIST, Feature, FeatureGroup
from schemas.operations import DeclarationError
from schemas.parts import KINDS
from schemas.sessions import SESSIONS

KEY = ("user_id", "ds", "span")
# Both long windows and short: a part that no window needs over so many days is left out there.
EVERY_PART = FeatureGroup(
    table="every_part_features",
    keys=USER,
    meaning="every kind of part",
    features=(
        Feature("plays", "count", "play_id", "plays", ("2d", LIFETIME)),
        Feature("skips", "rate", "skipped", "share", ("5d",), where="saved"),
        Feature("ms_played", "variance", "ms_played", "ms^2", ("365d",)),
        Feature("completion", "variance", "completion - 0.5d", "share^2", (LIFETIME,), type="double"),
        Feature("heard", "ratio", "ms_played", "share", ("30d",), per="track_ms"),
        Feature("positions", "min", "position", "place", (LIFETIME,)),
        Feature("completion", "max", "completion", "share", ("7d",), where="not is_bot"),
        Feature("artists", "first", "artist_id", "id", (LIFETIME,)),
        Feature("tracks", "last_k", "track_id", "ids", ("45d",), k=3),
        Feature("ms_played", "last_k", "ms_played", "ms", (LIFETIME,), k=2),
        Feature("tracks", "top_k", "track_id", "ids", (LIFETIME,), k=1),
        Feature("positions", "entropy", "position", "bits", ("3d",), where="skipped"),
        Feature("plays", "hours", "played_at", "by hour", (LIFETIME,)),
        Feature("ms_played", "histogram", "ms_played", "plays", ("100d",), edges=(0, 1, 1_234_567)),
        Feature("plays", "decayed", "played_at", "plays", ("2d", "30d")),
        Feature("plays", "streak", "played_at", "days", ("62d",)),
        Feature("tracks", "approx_distinct", "track_id", "tracks", (LIFETIME,)),
        Feature("completion", "percentiles", "completion", "shares", ("30d",), at=(0.5,)),
    ),
)
# The 25th ends spans of 1 to 32 days; before it and after it, spans of 1 and of 2 end.
DAY_BY_DAY = [date(2024, 3, n) for n in (24, 25, 26)]


def make_world_and_days():
    """Plays a year back and lately, and a listener of every day, for longer than `heard_on` has bits."""
    world, feature_days = history(21, (0, 0, 0, 1, 2, 3, 4, 7, 30, 365))
    lately = [max(feature_days) - n * DAY for n in range(70)]
    daily = [
        session_play(play_id=f"{ds}", user_id="daily", played_at=midnight_after(ds) - US) for ds in lately
    ]
    return [*world, *daily], calendar(world, feature_days)


@pytest.fixture(scope="module")
def world_and_days():
    return make_world_and_days()


@pytest.fixture(scope="module")
def partials_at_once(spark, world_and_days):
    world, days = world_and_days
    return partials(spark, world, EVERY_PART, [days])


def assert_same_partials(expected, actual, group, world, tolerance):
    expected, actual = comparable(expected, group), comparable(actual, group)
    assert expected, "nothing is expected, so this shows nothing"
    key = (*group.keys, "ds", "span")
    assert_same(expected, snap_to_expected(expected, actual, key, tolerance), key, world, group.keys[0])


def test_every_part_declares_every_kind():
    assert {part.kind for part in EVERY_PART.parts} == KINDS.keys()


def test_partial_rows_equal_the_definition(world_and_days, partials_at_once):
    world, days = world_and_days
    expected = expected_partials(world, EVERY_PART, days)
    assert max(row["span"] for row in expected) > 256
    assert_same_partials(expected, partials_at_once, EVERY_PART, world, tolerance=1e-14)


def test_partial_rows_of_days_bit_by_bit_equal_all_days_at_once(spark, world_and_days, partials_at_once):
    world, days = world_and_days
    before = [ds for ds in days if ds < DAY_BY_DAY[0]]
    after = [ds for ds in days if ds > DAY_BY_DAY[-1]]
    bit_by_bit = partials(spark, world, EVERY_PART, [before, *([ds] for ds in DAY_BY_DAY), after])
    assert_same_but_decayed(partials_at_once, bit_by_bit, world)


def assert_same_but_decayed(expected, actual, world):
    """Bit for bit, but for what fades: that is rounded wherever it is put together."""
    decayed = [part.name for part in EVERY_PART.parts if part.kind == "decayed"]
    assert_same_partials(expected, actual, EVERY_PART, world, tolerance=1e-14)
    rest = [
        [{n: v for n, v in row.items() if n not in decayed} for row in comparable(rows, EVERY_PART)]
        for rows in (expected, actual)
    ]
    assert_same(*rest, KEY, world, "user_id")


def test_partial_rows_contain_a_late_play_after_a_rebuild(spark, world_and_days, partials_at_once):
    world, days = world_and_days
    late = [play for play in world if play["ds"] in DAY_BY_DAY][::2]
    in_time = frame(spark, [play for play in world if play not in late], SESSIONS)
    earlier = partial_rows(in_time, EVERY_PART, days, None).localCheckpoint()
    since = min(play["ds"] for play in late)
    rebuilt = partial_rows(
        frame(spark, world, SESSIONS), EVERY_PART, [ds for ds in days if ds >= since], earlier
    )
    expected = [row for row in partials_at_once if row["ds"] >= since]
    assert_same_but_decayed(expected, rows(rebuilt, EVERY_PART.partials_contract()), world)


def test_partial_rows_do_not_depend_on_order_partitions_and_other_days(
    spark, world_and_days, partials_at_once
):
    world, days = world_and_days
    later = [
        play
        | {"play_id": f"later {play['play_id']}", "played_at": play["played_at"] + 600 * DAY, "user_id": user}
        for play in world
        for user in (play["user_id"], "new")
    ]
    later = [play | {"ds": day(play["played_at"])} for play in later]
    repartitioned = frame(spark, [*later, *reversed(world)], SESSIONS).repartition(7, "session_id")
    actual = rows(partial_rows(repartitioned, EVERY_PART, days[::-1], None), EVERY_PART.partials_contract())
    assert_same_partials(partials_at_once, actual, EVERY_PART, world, tolerance=0)


def test_partial_rows_of_pairs_leave_out_null(spark, world_and_days):
    world, days = world_and_days[0], world_and_days[1][-45:]
    lately = [play for play in world if play["ds"] >= days[0]]
    features = (Feature("plays", "count", "played_at", "plays", ("7d",)),)
    group = FeatureGroup("pair_features", USER_ARTIST, "pairs", features, where="not is_bot")
    assert_same_partials(
        expected_partials(lately, group, days),
        partials(spark, world, group, [days]),
        group,
        lately,
        tolerance=0,
    )


def test_partial_rows_refuses_no_days(spark):
    with pytest.raises(ValueError, match="no days"):
        partial_rows(frame(spark, [], SESSIONS), EVERY_PART, [], None)


@pytest.mark.parametrize(
    ("feature", "sql"),
    [
        (Feature("x", "sum", "ms_played / 60000", "m", type="bigint"), "'ms_played / 60000' is double"),
        (Feature("x", "max", "position * 0.5", "m", type="int"), r"'position \* 0.5' is decimal\(.*,1\)"),
        (Feature("x", "ratio", "ms_played", "m", per="track_ms / 1000"), "track_ms / 1000.* is double"),
    ],
    ids=["a sum", "a decimal", "a divisor"],
)
def test_partial_rows_refuses_to_cut_fractions(spark, feature, sql):
    group = FeatureGroup("g_features", USER, "m", (feature,))
    wrong = f"table g_features: feature x_{feature.op}: .*{sql}, declared as {feature.input_type}, which would cut"
    with pytest.raises(DeclarationError, match=wrong):
        partial_rows(frame(spark, [], SESSIONS), group, [date(2024, 3, 1)])


def test_partial_rows_takes_whole_numbers_of_any_length_and_what_is_never_cut(spark):
    features = (
        Feature("minutes", "sum", "floor(ms_played / 60000)", "m", type="bigint"),
        Feature("places", "sum", "position + 1", "m", type="bigint"),
        Feature("hours", "percentiles", "ms_played / 3600000", "m", type="bigint", at=(0.5,)),
    )
    group = FeatureGroup("g_features", USER, "m", features)
    assert partial_rows(frame(spark, [], SESSIONS), group, [date(2024, 3, 1)]).columns


def test_partial_rows_of_days_without_plays_are_empty(spark):
    assert partials(spark, [session_play()], EVERY_PART, [[session_play()["ds"] + timedelta(days=1)]]) == []
