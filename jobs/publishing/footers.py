"""The log of files that Spark wrote as plain Parquet: what Delta's own writer would have said of them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from math import isfinite
from typing import Any
from urllib.parse import unquote

import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable
from deltalake.transaction import AddAction, RemoveAction
from pyarrow.fs import FileInfo, FileSelector, FileType, LocalFileSystem

from jobs.publishing.commits import NO_HOOKS

# As Hive writes a partition of no value
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


def log_written_files(path: str, statistics: Sequence[str]) -> None:
    """Names every data file under `path`, an empty Delta table, in one commit of that table.

    Args:
        statistics: the columns whose extremes and nulls the log may hold.
    """
    files = LocalFileSystem()
    adds: list[AddAction | RemoveAction] = []
    for info in _list_data_files(files, path):
        footer = pq.read_metadata(info.path, filesystem=files)
        if footer.num_rows:
            adds.append(_add_action(info, path, footer, statistics))
        else:  # Spark writes one for its schema, where there are no rows at all
            files.delete_file(info.path)
    if not adds:
        return
    table = DeltaTable(path)
    table.create_write_transaction(
        adds,
        mode="append",
        schema=table.schema(),
        partition_by=table.metadata().partition_columns,
        # nobody else knows the folder: a lost race is a fault, and not for delta-rs to repeat
        commit_properties=CommitProperties(max_commit_retries=0),
        post_commithook_properties=NO_HOOKS,
    )


def _list_data_files(files: LocalFileSystem, path: str) -> Iterator[FileInfo]:
    for info in files.get_file_info(FileSelector(path, recursive=True)):
        # the log itself and `.crc` files begin with these, as does what is left of a task that failed
        parts = os.path.relpath(info.path, path).split(os.sep)
        if info.type == FileType.File and not any(part.startswith(("_", ".")) for part in parts):
            yield info


def _add_action(info: FileInfo, path: str, footer: pq.FileMetaData, statistics: Sequence[str]) -> AddAction:
    relative = os.path.relpath(info.path, path)
    partitions = (folder.partition("=")[::2] for folder in relative.split("/")[:-1])
    return AddAction(
        path=relative,
        size=info.size,
        partition_values={name: None if value == NO_VALUE else unquote(value) for name, value in partitions},
        modification_time=info.mtime_ns // 1_000_000,
        data_change=True,
        stats=json.dumps(_statistics(footer, statistics)),
    )


def _statistics(footer: pq.FileMetaData, names: Sequence[str]) -> dict[str, Any]:
    """`numRecords`, and by column the least and greatest value and the number of nulls, where footers have them."""
    found: dict[str, Any] = {"numRecords": footer.num_rows, "minValues": {}, "maxValues": {}, "nullCount": {}}
    # a footer lists leaves: what is nested has another path, and the log says nothing of it
    places = {footer.schema.column(n).path: n for n in range(footer.num_columns)}
    for name in names:
        if name not in places:
            continue
        groups = [footer.row_group(n).column(places[name]).statistics for n in range(footer.num_row_groups)]
        if all(group is not None and group.has_null_count for group in groups):
            found["nullCount"][name] = sum(group.null_count for group in groups)
        # Spark writes none where a NaN is among the values, nor where there are nothing but nulls
        extremes = [(group.min, group.max) for group in groups if group is not None and group.has_min_max]
        if len(extremes) == len(groups):
            least, greatest = min(low for low, _ in extremes), max(high for _, high in extremes)
            if _is_comparable(least) and _is_comparable(greatest):
                found["minValues"][name], found["maxValues"][name] = _to_json(least), _to_json(greatest)
    return found


def _is_comparable(value: Any) -> bool:
    return not isinstance(value, bytes) and not (isinstance(value, float) and not isfinite(value))


def _to_json(value: Any) -> Any:
    if isinstance(value, datetime):
        # to the microsecond: Delta's milliseconds would leave a greatest value below the true one
        return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return value.isoformat() if isinstance(value, date) else value
