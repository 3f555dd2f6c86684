"""The profiles of a large batch, by Spark: the ones that the driver makes of a small one."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from jobs.publishing import staged_profiles
from jobs.publishing.batches import folder
from jobs.publishing.staged_profiles import profile_rows, profile_staged, read_columns
from jobs.publishing.staging import read_staged_rows
from reference.published import DAYS, NOON, opening
from reference.staged import LaidJob

SEEN = {"n": [0, 1, 2, 31, 10**12, None], "share": [0.0, 0.5, None, float("nan"), float("inf")]}


def make_rows():
    """Two days, seven listeners, each with several plays; some without a value."""
    return [
        opening(
            f"p{n}",
            NOON + timedelta(days=n % 2, hours=n % 11),
            user_id=f"u{n % 7}",
            ms_played=SEEN["n"][n % 6],
            completion=SEEN["share"][n % 5],
            skipped=[True, False, None][n % 3],
        )
        for n in range(90)
    ]


def make_tracks():
    genres = [["rock"], [], None, ["a", "b", "c"]]
    return [
        {"track_id": f"t{n}", "genres": genres[n % 4], "released": str(1990 + n % 3), "source": "test"}
        for n in range(40)
    ]


@pytest.mark.parametrize(
    ("table", "days", "rows"), [("sessions", DAYS[:2], make_rows()), ("tracks", None, make_tracks())]
)
def test_spark_and_driver_make_the_same_profiles_in_one_job(spark, tmp_path, monkeypatch, table, days, rows):
    monkeypatch.setenv("SEGUE_PROFILE_LISTENERS", "3")
    job = LaidJob("test", str(tmp_path / "root"), say=lambda text: None)
    batch = job.stage(job.batch(table, days), rows).batch
    expected = profile_staged(None, job.warehouse, batch)
    path = folder(job.warehouse, batch)
    staged = read_staged_rows(spark, job.warehouse, path, batch.contract)
    # as files of a large batch are, over several tasks
    columns = staged.repartition(3) if days else staged
    spark.sparkContext.setJobGroup(f"profile {table}", "test")
    found = profile_rows(columns, batch.contract, 3)
    jobs = spark.sparkContext.statusTracker().getJobIdsForGroup(f"profile {table}")
    spark.sparkContext.setJobGroup("", "")
    assert {key: round_sums(each) for key, each in found.items()} == {
        key: round_sums(each) for key, each in expected.items()
    }
    assert any(each.bins for each in found.values()) and any(each.top_values for each in found.values())
    assert len(jobs) == 1


def round_sums(profile):
    sums = (profile.mean, profile.spread)
    mean, spread = (None if each is None else float(f"{each:.9g}") for each in sums)
    return replace(profile, mean=mean, spread=spread)


def test_spark_reads_no_other_columns(spark, tmp_path):
    job = LaidJob("test", str(tmp_path / "root"), say=lambda text: None)
    batch = job.stage(job.batch("sessions", DAYS[:2]), make_rows()).batch
    staged = read_staged_rows(spark, job.warehouse, folder(job.warehouse, batch), batch.contract)
    columns = staged.select(*staged_profiles._prepare_columns(batch.contract))
    spark.conf.set("spark.sql.maxMetadataStringLength", "10000")
    plan = columns._jdf.queryExecution().executedPlan().toString()
    spark.conf.unset("spark.sql.maxMetadataStringLength")
    schema = plan.partition("ReadSchema: struct<")[2].partition(">")[0]
    read = {field.partition(":")[0] for field in schema.split(",")}
    assert read == {*read_columns(folder(job.warehouse, batch), batch.contract).column_names} - {"ds"}
    assert not read & {"play_id", "track_id", "artist_id", "session_id", "bucket"}


def test_a_batch_above_the_setting_is_profiled_by_spark(spark, tmp_path, monkeypatch):
    monkeypatch.setenv("SEGUE_PROFILE_MEGABYTES", "0")
    monkeypatch.setenv("SEGUE_PROFILE_LISTENERS", "3")
    job = LaidJob("test", str(tmp_path / "root"), say=lambda text: None)
    batch = job.stage(job.batch("sessions", DAYS[:2]), make_rows()).batch
    found = profile_staged(spark, job.warehouse, batch)
    monkeypatch.setenv("SEGUE_PROFILE_MEGABYTES", "32")
    assert found.keys() == profile_staged(None, job.warehouse, batch).keys()
    assert found[DAYS[0], "user_id"].distinct_values == 7
