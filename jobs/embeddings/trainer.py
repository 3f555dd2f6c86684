"""Spark's side of a training: its input is written, the task is run, its progress logged."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from features.embeddings.sequences import build_sequences, build_vocabulary
from features.embeddings.settings import Settings
from features.embeddings.track_embeddings import join_previous_vectors
from jobs.embeddings.progress import log_progress
from jobs.embeddings.scratch import Scratch
from jobs.embeddings.steps import whole_executor_profile
from jobs.embeddings.task import Plan, make_task
from jobs.embeddings.tracks import REPORT, VOCABULARY
from jobs.errors import JobError


class NothingToLearn(JobError):
    """No sequence is long enough: a source of one play a session has no embeddings."""


@dataclass(frozen=True)
class TrainingResult:
    """Report of a training; its vectors are in the scratch."""

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
    scratch: Scratch, sessions: DataFrame, previous: DataFrame | None, settings: Settings
) -> None:
    """Writes the vocabulary to the scratch, with the vectors of the version before."""
    # tracks with too few plays are there too: what is not learned counts against the coverage
    vocabulary = build_vocabulary(sessions, settings.replace(min_plays=1))
    join_previous_vectors(vocabulary, previous).write.mode("overwrite").parquet(scratch.path(VOCABULARY))


def train(spark: SparkSession, plan: Plan, sessions: DataFrame, say: Callable[[str], None]) -> TrainingResult:
    """Runs the task that trains, and logs each epoch.

    Raises:
        NothingToLearn: no session has two tracks.
    """
    settings = plan.settings
    # read back from its files, or the plan behind them would run again
    vocabulary = spark.read.parquet(plan.scratch.path(VOCABULARY))
    frequent = vocabulary.where(F.col("plays") >= settings.min_plays).select("number", "track_id")
    profile, _ = whole_executor_profile(spark)
    with log_progress(plan.scratch, say):
        sequences = build_sequences(sessions, frequent, settings)
        # a row of JSON comes back; vectors of millions of tracks stay in files
        reports = sequences.mapInArrow(make_task(plan), REPORT, profile=profile).collect()
    if not reports:
        raise NothingToLearn(
            f"no session has {settings.min_length} different tracks in a row, with {settings.min_plays} plays or more "
            "each; there is nothing to learn from. Give more --days, or lower --min-plays"
        )
    return TrainingResult(**json.loads(reports[0]["report"]))
