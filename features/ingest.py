"""Rows of any source checked against the contract of plays: a play, a duplicate or a reject."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from schemas import Contract
from schemas.plays import PLAYS
from schemas.tracks import TRACKS

# No service streamed before 1999. A day of play in one play is no listening; a clock may be a day fast.
EARLIEST = "1999-01-01"
MAX_PLAY_MS = 86_400_000
NO_DAY = date(1970, 1, 1)
NO_TIME = datetime(1970, 1, 1, tzinfo=UTC)

PLAY_FIELDS = (
    "play_id", "user_id", "track_id", "artist_id", "played_at", "ms_played", "track_ms", "skipped", "saved",
    "source_session_id",
)  # fmt: skip
TRACK_FIELDS = (
    "track_id", "title", "artist_id", "artist_name", "album", "track_ms", "explicit", "released_on",
)  # fmt: skip


def parse_and_validate_plays(
    rows: DataFrame, columns: Mapping[str, str], source: str, now: datetime
) -> DataFrame:
    """Every row of `rows`, with the columns of a play and `reasons`: why it is none, if it is none.

    Args:
        rows: `raw` (the row as read), `file`, `broken` (could not be parsed), and the source's columns.
        columns: column of plays -> SQL expression over the source's columns.
        source: the source's name, in every row.
        now: the instant after which times lie in the future (one day of grace for fast clocks).
    """
    typed = _parse_fields(rows, columns, PLAYS, PLAY_FIELDS)
    reasons = F.array_compact(
        F.array(
            F.when(F.col("broken"), F.lit("the line is broken")),
            *[_reason_if_missing(name) for name in ("user_id", "track_id", "played_at")],
            *[_reason_if_mistyped(name, PLAYS) for name in PLAY_FIELDS],
            F.when(F.col("played_at") < F.lit(EARLIEST).cast("timestamp"), F.lit("played_at before 1999")),
            F.when(
                F.col("played_at") > F.lit(now) + F.expr("interval 1 day"), F.lit("played_at in the future")
            ),
            *[_reason_if_negative(name) for name in ("ms_played", "track_ms")],
            *[_reason_if_too_long(name) for name in ("ms_played", "track_ms")],
        )
    )
    derived = F.sha1(
        F.concat_ws("\x1f", F.lit(source), "user_id", "track_id", F.unix_micros("played_at").cast("string"))
    )
    return typed.select(
        "raw",
        "file",
        F.coalesce("play_id", derived).alias("play_id"),
        *PLAY_FIELDS[1:],
        F.lit(source).alias("source"),
        F.to_date("played_at").alias("ds"),
        # fields of a line that cannot be parsed may be shifted: their reasons would mislead
        F.when(F.col("broken"), F.array(F.lit("the line is broken"))).otherwise(reasons).alias("reasons"),
    )


def deduplicate_plays(plays_with_reasons: DataFrame) -> DataFrame:
    """The rows that are plays, once each; of equal ids the first in the order of the raw text."""
    first = Window.partitionBy("play_id").orderBy("raw", "file")
    good = plays_with_reasons.where(F.size("reasons") == 0).withColumn("_nth", F.row_number().over(first))
    # without reasons none of these is null, which the planner cannot know: the neutral values never show
    known = {"user_id": "", "track_id": "", "played_at": NO_TIME, "ds": NO_DAY}
    columns = [name for name in PLAYS.names if name not in ("bucket", "available_at")]
    return good.where("_nth = 1").select(
        *[F.coalesce(n, F.lit(known[n])).alias(n) if n in known else F.col(n) for n in columns]
    )


def select_rejects(plays_with_reasons: DataFrame) -> DataFrame:
    """Rows of `rejected_plays`. Equal lines of one file are numbered."""
    same = Window.partitionBy("source", "_name", "_raw").orderBy("_raw")
    name = F.element_at(F.split("file", "/"), -1)
    bad = plays_with_reasons.where(F.size("reasons") > 0).withColumn("_name", name)
    numbered = bad.withColumn("_raw", F.coalesce("raw", F.lit(""))).withColumn(
        "_nth", F.row_number().over(same)
    )
    key = F.sha1(F.concat_ws("\x1f", "source", "_name", "_raw", F.col("_nth").cast("string")))
    believable = (F.col("ds") >= F.lit(EARLIEST).cast("date")) & ~F.array_contains(
        "reasons", "played_at in the future"
    )
    return numbered.select(
        key.alias("reject_id"),
        "source",
        "user_id",
        F.coalesce("_name", F.lit("")).alias("file"),
        F.col("_raw").alias("raw"),
        "reasons",
        F.coalesce(F.when(believable, F.col("ds")), F.lit(NO_DAY)).alias("ds"),
    )


def parse_tracks(rows: DataFrame, columns: Mapping[str, str], source: str) -> DataFrame:
    """Rows of `tracks`: those with an id, one each; where rows differ, the one with most fields known."""
    typed = _parse_fields(rows, columns, TRACKS, TRACK_FIELDS)
    known = sum((F.col(name).isNotNull().cast("int") for name in TRACK_FIELDS), F.lit(0))
    fullest = Window.partitionBy("track_id").orderBy(
        F.desc(known), "title", "artist_name", "album", "track_ms", "raw"
    )
    return (
        typed.where("track_id is not null and not broken")
        .withColumn("_nth", F.row_number().over(fullest))
        .where("_nth = 1")
        .select(
            F.coalesce("track_id", F.lit("")).alias("track_id"),
            *TRACK_FIELDS[1:],
            F.lit(source).alias("source"),
        )
    )


def merge_catalogue(updates: DataFrame, current: DataFrame) -> DataFrame:
    """The whole catalogue after an update: its rows, and all tracks that it does not name."""
    others = current.select(*updates.columns).join(updates.select("track_id"), "track_id", "left_anti")
    return updates.unionByName(others)


def _parse_fields(
    rows: DataFrame, columns: Mapping[str, str], contract: Contract, fields: tuple[str, ...]
) -> DataFrame:
    """Each field twice: as the contract's type, null where it cannot be; and `_raw_` as text."""
    expressions = {
        name: F.expr(columns[name]) if name in columns else F.lit(None).cast("string") for name in fields
    }
    as_text = rows.select(
        "raw",
        "file",
        "broken",
        *[_blank_to_null(column).alias(f"_raw_{name}") for name, column in expressions.items()],
    )
    return as_text.withColumns({name: _cast(name, contract) for name in fields})


def _blank_to_null(column: Column) -> Column:
    text = F.btrim(column.cast("string"), F.lit(" \t\r\n"))
    return F.when(text != "", text)


def _cast(name: str, contract: Contract) -> Column:
    return F.col(f"_raw_{name}").try_cast(contract.column(name).type)


def _reason_if_missing(name: str) -> Column:
    return F.when(F.col(f"_raw_{name}").isNull(), F.lit(f"{name} is missing"))


def _reason_if_mistyped(name: str, contract: Contract) -> Column:
    wrong = F.col(f"_raw_{name}").isNotNull() & F.col(name).isNull()
    return F.when(wrong, F.lit(f"{name} is no {contract.column(name).type}"))


def _reason_if_negative(name: str) -> Column:
    return F.when(F.col(name) < 0, F.lit(f"{name} is negative"))


def _reason_if_too_long(name: str) -> Column:
    return F.when(F.col(name) > MAX_PLAY_MS, F.lit(f"{name} is over a day"))
