"""A hash of a row's values: equal rows are found without a look at each column."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING
from zlib import crc32

from schemas.common import quote_name

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def row_hash(df: DataFrame, names: Iterable[str]) -> Column:
    """xxhash64 of some columns, with what Spark's leaves out."""
    from pyspark.sql import functions as F

    # Spark's skips nulls, and the ends of arrays: (null, x) hashes like (x, null), and [1], [2] like [1, 2], []. So
    # each value that is there follows a number for its column, and arrays their sizes. A column that is null adds
    # nothing: a table that gets a new one keeps its hashes.
    columns: list[Column] = []
    for name in names:
        # of labels the names are anybody's
        column, kind = F.col(quote_name(name)), df.schema[name].dataType.typeName()
        # equal maps may have their entries in any order, and Spark hashes none
        value = F.array_sort(F.map_entries(column)) if kind == "map" else column
        columns += [F.when(column.isNotNull(), crc32(name.encode())), value]
        if kind == "array":
            columns += [F.size(column), F.transform(column, F.isnull)]
    return F.xxhash64(*columns)
