"""Semantic ids against plain loops, on grids of small whole numbers, where distances tie exactly."""

from __future__ import annotations

import warnings
from datetime import UTC, date, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.embeddings import semantic_ids as ids
from features.embeddings.semantic_ids import (
    Codebooks,
    SemanticIdError,
    build_codebook_rows,
    build_semantic_ids,
)
from reference import semantic_ids as reference
from reference.frames import frame, rows
from schemas.track_embeddings import TRACK_EMBEDDINGS
from schemas.track_semantic_ids import SEMANTIC_CODEBOOKS, TRACK_SEMANTIC_IDS

QUICK = settings(max_examples=60, deadline=None)
NUMBER = st.integers(-2, 2)
VECTORS = st.lists(st.tuples(NUMBER, NUMBER, NUMBER), max_size=12)
BOOKS = st.lists(st.lists(st.tuples(NUMBER, NUMBER, NUMBER), min_size=1, max_size=5), min_size=1, max_size=3)
DAY = date(2026, 2, 1)


def matrix(vectors):
    return np.array(vectors, np.float32).reshape(-1, 3)


def books_of(levels) -> Codebooks:
    return Codebooks.of([matrix(book) for book in levels])


def clustered_vectors(rows: int, seed: int = 3):
    draws = np.random.default_rng(seed)
    centres = draws.normal(size=(40, 16))
    points = centres[draws.integers(0, 40, rows)] + 0.3 * draws.normal(size=(rows, 16))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


def error_of(vectors, books):
    """Mean squared length of what the centroids leave over, over the variance of the vectors."""
    codes = ids.assign(vectors, books)
    residuals = vectors - sum(book[codes[:, level]] for level, book in enumerate(books.levels))
    spread = float(((vectors - vectors.mean(axis=0)) ** 2).sum())
    return float((residuals**2).sum()) / spread if spread else 0.0


@given(VECTORS, BOOKS)
@QUICK
def test_assign_takes_the_nearest_code_and_of_equal_ones_the_lowest(vectors, levels):
    codes = ids.assign(matrix(vectors), books_of(levels))
    assert codes.shape == (len(vectors), len(levels))
    assert codes.dtype == np.int32
    assert [tuple(row) for row in codes.tolist()] == [reference.assign(v, levels) for v in vectors]


@pytest.mark.parametrize("block", [1, 2, 999, 1000, 1001])
def test_assign_does_not_depend_on_blocks(monkeypatch, block):
    vectors = clustered_vectors(1000)
    books = ids.fit(vectors, levels=3, codes=32)
    whole = ids.assign(vectors, books)
    monkeypatch.setattr(ids, "BLOCK", block)
    assert (ids.assign(vectors, books) == whole).all()


def test_fit_repeats_itself_and_depends_on_the_seed():
    vectors = clustered_vectors(3000)
    first, again, other = (ids.fit(vectors, levels=2, codes=16, seed=seed) for seed in (1, 1, 2))
    assert first.codebook_id == again.codebook_id != other.codebook_id
    assert all((a == b).all() for a, b in zip(first.levels, again.levels, strict=True))
    assert first.codebook_id.startswith("16x16-")
    assert [level.shape for level in first.levels] == [(16, 16)] * 2


def test_fit_leaves_a_smaller_error_with_each_level_than_random_books():
    vectors = clustered_vectors(3000)
    errors = []
    for levels in (1, 2, 3):
        books = ids.fit(vectors, levels=levels, codes=32)
        errors.append(error_of(vectors, books))
    random_books = Codebooks.of([vectors[:32]])
    random_error = error_of(vectors, random_books)
    assert errors[2] < errors[1] < errors[0] < random_error


def test_fit_returns_centroids_that_are_means_of_their_vectors():
    """Lloyd's fixed point: after enough rounds on few rows nothing moves."""
    vectors = clustered_vectors(300)
    books = ids.fit(vectors, levels=1, codes=8, iterations=100)
    codes = ids.assign(vectors, books)[:, 0]
    for code, centroid in enumerate(books.levels[0]):
        assert np.allclose(vectors[codes == code].mean(axis=0), centroid, atol=1e-5)


def test_fit_learns_from_a_sample(monkeypatch):
    monkeypatch.setattr(ids, "SAMPLED", 1)
    books = ids.fit(clustered_vectors(500), levels=1, codes=8)
    rows = {row.tobytes() for row in clustered_vectors(500)}
    assert all(centroid.tobytes() in rows for centroid in books.levels[0]), (
        "eight rows, eight codes: each is one"
    )


@pytest.mark.parametrize("distinct", [1, 3, 4])
def test_fit_of_fewer_vectors_than_codes_gives_a_code_each_and_one_warning(distinct):
    vectors = np.repeat(np.eye(5, 4, dtype=np.float32)[:distinct], 3, axis=0)
    with pytest.warns(
        UserWarning, match=rf"for 5 codes a level: the levels have \[{distinct}, 1\]"
    ) as caught_warnings:
        books = ids.fit(vectors, levels=2, codes=5)
    assert len(caught_warnings) == 1
    codes = ids.assign(vectors, books)
    assert len(np.unique(codes[:, 0])) == distinct
    assert error_of(vectors, books) == 0


def test_fit_of_as_many_vectors_as_codes_gives_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        books = ids.fit(np.eye(4, dtype=np.float32), levels=1, codes=4)
    assert len(books.levels[0]) == 4


@pytest.mark.parametrize("draw", ["even", "clustered", "flat"])
def test_two_vectors_for_each_code_tell_tracks_apart_that_come_later(draw):
    """Of worlds of three kinds that grow threefold; with a vector for each code nearly all of the others collide."""
    draws, learned = np.random.default_rng(3), 60
    drawn = {
        "even": draws.normal(size=(3 * learned, 64)),
        "clustered": clustered_vectors(3 * learned),
        # in few of its dimensions
        "flat": draws.normal(size=(3 * learned, 6)) @ draws.normal(size=(6, 64)),
    }[draw]
    vectors = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)

    def share_in_collision(codes):
        found = ids.assign(vectors, ids.fit(vectors[:learned], codes=codes))
        _, counts = np.unique(found, axis=0, return_counts=True)
        return counts[counts > 1].sum() / len(vectors)

    assert ids.limit_codes(learned, 256) == learned // 2
    assert share_in_collision(learned // 2) < 0.15 < 0.8 < share_in_collision(learned)


def test_limit_codes_leaves_codes_of_many_vectors_and_one_of_one():
    assert [ids.limit_codes(n, 256) for n in (0, 1, 3, 511, 512, 10_000)] == [1, 1, 1, 255, 256, 256]


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda: ids.fit(np.zeros((0, 4), np.float32)), "no vectors to fit"),
        (lambda: ids.fit(np.full((9, 4), np.nan, np.float32)), "must be finite"),
        (lambda: ids.fit(np.ones((9, 4), np.float32), levels=0), "'levels': 0"),
        (lambda: ids.assign(np.ones((2, 4), np.float32), books_of([[(0, 0, 0)]])), "of 3 dimensions"),
        (lambda: ids.load_codebooks([]), r"codebooks \[\]"),
        (lambda: ids.fit(np.ones((3, 2), np.float32), seed=-1), "the seed -1; expected 0 or more"),
    ],
)
def test_fit_assign_and_load_codebooks_refuse_bad_input(call, complaint):
    with pytest.raises(SemanticIdError, match=complaint):
        call()


# --- rows


LEVELS = [[(0, 0, 0), (2, 0, 0), (9, 9, 9)], [(0, 0, 0), (0, 1, 0), (0, 2, 0)]]
POINTS = [(0, 0, 0), (2, 0, 0), (2, 2, 0), (0, 1, 1), (2, 0, 1)]


def embedding_row(n: int, vector) -> dict:
    columns = {
        "track_id": f"t{n}",
        "version_id": "v",
        "space_id": "s",
        "ds": DAY,
        "support": 1,
        "source": "learned",
    }
    at = datetime(2026, 2, 2, tzinfo=UTC)
    return {**columns, "feature_at": at, "bucket": 0, "vector": vector and [float(x) for x in vector]}


@pytest.fixture(scope="module")
def vectors_and_rows(spark):
    vectors = [*(POINTS * 6), None, None]
    embeddings = frame(spark, [embedding_row(n, v) for n, v in enumerate(vectors)], TRACK_EMBEDDINGS)
    id_table = build_semantic_ids(embeddings.repartition(3), books_of(LEVELS))
    return vectors, rows(id_table, TRACK_SEMANTIC_IDS)


def test_build_semantic_ids_gives_codes_collisions_and_unique_ids(vectors_and_rows):
    vectors, id_rows = vectors_and_rows
    vector_by_track = {f"t{n}": v for n, v in enumerate(vectors) if v}
    codes = {track: reference.assign(v, LEVELS) for track, v in vector_by_track.items()}
    places = reference.collisions(list(codes.values()), list(codes))
    expected = {
        t: (list(c), k, "-".join(map(str, (*c, k)))) for (t, c), k in zip(codes.items(), places, strict=True)
    }
    assert {r["track_id"]: (r["codes"], r["collision"], r["semantic_id"]) for r in id_rows} == expected
    assert len({row["semantic_id"] for row in id_rows}) == len(id_rows) == 30
    assert {row["codebook_id"] for row in id_rows} == {books_of(LEVELS).codebook_id}
    assert {(r["version_id"], r["space_id"], r["ds"], r["feature_at"]) for r in id_rows} == {
        ("v", "s", DAY, datetime(2026, 2, 2, tzinfo=UTC))
    }


def test_build_codebook_rows_counts_tracks_and_gives_the_books_back(spark, vectors_and_rows):
    books = books_of(LEVELS)
    id_table = frame(spark, vectors_and_rows[1], TRACK_SEMANTIC_IDS)
    codebook_rows = rows(build_codebook_rows(id_table, books, "s", DAY), SEMANTIC_CODEBOOKS)
    tracks_by_code = {(r["level"], r["code"]): r["tracks"] for r in codebook_rows}
    assert tracks_by_code == {
        (level, code): sum(1 for row in vectors_and_rows[1] if row["codes"][level] == code)
        for level, book in enumerate(LEVELS)
        for code in range(len(book))
    }
    assert 0 in tracks_by_code.values(), "every code is used, so this shows little"
    loaded_books = ids.load_codebooks(reversed(codebook_rows))
    assert loaded_books.codebook_id == books.codebook_id
    assert all((a == b).all() for a, b in zip(loaded_books.levels, books.levels, strict=True))
    for broken_rows in (
        codebook_rows[1:],
        [*codebook_rows, codebook_rows[0]],
        [row | {"centroid": [9.0, 9.0, 9.0]} for row in codebook_rows],
    ):
        with pytest.raises(SemanticIdError, match="unchanged"):
            ids.load_codebooks(broken_rows)
    with pytest.raises(SemanticIdError, match="'other'"):
        ids.load_codebooks([*codebook_rows, codebook_rows[0] | {"codebook_id": "other"}])


def test_measure_ids_and_prefix_stability_equal_the_definition(spark, vectors_and_rows):
    vectors, id_rows = vectors_and_rows
    codes = [tuple(row["codes"]) for row in id_rows]
    embeddings = frame(spark, [embedding_row(n, v) for n, v in enumerate(vectors)], TRACK_EMBEDDINGS)
    now = frame(spark, id_rows, TRACK_SEMANTIC_IDS)
    measures = ids.measure_ids(now, embeddings)
    assert measures == {"collisions": reference.collision_share(codes), "duplicate_semantic_ids": 0.0}
    previous_rows = [row | {"codes": [0, row["codes"][1]]} for row in id_rows[:20]]
    before = frame(spark, previous_rows, TRACK_SEMANTIC_IDS)
    stability = [
        reference.prefix_stability([tuple(row["codes"]) for row in previous_rows], codes[:20], n)
        for n in (1, 2)
    ]
    assert 0 < stability[1] <= stability[0] < 1
    assert ids.measure_prefix_stability(before, now) == {
        "kept_prefix_1": stability[0],
        "kept_prefix_2": stability[1],
    }
    other = frame(spark, [row | {"codebook_id": "other"} for row in id_rows], TRACK_SEMANTIC_IDS)
    assert ids.measure_prefix_stability(other, now) == {}


def test_build_semantic_ids_of_no_vectors_is_empty(spark):
    embeddings = frame(spark, [embedding_row(1, None)], TRACK_EMBEDDINGS)
    assert rows(build_semantic_ids(embeddings, books_of(LEVELS)), TRACK_SEMANTIC_IDS) == []
