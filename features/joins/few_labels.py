"""As-of joins of labels that are few enough to broadcast: by equality, once it is known which rows they get.

A first pass, over keys and instants alone, finds for every label the `feature_at` of its row. The second reads the
wide rows and keeps those. Rows are put to labels where they are read, so no key is too hot for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from features.joins import reduction
from features.joins.instants import LabelInstants

# Those of which Arrow sees the same values as equal as Spark does.
KEY_TYPES = {"string", "bigint", "int", "smallint", "tinyint", "date"}
# Of the labels' keys and instants, once per table: a table that the driver makes says of each what rows to keep.
MOST_BYTES = 64 << 20


def read_instants(labels: DataFrame, tables: int) -> LabelInstants | None:
    """Of labels with key parts and `time`, none null; a job. None where they are many, or a key is of another type."""
    *parts, _ = labels.schema.fields
    few = reduction.is_broadcastable(labels) and reduction.size(labels) * tables <= MOST_BYTES
    if few and {part.dataType.simpleString() for part in parts} <= KEY_TYPES:
        return LabelInstants.of(labels.withColumn("time", F.unix_micros("time")).toArrow())
    return None


def join_by_place(
    labels: DataFrame,
    keys: Sequence[str],
    at: str,
    histories: Mapping[str, DataFrame],
    instants: LabelInstants,
) -> DataFrame:
    """`labels` and, per history, the struct of its greatest row up to the label's instant, or null; as `join_as_of`.

    A job over keys and instants of the histories comes first.
    """
    visible = _find_visible(list(histories.values()), instants)
    joined = _add_place(labels, [*keys, at], instants)
    for (row, history), rows in zip(histories.items(), visible, strict=True):
        joined = joined.join(_keep_visible(history, row, rows), "place", "left")
    return joined.drop("place")


def _find_visible(histories: Sequence[DataFrame], instants: LabelInstants) -> list[pa.Table]:
    """Per history, `feature_at` of the row that each place gets; without those that get none."""
    # all histories in one job, as each has a pass of its own over the same few columns
    found = _find_newest(histories, instants)
    visible = []
    for n in range(len(histories)):
        of_history = found.filter(pc.equal(found["history"], n))
        columns = (of_history[name].to_numpy().astype(np.int64) for name in ("place", "feature_at"))
        visible.append(instants.carry_newest(*columns))
    return visible


def _find_newest(histories: Sequence[DataFrame], instants: LabelInstants) -> pa.Table:
    """Per `history` and `place`, the greatest `feature_at` of rows after the place before, up to it."""
    spark = histories[0].sparkSession
    levels = [F.broadcast(spark.createDataFrame(level)) for level in instants.list_levels()]
    rows = [
        _find_places(_narrow(history), levels, instants.keys.column_names).withColumn("history", F.lit(n))
        for n, history in enumerate(histories)
    ]
    newest = F.max("feature_at").alias("feature_at")
    return reduce(DataFrame.union, rows).groupBy("history", "place").agg(newest).toArrow()


def _narrow(history: DataFrame) -> DataFrame:
    """Key parts, `time` and the `feature_at` of the struct, as microseconds; a column store reads no more."""
    *parts, _, row = history.columns
    feature_at = F.unix_micros(F.col(row)["feature_at"])
    return history.select(*parts, F.unix_micros("time").alias("time"), feature_at.alias("feature_at"))


def _find_places(rows: DataFrame, levels: Sequence[DataFrame], parts: Sequence[str]) -> DataFrame:
    """Of rows with a label of their key at their `time` or later, the `place` of the first; and `feature_at`."""
    within = (F.col("since") < F.col("time")) & (F.col("time") <= F.col("until"))
    top, *others = levels
    labelled = top.withColumnsRenamed(_label_names(parts))
    rows = rows.join(labelled, _is_same(parts) & within).select("time", "feature_at", "node")
    for level in others:
        below = level.withColumnRenamed("node", "child")
        rows = rows.join(below, (F.col("node") == F.col("parent")) & within)
        rows = rows.select("time", "feature_at", F.col("child").alias("node"))
    return rows.select("feature_at", F.col("node").alias("place"))


def _keep_visible(history: DataFrame, row: str, visible: pa.Table) -> DataFrame:
    """Per `place` the struct `row` that it gets."""
    *parts, _, _ = history.columns
    by = [*parts, "feature_at"]
    # a row is of many places where no newer one came between them
    places = history.sparkSession.createDataFrame(visible).withColumnRenamed("time", "until")
    places = places.withColumnsRenamed(_label_names(by))
    rows = history.withColumn("feature_at", F.unix_micros(F.col(row)["feature_at"]))
    # of rows of one `feature_at` some may have become available after the label
    usable = F.unix_micros("time") <= F.col("until")
    kept = rows.join(F.broadcast(places), _is_same(by) & usable).select("place", row)
    return kept.groupBy("place").agg(F.max(row).alias(row))


def _add_place(labels: DataFrame, columns: Sequence[str], instants: LabelInstants) -> DataFrame:
    """Labels with their `place`; or any number below 0, which no row has, where key or instant is null."""
    places = instants.rows.append_column("place", pa.array(np.arange(len(instants.times))))
    names = places.column_names[:-1]
    rows = labels.sparkSession.createDataFrame(places).withColumnsRenamed(_label_names(names))
    given = [F.col(column) for column in columns]
    given[-1] = F.unix_micros(given[-1])
    found = labels.join(F.broadcast(rows), _is_equal(given, _label_columns(names)), "left").drop(
        *_label_names(names).values()
    )
    # spread, as they match nothing and would be one group
    anywhere = -1 - F.monotonically_increasing_id()
    return found.withColumn("place", F.coalesce("place", anywhere))


def _label_names(names: Sequence[str]) -> dict[str, str]:
    return {name: f"label_{name}" for name in names}


def _label_columns(names: Sequence[str]) -> list[Column]:
    return [F.col(name) for name in _label_names(names).values()]


def _is_same(names: Sequence[str]) -> Column:
    return _is_equal([F.col(name) for name in names], _label_columns(names))


def _is_equal(these: Sequence[Column], those: Sequence[Column]) -> Column:
    """Of values that are not null. A join by it looks up the hash, a single long, and then compares the values."""
    # written as ==, they would be looked up as well: in a table of rows, which takes twice the time
    same = [(this <= that) & (this >= that) for this, that in zip(these, those, strict=True)]
    return reduce(Column.__and__, same, reduction.hash_key(*these) == reduction.hash_key(*those))
