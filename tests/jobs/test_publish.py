"""Readers see whole audited batches, each once, and nothing else."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pyspark.sql import functions as F

from expectations.profile import profile
from expectations.verdict import Refused
from jobs.errors import JobError, WrongUsage
from jobs.job import Job
from jobs.publishing import protocol
from jobs.publishing.batches import reserve
from jobs.publishing.records import read_results
from jobs.publishing.state import read_state
from reference.frames import frame
from reference.published import DAYS, NOON, opening, publish, sessions
from reference.staged import commit, stage
from reference.worlds import play
from schemas import CONTRACTS, Column
from schemas.plays import PLAYS
from schemas.sessions import SESSIONS


@pytest.fixture
def job(spark, tmp_path):
    return lambda: Job("test", str(tmp_path / "root"), "run-test", say=lambda text: None)


def read_plays(job, table="sessions"):
    rows = job().read(table).toArrow().to_pylist()
    return {row["play_id"]: row for row in rows}


@pytest.mark.product_settings
def test_publish_stores_the_given_rows_with_the_instant_of_the_commit(spark, job):
    before = datetime.now(UTC)
    outcome = publish(job(), sessions(spark), DAYS[:3])
    after = datetime.now(UTC)
    rows = read_plays(job)
    assert outcome.kind == "published"
    expected = {row["play_id"]: row for row in sessions(spark).toArrow().to_pylist()}
    assert {k: {**row, "available_at": None} for k, row in rows.items()} == expected
    instants = {row["available_at"] for row in rows.values()}
    assert len(instants) == 1 and before <= instants.pop() <= after


def test_publish_writes_a_state_that_agrees_with_the_profile_of_the_table(spark, job):
    publish(job(), sessions(spark), DAYS[:3])
    state = job().warehouse.state("sessions")
    table_profile = profile(job().read("sessions"), SESSIONS)
    assert {day: (p.rows, p.content_hash) for day, p in state.day_states.items()} == {
        day: (p.rows, p.content_hash) for day, p in table_profile.days.items()
    }
    assert state.content_hash == table_profile.content_hash


def test_stage_is_invisible_to_readers_until_the_commit(spark, job):
    publish(job(), sessions(spark), DAYS[:3])
    other_job = job()
    staged = stage(
        other_job,
        other_job.batch("sessions", DAYS[:3], parameters={"again": 1}),
        sessions(spark, track_id="t2"),
    )
    assert Path(staged.path).is_dir()
    assert {row["track_id"] for row in read_plays(job).values()} == {"t1"}
    commit(other_job, staged)
    assert {row["track_id"] for row in read_plays(job).values()} == {"t2"}
    assert not Path(staged.path, "_delta_log").exists(), "the staged log would be read as a table of its own"


def test_publish_of_the_same_rows_adds_no_version(spark, job):
    first = publish(job(), sessions(spark), DAYS[:3])
    assert publish(job(), sessions(spark), DAYS[:3]).kind == "unchanged"
    # made by other parameters, but the same rows: audited, and then found to be there
    assert publish(job(), sessions(spark), DAYS[:3], other=1).kind == "unchanged"
    assert job().warehouse.state("sessions").version == first.version
    folders = [path.name for path in Path(job().warehouse.table_path("sessions")).glob("batch-*")]
    assert len(folders) == 1, f"the unchanged batch left files behind: {folders}"


def test_publish_replaces_the_days_of_the_batch_and_no_other(spark, job):
    publish(job(), sessions(spark), DAYS[:3])
    before = read_plays(job)
    publish(job(), sessions(spark, days=[1], track_id="t9"), DAYS[1:2])
    after = read_plays(job)
    assert {k: after[k] for k in after if after[k]["ds"] != DAYS[1]} == {
        k: before[k] for k in before if before[k]["ds"] != DAYS[1]
    }
    assert {row["track_id"] for row in after.values() if row["ds"] == DAYS[1]} == {"t9"}


def test_publish_accepts_an_older_batch_that_was_replaced(spark, job):
    publish(job(), sessions(spark, [0]), DAYS[:1], code="old")
    publish(job(), sessions(spark, [0], track_id="t2"), DAYS[:1], code="new")
    assert publish(job(), sessions(spark, [0]), DAYS[:1], code="old").kind == "published"
    assert {row["track_id"] for row in read_plays(job).values()} == {"t1"}


def test_publish_refuses_a_batch_that_fails_a_critical_expectation(spark, job):
    publish(job(), sessions(spark), DAYS[:3])
    before, version = read_plays(job), job().warehouse.state("sessions").version
    with pytest.raises(Refused, match="completion") as refusal:
        publish(job(), sessions(spark, completion=1.5), DAYS[:3], code="wrong")
    assert refusal.value.exit_code == 3
    assert "1.5" in str(refusal.value), "the refusal does not say what was observed"
    assert (read_plays(job), job().warehouse.table("sessions").version()) == (before, version)


def test_publish_records_every_attempt(spark, job):
    publish(job(), sessions(spark), DAYS[:3])
    publish(job(), sessions(spark), DAYS[:3], other=1)
    with pytest.raises(Refused):
        publish(job(), sessions(spark, completion=1.5), DAYS[:3], code="wrong")
    results = read_results(job().warehouse, "run-test")
    outcomes = {row["attempt_id"]: row["outcome"] for row in results}
    assert sorted(outcomes.values()) == ["passed", "published", "refused"]
    failures = [row for row in results if not row["success"] and row["severity"] == "critical"]
    assert [(row["outcome"], row["column"]) for row in failures] == [("refused", "completion")]


def test_publish_refuses_rows_outside_the_days_of_the_batch(spark, job):
    with pytest.raises(JobError, match="2026-10-03"):
        publish(job(), sessions(spark), DAYS[:2])


def test_publish_refuses_duplicate_keys(spark, job):
    with pytest.raises(Refused, match="duplicate_keys"):
        publish(job(), sessions(spark).unionAll(sessions(spark)), DAYS[:3])


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


def test_commit_that_loses_the_swap_is_repeated_and_keeps_both_batches(spark, job, monkeypatch):
    publish(job(), sessions(spark, [0]), DAYS[:1])
    slow, fast = job(), job()
    staged = stage(slow, slow.batch("sessions", DAYS[1:2]), sessions(spark, [1]))
    other = stage(fast, fast.batch("sessions", DAYS[2:3]), sessions(spark, [2]))
    note = {"run": "other"}
    losses = lose_the_first_swap(monkeypatch, lambda: protocol.commit(fast.warehouse, other, note))
    commit(slow, staged)
    assert losses, "nobody lost a swap: the test shows nothing"
    assert {row["ds"] for row in read_plays(job).values()} == set(DAYS[:3])
    assert job().warehouse.state("sessions").days == DAYS[:3], "the state in the log lost the other's day"


def stage_play(spark, a_job, mark, **overrides):
    """A batch of one play; by another `mark`, it is another batch."""
    rows = frame(spark, [play(played_at=NOON, **overrides)], PLAYS)
    measures = {"rejected_share": 0.0, "duplicate_share": 0.0}
    return stage(a_job, a_job.batch("plays", appends=True, parameters={"id": mark}), rows, measures)


def test_commit_of_an_append_that_loses_the_swap_is_not_repeated(spark, job, monkeypatch):
    slow, fast = job(), job()
    own = stage_play(spark, slow, "p1", play_id="p1")
    other = stage_play(spark, fast, "p2", play_id="p2")
    losses = lose_the_first_swap(monkeypatch, lambda: protocol.commit(fast.warehouse, other, {}))
    with pytest.raises(JobError, match=r"[Rr]un the step again"):
        commit(slow, own)
    assert losses
    assert set(read_plays(job, "plays")) == {"p2"}


def test_commit_refuses_an_append_that_was_compared_with_an_older_version(spark, job):
    """On an object store no lease makes the second wait: both have looked for duplicates in the same version."""
    slow, fast = job(), job()
    own = stage_play(spark, slow, "t1", play_id="p", track_id="t1")
    commit(fast, stage_play(spark, fast, "t2", play_id="p", track_id="t2"))
    with pytest.raises(JobError, match="was published after this step looked"):
        commit(slow, own)
    assert [row["track_id"] for row in read_plays(job, "plays").values()] == ["t2"]


def test_batch_refuses_a_day_that_the_source_has_not_reached(spark, job):
    publish(job(), sessions(spark, [0]), DAYS[:1])
    lineage = job().source("sessions").cumulative_fingerprints()
    with pytest.raises(WrongUsage, match=f"asked for {DAYS[1]}, but what it is made of ends {DAYS[0]}"):
        job().batch("user_features", DAYS[:2], upstream=lineage)


def test_cumulative_fingerprints_change_from_the_changed_day_on(spark, job):
    publish(job(), sessions(spark), DAYS[:3])
    warehouse = job().warehouse
    before = warehouse.state("sessions").cumulative_fingerprints()
    batch = job().batch("user_features", DAYS[:3], upstream=before)
    publish(job(), sessions(spark, [1], track_id="t9"), DAYS[1:2], code="new")
    after = warehouse.state("sessions").cumulative_fingerprints()
    assert [day for day in DAYS[:3] if before[day] != after[day]] == DAYS[1:3]
    assert batch.upstream == before


def test_at_reads_a_version_of_two_months_ago(spark, job):
    publish(job(), sessions(spark, [0]), DAYS[:1])
    version = job().version("sessions")
    publish(job(), sessions(spark, [1]), DAYS[1:2])
    log = Path(job().warehouse.table_path("sessions"), "_delta_log")
    long_ago = (datetime.now(UTC) - timedelta(days=60)).timestamp()
    for entry in log.glob("*.json"):
        os.utime(entry, (long_ago, long_ago))
    spark._jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()
    assert {row.ds for row in job().at("sessions", version).select("ds").collect()} == {DAYS[0]}
    assert {row.ds for row in job().read("sessions").select("ds").collect()} == set(DAYS[:2])


def test_read_keeps_the_version_that_the_job_read_first(spark, job):
    publish(job(), sessions(spark, [0]), DAYS[:1])
    reader = job()
    rows = reader.read("sessions")
    publish(job(), sessions(spark, [0], track_id="t2"), DAYS[:1])
    assert {row.track_id for row in reader.read("sessions").unionAll(rows).collect()} == {"t1"}


def test_publish_writes_no_user_ids_into_the_log(spark, job):
    rows = [opening(f"p{n}", NOON, user_id=f"a-listener-{n}") for n in range(3)]
    publish(job(), frame(spark, rows, SESSIONS), DAYS[:1])
    log = Path(job().warehouse.table_path("sessions"), "_delta_log")
    texts = {path.name: path.read_text() for path in log.glob("*.json")}
    assert [name for name, text in texts.items() if "a-listener" in text] == []
    assert any('\\"bucket\\"' in text for text in texts.values()), (
        "no statistics at all: the test shows nothing"
    )


def test_publish_keeps_files_and_available_at_of_a_day_of_equal_rows(spark, job):
    publish(job(), sessions(spark), DAYS[:3])
    before, files = read_plays(job), set(job().warehouse.table("sessions").file_uris())
    rows = sessions(spark, [0, 2]).unionAll(sessions(spark, [1], track_id="t9"))
    publish(job(), rows, DAYS[:3], code="new")
    after = read_plays(job)
    changed_days = {
        row["ds"] for key, row in after.items() if row["available_at"] != before[key]["available_at"]
    }
    assert changed_days == {DAYS[1]}, (
        "rows that did not change were given a later instant, or changed ones an old one"
    )
    assert len(files & set(job().warehouse.table("sessions").file_uris())) == 2


def test_publish_refuses_the_same_batch_with_other_rows(spark, job):
    publish(job(), sessions(spark, [0]), DAYS[:1], code="old")
    publish(job(), sessions(spark, [0], track_id="t2"), DAYS[:1], code="new")
    with pytest.raises(JobError, match="not deterministic"):
        publish(job(), sessions(spark, [0], track_id="t3"), DAYS[:1], code="old")
    assert {row["track_id"] for row in read_plays(job).values()} == {"t2"}
    other_job = job()
    batch = other_job.batch("sessions", DAYS[:1], deterministic=False, parameters={"code": "old"})
    assert other_job.publish(batch, sessions(spark, [0], track_id="t3")).kind == "published"


def test_commit_that_loses_to_the_same_batch_with_other_rows_raises(spark, job, monkeypatch):
    slow, fast = job(), job()
    own = stage(slow, slow.batch("sessions", DAYS[:1]), sessions(spark, [0]))
    other = stage(fast, fast.batch("sessions", DAYS[:1]), sessions(spark, [0], track_id="t2"))
    losses = lose_the_first_swap(monkeypatch, lambda: protocol.commit(fast.warehouse, other, {}))
    with pytest.raises(JobError, match="not deterministic"):
        commit(slow, own)
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


def test_publish_refuses_and_records_a_broken_constraint(spark, job):
    with pytest.raises(Refused, match="position") as refusal:
        publish(job(), sessions(spark, position=-1), DAYS[:3])
    assert refusal.value.exit_code == 3
    failures = [row for row in read_results(job().warehouse, "run-test") if not row["success"]]
    assert [row["expectation"] for row in failures] == ["expect_constraints_to_hold"]
    assert "position >= 1" in failures[0]["observed"]


def test_create_sets_constraints_and_needs_no_special_reader(job):
    table = job().warehouse.create(SESSIONS)
    settings = table.metadata().configuration
    assert settings["delta.constraints.position_range"] == "position >= 1"
    assert settings["delta.constraints.play_id_not_empty"]
    assert settings["delta.deletedFileRetentionDuration"] == "interval 35 days"
    assert table.protocol().min_reader_version == 1
    assert not next(field for field in table.schema().fields if field.name == "play_id").nullable


def test_publish_adds_a_new_column_that_older_days_read_as_null(spark, job, monkeypatch):
    publish(job(), sessions(spark, [0]), DAYS[:1])
    mood = Column("mood", "string", "a column that came later")
    wider_contract = replace(SESSIONS, columns=(*SESSIONS.columns[:-1], mood, SESSIONS.columns[-1]))
    monkeypatch.setitem(CONTRACTS, "sessions", wider_contract)
    publish(job(), sessions(spark, [1]).withColumn("mood", F.lit("calm")), DAYS[1:2])
    assert {(row["ds"], row["mood"]) for row in read_plays(job).values()} == {
        (DAYS[0], None),
        (DAYS[1], "calm"),
    }
    state, table_profile = job().warehouse.state("sessions"), profile(job().read("sessions"), wider_contract)
    assert {day: part.content_hash for day, part in state.day_states.items()} == {
        day: part.content_hash for day, part in table_profile.days.items()
    }, "a new column changed the hash of rows that do not have it"


def test_publish_refuses_a_column_of_another_type_before_any_work(spark, job, monkeypatch):
    publish(job(), sessions(spark, [0]), DAYS[:1])
    columns = [replace(c, type="bigint") if c.name == "position" else c for c in SESSIONS.columns]
    monkeypatch.setitem(CONTRACTS, "sessions", replace(SESSIONS, columns=tuple(columns)))
    with pytest.raises(JobError, match=r"position is .*integer.*new name"):
        publish(job(), sessions(spark, [1]), DAYS[1:2])
    assert len(job().warehouse.batches("sessions")) == 1, "files were staged for nothing"


def test_read_state_gives_the_state_of_the_version_that_was_opened(spark, job):
    publish(job(), sessions(spark, [0]), DAYS[:1])
    version = job().warehouse.state("sessions").version
    publish(job(), sessions(spark, [1]), DAYS[1:2])
    assert read_state(job().warehouse.table("sessions", version)).days == DAYS[:1]
