"""What item2vec reads: a numbered vocabulary of tracks, and sessions as sequences of those numbers."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from features.embeddings.settings import Settings

# The token of an artist beside those of tracks; no id of a source holds such a character.
ARTIST = "\x1eartist\x1f"
# Places of the hash that says which sessions are held out: the same ones whatever else is in the window.
FOLDS = 2**20
# One run of a listener's plays: a source's id may be another listener's too, and one that comes back after
# another session begins again at position 1.
_SESSION = ("session_id", "user_id", "session_started_at")


def vocabulary(sessions: DataFrame, settings: Settings) -> DataFrame:
    """One row per token: `number` (from 0, the most played first, ties by id), `token`, `plays`.

    Bots are left out: one of them outweighs a hundred listeners. One partition, in the order of the
    numbers; ten million tracks are sorted there in seconds.
    """
    tokens = _plays(sessions).select("track_id")
    if settings.artist_tokens:
        artists = _plays(sessions).where("artist_id is not null")
        tokens = tokens.unionByName(artists.select(_artist_token().alias("track_id")))
    counted = tokens.groupBy(F.col("track_id").alias("token")).agg(F.count("*").alias("plays"))
    often = counted.where(F.col("plays") >= settings.min_plays)
    ordered = often.repartition(1).sortWithinPartitions(F.desc("plays"), "token")
    return ordered.select(F.monotonically_increasing_id().cast("int").alias("number"), "token", "plays")


def sequences(sessions: DataFrame, numbers: DataFrame, settings: Settings) -> DataFrame:
    """One row per sequence: `fold` (0 to FOLDS - 1, a hash of the session) and `tracks` (numbers, in the
    order heard). Tokens that `numbers` does not hold are left out before repeats are looked for.

    Args:
        sessions: rows of the table, of the days to learn from.
        numbers: as `vocabulary` gives them.

    One partition in a fixed order: what is learned depends on it.
    """
    plays = _join_numbers(_split_at_gaps(_plays(sessions), settings), numbers, settings)
    heard = F.sort_array(F.collect_list(F.struct("position", "number", "artist")))
    grouped = plays.groupBy(*_SESSION, "piece").agg(heard.alias("heard"))
    fold = F.pmod(F.xxhash64("session_id"), F.lit(FOLDS)).cast("int").alias("fold")
    tracks = F.explode(_split_long(_tokens(F.col("heard"), settings), settings.max_length)).alias("tracks")
    return (
        grouped.select(*_SESSION, "piece", fold, tracks)
        .where(F.size("tracks") >= settings.min_length)
        .repartition(1)
        .sortWithinPartitions("fold", *_SESSION, "piece", "tracks")
        .select("fold", "tracks")
    )


def _plays(sessions: DataFrame) -> DataFrame:
    return sessions.where("not is_bot")


def _artist_token() -> Column:
    return F.concat(F.lit(ARTIST), "artist_id")


def _split_at_gaps(plays: DataFrame, settings: Settings) -> DataFrame:
    """With `piece`: which part of its session a play is in, cut where there were `gap_minutes` of silence."""
    if not settings.gap_minutes:
        return plays.withColumn("piece", F.lit(0))
    session = Window.partitionBy(*_SESSION).orderBy("position")
    lasts = F.coalesce("ms_played", "track_ms", F.lit(0)) * 1000
    silence = F.unix_micros("played_at") - F.lag(F.unix_micros("played_at") + lasts).over(session)
    begins = F.coalesce(silence > F.lit(round(settings.gap_minutes * 60_000_000)), F.lit(False))
    return plays.withColumn("_begins", begins.cast("int")).withColumn(
        "piece", F.sum("_begins").over(session).cast("int")
    )


def _join_numbers(plays: DataFrame, numbers: DataFrame, settings: Settings) -> DataFrame:
    tracks = numbers.select(F.col("token").alias("track_id"), "number")
    known = plays.join(tracks, "track_id").select(*_SESSION, "piece", "position", "number", "artist_id")
    if not settings.artist_tokens:
        return known.withColumn("artist", F.lit(None).cast("int"))
    artists = numbers.select(F.col("token").alias("_token"), F.col("number").alias("artist"))
    return known.join(artists, _artist_token() == F.col("_token"), "left")


def _tokens(heard: Column, settings: Settings) -> Column:
    """The numbers in order; a track that follows itself once only, then its artist where that is asked."""
    if not settings.repeats:
        heard = F.filter(heard, lambda play, i: (i == 0) | (play["number"] != F.get(heard, i - 1)["number"]))
    if not settings.artist_tokens:
        return F.transform(heard, lambda play: play["number"])
    both = F.transform(heard, lambda play: F.array(play["number"], play["artist"]))
    return F.filter(F.flatten(both), lambda token: token.isNotNull())


def _split_long(tokens: Column, most: int) -> Column:
    """The sequence in pieces of `most` tokens."""
    starts = F.sequence(F.lit(0), F.size(tokens) - 1, F.lit(most))  # no session is empty
    return F.transform(starts, lambda start: F.slice(tokens, start + 1, F.lit(most)))
