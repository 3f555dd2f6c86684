"""The catalogue: values in one form, one row for a track, rejects, and what changed, as loops have it."""

from __future__ import annotations

from datetime import date

from hypothesis import given, settings
from hypothesis import strategies as st

from features.ingest import BROKEN, FILE, IS_HEADER, RAW
from features.tracks import (
    TRACK_FIELDS,
    find_changes,
    merge_catalogue,
    parse_and_validate_tracks,
    select_rejected_tracks,
    select_tracks,
)
from reference import catalogues
from reference.worlds import FEW
from schemas.contract import Column
from schemas.tracks import REJECTED_TRACKS, TRACK_CHANGES, TRACKS

TODAY = date(2026, 11, 20)
MBID = "b1a9c0e9-d987-4042-ae91-78d6a3267d69"
COLUMNS = {name: name for name in TRACK_FIELDS}

DATES = {
    "1994": "1994", "1994-05": "1994-05", "1994-5": "1994-05", "1994-05-02": "1994-05-02", "1994-5-2": "1994-05-02",
    "1994-00-00": "1994", "1994-05-00": "1994-05", "1994-05-02T10:00:00Z": "1994-05-02",
    "1994-05-02 00:00:00": "1994-05-02", "2000-02-29": "2000-02-29", "0000": None, "0000-00-00": None,
    "1900-02-29": "x", "1994-13": "x", "1994-00-02": "x", "94": "x", "19940502": "x", "soon": "x", "1994-05-": "x",
    "02/05/1994": "x", "0000-05": "x", "1994T10": "x", "1994-05-02 or so": "x", "1994.0": "x", "-1994": "x",
}  # fmt: skip
ISRCS = {
    "USRC17607839": "USRC17607839", "us-rc1-76-07839": "USRC17607839", "ISRC US-RC1-76-07839": "USRC17607839",
    "isrc:usrc17607839": "USRC17607839", "US\u2011RC1\u201176\u201107839": "USRC17607839",
    # of Iceland
    "ISRC12300001": "ISRC12300001", "ISRCISRC12300001": "ISRC12300001",
    "USRC1760783": "x", "USRC176078399": "x", "1SRC17607839": "x", "USRC1760783A": "x", "\u00dfRC17607839": "x",
    "n/a": "x",
}  # fmt: skip
MBIDS = {
    MBID: MBID, MBID.upper(): MBID, MBID.replace("-", ""): MBID, f"https://musicbrainz.org/recording/{MBID}": MBID,
    MBID[:-1]: "x", f"{MBID}0": "x", f"-{MBID}": "x", MBID.replace("b", "g"): "x",
    f"https://musicbrainz.org/artist/{MBID}": "x",
}  # fmt: skip
GENRES = {
    "Rock": ["Rock"], "Hip-Hop/Rap": ["Hip-Hop/Rap"], "Rock, Pop": ["Rock, Pop"], "Rock|Pop": ["Rock", "Pop"],
    " Rock ;Pop; ;Rock": ["Rock", "Pop"], '["Rock","R&B, Soul"]': ["Rock", "R&B, Soul"],
    "['rock', 'drum and bass']": ["rock", "drum and bass"], "[]": None, ";|": None, '["a", null, ""]': ["a"],
    '["a"': "x", "[Rock]": "x",
}  # fmt: skip
# A row has these by name, and is a track without any of them.
VALUES = {"released": DATES, "isrc": ISRCS, "recording_mbid": MBIDS, "genres": GENRES}


def list_rows(texts_by_name):
    return [
        {"track_id": f"{name} {n}", name: text}
        for name, texts in texts_by_name.items()
        for n, text in enumerate(texts)
    ]


def complete(rows):
    """Rows of a file, with the text of each; what they lack is null."""
    rows = [{name: row.get(name) for name in TRACK_FIELDS} for row in rows]
    return [row | {"raw": repr(row)} for row in rows]


def parse(spark, rows, columns=COLUMNS, file="f.csv", contract=TRACKS):
    schema = ", ".join(f"{name} string" for name in (*TRACK_FIELDS, RAW, FILE))
    lines = [(*[row[name] for name in TRACK_FIELDS], row["raw"], file, False, False) for row in rows]
    read = spark.createDataFrame(lines, f"{schema}, {BROKEN} boolean, {IS_HEADER} boolean")
    # as the job does: a filter that is pushed below these expressions would take minutes to plan
    return parse_and_validate_tracks(read, columns, contract, "test", TODAY).persist()


def collect(frame):
    return frame.toArrow().to_pylist()


def test_values_are_brought_to_one_form_or_reject_the_row(spark):
    rows = complete(list_rows(VALUES))
    parsed = {row["track_id"]: row for row in collect(parse(spark, rows))}
    for name, texts in VALUES.items():
        for n, (text, expected) in enumerate(texts.items()):
            row = parsed[f"{name} {n}"]
            assert (row[name], bool(row["reasons"])) == (
                None if expected == "x" else expected,
                expected == "x",
            ), text
    for row in rows:
        # the oracle itself is held to the table above
        values, reasons = catalogues.read_row(row)
        found = parsed[row["track_id"]]
        assert {n: found[n] for n in values} | {"reasons": set(found["reasons"])} == values | {
            "reasons": reasons
        }


def test_a_list_of_a_file_is_a_list_of_genres(spark):
    """As parquet has them, or as SQL makes one of a text with other separators."""
    rows = complete([{"track_id": "t", "genres": "Rock / Pop, Soul"}])
    columns = COLUMNS | {"genres": "split(genres, ' / ')"}
    assert collect(parse(spark, rows, columns))[0]["genres"] == ["Rock", "Pop, Soul"]


def test_a_list_of_a_project_is_json_an_array_or_one_value(spark):
    names = ("one", "two", "three", "four", "five")
    contract = TRACKS.extend([Column(name, "array<string>", "playlists") for name in names])
    columns = COLUMNS | {
        "one": "'p1'",
        "two": """'["p1", " p2 ", null, "p1", ""]'""",
        "three": "array('p1', '[p2')",
        "four": "array()",
        "five": "'[p1'",
    }
    (row,) = collect(parse(spark, complete([{"track_id": "t"}]), columns, contract=contract))
    assert [row[name] for name in names] == [["p1"], ["p1", "p2"], ["p1", "[p2"], None, None]
    assert row["reasons"] == ["five is no list"]


def maybe(*values):
    return st.sampled_from((None, "", *values))


def mangle(texts):
    """Texts of a table, and texts that are near to them."""
    parts = [part for text in texts for part in (text, text[:-1], text[1:])]
    return st.one_of(
        st.sampled_from([None, *texts]),
        st.sampled_from(parts),
        st.text("0123456789-T abUS:", max_size=13),
    )


# ties in everything but the text, ids that differ by case and spaces, values at limits
ROW = st.fixed_dictionaries(
    {
        "track_id": maybe("t1", "t2", "T1", " t1 ", "t3", "ü"),
        "title": maybe("a", "b", "A", "é"),
        "artist_id": maybe("x"),
        "artist_name": maybe("x", "X"),
        "album": maybe("one"),
        "track_ms": maybe("0", "-1", "86400000", "86400001", "1.5", "9223372036854775808"),
        "explicit": maybe("true", "FALSE", "1", "maybe"),
        "released": mangle(DATES),
        "released_on": maybe("1994-05-02", "2001", "0000"),
        # what is near to a list may be one for JSON's reader and none for Python's
        "genres": maybe(*GENRES),
        "isrc": mangle(ISRCS),
        "recording_mbid": mangle(MBIDS),
    }
)
# most rows are right, or no track would come twice
RIGHT = st.fixed_dictionaries(
    {
        "track_id": st.sampled_from(("t1", "t2", "T1", "t3", "t4")),
        "title": maybe("a", "b"),
        "artist_name": maybe("x"),
        "track_ms": maybe("1", "2"),
        "explicit": maybe("true", "false"),
        "released": maybe("1994", "1994-05"),
        "genres": maybe("Rock", "Rock|Pop"),
    }
)
FILE_ROWS = st.lists(st.one_of(ROW, RIGHT), min_size=60, max_size=120)


# an example is mostly the time to plan it, so there are two, of many rows
@settings(FEW, max_examples=2)
@given(before=FILE_ROWS, after=FILE_ROWS)
def test_catalogues_give_the_tracks_rejects_and_changes_that_loops_give(spark, before, after):
    before, after = complete(before), complete(after)
    found = collect(parse(spark, after))
    assert len(found) == len(after), "a row went without a trace"
    for row in found:
        expected = next(each for each in after if each["raw"] == row["raw"])
        assert set(row["reasons"]) == catalogues.read_row(expected)[1], expected
    old, new = (select_tracks(parse(spark, rows), TRACKS) for rows in (before, after))
    expected_old, expected_new = catalogues.select(before), catalogues.select(after)
    merged = {row["track_id"]: row for row in collect(merge_catalogue(new, old))}
    expected_merged = {**expected_old, **expected_new}
    assert {id_: {**row, "source": "test"} for id_, row in expected_merged.items()} == merged
    changes = collect(find_changes(new, old, TRACK_FIELDS[1:], 7, TODAY))
    compared = {(row["track_id"], row["field"], row["before"], row["after"]) for row in changes}
    assert compared == catalogues.compare(expected_old, expected_new)
    assert len(compared) == len(changes)
    assert {*changes[0]} == {*TRACK_CHANGES.names} - {"available_at"} if changes else True


def test_rejects_are_the_same_in_a_file_of_another_name(spark):
    rows = complete([{"title": "no id"}, {"title": "no id"}, {"track_id": "t", "track_ms": "long"}])
    first, again = (
        collect(select_rejected_tracks(parse(spark, rows, file=name))) for name in ("a/1.csv", "b/2.csv")
    )
    assert {row["reject_id"] for row in first} == {row["reject_id"] for row in again}
    assert len({row["reject_id"] for row in first}) == 3, "a row that is there twice is two"
    assert {(row["file"], row["ds"]) for row in first} == {("1.csv", TODAY)}
    assert {*first[0]} == {*REJECTED_TRACKS.names} - {"available_at"}
    assert sorted(reason for row in first for reason in row["reasons"]) == [
        "track_id is missing", "track_id is missing", "track_ms is no bigint",
    ]  # fmt: skip


def test_values_in_their_form_stay_as_they_are(spark):
    """So that a catalogue that was exported and read again changes nothing."""
    once = {
        name: {catalogues.write(value) for value in texts.values() if value not in ("x", None)}
        for name, texts in VALUES.items()
    }
    rows = complete(list_rows({name: sorted(texts) for name, texts in once.items()}))
    found = collect(parse(spark, rows))
    for name, texts in once.items():
        again = {catalogues.write(row[name]) for row in found if row["track_id"].startswith(f"{name} ")}
        assert again == texts
