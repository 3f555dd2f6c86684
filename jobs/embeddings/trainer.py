"""Spark's side of a training: its input is written, the task is run, its progress logged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from features.embeddings.listeners import choose_listeners
from features.embeddings.sequences import build_sequences, build_vocabulary
from features.embeddings.settings import Settings
from features.embeddings.track_embeddings import join_previous_vectors
from jobs.embeddings.progress import log_progress
from jobs.embeddings.scratch import Scratch
from jobs.embeddings.steps import run_on_executor
from jobs.embeddings.task import Plan, run_training
from jobs.embeddings.tracks import LEARNED, SEQUENCES, VOCABULARY
from jobs.errors import JobError

Say = Callable[[str], None]


class NothingToLearn(JobError):
    """No sequence is long enough: a source of one play a session has no embeddings."""


@dataclass(frozen=True)
class TrainingResult:
    """Report of a training; its vectors are in the scratch, in the file `learned`."""

    metrics: list[dict[str, Any]]
    measures: dict[str, float]
    tracks: int
    plays: int
    seconds: float
    peak_bytes: int
    threads: int
    digest: str
    learned: str
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


def write_sequences(
    scratch: Scratch, sessions: DataFrame, plays: int, settings: Settings, say: Say = lambda line: None
) -> None:
    """Writes them to the scratch, once the vocabulary is there, in as many files as a shuffle has parts.

    Args:
        plays: rows of `sessions`; what they cannot exceed is not counted.
    """
    spark = sessions.sparkSession
    if plays > settings.max_sequences * settings.min_length:
        listeners = choose_listeners(sessions, settings)
        say(f"sequences of {listeners.describe()} are learned from")
        sessions = listeners.select(sessions)
    # read back from its files, or the plan behind them would run again
    vocabulary = spark.read.parquet(scratch.path(VOCABULARY))
    frequent = vocabulary.where(F.col("plays") >= settings.min_plays).select("number", "track_id")
    files = int(spark.conf.get("spark.sql.shuffle.partitions") or 1)
    sequences = build_sequences(sessions, frequent, settings, files)
    sequences.write.mode("overwrite").parquet(scratch.path(SEQUENCES))


def train(spark: SparkSession, plan: Plan, say: Say) -> TrainingResult:
    """Runs the task that trains on the sequences of the scratch, and logs each epoch.

    Raises:
        NothingToLearn: no session has two tracks.
    """
    settings = plan.settings
    if not plan.scratch.count_rows(SEQUENCES):
        raise NothingToLearn(
            f"no session has {settings.min_length} different tracks in a row, with {settings.min_plays} plays or more "
            "each; there is nothing to learn from. Give more --days, or lower --min-plays"
        )
    # a training that was cut off begins its vectors again, or goes on with those that it saved elsewhere
    plan.scratch.remove(LEARNED)
    # a report comes back; vectors of millions of tracks stay in files
    with log_progress(plan.scratch, say):
        return TrainingResult(**run_on_executor(spark, partial(run_training, plan)))
