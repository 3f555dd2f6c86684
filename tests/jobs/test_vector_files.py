"""Vectors that tasks map: what is unpacked is what was written, wherever rows lie."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from features.embeddings.arrays import VectorError
from jobs.embeddings.scratch import Scratch
from jobs.embeddings.vector_files import VECTORS, VectorFiles

SCHEMA = pa.schema({name: pa.list_(pa.float32()) for name in ("vector", "in_vector")})
SCHEMA = SCHEMA.insert(0, pa.field("number", pa.int32()))


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setattr("pyspark.SparkFiles.getRootDirectory", lambda: str(tmp_path / "executor"))
    return VectorFiles(Scratch(str(tmp_path / "scratch")))


def write(files, *parts):
    for n, part in enumerate(parts):
        rows = [{"number": number, "vector": vector, "in_vector": vector[::-1]} for number, vector in part]
        batch = pa.RecordBatch.from_pylist(rows, schema=SCHEMA)
        files.scratch.write_table(f"{VECTORS}/part-{n}.parquet", SCHEMA, iter([batch]))


def test_open_puts_vectors_of_all_files_at_their_numbers(files):
    write(files, [(2, [5.0, 6.0]), (0, [1.0, 2.0])], [], [(1, [3.0, 4.0])])
    vectors = files.open()
    assert vectors.vector.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert vectors.in_vector.tolist() == [[2, 1], [4, 3], [6, 5]]
    assert vectors.vector.dtype == np.float32
    for array in vectors:
        while array.base is not None and not isinstance(array, np.memmap):
            array = array.base
        assert isinstance(array, np.memmap), "each task of an executor has a copy in memory"


def test_open_refuses_vectors_of_two_lengths(files):
    write(files, [(0, [1.0, 2.0])], [(1, [3.0])])
    with pytest.raises(VectorError, match=r"vectors of \[1, 2\] numbers"):
        files.open()
