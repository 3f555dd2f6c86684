"""Batches staged once, for all faults that need no Spark of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from faults.offers import OFFERS
from faults.replay import ReplayJob, save_templates
from jobs.publishing import state_changes


@pytest.fixture(autouse=True)
def _small_states_are_changes(monkeypatch):
    """As those of years of days are; drivers do the same."""
    monkeypatch.setattr(state_changes, "WHOLE_BYTES", 0)


@pytest.fixture(scope="session")
def templates(tmp_path_factory) -> Path:
    """Without Spark: what is published matters here, not who wrote it."""
    return save_templates(tmp_path_factory.mktemp("templates"), OFFERS)


@pytest.fixture
def root(tmp_path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def job(root, templates):
    """A new job on the root, at each call: as a rerun would be."""
    return lambda: ReplayJob(str(root), templates)
