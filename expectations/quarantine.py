"""Which rows broke what: the SQL that finds all of them, and the few that are kept, without anybody's ids."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from expectations.requirements import describe_expectation
from expectations.suite import Suite
from expectations.verdict import Result, Verdict
from schemas import Contract
from schemas.common import quote_name

if TYPE_CHECKING:
    from great_expectations.expectations.expectation import Expectation

# Rows of one expectation. A look at a fault needs few, and whoever needs all has the query.
MOST_ROWS = 100
# Of a table of listeners, what is neither text, which may be an id of anything, nor a vector of a listener.
_SAFE_TYPES = ("bigint", "int", "double", "float", "boolean", "date", "timestamp")


@dataclass(frozen=True)
class Fault:
    """An expectation that failed. A row is {"key": its hash, "values": of the columns that it is about}."""

    expectation: str
    column: str | None
    query: str
    unexpected_count: int | None = None
    rows: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Quarantine:
    """Of one refused attempt; `hashed` says what keys were hashed with, `taken_at` is in UTC."""

    table: str
    batch_id: str
    attempt_id: str
    run_id: str
    taken_at: str
    hashed: str
    faults: tuple[Fault, ...]

    def dumps(self) -> str:
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def loads(cls, text: str) -> Quarantine:
        content = json.loads(text)
        faults = (Fault(**{**each, "rows": tuple(each["rows"])}) for each in content["faults"])
        return cls(**{**content, "faults": tuple(faults)})


@dataclass(frozen=True)
class Search:
    """How rows that broke an expectation are found; `condition` is SQL over one row, empty where no row breaks it by
    itself, and `columns` are those of it that may be shown."""

    result: Result
    query: str
    condition: str = ""
    columns: tuple[str, ...] = ()
    by_key: bool = False

    def fault(self, rows: Sequence[Mapping[str, Any]]) -> Fault:
        about = self.result
        return Fault(about.expectation, about.column, self.query, about.unexpected_count, tuple(rows))


def list_searches(suite: Suite, contract: Contract, verdict: Verdict, path: str) -> list[Search]:
    """Of what failed, critical or with a warning, and is of rows; `path` is the Delta table that they lie in."""
    table = f"delta.{quote_name(path)}"
    expectations = {
        (about.expectation, about.column): each
        for each in suite.expectations
        for about in [describe_expectation(each)]
    }
    failures = [result for result in verdict.failures if result.severity != "info"]
    searches = (_search(expectations, suite, contract, table, result) for result in failures)
    return [search for search in searches if search]


def _search(
    expectations: Mapping[tuple[str, str | None], Expectation],
    suite: Suite,
    contract: Contract,
    table: str,
    result: Result,
) -> Search | None:
    if expectation := expectations.get((result.expectation, result.column)):
        return _search_rows(expectation, contract, table, result)
    bound = next((each for each in suite.bounds if each.expectation == result.expectation), None)
    if bound and bound.measure == "duplicate_keys":
        key = ", ".join(map(quote_name, contract.key))
        query = f"SELECT {key}, count(*) AS rows FROM {table} GROUP BY {key} HAVING count(*) > 1"
        return Search(result, query, by_key=True)
    return Search(result, f"SELECT {bound.share} AS share FROM {table}") if bound and bound.share else None


def _search_rows(expectation: Expectation, contract: Contract, table: str, result: Result) -> Search | None:
    condition = find_violation_sql(expectation)
    # none were counted where it could not be evaluated, and what raised then would do so again
    if condition and result.unexpected_count:
        columns = _select_columns(contract, f"{condition} {result.column}")
        return Search(result, f"SELECT * FROM {table} WHERE {condition}", condition, columns)
    value = expectation.configuration.kwargs.get("value")
    if value is None or result.observed.startswith("could not be evaluated"):
        return None
    return Search(
        result,
        f"SELECT ds, {value} AS value, count(*) AS rows FROM {table} WHERE {value} IS NOT NULL GROUP BY ALL "
        "ORDER BY ds, rows",
    )


def find_violation_sql(expectation: Expectation) -> str | None:
    """SQL that is true for a row which breaks it; None for what no row breaks by itself."""
    configuration = expectation.configuration
    write = _VIOLATIONS.get(configuration.type)
    return write(configuration.kwargs) if write else None


def _is_null(kwargs: Mapping[str, Any]) -> str | None:
    # with `mostly`, some rows may be null: what is wrong is that all are
    return f"{quote_name(kwargs['column'])} IS NULL" if kwargs.get("mostly", 1) == 1 else None


def _is_in_set(kwargs: Mapping[str, Any]) -> str:
    values = ", ".join("'" + str(value).replace("'", "\\'") + "'" for value in kwargs["value_set"])
    return f"{quote_name(kwargs['column'])} IN ({values})"


def _is_not_finite(kwargs: Mapping[str, Any]) -> str:
    column = quote_name(kwargs["column"])
    return f"isnan({column}) OR abs({column}) = double('Infinity')"


def _is_outside(kwargs: Mapping[str, Any]) -> str:
    column = quote_name(kwargs["column"])
    limits = (("<", kwargs.get("min_value")), (">", kwargs.get("max_value")))
    return " OR ".join(f"{column} {sign} {limit!r}" for sign, limit in limits if limit is not None)


def _breaks_condition(kwargs: Mapping[str, Any]) -> str:
    return f"NOT ({kwargs['condition']})"


_VIOLATIONS: Mapping[str, Callable[[Mapping[str, Any]], str | None]] = {
    "expect_column_values_to_not_be_null": _is_null,
    "expect_column_values_to_not_be_in_set": _is_in_set,
    "expect_column_values_to_be_finite": _is_not_finite,
    "expect_column_values_to_be_within": _is_outside,
    "expect_rows_to_satisfy": _breaks_condition,
}


def _select_columns(contract: Contract, text: str) -> tuple[str, ...]:
    """Those that a condition names and that say of nobody who it is."""
    named = set(re.findall(r"\w+", text))
    hidden = {*contract.key, contract.entity, "user_id"} - {"ds"}
    return tuple(
        column.name
        for column in contract.columns
        if column.name in named - hidden and (not contract.personal or _is_safe(column.type))
    )


def _is_safe(type_: str) -> bool:
    return type_ in _SAFE_TYPES or type_.startswith("decimal(")


def iterate_conditions(searches: Sequence[Search]) -> Iterator[tuple[int, str]]:
    """Place and SQL of those that single rows break."""
    return ((place, each.condition) for place, each in enumerate(searches) if each.condition)
