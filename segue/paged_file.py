"""Single rows of a large Parquet file, read by the pages that hold them.

pyarrow reads row groups, of thousands of rows. Its decoder is used all the same: pages are put together, as they are,
as a file of their own in memory, with a footer that says so.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from threading import Lock
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from segue.page_index import (
    CHUNKS,
    CREATED_BY,
    DATA_PAGE,
    DICTIONARY_PAGE,
    MAGIC,
    META,
    ROW_GROUPS,
    ROWS,
    SCHEMA,
    Chunk,
    Extremes,
    Footer,
    Ints,
    NoPageIndex,
    read_at,
)
from segue.thrift import BINARY, I32, I64, LIST, STRUCT, Field, Items, Struct, read_struct, write_struct

# Bytes of indexes that are kept of a table's files: one or two in a hundred of the files' own.
INDEX_BYTES = 2**28
# Rows of a file: numbers of row groups, each with places in it, in order.
Selection = list[tuple[int, Ints]]

# of parquet.thrift: a ColumnMetaData, a SchemaElement, a PageHeader
_KEPT_OF_META, _VALUES, _UNCOMPRESSED, _COMPRESSED = (1, 2, 3, 4), 5, 6, 7
_REPETITION, _REPEATED = 3, 2
_HEADERS_OF_DATA = (5, 8)


class _Part(NamedTuple):
    """Pages of one chunk that are read: bytes of the dictionary and of each page, rows, and values at the leaf."""

    chunk: Chunk
    dictionary: bytes
    pages: list[bytes]
    rows: int

    def count_values(self, is_repeated: bool) -> int:
        # a list's values are as many as it has items; only the pages themselves know
        return sum(map(_count_values, self.pages)) if is_repeated else self.rows


class PagedFile:
    """A local file.

    Raises:
        NoPageIndex: it has no page index, here and at each call.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        with open(path, "rb") as file:
            self._footer = Footer(file)
        self.rows = sum(self._footer.group_rows)
        self.bytes = self._footer.bytes

    def has(self, column: str) -> bool:
        return self._footer.schema(column) is not None

    def find_rows(self, column: str, keys: Mapping[int, Sequence[bytes]], bucket: str | None) -> Selection:
        """All rows of the pages that may hold one of the keys.

        Args:
            column: of text.
            keys: in order, by their bucket; by any number where there are no buckets.
            bucket: the column of 32 bits that has it.
        """
        groups = range(len(self._footer.group_rows))
        found = ((group, self._find_in_group(group, column, keys, bucket)) for group in groups)
        return [(group, rows) for group, rows in found if len(rows)]

    def _find_in_group(
        self, group: int, column: str, keys: Mapping[int, Sequence[bytes]], bucket: str | None
    ) -> Ints:
        chunk = self._footer.chunk(group, column)
        firsts = chunk.pages.first_rows
        is_needed = np.zeros(len(firsts), bool)
        for number, (first, end) in self._find_buckets(group, keys, bucket):
            low, high = int(np.searchsorted(firsts, first, "right")) - 1, int(np.searchsorted(firsts, end))
            for page in range(max(low, 0), high):
                is_needed[page] |= _may_hold(chunk.extremes[page], keys[number])
        ends = np.append(firsts[1:], chunk.rows)
        parts = [np.arange(firsts[page], ends[page]) for page in np.flatnonzero(is_needed)]
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    def _find_buckets(
        self, group: int, keys: Mapping[int, Sequence[bytes]], bucket: str | None
    ) -> Iterator[tuple[int, tuple[int, int]]]:
        """Of each bucket the first row that may be in it, and the end of the last."""
        if bucket is None:
            yield from ((number, (0, self._footer.group_rows[group])) for number in keys)
            return
        chunk = self._footer.chunk(group, bucket)
        pairs = [tuple(map(_to_int, each)) if each else (1, 0) for each in chunk.extremes]
        least, greatest = np.array(pairs).T
        ends = np.append(chunk.pages.first_rows[1:], chunk.rows)
        for number in keys:
            pages = np.flatnonzero((least <= number) & (number <= greatest))
            if len(pages):
                yield number, (int(chunk.pages.first_rows[pages[0]]), int(ends[pages[-1]]))

    def read(self, columns: Sequence[str], rows: Selection) -> list[pa.ChunkedArray]:
        """Of the rows in their order. Types are those of the file."""
        with open(self._path, "rb", buffering=0) as file:
            return [self._read_column(file, name, rows) for name in columns]

    def _read_column(self, file: BinaryIO, name: str, rows: Selection) -> pa.ChunkedArray:
        parts: list[_Part] = []
        places, before = [np.empty(0, np.int64)], 0
        for group, of_group in rows:
            part, place = _read_part(file, self._footer.chunk(group, name), of_group)
            parts.append(part)
            places.append(place + before)
            before += part.rows
        decoded = pq.ParquetFile(
            pa.BufferReader(_make_file(self._footer, name, parts)),
            coerce_int96_timestamp_unit="us",
            page_checksum_verification=True,
        ).read(use_threads=False)
        if decoded.num_rows != before:
            raise NoPageIndex
        return decoded.column(0).take(pa.array(np.concatenate(places)))


class PagedFiles:
    """Files that were opened, those that were used last; to a process that gets a copy, none."""

    def __init__(self, limit: int = INDEX_BYTES) -> None:
        self._limit = limit
        self._files: OrderedDict[str, PagedFile | None] = OrderedDict()
        self._lock = Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return PagedFiles, (self._limit,)

    def open(self, path: str) -> PagedFile:
        """NoPageIndex for a file that has none."""
        with self._lock:
            is_known, file = path in self._files, self._files.get(path)
        if not is_known:
            file = _open(path)
        with self._lock:
            self._files[path] = file
            self._files.move_to_end(path)
            self._forget_oldest()
        if file is None:
            raise NoPageIndex
        return file

    def _forget_oldest(self) -> None:
        held = sum(file.bytes for file in self._files.values() if file)
        while held > self._limit and len(self._files) > 1:
            _, oldest = self._files.popitem(last=False)
            held -= oldest.bytes if oldest else 0


def _open(path: str) -> PagedFile | None:
    try:
        return PagedFile(path)
    except NoPageIndex:
        return None


def _may_hold(extremes: Extremes | None, keys: Sequence[bytes]) -> bool:
    # extremes of long texts are cut short, the greatest upwards: they stay bounds
    return extremes is not None and any(extremes[0] <= key <= extremes[1] for key in keys)


def _to_int(value: bytes) -> int:
    return int.from_bytes(value, "little", signed=True)


def _read_part(file: BinaryIO, chunk: Chunk, rows: Ints) -> tuple[_Part, Ints]:
    """The pages of a chunk that hold these rows, and where the rows are among those of the pages."""
    pages = chunk.pages
    page_of_row = np.searchsorted(pages.first_rows, rows, "right") - 1
    needed, which = np.unique(page_of_row, return_inverse=True)
    counts = np.diff(np.append(pages.first_rows, chunk.rows))[needed]
    firsts = np.cumsum(counts) - counts
    data = [read_at(file, int(pages.starts[n]), int(pages.sizes[n])) for n in needed]
    start, end = chunk.dictionary or (0, 0)
    dictionary = read_at(file, start, end - start)
    return _Part(chunk, dictionary, data, int(counts.sum())), rows - pages.first_rows[page_of_row] + firsts[
        which
    ]


def _count_values(page: bytes) -> int:
    header, _ = read_struct(page)
    (of_data,) = (header[n].value for n in _HEADERS_OF_DATA if n in header)
    values: int = of_data[1].value
    return values


# --- a file of such pages


def _make_file(footer: Footer, name: str, parts: Sequence[_Part]) -> bytes:
    elements = footer.schema(name) or []
    is_repeated = any(each[_REPETITION].value == _REPEATED for each in elements if _REPETITION in each)
    pieces, place, groups = [MAGIC], len(MAGIC), []
    for part in parts:
        groups.append(_describe_group(part, place, is_repeated))
        of_part = [part.dictionary, *part.pages]
        pieces += of_part
        place += sum(map(len, of_part))
    end = write_struct(_describe_file(footer, elements, groups, sum(part.rows for part in parts)))
    return b"".join([*pieces, end, len(end).to_bytes(4, "little"), MAGIC])


def _describe_file(footer: Footer, elements: Sequence[Struct], groups: list[Struct], rows: int) -> Struct:
    root = {4: Field(BINARY, b"schema"), 5: Field(I32, 1)}
    struct = {
        1: Field(I32, 2),
        SCHEMA: Field(LIST, Items(STRUCT, [root, *elements])),
        ROWS: Field(I64, rows),
        ROW_GROUPS: Field(LIST, Items(STRUCT, groups)),
    }
    # readers work around what some writers did wrong
    return struct | ({CREATED_BY: footer.created_by} if footer.created_by else {})


def _describe_group(part: _Part, place: int, is_repeated: bool) -> Struct:
    size = len(part.dictionary) + sum(map(len, part.pages))
    meta = {n: part.chunk.meta[n] for n in _KEPT_OF_META}
    meta[_VALUES] = Field(I64, part.count_values(is_repeated))
    meta |= {n: Field(I64, size) for n in (_UNCOMPRESSED, _COMPRESSED)}
    meta[DATA_PAGE] = Field(I64, place + len(part.dictionary))
    if part.dictionary:
        meta[DICTIONARY_PAGE] = Field(I64, place)
    chunk = {2: Field(I64, 0), META: Field(STRUCT, meta)}
    return {
        CHUNKS: Field(LIST, Items(STRUCT, [chunk])),
        2: Field(I64, size),
        ROWS: Field(I64, part.rows),
    }
