"""What a run should be looked at for: warnings that the batch before had not, each kind once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from expectations.verdict import name_status

Row = Mapping[str, Any]
# On a terminal; the report has all of them.
MOST_LINES = 10
# Of one kind, so many columns have a line each.
FEW_COLUMNS = 3


def describe_news(rows: Iterable[Row], known: Collection[tuple[str, str, str | None]]) -> list[str]:
    """Lines for a terminal; none where nothing warns.

    Args:
        rows: of the table `quality_results`, of one run.
        known: of which table, expectation and column the batch before did not hold either.
    """
    warnings = [row for row in rows if name_status(row["success"], row["severity"]) == "warning"]
    new = [row for row in warnings if _key(row) not in known]
    lines = list(_describe_kinds(new))
    more = [f"  … {len(lines) - MOST_LINES:,} more are in the report"] if len(lines) > MOST_LINES else []
    heading = ["New warnings, which the batches before had not:"] if lines else []
    repeated = len(warnings) - len(new)
    same = [f"{_count(repeated)} as in the batches before: in the report"] if repeated else []
    return [*heading, *lines[:MOST_LINES], *more, *same]


def _key(row: Row) -> tuple[str, str, str | None]:
    return row["table_name"], row["expectation"], row["column"]


def _count(warnings: int) -> str:
    return "1 warning is" if warnings == 1 else f"{warnings:,} warnings are"


def _describe_kinds(rows: Iterable[Row]) -> Iterator[str]:
    for (table, _), group in groupby(sorted(rows, key=_kind), key=_kind):
        of_kind = list(group)
        if len(of_kind) > FEW_COLUMNS:
            yield f"  {table}: {_list_columns(of_kind)}: expected {of_kind[0]['expected']}"
        else:
            yield from (_describe(row) for row in of_kind)


def _kind(row: Row) -> tuple[str, str]:
    return row["table_name"], row["expectation"]


def _list_columns(rows: Sequence[Row]) -> str:
    names = [str(row["column"]) for row in rows]
    return f"{len(names)} columns, such as {', '.join(names[:FEW_COLUMNS])}"


def _describe(row: Row) -> str:
    about = f" {row['column']}" if row["column"] else ""
    return f"  {row['table_name']}{about}: expected {row['expected']}; observed {row['observed']}"
