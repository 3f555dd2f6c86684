"""What is seen of files that nobody has described, and the source file that is proposed for them. No Spark."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.file_heads import read_file_head
from jobs.propose_source import propose_source

CSV = "User Id;Song;Artist;Start Time;Play Seconds;shoe size\nu1;One;A;2026-10-01T10:00:00Z;31.5;42\n"
PLAYS = {
    "user_id": "`User Id`",
    "track_id": "nullif(lower(btrim(`Artist`)), '') || ' / ' || nullif(lower(btrim(`Song`)), '')",
    "artist_id": "nullif(lower(btrim(`Artist`)), '')",
    "played_at": "`Start Time`",
    "ms_played": "cast(round(try_cast(`Play Seconds` as double) * 1000) as bigint)",
}


def test_csv_with_names_of_others(propose):
    proposal, source = propose(CSV)
    assert (source.name, source.format, source.separator) == ("log", "csv", ";")
    assert source.plays == PLAYS
    assert source.tracks == {"track_id": PLAYS["track_id"], "title": "`Song`", "artist_name": "`Artist`"}
    assert not proposal.missing
    assert "# not used: shoe size" in proposal.text
    assert "taken as seconds" in proposal.text


ENCODINGS = {
    "utf-8-sig": {},
    "utf-16": {"encoding": "utf-16"},
    "utf-16-le": {"encoding": "utf-16-le"},
    "cp1252": {"encoding": "cp1252"},
}


@pytest.mark.parametrize(("encoding", "layout"), ENCODINGS.items(), ids=ENCODINGS)
def test_encoding_is_found(propose, encoding, layout):
    _, source = propose(CSV.replace("One", "Für Elise").encode(encoding))
    assert source.plays == PLAYS
    assert source.encoding == layout.get("encoding", "utf-8")


def test_layout_of_lines_is_found(propose):
    assert propose(CSV.replace("\n", "\r"))[1].line_end == "\r"
    assert propose('user_id,track_id,played_at\nu,"a\nb",2026-10-01\n')[1].multiline
    rows = 'u;Blue Monday 12" Mix;2026-10-01\nu;b;2026-10-02\nu;7" Edit;2026-10-03\n'
    assert not propose(f"user_id;track_id;played_at\n{rows}")[1].multiline, "inch marks open no field"
    for pack in (gzip, bz2):
        assert propose(pack.compress(CSV.encode()), "log")[1].plays == PLAYS


def test_file_without_a_header_gets_one(propose):
    proposal, source = propose("17,31,2026-10-01T10:00:00Z\n18,32,2026-10-01T10:00:00Z\n")
    assert source.header == ("column_1", "column_2", "column_3")
    assert proposal.missing == ("user_id", "track_id", "played_at")
    assert '# played_at = "..."    # one of: column_1, column_2, column_3' in proposal.text
    assert not source.listener, "a column may name the listeners: one for all would make one of many"


def test_a_listener_is_made_up_only_where_no_column_can_be_one(propose):
    _, source = propose("track_id,played_at,note\nt,1700000000,\n")
    assert (source.listener, source.plays["user_id"]) == ("me", "listener"), "no column is left for listeners"
    proposal, source = propose("msno,track_id,played_at\nu,t,1700000000\n")
    assert (proposal.missing, source.listener) == (("user_id",), ""), "msno names the listeners"
    assert '# user_id = "..."    # one of: msno; or "listener", with listener = "an id"' in proposal.text


INSTANTS = {
    "1700000000": "timestamp_seconds(try_cast(played_at as bigint))",
    "1700000000123": "timestamp_millis(try_cast(played_at as bigint))",
    "1700000000123456": "timestamp_micros(try_cast(played_at as bigint))",
    "1700000000.123": "timestamp_micros(cast(round(try_cast(played_at as double) * 1e6) as bigint))",
    "1700000000123.0": "timestamp_micros(cast(round(try_cast(played_at as double) * 1e3) as bigint))",
    "1700000000123456.0": "timestamp_micros(cast(round(try_cast(played_at as double)) as bigint))",
    "2026-10-01 10:00:00": "played_at",
    "1/10/2026 9:00": "try_to_timestamp(played_at, 'd/MM/yyyy H:mm')",
    "1700000000123456789": "timestamp_micros(try_cast(played_at as bigint) div 1000)",
    "1.7e+09": "timestamp_micros(cast(round(try_cast(played_at as double) * 1e6) as bigint))",
    "31/10/2026 9:00": "try_to_timestamp(played_at, 'd/M/yyyy H:mm[:ss]')",
    "10/31/2026 9:00 PM": "try_to_timestamp(played_at, 'M/d/yyyy h:mm[:ss] a')",
    "31.10.2026 09:00:01": "try_to_timestamp(played_at, 'd.M.yyyy H:mm[:ss]')",
    "2026/10/31 09:00": "try_to_timestamp(played_at, 'yyyy/M/d H:mm[:ss]')",
    '"06 Feb 2026, 23:07"': "try_to_timestamp(played_at, 'd MMM yyyy, H:mm[:ss]')",
}


@pytest.mark.parametrize(("text", "sql"), INSTANTS.items(), ids=INSTANTS)
def test_unit_of_instants_follows_from_their_values(propose, text, sql):
    assert propose(f"user_id,track_id,played_at\nu,t,{text}\n")[1].plays["played_at"] == sql


CLOCK = (
    "cast(round(aggregate(split(ms_played, ':'), 0d, "
    "(total, part) -> total * 60 + try_cast(part as double)) * 1000) as bigint)"
)
DURATIONS = {
    "180000": "ms_played",
    "180000.0": "cast(round(try_cast(ms_played as double)) as bigint)",
    "3:25": CLOCK,
    "0:03:25": CLOCK,
    "75:00.5": CLOCK,
    '"205,300"': "cast(round(try_cast(replace(ms_played, ',', '') as double)) as bigint)",
    '"205,3"': "cast(round(try_cast(replace(ms_played, ',', '.') as double)) as bigint)",
    "205\u202f300": "cast(round(try_cast(replace(ms_played, '\u202f', '') as double)) as bigint)",
}


@pytest.mark.parametrize(("text", "sql"), DURATIONS.items(), ids=DURATIONS)
def test_durations_are_rounded_where_they_have_a_point(propose, text, sql):
    assert propose(f"user_id,track_id,ms_played\nu,t,{text}\nu,t,\n")[1].plays["ms_played"] == sql


def test_doubles_of_json_and_parquet_are_rounded(propose):
    row = {"userId": "u", "trackId": "t", "ts": 1700000000.0, "ms_played": 1000.0}
    text, table = json.dumps(row), io.BytesIO()
    pq.write_table(pa.Table.from_pylist([row]), table)
    for content, name in ((text, "log.json"), (table.getvalue(), "log.parquet")):
        plays = propose(content, name)[1].plays
        assert plays["played_at"].startswith("timestamp_micros(") and plays["ms_played"].startswith("cast(")


def test_mixed_units_are_for_the_user_to_say(propose):
    proposal, _ = propose("user_id,track_id,played_at\nu,t,1700000000\nu,t,1700000000123\n")
    assert "# write the unit of such numbers; seen: 1700000000" in proposal.text


def test_json_lines_arrays_and_documents(propose):
    row = {"userId": "u", "trackId": "t", "ts": 1700000000000}
    plays = {
        "user_id": "userId",
        "track_id": "trackId",
        "played_at": "timestamp_millis(try_cast(`ts` as bigint))",
    }
    for text in (json.dumps(row) + "\n", json.dumps([row, row]), json.dumps([row], indent=2)):
        assert propose(text, "log.json")[1].plays == plays, text
    document = {"of": {"a": 1}, "users": [{"name": "x", "plays": [row]}]}
    _, source = propose(json.dumps(document, indent=1), "log.json")
    assert (source.records, source.plays) == ("users[].plays[]", plays)


@pytest.mark.parametrize("odd", ['a\nwhere = "false"', "a\x1bb", "a\x7fb", "\ud800", 'a"""b', "a\r"])
def test_names_and_values_of_files_stay_in_their_comments(propose, odd):
    """A proposal is read back: a column must not write settings into it, nor make it unreadable."""
    row = {"user_id": "u", "track_id": "t", "played_at": odd, odd: odd}
    proposal, source = propose(json.dumps([row]), "log.json")
    assert (source.where, set(source.plays)) == ("", {"user_id", "track_id", "played_at"})
    assert "# not used: " in proposal.text and "seen: " in proposal.text


def test_csv_with_a_carriage_return_in_a_row_has_a_head(propose):
    assert (
        propose("user_id,track_id,played_at\nu,t,2026-10-01\nu,a\rb,2026-10-01\n")[1].plays["track_id"]
        == "track_id"
    )


def test_parquet_with_instants(tmp_path):
    at = pa.array([datetime(2026, 10, 1, tzinfo=UTC)])
    pq.write_table(pa.table({"user_id": ["u"], "track_id": ["t"], "played_at": at}), tmp_path / "a.parquet")
    proposal = propose_source(read_file_head(str(tmp_path / "a.parquet")))
    assert 'format = "parquet"' in proposal.text and 'played_at = "played_at"\n' in proposal.text


def test_head_of_a_large_parquet_file_is_read_by_pieces(tmp_path):
    noise = pa.array([os.urandom(16) for _ in range(300_000)])
    table = pa.table({"user_id": noise, "note": noise})
    pq.write_table(table, tmp_path / "a.parquet", compression="none", use_dictionary=False)
    before = count_bytes_read()
    assert len(read_file_head(str(tmp_path / "a.parquet")).rows) == 200
    assert count_bytes_read() - before < (tmp_path / "a.parquet").stat().st_size / 4


def count_bytes_read():
    """Of this process, by all its calls of the system."""
    return int(re.search(r"rchar: (\d+)", Path("/proc/self/io").read_text())[1])


KINDS = {
    b"PK\x03\x04xx": "a zip archive or a spreadsheet",
    b"%PDF-1.4": "a PDF",
    b"\x00\x01\x02": "a binary file",
    b"PAR1xxxx": "a parquet file that is not whole",
    b"\x1f\x8bxxxx": "a broken archive",
    b"BZhxxxx": "a broken archive",
    b"\xfd7zXZ": "xz (unpack it)",
    b"<?xml version='1.0'?>": "XML (save its table as CSV",
    b"hello\n": "text without columns (if a line is a session of track ids, write",
    b"sep=;\na;b\n": "text below 'sep=;'",
    b" \n": "an empty file",
}


@pytest.mark.parametrize(
    ("content", "kind"), KINDS.items(), ids=lambda each: each if isinstance(each, str) else ""
)
def test_what_has_no_columns_is_called_by_its_kind(tmp_path, content, kind):
    (tmp_path / "x").write_bytes(content)
    assert read_file_head(str(tmp_path / "x")).describe().startswith(f"x: {kind}")


CATALOGUE = (
    "song_id,song_name,artist_name,album_name,duration,release_date,is_explicit,genre,ISRC,mbid,label\n"
    "1,One,A,B,180.5,1994-05,true,Rock|Pop,USRC17607839,b1a9c0e9-d987-4042-ae91-78d6a3267d69,C\n"
)


def test_a_file_without_listeners_and_instants_is_a_catalogue(propose):
    proposal, source = propose(CATALOGUE, "tracks.csv")
    assert (source.plays, proposal.missing) == ({}, ())
    assert source.tracks == {
        "track_id": "song_id",
        "title": "song_name",
        "artist_name": "artist_name",
        "album": "album_name",
        "track_ms": "cast(round(try_cast(`duration` as double) * 1000) as bigint)",
        "explicit": "is_explicit",
        "released": "release_date",
        "genres": "`genre`",
        "isrc": "`ISRC`",
        "recording_mbid": "`mbid`",
    }
    assert "# not used: label" in proposal.text
