"""The one way to change a table: a commit that names files, as a compare-and-swap on the version.

Publishing, compaction and erasure all come through here.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction, RemoveAction
from pyarrow.fs import FileSelector

from jobs.errors import JobError
from jobs.publishing.state import TableState, read_state
from jobs.publishing.state_changes import save_state
from jobs.publishing.warehouse import LOG_LIFE, Warehouse
from segue.log import parse_commit_metadata, read_actions
from segue.publication_record import (
    Record,
    extend_record,
    format_instant,
    newest_instants,
    parse_instant,
    replay,
    shorten_record,
)

# delta-rs commits, Spark never does: each has its own idea of how to be exclusive on S3. With Spark appending
# beside delta-rs there, 143 commits were reported as done and 140 were in the log.

# Checkpoints and log clean-up are maintenance's; doing them here would make a commit slow at times.
NO_HOOKS = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)

# Of a file, where its log has any.
_STATISTICS = ("num_records", "min.bucket", "max.bucket")


class CommitConflict(Exception):
    """Somebody else committed first; the table has to be looked at again."""


@dataclass(frozen=True)
class Change:
    """What one commit does."""

    batch: str
    kind: str
    # that after the commit, of the whole table
    state: TableState
    adds: Sequence[AddAction] = ()
    removes: Sequence[str] = ()
    # Delta's application id and version
    transaction: tuple[str, int] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rewrites(self) -> bool:
        """The same rows in other files: nothing for readers of changes."""
        return self.kind == "compact"


def swap(table: DeltaTable, change: Change) -> TableState:
    """Commits on top of the version that `table` was opened at, and of no other.

    Raises:
        CommitConflict: the table has another version by now.
        JobError: the commit could not be written, or the one that it follows is damaged.
    """
    # a commit on top of a shortened entry would make its loss part of the table for good
    check_log_row_count(table)
    now = int(time.time() * 1000)
    metadata = {
        **change.metadata,
        "batch": change.batch,
        "kind": change.kind,
        "state": save_state(table, change.state),
    }
    try:
        # adds and removes in one commit: between two, a reader would see a day twice, or not at all
        table.create_write_transaction(
            [*change.adds, *(RemoveAction(path, not change.rewrites, now) for path in change.removes)],
            mode="append",  # what goes is named by `removes`; "overwrite" would drop all there is
            schema=table.schema(),
            partition_by=table.metadata().partition_columns,
            commit_properties=CommitProperties(
                # read back by `transaction_version`: an append is known to be there, however far the log is
                # cleaned. delta-rs itself takes an id that is there already, so `is_published` looks first
                app_transactions=[Transaction(*change.transaction)] if change.transaction else None,
                custom_metadata={"userMetadata": json.dumps(metadata)},
                # delta-rs would retry on top of a version that nobody has compared the batch with
                max_commit_retries=0,
            ),
            post_commithook_properties=NO_HOOKS,
        )
    except (DeltaError, OSError) as problem:
        _resolve_ambiguous_commit(table, change, problem)
    # not that of a table opened anew: another commit may be on top by now
    return replace(change.state, version=table.version() + 1)


def next_commit_time(state: TableState) -> str:
    """Now, as a partition value; later than every instant in the table, though a clock may run back."""
    now = datetime.now(UTC)
    if state.published_at:
        newest = parse_instant(state.published_at)
        # a microsecond is the unit of `available_at`, a partition value of type timestamp; of two commits the
        # later has the later instant, or point-in-time joins would see them the wrong way round
        now = max(now, newest + timedelta(microseconds=1))
    return format_instant(now)


def record_earlier(
    table: DeltaTable,
    before: TableState,
    changed: Collection[date | None],
    adds: Sequence[AddAction],
    available_at: str,
) -> Record:
    """What the days that change had up to this commit: training sets as published read it there."""
    # published to before there was such a record: once, from all of the log
    record = replay(table.table_uri, table.version()) if before.earlier is None else before.earlier
    files = list_data_files(table, changed)
    replaced = newest_instants((file["partition.ds"], file["partition.available_at"]) for file in files)
    now = parse_instant(available_at)
    added = {date.fromisoformat(add.partition_values["ds"] or ""): now for add in adds}
    # a version can be opened as long as the log has it
    return shorten_record(extend_record(record, replaced, added, table.version(), now), now - LOG_LIFE)


def list_staged_files(warehouse: Warehouse, path: str) -> list[dict[str, Any]]:
    """The add actions of a staged batch, as its log has them; paths are relative to the table's folder."""
    try:
        entries = warehouse.files.get_file_info(FileSelector(warehouse.inner(f"{path}/_delta_log")))
    except FileNotFoundError as problem:
        # an erasure removes every unpublished batch at once, whoever is in it
        raise JobError(
            f"the staged batch {path} was removed; nothing was published. Run the step again"
        ) from problem
    # the log, not the folder: a task that failed and ran again leaves files that no entry names
    commits = sorted(entry.path for entry in entries if entry.path.endswith(".json"))
    actions = [action for commit in commits for action in read_actions(warehouse.files, commit)]
    folder = path.rsplit("/", 1)[1]
    # the log has paths as URLs, with `%20` for a space; delta-rs quotes again what it is given
    return [{**a["add"], "path": f"{folder}/{unquote(a['add']['path'])}"} for a in actions if "add" in a]


def to_add_actions(
    files: Iterable[Mapping[str, Any]], available_at: str | None, rewrites: bool
) -> list[AddAction]:
    """Files to be named. Partition values live in the log alone, so the instant can be the true one."""
    stamp = {} if available_at is None else {"available_at": available_at}
    return [
        AddAction(
            path=file["path"],
            size=file["size"],
            partition_values={**file["partitionValues"], **stamp},
            modification_time=file["modificationTime"],
            data_change=not rewrites,
            stats=file["stats"],  # as Spark counted them; made again they would cost a read of every file
        )
        for file in files
    ]


def check_file_sizes(warehouse: Warehouse, table: str, files: Sequence[Mapping[str, Any]]) -> None:
    """Raises JobError where a staged file was cut off since it was written."""
    # sizes alone, no read: the audit has read every page, and what is spoiled later shows by its checksums
    infos = warehouse.files.get_file_info(
        [warehouse.inner(f"{warehouse.table_path(table)}/{file['path']}") for file in files]
    )
    for file, info in zip(files, infos, strict=True):
        if info.size != file["size"]:
            fault = "is gone" if info.size is None else f"has {info.size:,} bytes"
            raise JobError(
                f"table {table}: staged file {file['path']} {fault}, was written with {file['size']:,}; "
                "nothing was published. Look at the disk, then run the step again"
            )


def check_log_row_count(table: DeltaTable) -> None:
    """A power cut can shorten the newest log entry; cut between two lines, or to nothing, it still opens."""
    # summed as they come: as Python objects, a hundred thousand files took 0.7 s of CPU
    actions = pa.table(table.get_add_actions(flatten=True))
    has_counts = "num_records" in actions.column_names and not actions["num_records"].null_count
    expected, version = read_state(table).rows, table.version()
    actual = (pc.sum(actions["num_records"]).as_py() or 0) if has_counts else 0
    # no history: the newest entry is empty. A file without statistics: nothing can be compared
    if table.history(1) and (expected == actual or (actions.num_rows and not has_counts)):
        return
    raise JobError(
        f"{table.table_uri}: the log entry of version {version} was cut short: it should name files of {expected:,} "
        f"rows, and names {actual:,}; nothing was published. Move the file _delta_log/{version:020}.json away, "
        "then run the step again"
    )


def list_file_days(table: DeltaTable) -> list[tuple[str, date | None]]:
    """Path and day of every file of a version."""
    actions = _read_add_actions(table, ("path", "partition.ds"))
    paths = map(unquote, actions["path"].to_pylist())
    # a table without days has no column for them
    has_days = "partition.ds" in actions.column_names
    days = actions["partition.ds"].to_pylist() if has_days else [None] * actions.num_rows
    return list(zip(paths, days, strict=True))


def list_data_files(table: DeltaTable, days: Collection[date | None] | None = None) -> list[dict[str, Any]]:
    """Path, size, statistics and partition of every file of a version, as its log has them; of some days, or of all."""
    names = ("path", "size_bytes", *_STATISTICS, "partition.ds", "partition.available_at")
    actions = _read_add_actions(table, names)
    if days is not None:
        # before there are Python objects: a version has tens of thousands of files
        actions = actions.filter(pc.is_in(actions["partition.ds"], pa.array(days, pa.date32())))
    unknown = dict.fromkeys(_STATISTICS)
    return [{**unknown, **file, "path": unquote(file["path"])} for file in actions.to_pylist()]


def _read_add_actions(table: DeltaTable, names: Collection[str]) -> pa.Table:
    """A row for each file of a version. A log without statistics has no column for the number of rows."""
    actions = pa.table(table.get_add_actions(flatten=True))
    return actions.select([name for name in actions.column_names if name in names])


def _resolve_ambiguous_commit(table: DeltaTable, change: Change, problem: Exception) -> None:
    """Returns if the commit is in the log, though its answer got lost; else says why it is not."""
    try:
        newest = DeltaTable(table.table_uri)
        # the put may have arrived and only its answer got lost, as networks and stores do it
        since = newest.history(max(newest.version() - table.version(), 0))
    except (DeltaError, OSError):
        raise JobError.not_committed(change.batch, problem) from problem
    # batch ids are never used twice, as `reserve` hands them out
    if any(parse_commit_metadata(commit).get("batch") == change.batch for commit in since):
        return
    # a full disk is no lost race, whoever else committed meanwhile
    if since and isinstance(problem, CommitFailedError):
        raise CommitConflict from problem
    raise JobError.not_committed(change.batch, problem) from problem
