"""What a commit does to a table that others commit to as well; no rows are made or judged, so Spark is not needed."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.errors import JobError, WrongUsage
from jobs.publishing import protocol
from jobs.publishing import warehouse as publishing_warehouse
from jobs.publishing.batches import reserve
from jobs.publishing.records import read_results, record
from jobs.publishing.state import read_state
from jobs.publishing.state_commits import rename_days
from reference.delta_files import rows_of
from reference.published import DAYS, NOON, publish, session_rows
from reference.staged import LaidJob
from reference.worlds import play
from schemas import CONTRACTS
from schemas.sessions import SESSIONS
from segue import storage
from segue.errors import SegueError


@pytest.fixture
def job(tmp_path):
    return lambda: LaidJob("test", str(tmp_path / "root"), "run-test", say=lambda text: None)


def read_plays(job, table="sessions"):
    return {row["play_id"]: row for row in rows_of(job().warehouse.table(table))}


def test_stage_is_invisible_to_readers_until_the_commit(job):
    publish(job(), session_rows(), DAYS[:3])
    other_job = job()
    staged = other_job.stage(
        other_job.batch("sessions", DAYS[:3], parameters={"again": 1}),
        session_rows(track_id="t2"),
    )
    assert Path(staged.path).is_dir()
    assert {row["track_id"] for row in read_plays(job).values()} == {"t1"}
    other_job.commit(staged)
    assert {row["track_id"] for row in read_plays(job).values()} == {"t2"}
    assert not Path(staged.path, "_delta_log").exists(), "the staged log would be read as a table of its own"


def test_publish_of_the_same_rows_adds_no_version(job):
    first = publish(job(), session_rows(), DAYS[:3])
    assert publish(job(), session_rows(), DAYS[:3]).kind == "unchanged"
    # made by other parameters, but the same rows: audited, and then found to be there
    assert publish(job(), session_rows(), DAYS[:3], other=1).kind == "unchanged"
    assert job().warehouse.state("sessions").version == first.version
    folders = [path.name for path in Path(job().warehouse.table_path("sessions")).glob("batch-*")]
    assert len(folders) == 1, f"the unchanged batch left files behind: {folders}"


def test_an_append_without_rows_does_not_say_that_it_is_published(job):
    """As of a delivery whose plays are all late."""
    outcome = job().publish(job().batch("plays", appends=True), [])
    assert (outcome.kind, outcome.why) == ("unchanged", "these files have no new rows for it")


def test_state_is_read_once_and_again_after_whatever_changes_the_log(job, monkeypatch):
    publish(job(), session_rows(), DAYS[:3])
    warehouse, openings, find_table = job().warehouse, [], storage.find_table
    monkeypatch.setattr(
        publishing_warehouse, "find_table", lambda *where: openings.append(where) or find_table(*where)
    )
    first = warehouse.state("sessions")
    assert warehouse.state("sessions") is first and len(openings) == 1
    # of another process, as far as this warehouse knows
    publish(job(), session_rows(track_id="t2"), DAYS[:3], other=2)
    openings.clear()
    assert warehouse.state("sessions") == read_state(job().warehouse.table("sessions")) != first
    # a root made again, with as many versions, and a log that cannot be read
    shutil.rmtree(warehouse.root)
    assert warehouse.state("sessions") is None
    for number in (3, 4):
        publish(job(), session_rows(track_id=f"t{number}"), DAYS[:3], other=number)
    again = warehouse.state("sessions")
    assert again == read_state(job().warehouse.table("sessions"))
    entry = Path(warehouse.table_path("sessions"), "_delta_log", f"{again.version:020}.json")
    entry.write_text(entry.read_text()[:-40])
    with pytest.raises((SegueError, ValueError)):
        warehouse.state("sessions")


def test_publish_of_the_same_batch_gives_stale_days_their_names(job):
    """A cut of one day marks the next as stale; an adversary of nights found days that stayed so for a night."""

    def cut():
        own_job = job()
        days = {day: f"plays of {day}" for day in DAYS[:2]}
        return own_job.publish(own_job.batch("sessions", DAYS[:2], upstream=days), session_rows(range(2)))

    cut()
    before, warehouse = rows_of(job().warehouse.table("sessions")), job().warehouse
    rename_days(warehouse, "sessions", warehouse.state("sessions"), {DAYS[1]: ""}, {})
    assert warehouse.state("sessions").day_states[DAYS[1]].upstream == ""
    cut()
    assert warehouse.state("sessions").day_states[DAYS[1]].upstream == f"plays of {DAYS[1]}"
    assert rows_of(warehouse.table("sessions")) == before, (
        "files of equal rows are kept, with their available_at"
    )


def test_publish_replaces_the_days_of_the_batch_and_no_other(job):
    publish(job(), session_rows(), DAYS[:3])
    before = read_plays(job)
    publish(job(), session_rows(days=[1], track_id="t9"), DAYS[1:2])
    after = read_plays(job)
    assert {k: after[k] for k in after if after[k]["ds"] != DAYS[1]} == {
        k: before[k] for k in before if before[k]["ds"] != DAYS[1]
    }
    assert {row["track_id"] for row in after.values() if row["ds"] == DAYS[1]} == {"t9"}


def test_publish_accepts_an_older_batch_that_was_replaced(job):
    publish(job(), session_rows([0]), DAYS[:1], code="old")
    publish(job(), session_rows([0], track_id="t2"), DAYS[:1], code="new")
    assert publish(job(), session_rows([0]), DAYS[:1], code="old").kind == "published"
    assert {row["track_id"] for row in read_plays(job).values()} == {"t1"}


def lose_the_first_swap(monkeypatch, meanwhile):
    """Lets `meanwhile` commit after the publisher has looked at the table, and before it commits."""
    swap, losses = protocol.swap, []

    def swap_late(table, change):
        if not losses:
            losses.append(True)
            meanwhile()
        return swap(table, change)

    monkeypatch.setattr(protocol, "swap", swap_late)
    return losses


def test_commit_that_loses_the_swap_is_repeated_and_keeps_both_batches(job, monkeypatch):
    publish(job(), session_rows([0]), DAYS[:1])
    slow, fast = job(), job()
    staged = slow.stage(slow.batch("sessions", DAYS[1:2]), session_rows([1]))
    other = fast.stage(fast.batch("sessions", DAYS[2:3]), session_rows([2]))
    note = {"run": "other"}
    losses = lose_the_first_swap(monkeypatch, lambda: protocol.commit(fast.warehouse, other, note))
    slow.commit(staged)
    assert losses, "nobody lost a swap: the test shows nothing"
    assert {row["ds"] for row in read_plays(job).values()} == set(DAYS[:3])
    assert job().warehouse.state("sessions").days == DAYS[:3], "the state in the log lost the other's day"


def stage_play(a_job, mark, **overrides):
    """A batch of one play; by another `mark`, it is another batch."""
    batch = a_job.batch("plays", appends=True, parameters={"id": mark})
    return a_job.stage(batch, [play(played_at=NOON, **overrides)])


def test_commit_of_an_append_that_loses_the_swap_is_not_repeated(job, monkeypatch):
    slow, fast = job(), job()
    own = stage_play(slow, "p1", play_id="p1")
    other = stage_play(fast, "p2", play_id="p2")
    losses = lose_the_first_swap(monkeypatch, lambda: protocol.commit(fast.warehouse, other, {}))
    with pytest.raises(JobError, match=r"[Rr]un the step again"):
        slow.commit(own)
    assert losses
    assert set(read_plays(job, "plays")) == {"p2"}


def test_commit_refuses_an_append_that_was_compared_with_an_older_version(job):
    """On an object store no lease makes the second wait: both have looked for duplicates in the same version."""
    slow, fast = job(), job()
    own = stage_play(slow, "t1", play_id="p", track_id="t1")
    fast.commit(stage_play(fast, "t2", play_id="p", track_id="t2"))
    with pytest.raises(JobError, match="was published after this step looked"):
        slow.commit(own)
    assert [row["track_id"] for row in read_plays(job, "plays").values()] == ["t2"]


def test_batch_refuses_a_day_that_the_source_has_not_reached(job):
    publish(job(), session_rows([0]), DAYS[:1])
    lineage = job().source("sessions").cumulative_fingerprints()
    with pytest.raises(WrongUsage, match=f"asked for {DAYS[1]}, but what it is made of ends {DAYS[0]}"):
        job().batch("user_features", DAYS[:2], upstream=lineage)


def test_cumulative_fingerprints_change_from_the_changed_day_on(job):
    publish(job(), session_rows(), DAYS[:3])
    warehouse = job().warehouse
    before = warehouse.state("sessions").cumulative_fingerprints()
    batch = job().batch("user_features", DAYS[:3], upstream=before)
    publish(job(), session_rows([1], track_id="t9"), DAYS[1:2], code="new")
    after = warehouse.state("sessions").cumulative_fingerprints()
    assert [day for day in DAYS[:3] if before[day] != after[day]] == DAYS[1:3]
    assert batch.upstream == before


def test_publish_keeps_files_and_available_at_of_a_day_of_equal_rows(job):
    publish(job(), session_rows(), DAYS[:3])
    before, files = read_plays(job), set(job().warehouse.table("sessions").file_uris())
    rows = session_rows([0, 2]) + session_rows([1], track_id="t9")
    publish(job(), rows, DAYS[:3], code="new")
    after = read_plays(job)
    changed_days = {
        row["ds"] for key, row in after.items() if row["available_at"] != before[key]["available_at"]
    }
    assert changed_days == {DAYS[1]}, (
        "rows that did not change were given a later instant, or changed ones an old one"
    )
    assert len(files & set(job().warehouse.table("sessions").file_uris())) == 2


def test_publish_refuses_the_same_batch_with_other_rows(job):
    publish(job(), session_rows([0]), DAYS[:1], code="old")
    publish(job(), session_rows([0], track_id="t2"), DAYS[:1], code="new")
    with pytest.raises(JobError, match="not deterministic"):
        publish(job(), session_rows([0], track_id="t3"), DAYS[:1], code="old")
    assert {row["track_id"] for row in read_plays(job).values()} == {"t2"}
    other_job = job()
    batch = other_job.batch("sessions", DAYS[:1], deterministic=False, parameters={"code": "old"})
    assert other_job.publish(batch, session_rows([0], track_id="t3")).kind == "published"


def test_commit_that_loses_to_the_same_batch_with_other_rows_raises(job, monkeypatch):
    slow, fast = job(), job()
    own = slow.stage(slow.batch("sessions", DAYS[:1]), session_rows([0]))
    other = fast.stage(fast.batch("sessions", DAYS[:1]), session_rows([0], track_id="t2"))
    losses = lose_the_first_swap(monkeypatch, lambda: protocol.commit(fast.warehouse, other, {}))
    with pytest.raises(JobError, match="not deterministic"):
        slow.commit(own)
    assert losses
    assert {row["track_id"] for row in read_plays(job).values()} == {"t2"}


def test_reserve_gives_each_attempt_the_next_revision(job):
    batch = job().batch("sessions", DAYS[:1])
    attempts = [reserve(job().warehouse, batch) for _ in range(3)]
    assert [each.revision for each in attempts] == [1, 2, 3]
    assert len({each.id for each in attempts}) == 3
    assert set(job().warehouse.batches("sessions")) == {each.id for each in attempts}


def test_reserve_at_once_gives_each_attempt_a_folder_of_its_own(job):
    job().warehouse.create(SESSIONS)
    batch = job().batch("sessions", DAYS[:1])
    with ThreadPoolExecutor(8) as pool:
        attempts = list(pool.map(lambda _: reserve(job().warehouse, batch), range(24)))
    assert sorted(each.revision for each in attempts) == list(range(1, 25))


def test_create_sets_constraints_and_needs_no_special_reader(job):
    table = job().warehouse.create(SESSIONS)
    settings = table.metadata().configuration
    assert settings["delta.constraints.position_range"] == "position >= 1"
    assert settings["delta.constraints.play_id_not_empty"]
    assert settings["delta.deletedFileRetentionDuration"] == "interval 35 days"
    assert table.protocol().min_reader_version == 1
    assert not next(field for field in table.schema().fields if field.name == "play_id").nullable


def test_publish_refuses_a_column_of_another_type_before_any_work(job, monkeypatch):
    publish(job(), session_rows([0]), DAYS[:1])
    columns = [replace(c, type="bigint") if c.name == "position" else c for c in SESSIONS.columns]
    monkeypatch.setitem(CONTRACTS, "sessions", replace(SESSIONS, columns=tuple(columns)))
    with pytest.raises(JobError, match=r"position is .*integer.*new name"):
        publish(job(), session_rows([1]), DAYS[1:2])
    assert len(job().warehouse.batches("sessions")) == 1, "files were staged for nothing"


def test_read_state_gives_the_state_of_the_version_that_was_opened(job):
    publish(job(), session_rows([0]), DAYS[:1])
    version = job().warehouse.state("sessions").version
    publish(job(), session_rows([1]), DAYS[1:2])
    assert read_state(job().warehouse.table("sessions", version)).days == DAYS[:1]


def test_read_results_gives_one_run_and_says_what_of_it_was_published(job):
    first, second = job(), job()
    first.run_id, second.run_id = "run-1", "run-2"
    publish(first, session_rows([0]), DAYS[:1])
    staged = first.stage(first.batch("sessions", DAYS[1:2]), session_rows([1]))
    record(first.warehouse, "run-1", staged, "passed")  # and killed before its commit
    publish(second, session_rows([2]), DAYS[2:3])
    outcomes = {
        run: sorted(row["outcome"] for row in read_results(job().warehouse, run))
        for run in ("run-1", None, "run-3")
    }
    assert outcomes == {"run-1": ["passed", "published"], None: ["published"], "run-3": []}
    assert {row["run_id"] for row in read_results(job().warehouse)} == {"run-2"}, "not the newest"
