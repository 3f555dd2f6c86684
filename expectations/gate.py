"""The gate: a batch passes, or nobody ever sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from expectations.lineage import downgrade_to_info
from expectations.profile import Profile
from expectations.suite import Bound, Suite
from expectations.validation import validate
from expectations.verdict import Refused, Result, Verdict

if TYPE_CHECKING:
    from great_expectations.expectations.expectation import Expectation
    from pyspark.sql import DataFrame

__all__ = ["Refused", "Result", "Verdict", "audit_batch"]


def audit_batch(
    df: DataFrame,
    suite: Suite,
    profile: Profile,
    measures: Mapping[str, float],
    missing: Mapping[str, str] | None = None,
) -> Verdict:
    """Every expectation of `suite`, for `df`, its profile and what the job that made it counted.

    `df` should be the staged files, read back: the plan that made them can give other rows when it
    runs again. The number of Spark jobs does not grow with the number of expectations.

    Args:
        missing: why a column of plays has no value, in words, for each that has none.
    """
    numbers = {"rows": profile.rows, "duplicate_keys": profile.duplicate_keys, **measures}
    counted = tuple(bound.check(numbers) for bound in suite.bounds if not bound.share)
    shares = [bound for bound in suite.bounds if bound.share]
    expectations = (*suite.expectations, *map(_expectation, shares))
    found = validate(df, expectations, profile.rows)
    of_rows = found[: len(suite.expectations)]
    of_shares = map(_with_reason, shares, found[len(suite.expectations) :])
    results = (*of_rows, *of_shares)
    return Verdict(
        counted
        + _unbounded_measures(suite, measures)
        + tuple(downgrade_to_info(suite.table, result, missing or {}) for result in results)
    )


def _expectation(bound: Bound) -> Expectation:
    """A share joins the scan of all other expectations."""
    from great_expectations.expectations.metadata_types import FailureSeverity

    from expectations.aggregates import ExpectShareToBeBetween

    return ExpectShareToBeBetween(
        column=bound.column or bound.measure,
        share=bound.share,
        min_value=0.0 if bound.low is None else bound.low,
        max_value=1.0 if bound.high is None else bound.high,
        severity=FailureSeverity(bound.severity),
        description=bound.limits,
    )


def _with_reason(bound: Bound, result: Result) -> Result:
    expected = bound.explain(result.expected, result.success)
    return replace(result, expectation=bound.expectation, expected=expected)


def _unbounded_measures(suite: Suite, measures: Mapping[str, float]) -> tuple[Result, ...]:
    """What the job counted and nothing bounds or depends on: worth a line in the report."""
    from expectations.wording import format_number

    bounded = {name for bound in suite.bounds for name in (bound.measure, bound.applies_if)}
    return tuple(
        Result(
            f"expect_{name}_to_be_counted",
            name,
            "info",
            True,
            format_number(value),
            "counted, without limits",
        )
        for name, value in measures.items()
        if name not in bounded
    )
