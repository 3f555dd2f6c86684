from __future__ import annotations

import random
import re
from datetime import date
from itertools import pairwise, product

import numpy as np
import pyarrow as pa
import pytest

import segue
from segue import SegueError, UsageError
from segue.neighbours import matrices
from segue.storage import Snapshot

DAY, DAY_BEFORE = date(2026, 11, 20), date(2026, 11, 19)


@pytest.fixture
def random_embeddings(make_embedding):
    """Every ninth track has no vectors."""

    def make(count=60, size=8, seed=3):
        draw = random.Random(seed)
        gauss = [[[draw.gauss(0, 1) for _ in range(size)] for _ in range(2)] for _ in range(count)]
        return [
            make_embedding(f"t{i}", *(pair if i % 9 else (None, None))) for i, pair in enumerate(gauss, 1)
        ]

    return make


def search_by_loops(rows, track, query_column, item_column, k):
    """Inner products to six decimals, equal ones in the order of ids."""
    start = next(row[query_column] for row in rows if row["track_id"] == track)
    score_pairs = [
        (round(sum(x * y for x, y in zip(start, row[item_column], strict=True)), 6), row["track_id"])
        for row in rows
        if row["track_id"] != track and row[item_column] is not None
    ]
    return sorted(score_pairs, key=lambda pair: (-pair[0], pair[1]))[:k]


def similar_tracks_rows(rows, k=10, version="v1", day=DAY):
    """Rows of `similar_tracks`, as the job makes them."""
    embedded_tracks = [row["track_id"] for row in rows if row["vector"] is not None]
    pairs_by_track = {track: search_by_loops(rows, track, "vector", "vector", k) for track in embedded_tracks}
    return [
        {
            "track_id": track,
            "version_id": version,
            "space_id": "s1",
            "neighbours": [name for _, name in pairs],
            "scores": [score for score, _ in pairs],
            "ds": day,
        }
        for track, pairs in pairs_by_track.items()
    ]


def release_and_open(lake, embeddings, tracks=(), lists=()):
    tables = {"track_embeddings": lake.publish("track_embeddings", embeddings)}
    if lists:
        tables["similar_tracks"] = lake.publish("similar_tracks", lists)
    if tracks:
        tables["tracks"] = lake.publish("tracks", tracks)
    lake.release(**tables)
    return segue.open(lake.root)


@pytest.fixture
def vector_reads(monkeypatch):
    """The vectors' columns that were read of all tracks, in order."""
    reads = []
    read = Snapshot.read

    def record_read(self, files, columns, where=None):
        if "bucket" not in str(where):  # a look-up reads the buckets of what it asks for
            reads.extend(set(columns) & set(self.vectors))
        return read(self, files, columns, where)

    monkeypatch.setattr(Snapshot, "read", record_read)
    return reads


@pytest.mark.parametrize("k", [1, 7, 53, 1000])
@pytest.mark.parametrize(
    ("method", "query_column", "item_column"),
    [("similar_tracks", "vector", "vector"), ("next_tracks", "in_vector", "out_vector")],
)
def test_similar_and_next_tracks_equal_plain_loops(
    lake, random_embeddings, method, query_column, item_column, k
):
    rows = random_embeddings()
    store = release_and_open(lake, rows)
    for track in ("t1", "t31"):
        actual = getattr(store, method)(track, k)
        expected = search_by_loops(rows, track, query_column, item_column, k)
        assert actual["track_id"].to_pylist() == [name for _, name in expected]
        assert actual["score"].to_pylist() == pytest.approx([score for score, _ in expected], abs=2e-6)


def test_next_tracks_ranks_by_inner_product_not_by_cosine(lake, make_embedding):
    rows = [
        make_embedding("a", [2, 0], [1, 1]),
        make_embedding("near", [1, 0], [1, 0]),
        make_embedding("long", [1, 0], [3, 3]),
    ]
    actual = release_and_open(lake, rows).next_tracks("a")
    assert actual.select(["track_id", "score"]).to_pydict() == {
        "track_id": ["long", "near"],
        "score": [6.0, 2.0],
    }


def test_similar_and_next_tracks_read_each_matrix_once_when_needed(lake, random_embeddings, vector_reads):
    store = release_and_open(lake, random_embeddings())
    for track in ("t1", "t2", "t3"):
        store.similar_tracks(track)
    assert vector_reads == ["vector"]
    store.next_tracks("t1")
    store.next_tracks("t2")
    assert vector_reads == ["vector", "out_vector"]


# --- the lists made for all


def test_similar_tracks_from_lists_equals_search(lake, random_embeddings, vector_reads):
    rows = random_embeddings()
    store_without_lists, store = (
        release_and_open(lake, rows),
        release_and_open(lake, rows, lists=similar_tracks_rows(rows)),
    )
    embedded_tracks = [row["track_id"] for row in rows if row["vector"] is not None]
    answers = {(track, k): store.similar_tracks(track, k) for track in embedded_tracks for k in (1, 9, 10)}
    assert not vector_reads, "an answer that is in the lists was searched for"
    for (track, k), actual in answers.items():
        expected = store_without_lists.similar_tracks(track, k)
        assert actual["track_id"].to_pylist() == expected["track_id"].to_pylist(), track
        assert actual["score"].to_pylist() == pytest.approx(expected["score"].to_pylist(), abs=2e-6)
        assert all(better >= worse for better, worse in pairwise(actual["score"].to_pylist()))


def test_similar_tracks_orders_ties_alike_from_lists_and_search(lake, make_embedding):
    rows = [
        make_embedding(t, v)
        for t, v in {"q": [1, 0], "ü": [2, 2], "b": [1, 1], "a": [3, 3], "Z": [1, 1]}.items()
    ]
    store_without_lists, store = (
        release_and_open(lake, rows),
        release_and_open(lake, rows, lists=similar_tracks_rows(rows, k=3)),
    )
    for k in (1, 2, 3, 4):
        actual = [
            each.similar_tracks("q", k)["track_id"].to_pylist() for each in (store_without_lists, store)
        ]
        assert actual == [["Z", "a", "b", "ü"][:k]] * 2


@pytest.mark.parametrize(
    ("change", "k"),
    [({"k": 10}, 11), ({"version": "v0"}, 5), ({"day": DAY_BEFORE}, 5)],
    ids=["shorter than asked", "of another version", "of another day"],
)
def test_similar_tracks_ignores_lists_that_do_not_fit(lake, random_embeddings, vector_reads, change, k):
    rows = random_embeddings()
    wrong = [row | {"neighbours": row["neighbours"][::-1]} for row in similar_tracks_rows(rows, **change)]
    store = release_and_open(lake, rows, lists=wrong)
    actual = store.similar_tracks("t1", k)
    assert actual["track_id"].to_pylist() == [
        name for _, name in search_by_loops(rows, "t1", "vector", "vector", k)
    ]
    assert vector_reads == ["vector"]


def test_similar_tracks_searches_for_a_track_missing_in_the_lists(lake, random_embeddings):
    rows = random_embeddings()
    store = release_and_open(
        lake, rows, lists=[row for row in similar_tracks_rows(rows) if row["track_id"] != "t1"]
    )
    actual = store.similar_tracks("t1", 5)["track_id"].to_pylist()
    assert actual == [name for _, name in search_by_loops(rows, "t1", "vector", "vector", 5)]


def test_similar_tracks_with_lists_refuses_a_track_without_vectors(lake, make_embedding):
    rows = [make_embedding("a", [1, 0]), make_embedding("b", [1, 1]), make_embedding("dark", None)]
    store = release_and_open(lake, rows, lists=similar_tracks_rows(rows))
    with pytest.raises(SegueError, match="track 'dark' is known, but on 2026-11-20 nothing is known of it"):
        store.similar_tracks("dark", 1)


# --- which tracks, and in which order


def test_similar_tracks_reads_the_newest_day_only(lake, make_embedding):
    old = [
        make_embedding("a", [1, 0], day=DAY_BEFORE),
        make_embedding("gone", [1, 0], day=DAY_BEFORE, space="s0"),
    ]
    new = [make_embedding("a", [1, 0]), make_embedding("b", [0, 1])]
    store = release_and_open(lake, old + new)
    assert store.similar_tracks("a")["track_id"].to_pylist() == ["b"]


def test_similar_tracks_orders_equal_scores_by_id_for_any_k(lake, make_embedding):
    equals = "abcdefghijklmnopqrstuvwxyz"
    rows = [make_embedding("query", [1, 0]), make_embedding("far", [0, 1])]
    store = release_and_open(lake, rows + [make_embedding(t, [2, 2]) for t in equals])
    for k in (1, 2, 13, 26):
        assert store.similar_tracks("query", k)["track_id"].to_pylist() == list(equals)[:k]


def test_similar_tracks_ties_scores_that_differ_in_their_last_bits(lake, make_embedding):
    rows = [make_embedding("query", [1, 0]), make_embedding("b", [1, 1]), make_embedding("a", [1, 1 + 2e-7])]
    store = release_and_open(lake, rows)
    assert store.similar_tracks("query", 1)["track_id"].to_pylist() == ["a"]


def test_similar_and_next_tracks_leave_out_and_refuse_tracks_without_vectors(lake, make_embedding):
    rows = [make_embedding("dark", None), make_embedding("a", [1, 0]), make_embedding("b", [-1, 0])]
    store = release_and_open(lake, rows)
    for method in (store.similar_tracks, store.next_tracks):
        assert method("a").select(["track_id", "score"]).to_pylist() == [{"track_id": "b", "score": -1.0}]
        with pytest.raises(
            SegueError, match=r"track 'dark' is known, but on 2026-11-20 nothing is known.*Hint"
        ):
            method("dark")


def test_similar_tracks_of_the_only_track_is_empty(lake, make_embedding):
    assert release_and_open(lake, [make_embedding("a", [1, 0])]).similar_tracks("a").num_rows == 0


def test_similar_tracks_takes_titles_from_released_tracks(lake, make_embedding):
    rows = [make_embedding("a", [1, 0]), make_embedding("b", [1, 0.1]), make_embedding("c", [1, 1])]
    store = release_and_open(lake, rows, [{"track_id": "b", "title": "夜曲", "artist_name": "周杰倫"}])
    actual = store.similar_tracks("a")
    assert actual.column_names == ["track_id", "score", "title", "artist_name"]
    assert actual.select(["track_id", "title", "artist_name"]).to_pylist() == [
        {"track_id": "b", "title": "夜曲", "artist_name": "周杰倫"},
        {"track_id": "c", "title": None, "artist_name": None},
    ]


def test_similar_tracks_has_null_titles_without_the_tracks_table(lake, make_embedding):
    rows = [make_embedding("a", [1, 0]), make_embedding("b", [1, 1])]
    with_tracks = release_and_open(lake, rows, [{"track_id": "x", "title": "X", "artist_name": "Y"}])
    without = release_and_open(lake, rows)
    assert "tracks" not in without.tables
    assert without.similar_tracks("a").schema == with_tracks.similar_tracks("a").schema
    assert without.similar_tracks("a")["title"].to_pylist() == [None]


def test_similar_tracks_refuses_two_spaces_in_a_day(lake, make_embedding):
    store = release_and_open(lake, [make_embedding("a", [1, 0]), make_embedding("b", [1, 0], space="s2")])
    with pytest.raises(
        SegueError, match=r"rows of track_embeddings on 2026-11-20 are of several spaces \(s1, s2\)"
    ):
        store.similar_tracks("a")


def test_similar_and_next_tracks_refuse_unknown_track_k_or_table(lake, make_user, make_embedding):
    store = release_and_open(lake, [make_embedding("a", [1, 0]), make_embedding("b", [1, 1])])
    with pytest.raises(SegueError, match=r"track 'z' has no embedding; on 2026-11-20 2 tracks have one"):
        store.similar_tracks("z")
    for search, track in product((store.similar_tracks, store.next_tracks), (None, 7, ["a"])):
        with pytest.raises(UsageError, match=f"track_id must be a string; got {re.escape(repr(track))}"):
            search(track)
    with pytest.raises(UsageError, match=r"k must be 1 or more; got 0"):
        store.next_tracks("a", 0)
    for search, k in product((store.similar_tracks, store.next_tracks), (2.5, "3", None, True)):
        with pytest.raises(UsageError, match=f"k must be a whole number; got {re.escape(repr(k))}"):
            search("a", k)
    assert store.similar_tracks("a", np.int64(1))["track_id"].to_pylist() == ["b"]
    with pytest.raises(UsageError, match=r"text that UTF-8 can hold; got '\\ud800'"):
        store.next_tracks("\ud800")
    lake.release(user_features=lake.publish("user_features", [make_user("u1")]))
    with pytest.raises(UsageError, match=r"table 'track_embeddings' is unknown in release 2026-11-20.2"):
        segue.open(lake.root).similar_tracks("a")


def test_matrices_reads_slices_and_chunks():
    lists = pa.array([[9, 9], [1, 2], [3, 4], [9, 9]], pa.list_(pa.float32()))
    column = pa.chunked_array([lists[1:3], lists[:0], lists[2:3]])
    assert np.concatenate(matrices(column, "in_vector")).tolist() == [[1, 2], [3, 4], [3, 4]]


@pytest.mark.parametrize("bad", [[[1, 2], [3]], [[1, 2], None], [[1, 2], [1, 2, 3, 4]]])
def test_matrices_refuses_vectors_of_different_lengths(bad):
    with pytest.raises(SegueError, match=r"vectors in in_vector must all have one length"):
        matrices(pa.chunked_array([pa.array(bad, pa.list_(pa.float32()))]), "in_vector")
