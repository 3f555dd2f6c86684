"""A published space evaluated on the pairs that a training would be, in one task, and nothing learned."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from features.embeddings import evaluation as ev
from features.embeddings.settings import Settings
from jobs.embeddings.scratch import Scratch
from jobs.embeddings.steps import run_on_executor
from jobs.embeddings.tracks import Tracks, load_previous_model, read_sequences
from jobs.embeddings.trainer import write_sequences, write_vocabulary

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class Evaluation:
    """Metrics, as in `embedding_versions`, and which pairs were hit within ten."""

    metrics: list[dict[str, Any]]
    hits: list[bool]


def evaluate_space(
    scratch: Scratch,
    sessions: DataFrame,
    plays: int,
    embeddings: DataFrame,
    settings: Settings,
    largest_share: float = 1.0,
) -> Evaluation:
    """The vectors of `embeddings` (one day of the table) on `sessions`, their last tracks held out.

    Args:
        plays: rows of `sessions`.
        largest_share: of sequences that may be held out: trainings learned from the others.
    """
    # the same files and sequences as a training's, so that the same pairs are held out
    write_vocabulary(scratch, sessions, embeddings, settings)
    write_sequences(scratch, sessions, plays, settings)
    return Evaluation(
        **run_on_executor(sessions.sparkSession, partial(_report, scratch, settings, largest_share))
    )


def _report(scratch: Scratch, settings: Settings, largest_share: float) -> dict[str, Any]:
    vocabulary = Tracks.read(scratch)
    corpus, held_out = read_sequences(scratch, vocabulary.plays, settings.pairs, largest_share)
    pairs = held_out.pairs
    if not len(pairs):
        return {"metrics": [], "hits": []}
    # before there is a model: both take memory
    baselines = ev.measure_baselines(corpus, pairs, settings.baseline_sequences)
    # `previous_plays` is -1 where a track has no vector
    tracks = vocabulary.take(np.flatnonzero(vocabulary.previous_plays >= 0))
    model, places = load_previous_model(scratch, tracks, settings.dimensions), tracks.locate(pairs)
    following = ev.evaluate_ranking("next", "this", model.in_vectors, model.out_vectors, places, tracks.plays)
    # in place: from here on the in vectors are lost
    vectors, _ = model.combine_in_place()
    similar = ev.evaluate_ranking("similar", "this", vectors, vectors, places, tracks.plays)
    sample = ev.sample_tracks(np.arange(len(tracks.plays)))
    _, metrics = ev.measure_neighbourhoods(vectors, sample, tracks.plays)
    results = (*baselines.values(), following, similar)
    metrics = [metric for result in results for metric in result.metrics] + metrics
    return {"metrics": ev.to_rows(metrics), "hits": following.hits.tolist()}
