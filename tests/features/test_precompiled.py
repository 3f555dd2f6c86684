"""What is compiled ahead is what tasks call: numba compiles for types of arguments, so these must be the same."""

from __future__ import annotations

import numba
import numpy as np
import pyarrow as pa

from features.embeddings import candidate_arrays, sgns
from features.embeddings.candidate_arrays import Pool
from features.embeddings.candidate_kernel import Lists
from features.embeddings.corpus import Corpus, Model
from features.embeddings.mapped import map_empty
from features.embeddings.precompiled import compile_kernels
from features.embeddings.settings import CandidateSettings, Settings
from jobs.embeddings.executor_files import map_array


def test_types_compiled_ahead_are_those_of_tasks(tmp_path, monkeypatch):
    types = []

    def note_types(result):
        return lambda *arguments: types.append([numba.typeof(each) for each in arguments]) or result

    monkeypatch.setattr(sgns, "_train_sequences", note_types(0))
    monkeypatch.setattr(candidate_arrays, "choose_rows", note_types(np.zeros(1, np.int64)))
    compile_kernels()
    # as `read_sequences` fills a corpus, and as `CandidateFiles.open` maps a pool
    corpus = Corpus(map_empty(4, np.int32), map_empty(3, np.int64), np.ones(3, np.int64))
    sgns.train_epoch(corpus, Model.initialise(3, 64, seed=7), Settings(), number=3)
    list(candidate_arrays.choose(plays_of_a_listener(), map_pool(tmp_path), CandidateSettings(explicit=True)))
    training, choice, training_of_task, choice_of_task = types
    assert training_of_task == training
    assert choice_of_task == choice


def plays_of_a_listener():
    rows = [{"number": 0, "last": None, "recent": False}, {"number": 1, "last": 5, "recent": True}]
    fields = {"number": pa.int32(), "last": pa.int64(), "recent": pa.bool_()}
    plays = pa.array([rows], pa.list_(pa.struct(list(fields.items()))))
    return pa.RecordBatch.from_arrays([pa.array(["u1"]), plays], ["user_id", "plays"])


def map_pool(folder):
    arrays = {
        "artists": np.array([0, -1], np.int32), "explicit": np.array([True, False]),
        "offsets": np.array([0, 1, 1]), "tracks": np.array([1], np.int32), "scores": np.array([0.5], np.float32),
    }  # fmt: skip
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    artists, explicit, *lists = (map_array(folder, name) for name in arrays)
    return Pool(pa.array(["t1", "t2"]), artists, explicit, Lists(*lists), Lists(*lists))
