"""A published space evaluated on the pairs that a training would be, in one task, and nothing learned."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from features.embeddings import evaluation as ev
from features.embeddings.corpus import Corpus
from features.embeddings.sequences import build_sequences
from features.embeddings.settings import Settings
from jobs.embeddings.scratch import Scratch
from jobs.embeddings.steps import whole_executor_profile
from jobs.embeddings.tracks import REPORT, VOCABULARY, Tracks, hold_out, load_previous_model
from jobs.embeddings.trainer import write_vocabulary

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True)
class Evaluation:
    """Metrics, as in `embedding_versions`, and which pairs were hit within ten."""

    metrics: list[dict[str, Any]]
    hits: list[bool]


def evaluate_space(
    spark: SparkSession, scratch: Scratch, sessions: DataFrame, embeddings: DataFrame, settings: Settings
) -> Evaluation:
    """The vectors of `embeddings` (one day of the table) on `sessions`, their last tracks held out."""
    # the same files and sequences as a training's, so that the same pairs are held out
    write_vocabulary(scratch, sessions, embeddings, settings)
    numbers = spark.read.parquet(scratch.path(VOCABULARY)).select("number", "track_id")
    profile, _ = whole_executor_profile(spark)
    task = partial(_evaluate, scratch=scratch, dimensions=settings.dimensions)
    reports = build_sequences(sessions, numbers, settings).mapInArrow(task, REPORT, profile=profile).collect()
    return Evaluation(**json.loads(reports[0]["report"])) if reports else Evaluation([], [])


def _evaluate(
    batches: Iterable[pa.RecordBatch], scratch: Scratch, dimensions: int
) -> Iterator[pa.RecordBatch]:
    if sequences := [batch for batch in batches if batch.num_rows]:
        report = _report(scratch, dimensions, sequences)
        yield pa.RecordBatch.from_pydict({"report": [json.dumps(report)]})


def _report(scratch: Scratch, dimensions: int, sequences: list[pa.RecordBatch]) -> dict[str, Any]:
    vocabulary = Tracks.read(scratch)
    tokens, offsets, pairs = hold_out(sequences)
    if not len(pairs):
        return {"metrics": [], "hits": []}
    # before there is a model: both take memory
    baselines = ev.measure_baselines(Corpus(tokens, offsets, vocabulary.plays), pairs)
    # `previous_plays` is -1 where a track has no vector
    tracks = vocabulary.take(np.flatnonzero(vocabulary.previous_plays >= 0))
    model, places = load_previous_model(scratch, tracks, dimensions), tracks.locate(pairs)
    following = ev.evaluate_ranking("next", "this", model.in_vectors, model.out_vectors, places, tracks.plays)
    # in place: from here on the in vectors are lost
    vectors, _ = model.combine_in_place()
    similar = ev.evaluate_ranking("similar", "this", vectors, vectors, places, tracks.plays)
    sample = ev.sample_tracks(np.arange(len(tracks.plays)))
    _, metrics = ev.measure_neighbourhoods(vectors, sample, tracks.plays)
    results = (*baselines.values(), following, similar)
    metrics = [metric for result in results for metric in result.metrics] + metrics
    return {"metrics": ev.to_rows(metrics), "hits": following.hits.tolist()}
