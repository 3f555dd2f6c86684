"""Readers see whole audited batches, each once, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from expectations.profile import profile
from expectations.verdict import Refused
from jobs import publish as protocol
from jobs.errors import JobError
from jobs.job import Job
from jobs.records import read_results
from reference.frames import frame
from reference.published import DAYS, NOON, opening, publish, sessions
from reference.worlds import play
from schemas.plays import PLAYS
from schemas.sessions import SESSIONS


@pytest.fixture
def job(spark, tmp_path):
    return lambda: Job("test", str(tmp_path / "root"), "run-test", say=lambda text: None)


def seen(job, table="sessions"):
    rows = job().read(table).toArrow().to_pylist()
    return {row["play_id"]: row for row in rows}


def test_what_is_published_is_what_was_given_available_at_the_instant_of_the_commit(spark, job):
    before = datetime.now(UTC)
    outcome = publish(job(), sessions(spark), DAYS[:3])
    after = datetime.now(UTC)
    rows = seen(job)
    assert outcome.kind == "published"
    given = {row["play_id"]: row for row in sessions(spark).toArrow().to_pylist()}
    assert {k: {**row, "available_at": None} for k, row in rows.items()} == given
    instants = {row["available_at"] for row in rows.values()}
    assert len(instants) == 1 and before <= instants.pop() <= after


def test_the_log_says_what_the_table_holds(spark, job):
    publish(job(), sessions(spark), DAYS[:3])
    state = job().warehouse.state("sessions")
    profiled = profile(job().read("sessions"), SESSIONS)
    assert {day: (p.rows, p.content_hash) for day, p in state.parts.items()} == {
        day: (p.rows, p.content_hash) for day, p in profiled.days.items()
    }
    assert state.content_hash == profiled.content_hash


def test_a_staged_batch_is_seen_by_nobody(spark, job):
    publish(job(), sessions(spark), DAYS[:3])
    other = job()
    staged = other.stage(
        other.batch("sessions", DAYS[:3], parameters={"again": 1}), sessions(spark, track_id="t2")
    )
    assert Path(staged.path).is_dir()
    assert {row["track_id"] for row in seen(job).values()} == {"t1"}
    other.commit(staged)
    assert {row["track_id"] for row in seen(job).values()} == {"t2"}
    assert not Path(staged.path, "_delta_log").exists(), "the staged log would be read as a table of its own"


def test_the_same_again_adds_no_version(spark, job):
    first = publish(job(), sessions(spark), DAYS[:3])
    assert publish(job(), sessions(spark), DAYS[:3]).kind == "unchanged"
    # made by other parameters, but the same rows: audited, and then found to be there
    assert publish(job(), sessions(spark), DAYS[:3], other=1).kind == "unchanged"
    assert job().warehouse.state("sessions").version == first.version
    folders = [path.name for path in Path(job().warehouse.table_path("sessions")).glob("batch-*")]
    assert len(folders) == 1, f"the unchanged batch left files behind: {folders}"


def test_a_batch_replaces_its_days_and_no_other(spark, job):
    publish(job(), sessions(spark), DAYS[:3])
    before = seen(job)
    publish(job(), sessions(spark, days=[1], track_id="t9"), DAYS[1:2])
    after = seen(job)
    assert {k: after[k] for k in after if after[k]["ds"] != DAYS[1]} == {
        k: before[k] for k in before if before[k]["ds"] != DAYS[1]
    }
    assert {row["track_id"] for row in after.values() if row["ds"] == DAYS[1]} == {"t9"}


def test_an_older_batch_that_was_replaced_can_come_back(spark, job):
    publish(job(), sessions(spark, [0]), DAYS[:1], code="old")
    publish(job(), sessions(spark, [0], track_id="t2"), DAYS[:1], code="new")
    assert publish(job(), sessions(spark, [0]), DAYS[:1], code="old").kind == "published"
    assert {row["track_id"] for row in seen(job).values()} == {"t1"}


def test_a_refused_batch_changes_nothing_and_says_why(spark, job):
    publish(job(), sessions(spark), DAYS[:3])
    before, version = seen(job), job().warehouse.state("sessions").version
    with pytest.raises(Refused, match="completion") as refused:
        publish(job(), sessions(spark, completion=1.5), DAYS[:3], code="wrong")
    assert refused.value.exit_code == 3
    assert "1.5" in str(refused.value), "the refusal does not say what was observed"
    assert (seen(job), job().warehouse.table("sessions").version()) == (before, version)


def test_every_attempt_is_recorded(spark, job):
    publish(job(), sessions(spark), DAYS[:3])
    publish(job(), sessions(spark), DAYS[:3], other=1)
    with pytest.raises(Refused):
        publish(job(), sessions(spark, completion=1.5), DAYS[:3], code="wrong")
    results = read_results(job().warehouse, "run-test")
    outcomes = {row["attempt_id"]: row["outcome"] for row in results}
    assert sorted(outcomes.values()) == ["passed", "passed", "refused"]
    broken = [row for row in results if not row["success"] and row["severity"] == "critical"]
    assert [(row["outcome"], row["column"]) for row in broken] == [("refused", "completion")]


def test_rows_outside_the_days_of_the_batch_are_refused(spark, job):
    with pytest.raises(JobError, match="2026-10-03"):
        publish(job(), sessions(spark), DAYS[:2])


def test_duplicate_keys_are_refused(spark, job):
    with pytest.raises(Refused, match="duplicate_keys"):
        publish(job(), sessions(spark).unionAll(sessions(spark)), DAYS[:3])


def lose_the_first_swap(monkeypatch, meanwhile):
    """Lets `meanwhile` commit after the publisher has looked at the table, and before it commits."""
    swap, lost = protocol.swap, []

    def late(table, change):
        if not lost:
            lost.append(True)
            meanwhile()
        return swap(table, change)

    monkeypatch.setattr(protocol, "swap", late)
    return lost


def test_who_loses_the_swap_looks_again_and_both_batches_are_there(spark, job, monkeypatch):
    publish(job(), sessions(spark, [0]), DAYS[:1])
    slow, fast = job(), job()
    staged = slow.stage(slow.batch("sessions", DAYS[1:2]), sessions(spark, [1]))
    other = fast.stage(fast.batch("sessions", DAYS[2:3]), sessions(spark, [2]))
    note = {"run": "other"}
    lost = lose_the_first_swap(monkeypatch, lambda: protocol.commit(fast.warehouse, other, note))
    slow.commit(staged)
    assert lost, "nobody lost a swap: the test shows nothing"
    assert {row["ds"] for row in seen(job).values()} == set(DAYS[:3])
    assert job().warehouse.state("sessions").days == DAYS[:3], "the state in the log lost the other's day"


def test_an_append_that_loses_the_swap_is_not_repeated_blindly(spark, job, monkeypatch):
    def staged(a_job, play_id):
        rows = frame(spark, [play(play_id=play_id, played_at=NOON)], PLAYS)
        measures = {"rejected_share": 0.0, "duplicate_share": 0.0}
        return a_job.stage(a_job.batch("plays", appends=True, parameters={"id": play_id}), rows, measures)

    slow, fast = job(), job()
    mine, other = staged(slow, "p1"), staged(fast, "p2")
    lost = lose_the_first_swap(monkeypatch, lambda: protocol.commit(fast.warehouse, other, {}))
    with pytest.raises(JobError, match="run the step again"):
        slow.commit(mine)
    assert lost
    assert set(seen(job, "plays")) == {"p2"}


def test_a_reader_keeps_the_version_that_it_saw_first(spark, job):
    publish(job(), sessions(spark, [0]), DAYS[:1])
    reader = job()
    rows = reader.read("sessions")
    publish(job(), sessions(spark, [0], track_id="t2"), DAYS[:1])
    assert {row.track_id for row in reader.read("sessions").unionAll(rows).collect()} == {"t1"}


def test_user_ids_leave_no_trace_in_the_log(spark, job):
    rows = [opening(f"p{n}", NOON, user_id=f"a-listener-{n}") for n in range(3)]
    publish(job(), frame(spark, rows, SESSIONS), DAYS[:1])
    log = Path(job().warehouse.table_path("sessions"), "_delta_log")
    texts = {path.name: path.read_text() for path in log.glob("*.json")}
    assert [name for name, text in texts.items() if "a-listener" in text] == []
    assert any('\\"bucket\\"' in text for text in texts.values()), (
        "no statistics at all: the test shows nothing"
    )
