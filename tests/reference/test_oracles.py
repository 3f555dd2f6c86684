"""The oracles against values worked out by hand, and the comparison against differences it must see."""

from __future__ import annotations

from datetime import UTC, date, timedelta

import pytest

from reference import windows
from reference.rows import assert_same, bucket
from reference.sessions import sessions
from reference.worlds import GAP_MS, MIDNIGHT, MS, US, heard, play
from schemas.declarations import LIFETIME, Feature, FeatureGroup
from schemas.sessions import SESSIONS
from schemas.track_features import TRACK_FEATURE_GROUP
from schemas.user_features import USER_FEATURE_GROUP

NOON = MIDNIGHT + timedelta(hours=12)
T = MIDNIGHT + timedelta(days=1)
DS = MIDNIGHT.date()


def placed(plays, gap_ms=GAP_MS):
    return [(r["play_id"], r["session_id"], r["position"]) for r in sessions(plays, gap_ms)]


def computed(plays, op, what="played_at", window="1d"):
    return windows.value(plays, Feature("x", op, what, "x", (window,)), window, T)


@pytest.mark.parametrize(
    ("pause", "positions"),
    [(-MS, [1, 2]), (-US, [1, 2]), (0 * MS, [1, 2]), (US, [1, 1]), (MS, [1, 1])],
)
def test_a_pause_longer_than_the_gap_cuts(pause, positions):
    first = play(played_at=NOON, ms_played=60_000)
    second = play(play_id="p2", played_at=NOON + 60_000 * MS + GAP_MS * MS + pause)
    assert [row["position"] for row in sessions([second, first])] == positions


@pytest.mark.parametrize(
    ("ms_played", "track_ms", "lasted"), [(None, 500, 500), (None, None, 0), (0, 500, 0)]
)
def test_a_play_without_its_length_lasts_as_long_as_its_track(ms_played, track_ms, lasted):
    first = play(played_at=NOON, ms_played=ms_played, track_ms=track_ms)
    cut = play(play_id="p2", played_at=NOON + (lasted + 11) * MS)
    stays = play(play_id="p2", played_at=NOON + (lasted + 10) * MS)
    assert [row["position"] for row in sessions([first, cut], gap_ms=10)] == [1, 1]
    assert [row["position"] for row in sessions([first, stays], gap_ms=10)] == [1, 2]


def test_a_sources_session_is_taken_at_its_word():
    heard_as = [("a", 0), ("a", 3), ("b", 9), ("a", 9), (None, 9), (None, 9)]  # source's id, hours after noon
    plays = [
        play(play_id=f"p{n}", played_at=NOON + timedelta(hours=hours), source_session_id=source_id)
        for n, (source_id, hours) in enumerate(heard_as)
    ]
    started = f"u1 from {(NOON + timedelta(hours=9)).isoformat()}"
    assert placed(plays) == [
        ("p0", "a", 1),
        ("p1", "a", 2),
        ("p2", "b", 1),
        ("p3", "a", 1),  # back after another: the id again, the place anew
        ("p4", started, 1),
        ("p5", started, 2),
    ]


def test_listeners_do_not_mix_and_ties_follow_the_play_id():
    plays = [play(play_id="b"), play(play_id="c", user_id="u2"), play(play_id="a")]
    started = NOON.isoformat()
    assert placed(plays) == [
        ("a", f"u1 from {started}", 1),
        ("b", f"u1 from {started}", 2),
        ("c", f"u2 from {started}", 1),
    ]


@pytest.mark.parametrize(
    ("ms_played", "track_ms", "completion", "skipped"),
    [
        (50, 200, 0.25, True),
        (300_000, 200_000, 1.0, False),
        (29_999, 59_999, 29_999 / 59_999, True),
        (29_999, 59_998, 0.5000, False),
        (29_999, None, None, True),
        (30_000, None, None, False),
        (29_999, 0, None, False),
        (None, 200, None, None),
    ],
)
def test_completion_and_skips(ms_played, track_ms, completion, skipped):
    (row,) = sessions([play(ms_played=ms_played, track_ms=track_ms)])
    assert (row["completion"], row["skipped"]) == (completion, skipped)


@pytest.mark.parametrize("said", [True, False])
def test_the_sources_word_on_skips_stands(said):
    assert sessions([play(skipped=said, ms_played=None)])[0]["skipped"] is said


@pytest.mark.parametrize(("count", "is_bot"), [(1000, False), (1001, True)])
def test_bots_by_plays(count, is_bot):
    plays = [play(play_id=f"p{n}", ms_played=None) for n in range(count)]
    plays.append(play(play_id="before", played_at=MIDNIGHT - MS))
    plays.append(play(play_id="other", user_id="u2"))
    found = {r["is_bot"] for r in sessions(plays) if r["play_id"] not in ("before", "other")}
    assert found == {is_bot}
    assert [r["is_bot"] for r in sessions(plays) if r["play_id"] in ("before", "other")] == [False, False]


@pytest.mark.parametrize(("ms", "is_bot"), [(108_000_000, False), (108_000_001, True)])
def test_bots_by_hours(ms, is_bot):
    plays = [
        play(play_id="a", ms_played=ms - 1),
        play(play_id="b", ms_played=1),
        play(play_id="c", ms_played=None),
    ]
    assert {row["is_bot"] for row in sessions(plays)} == {is_bot}


def test_a_row_has_the_columns_of_the_contract():
    (row,) = sessions([play()])
    assert row.keys() == set(SESSIONS.names) - {"available_at"}
    assert (row["ds"], row["bucket"]) == (date(2024, 2, 29), bucket("u1"))


def test_buckets_are_sparks():
    # pmod(xxhash64(key), 64), as Spark 4.1 has it
    assert [bucket(key) for key in ("", "a", "用户")] == [4, 12, 50]


@pytest.mark.parametrize(
    ("played_at", "inside"),
    [
        (T - timedelta(days=7) - US, False),
        (T - timedelta(days=7), True),
        (T - US, True),
        (T, False),
    ],
)
def test_a_window_takes_its_left_edge_and_not_its_right(played_at, inside):
    assert computed([heard(played_at=played_at)], "count", window="7d") == int(inside)


def test_operations_over_values_leave_nulls_out():
    plays = [heard(ms_played=ms) for ms in (1, 2, None, 2)]
    found = {op: computed(plays, op, "ms_played") for op in ("count", "sum", "mean", "distinct")}
    assert found == {"count": 3, "sum": 5, "mean": 5 / 3, "distinct": 2}
    assert computed([heard(skipped=s) for s in (True, None, False, True)], "rate", "skipped") == 2 / 3


def test_operations_over_no_plays():
    ops = ("count", "sum", "mean", "rate", "distinct", "trend", "decayed")
    assert [computed([], op) for op in ops] == [0, 0, None, None, 0, 0.0, 0.0]
    assert computed([], "hours") == [0.0] * 24


def test_operations_over_time():
    plays = [heard(played_at=T - timedelta(hours=h)) for h in (1, 24, 25, 36)]  # hours 23 and 0, 23, 12
    assert computed(plays, "trend") == pytest.approx(0.0)  # 3/3: two in the window, two before
    assert computed(plays[:2], "trend") == pytest.approx(1.584962500721156)  # log2(3/1)
    assert computed(plays, "hours") == [0.5] + [0.0] * 22 + [0.5]
    assert computed(plays[1::2], "decayed") == pytest.approx(0.5 + 2**-1.5)
    assert computed(plays, "decayed", window="2d") > computed(plays, "decayed")
    assert computed(plays, "days_since_first", window=LIFETIME) == 1.5
    assert computed(plays, "days_since_last", window=LIFETIME) == pytest.approx(1 / 24)


def test_entities_have_rows_from_their_first_counted_play_on():
    group = FeatureGroup(
        "g", "track_id", "x", (Feature("plays", "count", "play_id", "x", ("1d",)),), "not is_bot"
    )
    plays = [heard(track_id="old", played_at=T - timedelta(days=9)), heard(track_id="new", played_at=T)]
    plays += [
        heard(track_id="only bots", is_bot=True),
        heard(track_id="both"),
        heard(track_id="both", is_bot=True),
    ]
    rows = windows.window_features(plays, group, [DS, DS + timedelta(days=1)])
    counts = {(row["track_id"], row["ds"].day): row["plays_count_1d"] for row in rows}
    assert counts == {("old", 29): 0, ("both", 29): 1, ("old", 1): 0, ("both", 1): 0, ("new", 1): 1}
    assert {row["feature_at"] for row in rows} == {T, T + timedelta(days=1)}


def test_expressions_are_those_of_the_declared_groups():
    groups = (USER_FEATURE_GROUP, TRACK_FEATURE_GROUP)
    declared = {g.where for g in groups} | {feature.input for g in groups for feature in g.features}
    assert windows.EXPRESSIONS.keys() == declared
    with pytest.raises(windows.UnknownExpressionError, match=r"'position = 2'.*known: true, not is_bot"):
        windows.expression("position = 2")


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("n", 2, "k=a ds=2024-02-29: column n: expected 1, got 2"),
        ("n", 1.0, "expected 1, got 1.0"),
        ("n", True, "expected 1, got True"),
        ("x", 0.5 + 1e-9, "column x: expected 0.5"),
        ("x", None, "expected 0.5, got None"),
        ("hours", [0.5, 0.25], r"expected \[0.5, 0.5\]"),
        ("at", T + US, "column at: expected datetime"),
        ("k", "b", "row missing"),
    ],
)
def test_the_comparison_sees_a_difference_and_says_where(column, value, message):
    row = {"k": "a", "ds": DS, "n": 1, "x": 0.5, "hours": [0.5, 0.5], "at": T}
    with pytest.raises(AssertionError, match=message):
        assert_same([row], [row | {column: value}], ("k",), [], "k")
    assert_same([row], [row | {"x": 0.5 + 1e-10, "at": T.astimezone(UTC)}], ("k",), [], "k")


def test_the_comparison_shows_the_entitys_plays_and_no_others():
    rows = [{"user_id": "u1", "n": 1}]
    plays = [heard(track_id="mine"), heard(track_id="not mine", user_id="u2")]
    with pytest.raises(AssertionError, match="track_id='mine'") as failure:
        assert_same(rows, [{"user_id": "u1", "n": 2}], ("user_id",), plays, "user_id")
    assert "not mine" not in str(failure.value)
    with pytest.raises(AssertionError, match="1 rows repeat a key"):
        assert_same(rows, rows * 2, ("user_id",), plays, "user_id")


def test_worlds_refuse_a_column_that_is_none():
    with pytest.raises(KeyError, match="ms_plaid"):
        play(ms_plaid=3)
