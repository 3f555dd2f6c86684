"""Spark's side of a training: what the task reads is laid ready, the task is run and watched."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from os import cpu_count
from typing import TYPE_CHECKING, Any

from features.embeddings.sequences import build_sequences, build_vocabulary
from features.embeddings.settings import Settings
from features.embeddings.track_embeddings import join_previous_vectors
from jobs.embeddings.scratch import Scratch
from jobs.embeddings.tracks import VOCABULARY
from jobs.errors import JobError

if TYPE_CHECKING:
    from pyspark.resource import ResourceProfile
    from pyspark.sql import DataFrame, SparkSession

    from features.embeddings.tuning import SearchPlan

SECONDS_BETWEEN_LOOKS = 0.5


class NothingToLearn(JobError):
    """No sequence is long enough: a source of one play a session has no embeddings."""


@dataclass(frozen=True)
class TrainingResult:
    """What a training came to; its vectors lie in the scratch."""

    metrics: list[dict[str, Any]]
    measures: dict[str, float]
    tracks: int
    plays: int
    seconds: float
    peak_bytes: int
    threads: int
    digest: str
    settings: dict[str, Any]  # those that the vectors were learned with
    trials: list[dict[str, Any]] | None = None
    search: dict[str, Any] | None = None


def write_vocabulary(
    scratch: Scratch, heard: DataFrame, before: DataFrame | None, settings: Settings
) -> None:
    """Leaves the vocabulary in the scratch, with the vectors of the version before.

    Tracks with too few plays are there too: what is not learned counts against the coverage.
    """
    ready = join_previous_vectors(build_vocabulary(heard, replace(settings, min_plays=1)), before)
    ready.write.mode("overwrite").parquet(scratch.path(VOCABULARY))


def train(
    spark: SparkSession,
    scratch: Scratch,
    heard: DataFrame,
    settings: Settings,
    start: str,
    parent: bool,
    say: Callable[[str], None],
    search: SearchPlan | None = None,
) -> TrainingResult:
    """Runs the task that trains, and says after each epoch how far it is.

    Raises:
        NothingToLearn: no session has two tracks.
    """
    from pyspark.sql import functions as F

    from jobs.embeddings.task import REPORT, Plan, make_task

    frequent = spark.read.parquet(scratch.path(VOCABULARY)).where(F.col("plays") >= settings.min_plays)
    rows = build_sequences(heard, frequent.select("number", "track_id"), settings)
    profile, _ = whole_executor_profile(spark)
    with log_progress(scratch, say):
        learned = rows.mapInArrow(
            make_task(Plan(scratch, settings, start, parent, search)), REPORT, profile=profile
        )
        reports = learned.collect()
    if not reports:
        raise NothingToLearn(
            f"no session has {settings.min_length} different tracks in a row, with {settings.min_plays} plays or more "
            "each; there is nothing to learn from. Give more --days, or lower --min-plays"
        )
    return TrainingResult(**json.loads(reports[0]["report"]))


def whole_executor_profile(spark: SparkSession) -> tuple[ResourceProfile | None, int]:
    """Resources of a task that has an executor's cores to itself, and how many these are.

    On one machine there are no executors to choose from. Where the cluster does not say how many cores
    one has, the task takes what every task does.
    """
    from pyspark.resource import ResourceProfileBuilder, TaskResourceRequests

    if re.match(r"local(\[|$)", spark.sparkContext.master or ""):
        return None, cpu_count() or 1
    cores = int(spark.conf.get("spark.executor.cores", "0") or 0)
    if not cores:
        return None, int(spark.conf.get("spark.task.cpus", "1") or 1)
    requests = TaskResourceRequests().cpus(cores)
    return ResourceProfileBuilder().require(requests).build, cores


@contextmanager
def log_progress(scratch: Scratch, say: Callable[[str], None]) -> Iterator[None]:
    """Says what the task notes in the scratch; it may run on another machine."""
    done, seen = threading.Event(), set(scratch.names("progress"))

    def look() -> None:
        for name in scratch.names("progress"):
            if name not in seen and (note := scratch.read_json(f"progress/{name}")):
                seen.add(name)
                say(note.get("line") or _epoch(note))

    def watch() -> None:
        while not done.wait(SECONDS_BETWEEN_LOOKS):
            look()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        look()


def _epoch(note: dict[str, Any]) -> str:
    speed = note["pairs"] / max(note["seconds"], 1e-9) / 1e6
    return (
        f"epoch {note['epoch']}: {note['pairs']:,} pairs, {note['seconds']:.1f} s, {speed:.1f} M pairs/s, "
        f"{note['peak_bytes'] / 2**20:,.0f} MiB"
    )
