"""What is expected of impressions and attributions: their suites, and the bounds of what is published together."""

from __future__ import annotations

from collections import Counter

import pytest
from great_expectations.expectations.metadata_types import FailureSeverity

from expectations.attributions import build_attribution_suite
from expectations.event_tables import _build_suite
from expectations.gate import audit_batch
from expectations.lineage import NOT_NULL_EXPECTATION as NOT_NULL
from expectations.profile import profile
from expectations.wording import expectation_name
from reference.batches import batch, spoil
from reference.frames import frame
from schemas.attributions import ATTRIBUTIONS
from schemas.impressions import IMPRESSIONS

SUITES = {"impressions": _build_suite(IMPRESSIONS), "attributions": build_attribution_suite()}
GOOD = {
    "rejected_share": 0.0,
    "duplicate_share": 0.0,
    "repeated_position_share": 0.01,
    "missing_position_share": 0.01,
    "has_propensities": 1.0,
    "propensity_error": 0.05,
}


@pytest.mark.parametrize("table", SUITES)
def test_each_expectation_has_a_key_of_its_own(table):
    suite = SUITES[table]
    configurations = [e.configuration for e in suite.expectations]
    keys = [(expectation_name(c.type, c.kwargs), c.kwargs["column"]) for c in configurations]
    keys += [(bound.name, bound.measure) for bound in suite.bounds]
    assert [each for each, count in Counter(keys).items() if count > 1] == []


def test_a_night_without_anything_randomised_is_no_warning():
    configurations = [e.configuration for e in SUITES["impressions"].expectations]
    (of_nulls,) = [c for c in configurations if c.type == NOT_NULL and c.kwargs["column"] == "propensity"]
    assert of_nulls.severity == FailureSeverity.INFO


def check(**measures):
    results = [
        bound.check({"rows": 9, "duplicate_keys": 0, **GOOD, **measures})
        for bound in SUITES["impressions"].bounds
    ]
    return {(each.column, each.severity) for each in results if not each.success}


def test_bounds_of_impressions():
    assert check() == set()
    assert check(repeated_position_share=0.011) == {("repeated_position_share", "critical")}
    assert check(missing_position_share=0.011) == {("missing_position_share", "warning")}
    assert check(propensity_error=0.051) == {("propensity_error", "warning")}
    # too few were randomised
    assert check(propensity_error=0.051, has_propensities=0) == set()


def test_audit_of_attributions(spark):
    good = batch(ATTRIBUTIONS, delay_ms=0)
    # another day, an impression after the play, and a delay that is neither's
    rows = spoil(good, 1, ds=good[0]["ds"].replace(day=2))
    rows = spoil(rows, 2, shown_at=good[0]["played_at"].replace(hour=13), delay_ms=-3_600_000)

    def audit(attributions):
        df = frame(spark, attributions, ATTRIBUTIONS)
        verdict = audit_batch(df, SUITES["attributions"], profile(df, ATTRIBUTIONS), {})
        return {(each.column, each.severity) for each in verdict.failures}

    assert audit([]) == set()
    assert audit(spoil(rows, 3, delay_ms=1)) == {
        ("ds", "critical"),
        ("shown_at", "critical"),
        ("delay_ms", "critical"),
    }
