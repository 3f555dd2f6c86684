"""The profiles of a batch, of its staged files as they lie: the driver reads few bytes itself, Spark many."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from expectations.column_profiles import LENGTH, ColumnProfile
from expectations.column_tallies import (
    ColumnTally,
    Key,
    find_listener,
    list_kinds,
    merge_tallies,
    profile_columns,
    tally_columns,
    to_profile,
)
from expectations.day_groups import HASH_MASK
from jobs.errors import mask_line
from jobs.messages import LOG
from jobs.publishing.batches import Batch, folder
from jobs.publishing.commits import list_staged_files
from jobs.publishing.profiles import Profiles, append_profiles
from jobs.publishing.protocol import StagedBatch
from jobs.publishing.staging import read_staged_rows
from jobs.publishing.warehouse import Warehouse
from schemas import Contract
from schemas.common import quote_name
from segue.project import find_project
from segue.storage import Snapshot, find_table

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

MEGABYTE = 1024**2
# Spark hands over ten thousand rows at a time, whose fixed costs are as high as those of so many.
ROWS_PER_TALLY = 131_072
_TALLIES = "tallies binary"


def record_profiles(
    spark: SparkSession, warehouse: Warehouse, run_id: str, staged: StagedBatch, outcome: str
) -> None:
    """How the values of each column are distributed, of a batch that was audited.

    What fails here is logged: the gate has judged the batch without it, and what no profile can be made of is no reason
    to keep a night's rows from readers.
    """
    if staged.verdict.refused and not staged.profile.rows:
        return  # a constraint ended the write: what lies there is not the batch
    try:
        profiles = profile_staged(spark, warehouse, staged.batch)
    except Exception as problem:
        LOG.warning("  (%s has no profiles: %s)", staged.batch.table, mask_line(problem))
        return
    append_profiles(warehouse, run_id, staged.batch, outcome, profiles)


def profile_staged(spark: SparkSession, warehouse: Warehouse, batch: Batch) -> Profiles:
    """Of each day and column; only of those columns that are made anew, where the others are as published."""
    project, contract, path = find_project(), _narrow(batch), folder(warehouse, batch)
    least = project.resolve("profile_listeners").value
    size = sum(file["size"] for file in list_staged_files(warehouse, path))
    if not list_kinds(contract):
        return {}
    empty = _list_empty_profiles(batch, contract)
    if size <= project.resolve("profile_megabytes").value * MEGABYTE:
        return empty | profile_columns(read_columns(path, contract), contract, least)
    rows = read_staged_rows(spark, warehouse, path, batch.contract)
    return empty | profile_rows(rows, contract, least)


def _list_empty_profiles(batch: Batch, contract: Contract) -> dict[Key, ColumnProfile]:
    """Of days that the batch replaces: one of no rows has a profile too, or that of before would still be read."""
    days = () if batch.appends else (None,) if batch.days is None else batch.days
    return {
        (day, name): ColumnProfile(kind, 0) for day in days for name, kind in list_kinds(contract).items()
    }


def _narrow(batch: Batch) -> Contract:
    contract, extends = batch.contract, batch.extends
    if not extends:
        return contract
    columns = (replace(each, profile=each.profile and each.name in extends) for each in contract.columns)
    return replace(contract, columns=tuple(columns))


def read_columns(path: str, contract: Contract) -> pa.Table:
    """What is profiled of the staged files, without Spark."""
    table = find_table(path)
    assert table is not None
    snapshot = Snapshot(path, table)
    return snapshot.read(snapshot.files, _list_columns(contract))


def _list_columns(contract: Contract) -> list[str]:
    also = ["ds" if contract.by_day else None, find_listener(contract)]
    return [*filter(None, also), *list_kinds(contract)]


def profile_rows(rows: DataFrame, contract: Contract, least_listeners: int) -> dict[Key, ColumnProfile]:
    """The same by one Spark job, which reads no other columns; what comes back are a few kilobytes of each day and
    column, from each task."""
    columns = rows.select(*_prepare_columns(contract))
    parts = columns.mapInArrow(partial(_tally_batches, contract=contract, least=least_listeners), _TALLIES)
    tallies: dict[Key, ColumnTally] = {}
    for row in parts.collect():
        _merge_into(tallies, pickle.loads(row["tallies"]), least_listeners)
    return {key: to_profile(tally, contract, least_listeners) for key, tally in tallies.items()}


def _prepare_columns(contract: Contract) -> list[Column]:
    from pyspark.sql import functions as F

    kinds, listener = list_kinds(contract), find_listener(contract)
    # hashes and lengths are less to hand over than ids and lists
    columns = [F.col("ds")] if contract.by_day else []
    if listener:
        hashed = F.xxhash64(listener).bitwiseAND(F.lit(HASH_MASK))
        columns.append(F.when(F.col(listener).isNotNull(), hashed).alias(listener))
    for name, kind in kinds.items():
        column = F.col(quote_name(name))
        columns.append(F.array_size(column).alias(name) if kind == LENGTH else column)
    return columns


def _tally_batches(
    batches: Iterable[pa.RecordBatch], contract: Contract, least: int
) -> Iterator[pa.RecordBatch]:
    """Of a partition: one row, the tallies of its days and columns."""
    tallies: dict[Key, ColumnTally] = {}
    for rows in _join_batches(batches):
        _merge_into(tallies, tally_columns(rows, contract, least), least)
    yield pa.record_batch({"tallies": pa.array([pickle.dumps(tallies)], pa.binary())})


def _join_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    parts: list[pa.RecordBatch] = []
    for batch in batches:
        parts.append(batch)
        if sum(part.num_rows for part in parts) >= ROWS_PER_TALLY:
            yield pa.Table.from_batches(parts)
            parts = []
    if parts:
        yield pa.Table.from_batches(parts)


def _merge_into(tallies: dict[Key, ColumnTally], more: dict[Key, ColumnTally], least: int) -> None:
    for key, tally in more.items():
        tallies[key] = merge_tallies(tallies[key], tally, least) if key in tallies else tally
