"""What a table holds, day by day, as the commit that made its newest version says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from deltalake import DeltaTable
from pyarrow import fs

from segue.storage import filesystem

# Content hashes are sums of row hashes modulo this: order and files do not matter, and days add up. A sum,
# not an exclusive or: two equal rows would cancel out.
_WHOLE = 2**64


@dataclass(frozen=True)
class DayState:
    """One published day of a table (or all of it, where it has no days)."""

    rows: int
    content_hash: int
    # as it was published: erasing a listener changes `content_hash` and not this, so it makes nothing stale
    published_hash: int
    # identifies the batch
    fingerprint: str
    # what the table that this one mirrors held up to this day
    upstream: str = ""
    # version of `tracks` whose columns its rows have; None where they have none
    catalogue: int | None = None

    def same_content_as(self, other: DayState) -> bool:
        # not `==`: the same rows made by other code are another batch, and the same content
        return (self.rows, self.content_hash) == (other.rows, other.content_hash)

    def plus(self, other: DayState) -> DayState:
        """Both, the content hash being a sum."""
        return replace(
            other,
            rows=self.rows + other.rows,
            content_hash=(self.content_hash + other.content_hash) % _WHOLE,
            published_hash=(self.published_hash + other.published_hash) % _WHOLE,
        )

    def minus(self, rows: int, content_hash: int) -> DayState:
        """After some rows were erased."""
        return replace(self, rows=self.rows - rows, content_hash=(self.content_hash - content_hash) % _WHOLE)

    def dumps(self) -> list[Any]:
        # a list, not an object: some 110 bytes a day, in every commit
        fields = list(vars(self).values())
        return fields if self.catalogue is not None else fields[:-1]


@dataclass(frozen=True)
class TableState:
    """One version of one table."""

    version: int
    # the one key is None where the table has no days
    day_states: Mapping[date | None, DayState] = field(default_factory=dict)
    # the latest `available_at` there is: the next one must be later, though a clock may run back
    published_at: str = ""
    # the last version that erased a listener; 0, which only creates the table, for none
    erased_in: int = 0
    # had no value in any row published; of a day that was replaced, by fuller rows or emptier ones, nothing
    # is concluded: that would need the columns of each day
    empty_columns: frozenset[str] = frozenset()

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.day_states.values())

    @property
    def content_hash(self) -> str:
        """Of all rows, whatever their order."""
        return f"{sum(part.content_hash for part in self.day_states.values()) % _WHOLE:016x}"

    @property
    def days(self) -> list[date]:
        return sorted(day for day in self.day_states if day is not None)

    def published_hashes(self, days: Iterable[date] | None = None) -> dict[str, str]:
        """What some days, or all, consist of: the same rows, the same origins, in whatever files."""
        return {
            str(day): f"{self.day_states[day].published_hash:016x}"
            for day in (self.day_states if days is None else days)
            if day in self.day_states
        }

    def cumulative_fingerprints(self) -> dict[date, str]:
        """What the table consists of up to each day: a session and a window reach over days."""
        # one late play makes its day stale, and all that follow
        fingerprints, so_far = {}, ""
        for day in self.days:
            fingerprints[day] = so_far = digest(so_far, str(day), self.day_states[day].published_hash)
        return fingerprints

    def replace_days(
        self, parts: Mapping[date | None, DayState], replaces: Iterable[date | None] | None
    ) -> TableState:
        """After `parts` took the place of some days; of the whole table, where `replaces` is None."""
        replaced = set(self.day_states if replaces is None else replaces)
        others = {day: each for day, each in self.day_states.items() if day not in replaced}
        return replace(self, day_states={**others, **parts})

    def update_empty_columns(self, rows: int, empty_columns: frozenset[str], whole: bool) -> TableState:
        """After rows were published in which these columns are empty; `whole`: they are all the rows."""
        if not rows:  # of no rows at all every column is empty
            return self
        if self.rows and not whole:
            empty_columns &= self.empty_columns
        return replace(self, empty_columns=empty_columns)

    def dumps(self) -> dict[str, Any]:
        parts = {str(day): each.dumps() for day, each in self.day_states.items()}
        return {
            "parts": parts,
            "published_at": self.published_at,
            "erased_in": self.erased_in,
            "empty_columns": sorted(self.empty_columns),
        }

    @staticmethod
    def loads(version: int, saved: Mapping[str, Any]) -> TableState:
        # logs keep what was written: names of keys and the order within the lists stay for good
        parts = {
            None if day == "None" else date.fromisoformat(day): DayState(*fields)
            for day, fields in saved["parts"].items()
        }
        # entries from before it was written say nothing of empty columns
        empty = frozenset(saved.get("empty_columns", ()))
        return TableState(version, parts, saved["published_at"], saved["erased_in"], empty)


def read_state(table: DeltaTable) -> TableState:
    """From the newest commit that says it, up to the version that `table` was opened at."""
    # entry by entry: `DeltaTable.history` starts at the newest version, whichever was opened.
    # mostly the first entry has it: of ours, only the creation and its constraints say nothing of rows
    for version in range(table.version(), -1, -1):
        metadata = commit_metadata_at(table, version)
        if metadata is None:
            break
        if "state" in metadata:
            return TableState.loads(table.version(), metadata["state"])
    return TableState(table.version())


def commit_metadata_at(table: DeltaTable, version: int) -> dict[str, Any] | None:
    """What we wrote into one commit; None where the log does not reach back to it."""
    files, path = filesystem(table.table_uri)
    try:
        actions = read_actions(files, f"{path.rstrip('/')}/_delta_log/{version:020}.json")
    except FileNotFoundError:
        return None
    commit: dict[str, Any] = next((action["commitInfo"] for action in actions if "commitInfo" in action), {})
    return parse_commit_metadata(commit)


def read_actions(files: fs.FileSystem, path: str) -> list[dict[str, Any]]:
    """What one entry of a log does; ValueError where it is cut off inside a line."""
    with files.open_input_stream(path) as entry:
        return [json.loads(line) for line in entry.read().decode().splitlines() if line.strip()]


def parse_commit_metadata(commit: Mapping[str, Any]) -> dict[str, Any]:
    """What we wrote into a commit; empty for one that is not ours."""
    # `userMetadata` is free text: of another engine it may be none, no JSON, or JSON that is no object
    try:
        metadata = json.loads(commit.get("userMetadata") or "{}")
    except ValueError:
        return {}
    return metadata if isinstance(metadata, dict) else {}


def digest(*values: Any) -> str:
    """A short name for a value: the same value, the same name, on any machine."""
    # not `hash()`, which Python salts anew in every process. 64 bits: it names a folder, and has no adversary
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:16]
