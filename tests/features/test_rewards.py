"""Rewards against their definitions, in one call of Spark over thousands of listeners; and what those promise."""

from __future__ import annotations

import hashlib
from collections import Counter
from datetime import timedelta

import pytest

import reference.rewards as reference
from features.rewards import DayCount, Evidence, Windows, reward_plays
from features.windows.label_time import LabelTimeFeatures
from reference.frames import frame, rows
from reference.partials import fold_parts
from reference.rewards import HORIZONS, LABEL_DAYS, THROUGH, worlds
from reference.rows import assert_same, bucket
from reference.windows import key_columns
from reference.worlds import DAY, MIDNIGHT, session_play
from schemas.operations import window_days
from schemas.reward_set import PLAY_REWARDS, SESSION_STARTS, TRACK_DISCOVERED, make_context_left
from schemas.rewards import AT_ONCE, Rewards
from schemas.sessions import SESSIONS
from schemas.starting_set import STARTING_SET, USER_FEATURE_GROUP

DECLARED = Rewards((*PLAY_REWARDS, make_context_left("artist_id"), TRACK_DISCOVERED))
GROUPS = (*STARTING_SET[1:], USER_FEATURE_GROUP.extend(SESSION_STARTS))
WORLDS = 1_000
ERASED_AT = {"world 1": MIDNIGHT + DAY / 2, "world 3": MIDNIGHT + 59 * DAY + DAY / 2}


def find_status(day, horizon):
    return "ripe" if horizon == AT_ONCE else reference.status(day, window_days(horizon), THROUGH, THROUGH)


def fold(plays, group, tiles):
    """The partials that are read, of the tiles that have plays."""
    of_days, found = {}, {}
    for ds, span in tiles:
        for n in range(span):
            of_days.setdefault(ds - n * DAY, []).append((ds, span))
    for play in plays:
        entity = tuple(play[key] for key in group.keys)
        for tile in of_days.get(play["ds"], ()) if None not in entity else ():
            found.setdefault((entity, *tile), []).append(play)
    for (entity, ds, span), of_tile in found.items():
        parts = dict(fold_parts(of_tile, group, ds, span))
        yield {**key_columns(entity, ds, group), "span": span, **parts}


def gather(spark, plays, sessions):
    """As the job does, of partials that loops have folded."""
    windows, counts = [], []
    for each in DECLARED.list_windows(GROUPS):
        days = tuple(day for day in LABEL_DAYS if find_status(day, each.horizon) == "ripe")
        request = LabelTimeFeatures(each.group, tuple(each.group.identities), days, each.ahead)
        tiles = {(ds, span) for _, ds, span, _ in request.plan}
        partials = frame(spark, fold(plays, each.group, tiles), each.group.partials_contract())
        windows.append(Windows(request, partials, select(sessions, request.play_days)))
    for term, group in DECLARED.list_day_counts(GROUPS):
        # which rows there are is all that counts
        group = group.select(["plays_count_7d"])
        tiles = [(MIDNIGHT.date() + n * DAY, span) for n in range(61) for span in (1, 2)]
        partials = frame(spark, fold(plays, group, tiles), group.partials_contract())
        counts.append(DayCount(term.column, group, 60, LABEL_DAYS[:1], partials))
    statuses = {day: {horizon: find_status(day, horizon) for horizon in HORIZONS} for day in LABEL_DAYS}
    erased = {hashlib.sha256(user.encode()).hexdigest(): at for user, at in ERASED_AT.items()}
    # the last day's are not known yet
    later = select(sessions, {day + n * DAY for day in LABEL_DAYS[:-1] for n in (0, 1)})
    return Evidence(statuses, windows, counts, later, erased)


def select(rows, days):
    return rows.where(rows["ds"].isin(list(days)))


def test_rewards_of_thousands_of_listeners_are_as_defined(spark):
    plays = worlds(7, WORLDS)
    expected = reference.rewards(plays, LABEL_DAYS, THROUGH, THROUGH, ERASED_AT)
    # each decision decides something here
    assert {row["status_60d"] for row in expected} == {"ripe", "unripe", "censored"}
    for reward in DECLARED.rewards:
        values = Counter(row[reward.name] for row in expected)
        # whether a play is a discovery is known of all
        assert reward is TRACK_DISCOVERED or values.pop(None) > 100, reward.name
        assert sum(count > 20 for count in values.values()) > 1, reward.name
    sessions = frame(spark, plays, SESSIONS).localCheckpoint()
    computed = reward_plays(select(sessions, LABEL_DAYS), DECLARED, gather(spark, plays, sessions))
    expected = [row | {"bucket": bucket(row["user_id"])} for row in expected]
    assert_same(expected, rows(computed, DECLARED.contract), ("play_id",), plays, "user_id")


def test_of_a_day_no_horizon_of_which_is_over_nothing_is_needed_but_its_plays(spark):
    declared = Rewards(tuple(reward for reward in DECLARED.rewards if reward.days or not reward.terms))
    plays = [play for play in worlds(8, 20) if play["ds"] == THROUGH]
    statuses = {THROUGH: dict.fromkeys(HORIZONS, "unripe")}
    evidence = Evidence(statuses, later_plays=frame(spark, [], SESSIONS))
    computed = reward_plays(frame(spark, plays, SESSIONS), declared, evidence)
    expected = [
        {name: value for name, value in row.items() if name in declared.contract.names}
        | {"bucket": bucket(row["user_id"])}
        for row in reference.rewards(plays, [THROUGH], THROUGH, THROUGH)
    ]
    assert_same(expected, rows(computed, declared.contract), ("play_id",), plays, "user_id")


def test_no_play_after_the_horizon_changes_a_reward():
    changes = 0
    for number in range(1_500):
        plays = [play | {"user_id": "u"} for play in worlds(number, 2)]
        labels = [play for play in plays if play["ds"] == LABEL_DAYS[0]]
        for play in labels[:1]:
            before = reference._join(play, plays, dict.fromkeys(HORIZONS, "ripe"))
            for horizon, days in HORIZONS.items():
                end = play["played_at"] + days * DAY
                changed = {
                    "ms_played": 1,
                    "track_id": "b",
                    "artist_id": "b",
                    "completion": 1.0,
                    "position": 1,
                }
                beyond = [each | changed if each["played_at"] >= end else each for each in plays]
                beyond.append(
                    session_play(play_id="late", user_id="u", played_at=end, track_id=play["track_id"])
                )
                after = reference._join(play, beyond, dict.fromkeys(HORIZONS, "ripe"))
                known = [name for name, (h, _) in reference.DEFINITIONS.items() if h == horizon]
                assert [before[name] for name in known] == [after[name] for name in known], (play, horizon)
                changes += before != after
    assert changes > 500


@pytest.mark.parametrize("off", [-timedelta(microseconds=1), timedelta(0), timedelta(microseconds=1)])
def test_the_play_at_the_end_of_a_horizon_is_out_of_it(off):
    play = session_play(play_id="p", played_at=MIDNIGHT)
    for name, (horizon, value) in reference.DEFINITIONS.items():
        if horizon in ("1d", "7d", "30d") and name not in ("completed_to_go", "ms_after", "context_left"):
            end = MIDNIGHT + HORIZONS[horizon] * DAY + off
            assert value(play, [play, session_play(play_id="q", played_at=end)]) is (off < timedelta(0)), name
            # the play itself never counts, and another one at its instant does
            assert value(play, [play]) is False
            assert value(play, [play, session_play(play_id="q", played_at=MIDNIGHT)]) is True


def test_a_context_is_left_by_the_next_play_elsewhere_or_in_the_middle_of_a_track():
    left = reference.DEFINITIONS["context_left"][1]
    play = session_play(play_id="p", played_at=MIDNIGHT)

    def follow(after, artist, play_id="q"):
        return session_play(play_id=play_id, played_at=MIDNIGHT + after, artist_id=artist)

    assert left(play, [play, follow(DAY / 24, "a1"), follow(DAY / 12, "a2")]) is False
    assert left(play, [play, follow(DAY / 24, "a2")]) is True
    assert left(play, [play, follow(DAY / 24, None)]) is True
    # of one instant, the order of the ids decides
    assert left(play, [play, follow(0 * DAY, "a2", "o"), follow(DAY / 24, "a1")]) is False
    # none within a day: cut off, or played out and perhaps the end of the context
    cut_off = play | {"completion": 0.5}
    assert left(play, [play, follow(DAY, "a1")]) is None
    assert left(cut_off, [cut_off, follow(DAY, "a1")]) is True
    assert left(play | {"artist_id": None}, [follow(DAY / 24, "a1")]) is None
