"""What is expected of the tables of a feature group, derived from its declarations alone."""

from __future__ import annotations

from collections.abc import Iterator

from great_expectations.expectations.expectation import Expectation

from expectations.aggregates import ExpectColumnValuesToBeWithin
from expectations.contracts import ONE_ROW_PER_KEY, SOME_ROWS, expect_contract, expect_rows
from expectations.suite import Suite
from expectations.windows import columns_computed_from, expect_features
from schemas import FEATURE_GROUPS, FeatureGroup

NON_NEGATIVE_PARTS = ("count", "true", "squares", "exact_squares", "decayed", "heard_on")
SPAN_ENDS_ON_DS = expect_rows(
    "span", "span > 0 and pmod(unix_date(ds) + 1, span) = 0", "divides the days up to ds"
)


def build_suite(table: str) -> Suite:
    """Of a table of features, or of one of partials."""
    group = next(group for group in FEATURE_GROUPS if table in (group.table, group.partials_table))
    of_table = _expect_feature_table(group) if table == group.table else _expect_partials_table(group)
    return Suite(table, tuple(of_table), bounds=(SOME_ROWS, ONE_ROW_PER_KEY))


def _expect_feature_table(group: FeatureGroup) -> Iterator[Expectation]:
    # sources without saves are many
    yield from expect_contract(group.contract(), optional=columns_computed_from(group, "saved"))
    yield from expect_features(group)


def _expect_partials_table(group: FeatureGroup) -> Iterator[Expectation]:
    """A day may well have no play with a value for a part, and long spans leave out what no window needs."""
    names = [part.name for part in group.parts]
    yield from expect_contract(group.partials_contract(), optional=names)
    yield SPAN_ENDS_ON_DS
    for part in group.parts:
        if part.kind in NON_NEGATIVE_PARTS:
            yield ExpectColumnValuesToBeWithin(column=part.name, min_value=0)
