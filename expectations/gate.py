"""The gate: a batch passes, or no reader ever gets it. One run of Great Expectations, set to be fast and quiet."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from expectations import wording
from expectations.lineage import downgrade_to_info
from expectations.profile import Profile
from expectations.requirements import describe_expectation, read_notes
from expectations.suite import Bound, Suite
from expectations.verdict import Result, Verdict

if TYPE_CHECKING:
    from great_expectations.core.expectation_validation_result import ExpectationValidationResult
    from great_expectations.execution_engine import SparkDFExecutionEngine
    from great_expectations.expectations.expectation import Expectation
    from great_expectations.validator.metric_configuration import MetricConfiguration
    from pyspark.sql import DataFrame

# Counts without samples: a sample costs one more scan per expectation (35 Spark jobs for 20 expectations, 10
# without), and would carry raw ids.
RESULT_FORMAT = {"result_format": "BASIC", "partial_unexpected_count": 0}
_ROW_COUNTS = ("table.row_count", "table.row_count.aggregate_fn")
_SAMPLES = ".unexpected_values"


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
    number_results = [bound.check(numbers) for bound in suite.bounds if not bound.share]
    # shares go to Great Expectations with the rest, as they join the scan of all expectations
    shares = [bound for bound in suite.bounds if bound.share]
    expectations = (*suite.expectations, *map(_share_expectation, shares))
    results = _validate(df, expectations, profile.rows)
    for place, bound in enumerate(shares, len(suite.expectations)):
        expected = bound.explain(results[place].expected, results[place].success)
        results[place] = replace(
            results[place],
            expectation=bound.expectation,
            expected=expected,
            reason=bound.reason,
            owner=bound.owner,
        )
    row_results = (downgrade_to_info(suite.table, result, missing or {}) for result in results)
    return Verdict((*number_results, *_unbounded_measures(suite, measures), *row_results))


def _share_expectation(bound: Bound) -> Expectation:
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


def _unbounded_measures(suite: Suite, measures: Mapping[str, float]) -> Iterable[Result]:
    """What the job counted and nothing bounds or depends on: worth a line in the report."""
    bound_names = {name for bound in suite.bounds for name in (bound.measure, bound.applies_if)}
    for name, value in measures.items():
        if name not in bound_names:
            kind, observed = f"expect_{name}_to_be_counted", wording.format_number(value)
            yield Result(kind, name, "info", True, observed, "counted, without limits")


def _validate(df: DataFrame, expectations: Sequence[Expectation], rows: int) -> list[Result]:
    """One result per expectation, in their order; `rows` is the number of rows of `df`."""
    # Great Expectations answers in an order of its own, so each carries its place.
    numbered = [e.copy(update={"meta": {"place": place}}) for place, e in enumerate(expectations)]
    # a crashed metric is a result like any other, not several screens of log
    logging.getLogger("great_expectations").setLevel(logging.CRITICAL + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answers = _run(df, numbered, rows)
    by_place = {(a.expectation_config.meta or {}).get("place"): a for a in answers if a.expectation_config}
    return [_result(e, by_place.get(place), rows) for place, e in enumerate(expectations)]


def _run(df: DataFrame, expectations: list[Expectation], rows: int) -> Sequence[ExpectationValidationResult]:
    from great_expectations.validator.validator import Validator

    # persist=True, the default, would cache the batch (2 to 4 times the cost) and never release it
    engine = _engine()(rows, spark=df.sparkSession, persist=False)
    engine.load_batch_data("batch", df)
    # no data context and no data source: a validator needs neither for one DataFrame
    validator = Validator(engine)
    validator.metrics_calculator.show_progress_bars = False
    return validator.graph_validate(
        [expectation.configuration for expectation in expectations],
        # under ANSI one value that overflows fails the aggregate of all: then each is tried by itself
        runtime_configuration={"result_format": RESULT_FORMAT, "catch_exceptions": True},
    )


@cache
def _engine() -> type[SparkDFExecutionEngine]:
    # made late: importing its base takes seconds, and only what is staged needs it
    from great_expectations.execution_engine import SparkDFExecutionEngine

    class OneScanEngine(SparkDFExecutionEngine):
        """Answers without Spark how many rows there are, and with an empty list where samples of them are requested."""

        def __init__(self, rows: int, **options: Any) -> None:
            super().__init__(**options)
            self._rows = rows

        def resolve_metrics(
            self,
            metrics_to_resolve: Iterable[MetricConfiguration],
            metrics: dict[Any, Any] | None = None,
            runtime_configuration: dict[str, Any] | None = None,
        ) -> dict[Any, Any]:
            # Great Expectations counts the rows once more, and takes `limit(0)` of the rows that break each of its
            # own expectations: of a table of a hundred expectations that was most of its audit.
            configurations = list(metrics_to_resolve)
            values: dict[Any, Any] = {
                m.id: self._rows for m in configurations if m.metric_name in _ROW_COUNTS
            }
            values |= {m.id: [] for m in configurations if m.metric_name.endswith(_SAMPLES)}
            if others := [metric for metric in configurations if metric.id not in values]:
                values |= super().resolve_metrics(others, metrics, runtime_configuration)
            return values

    return OneScanEngine


def _result(expectation: Expectation, answer: ExpectationValidationResult | None, rows: int) -> Result:
    kind, kwargs = expectation.configuration.type, expectation.configuration.kwargs
    required = describe_expectation(expectation)
    made = partial(
        Result, required.expectation, required.column, reason=required.reason, owner=required.owner
    )
    # What could not be evaluated is critical, whatever its severity, as it may hide anything: Great Expectations
    # itself says of a crash no more than that there was no success.
    if answer is None:
        return made("critical", False, "could not be evaluated: no result", required.expected)
    if crash := wording.describe_crash(answer.exception_info):
        return made("critical", False, crash, required.expected)
    observed = wording.describe_observed(kind, kwargs, answer.result, rows)
    violations = int(answer.result["unexpected_count"] or 0) if "unexpected_count" in answer.result else None
    expected = required.expected
    if (notes := read_notes(expectation)) and not answer.success:
        expected = f"{expected} ({notes})"
    return made(required.severity, bool(answer.success), observed, expected, violations)
