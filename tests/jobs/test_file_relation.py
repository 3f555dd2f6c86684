"""Versions that are read as Parquet files give what Delta's own scan gives, and no row less without an error."""

from __future__ import annotations

import os
import re

import pytest

from jobs import file_relation, inputs
from jobs.errors import JobError
from jobs.job import Job
from reference.golden import unpack


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    # characters that a path and a URI have different words for
    folder = tmp_path_factory.mktemp("a place") / "100% é, +&=~;"
    folder.mkdir()
    unpack(folder)
    return folder / "root"


@pytest.fixture
def job(root, spark):
    return Job("look", str(root))


def read_by_delta(job, table, days=None):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inputs, "read_as_parquet", lambda *_: None)
        return job.at(table, job.version(table), days)


def is_read_as_parquet(rows):
    return "InMemoryFileIndex" in rows._jdf.queryExecution().executedPlan().toString()


def sort(rows):
    return sorted(map(str, rows.collect()))


@pytest.mark.parametrize("table", ["plays", "user_features", "tracks", "track_embeddings"])
def test_rows_and_columns_are_those_of_delta(job, table):
    of_files, of_delta = job.at(table, job.version(table)), read_by_delta(job, table)
    assert is_read_as_parquet(of_files), "Delta read both, so nothing is compared"
    assert not is_read_as_parquet(of_delta)
    # with what may be null, which contracts are held to
    assert of_files.schema == of_delta.schema
    assert sort(of_files) == sort(of_delta) != []


def test_rows_of_days_are_those_of_delta_and_have_the_instant_of_their_publication(job):
    *_, day, last = job.state("plays").days
    days = [day, last]
    of_files = job.at("plays", job.version("plays"), days)
    assert is_read_as_parquet(of_files)
    assert sort(of_files) == sort(read_by_delta(job, "plays", days)) != []
    instants = {row["available_at"] for row in of_files.select("available_at").distinct().collect()}
    assert instants
    assert None not in instants, "the folder's name says null; the log knows when"


def test_no_file_of_the_days_is_no_row(job):
    day = job.state("plays").days[0].replace(year=1999)
    assert job.at("plays", job.version("plays"), [day]).count() == 0


def test_filters_reach_the_files(job):
    rows = job.at("plays", job.version("plays")).where("bucket = 3 and ds = '2026-01-01'")
    plan = rows._jdf.queryExecution().toString()
    assert re.search(r"PartitionFilters: \[[^\]]*ds#", plan), plan
    assert "EqualTo(bucket,3)" in plan


def test_a_lost_file_is_an_error_and_not_fewer_rows(job, root):
    file = root / "tables" / "sessions" / job.snapshot("sessions").files[0].path
    aside = file.with_suffix(".aside")
    os.rename(file, aside)
    try:
        with pytest.raises(JobError, match=r"hold [\d,]+ bytes, and [\d,]+ by its log; a file is lost"):
            job.at("sessions", job.version("sessions"))
    finally:
        os.rename(aside, file)


@pytest.mark.parametrize("name, value", [("FEW_FILES", 1), ("_find_folders", lambda _: None)])
def test_delta_reads_many_files_and_folders_whose_files_differ(job, monkeypatch, name, value):
    monkeypatch.setattr(file_relation, name, value)
    assert not is_read_as_parquet(job.at("plays", job.version("plays")))


def test_folders_whose_files_differ_are_found(job):
    files = job.snapshot("plays").files
    assert len(file_relation._find_folders(files)) > 1
    other = files[0].__class__("".join((files[0].path, "-2")), 1, {**files[0].partition, "ds": None}, None)
    assert file_relation._find_folders([*files, other]) is None
