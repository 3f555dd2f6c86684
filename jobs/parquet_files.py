"""Parquet files of others: as Spark reads them, and those that pandas writes by default, in nanoseconds, too."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from urllib.parse import quote

from jobs.errors import JobError, first_line
from schemas.common import quote_name
from segue.storage import S3, filesystem

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.fs import FileSystem
    from pyspark.sql import DataFrame, SparkSession

NANOS_AS_LONG = "spark.sql.legacy.parquet.nanosAsLong"
# Instants as Hive and Impala write them, and Spark too: they are no numbers of nanoseconds, as Arrow says by default.
INT96_UNIT = "us"


def read_parquet(spark: SparkSession, paths: Sequence[str]) -> DataFrame:
    """The rows of files and folders; instants of nanoseconds are rounded down to microseconds, Spark's unit."""
    from pyspark.errors import PySparkException
    from pyspark.sql import functions as F

    try:
        rows = spark.read.parquet(*paths)
    except PySparkException as problem:
        if "NANOS" not in str(problem):
            raise
        # Spark has no such type, and reads a whole number where this is set: for this session alone
        spark.conf.set(NANOS_AS_LONG, "true")
        rows = spark.read.parquet(*paths)
    # it may have been set for files before these, and then nothing is raised
    if spark.conf.get(NANOS_AS_LONG) != "true":
        return rows
    names = [name for name in _list_nanosecond_columns(paths[0]) if name in rows.columns]
    # whole numbers throughout: as doubles, instants of today are off by up to 128 ns, and so by a microsecond
    floors = {name: "({0} - pmod({0}, 1000)) div 1000".format(quote_name(name)) for name in names}
    return rows.withColumns({name: F.timestamp_micros(F.expr(floor)) for name, floor in floors.items()})


def read_parquet_by_schema(
    spark: SparkSession, paths: Sequence[str], choose: Callable[[DataFrame], DataFrame]
) -> list[DataFrame]:
    """The rows of listed files, those of one schema together: Spark would read all by the schema of one of them.

    Args:
        choose: gives of rows the columns that are wanted; no two of them may be alike but for case.

    Raises:
        JobError: a file is no whole parquet file.
    """
    paths_by_schema: dict[pa.Schema, list[str]] = defaultdict(list)
    # opening a file costs a round trip, so many at once
    with ThreadPoolExecutor(16) as pool:
        for path, schema in zip(paths, pool.map(_read_schema, paths), strict=True):
            paths_by_schema[schema].append(path)
    return [
        (_read_alike if _has_alike(schema) else _read)(spark, list(map(spell, group)), choose)
        for schema, group in paths_by_schema.items()
    ]


def _read(spark: SparkSession, paths: Sequence[str], choose: Callable[[DataFrame], DataFrame]) -> DataFrame:
    return choose(read_parquet(spark, paths))


def _read_alike(
    spark: SparkSession, paths: Sequence[str], choose: Callable[[DataFrame], DataFrame]
) -> DataFrame:
    """The same of files with columns that are alike but for case, which Spark takes for one."""
    from pyspark.sql import DataFrame as Rows

    # in a session of its own: in this one, SQL of sources shall find a name that is written in another case
    exact = spark.newSession()
    exact.conf.set("spark.sql.caseSensitive", "true")
    rows = choose(read_parquet(exact, paths))._jdf
    # as rows that are computed there: a plan would be optimised here, where two of its columns have one name
    return Rows(spark._jsparkSession.createDataFrame(rows.toJavaRDD(), rows.schema()), spark)


def _has_alike(schema: pa.Schema) -> bool:
    return len({name.lower() for name in schema.names}) < len(schema.names)


def _read_schema(path: str) -> pa.Schema:
    import pyarrow as pa
    import pyarrow.parquet as pq

    files, inner = filesystem_of_listed(path)
    try:
        with pq.ParquetFile(inner, filesystem=files, coerce_int96_timestamp_unit=INT96_UNIT) as file:
            return file.schema_arrow.remove_metadata()
    except (pa.ArrowException, OSError) as problem:
        text = f"file {path} is no whole parquet file: {first_line(problem)}"
        raise JobError(f"{text}; wait until it is written, or mend it") from None


def filesystem_of_listed(path: str) -> tuple[FileSystem, str]:
    """What a file that Spark listed is read with, and its path there."""
    scheme, _, key = path.partition("://")
    if not key:  # Hadoop writes file:/data
        return filesystem(re.sub("^file:/+", "/", path))
    # and quotes nothing in the URIs of storage
    return filesystem(path if scheme in S3 else quote(path, safe=":/@"))


def spell(path: str) -> str:
    """`path` so that Spark takes it for a name, where it would take `[`, `{` and their like for a pattern."""
    return re.sub(r"([\\\[\]{}*?])", r"\\\1", path)


def _list_nanosecond_columns(path: str) -> list[str]:
    import pyarrow as pa
    import pyarrow.dataset as pads

    files, inner = filesystem_of_listed(re.sub(r"\\(.)", r"\1", path))
    parquet = pads.ParquetFileFormat(coerce_int96_timestamp_unit=INT96_UNIT)
    schema = pads.dataset(inner, format=parquet, filesystem=files).schema
    return [field.name for field in schema if pa.types.is_timestamp(field.type) and field.type.unit == "ns"]
