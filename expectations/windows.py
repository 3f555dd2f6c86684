"""Expectations that the declarations of a feature group imply: of the values, and between windows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

from great_expectations.expectations.expectation import Expectation

from expectations.aggregates import ExpectColumnValuesToBeWithin
from expectations.contracts import expect_rows
from schemas.declarations import LIFETIME, Feature, FeatureGroup
from schemas.operations import window_days
from schemas.sessions import SESSIONS

NON_NEGATIVE_OPS = (
    "count", "sum", "variance", "distinct", "approx_distinct", "entropy", "decayed", "streak",
    "days_since_first", "days_since_last",
)  # fmt: skip
# A longer window holds all plays of a shorter one; a longer half-life lets none of them fade as far.
MONOTONE_IN_WINDOW = ("count", "sum", "distinct", "decayed", "max")

# Sums of doubles depend on their order in the last digits.
_TOLERANCE = 1e-9

FEATURE_AT_IS_END_OF_DAY = expect_rows(
    "feature_at", "feature_at = cast(date_add(ds, 1) as timestamp)", "midnight after ds, UTC"
)


def expect_features(group: FeatureGroup) -> tuple[Expectation, ...]:
    """Contract aside: ranges by operation, windows in order, hours that add up."""
    return (
        FEATURE_AT_IS_END_OF_DAY,
        *(expectation for feature in group.features for expectation in _expect_feature(feature)),
        *_expect_first_before_last(group),
    )


def columns_computed_from(group: FeatureGroup, *inputs: str) -> tuple[str, ...]:
    """The columns that are made of these inputs."""
    return tuple(column.name for f in group.features if f.input in inputs for column in f.columns())


def _expect_feature(feature: Feature) -> Iterator[Expectation]:
    for window in feature.windows:
        yield from _expect_value(feature, feature.name(window))
    if feature.op in MONOTONE_IN_WINDOW:
        for short, long in pairwise(
            sorted(feature.windows, key=lambda w: math.inf if w == LIFETIME else window_days(w))
        ):
            short, long = feature.name(short), feature.name(long)
            yield expect_rows(long, f"{short} <= {long} * (1 + {_TOLERANCE})", f"at least {short}")


def _expect_value(feature: Feature, column: str) -> Iterator[Expectation]:
    if feature.op in NON_NEGATIVE_OPS:
        yield ExpectColumnValuesToBeWithin(column=column, min_value=0)
    if feature.op == "mean" and _is_share(feature.input):
        yield ExpectColumnValuesToBeWithin(column=column, min_value=0, max_value=1)
    if feature.op == "top_k":
        yield expect_rows(column, f"size({column}) <= {feature.k}", f"at most {feature.k} values")
    if feature.op == "trend":  # doublings of a 64-bit count
        yield ExpectColumnValuesToBeWithin(column=column, min_value=-64, max_value=64)
    if feature.op == "hours":
        total = f"aggregate({column}, 0D, (sum, share) -> sum + share)"
        yield expect_rows(column, f"size({column}) = 24", "24 hours")
        yield expect_rows(column, f"not exists({column}, x -> x < 0)", "no share below 0")
        yield expect_rows(column, f"{total} = 0 or abs({total} - 1) <= {_TOLERANCE}", "a sum of 1, or of 0")


def _is_share(column: str) -> bool:
    """A mean stays where its values are; the mean of an expression could be anywhere."""
    return column in SESSIONS.names and SESSIONS.column(column).unit == "0..1"


def _expect_first_before_last(group: FeatureGroup) -> Iterator[Expectation]:
    names = {f.op: f.name(LIFETIME) for f in group.features if LIFETIME in f.windows}
    first, last = names.get("days_since_first"), names.get("days_since_last")
    if first and last:
        yield expect_rows(last, f"{last} <= {first}", f"at most {first}")
