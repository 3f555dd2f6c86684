"""Which version of each table the next release names: its newest, one that is carried from before, or none."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property

from jobs import FLOW, RECORDS
from jobs.graph import downstream
from jobs.publishing.state import TableState, read_state
from jobs.publishing.warehouse import Warehouse
from segue.releases import Release, TableVersion


@dataclass(frozen=True)
class Selection:
    """`states` has, per table, the version chosen. `reasons` says of tables that are not at their newest version why,
    and of those left out too."""

    warehouse: Warehouse
    states: Mapping[str, TableState]
    reasons: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def newest(cls, warehouse: Warehouse, tables: Sequence[str]) -> Selection:
        """The newest version of every table that has rows; a table never published is absent."""
        states = {name: warehouse.state(name) for name in tables}
        return cls(warehouse, {name: state for name, state in states.items() if state and state.rows})

    @cached_property
    def days(self) -> dict[str, list[date]]:
        """Of the tables that have days; tables of what was refused reach days that nothing was published of."""
        return {name: s.days for name, s in self.states.items() if s.days and name not in RECORDS}

    @property
    def day(self) -> date | None:
        """The newest of all."""
        return max((days[-1] for days in self.days.values()), default=None)

    @property
    def lags(self) -> dict[str, int]:
        """Days by which each table is behind the newest of all; 0 for those without days."""
        day = self.day
        behind = {name: (day - days[-1]).days for name, days in self.days.items() if day}
        return {name: behind.get(name, 0) for name in self.states}

    @property
    def entries(self) -> dict[str, TableVersion]:
        """As a release names them."""
        lags = self.lags
        return {
            name: TableVersion(state.version, state.rows, state.content_hash, lags[name])
            for name, state in self.states.items()
        }

    def adds_to(self, release: Release | None) -> bool:
        """Whether readers would get anything new: tables of what was refused alone make no release."""
        entries, known = self.entries, {} if release is None else release.tables
        return any(entries.get(name) != known.get(name) for name in {*entries, *known} - set(RECORDS))

    def leave_out(self, tables: Collection[str], why: Callable[[str], str]) -> Selection:
        """Leaves tables out."""
        kept = {name: state for name, state in self.states.items() if name not in tables}
        return replace(
            self, states=kept, reasons={**self.reasons, **{name: f"left out: {why(name)}" for name in tables}}
        )

    def carry(self, tables: Collection[str], before: Release | None, why: str) -> Selection:
        """Puts tables back to the version that the release before names; those that it cannot give, or gave already,
        are left out.

        A version from before an erasure is none to carry: it would bring the listener back.
        """
        states, reasons = dict(self.states), dict(self.reasons)
        for name in tables:
            entry = before.tables.get(name) if before else None
            carried = self._at(name, entry.version) if entry and name not in reasons else None
            newest = states.pop(name)
            if carried and before and newest.erased_in <= carried.version:
                states[name] = carried
                reasons[name] = f"carried from release {before.release_id}: {why}"
            else:
                reasons[name] = f"left out: {why}"
        return replace(self, states=states, reasons=reasons)

    def with_dependents(self, table: str) -> list[str]:
        """The table, and all that is made of it, of those in the selection."""
        made = downstream(FLOW, table) - set(RECORDS)
        return [name for name in self.states if name == table or name in made]

    def _at(self, name: str, version: int) -> TableState | None:
        table = self.warehouse.table(name, version)
        return None if table is None else read_state(table)
