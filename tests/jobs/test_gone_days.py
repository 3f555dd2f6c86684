"""Days that a table has and its source does not: none are made any more, and those of before go. Without Spark."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from simulation.laid import remove_spark
from simulation.month import DAY, FIRST, Ingest, Play
from simulation.root import FEW_ROWS, GROUPS, SimulatedRoot

from jobs import build_sessions, group_events
from jobs.arguments import requested_days
from jobs.build_sessions import find_gone_days
from jobs.errors import WrongUsage
from jobs.publishing.state import DayState, TableState
from reference.published import pass_every_batch

NOON = datetime(FIRST.year, FIRST.month, FIRST.day, 12, tzinfo=UTC)
GAP = FIRST + DAY
RANGE = ("--from", str(FIRST - DAY), "--to", str(FIRST + 2 * DAY))


@pytest.fixture(params=[GROUPS, FEW_ROWS], ids=["all rows", "no idle rows"])
def root(tmp_path, monkeypatch, request):
    """Two listeners, of whom one plays on the first day alone; nobody does on the second."""
    pass_every_batch(monkeypatch)
    remove_spark(monkeypatch)
    root = SimulatedRoot(tmp_path, monkeypatch, allowed_days=7)
    root.declare(request.param)
    plays = [Play(f"p{n}", "u1", "t1", NOON + n * DAY, 1_000) for n in (0, 2, 3)]
    root.apply(Ingest("first", (*plays, Play("p-u2", "u2", "t1", NOON, 1_000))))
    root.build()
    return root


def test_a_range_makes_no_day_without_plays(root):
    root.build_sessions(*RANGE)
    root.build_features(*RANGE)
    assert root.days("sessions") == root.days("user_features") == [FIRST, FIRST + 2 * DAY, FIRST + 3 * DAY]
    root.check()


def test_days_without_plays_that_were_made_once_are_gone_with_the_next_flow(root, monkeypatch):
    """As every day of a range was: `GAP` stood for who became idle there, so the next day is made again."""
    for module in (build_sessions, group_events):
        monkeypatch.setattr(module, "requested_days", lambda args, stale, _=None: requested_days(args, stale))
    root.build_sessions(*RANGE)
    root.build_features(*RANGE)
    assert GAP in root.days("user_features") and GAP in root.days("sessions"), "nothing to heal"
    root.build()
    assert root.days("sessions") == root.days("user_features") == [FIRST, FIRST + 2 * DAY, FIRST + 3 * DAY]
    root.check()
    root.check_up_to_date()


def test_a_range_without_a_day_of_plays_is_one_error_before_any_work(root):
    before = root.versions()
    for build in (root.build_sessions, root.build_features):
        with pytest.raises(WrongUsage, match=f"no day from {GAP} to {GAP}; it has 3 days from {FIRST} to "):
            build("--day", str(GAP))
    assert root.versions() == before


def test_sessions_that_may_go_on_from_a_day_that_is_gone_are_cut_again():
    plays, sessions = (hold(*(FIRST + n * DAY for n in days)) for days in ((0, 2, 4), (0, 1, 2, 4, 5)))
    gone, again = find_gone_days(plays, sessions, gap_ms=60_000)
    assert gone == [FIRST + DAY, FIRST + 5 * DAY]
    assert again == [FIRST + 2 * DAY], "a session of a minute's silence reaches over one midnight"


def hold(*days):
    return TableState(
        1, {day: DayState(1, 1, 1, "batch") for day in days}, empty_columns=frozenset({"source_session_id"})
    )
