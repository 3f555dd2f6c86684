"""Days cut in any order, upon late plays and with other settings, end up as one run over all plays has them."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

from features.sessions import DAY_MS, GAP_MS, earlier_days
from jobs import build_sessions
from jobs.build_sessions import select_days, select_first_days
from jobs.publishing.state import DayState, TableState
from reference.delta_files import read_newest_rows
from reference.published import NOON, pass_every_batch
from reference.rows import assert_same
from reference.sessions import replace_ids_by_first_play
from reference.sessions import sessions as expected_sessions
from reference.staged import LaidJob
from reference.worlds import play

LENGTH = 9
DAYS = [(NOON + timedelta(days=n)).date() for n in range(LENGTH)]
MIDNIGHT = NOON - timedelta(hours=12)
DAY = timedelta(days=1)
# Nobody plays on these.
SILENT = (3, 4, 5)


def world():
    """Sessions over midnights and silent days, by the gap and by the source; a play of a whole day."""
    rows = []

    def add(user, at, **overrides):
        rows.append(play(play_id=f"{user} {len(rows)}", user_id=user, played_at=at, **overrides))

    for n in range(LENGTH):
        if n in SILENT:
            continue
        midnight = MIDNIGHT + n * DAY
        add("gap", midnight + timedelta(minutes=10))
        add("gap", midnight + DAY - timedelta(minutes=10))
        add("source", midnight + timedelta(hours=9), source_session_id="open for days")
        add("changes", midnight + timedelta(hours=9), source_session_id=f"s{n // 7}")
    # a day long, it ends half an hour before the other begins, two midnights later
    add("long", MIDNIGHT + DAY - timedelta(minutes=1), ms_played=DAY_MS)
    add("long", MIDNIGHT + 2 * DAY + timedelta(minutes=29))
    return rows


@pytest.fixture(scope="module", autouse=True)
def no_gate():
    with pytest.MonkeyPatch.context() as patch:
        pass_every_batch(patch)
        yield


class Tables:
    """A root, the plays in it, and the steps of a night."""

    def __init__(self, root):
        self.root, self.plays = str(root), []

    def lay_plays(self, rows):
        self.plays += rows
        days = sorted({row["ds"] for row in rows})
        job = LaidJob("test", self.root, say=lambda text: None)
        whole_days = [row for row in self.plays if row["ds"] in days]
        job.publish(job.batch("plays", days, parameters={"rows": len(self.plays)}), whole_days)

    def build(self, *arguments):
        assert build_sessions.main(["--root", self.root, *arguments]) == 0

    def check(self, gap_ms=GAP_MS):
        actual = read_newest_rows(self.root, "sessions")
        expected, actual = map(replace_ids_by_first_play, (expected_sessions(self.plays, gap_ms), actual))
        assert_same(expected, actual, ("play_id",), self.plays, "user_id")


@pytest.fixture
def tables(spark, tmp_path):
    return Tables(tmp_path / "root")


def test_build_sessions_in_any_order_ends_as_one_run(tables, capsys):
    draw = random.Random(0)
    plays = world()
    draw.shuffle(plays)
    first, late, very_late = plays[:14], plays[14:-3], plays[-3:]
    tables.lay_plays(first)
    published = sorted({row["ds"] for row in first})
    tables.build("--day", str(draw.choice(published)))
    tables.lay_plays(late)
    begin = draw.choice(DAYS[1:6])
    tables.build("--from", str(begin), "--to", str(begin + draw.choice((1, 3)) * DAY))
    tables.lay_plays(very_late)
    tables.build("--day", str(max(row["ds"] for row in very_late)))
    tables.build()
    tables.check()
    capsys.readouterr()
    tables.build()
    assert "sessions unchanged: no day of plays is new or changed" in capsys.readouterr().out


def test_build_sessions_day_by_day_equals_one_run(tables):
    for day in sorted({row["ds"] for row in world()}):
        tables.lay_plays([row for row in world() if row["ds"] == day])
        tables.build("--day", str(day))
    tables.check()


def test_build_sessions_with_another_gap_cuts_every_day_again(tables):
    tables.lay_plays([row for row in world() if row["user_id"] in ("gap", "long")])
    tables.build()
    tables.build("--gap-ms", "60000")
    tables.check(gap_ms=60_000)
    tables.build()
    tables.check()


def test_build_sessions_goes_on_to_the_next_day_only_while_what_goes_on_over_midnight_changed(tables, capsys):
    """Two late plays: one within its day, one that a session over midnight goes on from."""
    tables.lay_plays([row for row in world() if row["user_id"] == "gap"])
    tables.build()
    noon = MIDNIGHT + DAY + timedelta(hours=12)
    evening = MIDNIGHT + 7 * DAY - timedelta(minutes=20)
    tables.lay_plays([play(play_id=str(at), user_id="gap", played_at=at) for at in (noon, evening)])
    capsys.readouterr()
    tables.build()
    printed = capsys.readouterr().out
    assert f"3 rows, {DAYS[1]}, " in printed and f"1 days from {DAYS[2]} on keep" in printed
    assert f"3 rows, {DAYS[6]}, " in printed and f"4 rows, 2 days to {DAYS[8]}, " in printed, "it goes on"
    tables.check()
    tables.build()
    assert "sessions unchanged: no day of plays is new or changed" in capsys.readouterr().out


def test_build_sessions_of_one_day_leaves_stale_what_reaches_back_over_days_without_the_listener(tables):
    """The day between is as it was, and hands over another last play of who was silent on it."""
    rows = [play(play_id=f"y{n}", user_id="y", played_at=NOON + n * DAY) for n in range(4)]
    times = {"x0": NOON, "x1": NOON + 2 * DAY, "late": NOON + timedelta(hours=1)}
    x = {
        id_: play(play_id=id_, user_id="x", played_at=at, source_session_id="s") for id_, at in times.items()
    }
    tables.lay_plays([*rows, x["x0"], x["x1"]])
    tables.build()
    tables.lay_plays([x["late"]])
    tables.build("--day", str(DAYS[0]))
    tables.build()
    tables.check()


# --- which days, without Spark


@pytest.mark.parametrize(
    ("stale", "changed", "at_least", "first"),
    [
        ([1, 2, 3, 4, 5], {1, 2, 4}, 1, [1, 2]),
        ([1, 2, 3, 4, 5], {1, 2, 4}, 3, [1, 2, 3, 4]),
        ([1, 2, 3, 4, 5], {1}, 8, [1, 2, 3, 4, 5]),
        ([1, 3], {1, 3}, 1, [1]),
    ],
)
def test_select_first_days_ends_before_a_day_that_follows_from_the_day_before_alone(
    stale, changed, at_least, first
):
    days = [DAYS[n] for n in range(6)]
    actual = select_first_days(days, [DAYS[n] for n in stale], {DAYS[n] for n in changed}, at_least)
    assert actual == [DAYS[n] for n in first]


def state(hashes, upstream=None, empty=("source_session_id",)):
    days = {day: DayState(1, h, h, "f", (upstream or {}).get(day, "")) for day, h in hashes.items()}
    return TableState(0, day_states=days, empty_columns=frozenset(empty))


PLAYS_OF = dict(zip(DAYS[:4], (1, 2, 3, 4), strict=True))


def published_by(plays, requested=(), before=None, gap_ms=GAP_MS):
    days, upstream = select_days(plays, before, requested, gap_ms)
    old = {} if before is None else {day: each.upstream for day, each in before.day_states.items()}
    built = {**old, **{day: upstream[day] for day in days}}
    return days, state(dict.fromkeys(built, 0), built)


def test_select_days_makes_stale_what_was_cut_after_a_stale_day():
    plays = state(PLAYS_OF)
    _, sessions = published_by(plays)
    late = state({**PLAYS_OF, DAYS[1]: 20})
    assert published_by(late, before=sessions)[0] == DAYS[1:4]
    days, sessions = published_by(late, [DAYS[2]], sessions)
    assert days == [DAYS[2]]
    days, sessions = published_by(late, before=sessions)
    assert days == DAYS[1:4], "the third day was cut upon sessions of the second that lacked the late play"
    assert published_by(late, before=sessions)[0] == []


def test_select_days_takes_days_of_before_as_they_are_where_the_rules_cut_the_same():
    plays = state(PLAYS_OF)
    sessions = state(dict.fromkeys(PLAYS_OF, 0), plays.cumulative_fingerprints())
    assert published_by(plays, before=sessions)[0] == []
    assert published_by(plays, before=sessions, gap_ms=1)[0] == DAYS[:4]
    with_source = state(PLAYS_OF, empty=())
    assert published_by(with_source, before=sessions)[0] == DAYS[:4], "their sessions have other ids by now"
    more = state({**PLAYS_OF, DAYS[4]: 5})
    days, sessions = published_by(more, before=sessions)
    assert days == DAYS[4:5] and published_by(more, before=sessions)[0] == []


@pytest.mark.parametrize(
    ("gap_ms", "with_source", "count"),
    [(0, False, 2), (GAP_MS, False, 2), (DAY_MS - 1, False, 2), (DAY_MS, False, 3), (GAP_MS, True, 9)],
)
def test_earlier_days_reach_back_as_far_as_a_session_can(gap_ms, with_source, count):
    assert earlier_days(DAYS[0], gap_ms, with_source) == [DAYS[0] - n * DAY for n in range(count, 0, -1)]
