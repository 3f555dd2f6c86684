"""How the merged parts of a window end as a value; `schemas/operations.py` says what each operation means."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

from pyspark.sql import Column
from pyspark.sql import functions as F

from features.windows.folds import MICROS_A_DAY
from schemas.declarations import LIFETIME, Feature, days
from schemas.parts import Part

# The merged parts in the order of the declaration, for each window that `totals_over` names.
Value = Callable[[Feature, list[Column], Column], Column]


def totals_over(feature: Feature, window: str) -> list[str]:
    """The windows whose totals a feature is made of."""
    if feature.op == "decayed":
        return [LIFETIME]
    return [window, f"{2 * days(window)}d"] if feature.op == "trend" else [window]


def needs(feature: Feature, window: str) -> list[tuple[Part, str]]:
    """The totals that a feature is made of: which part, over which window."""
    return [
        (part, over)
        for part in feature.operation.parts(feature, window)
        for over in totals_over(feature, window)
    ]


def value(feature: Feature, window: str, totals: list[Column], at: Column) -> Column:
    """A feature, of totals in the order of `needs`, as of the instant `at`; null where there is nothing."""
    return VALUES[feature.op](feature, totals, at).alias(feature.name(window))


def or_default(feature: Feature, found: Column) -> Column:
    """In the type that was declared, and with the value of no plays where there were none."""
    type_ = next(feature.columns()).type
    return (
        found.cast(type_)
        if feature.of_none is None
        else F.coalesce(found.cast(type_), literal(feature.of_none, type_))
    )


def literal(value: Any, type_: str) -> Column:
    if isinstance(value, list):
        return F.array(*map(F.lit, value)).cast(type_)
    return F.lit(value).cast(type_)


def _plain(_: Feature, given: list[Column], __: Column) -> Column:
    return given[0]


def _ratio(_: Feature, given: list[Column], __: Column) -> Column:
    return F.try_divide(given[0].cast("double"), given[1].cast("double"))


def _variance(feature: Feature, given: list[Column], _: Column) -> Column:
    """From exact sums: (n Q - S²) / n². Integers stay integers until the end, so nothing cancels."""
    squares, total, count = given
    if feature.input_type == "double":
        mean = F.try_divide(total.cast("double"), count)
        return F.round(F.greatest(F.try_divide(squares.cast("double"), count) - mean * mean, F.lit(0.0)), 12)
    whole = total.cast("decimal(19,0)")
    spread = count.cast("decimal(19,0)") * squares - whole * whole
    return F.try_divide(F.try_divide(spread.cast("double"), count), count)


def _values(_: Feature, given: list[Column], __: Column) -> Column:
    return F.transform(given[0], lambda play: play["value"])


def _nearest(_: Feature, given: list[Column], __: Column) -> Column:
    return F.get(given[0], F.lit(0))["value"]


def _shares(_: Feature, given: list[Column], __: Column) -> Column:
    counts = given[0]
    everything = reduce(lambda a, b: a + b, [F.coalesce(counts[n], F.lit(0)) for n in range(24)])
    shares = F.array(*[F.coalesce(counts[n], F.lit(0)) / F.greatest(everything, F.lit(1)) for n in range(24)])
    return F.when(counts.isNotNull(), shares)


def _filled(_: Feature, given: list[Column], __: Column) -> Column:
    return F.transform(given[0], lambda count: F.coalesce(count, F.lit(0)))


def _growth(_: Feature, given: list[Column], __: Column) -> Column:
    recent, both = (F.coalesce(count, F.lit(0)) for count in given)
    return F.log2((recent + 1) / (both - recent + 1))


def _streak(_: Feature, given: list[Column], __: Column) -> Column:
    """The ones at the low end of the bits: adding one turns just those over."""
    bits = given[0]
    return F.bit_count(bits.bitwiseXOR(bits + 1)) - 1


def _days_since(_: Feature, given: list[Column], at: Column) -> Column:
    return (F.unix_micros(at) - F.unix_micros(given[0])) / MICROS_A_DAY


def _ranks(feature: Feature, given: list[Column], _: Column) -> Column:
    sketch = given[0]
    some = F.kll_sketch_get_n_double(sketch) > 0
    return F.when(some, F.kll_sketch_get_quantile_double(sketch, literal(list(feature.at), "array<double>")))


VALUES: dict[str, Value] = {
    **dict.fromkeys(("count", "sum", "min", "max", "decayed"), _plain),
    **dict.fromkeys(("mean", "rate", "ratio"), _ratio),
    "variance": _variance,
    "first": _nearest,
    "last": _nearest,
    "last_k": _values,
    "approx_distinct": lambda _, given, __: F.hll_sketch_estimate(given[0]),
    "percentiles": _ranks,
    "histogram": _filled,
    "hours": _shares,
    "trend": _growth,
    "streak": _streak,
    "days_since_first": _days_since,
    "days_since_last": _days_since,
}
# Made of counts per value, which `features/windows/daily.py` merges by rows.
OF_ITEMS = ("top_k", "entropy")


def of_items(feature: Feature, count: str) -> Column:
    """A feature of an entity's items, a row each, with their plays in the window in column `count`."""
    plays = F.col(count)
    if feature.op == "top_k":
        listed = F.sort_array(F.collect_list(F.when(plays > 0, F.struct((-plays).alias("n"), "item"))))
        return F.transform(F.slice(listed, 1, feature.k), lambda each: each["item"])
    # H = log2 N - (sum of n log2 n) / N; the sum is one of decimals, whatever the order
    weighed = F.sum(F.when(plays > 0, (plays * F.log2(plays)).cast("decimal(28,15)"))).cast("double")
    total = F.sum(plays)
    entropy = F.round(F.log2(total) - F.try_divide(weighed, total), 12)
    return F.when(total > 0, F.greatest(entropy, F.lit(0.0)))
