"""count, sum, mean, min, max, variance, rate, ratio, trend, histogram: what adds up to a number or a few."""

from __future__ import annotations

from itertools import pairwise

from pyspark.sql import Column
from pyspark.sql import functions as F

from features.windows.aggregates import Aggregate, Value, sum_arrays, to_decimal
from schemas.declarations import Feature
from schemas.parts import Part


def _sum(part: Part, column: Column, _: Column) -> Column:
    return F.sum(column).cast(part.type)


def _sum_of_squares(_: Part, value: Column) -> Column:
    whole = value.cast("decimal(19,0)")  # 19 digits hold any bigint, 38 its square
    return F.sum(whole * whole).cast("decimal(38,0)")


def _histogram(part: Part, value: Column) -> Column:
    limits = [float("-inf"), *_edges(part), float("inf")]
    between = [
        (value >= low if low != limits[0] else F.lit(True))
        & (value < high if high != limits[-1] else value.isNotNull())
        for low, high in pairwise(limits)
    ]
    return F.array(*[F.count_if(each) for each in between])


def _edges(part: Part) -> list[float]:
    return [float(edge) for edge in part.detail.split()]


AGGREGATES: dict[str, Aggregate] = {
    "count": Aggregate(lambda _, value: F.count(value), _sum),
    "true": Aggregate(lambda _, value: F.count_if(value), _sum),
    "sum": Aggregate(lambda _, value: F.sum(value.cast("bigint")), _sum),
    "exact": Aggregate(lambda _, value: F.sum(to_decimal(value, 12)), _sum),
    "squares": Aggregate(_sum_of_squares, _sum),
    "exact_squares": Aggregate(lambda _, value: F.sum(to_decimal(value * value, 12)), _sum),
    "min": Aggregate(lambda _, value: F.min(value), lambda _, column, __: F.min(column)),
    "max": Aggregate(lambda _, value: F.max(value), lambda _, column, __: F.max(column)),
    "histogram": Aggregate(_histogram, sum_arrays(lambda part: len(_edges(part)) + 1)),
}


def _ratio(_: Feature, totals: list[Column], __: Column) -> Column:
    return F.try_divide(totals[0].cast("double"), totals[1].cast("double"))


def _variance(feature: Feature, totals: list[Column], _: Column) -> Column:
    """From exact sums: (n Q - S²) / n². Integers stay integers until the end, so nothing cancels."""
    squares, total, count = totals
    if feature.input_type == "double":
        mean = F.try_divide(total.cast("double"), count)
        return F.round(F.greatest(F.try_divide(squares.cast("double"), count) - mean * mean, F.lit(0.0)), 12)
    whole = total.cast("decimal(19,0)")
    spread = count.cast("decimal(19,0)") * squares - whole * whole
    return F.try_divide(F.try_divide(spread.cast("double"), count), count)


def _log2_growth(_: Feature, totals: list[Column], __: Column) -> Column:
    recent, both = (F.coalesce(count, F.lit(0)) for count in totals)
    return F.log2((recent + 1) / (both - recent + 1))


VALUES: dict[str, Value] = {
    **dict.fromkeys(("count", "sum", "min", "max"), lambda _, totals, __: totals[0]),
    **dict.fromkeys(("mean", "rate", "ratio"), _ratio),
    "variance": _variance,
    "trend": _log2_growth,
    # where no part is there, a sum of its elements is null, and the histogram has zeros
    "histogram": lambda _, totals, __: F.transform(totals[0], lambda count: F.coalesce(count, F.lit(0))),
}
