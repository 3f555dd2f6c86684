"""The operations that a feature can be declared with: type, unit, windows and parts of each.

What each means, for the plays of one entity in the window [t - w, t) that the filter lets through,
nulls of the input left out, and in sums NaN ("lifetime" is all plays before t):

| operation | value | of no plays |
|---|---|---|
| count | how many | 0 |
| sum | their sum; integers exactly, doubles (to 10^26) to 12 decimals | 0 |
| mean | sum / count | null |
| min, max | the smallest, the largest | null |
| variance | population variance; of doubles (to 10^13) to 12 decimals | null |
| rate | share for which the input is true | null |
| ratio | sum of `input` / sum of `per`, of plays where both are known; null where that is 0 | null |
| first, last | value of the first, the last play, by (played_at, play_id) | null |
| last_k | values of the last `k` plays, newest first, by (played_at, play_id) | [] |
| top_k | the `k` values with the most plays, as text, most first, equals in order of their UTF-8 bytes | [] |
| distinct | how many different values, exactly; windows to 90d | 0 |
| approx_distinct | how many different values, HyperLogLog (2^12 registers, 1.6 % standard error) | 0 |
| percentiles | at each of `at` (0..1), KLL (k = 200, rank error 1.65 %) | null |
| histogram | plays below the first of `edges`, from each edge to the next (left edge in), from the last on | zeros |
| hours | 24 shares of plays, by hour of the day in UTC, midnight first | 24 zeros |
| entropy | Shannon entropy of the values' shares of plays, in bits, to 12 decimals | 0 |
| trend | log2((count in [t - w, t) + 1) / (count in [t - 2w, t - w) + 1)) | 0 |
| decayed | sum over *all* plays before t of 2^-((t - input) / w): w is the half-life, input an instant | 0 |
| streak | days in a row with a play, the day that ends at t the last of them; w and 62 days at most | 0 |
| days_since_first | (t - first play before t) in days; window "lifetime" | null |
| days_since_last | (t - last play before t) in days; window "lifetime" | null |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from schemas.parts import Part

if TYPE_CHECKING:
    from schemas.declarations import Feature

LIFETIME = "lifetime"
NUMBERS = ("int", "bigint", "double")

Parts = Callable[["Feature", str], list[Part]]


@dataclass(frozen=True)
class Operation:
    """`type` may hold {T}, the input's; `empty_value` is the value of no plays, None being null.

    `input_types`: types that the input may have, none for any. `longest`: days of its longest window,
    0 where it has none but "lifetime". `allows_lifetime`: whether that is one of its windows. `options`: the options
    of a declaration that it must have.
    """

    parts: Parts
    type: str = "bigint"
    unit: str = ""
    empty_value: Any = None
    input_types: tuple[str, ...] = ()
    longest: int = 3650
    allows_lifetime: bool = True
    options: tuple[str, ...] = ()
    personal: bool = False


def _single_part(kind: str) -> Parts:
    return lambda feature, _: [feature.part(kind)]


def _sum(feature: Feature, _: str) -> list[Part]:
    return [_sum_of(feature, feature.input, feature.input_type)]


def _sum_of(feature: Feature, expression: str, type_: str) -> Part:
    return feature.part("exact" if type_ == "double" else "sum", expression)


def _mean(feature: Feature, window: str) -> list[Part]:
    return [*_sum(feature, window), feature.part("count")]


def _variance(feature: Feature, window: str) -> list[Part]:
    squares = "exact_squares" if feature.input_type == "double" else "squares"
    return [feature.part(squares), *_mean(feature, window)]


def _rate(feature: Feature, _: str) -> list[Part]:
    return [feature.part("true"), feature.part("count")]


def _ratio(feature: Feature, _: str) -> list[Part]:
    above = f"if({feature.per} is null, null, {feature.input})"
    below = f"if({feature.input} is null, null, {feature.per})"
    return [_sum_of(feature, each, feature.input_type) for each in (above, below)]


def _nearest_plays(kind: str) -> Parts:
    return lambda feature, _: [feature.part(kind, detail=str(feature.k or 1))]


def _histogram(feature: Feature, _: str) -> list[Part]:
    return [feature.part("histogram", detail=" ".join(repr(float(edge)) for edge in feature.edges))]


def _decayed(feature: Feature, window: str) -> list[Part]:
    return [feature.part("decayed", detail=window)]


def _no_parts(_: Feature, __: str) -> list[Part]:
    """Exact distinct counts have no part: it would be a set, as large as the plays."""
    return []


OPERATIONS: dict[str, Operation] = {
    "count": Operation(_single_part("count"), empty_value=0),
    "sum": Operation(_sum, "{S}", empty_value=0, input_types=NUMBERS),
    "mean": Operation(_mean, "double", input_types=NUMBERS),
    "min": Operation(_single_part("min"), "{T}", input_types=NUMBERS),
    "max": Operation(_single_part("max"), "{T}", input_types=NUMBERS),
    "variance": Operation(_variance, "double", input_types=NUMBERS),
    "rate": Operation(_rate, "double", "0..1", input_types=("boolean",)),
    "ratio": Operation(_ratio, "double", input_types=NUMBERS, options=("per",)),
    "first": Operation(_nearest_plays("earliest"), "{T}", personal=True),
    "last": Operation(_nearest_plays("latest"), "{T}", personal=True),
    "last_k": Operation(
        _nearest_plays("latest"), "array<{T}>", empty_value=(), options=("k",), personal=True
    ),
    "top_k": Operation(_single_part("items"), "array<string>", empty_value=(), options=("k",)),
    "distinct": Operation(_no_parts, empty_value=0, longest=90, allows_lifetime=False),
    "approx_distinct": Operation(_single_part("hll"), empty_value=0),
    "percentiles": Operation(_single_part("kll"), "array<double>", input_types=NUMBERS, options=("at",)),
    "histogram": Operation(
        _histogram, "array<bigint>", empty_value=(0,), input_types=NUMBERS, options=("edges",)
    ),
    "hours": Operation(
        _single_part("hours"), "array<double>", "0..1", (0.0,) * 24, input_types=("timestamp",)
    ),
    "entropy": Operation(_single_part("items"), "double", "bits", 0.0),
    "trend": Operation(
        _single_part("count"), "double", "doublings", 0.0, longest=1825, allows_lifetime=False
    ),
    "decayed": Operation(
        _decayed, "double", empty_value=0.0, input_types=("timestamp",), allows_lifetime=False
    ),
    "streak": Operation(_single_part("heard_on"), "int", "days", 0, longest=62, allows_lifetime=False),
    "days_since_first": Operation(
        _single_part("min"), "double", "days", input_types=("timestamp",), longest=0
    ),
    "days_since_last": Operation(
        _single_part("max"), "double", "days", input_types=("timestamp",), longest=0
    ),
}
