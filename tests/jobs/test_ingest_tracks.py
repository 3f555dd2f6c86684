"""Each row of a catalogue ends as a track, a duplicate or a reject, and what it changes is kept; the counts say so."""

from __future__ import annotations

import pytest

from expectations.suite import Suite
from expectations.suites import suite_for
from expectations.verdict import Refused, Result, Verdict
from jobs import ingest_tracks
from jobs.job import Job
from jobs.publishing import protocol
from jobs.publishing.warehouse import Warehouse
from reference.published import lay, pass_every_batch
from schemas import CONTRACTS
from schemas.contract import Contract

HEADER = "id,name,artist,ms,genre,out"
SOURCE = """
name = "test"
format = "csv"
optional = ["who"]

[tracks]
track_id = "id"
title = "name"
artist_name = "artist"
track_ms = "ms"
genres = "genre"
released = "out"
"""
FIRST = [
    "t1,One,A,1,Rock|Pop,1994",
    "t2,Two,A,2,,1994-05",
    "t3,Three,B,3,,",
    "t3,Three,,3,,",
    "t4,Four,B,-1,,",
]
SECOND = [
    "t1,One,Ä,1,Pop|Rock,1994",
    "t2,Two,A,2,,",
    "t5,Five,C,5,,2020",
    ",None,C,5,,",
    "t4,Four,B,-1,,",
    "t6",
]


@pytest.fixture(autouse=True)
def _no_gate(monkeypatch):
    pass_every_batch(monkeypatch)


@pytest.fixture
def ingest(tmp_path):
    def ingest(lines, name, source=SOURCE):
        (tmp_path / "source.toml").write_text(source)
        path = tmp_path / name
        path.write_text("\n".join([HEADER, *lines, ""]), encoding="utf-8")
        arguments = ["--source", str(tmp_path / "source.toml"), "--input", str(path)]
        return ingest_tracks.main(["--root", str(tmp_path / "root"), *arguments])

    return ingest


def read(tmp_path, name):
    """All rows at the newest version."""
    import pyarrow.dataset as pads

    delta_table = Warehouse(str(tmp_path / "root")).table(name)
    return [] if delta_table is None else pads.dataset(delta_table.file_uris()).to_table().to_pylist()


def list_changes(tmp_path):
    return {
        (row["track_id"], row["field"], row["before"], row["after"], row["source"], row["tracks_version"])
        for row in read(tmp_path, "track_changes")
    }


def version(tmp_path, table="tracks"):
    return Warehouse(str(tmp_path / "root")).table(table).version()


def test_ingest_tracks_accounts_for_every_row_and_keeps_what_changed(
    spark, tmp_path, ingest, capsys, monkeypatch
):
    assert ingest(FIRST, "monday.csv") == 0
    assert "5 rows read = 3 tracks + 1 duplicates + 1 rejected" in capsys.readouterr().out
    tracks = {row["track_id"]: row for row in read(tmp_path, "tracks")}
    assert {id_: (row["artist_name"], row["released"]) for id_, row in tracks.items()} == {
        "t1": ("A", "1994"), "t2": ("A", "1994-05"), "t3": ("B", None),
    }  # fmt: skip
    (reject,) = read(tmp_path, "rejected_tracks")
    assert (reject["raw"], reject["file"], reject["reasons"]) == (
        FIRST[4],
        "monday.csv",
        ["track_ms is negative"],
    )
    assert Warehouse(str(tmp_path / "root")).table("track_changes") is None, "a first load changes nothing"
    before = version(tmp_path)

    commit = Job._commit
    killed = []

    def kill(job, staged):
        if staged.batch.table == "tracks" and not killed:
            killed.append(staged)
            raise KeyboardInterrupt
        return commit(job, staged)

    # between the two commits: the rerun makes the changes true, once
    monkeypatch.setattr(Job, "_commit", kill)
    with pytest.raises(KeyboardInterrupt):
        ingest(SECOND, "tuesday.csv")
    assert version(tmp_path) == before
    capsys.readouterr()
    assert ingest(SECOND, "tuesday.csv") == 0
    output = capsys.readouterr().out
    assert "6 rows read = 3 tracks + 0 duplicates + 3 rejected" in output
    assert (
        "2 of 3 known tracks changed: artist_name of 1, genres of 1, released of 1, released_on of 1"
        in output
    )
    assert list_changes(tmp_path) == {
        ("t1", "artist_name", "A", "Ä", "test", before),
        ("t1", "genres", '["Rock","Pop"]', '["Pop","Rock"]', "test", before),
        ("t2", "released", "1994-05", None, "test", before),
        ("t2", "released_on", "1994-05-01", None, "test", before),
    }
    assert len(read(tmp_path, "track_changes")) == 4
    assert sorted(row["track_id"] for row in read(tmp_path, "tracks")) == ["t1", "t2", "t3", "t5"]
    # the row that was bad on Monday as well is one reject
    assert sorted(row["raw"] for row in read(tmp_path, "rejected_tracks")) == sorted(
        {FIRST[4], SECOND[3], SECOND[5]}
    )

    versions = [version(tmp_path, table) for table in ("tracks", "track_changes", "rejected_tracks")]
    assert ingest(SECOND, "tuesday.csv") == 0
    # other files that say the same
    assert ingest(SECOND, "wednesday.csv") == 0
    assert "tracks unchanged" in capsys.readouterr().out
    assert versions == [version(tmp_path, table) for table in ("tracks", "track_changes", "rejected_tracks")]


def test_columns_that_a_table_lacks_are_filled_without_a_change(spark, tmp_path, ingest, capsys, monkeypatch):
    """A table of before there were genres: their first values are no change of all tracks, what is renamed is one."""
    old = CONTRACTS["tracks"]
    new = ("released", "genres", "isrc", "recording_mbid")
    contract = Contract(
        old.name, old.meaning, tuple(c for c in old.columns if c.name not in new), old.key, old.entity,
        partitions=old.partitions, buckets=old.buckets, statistics=old.statistics,
    )  # fmt: skip
    monkeypatch.setitem(CONTRACTS, "tracks", contract)
    names = {"artist_name": "A", "source": "test"}
    lay(
        Warehouse(str(tmp_path / "root")),
        "tracks",
        [{"track_id": "t1", "title": "Won", "track_ms": 1, **names}],
    )
    monkeypatch.setitem(CONTRACTS, "tracks", old)
    assert ingest(FIRST[:2], "monday.csv") == 0
    assert [(row[1], row[2], row[3]) for row in list_changes(tmp_path)] == [("title", "Won", "One")]
    assert {row["track_id"]: row["genres"] for row in read(tmp_path, "tracks")} == {
        "t1": ["Rock", "Pop"],
        "t2": None,
    }


def test_a_refused_catalogue_changes_nothing_and_shows_its_rejects(spark, tmp_path, ingest, monkeypatch):
    assert ingest(FIRST, "monday.csv") == 0
    bad = Verdict((Result("expect_x", "x", "critical", False, "seen", "wanted"),))
    passed = protocol.audit_batch

    def refuse(rows, suite, *others):
        return bad if suite.table == "tracks" else passed(rows, suite, *others)

    monkeypatch.setattr(protocol, "audit_batch", refuse)
    with pytest.raises(Refused, match=r"The 3 rejected rows are published in .*rejected_tracks"):
        ingest(SECOND, "tuesday.csv")
    assert Warehouse(str(tmp_path / "root")).table("track_changes") is None
    assert len(read(tmp_path, "rejected_tracks")) == 3


def test_rejects_of_files_with_listeners_name_none(spark, tmp_path, ingest):
    """A log of plays is read as a catalogue too: an erasure looks for nobody there."""
    source = SOURCE.replace('artist_name = "artist"\n', "")
    source += '\n[plays]\nuser_id = "artist"\ntrack_id = "id"\nplayed_at = "out"\n'
    assert ingest(["t1,One,ada,1,,1994", "t2,Two,bob,-2,,1994"], "log.csv", source) == 0
    (reject,) = read(tmp_path, "rejected_tracks")
    assert "bob" not in reject["raw"] and '"id":"t2"' in reject["raw"]
    assert "user_id" not in reject


def test_bounds_of_rejects_and_changes_are_those_of_plays_and_can_be_changed():
    bounds = {bound.name: bound for bound in suite_for("tracks").bounds}
    assert {"rejected_share", "rejected_share.warning", "changed_share"} <= bounds.keys()
    assert bounds["rejected_share"] == next(
        b for b in suite_for("plays").bounds if b.name == "rejected_share"
    )
    assert isinstance(suite_for("rejected_tracks"), Suite) and not bounds["changed_share"].integrity
    moved = {"changed_share": 0.2, "has_catalogue": 1.0}
    assert bounds["changed_share"].check(moved).severity == "warning"
    assert not bounds["changed_share"].check(moved).success
    assert bounds["changed_share"].check({"changed_share": 0.0, "has_catalogue": 0}).success
