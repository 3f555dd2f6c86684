"""What is wrong with a root, in words: logs, files, releases and, if asked, the rows themselves.

Without hashes nothing but logs, releases and the footers of files is read, and no JVM starts.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from itertools import product
from typing import TYPE_CHECKING

import pyarrow as pa
from deltalake.exceptions import DeltaError
from pyarrow.fs import FileSelector, FileType

from expectations.profile import profile
from jobs.errors import JobError, WrongUsage, first_line
from jobs.publishing.commits import list_data_files
from jobs.publishing.findings import LOG_CHECKS, TABLE_CHECKS, Finding, check_audit_records, join_names
from jobs.publishing.state import DayState, TableState
from jobs.publishing.table_on_storage import TableOnStorage
from jobs.publishing.warehouse import Warehouse
from schemas import CONTRACTS, Contract
from segue import show
from segue.builtin_commands import add_root
from segue.errors import SegueError
from segue.releases import TableVersion, list_releases, select_unexpired
from segue.storage import Snapshot, find_table

if TYPE_CHECKING:
    from expectations.profile import DayProfile
    from jobs.job import Job

NOT_PASSED = ("refused", "failed", "abandoned")
UNREADABLE = (DeltaError, SegueError, pa.ArrowException, OSError)

Released = Mapping[tuple[str, TableVersion], list[str]]
DayStates = Mapping[date | None, DayState]


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Says in words what is wrong with tables, logs and releases; exit code 1 if anything is."
    )
    add_root(parser)
    parser.add_argument("--hashes", action="store_true", help="read every row too, and compare (needs Spark)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line, for programs")
    parser.add_argument(
        "--training-set",
        metavar="PATH",
        help="instead: make some of its rows again from plays, in plain Python",
    )
    parser.add_argument(
        "--sample", type=int, default=50, metavar="ROWS", help="of the training set (%(default)s)"
    )


def run(args: argparse.Namespace) -> int:
    if args.training_set:
        from jobs.job import Job
        from jobs.training.rederive import rederive

        return rederive(Job("verify", args.root), args.training_set, args.sample)
    return verify(args.root, args.hashes, args.json)


def verify(root: str, hashes: bool = False, as_json: bool = False) -> int:
    """Prints what is found, a line each; the exit code says whether anything is wrong."""
    found = list(examine(root, hashes))
    wrong = sum(finding.wrong for finding in found)
    if as_json:
        lines = [{"severity": f.severity, "where": f.where, "what": f.what} for f in found]
        print(show.format_json_lines(lines), end="\n" if lines else "")
        return int(wrong > 0)
    for finding in found:
        print(f"{finding.severity}: {finding.where}: {finding.what}")
    depth = "logs, files and releases" + (
        ", and every row" if hashes else " (with --hashes, at every row too)"
    )
    print(f"{wrong or 'nothing'} wrong under {root}, looked at {depth}")
    return int(wrong > 0)


def examine(root: str, hashes: bool = False) -> Iterator[Finding]:
    """Everything that is found under a root.

    Raises:
        WrongUsage: there is no such root.
        JobError: it has no tables.
    """
    warehouse = Warehouse(root)
    names = _table_names(warehouse)
    released, unread = _read_releases(warehouse)
    tables = {name: _open_on_storage(warehouse, name, released) for name in names}
    # After the logs: the record of a batch is written before its commit.
    recorded, unread_records = _read_records(warehouse)
    yield from (*unread, *unread_records)
    for table in tables.values():
        for each in (*LOG_CHECKS, *TABLE_CHECKS):
            yield from each(table)
        yield from () if unread_records else check_audit_records(table, recorded)
    others = [
        TableOnStorage(warehouse, warehouse.path(path), path) for path in ("quality/results", "releases")
    ]
    for check, other in product(LOG_CHECKS, others):
        yield from check(other)
    yield from check_releases(tables, released)
    yield from _check_rows(root, tables) if hashes else ()


# --- releases


def check_releases(tables: Mapping[str, TableOnStorage], released: Released) -> Iterator[Finding]:
    for (name, entry), releases in released.items():
        for what in _release_violations(tables.get(name), entry):
            which = f"version {entry.version} of table {name}"
            yield Finding(f"release {join_names(releases)}", f"names {which}, {what}")


def _release_violations(table: TableOnStorage | None, entry: TableVersion) -> Iterator[str]:
    opened = "there is no such table" if table is None else table.at(entry.version)
    if table is None or isinstance(opened, str):
        yield f"which does not open: {opened}. Roll back to a release that holds"
        return
    if lost := table.list_missing(list_data_files(opened)):
        yield (
            f"which has lost {len(lost):,} files, such as {lost[0]} (gone, or of another size): its readers fail. "
            "Restore them from a copy, or roll back to a release that holds"
        )
    state = table.state(entry.version)
    if state and (state.rows, state.content_hash) != (entry.rows, entry.content_hash):
        yield (
            f"as {entry.rows:,} rows of content hash {entry.content_hash}; the note of that version says "
            f"{state.rows:,} of {state.content_hash}. One of the two was changed: segue verify --hashes tells which"
        )


def _read_releases(warehouse: Warehouse) -> tuple[Released, list[Finding]]:
    """What living releases name, and which of them do; and why that cannot be read, if so."""
    released: dict[tuple[str, TableVersion], list[str]] = {}
    try:
        for release in select_unexpired(list_releases(warehouse.root)):
            for name, entry in release.tables.items():
                released.setdefault((name, entry), []).append(release.release_id)
    except UNREADABLE as problem:
        return {}, [Finding("releases", f"cannot be read, so none was looked at: {first_line(problem)}")]
    return released, []


def _read_records(warehouse: Warehouse) -> tuple[set[tuple[str, str]], list[Finding]]:
    """Table and batch of every audit that passed."""
    uri, names = warehouse.path("quality", "results"), ["table_name", "batch_id", "outcome"]
    try:
        if (table := find_table(uri)) is None:
            return set(), []
        snapshot = Snapshot(uri, table)
        rows = snapshot.read(snapshot.files, names).to_pylist()
    except UNREADABLE as problem:
        what = f"cannot be read, so nobody can say which batches were audited: {first_line(problem)}"
        return set(), [Finding("quality/results", what)]
    return {(r["table_name"], r["batch_id"]) for r in rows if r["outcome"] not in NOT_PASSED}, []


def _open_on_storage(warehouse: Warehouse, name: str, released: Released) -> TableOnStorage:
    named: dict[int, list[str]] = {}
    for (table, entry), releases in released.items():
        if table == name:
            named.setdefault(entry.version, []).extend(releases)
    return TableOnStorage(warehouse, warehouse.table_path(name), f"table {name}", named)


def _table_names(warehouse: Warehouse) -> list[str]:
    root, tables = (warehouse.inner(path) for path in (warehouse.root, warehouse.path("tables")))
    entries = warehouse.files.get_file_info(FileSelector(tables, allow_not_found=True))
    names = sorted(entry.base_name for entry in entries if entry.type == FileType.Directory)
    if not names and warehouse.files.get_file_info(root).type == FileType.NotFound:
        raise WrongUsage(
            f"root {warehouse.root!r} is not there; give the folder that holds 'tables' and 'releases'"
        )
    if not names:
        raise JobError(f"there are no tables under {warehouse.root!r}; nothing has been published there yet")
    return names


# --- rows


def _check_rows(root: str, tables: Mapping[str, TableOnStorage]) -> Iterator[Finding]:
    from jobs.job import Job

    job = Job("verify", root)
    for name, table in tables.items():
        if name not in CONTRACTS:
            yield Finding(table.label, "has no contract, so its rows were not looked at", wrong=False)
        elif not isinstance(table.delta_table, str) and (state := table.state(table.delta_table.version())):
            yield from _check_rows_of_table(job, table, state)


def _check_rows_of_table(job: Job, table: TableOnStorage, state: TableState) -> Iterator[Finding]:
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    where, parts = f"{table.label}, version {state.version}", state.day_states
    try:
        rows = job.at(table.name, state.version)
        seen = profile(rows, _narrow_contract(CONTRACTS[table.name], rows.columns))
    except (PySparkException, Py4JError) as problem:  # what PySpark has no class for comes as the second
        yield Finding(
            where, f"its rows cannot be read: {_file_or_first_line(problem)}. Restore the file from a copy"
        )
        return
    if seen.duplicate_keys:
        yield Finding(where, f"{seen.duplicate_keys:,} rows share their key with another; expected none")
    for day in _mismatched_days(parts, seen.days):
        yield Finding(
            f"{where}, {day or 'all of it'}", _describe_mismatch(parts.get(day), seen.days.get(day))
        )


def _file_or_first_line(problem: Exception) -> str:
    """The file, if Spark says which; it does so far down in its trace."""
    file = re.search(r"\[FAILED_READ_FILE\S*\] (.*?)\.? +SQLSTATE", str(problem))
    return file[1] if file else first_line(problem)


def _narrow_contract(contract: Contract, columns: Sequence[str]) -> Contract:
    """Without what the table has yet to get; a column that it got later changes no older hash."""
    return replace(contract, columns=tuple(column for column in contract.columns if column.name in columns))


def _mismatched_days(parts: DayStates, days: Mapping[date | None, DayProfile]) -> list[date | None]:
    """Days whose rows are not what the log says; one without rows need not be there."""
    noted = {day: (part.rows, part.content_hash) for day, part in parts.items() if part.rows}
    seen = {day: (found.rows, found.content_hash) for day, found in days.items() if found.rows}
    return sorted((day for day in {*noted, *seen} if noted.get(day) != seen.get(day)), key=str)


def _describe_mismatch(noted: DayState | None, seen: DayProfile | None) -> str:
    expected, got = (
        "no rows" if each is None else f"{each.rows:,} rows of content hash {each.content_hash:016x}"
        for each in (noted, seen)
    )
    return f"holds {got}, was published as {expected}: a file was changed since. Restore it from a copy"
