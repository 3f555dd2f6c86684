"""What must hold between tables."""

from __future__ import annotations

import random
from datetime import date
from itertools import permutations

import pytest

from expectations.release import (
    MAX_LAG_DAYS,
    OF_ONE_VERSION,
    REFERENCES,
    Keys,
    Reference,
    audit_release,
    check_lag,
    count_missing_keys,
    count_orphans,
)
from expectations.verdict import Refused
from schemas import CONTRACTS

DAY = date(2026, 10, 1)


def make_keys(spark, *values):
    return spark.createDataFrame([(value, n) for n, value in enumerate(values)], "track_id string, n int")


def count_missing(child, parent, key, where=None):
    reference = Reference("child", "parent", key, where=where)
    return count_orphans({reference: (child, parent)})[reference.name]


def test_a_key_may_have_another_name_in_the_child(spark):
    items = [("a", "track"), ("x", "track"), ("y", "artist"), ("x", "track")]
    child = spark.createDataFrame(items, "item_id string, item_type string")
    reference = Reference("child", "parent", "track_id", where="item_type = 'track'", column="item_id")
    assert count_orphans({reference: (child, make_keys(spark, "a", "b"))}) == {
        "expect_item_id_of_child_to_be_in_parent": 1
    }
    assert reference.check(1, False).column == "item_id"


def test_count_orphans_of_many_references_agrees_with_plain_python(spark):
    """Random keys of four tables, nulls and conditions among them; by sets in plain Python."""
    rng = random.Random(3)
    rows = {
        name: [(rng.choice([None, *"abcdefgh"]), rng.choice("uvwx"), n) for n in range(rng.choice([0, 3, 8]))]
        for name in "pqrs"
    }
    frames = {n: spark.createDataFrame(r, "track_id string, user_id string, n int") for n, r in rows.items()}
    references = [
        Reference(child, parent, key, where=where)
        for child, parent in permutations("pqrs", 2)
        for key in ("track_id", "user_id")
        for where in ([None, "n >= 2"] if (child, key) == ("q", "track_id") else [None])
    ]
    counts = {}
    for where in (None, "n >= 2"):
        group = [each for each in references if each.where == where]
        counts[where] = count_orphans({r: (frames[r.child], frames[r.parent]) for r in group})
    for reference in references:
        place = 0 if reference.key == "track_id" else 1
        child = {row[place] for row in rows[reference.child] if not reference.where or row[2] >= 2}
        parent = {row[place] for row in rows[reference.parent]} - {None}
        assert counts[reference.where][reference.name] == len(child - parent), reference


def test_count_orphans_counts_distinct_keys_that_the_parent_lacks(spark):
    parent = make_keys(spark, "t1", "t1", "t2", None)
    assert count_missing(make_keys(spark, "t1", "t3", "t3", "t4", "t2"), parent, "track_id") == 2
    assert count_missing(make_keys(spark, "t1", "t1"), parent, "track_id") == 0
    assert count_missing(make_keys(spark, None), parent, "track_id") == 1, "a null key refers to nothing"
    assert count_missing(make_keys(spark, "t1"), make_keys(spark), "track_id") == 1
    several = [Keys(parent, "track_id"), Keys(make_keys(spark, "t3", None), "track_id")]
    child = Keys(make_keys(spark, "t1", "t3", "t4", None), "track_id")
    assert count_missing_keys({"both": (child, several), "none": (child, [])}) == {"both": 2, "none": 4}


def test_count_orphans_skips_rows_whose_condition_is_not_true(spark):
    child, parent = make_keys(spark, "t1", "t2", "t3", "t3"), make_keys(spark, "t1")
    assert count_missing(child, parent, "track_id", "n >= 2") == 1
    assert count_missing(child, parent, "track_id", "n = 0") == 0
    assert count_missing(child, parent, "track_id", "n > null") == 0, (
        "not true is not false, and left out too"
    )


def test_references_name_columns_of_both_contracts():
    missing = [
        (reference.name, table)
        for reference in REFERENCES
        for table in (reference.child, reference.parent)
        if reference.key not in CONTRACTS[table].names
    ]
    assert not missing
    assert {"version_id", "ds"} <= set.intersection(
        *(set(CONTRACTS[table].names) for table in OF_ONE_VERSION)
    )


def test_references_have_conditions_that_are_valid_on_the_child(spark):
    conditional_references = [reference for reference in REFERENCES if reference.where]
    assert conditional_references
    for reference in conditional_references:
        rows = spark.createDataFrame([], CONTRACTS[reference.child].struct())
        assert count_missing(rows, rows, reference.key, reference.where) == 0


def test_audit_release_passes_tables_without_orphans():
    verdict = audit_release({reference.name: 0 for reference in REFERENCES})
    assert len(verdict.results) == len(REFERENCES)
    assert {result.observed for result in verdict.results} == {"none missing"}
    assert not verdict.failures


@pytest.mark.parametrize("reference", REFERENCES, ids=lambda reference: reference.name)
def test_audit_release_refuses_orphans_of_every_parent_but_tracks(reference):
    verdict = audit_release({each.name: 1234 if each == reference else 0 for each in REFERENCES})
    (failure,) = verdict.failures
    assert (failure.column, failure.observed, failure.unexpected_count) == (
        reference.key,
        "1,234 missing",
        1234,
    )
    assert failure.expected.startswith(f"every {reference.key} of {reference.child} ")
    assert failure.expected.endswith(
        f"{f' where {reference.where}' if reference.where else ''} is in {reference.parent}"
    )
    assert verdict.refused == (reference.parent != "tracks")


def test_audit_release_of_some_tables_checks_only_their_references():
    (reference, *_) = REFERENCES
    assert [result.expectation for result in audit_release({reference.name: 0}).results] == [reference.name]


def test_audit_release_raises_for_an_unknown_reference():
    with pytest.raises(KeyError, match="strangers"):
        audit_release({"strangers": 0})


def test_refused_release_names_the_broken_reference_and_a_remedy():
    counts = {reference.name: 0 for reference in REFERENCES}
    counts["expect_track_id_of_track_embeddings_to_be_in_plays"] = 7
    first, why, to_do = str(Refused.release(audit_release(counts))).splitlines()
    assert (
        first == f"release refused, 1 of {len(counts)} expectations broken; readers keep the release before"
    )
    assert why == (
        "  track_id: expected every track_id of track_embeddings where source = 'learned' is in plays; "
        "observed 7 missing [expect_track_id_of_track_embeddings_to_be_in_plays]"
    )
    assert "again" in to_do


def test_audit_release_after_an_erasure_only_warns_of_references_it_may_break():
    counts = {each.name: 1 for each in REFERENCES}
    verdict = audit_release(counts, erased=True)
    warnings = {result.expectation for result in verdict.warnings}
    assert {
        each.name for each in REFERENCES if each.child in ("track_features", "track_embeddings")
    } <= warnings
    strict_tables = {"sessions", "track_embeddings"}
    assert {result.expectation for result in verdict.critical} == {
        each.name
        for each in REFERENCES
        if each.key == "user_id" or (strict_tables & {each.child, each.parent} and not each.survives_erasure)
    }


# --- one version


def test_audit_release_passes_tables_of_one_version():
    versions = {table: ["v2"] for table in OF_ONE_VERSION}
    (result,) = audit_release({}, {DAY: versions}).results
    assert (result.success, result.column) == (True, "version_id")
    assert result.observed == f"v2 in {', '.join(sorted(OF_ONE_VERSION))}"


@pytest.mark.parametrize("odd", OF_ONE_VERSION)
def test_audit_release_refuses_and_names_a_table_of_another_version(odd):
    versions = {table: ["v1"] if table == odd else ["v2"] for table in OF_ONE_VERSION}
    verdict = audit_release({reference.name: 0 for reference in REFERENCES}, {DAY: versions}, erased=True)
    (failure,) = verdict.critical
    others = ", ".join(sorted(set(OF_ONE_VERSION) - {odd}))
    assert failure.observed == f"v1 in {odd}; v2 in {others}"
    assert failure.expected == f"one version_id on {DAY} in {', '.join(sorted(OF_ONE_VERSION))}"


def test_audit_release_refuses_two_versions_on_one_day_of_a_table():
    (failure,) = audit_release({}, {DAY: {"track_embeddings": ["v1", "v2"], "candidates": ["v2"]}}).critical
    assert failure.observed == "v1 in track_embeddings; v2 in candidates, track_embeddings"


def test_audit_release_without_embeddings_has_no_result_on_versions():
    assert audit_release({}, {}).results == audit_release({}).results == ()


def test_audit_release_passes_days_of_different_versions():
    versions = {DAY: {"candidates": ["v1"]}, DAY.replace(day=2): {"track_embeddings": ["v2"]}}
    assert not audit_release({}, versions).failures


def test_of_one_version_lists_the_tables_with_a_version():
    assert set(OF_ONE_VERSION) == {
        "track_embeddings", "user_embeddings", "similar_tracks", "candidates", "track_semantic_ids",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("lag", "success", "severity"),
    [
        (0, True, "warning"),
        (1, False, "warning"),
        (MAX_LAG_DAYS, False, "warning"),
        (MAX_LAG_DAYS + 1, False, "critical"),
    ],
)
def test_check_lag_warns_up_to_its_bound_and_refuses_beyond(lag, success, severity):
    result = check_lag("candidates", lag)
    assert (result.success, result.severity) == (success, severity)
