"""Neighbours of all tracks, against the scores of all pairs in plain Python."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.embeddings.neighbours import NeighboursError, Search, find_next_tracks, find_similar_tracks
from reference.embeddings import embedding, neighbours
from reference.frames import frame, rows
from reference.rows import assert_same
from reference.worlds import FEW, MIDNIGHT
from schemas.similar_tracks import SIMILAR_TRACKS
from schemas.track_embeddings import TRACK_EMBEDDINGS

DS = MIDNIGHT.date()
# Few directions, so that many tracks are equally near, and some are the very same.
_grid = st.lists(st.sampled_from((-1.0, 0.0, 0.0, 1.0, 2.0)), min_size=3, max_size=3)
_track = st.tuples(st.none() | _grid, _grid, _grid)
_worlds = st.lists(_track, min_size=1, max_size=40).filter(lambda tracks: len(set(map(str, tracks))) > 1)
_searches = st.builds(Search, tasks=st.integers(1, 3), threads=st.sampled_from((None, 1, 2)))


def embeddings_of(track_values):
    """Ids whose order is not that of the rows."""
    return [
        embedding(f"t{(n * 7) % 41}", DS, vector)
        | ({"in_vector": in_vector, "out_vector": out_vector} if vector is not None else {})
        for n, (vector, in_vector, out_vector) in enumerate(track_values)
    ]


def random_embeddings(n, width=8):
    vectors = np.random.default_rng(3).standard_normal((n, width)).tolist()
    return [embedding(f"t{i}", DS, vector) for i, vector in enumerate(vectors)]


@FEW
@given(track_values=_worlds, k=st.sampled_from((1, 2, 5, 50)), search=_searches)
def test_find_similar_and_next_tracks_equal_the_scores_of_all_pairs(spark, track_values, k, search):
    embeddings = embeddings_of(track_values)
    table = frame(spark, embeddings, TRACK_EMBEDDINGS)
    for neighbour_table, query_column, item_column in (
        (find_similar_tracks(table, k, search), "vector", "vector"),
        (find_next_tracks(table, k, search), "in_vector", "out_vector"),
    ):
        expected = neighbours(embeddings, query_column, item_column, k)
        actual = [snap_to_expected(row, expected) for row in rows(neighbour_table, SIMILAR_TRACKS)]
        assert_same(expected, actual, SIMILAR_TRACKS.key, (), "track_id")


def snap_to_expected(row, expected):
    """Scores no farther than float32 puts them are taken for what is wanted."""
    twin = next((w for w in expected if w["track_id"] == row["track_id"]), None)
    scores = twin and twin["scores"]
    is_near = scores and row["scores"] == pytest.approx(scores, abs=2e-6)
    return row | {"scores": scores} if is_near else row


def test_find_similar_tracks_orders_equal_vectors_by_id_without_the_track_itself(spark):
    embeddings = [embedding(f"t{n:02}", DS, [0.6, 0.8]) for n in reversed(range(17))]
    neighbour_rows = rows(find_similar_tracks(frame(spark, embeddings, TRACK_EMBEDDINGS), 3), SIMILAR_TRACKS)
    first = {row["track_id"]: row["neighbours"] for row in neighbour_rows}
    assert first["t00"] == ["t01", "t02", "t03"]
    assert first["t02"] == ["t00", "t01", "t03"]
    assert first["t16"] == ["t00", "t01", "t02"]
    assert {score for row in neighbour_rows for score in row["scores"]} == {1.0}


@pytest.mark.parametrize("vectors", [[], [None, None], [[0.6, 0.8], None]])
def test_find_similar_tracks_of_the_only_track_is_empty(spark, vectors):
    embeddings = [embedding(f"t{n}", DS, vector) for n, vector in enumerate(vectors)]
    neighbour_rows = rows(find_similar_tracks(frame(spark, embeddings, TRACK_EMBEDDINGS), 3), SIMILAR_TRACKS)
    assert [(r["track_id"], r["neighbours"]) for r in neighbour_rows] == [
        ("t0", []) for v in vectors[:1] if v
    ]


@pytest.mark.parametrize(("tracks", "search"), [(99, "exact"), (100, "exact"), (101, "ivf")])
def test_find_similar_tracks_uses_an_index_above_the_limit(spark, tracks, search):
    table = frame(spark, random_embeddings(tracks), TRACK_EMBEDDINGS)
    neighbour_rows = rows(find_similar_tracks(table, 5, Search(exact_up_to=100)), SIMILAR_TRACKS)
    assert {row["search"] for row in neighbour_rows} == {search}


def test_find_similar_tracks_by_index_repeats_with_a_recall_above_90_percent(spark):
    embeddings = random_embeddings(3000)
    table = frame(spark, embeddings, TRACK_EMBEDDINGS)
    exact = neighbours_by_track(find_similar_tracks(table, 10))
    cells, again = (
        neighbours_by_track(find_similar_tracks(table, 10, Search(exact_up_to=0, tasks=2))) for _ in range(2)
    )
    assert cells == again
    recalls = [len(set(cells[track]) & set(exact[track])) / 10 for track in exact]
    assert 0.9 < sum(recalls) / len(recalls) < 1.0, "all of them would be no index"
    assert not any(track in neighbour_ids for track, neighbour_ids in cells.items())


def neighbours_by_track(neighbour_table):
    return {row["track_id"]: row["neighbours"] for row in rows(neighbour_table, SIMILAR_TRACKS)}


@pytest.mark.parametrize(
    ("other", "complaint"),
    [
        ({"space_id": "s2"}, r"vectors of 2 spaces, \['s1', 's2'\]"),
        ({"vector": [1.0]}, "expected one length"),
    ],
)
def test_find_similar_tracks_refuses_vectors_that_do_not_compare(spark, other, complaint):
    table = frame(
        spark, [embedding("a", DS, [0.6, 0.8]), embedding("b", DS, [1.0, 0.0]) | other], TRACK_EMBEDDINGS
    )
    with pytest.raises(Exception, match=complaint):
        find_similar_tracks(table, 1).collect()


def test_find_next_tracks_refuses_k_of_0(spark):
    with pytest.raises(NeighboursError, match="k is 0; it must be 1 or more"):
        find_next_tracks(frame(spark, [], TRACK_EMBEDDINGS), 0)
