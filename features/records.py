"""Text cut into records: lines, of which a quoted field may hold several, or objects of JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache


def split_records(
    text: str, line_end: str, quote: str = "", separator: str = ",", escape: str = '"'
) -> Iterator[tuple[int, str]]:
    """Each record with its number, from 0; blank ones are left out. Without `quote` each line is a record.

    A quote opens where a field starts, as for the parser that reads the record: elsewhere it is an inch mark, or a
    part of a name. A record with more than the parser's first row would lose the others without a trace.
    """
    lines = text.split(line_end)
    field = _compile_quoted_field(quote, separator, escape) if quote else None
    number = start = 0
    while start < len(lines):
        end = _find_record_end(lines, start, quote, field) if field else start
        record = line_end.join(lines[start : end + 1])
        if record.strip():
            # files of Windows, read by lines that end with \n
            yield number, record.removesuffix("\r") if line_end == "\n" else record
            number += 1
        start = end + 1


# An album with more line ends than this is a quote that was never closed. It would swallow the rest of the file, so
# it ends with its own line, and costs that line alone.
MAX_RECORD_LINES = 100


def _find_record_end(lines: list[str], start: int, quote: str, field: re.Pattern[str]) -> int:
    # most lines have no quote, and to look for one is far less than to match
    if quote not in lines[start]:
        return start
    opening = ""
    for at in range(start, min(len(lines), start + MAX_RECORD_LINES)):
        # a field that is open starts the next line, as its quote would
        if "" not in field.findall(opening + lines[at]):
            return at
        opening = quote
    return start


@cache
def _compile_quoted_field(quote: str, separator: str, escape: str) -> re.Pattern[str]:
    """From where a field starts with a quote to that which closes it, the group; empty if the text ends before."""
    mark = re.escape(quote)
    # nothing is escaped where there is no escape
    pair = {quote: mark + mark, "": "(?!)"}.get(escape, f"{re.escape(escape)}.?")
    plain = f"[^{mark}{re.escape(escape)}]*+"
    pattern = rf"(?:\A|{re.escape(separator)}){mark}{plain}(?:{pair}{plain})*+({mark}|\Z)"
    return re.compile(pattern, re.DOTALL)


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
