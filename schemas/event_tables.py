"""Events other than plays, declared by a project: searches, likes, what was shown to whom."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import cached_property

from schemas.column_problems import find_column_list_problems, find_name_problems
from schemas.common import AVAILABLE_AT, BUCKETS, DS, bucket
from schemas.contract import Column, Contract
from schemas.mistakes import note_place, refuse
from schemas.plays import PLAYS, rejects_contract
from schemas.sessions import SESSIONS

# A section of a source is named after its table, beside these settings.
SOURCE_SETTINGS = (
    "name", "about", "format", "encoding", "line_end", "line_pattern", "separator", "quote", "escape", "multiline",
    "records", "header", "signature", "optional", "where", "events", "grace", "listener", "personal", "pseudonymise",
    "unicode_form", "longest_row",
)  # fmt: skip
# Tables of events that come with Segue, and that features can be declared over.
BUILT_IN = {contract.name: contract for contract in (SESSIONS, PLAYS)}
# Of the catalogue, what is no column of its own for an event.
_NOT_OF_TRACK = ("track_id", "source", "bucket", "available_at")


class Events(ABC):
    """A table of events that is there because a project declares it, and that groups can sum up."""

    @property
    @abstractmethod
    def contract(self) -> Contract: ...


@dataclass(frozen=True)
class EventTable(Events):
    """A table with a row per event, read from files by the section of that name in a source.

    `columns` are all that the files say: `key` (text, identifies the event; a hash of the other columns where a
    source has none), `event_time`, `entity` (text, whose event it is) and others. These three and columns that are
    not nullable must have a value, or the row is a reject; so is one that breaks a column's `check`.
    """

    name: str
    meaning: str
    columns: tuple[Column, ...]
    key: str
    event_time: str
    # what look-ups and erasures ask by
    entity: str = "user_id"

    def __post_init__(self) -> None:
        note_place(self)
        refuse(self, f"event table {self.name}", list(_find_problems(self)))
        declare(self.name, self)

    @property
    def fields(self) -> tuple[str, ...]:
        """The columns that a source gives."""
        return tuple(column.name for column in self.columns)

    @cached_property
    def contract(self) -> Contract:
        required = (self.key, self.event_time, self.entity)
        columns = (replace(c, nullable=c.nullable and c.name not in required) for c in self.columns)
        source = Column("source", "string", "name of the source it came from", nullable=False)
        return Contract(
            name=self.name,
            meaning=self.meaning,
            columns=(*columns, source, bucket(self.entity), AVAILABLE_AT, DS),
            key=(self.key,),
            entity=self.entity,
            event_time=self.event_time,
            buckets=BUCKETS,
            statistics=("bucket", self.event_time),
        )

    @cached_property
    def rejects(self) -> Contract:
        return rejects_contract(self.name)


_DECLARED: ContextVar[dict[str, Events] | None] = ContextVar("event_tables", default=None)


def declare(name: str, events: Events) -> None:
    """Lets groups name it that are declared after it, while files of declarations are loaded."""
    if (declared := _DECLARED.get()) is not None:
        declared[name] = events


@contextmanager
def collect_event_tables() -> Iterator[dict[str, Events]]:
    """While this is open, groups can name tables that were declared before them."""
    declared: dict[str, Events] = {}
    token = _DECLARED.set(declared)
    try:
        yield declared
    finally:
        _DECLARED.reset(token)


def find_events(source: Events | str) -> Events | str | None:
    """What `source` stands for: a declared table, the name of one of ours, or None."""
    if isinstance(source, Events) or source in BUILT_IN:
        return source
    return (_DECLARED.get() or {}).get(source)


def list_sources() -> tuple[str, ...]:
    """Names that a group can have as its source here."""
    return (*BUILT_IN, *(_DECLARED.get() or {}))


def row_of(events: Contract, catalogue: Contract, derived_keys: Mapping[str, str]) -> Contract:
    """A row as declarations see it: its own columns, those of its track in the catalogue, and derived ones."""
    of_track = catalogue.columns if "track_id" in events.names else ()
    derived = (Column(name, "string", sql) for name, sql in derived_keys.items())
    others = (c for c in of_track if c.name not in (*events.names, *_NOT_OF_TRACK))
    return replace(events, columns=(*events.columns, *others, *derived))


def _find_problems(table: EventTable) -> Iterator[str]:
    yield from find_name_problems("name", table.name)
    if table.name in SOURCE_SETTINGS:
        yield f"{table.name} is a setting of sources, so no section of them can have that name"
    yield from find_column_list_problems(table.columns)
    expected = {"key": "string", "event_time": "timestamp", "entity": "string"}
    for role, type_ in expected.items():
        yield from _find_role_problems(table, role, type_)


def _find_role_problems(table: EventTable, role: str, type_: str) -> Iterator[str]:
    name = getattr(table, role)
    column = next((column for column in table.columns if column.name == name), None)
    if column is None:
        yield f"{role} {name} is no column of it ({', '.join(table.fields)}); say which by {role}=…"
    elif column.type != type_:
        yield f"{role} {name} is {column.type}, expected {type_}"
    elif role == "entity" and name != "user_id" and "user_id" in table.fields:
        # erasing a listener looks for files by the bucket of the entity
        yield f"entity is {name}, expected user_id: a table with listeners is one that they can be erased from"
