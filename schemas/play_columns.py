"""Columns that a project's plays have besides those of `plays`: a playlist, a device, how a play came about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from schemas.column_problems import find_column_list_problems, find_required_problems
from schemas.contract import Column, Contract
from schemas.mistakes import note_place, refuse
from schemas.plays import LATE_PLAYS, PLAYS
from schemas.sessions import SESSIONS

# Where a play stands, each row with all that its source said of it.
TABLES = (PLAYS, LATE_PLAYS, SESSIONS)


@dataclass(frozen=True)
class PlayColumns:
    """More columns of `plays` and `sessions`, which the section `[plays]` of a source then may fill; null where it
    does not. A value that breaks the column's `check` makes the row a reject."""

    columns: tuple[Column, ...]

    def __post_init__(self) -> None:
        note_place(self)
        refuse(self, "columns of plays", list(self._find_problems()))
        if (declared := _DECLARED.get()) is not None:
            declared.append(self)

    def _find_problems(self) -> Iterator[str]:
        yield from find_column_list_problems(self.columns)
        names = [column.name for column in self.columns]
        # all three have most columns in common: the first that has a name is meant
        owners = {name: table.name for table in reversed(TABLES) for name in table.names}
        if known := [f"{name} is one of {owners[name]}" for name in names if name in owners]:
            yield f"column {', '.join(known)} already; give it another name"
        declared = [column.name for each in _DECLARED.get() or () for column in each.columns]
        if twice := [name for name in names if name in declared]:
            yield f"column {', '.join(twice)} declared twice"
        yield from find_required_problems(self.columns, "plays")


_DECLARED: ContextVar[list[PlayColumns] | None] = ContextVar("play_columns", default=None)


@contextmanager
def collect_play_columns() -> Iterator[list[PlayColumns]]:
    """While this is open, groups see the columns that were declared before them."""
    declared: list[PlayColumns] = []
    token = _DECLARED.set(declared)
    try:
        yield declared
    finally:
        _DECLARED.reset(token)


def find_play_columns(otherwise: tuple[Column, ...]) -> tuple[Column, ...]:
    """What has been declared so far; outside files of declarations, what is given."""
    declared = _DECLARED.get()
    return otherwise if declared is None else tuple(column for each in declared for column in each.columns)


def extend_plays(contract: Contract, columns: Sequence[Column]) -> Contract:
    """One of `TABLES` with these columns; any other contract as it is."""
    if contract.name not in [table.name for table in TABLES]:
        return contract
    # by name: content hashes have an order of columns, and that of declarations may change
    return contract.extend(sorted(columns, key=lambda column: column.name))


def list_added_columns(contract: Contract) -> list[Column]:
    """Of a contract of plays, those that a project added."""
    own = next(table for table in TABLES if table.name == contract.name).names
    return [column for column in contract.columns if column.name not in own]
