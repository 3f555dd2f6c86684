"""Where the tables are, how they are made, and which of their days are stale."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import date, timedelta

from deltalake import CommitProperties, DeltaTable, Schema
from deltalake.exceptions import CommitFailedError, DeltaError

from jobs.errors import JobError, first_line
from jobs.publishing.state import TableState, read_state
from schemas import CONTRACTS, Contract
from segue.releases import RELEASE_LIFE
from segue.retry import retry
from segue.storage import filesystem, find_table

# Delta 4.1 and later refuse to travel past the first, even where files are left; the log must outlive
# every version that a release still names, one that was rolled back to included.
LOG_LIFE = timedelta(days=120)
RETENTION = {
    "delta.deletedFileRetentionDuration": f"interval {RELEASE_LIFE.days} days",
    "delta.logRetentionDuration": f"interval {LOG_LIFE.days} days",
}


class Warehouse:
    """The tables under one root, a path that Spark, delta-rs and pyarrow all read."""

    def __init__(self, root: str) -> None:
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
        table = self.table(name)
        return None if table is None else read_state(table)

    def create(self, contract: Contract) -> DeltaTable:
        """The table of this contract, made empty if there is none; milliseconds, as no engine starts.

        Raises:
            JobError: it is there, but made for other columns.
        """
        table = self.table(contract.name)
        if table is None:
            table = self._create_once(contract)
        if table.version() == 0:  # just made, or its maker was killed before this
            table = _add_constraints(table, contract)
        _check_schema(table, contract)
        return table

    def reserve(self, contract: Contract, path: str) -> bool:
        """Whether `path` is ours alone: an empty table of this contract, made there unless one was."""
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
            return table

        try:
            table = retry(widen, CommitFailedError)  # lost where somebody else did, or published meanwhile
        except CommitFailedError as problem:
            raise JobError.not_committed(f"of new columns for {contract.name}", problem) from problem
        table.update_incremental()
        return table

    def _create_once(self, contract: Contract) -> DeltaTable:
        path = self.table_path(contract.name)
        try:
            return _create(path, contract, "ignore")
        except CommitFailedError:  # two created it at once; it is the other one's
            return DeltaTable(path)

    def inner(self, path: str) -> str:
        """`path`, as the file system of this root names it."""
        return self._base + path[len(self.root) :]

    def write(self, path: str, text: str) -> None:
        """A small file, and the folder that it is in."""
        inner = self.inner(path)
        self.files.create_dir(inner.rpartition("/")[0], recursive=True)
        with self.files.open_output_stream(inner) as file:
            file.write(text.encode())

    def remove(self, path: str) -> None:
        self.files.delete_dir(self.inner(path))

    def batches(self, table: str) -> dict[str, str]:
        """Folder of every batch of a table, published or not: path by batch id."""
        from pyarrow.fs import FileSelector, FileType

        selector = FileSelector(self.inner(self.table_path(table)), allow_not_found=True)
        return {
            entry.base_name.removeprefix("batch-"): f"{self.table_path(table)}/{entry.base_name}"
            for entry in self.files.get_file_info(selector)
            if entry.type == FileType.Directory and entry.base_name.startswith("batch-")
        }


def _add_columns(table: DeltaTable, contract: Contract) -> None:
    """Rows published before read as null there."""
    from deltalake.schema import Field

    have = {field.name for field in table.schema().fields}
    missing = [field for field in schema_of(contract).fields if field.name not in have]
    if not missing:
        return
    metadata = {"userMetadata": json.dumps({"kind": "widen", "state": read_state(table).dumps()})}
    # rows that are there have no value, whatever the contract asks of new ones
    nullable = [Field(field.name, field.type, nullable=True, metadata=field.metadata) for field in missing]
    properties = CommitProperties(custom_metadata=metadata, max_commit_retries=0)
    table.alter.add_columns(nullable, commit_properties=properties)


def stale_days(
    warehouse: Warehouse, table: str, wanted: Mapping[date, str], former: Mapping[date, str] | None = None
) -> list[date]:
    """Days that `table` lacks, or made of something else than what names the day in `wanted`.

    Args:
        former: names of the very same by an older rule, which tables of before hold.
    """
    state = warehouse.state(table)
    # state of the newest commit: no file is opened to know what is stale
    known = {} if state is None else {day: part.upstream for day, part in state.day_states.items()}
    return [
        day for day, name in wanted.items() if known.get(day) not in (name, (former or {}).get(day, name))
    ]


def has_rows(warehouse: Warehouse, table: str) -> bool:
    """Whether anything was ever published to the table and is still there."""
    state = warehouse.state(table)
    return state is not None and state.rows > 0


def no_data_error(warehouse: Warehouse, table: str) -> JobError:
    return JobError(
        f"table {table} has no data yet under {warehouse.root}; run the step that publishes it first"
    )


def find_contract(name: str) -> Contract:
    if name not in CONTRACTS:
        raise JobError(f"no table {name!r}; tables are: {', '.join(CONTRACTS)}")
    return CONTRACTS[name]


def _create(path: str, contract: Contract, mode: str) -> DeltaTable:
    """What a client must know to look rows up lies in the table's own properties: it imports no
    contracts, and reads tables that were made by another version of them."""
    properties = {
        **RETENTION,
        "delta.dataSkippingStatsColumns": ",".join(contract.statistics) or "ds",
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
    have = {field.name: field for field in table.schema().fields}
    wanted = {field.name: field for field in schema_of(contract).fields}
    wrong = [f"{name} is no longer in the contract" for name in have if name not in wanted]
    wrong += [
        f"{name} is {have[name].type}, the contract says {field.type}"
        for name, field in wanted.items()
        if name in have and have[name].type != field.type
    ]
    wrong += [
        f"{name} allows no null, the contract does"
        for name, field in wanted.items()
        if name in have and field.nullable and not have[name].nullable
    ]
    if wrong:
        raise JobError(
            f"table {contract.name} was made for another contract: {'; '.join(wrong)}. Columns can be added, not "
            "changed or dropped: give the changed column a new name and keep the old one, or publish under a new root"
        )


def schema_of(contract: Contract) -> Schema:
    return Schema.from_json(contract.struct().json())
