"""What finds the rows that break an expectation, and what of them may be shown. Without Spark."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from datetime import UTC, datetime

import pytest

from expectations.quarantine import Fault, Quarantine, find_violation_sql, list_searches
from expectations.report import render
from expectations.requirements import describe_expectation
from expectations.shown_rows import remove_shown_rows
from expectations.suites import TABLES, suite_for
from expectations.verdict import Result, Verdict
from reference.html_pages import Page
from schemas import CONTRACTS

PATH = "/data/tables/sessions/batch-b`7"
TABLE = "delta.`/data/tables/sessions/batch-b``7`"


def fail(table, column, expected, **changes):
    """The result of an expectation that one row broke."""
    about = next(
        each
        for each in map(describe_expectation, suite_for(table).expectations)
        if (each.column, each.expected) == (column, expected)
    )
    values = {"observed": "1 row", "unexpected_count": 1, "severity": about.severity, **changes}
    return Result(about.expectation, column, success=False, expected=expected, **values)


def search(table, *results):
    return list_searches(suite_for(table), CONTRACTS[table], Verdict(results), PATH)


@pytest.mark.parametrize(
    ("table", "column", "expected", "condition"),
    [
        ("plays", "track_id", "not null", "`track_id` IS NULL"),
        ("plays", "track_id", "not empty", "`track_id` IN ('')"),
        ("plays", "ms_played", "0 to 86,400,000", "`ms_played` < 0 OR `ms_played` > 86400000"),
        ("sessions", "position", "at least 1", "`position` < 1"),
        (
            "sessions",
            "completion",
            "no NaN, no infinity",
            "isnan(`completion`) OR abs(`completion`) = double('Infinity')",
        ),
        ("sessions", "session_started_at", "not after the play", "NOT (session_started_at <= played_at)"),
    ],
)
def test_list_searches_has_the_query_that_finds_all_rows(table, column, expected, condition):
    (found,) = search(table, fail(table, column, expected))
    assert found.condition == condition
    assert found.query == f"SELECT * FROM {TABLE} WHERE {condition}"


def test_list_searches_leaves_out_what_no_row_breaks_and_what_was_not_counted():
    crashed = fail("plays", "ms_played", "0 to 86,400,000", unexpected_count=None, severity="critical")
    all_null = fail("plays", "artist_id", "a value in some rows")
    noted = fail("plays", "track_id", "not null", severity="info")
    of_the_job = Result(
        "expect_rejected_share_to_be_within_bounds", "rejected_share", "critical", False, "", ""
    )
    assert search("plays", crashed, all_null, noted, of_the_job) == []


def test_list_searches_of_what_rows_break_together_has_a_query_and_no_condition():
    twice = Result("expect_duplicate_keys_to_be_within_bounds", "duplicate_keys", "critical", False, "1", "0")
    spaces = fail("track_embeddings", "space_id", "one space per day", unexpected_count=None)
    share = Result(
        "expect_bot_share_to_be_within_bounds", "is_bot", "warning", False, "100 %", "at most 20 %"
    )
    (of_keys,) = search("plays", twice)
    assert of_keys.query == (
        f"SELECT `play_id`, count(*) AS rows FROM {TABLE} GROUP BY `play_id` HAVING count(*) > 1"
    )
    (of_spaces,) = search("track_embeddings", spaces)
    assert of_spaces.query.startswith("SELECT ds, space_id AS value, count(*) AS rows FROM ")
    (of_bots,) = search("sessions", share)
    assert of_bots.query == f"SELECT avg(cast(is_bot as double)) AS share FROM {TABLE}"
    assert {of_keys.condition, of_spaces.condition, of_bots.condition} == {""}


@pytest.mark.parametrize(
    ("table", "column", "expected", "columns"),
    [
        ("plays", "ds", "the day of played_at, in UTC", ("played_at", "ds")),
        # neither ids of listeners and keys, nor any text beside them
        ("plays", "bucket", "hash of user_id, 0 to 63", ("bucket",)),
        ("plays", "track_id", "not empty", ()),
        # a vector of a listener is nobody else's
        ("user_embeddings", "vector", "of length 1", ()),
        ("user_embeddings", "weight", "over 0, at most 1 per play", ("support", "weight")),
        # what names no listener
        ("similar_tracks", "scores", "one per neighbour", ("neighbours", "scores")),
        ("tracks", "isrc", "an ISRC without hyphens", ("isrc",)),
    ],
)
def test_list_searches_shows_columns_that_say_of_nobody_who_it_is(table, column, expected, columns):
    (found,) = search(table, fail(table, column, expected))
    assert found.columns == tuple(name for name in CONTRACTS[table].names if name in columns)


@pytest.mark.parametrize("table", [name for name in TABLES if CONTRACTS[name].personal])
def test_no_search_of_a_table_of_listeners_shows_text_or_a_list(table):
    contract = CONTRACTS[table]
    for each in suite_for(table).expectations:
        about = describe_expectation(each)
        if find_violation_sql(each):
            (found,) = search(table, fail(table, about.column, about.expected, severity="critical"))
            kinds = {contract.column(name).type for name in found.columns}
            assert not [kind for kind in kinds if "string" in kind or "array" in kind], found


QUARANTINE = Quarantine(
    table="sessions",
    batch_id="b7",
    attempt_id="a1",
    run_id="run-1",
    taken_at="2026-11-20T03:04:00+00:00",
    hashed="salted: with random bytes",
    faults=(
        Fault(
            "expect_x",
            "completion",
            "SELECT * FROM delta.`/x` WHERE completion > 1",
            1_200,
            ({"key": "0af3", "values": {"completion": 1.5}},),
        ),
        Fault("expect_y", None, "SELECT 1 FROM t -- <b>", None),
    ),
)


def test_quarantine_is_read_as_it_was_written():
    text = QUARANTINE.dumps()
    assert Quarantine.loads(text) == QUARANTINE
    assert json.loads(text) == json.loads(json.dumps(asdict(QUARANTINE)))


def test_render_shows_rows_of_a_refused_batch_with_the_query(make_row):
    rows = [make_row("refused", False), make_row("passed", True)]
    page = Page(render(rows, None, "run-1", quarantines={"refused": QUARANTINE}))
    assert ["Key, hashed", "completion"] in page.rows and ["0af3", "1.5"] in page.rows
    assert "completion: expect_x 1 of 1,200 rows" in page.text
    assert "SELECT * FROM delta.`/x` WHERE completion > 1" in page.text
    assert "SELECT 1 FROM t -- <b>" in page.text, "a query is written into the page as HTML"
    assert "Rows that break them" not in Page(render(rows, None, "run-1")).text


@pytest.fixture
def make_row():
    def make(outcome, success):
        return {
            "run_id": "run-1",
            "attempt_id": outcome,
            "table_name": "sessions",
            "batch_id": "b7",
            "first_ds": None,
            "last_ds": None,
            "rows": 5,
            "outcome": outcome,
            "checked_at": datetime(2026, 11, 20, tzinfo=UTC),
            "expectation": "expect_x",
            "column": "completion",
            "severity": "critical",
            "success": success,
            "observed": "seen",
            "expected": "wanted",
            "unexpected_count": 1,
        }

    return make


def test_remove_shown_rows_leaves_all_but_the_rows_that_are_gone(make_row):
    kept = {"a1": QUARANTINE, "a2": replace(QUARANTINE, table="tracks", attempt_id="a2")}
    rows = [make_row("refused", False) | {"attempt_id": id_} for id_ in kept]
    text = render(rows, None, "run-1", quarantines=kept)
    page = Page(
        remove_shown_rows(text, lambda table, attempt: (table, attempt) == ("sessions", "a1"), "Gone <.")
    )
    assert page.rows.count(["0af3", "1.5"]) == 1, "of two refused batches, rows of one are gone"
    assert "Gone <." in page.text and "Batches" in page.text, "only the rows go from the report"
    assert remove_shown_rows(text, lambda table, attempt: False, "Gone") == text


def test_remove_shown_rows_knows_pages_of_before_that_do_not_say_whose_rows_they_have(make_row):
    text = render([make_row("refused", False)], None, "run-1", quarantines={"refused": QUARANTINE})
    old = re.sub("</?section[^>]*>", "", text)
    assert "<section" not in old and "0af3" in old
    page = Page(remove_shown_rows(old, lambda table, attempt: not table, "Gone."))
    assert "0af3" not in page.text and "Gone. Batches" in page.text, "rows go up to the end of the batch"
