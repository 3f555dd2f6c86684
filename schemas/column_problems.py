"""What is wrong with columns that a project declares, whatever their table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from schemas.contract import Column
from schemas.sql import find_syntax_problems

# What the files of a source can hold as text; a source has no nested values.
COLUMN_TYPES = ("string", "int", "bigint", "double", "boolean", "timestamp", "date")
# Every event table gets these, or tables of features would hold another column of the name.
RESERVED_COLUMNS = ("source", "bucket", "available_at", "ds", "feature_at", "span")
# What a row of a file has on its way to being an event or a reject.
_READ_COLUMNS = ("raw", "file", "broken", "is_header", "reasons")


def find_name_problems(kind: str, name: str) -> Iterator[str]:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        yield f"its {kind} {name!r} is none; use a-z, 0-9 and _"


def find_column_list_problems(
    columns: Sequence[Column], types: Sequence[str] = COLUMN_TYPES
) -> Iterator[str]:
    """Names that cannot be, and types that no file has."""
    names = [column.name for column in columns]
    for name in names:
        yield from find_name_problems("column", name)
    if taken := [name for name in names if name in (*RESERVED_COLUMNS, *_READ_COLUMNS)]:
        yield f"column {', '.join(taken)} is one that Segue has for itself; give it another name"
    if twice := sorted({name for name in names if names.count(name) > 1}):
        yield f"column {', '.join(twice)} declared twice"
    for column in columns:
        if column.type not in types:
            yield f"column {column.name} is {column.type}, expected one of {', '.join(types)}"
        if column.check:
            yield from find_syntax_problems("check", f"{column.name} {column.check}")


def find_required_problems(columns: Sequence[Column], rows: str) -> Iterator[str]:
    """Of columns that are added to a table with rows."""
    if required := [column.name for column in columns if not column.nullable]:
        yield f"column {', '.join(required)} must be nullable: {rows} of before have no value there"
