from __future__ import annotations

import random
from datetime import date
from itertools import pairwise

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


def by_loops(rows, track, asking, answering, k):
    """Inner products to six decimals, equal ones in the order of ids."""
    start = next(row[asking] for row in rows if row["track_id"] == track)
    scored = [
        (round(sum(x * y for x, y in zip(start, row[answering], strict=True)), 6), row["track_id"])
        for row in rows
        if row["track_id"] != track and row[answering] is not None
    ]
    return sorted(scored, key=lambda pair: (-pair[0], pair[1]))[:k]


def listed(rows, k=10, version="v1", day=DAY):
    """Rows of `similar_tracks`, as the job makes them."""
    known = [row["track_id"] for row in rows if row["vector"] is not None]
    found = {track: by_loops(rows, track, "vector", "vector", k) for track in known}
    return [
        {
            "track_id": track,
            "version_id": version,
            "space_id": "s1",
            "neighbours": [name for _, name in pairs],
            "scores": [score for score, _ in pairs],
            "ds": day,
        }
        for track, pairs in found.items()
    ]


def released(lake, embeddings, tracks=(), lists=()):
    tables = {"track_embeddings": lake.publish("track_embeddings", embeddings)}
    if lists:
        tables["similar_tracks"] = lake.publish("similar_tracks", lists)
    if tracks:
        tables["tracks"] = lake.publish("tracks", tracks)
    lake.release(**tables)
    return segue.open(lake.root)


@pytest.fixture
def matrices_read(monkeypatch):
    """The vectors' columns that were read of all tracks, in order."""
    seen = []
    read = Snapshot.read

    def noted(self, files, columns, where=None):
        if "bucket" not in str(where):  # a look-up reads the buckets of what it asks for
            seen.extend(set(columns) & set(self.vectors))
        return read(self, files, columns, where)

    monkeypatch.setattr(Snapshot, "read", noted)
    return seen


@pytest.mark.parametrize("k", [1, 7, 53, 1000])
@pytest.mark.parametrize(
    ("method", "asking", "answering"),
    [("similar_tracks", "vector", "vector"), ("next_tracks", "in_vector", "out_vector")],
)
def test_neighbours_are_those_of_plain_loops(lake, random_embeddings, method, asking, answering, k):
    rows = random_embeddings()
    store = released(lake, rows)
    for track in ("t1", "t31"):
        found = getattr(store, method)(track, k)
        expected = by_loops(rows, track, asking, answering, k)
        assert found["track_id"].to_pylist() == [name for _, name in expected]
        assert found["score"].to_pylist() == pytest.approx([score for score, _ in expected], abs=2e-6)


def test_next_tracks_are_by_inner_product_so_lengths_count(lake, make_embedding):
    rows = [
        make_embedding("a", [2, 0], [1, 1]),
        make_embedding("near", [1, 0], [1, 0]),
        make_embedding("long", [1, 0], [3, 3]),
    ]
    found = released(lake, rows).next_tracks("a")
    assert found.select(["track_id", "score"]).to_pydict() == {
        "track_id": ["long", "near"],
        "score": [6.0, 2.0],
    }


def test_each_matrix_is_read_once_and_only_when_it_is_needed(lake, random_embeddings, matrices_read):
    store = released(lake, random_embeddings())
    for track in ("t1", "t2", "t3"):
        store.similar_tracks(track)
    assert matrices_read == ["vector"]
    store.next_tracks("t1")
    store.next_tracks("t2")
    assert matrices_read == ["vector", "out_vector"]


# --- the lists made for all


def test_lists_and_search_give_the_same_answers(lake, random_embeddings, matrices_read):
    rows = random_embeddings()
    searched, store = released(lake, rows), released(lake, rows, lists=listed(rows))
    known = [row["track_id"] for row in rows if row["vector"] is not None]
    answers = {(track, k): store.similar_tracks(track, k) for track in known for k in (1, 9, 10)}
    assert not matrices_read, "an answer that is in the lists was searched for"
    for (track, k), found in answers.items():
        expected = searched.similar_tracks(track, k)
        assert found["track_id"].to_pylist() == expected["track_id"].to_pylist(), track
        assert found["score"].to_pylist() == pytest.approx(expected["score"].to_pylist(), abs=2e-6)
        assert all(better >= worse for better, worse in pairwise(found["score"].to_pylist()))


def test_ties_come_in_the_same_order_from_lists_and_search(lake, make_embedding):
    rows = [
        make_embedding(t, v)
        for t, v in {"q": [1, 0], "ü": [2, 2], "b": [1, 1], "a": [3, 3], "Z": [1, 1]}.items()
    ]
    searched, store = released(lake, rows), released(lake, rows, lists=listed(rows, k=3))
    for k in (1, 2, 3, 4):
        found = [each.similar_tracks("q", k)["track_id"].to_pylist() for each in (searched, store)]
        assert found == [["Z", "a", "b", "ü"][:k]] * 2


@pytest.mark.parametrize(
    ("change", "k"),
    [({"k": 10}, 11), ({"version": "v0"}, 5), ({"day": DAY_BEFORE}, 5)],
    ids=["shorter than asked", "of another version", "of another day"],
)
def test_lists_that_do_not_fit_are_left_aside(lake, random_embeddings, matrices_read, change, k):
    rows = random_embeddings()
    wrong = [row | {"neighbours": row["neighbours"][::-1]} for row in listed(rows, **change)]
    store = released(lake, rows, lists=wrong)
    found = store.similar_tracks("t1", k)
    assert found["track_id"].to_pylist() == [name for _, name in by_loops(rows, "t1", "vector", "vector", k)]
    assert matrices_read == ["vector"]


def test_a_track_that_the_lists_lack_is_searched_for(lake, random_embeddings):
    rows = random_embeddings()
    store = released(lake, rows, lists=[row for row in listed(rows) if row["track_id"] != "t1"])
    found = store.similar_tracks("t1", 5)["track_id"].to_pylist()
    assert found == [name for _, name in by_loops(rows, "t1", "vector", "vector", 5)]


def test_lists_change_nothing_for_a_track_without_vectors(lake, make_embedding):
    rows = [make_embedding("a", [1, 0]), make_embedding("b", [1, 1]), make_embedding("dark", None)]
    store = released(lake, rows, lists=listed(rows))
    with pytest.raises(SegueError, match="track 'dark' is known, but on 2026-11-20 nothing is known of it"):
        store.similar_tracks("dark", 1)


# --- which tracks, and in which order


def test_the_newest_day_counts_only(lake, make_embedding):
    old = [
        make_embedding("a", [1, 0], day=DAY_BEFORE),
        make_embedding("gone", [1, 0], day=DAY_BEFORE, space="s0"),
    ]
    new = [make_embedding("a", [1, 0]), make_embedding("b", [0, 1])]
    store = released(lake, old + new)
    assert store.similar_tracks("a")["track_id"].to_pylist() == ["b"]


def test_equal_scores_come_in_the_order_of_ids_whatever_k(lake, make_embedding):
    equals = "abcdefghijklmnopqrstuvwxyz"
    rows = [make_embedding("query", [1, 0]), make_embedding("far", [0, 1])]
    store = released(lake, rows + [make_embedding(t, [2, 2]) for t in equals])
    for k in (1, 2, 13, 26):
        assert store.similar_tracks("query", k)["track_id"].to_pylist() == list(equals)[:k]


def test_scores_that_differ_in_their_last_bits_are_equal(lake, make_embedding):
    rows = [make_embedding("query", [1, 0]), make_embedding("b", [1, 1]), make_embedding("a", [1, 1 + 2e-7])]
    store = released(lake, rows)
    assert store.similar_tracks("query", 1)["track_id"].to_pylist() == ["a"]


def test_tracks_without_vectors_are_nobodys_neighbours_and_have_none(lake, make_embedding):
    rows = [make_embedding("dark", None), make_embedding("a", [1, 0]), make_embedding("b", [-1, 0])]
    store = released(lake, rows)
    for method in (store.similar_tracks, store.next_tracks):
        assert method("a").select(["track_id", "score"]).to_pylist() == [{"track_id": "b", "score": -1.0}]
        with pytest.raises(
            SegueError, match=r"track 'dark' is known, but on 2026-11-20 nothing is known.*Hint"
        ):
            method("dark")


def test_a_track_alone_has_no_neighbours(lake, make_embedding):
    assert released(lake, [make_embedding("a", [1, 0])]).similar_tracks("a").num_rows == 0


def test_titles_come_from_tracks_where_it_is_released(lake, make_embedding):
    rows = [make_embedding("a", [1, 0]), make_embedding("b", [1, 0.1]), make_embedding("c", [1, 1])]
    store = released(lake, rows, [{"track_id": "b", "title": "夜曲", "artist_name": "周杰倫"}])
    found = store.similar_tracks("a")
    assert found.column_names == ["track_id", "score", "title", "artist_name"]
    assert found.select(["track_id", "title", "artist_name"]).to_pylist() == [
        {"track_id": "b", "title": "夜曲", "artist_name": "周杰倫"},
        {"track_id": "c", "title": None, "artist_name": None},
    ]


def test_without_tracks_titles_are_null_and_columns_the_same(lake, make_embedding):
    rows = [make_embedding("a", [1, 0]), make_embedding("b", [1, 1])]
    with_tracks = released(lake, rows, [{"track_id": "x", "title": "X", "artist_name": "Y"}])
    without = released(lake, rows)
    assert "tracks" not in without.tables
    assert without.similar_tracks("a").schema == with_tracks.similar_tracks("a").schema
    assert without.similar_tracks("a")["title"].to_pylist() == [None]


def test_two_spaces_in_a_day_are_an_error(lake, make_embedding):
    store = released(lake, [make_embedding("a", [1, 0]), make_embedding("b", [1, 0], space="s2")])
    with pytest.raises(
        SegueError, match=r"rows of track_embeddings on 2026-11-20 are of several spaces \(s1, s2\)"
    ):
        store.similar_tracks("a")


def test_what_cannot_be_answered_says_so(lake, make_user, make_embedding):
    store = released(lake, [make_embedding("a", [1, 0]), make_embedding("b", [1, 1])])
    with pytest.raises(SegueError, match=r"track 'z' has no embedding; on 2026-11-20 2 tracks have one"):
        store.similar_tracks("z")
    with pytest.raises(UsageError, match=r"k must be 1 or more; got 0"):
        store.next_tracks("a", 0)
    lake.release(user_features=lake.publish("user_features", [make_user("u1")]))
    with pytest.raises(UsageError, match=r"table 'track_embeddings' is unknown in release 2026-11-20.2"):
        segue.open(lake.root).similar_tracks("a")


def test_vectors_are_read_from_slices_and_chunks():
    lists = pa.array([[9, 9], [1, 2], [3, 4], [9, 9]], pa.list_(pa.float32()))
    column = pa.chunked_array([lists[1:3], lists[:0], lists[2:3]])
    assert np.concatenate(matrices(column, "in_vector")).tolist() == [[1, 2], [3, 4], [3, 4]]


@pytest.mark.parametrize("bad", [[[1, 2], [3]], [[1, 2], None], [[1, 2], [1, 2, 3, 4]]])
def test_vectors_of_different_lengths_are_refused(bad):
    with pytest.raises(SegueError, match=r"vectors in in_vector must all have one length"):
        matrices(pa.chunked_array([pa.array(bad, pa.list_(pa.float32()))]), "in_vector")
