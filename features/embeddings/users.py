"""A listener as the mean of the vectors of the tracks played, the last days weighing most."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import date
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from features.embeddings.arrays import Doubles, Matrix, to_list_array
from schemas.common import MICROS_A_DAY
from schemas.user_embeddings import USER_EMBEDDINGS

# A sum shorter than this share of its weights is what float32 leaves of vectors that cancel out.
NO_DIRECTION = 1e-6
_COLUMNS = ("user_id", "weight", "support", "vector", "in_vector")
_MEANS = StructType([field for field in USER_EMBEDDINGS.struct() if field.name in _COLUMNS])


class Vectors(NamedTuple):
    """A row per track, by its number; may be mapped from files."""

    vector: Matrix
    in_vector: Matrix


class HalfLifeError(ValueError):
    """A half-life by which nothing can be weighed."""


def build_user_embeddings(
    sessions: DataFrame,
    embeddings: DataFrame,
    tracks: DataFrame,
    day: date,
    half_life_days: float,
    open_vectors: Callable[[], Vectors],
) -> DataFrame:
    """Rows of `user_embeddings`: one per listener who played a track with a vector.

    A play weighs 0.5 ** (age / half-life), its age counted to midnight after `day`. Plays of bots, skipped ones
    and those at or after that midnight do not count. Where vectors cancel out the listener has no row.

    Args:
        sessions: rows of `sessions` of the days that are to count, `day` the last.
        embeddings: one day of `track_embeddings`, of one space.
        tracks: number and track_id of those with a vector, numbers rising with ids.
        open_vectors: gives a task their vectors; no vector is shuffled.

    Raises:
        HalfLifeError: half_life_days is not above 0.
    """
    check_half_life(half_life_days)
    age = (F.unix_micros(midnight_after(day)) - F.unix_micros("played_at")) / MICROS_A_DAY
    # A track played ten times is one row in the shuffle to come.
    plays = (
        select_human_plays(sessions, day)
        .where(not_skipped())
        .groupBy("user_id", "track_id")
        .agg(F.sum(F.pow(F.lit(0.5), age / half_life_days)).alias("weight"), F.count("*").alias("support"))
    )
    # a number in place of two vectors: with these a row had half a kilobyte at 64 dimensions, and there is one for
    # each track of each listener
    by_user = plays.join(tracks, "track_id").drop("track_id").repartition("user_id")
    # sums of floats depend on their order: by track it is the same however the rows were read
    rows = by_user.sortWithinPartitions("user_id", "number")
    means = rows.mapInArrow(partial(_average_plays, open_vectors=open_vectors), _MEANS)
    return add_version_columns(means, embeddings, day)


def number_in_order(rows: DataFrame) -> DataFrame:
    """With `number`, from 0 in the order of track ids."""
    # one partition, as in `build_vocabulary`; a number is an order then
    ordered = rows.repartition(1).sortWithinPartitions("track_id")
    return ordered.withColumn("number", F.monotonically_increasing_id().cast("int"))


def number_vectors(embeddings: DataFrame, open_ids: Callable[[], pa.Array]) -> DataFrame:
    """Rows of `track_embeddings` with a vector as number, vector and in_vector, wherever they lie.

    Args:
        open_ids: gives a task the ids of `number_in_order`, in the order of their numbers.
    """

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        rows = [batch for batch in batches if batch.num_rows]
        if not rows:
            return
        # of all rows of a task at once: each look-up hashes all ids there are
        ids = pa.concat_arrays([batch.column("track_id") for batch in rows])
        numbers = pc.index_in(ids, value_set=open_ids())
        for batch in rows:
            columns = [numbers[: batch.num_rows], *(batch.column(name) for name in Vectors._fields)]
            yield pa.RecordBatch.from_arrays(columns, ["number", *Vectors._fields])
            numbers = numbers[batch.num_rows :]

    vectors = drop_without_vector(embeddings).select("track_id", *Vectors._fields)
    return vectors.mapInArrow(run, "number int, vector array<float>, in_vector array<float>")


def check_half_life(days: float) -> None:
    """Raises HalfLifeError where nothing can be weighed by it."""
    if not days > 0:  # NaN too
        raise HalfLifeError(f"user embeddings: half_life_days is {days}; it must be above 0")


def midnight_after(day: date) -> Column:
    return F.date_add(F.lit(day), 1).cast("timestamp")


def select_human_plays(sessions: DataFrame, day: date) -> DataFrame:
    """Plays before the midnight after `day`, those of bots left out."""
    return sessions.where(~F.col("is_bot") & (F.col("played_at") < midnight_after(day)))


def not_skipped() -> Column:
    return ~F.coalesce("skipped", F.lit(False))


def drop_without_vector(embeddings: DataFrame) -> DataFrame:
    return embeddings.where("vector is not null and in_vector is not null and out_vector is not null")


def add_version_columns(rows: DataFrame, embeddings: DataFrame, day: date) -> DataFrame:
    """`rows` with the training and space of `embeddings`, and what they describe: all before midnight."""
    version = [F.coalesce(name, F.lit("")).alias(name) for name in ("version_id", "space_id")]
    with_version = rows.crossJoin(F.broadcast(embeddings.select(*version).limit(1)))
    # to the planner, a cast may be null
    feature_at = F.coalesce(midnight_after(day), F.timestamp_micros(F.lit(0)))
    return with_version.withColumns({"feature_at": feature_at, "ds": F.lit(day)})


def _average_plays(
    batches: Iterable[pa.RecordBatch], open_vectors: Callable[[], Vectors]
) -> Iterator[pa.RecordBatch]:
    """One row per listener of rows sorted by listener, whose rows may go on from batch to batch."""
    # Arrow's batches are cut by rows, and not where a listener ends
    open_sum: tuple[pa.Array, Doubles] | None = None
    vectors: Vectors | None = None
    for batch in batches:
        if batch.num_rows:
            # where nothing was played there may be no vectors to open
            vectors = vectors or open_vectors()
            users, sums = _sum_batch(batch, vectors)
            if open_sum is not None:
                users, sums = _prepend(*open_sum, users, sums)
            open_sum = users[-1:], sums[-1:]  # the next batch may have more of the last one
            yield _build_rows(users[:-1], sums[:-1])
    if open_sum is not None:
        yield _build_rows(*open_sum)


def _sum_batch(batch: pa.RecordBatch, vectors: Vectors) -> tuple[pa.Array, Doubles]:
    """Listeners in the order given, and for each: support, weight, both weighted sums side by side."""
    number, weight, support = (batch.column(name).to_numpy() for name in ("number", "weight", "support"))
    weighted = [matrix[number] * weight[:, None] for matrix in vectors]
    columns = np.column_stack([support, weight, *weighted])
    users = batch.column("user_id")
    differs = pc.not_equal(users[1:], users[:-1]).to_numpy(zero_copy_only=False)
    starts = np.append(0, np.flatnonzero(differs) + 1)
    return users.take(starts), np.add.reduceat(columns, starts, axis=0)


def _prepend(user: pa.Array, sum_: Doubles, users: pa.Array, sums: Doubles) -> tuple[pa.Array, Doubles]:
    """One listener before the others, added to the first of them where that is the same."""
    if user[0] == users[0]:
        sums[0] += sum_[0]
        return users, sums
    return pa.concat_arrays([user, users]), np.concatenate([sum_, sums])


def _build_rows(users: pa.Array, sums: Doubles) -> pa.RecordBatch:
    support, weight, (vector, in_vector) = sums[:, 0], sums[:, 1], np.split(sums[:, 2:], 2, axis=1)
    length = np.linalg.norm(vector, axis=1)
    usable = length > NO_DIRECTION * weight  # false as well where the weights are too small to be numbers
    columns = {
        "user_id": users.filter(pa.array(usable)),
        "vector": to_list_array((vector[usable] / length[usable, None]).astype(np.float32)),
        "in_vector": to_list_array((in_vector[usable] / weight[usable, None]).astype(np.float32)),
        "support": pa.array(support[usable].astype(np.int64)),
        "weight": pa.array(weight[usable]),
    }
    return pa.RecordBatch.from_pydict({name: columns[name] for name in _MEANS.names})
