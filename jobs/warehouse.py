"""Where the tables are, which version each has, and what is in it: the log's side of things."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable, Schema
from pyarrow import fs

from jobs.errors import JobError
from schemas import CONTRACTS, Contract

# Trainers pin releases for weeks, and Delta 4.1 refuses to travel past this; the log outlives the files.
RETENTION = {
    "delta.deletedFileRetentionDuration": "interval 28 days",
    "delta.logRetentionDuration": "interval 90 days",
}


@dataclass(frozen=True)
class Part:
    """One published day of a table (or all of it, where it has no days).

    `made_from` identifies the batch, `follows` the input files of this one day: a day is stale when
    its input has other files now.
    """

    rows: int
    content_hash: int
    made_from: str
    follows: str = ""


@dataclass(frozen=True)
class TableState:
    """One version of one table. `parts` has the key None where the table has no days."""

    version: int
    parts: dict[date | None, Part]

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.parts.values())

    @property
    def content_hash(self) -> str:
        """Hash of all rows, whatever their order: the hashes of the days add up."""
        return f"{sum(part.content_hash for part in self.parts.values()) % 2**64:016x}"

    @property
    def days(self) -> list[date]:
        return sorted(day for day in self.parts if day is not None)

    def dumps(self) -> str:
        return json.dumps(
            {str(day): [p.rows, p.content_hash, p.made_from, p.follows] for day, p in self.parts.items()}
        )

    @staticmethod
    def loads(version: int, text: str) -> TableState:
        parts = {
            None if day == "None" else date.fromisoformat(day): Part(*fields)
            for day, fields in json.loads(text).items()
        }
        return TableState(version, parts)


class Warehouse:
    """The tables under one root, a path that Spark, delta-rs and pyarrow all read."""

    def __init__(self, root: str) -> None:
        self.files, self._base = fs.FileSystem.from_uri(_as_uri(root))
        self.root = root.rstrip("/")

    def path(self, *parts: str) -> str:
        return "/".join((self.root, *parts))

    def table_path(self, name: str) -> str:
        return self.path("tables", name)

    def table(self, name: str, version: int | None = None) -> DeltaTable | None:
        """The table, or None before its first batch."""
        path = self.table_path(name)
        return DeltaTable(path, version=version) if DeltaTable.is_deltatable(path) else None

    def state(self, name: str) -> TableState | None:
        """What the table's newest version holds, from the metadata of the commit that made it."""
        table = self.table(name)
        return None if table is None else state_of(table)

    def create(self, contract: Contract, path: str | None = None) -> DeltaTable:
        """An empty table of this contract; milliseconds, as no engine needs to start.

        What a client must know to look rows up lies in the table's own properties: it imports no
        contracts, and reads tables that were made by another version of them.
        """
        properties = {
            **RETENTION,
            "delta.dataSkippingStatsColumns": ",".join(contract.statistics) or "ds",
            "segue.key": ",".join(contract.key),
            "segue.entity": contract.entity or "",
            "segue.buckets": str(contract.buckets),
        }
        return DeltaTable.create(
            path or self.table_path(contract.name),
            schema=Schema.from_json(contract.struct().json()),
            mode="ignore",
            partition_by=list(contract.partitions) or None,
            name=contract.name,
            description=contract.meaning,
            configuration=properties,
            raise_if_key_not_exists=False,
        )

    def inner(self, path: str) -> str:
        """`path`, as the file system of this root names it."""
        return self._base + path[len(self.root) :]

    def remove(self, path: str) -> None:
        self.files.delete_dir(self.inner(path))


def state_of(table: DeltaTable) -> TableState:
    """From the newest commit that was a batch: maintenance adds versions, but no content."""
    for commit in table.history():
        note = _note(commit)
        if "state" in note:
            return TableState.loads(table.version(), note["state"])
    return TableState(table.version(), {})


def files_of(table: DeltaTable, days: Collection[date] | None) -> str:
    """Identifies what a reader of these days gets: files are never changed, so their names do."""
    filters = [("ds", "in", [str(day) for day in sorted(days)])] if days else None
    return digest(sorted(table.file_uris(filters)))


def files_per_day(table: DeltaTable) -> dict[date, str]:
    """The same for each day by itself, from one reading of the log."""
    actions = pa.table(table.get_add_actions(flatten=True)).select(["partition.ds", "path"])
    names: dict[date, list[str]] = {}
    for action in actions.to_pylist():
        names.setdefault(action["partition.ds"], []).append(action["path"])
    return {day: digest(sorted(paths)) for day, paths in names.items()}


def stale_days(warehouse: Warehouse, table: str, source: str) -> list[date]:
    """Days of `source` from the first that `table` lacks or made of other files, to the newest.

    All of them, because a session and a window reach into the days that follow.

    Raises:
        JobError: `source` has never been published.
    """
    made_of = warehouse.table(source)
    if made_of is None:
        raise JobError(
            f"table {source} has no data yet under {warehouse.root}; run the step that publishes it first"
        )
    current, state = files_per_day(made_of), warehouse.state(table)
    known = {} if state is None else {day: part.follows for day, part in state.parts.items()}
    changed = [day for day, files in current.items() if known.get(day) != files]
    return sorted(day for day in current if changed and day >= min(changed))


def replaced(
    state: TableState | None, version: int, days: Iterable[date] | None, parts: dict[date | None, Part]
) -> TableState:
    """The state after a batch that replaces `days` (None: everything) by `parts`."""
    gone = None if days is None else set(days)
    kept = {} if state is None or gone is None else {d: p for d, p in state.parts.items() if d not in gone}
    return TableState(version, {**kept, **parts})


def appended(state: TableState | None, version: int, parts: dict[date | None, Part]) -> TableState:
    """The state after a batch that adds `parts` to what is there."""
    total = dict(state.parts) if state else {}
    for day, part in parts.items():
        before = total.get(day)
        total[day] = (
            part
            if before is None
            else replace(
                part,
                rows=before.rows + part.rows,
                content_hash=(before.content_hash + part.content_hash) % 2**64,
            )
        )
    return TableState(version, total)


def digest(*values: Any) -> str:
    """A short name for a value: the same value, the same name, on any machine."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:16]


def known_table(name: str) -> Contract:
    if name not in CONTRACTS:
        raise JobError(f"no table {name!r}; tables are: {', '.join(CONTRACTS)}")
    return CONTRACTS[name]


def _note(commit: dict[str, Any]) -> dict[str, Any]:
    try:
        note = json.loads(commit.get("userMetadata") or "{}")
    except ValueError:
        return {}
    return note if isinstance(note, dict) else {}


def _as_uri(root: str) -> str:
    return root if "://" in root else os.path.abspath(root)
