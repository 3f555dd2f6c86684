"""What is wrong with a root, in words: logs, files, releases and, if asked, the rows themselves.

Without hashes nothing but logs, releases and the footers of files is read, and no JVM starts.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping
from datetime import date
from itertools import product
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from deltalake.exceptions import DeltaError

from expectations.attempts import NOT_AUDITED
from expectations.profile import DayProfile, Profile, profile
from jobs.errors import first_line
from jobs.publishing.commits import list_data_files
from jobs.publishing.declared_columns import contracts_of_days
from jobs.publishing.findings import LOG_CHECKS, TABLE_CHECKS, Finding, check_audit_records, join_names
from jobs.publishing.record_tables import RECORD_TABLES
from jobs.publishing.state import DayState, TableState
from jobs.publishing.table_on_storage import TableOnStorage
from jobs.publishing.warehouse import Warehouse, require_tables
from schemas import CONTRACTS
from segue import show
from segue.builtin_commands import add_root
from segue.errors import SegueError
from segue.releases import TableVersion, list_releases, select_unexpired
from segue.storage import Snapshot, find_table

if TYPE_CHECKING:
    from jobs.job import Job

NOT_PASSED = (*NOT_AUDITED, "refused")
UNREADABLE = (DeltaError, SegueError, pa.ArrowException, OSError)

Released = Mapping[tuple[str, TableVersion], list[str]]


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
    findings = list(examine(root, hashes))
    # notes are printed too, and leave the exit code at 0
    fault_count = sum(finding.wrong for finding in findings)
    if as_json:
        lines = [{"severity": each.severity, "where": each.where, "what": each.what} for each in findings]
        print(show.format_json_lines(lines), end="\n" if lines else "")
        return int(fault_count > 0)
    for finding in findings:
        print(f"{finding.severity}: {finding.where}: {finding.what}")
    rows = ", and every row" if hashes else " (with --hashes, at every row too)"
    print(f"{fault_count or 'nothing'} wrong under {root}, looked at logs, files and releases{rows}")
    return int(fault_count > 0)


def examine(root: str, hashes: bool = False) -> Iterator[Finding]:
    """Everything that is found under a root.

    Raises:
        WrongUsage: there is no such root.
        JobError: it has no tables.
    """
    warehouse = Warehouse(root)
    names = require_tables(warehouse)
    released, unread = _read_releases(warehouse)
    tables = {name: _open_on_storage(warehouse, name, released) for name in names}
    # after the logs: the record of a batch is written before its commit, so one without is no publisher at work
    recorded, unread_records = _read_records(warehouse)
    yield from (*unread, *unread_records)
    for table in tables.values():
        for each in (*LOG_CHECKS, *TABLE_CHECKS):
            yield from each(table)
        yield from () if unread_records else check_audit_records(table, recorded)
    # these have no batches, so only their logs are checked
    paths = (*("/".join(table.place) for table in RECORD_TABLES), "releases")
    others = [TableOnStorage(warehouse, warehouse.path(path), path) for path in paths]
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
    # compared with the folder's listing: no file is opened
    if lost_files := table.list_missing(list_data_files(opened)):
        yield (
            f"which has lost {len(lost_files):,} files, such as {lost_files[0]} (gone, or of another size): its "
            "readers fail. Restore them from a copy, or roll back to a release that holds"
        )
    state = table.state(entry.version)
    if state and (state.rows, state.content_hash) != (entry.rows, entry.content_hash):
        yield (
            f"as {entry.rows:,} rows of content hash {entry.content_hash}; the note of that version says "
            f"{state.rows:,} of {state.content_hash}. One of the two was changed: segue verify --hashes tells which"
        )


def _read_releases(warehouse: Warehouse) -> tuple[Released, list[Finding]]:
    """What living releases name, and which of them do; and why that cannot be read, if so."""
    # releases share most versions: each is examined once, for all that name it
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
        rows = snapshot.read(snapshot.files, names)
    except UNREADABLE as problem:
        what = f"cannot be read, so nobody can say which batches were audited: {first_line(problem)}"
        return set(), [Finding("quality/results", what)]
    # a batch has a row for each expectation: of years of nights, too many for Python
    passed = rows.filter(pc.invert(pc.is_in(rows["outcome"], pa.array(NOT_PASSED))))
    batches = passed.group_by(names[:2]).aggregate([]).to_pylist()
    return {(row["table_name"], row["batch_id"]) for row in batches}, []


def _open_on_storage(warehouse: Warehouse, name: str, released: Released) -> TableOnStorage:
    named: dict[int, list[str]] = {}
    for (table, entry), releases in released.items():
        if table == name:
            named.setdefault(entry.version, []).extend(releases)
    return TableOnStorage(warehouse, warehouse.table_path(name), f"table {name}", named)


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

    where = f"{table.label}, version {state.version}"
    try:
        observed = _profile_as_published(job, table, state)
    except (PySparkException, Py4JError) as problem:  # what PySpark has no class for comes as the second
        # Spark says which file far down in its trace
        file = re.search(r"\[FAILED_READ_FILE\S*\] (.*?)\.? +SQLSTATE", str(problem))
        what = file[1] if file else first_line(problem)
        yield Finding(where, f"its rows cannot be read: {what}. Restore the file from a copy")
        return
    if observed.duplicate_keys:
        yield Finding(where, f"{observed.duplicate_keys:,} rows share their key with another; expected none")
    for day, what in _find_mismatches(state.day_states, observed.days):
        yield Finding(f"{where}, {day or 'all of it'}", what)


def _profile_as_published(job: Job, table: TableOnStorage, state: TableState) -> Profile:
    from pyspark.sql import functions as F

    assert not isinstance(table.delta_table, str)
    rows, duplicates = job.at(table.name, state.version), 0
    days: dict[date | None, DayProfile] = {}
    for contract, of_days in contracts_of_days(CONTRACTS[table.name], table.delta_table, state):
        observed = profile(rows if of_days is None else rows.where(F.col("ds").isin(of_days)), contract)
        days |= observed.days
        duplicates += observed.duplicate_keys
    return Profile(sum(day.rows for day in days.values()), duplicates, days)


def _find_mismatches(
    published: Mapping[date | None, DayState], observed: Mapping[date | None, DayProfile]
) -> Iterator[tuple[date | None, str]]:
    """Days whose rows are not what the log says, and how."""
    for day in sorted({*published, *observed}, key=str):
        both = published.get(day), observed.get(day)
        # a day without rows need not be there
        contents = [(each.rows, each.content_hash) if each and each.rows else None for each in both]
        if contents[0] != contents[1]:
            expected, actual = (
                f"{each.rows:,} rows of content hash {each.content_hash:016x}" if each else "no rows"
                for each in both
            )
            yield (
                day,
                f"holds {actual}, was published as {expected}: a file was changed since. Restore it from a copy",
            )
