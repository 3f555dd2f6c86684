"""Parquet files of others: as Spark reads them, and those that pandas writes by default, in nanoseconds, too."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from schemas.common import quote_name
from segue.storage import filesystem

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem
    from pyspark.sql import DataFrame, SparkSession


def read_parquet(spark: SparkSession, paths: Sequence[str]) -> DataFrame:
    """The rows of files and folders; instants of nanoseconds are rounded down to microseconds, Spark's unit."""
    from pyspark.errors import PySparkException
    from pyspark.sql import functions as F

    try:
        return spark.read.parquet(*paths)
    except PySparkException as problem:
        if "NANOS" not in str(problem):
            raise
    # Spark has no such type, and reads a whole number where this is set: for this session alone
    spark.conf.set("spark.sql.legacy.parquet.nanosAsLong", "true")
    rows = spark.read.parquet(*paths)
    names = [name for name in _list_nanosecond_columns(paths[0]) if name in rows.columns]
    # whole numbers throughout: as doubles, instants of today are off by up to 128 ns, and so by a microsecond
    floors = {name: "({0} - pmod({0}, 1000)) div 1000".format(quote_name(name)) for name in names}
    return rows.withColumns({name: F.timestamp_micros(F.expr(floor)) for name, floor in floors.items()})


def filesystem_of_listed(path: str) -> tuple[FileSystem, str]:
    """What a file that Spark listed is read with, and its path there."""
    # Hadoop writes file:/data; as a path, as in a URI spaces and percent signs would mean something else
    return filesystem(re.sub("^file:/+", "/", path))


def _list_nanosecond_columns(path: str) -> list[str]:
    import pyarrow as pa
    import pyarrow.dataset as pads

    files, inner = filesystem_of_listed(path)
    schema = pads.dataset(inner, format="parquet", filesystem=files).schema
    return [field.name for field in schema if pa.types.is_timestamp(field.type) and field.type.unit == "ns"]
