"""Expectations that a table's contract implies, whatever the table is about."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import great_expectations.expectations as gxe
from great_expectations.expectations.expectation import Expectation
from great_expectations.expectations.metadata_types import FailureSeverity

from expectations.aggregates import (
    ExpectColumnValuesToBeFinite,
    ExpectColumnValuesToBeWithin,
    ExpectRowsToSatisfy,
)
from expectations.suite import Bound
from schemas import Contract
from schemas.contract import Column

# A share of rows that even one row in a billion exceeds: only a column of nulls is below it.
_ONE_IN_A_BILLION = 1e-9
_FLOATS = ("float", "double")

CRITICAL, WARNING, INFO = FailureSeverity.CRITICAL, FailureSeverity.WARNING, FailureSeverity.INFO

ONE_ROW_PER_KEY = Bound(
    "duplicate_keys", "a key names one row, or every join with it counts twice", high=0, integrity=True
)
SOME_ROWS = Bound("rows", "an empty batch would take the place of what is published", low=1, integrity=True)


def expect_contract(
    contract: Contract, optional: Collection[str] = (), allow_empty: Collection[str] = ()
) -> tuple[Expectation, ...]:
    """What every batch of the table must hold to, column by column.

    Args:
        optional: columns that some sources never fill, so a batch of nulls is no warning.
        allow_empty: strings for which '' is a value.
    """
    known = [column for column in contract.columns if column.name != "available_at"]
    return (
        *(_expect_values_present(column, column.name in optional) for column in known),
        *(
            expectation
            for column in known
            for expectation in _expect_valid_values(column, column.name in allow_empty)
        ),
        *_expect_bucket(contract),
    )


def expect_rows(
    column: str, condition: str, expected: str, severity: FailureSeverity = CRITICAL
) -> ExpectRowsToSatisfy:
    """A SQL condition on every row, described in words; null is no breach of it."""
    return ExpectRowsToSatisfy(column=column, condition=condition, description=expected, severity=severity)


def _expect_values_present(column: Column, optional: bool) -> Expectation:
    """For a nullable column it records the share of nulls; a column of nulls passes all other checks."""
    if not column.nullable:
        return gxe.ExpectColumnValuesToNotBeNull(column=column.name)
    return gxe.ExpectColumnValuesToNotBeNull(
        column=column.name,
        mostly=_ONE_IN_A_BILLION,
        severity=INFO if optional else WARNING,
        description="a value in some rows",
    )


def _expect_valid_values(column: Column, allow_empty: bool) -> Iterator[Expectation]:
    name = column.name
    if column.type == "string" and not (column.nullable or allow_empty):
        yield gxe.ExpectColumnValuesToNotBeInSet(column=name, value_set=[""], description="not empty")
    if column.type in _FLOATS:
        yield ExpectColumnValuesToBeFinite(column=name)
    if column.type in _FLOATS and column.unit == "0..1":
        yield ExpectColumnValuesToBeWithin(column=name, min_value=0, max_value=1)
    if column.type.startswith("array<"):
        yield expect_rows(name, f"not exists({name}, x -> x is null)", "no element null")
    if column.type in [f"array<{kind}>" for kind in _FLOATS]:
        finite = f"not exists({name}, x -> isnan(x) or abs(x) = double('Infinity'))"
        yield expect_rows(name, finite, "no element NaN or infinite")


def _expect_bucket(contract: Contract) -> Iterator[Expectation]:
    """A row in a wrong bucket is there for a scan, and missing for every look-up."""
    if contract.buckets:
        hashed = f"bucket = pmod(xxhash64({contract.entity}), {contract.buckets})"
        yield expect_rows("bucket", hashed, f"hash of {contract.entity}, 0 to {contract.buckets - 1}")
