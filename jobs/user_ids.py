"""Ids as people hand them over: on the command line, or in a file of a spreadsheet program."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from jobs.errors import WrongUsage
from jobs.file_kinds import find_encoding
from schemas import Contract
from segue import show
from segue.buckets import bucket

# A wrong file can hold millions of lines that are no ids.
SHOWN = 10
# One regular expression of more ids than this gets slow to compile.
IDS_PER_PATTERN = 500


def read_ids(given: Sequence[str], path: str | None, option: str) -> list[str]:
    """The ids that were given and those of the file, which has one a line; each once, in order.

    Args:
        option: that names the file.

    Raises:
        WrongUsage: the file cannot be read, or not as text.
    """
    lines = _read_text(path, option).splitlines() if path else []
    # an empty one, as of a shell's unset variable, would be in the text of nearly every rejected row
    ids = [id_ for id_ in (*given, *(_unquote(line.strip()) for line in lines)) if id_]
    return list(dict.fromkeys(ids))


def find_buckets(ids: Sequence[str], contract: Contract) -> set[int] | None:
    """Those of the listeners' rows; None in a table that is not spread by listener."""
    if contract.entity != "user_id":
        return None
    return {bucket(id_, contract.buckets) for id_ in ids}


def join_alternatives(ids: Sequence[str]) -> list[str]:
    """Regular expressions that each find some of the ids, also within longer words."""
    chunks = (ids[start : start + IDS_PER_PATTERN] for start in range(0, len(ids), IDS_PER_PATTERN))
    return ["|".join(map(re.escape, chunk)) for chunk in chunks]


def find_whole(alternatives: str) -> str:
    """The same of whole words, for Java and Python: ann-1 is not ann-12, and \\b would end a word at the hyphen."""
    return rf"(?<![\w-])(?:{alternatives})(?![\w-])"


def list_first(ids: Sequence[str]) -> str:
    """For a message: some of them, as a terminal can show them."""
    texts = [show.cut(show.escape(id_), show.LONGEST_VALUE) for id_ in ids[:SHOWN]]
    return ", ".join(texts) + (", …" if len(ids) > SHOWN else "")


def _read_text(path: str, option: str) -> str:
    try:
        content = Path(path).read_bytes()
        # what Excel calls Unicode text; the mark at the start would else be a part of the first id
        return content.decode(find_encoding(content) or "utf-8").removeprefix("\ufeff")
    except OSError as problem:
        raise WrongUsage(f"{option} {path}: {problem.strerror}; give a file with an id a line") from None
    except UnicodeDecodeError as problem:
        raise WrongUsage(
            f"{option} {path}: byte {problem.start} is no UTF-8; save the file as UTF-8"
        ) from None


def _unquote(line: str) -> str:
    is_quoted = len(line) > 1 and line[0] == line[-1] == '"'
    return line[1:-1].replace('""', '"') if is_quoted else line
