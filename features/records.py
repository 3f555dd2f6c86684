"""Text cut into records, where a quoted field may hold line ends."""

from __future__ import annotations

from collections.abc import Iterator


def split_records(text: str, line_end: str, quote: str = "") -> Iterator[tuple[int, str]]:
    """Each record with its number, from 0; blank ones are left out.

    A line end inside quotes belongs to the field. Quotes are counted, not parsed: a doubled quote
    counts twice, so an odd count means that a field is still open. Without `quote` each line is a record.
    A quote that is never closed would swallow the rest of the file, so it ends with its own line.
    """
    lines = text.split(line_end)
    number = at = 0
    while at < len(lines):
        end = _find_record_end(lines, at, quote) if quote else at
        record = line_end.join(lines[at : end + 1])
        if record.strip():
            yield number, record.removesuffix("\r") if line_end == "\n" else record
            number += 1
        at = end + 1


# An album with more line ends than this is a quote that was never closed.
MAX_RECORD_LINES = 100


def _find_record_end(lines: list[str], start: int, quote: str) -> int:
    quotes = 0
    for at in range(start, min(len(lines), start + MAX_RECORD_LINES)):
        quotes += lines[at].count(quote)
        if quotes % 2 == 0:
            return at
    return start
