"""What is recorded of a step is what Spark says of its jobs, and of no other's; and recording fails no step."""

from __future__ import annotations

import logging
from contextvars import copy_context
from pathlib import Path

import pytest

from jobs.job import Job
from jobs.publishing.record_tables import COSTS
from jobs.publishing.warehouse import Warehouse
from jobs.sizing import meter
from jobs.sizing.meter import PLAYS, note_rows, record_costs
from jobs.sizing.predict import read_runs

TASKS, REDUCERS = 3, 2
# Columns, and what Spark calls them, in which part of our unit.
NUMBERS = {
    "core_seconds": ("executorRunTime", 1e3),
    "cpu_seconds": ("executorCpuTime", 1e9),
    "shuffle_bytes": ("shuffleWriteBytes", 1),
    "bytes_written": ("outputBytes", 1),
    "spill_bytes": ("diskBytesSpilled", 1),
}


@pytest.fixture
def on(monkeypatch):
    """Off for all other tests, by tests/spark.conf."""
    monkeypatch.setattr(meter, "SETTING", "spark.segue.setByNobody")


def make_job(root):
    return Job("benchmark", str(root), "run-1", say=lambda text: None)


def list_stages(spark, group):
    """Of a job group, by Spark's own methods: numbers one by one, where ours come as JSON."""
    tracker, store = spark.sparkContext.statusTracker(), spark.sparkContext._jsc.sc().statusStore()
    ids = {id_ for job in tracker.getJobIdsForGroup(group) for id_ in tracker.getJobInfo(job).stageIds}
    return [store.lastStageAttempt(id_) for id_ in ids]


def test_costs_are_those_of_the_jobs_of_the_step(spark, tmp_path, on):
    root, files = tmp_path / "root", tmp_path / "written"
    with record_costs("build-sessions"):
        job = make_job(root)
        spark.range(10).repartition(2).count()  # before the step opens its session, so it is none of its jobs
        rows = job.spark.range(0, 3000, 1, TASKS).repartition(REDUCERS, "id")
        group = spark.sparkContext.getLocalProperty("spark.jobGroup.id")
        rows.write.parquet(str(files))
        note_rows("sessions", 40)
        note_rows("user_features", 7, published=True)
    spark.range(10).repartition(2).count()  # nor is what comes after it
    (run,) = read_runs(Warehouse(str(root)))
    assert (run["run_id"], run["step"]) == ("run-1", "build-sessions")
    assert (run["stages"], run["tasks"], run["lost"]) == (2, TASKS + REDUCERS, 0)
    assert (run["play_rows"], run["listener_rows"], run["rows_published"]) == (40, 7, 7)
    assert run["bytes_written"] == sum(each.stat().st_size for each in Path(files).glob("*.parquet"))
    stages = list_stages(spark, group)
    for column, (method, unit) in NUMBERS.items():
        assert run[column] == pytest.approx(sum(getattr(stage, method)() for stage in stages) / unit), column
    assert run["shuffle_bytes"] > 0 and run["cpu_seconds"] > 0
    assert 0 < run["largest_task_seconds"] <= run["core_seconds"] <= run["seconds"] * run["cores"]
    assert run["median_task_seconds"] <= run["largest_task_seconds"]


@pytest.mark.parametrize("place", [(type(COSTS), "append"), (meter, "count_jobs"), (meter, "read_stages")])
def test_a_step_whose_costs_cannot_be_recorded_ends_as_it_would(
    spark, tmp_path, on, monkeypatch, caplog, place
):
    def fail(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(*place, fail)
    with caplog.at_level(logging.WARNING), record_costs("build-sessions"):
        make_job(tmp_path).spark.range(1).count()
    assert "costs of build-sessions were not recorded: no space left on device" in caplog.text


def test_a_step_that_is_refused_has_cost_as_much(spark, tmp_path, on):
    with pytest.raises(ValueError, match="refused"), record_costs("build-sessions"):
        make_job(tmp_path).spark.range(1).count()
        raise ValueError("refused")
    (run,) = read_runs(Warehouse(str(tmp_path)))
    assert run["rows_published"] == 0 and run["tasks"] > 0


def test_a_step_that_opens_no_session_records_nothing(tmp_path, on):
    with record_costs("build-sessions"):
        make_job(tmp_path)
        note_rows("sessions", 40)
    assert read_runs(Warehouse(str(tmp_path))) == []
    # by hand: no step is on
    make_job(tmp_path)
    note_rows("sessions", 40)
    assert read_runs(Warehouse(str(tmp_path))) == []


def test_a_submitted_process_is_one_step_and_records_at_its_end(tmp_path, on, monkeypatch):
    at_exit = []
    monkeypatch.setattr(meter, "is_submitted", lambda: True)
    monkeypatch.setattr(meter.atexit, "register", lambda *call: at_exit.append(call))

    def run_file():
        meter.note_job("build-sessions", Warehouse(str(tmp_path)), "run-1")
        # a step may be several jobs
        meter.note_job("build-sessions", Warehouse(str(tmp_path)), "run-1")
        note_rows("sessions", 40)

    # as in a process of its own
    copy_context().run(run_file)
    ((_, found),) = at_exit
    assert (found.step, found.run_id, found.rows[PLAYS]) == ("build-sessions", "run-1", 40)
