"""Readers see whole audited batches, each once, and nothing else."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pyspark.sql import functions as F

from expectations.contracts import expect_rows
from expectations.gate_settings import GateSettings
from expectations.profile import profile
from expectations.suite import Suite
from expectations.verdict import Refused
from jobs.errors import JobError
from jobs.job import Job
from jobs.publishing.commits import list_file_days
from jobs.publishing.layout import guess_row
from jobs.publishing.quarantine import read_quarantine
from jobs.publishing.records import read_results
from jobs.publishing.rewrite import Rewrite, rewrite_files
from jobs.report import write_report
from reference.delta_files import read_file
from reference.frames import frame
from reference.published import DAYS, NOON, opening, pass_every_batch, publish, sessions
from reference.rows import bucket
from reference.staged import cut_finely
from reference.worlds import play
from schemas import CONTRACTS, Column
from schemas.plays import PLAYS
from schemas.sessions import SESSIONS


@pytest.fixture
def job(spark, tmp_path):
    return lambda: Job("test", str(tmp_path / "root"), "run-test", say=lambda text: None)


@pytest.fixture
def no_gate(monkeypatch):
    """For what is written and read: `attempts` has batches that the gate judged."""
    pass_every_batch(monkeypatch)


@pytest.fixture(scope="module")
def attempts(spark, tmp_path_factory):
    """A batch that passed, the same once more, and one that was refused; what readers had before that."""
    root = str(tmp_path_factory.mktemp("attempts") / "root")

    def job():
        return Job("test", root, "run-test", say=lambda text: None)

    publish(job(), sessions(spark), DAYS[:3])
    publish(job(), sessions(spark), DAYS[:3], other=1)
    before = read_plays(job), job().warehouse.table("sessions").version()
    with pytest.raises(Refused, match="completion") as refusal:
        publish(job(), sessions(spark, completion=1.5), DAYS[:3], code="wrong")
    return job, before, refusal.value


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


def test_publish_writes_a_state_that_agrees_with_the_profile_of_the_table(attempts):
    job, _, _ = attempts
    state = job().warehouse.state("sessions")
    table_profile = profile(job().read("sessions"), SESSIONS)
    assert {day: (p.rows, p.content_hash) for day, p in state.day_states.items()} == {
        day: (p.rows, p.content_hash) for day, p in table_profile.days.items()
    }
    assert state.content_hash == table_profile.content_hash


def test_publish_refuses_a_batch_that_fails_a_critical_expectation(attempts):
    job, before, refusal = attempts
    assert refusal.exit_code == 3
    assert "1.5" in str(refusal), "the refusal does not say what was observed"
    assert (read_plays(job), job().warehouse.table("sessions").version()) == before
    assert job().warehouse.state("sessions").version == before[1]


@pytest.mark.parametrize("expectations", [20, 60])
def test_publish_takes_as_few_spark_jobs_with_many_expectations(expectations, spark, job, monkeypatch):
    """Bounds of rows that differ, so that none is the metric of another; staged, audited, hashed and profiled."""
    conditions = [f"position <= {1_000 + n}" for n in range(expectations)]
    suite = Suite(
        "sessions", tuple(expect_rows("position", condition, condition) for condition in conditions)
    )
    monkeypatch.setattr(GateSettings, "suite_of", lambda _, table: suite)
    rows = sessions(spark)
    context, group = spark.sparkContext, f"{expectations} expectations"
    context.setJobGroup(group, "")
    try:
        publish(job(), rows, DAYS[:3])
    finally:
        context.setLocalProperty("spark.jobGroup.id", None)
    expected = {result["expected"] for result in read_results(job().warehouse)}
    assert expected >= {*conditions}
    # the write, and of the audit the hash of each day's rows and the expectations
    assert len(context.statusTracker().getJobIdsForGroup(group)) == 3


def test_publish_records_every_attempt(attempts):
    job, _, _ = attempts
    results = read_results(job().warehouse, "run-test")
    outcomes = {row["attempt_id"]: row["outcome"] for row in results}
    assert sorted(outcomes.values()) == ["passed", "published", "refused"]
    failures = [row for row in results if not row["success"] and row["severity"] == "critical"]
    assert [(row["outcome"], row["column"]) for row in failures] == [("refused", "completion")]


def test_publish_keeps_rows_of_a_refused_batch_and_the_query_that_finds_all_of_them(attempts, spark):
    job, _, _ = attempts
    warehouse = job().warehouse
    refused = [row for row in read_results(warehouse, "run-test") if row["outcome"] == "refused"]
    kept = read_quarantine(warehouse, "sessions", refused[0]["attempt_id"])
    broken = {(row["expectation"], row["column"]) for row in refused if row["severity"] == "critical"}
    (fault,) = [each for each in kept.faults if (each.expectation, each.column) in broken]
    assert (
        [row["values"] for row in fault.rows]
        == [{"completion": 1.5}] * 15
        == [{"completion": 1.5} for _ in range(fault.unexpected_count)]
    )
    play_ids = {row["play_id"] for row in spark.sql(fault.query).collect()}
    assert play_ids == {row["play_id"] for row in sessions(spark).collect()}
    keys = {row["key"] for row in fault.rows}
    assert len(keys) == 15 and not [id_ for id_ in play_ids if id_ in kept.dumps()]
    report = Path(write_report(warehouse.root, "run-test")).read_text()
    assert fault.query.split(" WHERE ")[0] in report and keys.pop() in report


@pytest.mark.usefixtures("no_gate")
def test_publish_sorts_files_of_rows_from_two_sources(spark, job):
    rows = [opening(f"p{n}", NOON + timedelta(minutes=n), user_id=f"u{n}") for n in range(60)]
    halves = [frame(spark, half, SESSIONS).drop("available_at") for half in (rows[::2], rows[1::2])]
    publish(job(), halves[0].unionByName(halves[1]), DAYS[:1])
    (path,) = job().warehouse.table("sessions").file_uris()
    keys = [(row["bucket"], row["user_id"]) for row in read_file(path)]
    assert len(keys) == 60 and keys == sorted(keys)


@pytest.mark.usefixtures("no_gate")
def test_publish_cuts_a_large_day_by_bucket_and_an_erasure_rewrites_the_files_of_its_listeners(
    spark, job, monkeypatch
):
    rows = [opening(f"p{n}", NOON + timedelta(minutes=n), user_id=f"u{n}") for n in range(120)]
    rows.append(opening("small", NOON + timedelta(days=1), user_id="u1"))
    batch = replace(job().batch("sessions", DAYS[:2]), row_counts={DAYS[0]: 120, DAYS[1]: 1})
    # some 30 rows a file
    cut_finely(monkeypatch, int(31 * guess_row(SESSIONS) / 128))
    job().publish(batch, frame(spark, rows, SESSIONS))
    state, snapshot = job().warehouse.state("sessions"), job().snapshot("sessions")
    expected = profile(frame(spark, rows, SESSIONS), SESSIONS)
    assert {day: (each.rows, each.content_hash) for day, each in state.day_states.items()} == {
        day: (each.rows, each.content_hash) for day, each in expected.days.items()
    }
    large = snapshot.select(DAYS[0])
    assert (len(large), len(snapshot.select(DAYS[1]))) == (4, 1)
    assert [
        (16 * n <= low, high < 16 * n + 16) for n, (low, high) in enumerate(f.buckets for f in large)
    ] == [(True, True)] * 4
    for file in large:
        keys = [(row["bucket"], row["user_id"]) for row in read_file(f"{snapshot.uri}/{file.path}")]
        assert keys == sorted(keys)
    # two files of one day, and the one of another: each stays one
    gone = {next(row["user_id"] for row in read_file(f"{snapshot.uri}/{f.path}")) for f in large[:2]} | {"u1"}
    touched = snapshot.select(buckets={bucket(id_) for id_ in gone})
    erase = Rewrite(
        "erase",
        job().warehouse.table("sessions"),
        "sessions",
        tuple(file.path for file in touched),
        gone=F.col("user_id").isin(*gone),
    )
    rewrite_files(job(), erase)
    after = job().snapshot("sessions")
    left = {file.path for file in snapshot.files} - {file.path for file in touched}
    assert left and left <= {file.path for file in after.files}, "files of other buckets were written anew"
    assert [file.buckets for file in after.select(DAYS[0])][2:] == [file.buckets for file in large][2:]
    assert len(after.select(DAYS[0])) == 4, "what stays of a file stays a file"
    assert {row["user_id"] for row in read_plays(job).values()} == {row["user_id"] for row in rows} - gone


def test_publish_refuses_rows_outside_the_days_of_the_batch(spark, job):
    with pytest.raises(JobError, match="2026-10-03"):
        publish(job(), sessions(spark), DAYS[:2])


def test_publish_refuses_duplicate_keys(spark, job):
    with pytest.raises(Refused, match="duplicate_keys"):
        publish(job(), sessions(spark).unionAll(sessions(spark)), DAYS[:3])


@pytest.mark.usefixtures("no_gate")
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


@pytest.mark.usefixtures("no_gate")
def test_read_keeps_the_version_that_the_job_read_first(spark, job):
    publish(job(), sessions(spark, [0]), DAYS[:1])
    reader = job()
    rows = reader.read("sessions")
    publish(job(), sessions(spark, [0], track_id="t2"), DAYS[:1])
    assert {row.track_id for row in reader.read("sessions").unionAll(rows).collect()} == {"t1"}


@pytest.mark.usefixtures("no_gate")
def test_publish_writes_no_user_ids_into_the_log(spark, job):
    rows = [opening(f"p{n}", NOON, user_id=f"a-listener-{n}") for n in range(3)]
    publish(job(), frame(spark, rows, SESSIONS), DAYS[:1])
    log = Path(job().warehouse.table_path("sessions"), "_delta_log")
    texts = {path.name: path.read_text() for path in log.glob("*.json")}
    assert [name for name, text in texts.items() if "a-listener" in text] == []
    assert any('\\"bucket\\"' in text for text in texts.values()), (
        "no statistics at all: the test shows nothing"
    )


def test_publish_refuses_and_records_a_broken_constraint(spark, job):
    with pytest.raises(Refused, match="position") as refusal:
        publish(job(), sessions(spark, position=-1), DAYS[:3])
    assert refusal.value.exit_code == 3
    failures = [row for row in read_results(job().warehouse, "run-test") if not row["success"]]
    assert [row["expectation"] for row in failures] == ["expect_constraints_to_hold"]
    assert "position >= 1" in failures[0]["observed"]


@pytest.mark.usefixtures("no_gate")
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


@pytest.mark.usefixtures("no_gate")
def test_rewrite_of_some_files_takes_no_row_of_others_of_the_same_name(spark, job):
    """A task that writes several days gives their files one name."""
    for n in range(2):
        rows = [play(play_id=f"p{n}-{day}", played_at=NOON + timedelta(days=day)) for day in range(2)]
        batch = job().batch("plays", appends=True, parameters={"n": n})
        job().publish(batch, frame(spark, rows, PLAYS))
    table = job().warehouse.table("plays")
    files = list_file_days(table)
    assert len({Path(path).name for path, _ in files}) < len(files), (
        "no name is there twice: this shows nothing"
    )
    first, second = sorted({path.partition("/")[0] for path, _ in files})
    # of each batch the file of another day, so that both names and both days are read
    chosen = tuple(path for path, day in files if path.startswith(first if day == DAYS[0] else second))
    assert len(chosen) == 2
    assert rewrite_files(job(), Rewrite("compact", table, "plays", chosen))
    assert sorted(row["play_id"] for row in job().read("plays").toArrow().to_pylist()) == [
        "p0-0", "p0-1", "p1-0", "p1-1",
    ]  # fmt: skip
