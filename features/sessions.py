"""Plays cut into sessions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from pyspark.sql import Column, DataFrame, Window, WindowSpec
from pyspark.sql import functions as F

from schemas.plays import MAX_PLAY_MS

# Which rules cut a day: another number makes every published day stale.
RULES = 2

DAY_MS = 24 * 60 * 60 * 1000
GAP_MS = 30 * 60 * 1000

# A source's own session may pause over nights, as players left open do; a day must not look back for ever for it.
SOURCE_GAP_MS = 7 * DAY_MS

# Under 30 s is no stream to any service that pays for streams; under half spares the short tracks.
SKIP_MS = 30_000

# A day has 24 hours; a person with several devices gets a quarter more. 1,000 plays leave 86 s each.
BOT_PLAYS_A_DAY = 1_000
BOT_MS_A_DAY = 30 * 60 * 60 * 1000

_PLAY_COLUMNS = (
    "play_id", "user_id", "track_id", "artist_id", "played_at", "ms_played", "track_ms", "skipped", "saved", "ds",
)  # fmt: skip


def earlier_days(first: date, gap_ms: int, with_source_sessions: bool) -> list[date]:
    """The days before `first` that can hold the last play of a session that goes on: plays last a day at most."""
    gap_ms = max(gap_ms, SOURCE_GAP_MS) if with_source_sessions else gap_ms
    count = (MAX_PLAY_MS + gap_ms) // DAY_MS + 1
    return [first - timedelta(days=n) for n in range(count, 0, -1)]


def cut_sessions(
    plays: DataFrame, earlier: DataFrame | None = None, gap_ms: int = GAP_MS, added: Sequence[str] = ()
) -> DataFrame:
    """One row per play with its session and its place there.

    A new session begins when a play starts more than `gap_ms` after the end of the play before, where a play
    lasts `ms_played`, or `track_ms` where that is unknown. Where either of the two carries the source's own session,
    it begins when that changes, or after `SOURCE_GAP_MS`.

    Args:
        plays: whole days of the table `plays`.
        earlier: rows of `sessions`, at least those of `earlier_days`, a session of which may still be open.
        added: columns of plays that a project has added: they are carried along, and cut nothing.
    """
    # two plays may begin at one instant: with the id, their order is the same in every run
    listener = Window.partitionBy("user_id").orderBy("played_at", "play_id")
    rows = plays.select(
        *_PLAY_COLUMNS,
        *added,
        _source_id().alias("_source_session"),
        F.lit(None).cast("timestamp").alias("_known_start"),
        F.lit(None).cast("int").alias("_known_position"),
    )
    if earlier is not None:
        # with it, a run per day gives the rows of one run over all days: a session may go on over midnight
        rows = rows.unionByName(select_last_plays(earlier), allowMissingColumns=bool(added))
    session_rows = (
        rows.withColumn("_begins", _starts_session(listener, gap_ms))
        .withColumn("_row", F.row_number().over(listener))
        .withColumn("_start", F.when(F.col("_begins"), F.coalesce("_known_start", "played_at")))
        .withColumn(
            "_offset", F.when(F.col("_begins"), F.col("_row") - F.coalesce("_known_position", F.lit(1)))
        )
        .withColumn("session_started_at", _at_session_start("_start", "played_at", listener))
        .withColumn("position", F.col("_row") - _at_session_start("_offset", "_row", listener))
        .withColumn("session_id", F.coalesce("_source_session", _derived_id()))
    )
    return _add_behaviour(session_rows.where("_known_position is null"))


def select_last_plays(earlier: DataFrame) -> DataFrame:
    """The last play of each listener, with the session that it belongs to."""
    # one is enough: where a session begins follows from the play before alone
    newest = Window.partitionBy("user_id").orderBy(F.desc("played_at"), F.desc("play_id"))
    last = earlier.withColumn("_newest", F.row_number().over(newest)).where("_newest = 1")
    return last.select(
        *_PLAY_COLUMNS,
        # an id that is not ours is the source's, of which `sessions` keeps no column of its own
        F.when(F.col("session_id") != _derived_id(), F.col("session_id")).alias("_source_session"),
        F.col("session_started_at").alias("_known_start"),
        F.col("position").alias("_known_position"),
    )


def _starts_session(listener: WindowSpec, gap_ms: int) -> Column:
    end = F.unix_micros("played_at") + F.coalesce("ms_played", "track_ms", F.lit(0)) * 1000
    silence = F.unix_micros("played_at") - F.lag(end).over(listener)
    source, before = F.col("_source_session"), F.lag("_source_session").over(listener)
    # a source that says where sessions end is taken at its word, after a silence of days as well
    by_source = source.isNotNull() | before.isNotNull()
    of_another = ~source.eqNullSafe(before) | (silence > SOURCE_GAP_MS * 1000)
    changes = F.when(by_source, of_another).otherwise(silence > gap_ms * 1000)
    # the first play of a listener has nothing before it: no end, no session
    return F.coalesce(F.lag("play_id").over(listener).isNull() | changes, F.lit(True))


def _at_session_start(column: str, otherwise: str, listener: WindowSpec) -> Column:
    """The value at the session's first play, for all of its plays."""
    # null at all other plays, so the last one known is it; a frame that only grows is one pass over a sorted listener
    until_now = listener.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    return F.coalesce(F.last(column, ignorenulls=True).over(until_now), F.col(otherwise))


def _source_id() -> Column:
    """Of the listener's session at the source: sources number sessions per listener too, or begin anew each day."""
    # with its length, no listener's name and session run into another's
    text = F.concat_ws("\x1f", F.length("user_id").cast("string"), "user_id", "source_session_id")
    return F.when(F.col("source_session_id").isNotNull(), F.concat(F.lit("source-"), F.sha1(text)))


def _derived_id() -> Column:
    return F.sha1(F.concat_ws("\x1f", "user_id", F.unix_micros("session_started_at").cast("string")))


def _add_behaviour(plays: DataFrame) -> DataFrame:
    # by the day of the plays, all of which are at hand: a run per day marks the same bots as one over all days
    day = Window.partitionBy("user_id", "ds")
    ms_played = F.coalesce(F.sum("ms_played").over(day), F.lit(0))
    is_bot = (F.count("play_id").over(day) > BOT_PLAYS_A_DAY) | (ms_played > BOT_MS_A_DAY)
    is_short = (F.col("ms_played") < SKIP_MS) & (
        F.col("track_ms").isNull() | (F.col("ms_played") * 2 < F.col("track_ms"))
    )
    return plays.withColumns(
        {
            # least() passes over nulls: without the second condition, unknown would be complete
            "completion": F.when(
                (F.col("track_ms") > 0) & F.col("ms_played").isNotNull(),
                F.least(F.lit(1.0), F.col("ms_played") / F.col("track_ms")),
            ),
            "skipped": F.coalesce("skipped", F.when(F.col("ms_played").isNotNull(), is_short)),
            "is_bot": is_bot,
        }
    ).drop("_begins", "_row", "_start", "_offset", "_source_session", "_known_start", "_known_position")
