"""Where a listener is among the tracks: the mean of what was heard of late, the last days weighing most."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from typing import TYPE_CHECKING

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from features.windows.folds import MICROS_A_DAY
from schemas.user_embeddings import USER_EMBEDDINGS

if TYPE_CHECKING:  # numpy and pyarrow run in the tasks that sum, not where plans are made
    import numpy as np
    import pyarrow as pa
    from pyspark.sql.types import StructType

# A sum shorter than this share of its weights is what float32 leaves of vectors that cancel out.
NO_DIRECTION = 1e-6


class HalfLifeError(ValueError):
    """A half-life by which nothing can be weighed."""


def build_user_embeddings(
    heard: DataFrame, embeddings: DataFrame, day: date, half_life_days: float = 7.0
) -> DataFrame:
    """Rows of `user_embeddings`: one per listener who heard a track with a vector.

    A play weighs 0.5 ** (age / half-life), its age counted to midnight after `day`. Plays of bots,
    skipped ones and those at or after that midnight do not count. Vectors that cancel out have
    no direction, and the listener no row.

    Args:
        heard: rows of `sessions` of the days that are to count, `day` the last.
        embeddings: one day of `track_embeddings`, of one space.

    Raises:
        HalfLifeError: half_life_days is not above 0.
    """
    if not half_life_days > 0:
        raise HalfLifeError(f"user embeddings: half_life_days is {half_life_days}; it must be above 0")
    age = (F.unix_micros(midnight_after(day)) - F.unix_micros("played_at")) / MICROS_A_DAY
    # A track heard ten times is one row with one vector in the shuffle to come.
    weighed = (
        unskipped_plays(heard, day)
        .groupBy("user_id", "track_id")
        .agg(F.sum(F.pow(F.lit(0.5), age / half_life_days)).alias("weight"), F.count("*").alias("support"))
    )
    vectors = drop_without_vector(embeddings).select("track_id", "vector", "in_vector")
    rows = (
        weighed.join(vectors, "track_id").repartition("user_id").sortWithinPartitions("user_id", "track_id")
    )
    means = rows.select("user_id", "weight", "support", "vector", "in_vector").mapInArrow(
        _average_plays, _mean_schema()
    )
    return add_version_columns(means, embeddings, day)


def midnight_after(day: date) -> Column:
    return F.date_add(F.lit(day), 1).cast("timestamp")


def human_plays(heard: DataFrame, day: date) -> DataFrame:
    """Plays before the midnight after `day`, those of bots left out."""
    return heard.where(~F.col("is_bot") & (F.col("played_at") < midnight_after(day)))


def unskipped_plays(heard: DataFrame, day: date) -> DataFrame:
    """Plays of people that were not skipped, as far as is known."""
    return human_plays(heard, day).where(not_skipped())


def not_skipped() -> Column:
    return ~F.coalesce("skipped", F.lit(False))


def drop_without_vector(embeddings: DataFrame) -> DataFrame:
    return embeddings.where("vector is not null and in_vector is not null and out_vector is not null")


def add_version_columns(rows: DataFrame, embeddings: DataFrame, day: date) -> DataFrame:
    """`rows` with the training and space of `embeddings`, and what they describe: all before midnight."""
    version = [F.coalesce(name, F.lit("")).alias(name) for name in ("version_id", "space_id")]
    described = rows.crossJoin(F.broadcast(embeddings.select(*version).limit(1)))
    at = F.coalesce(midnight_after(day), F.timestamp_micros(F.lit(0)))  # to the planner, a cast may be null
    return described.withColumns({"feature_at": at, "ds": F.lit(day)})


def _mean_schema() -> StructType:
    from pyspark.sql.types import StructType

    names = ("user_id", "weight", "support", "vector", "in_vector")
    return StructType([field for field in USER_EMBEDDINGS.struct() if field.name in names])


def _average_plays(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """One row per listener of rows sorted by listener, who may go on from batch to batch."""
    carried: tuple[pa.Array, np.ndarray] | None = None
    for batch in batches:
        if batch.num_rows:
            users, sums = _prepend_carried(carried, *_sum_batch(batch))
            carried = users[-1:], sums[-1:]  # the next batch may have more of the last one
            yield _build_rows(users[:-1], sums[:-1])
    if carried:
        yield _build_rows(*carried)


def _sum_batch(batch: pa.RecordBatch) -> tuple[pa.Array, np.ndarray]:
    """Listeners in the order given, and for each: support, weight, both weighted sums side by side."""
    import numpy as np

    weight, support = (batch.column(name).to_numpy() for name in ("weight", "support"))
    vectors = [
        batch.column(name).flatten().to_numpy().reshape(batch.num_rows, -1)
        for name in ("vector", "in_vector")
    ]
    columns = np.column_stack([support, weight, *[matrix * weight[:, None] for matrix in vectors]])
    starts = _find_starts(batch.column("user_id"))
    return batch.column("user_id").take(starts), np.add.reduceat(columns, starts, axis=0)


def _find_starts(users: pa.Array) -> np.ndarray:
    import numpy as np
    import pyarrow.compute as pc

    differs = pc.not_equal(users[1:], users[:-1]).to_numpy(zero_copy_only=False)
    return np.append(0, np.flatnonzero(differs) + 1)


def _prepend_carried(
    carried: tuple[pa.Array, np.ndarray] | None, users: pa.Array, sums: np.ndarray
) -> tuple[pa.Array, np.ndarray]:
    import numpy as np
    import pyarrow as pa

    if carried is None:
        return users, sums
    if carried[0][0] == users[0]:
        sums[0] += carried[1][0]
        return users, sums
    return pa.concat_arrays([carried[0], users]), np.concatenate([carried[1], sums])


def _build_rows(users: pa.Array, sums: np.ndarray) -> pa.RecordBatch:
    import numpy as np
    import pyarrow as pa

    from features.embeddings.arrays import to_list_array

    support, weight, (vector, in_vector) = sums[:, 0], sums[:, 1], np.split(sums[:, 2:], 2, axis=1)
    length = np.linalg.norm(vector, axis=1)
    told = length > NO_DIRECTION * weight  # false as well where the weights are too small to be numbers
    columns = {
        "user_id": users.filter(pa.array(told)),
        "vector": to_list_array((vector[told] / length[told, None]).astype(np.float32)),
        "in_vector": to_list_array((in_vector[told] / weight[told, None]).astype(np.float32)),
        "support": pa.array(support[told].astype(np.int64)),
        "weight": pa.array(weight[told]),
    }
    return pa.RecordBatch.from_pydict({name: columns[name] for name in _mean_schema().names})
