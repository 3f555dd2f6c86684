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

# Content hashes are sums of row hashes modulo this: order and files do not matter, and days add up.
_WHOLE = 2**64


@dataclass(frozen=True)
class DayState:
    """One published day of a table (or all of it, where it has no days).

    `published_hash` is the content hash as it was published; erasing a listener changes `content_hash` but
    not `published_hash`, so it makes nothing stale. `fingerprint` identifies the batch, `upstream` what
    the table that this one mirrors held up to this day.
    """

    rows: int
    content_hash: int
    published_hash: int
    fingerprint: str
    upstream: str = ""

    def same_content_as(self, other: DayState) -> bool:
        """Whether both are the same rows."""
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


@dataclass(frozen=True)
class TableState:
    """One version of one table. `day_states` has the key None where the table has no days.

    `published_at` is the latest `available_at` there is, `erased_in` the last version that erased a
    listener (0: none did). `empty_columns` have had no value in any row published; of a day that was replaced
    by fuller rows, or by emptier ones, nothing is concluded.
    """

    version: int
    day_states: Mapping[date | None, DayState] = field(default_factory=dict)
    published_at: str = ""
    erased_in: int = 0
    empty_columns: frozenset[str] = frozenset()

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.day_states.values())

    @property
    def content_hash(self) -> str:
        """Hash of all rows, whatever their order: the hashes of the days add up."""
        return f"{sum(part.content_hash for part in self.day_states.values()) % _WHOLE:016x}"

    @property
    def days(self) -> list[date]:
        return sorted(day for day in self.day_states if day is not None)

    def published_hashes(self, days: Iterable[date] | None = None) -> dict[str, str]:
        """What some days, or all, consist of: the same rows, the same origins, in whatever files."""
        wanted = self.day_states if days is None else [day for day in days if day in self.day_states]
        return {str(day): f"{self.day_states[day].published_hash:016x}" for day in wanted}

    def cumulative_fingerprints(self) -> dict[date, str]:
        """What the table consists of up to each day: a session and a window reach over days."""
        found, so_far = {}, ""
        for day in self.days:
            found[day] = so_far = digest(so_far, str(day), self.day_states[day].published_hash)
        return found

    def replace_days(
        self, parts: Mapping[date | None, DayState], replaces: Iterable[date | None] | None
    ) -> TableState:
        """After `day_states` took the place of some days; of the whole table, where `replaces` is None."""
        gone = set(self.day_states if replaces is None else replaces)
        kept = {day: part for day, part in self.day_states.items() if day not in gone}
        return replace(self, day_states={**kept, **parts})

    def update_empty_columns(self, rows: int, empty_columns: frozenset[str], whole: bool) -> TableState:
        """After rows were published in which these columns are empty; `whole`: they are all the rows."""
        if not rows:
            return self
        others = any(part.rows for part in self.day_states.values()) and not whole
        empty = self.empty_columns & empty_columns if others else empty_columns
        return replace(self, empty_columns=empty)

    def dumps(self) -> dict[str, Any]:
        parts = {
            str(day): [p.rows, p.content_hash, p.published_hash, p.fingerprint, p.upstream]
            for day, p in self.day_states.items()
        }
        found = {"parts": parts, "published_at": self.published_at, "erased_in": self.erased_in}
        return found | {"empty_columns": sorted(self.empty_columns)}

    @staticmethod
    def loads(version: int, saved: Mapping[str, Any]) -> TableState:
        parts = {
            None if day == "None" else date.fromisoformat(day): DayState(*fields)
            for day, fields in saved["parts"].items()
        }
        # entries from before it was written say nothing of empty columns
        empty = frozenset(saved.get("empty_columns", ()))
        return TableState(version, parts, saved["published_at"], saved["erased_in"], empty)


def read_state(table: DeltaTable) -> TableState:
    """From the newest commit that says it, up to the version that `table` was opened at.

    The entries are read one by one: `DeltaTable.history` starts at the newest version, whichever was opened.
    """
    # mostly the first entry has it: of ours, only the creation and its constraints say nothing of rows
    for version in range(table.version(), -1, -1):
        note = commit_metadata_at(table, version)
        if note is None:
            break
        if "state" in note:
            return TableState.loads(table.version(), note["state"])
    return TableState(table.version())


def commit_metadata_at(table: DeltaTable, version: int) -> dict[str, Any] | None:
    """What we wrote into one commit; None where the log does not reach back to it."""
    files, path = filesystem(table.table_uri)
    try:
        actions = read_actions(files, f"{path.rstrip('/')}/_delta_log/{version:020}.json")
    except FileNotFoundError:
        return None
    return parse_commit_metadata(
        next((action["commitInfo"] for action in actions if "commitInfo" in action), {})
    )


def read_actions(files: fs.FileSystem, path: str) -> list[dict[str, Any]]:
    """What one entry of a log does; ValueError where it is cut off inside a line."""
    with files.open_input_stream(path) as entry:
        return [json.loads(line) for line in entry.read().decode().splitlines() if line.strip()]


def parse_commit_metadata(commit: Mapping[str, Any]) -> dict[str, Any]:
    """What we wrote into a commit; empty for one that is not ours."""
    try:
        note = json.loads(commit.get("userMetadata") or "{}")
    except ValueError:
        return {}
    return note if isinstance(note, dict) else {}


def digest(*values: Any) -> str:
    """A short name for a value: the same value, the same name, on any machine."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:16]
