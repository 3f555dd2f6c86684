"""All checks of a root. What cannot be read is an indicator of its own, and hides no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pyarrow as pa
from deltalake.exceptions import DeltaError

from jobs import TABLES
from jobs.errors import JobError, first_line
from jobs.graph import RELEASES
from jobs.health.drift import check_drift
from jobs.health.freshness import check_lags, check_promise, check_release_age, check_schedule
from jobs.health.indicators import WRONG, Indicator
from jobs.health.lateness import check_late_plays
from jobs.health.refusals import check_refusals
from jobs.health.root import Root
from jobs.health.skew import check_skew
from jobs.health.storage import Debt, check_disk, describe_debt, measure_debt
from segue.errors import SegueError

# What a log or a file raises that was cut off or written over, and a disk that fails.
UNREADABLE = (DeltaError, SegueError, pa.ArrowException, OSError, ValueError, KeyError)

Value = TypeVar("Value")


def read_or(default: Value, read: Callable[..., Value], *args: Any) -> Value:
    """The default where a log or a file cannot be read."""
    try:
        return read(*args)
    except UNREADABLE:
        return default


def examine(root: Root) -> list[Indicator]:
    """Every indicator, each key once.

    Raises:
        JobError: nothing is there to be measured.
    """
    tables = root.warehouse.list_tables()
    if not tables:
        raise JobError(f"no table is published under {root.warehouse.root}; give the right root")
    return Examination(root).run(tables)


class Examination:
    """Of one root; `unreadable` has what cannot be read, by what that is about."""

    def __init__(self, root: Root) -> None:
        self.root = root
        self.unreadable: dict[str, Indicator] = {}
        self._found: list[Indicator] = []

    def run(self, tables: list[str]) -> list[Indicator]:
        with self._note_unreadable(RELEASES):
            self._found += [*check_release_age(self.root), *check_lags(self.root)]
        with self._note_unreadable("quality results"):
            self._found += check_refusals(self.root)
        # what depends on either would be said once more for each table
        if not self.unreadable:
            self._check_tables([table for table in tables if table in TABLES])
        with self._note_unreadable("skew"):
            self._found += check_skew(self.root)
        with self._note_unreadable("disk"):
            self._found += check_disk(self.root)
        return [*self._found, *self.unreadable.values()]

    def _check_tables(self, tables: list[str]) -> None:
        debts: dict[str, Debt] = {}
        for table in tables:
            with self._note_unreadable(table):
                debts[table] = measure_debt(self.root, table)
        self._found.append(describe_debt(self.root, debts))
        # each of the others only if the tables that it reads can be read
        for table in self.root.promises.keys() - {RELEASES, *self.unreadable}:
            with self._note_unreadable(table):
                self._found.append(check_promise(self.root, table))
        if not self.unreadable.keys() & {"plays", "late_plays"}:
            with self._note_unreadable("plays"):
                self._found += [*check_schedule(self.root), *check_late_plays(self.root)]
        # tables follow from each other: with one that cannot be read, it is not known what follows from what
        if not self.unreadable:
            with self._note_unreadable("feature profiles"):
                self._found += check_drift(self.root)

    @contextmanager
    def _note_unreadable(self, subject: str) -> Iterator[None]:
        try:
            yield
        except UNREADABLE as problem:
            what, to_do = first_line(problem), self.root.command("verify")
            self.unreadable[subject] = Indicator("unreadable", subject, WRONG, what, to_do)
