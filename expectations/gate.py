"""The gate: a batch passes, or nobody ever sees it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from expectations.profile import Profile
from expectations.suite import Suite
from expectations.validation import validate
from expectations.verdict import Refused, Result, Verdict

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = ["Refused", "Result", "Verdict", "judge"]


def judge(df: DataFrame, suite: Suite, profile: Profile, measures: Mapping[str, float]) -> Verdict:
    """Every expectation of `suite`, held to `df`, its profile and what the job that made it counted.

    `df` should be the staged files, read back: the plan that made them can give other rows when it
    runs again. The number of Spark jobs does not grow with the number of expectations.
    """
    numbers = {"rows": profile.rows, "duplicate_keys": profile.duplicate_keys, **measures}
    of_batch = tuple(bound.check(numbers) for bound in suite.bounds)
    return Verdict(of_batch + _noted(suite, measures) + validate(df, suite.expectations, profile.rows))


def _noted(suite: Suite, measures: Mapping[str, float]) -> tuple[Result, ...]:
    """What the job counted and nothing bounds or depends on: worth a line in the report."""
    from expectations.wording import number

    bounded = {name for bound in suite.bounds for name in (bound.measure, bound.when)}
    return tuple(
        Result(f"expect_{name}_to_be_counted", name, "info", True, number(value), "counted, without limits")
        for name, value in measures.items()
        if name not in bounded
    )
