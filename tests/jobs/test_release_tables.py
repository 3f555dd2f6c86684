"""A release is made of tables that fit together, and of no others."""

from __future__ import annotations

from datetime import timedelta

import pytest

import segue
from expectations.verdict import Refused
from jobs import release_tables
from jobs.errors import JobError
from jobs.publishing.warehouse import Warehouse
from reference.batches import DAY, batch
from reference.published import lay
from schemas import CONTRACTS

DAYS = [DAY, DAY + timedelta(days=1)]
OF_TRACKS = ("track_embeddings", "similar_tracks", "track_semantic_ids")
OF_USERS = ("user_embeddings", "candidates")
# What a batch of any table does not say by itself.
SAID = {"source": "learned", "track_ids": ["t"], "origins": ["next_track"], "codes": [1, 2], "metrics": []}


class Tables:
    """Two days of plays of ten listeners and tracks, and of all that one training made of them."""

    def __init__(self, root):
        self.root, self.warehouse = str(root), Warehouse(str(root))
        for day in DAYS:
            self.add("plays", day)
            for table in (*OF_TRACKS, *OF_USERS):
                self.add(table, day)

    def add(self, table, day, rows=10, **overrides):
        made = batch(CONTRACTS[table], rows, **SAID, version_id=f"v{day}")
        lay(self.warehouse, table, [row | {"ds": day} | overrides for row in made])

    def release(self, *arguments):
        return release_tables.main(["--root", self.root, "--run-id", "run-test", *arguments])

    def released(self):
        return segue.open(self.root)


@pytest.fixture
def tables(spark, tmp_path):
    return Tables(tmp_path / "root")


def test_each_day_may_be_of_its_own_version(tables):
    assert tables.release() == 0
    assert tables.released().days("candidates") == DAYS


def test_a_table_of_another_version_on_the_newest_day_is_not_released_with_the_others(tables):
    day = DAYS[-1] + timedelta(days=1)
    for table in (*OF_TRACKS, *OF_USERS):
        tables.add(table, day, version_id="old" if table == "candidates" else "new")
    with pytest.raises(Refused, match=r"observed new in .*; old in candidates \["):
        tables.release("--tables", *OF_TRACKS, *OF_USERS)


def test_vectors_of_tracks_that_nobody_played_are_released_but_not_as_if_they_were_learned(tables):
    tables.add("track_embeddings", DAYS[-1], rows=1, track_id="unheard", source="artist")
    assert tables.release() == 0
    tables.add("track_embeddings", DAYS[-1], rows=1, track_id="made up")
    with pytest.raises(Refused, match=r"where source = 'learned' is in plays; observed 1 missing"):
        tables.release()


def test_what_is_of_nobody_and_nothing_is_not_released(tables):
    made_up = {table: CONTRACTS[table].entity for table in (*OF_TRACKS[1:], *OF_USERS)}
    for table, entity in made_up.items():
        tables.add(table, DAYS[-1], rows=1, **{entity: "made up"})
    with pytest.raises(Refused) as refused:
        tables.release()
    for table, entity in made_up.items():
        assert f"every {entity} of {table} is in" in str(refused.value)
    assert str(refused.value).count("observed 1 missing") == len(made_up)


def test_a_training_that_was_refused_holds_no_release_up(tables):
    later = DAYS[-1] + timedelta(days=1)
    tables.add("embedding_versions", later)
    assert tables.release() == 0
    assert tables.released().release == f"{DAYS[-1]}.1"
    assert "embedding_versions" in tables.released().tables
    tables.add("plays", later)
    with pytest.raises(JobError, match="tables reach different days"):
        tables.release()
