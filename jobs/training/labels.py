"""Labels as they come: a Delta table, parquet or CSV with any columns, the keys and an instant."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

from expectations.profile import content
from features.joins.serving import from_micros
from jobs.errors import JobError, WrongUsage, first_line
from jobs.parquet_files import read_parquet
from jobs.session import is_submitted
from segue.storage import is_delta

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import DataType


@dataclass(frozen=True)
class Labels:
    """The rows, and what identifies them; `days` are those that they fall on, in order."""

    rows: DataFrame
    count: int
    content_hash: str
    first: datetime
    last: datetime
    days: tuple[date, ...]
    # the column of the instants
    at: str = "label_at"

    def count_from(self, instant: datetime) -> tuple[int, datetime]:
        """How many are at an instant or later, and the first of them; there is one."""
        from pyspark.sql import functions as F

        at = F.col(f"`{self.at}`")
        late = self.rows.where(at >= F.lit(instant))
        ((count, first),) = late.agg(F.count("*"), F.unix_micros(F.min(at))).collect()
        return count, from_micros(first)


def locate_labels(path: str) -> str:
    """The path in full, so that it means the same from any folder."""
    # a submitted step's path without a scheme is one of the cluster's file system
    return path if "://" in path or is_submitted() else os.path.abspath(path)


def read_labels(spark: SparkSession, path: str, at: str) -> Labels:
    """The labels at `path`.

    Raises:
        WrongUsage: they cannot be read; no column `at`, or none of instants; labels without one; no labels.
    """
    from pyspark.sql import functions as F

    rows = _read(spark, path)
    if at not in rows.columns:
        raise WrongUsage(f"labels {path}: no column {at!r} (--at); there are: {', '.join(rows.columns)}")
    if nested := [field.name for field in rows.schema if _holds_map(field.dataType)]:
        raise WrongUsage(
            f"labels {path}: {', '.join(nested)} has maps within, which cannot be hashed; leave it out"
        )
    rows = _with_instants(rows, path, at)
    instant = F.unix_micros(F.col(f"`{at}`"))
    measures = {"first": F.min(instant), "last": F.max(instant), "nulls": F.count_if(instant.isNull())}
    # one scan for the hash, the count, both ends and the nulls
    counted, limits = content(rows, measures)
    if not counted.rows:
        raise WrongUsage(f"labels {path}: there are none")
    if nulls := limits["nulls"]:
        raise WrongUsage(
            f"labels {path}: {nulls:,} of {counted.rows:,} have no {at!r}; every label needs its instant"
        )
    # the days decide which partitions are read; those in between, without labels, need none
    days = rows.select(F.to_date(F.col(f"`{at}`")).alias("day")).distinct().collect()
    return Labels(
        rows=rows,
        count=counted.rows,
        content_hash=f"{counted.content_hash:016x}",
        # as microseconds: Spark hands instants over in the zone of the machine
        first=from_micros(limits["first"]),
        last=from_micros(limits["last"]),
        days=tuple(sorted(row["day"] for row in days)),
        at=at,
    )


def _read(spark: SparkSession, path: str) -> DataFrame:
    from pyspark.errors import PySparkException

    try:
        if is_delta(path):
            return spark.read.format("delta").load(path)
        if path.endswith((".csv", ".csv.gz")):
            return _read_csv(spark, path)
        return read_parquet(spark, [path])
    except PySparkException as problem:
        raise WrongUsage(
            f"labels {path} cannot be read: {first_line(problem)}. Give a Delta table, parquet or .csv with a header"
        ) from None


def _read_csv(spark: SparkSession, path: str) -> DataFrame:
    # the text of a CSV says nothing of types: keys stay text, and the instant is parsed. Quotes are doubled and may
    # hold line ends, as pandas and spreadsheets write them; so one task reads a file, which labels are small enough for
    rows = spark.read.csv(path, header=True, multiLine=True, quote='"', escape='"')
    first = rows.columns[0]
    # a byte order mark would be a part of the first name
    return rows.withColumnRenamed(first, first.lstrip("\ufeff"))


def _with_instants(rows: DataFrame, path: str, at: str) -> DataFrame:
    from pyspark.sql import functions as F

    kind = rows.schema[at].dataType.typeName()
    if kind == "string":
        # `to_timestamp` would fail in a task, with a trace; a null is counted, and said in one line
        return rows.withColumn(at, F.try_to_timestamp(F.col(f"`{at}`")))
    if kind not in ("timestamp", "timestamp_ntz"):
        raise WrongUsage(f"labels {path}: {at!r} is {kind}; it must be a timestamp (UTC)")
    # the session's zone is UTC, so an instant without a zone is one in UTC.
    return rows.withColumn(at, F.col(f"`{at}`").cast("timestamp"))


def _holds_map(type_: DataType) -> bool:
    """Deeper than at the top, where its entries are hashed in order."""
    from pyspark.sql.types import ArrayType, MapType, StructType

    inner = [type_.elementType] if isinstance(type_, ArrayType) else []
    inner += [field.dataType for field in type_.fields] if isinstance(type_, StructType) else []
    inner += [type_.keyType, type_.valueType] if isinstance(type_, MapType) else []
    return any(isinstance(each, MapType) or _holds_map(each) for each in inner)


def check_same(labels: Labels, rows: int, content_hash: str, path: str) -> None:
    """Raises JobError where the labels are not what a manifest says that they were."""
    if (labels.count, labels.content_hash) != (rows, content_hash):
        raise JobError(
            f"labels {path} are not those of the manifest: {labels.count:,} rows of content hash "
            f"{labels.content_hash}, expected {rows:,} of {content_hash}. Restore them, or make a new training set"
        )
