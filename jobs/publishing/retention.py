"""What may go, and when: files, staged batches, old log entries. Without Spark.

A file of a table may go once its newest version does not name it, no living release does, and it was
dropped a release's life ago: until then Spark may travel to it. What was staged and never published
goes after three days. A day of grace on everything lets a reader finish who began in time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

from deltalake import DeltaTable
from pyarrow.fs import FileInfo, FileSelector, FileType

from jobs.publishing.commits import list_file_days
from jobs.publishing.state import read_actions
from jobs.publishing.warehouse import LOG_LIFE, Warehouse
from segue.releases import RELEASE_LIFE, list_releases, select_unexpired

GRACE = timedelta(days=1)
STAGED_LIFE = timedelta(days=3)
# A checkpoint saves a reader this many small reads.
COMMITS_PER_CHECKPOINT = 10
_ENTRY = re.compile(r"^\.?(\d{20})\.")


@dataclass
class VacuumResult:
    """What went, or would go."""

    files: int = 0
    bytes: int = 0
    batches: list[str] = field(default_factory=list)
    log_entries: int = 0


def find_released_versions(warehouse: Warehouse, table: str, now: datetime) -> dict[int, list[str]]:
    """Versions that living releases name, and which releases those are."""
    held: dict[int, list[str]] = {}
    for release in select_unexpired(list_releases(warehouse.root), now - GRACE):
        if table in release.tables:
            held.setdefault(release.tables[table].version, []).append(release.release_id)
    return held


def vacuum(
    warehouse: Warehouse, table: DeltaTable, name: str, now: datetime, dry_run: bool = False
) -> VacuumResult:
    """Removes the files that may go, and the folders of batches that leaves empty."""
    # not DeltaTable.vacuum: it has one age for what was dropped (36 days here) and what was never named (4),
    # and commits its beginning and its end as versions of the table
    kept = _files_to_keep(warehouse, table, name, now)
    dropped, freed = _drop_times(warehouse, name), VacuumResult()
    for id_, path in warehouse.batches(name).items():
        listed = _list_files(warehouse, path)
        folder = path.rsplit("/", 1)[1]
        data = {f"{folder}/{info.path[len(warehouse.inner(path)) + 1 :]}": info for info in listed}
        if not data.keys() & (kept | dropped.keys()):
            # all or none: a write that is under way has young files beside old ones
            gone = listed if all(_age(info, now) > STAGED_LIFE + GRACE for info in listed) else []
            freed.batches += [id_] if gone or not listed else []
        else:
            gone = [
                info for file, info in data.items() if file not in kept and _is_old(file, info, dropped, now)
            ]
        _remove(warehouse, path, listed, gone, freed, dry_run)
    return freed


def list_unpublished(warehouse: Warehouse, table: DeltaTable, name: str) -> dict[str, str]:
    """Folders of batches that the log never named, by batch id."""
    named = {path for path, _ in list_file_days(table)} | _drop_times(warehouse, name).keys()
    folders = {path.split("/", 1)[0] for path in named}
    return {id_: path for id_, path in warehouse.batches(name).items() if f"batch-{id_}" not in folders}


def checkpoint(table: DeltaTable, last: int) -> bool:
    """Sums up the log for readers, where enough commits came since the checkpoint `last`."""
    due = table.version() - last >= COMMITS_PER_CHECKPOINT
    if due:
        table.create_checkpoint()
    return due


def last_checkpoint(warehouse: Warehouse, path: str) -> int:
    """The version of the newest checkpoint, -1 for none."""
    return max((v for v, info in _list_log(warehouse, path) if ".checkpoint." in info.base_name), default=-1)


def clean_log(warehouse: Warehouse, name: str, now: datetime, dry_run: bool = False) -> int:
    """Removes entries that no version needs which is held or young; says how many.

    A version is read from the newest checkpoint that is not after it, and every entry since.
    """
    path = warehouse.table_path(name)
    entries = list(_list_log(warehouse, path))
    young = [version for version, info in entries if _age(info, now) <= LOG_LIFE]
    needed = min([*young, *find_released_versions(warehouse, name, now)], default=0)
    # entries before a checkpoint are needed by no version after it
    checkpoints = [v for v, info in entries if ".checkpoint." in info.base_name and v <= needed]
    old = [info.path for version, info in entries if checkpoints and version < max(checkpoints)]
    for entry in [] if dry_run else old:
        warehouse.files.delete_file(entry)
    return len(old)


def _files_to_keep(warehouse: Warehouse, table: DeltaTable, name: str, now: datetime) -> set[str]:
    # a file is needed as long as any of these versions names it, whenever it was dropped from the newest
    versions = [table.version(), *find_released_versions(warehouse, name, now)]
    tables = [warehouse.table(name, version) for version in versions]
    return {path for at in tables if at for path, _ in list_file_days(at)}


def _drop_times(warehouse: Warehouse, name: str) -> dict[str, datetime]:
    """When each file was dropped, from the entries of the log: they outlive what may not go yet."""
    return {
        unquote(action["remove"]["path"]): datetime.fromtimestamp(
            action["remove"]["deletionTimestamp"] / 1000, UTC
        )
        for _, info in _list_log(warehouse, warehouse.table_path(name))
        if info.extension == "json"
        for action in read_actions(warehouse.files, info.path)
        if "remove" in action
    }


def _list_log(warehouse: Warehouse, path: str) -> Iterator[tuple[int, FileInfo]]:
    """The entries, checkpoints and checksums of a log, with their versions."""
    selector = FileSelector(warehouse.inner(f"{path}/_delta_log"), allow_not_found=True)
    for info in warehouse.files.get_file_info(selector):
        if match := _ENTRY.match(info.base_name):
            yield int(match[1]), info


def _list_files(warehouse: Warehouse, path: str) -> list[FileInfo]:
    infos = warehouse.files.get_file_info(
        FileSelector(warehouse.inner(path), allow_not_found=True, recursive=True)
    )
    return [info for info in infos if info.type == FileType.File]


def _age(info: FileInfo, now: datetime) -> timedelta:
    return now - info.mtime


def _is_old(file: str, info: FileInfo, dropped: dict[str, datetime], now: datetime) -> bool:
    if file in dropped:
        return now - dropped[file] > RELEASE_LIFE + GRACE
    return _age(info, now) > STAGED_LIFE + GRACE


def _remove(
    warehouse: Warehouse,
    path: str,
    listed: list[FileInfo],
    gone: list[FileInfo],
    freed: VacuumResult,
    dry_run: bool,
) -> None:
    freed.files += len(gone)
    freed.bytes += sum(info.size for info in gone)
    if dry_run:
        return
    if len(gone) == len(listed):
        warehouse.remove(path)
        return
    for info in gone:
        warehouse.files.delete_file(info.path)
