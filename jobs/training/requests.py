"""Requests of a ranking set: the labels of one stay together, in samples, among ripe labels, in splits and in files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.errors import WrongUsage
from jobs.parquet_files import spell
from jobs.training.request import Request, list_keys
from schemas.common import quote_name
from schemas.declarations import USER
from segue.impressions import POSITION
from segue.storage import is_delta

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

# A file is one row group of Parquet, which its writer holds in memory: so many rows of some hundred bytes.
ROWS_A_FILE = 2**17
# Bytes after which the writer would begin another row group, in the middle of a request.
_ROW_GROUP = 2**30
# Within a request, as far as labels have them; those that tie in what they have come in any order.
_ORDER = (POSITION, "impression_id")


def check_requests(rows: DataFrame, request: Request) -> None:
    """Raises WrongUsage where labels have no request or no order, or a sample, a split or a listener would cut one."""
    from pyspark.sql import functions as F

    if request.groups is None:
        return
    if request.groups not in rows.columns:
        raise WrongUsage(
            f"--groups {request.groups}: the labels have no such column; there are: {', '.join(rows.columns)}"
        )
    _check_position(rows, request.groups)
    names = dict.fromkeys([request.split_by, request.sample_by, USER[0]])
    whole = [name for name in names if name in rows.columns and name != request.groups]
    several = {f"several {n}": _has_several(name).alias(f"several {n}") for n, name in enumerate(whole)}
    group = F.col(quote_name(request.groups)).alias("request")
    per_request = rows.groupBy(group).agg(F.count("*").alias("rows"), *several.values())
    counts = [F.count_if(name).alias(name) for name in several]
    nulls = F.sum(F.when(F.col("request").isNull(), F.col("rows"))).alias("nulls")
    (found,) = per_request.agg(nulls, *counts).collect()
    if found["nulls"]:
        raise WrongUsage(
            f"--groups {request.groups}: {found['nulls']:,} labels have none; every one needs it"
        )
    if cut := [f"{name} ({found[n]:,} requests)" for n, name in zip(several, whole, strict=True) if found[n]]:
        raise WrongUsage(
            f"--groups {request.groups}: requests have labels of several {', '.join(cut)}, which would cut them; one "
            "request is one slate of one listener: put the listener's id before its own"
        )


def _check_position(rows: DataFrame, groups: str) -> None:
    """As `segue.read_ranking_set` does: a set that it refuses is not written."""
    from pyspark.sql.types import NullType, NumericType

    # as text, 10 comes before 9
    for field in rows.schema:
        if field.name == POSITION and not isinstance(field.dataType, NullType | NumericType):
            raise WrongUsage(
                f"--groups {groups}: labels of a request are in the order of {POSITION!r}, a number; got "
                f"{field.dataType.typeName()}. Give Parquet with numbers, or give the column another name"
            )


def _has_several(name: str) -> Column:
    from pyspark.sql import functions as F

    column = F.col(quote_name(name))
    # null beside a value is another one; of nulls alone the first comparison is null, which counts as false
    return (F.min(column) != F.max(column)) | ((F.count(column) > 0) & (F.count(column) < F.count("*")))


def add_item_ids(rows: DataFrame, request: Request) -> DataFrame:
    """With the keys of the requested tables that impressions have as `item_id`: of the items of that type."""
    from pyspark.sql import functions as F

    if request.groups is None or not {"item_type", "item_id"} <= set(rows.columns):
        return rows
    types = {key: key.removesuffix("_id") for key in list_keys(request) if key.endswith("_id")}
    return rows.withColumns(
        {
            key: F.when(F.col("item_type") == type_, F.col("item_id"))
            for key, type_ in types.items()
            if key not in rows.columns
        }
    )


def keep_whole(rows: DataFrame, condition: Column, groups: str | None) -> DataFrame:
    """Labels for which a condition holds, never null; with `groups`, requests for all labels of which it does."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    if groups is None:
        return rows.where(condition)
    request = Window.partitionBy(F.col(quote_name(groups)))
    return rows.withColumn("is whole", F.min(condition).over(request)).where("`is whole`").drop("is whole")


def request_instant(at: str, groups: str | None) -> Column:
    """The instant that decides a label's split: its own, or the first of its request."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    # quoted: a label's column may have dots in its name
    instant = F.col(quote_name(at))
    return instant if groups is None else F.min(instant).over(Window.partitionBy(F.col(quote_name(groups))))


def count_requests(labels: DataFrame, ripe: DataFrame, groups: str | None) -> dict[str, int]:
    """How many requests are kept, and how many left out; empty where labels are of none."""
    from pyspark.sql import functions as F

    if groups is None:
        return {}
    count = F.count_distinct(F.col(quote_name(groups)))
    (all_,), (kept,) = (rows.agg(count).collect()[0] for rows in (labels, ripe))
    return {"kept": kept, "left_out": all_ - kept}


def write_rows(rows: DataFrame, request: Request, count: int, format_: str, out: str) -> None:
    """Writes a training set; one of requests in files that hold these whole and in order.

    Args:
        count: of the labels, by which it is decided how many files there are.
    """
    if request.groups is None:
        rows.write.format(format_).save(out)
        return
    arranged = _arrange(rows, request, -(-count // ROWS_A_FILE))
    # one row group a file, and no file that is begun in the middle of a request
    arranged.write.option("parquet.block.size", _ROW_GROUP).option("maxRecordsPerFile", 0).parquet(out)


def read_rows(spark: SparkSession, path: str) -> DataFrame:
    """The rows of a training set."""
    if is_delta(path):
        return spark.read.format("delta").load(path)
    # its name may be one that Spark takes for a pattern
    return spark.read.parquet(spell(path))


def _arrange(rows: DataFrame, request: Request, files: int) -> DataFrame:
    from pyspark.sql import functions as F

    assert request.groups is not None
    # a number of files that is given is kept by Spark, whatever it finds of their sizes
    together = rows.repartition(files, F.col(quote_name(request.groups)))
    order = [request.groups, *(name for name in _ORDER if name in rows.columns)]
    first = request_instant(request.at, request.groups)
    ordered = together.withColumn("first instant", first).sortWithinPartitions(
        "first instant", *(F.col(quote_name(name)).asc_nulls_last() for name in order)
    )
    return ordered.drop("first instant")
