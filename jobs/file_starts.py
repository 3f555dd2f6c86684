"""How text files begin: their headers, and what shows that a file is none such as its source says."""

from __future__ import annotations

import codecs
import csv
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice

from features.records import split_objects
from jobs.errors import JobError, first_line
from jobs.file_kinds import find_encoding, find_kind
from jobs.parquet_files import filesystem_of_listed
from jobs.sources import Source

# The first line of a wide file, and no more of it: on an object store one small read.
HEAD_BYTES = 65_536
# A header of more bytes is no header.
MOST_HEAD_BYTES = 2**24
WIDE = ("utf-16", "utf-32")
# Opening a file costs a round trip, so many at once.
OPEN_AT_ONCE = 16
# What rows can be read of. pyarrow knows more, which would look like text here and be garbage there.
COMPRESSIONS = {".gz": "gzip", ".bz2": "bz2"}

# Says to a spreadsheet program how the lines below are separated.
SEPARATOR_LINE = re.compile(r'"?sep=.{1,2}"?', re.IGNORECASE)


@dataclass(frozen=True)
class FileStart:
    """`header` is the first record that is not blank, without a byte order mark; empty in a blank file. Where files
    have no header it may be cut off."""

    path: str
    header: str

    @property
    def has_line_objects(self) -> bool:
        """Of JSON: whether a line is an object, by the first one; else an array, or an object over several lines, or
        several on a line."""
        text = self.header.strip()
        return text != "{" and not text.startswith("[") and len(list(islice(split_objects(text), 2))) < 2


def read_starts(source: Source, paths: Sequence[str]) -> list[FileStart]:
    """Of each file, in order; blank files are left out, as they hold no row.

    Raises:
        JobError: a file cannot be read, or is of another kind than the source says.
    """
    with ThreadPoolExecutor(OPEN_AT_ONCE) as pool:
        return [start for start in pool.map(partial(_read_start, source), paths) if start.header]


def split_header(source: Source, start: FileStart) -> list[str]:
    """The names in a header. JobError where it is no line of CSV."""
    if len(source.separator) > 1:
        return [name.strip() for name in start.header.split(source.separator)]
    try:
        names = next(csv.reader([start.header], delimiter=source.separator, quotechar=source.quote or None))
    except csv.Error as problem:
        raise _refuse(start.path, f"its first line is no header: {problem}", "is it CSV?") from None
    return [name.strip() for name in names]


def _read_start(source: Source, path: str) -> FileStart:
    size, split = HEAD_BYTES, source.make_split()
    while True:
        content = _read_head(path, size)
        _check_kind(source, path, content)
        # the cut may fall inside a character, so what cannot be decoded is no error here
        text = content.decode(source.encoding, errors="replace").removeprefix("\ufeff")
        header = next((record for _, record in split(text)), "")
        if len(content) < size or (header and _is_whole(source, text, header)):
            break
        size *= 16
        if size > MOST_HEAD_BYTES:
            raise _refuse(
                path,
                f"its first line has more than {MOST_HEAD_BYTES:,} bytes, or as many are blank",
                "check line_end of the source",
            )
    if source.format == "csv" and ("\0" in header or "\ufffd" in header):
        raise _refuse(
            path, f"its first line is no text in {source.encoding}", "write its encoding in the source"
        )
    if source.format == "csv" and not source.header and SEPARATOR_LINE.fullmatch(header.strip()):
        raise _refuse(
            path, f"its first line is {header.strip()!r}, as spreadsheets write it", "take that line out"
        )
    if source.format == "csv" and "\r" in header and not source.multiline:
        raise _refuse(path, "its lines end with CR alone", 'write line_end = "\\r" in the source')
    return FileStart(path, header)


def _is_whole(source: Source, text: str, header: str) -> bool:
    # where there is no header the first letters say enough: a document of JSON can be one line of any length
    if source.format != "csv" or source.header:
        return True
    return source.line_end in text[text.index(header) + len(header) :]


def _read_head(path: str, size: int) -> bytes:
    files, inner = filesystem_of_listed(path)
    compression = COMPRESSIONS.get(os.path.splitext(path)[1])
    try:
        with files.open_input_stream(inner, compression=compression) as stream:
            return bytes(stream.read(size))
    except OSError as problem:
        problem_line = first_line(problem)
        raise _refuse(
            path, f"it cannot be read: {problem_line}", "is it whole, and of the kind its name says?"
        ) from None


def _check_kind(source: Source, path: str, content: bytes) -> None:
    if kind := find_kind(content):
        raise _refuse(path, f"it is {kind.name}, expected {source.format}", kind.remedy)
    expected = codecs.lookup(source.encoding).name
    encoding = find_encoding(content)
    if encoding.startswith(WIDE) and not expected.startswith(WIDE):
        remedy = f'write encoding = "{encoding}" in the source'
        raise _refuse(path, f"it is {encoding}, the source says {source.encoding}", remedy)


def _refuse(path: str, problem: str, remedy: str) -> JobError:
    return JobError(f"file {path}: {problem}; {remedy}")
