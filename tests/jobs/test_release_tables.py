"""A release is made of tables that fit together, and of no others.

What does not fit is counted in plain Python, as planning a query over a dozen tables takes seconds; one test holds
that to what Spark counts, and `test_flow` releases on Spark alone.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import timedelta

import pytest
from deltalake import CommitProperties

import segue
from expectations.release import audit_release, count_orphans
from expectations.verdict import Refused
from jobs import TABLES, release_tables
from jobs.errors import JobError, WrongUsage
from jobs.job import Job
from jobs.publishing.selection import Selection
from jobs.publishing.state import TableState, read_state
from jobs.publishing.warehouse import Warehouse
from reference.batches import DAY, batch
from reference.published import lay
from reference.releases import count_in_python, orphans, versions
from schemas import CONTRACTS
from segue.releases import list_releases

DAYS = [DAY, DAY + timedelta(days=1)]
TRACK_TABLES = ("track_embeddings", "similar_tracks", "track_semantic_ids")
USER_TABLES = ("user_embeddings", "candidates")
# What a batch of any table does not say by itself.
COLUMN_VALUES = {
    "source": "learned",
    "track_ids": ["t"],
    "origins": ["next_track"],
    "codes": [1, 2],
    "metrics": [],
}

KEYS = {"sessions": "play_id", **dict.fromkeys(USER_TABLES, "user_id")}


class Tables:
    """Two days of plays of ten listeners and tracks, and of all that one training made of them."""

    def __init__(self, root):
        self.root, self.warehouse = str(root), Warehouse(str(root))
        for day in DAYS:
            self.add("plays", day)
            for table in (*TRACK_TABLES, *USER_TABLES):
                self.add(table, day)

    def add(self, table, day, rows=10, **overrides):
        batch_rows = batch(CONTRACTS[table], rows, **COLUMN_VALUES, version_id=f"v{day}")
        lay(self.warehouse, table, [row | ({"ds": day} if day else {}) | overrides for row in batch_rows])

    def release(self, *arguments):
        return release_tables.main(["--root", self.root, "--run-id", "run-test", *arguments])

    def open_release(self):
        return segue.open(self.root)


@pytest.fixture
def tables(tmp_path, monkeypatch):
    count_in_python(monkeypatch)
    return Tables(tmp_path / "root")


def test_count_orphans_and_read_versions_agree_with_plain_python(spark, tmp_path, monkeypatch):
    """Keys of nobody, the same on a day that the parent has not reached, a second version, a row that a condition
    leaves out, keys that are null; at the newest versions and at those from before all this."""
    tables = Tables(tmp_path / "root")
    tables.add("sessions", DAYS[-1])
    before = Selection.newest(tables.warehouse, TABLES)
    for table in ("sessions", *TRACK_TABLES, *USER_TABLES):
        key = KEYS.get(table, "track_id")
        tables.add(table, DAYS[-1], rows=1, version_id="other", **{key: f"one of {table}"})
        tables.add(table, DAYS[-1] + timedelta(days=1), rows=1, **{key: f"ahead in {table}"})
    tables.add("track_embeddings", DAYS[-1], rows=1, track_id="unheard", source="artist")
    tables.add("artist_features", DAYS[-1], rows=1)
    tables.add("plays", DAYS[-1], rows=1, play_id="alone", artist_id=None)
    job, newest = Job("test", tables.root), Selection.newest(tables.warehouse, TABLES)
    broken_references = {name for name, missing in orphans(newest).items() if missing}
    expected = {
        "play_id_of_sessions_to_be_in_plays",
        "play_id_of_plays_to_be_in_sessions",
        *(
            f"{KEYS.get(table, 'track_id')}_of_{table}_to_be_in_plays"
            for table in (TRACK_TABLES[0], *USER_TABLES)
        ),
        *(f"track_id_of_{table}_to_be_in_track_embeddings" for table in TRACK_TABLES[1:]),
    }
    assert broken_references == {f"expect_{name}" for name in expected}, "not every fault shows"
    for selection in (newest, before):
        assert release_tables._count_orphans(job, selection) == orphans(selection)
        assert release_tables._read_versions(job, selection) == versions(selection)
    # as of many rows: by the days that changed since what held was recorded, here of the first day
    states = {name: each for name, each in before.states.items() if name != "sessions"}
    first = {
        name: read_state(tables.warehouse.table(name, each.version - 1)) for name, each in states.items()
    }
    assert {day for each in first.values() for day in each.days} == {DAYS[0]}
    of_first_day = replace(before, states=first)
    release_tables._record_release(job, of_first_day, audit_release(orphans(of_first_day)), "passed")
    monkeypatch.setattr(release_tables, "FEW_ROWS", 0)
    counted = []
    monkeypatch.setattr(
        release_tables, "count_orphans", lambda pairs: counted.extend(pairs) or count_orphans(pairs)
    )
    assert release_tables._count_orphans(job, before) == orphans(before)
    assert {"sessions" in (each.child, each.parent) for each in counted} == {True}, "more than had to be"


def test_release_tables_accepts_a_version_of_its_own_for_each_day(tables):
    assert tables.release() == 0
    assert tables.open_release().days("candidates") == DAYS


def test_release_tables_leaves_a_table_of_another_version_out_of_a_first_release(tables):
    day = DAYS[-1] + timedelta(days=1)
    for table in (*TRACK_TABLES, *USER_TABLES):
        tables.add(table, day, version_id="old" if table == "candidates" else "new")
    with pytest.raises(Refused, match=r"candidates left out: .*observed new in .*; old in candidates"):
        tables.release("--tables", *TRACK_TABLES, *USER_TABLES)
    assert set(tables.open_release().tables) == {*TRACK_TABLES, *USER_TABLES} - {"candidates"}


def test_release_tables_carries_all_tables_of_a_repeated_training_together(tables):
    """The vectors of a day that was published before are of another version now, and what is made of them is not."""
    assert tables.release() == 0
    before = dict(tables.open_release().tables)
    day = DAYS[-1]
    tables.add("track_embeddings", day, rows=1, version_id="again")
    tables.add("plays", day)
    with pytest.raises(Refused, match=r"track_embeddings carried from release"):
        tables.release()
    after = tables.open_release().tables
    assert {n: after[n].version for n in (*TRACK_TABLES, *USER_TABLES)} == {
        n: before[n].version for n in (*TRACK_TABLES, *USER_TABLES)
    }
    assert after["plays"].version > before["plays"].version, "plays are held up by embeddings"


def test_release_tables_accepts_vectors_of_unplayed_tracks_only_if_not_learned(tables):
    tables.add("track_embeddings", DAYS[-1], rows=1, track_id="unheard", source="artist")
    assert tables.release() == 0
    good_version = tables.open_release().tables["track_embeddings"].version
    tables.add("track_embeddings", DAYS[-1], rows=1, track_id="made up")
    tables.add("plays", DAYS[-1], rows=1)
    with pytest.raises(Refused, match=r"where source = 'learned' is in plays; observed 1 missing"):
        tables.release()
    assert tables.open_release().tables["track_embeddings"].version == good_version


def test_release_tables_carries_tables_with_orphans_and_releases_the_rest(tables):
    assert tables.release() == 0
    before = dict(tables.open_release().tables)
    entities = {table: CONTRACTS[table].entity for table in (*TRACK_TABLES[1:], *USER_TABLES)}
    for table, entity in entities.items():
        tables.add(table, DAYS[-1], rows=1, **{entity: "made up"})
    tables.add("plays", DAYS[-1], rows=1)
    with pytest.raises(Refused) as refusal:
        tables.release()
    for table, entity in entities.items():
        assert f"every {entity} of {table} is in" in str(refusal.value)
        assert tables.open_release().tables[table].version == before[table].version
    assert tables.open_release().tables["plays"].version > before["plays"].version


def test_release_tables_makes_no_release_where_nothing_new_fits(tables):
    assert tables.release() == 0
    before = tables.open_release().release
    tables.add("candidates", DAYS[-1], rows=1, user_id="made up")
    with pytest.raises(Refused, match="readers keep the release before"):
        tables.release()
    assert tables.open_release().release == before


def test_release_tables_carries_a_faulty_table_and_all_downstream_of_it(tables):
    """Sessions of plays that are none: whatever is made of sessions stays at the release before."""
    tables.add("sessions", DAYS[-1])
    tables.add("plays", DAYS[0])
    assert tables.release() == 0
    before = dict(tables.open_release().tables)
    tables.add("sessions", DAYS[-1], rows=1, play_id="made up")
    tables.add("candidates", DAYS[-1], rows=1)
    tables.add("user_partials", DAYS[-1])
    tables.add("tracks", None)
    with pytest.raises(Refused, match="sessions carried from release"):
        tables.release()
    after = tables.open_release().tables
    assert after["sessions"].version == before["sessions"].version
    assert after["candidates"].version == before["candidates"].version
    assert "user_partials" not in before and "user_partials" not in after, "it is made of the sessions too"
    assert "tracks" in after, "a catalogue is not made of sessions"


def test_release_tables_leaves_out_a_version_from_before_an_erasure(tables):
    assert tables.release() == 0
    mark_erased(tables.warehouse, "candidates")
    tables.add("candidates", DAYS[-1], rows=1, user_id="made up")
    tables.add("plays", DAYS[-1], rows=1)
    with pytest.raises(Refused, match="candidates left out"):
        tables.release()
    assert "candidates" not in tables.open_release().tables


def test_release_tables_gives_lags_in_days_and_none_to_records_of_refusals(tables):
    later = DAYS[-1] + timedelta(days=1)
    tables.add("embedding_versions", later)
    assert tables.release() == 0
    assert tables.open_release().release == f"{DAYS[-1]}.1"
    tables.add("embedding_versions", later + timedelta(days=1))
    assert tables.release() == 0
    assert tables.open_release().release == f"{DAYS[-1]}.1", (
        "what was refused alone is nothing new to readers"
    )
    tables.add("plays", later)
    assert tables.release() == 0
    lags = {name: entry.lag_days for name, entry in tables.open_release().tables.items()}
    assert lags == {"plays": 0, "embedding_versions": 0, **dict.fromkeys((*TRACK_TABLES, *USER_TABLES), 1)}


def test_release_tables_carries_what_nothing_here_declares_until_it_is_left_out(
    tables, monkeypatch, caplog, capsys
):
    assert tables.release() == 0
    version = tables.open_release().tables["candidates"].version
    monkeypatch.setattr(release_tables, "TABLES", tuple(name for name in TABLES if name != "candidates"))
    # of whoever declares it; days that plays have no more may be among them
    tables.add("candidates", DAYS[-1] + timedelta(days=1))
    assert tables.release() == 0
    assert len(list_releases(tables.root)) == 1, "there is nothing new of what is declared here"
    tables.add("plays", DAYS[-1] + timedelta(days=1))
    assert tables.release() == 0
    entry = tables.open_release().tables["candidates"]
    assert (entry.version, entry.lag_days) == (version, 1)
    assert tables.open_release().days("candidates") == DAYS, "readers keep it"
    assert "candidates carried: nothing here declares it" in caplog.text + capsys.readouterr().out
    with pytest.raises(WrongUsage, match=r"--leave-out plays: expected .* which are: candidates. A table"):
        tables.release("--leave-out", "plays")
    assert tables.release("--leave-out", "candidates") == 0
    tables.add("plays", DAYS[-1] + timedelta(days=2))
    assert tables.release() == 0
    assert "candidates" not in tables.open_release().tables, "it came back by itself"


@pytest.mark.parametrize("change", ["erased", "removed"])
def test_release_tables_carries_no_undeclared_table_that_must_not_or_cannot_be_read(
    tables, monkeypatch, change
):
    assert tables.release() == 0
    monkeypatch.setattr(release_tables, "TABLES", tuple(name for name in TABLES if name != "candidates"))
    if change == "erased":
        mark_erased(tables.warehouse, "candidates")
    else:
        shutil.rmtree(tables.warehouse.table_path("candidates"))
    assert tables.release() == 0
    assert "candidates" not in tables.open_release().tables


def test_undeclared_tables_are_held_to_no_other(monkeypatch):
    monkeypatch.setattr(release_tables, "_count_orphans_of", lambda job, selection, references: references)
    states = dict.fromkeys(("plays", "user_embeddings", "candidates"), TableState(1))
    selection = Selection(Warehouse("."), states, undeclared=frozenset({"candidates"}))
    assert [each.child for each in release_tables._count_orphans(None, selection)] == ["user_embeddings"]


def test_release_tables_raises_where_nothing_was_published(tmp_path):
    with pytest.raises(JobError, match="nothing to release"):
        release_tables.main(["--root", str(tmp_path)])


def mark_erased(warehouse, table):
    """As an erasure leaves the log: no row fewer here, but a mark that no older version may be served."""
    state = warehouse.state(table)
    log = warehouse.table(table)
    note = {"kind": "erase", "state": replace(state, erased_in=log.version() + 1).dumps()}
    log.alter.set_table_properties(
        {"segue.test": "1"},
        raise_if_not_exists=False,
        commit_properties=CommitProperties(custom_metadata={"userMetadata": json.dumps(note)}),
    )
