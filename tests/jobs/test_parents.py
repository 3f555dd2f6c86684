"""The version that a training goes on from: the one that is published."""

from __future__ import annotations

import json
from datetime import date, timedelta
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from features.embeddings.settings import Settings
from jobs import evaluate_track_embeddings, train_track_embeddings
from jobs.embeddings import parents
from jobs.embeddings.steps import days_ending
from jobs.embeddings.tracks import count_shared
from jobs.errors import WrongUsage
from reference.planted import write_scratch

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


PARENT = parents.Parent("v0", "v0", DAY, DAY, dict(Settings(dimensions=8)))


def lay_vocabulary(folder, shared, tracks=60):
    """The scratch of a vocabulary of which the version before learned the first so many tracks; two of the others it
    knows by their artists."""
    supports = [5] * shared + [0] * 2
    before = pa.table(
        {
            "track_id": [f"t{n:04d}" for n in range(len(supports))],
            "support": pa.array(supports, pa.int64()),
            **dict.fromkeys(("in_vector", "out_vector"), pa.array([[0.1] * 8] * len(supports))),
            **dict.fromkeys(("in_state", "out_state"), pa.array([1.0] * len(supports))),
        }
    )
    return write_scratch(folder / "scratch", np.arange(2 * tracks).reshape(-1, 8) % tracks, before)


def test_count_shared_counts_what_was_learned_and_is_played_enough(tmp_path):
    scratch = lay_vocabulary(tmp_path, shared=7)
    assert count_shared(scratch, min_plays=2) == (7, 60), (
        "a vector that came of other tracks was learned from none"
    )
    assert count_shared(scratch, min_plays=3) == (0, 0)


@pytest.mark.parametrize(
    ("shared", "tracks", "is_continued"),
    [
        (0, 400, False),
        (1, 400, False),
        (15, 400, False),
        (16, 400, True),
        (4, 7, True),
        (3, 7, False),
        (0, 1, False),
    ],
)
def test_a_space_is_continued_by_two_tracks_a_dimension_or_half_of_a_small_world(
    shared, tracks, is_continued
):
    reason = parents.why_not_continued(shared, tracks, PARENT)
    assert (reason is None) == is_continued, reason


def choose_start_of(scratch, *flags):
    """The training that the job makes of a vocabulary, having begun as a warm one; and what it says."""
    args, said = train_track_embeddings._parser().parse_args(["--root", "r", *flags]), []
    warm = train_track_embeddings._choose_training("warm", args, Settings(), PARENT, DAY)
    rest = (PARENT, DAY, scratch, said.append)
    return train_track_embeddings._leave_other_spaces(args, Settings(), warm, *rest), said


def test_a_vocabulary_that_the_parent_hardly_knows_is_trained_cold_and_not_as_its_space(tmp_path):
    training, said = choose_start_of(lay_vocabulary(tmp_path, shared=1))
    assert (training.start, training.settings.dimensions) == ("cold", 8), "not comparable with its parent"
    assert training.search, "a cold training chooses its settings"
    assert said == [
        "a cold start: of the 60 tracks to learn v0 had learned 1, and 16 are needed to go on in its space"
    ]


def test_a_warm_start_of_a_vocabulary_that_the_parent_hardly_knows_is_refused(tmp_path):
    scratch = lay_vocabulary(tmp_path, shared=1)
    with pytest.raises(
        WrongUsage, match=r"warm is impossible: of the 60 tracks .* learned 1, and 16 are needed"
    ):
        choose_start_of(scratch, "--start", "warm")
    assert not (tmp_path / "scratch").exists(), "what nobody goes on with is left"


def test_a_vocabulary_that_the_parent_knows_goes_on_warm(tmp_path):
    training, said = choose_start_of(lay_vocabulary(tmp_path, shared=16), "--start", "warm")
    assert (training.start, said) == ("warm", [])
