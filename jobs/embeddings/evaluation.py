"""A published space asked the questions that a training is asked, in one task, and nothing learned."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from features.embeddings.sequences import build_sequences
from features.embeddings.settings import Settings
from jobs.embeddings.scratch import Scratch
from jobs.embeddings.trainer import VOCABULARY, whole_executor_profile, write_vocabulary

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True)
class Evaluation:
    """Metrics, as in `embedding_versions`, and which questions were answered within ten."""

    metrics: list[dict[str, Any]]
    hits: list[bool]


def evaluate_space(
    spark: SparkSession, scratch: Scratch, heard: DataFrame, embeddings: DataFrame, settings: Settings
) -> Evaluation:
    """The vectors of `embeddings` (one day of the table) on the sessions `heard`, their last tracks held out."""
    from jobs.embeddings.task import REPORT

    write_vocabulary(scratch, heard, embeddings, settings)
    numbers = spark.read.parquet(scratch.path(VOCABULARY)).select("number", "track_id")
    profile, _ = whole_executor_profile(spark)
    asked = build_sequences(heard, numbers, settings)
    rows = asked.mapInArrow(_make_task(scratch, settings.dimensions), REPORT, profile=profile).collect()
    return Evaluation(**json.loads(rows[0]["report"])) if rows else Evaluation([], [])


def _make_task(
    scratch: Scratch, dimensions: int
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        rows = [batch for batch in batches if batch.num_rows]
        if rows:
            yield pa.RecordBatch.from_pydict({"report": [json.dumps(_report(scratch, dimensions, rows))]})

    return run


def _report(scratch: Scratch, dimensions: int, rows: list[pa.RecordBatch]) -> dict[str, Any]:
    import numpy as np

    from features.embeddings import evaluation as ev
    from features.embeddings.corpus import Corpus
    from jobs.embeddings.task import load_previous_model, renumber_pairs, split_held_out
    from jobs.embeddings.tracks import Tracks

    tokens = Tracks.read(scratch)
    kept, starts, pairs = split_held_out(rows)
    if not len(pairs):
        return {"metrics": [], "hits": []}
    tracks = tokens.take(np.flatnonzero(tokens.previous_plays >= 0))
    model, mine = load_previous_model(scratch, tracks, dimensions), renumber_pairs(pairs, tracks)
    found = ev.evaluate_ranking("next", "this", model.in_vectors, model.out_vectors, mine, tracks.plays)
    published, _ = model.combine_in_place()
    similar = ev.evaluate_ranking("similar", "this", published, published, mine, tracks.plays)
    _, around = ev.measure_neighbourhoods(
        published, ev.sample_tracks(np.arange(len(tracks.plays))), tracks.plays
    )
    baselines = ev.measure_baselines(Corpus(kept, starts, tokens.plays), pairs)
    metrics = [metric for baseline in baselines.values() for metric in baseline.metrics]
    metrics += found.metrics + similar.metrics + around
    return {"metrics": ev.to_rows(metrics), "hits": found.hits.tolist()}
