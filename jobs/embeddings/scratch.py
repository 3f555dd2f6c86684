"""A folder under the root for what a training needs and leaves while it runs: no table, read by no reader.

Tasks write here what the driver reads, and the other way round: vectors of millions of tracks then never
pass through the driver, and a training that was cut off resumes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
from pyarrow import fs as pafs

from jobs.publishing.retention import GRACE
from jobs.publishing.warehouse import Warehouse
from segue.storage import filesystem

if TYPE_CHECKING:
    from features.embeddings.corpus import Model

ARRAYS = ("in_vectors", "out_vectors", "in_states", "out_states")
# What is written there appears when it is closed, and to rename it is to copy it.
OBJECT_STORES = ("s3", "gcs", "abfs")


@dataclass(frozen=True)
class Scratch:
    """The folder `uri`; plain data, so that a task can be sent it."""

    BATCH: ClassVar[int] = 20_000  # rows

    uri: str

    def path(self, name: str) -> str:
        # the name for Spark; every other method here reads and writes by pyarrow, in tasks too
        return f"{self.uri}/{name}"

    def _locate(self, name: str) -> tuple[pafs.FileSystem, str]:
        files, base = filesystem(self.uri)
        return files, f"{base}/{name}"

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        with self.open_output(name) as stream:
            stream.write(json.dumps(content).encode())

    def read_json(self, name: str) -> Any:
        files, path = self._locate(name)
        with suppress(FileNotFoundError), files.open_input_stream(path) as stream:
            return json.loads(stream.read())
        return None

    @contextmanager
    def open_output(self, name: str) -> Iterator[BinaryIO]:
        """A file that appears whole. Attempts of one task do not meet: a late one may still be writing."""
        files, path = self._locate(name)
        folder, _, own_name = path.rpartition("/")
        files.create_dir(folder, recursive=True)
        # a name for each attempt, or two of them would write into one file; hidden from who reads the whole folder
        part = path if files.type_name in OBJECT_STORES else f"{folder}/_{own_name}.{uuid4().hex}.part"
        with files.open_output_stream(part) as stream:
            yield stream
        if part != path:
            files.move(part, path)

    @contextmanager
    def open_input(self, name: str) -> Iterator[BinaryIO]:
        # not `open_input_stream`: np.load seeks
        files, path = self._locate(name)
        with files.open_input_file(path) as stream:
            yield stream

    def names(self, folder: str) -> list[str]:
        return sorted(self.times(folder))

    def times(self, folder: str) -> dict[str, int | None]:
        """When each file was written, in nanoseconds, by name."""
        files, path = self._locate(folder)
        infos = files.get_file_info(pafs.FileSelector(path, allow_not_found=True))
        return {info.base_name: info.mtime_ns for info in infos if not info.base_name.endswith(".part")}

    def table(self, name: str, columns: list[str]) -> pa.Table:
        """Rows of all files; text is of Arrow's type `large_string`."""
        table = self._dataset(name).to_table(columns=columns)
        # offsets of 32 bits end at 2 GiB, as of 60 million ids of 36 bytes: such columns could not be sorted or joined
        large = [
            pa.field(f.name, pa.large_string()) if pa.types.is_string(f.type) else f for f in table.schema
        ]
        return table.cast(pa.schema(large))

    def batches(self, name: str, columns: list[str]) -> Iterator[pa.RecordBatch]:
        """Of the files in the order of their names, each read when it is taken."""
        # not the dataset's own, which read ahead: with a taker who is slow, up to a gigabyte
        files, _ = self._locate(name)
        for path in sorted(self._dataset(name).files):
            with files.open_input_file(path) as stream:
                yield from pq.ParquetFile(stream).iter_batches(self.BATCH, columns=columns)

    def count_rows(self, name: str) -> int:
        """By the footers of its files."""
        return int(self._dataset(name).count_rows())

    def _dataset(self, name: str) -> pads.Dataset:
        files, path = self._locate(name)
        return pads.dataset(path, filesystem=files)

    def write_table(self, name: str, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
        # vectors do not compress, and no two are alike: neither is tried
        plain = {"compression": "none", "use_dictionary": False, "write_statistics": False}
        with self.open_output(name) as stream, pq.ParquetWriter(stream, schema, **plain) as writer:
            for batch in batches:
                writer.write_batch(batch)

    def save_model(self, model: Model, epoch: int) -> None:
        for name in ARRAYS:
            with self.open_output(f"checkpoints/{epoch}/{name}.npy") as stream:
                np.save(stream, getattr(model, name))
        before = self.read_json("checkpoint.json")
        # named once it is whole, and the one before goes only then: at any kill there is one to go on from
        self.write_json("checkpoint.json", {"epoch": epoch})
        if before and before["epoch"] != epoch:
            self.remove(f"checkpoints/{before['epoch']}")

    def load_model(self) -> tuple[Model, int] | None:
        """The newest model that was saved, and the epochs it has had."""
        from features.embeddings.corpus import Model

        checkpoint = self.read_json("checkpoint.json")
        if checkpoint is None:
            return None
        arrays = []
        for name in ARRAYS:
            with self.open_input(f"checkpoints/{checkpoint['epoch']}/{name}.npy") as stream:
                arrays.append(np.load(stream))
        return Model(*arrays), checkpoint["epoch"]

    def remove(self, name: str = "") -> None:
        """A file or a folder (by default all of it); nothing where there is none."""
        files, path = self._locate(name)
        path = path.rstrip("/")
        kind = files.get_file_info(path).type
        if kind == pafs.FileType.Directory:
            files.delete_dir(path)
        elif kind == pafs.FileType.File:
            files.delete_file(path)


def sweep(warehouse: Warehouse, now: datetime, dry_run: bool) -> list[str]:
    """Removes what trainings left that were cut off and never resumed; the names of it."""
    names = []
    scratch = pafs.FileSelector(warehouse.inner(warehouse.path("scratch")), allow_not_found=True)
    for folder in warehouse.files.get_file_info(scratch):
        for run in warehouse.files.get_file_info(pafs.FileSelector(folder.path)):
            inside = warehouse.files.get_file_info(pafs.FileSelector(run.path, recursive=True))
            # all or none: a training that is at work has old files beside young ones
            if all(now - info.mtime > GRACE for info in inside if info.mtime):
                names.append(f"{folder.base_name}/{run.base_name}")
                if not dry_run:
                    warehouse.files.delete_dir(run.path)
    return names
