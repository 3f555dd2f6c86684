"""Neighbours as files for choosing candidates: numbered once, written to the scratch, mapped by every task.

A task maps what its executor unpacked, so however many tasks run there, memory is that of one copy:
(tracks x neighbours x 8 bytes) for each origin, in pages that the machine may drop. Ten million tracks
with a hundred neighbours each are 8 GB an origin, on disk, and in memory what is used of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.embeddings.arrays import list_places
from features.embeddings.candidates import choose_candidates, number_neighbours, number_tracks
from features.embeddings.settings import CandidateSettings
from jobs.embeddings.executor_files import combine_chunks, map_array, unpack_once
from jobs.embeddings.scratch import Scratch
from schemas.candidates import ORIGINS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from features.embeddings.candidate_arrays import Pool

TRACKS = "tracks"


@dataclass(frozen=True)
class CandidateFiles:
    """Files in a scratch; plain data, so that a task can be sent it."""

    scratch: Scratch
    # what executors unpacked of files that were written over since must not be taken for these
    token: str = field(default_factory=lambda: uuid4().hex)

    def write(
        self, embeddings: DataFrame, catalogue: DataFrame, following: DataFrame, similar: DataFrame
    ) -> None:
        """Numbers the tracks with a vector, and both origins' lists by them."""
        tracks = number_tracks(embeddings, catalogue)
        # overwrite: an attempt that was cut off may have left files
        tracks.write.mode("overwrite").parquet(self.scratch.path(TRACKS))
        for origin, lists in zip(ORIGINS, (following, similar), strict=True):
            # ids are looked up here once, and not for each listener whose candidates a list is read for
            rows = number_neighbours(lists, self.ids)
            rows.write.mode("overwrite").parquet(self.scratch.path(origin))

    def choose(
        self, sessions: DataFrame, embeddings: DataFrame, day: date, settings: CandidateSettings
    ) -> DataFrame:
        """Rows of `candidates`, once the files are written."""
        tracks = sessions.sparkSession.read.parquet(self.scratch.path(TRACKS))
        return choose_candidates(sessions, embeddings, tracks, day, settings, self.open)

    def ids(self) -> pa.Array:
        # a track's number is its place in this array
        return combine_chunks(self._read_tracks("track_id")["track_id"])

    def _read_tracks(self, *columns: str) -> pa.Table:
        return self.scratch.table(TRACKS, ["number", *columns]).sort_by("number")

    def open(self) -> Pool:
        """In a task: the files, mapped. The first task of an executor unpacks them."""
        # the driver plans without these: numba is loaded in tasks only
        from features.embeddings.candidate_arrays import Pool
        from features.embeddings.candidate_kernel import Lists

        folder = unpack_once(f"candidates-{self.token}", self._unpack)
        with pa.memory_map(str(folder / "ids.arrow")) as file:
            ids = combine_chunks(pa.ipc.open_file(file).read_all()["track_id"])
        return Pool(
            ids,
            map_array(folder, "artists"),
            map_array(folder, "explicit"),
            *(Lists(*(map_array(folder, f"{o}-{name}") for name in Lists._fields)) for o in ORIGINS),
        )

    def _unpack(self, folder: Path) -> None:
        tracks = self._read_tracks("track_id", "artist_id", "explicit")
        ids = pa.table({"track_id": combine_chunks(tracks["track_id"])})
        with pa.ipc.new_file(folder / "ids.arrow", ids.schema) as file:
            file.write_table(ids)
        artists = combine_chunks(tracks["artist_id"]).dictionary_encode().indices
        np.save(folder / "artists.npy", artists.fill_null(-1).to_numpy().astype(np.int32))
        np.save(folder / "explicit.npy", tracks["explicit"].to_numpy())
        for origin in ORIGINS:
            self._unpack_lists(folder, origin, len(tracks))

    def _unpack_lists(self, folder: Path, origin: str, tracks: int) -> None:
        # read twice: the lengths of all lists give the place of each, and no list is kept in memory
        lengths = np.zeros(tracks, np.int64)
        for batch in self.scratch.batches(origin, ["number", "tracks"]):
            numbers, lists = batch.column("number").to_numpy(), batch.column("tracks")
            lengths[numbers] = pc.list_value_length(lists).to_numpy()
        offsets = np.append(0, np.cumsum(lengths))
        np.save(folder / f"{origin}-offsets.npy", offsets)
        # an empty file cannot be mapped
        shape = (max(1, int(offsets[-1])),)
        arrays = {
            name: np.lib.format.open_memmap(folder / f"{origin}-{name}.npy", "w+", kind, shape)
            for name, kind in (("tracks", np.int32), ("scores", np.float32))
        }
        for batch in self.scratch.batches(origin, ["number", *arrays]):
            numbers = batch.column("number").to_numpy()
            places = list_places(offsets[numbers], offsets[numbers + 1] - offsets[numbers])
            for name, array in arrays.items():
                array[places] = batch.column(name).flatten().to_numpy()
