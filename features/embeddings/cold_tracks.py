"""A vector for every track that something is known of: learned, else its artist's, else told from the catalogue.

A catalogue has many times the tracks that were ever played, and new ones each Friday. The ladder, best first:

- learned: as trained; of few plays, optionally, (n * learned + kappa * artist) / (n + kappa), where `artist` is
  the mean of the artist's other learned tracks, each as often as it was played;
- artist: that mean; nearer to the album's own the more plays the album has, by the same formula;
- content: ridge regression from length, explicit mark, year and words to the learned vectors;
- none: no vector.

A vector whose in + out is all zeros is none, and the next rung is tried. All arithmetic is in doubles, and
sums go by artist, album and track id, so no result depends on how the rows were spread.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from schemas.track_embeddings import TRACK_EMBEDDINGS

if TYPE_CHECKING:  # numpy and pyarrow run in the tasks, not where plans are made
    import pyarrow as pa

# What the regression reads. Words hash to so many columns of it, each to one of two signs: what collides cancels out.
NUMBERS = ("length", "explicit", "year")
WORDS = 256
WORDED = ("title", "artist_name", "album")
# Rows travel by artist in so many parts, each led by a copy of the regression's weights (a quarter of a
# megabyte at 128 dimensions); more would make copies dear, fewer would leave a large cluster idle.
SLICES = 256

_LEARNED = ("in_vector", "out_vector", "support", "in_state", "out_state")
_MADE = (
    "track_id",
    "in_vector",
    "out_vector",
    "vector",
    "norm",
    "support",
    "source",
    "in_state",
    "out_state",
)
_PRODUCTS = "task int, rows bigint, products binary"


class ColdTrackError(ValueError):
    """Settings that no vectors can be made with."""


@dataclass(frozen=True)
class Ladder:
    """All of these change the result."""

    kappa: float = 10.0  # plays that the artist's mean counts as much as, 0 or more
    shrunk_below: int = 0  # plays under which a learned track is drawn to its artist, 0: never
    ridge: float = 1.0  # penalty on squared weights, above 0, where a track counts n / (n + kappa)
    fit_on: int = 2_000  # learned tracks with content from which on the regression is trusted, 1 or more

    def __post_init__(self) -> None:
        least = {"kappa": 0.0, "shrunk_below": 0, "ridge": math.ulp(0.0), "fit_on": 1}
        wrong = [
            f"{name} is {getattr(self, name)}, must be {'above 0' if name == 'ridge' else f'{low:g} or more'}"
            for name, low in least.items()
            if not low <= getattr(self, name) < math.inf
        ]
        if wrong:
            raise ColdTrackError("cold tracks cannot be given vectors so: " + "; ".join(wrong))


def fill_cold_vectors(
    learned: DataFrame,
    catalogue: DataFrame | None,
    kappa: float = 10.0,
    *,
    shrunk_below: int = Ladder.shrunk_below,
    ridge: float = Ladder.ridge,
    fit_on: int = Ladder.fit_on,
) -> DataFrame:
    """One row per track of either, with its vectors and where they come from.

    Learned tracks stay as trained unless `shrunk_below` says otherwise: a warm start goes on from what is
    published, and would be drawn to the artist again each day. On two and a half years of one station's
    plays, drawing those of under ten plays moved HR@10 by less than its error (0.0105 to 0.0129, +-0.0023).

    Args:
        learned: track_id, in_vector, out_vector, support, in_state, out_state; unique by track. It is read
            twice, so it must come from a table or a checkpoint, not from a plan that trains.
        catalogue: the table `tracks`, or those of it that are asked for; None where there is none: then no
            track has an artist, and nothing needs to be sorted.
        kappa, shrunk_below, ridge, fit_on: as in `Ladder`.

    Returns:
        track_id, in_vector, out_vector, vector, norm, support, source, in_state, out_state.

    Raises:
        ColdTrackError: settings out of range.
        VectorError: in a task, for vectors of different lengths.
    """
    ladder = Ladder(kappa, shrunk_below, ridge, fit_on)
    rows = (
        _without_catalogue(learned)
        if catalogue is None
        else _cluster_by_artist(_tracks(learned, catalogue), ladder)
    )

    def climb(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from features.embeddings.ladder import fill_vectors

        return fill_vectors(batches, ladder)

    return rows.mapInArrow(climb, _output_schema())


def _cluster_by_artist(tracks: DataFrame, ladder: Ladder) -> DataFrame:
    """Artist by artist, whole artists to a task, each of them led by the weights of the regression."""
    slices = tracks.sparkSession.range(SLICES).select(F.col("id").alias("slice"))
    leaders = slices.crossJoin(F.broadcast(_fit_weights(tracks, ladder)))
    return (
        tracks.withColumn("slice", F.pmod(F.xxhash64(F.coalesce("artist_id", "track_id")), F.lit(SLICES)))
        .unionByName(leaders, allowMissingColumns=True)
        .repartition("slice")
        .sortWithinPartitions("slice", F.col("weights").isNull(), "artist_id", "album", "track_id")
        .drop("slice")
    )


def _without_catalogue(learned: DataFrame) -> DataFrame:
    """Tracks of which nothing is known but what was learned."""
    kinds = {"artist_id": "string", "album": "string", **dict.fromkeys(NUMBERS, "double")}
    nothing = {name: F.lit(None).cast(kind) for name, kind in kinds.items()}
    rows = learned.select("track_id", *_LEARNED)
    return rows.withColumns(
        {**nothing, "words": F.array().cast("array<int>"), "weights": F.lit(None).cast("binary")}
    )


def _output_schema() -> StructType:
    """Types and nullability as the contract has them: a null where there must be none fails in the task."""
    contract = TRACK_EMBEDDINGS.struct()
    return StructType([contract[name] for name in _MADE])


def _tracks(learned: DataFrame, catalogue: DataFrame) -> DataFrame:
    """Both side by side, the catalogue as numbers; a track with one vector of the two counts as not learned."""
    both = F.col("in_vector").isNotNull() & F.col("out_vector").isNotNull()
    vectors = learned.where(both).select("track_id", *_LEARNED)
    bare = learned.where(~both).select("track_id")
    known = vectors.unionByName(bare, allowMissingColumns=True)
    about = catalogue.select("track_id", "artist_id", "album", *_content())
    return known.join(about, "track_id", "full_outer")


def _content() -> list[Column]:
    """What the regression reads, each about 1 in size; null, or empty, where the catalogue says nothing."""
    length = F.when(F.col("track_ms") > 0, F.log(F.col("track_ms") / 200_000))
    year = (F.year("released_on") - 2000) / 20
    hashed = [_hash_words(name) for name in WORDED]
    return [
        length.alias("length"),
        F.col("explicit").cast("int").cast("double").alias("explicit"),
        year.alias("year"),
        F.concat(*hashed).alias("words"),
    ]


def _hash_words(name: str) -> Column:
    """The column's words as numbers below 2 * WORDS; the same word means another thing in another column."""
    words = F.filter(F.split(F.lower(name), r"[^\p{L}\p{N}]+"), lambda word: word != "")
    numbers = F.transform(
        words, lambda word: F.pmod(F.xxhash64(F.concat(F.lit(f"{name} "), word)), 2 * WORDS)
    )
    return F.coalesce(numbers.cast("array<int>"), F.array().cast("array<int>"))


def _has_content() -> Column:
    numbers = F.coalesce(*[F.col(name) for name in NUMBERS]).isNotNull()
    return numbers | F.coalesce(F.size("words") > 0, F.lit(False))


def _fit_weights(tracks: DataFrame, ladder: Ladder) -> DataFrame:
    """One row, `weights` of the regression; none where too few tracks were learned.

    Each task sends one row of sums (1 MB at 64 dimensions), however many tracks it read, and they are
    added in the order of the tasks.
    """

    def sum_up(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from features.embeddings.content import sum_normal_equations

        return sum_normal_equations(batches, ladder.kappa)

    def solve(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from features.embeddings.content import solve_ridge

        return solve_ridge(batches, ladder.ridge, ladder.fit_on)

    told = tracks.where(F.col("in_vector").isNotNull() & _has_content())
    sums = told.select(*_LEARNED[:3], *NUMBERS, "words").mapInArrow(sum_up, _PRODUCTS)
    return sums.repartition(1).sortWithinPartitions("task").mapInArrow(solve, "weights binary")
