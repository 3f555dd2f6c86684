"""Expectations that a table's contract implies, whatever the table is about, and the suite that begins with them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import great_expectations.expectations as gxe
from great_expectations.expectations.expectation import Expectation
from great_expectations.expectations.metadata_types import FailureSeverity

from expectations.aggregates import (
    ExpectColumnValuesToBeFinite,
    ExpectColumnValuesToBeWithin,
    ExpectRowsToSatisfy,
)
from expectations.suite import Bound, Suite
from schemas import Contract
from schemas.contract import Column

# A share of rows that even one row in a billion exceeds: only a column of nulls is below it.
_ONE_IN_A_BILLION = 1e-9
_FLOATS = ("float", "double")

CRITICAL, WARNING, INFO = FailureSeverity.CRITICAL, FailureSeverity.WARNING, FailureSeverity.INFO


def explain(reason: str) -> dict[str, Any]:
    """Where an expectation of rows keeps why it matters: Great Expectations leaves `meta` to its users."""
    return {"reason": reason} if reason else {}


# Counted in the profile's pass: Great Expectations' own check of uniqueness costs a scan by itself.
ONE_ROW_PER_KEY = Bound(
    "duplicate_keys", "a key names one row, or every join with it counts twice", high=0, integrity=True
)
# An empty batch passes every check of rows, so the rows are counted too.
SOME_ROWS = Bound("rows", "an empty batch would take the place of what is published", low=1, integrity=True)


def build_suite(
    contract: Contract,
    *others: Expectation,
    optional: Collection[str] = (),
    allow_empty: Collection[str] = (),
    row_bound: Bound | None = SOME_ROWS,
    bounds: tuple[Bound, ...] = (),
) -> Suite:
    """What every batch of the table must hold to: its contract column by column, then `others`.

    Args:
        optional: columns that some sources never fill, so a batch of nulls is no warning.
        allow_empty: strings for which '' is a value.
    """
    expectations = (*_expect_contract(contract, optional, allow_empty), *others)
    row_bounds = (row_bound,) if row_bound else ()
    return Suite(contract.name, expectations, (*row_bounds, ONE_ROW_PER_KEY, *bounds))


def expect_rows(
    column: str, condition: str, expected: str, severity: FailureSeverity = CRITICAL, reason: str = ""
) -> ExpectRowsToSatisfy:
    """A SQL condition on every row, described in words; null is no breach of it. `reason` is why it matters."""
    return ExpectRowsToSatisfy(
        column=column,
        condition=condition,
        description=expected,
        severity=severity,
        meta=explain(reason),
    )


def expect_within(
    column: str, reason: str, low: float | None = None, high: float | None = None
) -> ExpectColumnValuesToBeWithin:
    """Limits, both allowed, of a number in every row."""
    return ExpectColumnValuesToBeWithin(column=column, min_value=low, max_value=high, meta=explain(reason))


FEATURE_AT_IS_END_OF_DAY = expect_rows(
    "feature_at",
    "feature_at = cast(date_add(ds, 1) as timestamp)",
    "midnight after ds, UTC",
    reason="joins to labels go by it: at another instant a label would get values of its own future, or old ones",
)


def _expect_contract(
    contract: Contract, optional: Collection[str], allow_empty: Collection[str]
) -> Iterator[Expectation]:
    # not available_at: while a batch is staged it is null, and the log alone has it afterwards
    columns = [column for column in contract.columns if column.name != "available_at"]
    for column in columns:
        if not column.nullable:
            yield gxe.ExpectColumnValuesToNotBeNull(
                column=column.name, meta=explain(_explain_value(contract, column))
            )
        else:
            # a column of nulls passes all other checks; and the result records the share of nulls
            yield gxe.ExpectColumnValuesToNotBeNull(
                column=column.name,
                mostly=_ONE_IN_A_BILLION,
                severity=INFO if column.name in optional else WARNING,
                description="a value in some rows",
                meta=explain(
                    "a column of nulls passes every other check, and whoever reads it learns nothing"
                ),
            )
    for column in columns:
        yield from _expect_valid_values(column, column.name in allow_empty)
    if contract.buckets:
        bucket_sql = f"bucket = pmod(xxhash64({contract.entity}), {contract.buckets})"
        yield expect_rows(
            "bucket",
            bucket_sql,
            f"hash of {contract.entity}, 0 to {contract.buckets - 1}",
            reason="a row in a wrong bucket is there for a scan, and missing for every look-up",
        )


def _explain_value(contract: Contract, column: Column) -> str:
    """Why a column must have a value in every row."""
    if column.name in contract.key:
        return "it is part of the key: a row without it cannot be found, joined or replaced"
    if column.name in contract.partitions:
        return "files lie by it: a row without it is of no day, and no day's batch replaces it"
    return f"readers take it for granted that every row says it: {column.comment}"


def _expect_valid_values(column: Column, allow_empty: bool) -> Iterator[Expectation]:
    name = column.name
    if column.type == "string" and not (column.nullable or allow_empty):
        reason = "'' is no null, and passes for a value: all rows without one would be those of one thing"
        yield gxe.ExpectColumnValuesToNotBeInSet(
            column=name, value_set=[""], description="not empty", meta=explain(reason)
        )
    if column.type in _FLOATS:
        reason = (
            "one NaN makes every sum, mean and model that reads it NaN, and passes other checks of limits"
        )
        yield ExpectColumnValuesToBeFinite(column=name, meta=explain(reason))
    if column.type in _FLOATS and column.unit == "0..1":
        yield expect_within(name, "it is a share: beyond 0 and 1 what it was computed from is wrong", 0, 1)
    # higher-order functions, so that elements are looked at in the scan of all other expectations
    if column.type.startswith("array<"):
        yield expect_rows(
            name,
            f"not exists({name}, x -> x is null)",
            "no element null",
            reason="loaders make arrays of numbers or ids of it, which have no place for a null",
        )
    if column.type in [f"array<{kind}>" for kind in _FLOATS]:
        finite = f"not exists({name}, x -> isnan(x) or abs(x) = double('Infinity'))"
        yield expect_rows(
            name,
            finite,
            "no element NaN or infinite",
            reason="one NaN in a vector makes every score with it NaN, and sorts above all others",
        )
