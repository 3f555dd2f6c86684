"""Which features late plays changed: rows of days that were published before, against what they are now."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def count_changes(old: DataFrame, new: DataFrame, key: Sequence[str], columns: Sequence[str]) -> DataFrame:
    """One row: per column, in how many rows of either side it is another value, or is there on one side alone."""
    sides = [rows.select(*key, F.struct(*columns).alias(side)) for rows, side in ((old, "old"), (new, "new"))]
    both = sides[0].join(sides[1], [*key], "full")
    differs = {name: ~F.col(f"old.{name}").eqNullSafe(F.col(f"new.{name}")) for name in columns}
    one_sided = F.col("old").isNull() | F.col("new").isNull()
    return both.agg(*[F.count_if(one_sided | differs[name]).alias(name) for name in columns])
