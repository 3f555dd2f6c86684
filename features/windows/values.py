"""What the merged parts of a window end as, for each operation."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

from pyspark.sql import Column
from pyspark.sql import functions as F

from schemas.common import MICROS_A_DAY
from schemas.declarations import Feature

# The merged parts in the order of the declaration, and the instant at which the window ends, or begins.
Value = Callable[[Feature, list[Column], Column], Column]


def _ratio(_: Feature, totals: list[Column], __: Column) -> Column:
    return F.try_divide(totals[0].cast("double"), totals[1].cast("double"))


def _variance(feature: Feature, totals: list[Column], _: Column) -> Column:
    """From exact sums: (n Q - S²) / n²."""
    squares, total, count = totals
    if feature.input_type == "double":
        mean = F.try_divide(total.cast("double"), count)
        # of equal values the two sides differ by rounding alone, which may leave a little less than nothing
        spread = F.greatest(F.try_divide(squares.cast("double"), count) - mean * mean, F.lit(0.0))
        # `greatest` passes over a null
        return F.when(mean.isNotNull(), F.round(spread, 12))
    # integers stay integers until the end, so nothing cancels
    whole = total.cast("decimal(19,0)")
    spread = count.cast("decimal(19,0)") * squares - whole * whole
    return F.try_divide(F.try_divide(spread.cast("double"), count), count)


def _log2_growth(_: Feature, totals: list[Column], __: Column) -> Column:
    recent, both = (F.coalesce(count, F.lit(0)) for count in totals)
    # one play more on both sides: a first week of plays has a growth, and no play at all has none
    return F.log2((recent + 1) / (both - recent + 1))


def _quantiles(feature: Feature, totals: list[Column], _: Column) -> Column:
    sketch = totals[0]
    ranks = F.array(*map(F.lit, feature.at)).cast("array<double>")
    # a sketch of no values has no quantile, and asking for one is an error
    return F.when(F.kll_sketch_get_n_double(sketch) > 0, F.kll_sketch_get_quantile_double(sketch, ranks))


def _hour_shares(_: Feature, totals: list[Column], __: Column) -> Column:
    by_hour = [F.coalesce(totals[0][n], F.lit(0)) for n in range(24)]
    plays = F.greatest(reduce(lambda a, b: a + b, by_hour), F.lit(1))
    return F.when(totals[0].isNotNull(), F.array(*[count / plays for count in by_hour]))


def _streak(_: Feature, totals: list[Column], __: Column) -> Column:
    """The ones at the low end of the bits: adding one turns just those over."""
    bits = totals[0]
    return F.bit_count(bits.bitwiseXOR(bits + 1)) - 1


def _days_since(_: Feature, totals: list[Column], at: Column) -> Column:
    return (F.unix_micros(at) - F.unix_micros(totals[0])) / MICROS_A_DAY


def _days_until(_: Feature, totals: list[Column], at: Column) -> Column:
    return (F.unix_micros(totals[0]) - F.unix_micros(at)) / MICROS_A_DAY


VALUES: dict[str, Value] = {
    **dict.fromkeys(("count", "sum", "min", "max", "decayed"), lambda _, totals, __: totals[0]),
    **dict.fromkeys(("mean", "rate", "ratio"), _ratio),
    "variance": _variance,
    "trend": _log2_growth,
    # where no part is there, a sum of its elements is null, and the histogram has zeros
    "histogram": lambda _, totals, __: F.transform(totals[0], lambda count: F.coalesce(count, F.lit(0))),
    # `get`, as an index beyond the end of a list is an error in ANSI mode
    **dict.fromkeys(("first", "last"), lambda _, totals, __: F.get(totals[0], F.lit(0))["value"]),
    "last_k": lambda _, totals, __: F.transform(totals[0], lambda play: play["value"]),
    "approx_distinct": lambda _, totals, __: F.hll_sketch_estimate(totals[0]),
    "percentiles": _quantiles,
    "hours": _hour_shares,
    "streak": _streak,
    **dict.fromkeys(("days_since_first", "days_since_last"), _days_since),
}
# Of windows that begin at the instant.
VALUES_AHEAD = VALUES | dict.fromkeys(("days_since_first", "days_since_last"), _days_until)
