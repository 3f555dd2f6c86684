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

# The merged parts in the order of the declaration, for each window that `total_windows` names.
Value = Callable[[Feature, list[Column], Column], Column]


def total_windows(feature: Feature, window: str) -> list[str]:
    """The windows whose totals a feature is made of."""
    if feature.op == "decayed":
        return [LIFETIME]
    return [window, f"{2 * days(window)}d"] if feature.op == "trend" else [window]


def required_totals(feature: Feature, window: str) -> list[tuple[Part, str]]:
    """The totals that a feature is made of: which part, over which window."""
    return [
        (part, over)
        for part in feature.operation.parts(feature, window)
        for over in total_windows(feature, window)
    ]


def value(feature: Feature, window: str, totals: list[Column], at: Column) -> Column:
    """A feature, of totals in the order of `required_totals`, as of the instant `at`; null where there is nothing."""
    return VALUES[feature.op](feature, totals, at).alias(feature.name(window))


def with_default(feature: Feature, found: Column) -> Column:
    """In the type that was declared, and with the value of no plays where there were none."""
    type_ = next(feature.columns()).type
    return (
        found.cast(type_)
        if feature.empty_value is None
        else F.coalesce(found.cast(type_), literal(feature.empty_value, type_))
    )


def literal(value: Any, type_: str) -> Column:
    if isinstance(value, list):
        return F.array(*map(F.lit, value)).cast(type_)
    return F.lit(value).cast(type_)


def _identity(_: Feature, totals: list[Column], __: Column) -> Column:
    return totals[0]


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


def _values(_: Feature, totals: list[Column], __: Column) -> Column:
    return F.transform(totals[0], lambda play: play["value"])


def _first_value(_: Feature, totals: list[Column], __: Column) -> Column:
    return F.get(totals[0], F.lit(0))["value"]


def _hour_shares(_: Feature, totals: list[Column], __: Column) -> Column:
    counts = totals[0]
    everything = reduce(lambda a, b: a + b, [F.coalesce(counts[n], F.lit(0)) for n in range(24)])
    shares = F.array(*[F.coalesce(counts[n], F.lit(0)) / F.greatest(everything, F.lit(1)) for n in range(24)])
    return F.when(counts.isNotNull(), shares)


def _zero_filled(_: Feature, totals: list[Column], __: Column) -> Column:
    return F.transform(totals[0], lambda count: F.coalesce(count, F.lit(0)))


def _log2_growth(_: Feature, totals: list[Column], __: Column) -> Column:
    recent, both = (F.coalesce(count, F.lit(0)) for count in totals)
    return F.log2((recent + 1) / (both - recent + 1))


def _streak(_: Feature, totals: list[Column], __: Column) -> Column:
    """The ones at the low end of the bits: adding one turns just those over."""
    bits = totals[0]
    return F.bit_count(bits.bitwiseXOR(bits + 1)) - 1


def _days_since(_: Feature, totals: list[Column], at: Column) -> Column:
    return (F.unix_micros(at) - F.unix_micros(totals[0])) / MICROS_A_DAY


def _quantiles(feature: Feature, totals: list[Column], _: Column) -> Column:
    sketch = totals[0]
    some = F.kll_sketch_get_n_double(sketch) > 0
    return F.when(some, F.kll_sketch_get_quantile_double(sketch, literal(list(feature.at), "array<double>")))


VALUES: dict[str, Value] = {
    **dict.fromkeys(("count", "sum", "min", "max", "decayed"), _identity),
    **dict.fromkeys(("mean", "rate", "ratio"), _ratio),
    "variance": _variance,
    "first": _first_value,
    "last": _first_value,
    "last_k": _values,
    "approx_distinct": lambda _, totals, __: F.hll_sketch_estimate(totals[0]),
    "percentiles": _quantiles,
    "histogram": _zero_filled,
    "hours": _hour_shares,
    "trend": _log2_growth,
    "streak": _streak,
    "days_since_first": _days_since,
    "days_since_last": _days_since,
}
# Made of counts per value, which `features/windows/daily.py` merges by rows.
ITEM_OPERATIONS = ("top_k", "entropy")


def item_value(feature: Feature, count: str) -> Column:
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
