"""Columns that a project adds to plays: read from files, kept late and carried to sessions, an entity of features."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

import pytest

from jobs import build_features, build_sessions, forget, ingest_plays, restate, retract
from jobs.errors import WrongUsage
from jobs.graph import Step
from jobs.publishing.warehouse import Warehouse
from reference.published import pass_every_batch
from reference.rows import assert_same
from reference.sessions import sessions as expected_sessions
from reference.staged import LaidJob
from reference.windows import window_features as expected_features
from reference.worlds import play
from schemas import CONTRACTS
from schemas.play_columns import extend_plays
from schemas.plays import PLAYS
from schemas.project_declarations import load_declarations

DECLARED = """
from schemas.contract import Column
from schemas.declarations import LIFETIME, Feature, FeatureGroup
from schemas.play_columns import PlayColumns

MORE = PlayColumns((
    Column("playlist", "string", "where it was played from"),
    Column("device", "string", "what it was played on"),
    Column("queued", "int", "tracks that were waiting", check=">= 0"),
))
PLAYLISTS = FeatureGroup(
    "playlist_features",
    ("playlist",),
    "How each playlist is heard.",
    (
        Feature("plays", "count", "play_id", "plays", ("1d", LIFETIME)),
        Feature("listeners", "distinct", "user_id", "different listeners", ("7d",)),
        Feature("devices", "top_k", "device", "devices", ("7d",), k=2),
        Feature("queued", "sum", "queued", "tracks that were waiting", ("7d",)),
    ),
)
"""
SOURCE = """
name = "test"
header = ["id", "who", "at", "list", "on", "left"]
[plays]
play_id = "id"
user_id = "who"
track_id = "'t'"
played_at = "at"
playlist = "`list`"
device = "`on`"
queued = "`left`"
"""
NEWEST = date(2026, 10, 20)
STEP = "build-playlist-features"
OF_PLAYS = ("playlist", "device", "queued")


def at(days_ago, hour=12):
    return datetime.combine(NEWEST - timedelta(days=days_ago), time(hour), UTC)


ROWS = [
    ("a1", "u1", at(0), "morning", "phone", 3),
    # twice the same listener and list, and a session over the hour
    ("a2", "u1", at(0, 13), "morning", "desk", None),
    ("a3", "u2", at(1), "morning", None, 0),
    ("a4", "u2", at(1, 13), "evening", "desk", 5),
    # of no list: nobody's
    ("a5", "u2", at(0, 23), None, "desk", 7),
]
LATE = [("l1", "u3", at(10), "evening", "phone", 1)]
WRONG = [("w1", "u3", at(0), "evening", "phone", -1), ("w2", "u3", at(0), "evening", "phone", "many")]
# Published before the project declared anything.
BEFORE = play(play_id="b1", user_id="u1", track_id="t", played_at=at(2), ms_played=None, track_ms=None)


def load(tmp_path, text=DECLARED):
    path = tmp_path / "features.py"
    path.write_text(text)
    return load_declarations([str(path)], [])


class Root:
    """A root with one play of before, and what is done to it."""

    def __init__(self, folder, monkeypatch):
        self.folder, self.path = folder, str(folder / "root")
        (folder / "source.toml").write_text(SOURCE)
        job = LaidJob("test", self.path, say=lambda text: None)
        job.publish(job.batch("plays", appends=True), [BEFORE])
        declared = load(folder)
        (self.group,) = declared.groups
        for name in ("plays", "late_plays", "sessions"):
            monkeypatch.setitem(CONTRACTS, name, declared.extend(CONTRACTS[name]))
        for contract in (self.group.partials_contract(), self.group.contract()):
            monkeypatch.setitem(CONTRACTS, contract.name, contract)
        step = Step(
            STEP, "jobs.build_features", "x", needs=("sessions",), makes=self.group.tables, takes_days=True
        )
        monkeypatch.setattr(build_features, "FEATURE_GROUPS", declared.groups)
        monkeypatch.setattr(build_features, "FLOW", (step,))

    def run(self, module, *arguments):
        assert module.main([*arguments, "--root", self.path]) == 0

    def ingest(self, name, rows):
        path = self.folder / f"{name}.csv"
        fields = [[*row[:2], row[2].isoformat(), *row[3:]] for row in rows]
        path.write_text("".join(",".join("" if x is None else str(x) for x in row) + "\n" for row in fields))
        self.run(ingest_plays, "--source", str(self.folder / "source.toml"), "--input", str(path))

    def build(self):
        self.run(build_sessions)
        self.run(build_features, STEP)

    def read(self, table):
        rows = Warehouse(self.path).table(table).to_pyarrow_table().to_pylist()
        return [{name: value for name, value in row.items() if name != "available_at"} for row in rows]

    def check(self, rows):
        """Sessions and features are those that plain loops make of these plays."""
        plays = [to_play(*row) for row in rows]
        self.check_sessions([BEFORE, *plays])
        sessions = [row | {"bucket": None} for row in self.read("sessions")]
        days = sorted({row["ds"] for row in sessions})
        expected = expected_features(sessions, self.group, days)
        assert len(expected) > len(days)
        assert_same(expected, self.read("playlist_features"), ("playlist", "ds"), plays, "playlist")

    def check_sessions(self, plays):
        of_play = {row["play_id"]: {name: row.get(name) for name in OF_PLAYS} for row in plays}
        expected = [row | of_play[row["play_id"]] for row in expected_sessions(plays)]
        # ids of sessions are hashes, where the loops have a text
        expected, actual = (
            [{name: value for name, value in row.items() if name != "session_id"} for row in rows]
            for rows in (expected, self.read("sessions"))
        )
        assert_same(expected, actual, ("play_id",), plays, "user_id")


def to_play(id_, user, instant, *of_play):
    unknown = dict.fromkeys(("artist_id", "ms_played", "track_ms"))
    row = play(play_id=id_, user_id=user, track_id="t", played_at=instant, **unknown)
    return row | dict(zip(OF_PLAYS, of_play, strict=True))


def test_columns_of_plays_reach_features_and_leave_with_their_plays(spark, tmp_path, monkeypatch, capsys):
    pass_every_batch(monkeypatch)
    root = Root(tmp_path, monkeypatch)
    root.build()
    assert "playlist_partials not made" in capsys.readouterr().out
    root.ingest("night", [*ROWS, *LATE, *WRONG])
    rejects = {row["raw"].split(",")[0]: row["reasons"] for row in root.read("rejected_plays")}
    assert rejects == {"w1": ["queued is not >= 0"], "w2": ["queued is no int"]}
    (late,) = root.read("late_plays")
    assert [late[name] for name in OF_PLAYS] == ["evening", "phone", 1]
    root.run(restate, "--from", str(at(10).date()))
    root.build()
    root.check([*ROWS, *LATE])
    root.run(retract, "--play", "a1")
    root.build()
    root.check([*ROWS[1:], *LATE])
    root.run(forget, "--user", "u2")
    gone = [row for row in root.read("plays") if row["user_id"] != "u2"]
    assert (
        {row["play_id"] for row in root.read("sessions")}
        == {row["play_id"] for row in gone}
        == {
            "b1",
            "a2",
            "l1",
        }
    )


def test_the_order_of_declarations_is_not_that_of_the_table(tmp_path):
    """A content hash has an order of columns: one that is declared later, or moved, must change none of before."""
    columns = load(tmp_path).play_columns
    assert extend_plays(PLAYS, columns).names == (*PLAYS.names, "device", "playlist", "queued")
    assert extend_plays(PLAYS, columns[::-1]).names == extend_plays(PLAYS, columns).names


def test_groups_that_name_none_of_them_are_identified_as_before(tmp_path):
    text = DECLARED + "\nfrom schemas.starting_set import USER_FEATURE_GROUP\n"
    declared = load(tmp_path, text)
    users = next(group for group in declared.groups if group.table == "user_features")
    more = replace(users, play_columns=declared.play_columns)
    assert more.identities == users.identities and more.rows_identity == users.rows_identity
    assert more.contract() == users.contract()


def test_a_source_with_a_column_that_nobody_declared_is_refused_before_a_file_is_read(tmp_path):
    (tmp_path / "source.toml").write_text(SOURCE)
    arguments = ["--source", str(tmp_path / "source.toml"), "--input", "nowhere", "--root", str(tmp_path)]
    with pytest.raises(WrongUsage, match=r"\[plays\] has no column device, playlist, queued; .*PlayColumns"):
        ingest_plays.main(arguments)
