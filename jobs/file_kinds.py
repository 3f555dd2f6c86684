"""What the first bytes of a file say of it: its kind, if no text, and its encoding."""

from __future__ import annotations

import codecs
from dataclasses import dataclass

GZIP, BZIP2, PARQUET = b"\x1f\x8b", b"BZh", b"PAR1"


@dataclass(frozen=True)
class FileKind:
    """What a file is that no reader of text can read, and what to do about it."""

    name: str
    remedy: str


_TABLE = "save its table as CSV, JSON or parquet"
_KINDS = {
    GZIP: FileKind("gzip", "call it *.gz, or unpack it"),
    BZIP2: FileKind("bzip2", "call it *.bz2, or unpack it"),
    PARQUET: FileKind("parquet", 'write format = "parquet" in the source'),
    b"PK\x03\x04": FileKind("a zip archive or a spreadsheet", "unpack it, or save it as CSV"),
    b"\xd0\xcf\x11\xe0": FileKind("an old spreadsheet", "save it as CSV"),
    b"%PDF": FileKind("a PDF", _TABLE),
    b"\x28\xb5\x2f\xfd": FileKind("zstandard", "unpack it"),
    b"\xfd7zXZ": FileKind("xz", "unpack it"),
    b"\x04\x22\x4d\x18": FileKind("lz4", "unpack it"),
    b"7z\xbc\xaf": FileKind("a 7z archive", "unpack it"),
    b"Rar!": FileKind("a rar archive", "unpack it"),
    b"Obj\x01": FileKind("Avro", _TABLE),
    b"ARROW1": FileKind("an Arrow file", _TABLE),
    b"SQLite format 3\0": FileKind("an SQLite database", _TABLE),
    b"\x89HDF": FileKind("HDF5", _TABLE),
}
# Text that holds no rows: a page of an error or of a login where a download was meant, a library of iTunes.
_MARKUP = {
    b"<!doctype": FileKind("a page of HTML", "download the file itself"),
    b"<html": FileKind("a page of HTML", "download the file itself"),
    b"<?xml": FileKind("XML", _TABLE),
}
_TAR = FileKind("a tar archive", "unpack it")
# The mark of 32 begins like that of 16.
_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def find_kind(content: bytes) -> FileKind | None:
    """None of what may be text of rows."""
    if content[257:262] == b"ustar":
        return _TAR
    text = content[:100].removeprefix(codecs.BOM_UTF8).lstrip().lower()
    kinds = (kind for mark, kind in _KINDS.items() if content.startswith(mark))
    return next(kinds, None) or next((kind for mark, kind in _MARKUP.items() if text.startswith(mark)), None)


def find_encoding(content: bytes) -> str:
    """By its byte order mark or, where it has none, by the zeros that Latin letters of two bytes have; else empty."""
    marked = next((encoding for mark, encoding in _MARKS.items() if content.startswith(mark)), "")
    start = content[: min(1024, len(content) // 2 * 2)]
    # of a few bytes nothing can be said
    if marked or len(start) < 8:
        return marked
    even, odd = (start[first::2].count(0) * 2 / len(start) for first in (0, 1))
    if min(even, odd) == 0 and max(even, odd) > 0.7:
        return "utf-16-le" if odd else "utf-16-be"
    return ""
