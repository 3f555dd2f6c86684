"""Rows of any source checked against the contract of the catalogue: a track, a duplicate or a reject."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from features.ingest import parse_fields, select_rejects
from features.reasons import (
    find_broken_checks,
    find_failures,
    find_missing,
    find_wrong_ids,
    find_wrong_types,
    list_reasons,
    raw,
)
from features.track_values import (
    drop_unknown_date,
    find_first_day,
    is_broken_list,
    parse_genres,
    parse_isrc,
    parse_list,
    parse_mbid,
    parse_partial_date,
)
from schemas import Column as ColumnContract
from schemas import Contract
from schemas.catalogue_columns import LIST
from schemas.plays import MAX_PLAY_MS
from schemas.tracks import REJECTED_TRACKS, TRACKS

TRACK_FIELDS = (
    "track_id", "title", "artist_id", "artist_name", "album", "track_ms", "explicit", "released", "released_on",
    "genres", "isrc", "recording_mbid",
)  # fmt: skip
# Both are made of the one text that there is.
_DATES = ("released", "released_on")
# How texts are read, where that is no cast, nor a list of a project's own.
_PARSERS = {
    "genres": parse_genres,
    "isrc": parse_isrc,
    "recording_mbid": parse_mbid,
}


def track_fields(contract: Contract) -> tuple[str, ...]:
    """What a source gives of a track, with columns that a project has added to `tracks`."""
    return (*TRACK_FIELDS, *(column.name for column in _list_added_columns(contract)))


def _list_added_columns(contract: Contract) -> list[ColumnContract]:
    return [column for column in contract.columns if column.name not in TRACKS.names]


def parse_and_validate_tracks(
    rows: DataFrame, columns: Mapping[str, str], contract: Contract, source: str, today: date
) -> DataFrame:
    """Every row of `rows`, with the columns of a track and `reasons`: why it is none, if it is none.

    `reasons` is null for a row that the source leaves out.

    Args:
        rows: RAW (the row as read), FILE, BROKEN (could not be parsed), IS_HEADER, and the source's columns.
        columns: column of tracks -> SQL expression over the source's columns.
        contract: of `tracks`, with columns that a project adds.
        today: the day under which rejects lie.
    """
    fields = track_fields(contract)
    parsers = {**_PARSERS, **dict.fromkeys(_list_added_lists(contract), parse_list)}
    texts = _write_lists_as_json(rows, columns, ("genres", *_list_added_lists(contract)))
    parsed = parse_fields(rows, texts, contract, fields, parsers)
    parsed = parsed.withColumn("released", parse_partial_date(_released_text()))
    parsed = parsed.withColumn("released_on", find_first_day(F.col("released")))
    reasons = list_reasons(_reject_reasons(contract))
    return parsed.select(
        "raw", "file", *fields, F.lit(source).alias("source"), F.lit(today).alias("ds"), "is_header", reasons
    )


def _list_added_lists(contract: Contract) -> list[str]:
    return [column.name for column in _list_added_columns(contract) if column.type == LIST]


def _write_lists_as_json(
    rows: DataFrame, columns: Mapping[str, str], lists: Iterable[str]
) -> Mapping[str, str]:
    """Fields travel as text: of an array, Spark's would be read as names with commas."""
    given = {name: columns[name] for name in lists if name in columns}
    types = dict(rows.select(*[F.expr(sql).alias(name) for name, sql in given.items()]).dtypes)
    arrays = {name: f"to_json({sql})" for name, sql in given.items() if types[name].startswith("array")}
    return {**columns, **arrays}


def _released_text() -> Column:
    # sources of before there was `released` write what they have, a year too, as `released_on`
    return F.coalesce(drop_unknown_date(raw("released")), drop_unknown_date(raw("released_on")))


def _reject_reasons(contract: Contract) -> Iterator[Column]:
    """A text for each thing that is wrong with a row, else null."""
    fields = track_fields(contract)
    yield from find_missing(("track_id",))
    yield from find_failures(fields)
    yield from find_wrong_ids(("track_id",))
    lists = _list_added_lists(contract)
    yield from find_wrong_types(contract, [n for n in fields if n not in (*_PARSERS, *_DATES, *lists)])
    yield F.when(F.col("track_ms") < 0, "track_ms is negative")
    yield F.when(F.col("track_ms") > MAX_PLAY_MS, "track_ms is over a day")
    no_date = _released_text().isNotNull() & F.col("released").isNull()
    yield F.when(no_date, "released is no date such as 1994, 1994-05 or 1994-05-02")
    for name in ("genres", *lists):
        yield F.when(is_broken_list(raw(name)), f"{name} is no list")
    for name, kind in (("isrc", "ISRC"), ("recording_mbid", "MusicBrainz id")):
        yield F.when(raw(name).isNotNull() & F.col(name).isNull(), f"{name} is no {kind}")
    yield from find_broken_checks(_list_added_columns(contract))


def select_tracks(tracks_with_reasons: DataFrame, contract: Contract) -> DataFrame:
    """The rows that are tracks, once each: of several that one with most fields, then the first in order of text."""
    fields = track_fields(contract)
    filled = sum((F.col(name).isNotNull().cast("int") for name in fields), F.lit(0))
    # Sources repeat a track with fewer fields filled; the order of the rest only makes the choice repeatable.
    rest = ("title", "artist_name", "album", "track_ms", "raw")
    fullest = Window.partitionBy("track_id").orderBy(F.desc(filled), *rest)
    valid = tracks_with_reasons.where("size(reasons) = 0 and not is_header")
    track_id = F.coalesce("track_id", F.lit("")).alias("track_id")
    source = F.coalesce("source", F.lit("")).alias("source")
    unique_tracks = valid.withColumn("_nth", F.row_number().over(fullest)).where("_nth = 1")
    return unique_tracks.select(track_id, *fields[1:], source)


def select_rejected_tracks(tracks_with_reasons: DataFrame) -> DataFrame:
    """Rows of `rejected_tracks`: a row has the same id in a file of any name, as a catalogue comes whole each night."""
    return select_rejects(tracks_with_reasons, REJECTED_TRACKS, ("source", "_raw")).drop("user_id")


def merge_catalogue(updates: DataFrame, current: DataFrame) -> DataFrame:
    """The whole catalogue after an update: its rows, and all tracks that it does not name."""
    # a track that a newer catalogue drops was played all the same, and its features go on
    known = current.select(*[name for name in updates.columns if name in current.columns])
    others = known.join(updates.select("track_id"), "track_id", "left_anti")
    # a column that is newer than the table is null there
    return updates.unionByName(others, allowMissingColumns=True)


def find_changes(
    updates: DataFrame, current: DataFrame, fields: tuple[str, ...], version: int, today: date
) -> DataFrame:
    """Rows of `track_changes`: each of `fields` in which a track of `current` has another value in `updates`.

    Args:
        version: of the table `tracks` that `current` is.
    """
    old = current.select("track_id", *[F.col(name).alias(f"_old_{name}") for name in fields])
    dtypes = dict(updates.dtypes)
    changes = [
        F.when(
            ~F.col(name).eqNullSafe(F.col(f"_old_{name}")),
            F.struct(
                F.lit(name).alias("field"),
                _as_text(f"_old_{name}", dtypes[name]).alias("before"),
                _as_text(name, dtypes[name]).alias("after"),
            ),
        )
        for name in fields
    ]
    changed = updates.join(old, "track_id").select(
        "track_id", "source", F.explode(F.array_compact(F.array(*changes))).alias("_change")
    )
    return changed.select(
        "track_id",
        F.coalesce("_change.field", F.lit("")).alias("field"),
        "_change.before",
        "_change.after",
        "source",
        F.lit(version).cast("bigint").alias("tracks_version"),
        F.lit(today).alias("ds"),
    )


def _as_text(name: str, type_: str) -> Column:
    return F.to_json(name) if type_.startswith("array") else F.col(name).cast("string")
