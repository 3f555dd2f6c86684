"""Each source that comes with Segue: its files are recognised, and their rows become the plays that are in them."""

from __future__ import annotations

import io
from argparse import Namespace
from datetime import UTC, datetime

import pytest

from features.ingest import parse_and_validate_plays
from features.tracks import parse_and_validate_tracks, select_tracks
from jobs import file_heads, recognise_source
from jobs.errors import JobError, WrongUsage
from jobs.feeds import find_feeds
from jobs.file_heads import read_file_head
from jobs.input_files import InputFile, list_files
from jobs.known_sources import list_known_sources
from jobs.parquet_files import filesystem_of_listed
from jobs.recognise_source import load_known_sources, recognise, resolve_source
from jobs.source_rows import read_rows
from jobs.sources import column_map, load_source
from reference.adapter_files import EXAMPLES
from schemas import CONTRACTS
from schemas.sql import list_columns
from segue import storage

# What comes with the files of plays in an export and in a data set.
SPOTIFY_OTHERS = {
    "ReadMeFirst_ExtendedStreamingHistory.pdf": "%PDF-1.4",
    "Userdata.json": '{"username": "ada"}',
}
LASTFM = next(n for n, each in enumerate(EXAMPLES) if each.source == "lastfm_1k")
LASTFM_OTHERS = {
    "README.txt": "Version 1.0\n",
    "userid-profile.tsv": "#id\tgender\tage\tcountry\tregistered\nuser_000001\tm\t\tJapan\tAug 13, 2006\n",
}
NOW = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.fixture(params=EXAMPLES, ids=lambda example: f"{example.source}-{example.name[:12]}")
def example(request):
    return request.param


def test_every_known_source_has_an_example_and_says_what_it_is():
    assert {each.source for each in EXAMPLES} == set(list_known_sources())
    for name, source in load_known_sources().items():
        assert source.name == name
        assert source.about and (source.signature or source.line_pattern)
        assert not set(source.signature) & set(source.optional), (
            f"{name}: what a file may lack is no mark of it"
        )


def test_file_is_recognised(example, tmp_path):
    path = example.write(tmp_path)
    assert recognise(read_file_head(str(path))) == example.source
    assert resolve_source("auto", [str(tmp_path)]) == example.source


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("mlhd", "1385212958\t\t\t"),
        ("lastfm_1k", "user_000001\t2009-05-04T23:08:57Z\tf1b1cf71\tDeep Dish\t\t"),
    ],
)
def test_file_whose_first_line_ends_with_an_empty_field_is_recognised(tmp_path, name, line):
    (tmp_path / "a").write_text(f"{line}\r\n{line}\r\n", newline="")
    assert recognise(read_file_head(str(tmp_path / "a"))) == name


def test_rows_become_the_plays_of_the_example(spark, example, tmp_path):
    source = load_source(example.source).replace(listener="me")
    files = list_files([str(example.write(tmp_path))], lambda: spark)
    if example.plays:
        check_plays(spark, example, source, files)
    if example.titles:
        columns = column_map(source, "tracks", CONTRACTS["tracks"].names)
        read = read_rows(spark, source, files, columns)
        parsed = parse_and_validate_tracks(
            read, columns, CONTRACTS["tracks"], source.name, NOW.date()
        ).persist()
        tracks = {
            row["track_id"]: row for row in select_tracks(parsed, CONTRACTS["tracks"]).toArrow().to_pylist()
        }
        assert {id_: row["title"] for id_, row in tracks.items()} == example.titles
        for id_, expected in (example.tracks or {}).items():
            assert {name: tracks[id_][name] for name in expected} == expected


def check_plays(spark, example, source, files):
    columns = column_map(source, "plays", CONTRACTS["plays"].names)
    rows = parse_and_validate_plays(read_rows(spark, source, files, columns), columns, source.name, NOW)
    read = [row for row in rows.toArrow().to_pylist() if not row["is_header"]]
    assert sum(row["reasons"] is None for row in read) == example.left_out
    plays = {(r["track_id"], str(r["played_at"])[:19]): r for r in read if r["reasons"] is not None}
    expected = {(play["track_id"], play["played_at"]): play for play in example.plays}
    assert plays.keys() == expected.keys()
    for key, play in expected.items():
        row = plays[key]
        values = {"user_id": None, "reasons": []} | dict(play)
        assert row["reasons"] == values["reasons"]
        values |= {"user_id": values["user_id"] or "me", "played_at": key[1]}
        assert {name: row[name] for name in values} | {"played_at": key[1]} == values


def test_auto_says_what_it_saw_of_an_unknown_file(tmp_path):
    (tmp_path / "a.csv").write_text("wer;was\nx;y\n")
    with pytest.raises(JobError, match=r"a\.csv: csv, separator ';', columns wer, was.*segue try .*/a\.csv"):
        resolve_source("auto", [str(tmp_path)])


@pytest.mark.parametrize(
    ("number", "more", "others", "given"),
    [
        (0, ["Streaming_History_Video_2021.json"], SPOTIFY_OTHERS, "'{}/Streaming_History_*.json'"),
        (0, [], SPOTIFY_OTHERS, "{}/Streaming_History_Audio_2023.json"),
        # no glob is of these alone
        (
            0,
            ["Streaming_History_Audio_1.json"],
            SPOTIFY_OTHERS | {"Streaming_History_Audio_0.json": "{}"},
            "{0}/Streaming_History_Audio_1.json {0}/Streaming_History_Audio_2023.json",
        ),
        (LASTFM, [], LASTFM_OTHERS, "{}/userid-timestamp-artid-artname-traid-traname.tsv"),
    ],
)
def test_auto_names_the_files_of_a_known_source_among_others(tmp_path, number, more, others, given):
    example = EXAMPLES[number]
    for name, content in {**dict.fromkeys([example.name, *more], example.content), **others}.items():
        (tmp_path / name).write_text(content, newline="")
    with pytest.raises(JobError) as refusal:
        resolve_source("auto", [str(tmp_path)])
    assert all(f"{name}: " in str(refusal.value) for name in others)
    assert str(refusal.value).endswith(f"give them alone: {given.format(tmp_path)} ({example.source})")


def test_auto_names_the_first_of_many_files_that_no_glob_is_of():
    paths = [f"/{number}/plays.csv" for number in range(9)]
    assert recognise_source._abbreviate(paths, []) == f"{' '.join(paths[:5])} and 4 more"
    assert recognise_source._abbreviate(["/[a]/1.csv", "/[a]/2.csv"], []) == "'/[a]/1.csv' '/[a]/2.csv'"


def test_auto_takes_no_files_of_two_sources(tmp_path):
    for each in (EXAMPLES[0], EXAMPLES[2]):
        each.write(tmp_path)
    with pytest.raises(JobError, match=r"several sources: spotify_account .*, spotify_extended .*by itself"):
        resolve_source("auto", [str(tmp_path)])


def test_auto_says_that_files_are_not_there_without_a_session(tmp_path, monkeypatch):
    monkeypatch.setattr(recognise_source, "open_step_session", pytest.fail)
    for name in ("nothing.csv", "*.csv", "[2024]"):
        with pytest.raises(WrongUsage, match=r"no files are found at .*URIs of other storage"):
            resolve_source("auto", [str(tmp_path / name)])
    (tmp_path / "[2024]").mkdir()
    EXAMPLES[0].write(tmp_path / "[2024]")
    assert (
        resolve_source("auto", [str(tmp_path / "[2024]"), str(tmp_path / "*" / "*.json")])
        == "spotify_extended"
    )


def test_auto_has_spark_list_other_storage_and_reads_a_part_of_each_file(tmp_path, monkeypatch):
    """With a storage that is made up: test_s3.py has one that answers."""
    head = b"userId,movieId,rating,timestamp\n1,17,4.0,944249077\n"

    class Stream(io.BytesIO):
        def read(self, size=-1):
            assert 0 <= size <= file_heads.HEAD_BYTES, "a file of any size was to be read whole"
            return super().read(size)

    class Storage:
        def open_input_stream(self, path, compression):
            return Stream(head + bytes(path, "utf-8"))

    listed = [InputFile(f"s3a://b/a b/{n}.csv", 2**40, 0) for n in range(60)]
    monkeypatch.setattr(
        recognise_source, "list_files", lambda inputs, session: listed if inputs == [uri] else []
    )
    opened = []
    monkeypatch.setattr(
        file_heads, "filesystem_of_listed", lambda path: opened.append(path) or (Storage(), path)
    )
    uri = "s3a://b/a b/{1,2}*"
    assert resolve_source("auto", [uri]) == "movielens"
    assert sorted(opened) == sorted(file.path for file in listed[: recognise_source.MOST_FILES])


def test_path_of_other_storage_is_quoted_once(monkeypatch):
    class FileSystem:
        @staticmethod
        def from_uri(uri):
            return uri, "its path"

    monkeypatch.setattr(storage.pafs, "FileSystem", FileSystem)
    # a key of S3 is a name as it stands
    assert filesystem_of_listed("s3a://b/a b/é [1]%.csv") == ("s3://b", "b/a b/é [1]%.csv")
    assert filesystem_of_listed("abfss://c@a.example/é b%.csv")[0] == "abfss://c@a.example/%C3%A9%20b%25.csv"
    assert filesystem_of_listed("file:/a b/100%.csv")[1] == "/a b/100%.csv"


def test_flow_reads_by_the_recognised_source(tmp_path):
    path = str(EXAMPLES[0].write(tmp_path))
    arguments = Namespace(source="/project/auto", input=[path], catalogue=None, events=[])
    feeds = find_feeds(arguments)
    for table in ("plays", "tracks"):
        assert feeds[table].arguments == ["--source", "spotify_extended", "--input", path]


def test_files_that_name_no_listener_are_refused_with_a_way_on(spark, tmp_path):
    source = load_source("spotify_account")
    example = next(each for each in EXAMPLES if each.source == source.name)
    files = list_files([str(example.write(tmp_path))], lambda: spark)
    with pytest.raises(JobError, match=r'do not say who listened.*extends = "spotify_account" and listener'):
        read_rows(spark, source, files, column_map(source, "plays", CONTRACTS["plays"].names))


def test_source_extends_a_known_one(tmp_path):
    path = tmp_path / "ours.toml"
    path.write_text(
        'extends = "spotify_extended"\nname = "ada"\nlistener = "ada"\n[plays]\nskipped = "null"\n'
    )
    source, base = load_source(str(path)), load_source("spotify_extended")
    assert (source.name, source.listener, source.plays) == ("ada", "ada", base.plays | {"skipped": "null"})
    assert (source.tracks, source.where) == (base.tracks, base.where)


def test_fingerprint_of_a_source_does_not_hold_what_decides_no_row():
    plain = load_source("movielens")
    parameters = plain.parameters("plays")
    assert parameters == plain.replace(about="x", signature=("a",), grace="3h").parameters("plays")
    assert not parameters.keys() & {"where", "optional", "listener", "records", "personal", "pseudonymise"}
    assert plain.replace(where="true").parameters("plays") != parameters


def test_columns_that_files_may_lack_are_read_by_some_expression():
    for name, source in load_known_sources().items():
        texts = [*source.plays.values(), *source.tracks.values(), source.where or "true"]
        read = {column for text in texts for column in list_columns(text)}
        assert set(source.optional) <= read, name


def test_sql_of_a_source_can_call_for_a_key_of_tracks(spark, tmp_path):
    (tmp_path / "s.toml").write_text(
        'name = "s"\n[plays]\nuser_id = "who"\nplayed_at = "at"\ntrack_id = "SEGUE_track_key(artist, title)"\n'
    )
    (tmp_path / "a.csv").write_text(
        "who,at,artist,title\nu,2026-10-01,The Ä,Song (feat. B)\nu,2026-10-01,,Song\n"
    )
    source = load_source(str(tmp_path / "s.toml"))
    files = list_files([str(tmp_path / "a.csv")], lambda: spark)
    rows = read_rows(spark, source, files, source.plays)
    parsed = parse_and_validate_plays(rows, source.plays, source.name, NOW).where("not is_header")
    reasons = {row["track_id"]: row["reasons"] for row in parsed.toArrow().to_pylist()}
    assert reasons == {"a / song": [], None: ["track_id is missing"]}
