"""Rows by their keys, of one column or several, from the files that can hold them."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
from numpy.typing import NDArray

from segue.buckets import bucket
from segue.errors import SegueError
from segue.key_pages import are_few, read_key_rows
from segue.keys import to_text
from segue.page_index import NoPageIndex
from segue.storage import DataFile, Snapshot

Ints = NDArray[np.int64]

# Bytes of files read at once: more take memory, fewer wait longer for a remote store.
PORTION = 2**28
# Of so many keys, none falls into 1 bucket of 55: then it does not pay to look which are needed.
KEYS_PER_BUCKET = 4


@dataclass(frozen=True)
class Key:
    """A column of keys: `codes` are places in `values`, -1 for null."""

    codes: Ints
    values: pa.Array

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> Key:
        encoded = to_text(column).dictionary_encode().combine_chunks()
        return cls(encoded.indices.cast(pa.int64()).fill_null(-1).to_numpy(), encoded.dictionary)

    def of_rows(self, rows: Ints) -> Key:
        """Of some of the rows, with the values that they have and no others, each once; no row may be null."""
        present, codes = np.unique(self.codes[rows], return_inverse=True)
        return Key(codes, self.values.take(pa.array(present)).cast(pa.string()))


def read_by_key(
    snapshot: Snapshot, keys: Mapping[str, Key], files: Sequence[DataFile], columns: Sequence[str]
) -> tuple[pa.Table, Ints]:
    """The rows that have one of the keys, in any order; and of each key the place of its row, -1 for none.

    `keys` has the parts of a key by column, each as `Key.of_rows` leaves it; `files` are those of one day, or all.

    Raises:
        SegueError: a key has several rows.
    """
    numbers = _KeyNumbers(keys)
    matches, matched_numbers = [], []
    for rows in _read_candidates(snapshot, numbers.values, files, columns):
        number = numbers.of_rows(rows)
        # filtered portion by portion: a bucket holds many other keys, and those need not stay in memory
        matches.append(pa.table({name: rows[name] for name in columns}).filter(number.is_valid()))
        matched_numbers.append(number.drop_null().to_numpy())
    number_of_row = np.concatenate(matched_numbers)
    row_of_number = np.full(numbers.count, -1)
    row_of_number[number_of_row] = np.arange(len(number_of_row))
    distinct = int(np.count_nonzero(row_of_number >= 0))
    if distinct < len(number_of_row):
        raise SegueError(
            f"table {snapshot.name} has {len(number_of_row)} rows for {distinct} values of {', '.join(keys)} on one "
            "day; expected one each",
            "roll back to an earlier release",
        )
    return pa.concat_tables(matches), row_of_number[numbers.of_keys]


class _KeyNumbers:
    """A number for each distinct key, 0 to `count` - 1."""

    def __init__(self, keys: Mapping[str, Key]) -> None:
        self.values = {name: key.values for name, key in keys.items()}
        self._pairs: list[pa.Array] = []
        first, *others = keys.values()
        self.of_keys = first.codes
        # Keys of several parts are numbered by the numbers of the parts: texts put together can be equal where the
        # keys are not.
        for key in others:
            # Numbered again with each part: so they never outgrow 64 bits.
            pairs, self.of_keys = np.unique(self.of_keys * len(key.values) + key.codes, return_inverse=True)
            self._pairs.append(pa.array(pairs))
        self.count = len((self._pairs or [first.values])[-1])

    def of_rows(self, rows: pa.Table) -> pa.ChunkedArray:
        """The number of each row's key, null for one that is not among the keys."""
        numbers, *others = (_index_in(rows[name], values) for name, values in self.values.items())
        for other, values, pairs in zip(others, list(self.values.values())[1:], self._pairs, strict=True):
            # null in one part makes the sum null: such a row is none of the keys'
            numbers = _index_in(pc.add(pc.multiply(numbers, len(values)), other), pairs)
        return numbers


def _index_in(values: pa.ChunkedArray, among: pa.Array) -> pa.ChunkedArray:
    # index_in counts in 32 bits, which products of two numbers outgrow
    return pc.index_in(values, value_set=among).cast(pa.int64())


def _read_candidates(
    snapshot: Snapshot, values: Mapping[str, pa.Array], files: Sequence[DataFile], columns: Sequence[str]
) -> Iterator[pa.Table]:
    """Rows that may have one of the keys: all that share bucket and entity with one, where keys are few."""
    names = list(dict.fromkeys([*values, *columns]))
    where: pads.Expression | None = None
    entities = values.get(snapshot.entity or "")
    if entities is not None:
        spare_buckets = not snapshot.buckets or len(entities) < snapshot.buckets * KEYS_PER_BUCKET
        spare_pages = are_few(len(entities), snapshot, files)
        by_bucket = _group_by_bucket(snapshot, entities) if spare_buckets or spare_pages else {}
        if by_bucket and snapshot.buckets:
            files = [file for file in files if file.may_hold(by_bucket.keys())]
        if spare_pages:
            files = yield from _read_pages(snapshot, files, entities, by_bucket, names)
        if spare_buckets:
            where = _match(snapshot, entities, by_bucket)
    for portion in _group_by_size(files):
        yield snapshot.read(portion, names, where)


def _match(snapshot: Snapshot, entities: pa.Array, buckets: Collection[int]) -> pads.Expression:
    where = pads.field(snapshot.entity).isin(entities)
    if snapshot.buckets:
        # Rows are sorted by bucket, so that it spares row groups. Of ids the log has no statistics: those would
        # outlive the erasure of a listener.
        where &= pads.field("bucket").isin(pa.array(sorted(buckets), snapshot.schema.field("bucket").type))
    return where


def _group_by_bucket(snapshot: Snapshot, entities: pa.Array) -> dict[int, list[bytes]]:
    """The keys of each bucket in order, as UTF-8; all are in one where the table has none."""
    groups: dict[int, list[bytes]] = {}
    for key in entities.to_pylist():
        groups.setdefault(bucket(key, snapshot.buckets or 1), []).append(key.encode())
    return {number: sorted(keys) for number, keys in groups.items()}


def _read_pages(
    snapshot: Snapshot,
    files: Sequence[DataFile],
    entities: pa.Array,
    by_bucket: Mapping[int, Sequence[bytes]],
    columns: Sequence[str],
) -> Generator[pa.Table, None, list[DataFile]]:
    """The rows with these entities of files of which single pages can be read; and which files are left."""

    def read(file: DataFile) -> pa.Table | None:
        low, high = file.buckets or (0, snapshot.buckets)
        of_file = {number: keys for number, keys in by_bucket.items() if low <= number <= high}
        try:
            return read_key_rows(snapshot, file, entities, of_file, columns)
        except NoPageIndex:
            return None

    with snapshot.translate_read_errors():
        tables = [read(file) for file in files]
    yield from (table for table in tables if table is not None)
    return [file for file, table in zip(files, tables, strict=True) if table is None]


def _group_by_size(files: Sequence[DataFile]) -> Iterator[list[DataFile]]:
    # where there are no files, a group of none: the table that is read of it has the columns all the same
    portion: list[DataFile] = []
    for file in files:
        if portion and sum(each.bytes for each in portion) + file.bytes > PORTION:
            yield portion
            portion = []
        portion.append(file)
    yield portion
