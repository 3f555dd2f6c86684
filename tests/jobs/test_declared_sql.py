"""A row that SQL of a project fails on is one line that names the declaration, whatever Spark says of it."""

from __future__ import annotations

from datetime import date
from types import SimpleNamespace

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import functions as F

from jobs import declared_sql
from jobs import job as job_module
from jobs.declared_sql import explain_failing_rows
from jobs.errors import JobError
from jobs.job import Job
from schemas import CONTRACTS
from schemas.reward_thresholds import RewardThresholds, Threshold
from schemas.rewards import Reward, Rewards

SHARE = "case when ms_played > 5 then ms_played / track_ms else ms_played % track_ms end"
BY = {"genre": "genres[1]", "first": "get(genres, 0)"}
REWARDS = Rewards(
    (
        Reward("share", SHARE, "m", type="double"),
        Reward("part", "ms_played / track_ms", "m", type="double"),
        Reward("worth", "ms_played", "m", type="bigint"),
    )
)
THRESHOLDS = RewardThresholds(REWARDS, (Threshold("lasting", "worth", BY),))


@pytest.fixture
def declared(monkeypatch):
    monkeypatch.setattr(declared_sql, "REWARD_TABLES", (REWARDS,))
    monkeypatch.setattr(declared_sql, "THRESHOLD_TABLES", (THRESHOLDS,))


DIVIDED = '[DIVIDE_BY_ZERO] Division by zero. Use `try_divide` … instead. If necessary set "a" to "b". SQLSTATE: 2201'
FAULTS = {
    "a division": (
        "play_rewards",
        DIVIDED,
        "one of reward share = '.*'; reward part = '.*': Division .* instead.;",
    ),
    "an index": (
        "reward_thresholds",
        "[INVALID_ARRAY_INDEX] 1 of 1. SQLSTATE: 22003",
        r"lasting, by genre = 'g.*\]'",
    ),
    "a number": (
        "play_rewards",
        "[CAST_INVALID_INPUT] x SQLSTATE: 22018",
        "one of .*; reward worth = 'ms_played': x;",
    ),
}


@pytest.mark.parametrize(("table", "text", "expected"), FAULTS.values(), ids=FAULTS)
def test_declarations_that_can_fail_so_are_named(declared, table, text, expected):
    problem = f"table {table}: a row fails in the SQL of .*{expected}.*try_divide"
    with pytest.raises(JobError, match=problem), explain_failing_rows(table):
        raise PySparkException(text)


@pytest.mark.parametrize(
    ("table", "text"), [("sessions", DIVIDED), ("play_rewards", "[INTERNAL_ERROR] x SQLSTATE: XX000")]
)
def test_what_is_no_fault_of_declared_sql_stays_as_it_is(declared, table, text):
    with pytest.raises(PySparkException), explain_failing_rows(table):
        raise PySparkException(text)


def test_the_part_that_spark_shows_tells_declarations_apart(spark, declared):
    row = spark.range(1).selectExpr("id", "id as ms_played", "id as track_ms")
    failing = row.select(F.when(F.col("id") == 0, F.expr(SHARE).cast("double")))
    with (
        pytest.raises(JobError, match="SQL of reward share = ") as caught,
        explain_failing_rows("play_rewards"),
    ):
        failing.collect()
    assert "\n" not in str(caught.value) and "ansi" not in str(caught.value), caught.value


def test_a_publication_names_the_declaration_that_a_row_fails_in(declared, monkeypatch, tmp_path):
    def fail(warehouse, batch, rows):
        raise PySparkException(DIVIDED)

    monkeypatch.setattr(job_module, "stage", fail)
    monkeypatch.setitem(CONTRACTS, REWARDS.name, REWARDS.contract)
    job = Job("test", str(tmp_path / "root"), "run-1", say=lambda text: None)
    # no gate, so that Great Expectations is not imported
    job.gate = SimpleNamespace(suite_of=lambda table: None)
    batch = job.batch(REWARDS.name, [date(2026, 3, 1)])
    with pytest.raises(JobError, match="table play_rewards: a row fails in the SQL of one of reward share"):
        job.publish(batch, None, missing={})
