"""Rows of `track_semantic_ids` and `semantic_codebooks`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import date
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, IntegerType, StructType

if TYPE_CHECKING:  # numpy, pyarrow and faiss run in the tasks, not where plans are made
    import pyarrow as pa

    from features.embeddings.semantic_ids import Codebooks

_CARRIED = ("track_id", "version_id", "space_id", "ds", "feature_at")


def semantic_ids(embeddings: DataFrame, books: Codebooks) -> DataFrame:
    """One row of `track_semantic_ids` per row of `track_embeddings` that has a vector.

    Only ids and codes are shuffled to tell collisions apart; vectors stay in the task that reads them.

    Raises:
        SemanticIdError: in the task, for vectors of another length than the books'.
    """
    with_vector = embeddings.where("vector is not null").select(*_CARRIED, "vector")
    carried = StructType(with_vector.schema.fields[:-1])
    schema = carried.add("codes", ArrayType(IntegerType()), nullable=False)
    coded = with_vector.mapInArrow(_assign_in_task(books), schema)
    place = F.row_number().over(Window.partitionBy("ds", "codes").orderBy("track_id")) - 1
    placed = coded.withColumn("collision", place)
    words = F.array_join(F.concat("codes", F.array("collision")).cast("array<string>"), "-")
    return placed.withColumns({"codebook_id": F.lit(books.codebook_id), "semantic_id": words})


def _assign_in_task(books: Codebooks) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def code(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        from features.embeddings.arrow_vectors import to_matrix
        from features.embeddings.semantic_ids import assign

        for batch in batches:
            if batch.num_rows:  # of no rows, Arrow does not tell how long they would be
                codes = assign(to_matrix(batch.column("vector")), books)
                lists = pa.FixedSizeListArray.from_arrays(codes.reshape(-1), codes.shape[1])
                columns = [*batch.select(_CARRIED).columns, lists.cast(pa.list_(pa.int32()))]
                yield pa.RecordBatch.from_arrays(columns, [*_CARRIED, "codes"])

    return code


def build_codebook_rows(ids: DataFrame, books: Codebooks, space_id: str, ds: date) -> DataFrame:
    """One row of `semantic_codebooks` per level and code; `ids` are the day's rows of `track_semantic_ids`."""
    centroids = [
        (level, code, centroid)
        for level, book in enumerate(books.levels)
        for code, centroid in enumerate(book.tolist())
    ]
    schema = "level int not null, code int not null, centroid array<float> not null"
    rows = ids.sparkSession.createDataFrame(centroids, schema)
    used = ids.select(F.posexplode("codes").alias("level", "code")).groupBy("level", "code").count()
    return rows.join(F.broadcast(used), ["level", "code"], "left").select(
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

    - collisions: share of the tracks that were learned which share all codes with another such. Tracks that
      have their artist's vector share its codes, and should.
    - duplicate_semantic_ids: ids that more than one track has.
    """
    learned = ids.join(embeddings.where("source = 'learned'").select("track_id"), "track_id", "left_semi")
    groups = learned.groupBy("codes").agg(F.count("*").alias("tracks"))
    shared = F.sum(F.when(F.col("tracks") > 1, F.col("tracks")).otherwise(0)) / F.sum("tracks")
    twice = ids.groupBy("semantic_id").count().where("count > 1").count()
    found = groups.select(F.coalesce(shared, F.lit(0.0)).alias("shared")).collect()[0]["shared"]
    return {"collisions": float(found), "duplicate_semantic_ids": float(twice)}


def measure_prefix_stability(before: DataFrame, now: DataFrame) -> dict[str, float]:
    """Of the tracks that both days have, the share that keeps its first code, its first two, … all of them.

    Empty where the days have no track in common, or other books.
    """
    old = before.select("track_id", "codebook_id", F.col("codes").alias("old"))
    both = now.join(old, ["track_id", "codebook_id"])
    levels = both.select(F.max(F.size("codes")).alias("levels")).collect()[0]["levels"]
    kept = [
        F.avg((F.slice("codes", 1, n) == F.slice("old", 1, n)).cast("double")).alias(f"kept_prefix_{n}")
        for n in range(1, (levels or 0) + 1)
    ]
    return both.agg(*kept).collect()[0].asDict() if kept else {}
