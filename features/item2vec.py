"""item2vec: tracks that are heard together get vectors that lie together.

Barkan and Koenigstein, "Item2Vec" (2016), with gensim's skip-gram. Its defaults are made for words
and lose on music, where a track has few plays: hierarchical softmax beside three negatives, at twice
the learning rate, trains the rare ones and still gives every track an out vector, which hierarchical
softmax alone does not. `benchmarks/item2vec_settings.py` holds the two side by side.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

if TYPE_CHECKING:  # numpy, pyarrow and gensim run in the task that trains, not where plans are made
    import numpy as np
    import pyarrow as pa


class SettingsError(ValueError):
    """Settings that cannot be trained with."""


@dataclass(frozen=True)
class Settings:
    """All but `threads` change the result; with one thread, a seed gives the same vectors each time."""

    dimensions: int = 64  # of each vector, 2 or more
    window: int = 5  # tracks to either side that count as company, 1 or more
    epochs: int = 5  # passes over all sessions, 1 or more
    negatives: int = 3  # tracks drawn at random against each pair, 1 or more: they train the out vectors
    learning_rate: float = 0.05  # of the first step, above 0; falls to nothing over the epochs
    min_plays: int = 1  # tracks with fewer get no vector, 1 or more
    seed: int = 1
    threads: int = 1  # 1 or more

    def __post_init__(self) -> None:
        least = {"dimensions": 2, "window": 1, "epochs": 1, "negatives": 1, "min_plays": 1, "threads": 1}
        for name, lowest in least.items():
            if getattr(self, name) < lowest:
                raise SettingsError(f"item2vec: {name} is {getattr(self, name)}; it must be {lowest} or more")
        if self.learning_rate <= 0:
            raise SettingsError(f"item2vec: learning_rate is {self.learning_rate}; it must be above 0")


def track_sequences(sessions: DataFrame) -> DataFrame:
    """One row per session: `tracks`, in the order heard, each repeat in a row once; two or more.

    Bots are left out: one of them outweighs a hundred listeners. The rows come in a fixed order, as
    what is learned depends on it.
    """
    heard = F.sort_array(F.collect_list(F.struct("position", "track_id")))
    tracks = F.transform(heard, lambda play: play["track_id"])
    changed = F.filter(tracks, lambda track, i: (i == 0) | (track != F.get(tracks, i - 1)))
    return (
        sessions.where("not is_bot")
        .groupBy("session_id")
        .agg(changed.alias("tracks"))
        .where(F.size("tracks") > 1)
        .repartition(1)
        .sortWithinPartitions("session_id")
    )


def embeddings(sequences: DataFrame, settings: Settings, space_id: str, day: date) -> DataFrame:
    """Rows of `track_embeddings`, trained in one task: averaging the vectors of several tasks loses
    15 to 50 % of the hits at eight of them, and two million tracks fit one machine easily."""

    def train(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        corpus = [session for batch in batches for session in batch.column(0).to_pylist()]
        if corpus:
            yield from trained(corpus, settings).to_batches()

    learned = sequences.select("tracks").mapInArrow(train, _TRAINED)
    return learned.select(
        *[F.coalesce(name, F.lit(empty)).alias(name) for name, empty in (("track_id", ""), ("support", 0))],
        *[
            F.coalesce(name, F.array().cast("array<float>")).alias(name)
            for name in ("in_vector", "out_vector")
        ],
        F.coalesce("norm", F.lit(0.0)).alias("norm"),
        F.lit(space_id).alias("space_id"),
        F.lit("learned").alias("source"),
        F.lit(day).alias("ds"),
        F.date_add(F.lit(day), 1).cast("timestamp").alias("feature_at"),
    )


_TRAINED = "track_id string, in_vector array<float>, out_vector array<float>, norm double, support bigint"


def trained(corpus: Sequence[Sequence[str]], settings: Settings) -> pa.Table:
    """One row per track of the corpus: its two vectors (float32), the length of the first, its plays."""
    import numpy as np
    import pyarrow as pa
    from gensim.models import Word2Vec

    model = Word2Vec(
        corpus,
        vector_size=settings.dimensions,
        window=settings.window,
        epochs=settings.epochs,
        negative=settings.negatives,
        alpha=settings.learning_rate,
        min_count=settings.min_plays,
        seed=settings.seed,
        workers=settings.threads,
        sg=1,
        hs=1,
    )
    vectors: np.ndarray = model.wv.vectors
    names = model.wv.index_to_key
    return pa.table(
        {
            "track_id": pa.array(names, pa.string()),
            "in_vector": _lists(vectors),
            "out_vector": _lists(model.syn1neg),
            "norm": pa.array(np.linalg.norm(vectors.astype(np.float64), axis=1)),
            "support": pa.array([model.wv.get_vecattr(name, "count") for name in names], pa.int64()),
        }
    )


def _lists(matrix: np.ndarray) -> pa.ListArray:
    import numpy as np
    import pyarrow as pa

    rows, width = matrix.shape
    offsets = np.arange(0, rows * width + 1, width, dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(matrix.astype(np.float32).ravel()))
