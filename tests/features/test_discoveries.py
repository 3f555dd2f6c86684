"""Generated discoveries: they follow their declared chances, and change none of the other plays."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from features.proxies.evidence import TOGETHER
from features.proxies.proxies import measure_proxies
from features.synthetic import discoveries as law
from features.synthetic.listening import SLOT_SHARES, generate_plays, generate_sessions
from features.synthetic.perfect_rewards import compute_perfect_rewards
from features.synthetic.world import DAY_MS, World
from reference.discoveries import chance_on

WORLD = World(
    users=400, days=130, tracks=2_000, artists=200, clusters=20, discoveries=1.0, background=0.4, weekend=2.0,
    new_tracks=0.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def drawn(spark):
    """Discoveries whose returns lie all in the world, as columns; and a matrix of the days of returns."""
    sessions = generate_sessions(WORLD, spark.range(WORLD.users), range(WORLD.days))
    found = law.draw_discoveries(WORLD, sessions, len(SLOT_SHARES)).persist()
    try:
        names = ("user", "slot", "track", "at_ms", "day", "level", "background", "completed", "saved")
        rows = found.select(*names).toArrow()
        plays = law.play_discoveries(WORLD, found).select("user", "slot", "position", "at_ms").toArrow()
    finally:
        found.unpersist()
    columns = {name: rows[name].to_numpy() for name in names}
    keep = columns["day"] < WORLD.days - law.RETURN_DAYS - 1
    place = {pair: n for n, pair in enumerate(zip(columns["user"], columns["slot"], strict=True))}
    trace = np.zeros((len(rows), law.RETURN_DAYS + 1), bool)
    for user, slot, position, at_ms in zip(*(column.to_pylist() for column in plays.columns), strict=True):
        row, day = place[user, slot], position - law.POSITION
        trace[row, day] = True
        earlier = columns["at_ms"][row] + day * DAY_MS - at_ms
        assert 0 <= earlier <= columns["at_ms"][row] % DAY_MS, "a return is on another day than its number"
    assert trace[:, 0].all(), "a discovery is a play itself"
    return {name: values[keep] for name, values in columns.items()}, trace[keep, 1:]


def test_qualities_are_of_tracks_and_have_their_shares(drawn):
    columns, _ = drawn
    levels = dict(zip(columns["track"].tolist(), columns["level"].tolist(), strict=True))
    assert [levels[track] for track in columns["track"].tolist()] == columns["level"].tolist()
    shares = np.bincount(list(levels.values()), minlength=3) / len(levels)
    assert shares == pytest.approx(law.QUALITY_SHARES, abs=0.03)


def test_discoveries_are_completed_and_saved_as_their_quality_and_intent_say(drawn):
    columns, _ = drawn
    for level in range(len(law.QUALITIES)):
        for background in (False, True):
            own = (columns["level"] == level) & (columns["background"] == background)
            completed = law.COMPLETED_CHANCE_BACKGROUND if background else law.COMPLETED_CHANCES[level]
            saved = law.SAVED_CHANCES[level] * (law.BACKGROUND_SAVE if background else 1)
            assert columns["completed"][own].mean() == pytest.approx(completed, abs=0.06)
            assert columns["saved"][own & columns["completed"]].mean() == pytest.approx(saved, abs=0.06)
    assert not (columns["saved"] & ~columns["completed"]).any()
    assert columns["background"].mean() == pytest.approx(WORLD.background, abs=0.02)


def test_returns_are_as_likely_as_the_rules_say(drawn):
    """Sums over rows of like days: of each, the expected number, and some four deviations around it."""
    columns, trace = drawn
    weekday = (WORLD.first_day.weekday() + columns["day"]) % 7
    cases = list(
        zip(columns["level"].tolist(), columns["background"].tolist(), weekday.tolist(), strict=True)
    )
    chance = {
        case: [chance_on(WORLD, *case, day) for day in range(1, law.RETURN_DAYS + 1)] for case in set(cases)
    }
    expected = np.array([chance[case] for case in cases])
    for own in (
        *(columns["level"] == level for level in range(3)),
        columns["background"],
        *(weekday == n for n in range(7)),
    ):
        for days in (slice(0, 1), slice(1, 7), slice(7, 59)):
            deviation = (expected[own, days] * (1 - expected[own, days])).sum() ** 0.5
            assert abs(trace[own, days].sum() - expected[own, days].sum()) < 4 * deviation


def test_sessions_and_discoveries_follow_the_week(drawn):
    columns, _ = drawn
    weekday = (WORLD.first_day.weekday() + columns["day"]) % 7
    counts = np.bincount(weekday, minlength=7) / np.bincount(
        [(WORLD.first_day.weekday() + n) % 7 for n in range(WORLD.days - law.RETURN_DAYS - 1)], minlength=7
    )
    assert counts[5:].mean() / counts[:5].mean() == pytest.approx(WORLD.weekend, rel=0.08)


def test_proxies_of_generated_discoveries_are_what_the_rules_say(drawn):
    columns, trace = drawn
    table = pa.table(
        {
            "user_id": columns["user"],
            "completed": columns["completed"],
            "saved": columns["saved"],
            "trace": pa.FixedSizeListArray.from_arrays(pa.array(trace.ravel()), law.RETURN_DAYS),
            "sticky_59d": 1 + trace.sum(axis=1),
        }
    )
    shares = np.bincount(columns["level"], minlength=3) / len(table)
    truth = compute_perfect_rewards(WORLD, shares.tolist()).by_line
    found = measure_proxies(
        table, "sticky_59d", ["completed", "saved", "trace"], days_observed=(0, 1, 7, 30), replicates=0
    )
    together = {each.days: each.r2.value for each in found.proxies if each.signal == TOGETHER}
    assert together == pytest.approx({n: truth[n] for n in together}, abs=0.04)


def test_other_plays_stay_as_they_are_and_background_skips_less(spark):
    small = World(users=20, days=3, tracks=400, artists=80, clusters=8, sessions_per_day=1.5, bots=0)
    users = spark.range(small.users)
    names = ("play_id", "user_id", "track_id", "played_at", "ms_played", "skipped", "saved")
    usual, more, background = (
        {row[0]: row for row in generate_plays(world, users).select(*names).collect()}
        for world in (small, small.replace(discoveries=1.0), small.replace(background=1.0))
    )
    assert {id_: more[id_] for id_ in usual} == usual
    assert len(more) > len(usual) + 30
    # sessions of which less is skipped take longer, and the last ones go on after the end of the world
    assert background.keys() <= usual.keys()
    assert len(background) > 0.95 * len(usual)
    skips = [sum(rows[id_]["skipped"] for id_ in background) for rows in (usual, background)]
    assert skips[1] / skips[0] == pytest.approx(0.4, abs=0.2)
    assert all(usual[id_]["track_id"] == row["track_id"] for id_, row in background.items())
