"""The same table in other files: compaction, erasing listeners, retracting plays. Batches like any other.

Rows are read from the table, staged beside the files that they take the place of, compared with
them by content hash, and committed by reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from deltalake import DeltaTable

from expectations.profile import DayProfile, profile_days
from expectations.verdict import Result
from jobs.errors import JobError
from jobs.publishing.batches import Batch, folder, reserve
from jobs.publishing.commits import (
    Change,
    CommitConflict,
    check_file_sizes,
    list_data_files,
    list_file_days,
    list_staged_files,
    next_commit_time,
    record_earlier,
    swap,
    to_add_actions,
)
from jobs.publishing.declared_columns import add_kept_columns, contracts_of_days
from jobs.publishing.layout import Slot, Target, count_tasks, find_file_bytes, place_files, place_in
from jobs.publishing.part_files import find_part_file, name_part_file
from jobs.publishing.records import REWRITE_SUFFIX, record_rewrite
from jobs.publishing.staging import explain_unreadable, write
from jobs.publishing.state import TableState, digest, read_state
from jobs.publishing.warehouse import find_contract
from schemas import Contract

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from jobs.job import Job

# Of each row that is rewritten, the file that it is in.
_FILE = "_file"

Contents = Mapping[date | None, DayProfile]


@dataclass(frozen=True)
class Rewrite:
    """Some files of one version of a table, to be rewritten."""

    kind: str
    table: DeltaTable
    name: str
    files: tuple[str, ...]
    # which rows are left out
    gone: Column | None = None
    # or those whose key is one of these
    gone_keys: DataFrame | None = None
    # by path; what has none stays a file of its own
    targets: Mapping[str, Target] = field(default_factory=dict)
    # what its commit says beside the batch
    about: Mapping[str, Any] = field(default_factory=dict)

    def split(self, rows: DataFrame) -> tuple[DataFrame | None, DataFrame]:
        """The rows that are left out, if any may be, and the others."""
        if self.gone is not None:
            return rows.where(self.gone), rows.where(~self.gone)
        if self.gone_keys is not None:
            keys = self.gone_keys.columns
            return rows.join(self.gone_keys, keys, "left_semi"), rows.join(self.gone_keys, keys, "left_anti")
        return None, rows

    @property
    def removes_rows(self) -> bool:
        return self.gone is not None or self.gone_keys is not None

    @cached_property
    def data_files(self) -> list[dict[str, Any]]:
        """The files, as the log has them."""
        paths = set(self.files)
        return [file for file in list_data_files(self.table) if file["path"] in paths]

    @property
    def buckets(self) -> set[int] | None:
        """Those that the files have rows of; None where the log does not say it of each."""
        extremes = [(file["min.bucket"], file["max.bucket"]) for file in self.data_files]
        if any(None in pair for pair in extremes):
            return None
        return {bucket for low, high in extremes for bucket in range(low, high + 1)}

    @property
    def rows(self) -> int | None:
        """Of all files; None where the log does not say it of each."""
        counts = [file["num_records"] for file in self.data_files]
        return None if None in counts else sum(counts)

    @cached_property
    def contract(self) -> Contract:
        # with nulls where the table has them: the copy would refuse rows from before a column was added
        nullable = {field.name for field in self.table.schema().fields if field.nullable}
        contract = add_kept_columns(find_contract(self.name), self.table)
        columns = [
            replace(each, nullable=each.nullable or each.name in nullable) for each in contract.columns
        ]
        return replace(contract, columns=tuple(columns))


def rewrite_files(job: Job, rewrite: Rewrite) -> TableState | None:
    """Stages and commits; None if others replaced the files meanwhile, and there is nothing to do.

    Raises:
        JobError: what was staged is not what was read, less what had to go.
    """
    # of version and files: two compactions at once are the same batch, and get folders of their own
    fingerprint = digest(rewrite.kind, rewrite.name, rewrite.table.version(), rewrite.files)
    batch = reserve(job.warehouse, Batch(rewrite.contract, fingerprint))
    rows = _read_rows(job, rewrite)
    gone, rest = rewrite.split(rows)
    removed = {} if gone is None else _profile_as_published(gone, rewrite)
    path = folder(job.warehouse, batch)
    if violation := write(_cluster_by_file(rest, rewrite), path):
        raise JobError(
            f"table {rewrite.name}: published rows break a constraint: {violation.observed}; run segue verify"
        )
    with explain_unreadable(batch):
        staged = _profile_as_published(job.spark.read.format("delta").load(path), rewrite)
        _check_contents(rewrite, _profile_as_published(rows, rewrite), removed, staged)
    record_rewrite(job.warehouse, job.run_id, batch, _audit_result(rewrite, staged, removed))
    return _commit(job, rewrite, batch, removed)


def _read_rows(job: Job, rewrite: Rewrite) -> DataFrame:
    from pyspark.sql import functions as F

    names = [name_part_file(file["path"]) for file in rewrite.data_files]
    # the days are partitions, and files of a day are ranges of buckets: by both the scan is pruned
    days = {file["partition.ds"] for file in rewrite.data_files if file.get("partition.ds")}
    rows = job.at(rewrite.name, rewrite.table.version(), sorted(days) or None, rewrite.buckets)
    return rows.withColumn(_FILE, find_part_file()).where(F.col(_FILE).isin(names))


def _profile_as_published(rows: DataFrame, rewrite: Rewrite) -> Contents:
    """With the hashes that the state has, which days of other declarations have of other columns."""
    from pyspark.sql import functions as F

    contents: dict[date | None, DayProfile] = {}
    state = read_state(rewrite.table)
    for contract, days in contracts_of_days(find_contract(rewrite.name), rewrite.table, state):
        contents |= profile_days(rows if days is None else rows.where(F.col("ds").isin(days)), contract)
    return contents


def _cluster_by_file(rows: DataFrame, rewrite: Rewrite) -> DataFrame:
    from pyspark.sql import functions as F

    contract = rewrite.contract
    slots = place_files(rewrite.data_files, rewrite.targets, find_file_bytes(rewrite.name))
    instants = {path: each.available_at for path, each in rewrite.targets.items() if each.available_at}
    tasks = count_tasks(slots)
    if tasks == 1 and not instants:
        rows = rows.repartition(1)
    else:
        places = [_format_place(path, slot, instants.get(path)) for path, slot in slots.items()]
        # a few values, and no job to bring them to the tasks
        query = f"select * from values {', '.join(places)} as places({_FILE}, _first, _count, _at)"
        rows = rows.join(F.broadcast(rows.sparkSession.sql(query)), _FILE)
        task = place_in(F.col("_first"), F.col("_count"), contract.buckets)
        rows = rows.repartitionById(tasks, task)
        if instants:
            rows = rows.withColumn("available_at", F.coalesce("_at", "available_at"))
        rows = rows.drop("_first", "_count", "_at")
    # `available_at` is a partition: rows of different instants stay in different files
    order = [*contract.partitions, "bucket", contract.entity, contract.event_time]
    within = [name for name in order if name and name in contract.names]
    return rows.drop(_FILE).sortWithinPartitions(*within)


def _format_place(path: str, slot: Slot, instant: datetime | None) -> str:
    at = f"timestamp'{instant.isoformat()}'" if instant else "cast(null as timestamp)"
    return f"('{name_part_file(path)}', {slot.first}, {slot.count}, {at})"


def _check_contents(rewrite: Rewrite, read: Contents, removed: Contents, staged: Contents) -> None:
    rows = sum(day.rows for day in read.values())
    # a log whose extremes are wrong would hide rows from the scan, and they would be gone for good
    if rewrite.rows is not None and rows != rewrite.rows:
        raise JobError(
            f"table {rewrite.name}: {rewrite.kind} read {rows:,} rows of files that have {rewrite.rows:,} by the "
            "table's log; nothing was changed. Run segue verify --hashes, as the log may have been spoiled"
        )
    for day, before in read.items():
        erased, actual = removed.get(day, DayProfile(0, 0)), staged.get(day, DayProfile(0, 0))
        # hashes add up, so what was taken out can be subtracted, and nothing is compared row by row
        expected = (before.rows - erased.rows, (before.content_hash - erased.content_hash) % 2**64)
        if (actual.rows, actual.content_hash) != expected:
            raise JobError(
                f"table {rewrite.name}, {day or 'the whole table'}: {rewrite.kind} staged {actual.rows:,} rows of hash "
                f"{actual.content_hash:016x}, expected {expected[0]:,} of {expected[1]:016x}; nothing was changed. "
                "Run segue verify --hashes, as a file may have been spoiled"
            )


def _audit_result(rewrite: Rewrite, staged: Contents, removed: Contents) -> Result:
    observed = f"{sum(day.rows for day in staged.values()):,} rows in other files"
    if rewrite.removes_rows:
        observed += f", {sum(day.rows for day in removed.values()):,} rows gone"
    name = f"expect_{rewrite.kind}{REWRITE_SUFFIX}"
    return Result(name, None, "critical", True, observed, "equal content hashes")


def _commit(job: Job, rewrite: Rewrite, batch: Batch, removed: Contents) -> TableState | None:
    path, table = folder(job.warehouse, batch), rewrite.table
    files = list_staged_files(job.warehouse, path)
    check_file_sizes(job.warehouse, rewrite.name, files)
    # whoever replaced one of the files has made the rewrite of it pointless, but not wrong. Not `retry`: what
    # ends this are the files, and not a number of tries that would throw away minutes of Spark's work
    while set(rewrite.files) <= {file for file, _ in list_file_days(table)}:
        change = Change(
            batch=batch.id,
            kind=rewrite.kind,
            state=_state(table, rewrite.name, removed, rewrite.kind),
            adds=to_add_actions(files, None, rewrites=not rewrite.removes_rows),
            removes=rewrite.files,
            metadata={
                "run": job.run_id,
                "job": job.name,
                **rewrite.about,
                **_count_removed(rewrite, removed),
            },
        )
        try:
            state = swap(table, change)
        except CommitConflict:
            table = job.warehouse.create(rewrite.contract)
            continue
        with suppress(OSError):  # it is swept later
            # an erasure of all rows stages no file
            job.warehouse.remove(f"{path}/_delta_log" if files else path)
        return state
    job.warehouse.remove(path)
    return None


def _count_removed(rewrite: Rewrite, removed: Contents) -> Mapping[str, int]:
    return {"rows_removed": sum(day.rows for day in removed.values())} if rewrite.removes_rows else {}


def mark_erased(job: Job, table: DeltaTable, name: str) -> TableState:
    """A commit that changes no file: who read before it may not publish after it.

    Raises:
        CommitConflict: the table has another version by now.
    """
    id_ = digest("erase", name, table.version())
    state = _state(table, name, {}, "erase")
    return swap(table, Change(f"{id_}-0", "erase", state, metadata={"run": job.run_id}))


def _state(table: DeltaTable, name: str, removed: Contents, kind: str) -> TableState:
    before = read_state(table)
    if kind == "retract":
        return _retract(table, before, find_contract(name), removed)
    states = {
        day: each.minus(removed[day].rows, removed[day].content_hash) if day in removed else each
        for day, each in before.day_states.items()
    }
    # the version that this commit makes: the swap puts it on top of `table` and of no other
    erased_in = table.version() + 1 if kind == "erase" else before.erased_in
    return replace(before, day_states=states, erased_in=erased_in)


def _retract(table: DeltaTable, before: TableState, contract: Contract, removed: Contents) -> TableState:
    state = before.retract({day: (each.rows, each.content_hash) for day, each in removed.items()})
    gone = [day for day in removed if day not in state.day_states or not state.day_states[day].rows]
    if not (gone and contract.daily):
        return state
    # labels of before saw these days, and as published get them
    instant = next_commit_time(before)
    earlier = record_earlier(table, before, gone, [], instant)
    return replace(state, published_at=instant, earlier=earlier)
