"""What is expected of the tables of a feature group, derived from its declarations alone: ranges by operation,
windows in order, hours that add up."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

from great_expectations.expectations.expectation import Expectation

from expectations.contracts import FEATURE_AT_IS_END_OF_DAY, build_suite, expect_rows, expect_within
from expectations.suite import Suite
from schemas import FEATURE_GROUPS, FeatureGroup
from schemas.declarations import LIFETIME, Feature
from schemas.operations import window_days

NON_NEGATIVE_PARTS = ("count", "true", "squares", "exact_squares", "decayed", "heard_on")
NON_NEGATIVE_OPS = (
    "count", "sum", "variance", "distinct", "approx_distinct", "entropy", "decayed", "streak",
    "days_since_first", "days_since_last",
)  # fmt: skip
# A longer window holds all plays of a shorter one; a longer half-life lets none of them fade as far.
MONOTONE_IN_WINDOW = ("count", "sum", "distinct", "decayed", "max")

# Sums of doubles depend on their order in the last digits.
_TOLERANCE = 1e-9

# Tiles are aligned: one of `span` days ends where the day number from 1970, counted from 1, is a multiple of it.
SPAN_ENDS_ON_DS = expect_rows(
    "span",
    "span > 0 and pmod(unix_date(ds) + 1, span) = 0",
    "divides the days up to ds",
    reason="windows are cut from tiles at these places: another tile is counted twice, or never",
)
_NOT_NEGATIVE = "it counts or adds up what is never negative: below 0 a sum overflowed, or a tile is wrong"


def build_group_suite(table: str) -> Suite:
    """Of a table of features, or of one of partials."""
    group = next(group for group in FEATURE_GROUPS if table in (group.table, group.partials_table))
    if table == group.table:
        # sources without saves are many
        saves = [column.name for f in group.features if f.input == "saved" for column in f.columns()]
        features = (expectation for feature in group.features for expectation in _expect_feature(feature))
        return build_suite(
            group.contract(),
            FEATURE_AT_IS_END_OF_DAY,
            *features,
            *_expect_first_before_last(group),
            optional=saves,
        )
    # a day may well have no play with a value for a part, and long spans leave out what no window needs
    names = [part.name for part in group.parts]
    counts = [part.name for part in group.parts if part.kind in NON_NEGATIVE_PARTS]
    ranges = (expect_within(name, _NOT_NEGATIVE, 0) for name in counts)
    return build_suite(group.partials_contract(), SPAN_ENDS_ON_DS, *ranges, optional=names)


def _expect_feature(feature: Feature) -> Iterator[Expectation]:
    for window in feature.windows:
        yield from _expect_value(feature, feature.name(window))
    if feature.op in MONOTONE_IN_WINDOW:
        # declared in any order; as text, 7d would come after 30d
        windows = sorted(feature.windows, key=lambda w: math.inf if w == LIFETIME else window_days(w))
        for short, long in pairwise(map(feature.name, windows)):
            yield expect_rows(
                long,
                f"{short} <= {long} * (1 + {_TOLERANCE})",
                f"at least {short}",
                reason="the longer window holds all plays of the shorter: less means that a part of it is missing",
            )


def _expect_value(feature: Feature, column: str) -> Iterator[Expectation]:
    if feature.op in NON_NEGATIVE_OPS:
        yield expect_within(column, _NOT_NEGATIVE, 0)
    # a mean stays where its values are; the mean of an expression, which is no column, could be anywhere
    row = feature.row
    if feature.op == "mean" and feature.input in row.names and row.column(feature.input).unit == "0..1":
        yield expect_within(
            column, "a mean of shares is one: beyond 0 and 1 its count or its sum is wrong", 0, 1
        )
    if feature.op == "top_k":
        yield expect_rows(
            column,
            f"size({column}) <= {feature.k}",
            f"at most {feature.k} values",
            reason="models have as many inputs; a longer list was not cut when its parts were merged",
        )
    if feature.op == "trend":
        yield expect_within(column, "in doublings of a count of 64 bits, which has no more of them", -64, 64)
    if feature.op == "hours":
        total = f"aggregate({column}, 0D, (sum, share) -> sum + share)"
        yield expect_rows(
            column,
            f"size({column}) = 24",
            "24 hours",
            reason="models read the n-th number as the share of hour n",
        )
        yield expect_rows(
            column,
            f"not exists({column}, x -> x < 0)",
            "no share below 0",
            reason="it is a count divided by a count: below 0 a tile is wrong",
        )
        # 0 where the window has no play: there is no share of nothing
        yield expect_rows(
            column,
            f"{total} = 0 or abs({total} - 1) <= {_TOLERANCE}",
            "a sum of 1, or of 0",
            reason="shares of one whole add up to it: otherwise plays of the window are in no hour, or in two",
        )


def _expect_first_before_last(group: FeatureGroup) -> Iterator[Expectation]:
    names = {f.op: f.name(LIFETIME) for f in group.features if LIFETIME in f.windows}
    first, last = names.get("days_since_first"), names.get("days_since_last")
    if first and last:
        yield expect_rows(
            last,
            f"{last} <= {first}",
            f"at most {first}",
            reason="the last play is not before the first: otherwise the two are of different histories",
        )
