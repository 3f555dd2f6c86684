"""Vectors as files for averaging a listener's plays: numbered once, written to the scratch, mapped by every task.

However many tasks run on an executor, memory is that of one copy, (tracks x dimensions x 8 bytes), in pages that
the machine may drop.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import numpy as np
import pyarrow as pa

from features.embeddings.arrays import check_one_width, to_matrix
from features.embeddings.users import (
    Vectors,
    build_user_embeddings,
    drop_without_vector,
    number_in_order,
    number_vectors,
)
from jobs.embeddings.executor_files import combine_chunks, map_array, unpack_once
from jobs.embeddings.scratch import Scratch

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

TRACKS = "tracks"
VECTORS = "vectors"


@dataclass(frozen=True)
class VectorFiles:
    """Files in a scratch; plain data, so that a task can be sent it."""

    scratch: Scratch
    # what executors unpacked of files that were written over since must not be taken for these
    token: str = field(default_factory=lambda: uuid4().hex)

    def write(self, embeddings: DataFrame) -> None:
        """Numbers the tracks with a vector, and writes both vectors of each by its number."""
        tracks = number_in_order(drop_without_vector(embeddings).select("track_id"))
        # overwrite: an attempt that was cut off may have left files
        tracks.write.mode("overwrite").parquet(self.scratch.path(TRACKS))
        vectors = number_vectors(embeddings, self.ids)
        vectors.write.mode("overwrite").parquet(self.scratch.path(VECTORS))

    def average(self, sessions: DataFrame, embeddings: DataFrame, day: date, half_life: float) -> DataFrame:
        """Rows of `user_embeddings`, once the files are written."""
        tracks = sessions.sparkSession.read.parquet(self.scratch.path(TRACKS))
        return build_user_embeddings(sessions, embeddings, tracks, day, half_life, self.open)

    def ids(self) -> pa.Array:
        # a track's number is its place in this array
        tracks = self.scratch.table(TRACKS, ["number", "track_id"]).sort_by("number")
        return combine_chunks(tracks["track_id"])

    def open(self) -> Vectors:
        """In a task: the vectors, mapped. The first task of an executor unpacks them.

        Raises:
            VectorError: vectors of different lengths.
        """
        folder = unpack_once(f"vectors-{self.token}", self._unpack)
        return Vectors(*(map_array(folder, name) for name in Vectors._fields))

    def _unpack(self, folder: Path) -> None:
        rows = self.scratch.count_rows(VECTORS)
        matrices: list[np.ndarray] = []
        for batch in self.scratch.batches(VECTORS, ["number", *Vectors._fields]):
            # of no vectors `to_matrix` would be 0 wide
            if not batch.num_rows:
                continue
            parts = [to_matrix(batch.column(name)) for name in Vectors._fields]
            check_one_width(*(part.shape[1] for part in [*matrices, *parts]))
            if not matrices:
                shape = (rows, parts[0].shape[1])
                matrices = [
                    np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.float32, shape)
                    for name in Vectors._fields
                ]
            numbers = batch.column("number").to_numpy()
            for matrix, part in zip(matrices, parts, strict=True):
                matrix[numbers] = part
