"""SQL of declarations: which columns it reads, and what is wrong with it. Nothing is run."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import sqlglot

from schemas.contract import Contract


@cache
def list_columns(sql: str) -> tuple[str, ...]:
    """The columns that an expression reads, each once; variables of lambdas are none."""
    # parsed once per text: a group asks for the same few expressions for each of its features and windows
    columns = sqlglot.parse_one(sql, dialect="spark").find_all(sqlglot.exp.Column)
    return tuple(dict.fromkeys(column.parts[0].name for column in columns))


def find_syntax_problems(option: str, sql: str) -> Iterator[str]:
    try:
        list_columns(sql)
    except sqlglot.errors.SqlglotError as problem:
        # further lines of it mark the place in the text, with codes for a terminal
        first_line = str(problem).partition("\n")[0]
        yield f"{option} {sql!r} is no SQL expression: {first_line}"


def find_column_problems(option: str, sql: str, row: Contract) -> Iterator[str]:
    """Of an expression that is SQL: columns that a row does not have."""
    if unknown := [name for name in list_columns(sql) if name not in row.names]:
        yield f"{option} names {', '.join(unknown)}, which {row.name} does not have ({', '.join(row.names)})"


def find_sql_problems(option: str, sql: str, row: Contract) -> Iterator[str]:
    """What is wrong with SQL over the columns of a row, as far as that can be known without Spark."""
    if syntax := list(find_syntax_problems(option, sql)):
        yield from syntax
    else:
        yield from find_column_problems(option, sql, row)
