"""Which rows of an input are new: hashes say which ids may be there twice, and only rows of these are compared.

To compare all rows is to sort them by id, texts and all; nearly all ids are there once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

from features.ingest import deduplicate, select_event_columns, select_valid
from jobs.inputs import TableInput
from jobs.job import Job
from jobs.known_ids import Published, check_owners, drop_published, find_published
from schemas import Contract

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import Column, DataFrame

# Four megabytes, of which each executor gets a copy. Beyond, most of the input is there twice.
MOST_HASHES = 500_000


@dataclass(frozen=True)
class NewEvents:
    """New events, once each, with their file; `existing` is what is published of the days that can hold one of all."""

    existing: TableInput | None
    rows: DataFrame
    # those that took a comparison: of all their readers only the first makes it
    cached: DataFrame | None = None

    def release(self) -> None:
        if self.cached is not None:
            self.cached.unpersist()


def select_new(
    job: Job, contract: Contract, events_with_reasons: DataFrame, source: str, *other_keys: str
) -> NewEvents:
    """The events that are new, each compared with those of its id, if there are any.

    Args:
        source: that of all events.
        other_keys: columns of other ids that an event may be published under.

    Raises:
        JobError: an id is that of another event, of another source.
    """
    from pyspark.sql import functions as F

    valid, keys = select_valid(events_with_reasons), (*contract.key, *other_keys)
    # the file that each is counted for
    kept = (*other_keys, "file")
    published = find_published(job, contract, valid, source)
    rows, existing = (published.rows, published.existing) if published else (None, None)
    hashes = _find_repeated_hashes(valid, rows, keys)
    if hashes.num_rows > MOST_HASHES:
        events = deduplicate(events_with_reasons, contract, *kept)
        new = _drop_published(events, contract, source, published, rows).drop(*other_keys).persist()
        return NewEvents(existing, new, new)
    few, once = None, select_event_columns(valid, contract, *kept)
    if hashes.num_rows:
        repeated = F.broadcast(job.spark.createDataFrame(hashes))
        is_repeated = reduce(or_, (_is_among(key, n) for n, key in enumerate(keys)))
        marked = _join_hashes(events_with_reasons, repeated, keys)
        few = deduplicate(marked.where(is_repeated), contract, *kept)
        if rows is not None:
            rows = rows.join(repeated, F.xxhash64(keys[0]) == F.col("_hash"), "left_semi")
        once = select_event_columns(select_valid(marked).where(~is_repeated), contract, *kept)
        few = _drop_published(few, contract, source, published, rows).persist()
        once = once.unionByName(few)
    return NewEvents(existing, once.drop(*other_keys), few)


def _drop_published(
    events: DataFrame, contract: Contract, source: str, published: Published | None, rows: DataFrame | None
) -> DataFrame:
    """Without those among `rows`, which are all that is published of their ids, or more."""
    if published and published.has_other_sources:
        check_owners(contract, events, published.existing, source)
    return events if rows is None else drop_published(events, contract, rows)


def _find_repeated_hashes(events: DataFrame, published: DataFrame | None, keys: tuple[str, ...]) -> pa.Table:
    """Of ids that are there twice, or are published; by chance also of others. No more than one too many."""
    from pyspark.sql import functions as F

    own, *others = keys
    hashes = _hash(events, own, own=1)
    for other in others:
        hashes = hashes.unionByName(_hash(events.where(F.col(other).isNotNull()), other))
    if published is not None:
        hashes = hashes.unionByName(_hash(published, own, published=1))
    is_repeated = (F.sum("_own") > 1) | ((F.sum("_published") > 0) & (F.sum("_published") < F.count("*")))
    counts = hashes.groupBy("_hash").agg(is_repeated.alias("is_repeated"))
    return counts.where("is_repeated").select("_hash").limit(MOST_HASHES + 1).toArrow()


def _hash(rows: DataFrame, key: str, own: int = 0, published: int = 0) -> DataFrame:
    from pyspark.sql import functions as F

    return rows.select(
        F.xxhash64(key).alias("_hash"), F.lit(own).alias("_own"), F.lit(published).alias("_published")
    )


def _join_hashes(events: DataFrame, hashes: DataFrame, keys: tuple[str, ...]) -> DataFrame:
    """With a column for each key, which is null where its hash is none of these."""
    from pyspark.sql import functions as F

    for n, key in enumerate(keys):
        of_key = hashes.withColumnRenamed("_hash", f"_repeated_{n}")
        events = events.join(of_key, F.xxhash64(key) == F.col(f"_repeated_{n}"), "left")
    return events


def _is_among(key: str, place: int) -> Column:
    from pyspark.sql import functions as F

    return F.col(key).isNotNull() & F.col(f"_repeated_{place}").isNotNull()
