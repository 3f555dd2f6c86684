"""What of a source's rows is kept for a reject, where the files say more of a person than is taken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from schemas.common import quote_name
from schemas.sql import list_columns

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from jobs.sources import Source


def redact(rows: DataFrame, source: Source, columns: Mapping[str, str]) -> DataFrame:
    """RAW as JSON of those columns alone that SQL reads, without those that pseudonyms are made of.

    Of a broken line nobody knows which part of it is an address or a name: its length is kept.
    """
    from pyspark.sql import functions as F

    from features.ingest import BROKEN, IS_HEADER, RAW
    from jobs.long_rows import LONG

    if not (source.personal or source.pseudonymise):
        return rows
    kept = list_kept_columns(source, columns)
    fields = [
        F.col(quote_name(name)).cast("string").alias(name) for name in rows.columns if name.lower() in kept
    ]
    lengths = F.format_string("(a line of %d characters)", F.length(RAW))
    text = F.to_json(F.struct(*fields)) if fields else F.lit("{}")
    # a header has names of columns only, and of a long row there is no text
    is_kept = F.col(IS_HEADER) | F.col(LONG)
    redacted = F.when(is_kept, F.col(RAW)).when(F.col(BROKEN), lengths).otherwise(text)
    return rows.withColumn(RAW, redacted)


def redact_listener(rows: DataFrame, source: Source, columns: Mapping[str, str]) -> DataFrame:
    """The same where files name a listener, so that no erasure has to look for one in the rejects of a catalogue."""
    names = {name.lower() for name in list_columns(source.plays.get("user_id", "null"))}
    if source.personal or not names & {name.lower() for name in rows.columns}:
        return rows
    return redact(rows, source.replace(personal=True), columns)


def list_kept_columns(source: Source, columns: Mapping[str, str]) -> set[str]:
    """The columns of files that expressions read, without those of ids that are replaced; lower-case, as Spark
    compares them."""
    names: dict[bool, set[str]] = {True: set(), False: set()}
    for field, expression in columns.items():
        names[field in source.pseudonymise].update(map(str.lower, list_columns(expression)))
    return names[False] - names[True]
