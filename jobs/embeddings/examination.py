"""A published space asked the questions that a training is asked, in one task, and nothing learned."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from features.embeddings.sequences import sequences
from features.embeddings.settings import Settings
from jobs.embeddings.scratch import Scratch
from jobs.embeddings.trainer import VOCABULARY, lay_ready, own_executor

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True)
class Examined:
    """Metrics, as in `embedding_versions`, and which questions were answered within ten."""

    metrics: list[dict[str, Any]]
    hits: list[bool]


def examined(
    spark: SparkSession, scratch: Scratch, heard: DataFrame, embeddings: DataFrame, settings: Settings
) -> Examined:
    """The vectors of `embeddings` (one day of the table) on the sessions `heard`, their last tracks held out."""
    from jobs.embeddings.task import REPORT

    lay_ready(scratch, heard, embeddings, settings)
    numbers = spark.read.parquet(scratch.path(VOCABULARY)).select("number", "token")
    profile, _ = own_executor(spark)
    asked = sequences(heard, numbers, settings)
    rows = asked.mapInArrow(_examiner(scratch, settings.dimensions), REPORT, profile=profile).collect()
    return Examined(**json.loads(rows[0]["report"])) if rows else Examined([], [])


def _examiner(
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
    from jobs.embeddings.task import asked_of, loaded, renumbered
    from jobs.embeddings.tracks import Tracks

    tokens = Tracks.read(scratch)
    kept, starts, pairs = asked_of(rows, tokens)
    if not len(pairs):
        return {"metrics": [], "hits": []}
    tracks = tokens.only(np.flatnonzero((tokens.before >= 0) & ~tokens.is_artist))
    model, mine = loaded(scratch, tracks, dimensions), renumbered(pairs, tracks)
    found = ev.ranked("next", "this", model.into, model.out, mine, tracks.plays)
    published, _ = model.merge()
    similar = ev.ranked("similar", "this", published, published, mine, tracks.plays)
    _, around = ev.around(published, ev.sampled(np.arange(len(tracks.plays))), tracks.plays)
    baselines = ev.baselines(Corpus(kept, starts, tokens.plays), pairs, tokens.is_artist)
    metrics = [metric for baseline in baselines.values() for metric in baseline.metrics]
    metrics += found.metrics + similar.metrics + around
    return {"metrics": ev.as_rows(metrics), "hits": found.hits.tolist()}
