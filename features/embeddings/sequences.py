"""Input of item2vec: a numbered vocabulary of tracks, and sessions as sequences of those numbers."""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from features.embeddings.settings import Settings

# Places of the hash that says which sessions are held out: the same ones whatever else is in the window.
FOLDS = 2**20
# One run of a listener's plays: a source's id may be another listener's too, and one that comes back after
# another session begins again at position 1.
_SESSION = ("session_id", "user_id", "session_started_at")


def build_vocabulary(sessions: DataFrame, settings: Settings) -> DataFrame:
    """One row per track: `number` (from 0, the most played first, ties by id), `track_id`, `plays`."""
    # without bots: one of them outweighs a hundred listeners
    tracks = sessions.where("not is_bot").groupBy("track_id").agg(F.count("*").alias("plays"))
    frequent = tracks.where(F.col("plays") >= settings.min_plays)
    # one partition, so that numbers have no gaps; ten million tracks are sorted there in seconds
    ordered = frequent.repartition(1).sortWithinPartitions(F.desc("plays"), "track_id")
    return ordered.select(F.monotonically_increasing_id().cast("int").alias("number"), "track_id", "plays")


def build_sequences(sessions: DataFrame, numbers: DataFrame, settings: Settings, files: int = 1) -> DataFrame:
    """One row per sequence: `fold` (0 to FOLDS - 1, a hash of the session) and `tracks` (numbers, as played).

    Args:
        sessions: rows of the table, of the days to learn from.
        numbers: number and track_id, as `build_vocabulary` gives them.
        files: partitions; folds rise from each to the next, so that one after the other they are always the same.
    """
    # tracks without a number are left out before repeats are looked for: one track may be on both their sides
    plays = _split_at_gaps(sessions.where("not is_bot"), settings).join(numbers, "track_id")
    plays_in_order = F.sort_array(F.collect_list(F.struct("position", "number")))
    sequences = plays.groupBy(*_SESSION, "piece").agg(plays_in_order.getField("number").alias("numbers"))
    fold = F.pmod(F.xxhash64("session_id"), F.lit(FOLDS)).cast("int").alias("fold")
    numbers_in_order = F.col("numbers")
    if not settings.repeats:
        numbers_in_order = F.filter(
            "numbers", lambda number, i: (i == 0) | (number != F.get("numbers", i - 1))
        )
    most = F.lit(settings.max_length)
    starts = F.sequence(F.lit(0), F.size(numbers_in_order) - 1, most)  # no session is empty
    pieces = F.transform(starts, lambda start: F.slice(numbers_in_order, start + 1, most))
    tracks = F.explode(pieces).alias("tracks")
    return (
        sequences.select(*_SESSION, "piece", fold, tracks)
        .where(F.size("tracks") >= settings.min_length)
        # a fixed order, whatever the number of files: what is learned depends on it
        .repartitionById(files, (F.col("fold").cast("bigint") * files / FOLDS).cast("int"))
        .sortWithinPartitions("fold", *_SESSION, "piece", "tracks")
        .select("fold", "tracks")
    )


def _split_at_gaps(plays: DataFrame, settings: Settings) -> DataFrame:
    """With `piece`: which part of its session a play is in, split where there were `gap_minutes` of silence."""
    if not settings.gap_minutes:
        return plays.withColumn("piece", F.lit(0))
    session = Window.partitionBy(*_SESSION).orderBy("position")
    # a source without durations has silences from start to start
    duration = F.coalesce("ms_played", "track_ms", F.lit(0)) * 1000
    silence = F.unix_micros("played_at") - F.lag(F.unix_micros("played_at") + duration).over(session)
    is_start = F.coalesce(silence > F.lit(round(settings.gap_minutes * 60_000_000)), F.lit(False))
    return plays.withColumn("_begins", is_start.cast("int")).withColumn(
        "piece", F.sum("_begins").over(session).cast("int")
    )
