"""One run of Great Expectations over one DataFrame, told to be fast and quiet."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from expectations import wording
from expectations.verdict import Result

if TYPE_CHECKING:
    from great_expectations.core.expectation_validation_result import ExpectationValidationResult
    from great_expectations.expectations.expectation import Expectation
    from pyspark.sql import DataFrame

# Counts without samples: a sample costs one more scan per expectation, and would carry raw ids.
RESULT_FORMAT = {"result_format": "BASIC", "partial_unexpected_count": 0}


def validate(df: DataFrame, expectations: Sequence[Expectation], rows: int) -> tuple[Result, ...]:
    """One result per expectation, in their order; `rows` is the number of rows of `df`."""
    # Great Expectations answers in an order of its own, so each carries its place.
    placed = [e.copy(update={"meta": {"place": place}}) for place, e in enumerate(expectations)]
    with _quiet():
        found = {_place(evr): evr for evr in _run(df, placed)}
    return tuple(_result(e, found.get(place), rows) for place, e in enumerate(expectations))


def _run(df: DataFrame, expectations: list[Expectation]) -> list[ExpectationValidationResult]:
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    # persist=True, the default, would cache the batch and never let go of it
    asset = context.data_sources.add_spark("batches", persist=False).add_dataframe_asset("batch")
    batch = asset.add_batch_definition_whole_dataframe("whole").get_batch(batch_parameters={"dataframe": df})
    suite = gx.ExpectationSuite(name="suite", expectations=expectations)
    return list(batch.validate(suite, result_format=RESULT_FORMAT).results)


def _place(found: ExpectationValidationResult) -> int | None:
    asked = found.expectation_config
    return asked.meta["place"] if asked and asked.meta else None


@contextmanager
def _quiet() -> Iterator[None]:
    """A crashed metric is a result like any other, not several screens of log."""
    logger = logging.getLogger("great_expectations")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


def _result(expectation: Expectation, found: ExpectationValidationResult | None, rows: int) -> Result:
    """What could not be evaluated is critical, however little it would matter otherwise: nobody knows."""
    kind, kwargs = expectation.configuration.type, expectation.configuration.kwargs
    asked = expectation.description or wording.expected(kind, kwargs)
    about = (wording.name(kind, kwargs), kwargs.get("column"))
    crash = "could not be evaluated: no result" if found is None else wording.crash(found.exception_info)
    if found is None or crash:
        return Result(*about, "critical", False, str(crash), asked)
    seen = wording.observed(kind, kwargs, found.result, rows)
    broken = int(found.result["unexpected_count"] or 0) if "unexpected_count" in found.result else None
    severity = expectation.configuration.severity.value
    return Result(*about, severity, bool(found.success), seen, asked, broken)
