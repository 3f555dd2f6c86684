"""Rows of any source checked against the contract of plays, or of another event: an event, a duplicate or a reject."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from features.reasons import (
    BROKEN_LINE,
    find_broken_checks,
    find_failures,
    find_impossible_times,
    find_missing,
    find_wrong_ids,
    find_wrong_types,
    in_future,
    list_reasons,
    raw,
)
from features.track_values import BLANKS
from schemas import Contract, EventTable
from schemas.play_columns import list_added_columns
from schemas.plays import EARLIEST_PLAY, MAX_PLAY_MS, PLAYS

# Columns of rows as they are read, besides those of the source, which may have a `file` of its own.
RAW, FILE, BROKEN, IS_HEADER = ("_segue_raw", "_segue_file", "_segue_broken", "_segue_is_header")
# True of rows that a source declares to be of another kind; not there where it declares none.
LEFT_OUT = "_segue_left_out"
NO_DAY = date(1970, 1, 1)
# As MySQL and Hive write a null: as an id it would be one listener for all who have none.
NULL = "\\N"
# Spark would take the year 2026 for its first instant, and 10:00 for today.
_INSTANT = r"^[+-]?[0-9]{4,6}-[0-9]{1,2}-[0-9]{1,2}"
# Values of columns that may not be null, by type: they stand in no row, as the planner cannot know.
_NEUTRAL = {
    "string": "",
    "timestamp": datetime(1970, 1, 1, tzinfo=UTC),
    "date": NO_DAY,
    "boolean": False,
    **dict.fromkeys(("int", "bigint", "double"), 0),
}

PLAY_FIELDS = (
    "play_id", "user_id", "track_id", "artist_id", "played_at", "ms_played", "track_ms", "skipped", "saved",
    "source_session_id",
)  # fmt: skip


def play_fields(contract: Contract) -> tuple[str, ...]:
    """What a source gives of a play, with columns that a project has added to `plays`."""
    return (*PLAY_FIELDS, *(column.name for column in list_added_columns(contract)))


def parse_and_validate_plays(
    rows: DataFrame, columns: Mapping[str, str], source: str, now: datetime, contract: Contract = PLAYS
) -> DataFrame:
    """Every row of `rows`, with the columns of a play and `reasons`: why it is none, if it is none.

    `reasons` is null for a row that the source leaves out; `raw`, the text, of all that are no rejects.

    Where the source gives no id, `former_id` is what the play's was before durations were a part of it.

    Args:
        rows: RAW (the row as read), FILE, BROKEN (could not be parsed), IS_HEADER, and the source's columns.
        columns: column of plays -> SQL expression over the source's columns.
        now: the instant after which times lie in the future.
        contract: of `plays`, with columns that a project adds.
    """
    no_id, fields = F.col("play_id").isNull(), play_fields(contract)
    parsed = parse_fields(rows, columns, contract, fields).select(
        "raw",
        "file",
        # the duration tells apart two plays of a track in one minute, where times have no seconds
        F.coalesce("play_id", _derive_id(source, F.col("ms_played").cast("string"))).alias("play_id"),
        F.when(no_id, _derive_id(source)).alias("former_id"),
        *fields[1:],
        F.lit(source).alias("source"),
        F.to_date("played_at").alias("ds"),
        "is_header",
        list_reasons(_reject_reasons(contract, now)),
    )
    return _keep_texts_of_rejects(parsed)


def _keep_texts_of_rejects(parsed: DataFrame) -> DataFrame:
    # of any other row nothing reads the text again, and it is most of what a row takes where all are cached
    return parsed.withColumn("raw", F.when(F.size("reasons") > 0, F.col("raw")))


def _derive_id(source: str, *others: Column) -> Column:
    """Of a source without ids: whenever it delivers a play again, the same. Nulls are left out."""
    when = F.unix_micros("played_at").cast("string")
    return F.sha1(F.concat_ws("\x1f", F.lit(source), "user_id", "track_id", when, *others))


def _reject_reasons(contract: Contract, now: datetime) -> list[Column]:
    """A text for each thing that is wrong with a row, else null."""
    return [
        *find_missing(("user_id", "track_id", "played_at")),
        *find_failures(play_fields(contract)),
        *find_wrong_ids(("play_id", "user_id", "track_id")),
        *find_wrong_types(contract, play_fields(contract)),
        *find_impossible_times("played_at", now),
        *(F.when(F.col(name) < 0, f"{name} is negative") for name in ("ms_played", "track_ms")),
        *(F.when(F.col(name) > MAX_PLAY_MS, f"{name} is over a day") for name in ("ms_played", "track_ms")),
        *find_broken_checks(list_added_columns(contract)),
    ]


def parse_and_validate_events(
    rows: DataFrame, columns: Mapping[str, str], table: EventTable, source: str, now: datetime
) -> DataFrame:
    """The same for a table of events that a project declares: its columns, and `reasons` why a row is no such event."""
    parsed = parse_fields(rows, columns, table.contract, table.fields)
    # an instant is the same however it is written; of the others null is no blank, and each has its place
    instant = F.unix_micros(table.event_time).cast("string")
    others = [raw(name) for name in table.fields if name not in (table.key, table.event_time)]
    texts = [F.coalesce(text, F.lit("")) for text in (instant, *others)]
    derived = F.sha1(F.concat_ws("\x1f", F.lit(source), *texts))
    required = [c.name for c in table.contract.columns if c.name in table.fields and not c.nullable]
    reasons = [
        *find_missing(name for name in required if name != table.key),
        *find_failures(table.fields),
        *find_wrong_ids(name for name in (table.key, table.contract.entity) if name in table.fields),
        *find_wrong_types(table.contract, table.fields),
        *find_impossible_times(table.event_time, now),
        *find_broken_checks(table.columns),
    ]
    id_ = F.coalesce(table.key, derived).alias(table.key)
    events = parsed.select(
        "raw",
        "file",
        *[id_ if name == table.key else name for name in table.fields],
        F.lit(source).alias("source"),
        F.to_date(table.event_time).alias("ds"),
        "is_header",
        list_reasons(reasons),
    )
    return _keep_texts_of_rejects(events)


def deduplicate(events_with_reasons: DataFrame, contract: Contract, *others: str) -> DataFrame:
    """The rows that are events, once each; of equal ids the first in the order of their values.

    Args:
        others: columns to be kept besides those of the contract.
    """
    values = [name for name in contract.names if name in events_with_reasons.columns]
    # Ordered by values, so that any order of the input files gives the same event.
    first = Window.partitionBy(*contract.key).orderBy(*values, "file")
    valid = select_valid(events_with_reasons).withColumn("_nth", F.row_number().over(first))
    return select_event_columns(valid.where("_nth = 1"), contract, *others)


def select_valid(events_with_reasons: DataFrame) -> DataFrame:
    """The rows that are events, as often as they are there."""
    return events_with_reasons.where(F.size("reasons") == 0)


def select_event_columns(valid: DataFrame, contract: Contract, *others: str) -> DataFrame:
    """Of rows that are events: what the contract has, but for what the publication adds."""
    columns = [c for c in contract.columns if c.name not in ("bucket", "available_at")]
    return valid.select(
        *[
            F.col(c.name) if c.nullable else F.coalesce(c.name, F.lit(_NEUTRAL[c.type])).alias(c.name)
            for c in columns
        ],
        *others,
    )


def make_late_plays(plays: DataFrame, now: datetime) -> DataFrame:
    """Rows of `late_plays`, of plays that are read now."""
    return plays.withColumns({"arrived_at": F.lit(now).cast("timestamp"), "ds": F.lit(now.date())})


def restore_late_plays(late_plays: DataFrame, contract: Contract, first: date, last: date) -> DataFrame:
    """Rows of `plays`: the late ones of some days, under their own days."""
    day = F.to_date("played_at")
    # to the planner any day may be null
    plays = late_plays.where(day.between(first, last)).withColumn("ds", F.coalesce(day, F.lit(NO_DAY)))
    return plays.select([name for name in contract.names if name not in ("bucket", "available_at")])


# A row of another file is another reject; without its folders, a file that was moved brings the same ids again.
_LINE_OF_FILE = ("source", "_name", "_raw")


def select_rejects(
    events_with_reasons: DataFrame, contract: Contract, identity: Sequence[str] = _LINE_OF_FILE
) -> DataFrame:
    """Rows of the table of rejects of `contract`; of equal `identity` they are numbered."""
    equal_lines = Window.partitionBy(*identity).orderBy("_raw", "_name")
    name = F.element_at(F.split("file", "/"), -1)
    rejects = _drop_headers(events_with_reasons.where(F.size("reasons") > 0)).withColumn("_name", name)
    texts = rejects.withColumn("_raw", F.coalesce("raw", F.lit("")))
    numbered = texts.withColumn("_nth", F.row_number().over(equal_lines))
    key = F.sha1(F.concat_ws("\x1f", *identity, F.col("_nth").cast("string")))
    # a day of the year 2099 would be the newest of the table for ever; of a broken line any field may be the time
    no_day = F.arrays_overlap(
        "reasons", F.array(F.lit(in_future(contract.event_time or "")), F.lit(BROKEN_LINE))
    )
    has_valid_day = (F.col("ds") >= F.lit(EARLIEST_PLAY).cast("date")) & ~no_day
    user_id = F.col("user_id") if "user_id" in rejects.columns else F.lit(None).cast("string")
    return numbered.select(
        key.alias("reject_id"),
        "source",
        user_id.alias("user_id"),
        F.coalesce("_name", F.lit("")).alias("file"),
        F.col("_raw").alias("raw"),
        # null of what is left out, which is no reject: but the planner cannot know that
        F.coalesce("reasons", F.array().cast("array<string>")).alias("reasons"),
        F.coalesce(F.when(has_valid_day, F.col("ds")), F.lit(NO_DAY)).alias("ds"),
    )


def _drop_headers(rows: DataFrame) -> DataFrame:
    """Without one header of each file that has any; a line that repeats it is a row like others."""
    header = Window.partitionBy("file", "is_header").orderBy("raw")
    return rows.withColumn("_header", F.row_number().over(header)).where("not is_header or _header > 1")


def parse_fields(
    rows: DataFrame,
    columns: Mapping[str, str],
    contract: Contract,
    fields: tuple[str, ...],
    parsers: Mapping[str, Callable[[Column], Column]] | None = None,
) -> DataFrame:
    """Each field twice: as the contract's type, null where it cannot be; and `_raw_` as text, blank as null.

    `_failed_` is true where the expression raised.

    Args:
        parsers: of fields whose texts a cast does not read.
    """
    parsers = parsers or {}
    frame = [F.col(name).alias(name.removeprefix("_segue_")) for name in (RAW, FILE, BROKEN, IS_HEADER)]
    left_out = F.col(LEFT_OUT) if LEFT_OUT in rows.columns else F.lit(False)
    frame.append(left_out.alias("left_out"))
    attempts = [attempt(columns.get(name, "null")).alias(f"_text_{name}") for name in fields]
    texts = rows.select(*frame, *attempts)
    trimmed_texts, failed = {}, {}
    for name in fields:
        text = F.col(f"_text_{name}")
        trimmed_texts[f"_raw_{name}"] = _trim(text)
        failed[f"_failed_{name}"] = text.isNull()
    as_text = texts.withColumns({**trimmed_texts, **failed})
    # try_cast, as in ANSI mode a cast of one wrong field would fail the job, where it is to reject the row
    return as_text.withColumns(
        {
            name: parsers[name](raw(name)) if name in parsers else _cast(name, contract.column(name).type)
            for name in fields
        }
    )


def _cast(name: str, type_: str) -> Column:
    text = F.when(raw(name).rlike(_INSTANT), raw(name)) if type_ == "timestamp" else raw(name)
    return text.try_cast(type_)


def _trim(text: Column) -> Column:
    """Without BLANKS at its ends; null where nothing else is there, or NULL."""
    # Spark's function looks at each letter: so it is for texts that begin or end with none of those between "!" and "~"
    may_have_blanks = _may_be_blank(text) | _may_be_blank(F.right(text, F.lit(1)))
    trimmed = F.btrim(text, F.lit(BLANKS))
    return F.when(may_have_blanks, F.when(~trimmed.isin("", NULL), trimmed)).otherwise(
        F.when(text != NULL, text)
    )


def _may_be_blank(letters: Column) -> Column:
    """Whether the first letter may be a blank, or there is none."""
    return (letters < "!") | (letters > "~")


def attempt(expression: str) -> Column:
    """The text of an expression, empty where it is null; null where it raises, so that it costs the row alone."""
    text = F.coalesce(F.expr(expression).cast("string"), F.lit(""))
    if expression.isidentifier():
        return text
    # the function of Spark's that is null for whatever is raised inside its argument; others catch their own faults
    return F.try_to_binary(text, F.lit("utf-8")).cast("string")
