"""What the gate sees of a staged batch: the files that its log names, as Delta itself reads them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from jobs.job import Job
from jobs.publishing import staging
from reference.published import DAYS, sessions
from reference.staged import stage
from schemas.sessions import SESSIONS


@pytest.fixture
def job(tmp_path):
    return Job("test", str(tmp_path / "a root"), "run-1", say=lambda text: None)


@pytest.fixture
def staged(spark, job):
    batch = job.batch("sessions", DAYS[:3])
    return stage(job, batch, sessions(spark, ms_played=None))


def sort_rows(df):
    return sorted(map(tuple, df.select(*SESSIONS.names).collect()), key=repr)


@pytest.mark.parametrize("limit", [0, 1_000], ids=["by Delta", "as Parquet"])
def test_read_staged_rows_agrees_with_delta_for_few_files_and_many(spark, job, staged, monkeypatch, limit):
    monkeypatch.setattr(staging, "FEW_FILES", limit)
    rows = staging.read_staged_rows(job.spark, job.warehouse, staged.path, SESSIONS)
    assert sort_rows(rows) == sort_rows(spark.read.format("delta").load(staged.path))
    assert len(sort_rows(rows)) == 15
    assert [(f.name, f.dataType) for f in rows.schema] == [(f.name, f.dataType) for f in SESSIONS.struct()]


def test_read_staged_rows_skips_a_file_that_the_log_does_not_name(job, staged):
    """A task that failed leaves what it wrote."""
    file = next(Path(staged.path).rglob("*.parquet"))
    shutil.copy(file, file.with_name("part-of-a-failed-task.parquet"))
    rows = staging.read_staged_rows(job.spark, job.warehouse, staged.path, SESSIONS)
    assert rows.count() == 15
