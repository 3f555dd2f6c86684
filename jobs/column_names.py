"""Columns of foreign files by name: which of them a source's expressions can use, and whether they fit."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from jobs.errors import JobError
from jobs.sources import Source

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# Internal names of rows begin with it.
OURS = "_segue_"
# Of an expression no field can be made of these: each is many values, or has no text.
NOT_ONE_VALUE = ("array", "map", "struct", "variant")
# Functions that give another value each time: rows that are read again would be other rows.
_VOLATILE = re.compile(
    r"\b((?:rand|random|randn|randstr|uniform|uuid|shuffle|monotonically_increasing_id|now|curdate)(?=\s*\()"
    r"|current_timestamp|current_date|localtimestamp)\b",
    re.IGNORECASE,
)
_NAME = re.compile(r"`((?:[^`]|``)+)`|(\w+)")


def choose_names(names: Sequence[str], columns: Mapping[str, str]) -> dict[str, int]:
    """The place of each column by its name; without those that have none.

    To Spark names are alike that differ in case. Of several such columns there is the one whose spelling stands in an
    expression: a column that nobody uses does no harm.

    Raises:
        JobError: an expression uses a name that several columns have.
    """
    places: dict[str, list[int]] = defaultdict(list)
    for place, name in enumerate(names):
        if name:
            places[name.lower()].append(place)
    spelt = list_words(columns.values())
    chosen = {}
    for alike in places.values():
        fitting = alike if len(alike) == 1 else [place for place in alike if names[place] in spelt]
        if len(fitting) > 1:
            raise JobError(
                f"the files have {len(fitting)} columns called {names[fitting[0]]!r}, and the source uses that name; "
                "rename one of them, or name all columns by header = [...] in the source"
            )
        if fitting:
            chosen[names[fitting[0]]] = fitting[0]
    return chosen


def list_words(expressions: Iterable[str]) -> set[str]:
    """All that may be a name of a column in SQL: its words, and what stands in backticks."""
    found = (pair for expression in expressions for pair in _NAME.findall(expression))
    return {(quoted or plain).replace("``", "`") for quoted, plain in found}


def check_volatility(source: Source, columns: Mapping[str, str]) -> None:
    """Raises JobError where a column is another each time that it is computed."""
    for name, expression in columns.items():
        # what is quoted is a name or a text
        bare = re.sub(r"`[^`]*`|'[^']*'|\"[^\"]*\"", "", expression)
        if found := _VOLATILE.search(bare):
            raise JobError(
                f"source {source.name}: {name} = {expression!r} is another value each time, by {found[0]}: the same "
                "files would bring other rows; take it from columns of the files"
            )


def check_expressions(source: Source, rows: DataFrame, columns: Mapping[str, str]) -> None:
    """That each gives one value for a row; this plans, and runs nothing.

    Raises:
        JobError: with the first that does not, so that the error names its column.
    """
    from pyspark.errors import PySparkException

    present = ", ".join(name for name in rows.columns if not name.startswith(OURS))
    for name, expression in columns.items():
        try:
            type_ = _find_type(rows, expression)
        except PySparkException as error:
            raise JobError(
                f"source {source.name}: {name} = {expression!r} does not fit the files: {_first_words(error)} "
                f"Their columns: {present}"
            ) from None
        if problem := _find_problem(name, type_):
            raise JobError(f"source {source.name}: {name} = {expression!r} is of type {type_}; {problem}")


def _find_type(rows: DataFrame, expression: str) -> str:
    from pyspark.sql import functions as F

    from features.ingest import attempt

    # as it will be used, and beside a column: so what has one value for many rows, or many for one, is refused
    rows.select(OURS + "raw", attempt(expression))
    return rows.select(F.expr(expression).alias("_")).schema["_"].dataType.simpleString()


def _find_problem(name: str, type_: str) -> str:
    if type_.startswith(NOT_ONE_VALUE):
        return "expected one value: take one of its fields or items"
    if name.endswith("_id") and type_ in ("double", "float"):
        return "digits of an id are lost there: write cast(cast(... as bigint) as string) if it has 15 digits at most"
    return ""


def _first_words(error: Exception) -> str:
    # its first line names what is wrong, the rest is the plan
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].split(" SQLSTATE")[0] if lines else type(error).__name__
