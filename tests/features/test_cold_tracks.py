"""Vectors of cold tracks against plain loops: each artist of a world is a case of its own."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from random import Random

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.embeddings import track_embeddings
from features.embeddings.arrays import VectorError, to_matrix
from features.embeddings.cold_vectors import fill_vectors, regroup_by_artist
from features.embeddings.track_embeddings import fill_cold_vectors
from reference import cold_tracks as reference
from reference.frames import frame
from schemas.track_embeddings import SOURCES, TRACK_EMBEDDINGS
from schemas.tracks import TRACKS

LEARNED = (
    "track_id string not null, in_vector array<float>, out_vector array<float>, support bigint, "
    "in_state double, out_state double"
)
NAMES = ("track_id", "in_vector", "out_vector", "support", "in_state", "out_state")
WORDS = ("Blue", "blue!", "Über", "rio-grande", "no 9", "ÆTHER", "…", "")


def learned_row(track: str, vector=None, **values) -> dict:
    """A learned track of two dimensions; `vector` is in, then out."""
    into, out = (None, None) if vector is None else (list(vector[:2]), list(vector[2:]))
    base = {"track_id": track, "in_vector": into, "out_vector": out, "support": 3, "in_state": 0.5}
    return {**base, "out_state": 0.25, **values}


def catalogue_row(track: str, **values) -> dict:
    empty = dict.fromkeys(
        ("title", "artist_id", "artist_name", "album", "track_ms", "explicit", "released_on")
    )
    return {"track_id": track, **empty, "source": "s", "bucket": 0, **values}


def fill_by_track(spark, rows, catalogue, parts: int = 2) -> dict:
    trained_table = spark.createDataFrame([tuple(row[n] for n in NAMES) for row in rows], LEARNED)
    tracks = frame(spark, catalogue, TRACKS)
    table = fill_cold_vectors(trained_table.repartition(parts), tracks.repartition(parts), reference.DAY)
    for name in table.columns:
        assert table.schema[name].nullable == TRACK_EMBEDDINGS.column(name).nullable, name
        assert table.schema[name].dataType == TRACK_EMBEDDINGS.struct()[name].dataType, name
    filled_rows = table.toArrow().to_pylist()
    assert len({row["track_id"] for row in filled_rows}) == len(filled_rows), "a track has two rows"
    return {row["track_id"]: row for row in filled_rows}


def is_near(expected, actual) -> bool:
    if isinstance(expected, float) and isinstance(actual, float):
        return abs(expected - actual) <= 2e-5 * max(1.0, abs(expected))
    if isinstance(expected, list) and isinstance(actual, list):
        return len(expected) == len(actual) and all(map(is_near, expected, actual))
    return type(expected) is type(actual) and expected == actual


def assert_same(expected: dict, actual: dict) -> None:
    assert expected.keys() == actual.keys()
    for track, row in expected.items():
        for name, value in row.items():
            assert is_near(value, actual[track][name]), (
                f"{track}.{name}: expected {value!r}, got {actual[track][name]!r}"
            )


def world(seed: int, artists: int) -> tuple[list[dict], list[dict]]:
    """Artists of 1 to 6 tracks on up to two albums, some learned; vectors on a grid, so that some sums are zero."""
    rng = Random(seed)
    rows, catalogue = [], []
    for n in range(artists):
        artist = f"a{n}" if rng.random() < 0.85 else None
        for k in range(rng.randint(1, 6)):
            track = f"{rng.choice('xyz')}{n}-{k}"
            if rng.random() < 0.9:
                catalogue.append(catalogue_row(track, artist_id=artist, **content(rng)))
            if rng.random() < 0.4:
                vector = [rng.choice((-1.0, 0.0, 0.5, 1.0)) for _ in range(4)]
                rows.append(learned_row(track, vector, support=rng.choice((0, 1, 2, 9, 10, 11, 5_000_000))))
            elif rng.random() < 0.1:
                rows.append(learned_row(track, None))
    return rows, catalogue


def content(rng: Random) -> dict:
    def text() -> str:
        return " ".join(rng.choices(WORDS, k=rng.randint(0, 3)))

    values = {
        "title": text(),
        "artist_name": text(),
        "album": rng.choice(("One", "Two")),
        "track_ms": rng.choice((0, 1, 200_000, 354_321, 86_400_000)),
        "explicit": rng.random() < 0.5,
        # some are no dates of a release, though a calendar has them
        "released_on": date(rng.choice((1, 1876, 1877, 2027, 2028, 9999, *range(1950, 2026))), 12, 31),
    }
    return {name: value for name, value in values.items() if rng.random() < 0.7}


@pytest.fixture
def set_fewest_to_fit(monkeypatch):
    """Lets the regression be fitted to so few tracks."""
    return lambda fewest: monkeypatch.setattr(track_embeddings, "FEWEST_TO_FIT", fewest)


@pytest.mark.parametrize("fewest", [10**9, 30])
def test_fill_cold_vectors_equals_the_definition(spark, set_fewest_to_fit, fewest):
    set_fewest_to_fit(fewest)
    rows, catalogue = world(5, 250)
    actual = fill_by_track(spark, rows, catalogue)
    assert_same(reference.fill_cold_vectors(rows, catalogue, fewest), actual)
    counts = {source: sum(row["source"] == source for row in actual.values()) for source in SOURCES}
    expected_sources = set(SOURCES) - ({"content"} if fewest > 10**6 else set())
    assert {source for source, n in counts.items() if n > 20} >= expected_sources - {"none"}, counts
    assert counts["none"], counts


def test_fill_cold_vectors_does_not_depend_on_partitions(spark, set_fewest_to_fit):
    set_fewest_to_fit(10)
    rows, catalogue = world(6, 80)
    one = fill_by_track(spark, rows, catalogue, parts=1)
    Random(1).shuffle(rows)
    many = fill_by_track(spark, rows, catalogue[::-1], parts=7)
    exact = {track for track, row in one.items() if row["source"] != "content"}
    assert {t: one[t] for t in exact} == {t: many[t] for t in exact}, "means and sums are the same to the bit"
    assert_same(one, many)


def test_fill_cold_vectors_equals_cases_by_hand(spark):
    rows = [
        learned_row("alone", [1.0, 0.0, 1.0, 0.0], support=1),
        learned_row("big", [4.0, 0.0, 0.0, 0.0], support=30),
        learned_row("small", [0.0, 4.0, 0.0, 0.0], support=10),
        learned_row("opposite", [1.0, -2.0, -1.0, 2.0]),
        learned_row("nowhere", [0.0, 0.0, 0.0, 3.0]),
        learned_row("half", None, support=8) | {"in_vector": [1.0, 1.0]},
    ]
    catalogue = [
        catalogue_row("alone", artist_id="a"),
        catalogue_row("big", artist_id="b", album="one"),
        catalogue_row("small", artist_id="b", album="two"),
        catalogue_row("opposite", artist_id="c"),
        catalogue_row("half", artist_id="b"),
        catalogue_row("on two", artist_id="b", album="two"),
        catalogue_row("on three", artist_id="b", album="three"),
        catalogue_row("of c", artist_id="c"),
        catalogue_row("of nobody", title="words alone do not help where nothing is fitted"),
        catalogue_row("bare"),
    ]
    actual = fill_by_track(spark, rows, catalogue)
    summary = {t: (r["source"], r["in_vector"], r["support"], r["in_state"]) for t, r in actual.items()}
    assert summary == {
        "alone": ("learned", [1.0, 0.0], 1, 0.5),
        "big": ("learned", [4.0, 0.0], 30, 0.5),
        "small": ("learned", [0.0, 4.0], 10, 0.5),
        "opposite": ("none", None, 0, None),
        "nowhere": ("learned", [0.0, 0.0], 3, 0.5),
        "half": ("artist", [3.0, 1.0], 0, None),
        "on two": ("artist", [1.5, 2.5], 0, None),
        "on three": ("artist", [3.0, 1.0], 0, None),
        "of c": ("none", None, 0, None),
        "of nobody": ("none", None, 0, None),
        "bare": ("none", None, 0, None),
    }
    assert actual["nowhere"]["vector"] == [0.0, 1.0]
    assert actual["nowhere"]["norm"] == 3.0


@pytest.mark.parametrize(("fewest", "source"), [(5, "content"), (6, "none")])
def test_fill_cold_vectors_fits_no_regression_to_too_few_tracks(spark, set_fewest_to_fit, fewest, source):
    set_fewest_to_fit(fewest)
    rows = [learned_row(f"l{n}", [1.0, float(n), 0.0, 0.0]) for n in range(5)]
    catalogue = [catalogue_row(f"l{n}", title="one") for n in range(5)] + [catalogue_row("t", title="one")]
    actual = fill_by_track(spark, rows, [*catalogue, catalogue_row("bare"), catalogue_row("l9", album="…")])
    assert actual["t"]["source"] == source
    assert actual["bare"]["source"] == actual["l9"]["source"] == "none"


@pytest.mark.parametrize(("rows", "tracks"), [([], []), ([], ["a"]), (["a"], [])])
def test_fill_cold_vectors_accepts_empty_inputs(spark, set_fewest_to_fit, rows, tracks):
    set_fewest_to_fit(1)
    trained_rows = [learned_row(track, [1.0, 0.0, 0.0, 1.0]) for track in rows]
    actual = fill_by_track(spark, trained_rows, [catalogue_row(track, title="x") for track in tracks])
    expected = {**dict.fromkeys(tracks, "none"), **dict.fromkeys(rows, "learned")}
    assert {track: row["source"] for track, row in actual.items()} == expected


def test_fill_cold_vectors_leaves_nan_to_the_gate(spark):
    rows = [learned_row("bad", [float("nan"), 0.0, 0.0, 0.0]), learned_row("good", [1.0, 0.0, 0.0, 0.0])]
    actual = fill_by_track(spark, rows, [])
    assert actual["bad"]["source"] == "learned"
    assert actual["bad"]["norm"] != actual["bad"]["norm"]
    assert actual["good"]["norm"] == 1.0


# --- in a task, without Spark


COLUMNS = {
    "track_id": pa.string(),
    "in_vector": pa.list_(pa.float32()),
    "out_vector": pa.list_(pa.float32()),
    "support": pa.int64(),
    "in_state": pa.float64(),
    "out_state": pa.float64(),
    "artist_id": pa.string(),
    "album": pa.string(),
    "length": pa.float64(),
    "explicit": pa.float64(),
    "year": pa.float64(),
    "words": pa.list_(pa.int32()),
    "weights": pa.binary(),
}
SCHEMA = pa.schema(COLUMNS.items())


def sorted_rows(seed: int, artists: int) -> pa.RecordBatch:
    rng = Random(seed)
    names = [None, *(f"a{n}" for n in range(artists))]
    keys = [(a, rng.choice((None, "x", "y")), n) for a in names for n in range(rng.choice((1, 1, 2, 9)))]
    keys.sort(key=lambda key: tuple((part is not None, part) for part in key))
    rows = []
    for artist, album, n in keys:
        row = dict.fromkeys(COLUMNS) | {"track_id": f"{artist}-{n}", "artist_id": artist, "album": album}
        if rng.random() < 0.6:
            vector = [rng.uniform(-1, 1) for _ in range(4)]
            row |= learned_row(row["track_id"], vector, support=rng.randint(1, 20))
        rows.append(row)
    return pa.RecordBatch.from_pylist(rows, SCHEMA)


def split_at(rows: pa.RecordBatch, at: list[int]) -> list[pa.RecordBatch]:
    ends = [0, *sorted(n % (rows.num_rows + 1) for n in at), rows.num_rows]
    return [rows.slice(a, b - a) for a, b in pairwise(ends)]


@given(st.integers(0, 10**6), st.integers(0, 6), st.lists(st.integers(0, 10**6), max_size=8))
@settings(max_examples=60, deadline=None)
def test_fill_vectors_does_not_depend_on_batches(seed, artists, cuts):
    rows = sorted_rows(seed, artists)
    whole = [row for batch in fill_vectors([rows]) for row in batch.to_pylist()]
    parts = [row for batch in fill_vectors(split_at(rows, cuts)) for row in batch.to_pylist()]
    assert parts == whole
    assert [row["track_id"] for row in whole] == rows.column("track_id").to_pylist()


@given(st.integers(0, 10**6), st.integers(0, 6), st.lists(st.integers(0, 10**6), max_size=8))
@settings(max_examples=60, deadline=None)
def test_regroup_by_artist_splits_no_artist(seed, artists, cuts):
    rows = sorted_rows(seed, artists)
    batches = [batch for batch in split_at(rows, cuts) if batch.num_rows]
    pieces = list(regroup_by_artist(batches))
    assert pa.Table.from_batches(pieces, SCHEMA).equals(pa.Table.from_batches([rows]))
    previous_artists: set[str] = set()
    for piece in pieces:
        assert piece.num_rows, "a piece without rows"
        piece_artists = set(piece.column("artist_id").to_pylist()) - {None}
        assert not piece_artists & previous_artists
        previous_artists |= piece_artists
    assert len(pieces) <= len(batches) + 1


@pytest.mark.parametrize("lists", [[[1.0], None, [1.0, 2.0]], [[], [1.0]]])
def test_to_matrix_refuses_vectors_of_different_lengths(lists):
    with pytest.raises(VectorError, match="expected one length"):
        to_matrix(pa.array(lists, pa.list_(pa.float32())))


def test_to_matrix_reads_a_slice_of_a_column():
    column = pa.array([[9.0, 9.0], [1.0, 2.0], None, [3.0, 4.0], [9.0, 9.0]], pa.list_(pa.float32()))
    assert to_matrix(column.slice(1, 3)).tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert to_matrix(column.slice(2, 1)).shape == (0, 0)


def test_fill_vectors_refuses_in_and_out_vectors_of_different_lengths():
    row = dict.fromkeys(COLUMNS) | learned_row("t", [1.0, 2.0, 3.0]) | {"artist_id": "a"}
    with pytest.raises(VectorError, match=r"\[1, 2\]"):
        list(fill_vectors([pa.RecordBatch.from_pylist([row], SCHEMA)]))
