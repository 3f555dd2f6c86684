"""Rows that are too long to be rows: one costs itself, not the memory of the task that reads it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from features.ingest import RAW
from jobs.errors import JobError
from jobs.file_starts import OPEN_AT_ONCE
from jobs.input_files import InputFile
from jobs.parquet_files import filesystem_of_listed

if TYPE_CHECKING:
    from pyarrow import NativeFile
    from pyspark.sql import Column

    from jobs.sources import Source

# True of a row whose text is left out, and said to be so in RAW; of parquet there is none.
LONG = "_segue_long"
# A task holds a line whole before anything can look at its length, about four times over.
MOST_LINE_BYTES = 2**26
WINDOW_BYTES = 65_536
CHUNK_BYTES = 2**22
# Compressed ones cannot be looked at in the middle.
PACKED_SUFFIXES = (".gz", ".bz2", ".zst", ".lz4", ".snappy", ".deflate", ".xz")
_NOTE = "(a row of %d bytes; longest_row of the source is %d)"


def cut_column(text: Column, source: Source) -> tuple[Column, Column]:
    """RAW and LONG of a column of lines: the text, or how long it is where that is too long."""
    from pyspark.sql import functions as F

    # signs of another encoding become U+FFFD, as in files that are read as a whole: no reader takes such bytes for text
    text = F.make_valid_utf8(text)
    size = F.octet_length(text)
    note = F.format_string(_NOTE, size, F.lit(source.longest_row))
    is_long = size > source.longest_row
    # lines are split at LF; the CR of a Windows file would be part of the last column. A regular expression looks at
    # each letter, and would be most of the cost of reading a line
    has_return = F.contains(text, F.lit("\r"))
    plain = F.when(has_return, F.regexp_replace(text, "\r$", "")).otherwise(text)
    return F.when(is_long, note).otherwise(plain).alias(RAW), is_long.alias(LONG)


def cut_texts(rows: Iterable[tuple[int, str]], longest_row: int) -> Iterator[tuple[int, str, bool]]:
    """The same of numbered texts."""
    for number, text in rows:
        # a character has one byte or more, and few texts come near
        size = len(text) if len(text) > longest_row else len(text) * 4
        if size > longest_row and (size := len(text.encode("utf-8", "surrogatepass"))) > longest_row:
            yield number, _NOTE % (size, longest_row), True
        else:
            yield number, text, False


def check_lines(source: Source, files: Sequence[InputFile]) -> None:
    """That no line of these text files is longer than a task can hold. Of each file a thousandth part is read.

    Raises:
        JobError: a file has one.
    """
    most = max(MOST_LINE_BYTES, source.longest_row)
    plain = [file for file in files if file.bytes > most and not file.path.endswith(PACKED_SUFFIXES)]
    with ThreadPoolExecutor(OPEN_AT_ONCE) as pool:
        for file, at in zip(plain, pool.map(partial(find_long_line, most=most), plain), strict=True):
            if at is not None:
                raise JobError(
                    f"file {file.path}: a line of more than {most:,} bytes is at byte {at:,}; check format and "
                    "line_end of the source, or cut the line out"
                )


def find_long_line(file: InputFile, most: int) -> int | None:
    """The first place seen of a line of more than `most` bytes; None if there is none."""
    files, inner = filesystem_of_listed(file.path)
    # any line so long holds a whole window of those at these places
    step = most - WINDOW_BYTES if most > 2 * WINDOW_BYTES else max(1, most // 2)
    window = min(WINDOW_BYTES, most - step)
    with files.open_input_file(inner) as stream:
        for at in range(0, file.bytes, step):
            if _has_line_end(stream.read_at(window, at)):
                continue
            if _measure_line(stream, at, most, file.bytes) > most:
                return at
    return None


def _has_line_end(content: bytes) -> bool:
    return b"\n" in content or b"\r" in content


def _measure_line(stream: NativeFile, at: int, most: int, end: int) -> int:
    """The bytes of the line around a place, counted on both sides until it ends or is too long."""
    start = stop = at
    while stop < end and stop - at <= most:
        content = stream.read_at(CHUNK_BYTES, stop)
        if _has_line_end(content):
            stop += min(content.find(mark) for mark in (b"\n", b"\r") if mark in content)
            break
        stop += len(content)
    while start > 0 and stop - start <= most:
        before = max(0, start - CHUNK_BYTES)
        content = stream.read_at(start - before, before)
        if _has_line_end(content):
            start = before + max(content.rfind(b"\n"), content.rfind(b"\r")) + 1
            break
        start = before
    return stop - start
