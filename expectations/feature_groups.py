"""What is expected of the tables of a feature group; the declarations say all of it."""

from __future__ import annotations

from collections.abc import Iterator

from great_expectations.expectations.expectation import Expectation

from expectations.aggregates import ExpectColumnValuesToBeWithin
from expectations.contracts import ONE_ROW_PER_KEY, SOME_ROWS, contract_expectations, rule
from expectations.suite import Suite
from expectations.windows import columns_from, feature_expectations
from schemas import FEATURE_GROUPS, FeatureGroup

NEVER_NEGATIVE = ("count", "true", "squares", "exact_squares", "decayed", "heard_on")
TILES_END_THERE = rule("span", "span > 0 and pmod(unix_date(ds) + 1, span) = 0", "divides the days up to ds")


def suite_of(table: str) -> Suite:
    """Of a table of features, or of one of partials.

    Raises:
        StopIteration: no group has such a table.
    """
    group = next(group for group in FEATURE_GROUPS if table in (group.table, group.partials_table))
    of_table = _features(group) if table == group.table else _partials(group)
    return Suite(table, tuple(of_table), bounds=(SOME_ROWS, ONE_ROW_PER_KEY))


def _features(group: FeatureGroup) -> Iterator[Expectation]:
    # sources without saves are many
    yield from contract_expectations(group.contract(), may_be_unknown=columns_from(group, "saved"))
    yield from feature_expectations(group)


def _partials(group: FeatureGroup) -> Iterator[Expectation]:
    """A day may well have no play with a value for a part, and long spans leave out what no window needs."""
    names = [part.name for part in group.parts]
    yield from contract_expectations(group.partials(), may_be_unknown=names)
    yield TILES_END_THERE
    for part in group.parts:
        if part.kind in NEVER_NEGATIVE:
            yield ExpectColumnValuesToBeWithin(column=part.name, min_value=0)
