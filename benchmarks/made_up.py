"""Sessions of made-up plays, for benchmarks that need rows of the right shape and no tastes."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from schemas import conform
from schemas.sessions import SESSIONS

FIRST = date(2026, 1, 1)
MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)


def generate_sessions(
    spark: SparkSession, count: int, days: int, path: str, users: int = 200_000, first: date = FIRST
) -> DataFrame:
    """Sessions of made-up plays, written once, so that every write reads the same files."""
    from pyspark.sql import functions as F

    user, track = (
        F.concat(F.lit("u"), F.expr(f"pmod(xxhash64(id), {users})")),
        F.expr("pmod(xxhash64(id, 1), 50000)"),
    )
    ds = F.date_add(F.lit(first), (F.col("id") % days).cast("int"))
    start = F.timestamp_seconds(
        F.unix_timestamp(ds.cast("timestamp")) + F.expr("pmod(xxhash64(id, 2), 86400)")
    )
    plays = spark.range(count).select(
        F.sha1(F.col("id").cast("string")).alias("play_id"),
        user.alias("user_id"),
        F.concat(F.lit("t"), track).alias("track_id"),
        F.concat(F.lit("a"), track % 9000).alias("artist_id"),
        start.alias("played_at"),
        (F.expr("pmod(xxhash64(id, 3), 240000)")).alias("ms_played"),
        F.lit(240_000).cast("long").alias("track_ms"),
        F.sha1(F.concat(user, ds.cast("string"))).alias("session_id"),
        start.alias("session_started_at"),
        (F.expr("pmod(xxhash64(id, 4), 30)") + 1).cast("int").alias("position"),
        (F.expr("pmod(xxhash64(id, 3), 240000)") / 240_000).alias("completion"),
        (F.col("id") % 4 == 0).alias("skipped"),
        (F.col("id") % 50 == 0).alias("saved"),
        F.lit(False).alias("is_bot"),
        ds.alias("ds"),
    )
    plays.write.parquet(path)
    stored_plays = spark.read.parquet(
        path
    )  # from files all columns may be null; the contract allows it for some
    neutral: dict[str, Any] = {
        field.name: "" for field in stored_plays.schema if field.dataType.typeName() == "string"
    }
    neutral |= {"position": 1, "is_bot": False, "ds": FIRST}
    non_null_columns = {name: F.coalesce(name, F.lit(value)) for name, value in neutral.items()}
    non_null_columns |= {
        name: F.coalesce(name, F.lit(MIDNIGHT)) for name in ("played_at", "session_started_at")
    }
    return conform(stored_plays.withColumns(non_null_columns), SESSIONS)
