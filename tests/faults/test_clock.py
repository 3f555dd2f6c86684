"""The clock jumps two hours ahead and back: no instant runs back, and a rerun has nothing to do."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta

import pytest

from faults.invariants import check, list_publish_notes
from faults.offers import OFFERS, TABLE, release_table
from segue.releases import list_releases

HOURS = (0, 2, -2, 2, -2, 0)


@pytest.fixture
def set_clock(monkeypatch):
    """Moves the clock of whatever writes an instant; returns how often it was asked."""
    calls = []

    def set_to(hours):
        class MovedClock(datetime):
            @classmethod
            def now(cls, tz=None):
                calls.append(hours)
                return datetime.now(tz) + timedelta(hours=hours)

        for module in ("jobs.publishing.commits", "jobs.publishing.records", "segue.releases"):
            monkeypatch.setattr(sys.modules[module], "datetime", MovedClock)

    set_to.calls = calls
    return set_to


def test_publish_and_release_instants_increase_though_the_clock_jumps(root, job, set_clock):
    releases = []
    for hours, offer in zip(HOURS, OFFERS, strict=True):
        set_clock(hours)
        assert job().offer(offer).kind == "published"
        assert job().offer(offer).kind == "unchanged"
        releases.append(release_table(root, job().warehouse.state(TABLE)))
    assert set(set_clock.calls) == set(HOURS), "the clock was not asked at each of its times"
    instants = [note["state"]["published_at"] for note in list_publish_notes(root / "tables" / TABLE)]
    ahead = datetime.now(UTC) + timedelta(hours=1)
    assert datetime.fromisoformat(instants[1]).replace(tzinfo=UTC) > ahead, "the clock did not jump"
    assert instants == sorted(set(instants))
    release_instants = [each.released_at for each in releases]
    assert release_instants == sorted(set(release_instants))
    assert [each.number for each in releases] == list(range(1, len(HOURS) + 1))
    assert list_releases(root) == releases[::-1]
    check(root, OFFERS)


@pytest.mark.parametrize("hours", [2, -2])
def test_publish_again_at_another_time_adds_no_version(root, job, set_clock, hours):
    job().offer(OFFERS[0])
    before = job().warehouse.state(TABLE)
    set_clock(hours)
    assert job().offer(OFFERS[0]).kind == "unchanged"
    own_job = job()
    staged = own_job.stage(OFFERS[0].batch(own_job), OFFERS[0].label)
    assert own_job.commit(staged).kind == "unchanged", "equal rows were published again"
    assert set_clock.calls, "the clock was not asked"
    assert job().warehouse.state(TABLE) == before
    check(root, OFFERS)
