"""What plays never have excuses warnings of what is made of it, and nothing else."""

from __future__ import annotations

import pytest

from expectations.lineage import downgrade_to_info, find_empty_columns, find_missing_sources
from expectations.verdict import Result
from schemas import FEATURE_GROUPS

NOT_NULL_EXPECTATION = "expect_column_values_to_not_be_null"
USERS = next(group for group in FEATURE_GROUPS if group.table == "user_features")


def make_result(column, severity="warning", success=False, null_rows=10):
    return Result(
        NOT_NULL_EXPECTATION, column, severity, success, "10 of 10 rows are null", "a value", null_rows
    )


@pytest.mark.parametrize(
    ("table", "column", "missing", "causes"),
    [
        ("sessions", "ms_played", {"ms_played"}, ["ms_played"]),
        ("sessions", "completion", {"track_ms"}, ["track_ms"]),
        ("sessions", "completion", {"ms_played", "track_ms"}, ["ms_played", "track_ms"]),
        ("sessions", "completion", {"skipped"}, []),
        ("sessions", "skipped", {"skipped"}, []),  # computed from ms_played then
        ("sessions", "skipped", {"skipped", "ms_played"}, ["skipped", "ms_played"]),
        ("sessions", "artist_id", {"ms_played"}, []),
        ("user_features", "completion_mean_1d", {"ms_played"}, ["ms_played"]),
        ("user_features", "completion_mean_1d", {"saved"}, []),
        ("user_features", "saves_rate_1d", {"saved"}, ["saved"]),
        ("user_features", "plays_count_1d", {"saved", "ms_played", "artist_id"}, []),
    ],
)
def test_find_missing_sources_names_the_missing_columns_behind_a_column(table, column, missing, causes):
    assert find_missing_sources(table, column, missing) == causes


def test_find_missing_sources_of_parts_follows_the_lineage_of_features():
    saved_features = [f for f in USERS.features if "saved" in f.lineage]
    parts = {p.name for f in saved_features for w in f.windows for p in f.parts(w) if "saved" in p.of}
    assert parts
    assert all(find_missing_sources("user_partials", name, {"saved"}) for name in parts)
    assert find_missing_sources("user_partials", "count_play_id", {"saved"}) == []


def test_downgrade_to_info_changes_only_failed_warnings_and_gives_the_reason():
    missing = {"ms_played": "the source never has ms_played"}
    info = downgrade_to_info("sessions", make_result("ms_played"), missing)
    assert (info.severity, info.success) == ("info", False)
    assert info.observed == "the source never has ms_played: 10 of 10 rows are null"
    for result in (
        make_result("ms_played", "critical"),
        make_result("saved"),
        make_result("ms_played", success=True),
    ):
        assert downgrade_to_info("sessions", result, missing) == result


def test_find_empty_columns_names_columns_with_all_rows_null():
    results = [make_result("a"), make_result("b", null_rows=9), make_result("c", "info", null_rows=10)]
    assert find_empty_columns(results, 10) == {"a", "c"}
    assert find_empty_columns([make_result("a", null_rows=0)], 0) == frozenset(), "no rows say nothing"
