"""Expectations that Great Expectations lacks. Each is one aggregate, so that all join one Spark job.

Its own checks over two columns, conditions on rows and distinct values scan the batch once more each.
"""

from __future__ import annotations

from typing import Any

from great_expectations.compatibility.pyspark import functions as F
from great_expectations.compatibility.pyspark import pyspark
from great_expectations.execution_engine import SparkDFExecutionEngine
from great_expectations.expectations.expectation import ColumnAggregateExpectation
from great_expectations.expectations.metrics import ColumnAggregateMetricProvider
from great_expectations.expectations.metrics.column_aggregate_metric_provider import column_aggregate_partial
from great_expectations.validator.metric_configuration import MetricConfiguration

Column = pyspark.sql.Column

_NULLITY = "column_values.nonnull.condition"

# Keeps the set of values that one aggregate collects small, whatever is in the column.
_HASH_RANGE = 1 << 20


class OnePassAggregate(ColumnAggregateMetricProvider):
    @classmethod
    def _get_evaluation_dependencies(
        cls, metric: MetricConfiguration, *args: Any, **kwargs: Any
    ) -> dict[str, Any]:
        # Metrics are computed in steps, each as soon as what it depends on is there, and each step is a scan: this one
        # waits for the step of the null checks, which every suite has.
        nullity = MetricConfiguration(_NULLITY, metric.metric_domain_kwargs, {})
        return {**super()._get_evaluation_dependencies(metric, *args, **kwargs), _NULLITY: nullity}


class NotFiniteCount(OnePassAggregate):
    """Rows that are NaN or infinite; a NaN passes every other check for a minimum."""

    metric_name = "column.not_finite_count"

    @column_aggregate_partial(engine=SparkDFExecutionEngine)
    def _spark(cls, column: Column, **_: Any) -> Column:  # noqa: N805
        return F.count_if(F.isnan(column) | (F.abs(column) == float("inf")))


class OutsideRange(OnePassAggregate):
    """Rows below or above the limits, then the smallest and the largest value."""

    metric_name = "column.outside_range"
    value_keys = ("min_value", "max_value")

    @column_aggregate_partial(engine=SparkDFExecutionEngine)
    def _spark(cls, column: Column, min_value: float | None, max_value: float | None, **_: Any) -> Column:  # noqa: N805
        below = F.lit(False) if min_value is None else column < min_value
        above = F.lit(False) if max_value is None else column > max_value
        numbers = F.when(~F.isnan(column), column)  # a NaN sorts above all numbers, and would be the maximum
        # one struct for three numbers: a metric is one column of the aggregate
        return F.struct(F.count_if(below | above), F.min(numbers), F.max(numbers))


class UnsatisfiedCount(OnePassAggregate):
    """Rows for which a SQL condition is false."""

    metric_name = "column.unsatisfied_count"
    value_keys = ("condition",)

    @column_aggregate_partial(engine=SparkDFExecutionEngine)
    def _spark(cls, column: Column, condition: str, **_: Any) -> Column:  # noqa: N805
        # not of null is null, which is not counted: as in a CHECK constraint, null is no breach
        return F.count_if(~F.expr(condition))


class Share(OnePassAggregate):
    """A SQL aggregate, 0..1."""

    metric_name = "column.share"
    value_keys = ("share",)

    @column_aggregate_partial(engine=SparkDFExecutionEngine)
    def _spark(cls, column: Column, share: str, **_: Any) -> Column:  # noqa: N805
        return F.expr(share)


class SurplusValues(OnePassAggregate):
    """How many different values of a SQL expression there are over one per day; null is none."""

    metric_name = "column.surplus_values"
    value_keys = ("value",)

    @column_aggregate_partial(engine=SparkDFExecutionEngine)
    def _spark(cls, column: Column, value: str, **_: Any) -> Column:  # noqa: N805
        is_set, day = F.expr(value).isNotNull(), F.col("ds")
        # sets of hashes and days: a count of distinct values would shuffle the rows in a scan of its own
        hash_of_value = F.pmod(F.xxhash64(day, F.expr(value)), F.lit(_HASH_RANGE))
        surplus = F.size(F.collect_set(F.when(is_set, hash_of_value))) - F.size(
            F.collect_set(F.when(is_set, day))
        )
        return F.greatest(surplus, F.lit(0))  # hashes of hundreds of days may collide, which is no fault


class ExpectColumnValuesToBeFinite(ColumnAggregateExpectation):
    """No NaN, no infinity."""

    metric_dependencies = (NotFiniteCount.metric_name,)

    def _validate(self, metrics: dict[str, Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
        return _count_result(metrics[NotFiniteCount.metric_name])


class ExpectColumnValuesToBeWithin(ColumnAggregateExpectation):
    """Limits, both allowed. Unlike Great Expectations' own check it reports the smallest and largest value."""

    min_value: float | None = None
    max_value: float | None = None

    metric_dependencies = (OutsideRange.metric_name,)
    success_keys = ("min_value", "max_value")

    def _validate(self, metrics: dict[str, Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
        outside, *extremes = metrics[OutsideRange.metric_name]
        return _count_result(outside, observed_value=extremes)


class ExpectRowsToSatisfy(ColumnAggregateExpectation):
    """A SQL condition over any columns of a row; `column` is the one to look at if it is broken."""

    condition: str

    metric_dependencies = (UnsatisfiedCount.metric_name,)
    success_keys = ("condition",)

    def _validate(self, metrics: dict[str, Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
        return _count_result(metrics[UnsatisfiedCount.metric_name])


class ExpectShareToBeBetween(ColumnAggregateExpectation):
    """A SQL aggregate, 0..1, within limits, both allowed; null, from no values at all, is outside."""

    share: str
    min_value: float = 0.0
    max_value: float = 1.0

    metric_dependencies = (Share.metric_name,)
    success_keys = ("share", "min_value", "max_value")

    def _validate(self, metrics: dict[str, Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
        return self._validate_metric_value_between(metric_name=Share.metric_name, metrics=metrics)


class ExpectOneValuePerDay(ColumnAggregateExpectation):
    """A SQL expression with the same value in all rows of a day."""

    value: str

    metric_dependencies = (SurplusValues.metric_name,)
    success_keys = ("value",)

    def _validate(self, metrics: dict[str, Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
        surplus = metrics[SurplusValues.metric_name]
        return {"success": surplus == 0, "result": {"observed_value": surplus}}


def _count_result(count: int, **more: Any) -> dict[str, Any]:
    return {"success": count == 0, "result": {"unexpected_count": count, **more}}
