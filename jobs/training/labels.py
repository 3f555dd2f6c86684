"""Labels as they come: files with any columns, the keys and an instant, or the events of a table of the root."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import TYPE_CHECKING

from expectations.profile import content
from features.joins.serving import from_micros
from features.joins.splits import is_sampled
from jobs.errors import JobError, WrongUsage, first_line
from jobs.job import Job
from jobs.parquet_files import read_parquet, spell
from jobs.session import is_submitted
from jobs.training.columns import check_names, check_split_column
from jobs.training.request import Request
from jobs.training.requests import add_item_ids, check_requests
from schemas import CONTRACTS, Contract
from schemas.common import AVAILABLE_AT, DS, FEATURE_AT, quote_name
from segue.instants import describe_too_late
from segue.paths import make_absolute
from segue.storage import is_delta

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, DataFrameReader, SparkSession
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

    def select(self, rows: DataFrame) -> Labels | None:
        """Some of them, as a condition leaves them; None where it leaves none. The hash stays that of all."""
        from pyspark.sql import functions as F

        at = F.col(quote_name(self.at))
        instant = F.unix_micros(at)
        limits = (F.count("*").alias("rows"), F.min(instant).alias("first"), F.max(instant).alias("last"))
        days = sorted(
            rows.groupBy(F.to_date(at).alias("day")).agg(*limits).collect(), key=lambda row: row["day"]
        )
        if not days:
            return None
        return replace(
            self,
            rows=rows,
            count=sum(row["rows"] for row in days),
            first=from_micros(days[0]["first"]),
            last=from_micros(days[-1]["last"]),
            days=tuple(row["day"] for row in days),
        )

    def count_from(self, instant: datetime) -> tuple[int, datetime]:
        """How many are at an instant or later, and the first of them; there is one."""
        from pyspark.sql import functions as F

        at = F.col(quote_name(self.at))
        late = self.rows.where(at >= F.lit(instant))
        ((count, first),) = late.agg(F.count("*"), F.unix_micros(F.min(at))).collect()
        return count, from_micros(first)


def find_label_table(labels: str) -> Contract | None:
    """The table of events that labels are named by, whose rows they are; None where they are in files."""
    contract = CONTRACTS.get(labels)
    return contract if contract and contract.event_time not in (None, FEATURE_AT.name) else None


def locate_labels(path: str) -> str:
    """A path in full, so that it means the same from any folder; a table's name as it is."""
    if find_label_table(path):
        return path
    # a submitted step's path without a scheme is one of the cluster's file system
    return path if is_submitted() else make_absolute(path)


def find_labels(job: Job, request: Request, added: Sequence[str]) -> Labels:
    """The labels of a request, or a sample of them; those of a table at the version that the job has it at.

    Args:
        added: the columns that they get, by `list_added`.

    Raises:
        WrongUsage: as `read_labels`; they have one of these columns, or not that of the split; a sample of no share, or
            by nothing; or what would cut a request.
    """
    events = find_label_table(request.labels)
    if events is None:
        rows = _read(job.spark, request.labels)
    else:
        # where a row lies, and since when, is nothing of the event
        rows = job.read(events.name).drop(DS.name, AVAILABLE_AT.name, "bucket")
    rows = add_item_ids(rows, request)
    check_names(request, rows.columns, added)
    check_split_column(request, [*rows.columns, *added])
    check_requests(rows, request)
    key = request.sample_by or request.groups or (events.key[0] if events else None)
    return _measure(_sample(rows, request, key), request.labels, request.at)


def read_labels(spark: SparkSession, path: str, at: str) -> Labels:
    """The labels at `path`.

    Raises:
        WrongUsage: they cannot be read; no column `at`, or none of instants; no labels, or some without
            an instant or after the year 9999.
    """
    return _measure(_read(spark, path), path, at)


def _sample(rows: DataFrame, request: Request, key: str | None) -> DataFrame:
    from pyspark.sql import functions as F

    if request.sample is None:
        if request.sample_by:
            raise WrongUsage("--sample-by COLUMN is of --sample SHARE; give both")
        return rows
    if not 0 < request.sample <= 1:
        raise WrongUsage(f"--sample takes a share of more than 0 and at most 1; got {request.sample}")
    if key is None:
        raise WrongUsage("--sample of labels in files needs --sample-by COLUMN, such as user_id")
    if key not in rows.columns:
        raise WrongUsage(f"--sample-by {key}: no such column; there are: {', '.join(rows.columns)}")
    return rows.where(is_sampled(F.col(quote_name(key)), request.sample))


def _measure(rows: DataFrame, path: str, at: str) -> Labels:
    from pyspark.sql import functions as F

    if at not in rows.columns:
        raise WrongUsage(f"labels {path}: no column {at!r} (--at); there are: {', '.join(rows.columns)}")
    if nested := [field.name for field in rows.schema if _holds_map(field.dataType)]:
        raise WrongUsage(
            f"labels {path}: {', '.join(nested)} has maps within, which cannot be hashed; leave it out"
        )
    rows = _with_instants(rows, path, at)
    instant = F.unix_micros(F.col(quote_name(at)))
    measures = {"first": F.min(instant), "last": F.max(instant), "nulls": F.count_if(instant.isNull())}
    # one scan for the hash, the count, both ends and the nulls
    counted, limits = content(rows, measures)
    if not counted.rows:
        raise WrongUsage(f"labels {path}: there are none")
    if nulls := limits["nulls"]:
        raise WrongUsage(
            f"labels {path}: {nulls:,} of {counted.rows:,} have no {at!r}; every label needs its instant"
        )
    if problem := describe_too_late(at, limits["last"]):
        raise WrongUsage(f"labels {path}: {problem}. Write the column in the right unit")
    # the days decide which partitions are read; those in between, without labels, need none
    days = rows.select(F.to_date(F.col(quote_name(at))).alias("day")).distinct().collect()
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
        return read_parquet(spark, [_spell_name(path)])
    except PySparkException as problem:
        raise WrongUsage(
            f"labels {path} cannot be read: {first_line(problem)}. Give a Delta table, parquet or .csv with a header"
        ) from None


def _spell_name(path: str) -> str:
    # what is there by this name is meant, and not what a pattern would find beside it
    return spell(path) if os.path.exists(path) else path


def _read_csv(spark: SparkSession, path: str) -> DataFrame:
    # the text of a CSV says nothing of types: keys stay text, and the instant is parsed. Quotes are doubled and may
    # hold line ends, as pandas and spreadsheets write them; so one task reads a file, which labels are small enough for
    reader = spark.read.options(header=True, multiLine=True, quote='"', escape='"')
    rows = reader.csv(_spell_name(path))
    if not rows.columns:
        raise WrongUsage(f"labels {path}: there are none; expected a header, and a line for each")
    _check_fields(reader, path, rows.columns)
    first = rows.columns[0]
    # a byte order mark would be a part of the first name
    return rows.withColumnRenamed(first, first.lstrip("\ufeff"))


def _check_fields(reader: DataFrameReader, path: str, names: Sequence[str]) -> None:
    """Raises WrongUsage where a line has more or fewer fields than the header: Spark drops the ones, makes nulls of
    the others, and after a comma without quotes takes each value for that of another column."""
    from pyspark.sql import functions as F

    # longer than any name, so that it is none of them
    line = "_" * (1 + max(map(len, names)))
    schema = ", ".join(f"{quote_name(name)} string" for name in (*names, line))
    rows = reader.schema(schema).option("columnNameOfCorruptRecord", line).csv(_spell_name(path))
    # of all columns something, as Spark would neither read nor count those that nobody asks for
    everything = F.max(F.xxhash64(*(F.col(quote_name(name)) for name in names)))
    ((count, first, _),) = rows.agg(F.count(line), F.first(line, ignorenulls=True), everything).collect()
    if count:
        raise WrongUsage(
            f"labels {path}: lines with more or fewer fields than the {len(names)} of the header: {count:,}; the first "
            f"is {first.strip()[:200]!r}. Write all fields of each line, and values with commas in quotes"
        )


def _with_instants(rows: DataFrame, path: str, at: str) -> DataFrame:
    from pyspark.sql import functions as F

    kind = rows.schema[at].dataType.typeName()
    if kind == "string":
        # `to_timestamp` would fail in a task, with a trace; a null is counted, and said in one line
        return rows.withColumn(at, F.try_to_timestamp(F.col(quote_name(at))))
    if kind not in ("timestamp", "timestamp_ntz"):
        raise WrongUsage(f"labels {path}: {at!r} is {kind}; it must be a timestamp (UTC)")
    # the session's zone is UTC, so an instant without a zone is one in UTC.
    return rows.withColumn(at, F.col(quote_name(at)).cast("timestamp"))


def _holds_map(type_: DataType) -> bool:
    """Deeper than at the top, where its entries are hashed in order."""
    from pyspark.sql.types import ArrayType, MapType, StructType

    inner = [type_.elementType] if isinstance(type_, ArrayType) else []
    inner += [field.dataType for field in type_.fields] if isinstance(type_, StructType) else []
    inner += [type_.keyType, type_.valueType] if isinstance(type_, MapType) else []
    return any(isinstance(each, MapType) or _holds_map(each) for each in inner)


def check_keys(labels: str, rows: DataFrame, table: str, keys: Sequence[str]) -> None:
    """Raises WrongUsage where labels lack a key of a table, or have other than text in it."""
    if missing := [key for key in keys if key not in rows.columns]:
        raise WrongUsage(
            f"labels {labels}: {table} is looked up by {', '.join(keys)}, and there is no {', '.join(missing)}; "
            f"there are: {', '.join(rows.columns)}"
        )
    types = {key: rows.schema[key].dataType.simpleString() for key in keys}
    if wrong := [f"{key} is {type_}" for key, type_ in types.items() if type_ != "string"]:
        # cast here, 7 would meet the listener 7 and miss 007: only whoever wrote the labels knows which is meant
        raise WrongUsage(
            f"labels {labels}: {table} is looked up by strings, and {', '.join(wrong)}; write the ids as the source "
            "does"
        )


def check_same(labels: Labels, rows: int, content_hash: str, path: str) -> None:
    """Raises JobError where the labels are not what a manifest says that they were."""
    if (labels.count, labels.content_hash) != (rows, content_hash):
        raise JobError(
            f"labels {path} are not those of the manifest: {labels.count:,} rows of content hash "
            f"{labels.content_hash}, expected {rows:,} of {content_hash}. Restore them, or make a new training set"
        )
