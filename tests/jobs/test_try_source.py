"""`segue try`: rows as they would come in, rejects, a proposal; and nothing is written."""

from __future__ import annotations

import argparse
import json

import pytest

from jobs import list_sources, try_source
from jobs.errors import JobError
from jobs.file_heads import read_file_head
from jobs.input_files import list_files
from jobs.known_sources import list_known_sources
from jobs.propose_source import propose_source
from jobs.sources import Source, load_source
from reference.adapter_files import EXAMPLES

CSV = "user_id;song_id;started_at;note\nu1;t1;2026-10-01 10:00:00;a\nu1;t1;2026-10-01 10:00:00;a\nu2;;soon;\x1b[31m\n"


def run(module, *arguments):
    parser = argparse.ArgumentParser()
    module.configure(parser)
    return module.run(parser.parse_args(arguments))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def list_all(folder):
    return sorted(path.name for path in folder.rglob("*"))


def test_known_source_shows_plays_and_tracks(spark, folder, capsys):
    EXAMPLES[0].write(folder)
    before = list_all(folder)
    assert run(try_source, EXAMPLES[0].name) == 0
    out = capsys.readouterr().out
    assert "source spotify_extended: Spotify" in out
    assert "5 rows read = 4 plays + 0 duplicates + 0 rejected + 1 left out" in out
    assert "'(listener)' stands here" in out and "2023-04-30 08:00:00Z" in out
    assert "First Light" in out.split("tracks:")[1]
    assert list_all(folder) == before


def test_unknown_file_gets_a_proposal_and_is_read_by_it(spark, folder, capsys):
    (folder / "log.csv").write_text(CSV)
    assert run(try_source, "log.csv", "--json") == 0
    proposal, counts, *found = map(json.loads, capsys.readouterr().out.splitlines())
    assert proposal["missing"] == [] and 'separator = ";"' in proposal["proposal"]
    assert counts == {
        "table": "plays",
        "counts": {"rows": 3, "plays": 1, "duplicates": 1, "rejected": 1, "left out": 0},
    }
    rows = [each["row"] for each in found if "row" in each]
    assert [(row["user_id"], row["track_id"]) for row in rows] == [("u1", "t1")] * 2
    assert {each["reason"]: each["rows"] for each in found if "reason" in each} == {
        "track_id is missing": 1,
        "played_at is no timestamp": 1,
    }
    assert run(try_source, "log.csv") == 0
    out = capsys.readouterr().out
    assert "no known source: log.csv: csv, separator" in out and "without a zone: taken as UTC" in out
    assert "\x1b" not in out, "a title would write to the terminal"
    assert list_all(folder) == ["log.csv"]


def test_proposed_sql_reads_numbers_with_a_point(spark, folder):
    (folder / "log.csv").write_text("user_id,track_id,played_at,ms_played\nu,t,1700000000.123,1000.0\n")
    (folder / "source.toml").write_text(propose_source(read_file_head("log.csv")).text)
    plays = load_source("source.toml").plays
    values = spark.sql("select '1700000000.123' played_at, '1000.0' ms_played")
    row = values.selectExpr(f"unix_micros({plays['played_at']})", plays["ms_played"]).first()
    assert tuple(row) == (1700000000123000, 1000)


def test_proposed_sql_reads_lengths_of_other_notations(spark, folder):
    read = {"3:25": 205000, "1:02:03.5": 3723500, '"205,300"': 205300}
    for text, milliseconds in read.items():
        (folder / "log.csv").write_text(
            f"user_id,track_id,played_at,ms_played\nu,t,31/10/2026 9:05 PM,{text}\n"
        )
        (folder / "source.toml").write_text(propose_source(read_file_head("log.csv")).text)
        plays = load_source("source.toml").plays
        length = text.strip('"')
        values = spark.sql(f"select '31/10/2026 9:05 PM' played_at, '{length}' ms_played")
        row = values.selectExpr(f"unix_seconds({plays['played_at']})", plays["ms_played"]).first()
        assert tuple(row) == (1793480700, milliseconds), text


ENDED = "user_id,track_id,end_time,ms_played,skipped\nu,t,{},5000,1.0\n"
INSTANTS = {
    "2009-05-04T23:08Z": 1241478475,
    "2009-05-04T23:08+02:00": 1241471275,
    "2009-05-04 23:08 UTC": 1241478475,
    "2009-05-04 9:08 +0200": 1241420875,
    "2009-05-04 23:08:00 GMT": 1241478475,
    # of a day it would be the day before
    "20090504": 1241395200,
    "20090504230800": 1241478475,
    "4 May 2009 23:08": 1241478475,
}


def test_proposed_sql_reads_when_plays_began(spark, folder):
    """Each as it is written: five seconds before it ended, where that has a time."""
    read, expected = [], []
    for text, seconds in INSTANTS.items():
        (folder / "log.csv").write_text(ENDED.format(text))
        (folder / "source.toml").write_text(propose_source(read_file_head("log.csv")).text)
        plays = load_source("source.toml").plays
        row = f"select '{text}' end_time, '5000' ms_played, '1.0' skipped"
        read.append(f"select unix_seconds({plays['played_at']}), {plays['skipped']} from ({row})")
        expected.append((seconds, True))
    found = [tuple(row) for row in spark.sql(" union all ".join(read)).collect()]
    assert dict(zip(INSTANTS, found, strict=True)) == dict(zip(INSTANTS, expected, strict=True))


def test_proposed_sql_knows_tracks_by_names_where_they_have_no_id(spark, folder):
    header = "user_id,track_id,artist,title,played_at\n"
    (folder / "log.csv").write_text(f"{header}u,t,A,T,1700000000\nu,,A,T,1700000000\n")
    (folder / "source.toml").write_text(propose_source(read_file_head("log.csv")).text)
    track_id = load_source("source.toml").plays["track_id"]
    rows = "values ('t', 'A', 'T'), ('', 'A', 'T'), ('', 'A', ''), ('', '', 'T') as rows(track_id, artist, title)"
    found = [row[0] for row in spark.sql(f"select {track_id} from {rows}").collect()]
    assert found == ["t", "a / t", None, None], "a track that is known by half a name is that of others"


@pytest.mark.parametrize(("ids", "is_said"), [("7.0 81.0", True), ("7.0 Blink", False), ("7 8", False)])
def test_artists_whose_ids_are_floats_are_said(capsys, ids, is_said):
    """They are no rejects, as an artist may be known by its name: but 7 of the next file is another one."""
    rows = [{"artist_id": None}, *({"artist_id": id_} for id_ in ids.split())]
    try_source._warn_of_float_ids(False, rows)
    assert ("where a file has 7 it is another artist" in capsys.readouterr().out) == is_said, ids


def test_proposal_that_lacks_columns_ends_with_them(folder, capsys):
    (folder / "a.csv").write_text("who,what\nx,y\n")
    assert run(try_source, "a.csv") == 1
    out = capsys.readouterr().out
    assert '# track_id = "..."    # one of: what' in out and "fill in what is missing" in out


def test_files_of_a_known_source_are_named_where_others_lie_beside_them(folder, capsys):
    EXAMPLES[0].write(folder)
    (folder / "ReadMeFirst.pdf").write_text("%PDF-1.4")
    with pytest.raises(JobError, match=rf"ReadMeFirst\.pdf: a PDF .*alone: .*/{EXAMPLES[0].name} \(spotify"):
        run(try_source, str(folder))
    (folder / EXAMPLES[0].name).write_text("who,what\nx,y\n")
    assert run(try_source, str(folder)) == 1
    assert f"no known source: {EXAMPLES[0].name}: csv" in capsys.readouterr().out


def test_a_file_of_any_size_is_cut_at_a_line(tmp_path, monkeypatch):
    monkeypatch.setattr(try_source, "MOST_BYTES", 20)
    monkeypatch.setattr(try_source, "CUT_BYTES", 20)
    source = Source(name="s")
    for content, cut in {b"a,b\n" * 9 + b"c": b"a,b\n" * 5, b"a,b\n" * 5: None, b"x" * 30: b"x" * 20}.items():
        (tmp_path / "in put").mkdir(exist_ok=True)
        path = tmp_path / "in put" / "a.csv"
        path.write_bytes(content)
        (file,) = list_files([str(path)], pytest.fail)
        found = try_source._cut(source, file, tmp_path)
        assert found == file if cut is None else (tmp_path / "cut" / "a.csv").read_bytes() == cut
        assert try_source._cut(source.replace(format="parquet"), file, tmp_path) == file


def test_sources_lists_all(capsys):
    assert run(list_sources, "--json") == 0
    rows = list(map(json.loads, capsys.readouterr().out.splitlines()))
    assert [row["source"] for row in rows] == list(list_known_sources())
    assert run(list_sources) == 0
    assert "spotify_extended (json): Spotify" in capsys.readouterr().out
