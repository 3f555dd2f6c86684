"""Attribution against its definition, in one call of Spark over thousands of listeners; and numbers for the gate."""

from __future__ import annotations

import pytest
from simulation.label_cases import check_attributions

import features.impressions
from features.impressions import measure_impressions
from jobs import ingest_events
from jobs.file_counts import IngestCounts
from jobs.ingest_plays import _join_measures
from reference.frames import frame
from reference.shown import (
    impression,
)
from schemas.contract import Column
from schemas.event_tables import EventTable
from schemas.impressions import IMPRESSIONS

# of a policy; fewer than the gate asks for, as each is a row here
LEAST = 20


def test_attribute_plays_of_thousands_of_worlds_is_as_defined(spark):
    check_attributions(spark, seed=0, cases=2_500)


def randomised(policy, propensity, arms, count):
    return [
        impression(
            impression_id=f"{policy} {n}",
            request_id=f"{policy} {n}",
            policy_id=policy,
            propensity=propensity,
            candidate_count=arms,
        )
        for n in range(count)
    ]


def requests(**positions):
    return [
        impression(impression_id=f"{name} {n}", request_id=name, position=position)
        for name, each in positions.items()
        for n, position in enumerate(each)
    ]


def test_measure_impressions(spark, monkeypatch):
    monkeypatch.setattr(features.impressions, "LEAST_RANDOMISED", LEAST)
    names = ("repeated_position_share", "missing_position_share", "has_propensities", "propensity_error")

    def check(impressions, *expected):
        measured = measure_impressions(frame(spark, impressions, IMPRESSIONS.contract))
        assert measured == pytest.approx(dict(zip(names, expected, strict=True)))

    check([], 0, 0, 0, 0)
    # an item that is there twice for another one that is missing is both
    slates = requests(a=[1, 2, 3], b=[2, 1], c=[1, 1], d=[1, 3], e=[1, 1, 3])
    # of one row less nothing is said
    check(slates + randomised("few", 1.0, 10, LEAST - 1), 2 / (5 + LEAST - 1), 2 / (5 + LEAST - 1), 0, 0)
    policies = randomised("one of ten", 0.1, 10, LEAST) + randomised("certain", 1.0, 5, LEAST)
    check(policies + randomised("not randomised", None, 10, LEAST), 0, 0, 1, 0.8)


def test_gate_gets_what_ingest_counts_and_what_impressions_measure(monkeypatch):
    monkeypatch.setattr(ingest_events, "measure_impressions", lambda staged: {"rows_measured": len(staged)})
    counts = IngestCounts({}, 0, None, {})
    measures = _join_measures(ingest_events._kind(IMPRESSIONS), counts)
    assert measures(["staged"]) == {**counts.measures(), "rows_measured": 1}
    # of other events nothing is measured, and no row is read
    columns = (Column("id", "string", ""), Column("user_id", "string", ""), Column("at", "timestamp", ""))
    others = ingest_events._kind(EventTable("likes", "m", columns, "id", "at"))
    assert _join_measures(others, counts) == counts.measures()
