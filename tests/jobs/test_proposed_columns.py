"""Which columns a proposal takes, in which unit, and what it says of those that are in doubt. No Spark."""

from __future__ import annotations

import io
import json
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

UNITS = {
    "ms_played": ("205", "taken as milliseconds, by its name; by its values they may be seconds"),
    "seconds_played": ("5400", "taken as seconds, by its name; by its values they may be milliseconds"),
    "play_duration": ("205000000", "taken as microseconds, by its values"),
}


@pytest.mark.parametrize(("name", "seen"), UNITS.items(), ids=UNITS)
def test_a_unit_that_name_or_values_leave_open_is_said(propose, name, seen):
    assert f"# {seen[1]}" in propose(f"user_id,track_id,played_at,{name}\nu,t,,{seen[0]}\n")[0].text


def test_plays_that_are_skipped_at_once_make_no_seconds_of_milliseconds(propose):
    rows = "u,t,2026-10-01,300\n" * 3 + "u,t,2026-10-01,205000\n"
    _, source = propose(f"user_id,track_id,played_at,play_duration\n{rows}")
    assert source.plays["ms_played"] == "play_duration", "205,000 s are over a day"


def test_a_duration_that_can_be_read_goes_before_one_that_cannot(propose):
    """All rows would be rejects, though another column has the numbers."""
    _, source = propose("user_id,title,played_at,duration,length_seconds\nu,t,2026-10-01,2m58s,178\n")
    assert source.plays["track_ms"].startswith("cast(round(try_cast(length_seconds as double) * 1000)")
    proposal, source = propose("user_id,title,played_at,duration\nu,t,2026-10-01,2m58s\n")
    assert "track_ms" not in source.plays, "a play needs no length, and each row would be a reject"
    line = '# track_ms = "`duration`"    # no number was seen in it; seen: 2m58s'
    assert line in proposal.text, "it does not say why the column is left out"


UNREAD = {
    "ms_played": (("n/a", "nan", "PT3M25S"), "no number was seen in it; seen: "),
    "skipped": (("fwdbtn", "2"), "no truth values were seen in it; seen: "),
}


@pytest.mark.parametrize(("name", "seen"), UNREAD.items(), ids=UNREAD)
def test_what_a_play_can_do_without_rejects_no_rows(propose, name, seen):
    for text in seen[0]:
        proposal, source = propose(f"user_id,track_id,played_at,{name}\nu,t,1700000000,{text}\nu,t,1,\n")
        assert name not in source.plays, f"every row would be a reject for {text}"
        assert f"# {seen[1]}{text}" in proposal.text, "it does not say why the column is left out"


def test_a_length_that_most_rows_have_is_taken(propose):
    lengths = ["5000", "6000", "n/a"]

    def propose_of(lengths):
        rows = "".join(f"u,t,1700000000,{length}\n" for length in lengths)
        return propose(f"user_id,track_id,played_at,ms_played\n{rows}")

    assert propose_of(lengths)[1].plays["ms_played"] == "ms_played"
    proposal, source = propose_of([*lengths, "n/a", "n/a"])
    assert "ms_played" not in source.plays, "most rows would be rejects"
    assert "# few numbers were seen in it; seen: n/a" in proposal.text


FLAGS = {
    "true": "`skipped`",
    "No": "`skipped`",
    "0": "`skipped`",
    "": "`skipped`",
    "1.0": "try_cast(try_cast(`skipped` as double) as boolean)",
}


@pytest.mark.parametrize(("text", "sql"), FLAGS.items(), ids=FLAGS)
def test_truth_values_may_be_floats_of_pandas(propose, text, sql):
    _, source = propose(f"user_id,track_id,played_at,skipped\nu,t,1700000000,{text}\nu,t,1,\n")
    assert source.plays["skipped"] == sql


def test_decimals_of_parquet_are_lengths(propose):
    """As databases export numbers: 205.300 seconds taken for milliseconds were a fifth of a second."""
    table = io.BytesIO()
    lengths = {"play_seconds": Decimal("205.300"), "duration_seconds": Decimal(240)}
    row = {"user_id": "u", "track_id": "t", "played_at": 1700000000, **lengths}
    pq.write_table(pa.Table.from_pylist([row]), table)
    plays = propose(table.getvalue(), "log.parquet")[1].plays
    assert plays["ms_played"] == "cast(round(try_cast(play_seconds as double) * 1000) as bigint)"
    assert plays["track_ms"] == "cast(round(try_cast(duration_seconds as double) * 1000) as bigint)"


DAYS = {
    "2026-10-01,9:05:00": ("concat(`date`, ' ', `time`)", "without a zone"),
    "31/10/2026,9:05": (
        "try_to_timestamp(concat(`date`, ' ', `time`), 'd/M/yyyy H:mm[:ss]')",
        "without a zone",
    ),
    "2026-10-01,": ("`date`", "days without a time: taken as midnight, UTC"),
}


@pytest.mark.parametrize(("cells", "expected"), DAYS.items(), ids=DAYS)
def test_days_and_times_of_two_columns_are_an_instant(propose, cells, expected):
    proposal, source = propose(f"user_id,track_id,date,time\nu,t,{cells}\n")
    assert source.plays["played_at"] == expected[0]
    assert f"# {expected[1]}" in proposal.text


def test_an_id_that_most_rows_lack_is_taken_last_and_said(propose):
    header, rows = (
        "user_id,track_id,isrc,played_at\n",
        "u,,i{n},2026-10-01\nu,,i,2026-10-01\nu,t,,2026-10-01\n",
    )
    proposal, source = propose(header + rows)
    assert source.plays["track_id"] == "`isrc`"
    assert "# without a value in 1 of 3 rows seen: such are rejects" in proposal.text


KEY = "nullif(lower(btrim(`artist`)), '') || ' / ' || nullif(lower(btrim(`title`)), '')"


def test_tracks_without_an_id_are_known_by_their_names(propose):
    """Half of the rows of a scrobble log have no MusicBrainz id."""
    header = "user_id,track_mbid,artist_mbid,artist,title,played_at\n"
    proposal, source = propose(f"{header}u,t,a,A,T,1700000000\nu,,,A,T,1700000000\n")
    assert source.plays["track_id"] == f"coalesce(nullif(track_mbid, ''), {KEY})"
    assert (
        source.plays["artist_id"] == "coalesce(nullif(artist_mbid, ''), nullif(lower(btrim(`artist`)), ''))"
    )
    assert "# without a value in 1 of 2 rows seen: such are known by their names" in proposal.text
    _, source = propose(f"{header}u,t,a,A,T,1700000000\n")
    assert (source.plays["track_id"], source.plays["artist_id"]) == ("track_mbid", "artist_mbid")


def test_ids_of_parquet_are_texts_where_names_stand_for_some(propose):
    table = io.BytesIO()
    row = {"user_id": "u", "track_id": 7, "artist": "A", "title": "T", "played_at": 1700000000}
    pq.write_table(pa.Table.from_pylist([row, {**row, "track_id": None}]), table)
    plays = propose(table.getvalue(), "log.parquet")[1].plays
    assert plays["track_id"] == f"coalesce(cast(track_id as string), {KEY})", (
        "a number is never an empty text"
    )


def test_titles_alone_are_keys_only_where_no_artist_is_named(propose):
    row = {"user": "u", "title": "Intro", "played_at": "2026-10-01T10:00:00Z"}
    proposal, source = propose(json.dumps([row]), "log.json")
    assert source.plays["track_id"] == "nullif(lower(btrim(`title`)), '')"
    assert "# no id of tracks was found: titles are, whoever plays them" in proposal.text
    proposal, _ = propose(json.dumps([{**row, "artist": {"name": "A"}}]), "log.json")
    assert proposal.missing == ("track_id",), "Intro of every artist were one track"


def test_a_session_stands_for_a_listener_that_nobody_names(propose):
    """As in the data set of music streaming sessions: one listener for all would make one of all their plays."""
    proposal, source = propose("session_id,track_id,played_at\ns,t,1700000000\n")
    assert (source.plays["user_id"], source.listener) == ("session_id", "")
    assert "# no listener was found: a session is taken as one" in proposal.text


def test_a_catalogue_needs_no_titles(propose):
    proposal, source = propose("song_id,duration_ms,genre,release_date\n1,200000,Pop,20100131\n")
    assert (source.plays, proposal.missing) == ({}, ()), "without listeners and instants nothing is a play"
    assert source.tracks["track_ms"] == "duration_ms"
    released = "regexp_replace(release_date, '^([0-9]{4})([0-9]{2})([0-9]{2})$', '$1-$2-$3')"
    assert source.tracks["released"] == released, "20100131 is no date of a catalogue"
    proposal, source = propose("song_id,genre,release_date\n1,Pop,last year\n")
    assert "released" not in source.tracks, "every row would be a reject"
    assert "# no dates such as 1994-05-02 were seen in it; seen: last year" in proposal.text


def test_ids_that_pandas_wrote_as_floats_are_whole_numbers_again(propose):
    """7.0 of a column with nulls is 7 in the file of the next day."""
    header = "user_id,track_id,artist_id,played_at\n"
    proposal, source = propose(f"{header}7.0,8.0,9.0,2026-10-01\n7.0,8.0,,2026-10-01\n")
    for name in ("user_id", "track_id", "artist_id"):
        assert source.plays[name] == f"regexp_replace({name}, '[.]0+$', '')"
    assert "# whole numbers that are written as floats: 7.0 is read as 7" in proposal.text
    _, source = propose(f"{header}7,1234567890123456.0,Blink 182.0,2026-10-01\n7,8.0,9.0,2026-10-01\n")
    for name in ("user_id", "track_id", "artist_id"):
        assert source.plays[name] == name, "only where all are such numbers, and no digit can be lost"


def test_floats_of_parquet_that_are_ids_are_whole_numbers_again(propose):
    table = io.BytesIO()
    pq.write_table(
        pa.table({"user_id": [1e7, None], "track_id": [7, 8], "played_at": [1700000000] * 2}), table
    )
    plays = propose(table.getvalue(), "log.parquet")[1].plays
    assert plays["user_id"] == "try_cast(user_id as bigint)", "as text it were 1.0E7"
    assert plays["track_id"] == "track_id"
