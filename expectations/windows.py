"""Expectations that the declarations of a feature group imply: of the values, and between windows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

from great_expectations.expectations.expectation import Expectation

from expectations.aggregates import ExpectColumnValuesToBeWithin
from expectations.contracts import rule
from schemas.declarations import LIFETIME, Feature, FeatureGroup, days
from schemas.sessions import SESSIONS

NEVER_NEGATIVE = (
    "count", "sum", "variance", "distinct", "approx_distinct", "entropy", "decayed", "streak",
    "days_since_first", "days_since_last",
)  # fmt: skip
# A longer window holds all plays of a shorter one; a longer half-life lets none of them fade as far.
GROW_WITH_THE_WINDOW = ("count", "sum", "distinct", "decayed", "max")

# Sums of doubles depend on their order in the last digits.
_TOLERANCE = 1e-9

DAY_IS_OVER = rule("feature_at", "feature_at = cast(date_add(ds, 1) as timestamp)", "midnight after ds, UTC")


def feature_expectations(group: FeatureGroup) -> tuple[Expectation, ...]:
    """Contract aside: ranges by operation, windows in order, hours that add up."""
    return (
        DAY_IS_OVER,
        *(expectation for feature in group.features for expectation in _of_feature(feature)),
        *_lifetimes(group),
    )


def columns_from(group: FeatureGroup, *inputs: str) -> tuple[str, ...]:
    """The columns that are made of these inputs."""
    return tuple(column.name for f in group.features if f.input in inputs for column in f.columns())


def _of_feature(feature: Feature) -> Iterator[Expectation]:
    for window in feature.windows:
        yield from _of_value(feature, feature.name(window))
    if feature.op in GROW_WITH_THE_WINDOW:
        for short, long in pairwise(sorted(feature.windows, key=_length)):
            yield _grows(feature.name(short), feature.name(long))


def _of_value(feature: Feature, column: str) -> Iterator[Expectation]:
    if feature.op in NEVER_NEGATIVE:
        yield ExpectColumnValuesToBeWithin(column=column, min_value=0)
    if feature.op == "mean" and _is_share(feature.input):
        yield ExpectColumnValuesToBeWithin(column=column, min_value=0, max_value=1)
    if feature.op == "top_k":
        yield rule(column, f"size({column}) <= {feature.k}", f"at most {feature.k} values")
    if feature.op == "trend":  # doublings of a 64-bit count
        yield ExpectColumnValuesToBeWithin(column=column, min_value=-64, max_value=64)
    if feature.op == "hours":
        total = f"aggregate({column}, 0D, (sum, share) -> sum + share)"
        yield rule(column, f"size({column}) = 24", "24 hours")
        yield rule(column, f"not exists({column}, x -> x < 0)", "no share below 0")
        yield rule(column, f"{total} = 0 or abs({total} - 1) <= {_TOLERANCE}", "a sum of 1, or of 0")


def _length(window: str) -> float:
    return math.inf if window == LIFETIME else days(window)


def _is_share(column: str) -> bool:
    """A mean stays where its values are; the mean of an expression could be anywhere."""
    return column in SESSIONS.names and SESSIONS.column(column).unit == "0..1"


def _grows(short: str, long: str) -> Expectation:
    return rule(long, f"{short} <= {long} * (1 + {_TOLERANCE})", f"at least {short}")


def _lifetimes(group: FeatureGroup) -> Iterator[Expectation]:
    names = {f.op: f.name(LIFETIME) for f in group.features if LIFETIME in f.windows}
    first, last = names.get("days_since_first"), names.get("days_since_last")
    if first and last:
        yield rule(last, f"{last} <= {first}", f"at most {first}")
