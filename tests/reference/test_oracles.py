"""The oracles against values worked out by hand, and the comparison against differences it must see."""

from __future__ import annotations

from datetime import UTC, date, timedelta

import pytest

from reference.rows import assert_same, bucket
from reference.sessions import sessions
from reference.worlds import GAP_MS, MIDNIGHT, MS, US, heard, play
from schemas.sessions import SESSIONS

NOON = MIDNIGHT + timedelta(hours=12)
T = MIDNIGHT + timedelta(days=1)
DS = MIDNIGHT.date()


def placed(plays, gap_ms=GAP_MS):
    return [(r["play_id"], r["session_id"], r["position"]) for r in sessions(plays, gap_ms)]


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
