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
    """`column` is None where an expectation is of no column; `owner` is empty where the table's answers for it."""

    expectation: str
    column: str | None
    severity: str
    expected: str
    reason: str = ""
    owner: str = ""


def describe_expectation(expectation: Expectation) -> Requirement:
    # Great Expectations makes it anew at each call
    configuration = expectation.configuration
    kind, kwargs = configuration.type, configuration.kwargs
    expected = expectation.description or wording.describe_expected(kind, kwargs)
    about = expectation.meta or {}
    return Requirement(
        wording.expectation_name(kind, kwargs),
        kwargs.get("column"),
        configuration.severity.value,
        expected,
        about.get("reason", ""),
        about.get("owner", ""),
    )


def read_notes(expectation: Expectation) -> str:
    """Why and who says so, of what a project declares or changes: part of the message where it is broken."""
    notes = expectation.notes or ""
    return notes if isinstance(notes, str) else " ".join(notes)


def list_requirements(suite: Suite) -> Iterator[Requirement]:
    """Named as their results are, bounds first."""
    for bound in suite.bounds:
        column = bound.column or bound.measure
        yield Requirement(bound.expectation, column, bound.severity, bound.limits, bound.reason, bound.owner)
    yield from map(describe_expectation, suite.expectations)
