"""What a suite requires, in words: before there is a batch, and beside the results of one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from expectations import wording
from expectations.suite import Suite

if TYPE_CHECKING:
    from great_expectations.expectations.expectation import Expectation


@dataclass(frozen=True)
class Requirement:
    """`column` is None where an expectation is of no column; `reason` is empty where it says it all by itself."""

    expectation: str
    column: str | None
    severity: str
    expected: str
    reason: str = ""


def describe_expectation(expectation: Expectation) -> Requirement:
    kind, kwargs = expectation.configuration.type, expectation.configuration.kwargs
    expected = expectation.description or wording.describe_expected(kind, kwargs)
    severity = expectation.configuration.severity.value
    return Requirement(
        wording.expectation_name(kind, kwargs), kwargs.get("column"), severity, expected, _notes(expectation)
    )


def _notes(expectation: Expectation) -> str:
    notes = expectation.notes or ""
    return notes if isinstance(notes, str) else " ".join(notes)


def list_requirements(suite: Suite) -> Iterator[Requirement]:
    """Named as their results are, bounds first."""
    for bound in suite.bounds:
        column = bound.column or bound.measure
        yield Requirement(bound.expectation, column, bound.severity, bound.limits, bound.reason)
    yield from map(describe_expectation, suite.expectations)
