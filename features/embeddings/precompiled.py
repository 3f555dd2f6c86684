"""Compiles what numba would compile in the first training and the first choice of candidates of an environment."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from features.embeddings.candidate_arrays import Pool, choose
from features.embeddings.candidate_kernel import Lists
from features.embeddings.corpus import Corpus, Model
from features.embeddings.settings import CandidateSettings, Settings
from features.embeddings.sgns import train_epoch


def compile_kernels() -> None:
    """Leaves machine code where numba looks for it later; numba does without where there is no folder for it."""
    # by the very calls that tasks make: numba compiles for the types of arguments, and these cannot differ then
    train_epoch(_make_corpus(), Model.initialise(2, 2, seed=1), Settings(dimensions=2), number=0)
    list(choose(_make_plays(), _make_pool(), CandidateSettings()))


def _make_corpus() -> Corpus:
    """One sequence of two tracks."""
    return Corpus(np.arange(2, dtype=np.int32), np.array([0, 2]), np.ones(2, np.int64))


def _make_plays() -> pa.RecordBatch:
    plays = pa.array(
        [[{"number": 0, "last": 1, "recent": True}]],
        pa.list_(pa.struct({"number": pa.int32(), "last": pa.int64(), "recent": pa.bool_()})),
    )
    return pa.RecordBatch.from_arrays([pa.array(["u"]), plays], ["user_id", "plays"])


def _make_pool() -> Pool:
    """Two tracks, each the other's neighbour."""
    neighbours = Lists(np.arange(3), np.array([1, 0], np.int32), np.ones(2, np.float32))
    artists, explicit = np.zeros(2, np.int32), np.zeros(2, np.bool_)
    return Pool(pa.array(["a", "b"]), artists, explicit, neighbours, neighbours)
