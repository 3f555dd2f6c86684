"""Parquet files of others: as Spark reads them, and those that pandas writes by default, in nanoseconds, too."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from segue.storage import filesystem

if TYPE_CHECKING:
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
    floors = {name: F.expr(f"(`{name}` - pmod(`{name}`, 1000)) div 1000") for name in names}
    return rows.withColumns({name: F.timestamp_micros(floor) for name, floor in floors.items()})


def _list_nanosecond_columns(path: str) -> list[str]:
    import pyarrow as pa
    import pyarrow.dataset as pads

    files, inner = filesystem(re.sub("^file:/+", "/", path))
    schema = pads.dataset(inner, format="parquet", filesystem=files).schema
    return [field.name for field in schema if pa.types.is_timestamp(field.type) and field.type.unit == "ns"]
