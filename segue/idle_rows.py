"""The rows of a day, and what those of idle entities would be that are not written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date

import numpy as np
import pyarrow as pa

from segue.idle import list_chain
from segue.lookup import Ints, Key, read_by_key
from segue.storage import DataFile, Snapshot

# How many days older files are than the requested day, and the files.
EarlierFiles = Iterable[tuple[int, Sequence[DataFile]]]


def list_earlier_files(snapshot: Snapshot, day: date | None) -> Iterator[tuple[int, list[DataFile]]]:
    """Where the rows of entities are that have none on this day, newest first."""
    if snapshot.idle and day is not None:
        for each in list_chain(day, snapshot.days)[1:]:
            yield (day - each).days, snapshot.select(each)


def read_day(
    snapshot: Snapshot,
    keys: Mapping[str, Key],
    files: Sequence[DataFile],
    earlier: EarlierFiles,
    columns: Sequence[str],
) -> tuple[pa.Table, Ints]:
    """As `read_by_key`; of a key without a row in these files, its newest earlier row, brought forward to their day."""
    rows, place = read_by_key(snapshot, keys, files, columns)
    tables, count = [rows], rows.num_rows
    for days, of_day in earlier:
        absent = np.flatnonzero(place < 0)
        if not len(absent):
            break
        of_absent = {name: key.of_rows(absent) for name, key in keys.items()}
        found, places = read_by_key(snapshot, of_absent, of_day, columns)
        place[absent] = np.where(places < 0, -1, places + count)
        tables.append(_bring_forward(snapshot, found, days, files))
        count += found.num_rows
    return pa.concat_tables(tables), place


def _bring_forward(snapshot: Snapshot, rows: pa.Table, days: int, files: Sequence[DataFile]) -> pa.Table:
    """As rows of the day that `files` are of."""
    return pa.table(
        {name: _bring_column_forward(snapshot, name, rows[name], days, files) for name in rows.column_names}
    )


def _bring_column_forward(
    snapshot: Snapshot, name: str, values: pa.ChunkedArray, days: int, files: Sequence[DataFile]
) -> pa.ChunkedArray:
    if name in snapshot.idle:
        return snapshot.idle[name].bring_forward(values, days)
    if name in snapshot.partitions:
        value = pa.array([max(file.partition[name] for file in files)], values.type)
        return pa.chunked_array([value.take(pa.array(np.zeros(len(values), np.int64)))])
    # whose row it is; and of all windows the value of no plays, which they had on the earlier day already
    return values
