"""Which rows of a batch a table has already, by their ids; with as few of its days read as can hold them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from jobs.errors import JobError
from jobs.inputs import TableInput
from jobs.job import Job
from jobs.publishing.commits import list_data_files, list_file_days
from schemas import CONTRACTS, Contract
from segue.project import find_project

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# Opening a footer costs a round trip on an object store, so many at once.
FOOTERS_AT_ONCE = 16
# Up to here (a year of nights of a hundred thousand plays) the ids of a batch are looked for in the files by this
# process, some ten million a second, where a job of Spark's would plan and open each file in a task first. Beyond, all
# executors read the rows of those days.
MOST_IDS, MOST_BYTES = 2_000_000, 4 * 2**30


@dataclass(frozen=True)
class IdRange:
    """The least and the greatest id that a batch brings for one day."""

    day: date
    least: str
    greatest: str


@dataclass(frozen=True)
class Published:
    """What is published of the days that can hold an id, and the rows that have one of a batch's ids, if any."""

    existing: TableInput
    rows: DataFrame | None
    # whether one of those rows may be of another source than the batch
    has_other_sources: bool = False


def select_new_plays(job: Job, plays: DataFrame) -> tuple[TableInput | None, DataFrame]:
    """What is published of the days that can hold one of `plays`; and those of `plays` that are not in it.

    Raises:
        JobError: an id is that of another play, of another source.
    """
    contract = CONTRACTS["plays"]
    published = find_published(job, contract, plays)
    if published is None:
        return None, plays
    rows = published.rows
    if rows is None:
        return published.existing, plays
    check_owners(contract, plays, published.existing)
    return published.existing, drop_published(plays, contract, rows)


def find_published(
    job: Job, contract: Contract, events: DataFrame, source: str | None = None
) -> Published | None:
    """What is published of `events`; None where no published day can hold one of them.

    Args:
        events: with `former_id`, if any, of those whose id was derived.
        source: that of all of them, if they have one.
    """
    from pyspark.sql import functions as F

    (key,) = contract.key
    if not job.has(contract.name):
        return None
    # without it derived ids look like any other: hashes, which are in the range of every day
    given = F.when(F.col("former_id").isNull(), F.col(key)) if "former_id" in events.columns else F.col(key)
    ranges = events.groupBy("ds").agg(F.min(given), F.max(given), F.count("*")).collect()
    # a derived id holds the instant, so it is on no other day
    days = {row[0] for row in ranges}
    days |= find_days_with_ids(job, contract.name, key, [IdRange(*row[:3]) for row in ranges if row[1]])
    existing = job.find(contract.name, sorted(days)) if days else None
    if existing is None:
        return None
    files = _list_files(job, existing)
    if not files:
        return Published(existing, None)
    if sum(row[3] for row in ranges) > MOST_IDS or sum(files.values()) > MOST_BYTES:
        return Published(existing, existing.rows(), source is not None)
    matches = _read_matches(job, contract, files, events)
    others = matches.filter(pc.not_equal(matches["source"], source or "")).num_rows
    rows = job.spark.createDataFrame(matches) if matches.num_rows else None
    return Published(existing, rows, source is not None and others > 0)


def _list_files(job: Job, existing: TableInput) -> dict[str, int]:
    """Path on the root's file system and bytes of every file of the days."""
    table, folder = (
        job.warehouse.table(existing.table, existing.version),
        job.warehouse.table_path(existing.table),
    )
    days = None if existing.days is None else set(existing.days)
    return {
        job.warehouse.inner(f"{folder}/{file['path']}"): file["size_bytes"]
        for file in (list_data_files(table) if table else ())
        if days is None or file.get("partition.ds") in days
    }


def _read_matches(job: Job, contract: Contract, files: Iterable[str], events: DataFrame) -> pa.Table:
    """What `drop_published` needs of the rows that have one of the ids: no Spark job per night's look at a year."""
    import pyarrow.dataset as pads

    (key,) = contract.key
    names = [name for name in (key, "former_id") if name in events.columns]
    ids = pa.chunked_array(
        [chunk for each in events.select(names).toArrow().columns for chunk in each.chunks]
    )
    columns = [key, "source", "ms_played"] if "former_id" in names else [key, "source"]
    schema = pa.schema([(key, pa.string()), ("source", pa.string()), ("ms_played", pa.int64())])
    dataset = pads.dataset(list(files), schema, format="parquet", filesystem=job.warehouse.files)
    matches = dataset.to_table(columns=columns, filter=pads.field(key).isin(ids.combine_chunks().drop_null()))
    # of a file without any there is an empty chunk, at which Spark 4.1 stops reading: what follows would be new plays
    return matches.combine_chunks()


def check_owners(
    contract: Contract, events: DataFrame, existing: TableInput, source: str | None = None
) -> None:
    """That no event has the id of another one, which another source brought: it would be dropped as a duplicate.

    An event that two sources deliver is at one instant of one entity in both.

    Args:
        source: that of all events, if they have one.

    Raises:
        JobError: there are such events.
    """
    from pyspark.sql import functions as F

    (key,) = contract.key
    names = [name for name in (contract.entity, contract.event_time) if name]
    values = [F.col(name).alias(f"_{name}") for name in ("source", *names)]
    others = existing.rows() if source is None else existing.rows().where(F.col("source") != source)
    differs = reduce(or_, (~F.col(name).eqNullSafe(F.col(f"_{name}")) for name in names))
    found = events.join(others.select(key, *values), key).where(
        differs & (F.col("source") != F.col("_source"))
    )
    first = F.min_by(F.struct(key, "source", "_source"), key).alias("first")
    counts = found.agg(F.count("*").alias("rows"), first).first()
    if counts and counts["rows"]:
        id_, own, other = counts["first"]
        raise JobError(
            f"{counts['rows']:,} rows of source {own} have a {key} that another event of source {other} has, such as "
            f"{id_}; expected ids that are one event's in all sources. Nothing was published: make them so in the "
            f"source file, as by {key} = \"concat('{own}:', ...)\". Rows of that source that are in, or wait, go "
            f"by segue retract --of-source {own}"
        )


def drop_published(events: DataFrame, contract: Contract, published: DataFrame) -> DataFrame:
    """Those of `events` that are not among `published`, by the ids that they have or had."""
    from pyspark.sql import functions as F

    (key,) = contract.key
    new = events.join(published.select(key), key, "left_anti")
    if "former_id" in events.columns:
        # without a duration, both ids of a play are the same
        former = published.select(F.col(key).alias("former_id"), "ms_played")
        new = new.join(former, ["former_id", "ms_played"], "left_anti")
    return new.select(*events.columns)


def select_new_rows(
    job: Job, table: str, key: str | list[str], rows: DataFrame, days: Sequence[date] | None
) -> tuple[TableInput | None, DataFrame]:
    """What is published of some days, or of all; and those of `rows` that are not in it."""
    existing = job.find(table, days)
    if existing is None:
        return None, rows
    return existing, rows.join(existing.rows().select(key), key, "left_anti").select(*rows.columns)


def name_comparison(job: Job, table: str) -> dict[str, str]:
    """A parameter of batches that are made by a comparison with a table: what was published to it last.

    Without it a batch whose rows were taken out since would pass for published, as the table is what it was then.
    """
    # no version: of a run that was killed, what maintenance has committed since must make no other batch
    state = job.state(table)
    return {"compared_with": state.published_at if state else ""}


def find_days_with_ids(job: Job, table: str, key: str, ranges: Sequence[IdRange]) -> set[date]:
    """The days whose files have a key within one of `ranges`, if any: no row is read, only footers."""
    state = job.state(table)
    if state is None or not ranges:
        return set()
    # random ids are in the range of every day, and one column of all these days is read: so there is an end to it
    reach = timedelta(days=find_project().resolve("id_days").value)
    first, last = min(each.day for each in ranges), max(each.day for each in ranges)
    pinned = job.warehouse.table(table, state.version)
    files = [
        (path, day)
        for path, day in (list_file_days(pinned) if pinned else ())
        if day and first - reach <= day <= last + reach
    ]
    with ThreadPoolExecutor(FOOTERS_AT_ONCE) as pool:
        limits = pool.map(lambda file: list(_read_limits(job, table, key, file[0])), files)
    return {
        day
        for (_, day), of_file in zip(files, limits, strict=True)
        if any(
            least <= each.greatest and each.least <= greatest
            for least, greatest in of_file
            for each in ranges
        )
    }


def _read_limits(job: Job, table: str, key: str, path: str) -> Iterator[tuple[str, str]]:
    """The least and the greatest key of each row group of a file."""
    inner = job.warehouse.inner(f"{job.warehouse.table_path(table)}/{path}")
    footer = pq.read_metadata(inner, filesystem=job.warehouse.files)
    column = footer.schema.names.index(key)
    for group in range(footer.num_row_groups):
        statistics = footer.row_group(group).column(column).statistics
        # a writer may leave them out; then anything may be in there
        has_limits = statistics is not None and statistics.has_min_max
        yield (statistics.min, statistics.max) if has_limits else ("", "\U0010ffff")
