"""Where the tables are, how they are made, and which of their days are stale."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import timedelta
from functools import lru_cache

from deltalake import CommitProperties, DeltaTable
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.schema import Field
from pyarrow.fs import FileInfo, FileSelector, FileType

from jobs.errors import JobError, WrongUsage, first_line
from jobs.publishing.declared_columns import describe_change, mark_columns, schema_of
from jobs.publishing.state import TableState, read_state
from schemas import CONTRACTS, Contract
from segue.errors import S3_SETTINGS
from segue.releases import RELEASE_LIFE
from segue.retry import retry
from segue.roots import check_root_name, describe_missing_root
from segue.small_files import replace_file
from segue.storage import filesystem, find_table

# Delta 4.1 and later refuse to travel past the first, even where files are left; the log must outlive
# every version that a release still names, one that was rolled back to included.
LOG_LIFE = timedelta(days=120)
RETENTION = {
    "delta.deletedFileRetentionDuration": f"interval {RELEASE_LIFE.days} days",
    "delta.logRetentionDuration": f"interval {LOG_LIFE.days} days",
}

# The file in a table's folder that says who works on it.
LEASE = ".lease"


class Warehouse:
    """The tables under one root, a path that Spark, delta-rs and pyarrow all read."""

    def __init__(self, root: str) -> None:
        check_root_name(root)
        self.remote = "://" in root
        self.root = (root if self.remote else os.path.expanduser(root)).rstrip("/")
        self.files, self._base = filesystem(self.root)

    def path(self, *parts: str) -> str:
        return "/".join((self.root, *parts))

    def table_path(self, name: str) -> str:
        return self.path("tables", name)

    def table(self, name: str, version: int | None = None) -> DeltaTable | None:
        """The table, or None before its first batch."""
        return find_table(self.table_path(name), version)

    def state(self, name: str) -> TableState | None:
        """What the table's newest version holds, from the metadata of the commit that made it."""
        path = self.table_path(name)
        entry = None if self.remote else _find_last_entry(path)
        return _read_newest_state(path) if entry is None else _read_known_state(path, entry)

    def create(self, contract: Contract) -> DeltaTable:
        """The table of this contract, made empty if there is none; JobError if it is one of other columns."""
        # by delta-rs, in milliseconds: Spark needs a session first, and is a second engine that commits
        table, path = self.table(contract.name), self.table_path(contract.name)
        if table is None:
            try:
                table = _create(path, contract, "ignore")
            except CommitFailedError:  # two created it at once; it is the other one's
                table = DeltaTable(path)
        if table.version() == 0:  # just made, or its maker was killed before this
            table = _add_constraints(table, contract)
        _check_schema(table, contract)
        return table

    def reserve(self, contract: Contract, path: str) -> bool:
        """Whether `path` is ours alone: an empty table of this contract, made there unless one was."""
        # a table, not a folder: making one fails for the second, on object stores too, which have no folders.
        # With the published table's constraints, as a commit by reference checks none
        try:
            _add_constraints(_create(path, contract, "error"), contract)
        except (DeltaError, OSError) as problem:
            if DeltaTable.is_deltatable(path):
                return False
            raise JobError(f"{path} cannot be written to: {first_line(problem)}") from problem
        return True

    def add_missing_columns(self, contract: Contract) -> DeltaTable:
        """The table, with every column that the contract has by now."""

        def widen() -> DeltaTable:
            table = self.create(contract)
            _add_columns(table, contract)
            if contract.declared:
                mark_columns(table, contract)
            return table

        try:
            # lost where somebody else added them, or published meanwhile: delta-rs would put the state of
            # before on top of that publication, so it is not left to retry by itself
            table = retry(widen, CommitFailedError)
        except CommitFailedError as problem:
            raise JobError.not_committed(f"of new columns for {contract.name}", problem) from problem
        table.update_incremental()
        return table

    def inner(self, path: str) -> str:
        """`path`, as the file system of this root names it."""
        return self._base + path[len(self.root) :]

    def write(self, path: str, text: str) -> None:
        """A small file, and the folder that it is in."""
        replace_file(self.files, self.inner(path), text)

    def remove(self, path: str) -> None:
        self.files.delete_dir(self.inner(path))

    def list_files(self, path: str) -> dict[str, FileInfo]:
        """Every file below a folder, by its path there; none where there is no folder."""
        inner = self.inner(path)
        # recursive: on an object store that is a request per thousand files, and not one per folder
        entries = self.files.get_file_info(FileSelector(inner, allow_not_found=True, recursive=True))
        return {entry.path[len(inner) + 1 :]: entry for entry in entries if entry.type == FileType.File}

    def list_tables(self) -> list[str]:
        """Every folder of tables, whether anything here knows a contract of it or not."""
        selector = FileSelector(self.inner(self.path("tables")), allow_not_found=True)
        entries = self.files.get_file_info(selector)
        folders = (entry.base_name for entry in entries if entry.type == FileType.Directory)
        names = sorted(name for name in folders if self._has_more_than_a_lease(name))
        if not names and self.remote:
            self._check_bucket()
        return names

    def _has_more_than_a_lease(self, name: str) -> bool:
        # a lease makes the folder, and who took it may publish nothing; on a store nobody can take one
        if self.remote:
            return True
        try:
            with os.scandir(self.table_path(name)) as entries:
                return any(entry.name != LEASE for entry in entries)
        except OSError:  # whoever opens it says why it cannot be read
            return True

    def _check_bucket(self) -> None:
        """Raises JobError; in a bucket that is not there, pyarrow finds no file and says no word of it."""
        bucket = self._base.partition("/")[0]
        # who may read below the root alone may not ask
        with suppress(OSError):
            if self.files.type_name == "s3" and self.files.get_file_info(bucket).type == FileType.NotFound:
                raise JobError(f"root {self.root!r}: there is no bucket {bucket!r}. Check {S3_SETTINGS}")

    def batches(self, table: str) -> dict[str, str]:
        """Folder of every batch of a table, published or not: path by batch id."""
        selector = FileSelector(self.inner(self.table_path(table)), allow_not_found=True)
        return {
            entry.base_name.removeprefix("batch-"): f"{self.table_path(table)}/{entry.base_name}"
            for entry in self.files.get_file_info(selector)
            if entry.type == FileType.Directory and entry.base_name.startswith("batch-")
        }


class OpenedWarehouse(Warehouse):
    """Opens each table once, for those who only read: opening is the most of what a look at dozens of tables takes."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self._opened: dict[tuple[str, int | None], DeltaTable | None] = {}

    def table(self, name: str, version: int | None = None) -> DeltaTable | None:
        if (name, version) not in self._opened:
            self._opened[name, version] = super().table(name, version)
        return self._opened[name, version]


def _add_columns(table: DeltaTable, contract: Contract) -> None:
    present = {field.name for field in table.schema().fields}
    missing = [field for field in schema_of(contract).fields if field.name not in present]
    if not missing:
        return
    # rows published before read as null there, whatever the contract asks of new ones
    nullable = [Field(field.name, field.type, nullable=True, metadata=field.metadata) for field in missing]
    table.alter.add_columns(nullable, commit_properties=describe_change(table))


def _find_last_entry(path: str) -> tuple[str, int, int, int] | None:
    """Which file the last entry of a log on a disk is: its name, inode, bytes, and when it was written."""
    try:
        with os.scandir(f"{path}/_delta_log") as files:
            entries = (file for file in files if file.name.endswith(".json") and file.name[:-5].isdigit())
            last = max(entries, key=lambda file: file.name)
        found = last.stat()
    except (OSError, ValueError):
        return None
    return last.name, found.st_ino, found.st_size, found.st_mtime_ns


@lru_cache(maxsize=100)
def _read_known_state(path: str, entry: object) -> TableState | None:
    """Read once for each last `entry`: delta-rs parses the whole log, and a step asks dozens of times."""
    return _read_newest_state(path)


def _read_newest_state(path: str) -> TableState | None:
    table = find_table(path)
    return None if table is None else read_state(table)


def has_rows(warehouse: Warehouse, table: str) -> bool:
    """Whether anything was ever published to the table and is still there."""
    state = warehouse.state(table)
    return state is not None and state.rows > 0


def require_tables(warehouse: Warehouse) -> list[str]:
    """Every folder of tables.

    Raises:
        WrongUsage: there is no such root.
        JobError: it has no tables.
    """
    if names := warehouse.list_tables():
        return names
    # a root that is misspelt would else be taken for one with nothing to do, or nothing wrong
    if warehouse.files.get_file_info(warehouse.inner(warehouse.root)).type == FileType.NotFound:
        raise WrongUsage(describe_missing_root(warehouse.root))
    raise JobError(f"there are no tables under {warehouse.root!r}; nothing has been published there yet")


def check_declared(warehouse: Warehouse, why: str) -> None:
    """Before rows go that tables of a project may hold too, in whatever way; `why` says what would be wrong.

    Raises:
        JobError: nothing here declares some of the tables.
    """
    if unknown := [name for name in warehouse.list_tables() if name not in CONTRACTS]:
        raise JobError(
            f"nothing here declares {', '.join(unknown)} under {warehouse.root}, and {why}; run this in the project "
            "that declares them, or remove their folders"
        )


def no_data_error(warehouse: Warehouse, table: str) -> JobError:
    return JobError(
        f"table {table} has no data yet under {warehouse.root}; run the step that publishes it first"
    )


def find_contract(name: str) -> Contract:
    if name not in CONTRACTS:
        raise JobError(f"no table {name!r}; tables are: {', '.join(CONTRACTS)}")
    return CONTRACTS[name]


def _create(path: str, contract: Contract, mode: str) -> DeltaTable:
    properties = {
        **RETENTION,
        # of no ids of listeners: an old entry of the log would keep its least and greatest after an erasure
        "delta.dataSkippingStatsColumns": ",".join(contract.statistics) or "ds",
        # what a client must know to look rows up: it imports no contracts, and reads tables that were made by
        # another version of them
        "segue.key": ",".join(contract.key),
        "segue.entity": contract.entity or "",
        "segue.buckets": str(contract.buckets),
    }
    return DeltaTable.create(
        path,
        schema=schema_of(contract),
        mode=mode,  # type: ignore[arg-type]
        partition_by=list(contract.partitions) or None,
        name=contract.name,
        description=contract.meaning,
        configuration=properties,
        raise_if_key_not_exists=False,
        # a lost creation would be tried again as a second version, and two would own what is one's
        commit_properties=CommitProperties(max_commit_retries=0),
    )


def _add_constraints(table: DeltaTable, contract: Contract) -> DeltaTable:
    """With CHECK constraints. A commit of its own, as delta-rs takes none at creation."""
    try:
        if contract.constraints:
            table.alter.add_constraint(contract.constraints)
    except CommitFailedError:  # two created it at once, and the other one has done this too
        table.update_incremental()
    return table


def _check_schema(table: DeltaTable, contract: Contract) -> None:
    """delta-rs commits files of any schema, and readers would see nulls, or an error, much later."""
    present = {field.name: field for field in table.schema().fields}
    expected = {field.name: field for field in schema_of(contract).fields}
    # columns that the table lacks are no fault: `add_missing_columns` adds them. A table that allows nulls
    # which the contract does not is none either: rows from before a column was added have none to give
    shared = [(name, present[name], field) for name, field in expected.items() if name in present]
    unknown = [] if contract.declared else [name for name in present if name not in expected]
    faults = [f"{name} is no longer in the contract" for name in unknown]
    faults += [
        f"{n} is {old.type}, the contract says {new.type}" for n, old, new in shared if old.type != new.type
    ]
    faults += [
        f"{n} allows no null, the contract does"
        for n, old, new in shared
        if new.nullable and not (old.nullable or contract.declared)
    ]
    if faults:
        raise JobError(
            f"table {contract.name} was made for another contract: {'; '.join(faults)}. Columns can be added, not "
            "changed or dropped: give the changed column a new name and keep the old one, or publish under a new root"
        )
