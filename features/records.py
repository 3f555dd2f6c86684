"""Text cut into records: lines, of which a quoted field may hold several, or objects of JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator


def split_records(text: str, line_end: str, quote: str = "") -> Iterator[tuple[int, str]]:
    """Each record with its number, from 0; blank ones are left out. Without `quote` each line is a record."""
    lines = text.split(line_end)
    number = start = 0
    while start < len(lines):
        end = _find_record_end(lines, start, quote) if quote else start
        record = line_end.join(lines[start : end + 1])
        if record.strip():
            # files of Windows, read by lines that end with \n
            yield number, record.removesuffix("\r") if line_end == "\n" else record
            number += 1
        start = end + 1


# An album with more line ends than this is a quote that was never closed. It would swallow the rest of the file, so
# it ends with its own line, and costs that line alone.
MAX_RECORD_LINES = 100


def _find_record_end(lines: list[str], start: int, quote: str) -> int:
    # Quotes are counted, not parsed: a doubled quote counts twice, so an odd count means that a field is still open.
    quotes = 0
    for at in range(start, min(len(lines), start + MAX_RECORD_LINES)):
        quotes += lines[at].count(quote)
        if quotes % 2 == 0:
            return at
    return start


# A string of JSON has no line end: one that was never closed must not swallow the objects of other lines.
_MARKS = re.compile(r'"(?:[^"\\\n]|\\.)*"|[{}]')
_BETWEEN = " \t\r\n,[]"


def split_objects(text: str) -> Iterator[tuple[int, str]]:
    """Each object of an array, or of several lines, with its number from 0; what stands between is a record as well."""
    return enumerate(_list_objects(text))


def _list_objects(text: str) -> Iterator[str]:
    depth = start = end = 0
    for mark in _MARKS.finditer(text):
        if mark[0] == "{":
            if depth == 0:
                start = mark.start()
                # no text of a file may go without a trace
                if between := text[end:start].strip(_BETWEEN):
                    yield between
            depth += 1
        elif mark[0] == "}" and depth:
            depth -= 1
            if depth == 0:
                end = mark.end()
                yield text[start:end]
    # of a file that was cut off, the object that has no end
    if rest := text[end:].strip(_BETWEEN):
        yield rest
