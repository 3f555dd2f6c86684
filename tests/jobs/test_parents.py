"""The version that a training goes on from: the one that is published."""

from __future__ import annotations

import json
from datetime import date, timedelta
from types import SimpleNamespace

import pytest

from jobs.embeddings import parents

DAY = date(2026, 11, 20)


def record(version, space, day, status="accepted"):
    return {
        "version_id": version,
        "space_id": space,
        "status": status,
        "ds": day,
        "parameters": json.dumps({"dimensions": 64}),
    }


@pytest.fixture
def find(monkeypatch):
    """The parent by these records, `published` being the version of the day of track_embeddings."""

    def find(records, published):
        monkeypatch.setattr(parents, "_read_versions", lambda job: records)
        snapshot = SimpleNamespace(read_version_id=lambda day: published)
        state = SimpleNamespace(days=[DAY])
        job = SimpleNamespace(state=lambda table: state, snapshot=lambda table: snapshot)
        return parents.find_parent(job, DAY + timedelta(days=1))

    return find


def test_parent_is_the_published_version_and_not_one_that_was_only_recorded(find):
    before = DAY - timedelta(days=1)
    records = [record("a", "a", before), record("b", "a", DAY), record("c", "c", DAY)]
    parent = find(records, "b")
    assert (parent.version_id, parent.space_id, parent.day, parent.space_since) == ("b", "a", DAY, before)


def test_there_is_no_parent_without_a_record_of_what_is_published(find):
    assert find([record("b", "a", DAY, "rejected"), record("c", "c", DAY)], "b") is None
