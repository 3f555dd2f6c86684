"""What plays never have excuses warnings of what is made of it, and nothing else."""

from __future__ import annotations

import pytest

from expectations.lineage import downgrade_to_info, find_empty_columns, find_missing_sources
from expectations.verdict import Result
from schemas import FEATURE_GROUPS

NOT_NULL_EXPECTATION = "expect_column_values_to_not_be_null"
USERS = next(group for group in FEATURE_GROUPS if group.table == "user_features")


def failed(column, severity="warning", success=False, broken=10):
    return Result(
        NOT_NULL_EXPECTATION, column, severity, success, "10 of 10 rows are null", "a value", broken
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
def test_a_column_lacks_what_it_is_made_of(table, column, missing, causes):
    assert find_missing_sources(table, column, missing) == causes


def test_parts_have_the_lineage_of_their_features():
    of_saved = [f for f in USERS.features if "saved" in f.lineage]
    parts = {p.name for f in of_saved for w in f.windows for p in f.parts(w) if "saved" in p.of}
    assert parts
    assert all(find_missing_sources("user_partials", name, {"saved"}) for name in parts)
    assert find_missing_sources("user_partials", "count_play_id", {"saved"}) == []


def test_only_a_warning_is_excused_and_says_why():
    missing = {"ms_played": "the source never has ms_played"}
    found = downgrade_to_info("sessions", failed("ms_played"), missing)
    assert (found.severity, found.success) == ("info", False)
    assert found.observed == "the source never has ms_played: 10 of 10 rows are null"
    for result in (failed("ms_played", "critical"), failed("saved"), failed("ms_played", success=True)):
        assert downgrade_to_info("sessions", result, missing) == result


def test_a_column_is_empty_where_all_rows_are_null():
    results = [failed("a"), failed("b", broken=9), failed("c", "info", broken=10)]
    assert find_empty_columns(results, 10) == {"a", "c"}
    assert find_empty_columns([failed("a", broken=0)], 0) == frozenset(), "no rows say nothing"
