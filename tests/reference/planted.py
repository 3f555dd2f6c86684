"""Sessions with planted clusters, written to the scratch as Spark writes them, for trainings without Spark."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.embeddings.sequences import FOLDS
from jobs.embeddings.scratch import Scratch
from jobs.embeddings.tracks import SEQUENCES, VOCABULARY

CLUSTERS, SIZE, LENGTH = 40, 25, 8


def sessions(count=12_000, seed=3):
    """Tracks of each session, (count, LENGTH): of one cluster, each track followed by one of the next three."""
    draws = np.random.default_rng(seed)
    steps = draws.integers(1, 4, (count, LENGTH)).cumsum(axis=1) + draws.integers(0, SIZE, (count, 1))
    return (steps % SIZE + SIZE * draws.integers(0, CLUSTERS, (count, 1))).astype(np.int32)


def write_scratch(folder, session_tracks, before=None, files=2):
    """The scratch with a vocabulary, `before` being a table that a training left, and the sequences in `files` files.

    Numbers go by plays, as the vocabulary's do; a track is named by its own number.
    """
    names, flat, plays = np.unique(session_tracks, return_inverse=True, return_counts=True)
    order = np.lexsort((names, -plays))
    number = np.empty(len(order), np.int32)
    number[order] = np.arange(len(order))
    tokens = [f"t{name:04d}" for name in names[order]]
    table = pa.table(
        {"number": np.arange(len(order), dtype=np.int32), "track_id": tokens, "plays": plays[order]}
    )
    scratch = Scratch(str(folder))
    (folder / VOCABULARY).mkdir(parents=True)
    pq.write_table(_with_before(table, before), folder / VOCABULARY / "part.parquet")
    tracks = pa.FixedSizeListArray.from_arrays(number[flat].reshape(-1), LENGTH).cast(pa.list_(pa.int32()))
    folds = np.random.default_rng(1).integers(0, FOLDS, len(session_tracks)).astype(np.int32)
    sequences = pa.table({"fold": folds, "tracks": tracks})
    (folder / SEQUENCES).mkdir()
    for n, rows in enumerate(np.array_split(np.arange(len(sequences)), files)):
        pq.write_table(sequences.take(rows), folder / SEQUENCES / f"part-{n:05d}.parquet")
    return scratch


def _with_before(vocabulary, before):
    vectors = ("in_vector", "out_vector", "in_state", "out_state")
    kinds = (pa.list_(pa.float32()), pa.list_(pa.float32()), pa.float64(), pa.float64())
    if before is None:
        null_columns = {
            name: pa.nulls(len(vocabulary), kind) for name, kind in zip(vectors, kinds, strict=True)
        }
        columns = {"previous_plays": pa.nulls(len(vocabulary), pa.int64()), **null_columns}
    else:
        at = {name: row for row, name in enumerate(before["track_id"].to_pylist())}
        places = pa.array([at.get(name) for name in vocabulary["track_id"].to_pylist()], pa.int64())
        rows_before = before.take(places)
        columns = {"previous_plays": rows_before["support"], **{name: rows_before[name] for name in vectors}}
    for name, column in columns.items():
        vocabulary = vocabulary.append_column(name, column)
    return vocabulary
