"""What must hold between the tables of a release, by sets and loops over rows that the client reads: without Spark."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import pytest

from expectations.release import OF_ONE_VERSION, REFERENCES, Reference
from jobs import release_tables
from jobs.publishing.selection import Selection
from reference.rows import Row
from schemas import CONTRACTS
from segue.storage import Snapshot

# A condition that is not here needs its line of Python.
CONDITIONS = {None: lambda row: True, "source = 'learned'": lambda row: row["source"] == "learned"}


def count_in_python(patch: pytest.MonkeyPatch) -> None:
    """Until `patch` is undone, releases are held to these loops, as planning a query over a dozen tables takes seconds.

    `test_release_tables` holds Spark to them, and `test_flow` and `test_small_worlds` release on Spark.
    """
    patch.setattr(release_tables, "_count_orphans", lambda job, selection: orphans(selection))
    patch.setattr(release_tables, "_read_versions", lambda job, selection: versions(selection))


def orphans(selection: Selection) -> dict[str, int]:
    """Of each reference among the tables of a selection, how many keys of the child the parent lacks."""
    return {
        each.name: _orphans_of(selection, each)
        for each in REFERENCES
        if {each.child, each.parent} <= selection.states.keys() - selection.undeclared
    }


def _orphans_of(selection: Selection, reference: Reference) -> int:
    """A child that is ahead of its parent is held to it up to the parent's newest day."""
    holds = CONDITIONS[reference.where]
    child = [row for row in rows_of(selection, reference.child) if holds(row)]
    ends = [selection.days.get(name, [])[-1:] for name in (reference.child, reference.parent)]
    if all(ends):
        child = [row for row in child if row["ds"] <= ends[1][0]]
    parent = {row[reference.key] for row in rows_of(selection, reference.parent)} - {None}
    return len({row[reference.key] for row in child} - parent)


def versions(selection: Selection) -> dict[date, dict[str, set[str]]]:
    """On the newest day of any table of the embeddings, the version ids of each that has rows of that day."""
    tables = [name for name in OF_ONE_VERSION if name in selection.days]
    newest = {selection.days[name][-1] for name in tables}
    ids_by_day: dict[date, dict[str, set[str]]] = {}
    for name in tables:
        for row in rows_of(selection, name):
            if row["ds"] in newest:
                ids_by_day.setdefault(row["ds"], {}).setdefault(name, set()).add(row["version_id"])
    return ids_by_day


def rows_of(selection: Selection, table: str) -> list[Row]:
    """All rows of a table at the version that is selected."""
    uri = selection.warehouse.table_path(table)
    snapshot = Snapshot.at(uri, selection.states[table].version)
    return snapshot.read(snapshot.files, _names(table)).to_pylist()


def _names(table: str) -> Iterable[str]:
    needed_columns = {"ds", "version_id", "source", *(each.key for each in REFERENCES)}
    return [name for name in CONTRACTS[table].names if name in needed_columns]
