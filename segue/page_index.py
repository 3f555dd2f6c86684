"""Where the pages of a Parquet file are, and between which values: the index that writers leave before the footer.

Numbers of fields are those of https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from segue.thrift import I32, I64, Field, Items, Struct, read_struct, read_varint

Ints = NDArray[np.int64]
# The least and the greatest value of a page, as bytes.
Extremes = tuple[bytes, bytes]

MAGIC = b"PAR1"
# Bytes at the end of a file that are read first: all of most footers.
_TAIL = 2**16
# of a FileMetaData, a RowGroup, a SchemaElement
SCHEMA, ROW_GROUPS, CREATED_BY = 2, 4, 6
CHUNKS, ROWS = 1, 3
NAME, CHILDREN = 4, 5
_REPETITION, _REPEATED = 3, 2
# of a ColumnChunk, a ColumnMetaData, a ColumnIndex
META = 3
_OFFSET_INDEX, _COLUMN_INDEX = (4, 5), (6, 7)
PATH, DATA_PAGE, DICTIONARY_PAGE = 3, 9, 11
_NULL_PAGES, _LEAST, _GREATEST = 1, 2, 3
# The bytes in which writers begin the three fields of a PageLocation, and its end.
_LOCATION = [1 << 4 | I64, 1 << 4 | I32, 1 << 4 | I64, 0]
_TOKENS = 7


class NoPageIndex(Exception):
    """A file without one, or with one that is not understood: it is to be read by row groups."""


@dataclass(frozen=True)
class Pages:
    """Of one column in one row group: where each begins in the file, its bytes, and its first row in the group."""

    starts: Ints
    sizes: Ints
    first_rows: Ints


@dataclass(frozen=True)
class _Index:
    """The bytes of a file that hold the indexes of its pages, from the place `start` on."""

    start: int
    data: bytes

    def cut(self, place: int, size: int) -> bytes:
        if place < self.start:
            raise NoPageIndex
        return self.data[place - self.start : place - self.start + size]


class Chunk:
    """A column in a row group."""

    def __init__(self, struct: Struct, rows: int, index: _Index) -> None:
        self.meta: Struct = struct[META].value
        self.rows = rows
        self._index = index
        self._places = {n: struct[n].value for n in (*_OFFSET_INDEX, *_COLUMN_INDEX) if n in struct}

    @cached_property
    def pages(self) -> Pages:
        with translate_damage():
            pages = read_locations(self._read(_OFFSET_INDEX))
            if list(pages.first_rows[:1]) != [0] or (np.diff(pages.first_rows, append=self.rows) <= 0).any():
                raise ValueError("pages do not follow each other")
            return pages

    @cached_property
    def dictionary(self) -> tuple[int, int] | None:
        """Where its dictionary begins, and where it ends; None for a chunk without one."""
        with translate_damage():
            end = int(self.pages.starts[0])
            # writers may leave the field of the dictionary out: then the first page of data is said to be where it is
            starts = [self.meta[n].value for n in (DICTIONARY_PAGE, DATA_PAGE) if n in self.meta]
            start = min(start for start in starts if start)
            return (start, end) if start < end else None

    @cached_property
    def extremes(self) -> list[Extremes | None]:
        """Of each page, None where all of it is null."""
        with translate_damage():
            struct, _ = read_struct(self._read(_COLUMN_INDEX))
            nulls, least, greatest = (struct[n].value.values for n in (_NULL_PAGES, _LEAST, _GREATEST))
            if len(nulls) != len(self.pages.starts):
                raise ValueError("extremes are not of these pages")
            # truth in a list is 1; what is false is 2, and 0 in files of older writers
            pairs = zip(nulls, zip(least, greatest, strict=True), strict=True)
            return [None if null == 1 else pair for null, pair in pairs]

    def _read(self, field: tuple[int, int]) -> bytes:
        place, size = (self._places.get(n) for n in field)
        if not place or not size:
            raise NoPageIndex
        return self._index.cut(place, size)


class Footer:
    """What a file says of itself.

    Raises:
        NoPageIndex: it has no footer that can be read.
    """

    def __init__(self, file: BinaryIO) -> None:
        with translate_damage():
            self._read(file)

    def _read(self, file: BinaryIO) -> None:
        tail, start = _read_tail(file)
        struct, _ = read_struct(tail)
        self.created_by = struct.get(CREATED_BY)
        self._columns = _list_columns(struct[SCHEMA].value)
        groups = [(each[ROWS].value, each[CHUNKS].value.values) for each in struct[ROW_GROUPS].value.values]
        self.group_rows = [rows for rows, _ in groups]
        self._index = _read_index(file, [chunk for _, chunks in groups for chunk in chunks], start)
        self._chunks = [_key_by_leaf(chunks, rows, self._index) for rows, chunks in groups]
        # of one place in a chunk's index, what is kept of it takes some times its bytes
        self.bytes = 4 * (len(tail) + len(self._index.data))

    def schema(self, column: str) -> list[Struct] | None:
        """The elements of the schema that make a column, None for one that the file has not."""
        return self._columns.get(column)

    def is_repeated(self, column: str) -> bool:
        """Whether it is a list, or has some."""
        repetitions = (each[_REPETITION].value for each in self._columns[column] if _REPETITION in each)
        return _REPEATED in repetitions

    def chunk(self, group: int, column: str) -> Chunk:
        """NoPageIndex for a column of several leaves, whose pages end at different rows."""
        leaves = self._chunks[group].get(column, [])
        if len(leaves) != 1:
            raise NoPageIndex
        return leaves[0]


@contextmanager
def translate_damage() -> Iterator[None]:
    """Whoever reads the file by row groups says what is wrong with it, if that does not work either."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as problem:
        raise NoPageIndex from problem


def read_locations(data: bytes) -> Pages:
    """Those of an OffsetIndex."""
    # A list of structs of three numbers each, for each column of each row group: one by one they would take seconds.
    at = 1
    count = data[at] >> 4
    at += 1
    if count == 15:
        count, at = read_varint(data, at)
    tokens = _read_varints(data[at:], _TOKENS * count)
    if tokens is not None:
        rows = tokens.reshape(count, _TOKENS)
        if (rows[:, [0, 2, 4, 6]] == _LOCATION).all():
            return Pages(*(_undo_zigzag(rows[:, n]) for n in (1, 3, 5)))
    struct, _ = read_struct(data)
    locations = struct[1].value.values
    return Pages(*(np.array([each[n].value for each in locations], np.int64) for n in (1, 2, 3)))


def _read_varints(data: bytes, count: int) -> Ints | None:
    """The first so many, None where there are fewer."""
    values = np.frombuffer(data, np.uint8).astype(np.int64)
    ends = np.flatnonzero(values < 0x80)[:count]
    if len(ends) < count:
        return None
    starts = np.concatenate([[0], ends[:-1] + 1]) if count else ends
    numbers = np.zeros(count, np.int64)
    for place in range(int((ends - starts).max(initial=-1)) + 1):
        inside = starts + place <= ends
        numbers[inside] |= (values[starts[inside] + place] & 0x7F) << (7 * place)
    return numbers


def _undo_zigzag(values: Ints) -> Ints:
    return (values >> 1) ^ -(values & 1)


def _read_tail(file: BinaryIO) -> tuple[bytes, int]:
    """The footer, and where it starts."""
    size = file.seek(0, os.SEEK_END)
    start = max(0, size - _TAIL)
    tail = read_at(file, start, size - start)
    length = int.from_bytes(tail[-8:-4], "little") + 8
    if tail[-4:] != MAGIC or length > size:
        raise NoPageIndex
    if length > len(tail):
        tail = read_at(file, size - length, length)
    return tail[-length:-8], size - length


def read_at(file: BinaryIO, place: int, size: int) -> bytes:
    file.seek(place)
    return file.read(size)


def _read_index(file: BinaryIO, chunks: Sequence[Struct], end: int) -> _Index:
    places = [chunk[n].value for chunk in chunks for n in (_OFFSET_INDEX[0], _COLUMN_INDEX[0]) if n in chunk]
    start = min(places, default=end)
    return _Index(start, read_at(file, start, end - start))


def _key_by_leaf(chunks: Sequence[Struct], rows: int, index: _Index) -> dict[str, list[Chunk]]:
    by_column: dict[str, list[Chunk]] = {}
    for struct in chunks:
        chunk = Chunk(struct, rows, index)
        by_column.setdefault(chunk.meta[PATH].value.values[0].decode(), []).append(chunk)
    return by_column


def _list_columns(elements: Items) -> dict[str, list[Struct]]:
    """The elements of each column: it, and what is in it."""
    columns: dict[str, list[Struct]] = {}
    _, *rest = elements.values
    while rest:
        count = _count_elements(rest)
        columns[rest[0][NAME].value.decode()], rest = rest[:count], rest[count:]
    return columns


def _count_elements(elements: Sequence[Struct]) -> int:
    children, count = elements[0].get(CHILDREN, Field(I32, 0)).value, 1
    for _ in range(children):
        count += _count_elements(elements[count:])
    return count
