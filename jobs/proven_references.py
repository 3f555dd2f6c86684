"""Which keys between tables need no look again: those of days that are as they were when no key was missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from expectations.release import Keys, Reference, count_missing_keys
from jobs.job import Job
from jobs.publishing.records import read_held_expectations
from jobs.publishing.retention import find_retention
from jobs.publishing.state import DayState, TableState, read_state
from jobs.publishing.warehouse import Warehouse
from segue.errors import SegueError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Days = Sequence[date | None]


@dataclass(frozen=True)
class Proof:
    """Versions of two tables of which every key of the child was in the parent."""

    child: TableState
    parent: TableState


@dataclass(frozen=True)
class Changes:
    """Days of a child and its parent since a proof."""

    # of the child, to be compared: other rows than then, or of days that the parent had not reached
    new: Days
    # of the child: keys on it were in the parent
    proven: Days
    # of the parent: a key may be gone, or be there now
    gone: Days
    there: Days

    @classmethod
    def since(cls, proof: Proof, child: TableState, parent: TableState) -> Changes:
        before, now = select_compared(proof.child, proof.parent), select_compared(child, parent)
        new = _differ(now, before)
        proven = [day for day in now if day not in new]
        return cls(
            new,
            # one will do: that of most keys in common
            [max(proven, key=lambda day: day or date.min)] if proven else [],
            _differ(proof.parent.day_states, parent.day_states),
            _differ(parent.day_states, proof.parent.day_states),
        )


def select_compared(child: TableState, parent: TableState) -> dict[date | None, DayState]:
    """The days of a child whose keys must be in the parent: rows of days that it has not reached yet are no orphans."""
    last = parent.days[-1] if child.days and parent.days else None
    return {day: each for day, each in child.day_states.items() if day is None or not last or day <= last}


def _differ(states: Mapping[date | None, DayState], others: Mapping[date | None, DayState]) -> Days:
    return [day for day, each in states.items() if day not in others or not each.same_content_as(others[day])]


def find_proven(
    job: Job, references: Iterable[Reference], states: Mapping[str, TableState]
) -> list[Reference]:
    """Those of the references of which no key is missing, as far as the days show it that changed since a proof.

    A key of a new day is in the parent where a day that changed there has it, or where the child had it on a day that
    is proven; and none of the parent's may have gone. Where that does not show it, all days have to be compared.
    """
    proofs = _find_proofs(job.warehouse, references)
    new: dict[str, tuple[Keys, list[Keys]]] = {}
    gone: dict[str, tuple[Keys, list[Keys]]] = {}
    tables = _Tables(job)
    for ref, proof in proofs.items():
        changes = Changes.since(proof, states[ref.child], states[ref.parent])
        parent = states[ref.parent].version
        if changes.new:
            child = states[ref.child].version
            known = [Keys(rows, ref.key) for rows in tables.read(ref.parent, parent, changes.there)]
            known += map(ref.child_keys, tables.read(ref.child, child, changes.proven))
            (rows,) = tables.read(ref.child, child, changes.new)
            new[ref.name] = ref.child_keys(rows), known
        if changes.gone:
            (before,) = tables.read(ref.parent, proof.parent.version, changes.gone)
            left = [Keys(rows, ref.key) for rows in tables.read(ref.parent, parent, changes.gone)]
            gone[ref.name] = Keys(before, ref.key), left
    missing = [count_missing_keys(sides) for sides in (new, gone)]
    return [ref for ref in proofs if not any(counts.get(ref.name) for counts in missing)]


class _Tables:
    """Days of versions; the same ones are one DataFrame, as keys of each are read once."""

    def __init__(self, job: Job) -> None:
        self._job, self._rows = job, dict[tuple[str, int, tuple[date | None, ...]], "DataFrame"]()

    def read(self, table: str, version: int, days: Days) -> Iterator[DataFrame]:
        """None for no days."""
        if not days:
            return
        key = table, version, tuple(days)
        if key not in self._rows:
            of_days = [day for day in days if day is not None]
            self._rows[key] = self._job.at(table, version, of_days or None)
        yield self._rows[key]


def _find_proofs(warehouse: Warehouse, references: Iterable[Reference]) -> dict[Reference, Proof]:
    # what was in a version then and is no more is kept for as long
    since = datetime.now(UTC) - find_retention().releases
    held = read_held_expectations(warehouse, since)
    proofs = {}
    for ref in references:
        states = [_read_state_at(warehouse, name, held.get(ref.name, {})) for name in (ref.child, ref.parent)]
        if all(states):
            child, parent = filter(None, states)
            proofs[ref] = Proof(child, parent)
    return proofs


def _read_state_at(warehouse: Warehouse, table: str, versions: Mapping[str, int]) -> TableState | None:
    # a log that somebody shortened does not open there: then all days are compared, as ever
    with suppress(SegueError):
        opened = warehouse.table(table, versions[table]) if table in versions else None
        return read_state(opened) if opened else None
    return None
