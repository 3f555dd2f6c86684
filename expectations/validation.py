"""One run of Great Expectations over one DataFrame, told to be fast and quiet."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from expectations import wording
from expectations.verdict import Result

if TYPE_CHECKING:
    from great_expectations.core.expectation_validation_result import ExpectationValidationResult
    from great_expectations.execution_engine import SparkDFExecutionEngine
    from great_expectations.expectations.expectation import Expectation
    from great_expectations.validator.metric_configuration import MetricConfiguration
    from pyspark.sql import DataFrame

# Counts without samples: a sample costs one more scan per expectation, and would carry raw ids.
RESULT_FORMAT = {"result_format": "BASIC", "partial_unexpected_count": 0}
_ROW_COUNTS = ("table.row_count", "table.row_count.aggregate_fn")
_SAMPLES = ".unexpected_values"


def validate(df: DataFrame, expectations: Sequence[Expectation], rows: int) -> tuple[Result, ...]:
    """One result per expectation, in their order; `rows` is the format_number of rows of `df`."""
    # Great Expectations answers in an order of its own, so each carries its place.
    placed = [e.copy(update={"meta": {"place": place}}) for place, e in enumerate(expectations)]
    # a crashed metric is a result like any other, not several screens of log
    logging.getLogger("great_expectations").setLevel(logging.CRITICAL + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {_place(evr): evr for evr in _run(df, placed, rows)}
    return tuple(_result(e, found.get(place), rows) for place, e in enumerate(expectations))


def _run(df: DataFrame, expectations: list[Expectation], rows: int) -> Sequence[ExpectationValidationResult]:
    from great_expectations.validator.validator import Validator

    # persist=True, the default, would cache the batch and never let go of it
    engine = _engine()(rows, spark=df.sparkSession, persist=False)
    engine.load_batch_data("batch", df)
    configurations = [expectation.configuration for expectation in expectations]
    runtime = {"result_format": RESULT_FORMAT, "catch_exceptions": True}
    validator = Validator(engine)
    validator.metrics_calculator.show_progress_bars = False
    return validator.graph_validate(configurations, runtime_configuration=runtime)


@cache
def _engine() -> type[SparkDFExecutionEngine]:
    """A class made late: importing its base takes seconds, and only what is staged needs it."""
    from great_expectations.execution_engine import SparkDFExecutionEngine

    class OneScanEngine(SparkDFExecutionEngine):
        """Answers without Spark how many rows there are, and with none where samples of them are asked for.

        Great Expectations counts the rows once more, and takes `limit(0)` of the rows that break each of its
        own expectations: of a table of a hundred expectations that was most of its audit.
        """

        def __init__(self, rows: int, **options: Any) -> None:
            super().__init__(**options)
            self._rows = rows

        def resolve_metrics(
            self,
            metrics_to_resolve: Iterable[MetricConfiguration],
            metrics: dict[Any, Any] | None = None,
            runtime_configuration: dict[str, Any] | None = None,
        ) -> dict[Any, Any]:
            wanted = list(metrics_to_resolve)
            known: dict[Any, Any] = {
                each.id: self._rows for each in wanted if each.metric_name in _ROW_COUNTS
            }
            known |= {each.id: [] for each in wanted if each.metric_name.endswith(_SAMPLES)}
            others = [each for each in wanted if each.id not in known]
            if others:
                known |= super().resolve_metrics(others, metrics, runtime_configuration)
            return known

    return OneScanEngine


def _place(found: ExpectationValidationResult) -> int | None:
    expected = found.expectation_config
    return expected.meta["place"] if expected and expected.meta else None


def _result(expectation: Expectation, found: ExpectationValidationResult | None, rows: int) -> Result:
    """What could not be evaluated is critical, however little it would matter otherwise: nobody knows."""
    kind, kwargs = expectation.configuration.type, expectation.configuration.kwargs
    expected = expectation.description or wording.describe_expected(kind, kwargs)
    about = (wording.name(kind, kwargs), kwargs.get("column"))
    crash = "could not be evaluated: no result" if found is None else wording.crash(found.exception_info)
    if found is None or crash:
        return Result(*about, "critical", False, str(crash), expected)
    seen = wording.describe_observed(kind, kwargs, found.result, rows)
    broken = int(found.result["unexpected_count"] or 0) if "unexpected_count" in found.result else None
    severity = expectation.configuration.severity.value
    return Result(*about, severity, bool(found.success), seen, expected, broken)
