"""One Delta table as it lies there, for who looks for faults: nothing is taken on trust."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError
from pyarrow.fs import FileInfo

from jobs.errors import first_line
from jobs.publishing.commits import list_data_files
from jobs.publishing.log_entries import LogEntry
from jobs.publishing.state import TableState
from jobs.publishing.warehouse import Warehouse
from segue.errors import SegueError
from segue.log import read_state

_ENTRY = re.compile(r"(\d{20})\.(json|checkpoint)(?:\..*)?")


class TableOnStorage:
    """The log and the files, as listings have them; `files_on_storage` is listed when it is first needed."""

    def __init__(
        self, warehouse: Warehouse, path: str, label: str, named: Mapping[int, list[str]] | None = None
    ) -> None:
        self.warehouse, self.uri, self.label = warehouse, path, label
        self.name = path.rsplit("/", 1)[-1]
        # by version, the releases that name it; of quality results and of the releases themselves, none
        self.released, self.releases_by_version = named is not None, named or {}
        # the log before the folder: files are there before a commit names them, so that a publisher at work
        # looks like no fault
        self.log = warehouse.list_files(f"{path}/_delta_log")
        matches = {name: match for name in sorted(self.log) if (match := _ENTRY.fullmatch(name))}
        # read one by one: delta-rs's `history` is that of the newest version whatever version was opened, and
        # fails once an entry is cut off. None is one that was
        names = {int(match[1]): name for name, match in matches.items() if match[2] == "json"}
        self.entries = {version: LogEntry.parse(version, self._read(name)) for version, name in names.items()}
        self.checkpoint = max((int(m[1]) for m in matches.values() if m[2] == "checkpoint"), default=-1)
        self.newest = max([self.checkpoint, *self.entries])

    @cached_property
    def files_on_storage(self) -> dict[str, FileInfo]:
        """Every file in the folder, by its path there, as the log names it."""
        return self.warehouse.list_files(self.uri)

    @cached_property
    def publish_counts(self) -> Counter[str]:
        """How often each batch was, as far back as the log goes."""
        notes = [entry.note for entry in self.entries.values() if entry]
        return Counter(note.get("batch", "") for note in notes if note.get("kind") == "publish")

    @cached_property
    def broken_versions(self) -> list[int]:
        """Versions whose entry is needed to open the newest, and is lost or cut off."""
        # what is before the checkpoint may be cleaned away
        needed = range(self.checkpoint + 1, self.newest + 1)
        return [
            version for version in needed if self.entries.get(version) is None and not self.is_empty(version)
        ]

    @cached_property
    def delta_table(self) -> DeltaTable | str:
        """The table at its newest version, or the last before what is broken; or why it does not open."""
        return self.at(self.broken_versions[0] - 1 if self.broken_versions else self.newest)

    @cached_property
    def files(self) -> list[dict[str, Any]]:
        """Of `delta_table`."""
        return [] if isinstance(self.delta_table, str) else list_data_files(self.delta_table)

    def at(self, version: int) -> DeltaTable | str:
        """The table, or why it does not open."""
        if version < 0:
            return "no version is left"
        try:
            return DeltaTable(self.uri, version=version)
        except (DeltaError, OSError) as problem:
            return first_line(problem)[:200]

    def is_empty(self, version: int) -> bool:
        """Whether the entry has no bytes at all: readers take that for a commit that changed nothing."""
        info = self.log.get(f"{version:020}.json")
        return info is not None and info.size == 0

    def state(self, version: int) -> TableState | None:
        """What the table holds at a version; None where no entry that is left says so."""
        last, _ = self._find_saved_state(version)
        try:
            saved = read_state(self.uri, last)
            return TableState.loads(version, saved) if saved else None
        # SegueError where the entry that it rests on is lost; the others where one has no state of ours
        except (SegueError, KeyError, TypeError, ValueError, AttributeError):
            return None

    def lost_base(self, version: int) -> int | None:
        """The version that its state is written as changes to, where no entry says any more what that held."""
        _, base = self._find_saved_state(version)
        entry = self.entries.get(base)
        return None if base < 0 or (entry and entry.base == base) else base

    def _find_saved_state(self, version: int) -> tuple[int, int]:
        """The newest version up to this whose entry has a state, and that which it rests on; -1 for none."""
        states = [(v, entry.base) for v, entry in self.entries.items() if entry and entry.base is not None]
        return max((each for each in states if each[0] <= version), default=(-1, -1))

    def list_missing(self, files: Iterable[Mapping[str, Any]]) -> list[str]:
        """Which of these are gone, or have another size than the log says."""
        sizes = {path: info.size for path, info in self.files_on_storage.items()}
        return [file["path"] for file in files if sizes.get(file["path"]) != file["size_bytes"]]

    def _read(self, name: str) -> bytes:
        text: bytes = self.warehouse.files.open_input_stream(self.log[name].path).read()
        return text
