"""The version that a training goes on from: the one that is published."""

from __future__ import annotations

import json
from datetime import date, timedelta
from types import SimpleNamespace

import pytest

from jobs import evaluate_track_embeddings
from jobs.embeddings import parents
from jobs.embeddings.steps import days_ending

DAY = date(2026, 11, 20)


def record(version, space, day, status="accepted", metrics=()):
    return {
        "version_id": version,
        "space_id": space,
        "status": status,
        "ds": day,
        "parameters": json.dumps({"dimensions": 64}),
        "metrics": metrics,
    }


def note(share):
    return {"name": "held_out_share", "of": "this", "segment": "gate", "value": share}


@pytest.fixture
def find(monkeypatch):
    """The parent by these records, `published` being the version of the day of track_embeddings."""

    def find(records, published):
        monkeypatch.setattr(parents, "_read_versions", lambda job, *more: records)
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


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([note(0.125)], [{"name": "next.hr@10", "value": 0.01}, note(0.0625)], 0.0625),
        ([note(0.0625)], [note(0.125)], 0.0625),
        # of before it was noted
        ([], [note(0.125)], None),
    ],
)
def test_what_a_space_held_out_is_the_least_of_its_trainings_up_to_the_day(
    first, second, expected, monkeypatch
):
    """A warm training goes on from what the one before it learned."""
    day = DAY - timedelta(days=1)
    records = [
        record("a", "a", day, metrics=first),
        record("b", "a", DAY, metrics=second),
        record("later", "a", DAY + timedelta(days=1), metrics=[note(0.01)]),
        record("refused", "a", DAY, "rejected", metrics=[note(0.01)]),
        record("c", "c", DAY, metrics=[note(0.01)]),
    ]
    monkeypatch.setattr(parents, "_read_versions", lambda job, *more: records)
    job = SimpleNamespace(snapshot=lambda table: SimpleNamespace(read_version_id=lambda day: "b"))
    assert parents.find_held_out_share(job, DAY) == expected


@pytest.mark.parametrize(
    ("later", "days", "known", "expected", "warns"),
    [
        (0, 3, 0.125, 0.125, False),
        (0, 3, 0.0, 0.0, False),
        (1, 2, 0.125, 0.125, False),
        (0, 3, None, 1.0, True),
        # days after that of the embeddings were learned from by none
        (1, 1, 0.125, 1.0, False),
        (2, 2, None, 1.0, False),
    ],
)
def test_an_evaluation_asks_what_was_held_out_or_says_that_it_is_not_known(
    later, days, known, expected, warns, monkeypatch, caplog
):
    monkeypatch.setattr(evaluate_track_embeddings, "find_held_out_share", lambda job, day: known)
    requested = days_ending(DAY + timedelta(days=later), days)
    assert evaluate_track_embeddings._find_unseen_share(None, DAY, requested) == expected
    assert ("figures come out too high" in caplog.text) == warns
