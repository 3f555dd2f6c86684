from __future__ import annotations

import math
import random
from datetime import date

import pyarrow as pa
import pytest

import segue
from segue import SegueError, UsageError
from segue.neighbours import vectors

DAY, DAY_BEFORE = date(2026, 11, 20), date(2026, 11, 19)


def embedding(track, ins, outs=None, day=DAY, space="s1"):
    return {"track_id": track, "in_vector": ins, "out_vector": outs or ins, "space_id": space, "ds": day}


def random_embeddings(count=60, size=8, seed=3):
    draw = random.Random(seed)
    return [
        embedding(f"t{i}", [draw.gauss(0, 1) for _ in range(size)], [draw.gauss(0, 1) for _ in range(size)])
        for i in range(count)
    ]


def cosine(one, other):
    lengths = math.sqrt(sum(x * x for x in one)) * math.sqrt(sum(x * x for x in other))
    return sum(x * y for x, y in zip(one, other, strict=True)) / lengths if lengths else 0.0


def by_loops(rows, track, column, k):
    start = next(row["in_vector"] for row in rows if row["track_id"] == track)
    scored = [(cosine(start, row[column]), row["track_id"]) for row in rows if row["track_id"] != track]
    return sorted(scored, key=lambda pair: (-pair[0], pair[1]))[:k]


def released(lake, embeddings, tracks=()):
    tables = {"track_embeddings": lake.publish("track_embeddings", embeddings)}
    if tracks:
        tables["tracks"] = lake.publish("tracks", tracks)
    lake.release(**tables)
    return segue.open(lake.root)


@pytest.mark.parametrize("k", [1, 7, 59, 1000])
@pytest.mark.parametrize(
    ("method", "column"), [("similar_tracks", "in_vector"), ("next_tracks", "out_vector")]
)
def test_neighbours_are_those_of_plain_loops(lake, method, column, k):
    rows = random_embeddings()
    store = released(lake, rows)
    for track in ("t0", "t31"):
        found = getattr(store, method)(track, k)
        expected = by_loops(rows, track, column, k)
        assert found["track_id"].to_pylist() == [name for _, name in expected]
        assert found["score"].to_pylist() == pytest.approx([score for score, _ in expected], abs=1e-5)


def test_the_newest_day_counts_only(lake):
    old = [embedding("a", [1, 0], day=DAY_BEFORE), embedding("gone", [1, 0], day=DAY_BEFORE, space="s0")]
    new = [embedding("a", [1, 0]), embedding("b", [0, 1])]
    store = released(lake, old + new)
    assert store.similar_tracks("a")["track_id"].to_pylist() == ["b"]


def test_equal_scores_come_in_the_order_of_ids_whatever_k(lake):
    equals = "abcdefghijklmnopqrstuvwxyz"
    rows = [embedding("query", [1, 0]), *(embedding(t, [2, 2]) for t in equals), embedding("far", [0, 1])]
    store = released(lake, rows)
    for k in (1, 2, 13, 26):
        assert store.similar_tracks("query", k)["track_id"].to_pylist() == list(equals)[:k]


def test_a_vector_of_zeros_is_near_nothing(lake):
    store = released(lake, [embedding("a", [1, 0]), embedding("zero", [0, 0]), embedding("back", [-1, 0])])
    assert store.similar_tracks("a")["score"].to_pylist() == [0.0, -1.0]
    assert store.similar_tracks("zero")["score"].to_pylist() == [0.0, 0.0]


def test_a_track_alone_has_no_neighbours(lake):
    assert released(lake, [embedding("a", [1, 0])]).similar_tracks("a").num_rows == 0


def test_titles_come_from_tracks_where_it_is_released(lake):
    rows = [embedding("a", [1, 0]), embedding("b", [1, 0.1]), embedding("c", [1, 1])]
    store = released(lake, rows, [{"track_id": "b", "title": "夜曲", "artist_name": "周杰倫"}])
    found = store.similar_tracks("a")
    assert found.column_names == ["track_id", "score", "title", "artist_name"]
    assert found.select(["track_id", "title", "artist_name"]).to_pylist() == [
        {"track_id": "b", "title": "夜曲", "artist_name": "周杰倫"},
        {"track_id": "c", "title": None, "artist_name": None},
    ]


def test_without_tracks_titles_are_null_and_columns_the_same(lake):
    rows = [embedding("a", [1, 0]), embedding("b", [1, 1])]
    with_tracks = released(lake, rows, [{"track_id": "x", "title": "X", "artist_name": "Y"}])
    without = released(lake, rows)
    assert "tracks" not in without.tables
    assert without.similar_tracks("a").schema == with_tracks.similar_tracks("a").schema
    assert without.similar_tracks("a")["title"].to_pylist() == [None]


def test_two_spaces_in_a_day_are_an_error(lake):
    store = released(lake, [embedding("a", [1, 0]), embedding("b", [1, 0], space="s2")])
    with pytest.raises(SegueError, match=r"embeddings of 2026-11-20 are of several spaces \(s1, s2\)"):
        store.similar_tracks("a")


def test_what_cannot_be_answered_says_so(lake, make_user):
    store = released(lake, [embedding("a", [1, 0]), embedding("b", [1, 1])])
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
    assert vectors(column, "in_vector").tolist() == [[1, 2], [3, 4], [3, 4]]


@pytest.mark.parametrize("bad", [[[1, 2], [3]], [[1, 2], None], [[1, 2], [1, 2, 3, 4]]])
def test_vectors_of_different_lengths_are_refused(bad):
    with pytest.raises(SegueError, match=r"vectors in in_vector must all have one length"):
        vectors(pa.chunked_array([pa.array(bad, pa.list_(pa.float32()))]), "in_vector")
