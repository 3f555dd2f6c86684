"""Columns that a project adds to plays: read from files, kept late and carried to sessions, an entity of features."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

import pytest

from features.ingest import (
    BROKEN,
    FILE,
    IS_HEADER,
    RAW,
    deduplicate,
    make_late_plays,
    parse_and_validate_plays,
    restore_late_plays,
)
from features.sessions import cut_sessions
from jobs import build_features, build_sessions, ingest_plays
from jobs.errors import WrongUsage
from jobs.graph import Step
from reference.delta_files import read_newest_rows
from reference.frames import frame
from reference.frames import rows as rows_of
from reference.published import pass_every_batch
from reference.rows import assert_same
from reference.sessions import sessions as expected_sessions
from reference.staged import LaidJob
from reference.windows import window_features as expected_features
from reference.worlds import play
from schemas import CONTRACTS, conform
from schemas.contract import add_new_columns
from schemas.play_columns import extend_plays
from schemas.plays import LATE_PLAYS, PLAYS
from schemas.project_declarations import load_declarations
from schemas.sessions import SESSIONS

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
    "What is played of each playlist.",
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
WRONG = [("w1", "u3", at(0), "evening", "phone", -1), ("w2", "u3", at(0), "evening", "phone", "many")]
# Published before the project declared anything.
BEFORE = play(play_id="b1", user_id="u1", track_id="t", played_at=at(2), ms_played=None, track_ms=None)


def load(tmp_path, text=DECLARED):
    path = tmp_path / "features.py"
    path.write_text(text)
    return load_declarations([str(path)], [])


def to_play(id_, user, instant, *of_play):
    unknown = dict.fromkeys(("artist_id", "ms_played", "track_ms"))
    row = play(play_id=id_, user_id=user, track_id="t", played_at=instant, **unknown)
    return row | dict(zip(OF_PLAYS, of_play, strict=True))


def without(rows, *names):
    return [{name: value for name, value in row.items() if name not in names} for row in rows]


def expect_sessions(plays):
    of_play = {row["play_id"]: {name: row.get(name) for name in OF_PLAYS} for row in plays}
    # ids of sessions are hashes, where the loops have a text
    return without([row | of_play[row["play_id"]] for row in expected_sessions(plays)], "session_id")


def test_columns_are_typed_checked_and_kept_while_a_play_is_late(spark, tmp_path):
    declared = load(tmp_path)
    contracts = {each.name: declared.extend(each) for each in (PLAYS, LATE_PLAYS)}
    columns = {"playlist": "list", "device": "dev", "queued": "left"}
    columns |= {"play_id": "id", "user_id": "who", "track_id": "'t'", "played_at": "at"}
    lines = [[*row[:2], row[2].isoformat(), *row[3:]] for row in (*ROWS, *WRONG)]
    lines = [[None if value is None else str(value) for value in line] for line in lines]
    read = spark.createDataFrame(
        lines, "id string, who string, at string, list string, dev string, left string"
    )
    read = read.selectExpr(
        "*", f"id as {RAW}", f"'f.csv' as {FILE}", f"false as {BROKEN}", f"false as {IS_HEADER}"
    )
    now = at(0, 23)
    parsed = parse_and_validate_plays(read, columns, "test", now, contracts["plays"]).persist()
    reasons = {row["raw"]: row["reasons"] for row in parsed.where("size(reasons) > 0").collect()}
    assert reasons == {"w1": ["queued is not >= 0"], "w2": ["queued is no int"]}
    plays = deduplicate(parsed, contracts["plays"])
    late = conform(make_late_plays(plays, now), contracts["late_plays"])
    back = restore_late_plays(late, contracts["plays"], at(1).date(), at(0).date())
    expected = {row[0]: row[3:] for row in ROWS}
    for rows in (plays, back):
        found = conform(rows, contracts["plays"]).select("play_id", *OF_PLAYS).collect()
        assert {row["play_id"]: tuple(row)[1:] for row in found} == expected


def test_sessions_carry_them_and_features_of_them_are_what_plain_loops_make(spark, tmp_path, monkeypatch):
    """Also a play that was published before they were declared, in a table that has them only since."""
    pass_every_batch(monkeypatch)
    root = str(tmp_path / "root")

    def lay(rows):
        job = LaidJob("test", root, say=lambda text: None)
        job.publish(job.batch("plays", appends=True, parameters={"rows": len(rows)}), rows)

    lay([BEFORE])
    declared = load(tmp_path)
    (group,) = declared.groups
    for name in ("plays", "sessions"):
        monkeypatch.setitem(CONTRACTS, name, declared.extend(CONTRACTS[name]))
    for contract in (group.partials_contract(), group.contract()):
        monkeypatch.setitem(CONTRACTS, contract.name, contract)
    step = Step(STEP, "jobs.build_features", "x", needs=("sessions",), makes=group.tables, takes_days=True)
    monkeypatch.setattr(build_features, "FEATURE_GROUPS", declared.groups)
    monkeypatch.setattr(build_features, "FLOW", (step,))
    plays = [BEFORE, *(to_play(*row) for row in ROWS)]
    lay(plays[1:])
    assert build_sessions.main(["--root", root]) == build_features.main([STEP, "--root", root]) == 0
    sessions = read_newest_rows(root, "sessions")
    assert_same(expect_sessions(plays), without(sessions, "session_id"), ("play_id",), plays, "user_id")
    expected = expected_features(sessions, group, sorted({row["ds"] for row in sessions}))
    assert {row["playlist"] for row in expected} == {"morning", "evening"}
    assert_same(expected, read_newest_rows(root, "playlist_features"), ("playlist", "ds"), plays, "playlist")


def test_plays_of_a_table_that_has_yet_to_get_them_are_cut_with_nulls(spark, tmp_path):
    contracts = {each.name: load(tmp_path).extend(each) for each in (PLAYS, SESSIONS)}
    # sessions of the day before were published without them, too
    before = frame(spark, [BEFORE | {"played_at": at(3), "ds": at(3).date(), "play_id": "b0"}], PLAYS)
    plays = add_new_columns(frame(spark, [BEFORE], PLAYS), contracts["plays"])
    (row,) = rows_of(cut_sessions(plays, cut_sessions(before), added=OF_PLAYS), contracts["sessions"])
    assert [row[name] for name in ("play_id", *OF_PLAYS)] == ["b1", None, None, None]


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
