"""How a file begins: its kind, its columns and some of its rows, of which nobody has said anything yet. No Spark."""

from __future__ import annotations

import bz2
import codecs
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from json.decoder import JSONDecodeError
from typing import Any

from features.documents import split_document
from features.records import split_objects, split_records
from jobs.arrow_values import list_values
from jobs.errors import JobError, first_line
from jobs.file_kinds import BZIP2, GZIP, PARQUET, find_encoding, find_kind
from jobs.file_starts import SEPARATOR_LINE
from jobs.json_lists import RecordLists, find_record_lists
from jobs.parquet_files import filesystem_of_listed
from jobs.quoted_lines import are_parts_of_names, cut, find_width, hides_rows
from segue.errors import list_names

HEAD_BYTES = 2**20
PARQUET_BUFFER = 2**16
# Rows that a guess is made of.
MOST_ROWS = 200
NO_COLUMNS = (
    'text without columns (if a line is a session of track ids, write a source file with format = "sessions"; if '
    'columns are separated by something else, one with separator = "...")'
)
# The last is that of the Million Song Dataset.
SEPARATORS = (",", "\t", ";", "|", "::", "<SEP>")
LONG_RECORDS = (
    'values go on over line ends in quotes. If quotes are parts of values, write quote = "" instead'
)
_JSON_KEY = re.compile(r'"((?:[^"\\]|\\.)*)"\s*:')
# Bytes that stand for themselves in a text, as they are none of UTF-8; and characters of more than one byte.
_NO_UTF8 = re.compile("[\udc80-\udcff]")
_NOT_ASCII = re.compile("[^\0-\x7f\udc80-\udcff]")
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
    # by setting: what whoever reads it should look at
    notes: Mapping[str, str] = field(default_factory=dict)

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


@dataclass(frozen=True)
class _Layout:
    """What is found of a layout, piece by piece."""

    settings: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    def set(self, name: str, value: Any, note: str = "") -> None:
        self.settings[name] = value
        if note:
            self.notes[name] = note


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
    rows = list_values(batch) if batch is not None else []
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


def _decode(content: bytes) -> tuple[str, _Layout]:
    layout = _Layout()
    if encoding := find_encoding(content):
        if encoding != "utf-8":
            # with a mark its ends are not said, as the mark says them
            note = "" if encoding in ("utf-16", "utf-32") else "a guess, by the zeros of its bytes"
            layout.set("encoding", encoding, note)
        return content.decode(encoding, errors="replace"), layout
    # the last character may be cut off
    text = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode(content)
    broken = len(_NO_UTF8.findall(text))
    if not broken:
        return text, layout
    if len(_NOT_ASCII.findall(text)) < broken:
        note = "a guess, as it is no UTF-8: look at names with accents or of other scripts"
        layout.set("encoding", "cp1252", note)
        return content.decode("cp1252", errors="replace"), layout
    # bytes of another encoding hardly ever make characters of UTF-8
    layout.set("encoding", "utf-8", f"broken bytes, {broken} in what was seen, are read as U+FFFD")
    return _NO_UTF8.sub("\ufffd", text), layout


# --- JSON


def _read_json(path: str, text: str, layout: _Layout) -> FileHead | None:
    """None where it only looks like JSON."""
    first = text.lstrip().split("\n", 1)[0]
    rows = list(_parse_objects(record for _, record in split_objects(text)))
    if not rows:
        # the head of one large document: its names say what it is, not where they belong
        names = tuple(dict.fromkeys(_JSON_KEY.findall(text)))
        return (
            FileHead(path, "json", names, (), first[:200], layout.settings, layout.notes) if names else None
        )
    lists = find_record_lists(rows[0]) if len(rows) == 1 and first.startswith("{") else RecordLists()
    if lists.alike:
        return FileHead(path, _describe_alike(lists.alike))
    if lists.names:
        left = ", ".join(lists.others)
        layout.set(
            "records", lists.path, f"the document has other lists, which are not read: {left}" if left else ""
        )
        rows = list(_parse_objects(record for _, record in split_document(text, lists.path)))
    columns = dict.fromkeys([*lists.names, *(name for row in rows for name in row)])
    return FileHead(path, "json", tuple(columns), rows, first[:200], layout.settings, layout.notes)


def _describe_alike(names: Sequence[str]) -> str:
    return (
        f"a JSON document of {len(names)} lists of one kind: {list_names(names, 5)} (write a record a line, with the "
        f'name of its list in each; or for one list alone a source file with records = "{names[0]}[]")'
    )


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


def _read_csv(path: str, text: str, layout: _Layout) -> FileHead:
    if "\r" in text and "\n" not in text:
        layout.set("line_end", "\r")
    line_end = layout.settings.get("line_end", "\n")
    records = {each: _list_records(text, line_end, each) for each in SEPARATORS}
    separator = max(SEPARATORS, key=lambda each: _rate(records[each], each))
    lines = records[separator]
    if SEPARATOR_LINE.fullmatch(lines[0].strip()):
        return FileHead(
            path, f"text below {lines[0].strip()!r}, as spreadsheets write it (take that line out)"
        )
    if not _rate(lines, separator):
        return FileHead(path, NO_COLUMNS, first=lines[0][:200])
    if separator != ",":
        layout.set("separator", separator)
    lines = _settle_quotes(layout, text, lines, line_end, separator)
    table = [cut(line, separator, layout.settings.get("quote", '"')) for line in lines]
    names, rows = _name_columns(layout, table)
    return FileHead(path, "csv", names, rows, lines[0], layout.settings, layout.notes)


def _list_records(text: str, line_end: str, separator: str, quote: str = '"') -> list[str]:
    # a quote that is never closed costs its own line, see there; quotes do not go with separators of several characters
    records = split_records(text, line_end, quote if len(separator) == 1 else "", separator)
    return [record for _, record in islice(records, MOST_ROWS + 1)]


def _rate(lines: Sequence[str], separator: str) -> float:
    """The columns that most lines have; little where lines disagree."""
    width, part = find_width(lines, separator)
    return width * part if width > 1 else 0


def _settle_quotes(
    layout: _Layout, text: str, records: list[str], line_end: str, separator: str
) -> list[str]:
    """The records as the layout has them: a quote that closes nothing would swallow the rows below it."""
    if len(separator) > 1:
        layout.set("quote", "", "quotes are taken for parts of values")
        return records
    width, _ = find_width(records, separator)
    merged = [record.split(line_end) for record in records if line_end in record]
    if not merged:
        return records
    if not any(hides_rows(each, separator, width) for each in merged):
        layout.set("multiline", True, LONG_RECORDS)
        return records
    lines = _list_records(text, line_end, separator, quote="")
    if are_parts_of_names(lines, separator):
        layout.set("quote", "", "quotes are taken for parts of values, as some are never closed")
    else:
        layout.set("quote", '"', "some are never closed: such rows are rejects")
    return lines


def _name_columns(layout: _Layout, table: list[list[str]]) -> tuple[tuple[str, ...], list[dict[str, str]]]:
    """Names that one column has, and the rows by them."""
    names = [name.strip() for name in table[0]]
    if any(map(_VALUE.fullmatch, names)) or 2 * sum(map(bool, names)) < len(names):
        names = [f"column_{n}" for n in range(1, len(names) + 1)]
        layout.set("header", names)
    else:
        table = table[1:]
    counts = Counter(filter(None, names))
    if repeated := [name for name, count in counts.items() if count > 1]:
        layout.notes["format"] = f"several columns are called {', '.join(repeated)}: these are not used"
    single = {name: place for place, name in enumerate(names) if counts[name] == 1}
    rows = [{name: row[place] for name, place in single.items()} for row in table if len(row) == len(names)]
    return tuple(single), rows
