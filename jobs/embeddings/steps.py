"""What the steps that make something of published embeddings share: their day, flags of settings, an executor."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import date, timedelta
from os import cpu_count
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from features.embeddings.neighbours import Search
from jobs.arguments import parse_day
from jobs.errors import JobError, WrongUsage
from jobs.inputs import PinnedTables
from jobs.job import Job

if TYPE_CHECKING:
    from pyspark.resource import ResourceProfile
    from pyspark.sql import SparkSession

TABLE = "track_embeddings"
# Each holds all vectors: more tasks divide the time, and multiply the memory.
TASKS_HERE = 4


def add_day_argument(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--day", type=parse_day, help="day of the embeddings (default: the newest)")
    return parser


def resolve_day(job: Job, requested: date | None) -> date:
    """The day requested, or the newest that there are embeddings of.

    Raises:
        JobError: there are none at all.
        WrongUsage: none of that day.
    """
    days = job.source(TABLE).days
    if requested is None:
        return days[-1]
    if requested not in days:
        raise WrongUsage(
            f"there are no track embeddings of {requested}, only of {', '.join(map(str, days[-5:]))}; "
            "run train-track-embeddings for that day first"
        )
    return requested


def check_version(job: PinnedTables, table: str, day: date, step: str) -> None:
    """Raises JobError where the rows of `table`, which `step` makes of the embeddings of a day, are of others."""
    expected, actual = (job.snapshot(name).read_version_id(day) for name in (TABLE, table))
    # a day without rows, as of embeddings without a vector, is of no other version
    if actual not in (expected, None):
        raise JobError(
            f"{table} of {day} is made of version {actual}; expected {expected}, which the embeddings of that day are "
            f"now; run {step} --day {day} again first"
        )


def days_ending(day: date, count: int) -> list[date]:
    """So many days, `day` the last, newest first; raises WrongUsage below 1, and beyond the calendar's first."""
    if count < 1:
        raise WrongUsage(f"--days is {count}; it must be 1 or more")
    if count > day.toordinal():
        raise WrongUsage(
            f"--days is {count:,}, and up to {day} the calendar has {day.toordinal():,}; give as many days as there "
            "are sessions of, as in 30"
        )
    return [day - timedelta(days=n) for n in range(count)]


def configure_search(job: Job) -> Search:
    profile, cores = whole_executor_profile(job.spark)
    # on a cluster one task with an executor's cores: each further one would hold all vectors again. On one machine
    # a few, since only tasks can read and write side by side, and rows take as long as the search
    tasks = 1 if profile else min(cores, TASKS_HERE)
    return Search(tasks=tasks, threads=max(1, cores // tasks), profile=profile)


def run_on_executor(spark: SparkSession, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `work` gives in one task that has an executor's cores; as JSON, so that a new measure changes no schema."""

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from (pa.RecordBatch.from_pydict({"report": [json.dumps(work())]}) for _ in batches)

    profile, _ = whole_executor_profile(spark)
    rows = spark.range(0, 1, 1, 1).mapInArrow(run, "report string", profile=profile).collect()
    report: dict[str, Any] = json.loads(rows[0]["report"])
    return report


def whole_executor_profile(spark: SparkSession) -> tuple[ResourceProfile | None, int]:
    """Resources of a task that has an executor's cores to itself, and how many these are."""
    from pyspark.resource import ResourceProfileBuilder, TaskResourceRequests

    # one machine has no executors to choose from; master `local-cluster[…]` has
    if re.match(r"local(\[|$)", spark.sparkContext.master or ""):
        return None, cpu_count() or 1
    # unset on many standalone clusters, where an executor takes all cores of its worker
    cores = int(spark.conf.get("spark.executor.cores", "0") or 0)
    if not cores:
        return None, int(spark.conf.get("spark.task.cpus", "1") or 1)
    # only the task is described, so no executor has to be started for it
    requests = TaskResourceRequests().cpus(cores)
    return ResourceProfileBuilder().require(requests).build, cores
