"""A source without durations, skips and artists: that is said once, at plays, and no table after them warns."""

from __future__ import annotations

import pytest

from jobs import build_sessions, build_track_features, build_user_features, ingest_plays
from jobs.publishing.records import read_results
from jobs.publishing.state import Part, TableState
from jobs.publishing.warehouse import Warehouse

HEADER = "who,what,at"
PLAYS = [
    f"u{n % 6},t{(3 * n) % 20},2026-10-{1 + n % 3:02d}T{8 + n // 60:02d}:{n % 60:02d}:00Z" for n in range(180)
]
NEVER = {"ms_played", "track_ms", "skipped", "saved", "artist_id"}
MAP = """
name = "radio"
[plays]
user_id = "who"
track_id = "what"
played_at = "at"
"""


def run(tmp_path, columns=MAP, lines=PLAYS):
    (tmp_path / "source.toml").write_text(columns)
    (tmp_path / "plays.csv").write_text("\n".join([HEADER, *lines, ""]))
    common = ["--root", str(tmp_path / "root"), "--run-id", "one"]
    files = ["--source", str(tmp_path / "source.toml"), "--input", str(tmp_path / "plays.csv")]
    assert ingest_plays.main([*common, *files]) == 0
    for step in (build_sessions, build_user_features, build_track_features):
        assert step.main(common) == 0
    return Warehouse(str(tmp_path / "root"))


def no_value(rows, table):
    """Severity by column, of the columns without a value."""
    return {
        row["column"]: row["severity"]
        for row in rows
        if row["table_name"] == table and not row["success"] and "are null" in row["observed"]
    }


def test_what_a_source_never_has_is_said_once(spark, tmp_path, capsys):
    warehouse = run(tmp_path)
    rows = read_results(warehouse, "one")
    tables = {row["table_name"] for row in rows}
    assert {"plays", "sessions", "user_features", "track_features"} <= tables
    assert [row for row in rows if row["severity"] == "warning" and not row["success"]] == []
    assert no_value(rows, "plays") == dict.fromkeys([*NEVER, "source_session_id"], "info")
    assert warehouse.state("plays").empty_columns >= NEVER
    assert "plays_count_1d" not in no_value(rows, "user_features")
    assert no_value(rows, "user_features"), "no feature is null, so this shows nothing"
    said = capsys.readouterr().out
    assert said.count("source radio has no") == 1
    of_sessions = {row["column"]: row["observed"] for row in rows if row["table_name"] == "sessions"}
    assert of_sessions["artist_id"] == "the source never has artist_id: 180 of 180 rows are null (100 %)"


def test_a_column_that_is_mapped_and_empty_warns_once_at_plays(spark, tmp_path):
    warehouse = run(tmp_path, MAP + 'ms_played = "nullif(at, at)"\n')
    rows = read_results(warehouse, "one")
    warned = [
        (row["table_name"], row["column"])
        for row in rows
        if row["severity"] == "warning" and not row["success"]
    ]
    assert warned == [("plays", "ms_played")]


@pytest.mark.parametrize(
    ("before", "found", "whole", "rows", "expected"),
    [
        (None, {"a", "b"}, False, 5, {"a", "b"}),  # the first batch
        ({"a", "b"}, {"b", "c"}, False, 5, {"b"}),
        ({"a", "b"}, set(), False, 0, {"a", "b"}),  # no rows, no news
        ({"a"}, {"b"}, True, 5, {"b"}),  # in the place of all there was
    ],
)
def test_a_column_stays_empty_while_no_batch_has_a_value(before, found, whole, rows, expected):
    parts = {} if before is None else {None: Part(3, 1, 1, "x")}
    state = TableState(1, parts, empty_columns=frozenset(before or ()))
    after = state.with_rows(rows, frozenset(found), whole)
    assert after.empty_columns == expected
    assert TableState.loads(1, after.dumps()) == after


def test_a_state_of_before_says_nothing_of_empty_columns():
    saved = TableState(1, empty_columns=frozenset({"a"})).dumps()
    del saved["empty_columns"]
    assert TableState.loads(1, saved).empty_columns == frozenset()
