"""`features.windows.partials` against what each part is said to hold, however the days were made."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from features.windows.partials import partial_rows
from reference.computed import calendar, partials
from reference.frames import frame, rows
from reference.partials import comparable
from reference.partials import partials as expected_partials
from reference.rows import assert_same, day
from reference.windows import midnight_after, settled
from reference.worlds import DAY, US, heard, history
from schemas.declarations import LIFETIME, USER, USER_ARTIST, Feature, FeatureGroup
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


def known_world():
    """Plays a year back and lately, and a listener of every day, for longer than `heard_on` has bits."""
    world, over = history(21, (0, 0, 0, 1, 2, 3, 4, 7, 30, 365))
    lately = [max(over) - n * DAY for n in range(70)]
    daily = [heard(play_id=f"{ds}", user_id="daily", played_at=midnight_after(ds) - US) for ds in lately]
    return [*world, *daily], calendar(world, over)


@pytest.fixture(scope="module")
def known():
    return known_world()


@pytest.fixture(scope="module")
def at_once(spark, known):
    world, days = known
    return partials(spark, world, EVERY_PART, [days])


def hold(wanted, got, group, world, within):
    wanted, got = comparable(wanted, group), comparable(got, group)
    assert wanted, "nothing is expected, so this shows nothing"
    key = (*group.keys, "ds", "span")
    assert_same(wanted, settled(wanted, got, key, within), key, world, group.keys[0])


def test_every_kind_of_part_is_declared_here():
    assert {part.kind for part in EVERY_PART.parts} == KINDS.keys()


def test_partials_are_as_defined(known, at_once):
    world, days = known
    wanted = expected_partials(world, EVERY_PART, days)
    assert max(row["span"] for row in wanted) > 256
    hold(wanted, at_once, EVERY_PART, world, within=1e-14)


def test_days_made_bit_by_bit_are_those_made_at_once(spark, known, at_once):
    world, days = known
    before = [ds for ds in days if ds < DAY_BY_DAY[0]]
    after = [ds for ds in days if ds > DAY_BY_DAY[-1]]
    bit_by_bit = partials(spark, world, EVERY_PART, [before, *([ds] for ds in DAY_BY_DAY), after])
    hold_alike(at_once, bit_by_bit, world)


def hold_alike(wanted, got, world):
    """Bit for bit, but for what fades: that is rounded wherever it is put together."""
    fades = [part.name for part in EVERY_PART.parts if part.kind == "decayed"]
    hold(wanted, got, EVERY_PART, world, within=1e-14)
    rest = [
        [{n: v for n, v in row.items() if n not in fades} for row in comparable(rows, EVERY_PART)]
        for rows in (wanted, got)
    ]
    assert_same(*rest, KEY, world, "user_id")


def test_a_late_play_is_in_all_that_is_made_anew(spark, known, at_once):
    world, days = known
    late = [play for play in world if play["ds"] in DAY_BY_DAY][::2]
    in_time = frame(spark, [play for play in world if play not in late], SESSIONS)
    made = partial_rows(in_time, EVERY_PART, days, None).localCheckpoint()
    since = min(play["ds"] for play in late)
    anew = partial_rows(frame(spark, world, SESSIONS), EVERY_PART, [ds for ds in days if ds >= since], made)
    wanted = [row for row in at_once if row["ds"] >= since]
    hold_alike(wanted, rows(anew, EVERY_PART.partials_contract()), world)


def test_order_place_and_other_days_do_not_matter(spark, known, at_once):
    world, days = known
    later = [
        play
        | {"play_id": f"later {play['play_id']}", "played_at": play["played_at"] + 600 * DAY, "user_id": user}
        for play in world
        for user in (play["user_id"], "new")
    ]
    later = [play | {"ds": day(play["played_at"])} for play in later]
    elsewhere = frame(spark, [*later, *reversed(world)], SESSIONS).repartition(7, "session_id")
    got = rows(partial_rows(elsewhere, EVERY_PART, days[::-1], None), EVERY_PART.partials_contract())
    hold(at_once, got, EVERY_PART, world, within=0)


def test_a_pair_is_two_keys_and_never_null(spark, known):
    world, days = known[0], known[1][-45:]
    lately = [play for play in world if play["ds"] >= days[0]]
    features = (Feature("plays", "count", "played_at", "plays", ("7d",)),)
    group = FeatureGroup("pair_features", USER_ARTIST, "pairs", features, where="not is_bot")
    hold(
        expected_partials(lately, group, days), partials(spark, world, group, [days]), group, lately, within=0
    )


def test_no_days_are_refused(spark):
    with pytest.raises(ValueError, match="no days"):
        partial_rows(frame(spark, [], SESSIONS), EVERY_PART, [], None)


def test_days_without_plays_have_no_rows(spark):
    assert partials(spark, [heard()], EVERY_PART, [[heard()["ds"] + timedelta(days=1)]]) == []
