"""What must hold between tables."""

from __future__ import annotations

import pytest

from expectations.release import CROSS_TABLE, judge_tables, orphans
from expectations.verdict import Refused
from schemas import CONTRACTS


def keys(spark, *values):
    return spark.createDataFrame([(value, n) for n, value in enumerate(values)], "track_id string, n int")


def test_orphans_are_different_keys_that_the_parent_lacks(spark):
    parent = keys(spark, "t1", "t1", "t2", None)
    assert orphans(keys(spark, "t1", "t3", "t3", "t4", "t2"), parent, "track_id") == 2
    assert orphans(keys(spark, "t1", "t1"), parent, "track_id") == 0
    assert orphans(keys(spark, None), parent, "track_id") == 1, "a null key refers to nothing"
    assert orphans(keys(spark, "t1"), keys(spark), "track_id") == 1


def test_every_reference_is_between_columns_that_are_there():
    missing = [
        (reference.name, table)
        for reference in CROSS_TABLE
        for table in (reference.child, reference.parent)
        if reference.key not in CONTRACTS[table].names
    ]
    assert not missing


def test_tables_that_fit_are_released():
    verdict = judge_tables({reference.name: 0 for reference in CROSS_TABLE})
    assert len(verdict.results) == len(CROSS_TABLE)
    assert {result.observed for result in verdict.results} == {"none missing"}
    assert not verdict.failures


@pytest.mark.parametrize("reference", CROSS_TABLE, ids=lambda reference: reference.name)
def test_orphans_refuse_the_release_but_where_a_catalogue_comes_late(reference):
    verdict = judge_tables({each.name: 1234 if each == reference else 0 for each in CROSS_TABLE})
    (failed,) = verdict.failures
    assert (failed.column, failed.observed, failed.unexpected_count) == (reference.key, "1,234 missing", 1234)
    assert failed.expected == f"every {reference.key} of {reference.child} is in {reference.parent}"
    assert verdict.refused == (reference.parent != "tracks")


def test_a_release_of_some_tables_is_judged_by_what_it_holds():
    (reference, *_) = CROSS_TABLE
    assert [result.expectation for result in judge_tables({reference.name: 0}).results] == [reference.name]


def test_a_count_of_something_unknown_is_no_check():
    with pytest.raises(KeyError, match="strangers"):
        judge_tables({"strangers": 0})


def test_a_refused_release_says_why():
    counts = {reference.name: 0 for reference in CROSS_TABLE}
    counts["expect_track_id_of_track_embeddings_to_be_in_plays"] = 7
    first, why, to_do = str(Refused.release(judge_tables(counts))).splitlines()
    assert (
        first == f"release refused, 1 of {len(counts)} expectations broken; readers keep the release before"
    )
    assert why == (
        "  track_id: expected every track_id of track_embeddings is in plays; observed 7 missing "
        "[expect_track_id_of_track_embeddings_to_be_in_plays]"
    )
    assert "again" in to_do


def test_what_only_an_erased_listener_heard_is_a_warning_and_the_rest_still_refuses():
    counts = {each.name: 1 for each in CROSS_TABLE}
    verdict = judge_tables(counts, erased=True)
    warned = {result.expectation for result in verdict.warnings}
    assert {
        each.name for each in CROSS_TABLE if each.child in ("track_features", "track_embeddings")
    } <= warned
    assert {result.expectation for result in verdict.critical} == {
        each.name for each in CROSS_TABLE if each.key == "user_id" or "sessions" in (each.child, each.parent)
    }
