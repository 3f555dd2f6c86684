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
    CHILDREN,
    CHUNKS,
    CREATED_BY,
    DATA_PAGE,
    DICTIONARY_PAGE,
    MAGIC,
    META,
    NAME,
    ROW_GROUPS,
    ROWS,
    SCHEMA,
    Chunk,
    Extremes,
    Footer,
    Ints,
    NoPageIndex,
    read_at,
    translate_damage,
)
from segue.thrift import BINARY, I32, I64, LIST, STRUCT, Field, Items, Struct, read_struct, write_struct

# Bytes of indexes that are kept of a table's files: one or two in a hundred of the files' own.
INDEX_BYTES = 2**28
# Rows of a file: numbers of row groups, each with places in it, in order.
Selection = list[tuple[int, Ints]]

# of parquet.thrift: a ColumnMetaData, a PageHeader
_KEPT_OF_META, _VALUES, _UNCOMPRESSED, _COMPRESSED = (1, 2, 3, 4), 5, 6, 7
_HEADERS_OF_DATA = (5, 8)


class _Place(NamedTuple):
    """Where rows of a chunk are: the pages that hold them, how many rows those have, and which of these are they."""

    chunk: Chunk
    pages: Ints
    layout: bytes
    rows_of_pages: int
    rows: Ints

    def count_values(self, pages: Sequence[bytes], is_repeated: bool) -> int:
        # a list's values are as many as it has items; only the pages themselves know
        return sum(map(_count_values, pages)) if is_repeated else self.rows_of_pages


# A column, with the places of some rows in each row group.
_Column = tuple[str, Sequence[_Place]]


class PagedFile:
    """A local file.

    Raises:
        NoPageIndex: it has no page index, here and at each call.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        with open(path, "rb") as file:
            self._footer = Footer(file)
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

    def measure_share(self, columns: Sequence[str], rows: Selection) -> float:
        """Of the bytes of these columns, those of the pages that hold these rows."""
        groups = range(len(self._footer.group_rows))
        chunks = [self._footer.chunk(group, name) for group in groups for name in columns]
        places = [place for name in columns for place in self._locate(name, rows)]
        read = sum(int(place.chunk.pages.sizes[place.pages].sum()) for place in places)
        return read / max(1, sum(chunk.meta[_COMPRESSED].value for chunk in chunks))

    def read(self, columns: Sequence[str], rows: Selection) -> list[pa.ChunkedArray]:
        """Of the rows in their order. Types are those of the file."""
        # columns whose pages end at the same rows make one file
        alike: dict[tuple[bytes, ...], list[_Column]] = {}
        for name in columns:
            places = self._locate(name, rows)
            alike.setdefault(tuple(place.layout for place in places), []).append((name, places))
        found: dict[str, pa.ChunkedArray] = {}
        with translate_damage(), open(self._path, "rb", buffering=0) as file:
            for each in alike.values():
                table = self._read_alike(file, each)
                found |= {name: table[name] for name, _ in each}
        return [found[name] for name in columns]

    def _locate(self, column: str, rows: Selection) -> list[_Place]:
        return [_locate(self._footer.chunk(group, column), of_group) for group, of_group in rows]

    def _read_alike(self, file: BinaryIO, columns: Sequence[_Column]) -> pa.Table:
        decoded = pq.ParquetFile(
            pa.BufferReader(_make_file(self._footer, file, columns)),
            coerce_int96_timestamp_unit="us",
            page_checksum_verification=True,
        ).read()
        rows, before = [np.empty(0, np.int64)], 0
        for place in columns[0][1]:
            rows.append(place.rows + before)
            before += place.rows_of_pages
        if decoded.num_rows != before:
            raise NoPageIndex
        return decoded.take(pa.array(np.concatenate(rows)))


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


def _locate(chunk: Chunk, rows: Ints) -> _Place:
    firsts = chunk.pages.first_rows
    page_of_row = np.searchsorted(firsts, rows, "right") - 1
    pages, which = np.unique(page_of_row, return_inverse=True)
    counts = np.diff(firsts, append=chunk.rows)[pages]
    # of the first of their rows, where it is among those of all these pages
    starts = np.cumsum(counts) - counts
    layout = np.append(firsts[pages], counts).tobytes()
    return _Place(chunk, pages, layout, int(counts.sum()), rows - firsts[page_of_row] + starts[which])


def _read_pages(file: BinaryIO, place: _Place) -> tuple[bytes, list[bytes]]:
    """The dictionary, empty where there is none, and the pages."""
    start, end = place.chunk.dictionary or (0, 0)
    starts, sizes = (
        each[place.pages].tolist() for each in (place.chunk.pages.starts, place.chunk.pages.sizes)
    )
    pages = [read_at(file, *of_page) for of_page in zip(starts, sizes, strict=True)]
    return read_at(file, start, end - start), pages


def _count_values(page: bytes) -> int:
    header, _ = read_struct(page)
    (of_data,) = (header[n].value for n in _HEADERS_OF_DATA if n in header)
    values: int = of_data[1].value
    return values


# --- a file of such pages


def _make_file(footer: Footer, file: BinaryIO, columns: Sequence[_Column]) -> bytes:
    names = [name for name, _ in columns]
    elements = [element for name in names for element in footer.schema(name) or ()]
    pieces, size, groups = [MAGIC], len(MAGIC), []
    for places in zip(*(places for _, places in columns), strict=True):
        chunks = []
        for name, place in zip(names, places, strict=True):
            dictionary, pages = _read_pages(file, place)
            values = place.count_values(pages, footer.is_repeated(name))
            chunk, bytes_ = _describe_chunk(place.chunk, size, len(dictionary), pages, values)
            chunks.append(chunk)
            pieces += [dictionary, *pages]
            size += bytes_
        groups.append(
            {
                CHUNKS: Field(LIST, Items(STRUCT, chunks)),
                2: Field(I64, size),
                ROWS: Field(I64, places[0].rows_of_pages),
            }
        )
    end = write_struct(_describe_file(footer, len(names), elements, groups))
    return b"".join([*pieces, end, len(end).to_bytes(4, "little"), MAGIC])


def _describe_file(footer: Footer, columns: int, elements: list[Struct], groups: list[Struct]) -> Struct:
    root = {NAME: Field(BINARY, b"schema"), CHILDREN: Field(I32, columns)}
    struct = {
        1: Field(I32, 2),
        SCHEMA: Field(LIST, Items(STRUCT, [root, *elements])),
        ROWS: Field(I64, sum(group[ROWS].value for group in groups)),
        ROW_GROUPS: Field(LIST, Items(STRUCT, groups)),
    }
    # readers work around what some writers did wrong
    return struct | ({CREATED_BY: footer.created_by} if footer.created_by else {})


def _describe_chunk(
    chunk: Chunk, start: int, dictionary: int, pages: Sequence[bytes], values: int
) -> tuple[Struct, int]:
    """A ColumnChunk that begins at `start`, and its bytes."""
    size = dictionary + sum(map(len, pages))
    meta = {n: chunk.meta[n] for n in _KEPT_OF_META} | {_VALUES: Field(I64, values)}
    meta |= {n: Field(I64, size) for n in (_UNCOMPRESSED, _COMPRESSED)}
    meta[DATA_PAGE] = Field(I64, start + dictionary)
    if dictionary:
        meta[DICTIONARY_PAGE] = Field(I64, start)
    return {2: Field(I64, 0), META: Field(STRUCT, meta)}, size
