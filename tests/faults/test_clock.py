"""The clock jumps two hours ahead and back: no instant runs back, and a rerun has nothing to do."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime, timedelta

import pytest

from faults.invariants import check, published
from faults.offers import OFFERS, TABLE
from segue.releases import TableVersion, append_release, list_releases

HOURS = (0, 2, -2, 2, -2, 0)


@pytest.fixture
def set_clock(monkeypatch):
    """Moves the clock of whatever writes an instant; returns how often it was asked."""
    asked = []

    def set_to(hours):
        class Moved(datetime):
            @classmethod
            def now(cls, tz=None):
                asked.append(hours)
                return datetime.now(tz) + timedelta(hours=hours)

        for module in ("jobs.publishing.commits", "jobs.publishing.records", "segue.releases"):
            monkeypatch.setattr(sys.modules[module], "datetime", Moved)

    set_to.asked = asked
    return set_to


def release(root, state):
    entry = TableVersion(state.version, state.rows, state.content_hash)
    return append_release(root, date(2026, 10, 3), {TABLE: entry})


def test_instants_never_run_back(root, job, set_clock):
    released = []
    for hours, offer in zip(HOURS, OFFERS, strict=True):
        set_clock(hours)
        assert job().offer(offer).kind == "published"
        assert job().offer(offer).kind == "unchanged"
        released.append(release(root, job().warehouse.state(TABLE)))
    assert set(set_clock.asked) == set(HOURS), "the clock was not asked at each of its times"
    instants = [note["state"]["published_at"] for note in published(root / "tables" / TABLE)]
    ahead = datetime.now(UTC) + timedelta(hours=1)
    assert datetime.fromisoformat(instants[1]).replace(tzinfo=UTC) > ahead, "the clock did not jump"
    assert instants == sorted(set(instants))
    at = [each.released_at for each in released]
    assert at == sorted(set(at))
    assert [each.number for each in released] == list(range(1, len(HOURS) + 1))
    assert list_releases(root) == released[::-1]
    check(root, OFFERS)


@pytest.mark.parametrize("hours", [2, -2])
def test_a_rerun_at_another_time_adds_no_version(root, job, set_clock, hours):
    job().offer(OFFERS[0])
    before = job().warehouse.state(TABLE)
    set_clock(hours)
    assert job().offer(OFFERS[0]).kind == "unchanged"
    mine = job()
    staged = mine.stage(OFFERS[0].batch(mine), OFFERS[0].label)
    assert mine.commit(staged).kind == "unchanged", "equal rows were published again"
    assert set_clock.asked, "the clock was not asked"
    assert job().warehouse.state(TABLE) == before
    check(root, OFFERS)
