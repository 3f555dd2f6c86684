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


def rows_of(df):
    return sorted(map(tuple, df.select(*SESSIONS.names).collect()), key=repr)


@pytest.mark.parametrize("few", [0, 1_000], ids=["by Delta", "as Parquet"])
def test_few_files_and_many_read_the_same(spark, job, staged, monkeypatch, few):
    monkeypatch.setattr(staging, "FEW_FILES", few)
    read = staging.read_staged_rows(job.spark, job.warehouse, staged.path, SESSIONS)
    assert rows_of(read) == rows_of(spark.read.format("delta").load(staged.path))
    assert len(rows_of(read)) == 15
    assert [(f.name, f.dataType) for f in read.schema] == [(f.name, f.dataType) for f in SESSIONS.struct()]


def test_a_file_that_the_log_does_not_name_is_not_read(job, staged):
    """A task that failed leaves what it wrote."""
    file = next(Path(staged.path).rglob("*.parquet"))
    shutil.copy(file, file.with_name("part-of-a-failed-task.parquet"))
    read = staging.read_staged_rows(job.spark, job.warehouse, staged.path, SESSIONS)
    assert read.count() == 15
