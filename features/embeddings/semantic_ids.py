"""Semantic ids: a vector as a few codes, coarse to fine, by k-means of what the levels before left over.

Residual quantisation gives a generative recommender words for tracks (TIGER: Rajput et al., "Recommender
Systems with Generative Retrieval", 2023).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from hashlib import blake2b
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, IntegerType, StructType

from features.embeddings.arrays import Doubles, Ints, Matrix, Tokens, to_matrix

_CARRIED = ("track_id", "version_id", "space_id", "ds", "feature_at")
# Plain k-means per level stands in for TIGER's learned auto-encoder: OneRec and QARM report it to be the more
# stable, and it takes seconds. Vectors have length 1, so Euclidean distance orders them as the cosine does.

# Of 60,416 tracks of real sessions, 3 levels of 256 codes leave 11 % (vectors of sgns) to 22 % (of gensim) in
# collisions, 4 levels 3 to 9 %; every code is used.
LEVELS = 4
# Rows that a level's centroids are learned from, for each of them; more move no centroid by much.
SAMPLED = 256
# A code of a single vector leaves nothing over for the next level, and tracks that come later share all codes with it.
LEAST_VECTORS = 2
# Rows assigned at once: their distances to 256 codes take 32 MB.
BLOCK = 16_384


class SemanticIdError(ValueError):
    """Vectors or codebooks that semantic ids cannot be made of."""


@dataclass(frozen=True, eq=False)
class Codebooks:
    """One (codes, d) float32 matrix of centroids per level, coarse to fine."""

    # they stay as they are while a space is only trained further, or else each day would rename all tracks
    codebook_id: str
    levels: tuple[Matrix, ...]

    @classmethod
    def of(cls, levels: Sequence[Matrix]) -> Codebooks:
        """Named by shape and content: equal books have one name, whoever fitted them."""
        matrices = tuple(np.ascontiguousarray(level, np.float32) for level in levels)
        content = blake2b(b"".join(level.tobytes() for level in matrices), digest_size=6).hexdigest()
        return cls(f"{'x'.join(str(len(level)) for level in matrices)}-{content}", matrices)

    @property
    def dimensions(self) -> int:
        return int(self.levels[0].shape[1])


def fit(
    vectors: Matrix, levels: int = LEVELS, codes: int = 256, seed: int = 1, iterations: int = 20
) -> Codebooks:
    """Books of `levels` times `codes` centroids, of (n, d) vectors; the same with the same seed.

    Where fewer rows differ than there should be codes, each that differs gets one, and one warning says so.

    Raises:
        SemanticIdError: no vectors, vectors that are not finite, settings below 1, or a seed below 0.
    """
    _check_fit(vectors, levels, codes, iterations, seed)
    draws = np.random.default_rng(seed)
    size = min(len(vectors), SAMPLED * codes)
    sample = np.sort(draws.choice(len(vectors), size, replace=False))
    residual, books = vectors[sample].astype(np.float64), []
    for _ in range(levels):
        book = _fit_centroids(residual.astype(np.float32), codes, int(draws.integers(1, 2**31)), iterations)
        residual = residual - book[_nearest_centroids(residual, book)]
        books.append(book)
    if min(map(len, books)) < codes:
        sizes = [len(book) for book in books]
        warnings.warn(
            f"too few different vectors for {codes} codes a level: the levels have {sizes}", stacklevel=2
        )
    return Codebooks.of(books)


def limit_codes(vectors: int, codes: int) -> int:
    """How many of so many codes of a level can be learned from so many vectors, `LEAST_VECTORS` for each."""
    return min(codes, max(1, vectors // LEAST_VECTORS))


def assign(vectors: Matrix, books: Codebooks) -> Tokens:
    """(n, levels): at each level the code nearest to what the levels before left over, the lowest of equal ones.

    Raises:
        SemanticIdError: vectors of another length than the books'.
    """
    if vectors.ndim != 2 or vectors.shape[1] != books.dimensions:
        raise SemanticIdError(
            f"codebook {books.codebook_id} is of {books.dimensions} dimensions, the vectors have shape "
            f"{vectors.shape}: use the books of their own space, or fit new ones"
        )
    codes = np.empty((len(vectors), len(books.levels)), np.int32)
    for start in range(0, len(vectors), BLOCK):
        # in doubles: in floats the same vector can get another code in a block of another length
        residual = vectors[start : start + BLOCK].astype(np.float64)
        for level, book in enumerate(books.levels):
            nearest = _nearest_centroids(residual, book)
            residual -= book[nearest]
            codes[start : start + BLOCK, level] = nearest
    return codes


def load_codebooks(rows: Iterable[Mapping[str, Any]]) -> Codebooks:
    """The books that rows of `semantic_codebooks` hold, of one codebook and day.

    Raises:
        SemanticIdError: rows of several codebooks, or not those that the codebook's name was made of.
    """
    # rows of a table come in any order, and the name is a hash of levels and codes in theirs
    ordered = sorted(rows, key=lambda row: (row["level"], row["code"]))
    names = sorted({row["codebook_id"] for row in ordered})
    if len(names) != 1:
        raise SemanticIdError(f"rows of the codebooks {names}; expected those of one: filter by codebook_id")
    levels = groupby(ordered, key=lambda row: row["level"])
    books = Codebooks.of([np.array([row["centroid"] for row in level], np.float32) for _, level in levels])
    if books.codebook_id != names[0]:
        raise SemanticIdError(
            f"codebook {names[0]}: {len(ordered)} rows make up {books.codebook_id}; expected each level and code of it "
            "once, unchanged: read all rows of one day"
        )
    return books


def _check_fit(vectors: Matrix, levels: int, codes: int, iterations: int, seed: int) -> None:
    if vectors.ndim != 2 or not vectors.size:
        raise SemanticIdError(
            f"no vectors to fit codebooks to (shape {vectors.shape}): train embeddings first"
        )
    if not np.isfinite(vectors).all():
        raise SemanticIdError("vectors must be finite to fit codebooks to: leave out the tracks without one")
    counts = {"levels": levels, "codes": codes, "iterations": iterations}
    if low := {name: value for name, value in counts.items() if value < 1}:
        raise SemanticIdError(f"codebooks cannot have {low}; expected 1 or more")
    if seed < 0:
        raise SemanticIdError(f"codebooks cannot have the seed {seed}; expected 0 or more")


def _fit_centroids(residual: Matrix, codes: int, seed: int, iterations: int) -> Matrix:
    """As k-means finds them, or, where no more rows differ than there are codes, those rows, in order."""
    import faiss

    # cold tracks of one artist have one vector, and a small history few tracks
    distinct = np.unique(residual + np.float32(0), axis=0)  # -0 becomes 0
    if len(distinct) <= codes:
        return np.asarray(distinct)
    # not faiss.ResidualQuantizer: its levels have a power of two of codes, and need as many vectors at least
    means = faiss.Kmeans(
        residual.shape[1], codes, niter=iterations, seed=seed, max_points_per_centroid=len(residual)
    )
    means.cp.min_points_per_centroid = 1  # with fewer than 39 it would warn on stderr, and do the same
    means.train(residual)
    return np.asarray(means.centroids)


def _nearest_centroids(residual: Doubles, book: Matrix) -> Ints:
    centroids = book.astype(np.float64)
    # without the residual's own square, which is the same for all centroids
    distances = (centroids * centroids).sum(axis=1) - 2 * (residual @ centroids.T)
    return np.asarray(distances.argmin(axis=1))


# --- rows of `track_semantic_ids` and `semantic_codebooks`


def build_semantic_ids(embeddings: DataFrame, books: Codebooks) -> DataFrame:
    """One row of `track_semantic_ids` per row of `track_embeddings` that has a vector.

    Raises:
        SemanticIdError: in the task, for vectors of another length than the books'.
    """
    vectors = embeddings.where("vector is not null").select(*_CARRIED, "vector")
    carried = StructType(vectors.schema.fields[:-1])
    schema = carried.add("codes", ArrayType(IntegerType()), nullable=False)
    rows = vectors.mapInArrow(partial(_assign_batches, books=books), schema)
    # only ids and codes are shuffled: vectors stay in the task that reads them
    place = F.row_number().over(Window.partitionBy("ds", "codes").orderBy("track_id")) - 1
    unique = rows.withColumn("collision", place)
    words = F.array_join(F.concat("codes", F.array("collision")).cast("array<string>"), "-")
    return unique.withColumns({"codebook_id": F.lit(books.codebook_id), "semantic_id": words})


def _assign_batches(batches: Iterable[pa.RecordBatch], books: Codebooks) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        if batch.num_rows:  # of no rows, Arrow does not tell how long they would be
            codes = assign(to_matrix(batch.column("vector")), books)
            lists = pa.FixedSizeListArray.from_arrays(codes.reshape(-1), codes.shape[1])
            columns = [*batch.select(_CARRIED).columns, lists.cast(pa.list_(pa.int32()))]
            yield pa.RecordBatch.from_arrays(columns, [*_CARRIED, "codes"])


def build_codebook_rows(ids: DataFrame, books: Codebooks, space_id: str, ds: date) -> DataFrame:
    """One row of `semantic_codebooks` per level and code; `ids` are the day's rows of `track_semantic_ids`."""
    centroids = [
        (level, code, centroid)
        for level, book in enumerate(books.levels)
        for code, centroid in enumerate(book.tolist())
    ]  # 1,024 rows by default
    schema = "level int not null, code int not null, centroid array<float> not null"
    rows = ids.sparkSession.createDataFrame(centroids, schema)
    # codes without tracks have rows too, or else the books could not be read back
    tracks_by_code = ids.select(F.posexplode("codes").alias("level", "code")).groupBy("level", "code").count()
    return rows.join(F.broadcast(tracks_by_code), ["level", "code"], "left").select(
        F.lit(books.codebook_id).alias("codebook_id"),
        F.lit(space_id).alias("space_id"),
        "level",
        "code",
        "centroid",
        F.coalesce("count", F.lit(0)).cast("bigint").alias("tracks"),
        F.lit(ds).alias("ds"),
    )


def measure_ids(ids: DataFrame, embeddings: DataFrame) -> dict[str, float]:
    """What the gate asks of a day's ids.

    - collisions: share of the tracks that were learned which share all codes with another such.
    - duplicate_semantic_ids: ids that more than one track has.
    """
    # tracks that have their artist's vector share its codes, and should
    learned = ids.join(embeddings.where("source = 'learned'").select("track_id"), "track_id", "left_semi")
    groups = learned.groupBy("codes").agg(F.count("*").alias("tracks"))
    share_in_collision = F.sum(F.when(F.col("tracks") > 1, F.col("tracks")).otherwise(0)) / F.sum("tracks")
    duplicates = ids.groupBy("semantic_id").count().where("count > 1").count()
    share = groups.select(F.coalesce(share_in_collision, F.lit(0.0))).collect()[0][0]
    return {"collisions": float(share), "duplicate_semantic_ids": float(duplicates)}


def measure_prefix_stability(before: DataFrame, now: DataFrame) -> dict[str, float]:
    """Of the tracks that both days have, the share that keeps its first code, its first two, … all of them.

    Empty where the days have no track in common, or other books.
    """
    old = before.select("track_id", "codebook_id", F.col("codes").alias("old"))
    # codes of two books do not compare
    common = now.join(old, ["track_id", "codebook_id"])
    levels = common.select(F.max(F.size("codes"))).collect()[0][0]
    shares = [
        F.avg((F.slice("codes", 1, n) == F.slice("old", 1, n)).cast("double")).alias(f"kept_prefix_{n}")
        for n in range(1, (levels or 0) + 1)
    ]
    return common.agg(*shares).collect()[0].asDict() if shares else {}
