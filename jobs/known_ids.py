"""Which rows of a batch a table has already, by their ids; with as few of its days read as can hold them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from jobs.inputs import TableInput
from jobs.job import Job
from jobs.publishing.commits import list_file_days
from schemas import Contract
from segue.project import find_project

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# Opening a footer costs a round trip on an object store, so many at once.
FOOTERS_AT_ONCE = 16


@dataclass(frozen=True)
class IdRange:
    """The least and the greatest id that a batch brings for one day."""

    day: date
    least: str
    greatest: str


def select_new_plays(job: Job, plays: DataFrame) -> tuple[TableInput | None, DataFrame]:
    """What is published of the days that can hold one of `plays`; and those of `plays` that are not in it.

    Args:
        plays: with `former_id`, of those whose id was derived.
    """
    from pyspark.sql import functions as F

    if not job.has("plays"):
        return None, plays
    given = F.when(F.col("former_id").isNull(), F.col("play_id"))
    ranges = plays.groupBy("ds").agg(F.min(given), F.max(given), F.count("former_id")).collect()
    # a derived id holds the instant, so it is on no other day
    days = {row[0] for row in ranges}
    days |= find_days_with_ids(job, "plays", "play_id", [IdRange(*row[:3]) for row in ranges if row[1]])
    existing = job.find("plays", sorted(days)) if days else None
    if existing is None:
        return None, plays
    new = plays.join(existing.rows().select("play_id"), "play_id", "left_anti")
    if any(row[3] for row in ranges):
        # without a duration, both ids of a play are the same
        former = existing.rows().select(F.col("play_id").alias("former_id"), "ms_played")
        new = new.join(former, ["former_id", "ms_played"], "left_anti")
    return existing, new.select(*plays.columns)


def select_new_events(job: Job, contract: Contract, events: DataFrame) -> tuple[TableInput | None, DataFrame]:
    """The same for a table of events that a project declares."""
    from pyspark.sql import functions as F

    (key,) = contract.key
    if not job.has(contract.name):
        return None, events
    # derived ids look like any other here: hashes, which are in the range of every day
    ranges = [IdRange(*row) for row in events.groupBy("ds").agg(F.min(key), F.max(key)).collect()]
    days = {each.day for each in ranges} | find_days_with_ids(job, contract.name, key, ranges)
    return select_new_rows(job, contract.name, key, events, sorted(days))


def select_new_rows(
    job: Job, table: str, key: str | list[str], rows: DataFrame, days: Sequence[date] | None
) -> tuple[TableInput | None, DataFrame]:
    """What is published of some days, or of all; and those of `rows` that are not in it."""
    existing = job.find(table, days)
    if existing is None:
        return None, rows
    return existing, rows.join(existing.rows().select(key), key, "left_anti").select(*rows.columns)


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
