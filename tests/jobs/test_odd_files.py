"""Files of every kind that were seen to fail: read as they are meant, or refused in a line that says what to do."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import os
import re
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.ingest import parse_and_validate_plays, play_fields
from features.records import split_objects
from features.settings import SettingsError
from jobs import source_rows
from jobs.column_names import check_volatility, choose_names
from jobs.errors import JobError, WrongUsage
from jobs.file_starts import read_starts, split_header
from jobs.input_files import list_files
from jobs.source_rows import read_rows
from jobs.sources import Source, column_map, load_source
from schemas.plays import PLAYS

HEADER = "id,who,what,at,ms"
MAP = {"play_id": "id", "user_id": "who", "track_id": "what", "played_at": "at", "ms_played": "ms"}
AT = "2026-10-01T10:00:00Z"
NOW = datetime(2026, 11, 1, tzinfo=UTC)


def row(id_):
    return f"{id_},u,t,{AT},1"


def text(*lines, end="\n"):
    return end.join([*lines, ""]).encode()


def parquet(options=None, **changes):
    values = {"id": ["p"], "who": ["u"], "what": ["t"], "at": [NOW.replace(month=10)], "ms": [1]} | changes
    buffer = io.BytesIO()
    columns = {name: each for name, each in values.items() if each is not None}
    pq.write_table(pa.table(columns), buffer, **(options or {}))
    return buffer.getvalue()


def write_source(folder, settings="", columns=MAP):
    lines = [f"{name} = {json.dumps(sql)}" for name, sql in columns.items()]
    path = folder / "source.toml"
    path.write_text("\n".join(['name = "test"', settings, "[plays]", *lines]))
    return load_source(str(path))


def write_files(folder, contents):
    inputs = folder / "inputs"
    for name, content in contents.items():
        path = inputs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return str(inputs)


def no_session():
    raise AssertionError("these files need no Spark to be listed")


def find_outcomes(spark, folder, contents, settings="", columns=MAP):
    """By id or text: [] for a play, the reasons of a reject, None for a row that is left out."""
    source = write_source(folder, settings, columns)
    sql = column_map(source, "plays", play_fields(PLAYS))
    rows = read_rows(spark, source, list_files([write_files(folder, contents)], no_session), sql)
    parsed = parse_and_validate_plays(rows, sql, "test", NOW).where("not is_header")
    plays = parsed.select("play_id", "raw", "reasons", "user_id", "ms_played").toArrow().to_pylist()
    return {play["raw"] if play["reasons"] else play["play_id"]: play["reasons"] for play in plays}


# --- refused, and what to do


TEXT = text(HEADER, *map(row, range(1000)))
REFUSED_FILES = {
    "a.csv, lines end with CR": (text(HEADER, row(1), end="\r"), "", r'write line_end = "\\r"'),
    "a.csv, UTF-16": (text(HEADER).decode().encode("utf-16"), "", 'write encoding = "utf-16"'),
    "a.csv, UTF-32": (text(HEADER).decode().encode("utf-32"), "", 'write encoding = "utf-32"'),
    "a.csv, gzip": (gzip.compress(TEXT), "", r"it is gzip, expected csv; call it \*\.gz"),
    "a.csv, bzip2": (bz2.compress(TEXT), "", "it is bzip2, expected csv"),
    "a.csv, zip": (b"PK\x03\x04" + bytes(100), "", "a zip archive or a spreadsheet, expected csv; unpack it"),
    "a.csv, zstandard": (b"\x28\xb5\x2f\xfd" + bytes(100), "", "it is zstandard, expected csv; unpack it"),
    "a.csv.zst, packed": (pa.compress(TEXT, "zstd", asbytes=True), "", "it is zstandard, .*; unpack it"),
    "a.csv.lz4, packed": (pa.compress(TEXT, "lz4", asbytes=True), "", "it is lz4, expected csv; unpack it"),
    "a.csv, tar": (bytes(257) + b"ustar" + bytes(250), "", "it is a tar archive, expected csv; unpack it"),
    "a.csv, a page": (
        b"\n<!DOCTYPE html><p>sign in",
        "",
        "it is a page of HTML, expected csv; download the file",
    ),
    "a.csv, UTF-16 without a mark": (TEXT.decode().encode("utf-16-be"), "", 'write encoding = "utf-16-be"'),
    "a.json, parquet": (parquet(), 'format = "json"', "parquet, expected json"),
    "a.csv.gz, cut off": (gzip.compress(TEXT)[:-500], "", "is it whole"),
    "a.csv.gz, no gzip": (TEXT, "", "cannot be read: .*is it whole, and of the kind its name says"),
    "a.csv, no text": (bytes(range(256)) * 8, "", "first line is no text in utf-8"),
    "a.csv, a line for Excel": (
        b"sep=;\n" + TEXT,
        "",
        "its first line is 'sep=;', as spreadsheets write it; take",
    ),
    "a.csv, latin-1": ("Künstler,Titel\n".encode("latin-1"), "", "write its encoding"),
}


@pytest.mark.parametrize("kind", REFUSED_FILES)
def test_read_starts_refuses_a_file_of_another_kind_and_says_what_to_do(tmp_path, kind):
    content, settings, message = REFUSED_FILES[kind]
    folder = write_files(tmp_path, {kind.partition(",")[0]: content})
    files = list_files([folder], no_session)
    with pytest.raises(JobError, match=message) as refusal:
        read_starts(write_source(tmp_path, settings), [each.path for each in files])
    assert files[0].path in str(refusal.value) and "\n" not in str(refusal.value)


REFUSED_SETTINGS = {
    'separator = ""': "separator is ''",
    "separator = '\\t'": 'in TOML a tab is "\\\\t"',
    'quote = "ab"': "quote is 'ab'",
    'escape = "ab"': "escape is 'ab'",
    'separator = "|"\nquote = "|"': "separator and quote are both",
    'line_end = ""': "line_end is ''",
    'encoding = "utf-99"': "encoding is 'utf-99', must be a text encoding",
    'encoding = "base64"': "must be a text encoding",
    "header = [1]": "header.0 is 1: ",
    'pseudonymise = ["user"]': "pseudonymise names user, must be of play_id, user_id, track_id",
    'records = "rows[]"': "records is 'rows\\[\\]', must be empty where format is csv",
    "longest_row = 5": "longest_row is 5, must be 1,000 to",
}


@pytest.mark.parametrize("settings", REFUSED_SETTINGS)
def test_load_source_refuses_a_layout_that_nothing_can_read(tmp_path, settings):
    with pytest.raises(WrongUsage, match=REFUSED_SETTINGS[settings]):
        write_source(tmp_path, settings)


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        (5, "plays.user_id is 5: "),
        ({"a": "b"}, r"plays.user_id is \{'a': 'b'\}: "),
        (" ", r"\[plays\] user_id is empty, must be SQL; take the line out"),
        ("who what when", r"\[plays\] user_id 'who what when' is no SQL expression"),
    ],
)
def test_source_refuses_a_column_that_is_no_sql(sql, message):
    with pytest.raises(SettingsError, match=message):
        Source(name="s", plays=MAP | {"user_id": sql})


@pytest.mark.parametrize("name", ["", " ", "a\nb", "\x1b[31m", "x" * 201])
def test_source_refuses_a_name_that_cannot_be_printed(name):
    with pytest.raises(SettingsError, match="must be 1 to 200 characters that can be printed"):
        Source(name=name)


def test_source_is_read_as_editors_of_windows_write_it(tmp_path):
    (tmp_path / "s.toml").write_bytes(b'\xef\xbb\xbfname = "s"\r\n[plays]\r\nuser_id = "who"\r\n')
    assert load_source(str(tmp_path / "s.toml")) == Source(name="s", plays={"user_id": "who"})


def test_list_files_refuses_what_it_would_leave_out(tmp_path):
    folder = write_files(tmp_path, {"a.csv": b"a"})
    os.symlink(tmp_path / "nothing", f"{folder}/gone.csv")
    with pytest.raises(JobError, match=r"gone\.csv: No such file"):
        list_files([folder], no_session)
    os.replace(f"{folder}/gone.csv", f"{tmp_path}/gone.csv")
    os.rename(f"{folder}/a.csv", os.fsencode(folder) + b"/\xe9.csv")
    with pytest.raises(JobError, match=r"\\udce9\.csv.*its name is no UTF-8; rename it"):
        list_files([folder], no_session)
    os.remove(os.fsencode(folder) + b"/\xe9.csv")
    write_files(tmp_path, {"10:00.csv": b"a"})
    with pytest.raises(JobError, match="colon in its name; rename it"):
        list_files([folder], no_session)


def test_list_files_follows_links_and_lists_a_folder_once(tmp_path):
    folder = write_files(tmp_path, {"a.csv": b"a"})
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "b.csv").write_bytes(b"b")
    for name, target in {"out": tmp_path / "far", "again": tmp_path / "far", "loop": folder}.items():
        os.symlink(target, f"{folder}/{name}")
    names = [os.path.basename(each.path) for each in list_files([folder], no_session)]
    assert sorted(names) == ["a.csv", "b.csv"]


def test_unpack_refuses_what_is_cut_off_or_larger_than_it_may_be(monkeypatch):
    packed = gzip.compress(bytes(1000))
    assert source_rows._unpack("a.gz", packed) == bytes(1000) == source_rows._unpack("a.csv", bytes(1000))
    with pytest.raises(ValueError, match=r"file a\.gz cannot be read"):
        source_rows._unpack("a.gz", packed[:-9])
    monkeypatch.setattr(source_rows, "MOST_BYTES", 999)
    with pytest.raises(ValueError, match="more than 999 bytes when unpacked; split it"):
        source_rows._unpack("a.gz", packed)


# --- names of columns


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["id", "", "", "who"], {"id": 0, "who": 3}),
        (["who", "x", "x", "id"], {"who": 0, "id": 3}),
        (["Who", "who", "id", "ID"], {"who": 1, "id": 2}),
        (["WHO", "id"], {"WHO": 0, "id": 1}),
        (["a`b", "A.b", "id"], {"a`b": 0, "A.b": 1, "id": 2}),
    ],
)
def test_choose_names_leaves_out_what_nobody_can_name(names, chosen):
    assert choose_names(names, {"user_id": "who", "play_id": "upper(id)"}) == chosen


@pytest.mark.parametrize(
    "sql",
    [
        "uuid()",
        "rand( 3)",
        "coalesce(at, NOW())",
        "current_timestamp",
        "if(ms > RANDOM(), 1, 2)",
        "Current_Date()",
    ],
)
def test_check_volatility_refuses_what_is_another_value_each_time(sql):
    with pytest.raises(JobError, match=r"is another value each time, by .*other rows"):
        check_volatility(Source(name="s"), {"user_id": "who", "played_at": sql})


@pytest.mark.parametrize(
    "sql", ["now", "`uuid`", "uuid", "random_id", "'now()'", "concat(`rand (x)`, ms)", "brand(x)"]
)
def test_check_volatility_lets_columns_be_called_so(sql):
    check_volatility(Source(name="s"), {"played_at": sql})


def test_choose_names_refuses_two_names_that_differ_in_case_and_are_both_used():
    with pytest.raises(JobError, match="2 columns called 'who'"):
        choose_names(["who", "Who"], {"user_id": "who", "track_id": "Who"})


def test_choose_names_refuses_a_name_that_is_used_and_stands_for_two():
    with pytest.raises(JobError, match="2 columns called 'who', and the source uses that name; rename one"):
        choose_names(["who", "id", "who"], {"user_id": "`who`"})


def test_read_starts_reads_a_header_of_any_width_and_leaves_out_blank_files(tmp_path):
    names = [f"column {n}" for n in range(20_000)]
    contents = {"a.csv": text(",".join(names), "1"), "b.csv": b"\n \n", "c.csv": b"\xef\xbb\xbf\n\nid,who\n"}
    source = write_source(tmp_path)
    paths = [each.path for each in list_files([write_files(tmp_path, contents)], no_session)]
    wide, marked = read_starts(source, paths)
    assert split_header(source, wide) == names
    assert split_header(source, marked) == ["id", "who"]


# --- JSON


@pytest.mark.parametrize(
    ("document", "objects"),
    [
        ('[{"a": 1}, {"b": "}]{"}]', ['{"a": 1}', '{"b": "}]{"}']),
        ('{\n "a": {"b": [1]}\n}\n{"c": "\\""}', ['{\n "a": {"b": [1]}\n}', '{"c": "\\""}']),
        ('[{"a": 1}, x, {"b": 2}]', ['{"a": 1}', "x", '{"b": 2}']),
        ('[{"a": 1}, {"b": "cut', ['{"a": 1}', '{"b": "cut']),
        ('[{"a": "open},\n {"b": 2}]', ['{"a": "open}', '{"b": 2}']),
        ("[]", []),
    ],
)
def test_split_objects_finds_each_object_and_loses_no_text(document, objects):
    assert list(split_objects(document)) == list(enumerate(objects))
    letters = re.sub(r"[\s,\[\]]", "", document)
    assert re.sub(r"[\s,\[\]]", "", "".join(objects)) == letters


def test_json_is_read_whatever_its_lines_are(spark, tmp_path):
    def play(id_, **others):
        return {"id": id_, "who": "u", "what": "t", "at": AT, "ms": 1, **others}

    contents = {
        "array.json": json.dumps([play("p1"), play("p2", Who="x")]).encode(),
        "pretty.json": json.dumps([play("p3", **{"a`b": 1, "": 2})], indent=2).encode(),
        "lines.json": b"\xef\xbb\xbf" + text(json.dumps(play("p4", raw=1, file=2, broken=3)), "3", "{"),
        "cut.json": (json.dumps([play("p5"), play("p6")])[:-9]).encode(),
    }
    # what a delivery stream writes: objects without line ends; and lines of which one was written without its own
    contents["no line ends.json"] = "".join(json.dumps(play(id_)) for id_ in ("p7", "p8", "p9")).encode()
    odd = play("p10", title=' "}{\\" } {', inner={"a": {}})
    two_on_a_line = json.dumps(play("x1", title="}{")) + " \t" + json.dumps(play("x2"))
    contents["a line end is missing.json"] = text(json.dumps(odd), two_on_a_line)
    outcomes = find_outcomes(spark, tmp_path, contents, 'format = "json"')
    cut = json.dumps(play("p6"))[:-8].rstrip(", ")
    rejects = {broken: ["the line is broken"] for broken in ("3", "{", cut, two_on_a_line)}
    assert outcomes == {**{f"p{n}": [] for n in (*range(1, 6), *range(7, 11))}, **rejects}


# --- CSV and parquet that are read


def test_csv_is_read_whatever_its_header_and_its_path_are(spark, tmp_path):
    contents = {
        "bom.csv": b"\xef\xbb\xbf" + text(HEADER, row("p1")),
        "crlf.csv": text(HEADER, row("p2"), end="\r\n"),
        "blank names.csv": text(f"{HEADER},,", row("p3") + ",1,2"),
        "twice.csv": text(f"{HEADER},x,x", row("p4") + ",1,2"),
        "alike.csv": text(f"{HEADER},Who,ID", row("p5") + ",1,2"),
        "ours.csv": text(
            f"{HEADER},file,raw,line,broken,is_header,_broken,a`b", row("p6") + ",1,2,3,4,5,6,7"
        ),
        "[2024] {a,b} 100% #1*?é/a.csv": text(HEADER, row("p7")),
        "day=1/a.csv": text(HEADER, row("p8")),
        "packed.csv.gz": gzip.compress(text(HEADER, row("p9"))),
        "nothing.csv": b"\n\n",
        "header only.csv": text(HEADER),
        "quotes.csv": text(HEADER, f'p10,"u ""x"", y",t,{AT},1'),
    }
    # a line of another encoding, in a file whose header does not show it
    contents["latin-1.csv"] = text(HEADER, row("p11")) + f"p12,Jürgen,t,{AT},1\n".encode("latin-1")
    undecoded = {f"p12,J\ufffdrgen,t,{AT},1": ["user_id has characters that could not be decoded"]}
    assert find_outcomes(spark, tmp_path, contents) == {**{f"p{n}": [] for n in range(1, 12)}, **undecoded}


@pytest.mark.parametrize("settings", ["", "multiline = true", 'format = "parquet"'])
def test_a_file_has_its_own_name_in_expressions_however_it_is_read(spark, tmp_path, settings):
    """Spark gives the path of a line as a URI, and that of a whole file as it is: one listener was two."""
    source = write_source(
        tmp_path, settings, MAP | {"user_id": r"regexp_extract(file, '([^/]+)[.]\\w+$', 1)"}
    )
    suffix, content = ("parquet", parquet()) if "parquet" in settings else ("csv", text(HEADER, row("p1")))
    names = ["anna smith", "100%", "a%20b", "c+d", "ä é#?", 'x"<>[1]^`{2}|', "plain"]
    folder = write_files(tmp_path, {f"{name}.{suffix}": content for name in names})
    sql = column_map(source, "plays", play_fields(PLAYS))
    rows = read_rows(spark, source, list_files([folder], no_session), sql)
    parsed = parse_and_validate_plays(rows, sql, "test", NOW).where("not is_header")
    assert sorted(play.user_id for play in parsed.select("user_id").collect()) == sorted(names)


def test_parquet_of_several_schemas_is_read_by_name(spark, tmp_path):
    at = NOW.replace(month=10)
    contents = {
        "a.parquet": parquet(id=["p1"], ms=None),
        "b.parquet": parquet(id=["p2"], ms=["5"]),
        "c.parquet": parquet(id=["p3"], at=pa.array([at], pa.timestamp("ns", "UTC"))),
        "d.parquet": parquet(id=["p4"], raw=["x"], file=["y"], **{"a`b": [1]}),
        "c of another schema.parquet": parquet(
            id=["p8"], at=pa.array([at], pa.timestamp("ns", "UTC")), more=[1]
        ),
        "e [1].parquet": parquet(id=["p5"], who=[b"u"]),
        # two that differ in case: the one that the source names, where it names one of them
        "f.parquet": parquet(id=["p6"], Who=["x"], ID=["y"], more=[1], MORE=[2]),
        "g.parquet": parquet(id=["p7"], Who=[1], at=pa.array([at], pa.timestamp("ns", "UTC"))),
        # as Hive, Impala and Spark write instants: Arrow says that these are nanoseconds
        "h.parquet": parquet({"use_deprecated_int96_timestamps": True}, id=["p9"], at=pa.array([at])),
    }
    assert find_outcomes(
        spark, tmp_path, contents, 'format = "parquet"', MAP | {"user_id": "UPPER(who)"}
    ) == {f"p{n}": [] for n in range(1, 10)}


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ({"a.parquet": parquet()[:-20]}, r"a\.parquet is no whole parquet file"),
        ({"a.parquet": TEXT}, "no whole parquet file"),
        (
            {"a.parquet": parquet(what=None, WHAT=["t"], What=["x"])},
            "track_id = 'what' does not fit the files",
        ),
        ({"a.parquet": parquet(who=[1.2345678e7])}, "user_id = 'who' is of type double; digits of an id"),
        # beside a file of whole numbers too: as texts, 7 and 7.0 were two listeners
        (
            {"a.parquet": parquet(who=[7]), "b.parquet": parquet(who=[7.0])},
            "user_id = 'who' is of type double; digits of an id",
        ),
        ({"a.parquet": parquet(who=[["u"]])}, "is of type array<string>; expected one value"),
    ],
)
def test_parquet_that_would_be_read_wrong_is_refused(spark, tmp_path, contents, message):
    with pytest.raises(JobError, match=message):
        find_outcomes(spark, tmp_path, contents, 'format = "parquet"')


@pytest.mark.parametrize("settings", ["", "multiline = true", 'format = "json"'])
def test_a_row_that_is_too_long_costs_itself(spark, tmp_path, settings):
    plays = [dict(zip(HEADER.split(","), row(id_).split(","), strict=True)) for id_ in ("p1", "p2")]
    long = {**plays[0], "id": "p3", "what": "x" * 5000}
    is_json = "json" in settings
    lines = [json.dumps(each) if is_json else ",".join(each.values()) for each in (plays[0], long, plays[1])]
    contents = {"a": text(*lines) if is_json else text(HEADER, *lines)}
    outcomes = find_outcomes(spark, tmp_path, contents, settings + "\nlongest_row = 2000\npersonal = true")
    note = f"(a row of {len(lines[1])} bytes; longest_row of the source is 2000)"
    assert outcomes == {"p1": [], note: ["the line is broken"], "p2": []}


# --- expressions


@pytest.mark.parametrize("sql", ["max(ms)", "explode(array(1, 2))", "ms +", "nowhere", "array(ms)"])
def test_read_rows_refuses_an_expression_that_gives_not_one_value_for_a_row(spark, tmp_path, sql):
    with pytest.raises(JobError, match=re.escape(f"ms_played = {sql!r}")):
        find_outcomes(spark, tmp_path, {"a.csv": text(HEADER, row(1))}, columns=MAP | {"ms_played": sql})


@pytest.mark.product_settings
def test_an_expression_that_raises_costs_its_row_alone(spark, tmp_path):
    """Also in generated code, and where two columns share a part of their expressions."""
    instants = {"s": 1793527200, "ms": 1793527200_000, "us": 1793527200_000_000, "words": "soon", "none": ""}
    lines = [f"{id_},u,t,{at},1" for id_, at in instants.items()]
    columns = MAP | {
        "played_at": "timestamp_seconds(cast(at as bigint))",
        "track_ms": "cast(at as bigint) div 1000",
    }
    found = find_outcomes(spark, tmp_path, {"a.csv": text(HEADER, *lines)}, columns=columns)
    by_id = {text_.partition(",")[0]: reasons for text_, reasons in found.items()}
    assert by_id == {
        "s": [],
        "ms": ["played_at in the future", "track_ms is over a day"],
        "us": ["played_at cannot be computed", "track_ms is over a day"],
        "words": ["played_at cannot be computed", "track_ms cannot be computed"],
        "none": ["played_at is missing"],
    }


def test_a_source_can_declare_one_unicode_form(spark, tmp_path):
    """Else the same name in two forms is two listeners, as ids are compared letter by letter."""
    composed, parts = "Caf\u00e9", "Cafe\u0301"
    contents = {"a.csv": text(HEADER, *(f"{name},u,t,{AT},1" for name in (composed, parts)), f",u,t,{AT},1")}
    outcomes = find_outcomes(spark, tmp_path, contents, 'unicode_form = "NFC"')
    assert composed in outcomes and parts not in outcomes
    assert {composed, parts} < find_outcomes(spark, tmp_path, contents).keys()


def test_rows_of_other_kinds_are_left_out_and_no_rejects(spark, tmp_path):
    lines = [row("p1"), f"p2,u,,{AT},1", f"p3,u,podcast,{AT},1", f"p4,u,podcast,{AT},many", "p5"]
    settings = "where = \"what <> 'podcast'\""
    assert find_outcomes(spark, tmp_path, {"a.csv": text(HEADER, *lines)}, settings) == {
        "p1": [],
        lines[1]: ["track_id is missing"],
        "p3": None,
        "p4": None,
        "p5": ["the line is broken"],
    }


@pytest.mark.parametrize("separator", ["||", "|", "."])
def test_a_separator_is_no_regular_expression(spark, tmp_path, separator):
    source = write_source(tmp_path, f'separator = "{separator}"\nformat = "sessions"')
    files = list_files([write_files(tmp_path, {"s.txt": f"a{separator}b\n".encode()})], no_session)
    rows = read_rows(spark, source, files, {"track_id": "item"})
    assert rows.select("item").toArrow()["item"].to_pylist() == ["a", "b"]
