"""What may go, and when: files, staged batches, old log entries. Without Spark.

A file of a table may go once its newest version does not name it, no living release does, and it was
dropped a release's life ago: until then Spark may travel to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

from deltalake import DeltaTable
from pyarrow.fs import FileInfo, FileType

from jobs.publishing.commits import list_file_days
from jobs.publishing.warehouse import LOG_LIFE, Warehouse
from segue.log import find_whole_state, read_actions
from segue.project import find_project
from segue.releases import RELEASE_LIFE, list_releases, select_unexpired

# On everything: a reader who began in time finishes.
GRACE = timedelta(days=1)
# A log outlives what may not go yet by so much.
_LOG_AFTER_RELEASES = LOG_LIFE - RELEASE_LIFE
# How far back `count_removable` looks.
_LOOK_BACK = timedelta(days=60)
# A checkpoint saves a reader this many small reads.
COMMITS_PER_CHECKPOINT = 10
# Checksums that Spark and Hadoop lay beside an entry begin with a dot.
_ENTRY = re.compile(r"^\.?(\d{20})\.")


@dataclass(frozen=True)
class Retention:
    """`releases`: of what a release or a version held; `refused`: of what was never published, so long somebody can
    look at its rows."""

    releases: timedelta = RELEASE_LIFE
    refused: timedelta = timedelta(days=3)

    @property
    def log(self) -> timedelta:
        return self.releases + _LOG_AFTER_RELEASES


def find_retention() -> Retention:
    """As the project has it."""
    project = find_project()
    days = (project.resolve(name).value for name in ("release_days", "refused_days"))
    return Retention(*(timedelta(days=each) for each in days))


@dataclass
class VacuumResult:
    """What went, or would go."""

    files: int = 0
    bytes: int = 0
    batches: list[str] = field(default_factory=list)
    log_entries: int = 0


def find_released_versions(warehouse: Warehouse, table: str, now: datetime) -> dict[int, list[str]]:
    """Versions that living releases name, and which releases those are."""
    releases: dict[int, list[str]] = {}
    for release in select_unexpired(list_releases(warehouse.root), now - GRACE):
        if table in release.tables:
            releases.setdefault(release.tables[table].version, []).append(release.release_id)
    return releases


def vacuum(
    warehouse: Warehouse, table: DeltaTable, name: str, now: datetime, dry_run: bool = False
) -> VacuumResult:
    """Removes the files that may go, and the folders of batches that leaves empty."""
    retention = find_retention()
    # not DeltaTable.vacuum: it has one age for what was dropped (36 days here) and what was never named (4),
    # and commits its beginning and its end as versions of the table.
    # A file is needed as long as any of these versions names it, whenever it was dropped from the newest
    versions = [warehouse.table(name, version) for version in find_released_versions(warehouse, name, now)]
    needed = {path for each in (table, *versions) if each for path, _ in list_file_days(each)}
    ends = {file: time + retention.releases for file, time in _drop_times(warehouse, name).items()}
    result = VacuumResult()
    for id_, path in warehouse.batches(name).items():
        folder = path.rsplit("/", 1)[1]
        files = {f"{folder}/{below}": info for below, info in warehouse.list_files(path).items()}
        expired = [
            info
            for file, info in files.items()
            if file not in needed and ends.get(file, info.mtime + retention.refused) + GRACE < now
        ]
        if not files.keys() & (needed | ends.keys()):
            # all or none: a write that is under way has young files beside old ones
            if len(expired) < len(files):
                continue
            result.batches.append(id_)
        result.files += len(expired)
        result.bytes += sum(info.size for info in expired)
        if dry_run:
            continue
        # with its folder where nothing is left: each is listed again whenever a batch is reserved
        if len(expired) == len(files):
            warehouse.remove(path)
        else:
            for info in expired:
                warehouse.files.delete_file(info.path)
    return result


def count_removable(warehouse: Warehouse, name: str, oldest: int, now: datetime) -> int:
    """Files that nobody needs at `now` and that are still there; `oldest` is the oldest version that is needed.

    At least so many: what was dropped later, a release of before may hold.
    """
    last = now - find_retention().releases - GRACE
    # what has lain for two months has been counted often enough
    entries = [
        info.path
        for version, info in list_log(warehouse, warehouse.table_path(name))
        if version <= oldest and info.extension == "json" and last - _LOOK_BACK < info.mtime < last
    ]
    folder = warehouse.inner(warehouse.table_path(name))
    paths = sorted({f"{folder}/{path}" for path, _ in _read_drops(warehouse, entries)})
    return sum(info.type == FileType.File for info in warehouse.files.get_file_info(paths))


def list_unpublished(warehouse: Warehouse, table: DeltaTable, name: str) -> dict[str, str]:
    """Folders of batches that the log never named, by batch id."""
    paths = {path for path, _ in list_file_days(table)} | _drop_times(warehouse, name).keys()
    folders = {path.split("/", 1)[0] for path in paths}
    return {id_: path for id_, path in warehouse.batches(name).items() if f"batch-{id_}" not in folders}


def checkpoint(table: DeltaTable, last: int) -> bool:
    """Sums up the log for readers, where enough commits came since the checkpoint `last`."""
    # delta-rs writes it, as Spark would need a session for it; both read it
    due = table.version() - last >= COMMITS_PER_CHECKPOINT
    if due:
        table.create_checkpoint()
    return due


def last_checkpoint(warehouse: Warehouse, path: str) -> int:
    """The version of the newest checkpoint, -1 for none."""
    return max((v for v, info in list_log(warehouse, path) if ".checkpoint." in info.base_name), default=-1)


def clean_log(warehouse: Warehouse, name: str, now: datetime, dry_run: bool = False) -> int:
    """Removes entries that no version needs which is held or young; says how many."""
    entries = list(list_log(warehouse, warehouse.table_path(name)))
    log_life = find_retention().log
    young = [version for version, info in entries if now - info.mtime <= log_life]
    needed = min([*young, *find_released_versions(warehouse, name, now)], default=0)
    # a version is read from the newest checkpoint that is not after it, and every entry since; without a
    # checkpoint nothing can go
    first = max((v for v, info in entries if ".checkpoint." in info.base_name and v <= needed), default=0)
    # what it holds may be written as changes to an older entry; those of later versions rest on none before that
    first = min(first, find_whole_state(warehouse.table_path(name), first) or 0)
    old = [info.path for version, info in entries if version < first]
    for entry in [] if dry_run else old:
        warehouse.files.delete_file(entry)
    return len(old)


def _drop_times(warehouse: Warehouse, name: str) -> dict[str, datetime]:
    """When each file was dropped, from the entries of the log."""
    # entries outlive what may not go yet, as a log's life is longer than a release's. Of a file that only a
    # checkpoint still remembers, nothing is known here, so it goes by its age as if it were never named
    log = list_log(warehouse, warehouse.table_path(name))
    return dict(_read_drops(warehouse, [info.path for _, info in log if info.extension == "json"]))


def _read_drops(warehouse: Warehouse, entries: Iterable[str]) -> Iterator[tuple[str, datetime]]:
    """Path and instant of each file that these entries dropped."""
    for entry in entries:
        for action in read_actions(warehouse.files, entry):
            if drop := action.get("remove"):
                yield unquote(drop["path"]), datetime.fromtimestamp(drop["deletionTimestamp"] / 1000, UTC)


def list_log(warehouse: Warehouse, path: str) -> Iterator[tuple[int, FileInfo]]:
    """The entries, checkpoints and checksums of a log, with their versions."""
    for name, info in warehouse.list_files(f"{path}/_delta_log").items():
        if match := _ENTRY.match(name):
            yield int(match[1]), info
