"""Rows of some keys out of the pages that may hold them, where files are large and keys are few."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import fs as pafs

from segue.page_index import NoPageIndex
from segue.paged_file import Selection
from segue.storage import DataFile, Snapshot, filesystem

# Bytes of a file that a key is worth: with more keys than that, nearly all pages would be read, one by one.
BYTES_OF_KEY = 2**16
# Where pages are a larger part of a file's bytes than this, row groups are read faster.
LARGEST_SHARE = 0.5
BUCKET = "bucket"


def are_few(keys: int, snapshot: Snapshot, files: Sequence[DataFile]) -> bool:
    """Whether pages of so many keys can be fewer bytes than the files, and are quicker to read one by one."""
    # on an object store each page would be a request
    is_local = isinstance(filesystem(snapshot.uri)[0], pafs.LocalFileSystem)
    return is_local and keys * BYTES_OF_KEY <= sum(file.bytes for file in files)


def read_key_rows(
    snapshot: Snapshot,
    file: DataFile,
    entities: pa.Array,
    by_bucket: Mapping[int, Sequence[bytes]],
    columns: Sequence[str],
) -> pa.Table:
    """All rows of a local file whose entity is one of these, in the file's order.

    Args:
        by_bucket: the same entities as bytes, in order; all at any number where the table has no buckets.

    Raises:
        NoPageIndex: the file is to be read by row groups.
    """
    assert snapshot.entity
    paged = snapshot.paged_files.open(f"{filesystem(snapshot.uri)[1]}/{file.path}")
    candidates = paged.find_rows(snapshot.entity, by_bucket, BUCKET if snapshot.buckets else None)
    (texts,) = paged.read([snapshot.entity], candidates)
    is_match = pc.is_in(texts.cast(entities.type), value_set=entities).to_numpy()
    rows = _filter(candidates, is_match)
    count = int(np.count_nonzero(is_match))
    stored = [name for name in columns if name not in file.partition and paged.has(name)]
    if paged.measure_share(stored, rows) > LARGEST_SHARE:
        raise NoPageIndex
    found = dict(zip(stored, paged.read(stored, rows), strict=True))
    return pa.table(
        {name: _fit(snapshot.schema.field(name), found.get(name), file, count) for name in columns}
    )


def _filter(rows: Selection, is_match: Any) -> Selection:
    kept, before = [], 0
    for group, of_group in rows:
        matches = of_group[is_match[before : before + len(of_group)]]
        before += len(of_group)
        if len(matches):
            kept.append((group, matches))
    return kept


def _fit(field: pa.Field, values: pa.ChunkedArray | None, file: DataFile, count: int) -> pa.ChunkedArray:
    """The values as the table has them; of a partition its value, and of a column that came later nulls."""
    if values is not None:
        return values.cast(field.type)
    value = pa.scalar(file.partition.get(field.name), field.type)
    return pa.chunked_array([pa.repeat(value, count)], field.type)
