"""Each row of a catalogue ends as a track, a duplicate or a reject, and what it changes is kept; the counts say so."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from simulation.laid import LaidStep
from simulation.laid_catalogues import remove_spark

from expectations.suite import Suite
from expectations.suites import suite_for
from expectations.verdict import Refused
from jobs import ingest_tracks
from jobs.job import Job
from jobs.publishing.warehouse import Warehouse
from reference.delta_files import read_newest_rows
from reference.published import lay, pass_every_batch
from reference.staged import REFUSED
from schemas import CONTRACTS

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

SAID = "2 of 3 known tracks changed: artist_name of 1, genres of 1, released of 1, released_on of 1"


def find_expected_changes(version):
    """What the second one changes of the first, which is that version of the table."""
    return {
        ("t1", "artist_name", "A", "Ä", "test", version),
        ("t1", "genres", '["Rock","Pop"]', '["Pop","Rock"]', "test", version),
        ("t2", "released", "1994-05", None, "test", version),
        ("t2", "released_on", "1994-05-01", None, "test", version),
    }


@pytest.fixture(autouse=True)
def _no_gate(monkeypatch):
    pass_every_batch(monkeypatch)


@pytest.fixture
def ingest(tmp_path):
    def ingest(lines, name, source=SOURCE):
        (tmp_path / "source.toml").write_text(source)
        path = tmp_path / name
        # a file that was written again is another delivery
        if not path.exists():
            path.write_text("\n".join([HEADER, *lines, ""]), encoding="utf-8")
        arguments = ["--source", str(tmp_path / "source.toml"), "--input", str(path)]
        return ingest_tracks.main(["--root", str(tmp_path / "root"), *arguments])

    return ingest


def read(tmp_path, name):
    return read_newest_rows(tmp_path / "root", name)


def list_changes(tmp_path):
    return {
        (row["track_id"], row["field"], row["before"], row["after"], row["source"], row["tracks_version"])
        for row in read(tmp_path, "track_changes")
    }


def version(tmp_path, table="tracks"):
    return Warehouse(str(tmp_path / "root")).table(table).version()


def test_ingest_tracks_accounts_for_every_row_and_keeps_what_changed(spark, tmp_path, ingest, capsys):
    known = [
        {"track_id": "t1", "title": "One", "track_ms": 1, "released": "1994", "genres": ["Rock", "Pop"]},
        {"track_id": "t2", "title": "Two", "track_ms": 2, "released": "1994-05"},
        {"track_id": "t3", "title": "Three", "track_ms": 3},
    ]
    days = {"t1": date(1994, 1, 1), "t2": date(1994, 5, 1), "t3": None}
    rows = [{**row, "released_on": days[row["track_id"]], "artist_name": "A", "source": "x"} for row in known]
    lay(Warehouse(str(tmp_path / "root")), "tracks", rows)
    before = version(tmp_path)
    assert ingest([*SECOND, "t5,Five,,5,,"], "tuesday.csv") == 0
    output = capsys.readouterr().out
    assert "7 rows read = 3 tracks + 1 duplicates + 3 rejected" in output
    assert SAID in output
    assert list_changes(tmp_path) == find_expected_changes(before)
    tracks = {row["track_id"]: row for row in read(tmp_path, "tracks")}
    assert {id_: (row["artist_name"], row["released"], row["source"]) for id_, row in tracks.items()} == {
        "t1": ("Ä", "1994", "test"), "t2": ("A", None, "test"), "t3": ("A", None, "x"), "t5": ("C", "2020", "test"),
    }  # fmt: skip
    rejects = {row["raw"]: (row["file"], row["reasons"]) for row in read(tmp_path, "rejected_tracks")}
    assert rejects == {
        SECOND[3]: ("tuesday.csv", ["track_id is missing"]),
        SECOND[4]: ("tuesday.csv", ["track_ms is negative"]),
        SECOND[5]: ("tuesday.csv", ["the line is broken"]),
    }


def test_rejects_of_files_with_listeners_name_none(spark, tmp_path, ingest):
    """A log of plays is read as a catalogue too: an erasure looks for nobody there."""
    source = SOURCE.replace('artist_name = "artist"\n', "")
    source += '\n[plays]\nuser_id = "artist"\ntrack_id = "id"\nplayed_at = "out"\n'
    assert ingest(["t1,One,ada,1,,1994", "t2,Two,bob,-2,,1994"], "log.csv", source) == 0
    (reject,) = read(tmp_path, "rejected_tracks")
    assert "bob" not in reject["raw"] and '"id":"t2"' in reject["raw"]
    assert "user_id" not in reject


# --- without Spark: which batches there are, and in which order


@pytest.fixture
def laid(monkeypatch):
    """Rows in loops where the step has DataFrames; what it said."""
    said = []

    class LaidIngest(LaidStep):
        def say(self, text):
            said.append(text)

    remove_spark(monkeypatch)
    monkeypatch.setattr(ingest_tracks, "Job", LaidIngest)
    return said


def test_a_kill_between_the_two_commits_is_completed_by_the_same_delivery(
    tmp_path, ingest, laid, monkeypatch
):
    assert ingest(FIRST, "monday.csv") == 0
    assert Warehouse(str(tmp_path / "root")).table("track_changes") is None, "a first load changes nothing"
    before, killed, commit = version(tmp_path), [], Job._commit

    def kill(job, staged):
        if staged.batch.table == "tracks" and not killed:
            killed.append(staged)
            raise KeyboardInterrupt
        return commit(job, staged)

    monkeypatch.setattr(Job, "_commit", kill)
    with pytest.raises(KeyboardInterrupt):
        ingest(SECOND, "tuesday.csv")
    assert (version(tmp_path), list_changes(tmp_path)) == (before, find_expected_changes(before))
    del laid[:]
    assert ingest(SECOND, "tuesday.csv") == 0
    assert "6 rows read = 3 tracks + 0 duplicates + 3 rejected" in laid
    assert f"    {SAID}" in laid and "track_changes unchanged: this batch is published already" in laid
    assert len(read(tmp_path, "track_changes")) == len(find_expected_changes(before))
    assert version(tmp_path) > before

    names = ("tracks", "track_changes", "rejected_tracks")
    versions = [version(tmp_path, table) for table in names]
    assert ingest(SECOND, "tuesday.csv") == 0
    assert laid[-1] == "tracks unchanged: this batch is published already"
    # other files that say the same
    assert ingest(SECOND, "wednesday.csv") == 0
    assert versions == [version(tmp_path, table) for table in names]


def test_catalogues_that_take_turns_change_each_others_fields_each_time(tmp_path, ingest, laid):
    one, other = FIRST[:1], [FIRST[0].replace(",One,", ",Eins,")]
    for lines, name in [(one, "one.csv"), (other, "other.csv")] * 2:
        assert ingest(lines, name) == 0
    titles = [row["after"] for row in read(tmp_path, "track_changes")]
    assert sorted(titles) == ["Eins", "Eins", "One"], "a change passed for one that was published before"


def test_columns_that_a_table_lacks_are_filled_without_a_change(tmp_path, ingest, laid, monkeypatch):
    """A table of before there were genres: their first values are no change of all tracks, a new title is one."""
    contract = CONTRACTS["tracks"]
    new = ("released", "genres", "isrc", "recording_mbid")
    older = replace(contract, columns=tuple(c for c in contract.columns if c.name not in new))
    with monkeypatch.context() as patch:
        patch.setitem(CONTRACTS, "tracks", older)
        row = {"track_id": "t1", "title": "Won", "artist_name": "A", "track_ms": 1, "source": "test"}
        lay(Warehouse(str(tmp_path / "root")), "tracks", [row])
    assert ingest(FIRST[:2], "monday.csv") == 0
    changed = {(field, old, after) for _, field, old, after, *_ in list_changes(tmp_path)}
    assert changed == {("title", "Won", "One"), ("released_on", None, "1994-01-01")}
    assert {row["track_id"]: row["genres"] for row in read(tmp_path, "tracks")} == {
        "t1": ["Rock", "Pop"],
        "t2": None,
    }


def test_columns_without_any_value_are_filled_without_a_change(tmp_path, ingest, laid, monkeypatch):
    assert ingest([line.replace(",Rock|Pop,", ",,") for line in FIRST], "monday.csv") == 0
    state = Warehouse(str(tmp_path / "root")).state("tracks")
    monkeypatch.setattr(LaidStep, "state", lambda *_: replace(state, empty_columns=frozenset({"genres"})))
    assert ingest(FIRST, "tuesday.csv") == 0
    assert Warehouse(str(tmp_path / "root")).table("track_changes") is None


def test_a_refused_catalogue_changes_nothing_and_shows_its_rejects(tmp_path, ingest, laid, monkeypatch):
    assert ingest(FIRST, "monday.csv") == 0
    before, audit = version(tmp_path), LaidStep._audit

    def refuse(job, spark, warehouse, batch, *others):
        staged = audit(job, spark, warehouse, batch, *others)
        return replace(staged, verdict=REFUSED) if batch.table == "tracks" else staged

    monkeypatch.setattr(LaidStep, "_audit", refuse)
    with pytest.raises(Refused, match=r"The 3 rejected rows are published in .*rejected_tracks"):
        ingest(SECOND, "tuesday.csv")
    assert version(tmp_path) == before
    assert Warehouse(str(tmp_path / "root")).table("track_changes") is None
    assert len(read(tmp_path, "rejected_tracks")) == 3


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
