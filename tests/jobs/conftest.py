"""A small made-up world: as it was committed, and after one more night of today's code."""

from __future__ import annotations

import pytest

from jobs.file_heads import read_file_head
from jobs.propose_source import propose_source
from jobs.sources import load_source
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


@pytest.fixture
def propose(tmp_path):
    """The proposal for a file of some content, and the source that it is."""

    def propose(content, name="log.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        proposal = propose_source(read_file_head(str(path)))
        (tmp_path / "source.toml").write_text(proposal.text, encoding="utf-8")
        return proposal, load_source(str(tmp_path / "source.toml"))

    return propose
