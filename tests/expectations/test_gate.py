"""Good batches pass whole; every seeded fault is seen by the expectation that is there for it."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from datetime import UTC, date, datetime, timedelta

import great_expectations.expectations as gxe
import numpy as np
import pytest
from pyspark.sql import functions as F

from expectations import gate
from expectations.aggregates import ExpectColumnValuesToBeWithin, ExpectShareToBeBetween
from expectations.contracts import INFO, SOME_ROWS, expect_rows
from expectations.gate import audit_batch
from expectations.profile import profile
from expectations.suite import Bound, Suite
from expectations.suites import TABLES, suite_for
from expectations.verdict import Refused
from expectations.wording import describe_observed, expectation_name
from features.embeddings.evaluation import compare_hits
from reference.batches import DAY, NEXT_MIDNIGHT, NOON, batch, spoil
from reference.frames import frame
from schemas import CONTRACTS, PLAYS

MEASURES = {
    "plays": {
        "rejected_share": 0.01,
        "duplicate_share": 0.0,
        "late_share": 0.0,
        "late_days": 0,
        "has_weekdays": 0,
    },
    "track_embeddings": {
        "pairs": 1000,
        "has_pairs": 1,
        "has_parent": 1,
        "has_dimensions_of_parent": 1,
        "has_pairs_and_parent": 1,
        "enough_pairs_and_parent": 1,
        "is_warm": 1,
        "is_cold_with_parent": 0,
        "lost_tracks": 0,
        "chance_can_be_told": 1,
        "z_over_chance": 4,
        "coverage_ratio": 0.95,
        "next.hr@10_over_popularity_high": 1,
        "next.hr@10_over_cooccurrence_high": 0.85,
        "next.hr_ratio_low": 0.95,
        "next.hr_ratio_high": 0.95,
        "norm_p1_ratio": 0.75,
        "norm_p99_ratio": 1.25,
        "overlap@10": 0.65,
        "cosine": 0.95,
    },
    "tracks": {"rejected_share": 0.01, "changed_share": 0.01, "has_catalogue": 1},
    "similar_tracks": {"hubness@10": 20, "has_hubs_and_day_before": 1, "hubness@10_ratio": 1.5},
    "track_semantic_ids": {
        "duplicate_semantic_ids": 0,
        "collisions": 0.1,
        "has_collisions_and_day_before": 1,
        "collisions_ratio": 1.5,
    },
}
NAN, INF = float("nan"), float("inf")


def audit(spark, table, rows, measures=None):
    df = frame(spark, rows, CONTRACTS[table])
    return audit_batch(
        df, suite_for(table), profile(df, CONTRACTS[table]), measures or MEASURES.get(table, {})
    )


@pytest.fixture(scope="module")
def audit_measures(spark):
    """Audits a good batch of a table with these measures; what they change is none of what the rows come to.

    So Great Expectations looks at the rows of each table once.
    """
    run, answers, good_batches = gate._run, {}, {}

    def audit_once(table, measures):
        contract = CONTRACTS[table]
        if table not in good_batches:
            df = frame(spark, batch(contract), contract)
            good_batches[table] = df, profile(df, contract)
        df, batch_profile = good_batches[table]

        def run_once(*arguments):
            if table not in answers:
                answers[table] = run(*arguments)
            return answers[table]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(gate, "_run", run_once)
            return audit_batch(df, suite_for(table), batch_profile, measures)

    return audit_once


def summarize_failures(verdict, *severities):
    """What failed, as (column, expected, observed); of bounds without the reason."""
    return {
        (r.column, r.expected.partition(" (")[0], r.observed)
        for r in verdict.failures
        if r.severity in severities
    }


@pytest.mark.parametrize("table", TABLES)
def test_audit_batch_passes_a_good_batch(spark, table):
    verdict = audit(spark, table, batch(CONTRACTS[table]))
    assert summarize_failures(verdict, "critical", "warning", "info") == set()
    suite = suite_for(table)
    assert len(verdict.results) == len(suite.expectations) + len(suite.bounds)
    assert not verdict.refused


@pytest.mark.parametrize("table", TABLES)
def test_suite_for_gives_each_expectation_a_key_of_its_own(table):
    """They are the key of `quality_results`."""
    suite = suite_for(table)
    keys = [(bound.name, bound.measure) for bound in suite.bounds]
    configurations = [e.configuration for e in suite.expectations]
    keys += [(expectation_name(c.type, c.kwargs), c.kwargs["column"]) for c in configurations]
    assert [each for each, count in Counter(keys).items() if count > 1] == []


@pytest.mark.parametrize("table", ["tracks", "sessions", "track_embeddings"])
def test_audit_batch_refuses_an_empty_batch_by_its_row_count_alone(spark, table):
    verdict = audit(spark, table, [])
    assert summarize_failures(verdict, "critical") == {("rows", "at least 1", "0")}


def test_suite_for_requires_rows_except_of_plays_and_what_was_set_aside():
    may_be_empty = ["plays", "late_plays", "rejected_plays", "rejected_tracks", "sessions"]
    assert [name for name in TABLES if SOME_ROWS not in suite_for(name).bounds] == may_be_empty


@pytest.mark.parametrize("table", ["plays", "late_plays", "rejected_plays", "rejected_tracks"])
def test_audit_batch_passes_plays_and_what_was_set_aside_without_rows(spark, table):
    assert not audit(spark, table, []).refused


def test_audit_batch_reports_every_seeded_fault_of_plays(spark):
    rows = batch(PLAYS, artist_id=None)
    rows = spoil(rows, 0, user_id="", bucket=batch(PLAYS, 1, user_id="")[0]["bucket"])
    rows = spoil(rows, 1, played_at=datetime(1970, 1, 1, tzinfo=UTC), ds=date(1970, 1, 1))
    rows = spoil(rows, 2, played_at=datetime(2999, 1, 1, tzinfo=UTC), ds=date(2999, 1, 1))
    rows = spoil(rows, 3, ds=DAY + timedelta(days=1))
    rows = spoil(rows, 4, ms_played=-1)
    rows = spoil(rows, 5, ms_played=86_400_001)
    rows = spoil(rows, 6, bucket=(rows[6]["bucket"] + 1) % 64)
    rows = spoil(rows, 7, play_id="play_id-8")
    verdict = audit(
        spark, "plays", rows, MEASURES["plays"] | {"rejected_share": 0.06, "duplicate_share": 0.5}
    )
    assert summarize_failures(verdict, "critical") == {
        ("user_id", "not empty", "1 of 10 rows break it (10 %)"),
        ("played_at", "from 1999 on", "1 of 10 rows break it (10 %)"),
        ("played_at", "not in the future", "1 of 10 rows break it (10 %)"),
        ("ds", "the day of played_at, in UTC", "1 of 10 rows break it (10 %)"),
        ("ms_played", "0 to 86,400,000", "-1 to 86,400,001; 2 of 10 rows are outside (20 %)"),
        ("bucket", "hash of user_id, 0 to 63", "1 of 10 rows break it (10 %)"),
        ("duplicate_keys", "at most 0", "1"),
        ("rejected_share", "at most 5 %", "6 %"),
    }
    assert summarize_failures(verdict, "warning") == {
        ("artist_id", "a value in some rows", "10 of 10 rows are null (100 %)"),
        ("rejected_share", "at most 2 %", "6 %"),
        ("duplicate_share", "at most 10 %", "50 %"),
    }
    assert summarize_failures(verdict, "info") == set()


def test_audit_batch_passes_plays_at_the_limits_of_their_ranges(spark):
    edges = {"ms_played": 86_400_000, "track_ms": 0, "played_at": datetime(1999, 1, 1, tzinfo=UTC)}
    assert not audit(spark, "plays", batch(PLAYS, ds=date(1999, 1, 1), **edges)).failures


def test_audit_batch_reports_every_seeded_fault_of_sessions(spark):
    rows = batch(CONTRACTS["sessions"], skipped=True, is_bot=True, ms_played=None)
    rows = spoil(rows, 0, completion=1.5)
    rows = spoil(rows, 1, completion=NAN)
    rows = spoil(rows, 2, position=0)
    rows = spoil(rows, 3, session_started_at=NOON + timedelta(seconds=1), position=2)
    rows = spoil(rows, 4, session_started_at=NOON - timedelta(seconds=1))
    verdict = audit(spark, "sessions", rows)
    assert summarize_failures(verdict, "critical") == {
        ("completion", "0 to 1", "0.5 to 1.5; 2 of 10 rows are outside (20 %)"),
        ("completion", "no NaN, no infinity", "1 of 10 rows are NaN or infinite (10 %)"),
        ("position", "at least 1", "0 to 2; 1 of 10 rows are outside (10 %)"),
        ("session_started_at", "not after the play", "1 of 10 rows break it (10 %)"),
        ("session_started_at", "for a first play, the instant of it", "1 of 10 rows break it (10 %)"),
    }
    assert summarize_failures(verdict, "warning") == {
        ("skipped", "1 % to 95 % of plays skipped", "100 %"),
        ("is_bot", "at most 20 % of plays by bots", "100 %"),
        ("ms_played", "a value in some rows", "10 of 10 rows are null (100 %)"),
    }


def test_audit_batch_reports_every_seeded_fault_of_features(spark):
    rows = batch(CONTRACTS["user_features"], saves_rate_1d=None, completion_mean_1d=None)
    rows = spoil(rows, 0, plays_count_1d=4)
    rows = spoil(rows, 1, plays_count_30d=-1)
    rows = spoil(rows, 2, plays_decayed_7d=0.7)
    rows = spoil(rows, 3, plays_trend_7d=INF)
    rows = spoil(rows, 4, plays_hours_30d=[1 / 23] * 23)
    rows = spoil(rows, 5, plays_hours_30d=[1.0] + [1 / 24] * 23)
    rows = spoil(rows, 6, plays_hours_30d=[-1.0, 2.0] + [0.0] * 22)
    rows = spoil(rows, 7, plays_hours_30d=[NAN] + [0.0] * 23)
    rows = spoil(rows, 8, feature_at=NEXT_MIDNIGHT - timedelta(days=1))
    rows = spoil(rows, 9, plays_days_since_last_lifetime=0.6, skips_rate_30d=1.01)
    one_row = "1 of 10 rows break it (10 %)"
    verdict = audit(spark, "user_features", rows)
    assert summarize_failures(verdict, "critical") == {
        ("plays_count_7d", "at least plays_count_1d", one_row),
        ("plays_count_30d", "at least 0", "-1 to 3; 1 of 10 rows are outside (10 %)"),
        ("plays_count_30d", "at least plays_count_7d", one_row),
        ("plays_decayed_30d", "at least plays_decayed_7d", one_row),
        ("plays_trend_7d", "no NaN, no infinity", "1 of 10 rows are NaN or infinite (10 %)"),
        ("plays_trend_7d", "-64 to 64", "0.5 to inf; 1 of 10 rows are outside (10 %)"),
        ("plays_hours_30d", "24 hours", one_row),
        ("plays_hours_30d", "a sum of 1, or of 0", "2 of 10 rows break it (20 %)"),
        ("plays_hours_30d", "no share below 0", one_row),
        ("plays_hours_30d", "no element NaN or infinite", one_row),
        ("feature_at", "midnight after ds, UTC", one_row),
        (
            "plays_days_since_last_lifetime",
            "at most plays_days_since_first_lifetime",
            one_row,
        ),
        ("skips_rate_30d", "0 to 1", "0.5 to 1.01; 1 of 10 rows are outside (10 %)"),
    }
    no_value = ("a value in some rows", "10 of 10 rows are null (100 %)")
    assert summarize_failures(verdict, "warning") == {("completion_mean_1d", *no_value)}
    assert summarize_failures(verdict, "info") == {("saves_rate_1d", *no_value)}


def test_audit_batch_passes_features_of_a_track_without_plays(spark):
    contract = CONTRACTS["track_features"]
    zeros = {
        c.name: 0 if c.type == "bigint" else 0.0 for c in contract.columns if c.type in ("bigint", "double")
    }
    assert not audit(spark, "track_features", batch(contract, **zeros, plays_hours_30d=[0.0] * 24)).failures


def test_audit_batch_reports_every_seeded_fault_of_embeddings(spark):
    rows = batch(CONTRACTS["track_embeddings"])
    rows = spoil(rows, 0, in_vector=[0.3, NAN])
    rows = spoil(rows, 1, out_vector=[0.3, -INF])
    rows = spoil(rows, 2, vector=[0.0, 0.0])
    rows = spoil(rows, 3, vector=[0.6, 0.8, 0.0])
    rows = spoil(rows, 4, norm=1.1)
    rows = spoil(rows, 5, space_id="another")
    rows = spoil(rows, 6, support=0)
    rows = spoil(rows, 7, in_vector=[600.0, 800.0], out_vector=[0.0, 0.0], norm=1000.0)
    rows = spoil(rows, 8, vector=[None, 1.0])
    rows = spoil(rows, 9, source="none")
    one_row = "1 of 10 rows break it (10 %)"
    actual = summarize_failures(audit(spark, "track_embeddings", rows), "critical")
    null_rule = ("null where source is none, and only there", one_row)
    assert actual == {
        ("in_vector", "no element NaN or infinite", one_row),
        ("out_vector", "no element NaN or infinite", one_row),
        ("vector", "no element null", one_row),
        ("vector", "of length 1", one_row),
        ("vector", "one size per day", "1 more values than days"),
        ("in_vector", "as many dimensions as vector", one_row),
        ("out_vector", "as many dimensions as vector", one_row),
        ("vector", "in + out, divided by norm", "5 of 10 rows break it (50 %)"),
        # of a vector with a NaN the length is NaN
        ("norm", "the length of in + out", "3 of 10 rows break it (30 %)"),
        ("norm", "over 0, under 1,000", one_row),
        ("space_id", "one space per day", "1 more values than days"),
        ("support", "1 or more where learned", one_row),
        *((column, *null_rule) for column in ("vector", "in_vector", "out_vector", "norm")),
    }, actual


@pytest.mark.parametrize(
    ("table", "measure", "value"),
    [
        ("track_embeddings", "lost_tracks", 1),
        ("track_embeddings", "z_over_chance", 3.9),
        ("track_embeddings", "z_over_chance", NAN),
        ("track_embeddings", "next.hr_ratio_high", 0.94),
        ("track_embeddings", "coverage_ratio", 0.94),
        ("track_embeddings", "cosine", 0.49),
        ("track_embeddings", "cosine", NAN),
        ("similar_tracks", "hubness@10_ratio", 3.1),
        ("track_semantic_ids", "collisions_ratio", 3.1),
        ("track_semantic_ids", "duplicate_semantic_ids", 1),
    ],
)
def test_audit_batch_refuses_a_measure_beyond_a_critical_bound(audit_measures, table, measure, value):
    verdict = audit_measures(table, MEASURES[table] | {measure: value})
    assert {result.column for result in verdict.critical} == {measure}


@pytest.mark.parametrize(
    ("table", "measure", "value"),
    [
        ("track_embeddings", "next.hr@10_over_popularity_high", 0.9),
        ("track_embeddings", "next.hr@10_over_cooccurrence_high", 0.72),
        ("track_embeddings", "next.hr_ratio_low", 0.94),
        ("track_embeddings", "norm_p1_ratio", 0.74),
        ("track_embeddings", "norm_p99_ratio", 1.26),
        ("track_embeddings", "overlap@10", 0.4),
        ("track_embeddings", "cosine", 0.6),
        ("similar_tracks", "hubness@10", 21.2),
        ("similar_tracks", "hubness@10_ratio", 2),
        ("track_semantic_ids", "collisions", 0.3),
        ("track_semantic_ids", "collisions_ratio", 2),
    ],
)
def test_audit_batch_only_warns_of_a_measure_beyond_a_warning_bound(audit_measures, table, measure, value):
    verdict = audit_measures(table, MEASURES[table] | {measure: value})
    assert not verdict.refused
    assert [result.column for result in verdict.warnings] == [measure]
    assert "(" in verdict.warnings[0].expected, "nobody learns why"


def test_audit_batch_warns_of_low_coverage(spark):
    rows = batch(CONTRACTS["track_embeddings"])
    for place in (0, 1):
        rows = spoil(rows, place, source="artist")
    verdict = audit(spark, "track_embeddings", rows)
    assert summarize_failures(verdict, "critical") == set()
    assert summarize_failures(verdict, "warning") == {
        ("support", "at least 95 % of plays are of tracks learned", "80 %")
    }


def test_audit_batch_skips_comparisons_for_a_first_version(audit_measures):
    first = dict.fromkeys(
        (
            "has_parent",
            "has_dimensions_of_parent",
            "has_pairs_and_parent",
            "enough_pairs_and_parent",
            "is_warm",
        ),
        0,
    )
    comparisons = ("next.hr_ratio_low", "next.hr_ratio_high", "coverage_ratio", "overlap@10", "cosine")
    measures = {
        name: value
        for name, value in MEASURES["track_embeddings"].items()
        if name not in comparisons and not name.startswith("norm")
    }
    assert not audit_measures("track_embeddings", measures | first).failures


@pytest.mark.parametrize(
    ("pairs", "hits", "hits_before", "is_refused"),
    [
        (10_000, 1_300, 1_500, True),  # 0.87 of them
        (10_000, 1_470, 1_500, False),
        (60, 7, 9, False),  # 0.78 of them, which is noise
        (60, 0, 0, False),
        (60, 2, 20, True),  # gross
    ],
)
def test_hr_ratio_bound_refuses_fewer_hits_only_beyond_noise(pairs, hits, hits_before, is_refused):
    """Of the hits of the worse version, two thirds are of the other one too."""
    new, old = np.arange(pairs) < hits, np.zeros(pairs, bool)
    common_hits = 2 * hits // 3
    old[hits - common_hits : hits - common_hits + hits_before] = True
    bound = next(b for b in suite_for("track_embeddings").bounds if b.name == "next.hr_ratio_high")
    assert bound.check({**compare_hits(new, old), "has_pairs_and_parent": 1}).success != is_refused


def test_audit_batch_passes_too_few_pairs_to_tell_from_chance(audit_measures):
    measures = MEASURES["track_embeddings"] | {"chance_can_be_told": 0, "chance_pairs": 9}
    del measures["z_over_chance"]
    verdict = audit_measures("track_embeddings", measures)
    assert not verdict.failures
    assert "does not apply: not chance_can_be_told" in {result.observed for result in verdict.results}


@pytest.mark.parametrize("table", TABLES)
def test_suite_for_gives_bounds_a_unique_name_and_a_reason(table):
    bounds = suite_for(table).bounds
    assert len({bound.name for bound in bounds}) == len(bounds)
    assert all(len(bound.reason) > 20 for bound in bounds)


def test_audit_batch_passes_days_of_different_spaces(spark):
    rows = batch(CONTRACTS["track_embeddings"])
    tomorrow = {"ds": DAY + timedelta(days=1), "feature_at": NEXT_MIDNIGHT + timedelta(days=1)}
    sizes = {"vector": [1.0, 0.0, 0.0], "in_vector": [0.5, 0.0, 0.0], "out_vector": [0.5, 0.0, 0.0]}
    other = batch(CONTRACTS["track_embeddings"], **tomorrow, space_id="b", version_id="b", **sizes)
    assert not audit(spark, "track_embeddings", rows + other).failures


def test_audit_batch_reports_every_seeded_fault_of_tracks(spark):
    rows = batch(CONTRACTS["tracks"], title=None, explicit=None)
    rows = spoil(rows, 0, track_ms=-5, released_on=date(1, 1, 1))
    rows = spoil(rows, 1, released_on=date(2999, 1, 1), source="")
    rows = spoil(rows, 2, released="1994-5", isrc="QZ-AAA-26-00001", recording_mbid="b1a9c0e9", genres=[None])
    verdict = audit(spark, "tracks", rows)
    assert summarize_failures(verdict, "critical") == {
        ("released", "1994, 1994-05 or 1994-05-02", "1 of 10 rows break it (10 %)"),
        ("isrc", "an ISRC without hyphens", "1 of 10 rows break it (10 %)"),
        ("recording_mbid", "a UUID in lower case", "1 of 10 rows break it (10 %)"),
        ("genres", "no element null", "1 of 10 rows break it (10 %)"),
        ("track_ms", "0 to 86,400,000", "-5 to 3; 1 of 10 rows are outside (10 %)"),
        ("source", "not empty", "1 of 10 rows break it (10 %)"),
    }
    assert summarize_failures(verdict, "warning") == {
        ("title", "a value in some rows", "10 of 10 rows are null (100 %)"),
        ("released_on", "not before there were recordings", "1 of 10 rows break it (10 %)"),
        ("released_on", "within a year from now", "1 of 10 rows break it (10 %)"),
    }


def test_audit_batch_reports_every_seeded_fault_of_rejected_plays(spark):
    rows = batch(CONTRACTS["rejected_plays"], raw="")
    rows = spoil(rows, 0, reasons=[])
    rows = spoil(rows, 1, reasons=[None])
    assert summarize_failures(audit(spark, "rejected_plays", rows), "critical") == {
        ("reasons", "at least one reason", "1 of 10 rows break it (10 %)"),
        ("reasons", "no element null", "1 of 10 rows break it (10 %)"),
    }


def test_audit_batch_refuses_a_null_in_a_required_column(spark):
    """The staged table's own constraint would stop it too; an audit must not rely on that."""
    df = frame(spark, batch(PLAYS), PLAYS)
    df = df.withColumn("track_id", F.expr("if(play_id = 'play_id-3', null, track_id)"))
    verdict = audit_batch(df, suite_for("plays"), profile(df, PLAYS), MEASURES["plays"])
    assert summarize_failures(verdict, "critical") == {
        ("track_id", "not null", "1 of 10 rows are null (10 %)")
    }


# --- what the job counted


@pytest.mark.parametrize(
    ("measures", "severity", "observed"),
    [
        ({"rejected_share": 0.05}, None, "5 %"),
        ({"rejected_share": 0.0501}, "critical", "5.01 %"),
        # in two digits of a percent it would be the limit
        ({"rejected_share": 0.05002}, "critical", "5.002 %"),
        ({"rejected_share": 0.0500000001}, "critical", "5.00000001 %"),
        ({"rejected_share": 0.04998}, None, "5 %"),
        ({"rejected_share": NAN}, "critical", "nan %"),
        ({"reject_share": 0.5}, "critical", "not measured: the job counted only reject_share"),
        ({}, "info", "not measured: the job counted nothing"),
    ],
    ids=str,
)
def test_bound_check_compares_the_measure_of_the_job(measures, severity, observed):
    result = Bound("rejected_share", "a feed that broke", high=0.05, is_share=True).check(
        {"rows": 3, "duplicate_keys": 0, **measures}
    )
    assert (None if result.success else result.severity, result.observed) == (severity, observed)


@pytest.mark.parametrize(
    ("kwargs", "value", "observed"),
    [
        ({"min_value": 0.95}, 0.949996, "0.949996"),
        ({"min_value": 0.95}, 0.95, "0.95"),
        ({"max_value": 1_234}, 1_234.4, "1,234.4"),
        ({"max_value": 0.00005, "share": "x"}, 0.00006, "0.006 %"),
        ({"min_value": 2, "max_value": 9}, 7, "7"),
    ],
)
def test_what_is_observed_beyond_a_limit_does_not_read_as_the_limit(kwargs, value, observed):
    assert describe_observed("expect_x", kwargs, {"observed_value": value}, 10) == observed


def test_audit_batch_notes_a_measure_without_a_bound(spark):
    df = frame(spark, batch(PLAYS, 1), PLAYS)
    verdict = audit_batch(df, Suite("plays", ()), profile(df, PLAYS), {"late_plays": 12_000})
    assert [(r.column, r.severity, r.success, r.observed) for r in verdict.results] == [
        ("late_plays", "info", True, "12,000")
    ]


# --- what cannot be evaluated


def test_audit_batch_reports_expectations_it_cannot_evaluate_as_critical(spark, capfd):
    suite = Suite(
        "plays",
        (
            expect_rows("ds", "nowhere = 1", "a column that is not there", INFO),
            expect_rows("user_id", "cast(user_id as int) > 0", "an id that is a number", INFO),
            gxe.ExpectColumnValuesToNotBeNull(column="gone", severity=INFO),
            expect_rows("ds", f"ds = date'{DAY}'", "the day"),
        ),
    )
    df = frame(spark, batch(PLAYS), PLAYS)
    capfd.readouterr()
    verdict = audit_batch(df, suite, profile(df, PLAYS), {})
    assert [(r.severity, r.success) for r in verdict.results] == [("critical", False)] * 3 + [
        ("critical", True)
    ]
    observed = [result.observed for result in verdict.results[:3]]
    assert all(text.startswith("could not be evaluated: ") for text in observed), observed
    assert "gone" in observed[2]
    assert "user_id-" not in "".join(observed), "an id has come into the results"
    assert "".join(capfd.readouterr()) == "", "Great Expectations or Spark writes on the terminal"


def test_audit_batch_reports_a_missing_result_as_critical(spark, monkeypatch):
    run = gate._run
    monkeypatch.setattr(gate, "_run", lambda *arguments: run(*arguments)[1:])
    verdict = audit(spark, "rejected_plays", batch(CONTRACTS["rejected_plays"]))
    assert {r.observed for r in verdict.critical} == {"could not be evaluated: no result"}
    assert len(verdict.critical) == 1


# --- cost


def test_audit_batch_runs_as_many_spark_jobs_for_60_expectations_as_for_20(spark, tmp_path):
    def make_suite(size):
        checks = [
            expectation
            for n in range(size)
            for expectation in (
                gxe.ExpectColumnValuesToNotBeInSet(column="user_id", value_set=[str(n)]),
                ExpectColumnValuesToBeWithin(column="ms_played", min_value=-n),
                ExpectShareToBeBetween(column="skipped", share=f"avg(if(skipped, {n}, 0)) / {size}"),
                expect_rows("ds", f"bucket > -{n + 1}", "so"),
            )
        ]
        return Suite("plays", tuple(checks[:size]))

    frame(spark, batch(PLAYS), PLAYS).write.format("delta").save(str(tmp_path / "plays"))
    df = spark.read.format("delta").load(str(tmp_path / "plays"))
    batch_profile, jobs = profile(df, PLAYS), {}
    for size in (20, 60):
        spark.sparkContext.setJobGroup(f"audit of {size}", "")
        verdict = audit_batch(df, make_suite(size), batch_profile, {})
        assert len(verdict.results) == size and not verdict.failures, verdict.failures
        jobs[size] = len(spark.sparkContext.statusTracker().getJobIdsForGroup(f"audit of {size}"))
    spark.sparkContext.setLocalProperty("spark.jobGroup.id", None)
    # an aggregate over all expectations, and Delta's look into its log: no count of rows, and no samples
    assert jobs[20] == jobs[60] <= 2, jobs


def test_import_of_the_gate_loads_neither_great_expectations_nor_pyspark():
    code = (
        "import sys, expectations.gate, expectations.suites, expectations.release, expectations.report;"
        "print([name for name in ('great_expectations', 'pyspark', 'pandas') if name in sys.modules])"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert process.stdout == "[]\n", process.stdout + process.stderr


# --- what a refusal says


def test_refused_batch_names_table_expectation_values_and_remedy(spark):
    rows = spoil(batch(CONTRACTS["sessions"]), 0, completion=1.5)
    verdict = audit(spark, "sessions", rows)
    refusal = Refused.batch("sessions", "b7", verdict, "data/tables/sessions/batch-b7")
    first, why, to_do = str(refusal).splitlines()
    assert first == (
        f"table sessions: batch b7 refused, 1 of {len(verdict.results)} expectations broken; "
        "what was published is unchanged"
    )
    assert why == (
        "  completion: expected 0 to 1; observed 0.5 to 1.5; 1 of 10 rows are outside (10 %) "
        "[expect_column_values_to_be_within]"
    )
    assert "data/tables/sessions/batch-b7" in to_do and "run the step again" in to_do
    assert refusal.exit_code == 3


def test_suite_for_raises_for_a_table_without_expectations():
    with pytest.raises(LookupError, match="no expectations for table 'gate'; there are some for: plays, "):
        suite_for("gate")
