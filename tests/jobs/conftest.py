"""A small made-up world: as it was committed, and after one more night of today's code."""

from __future__ import annotations

import pytest

from reference.flows import FlowWorld, Night


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """Released up to the day before the last, by the code of the day on which it was committed."""
    return FlowWorld.committed(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def night(spark, world, tmp_path_factory):
    """The world after one more day by today's code."""
    return Night(world, tmp_path_factory.mktemp("night"))


@pytest.fixture
def copy(night, tmp_path):
    """The tables of the night, to spoil."""
    return night.copied_to(tmp_path)
