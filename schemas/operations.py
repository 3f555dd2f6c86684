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
    """`type` may hold {T}, the input's; `of_none` is the value of no plays, None being null.

    `takes`: types that the input may have, none for any. `longest`: days of its longest window,
    0 where it has none but "lifetime". `lifetime`: whether that is one of its windows. `needs`: the options
    of a declaration that it must have.
    """

    parts: Parts
    type: str = "bigint"
    unit: str = ""
    of_none: Any = None
    takes: tuple[str, ...] = ()
    longest: int = 3650
    lifetime: bool = True
    needs: tuple[str, ...] = ()
    personal: bool = False


def _one(kind: str) -> Parts:
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


def _kept(kind: str) -> Parts:
    return lambda feature, _: [feature.part(kind, detail=str(feature.k or 1))]


def _histogram(feature: Feature, _: str) -> list[Part]:
    return [feature.part("histogram", detail=" ".join(repr(float(edge)) for edge in feature.edges))]


def _decayed(feature: Feature, window: str) -> list[Part]:
    return [feature.part("decayed", detail=window)]


def _none(_: Feature, __: str) -> list[Part]:
    """Exact distinct counts have no part: it would be a set, as large as the plays."""
    return []


OPERATIONS: dict[str, Operation] = {
    "count": Operation(_one("count"), of_none=0),
    "sum": Operation(_sum, "{S}", of_none=0, takes=NUMBERS),
    "mean": Operation(_mean, "double", takes=NUMBERS),
    "min": Operation(_one("min"), "{T}", takes=NUMBERS),
    "max": Operation(_one("max"), "{T}", takes=NUMBERS),
    "variance": Operation(_variance, "double", takes=NUMBERS),
    "rate": Operation(_rate, "double", "0..1", takes=("boolean",)),
    "ratio": Operation(_ratio, "double", takes=NUMBERS, needs=("per",)),
    "first": Operation(_kept("earliest"), "{T}", personal=True),
    "last": Operation(_kept("latest"), "{T}", personal=True),
    "last_k": Operation(_kept("latest"), "array<{T}>", of_none=(), needs=("k",), personal=True),
    "top_k": Operation(_one("items"), "array<string>", of_none=(), needs=("k",)),
    "distinct": Operation(_none, of_none=0, longest=90, lifetime=False),
    "approx_distinct": Operation(_one("hll"), of_none=0),
    "percentiles": Operation(_one("kll"), "array<double>", takes=NUMBERS, needs=("at",)),
    "histogram": Operation(_histogram, "array<bigint>", of_none=(0,), takes=NUMBERS, needs=("edges",)),
    "hours": Operation(_one("hours"), "array<double>", "0..1", (0.0,) * 24, takes=("timestamp",)),
    "entropy": Operation(_one("items"), "double", "bits", 0.0),
    "trend": Operation(_one("count"), "double", "doublings", 0.0, longest=1825, lifetime=False),
    "decayed": Operation(_decayed, "double", of_none=0.0, takes=("timestamp",), lifetime=False),
    "streak": Operation(_one("heard_on"), "int", "days", 0, longest=62, lifetime=False),
    "days_since_first": Operation(_one("min"), "double", "days", takes=("timestamp",), longest=0),
    "days_since_last": Operation(_one("max"), "double", "days", takes=("timestamp",), longest=0),
}
