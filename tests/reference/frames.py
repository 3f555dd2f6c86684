"""Between rows and DataFrames, by a table's contract on the way in and out."""

from __future__ import annotations

from collections.abc import Iterable

from pyspark.sql import DataFrame, SparkSession

from reference.rows import Row
from schemas.contract import Contract, conform


def frame(spark: SparkSession, rows: Iterable[Row], contract: Contract) -> DataFrame:
    """`rows` as the table of `contract` would be read, `available_at` null."""
    values = [tuple(row.get(name) for name in contract.names) for row in rows]
    return spark.createDataFrame(values, contract.struct())


def rows(df: DataFrame, contract: Contract) -> list[Row]:
    """`df`, held to its contract, as rows without `available_at`; instants know that they are UTC."""
    return conform(df, contract).drop("available_at").toArrow().to_pylist()
