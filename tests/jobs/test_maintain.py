"""Maintenance changes no row, keeps what a living release holds, and frees the rest.

Only joining files needs Spark; all else is of logs and files, which are laid without it.
"""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from deltalake import DeltaTable

import segue
from expectations.verdict import Refused
from jobs import maintain, verify
from jobs.errors import JobError, WrongUsage
from jobs.health.examine import examine
from jobs.health.root import open_root
from jobs.job import Job
from jobs.publishing.lease import lease
from jobs.publishing.records import list_recorded_batches
from jobs.publishing.retention import clean_log, last_checkpoint, vacuum
from jobs.publishing.rewrite import mark_erased
from jobs.publishing.warehouse import LEASE, Warehouse
from reference.published import DAYS, NOON, opening
from reference.staged import REFUSED, LaidJob, cut_finely
from reference.worlds import play
from schemas import CONTRACTS
from schemas.contract import Column
from schemas.plays import PLAYS
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
def laid_job(root):
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


def publish_many_files(job):
    """Published by a project of tiny files: many a day."""
    batch = replace(job.batch("sessions", DAYS[:3]), row_counts=dict.fromkeys(DAYS[:3], 5))
    with pytest.MonkeyPatch.context() as patch:
        cut_finely(patch)
        job.publish(batch, sessions())
    assert len(list_data_files(job)) > 3, "no crowd: this shows nothing"


def list_data_files(job):
    return job.warehouse.table("sessions").file_uris()


def release_sessions(root, day=DAYS[0]):
    state = Warehouse(root).state("sessions")
    return append_release(
        root, day, {"sessions": TableVersion(state.version, state.rows, state.content_hash)}
    )


def read_rows(root, release=None):
    rows = [row for batch in segue.open(root, release).scan("sessions") for row in batch.to_pylist()]
    return sorted(rows, key=lambda row: row["play_id"])


def list_files_on_disk(root):
    return {path for path in Path(root, "tables").rglob("*.parquet") if "_delta_log" not in path.parts}


def run_maintain(root, *arguments):
    assert maintain.main(["--root", root, "--run-id", "run-maintain", *arguments]) == 0


def test_maintain_joins_small_files_and_changes_no_row(job, laid_job, root):
    publish_many_files(laid_job())
    reader = job()
    before, state = reader.read("sessions").toArrow().sort_by("play_id"), job().warehouse.state("sessions")
    run_maintain(root)
    after = job().warehouse.state("sessions")
    assert len(list_data_files(reader)) == 3
    assert job().read("sessions").toArrow().sort_by("play_id") == before, (
        "a row changed, or its available_at did"
    )
    assert (after.version, after.day_states) == (state.version + 1, state.day_states)
    run_maintain(root)
    assert job().warehouse.state("sessions").version == after.version, "maintenance twice added a version"
    assert after.cumulative_fingerprints() == state.cumulative_fingerprints(), "joining files made days stale"


def test_maintain_joins_rows_from_before_a_column_with_nulls(job, laid_job, root, monkeypatch):
    publish_many_files(laid_job())
    mood = Column("mood", "string", "how the listener felt", nullable=False)
    monkeypatch.setitem(CONTRACTS, "sessions", replace(SESSIONS, columns=(*SESSIONS.columns, mood)))
    laid_job().warehouse.add_missing_columns(CONTRACTS["sessions"])
    assert maintain.main(["--root", root]) == 0
    assert len(list_data_files(laid_job())) == 3, "they are as many as before: nothing was joined"
    rows = storage.Snapshot.at(laid_job().warehouse.table_path("sessions"), None)
    assert rows.read(rows.files, ["mood"])["mood"].to_pylist() == [None] * 15


def append_plays(job):
    """Of one day, as hourly files bring them; their instants."""
    for n in range(3):
        batch = job().batch("plays", appends=True, parameters={"hour": n})
        job().publish(batch, [play(play_id=f"p{n}", user_id=f"u{n}")])
    snapshot = storage.Snapshot.at(job().warehouse.table_path("plays"), None)
    return [file.partition["available_at"] for file in snapshot.files]


def test_maintain_joins_plays_of_several_instants_once_no_release_holds_them_apart(job, laid_job, root):
    instants, state = append_plays(laid_job), Warehouse(root).state("plays")
    before = job().read("plays").toArrow().sort_by("play_id")
    assert maintain._compact(job(), "plays", LATER, dry_run=False) == 3
    after = job().read("plays").toArrow().sort_by("play_id")
    assert len(Warehouse(root).table("plays").file_uris()) == 1
    assert after.drop("available_at") == before.drop("available_at"), "a row changed"
    assert set(after["available_at"].to_pylist()) == {max(instants)}, (
        "known later than it was, and never earlier"
    )
    assert Warehouse(root).state("plays").day_states == state.day_states
    assert maintain._compact(job(), "plays", LATER, dry_run=True) == 0


def test_maintain_keeps_instants_that_a_release_may_hold_or_labels_are_joined_by(laid_job, root):
    assert len(set(append_plays(laid_job))) == 3
    table = Warehouse(root).table("plays")
    plan = partial(maintain.plan_compactions, table)
    assert list(plan(PLAYS, NOW)) == []
    assert [len(targets) for targets in plan(PLAYS, LATER)] == [3]
    daily = replace(PLAYS, key=("user_id", "ds"))
    assert daily.daily and list(plan(daily, LATER)) == []


def test_maintain_dry_run_reports_its_plan_and_changes_nothing(laid_job, root, capsys):
    publish_many_files(laid_job())
    version, files = laid_job().warehouse.state("sessions").version, list_files_on_disk(root)
    run_maintain(root, "--dry-run")
    assert "would have" in capsys.readouterr().out
    assert (laid_job().warehouse.state("sessions").version, list_files_on_disk(root)) == (version, files)


def test_maintain_dry_run_neither_waits_for_a_worker_nor_leaves_a_lease(laid_job, root, monkeypatch):
    monkeypatch.setattr("jobs.job.lease", partial(lease, patience_s=0))
    publish(laid_job())
    lease_file = Path(root, "tables", "sessions", LEASE)
    with laid_job().lease("sessions"):
        run_maintain(root, "--dry-run")
        with pytest.raises(JobError, match="waited 0 s for test of"):
            maintain.main(["--root", root])
    lease_file.unlink()
    run_maintain(root, "--dry-run")
    assert not lease_file.exists(), "a dry run took the lease of a table"
    run_maintain(root)
    leases = [path.parent.name for path in Path(root, "tables").glob(f"*/{LEASE}")]
    assert leases == ["sessions"], "folders were made for tables that there are not"


def test_maintain_refuses_a_root_that_is_misspelt_and_makes_nothing_there(tmp_path):
    with pytest.raises(WrongUsage, match=r"'.*/nowhere' is not there; give the folder that holds 'tables'"):
        maintain.main(["--root", str(tmp_path / "nowhere")])
    assert list(tmp_path.iterdir()) == [], "the root that was misspelt was made"
    # what a lease leaves of a table that was never published is none to maintain, verify and health alike
    with (
        LaidJob("test", str(tmp_path)).lease("tracks"),
        pytest.raises(JobError, match="there are no tables under"),
    ):
        maintain.main(["--root", str(tmp_path)])
    with pytest.raises(JobError, match="there are no tables under"):
        list(verify.examine(str(tmp_path)))
    with pytest.raises(JobError, match="no table is published"):
        examine(open_root(str(tmp_path)))


def test_a_table_that_lost_its_log_is_still_listed(laid_job, root):
    publish(laid_job())
    Warehouse(root).create(PLAYS)
    shutil.rmtree(Path(root, "tables", "sessions", "_delta_log"))
    assert Warehouse(root).list_tables() == ["plays", "sessions"], "verify would no longer name the loss"


def test_vacuum_keeps_files_of_living_releases_and_removes_the_rest_in_time(laid_job, root):
    publish(laid_job())
    first, rows = release_sessions(root), read_rows(root)
    publish(laid_job(), track_id="t2")
    second = release_sessions(root)
    warehouse = Warehouse(root)
    vacuum(warehouse, warehouse.table("sessions"), "sessions", NOW)
    assert read_rows(root, first.release_id) == rows, "vacuum took files that a living release names"
    before = list_files_on_disk(root)
    vacuum(warehouse, warehouse.table("sessions"), "sessions", LATER)
    assert len(list_files_on_disk(root)) == len(before) - 3, "what only a dead release held was not removed"
    assert {row["track_id"] for row in read_rows(root, second.release_id)} == {"t2"}
    with pytest.raises(SegueError, match="lost files"):
        read_rows(root, first.release_id)
    with pytest.raises(SegueError, match="lost files"):
        rollback(root, first.release_id)


def test_vacuum_keeps_files_as_long_as_the_project_says(laid_job, root, monkeypatch):
    publish(laid_job())
    publish(laid_job(), track_id="t2")
    warehouse, files = Warehouse(root), list_files_on_disk(root)
    monkeypatch.setenv("SEGUE_RELEASE_DAYS", "60")
    vacuum(warehouse, warehouse.table("sessions"), "sessions", NOW + timedelta(days=60))
    assert list_files_on_disk(root) == files
    vacuum(warehouse, warehouse.table("sessions"), "sessions", NOW + timedelta(days=62))
    assert len(list_files_on_disk(root)) == len(files) - 3


def test_vacuum_keeps_old_files_that_a_rollback_serves(laid_job, root):
    publish(laid_job())
    first, rows = release_sessions(root), read_rows(root)
    publish(laid_job(), track_id="t2")
    release_sessions(root)
    rollback(root, first.release_id)
    warehouse = Warehouse(root)
    vacuum(warehouse, warehouse.table("sessions"), "sessions", LATER)
    assert read_rows(root) == rows, "the newest release has no end, but its files went"


def test_open_refuses_a_release_past_its_life(laid_job, root, monkeypatch):
    publish(laid_job())
    first = release_sessions(root)
    publish(laid_job(), track_id="t2")
    second = release_sessions(root)
    monkeypatch.setattr(
        segue.open.__globals__["open_release"].__globals__["select_unexpired"], "__defaults__", (LATER,)
    )
    with pytest.raises(SegueError, match=f"{first.release_id} can no longer be read.*{second.release_id}"):
        segue.open(root, first.release_id)
    assert segue.open(root).release == second.release_id, "the newest release has no end"


def test_vacuum_removes_refused_and_abandoned_batches_only_after_days(laid_job, root, monkeypatch):
    publish(laid_job())
    refused_job, abandoned_job = laid_job(), laid_job()
    refused_job.verdict = REFUSED
    with pytest.raises(Refused):
        publish(refused_job, completion=1.5)
    staged = abandoned_job.stage(
        abandoned_job.batch("sessions", DAYS[:1], parameters={"n": 1}), sessions([0])
    )
    warehouse, table = Warehouse(root), Warehouse(root).table("sessions")
    assert len(warehouse.batches("sessions")) == 3
    assert vacuum(warehouse, table, "sessions", NOW + timedelta(days=2)).batches == []
    with monkeypatch.context() as patch:
        patch.setenv("SEGUE_REFUSED_DAYS", "7")
        assert vacuum(warehouse, table, "sessions", NOW + timedelta(days=7)).batches == []
    result = vacuum(warehouse, table, "sessions", NOW + timedelta(days=5))
    assert len(result.batches) == 2 and len(warehouse.batches("sessions")) == 1
    maintain._record_abandoned(laid_job(), "sessions", result.batches)
    assert staged.batch.id in list_recorded_batches(warehouse, "sessions"), "an attempt left no record"
    release_sessions(root)
    assert len(read_rows(root)) == 15


def test_clean_log_removes_old_entries_and_keeps_every_version_that_is_needed(job, laid_job, root):
    publish(laid_job())
    first, rows = release_sessions(root), read_rows(root)
    for _ in range(11):
        mark_erased(laid_job(), Warehouse(root).table("sessions"), "sessions")
    run_maintain(root)
    path = job().warehouse.table_path("sessions")
    log = set(Path(path, "_delta_log").glob("*.json"))
    version = DeltaTable(path).version()
    assert last_checkpoint(Warehouse(root), path) == version
    much_later = NOW + timedelta(days=400)
    assert clean_log(Warehouse(root), "sessions", much_later) == 0, (
        "the newest release still names an old version"
    )
    assert read_rows(root, first.release_id) == rows
    release_sessions(root)
    assert clean_log(Warehouse(root), "sessions", much_later) >= version
    assert len(set(Path(path, "_delta_log").glob("*.json"))) < len(log)
    state = job().warehouse.state("sessions")
    assert (state.version, state.rows) == (version, 15), "the state went with the log"
    assert job().read("sessions").count() == 15
    assert publish(laid_job(), [0], track_id="last").version == version + 1


def test_scan_that_began_before_maintain_completes_after_it(job, laid_job, root):
    publish_many_files(laid_job())
    release_sessions(root)
    expected = read_rows(root)
    batches = segue.open(root).scan("sessions")
    first_rows = next(batches).to_pylist()
    pinned_rows = job().read("sessions")
    run_maintain(root)
    assert job().warehouse.state("sessions").version > pinned_rows.sparkSession.range(1).count(), (
        "nothing was joined"
    )
    rows = first_rows + [row for batch in batches for row in batch.to_pylist()]
    assert sorted(rows, key=lambda row: row["play_id"]) == expected
    assert pinned_rows.count() == len(expected)


def test_maintain_removes_the_scratch_of_a_training_that_stopped_long_ago(tmp_path, capsys):
    Warehouse(str(tmp_path)).create(SESSIONS)
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


def test_maintain_removes_probes_of_the_store_that_were_killed_long_ago(tmp_path, capsys):
    Warehouse(str(tmp_path)).create(SESSIONS)
    old, young = (tmp_path / f".exclusive-{name}" / "_delta_log" / "0.json" for name in ("old", "young"))
    for file in (old, young):
        file.parent.mkdir(parents=True)
        file.write_text("{}")
    os.utime(old, (time.time() - 2 * 24 * 3600,) * 2)
    maintain.main(["--root", str(tmp_path), "--dry-run"])
    assert old.exists(), "a dry run removed something"
    assert "1 probes of the store that were cut off would be swept" in capsys.readouterr().out
    maintain.main(["--root", str(tmp_path)])
    assert [each.name for each in tmp_path.glob(".exclusive-*")] == [".exclusive-young"]
