"""Maintenance changes no row, keeps what a living release holds, and frees the rest.

Only joining files needs Spark; all else is of logs and files, which are laid without it.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable

import segue
from expectations.verdict import Refused
from jobs import maintain
from jobs.job import Job
from jobs.publishing.records import list_recorded_batches
from jobs.publishing.retention import clean_log, last_checkpoint, vacuum
from jobs.publishing.rewrite import mark_erased
from jobs.publishing.warehouse import Warehouse
from reference.published import DAYS, NOON, opening
from reference.staged import REFUSED, LaidJob
from schemas import CONTRACTS
from schemas.contract import Column
from schemas.sessions import SESSIONS
from segue import storage
from segue.errors import SegueError
from segue.releases import RELEASE_LIFE, TableVersion, append_release, rollback

NOW = datetime.now(UTC)
LATER = NOW + RELEASE_LIFE + timedelta(days=2)


@pytest.fixture
def root(tmp_path):
    return str(tmp_path / "root")


@pytest.fixture
def job(spark, root):
    return lambda: Job("test", root, "run-test", say=lambda text: None)


@pytest.fixture
def laid(root):
    return lambda: LaidJob("test", root, "run-test", say=lambda text: None)


def sessions(days=range(3), **overrides):
    """Five rows a day."""
    return [
        opening(f"p{day}-{n}", NOON + timedelta(days=day, minutes=n), **overrides)
        for day in days
        for n in range(5)
    ]


def publish(job, days=range(3), **overrides):
    """Batches of other rows are other batches."""
    batch = job.batch("sessions", [DAYS[day] for day in days], parameters=overrides)
    return job.publish(batch, sessions(days, **overrides))


def crowded(job):
    """Published as by a cluster that shuffles finely: many files a day."""
    batch = replace(job.batch("sessions", DAYS[:3]), files_per_day=5)
    job.publish(batch, sessions())
    assert len(list_data_files(job)) > 3, "no crowd: this shows nothing"


def list_data_files(job):
    return job.warehouse.table("sessions").file_uris()


def released(root, day=DAYS[0]):
    state = Warehouse(root).state("sessions")
    return append_release(
        root, day, {"sessions": TableVersion(state.version, state.rows, state.content_hash)}
    )


def rows_of(root, release=None):
    rows = [row for batch in segue.open(root, release).scan("sessions") for row in batch.to_pylist()]
    return sorted(rows, key=lambda row: row["play_id"])


def files_on_disk(root):
    return {path for path in Path(root, "tables").rglob("*.parquet") if "_delta_log" not in path.parts}


def maintained(root, *arguments):
    assert maintain.main(["--root", root, "--run-id", "run-maintain", *arguments]) == 0


def test_small_files_are_joined_and_no_row_changes(job, laid, root):
    crowded(laid())
    made = job()
    before, state = made.read("sessions").toArrow().sort_by("play_id"), job().warehouse.state("sessions")
    maintained(root)
    after = job().warehouse.state("sessions")
    assert len(list_data_files(made)) == 3
    assert job().read("sessions").toArrow().sort_by("play_id") == before, (
        "a row changed, or its available_at did"
    )
    assert (after.version, after.day_states) == (state.version + 1, state.day_states)
    maintained(root)
    assert job().warehouse.state("sessions").version == after.version, "maintenance twice added a version"
    assert after.cumulative_fingerprints() == state.cumulative_fingerprints(), "joining files made days stale"


def test_rows_from_before_a_column_are_joined_without_a_value(job, laid, root, monkeypatch):
    crowded(laid())
    mood = Column("mood", "string", "how the listener felt", nullable=False)
    monkeypatch.setitem(CONTRACTS, "sessions", replace(SESSIONS, columns=(*SESSIONS.columns, mood)))
    laid().warehouse.add_missing_columns(CONTRACTS["sessions"])
    assert maintain.main(["--root", root]) == 0
    assert len(list_data_files(laid())) == 3, "they are as many as before: nothing was joined"
    rows = storage.Snapshot.at(laid().warehouse.table_path("sessions"), None)
    assert rows.read(rows.files, ["mood"])["mood"].to_pylist() == [None] * 15


def test_a_dry_run_says_what_it_would_do_and_does_nothing(laid, root, capsys):
    crowded(laid())
    version, files = laid().warehouse.state("sessions").version, files_on_disk(root)
    maintained(root, "--dry-run")
    assert "would have" in capsys.readouterr().out
    assert (laid().warehouse.state("sessions").version, files_on_disk(root)) == (version, files)


def test_what_a_living_release_holds_stays_and_the_rest_goes_in_time(laid, root):
    publish(laid())
    first, rows = released(root), rows_of(root)
    publish(laid(), track_id="t2")
    second = released(root)
    warehouse = Warehouse(root)
    vacuum(warehouse, warehouse.table("sessions"), "sessions", NOW)
    assert rows_of(root, first.release_id) == rows, "vacuum took files that a living release names"
    before = files_on_disk(root)
    vacuum(warehouse, warehouse.table("sessions"), "sessions", LATER)
    assert len(files_on_disk(root)) == len(before) - 3, "what only a dead release held was not removed"
    assert {row["track_id"] for row in rows_of(root, second.release_id)} == {"t2"}
    with pytest.raises(SegueError, match="lost files"):
        rows_of(root, first.release_id)
    with pytest.raises(SegueError, match="lost files"):
        rollback(root, first.release_id)


def test_a_rollback_keeps_old_files_alive(laid, root):
    publish(laid())
    first, rows = released(root), rows_of(root)
    publish(laid(), track_id="t2")
    released(root)
    rollback(root, first.release_id)
    warehouse = Warehouse(root)
    vacuum(warehouse, warehouse.table("sessions"), "sessions", LATER)
    assert rows_of(root) == rows, "the newest release has no end, but its files went"


def test_a_release_past_its_life_is_refused_and_never_served_half(laid, root, monkeypatch):
    publish(laid())
    first = released(root)
    publish(laid(), track_id="t2")
    second = released(root)
    monkeypatch.setattr(
        segue.open.__globals__["open_release"].__globals__["select_unexpired"], "__defaults__", (LATER,)
    )
    with pytest.raises(SegueError, match=f"{first.release_id} can no longer be read.*{second.release_id}"):
        segue.open(root, first.release_id)
    assert segue.open(root).release == second.release_id, "the newest release has no end"


def test_refused_and_abandoned_batches_are_swept_after_days_and_not_before(laid, root):
    publish(laid())
    wrong, abandoned = laid(), laid()
    wrong.verdict = REFUSED
    with pytest.raises(Refused):
        publish(wrong, completion=1.5)
    staged = abandoned.stage(abandoned.batch("sessions", DAYS[:1], parameters={"n": 1}), sessions([0]))
    warehouse, table = Warehouse(root), Warehouse(root).table("sessions")
    assert len(warehouse.batches("sessions")) == 3
    assert vacuum(warehouse, table, "sessions", NOW + timedelta(days=2)).batches == []
    freed = vacuum(warehouse, table, "sessions", NOW + timedelta(days=5))
    assert len(freed.batches) == 2 and len(warehouse.batches("sessions")) == 1
    maintain._record_abandoned(laid(), "sessions", freed.batches)
    assert staged.batch.id in list_recorded_batches(warehouse, "sessions"), "an attempt left no record"
    released(root)
    assert len(rows_of(root)) == 15


def test_old_log_entries_go_and_every_version_that_is_needed_can_be_read(job, laid, root):
    publish(laid())
    first, rows = released(root), rows_of(root)
    for _ in range(11):
        mark_erased(laid(), Warehouse(root).table("sessions"), "sessions")
    maintained(root)
    path = job().warehouse.table_path("sessions")
    log = set(Path(path, "_delta_log").glob("*.json"))
    version = DeltaTable(path).version()
    assert last_checkpoint(Warehouse(root), path) == version
    much_later = NOW + timedelta(days=400)
    assert clean_log(Warehouse(root), "sessions", much_later) == 0, (
        "the newest release still names an old version"
    )
    assert rows_of(root, first.release_id) == rows
    released(root)
    assert clean_log(Warehouse(root), "sessions", much_later) >= version
    assert len(set(Path(path, "_delta_log").glob("*.json"))) < len(log)
    state = job().warehouse.state("sessions")
    assert (state.version, state.rows) == (version, 15), "the state went with the log"
    assert job().read("sessions").count() == 15
    assert publish(laid(), [0], track_id="last").version == version + 1


def test_a_reader_who_began_before_maintenance_ends_after_it(job, laid, root):
    crowded(laid())
    released(root)
    expected = rows_of(root)
    reading = segue.open(root).scan("sessions")
    seen = next(reading).to_pylist()
    pinned = job().read("sessions")
    maintained(root)
    assert job().warehouse.state("sessions").version > pinned.sparkSession.range(1).count(), (
        "nothing was joined"
    )
    rows = seen + [row for batch in reading for row in batch.to_pylist()]
    assert sorted(rows, key=lambda row: row["play_id"]) == expected
    assert pinned.count() == len(expected)


def test_a_training_that_was_cut_off_long_ago_is_swept(tmp_path, capsys):
    old, young = (tmp_path / "scratch" / "track_embeddings" / name for name in ("old", "young"))
    for folder in (old, young):
        (folder / "progress").mkdir(parents=True)
        (folder / "progress" / "00001.json").write_text("{}")
    long_ago = time.time() - 4 * 24 * 3600
    for path in (old, old / "progress", old / "progress" / "00001.json"):
        os.utime(path, (long_ago, long_ago))
    maintain.main(["--root", str(tmp_path), "--dry-run"])
    assert old.exists(), "a dry run removed something"
    maintain.main(["--root", str(tmp_path)])
    assert (old.exists(), young.exists()) == (False, True), capsys.readouterr().out
