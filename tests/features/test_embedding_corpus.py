"""Models changed in place, chunk after chunk, and lists of Arrow read as they lie."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.embeddings import corpus as corpus_module
from features.embeddings.arrays import flatten_lists, normalise_rows, to_list_array
from features.embeddings.corpus import Model

SIGMAS = 5


def arrays(model):
    return (model.in_vectors, model.out_vectors, model.in_states, model.out_states)


def same(one, two):
    return all(np.array_equal(a, b) for a, b in zip(arrays(one), arrays(two), strict=True))


CHUNKS = pytest.mark.parametrize("chunk", [1, 2, 3, 6, 7, 50_000])


def some_model(tracks=7, dimensions=4):
    draws = np.random.default_rng(3)
    matrices = [draws.normal(size=(tracks, dimensions)).astype(np.float32) for _ in range(2)]
    model = Model(*matrices, *(draws.random(tracks).astype(np.float32) for _ in range(2)))
    model.in_vectors[2] = model.out_vectors[2] = 0
    return model


@CHUNKS
@pytest.mark.parametrize("rows", [[], [0], [6], [0, 1, 2], [1, 3, 4, 6], list(range(7))])
def test_some_rows_move_to_the_front_of_the_same_arrays(monkeypatch, chunk, rows):
    monkeypatch.setattr(corpus_module, "CHUNK", chunk)
    model = some_model()
    wanted = [array[rows].copy() for array in arrays(model)]
    found = model.take(np.array(rows, np.int64))
    for array, own, expected in zip(arrays(found), arrays(model), wanted, strict=True):
        assert np.array_equal(array, expected)
        assert array.base is own
        assert array.flags.c_contiguous


@CHUNKS
def test_a_turn_keeps_what_in_and_out_vectors_say(monkeypatch, chunk):
    monkeypatch.setattr(corpus_module, "CHUNK", chunk)
    model, before = some_model(), some_model()
    rotation = np.linalg.qr(np.random.default_rng(5).normal(size=(4, 4)))[0]
    model.rotate(rotation)
    np.testing.assert_allclose(
        model.in_vectors @ model.out_vectors.T, before.in_vectors @ before.out_vectors.T, atol=1e-5
    )
    for turned, own in ((model.in_vectors, before.in_vectors), (model.out_vectors, before.out_vectors)):
        np.testing.assert_allclose(turned, own @ rotation, atol=1e-5)
        assert turned.dtype == np.float32


@CHUNKS
def test_merged_in_place_is_what_is_published(monkeypatch, chunk):
    monkeypatch.setattr(corpus_module, "CHUNK", chunk)
    model = some_model()
    published, lengths = model.combine(), np.linalg.norm(model.in_vectors + model.out_vectors, axis=1)
    merged, norms = model.combine_in_place()
    assert merged is model.in_vectors
    np.testing.assert_allclose(merged, published, rtol=1e-6)
    np.testing.assert_allclose(norms, lengths, rtol=1e-6)
    assert norms[2] == 0 and not merged[2].any()
    np.testing.assert_allclose(np.delete(np.linalg.norm(merged, axis=1), 2), 1, rtol=1e-6)


def test_a_fresh_model_is_small_even_and_the_seeds():
    model = Model.initialise(2_000, 16, seed=4)
    assert same(model, Model.initialise(2_000, 16, seed=4))
    assert not np.isclose(model.in_vectors, Model.initialise(2_000, 16, seed=5).in_vectors).all(axis=1).any()
    assert np.abs(model.in_vectors).max() <= 0.5 / 4
    assert abs(model.in_vectors.mean()) < SIGMAS * (1 / 4 / math.sqrt(12)) / math.sqrt(model.in_vectors.size)
    assert not any(array.any() for array in arrays(model)[1:])


def test_length_one_or_none():
    assert normalise_rows(np.array([[3, 4], [0, 0]], np.float32)).tolist() == [
        [pytest.approx(0.6), pytest.approx(0.8)],
        [0, 0],
    ]


LISTS = st.lists(st.lists(st.integers(0, 2**31 - 1), max_size=4), max_size=8)


@settings(deadline=None)
@given(LISTS, st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=4))
def test_lists_become_tokens_whatever_part_of_an_array_they_are(lists, slices):
    whole = pa.record_batch([pa.array(lists, pa.list_(pa.int32()))], names=["tracks"])
    tokens, offsets = flatten_lists(whole.slice(start, length) for start, length in slices)
    wanted = [each for start, length in slices for each in lists[start : start + length]]
    assert [tokens[a:b].tolist() for a, b in pairwise(offsets)] == wanted
    assert (tokens.dtype, offsets.dtype) == (np.int32, np.int64)
    assert offsets[0] == 0 and offsets[-1] == len(tokens)


def test_no_batches_no_tokens():
    nothing = pa.record_batch([pa.array([], pa.list_(pa.int32()))], names=["tracks"])
    for batches in ([], [nothing], [nothing, nothing]):
        tokens, offsets = flatten_lists(batches)
        assert (tokens.tolist(), offsets.tolist()) == ([], [0])


@pytest.mark.parametrize("rows", [0, 1, 5])
def test_rows_become_lists_and_rows_again(rows):
    matrix = np.arange(20, dtype=np.float32).reshape(5, 4)[5 - rows :]
    lists = to_list_array(matrix)
    assert lists.type == pa.list_(pa.float32())
    assert lists.to_pylist() == matrix.tolist()
    back, offsets = flatten_lists([pa.record_batch([lists], names=["vector"])], "vector")
    assert back.reshape(-1, 4).tolist() == matrix.tolist() and len(offsets) == rows + 1
    assert not rows or lists.values.to_numpy().ctypes.data == matrix.ctypes.data, "the numbers were copied"


# --- tracks that a warm training meets first


@given(st.lists(st.booleans(), min_size=1, max_size=9), st.integers(0, 99))
def test_new_tracks_score_as_the_others_do_on_average(new, seed):
    draws = np.random.default_rng(seed)
    model = Model(*(draws.normal(-1, 1, shape).astype(np.float32) for shape in [(9, 3), (9, 3), 9, 9]))
    model = model.take(np.arange(len(new)))
    model.out_vectors[new] = 0
    before = Model(*(array.copy() for array in arrays(model)))
    model.initialise_new_rows()
    if all(new) or not any(new):
        assert same(model, before)
        return
    others = [row for row, is_new in enumerate(new) if not is_new]
    for row, is_new in enumerate(new):
        for query in model.in_vectors:
            wanted = sum(float(query @ before.out_vectors[other]) for other in others) / len(others)
            score = float(query @ model.out_vectors[row])
            assert (
                score == pytest.approx(wanted, abs=1e-4)
                if is_new
                else score == query @ before.out_vectors[row]
            )
    before.out_vectors = model.out_vectors
    assert same(model, before), "in rows and states stay"
