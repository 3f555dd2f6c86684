"""What a table holds, day by day, as the commit that made its newest version says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

from deltalake import DeltaTable

from segue import log
from segue.log import parse_commit_metadata
from segue.publication_record import EPOCH, Record, dump_record, format_instant, load_record, parse_instant
from segue.watermark import floor_day, is_complete

# Content hashes are sums of row hashes modulo this: order and files do not matter, and days add up. A sum,
# not an exclusive or: two equal rows would cancel out.
_WHOLE = 2**64
# In the name of what a day was made of, where that was not complete: up to which instant it was. The day is stale once
# it is complete, as the name is another then.
_PROVISIONAL = " complete through "


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
    # a key of `TableState.declarations`: what computed each column. Empty where no declaration does, and for days of
    # tables from before it was written, whose `upstream` is of the declarations too
    columns: str = ""
    # version of `tracks` whose columns its rows have; None where they have none
    catalogue: int | None = None

    def same_content_as(self, other: DayState) -> bool:
        # not `==`: the same rows made by other code are another batch, and the same content
        return (self.rows, self.content_hash) == (other.rows, other.content_hash)

    @property
    def complete_through(self) -> datetime | None:
        """Up to when what the day was made of was complete; None where all of it was."""
        return find_limit(self.upstream)

    def dumps(self) -> list[Any]:
        fields = list(vars(self).values())
        if self.catalogue is not None:
            return fields
        return fields[:-1] if self.columns else fields[:-2]

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

    def retract(self, rows: int, content_hash: int) -> DayState:
        """As if some rows had never been published: what is made of the day is stale."""
        published_hash = (self.published_hash - content_hash) % _WHOLE
        return replace(self.minus(rows, content_hash), published_hash=published_hash)


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
    # what days that were published again had before; None where entries from before it was written say nothing
    earlier: Record | None = None
    # by a name for each: identities of columns, in the order in which the content hash of their days has them
    declarations: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    # of a table that is made of files: by source, the instant up to which all of its rows are in
    watermarks: Mapping[str, datetime] = field(default_factory=dict)
    # the least of those that a day waits for; it never goes back. None where nothing is known
    complete_through: datetime | None = None
    # which keys ids were replaced with, by their check values, the newest last; empty where none were
    id_keys: tuple[str, ...] = ()

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

    def declared_columns(self, day: date | None) -> Mapping[str, str]:
        """What computed each column of a day; empty where the log does not say it."""
        return self.declarations.get(self.day_states[day].columns, {})

    @property
    def provisional_days(self) -> dict[date, datetime]:
        """The days that are not complete, or were made of what was not; and up to when that was."""
        return {day: limit for day in self.days if (limit := self.find_limit(day))}

    def find_limit(self, day: date) -> datetime | None:
        """Up to when a day, or what it was made of, is complete; None where it is."""
        # of a day that is not there all rows may still come
        part = self.day_states.get(day)
        if part and part.complete_through:
            return part.complete_through
        through = self.complete_through
        return None if through is None or is_complete(day, through) else through

    def advance(self, source: str, instant: datetime, awaited: Collection[str]) -> TableState:
        """After a source said that all its rows before an instant are in; a day waits for each of `awaited`."""
        watermarks = {**self.watermarks, source: max(self.watermarks.get(source, EPOCH), instant)}
        before = self.complete_through or EPOCH
        if not self.watermarks and self.published_at:
            # of before there were watermarks: each day was complete when the next one began
            before = floor_day(parse_instant(self.published_at))
        through = max(before, min(watermarks.get(name, EPOCH) for name in awaited))
        return replace(self, watermarks=watermarks, complete_through=through)

    def add_id_key(self, id_key: str) -> TableState:
        """After rows whose ids were replaced with a key, by its check value; empty for none."""
        known = not id_key or self.id_keys[-1:] == (id_key,)
        return self if known else replace(self, id_keys=(*self.id_keys, id_key))

    def replace_days(
        self, parts: Mapping[date | None, DayState], replaces: Iterable[date | None] | None
    ) -> TableState:
        """After `parts` took the place of some days; of the whole table, where `replaces` is None."""
        replaced = set(self.day_states if replaces is None else replaces)
        others = {day: each for day, each in self.day_states.items() if day not in replaced}
        return replace(self, day_states={**others, **parts})

    def retract(self, removed: Mapping[date | None, tuple[int, int]]) -> TableState:
        """After rows were taken out: how many of each day, and their content hash."""
        states = dict(self.day_states)
        for day, (rows, content_hash) in removed.items():
            states[day] = states[day].retract(rows, content_hash)
        # an empty day at either end is as one that nobody has ingested; between others it is a day like them, of
        # which what was made must be made again
        days = [day for day, each in states.items() if day and each.rows]
        first, last = min(days, default=date.max), max(days, default=date.min)
        return replace(self, day_states={d: s for d, s in states.items() if d is None or first <= d <= last})

    def remove_days(self, gone: Collection[date], again: Collection[date]) -> TableState:
        """Without some days, and with others that are to be made again, as they were made of those."""
        states = {
            day: replace(each, upstream="") if day in again else each
            for day, each in self.day_states.items()
            if day not in gone
        }
        return replace(self, day_states=states)

    def update_empty_columns(self, rows: int, empty_columns: frozenset[str], whole: bool) -> TableState:
        """After rows were published in which these columns are empty; `whole`: they are all the rows."""
        if not rows:  # of no rows at all every column is empty
            return self
        if self.rows and not whole:
            empty_columns &= self.empty_columns
        return replace(self, empty_columns=empty_columns)

    def dumps(self) -> dict[str, Any]:
        # lists, not objects: some 110 bytes a day, in every commit
        parts = {str(day): each.dumps() for day, each in self.day_states.items()}
        state = {
            "parts": parts,
            "published_at": self.published_at,
            "erased_in": self.erased_in,
            "empty_columns": sorted(self.empty_columns),
            **({} if self.earlier is None else {"earlier": dump_record(self.earlier)}),
        }
        # a day names what computed it, as all days mostly have the same
        used = {each.columns for each in self.day_states.values()}
        declarations = {name: dict(each) for name, each in self.declarations.items() if name in used}
        state |= {"declarations": declarations} if declarations else {}
        state |= {"id_keys": list(self.id_keys)} if self.id_keys else {}
        if self.complete_through is None:
            return state
        watermarks = {source: format_instant(each) for source, each in self.watermarks.items()}
        return state | {"watermarks": watermarks, "complete_through": format_instant(self.complete_through)}

    @staticmethod
    def loads(version: int, saved: Mapping[str, Any]) -> TableState:
        # logs keep what was written: names of keys and the order within the lists stay for good
        parts = {
            None if day == "None" else date.fromisoformat(day): DayState(*fields)
            for day, fields in saved["parts"].items()
        }
        # entries from before it was written say nothing of empty columns
        empty = frozenset(saved.get("empty_columns", ()))
        earlier = load_record(saved["earlier"]) if "earlier" in saved else None
        declarations = saved.get("declarations", {})
        watermarks = {source: parse_instant(each) for source, each in saved.get("watermarks", {}).items()}
        through = parse_instant(saved["complete_through"]) if "complete_through" in saved else None
        return TableState(
            version, parts, saved["published_at"], saved["erased_in"], empty,
            earlier=earlier, declarations=declarations, watermarks=watermarks, complete_through=through,
            id_keys=tuple(saved.get("id_keys", ())),
        )  # fmt: skip


def read_state(table: DeltaTable) -> TableState:
    """From the newest commit that says it, up to the version that `table` was opened at."""
    return read_state_at(table, table.version())


def read_state_at(table: DeltaTable, version: int) -> TableState:
    """The same of an older version."""
    # entry by entry: `DeltaTable.history` starts at the newest version, whichever was opened
    saved = log.read_state(table.table_uri, version)
    return TableState(version) if saved is None else TableState.loads(version, saved)


def commit_metadata_at(table: DeltaTable, version: int) -> dict[str, Any] | None:
    """What we wrote into one commit; None where the log does not reach back to it."""
    actions = log.read_entry(table.table_uri, version)
    return None if actions is None else parse_commit_metadata(log.find_commit(actions))


def find_publication(table: DeltaTable) -> tuple[int, dict[str, Any]] | None:
    """The newest version in which a run published a batch, and what it wrote into the commit: maintenance, erasures and
    retractions since then did not. None where the log does not reach back to it."""
    for version in range(table.version(), -1, -1):
        metadata = commit_metadata_at(table, version)
        if metadata is None:
            break
        if metadata.get("kind") == "publish":
            return version, metadata
    return None


def list_upstream(state: TableState | None) -> dict[date | None, str]:
    """Of each day of a table, the name of what it was made of."""
    return {day: each.upstream for day, each in state.day_states.items()} if state else {}


def list_stale(published: TableState | None, upstream: Mapping[date, str]) -> list[date]:
    """The days that are not published, or were made of something else."""
    known = list_upstream(published)
    return sorted(day for day, name in upstream.items() if known.get(day) != name)


def mark_provisional(name: str, limits: Iterable[datetime | None]) -> str:
    """The name of what a day is made of, where some of that is complete up to these instants only."""
    least = min(filter(None, limits), default=None)
    return name if least is None else f"{name}{_PROVISIONAL}{format_instant(least)}"


def find_limit(name: str) -> datetime | None:
    """The instant in such a name; None where all was complete."""
    _, mark, instant = name.partition(_PROVISIONAL)
    return parse_instant(instant) if mark else None


def drop_limit(name: str) -> str:
    """The name but for that instant."""
    return name.partition(_PROVISIONAL)[0]


def digest(*values: Any) -> str:
    """A short name for a value: the same value, the same name, on any machine."""
    # not `hash()`, which Python salts anew in every process. 64 bits: it names a folder, and has no adversary
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:16]
