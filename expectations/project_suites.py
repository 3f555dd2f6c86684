"""Our suite of a table with what a project adds and changes; what it cannot change is refused by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from expectations.declarations import Change, RowExpectation, TableExpectations
from expectations.suite import PROFILED, Bound, Suite, explain_origin
from expectations.wording import expectation_name, format_number
from schemas.mistakes import Mistakes, suggest

if TYPE_CHECKING:
    from great_expectations.expectations.expectation import Expectation


def extend_suite(
    suite: Suite, declared: Sequence[TableExpectations], mistakes: Mistakes | None = None
) -> Suite:
    """The suite with what is declared for its table.

    Raises:
        DeclarationError: a line for each mistake; with `mistakes`, these are noted there instead.
    """
    noted = mistakes or Mistakes()
    for each in declared:
        if each.table == suite.table:
            for rule in each.rules:
                problem = _find_problem(suite, rule)
                if problem:
                    noted.lines.append(f"{_place_of(each, rule)}: expectations of {suite.table}: {problem}")
                else:
                    suite = _apply(suite, rule, each.origin_of(rule), each.owner)
    if mistakes is None:
        noted.raise_any("expectations")
    return suite


def name_row_expectations(suite: Suite) -> dict[str, Expectation]:
    """The expectations of rows by the name that a change has for them."""
    return {_name(each): each for each in suite.expectations}


def _name(expectation: Expectation) -> str:
    configuration = expectation.configuration
    about = expectation_name(configuration.type, configuration.kwargs)
    return f"{configuration.kwargs['column']}: {about}"


def _place_of(declared: TableExpectations, rule: RowExpectation | Bound | Change) -> str:
    return declared.place if isinstance(rule, Bound) else rule.place


# --- what cannot be


def _find_problem(suite: Suite, rule: RowExpectation | Bound | Change) -> str:
    bounds = {bound.name: bound for bound in suite.bounds}
    if isinstance(rule, Bound):
        return _find_bound_problem(suite, rule, bounds)
    if isinstance(rule, RowExpectation):
        name = _name(_to_expectation(rule, ""))
        return (
            f"{name} is expected already; change it with Change({name!r}, …)"
            if name in name_row_expectations(suite)
            else ""
        )
    if rule.name in bounds:
        return _find_change_problem(rule, bounds[rule.name])
    rows = name_row_expectations(suite)
    if rule.name not in rows:
        return f"got {rule.name!r}, which {suite.table} does not have; expected {suggest(rule.name, [*bounds, *rows])}"
    return _find_row_change_problem(rule, rows[rule.name].configuration.severity.value)


def _find_bound_problem(suite: Suite, bound: Bound, bounds: Mapping[str, Bound]) -> str:
    if bound.name in bounds:
        return (
            f"bound {bound.name} is there already; change it with Change({bound.name!r}, …), or give title=…"
        )
    # what no job counts would be "not measured", and refuse every batch
    counted = list(dict.fromkeys([*PROFILED, *(each.measure for each in bounds.values() if not each.share)]))
    if not bound.share and bound.measure not in counted:
        return (
            f"bound {bound.name} is of {bound.measure!r}, which is not counted of {suite.table}; expected "
            f"{suggest(bound.measure, counted)}, or share=…, a SQL aggregate over the rows"
        )
    return ""


def _find_change_problem(change: Change, bound: Bound) -> str:
    if bound.integrity:
        return f"{bound.name} is a matter of integrity, which no project can change or switch off: {bound.reason}"
    low, high = (change.values.get(name, getattr(bound, name)) for name in ("low", "high"))
    if low is not None and high is not None and low > high:
        limits = f"{format_number(low)} to {format_number(high)}"
        return f"{bound.name} would go from {limits}; expected low at or below high"
    return ""


def _find_row_change_problem(change: Change, severity: str) -> str:
    if change.low is not None or change.high is not None:
        return (
            f"{change.name} is a condition on rows, without limits; give severity, or one more expect_rows(…)"
        )
    if severity == "critical":
        return f"{change.name} is a matter of integrity, which no project can change or switch off"
    return ""


# --- what is done


def _apply(suite: Suite, rule: RowExpectation | Bound | Change, origin: str, owner: str) -> Suite:
    if isinstance(rule, Bound):
        return replace(suite, bounds=(*suite.bounds, replace(rule, origin=origin, owner=owner)))
    if isinstance(rule, RowExpectation):
        return replace(suite, expectations=(*suite.expectations, _to_expectation(rule, origin, owner)))
    return replace(
        suite,
        bounds=tuple(_change_bounds(suite.bounds, rule, origin, owner)),
        expectations=tuple(_change_rows(suite.expectations, rule, origin, owner)),
    )


def _to_expectation(rule: RowExpectation, origin: str, owner: str = "") -> Expectation:
    from great_expectations.expectations.metadata_types import FailureSeverity

    from expectations.contracts import expect_rows

    made = expect_rows(rule.column, rule.condition, rule.expected, FailureSeverity(rule.severity))
    return _annotate(made, rule.reason, origin, owner)


def _change_bounds(bounds: Sequence[Bound], change: Change, origin: str, owner: str) -> Iterator[Bound]:
    for bound in bounds:
        if bound.name != change.name:
            yield bound
        elif change.enabled:
            yield bound.change(change.values, origin, change.reason, owner)


def _change_rows(
    expectations: Sequence[Expectation], change: Change, origin: str, owner: str
) -> Iterator[Expectation]:
    from great_expectations.expectations.metadata_types import FailureSeverity

    for expectation in expectations:
        if _name(expectation) != change.name:
            yield expectation
        elif change.enabled:
            default = expectation.configuration.severity.value
            changed = expectation.copy(update={"severity": FailureSeverity(change.severity)})
            yield _annotate(changed, change.reason, origin, owner, default)


def _annotate(
    expectation: Expectation, reason: str, origin: str, owner: str, default: str = ""
) -> Expectation:
    # Great Expectations keeps both: notes are for the message, the other is for the list of the gate
    about = {"reason": reason, "origin": origin, "owner": owner, "default": default}
    return expectation.copy(update={"notes": explain_origin(reason, origin, default), "meta": about})
