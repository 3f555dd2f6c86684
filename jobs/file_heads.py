"""How a file begins: its kind, its columns and some of its rows, of which nobody has said anything yet. No Spark."""

from __future__ import annotations

import bz2
import codecs
import csv
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from json.decoder import JSONDecodeError
from typing import Any

from features.documents import split_document
from features.records import split_objects, split_records
from jobs.errors import JobError, first_line
from jobs.file_kinds import BZIP2, GZIP, PARQUET, find_encoding, find_kind
from jobs.file_starts import SEPARATOR_LINE
from jobs.parquet_files import filesystem_of_listed

HEAD_BYTES = 2**20
PARQUET_BUFFER = 2**16
# Rows that a guess is made of.
MOST_ROWS = 200
NO_COLUMNS = (
    'text without columns (if a line is a session of track ids, write a source file with format = "sessions")'
)
SEPARATORS = (",", "\t", ";", "|", "::")
_JSON_KEY = re.compile(r'"((?:[^"\\]|\\.)*)"\s*:')
# What a header's name may be and a value of the first row is not.
_VALUE = re.compile(r"[-+]?[\d.,:/ TZ+-]*\d[\d.,:/ TZ+-]*")


@dataclass(frozen=True)
class FileHead:
    """`kind` is csv, json or parquet, or what else the file seems to be; columns and rows are text, but of parquet."""

    path: str
    kind: str
    columns: tuple[str, ...] = ()
    rows: Sequence[Mapping[str, Any]] = ()
    # the first record as it is written
    first: str = ""
    # settings of a source that differ from what they are by default
    layout: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    def describe(self) -> str:
        """In a line, for whoever wonders what was recognised."""
        if self.kind not in ("csv", "json", "parquet"):
            return f"{self.name}: {self.kind}"
        layout = "".join(
            f", {name} {value!r}" for name, value in self.layout.items() if name in ("separator", "encoding")
        )
        return f"{self.name}: {self.kind}{layout}, columns {', '.join(self.columns) or 'none'}"


def read_file_head(path: str) -> FileHead:
    """Raises JobError where the file cannot be read."""
    files, inner = filesystem_of_listed(path)
    try:
        with files.open_input_stream(inner, compression=None) as stream:
            content = bytes(stream.read(HEAD_BYTES))
    except OSError as problem:
        raise JobError(f"file {path} cannot be read: {first_line(problem)}") from None
    if content.startswith(PARQUET):
        return _read_parquet(path)
    try:
        content = _unpack(content)
    except (OSError, zlib.error):
        return FileHead(path, "a broken archive")
    return _read_text(path, content)


def _unpack(content: bytes) -> bytes:
    """The head of what is packed; as the archive is cut off somewhere, its end is not looked for."""
    if content.startswith(GZIP):
        return zlib.decompressobj(wbits=31).decompress(content, HEAD_BYTES)
    return bz2.BZ2Decompressor().decompress(content, HEAD_BYTES) if content.startswith(BZIP2) else content


def _read_parquet(path: str) -> FileHead:
    import pyarrow as pa
    import pyarrow.parquet as pq

    files, inner = filesystem_of_listed(path)
    try:
        # by pieces: without a buffer, whole columns of a row group are read for a few rows
        file = pq.ParquetFile(inner, filesystem=files, pre_buffer=False, buffer_size=PARQUET_BUFFER)
        batch = next(file.iter_batches(MOST_ROWS), None)
    except (pa.ArrowException, OSError):
        return FileHead(path, "a parquet file that is not whole")
    rows = batch.to_pylist() if batch is not None else []
    return FileHead(path, "parquet", tuple(file.schema_arrow.names), rows)


def _read_text(path: str, content: bytes) -> FileHead:
    if kind := find_kind(content):
        return FileHead(path, f"{kind.name} ({kind.remedy})")
    text, layout = _decode(content)
    if "\0" in text:
        return FileHead(path, "a binary file")
    text = text.removeprefix("\ufeff")
    if not text.strip():
        return FileHead(path, "an empty file")
    if text.lstrip().startswith(("{", "[")) and (head := _read_json(path, text, layout)):
        return head
    return _read_csv(path, text, layout)


def _decode(content: bytes) -> tuple[str, dict[str, Any]]:
    if encoding := find_encoding(content):
        layout = {} if encoding == "utf-8" else {"encoding": encoding}
        return content.decode(encoding, errors="replace"), layout
    try:
        # the last character may be cut off
        return codecs.getincrementaldecoder("utf-8")().decode(content), {}
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace"), {"encoding": "cp1252"}


# --- JSON


def _read_json(path: str, text: str, layout: dict[str, Any]) -> FileHead | None:
    """None where it only looks like JSON."""
    first = text.lstrip().split("\n", 1)[0]
    rows = list(_parse_objects(record for _, record in split_objects(text)))
    if not rows:
        # the head of one large document: its names say what it is, not where they belong
        names = tuple(dict.fromkeys(_JSON_KEY.findall(text)))
        return FileHead(path, "json", names, (), first[:200], layout) if names else None
    steps = list(_find_lists(rows[0])) if len(rows) == 1 else []
    if steps:
        layout = {**layout, "records": ".".join(f"{step}[]" for step in steps)}
        rows = list(_parse_objects(record for _, record in split_document(text, layout["records"])))
    columns = dict.fromkeys([*steps, *(name for row in rows for name in row)])
    return FileHead(path, "json", tuple(columns), rows, first[:200], layout)


def _find_lists(value: Any) -> Iterator[str]:
    """The first list of objects in one object over many lines, and those in its elements: there are the records."""
    while isinstance(value, dict):
        lists = {
            name: each
            for name, each in value.items()
            if isinstance(each, list) and each and isinstance(each[0], dict)
        }
        name = next(iter(lists), None)
        if name is None:
            return
        yield name
        value = lists[name][0]


def _parse_objects(texts: Iterator[str]) -> Iterator[dict[str, Any]]:
    count = 0
    for text in texts:
        try:
            value = json.loads(text)
        except JSONDecodeError:  # a broken line, or the end of the head
            continue
        if isinstance(value, dict):
            yield value
            count += 1
        if count == MOST_ROWS:
            return


# --- CSV


def _read_csv(path: str, text: str, layout: dict[str, Any]) -> FileHead:
    if "\r" in text and "\n" not in text:
        layout["line_end"] = "\r"
    line_end = layout.get("line_end", "\n")
    records = {each: _list_records(text, line_end, each) for each in SEPARATORS}
    separator = max(SEPARATORS, key=lambda each: _count_columns(records[each], each))
    lines = records[separator]
    if SEPARATOR_LINE.fullmatch(lines[0].strip()):
        return FileHead(
            path, f"text below {lines[0].strip()!r}, as spreadsheets write it (take that line out)"
        )
    if _count_columns(lines, separator) < 2:
        return FileHead(path, NO_COLUMNS, first=lines[0][:200])
    if separator != ",":
        layout["separator"] = separator
    if any(line_end in line for line in lines):
        layout["multiline"] = True
    table = [_cut(line, separator) for line in lines]
    names = table[0]
    if any(_VALUE.fullmatch(name) for name in names) or len(set(names)) < len(names) or not all(names):
        names = [f"column_{n}" for n in range(1, len(names) + 1)]
        layout["header"] = names
    else:
        table = table[1:]
    rows = [dict(zip(names, row, strict=True)) for row in table if len(row) == len(names)]
    return FileHead(path, "csv", tuple(name.strip() for name in names), rows, lines[0], layout)


def _list_records(text: str, line_end: str, separator: str) -> list[str]:
    # a quote that is never closed costs its own line, see there
    records = split_records(text, line_end, '"', separator)
    return [record for _, record in islice(records, MOST_ROWS + 1)]


def _count_columns(lines: Sequence[str], separator: str) -> float:
    """The columns that most lines have; little where lines disagree."""
    counts = [len(_cut(line, separator)) for line in lines[:50]]
    commonest = max(set(counts), key=counts.count)
    return commonest * counts.count(commonest) / len(counts) if commonest > 1 else 0


def _cut(line: str, separator: str) -> list[str]:
    if len(separator) > 1:
        return line.split(separator)
    try:
        return next(csv.reader([line], delimiter=separator), [])
    except csv.Error:  # a carriage return within, or a field longer than the reader takes
        return line.split(separator)
