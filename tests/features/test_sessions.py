"""`features.sessions` against its definition in plain Python."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.sessions import cut_sessions
from reference.frames import frame, rows
from reference.rows import assert_same
from reference.sessions import replace_ids_by_first_play
from reference.sessions import sessions as expected_sessions
from reference.worlds import DAY, FEW, GAP_MS, MIDNIGHT, MS, US, plays
from reference.worlds import play as a_play
from schemas.plays import PLAYS
from schemas.sessions import SESSIONS

NOON = MIDNIGHT + timedelta(hours=12)


def compute(spark, world, gap_ms=GAP_MS):
    return rows(cut_sessions(frame(spark, world, PLAYS), gap_ms=gap_ms), SESSIONS)


def assert_as_defined(world, actual, gap_ms=GAP_MS):
    assert_same(
        replace_ids_by_first_play(expected_sessions(world, gap_ms)),
        replace_ids_by_first_play(actual),
        ("play_id",),
        world,
        "user_id",
    )


def positions(spark, world):
    return {row["play_id"]: row["position"] for row in compute(spark, world)}


@pytest.mark.product_settings
@FEW
@given(world=plays(), gap_ms=st.sampled_from((GAP_MS, GAP_MS, 0)))
def test_cut_sessions_equals_the_definition(spark, world, gap_ms):
    assert_as_defined(world, compute(spark, world, gap_ms), gap_ms)


def cut_day_by_day(spark, world, borders):
    """The rows of running up to each border on its own, every run carrying the rows of those before."""
    actual, start = [], None
    for end in (*borders, None):
        part = [p for p in world if (start is None or p["ds"] >= start) and (end is None or p["ds"] < end)]
        earlier = frame(spark, actual, SESSIONS) if actual else None
        actual += rows(cut_sessions(frame(spark, part, PLAYS), earlier=earlier), SESSIONS)
        start = end
    return actual


@settings(FEW, max_examples=3)
@given(world=plays())
def test_cut_sessions_day_by_day_equals_one_run(spark, world):
    days = sorted({play["ds"] for play in world})
    actual = cut_day_by_day(spark, world, days[1:4])
    assert_as_defined(world, actual)
    ids = {row["play_id"]: row["session_id"] for row in compute(spark, world)}
    for row in actual:
        assert row["session_id"] == ids[row["play_id"]], f"another id when carried over a border: {row}"


@settings(FEW, max_examples=2)
@given(world=plays())
def test_cut_sessions_does_not_depend_on_order_and_partitions(spark, world):
    sorted_run = compute(spark, sorted(world, key=lambda play: play["play_id"]))
    repartitioned = frame(spark, world, PLAYS).repartition(7, "track_id")
    repartitioned_run = rows(cut_sessions(repartitioned), SESSIONS)
    assert_same(sorted_run, repartitioned_run, ("play_id",), world, "user_id")


@settings(FEW, max_examples=2)
@given(world=plays())
def test_cut_sessions_ignores_later_days(spark, world):
    days = sorted(play["ds"] for play in world)
    shift = days[-1] - days[0] + DAY
    later = [
        p | {"play_id": f"later {p['play_id']}", "played_at": p["played_at"] + shift, "ds": p["ds"] + shift}
        for p in world
    ]
    actual = [row for row in compute(spark, world + later) if row["ds"] <= days[-1]]
    assert_same(compute(spark, world), actual, ("play_id",), world, "user_id")


def test_cut_sessions_cuts_at_the_gap_to_the_microsecond(spark):
    pauses = {"-1ms": -MS, "-1us": -US, "0": 0 * MS, "+1us": US, "+1ms": MS}
    world = []
    for name, pause in pauses.items():
        world.append(a_play(user_id=name, play_id=f"{name} 1", played_at=NOON, ms_played=60_000))
        later = NOON + timedelta(minutes=1) + timedelta(minutes=30) + pause
        world.append(a_play(user_id=name, play_id=f"{name} 2", played_at=later))
    second = {
        play_id[:-2]: place for play_id, place in positions(spark, world).items() if play_id.endswith("2")
    }
    assert second == {"-1ms": 2, "-1us": 2, "0": 2, "+1us": 1, "+1ms": 1}


def test_cut_sessions_begins_a_pause_where_the_previous_play_ended(spark):
    ends = {  # ms_played, track_ms: how long it lasted, in minutes
        "heard": (300_000, 600_000, 5),
        "null: the track's length": (None, 600_000, 10),
        "zero is known": (0, 600_000, 0),
        "both null": (None, None, 0),
    }
    world, expected = [], {}
    for name, (ms_played, track_ms, minutes) in ends.items():
        first = a_play(
            play_id=f"{name} 1", user_id=name, played_at=NOON, ms_played=ms_played, track_ms=track_ms
        )
        limit = NOON + timedelta(minutes=minutes + 30)
        world += [
            first,
            a_play(play_id=f"{name} 2", user_id=name, played_at=limit, ms_played=0),
            first | {"play_id": f"{name}, 1 ms late 1", "user_id": f"{name}, 1 ms late"},
            a_play(play_id=f"{name}, 1 ms late 2", user_id=f"{name}, 1 ms late", played_at=limit + MS),
        ]
        expected |= {f"{name} 1": 1, f"{name} 2": 2, f"{name}, 1 ms late 1": 1, f"{name}, 1 ms late 2": 1}
    assert positions(spark, world) == expected


def test_cut_sessions_keeps_sessions_of_the_source(spark):
    source_ids_and_hours = [
        ("a", 0),
        ("a", 5),
        ("b", 5),
        ("a", 5),
        (None, 5),
        (None, 5),
        ("b", 5),
    ]  # id, hours after noon
    world = [
        a_play(play_id=f"p{n}", played_at=NOON + timedelta(hours=h), source_session_id=source_id)
        for n, (source_id, h) in enumerate(source_ids_and_hours)
    ]
    assert positions(spark, world) == {"p0": 1, "p1": 2, "p2": 1, "p3": 1, "p4": 1, "p5": 2, "p6": 1}
    ids = {row["play_id"]: row["session_id"] for row in compute(spark, world)}
    assert ids["p0"] == ids["p1"] == ids["p3"] and ids["p2"] == ids["p6"] and ids["p4"] == ids["p5"]
    assert len({ids["p0"], ids["p2"], ids["p4"]}) == 3


def test_source_session_of_one_listener_is_not_that_of_another(spark):
    """Many sources number the sessions of each listener from 1."""
    named = [("u", "1"), ("v", "1"), ("u", "11"), ("u1", "1"), ("u\x1f1", "1"), ("u", "1\x1f1")]
    world = [
        a_play(play_id=f"p{n}", user_id=user, source_session_id=source_id)
        for n, (user, source_id) in enumerate(named)
    ]
    ids = [row["session_id"] for row in compute(spark, world)]
    assert len(set(ids)) == len(named), "two listeners share a session, and a track counts it once"


def test_source_session_goes_on_over_silent_days_up_to_its_gap(spark):
    """From the end of the play before: to the microsecond at seven days."""
    end = NOON + timedelta(minutes=3)
    world = []
    for name, silence in {"3 days": 3 * DAY, "7 days": 7 * DAY, "7 days and 1 us": 7 * DAY + US}.items():
        world.append(
            a_play(
                play_id=f"{name} 1", user_id=name, played_at=NOON, ms_played=180_000, source_session_id="s"
            )
        )
        world.append(
            a_play(play_id=f"{name} 2", user_id=name, played_at=end + silence, source_session_id="s")
        )
    second = {
        play_id[:-2]: place for play_id, place in positions(spark, world).items() if play_id.endswith("2")
    }
    assert second == {"3 days": 2, "7 days": 2, "7 days and 1 us": 1}


def test_cut_sessions_carries_sessions_over_midnight(spark):
    before, after = MIDNIGHT + DAY - timedelta(minutes=10), MIDNIGHT + DAY + timedelta(minutes=10)
    cases = {  # listener: (when, source's session) before midnight, the same after, place of the last
        "open": ([(before, None)], [(after, None)], 2),
        "closed": ([(before - timedelta(hours=1), None)], [(after, None)], 1),
        "two last ones at once": ([(before, None), (before, None)], [(after, None)], 3),
        "source's own, hours later": ([(before, "s1")], [(after + timedelta(hours=5), "s1")], 2),
        "source stops": ([(before, "s2")], [(after, None)], 1),
        "source begins": ([(before, None)], [(after, "s3")], 1),
        "heard only after": ([], [(after, None), (after, None)], 2),
        "heard only before": ([(before, None)], [], 1),
    }
    world = [
        a_play(user_id=user, play_id=f"{user} {n}", played_at=at, source_session_id=source_id)
        for user, (early, late, _) in cases.items()
        for n, (at, source_id) in enumerate(early + late)
    ]
    actual = cut_day_by_day(spark, world, [(MIDNIGHT + DAY).date()])
    assert_as_defined(world, actual)
    last = {row["user_id"]: row["position"] for row in sorted(actual, key=lambda row: row["play_id"])}
    assert last == {user: position for user, (_, _, position) in cases.items()}


def test_cut_sessions_gives_ids_that_separate_listener_and_start(spark):
    # seconds, and so milli- and microseconds, of the one start are those of the other after a 1
    starts = {"u": 1_709_208_000, "u1": 709_208_000, "u17": 9_208_000}
    world = [
        a_play(play_id=user, user_id=user, played_at=datetime.fromtimestamp(s, UTC))
        for user, s in starts.items()
    ]
    world += [a_play(play_id=f"q{n}", played_at=NOON + n * timedelta(hours=1)) for n in range(1, 12)]
    ids = [row["session_id"] for row in compute(spark, world)]
    assert len(set(ids)) == len(world), "two listeners, or two starts, share a session"


def test_cut_sessions_marks_bots_by_listener_and_day_at_the_limits(spark):
    def many_plays(user_id, count, start=MIDNIGHT, **columns):
        return [
            a_play(
                play_id=f"{user_id}.{n}", user_id=user_id, played_at=start + n * MS, ms_played=0, **columns
            )
            for n in range(count)
        ]

    def long_plays(user_id, *ms_played):
        return [
            a_play(play_id=f"{user_id}.{n}", user_id=user_id, ms_played=ms) for n, ms in enumerate(ms_played)
        ]

    world = [
        *many_plays("1000 plays", 1000),
        *many_plays("1001 plays", 1001),
        *many_plays("1001 over midnight", 1001, start=MIDNIGHT + DAY - 500 * MS),
        *many_plays("1001 in sessions", 1001, source_session_id="s"),
        *long_plays("30 h", 108_000_000, 0, None),
        *long_plays("30 h and 1 ms", 108_000_000, None, 1),
        a_play(play_id="next day", user_id="1001 plays", played_at=MIDNIGHT + DAY),
    ]
    bot_days = {(row["user_id"], row["ds"].day, row["is_bot"]) for row in compute(spark, world)}
    assert bot_days == {
        ("1000 plays", 29, False),
        ("1001 plays", 29, True),
        ("1001 plays", 1, False),
        ("1001 over midnight", 29, False),
        ("1001 over midnight", 1, False),
        ("1001 in sessions", 29, True),
        ("30 h", 29, False),
        ("30 h and 1 ms", 29, True),
    }


@pytest.mark.parametrize("earlier", [False, True])
def test_cut_sessions_of_no_plays_is_empty(spark, earlier):
    before = frame(spark, expected_sessions([a_play()]), SESSIONS) if earlier else None
    assert rows(cut_sessions(frame(spark, [], PLAYS), earlier=before), SESSIONS) == []
