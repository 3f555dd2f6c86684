"""Rewards against their definitions, in one call of Spark over thousands of listeners; and what those promise."""

from __future__ import annotations

from datetime import timedelta

import pytest
from simulation.label_cases import DECLARED, check_rewards

import reference.rewards as reference
from features.rewards import Evidence, reward_plays
from reference.frames import frame, rows
from reference.rewards import HORIZONS, LABEL_DAYS, THROUGH, worlds
from reference.rows import assert_same, bucket
from reference.worlds import DAY, MIDNIGHT, session_play
from schemas.rewards import Rewards
from schemas.sessions import SESSIONS


def test_rewards_of_thousands_of_listeners_are_as_defined(spark):
    check_rewards(spark, seed=7, cases=1_000)


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
