"""A small made-up world, published and released once: making it costs more than most tests of it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from reference.flows import DAYS, FIRST, LAST, FlowWorld


@pytest.fixture(scope="session")
def world(spark, tmp_path_factory):
    """The flow up to the last day, released; the last day comes with a fault, and once more without."""
    made = FlowWorld(tmp_path_factory.mktemp("flow"))
    made.generate("--spoil-day", str(LAST))
    code = made.flow(
        *[f"{made.landing}/plays/delivered={FIRST + timedelta(days=n)}" for n in range(DAYS - 1)]
    )
    assert code == 0, f"the first flow ended with {code}; its table says which step"
    return made


@pytest.fixture
def copy(world, tmp_path):
    """The world's tables to spoil."""
    return world.copied_to(tmp_path)
