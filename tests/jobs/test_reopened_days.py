"""Which days keep the rows of listeners whose plays are as they were, and when they are made as a whole; no Spark."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from simulation.laid import remove_spark
from simulation.month import DAY, FIRST, Declare, Forget, Ingest, Play, Retract
from simulation.root import SimulatedRoot

from jobs import build_features
from reference.published import pass_every_batch

NOON = datetime(FIRST.year, FIRST.month, FIRST.day, 12, tzinfo=UTC)
LATE = Play("late", "u1", "t2", NOON, 1_000)


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Two listeners of three days; a late play of one of them, and a fourth day."""
    pass_every_batch(monkeypatch)
    remove_spark(monkeypatch)
    root = SimulatedRoot(tmp_path, monkeypatch, allowed_days=7)
    plays = [Play(f"{user}{n}", user, "t1", NOON + n * DAY, 1_000) for user in ("u1", "u2") for n in range(3)]
    root.apply(Ingest("first", tuple(plays)))
    root.build()
    root.apply(Ingest("second", (LATE, Play("new", "u2", "t1", NOON + 3 * DAY, 1_000))))
    return root


@pytest.fixture
def opened(monkeypatch):
    """Of each table that is opened again, the listeners whose rows are computed; None where it is everybody."""
    found, real = {}, build_features.ChangedEntities.open_again

    def open_again(self, job, table, stale):
        reopened, published = real(self, job, table, stale)
        found[table] = reopened and [row["user_id"] for row in reopened.entities]
        return reopened, published

    monkeypatch.setattr(build_features.ChangedEntities, "open_again", open_again)
    return found


def build(root):
    root.build()
    root.check()
    root.check_up_to_date()


def test_days_of_a_late_play_are_computed_for_its_listener_alone(root, opened):
    build(root)
    assert opened == {"user_partials": ["u1"], "user_features": ["u1"]}


def test_days_of_a_play_taken_out_are_computed_for_its_listener_alone(root, opened):
    root.build()
    root.apply(Retract(Ingest("late", (LATE,))))
    build(root)
    assert opened == {"user_partials": ["u1"], "user_features": ["u1"]}


def test_days_are_made_as_a_whole_where_what_they_were_made_of_is_gone(root, opened):
    state = root.warehouse.state("sessions")
    root.build_sessions()
    now = root.warehouse.table("sessions").file_uris()
    before = root.warehouse.table("sessions", state.version).file_uris()
    gone = [path for path in before if path not in now]
    assert gone, "no file was replaced"
    for path in gone:
        Path(path).unlink()
    build(root)
    assert opened == {"user_partials": None, "user_features": None}


def test_days_are_made_as_a_whole_after_an_erasure_and_for_a_new_feature(root, opened):
    root.build_sessions()
    root.apply(Forget("u2"))
    build(root)
    assert opened == {"user_partials": None, "user_features": None}
    root.apply(Declare())
    root.apply(Ingest("third", (Play("later", "u1", "t3", NOON + DAY, 2_000),)))
    build(root)
    assert opened == {"user_partials": None, "user_features": None}


def test_a_day_that_is_requested_is_made_as_a_whole(root, opened):
    root.build_sessions()
    root.build_features("--day", str(FIRST))
    assert opened == {"user_partials": ["u1"], "user_features": None}
    build(root)
