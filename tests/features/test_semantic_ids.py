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


def clustered(rows: int, seed: int = 3):
    draws = np.random.default_rng(seed)
    centres = draws.normal(size=(40, 16))
    made = centres[draws.integers(0, 40, rows)] + 0.3 * draws.normal(size=(rows, 16))
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


def error_of(vectors, books):
    """Mean squared length of what the centroids leave over, over the variance of the vectors."""
    codes = ids.assign(vectors, books)
    left = vectors - sum(book[codes[:, level]] for level, book in enumerate(books.levels))
    spread = float(((vectors - vectors.mean(axis=0)) ** 2).sum())
    return float((left**2).sum()) / spread if spread else 0.0


@given(VECTORS, BOOKS)
@QUICK
def test_codes_are_the_nearest_and_of_equal_ones_the_lowest(vectors, levels):
    found = ids.assign(matrix(vectors), books_of(levels))
    assert found.shape == (len(vectors), len(levels))
    assert found.dtype == np.int32
    assert [tuple(row) for row in found.tolist()] == [reference.assigned(v, levels) for v in vectors]


@pytest.mark.parametrize("block", [1, 2, 999, 1000, 1001])
def test_codes_do_not_depend_on_blocks(monkeypatch, block):
    vectors = clustered(1000)
    books = ids.fit(vectors, levels=3, codes=32)
    whole = ids.assign(vectors, books)
    monkeypatch.setattr(ids, "BLOCK", block)
    assert (ids.assign(vectors, books) == whole).all()


def test_fitting_again_gives_the_same_books_and_another_seed_others():
    vectors = clustered(3000)
    first, again, other = (ids.fit(vectors, levels=2, codes=16, seed=seed) for seed in (1, 1, 2))
    assert first.codebook_id == again.codebook_id != other.codebook_id
    assert all((a == b).all() for a, b in zip(first.levels, again.levels, strict=True))
    assert first.codebook_id.startswith("16x16-")
    assert [level.shape for level in first.levels] == [(16, 16)] * 2


def test_each_level_leaves_less_over_and_beats_random_books():
    vectors = clustered(3000)
    errors = []
    for levels in (1, 2, 3):
        books = ids.fit(vectors, levels=levels, codes=32)
        errors.append(error_of(vectors, books))
    drawn = Codebooks.of([vectors[:32]])
    random = error_of(vectors, drawn)
    assert errors[2] < errors[1] < errors[0] < random


def test_centroids_are_the_means_of_what_they_get():
    """Lloyd's fixed point: after enough rounds on few rows nothing moves."""
    vectors = clustered(300)
    books = ids.fit(vectors, levels=1, codes=8, iterations=100)
    codes = ids.assign(vectors, books)[:, 0]
    for code, centroid in enumerate(books.levels[0]):
        assert np.allclose(vectors[codes == code].mean(axis=0), centroid, atol=1e-5)


def test_only_a_sample_is_learned_from(monkeypatch):
    monkeypatch.setattr(ids, "SAMPLED", 1)
    books = ids.fit(clustered(500), levels=1, codes=8)
    rows = {row.tobytes() for row in clustered(500)}
    assert all(centroid.tobytes() in rows for centroid in books.levels[0]), (
        "eight rows, eight codes: each is one"
    )


@pytest.mark.parametrize("distinct", [1, 3, 4])
def test_fewer_vectors_than_codes_get_a_code_each_and_one_warning(distinct):
    vectors = np.repeat(np.eye(5, 4, dtype=np.float32)[:distinct], 3, axis=0)
    with pytest.warns(UserWarning, match=rf"for 5 codes a level: the levels have \[{distinct}, 1\]") as noted:
        books = ids.fit(vectors, levels=2, codes=5)
    assert len(noted) == 1
    codes = ids.assign(vectors, books)
    assert len(np.unique(codes[:, 0])) == distinct
    assert error_of(vectors, books) == 0


def test_as_many_vectors_as_codes_need_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        books = ids.fit(np.eye(4, dtype=np.float32), levels=1, codes=4)
    assert len(books.levels[0]) == 4


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        (lambda: ids.fit(np.zeros((0, 4), np.float32)), "no vectors to fit"),
        (lambda: ids.fit(np.full((9, 4), np.nan, np.float32)), "must be finite"),
        (lambda: ids.fit(np.ones((9, 4), np.float32), levels=0), "'levels': 0"),
        (lambda: ids.assign(np.ones((2, 4), np.float32), books_of([[(0, 0, 0)]])), "of 3 dimensions"),
        (lambda: ids.load_codebooks([]), r"codebooks \[\]"),
    ],
)
def test_bad_input_is_refused(broken, complaint):
    with pytest.raises(SemanticIdError, match=complaint):
        broken()


# --- rows


LEVELS = [[(0, 0, 0), (2, 0, 0), (9, 9, 9)], [(0, 0, 0), (0, 1, 0), (0, 2, 0)]]
POINTS = [(0, 0, 0), (2, 0, 0), (2, 2, 0), (0, 1, 1), (2, 0, 1)]


def embedded(n: int, vector) -> dict:
    told = {
        "track_id": f"t{n}",
        "version_id": "v",
        "space_id": "s",
        "ds": DAY,
        "support": 1,
        "source": "learned",
    }
    at = datetime(2026, 2, 2, tzinfo=UTC)
    return {**told, "feature_at": at, "bucket": 0, "vector": vector and [float(x) for x in vector]}


@pytest.fixture(scope="module")
def made(spark):
    vectors = [*(POINTS * 6), None, None]
    embeddings = frame(spark, [embedded(n, v) for n, v in enumerate(vectors)], TRACK_EMBEDDINGS)
    found = build_semantic_ids(embeddings.repartition(3), books_of(LEVELS))
    return vectors, rows(found, TRACK_SEMANTIC_IDS)


def test_rows_have_codes_collisions_and_unique_ids(made):
    vectors, found = made
    known = {f"t{n}": v for n, v in enumerate(vectors) if v}
    codes = {track: reference.assigned(v, LEVELS) for track, v in known.items()}
    places = reference.collisions(list(codes.values()), list(codes))
    wanted = {
        t: (list(c), k, "-".join(map(str, (*c, k)))) for (t, c), k in zip(codes.items(), places, strict=True)
    }
    assert {r["track_id"]: (r["codes"], r["collision"], r["semantic_id"]) for r in found} == wanted
    assert len({row["semantic_id"] for row in found}) == len(found) == 30
    assert {row["codebook_id"] for row in found} == {books_of(LEVELS).codebook_id}
    assert {(r["version_id"], r["space_id"], r["ds"], r["feature_at"]) for r in found} == {
        ("v", "s", DAY, datetime(2026, 2, 2, tzinfo=UTC))
    }


def test_codebook_rows_count_tracks_and_give_the_books_back(spark, made):
    books = books_of(LEVELS)
    coded = frame(spark, made[1], TRACK_SEMANTIC_IDS)
    found = rows(build_codebook_rows(coded, books, "s", DAY), SEMANTIC_CODEBOOKS)
    counted = {(r["level"], r["code"]): r["tracks"] for r in found}
    assert counted == {
        (level, code): sum(1 for row in made[1] if row["codes"][level] == code)
        for level, book in enumerate(LEVELS)
        for code in range(len(book))
    }
    assert 0 in counted.values(), "every code is used, so this shows little"
    back = ids.load_codebooks(reversed(found))
    assert back.codebook_id == books.codebook_id
    assert all((a == b).all() for a, b in zip(back.levels, books.levels, strict=True))
    for lost in (found[1:], [*found, found[0]], [row | {"centroid": [9.0, 9.0, 9.0]} for row in found]):
        with pytest.raises(SemanticIdError, match="unchanged"):
            ids.load_codebooks(lost)
    with pytest.raises(SemanticIdError, match="'other'"):
        ids.load_codebooks([*found, found[0] | {"codebook_id": "other"}])


def test_ids_are_measured_as_defined(spark, made):
    vectors, found = made
    codes = [tuple(row["codes"]) for row in found]
    embeddings = frame(spark, [embedded(n, v) for n, v in enumerate(vectors)], TRACK_EMBEDDINGS)
    now = frame(spark, found, TRACK_SEMANTIC_IDS)
    measures = ids.measure_ids(now, embeddings)
    assert measures == {"collisions": reference.sharing(codes), "duplicate_semantic_ids": 0.0}
    moved = [row | {"codes": [0, row["codes"][1]]} for row in found[:20]]
    before = frame(spark, moved, TRACK_SEMANTIC_IDS)
    kept = [reference.kept([tuple(row["codes"]) for row in moved], codes[:20], n) for n in (1, 2)]
    assert 0 < kept[1] <= kept[0] < 1
    assert ids.measure_prefix_stability(before, now) == {"kept_prefix_1": kept[0], "kept_prefix_2": kept[1]}
    other = frame(spark, [row | {"codebook_id": "other"} for row in found], TRACK_SEMANTIC_IDS)
    assert ids.measure_prefix_stability(other, now) == {}


def test_no_vectors_give_no_rows(spark):
    embeddings = frame(spark, [embedded(1, None)], TRACK_EMBEDDINGS)
    assert rows(build_semantic_ids(embeddings, books_of(LEVELS)), TRACK_SEMANTIC_IDS) == []
