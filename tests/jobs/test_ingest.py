"""Each row read ends as a play, a duplicate or a reject, in every format; the counts say so."""

from __future__ import annotations

import gzip
import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import segue
from expectations.verdict import Refused
from jobs import ingest_plays
from jobs.errors import JobError, WrongUsage
from jobs.job import Job
from jobs.known_ids import IdRange, find_days_with_ids
from jobs.publishing.warehouse import Warehouse
from jobs.sources import load_source
from reference.delta_files import read_newest_rows
from reference.published import lay, pass_every_batch
from reference.worlds import play

HEADER = "id,who,what,at,ms,length"
MAP = """
[plays]
play_id = "id"
user_id = "who"
track_id = "what"
played_at = "at"
ms_played = "ms"
track_ms = "length"
"""
GOOD = [
    f"p{n},u{n % 7},t{n % 11},2026-10-{1 + n % 9:02d}T10:00:{n % 60:02d}.5Z,{n * 1000},200000"
    for n in range(200)
]
# A row and why it is no play.
BAD = {
    "b1,,t1,2026-10-01T10:00:00Z,1,1": ["user_id is missing"],
    "b2,u1,   ,2026-10-01T10:00:00Z,1,1": ["track_id is missing"],
    "b3,u1,t1,,1,1": ["played_at is missing"],
    "b4,u1,t1,soon,1,1": ["played_at is no timestamp"],
    "b5,u1,t1,1998-12-31T23:59:59Z,1,1": ["played_at before 1999"],
    "b6,u1,t1,2099-01-01T00:00:00Z,1,1": ["played_at in the future"],
    "b7,u1,t1,2026-10-01T10:00:00Z,-1,1": ["ms_played is negative"],
    "b8,u1,t1,2026-10-01T10:00:00Z,86400001,1": ["ms_played is over a day"],
    "b9,u1,t1,2026-10-01T10:00:00Z,NaN,1": ["ms_played is no bigint"],
    "b10,u1,t1,2026-10-01T10:00:00Z,1,long": ["track_ms is no bigint"],
    "b11,,,2099-01-01T00:00:00Z,-1,-1": [
        "user_id is missing",
        "track_id is missing",
        "played_at in the future",
        "ms_played is negative",
        "track_ms is negative",
    ],
    "b12,u1,t1": ["the line is broken"],
    "b13,u1,t1,2026-10-01T10:00:00Z,1,1,one too many": ["the line is broken"],
    'b14,"u1,t1,2026-10-01T10:00:00Z,1,1': ["the line is broken"],
    HEADER: ["the line is the header again"],
    # numbers as spreadsheets, pandas and other programs write them
    'b15,u1,t1,2026-10-01T10:00:00Z,"1,234",1': ["ms_played is no bigint"],
    "b16,u1,t1,2026-10-01T10:00:00Z,1234.5,1": ["ms_played is no bigint"],
    "b17,u1,t1,2026-10-01T10:00:00Z,1e3,0x10": ["ms_played is no bigint", "track_ms is no bigint"],
    "b18,u1,t1,2026-10-01T10:00:00Z,99999999999999999999,null": [
        "ms_played is no bigint",
        "track_ms is no bigint",
    ],
    "b19,u1,t1,2026-10-01T10:00:00Z,\u0661\u0662,n/a": ["ms_played is no bigint", "track_ms is no bigint"],
    # ids that are another's, or nobody's
    "1.2345678E7,u1,t1,2026-10-01T10:00:00Z,1,1": ["play_id is a number with a point or an exponent"],
    "b20,7.0,t1,2026-10-01T10:00:00Z,1,1": ["user_id is a number with a point or an exponent"],
    "b21,NaN,1E+10,2026-10-01T10:00:00Z,1,1": [
        "user_id is a number with a point or an exponent",
        "track_id is a number with a point or an exponent",
    ],
    "b22,J\ufffdrgen,t1,2026-10-01T10:00:00Z,1,1": ["user_id has characters that could not be decoded"],
    "b23,u\0,t1,2026-10-01T10:00:00Z,1,1": ["user_id has characters that could not be decoded"],
    f"b24,{'u' * 1025},t1,2026-10-01T10:00:00Z,1,1": ["user_id has over 1024 characters"],
    "b25,\u00a0,\u200b\ufeff,2026-10-01T10:00:00Z,1,1": ["user_id is missing", "track_id is missing"],
    "b39,\\N,t1,2026-10-01T10:00:00Z,1,1": ["user_id is missing"],
    # times that are guesses, or that no calendar has
    **{
        f"{id_},u1,t1,{at},1,1": ["played_at is no timestamp"]
        for id_, at in {
            "b26": "10:00",
            "b27": "T10:00",
            "b28": "2026",
            "b29": "2026-10",
            "b30": "01/10/2026 10:00",
            "b31": "2026-02-30T00:00:00Z",
            "b32": "2026-10-01T24:00:00Z",
            "b33": "1793527200",
            "b34": "now",
            "b35": "1793527200000",
            "b36": "2026-10-01T10:00:60Z",
        }.items()
    },
    "b37,u1,t1,0000-01-01T00:00:00Z,1,1": ["played_at before 1999"],
    "b38,u1,t1,1970-01-01T00:00:00Z,1,1": ["played_at before 1999"],
}
FINE = [
    "g1,u1,t1,1999-01-01T00:00:00Z,0,0",
    "g2,u1,t1,2026-10-01T10:00:00Z,86400000,86400000",
    "g3,u1,t1,2026-10-01T10:00:00Z,,",
    # as MySQL writes nulls
    "g6,u1,t1,2026-10-01T10:00:00Z,\\N,\\N",
    # an hour that summer time skips is the one after it; with a zone, the same instant by any
    "g4,u1,t1,2026-03-29T02:30:00 Europe/Berlin,1,1",
    "g5,007,7,2026-10-01T12:00:00+02:00,1,1",
    # hexadecimal
    "12345e67,1e5,0E9,2026-10-01T12:00:00Z,1,1",
]


@pytest.fixture
def source(tmp_path):
    def make(settings="", columns=MAP):
        path = tmp_path / "source.toml"
        path.write_text(f'name = "test"\n{settings}{columns}')
        return str(path)

    return make


@pytest.fixture
def _no_gate(monkeypatch):
    pass_every_batch(monkeypatch)


def ingest(tmp_path, source, *inputs):
    return ingest_plays.main(
        ["--root", str(tmp_path / "root"), "--source", source, "--input", *map(str, inputs)]
    )


def read_table(tmp_path, name):
    return read_newest_rows(tmp_path / "root", name)


def write(tmp_path, lines, name="plays.csv", line_end="\n", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(line_end.join([*lines, ""]).encode(encoding))
    return path


def test_ingest_plays_refuses_too_many_rejects_and_still_publishes_the_rejects(spark, tmp_path, source):
    with pytest.raises(Refused, match="rejected_share") as refusal:
        ingest(tmp_path, source(), write(tmp_path, [HEADER, *GOOD, *BAD]))
    assert refusal.value.exit_code == 3
    assert read_table(tmp_path, "plays") == [], "a refused batch shows"
    assert {row["raw"]: row["reasons"] for row in read_table(tmp_path, "rejected_plays")} == BAD
    note = f"The {len(BAD)} rejected rows are published in {tmp_path}/root/tables/rejected_plays"
    assert note in str(refusal.value)
    with pytest.raises(Refused):
        ingest(tmp_path, source(), write(tmp_path, [HEADER, *GOOD, *BAD]))
    assert len(read_table(tmp_path, "rejected_plays")) == len(BAD), "a second try doubles the rejects"


def test_ingest_plays_counts_every_row_and_keeps_text_and_reasons_of_rejects(spark, tmp_path, source, capsys):
    more_lines = [f"m{n},u{n},t1,2026-10-02T10:00:00Z,1,1" for n in range(900)]
    lines = [HEADER, *GOOD, *FINE, *more_lines, *BAD, GOOD[0], GOOD[0], GOOD[5]]
    path = write(tmp_path, lines)
    assert ingest(tmp_path, source(), path) == 0
    output = capsys.readouterr().out
    read = len(GOOD) + len(FINE) + len(more_lines)
    counts = f"{read + 3 + len(BAD):,} rows read = {read:,} new plays + 3 duplicates + {len(BAD)} rejected"
    assert counts in output
    rejects = {row["raw"]: row for row in read_table(tmp_path, "rejected_plays")}
    assert {raw: row["reasons"] for raw, row in rejects.items()} == BAD
    assert {row["file"] for row in rejects.values()} == {"plays.csv"}
    plays = {row["play_id"]: row for row in read_table(tmp_path, "plays")}
    assert len(plays) == read
    skipped_hour = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    assert plays["g4"]["played_at"] == skipped_hour
    assert plays["g5"]["user_id"] == "007", "an id of digits is a text"
    assert plays["p7"]["played_at"] == datetime(2026, 10, 8, 10, 0, 7, 500_000, UTC)
    assert (plays["p7"]["ms_played"], plays["g3"]["ms_played"]) == (7000, None)
    before = Warehouse(str(tmp_path / "root")).state("plays")
    assert ingest(tmp_path, source(), path) == 0
    assert "unchanged" in capsys.readouterr().out
    # the same rows under another name: read again, and found to be there
    assert ingest(tmp_path, source(), write(tmp_path, [HEADER, *GOOD], "again.csv")) == 0
    assert "200 rows read = 0 new plays + 200 duplicates + 0 rejected" in capsys.readouterr().out
    assert Warehouse(str(tmp_path / "root")).state("plays") == before


@pytest.mark.usefixtures("_no_gate")
def test_ingest_plays_reads_quoted_line_ends_other_encodings_and_reordered_headers(spark, tmp_path, source):
    rows = ['p1,"Zoë\rB",t1,2026-10-01T10:00:00Z,1,1', 'p3,u,12" Mix,2026-10-01T12:00:00Z,1,1']
    # between two inch marks
    rows += ["p4,u,t4,2026-10-01T13:00:00Z,1,1", 'p5,u,7" Edit,2026-10-01T14:00:00Z,1,1']
    one = write(tmp_path, [HEADER, *rows], "one.csv", "\r", "mac_roman")
    two = write(
        tmp_path, ["what,who,at,id", "t2,Jürgen,2026-10-01T11:00:00Z,p2"], "two.csv", "\r", "mac_roman"
    )
    columns = MAP.replace('"ms"', '"1"').replace('"length"', '"2"')
    settings = 'encoding = "mac_roman"\nline_end = "\\r"\nmultiline = true\n'
    assert ingest(tmp_path, source(settings, columns), one, two) == 0
    plays = {row["play_id"]: (row["user_id"], row["track_id"]) for row in read_table(tmp_path, "plays")}
    inches = {"p3": ("u", '12" Mix'), "p4": ("u", "t4"), "p5": ("u", '7" Edit')}
    assert plays == {"p1": ("Zoë\rB", "t1"), "p2": ("Jürgen", "t2"), **inches}


@pytest.mark.usefixtures("_no_gate")
def test_ingest_plays_reads_the_same_plays_from_json_lines_and_parquet(spark, tmp_path, source):
    rows = [dict(zip(HEADER.split(","), line.split(","), strict=True)) for line in GOOD]
    lines = write(tmp_path, [json.dumps(row) for row in rows], "plays.jsonl")
    assert ingest(tmp_path, source('format = "json"\n'), lines) == 0
    expected = sorted(read_table(tmp_path, "plays"), key=str)
    instants = [datetime.fromisoformat(row["at"]) for row in rows]
    table = pa.Table.from_pylist(rows).drop_columns("at")
    # as pandas writes instants, which Spark does not read by itself
    table = table.append_column("at", pa.array(instants, pa.timestamp("ns", "UTC")))
    pq.write_table(table, tmp_path / "plays.parquet")
    other = tmp_path / "other"
    other.mkdir()
    assert ingest(other, source('format = "parquet"\n'), tmp_path / "plays.parquet") == 0
    assert sorted(read_table(other, "plays"), key=str) == expected != []


@pytest.mark.usefixtures("_no_gate")
def test_ingest_plays_rejects_broken_json_with_its_text(spark, tmp_path, source):
    rows = [dict(zip(HEADER.split(","), line.split(","), strict=True)) for line in GOOD]
    lines = write(tmp_path, [*map(json.dumps, rows), '{"id": "x"'], "plays.jsonl")
    assert ingest(tmp_path, source('format = "json"\n'), lines) == 0
    assert [(row["raw"], row["reasons"]) for row in read_table(tmp_path, "rejected_plays")] == [
        ('{"id": "x"', ["the line is broken"])
    ]


@pytest.mark.usefixtures("_no_gate")
def test_ingest_plays_keeps_the_order_of_ready_made_sessions(spark, tmp_path, source):
    path = tmp_path / "sessions.txt.gz"
    path.write_bytes(gzip.compress(b"1 2 3\n4 5\n"))
    columns = """
[plays]
user_id = "concat('s', line)"
source_session_id = "concat('s', line)"
track_id = "item"
played_at = "timestamp_seconds(1788220800 + line * 20 + position * 180)"
"""
    assert ingest(tmp_path, source('format = "sessions"\nseparator = " "\n', columns), path) == 0
    plays = sorted(read_table(tmp_path, "plays"), key=lambda row: (row["user_id"], row["played_at"]))
    assert [(p["user_id"], p["source_session_id"], p["track_id"]) for p in plays] == [
        ("s0", "s0", "1"), ("s0", "s0", "2"), ("s0", "s0", "3"), ("s1", "s1", "4"), ("s1", "s1", "5"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('nam = "x"', "name is missing; nam is unknown, must be one of name, format, "),
        ('name = "x"\nformat = "xml"', "format is 'xml', must be csv or json"),
        ("name = ", "source.toml"),
    ],
)
def test_load_source_refuses_a_wrong_source(tmp_path, text, message):
    (tmp_path / "source.toml").write_text(text)
    with pytest.raises(WrongUsage, match=message):
        load_source(str(tmp_path / "source.toml"))


def test_ingest_plays_refuses_a_column_that_plays_does_not_have(tmp_path, source):
    with pytest.raises(WrongUsage, match="no column usr_id"):
        ingest(tmp_path, source(columns='[plays]\nusr_id = "who"\n'), tmp_path)


def test_ingest_plays_refuses_an_expression_over_a_column_that_the_file_lacks(spark, tmp_path, source):
    with pytest.raises(JobError, match=r"user_id.*person"):
        ingest(tmp_path, source(columns=MAP.replace('"who"', '"person"')), write(tmp_path, [HEADER, *GOOD]))


def test_ingest_plays_refuses_an_input_that_does_not_exist(spark, tmp_path, source):
    with pytest.raises(JobError, match="nowhere"):
        ingest(tmp_path, source(), tmp_path / "nowhere")


TRIPLEJ = Path(__file__).parents[3] / "shared" / "data" / "triplej"


@pytest.mark.skipif(not TRIPLEJ.exists(), reason=f"the real triple j file is not at {TRIPLEJ}")
def test_ingest_plays_reads_the_134_948_plays_of_triple_j(spark, tmp_path, capsys):
    toml = Path(__file__).parents[2] / "deploy" / "sources" / "triplej.toml"
    assert ingest(tmp_path, str(toml), TRIPLEJ) == 0
    output = capsys.readouterr().out
    assert "134,950 rows read = 134,948 new plays + 0 duplicates + 2 rejected" in output
    assert Warehouse(str(tmp_path / "root")).state("plays").rows == 134_948
    assert segue.releases(tmp_path / "root") == []


def lay_plays(tmp_path, *plays):
    """As an ingest published them: id, listener and instant of each."""
    rows = [play(play_id=id_, user_id=user, played_at=datetime.fromisoformat(at)) for id_, user, at in plays]
    lay(Warehouse(str(tmp_path / "root")), "plays", rows)


@pytest.mark.usefixtures("_no_gate")
def test_ingest_plays_takes_an_id_of_any_day_for_a_duplicate(spark, tmp_path, source, capsys):
    """As when a delivery is sent again over midnight, or with the times of another year."""
    at = {"x1": "2026-10-02T00:00:00Z", "x2": "2026-10-03T23:59:59Z", "x3": "2026-03-01T10:00:00Z"}
    lay_plays(tmp_path, *((id_, "u1", instant) for id_, instant in at.items()))
    again = ["x1,u1,t1,2026-10-01T23:59:59Z,1,1", "x2,u1,t1,2026-10-04T00:00:00Z,1,1"]
    lines = [*again, "x3,u1,t1,2026-10-03T10:00:00Z,1,1", "x4,u1,t1,2026-10-03T10:00:00Z,1,1"]
    assert ingest(tmp_path, source(), write(tmp_path, [HEADER, *lines])) == 0
    assert "4 rows read = 1 new plays + 3 duplicates + 0 rejected" in capsys.readouterr().out
    published = [(row["play_id"], row["played_at"]) for row in read_table(tmp_path, "plays")]
    fresh = ("x4", datetime(2026, 10, 3, 10, tzinfo=UTC))
    assert sorted(published) == [*((id_, datetime.fromisoformat(t)) for id_, t in at.items()), fresh], (
        "what was published first stays"
    )


MINUTES = MAP.replace('play_id = "id"\n', "")


@pytest.mark.usefixtures("_no_gate")
def test_ingest_plays_takes_two_durations_in_one_minute_for_two_plays(spark, tmp_path, source, capsys):
    """And knows plays that were published before durations were a part of ids."""
    at, instant = "2026-10-01T10:00:00Z", datetime(2026, 10, 1, 10, tzinfo=UTC)
    text = f"test\x1fu1\x1ft1\x1f{int(instant.timestamp()) * 1_000_000}"
    ids = {
        ms: hashlib.sha1(f"{text}{suffix}".encode()).hexdigest()
        for ms, suffix in ((1000, ""), (2000, "\x1f2000"), (3000, "\x1f3000"))
    }
    rows = [play(play_id=ids[1000], user_id="u1", track_id="t1", played_at=instant, ms_played=1000)]
    lay(Warehouse(str(tmp_path / "root")), "plays", rows)
    lines = [f"{n},u1,t1,{at},{ms},9" for n, ms in enumerate((1000, 2000, 2000, 3000))]
    assert ingest(tmp_path, source(columns=MINUTES), write(tmp_path, [HEADER, *lines])) == 0
    published = {row["ms_played"]: row["play_id"] for row in read_table(tmp_path, "plays")}
    assert published == ids, "what was published keeps its id, and is there once"
    assert ingest(tmp_path, source(columns=MINUTES), write(tmp_path, [HEADER, *lines[::-1]], "2.csv")) == 0
    assert "4 rows read = 0 new plays + 4 duplicates" in capsys.readouterr().out


def test_days_that_can_hold_an_id_follow_from_footers_and_not_from_rows(tmp_path):
    """Of ids in order, a night opens the days that it brings again, however long the history is."""
    days = [datetime(2025, 1, 1, tzinfo=UTC) + n * timedelta(days=1) for n in range(0, 600, 100)]
    for n, day in enumerate(days):
        rows = [play(play_id=f"p{n}{x}", played_at=day) for x in (3, 7)]
        lay(Warehouse(str(tmp_path / "root")), "plays", rows)
    job, last = Job("test", str(tmp_path / "root")), days[-1].date()

    def days_of(least, greatest, day=last):
        found = find_days_with_ids(job, "plays", "play_id", [IdRange(day, least, greatest)])
        return [day_.date() for day_ in days if day_.date() in found]

    assert days_of("p6", "p9") == []
    assert days_of("p33", "p33") == days_of("p35", "p35") == [days[3].date()]
    assert days_of("p27", "p33") == [days[2].date(), days[3].date()]
    assert days_of("a", "z") == [day.date() for day in days[1:]], "the first is more than 400 days before"
