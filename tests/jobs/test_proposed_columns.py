"""Which columns a proposal takes, in which unit, and what it says of those that are in doubt. No Spark."""

from __future__ import annotations

import io
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
    assert source.plays["track_ms"] == "`duration`"
    assert "# no number was seen in it; seen: 2m58s" in proposal.text, "it does not say why rows are rejects"


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
