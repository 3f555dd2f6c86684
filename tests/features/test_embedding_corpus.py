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
from features.embeddings import mapped
from features.embeddings.arrays import flatten_lists, normalise_rows, to_list_array
from features.embeddings.corpus import Model
from reference.corpora import are_same_models, corpus_of, model_arrays

SIGMAS = 5


CHUNKS = pytest.mark.parametrize("chunk", [1, 2, 3, 6, 7, 50_000])


def random_model(tracks=7, dimensions=4):
    draws = np.random.default_rng(3)
    matrices = [draws.normal(size=(tracks, dimensions)).astype(np.float32) for _ in range(2)]
    model = Model(*matrices, *(draws.random(tracks).astype(np.float32) for _ in range(2)))
    model.in_vectors[2] = model.out_vectors[2] = 0
    return model


@CHUNKS
@pytest.mark.parametrize("rows", [[], [0], [6], [0, 1, 2], [1, 3, 4, 6], list(range(7))])
def test_take_moves_rows_to_the_front_of_the_same_arrays(monkeypatch, chunk, rows):
    monkeypatch.setattr(corpus_module, "CHUNK", chunk)
    model = random_model()
    expected_arrays = [array[rows].copy() for array in model_arrays(model)]
    actual = model.take(np.array(rows, np.int64))
    for array, own, expected in zip(model_arrays(actual), model_arrays(model), expected_arrays, strict=True):
        assert np.array_equal(array, expected)
        assert array.base is own
        assert array.flags.c_contiguous


@CHUNKS
def test_rotate_keeps_inner_products(monkeypatch, chunk):
    monkeypatch.setattr(corpus_module, "CHUNK", chunk)
    model, before = random_model(), random_model()
    rotation = np.linalg.qr(np.random.default_rng(5).normal(size=(4, 4)))[0]
    model.rotate(rotation)
    np.testing.assert_allclose(
        model.in_vectors @ model.out_vectors.T, before.in_vectors @ before.out_vectors.T, atol=1e-5
    )
    for vectors, own in ((model.in_vectors, before.in_vectors), (model.out_vectors, before.out_vectors)):
        np.testing.assert_allclose(vectors, own @ rotation, atol=1e-5)
        assert vectors.dtype == np.float32


@CHUNKS
def test_combine_in_place_equals_combine(monkeypatch, chunk):
    monkeypatch.setattr(corpus_module, "CHUNK", chunk)
    model = random_model()
    copy, lengths = model.combine(), np.linalg.norm(model.in_vectors + model.out_vectors, axis=1)
    unit_vectors, norms = model.combine_in_place()
    assert unit_vectors is model.in_vectors
    np.testing.assert_allclose(unit_vectors, copy, rtol=1e-6)
    np.testing.assert_allclose(norms, lengths, rtol=1e-6)
    assert norms[2] == 0 and not unit_vectors[2].any()
    np.testing.assert_allclose(np.delete(np.linalg.norm(unit_vectors, axis=1), 2), 1, rtol=1e-6)


def test_initialise_draws_small_uniform_vectors_from_the_seed():
    model = Model.initialise(2_000, 16, seed=4)
    assert are_same_models(model, Model.initialise(2_000, 16, seed=4))
    assert not np.isclose(model.in_vectors, Model.initialise(2_000, 16, seed=5).in_vectors).all(axis=1).any()
    assert np.abs(model.in_vectors).max() <= 0.5 / 4
    assert abs(model.in_vectors.mean()) < SIGMAS * (1 / 4 / math.sqrt(12)) / math.sqrt(model.in_vectors.size)
    assert not any(array.any() for array in model_arrays(model)[1:])


def test_normalise_rows_gives_length_1_or_0():
    assert normalise_rows(np.array([[3, 4], [0, 0]], np.float32)).tolist() == [
        [pytest.approx(0.6), pytest.approx(0.8)],
        [0, 0],
    ]


LISTS = st.lists(st.lists(st.integers(0, 2**31 - 1), max_size=4), max_size=8)


@settings(deadline=None)
@given(LISTS, st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=4))
def test_flatten_lists_reads_slices_of_an_array(lists, slices):
    whole = pa.record_batch([pa.array(lists, pa.list_(pa.int32()))], names=["tracks"])
    tokens, offsets = flatten_lists(whole.slice(start, length) for start, length in slices)
    expected = [each for start, length in slices for each in lists[start : start + length]]
    assert [tokens[a:b].tolist() for a, b in pairwise(offsets)] == expected
    assert (tokens.dtype, offsets.dtype) == (np.int32, np.int64)
    assert offsets[0] == 0 and offsets[-1] == len(tokens)


def test_flatten_lists_of_no_batches_is_empty():
    empty_batch = pa.record_batch([pa.array([], pa.list_(pa.int32()))], names=["tracks"])
    for batches in ([], [empty_batch], [empty_batch, empty_batch]):
        tokens, offsets = flatten_lists(batches)
        assert (tokens.tolist(), offsets.tolist()) == ([], [0])


@pytest.mark.parametrize("rows", [0, 1, 5])
def test_to_list_array_and_flatten_lists_are_inverse(rows):
    matrix = np.arange(20, dtype=np.float32).reshape(5, 4)[5 - rows :]
    lists = to_list_array(matrix)
    assert lists.type == pa.list_(pa.float32())
    assert lists.to_pylist() == matrix.tolist()
    back, offsets = flatten_lists([pa.record_batch([lists], names=["vector"])], "vector")
    assert back.reshape(-1, 4).tolist() == matrix.tolist() and len(offsets) == rows + 1
    assert not rows or lists.values.to_numpy().ctypes.data == matrix.ctypes.data, "the numbers were copied"


# --- what is as long as a corpus, part by part


@pytest.mark.parametrize("size", [0, 1, 2, 7, 8, 20])
def test_permute_equals_a_permutation_in_memory(monkeypatch, size):
    monkeypatch.setattr(mapped, "PART", 3)
    draws, same_draws = np.random.default_rng(size), np.random.default_rng(size)
    assert mapped.permute(draws, size).tolist() == same_draws.permutation(size).tolist()
    assert draws.integers(1 << 60) == same_draws.integers(1 << 60), "what is drawn next is another number"


def test_map_empty_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARK_LOCAL_DIRS", f"{tmp_path},/nowhere")
    array = mapped.map_empty(5, np.int32)
    array += 7
    assert (array.tolist(), array.dtype, list(tmp_path.iterdir())) == ([7] * 5, np.int32, [])


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 4), max_size=5), max_size=9), st.integers(1, 10), st.integers(1, 10))
def test_corpus_is_counted_and_sampled_as_by_plain_loops(sequences, part, most):
    corpus = corpus_of(sequences, counts=[9] * 5)
    tokens = [token for each in sequences for token in each]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus_module, "PART", part)
        assert corpus.count_tokens().tolist() == [tokens.count(track) for track in range(5)]
        by_length = corpus.count_lengths().tolist()
    lengths = [len(each) for each in sequences]
    assert by_length == [lengths.count(n) for n in range(max(lengths, default=0) + 1)]
    sample = corpus.sample(most)
    rows = (
        [len(sequences) * n // most for n in range(most)] if len(sequences) > most else range(len(sequences))
    )
    assert [sample.tokens[a:b].tolist() for a, b in pairwise(sample.offsets)] == [sequences[n] for n in rows]


# --- tracks that a warm training meets first


@given(st.lists(st.booleans(), min_size=1, max_size=9), st.integers(0, 99))
def test_initialise_new_rows_scores_as_the_others_do_on_average(new, seed):
    draws = np.random.default_rng(seed)
    model = Model(*(draws.normal(-1, 1, shape).astype(np.float32) for shape in [(9, 3), (9, 3), 9, 9]))
    model = model.take(np.arange(len(new)))
    model.out_vectors[new] = 0
    before = Model(*(array.copy() for array in model_arrays(model)))
    model.initialise_new_rows()
    if all(new) or not any(new):
        assert are_same_models(model, before)
        return
    others = [row for row, is_new in enumerate(new) if not is_new]
    for row, is_new in enumerate(new):
        for query in model.in_vectors:
            expected = sum(float(query @ before.out_vectors[other]) for other in others) / len(others)
            score = float(query @ model.out_vectors[row])
            assert (
                score == pytest.approx(expected, abs=1e-4)
                if is_new
                else score == query @ before.out_vectors[row]
            )
    before.out_vectors = model.out_vectors
    assert are_same_models(model, before), "in rows and states stay"
