"""Of a refused batch: which rows are kept, how they are hidden, when they go; and none of it costs a verdict."""

from __future__ import annotations

import json
import os
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from expectations.quarantine import MOST_ROWS, Quarantine, list_searches
from expectations.requirements import describe_expectation
from expectations.suites import suite_for
from expectations.verdict import Result, Verdict
from jobs import maintain
from jobs.job import Job
from jobs.publishing.protocol import StagedBatch
from jobs.publishing.quarantine import (
    _write,
    find_offending_rows,
    keep_offending_rows,
    read_quarantine,
    remove_quarantine,
)
from jobs.publishing.records import read_results, record_changes, record_failures, record_unchanged
from jobs.publishing.warehouse import Warehouse
from reference.batches import batch, spoil
from reference.frames import frame
from reference.published import DAYS, lay
from schemas import CONTRACTS, PLAYS

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def fail(column, expected, count):
    about = next(
        each
        for each in map(describe_expectation, suite_for("plays").expectations)
        if (each.column, each.expected) == (column, expected)
    )
    return Result(about.expectation, column, "critical", False, f"{count} rows", expected, count)


def make_quarantine(table, attempt="a1"):
    return Quarantine(table, "b1", attempt, "run-1", NOW.isoformat(), "salted", ())


def test_find_offending_rows_takes_some_of_each_expectation_by_one_query(spark):
    rows = batch(PLAYS, 250, ms_played=-1)
    rows = spoil(rows, 3, 4, 5, track_id="", ms_played=-2)
    rows = spoil(rows, 7, play_id="play_id-8")
    results = (
        fail("ms_played", "0 to 86,400,000", 250),
        fail("track_id", "not empty", 3),
        Result("expect_duplicate_keys_to_be_within_bounds", "duplicate_keys", "critical", False, "1", "0"),
        fail("ds", "the day of played_at, in UTC", 1),
    )
    searches = list_searches(suite_for("plays"), PLAYS, Verdict(results), "/staged")
    df, calls = frame(spark, rows, PLAYS), []
    original = type(df).collect
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(df), "collect", lambda self: calls.append(1) or original(self))
        found = find_offending_rows(df, PLAYS, searches)
    assert len(calls) == 1
    assert Counter(row["place"] for row in found) == {0: MOST_ROWS, 1: 3, 2: 1}
    assert {row["key"][0] for row in found if row["place"] == 1} == {f"play_id-{n}" for n in (3, 4, 5)}
    of_key = next(row for row in found if row["place"] == 2)
    assert (of_key["key"], json.loads(of_key["shown"])) == (["play_id-8"], {"rows": 2})
    values = [json.loads(row["shown"])["ms_played"] for row in found if row["place"] == 1]
    assert values == [-2, -2, -2]


def test_what_cannot_be_kept_is_logged_and_changes_no_verdict(tmp_path, caplog):
    job = Job("test", str(tmp_path / "root"), "run-1", say=lambda text: None)
    verdict = Verdict((fail("ms_played", "0 to 86,400,000", 1),))
    staged = StagedBatch(job.batch("plays", DAYS[:1]), str(tmp_path / "gone"), None, verdict)
    keep_offending_rows(None, job.warehouse, "run-1", staged, suite_for("plays"))
    assert "rows that break expectations could not be kept: " in caplog.text
    assert read_quarantine(job.warehouse, "plays", staged.batch.attempt) is None


def test_a_record_of_a_batch_that_cannot_be_audited_repeats_no_value(tmp_path):
    job = Job("test", str(tmp_path / "root"), "run-1", say=lambda text: None)
    with (
        pytest.raises(ValueError, match="u17"),
        record_failures(job.warehouse, "run-1", job.batch("plays", DAYS[:1])),
    ):
        raise ValueError("cannot cast 'u17' to bigint")
    assert [row["observed"] for row in read_results(job.warehouse)] == ["cannot cast '…' to bigint"]


@pytest.mark.parametrize(("days", "listed"), [([DAYS[2], DAYS[0]], [DAYS[0], DAYS[2]]), ((), None)])
def test_a_record_of_a_batch_lists_its_days(tmp_path, days, listed):
    job = Job("test", str(tmp_path / "root"), "run-1", say=lambda text: None)
    with (
        pytest.raises(ValueError, match="x"),
        record_failures(job.warehouse, "run-1", job.batch("plays", days)),
    ):
        raise ValueError("x")
    (row,) = read_results(job.warehouse)
    assert row["days"] == listed, "between the ends of a batch may lie days that it has not"
    assert (row["first_ds"], row["last_ds"]) == ((DAYS[0], DAYS[2]) if listed else (None, None))
    record_unchanged(job.warehouse, "run-2", "plays", "x")
    assert {str(row["days"]) for row in read_results(job.warehouse, "run-2")} == {str(listed)}


def test_a_record_of_a_batch_of_more_than_a_month_has_its_ends_alone(tmp_path):
    job = Job("test", str(tmp_path / "root"), "run-1", say=lambda text: None)
    days = [DAYS[0] + timedelta(days=2 * n) for n in range(32)]
    record_changes(job.warehouse, "run-1", job.batch("plays", days), days, 32, {"ms_played": 1})
    (row,) = read_results(job.warehouse)
    assert (row["days"], row["first_ds"], row["last_ds"]) == (None, days[0], days[-1])


def test_what_was_kept_of_a_table_goes_with_its_age_or_at_once(tmp_path):
    warehouse = Warehouse(str(tmp_path))
    for attempt in ("old", "new"):
        _write(warehouse, make_quarantine("plays", attempt))
    _write(warehouse, make_quarantine("tracks"))
    old = tmp_path / "quality" / "quarantine" / "plays" / "old.json"
    os.utime(old, (NOW.timestamp(), NOW.timestamp()))
    remove_quarantine(warehouse, "plays", NOW + timedelta(seconds=1))
    assert read_quarantine(warehouse, "plays", "old") is None
    assert read_quarantine(warehouse, "plays", "new") == make_quarantine("plays", "new")
    remove_quarantine(warehouse, "plays")
    remove_quarantine(warehouse, "sessions")
    assert read_quarantine(warehouse, "plays", "new") is None
    assert read_quarantine(warehouse, "tracks", "a1") == make_quarantine("tracks")


def test_maintain_removes_what_was_kept_as_long_as_the_files_of_the_batch(tmp_path):
    root = str(tmp_path)
    lay(Warehouse(root), "tracks", batch(CONTRACTS["tracks"], 2))
    for attempt, days in (("young", 3), ("old", 5)):
        _write(Warehouse(root), make_quarantine("tracks", attempt))
        then = (datetime.now(UTC) - timedelta(days=days)).timestamp()
        os.utime(tmp_path / "quality" / "quarantine" / "tracks" / f"{attempt}.json", (then, then))
        shown = f'<section class="kept-rows" data-table="tracks" data-attempt="{attempt}">0af3</section>'
        (tmp_path / "quality" / f"{attempt}.html").write_text(shown)
    arguments = ["--root", root, "--run-id", "run-maintain", "--tables", "tracks"]
    assert maintain.main([*arguments, "--dry-run"]) == 0
    assert read_quarantine(Warehouse(root), "tracks", "old")
    assert maintain.main(arguments) == 0
    assert read_quarantine(Warehouse(root), "tracks", "old") is None
    assert read_quarantine(Warehouse(root), "tracks", "young")
    pages = {path.stem: "0af3" in path.read_text() for path in (tmp_path / "quality").glob("*.html")}
    assert pages == {"young": True, "old": False}, "a report shows rows as long as they are kept"
