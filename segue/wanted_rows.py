"""Rows of one day by their keys, of one column or several, from the files that can hold them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
from numpy.typing import NDArray

from segue.buckets import bucket
from segue.errors import SegueError
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
        # Large: all texts of a column may be more than the 2 GB that others hold.
        encoded = column.cast(pa.large_string()).dictionary_encode().combine_chunks()
        return cls(encoded.indices.cast(pa.int64()).fill_null(-1).to_numpy(), encoded.dictionary)

    def of_rows(self, rows: Ints) -> Key:
        """Of some of the rows, with the values that they have and no others, each once; no row may be null."""
        present, codes = np.unique(self.codes[rows], return_inverse=True)
        return Key(codes, self.values.take(pa.array(present)).cast(pa.string()))


class WantedRows:
    """The rows of some keys. `codes` has the number of each key; equal ones have one number.

    `keys` has the parts of a key by column, each as `Key.of_rows` leaves it. Keys of several parts are
    numbered by the numbers of the parts: texts put together can be equal where the keys are not.
    """

    def __init__(self, snapshot: Snapshot, keys: Mapping[str, Key]) -> None:
        self._snapshot = snapshot
        self._values = {name: key.values for name, key in keys.items()}
        self._pairs: list[pa.Array] = []
        first, *others = keys.values()
        self.codes = first.codes
        for key in others:
            # Numbered anew with each part: so they never outgrow 64 bits.
            pairs, self.codes = np.unique(self.codes * len(key.values) + key.codes, return_inverse=True)
            self._pairs.append(pa.array(pairs))
        self._count = len((self._pairs or [first.values])[-1])

    def read(self, day: date, columns: Sequence[str]) -> tuple[pa.Table, Ints]:
        """Their rows on that day, in any order; and for the number of each key its row, -1 for none.

        Raises:
            SegueError: a key has several rows.
        """
        found, codes = [], []
        for rows in self._candidates(day, columns):
            code = self._codes_of(rows)
            found.append(pa.table({name: rows[name] for name in columns}).filter(code.is_valid()))
            codes.append(code.drop_null().to_numpy())
        number = np.concatenate(codes)
        row_of = np.full(self._count, -1)
        row_of[number] = np.arange(len(number))
        self._check_unique(len(number), int(np.count_nonzero(row_of >= 0)))
        return pa.concat_tables(found), row_of

    def _codes_of(self, rows: pa.Table) -> pa.ChunkedArray:
        """The number of each row's key, null for one that is not wanted."""
        codes, *others = (_places(rows[name], values) for name, values in self._values.items())
        for code, values, pairs in zip(others, list(self._values.values())[1:], self._pairs, strict=True):
            codes = _places(pc.add(pc.multiply(codes, len(values)), code), pairs)
        return codes

    def _candidates(self, day: date, columns: Sequence[str]) -> Iterator[pa.Table]:
        buckets, where = self._buckets(), None
        if buckets is not None:
            numbers = pa.array(sorted(buckets), self._snapshot.schema.field("bucket").type)
            where = pads.field("bucket").isin(numbers)
        for files in _portions(self._snapshot.select(day, buckets)):
            yield self._snapshot.read(files, [*self._values, *columns], where)

    def _buckets(self) -> set[int] | None:
        """Those that the keys fall into; None for all."""
        keys = self._values.get(self._snapshot.entity or "")
        if keys is None or len(keys) >= self._snapshot.buckets * KEYS_PER_BUCKET:
            return None
        return {bucket(key, self._snapshot.buckets) for key in keys.to_pylist()}

    def _check_unique(self, rows: int, keys: int) -> None:
        if keys < rows:
            raise SegueError.not_unique(self._snapshot.name, ", ".join(self._values), rows, keys)


def _places(values: pa.ChunkedArray, among: pa.Array) -> pa.ChunkedArray:
    return pc.index_in(values, value_set=among).cast(pa.int64())


def _portions(files: Sequence[DataFile]) -> Iterator[list[DataFile]]:
    """The files in groups of some size; where there are none, a group of none."""
    portion: list[DataFile] = []
    for file in files:
        if portion and sum(each.bytes for each in portion) + file.bytes > PORTION:
            yield portion
            portion = []
        portion.append(file)
    yield portion
