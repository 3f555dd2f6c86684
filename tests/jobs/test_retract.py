"""Retractions that are killed, and what runs after them, without Spark; `test_late_plays` has what is taken out."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from simulation.laid import remove_spark
from simulation.month import FIRST, Ingest, Play
from simulation.root import Killed, SimulatedRoot, kill_at_commit

from jobs import retract
from reference.published import pass_every_batch

NOON = datetime(FIRST.year, FIRST.month, FIRST.day, 12, tzinfo=UTC)


@pytest.fixture
def root(tmp_path, monkeypatch):
    pass_every_batch(monkeypatch)
    remove_spark(monkeypatch)
    root = SimulatedRoot(tmp_path, monkeypatch, allowed_days=2)
    root.apply(Ingest("first", (Play("p1", "u1", "t1", NOON, 1_000),)))
    root.build()
    return root


def test_retract_killed_once_no_play_is_left_can_be_run_again_and_ends_its_work(root):
    arguments = ["--root", root.root, "--play", "p1", "--ignore-missing"]
    with pytest.raises(Killed), kill_at_commit(lambda table: table == "plays", after=True):
        retract.main(arguments)
    assert root.days("plays") == [] and root.days("sessions") == [FIRST]
    assert retract.main(arguments) == 0
    assert root.days("sessions") == root.days("user_features") == []
