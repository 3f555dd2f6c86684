"""What an erasure takes, noted below the root until its receipt is there: of one that was killed, the rerun finds no
rows, and says by the note and by the tables' logs what the whole of it took."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from functools import cached_property
from typing import Any

from jobs.publishing.state import digest
from jobs.publishing.warehouse import Warehouse
from segue.log import find_commit, parse_commit_metadata, read_entry
from segue.small_files import read_file

_FOLDER = ("quality", "erasures")
# In the metadata of a commit.
ERASURE, ROWS_REMOVED = "erasure", "rows_removed"


@dataclass
class Erasure:
    """What became of one table, since the version `before`; `users` are hashes."""

    table: str
    before: int
    rows: int = 0
    version: int | None = None
    first_day: date | None = None
    users: set[str] = field(default_factory=set)
    staged: list[str] = field(default_factory=list)

    def describe(self) -> dict[str, Any]:
        """For a receipt."""
        return {name: value for name, value in asdict(self).items() if name not in ("before", "users")}


@dataclass(frozen=True)
class ErasureNote:
    """Of the erasure of these ids: a rerun of it has the same."""

    warehouse: Warehouse
    ids: Sequence[str]

    @cached_property
    def id(self) -> str:
        return digest(*hash_ids(self.ids))

    @property
    def _path(self) -> str:
        return self.warehouse.path(*_FOLDER, f"{self.id}.json")

    def begin(self, tables: Iterable[str]) -> list[Erasure]:
        """One for each table, as a run before left it."""
        text = read_file(self.warehouse.files, self.warehouse.inner(self._path))
        noted = {each["table"]: _load(each) for each in json.loads(text or "[]")}
        opened = {name: self.warehouse.table(name) for name in tables}
        erasures = [
            noted.get(name) or Erasure(name, table.version()) for name, table in opened.items() if table
        ]
        self.write(erasures)
        return erasures

    def write(self, erasures: Sequence[Erasure]) -> None:
        """Before any of it is done: what is noted and was not done, a rerun finds again. Rows are counted by logs."""
        noted = [asdict(each) | {"users": sorted(each.users)} for each in erasures]
        self.warehouse.write(self._path, json.dumps(noted, default=str, indent=1))

    def remove(self) -> None:
        self.warehouse.files.delete_file(self.warehouse.inner(self._path))

    def count_rows(self, table: str, after: int, last: int) -> int:
        """Rows that this erasure took out of a table in the versions after one, up to the last."""
        uri = self.warehouse.table_path(table)
        commits = (find_commit(read_entry(uri, version) or []) for version in range(after + 1, last + 1))
        notes = map(parse_commit_metadata, commits)
        return sum(note.get(ROWS_REMOVED, 0) for note in notes if note.get(ERASURE) == self.id)


def hash_ids(ids: Iterable[str]) -> list[str]:
    # a receipt that names them would have to be erased too
    return sorted(hashlib.sha256(id_.encode()).hexdigest() for id_ in ids)


def _load(noted: dict[str, Any]) -> Erasure:
    first_day = noted["first_day"]
    values = {"users": set(noted["users"]), "first_day": first_day and date.fromisoformat(first_day)}
    return Erasure(**(noted | values))
