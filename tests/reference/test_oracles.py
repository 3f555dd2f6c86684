"""The oracles against values worked out by hand, and the comparison against differences it must see."""

from __future__ import annotations

from datetime import UTC, date, timedelta

import pytest

from reference.rows import assert_same, bucket
from reference.sessions import sessions
from reference.worlds import GAP_MS, MIDNIGHT, MS, US, play, session_play
from schemas.sessions import SESSIONS

NOON = MIDNIGHT + timedelta(hours=12)
T = MIDNIGHT + timedelta(days=1)
DS = MIDNIGHT.date()


def list_places(plays, gap_ms=GAP_MS):
    return [(r["play_id"], r["session_id"], r["position"]) for r in sessions(plays, gap_ms)]


@pytest.mark.parametrize(
    ("pause", "positions"),
    [(-MS, [1, 2]), (-US, [1, 2]), (0 * MS, [1, 2]), (US, [1, 1]), (MS, [1, 1])],
)
def test_sessions_cut_at_a_pause_longer_than_the_gap(pause, positions):
    first = play(played_at=NOON, ms_played=60_000)
    second = play(play_id="p2", played_at=NOON + 60_000 * MS + GAP_MS * MS + pause)
    assert [row["position"] for row in sessions([second, first])] == positions


@pytest.mark.parametrize(
    ("ms_played", "track_ms", "duration_ms"), [(None, 500, 500), (None, None, 0), (0, 500, 0)]
)
def test_sessions_take_the_length_of_the_track_for_a_play_without_one(ms_played, track_ms, duration_ms):
    first = play(played_at=NOON, ms_played=ms_played, track_ms=track_ms)
    late_play = play(play_id="p2", played_at=NOON + (duration_ms + 11) * MS)
    early_play = play(play_id="p2", played_at=NOON + (duration_ms + 10) * MS)
    assert [row["position"] for row in sessions([first, late_play], gap_ms=10)] == [1, 1]
    assert [row["position"] for row in sessions([first, early_play], gap_ms=10)] == [1, 2]


def test_sessions_keep_the_session_of_the_source():
    source_ids_and_hours = [
        ("a", 0),
        ("a", 3),
        ("b", 9),
        ("a", 9),
        (None, 9),
        (None, 9),
    ]  # source's id, hours after noon
    plays = [
        play(play_id=f"p{n}", played_at=NOON + timedelta(hours=hours), source_session_id=source_id)
        for n, (source_id, hours) in enumerate(source_ids_and_hours)
    ]
    own_id = f"u1 from {(NOON + timedelta(hours=9)).isoformat()}"
    assert list_places(plays) == [
        ("p0", "u1 at source a", 1),
        ("p1", "u1 at source a", 2),
        ("p2", "u1 at source b", 1),
        ("p3", "u1 at source a", 1),  # back after another: the id again, the place anew
        ("p4", own_id, 1),
        ("p5", own_id, 2),
    ]


def test_sessions_separate_listeners_and_order_ties_by_play_id():
    plays = [play(play_id="b"), play(play_id="c", user_id="u2"), play(play_id="a")]
    start_text = NOON.isoformat()
    assert list_places(plays) == [
        ("a", f"u1 from {start_text}", 1),
        ("b", f"u1 from {start_text}", 2),
        ("c", f"u2 from {start_text}", 1),
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
def test_sessions_compute_completion_and_skips(ms_played, track_ms, completion, skipped):
    (row,) = sessions([play(ms_played=ms_played, track_ms=track_ms)])
    assert (row["completion"], row["skipped"]) == (completion, skipped)


@pytest.mark.parametrize("is_skipped", [True, False])
def test_sessions_keep_skips_of_the_source(is_skipped):
    assert sessions([play(skipped=is_skipped, ms_played=None)])[0]["skipped"] is is_skipped


@pytest.mark.parametrize(("count", "is_bot"), [(1000, False), (1001, True)])
def test_sessions_mark_bots_by_plays(count, is_bot):
    plays = [play(play_id=f"p{n}", ms_played=None) for n in range(count)]
    plays.append(play(play_id="before", played_at=MIDNIGHT - MS))
    plays.append(play(play_id="other", user_id="u2"))
    bot_flags = {r["is_bot"] for r in sessions(plays) if r["play_id"] not in ("before", "other")}
    assert bot_flags == {is_bot}
    assert [r["is_bot"] for r in sessions(plays) if r["play_id"] in ("before", "other")] == [False, False]


@pytest.mark.parametrize(("ms", "is_bot"), [(108_000_000, False), (108_000_001, True)])
def test_sessions_mark_bots_by_hours(ms, is_bot):
    plays = [
        play(play_id="a", ms_played=ms - 1),
        play(play_id="b", ms_played=1),
        play(play_id="c", ms_played=None),
    ]
    assert {row["is_bot"] for row in sessions(plays)} == {is_bot}


def test_sessions_have_the_columns_of_the_contract():
    (row,) = sessions([play()])
    assert row.keys() == set(SESSIONS.names) - {"available_at"}
    assert (row["ds"], row["bucket"]) == (date(2024, 2, 29), bucket("u1"))


def test_bucket_equals_that_of_spark():
    # pmod(xxhash64(key), 64), as Spark 4.1 has it
    assert [bucket(key) for key in ("", "a", "用户")] == [4, 12, 50]


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
def test_assert_same_names_the_place_of_a_difference(column, value, message):
    row = {"k": "a", "ds": DS, "n": 1, "x": 0.5, "hours": [0.5, 0.5], "at": T}
    with pytest.raises(AssertionError, match=message):
        assert_same([row], [row | {column: value}], ("k",), [], "k")
    assert_same([row], [row | {"x": 0.5 + 1e-10, "at": T.astimezone(UTC)}], ("k",), [], "k")


def test_assert_same_shows_the_plays_of_the_entity_and_no_others():
    rows = [{"user_id": "u1", "n": 1}]
    plays = [session_play(track_id="mine"), session_play(track_id="not mine", user_id="u2")]
    with pytest.raises(AssertionError, match="track_id='mine'") as failure:
        assert_same(rows, [{"user_id": "u1", "n": 2}], ("user_id",), plays, "user_id")
    assert "not mine" not in str(failure.value)
    with pytest.raises(AssertionError, match="1 rows repeat a key"):
        assert_same(rows, rows * 2, ("user_id",), plays, "user_id")


def test_play_refuses_an_unknown_column():
    with pytest.raises(KeyError, match="ms_plaid"):
        play(ms_plaid=3)
