"""What one task learned, and the catalogue, as rows of `track_embeddings`."""

from __future__ import annotations

from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from features.embeddings.cold_tracks import fill_cold_vectors


def join_previous_vectors(vocabulary: DataFrame, before: DataFrame | None) -> DataFrame:
    """The vocabulary, and beside each track the vectors that the version before had for it.

    Adds `previous_plays`: the plays that version learned it from, 0 where its vector came of other tracks, null where
    it had none; in_vector, out_vector, in_state, out_state.
    """
    if before is None:
        nothing = {"previous_plays": "bigint", "in_vector": "array<float>", "out_vector": "array<float>"}
        nothing |= dict.fromkeys(("in_state", "out_state"), "double")
        return vocabulary.select("*", *[F.lit(None).cast(kind).alias(name) for name, kind in nothing.items()])
    support = F.when(F.col("source") == "learned", F.col("support")).otherwise(F.lit(0)).cast("bigint")
    vectors = before.where("source <> 'none'").select(
        "track_id",
        support.alias("previous_plays"),
        "in_vector",
        "out_vector",
        "in_state",
        "out_state",
    )
    return vocabulary.join(vectors, "track_id", "left").select(
        "number", "track_id", "plays", *vectors.columns[1:]
    )


def track_embeddings(
    learned: DataFrame,
    vocabulary: DataFrame,
    catalogue: DataFrame | None,
    version_id: str,
    space_id: str,
    day: date,
) -> DataFrame:
    """One row per track of the vocabulary or the catalogue.

    Args:
        learned: track_id, in_vector, out_vector, support, in_state, out_state.
        vocabulary: track_id, plays.
        catalogue: of the table `tracks`; None where there is none.
    """
    plays = vocabulary.select("track_id", "plays")
    rows = fill_cold_vectors(plays.select("track_id").join(learned, "track_id", "left"), catalogue)
    counted = rows.drop("support").join(plays, "track_id", "left")
    return counted.select(
        *[name for name in rows.columns if name != "support"],
        F.coalesce("plays", F.lit(0)).alias("support"),
        F.lit(version_id).alias("version_id"),
        F.lit(space_id).alias("space_id"),
        F.lit(day).alias("ds"),
        F.date_add(F.lit(day), 1).cast("timestamp").alias("feature_at"),
    )
