"""Which version of each table the next release names: its newest, one that is carried from before, or none."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import cached_property

from jobs import FLOW, RECORDS
from jobs.graph import downstream
from jobs.publishing.state import TableState, read_state
from jobs.publishing.warehouse import Warehouse
from segue.releases import Release, TableVersion


@dataclass(frozen=True)
class Selection:
    """A choice of versions; each method makes another one, so that whoever audits keeps what it was given."""

    warehouse: Warehouse
    # per table, the version chosen
    states: Mapping[str, TableState]
    # of tables that are not at their newest version, why; of those left out too
    reasons: Mapping[str, str] = field(default_factory=dict)
    # tables of the release before that nothing here declares: nobody here can say what should hold of them
    undeclared: frozenset[str] = frozenset()

    @classmethod
    def newest(cls, warehouse: Warehouse, tables: Sequence[str]) -> Selection:
        """The newest version of every table that has rows; a table never published is absent."""
        # from the newest entries of the logs: no file of a table is opened to choose
        states = {name: warehouse.state(name) for name in tables}
        return cls(warehouse, {name: state for name, state in states.items() if state and state.rows})

    @cached_property
    def days(self) -> dict[str, list[date]]:
        # tables of what was refused reach days that nothing was published of: by them, all others would lag
        return {name: s.days for name, s in self.states.items() if s.days and name not in RECORDS}

    @property
    def day(self) -> date | None:
        """The newest of all."""
        declared = (days[-1] for name, days in self.days.items() if name not in self.undeclared)
        return max(declared, default=None)

    @property
    def lags(self) -> dict[str, int]:
        """Days by which each table is behind the newest of all; 0 for those without days."""
        day = self.day
        # what nothing here declares may have days that plays, say, were taken out of
        lags = {name: max((day - days[-1]).days, 0) for name, days in self.days.items() if day}
        return dict.fromkeys(self.states, 0) | lags

    @cached_property
    def complete_through(self) -> dict[str, datetime]:
        """Up to when all that a table is made of was delivered; absent where nothing is known."""
        limits = {name: list(self.states[name].provisional_days.values()) for name in self.days}
        for name, state in self.states.items():
            if state.complete_through:
                # what is not up to date with a table may be less complete than that: its own days say so
                for table in {name, *downstream(FLOW, name)} & limits.keys():
                    limits[table].append(state.complete_through)
        return {name: min(each) for name, each in limits.items() if each}

    @property
    def entries(self) -> dict[str, TableVersion]:
        """As a release names them."""
        lags, through = self.lags, self.complete_through
        return {
            name: TableVersion(state.version, state.rows, state.content_hash, lags[name], through.get(name))
            for name, state in self.states.items()
        }

    def adds_to(self, release: Release | None) -> bool:
        """Whether readers would get anything new: tables of what was refused alone make no release."""
        new, old = self.entries, {} if release is None else release.tables
        # not versions alone: a lag that grows is news, though its table stayed as it was
        return any(new.get(name) != old.get(name) for name in {*new, *old} - set(RECORDS))

    def keep_undeclared(self, before: Release | None, declared: Collection[str]) -> Selection:
        """With what the release before has of tables that nothing here declares, as readers know them by name."""
        selection = self
        for name, entry in before.tables.items() if before else ():
            newest = None if name in declared else self.warehouse.state(name)
            table = self.warehouse.table(name, entry.version) if newest else None
            if newest is None or table is None:  # declared, or its folder was removed
                continue
            states = {**selection.states, name: read_state(table)}
            reasons = {**selection.reasons, name: "carried: nothing here declares it"}
            undeclared = selection.undeclared | {name}
            selection = replace(selection, states=states, reasons=reasons, undeclared=undeclared)
            if newest.erased_in > entry.version:  # it would bring the listener back
                why = "nothing here declares it, and a listener was erased from it since"
                selection = selection.leave_out([name], dict.fromkeys([name], why).__getitem__)
        return selection

    def leave_out(self, tables: Collection[str], why: Callable[[str], str]) -> Selection:
        states = {name: state for name, state in self.states.items() if name not in tables}
        reasons = {name: f"left out: {why(name)}" for name in tables}
        return replace(self, states=states, reasons={**self.reasons, **reasons})

    def carry(self, tables: Collection[str], before: Release | None, why: str) -> Selection:
        """Puts tables back to the release before; what it cannot give, or gave already, is left out."""
        states, reasons = dict(self.states), dict(self.reasons)
        for name in tables:
            entry = before.tables.get(name) if before else None
            # once carried and still at fault, there is no third version to try: the rounds of a release end
            table = self.warehouse.table(name, entry.version) if entry and name not in reasons else None
            carried = read_state(table) if table else None
            newest = states.pop(name)
            # a version from before an erasure is none to carry: it would bring the listener back
            if carried and before and newest.erased_in <= carried.version:
                states[name] = carried
                reasons[name] = f"carried from release {before.release_id}: {why}"
            else:
                reasons[name] = f"left out: {why}"
        return replace(self, states=states, reasons=reasons)

    def with_dependents(self, table: str) -> list[str]:
        """The table, and all that is made of it, of those in the selection."""
        names = {table, *(downstream(FLOW, table) - set(RECORDS))}
        return [name for name in self.states if name in names]
