"""What a root holds of each table, by its log, the record of audits, the releases and the manifests: no row is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable
from pyarrow.fs import FileSelector, FileType

from expectations.lineage import NOT_NULL_EXPECTATION
from jobs.errors import WrongUsage
from jobs.messages import LOG
from jobs.publishing.record_tables import RECORD_TABLES
from jobs.publishing.records import read_newest_audits
from jobs.publishing.state import find_publication, read_state, read_state_at
from jobs.publishing.warehouse import OpenedWarehouse, Warehouse
from jobs.training.manifest import NAME, Manifest, load
from jobs.training.record import list_training_sets
from schemas.releases import RELEASES
from segue.errors import SegueError
from segue.paths import make_absolute
from segue.releases import Release, list_releases, select_unexpired
from segue.storage import Snapshot, filesystem, find_table

# The tables about the others, which are not among them.
PLACES = {RELEASES.name: ("releases",), **{each.contract.name: each.place for each in RECORD_TABLES}}


@dataclass(frozen=True)
class Published:
    """The newest version of a table; `rows` is None where its commits do not say, and a table may have no days."""

    version: int
    rows: int | None
    days: int
    first_day: date | None
    last_day: date | None
    # of the newest day
    available_at: datetime | None
    # since the newest day was over
    age_days: int | None
    # up to when what it is made of was delivered; of tables made of others only where a day is provisional
    complete_through: datetime | None
    # type by name
    columns: Mapping[str, str]


@dataclass(frozen=True)
class Nulls:
    """How many of the rows of one batch had no value, as its audit counted them."""

    nulls: int
    rows: int
    first_day: date | None
    last_day: date | None


@dataclass(frozen=True)
class TrainingSet:
    """`columns` are those it took, each as its table and its name."""

    path: str
    release: str
    rows: int
    columns: frozenset[tuple[str, str]]


class Inventory:
    """Everything is looked up when it is first needed, once."""

    def __init__(self, root: str, folders: Iterable[str] = (), now: datetime | None = None) -> None:
        self.warehouse: Warehouse = OpenedWarehouse(root)
        self._folders = tuple(folders)
        self.now = now or datetime.now(UTC)
        self._tables: dict[str, Published | None] = {}
        self._names: dict[tuple[str, int], frozenset[str]] = {}

    @cached_property
    def releases(self) -> list[Release]:
        """Those that can be opened, the newest first."""
        releases = list_releases(self.warehouse.root)
        return select_unexpired(releases, self.now) if releases else []

    @cached_property
    def tables(self) -> list[str]:
        """Every table that lies there, declared or not."""
        return [name for name in self.warehouse.list_tables() if self.published(name)]

    @cached_property
    def training_sets(self) -> list[TrainingSet]:
        """Those on record under the root, and those in the folders given."""
        manifests = dict(list_training_sets(self.warehouse))
        for path in (path for folder in self._folders for path in _find_manifests(folder)):
            if manifest := _try_load(path):
                manifests[path] = manifest
        return [
            TrainingSet(path, each.release, each.rows, frozenset(_list_used_columns(each)))
            for path, each in sorted(manifests.items())
        ]

    def path(self, table: str) -> str:
        return self.warehouse.path(*PLACES.get(table, ("tables", table)))

    def published(self, table: str) -> Published | None:
        """None before the first commit of rows."""
        if table not in self._tables:
            log = find_table(self.path(table)) if table in PLACES else self.warehouse.table(table)
            self._tables[table] = None if log is None else self._describe(table, log)
        return self._tables[table]

    def published_at(self, table: str) -> str:
        """When a run published it last, as its log says it; empty where that does not."""
        if (log := self.warehouse.table(table)) is None:
            return ""
        found = find_publication(log)
        # of a commit that the log does not reach back to, the state has the instant still
        return (read_state_at(log, found[0]) if found else read_state(log)).published_at

    def audit(self, table: str) -> list[dict[str, Any]]:
        """The results of the newest audit of what the table holds; none where there is no record of it."""
        return self._audits.get(table, [])

    def nulls(self, table: str, column: str) -> Nulls | None:
        for row in self.audit(table):
            if (row["expectation"], row["column"]) == (NOT_NULL_EXPECTATION, column):
                count = row["unexpected_count"]
                return None if count is None else Nulls(count, row["rows"], row["first_ds"], row["last_ds"])
        return None

    def releases_of(self, table: str, column: str | None = None) -> list[str]:
        """Ids of the releases that hold the table, or a version of it that has the column."""
        with_table = [release for release in self.releases if table in release.tables]
        if column is None or not with_table:
            return [release.release_id for release in with_table]
        versions = [release.tables[table].version for release in with_table]
        # a column comes or goes, and never both: where the first and the last version agree, so do all between
        ends = {column in self._column_names(table, version) for version in (min(versions), max(versions))}
        if len(ends) == 1:
            return [release.release_id for release in with_table] if ends == {True} else []
        pairs = zip(with_table, versions, strict=True)
        return [
            release.release_id for release, version in pairs if column in self._column_names(table, version)
        ]

    def training_sets_of(self, table: str, column: str | None = None) -> list[str]:
        return [
            each.path
            for each in self.training_sets
            if any(name == table and column in (None, other) for name, other in each.columns)
        ]

    @cached_property
    def _audits(self) -> dict[str, list[dict[str, Any]]]:
        fingerprints = {}
        for table in self.warehouse.list_tables():
            # of a log that was cut off; that says whatever describes the table itself
            with suppress(SegueError):
                if state := self.warehouse.state(table):
                    fingerprints[table] = {day.fingerprint for day in state.day_states.values()}
        return read_newest_audits(self.warehouse, fingerprints)

    def _describe(self, table: str, log: DeltaTable) -> Published | None:
        snapshot = Snapshot(self.path(table), log)
        if not snapshot.files:  # created, and nothing was published
            return None
        state, days = read_state(log), snapshot.days
        last = days[-1] if days else None
        times = [f.partition.get("available_at") for f in snapshot.select(last)]
        return Published(
            version=log.version(),
            # records and releases are appended without a state
            rows=state.rows if state.day_states else _sum_rows(log),
            days=len(days),
            first_day=days[0] if days else None,
            last_day=last,
            available_at=max((time for time in times if time), default=None),
            age_days=None if last is None else _count_days_since(last, self.now),
            complete_through=min(state.provisional_days.values(), default=state.complete_through),
            columns={field.name: str(field.type) for field in snapshot.schema},
        )

    def _column_names(self, table: str, version: int) -> frozenset[str]:
        if (table, version) not in self._names:
            try:
                log = find_table(self.path(table), version)
                names = frozenset(field.name for field in log.schema().fields) if log else frozenset()
            except SegueError:  # of a log that was cut off; verify says so, a catalogue need not fail for it
                names = frozenset()
            self._names[table, version] = names
        return self._names[table, version]


def _sum_rows(log: DeltaTable) -> int | None:
    counts = pa.table(log.get_add_actions())["num_records"].to_pylist()
    return None if None in counts else sum(counts)


def _count_days_since(day: date, now: datetime) -> int:
    end = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
    return max((now - end).days, 0)


def _find_manifests(folder: str) -> Iterator[str]:
    folder = make_absolute(folder)
    files, inner = filesystem(folder)
    info = files.get_file_info(inner)
    if info.type == FileType.NotFound:
        raise WrongUsage(f"{folder} is not there; give a folder with training sets below it")
    if info.type == FileType.File:
        raise WrongUsage(f"{folder} is a file; give the folder of a training set, or one above it")
    for entry in files.get_file_info(FileSelector(inner, recursive=True)):
        if entry.base_name == NAME:
            yield folder + entry.path[len(inner.rstrip("/")) :].removesuffix(f"/{NAME}")


def _try_load(path: str) -> Manifest | None:
    try:
        return load(path)
    except WrongUsage as problem:  # other programs call their files so, too
        LOG.warning("%s", problem)
        return None


def _list_used_columns(manifest: Manifest) -> Iterator[tuple[str, str]]:
    refs = (*manifest.request.features, *manifest.request.at_label_time)
    for table in {ref.partition(":")[0] for ref in refs}:
        # a request may name a whole table: what it had then, the columns of the set say
        for name in manifest.columns:
            if name.startswith(f"{table}__"):
                yield table, name.removeprefix(f"{table}__")
    for ref in manifest.request.outcomes:
        table, _, name = ref.partition(":")
        yield table, name
