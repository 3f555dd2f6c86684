"""What can be wrong with one table: its log, its files, its commits.

A check is a function that takes a table and yields what it finds, in words: what, expected, what to do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.errors import first_line
from jobs.publishing.log_entries import LogEntry
from jobs.publishing.retention import find_retention
from jobs.publishing.table_on_storage import TableOnStorage
from segue import show

KINDS = ("publish", "compact", "erase", "rename", "retract", "watermark", "widen")
# Clocks of machines differ; by more than this, one of them was wrong.
CLOCK_MAY_BE_FAST = timedelta(hours=2)


@dataclass(frozen=True)
class Finding:
    where: str
    what: str
    # else a note: worth knowing, but nothing is wrong
    wrong: bool = True

    @property
    def severity(self) -> str:
        return "wrong" if self.wrong else "note"


def join_names(names: Sequence[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


# --- any Delta table


# by the text of the entries: delta-rs opens no table at one that is cut off inside a line
def check_log_entries(table: TableOnStorage) -> Iterator[Finding]:
    for version, entry in table.entries.items():
        if entry is None:
            name = f"_delta_log/{version:020}.json"
            size = table.log[f"{version:020}.json"].size
            state = "is empty, so readers see a commit that changed nothing" if not size else "is cut off"
            yield Finding(
                f"{table.label}, version {version}",
                f"its entry in the log {state} ({name}, {size:,} bytes; expected whole lines of JSON). "
                f"{_repair_advice(table, version, name)}",
            )


def _repair_advice(table: TableOnStorage, version: int, name: str) -> str:
    blocked = version in table.broken_versions
    effect = "Nobody can write to this table or read its newest version. " if blocked else ""
    if not _is_removable(table, version):
        releases = table.releases_by_version.get(version)
        reason = f"release {join_names(releases)} names it" if releases else "later ones follow"
        return f"{effect}Do not move it away, as {reason}: restore it from a copy of the log"
    if table.released:
        effect += "Readers through a release are not affected, as none names this version. "
    return (
        f"{effect}Move {name} away: the table is at version {version - 1} again, and the step that wrote it can be "
        "run again"
    )


def _is_removable(table: TableOnStorage, version: int) -> bool:
    # nothing builds on that version, nobody was promised it, and no checkpoint would bring it back
    return version == table.newest > table.checkpoint and version not in table.releases_by_version


def check_version_gaps(table: TableOnStorage) -> Iterator[Finding]:
    for version in table.broken_versions:
        if version not in table.entries:
            yield Finding(
                f"{table.label}, version {version}",
                f"its entry is not in the log; expected every version from {table.checkpoint + 1} to {table.newest}. "
                f"Versions from {version} on cannot be opened, and nothing can be published. Restore "
                f"_delta_log/{version:020}.json from a copy",
            )


def check_log_opens(table: TableOnStorage) -> Iterator[Finding]:
    if table.newest < 0 and any(path.endswith(".parquet") for path in table.files_on_storage):
        yield Finding(
            table.label, "has files and no log, so readers see no table. Restore _delta_log from a copy"
        )
    elif table.newest >= 0 and isinstance(table.delta_table, str) and not table.broken_versions:
        yield Finding(
            f"{table.label}, version {table.newest}",
            f"does not open: {table.delta_table}. Every entry is there; if there is a checkpoint in _delta_log, "
            "compare it with a copy",
        )


def check_reader_version(table: TableOnStorage) -> Iterator[Finding]:
    # a reader that knows no column mapping gets the right number of rows, with nulls for all values
    reader = 1 if isinstance(table.delta_table, str) else table.delta_table.protocol().min_reader_version
    if reader != 1:
        yield Finding(
            table.label,
            f"asks readers for version {reader} of the Delta protocol, expected 1: readers without Spark may see nulls "
            "or fail. Another engine has switched a feature on; publish under a new root",
        )


def check_files(table: TableOnStorage) -> Iterator[Finding]:
    # a footer is one small read, and waiting for the store is most of it
    with ThreadPoolExecutor() as pool:
        faults = pool.map(lambda file: _describe_damage(table, file), table.files)
        for file, fault in zip(table.files, faults, strict=True):
            if fault:
                yield Finding(f"{table.label}, file {file['path']}", f"{fault}. Restore it from a copy")


def _describe_damage(table: TableOnStorage, file: Mapping[str, Any]) -> str | None:
    info = table.files_on_storage.get(file["path"])
    if info is None:
        return f"is gone; the log names it, with {file['size_bytes']:,} bytes"
    if info.size != file["size_bytes"]:
        return f"has {info.size:,} bytes, the log says {file['size_bytes']:,}"
    try:
        # the footer alone: pages are read by `verify --hashes`
        with table.warehouse.files.open_input_file(info.path) as parquet:
            rows = pq.read_metadata(parquet).num_rows
    except (pa.ArrowException, OSError) as problem:
        return f"its footer cannot be read: {first_line(problem)}"
    if rows != (logged := file["num_records"]):
        return f"has {rows:,} rows, the log says {'nothing' if logged is None else f'{logged:,}'}"
    return None


# --- the tables that batches are published to


def check_commit_authors(table: TableOnStorage) -> Iterator[Finding]:
    for version, entry in table.entries.items():
        # the creation and its constraints change no files, and carry no note
        if entry and entry.changes and not _is_ours(entry):
            engine = entry.engine or "which does not say its name"
            advice = (
                f"Move _delta_log/{version:020}.json away: the table is at version {version - 1} again"
                if _is_removable(table, version)
                else "Later versions or releases build on it: roll back to a release from before, and keep that "
                "engine out"
            )
            yield Finding(
                f"{table.label}, version {version}",
                f"changes {entry.changes:,} files and carries no note of ours: another engine ({engine}) committed it, "
                f"and nobody has audited what it wrote. {advice}",
            )


def _is_ours(entry: LogEntry) -> bool:
    return entry.note.get("kind") in KINDS and "batch" in entry.note and entry.base is not None


def check_duplicate_batches(table: TableOnStorage) -> Iterator[Finding]:
    for batch, times in table.publish_counts.items():
        if times > 1:
            yield Finding(
                f"{table.label}, batch {batch}",
                f"was published {times} times, expected once; rows may be there twice. Roll back to a release "
                "from before",
            )


def check_saved_states(table: TableOnStorage) -> Iterator[Finding]:
    for version in sorted({table.newest, *table.releases_by_version}):
        if (base := table.lost_base(version)) is not None:
            yield Finding(
                f"{table.label}, version {version}",
                f"what it holds is written as changes to version {base}, whose entry in the log is not there or was "
                f"cut off: nothing can be published on top of it. Restore _delta_log/{base:020}.json from a copy",
            )


def check_row_counts(table: TableOnStorage) -> Iterator[Finding]:
    if isinstance(table.delta_table, str):
        return
    version = table.delta_table.version()
    where, state = f"{table.label}, version {version}", table.state(version)
    if state is None:
        if table.files and table.lost_base(version) is None:
            yield Finding(
                where,
                "no entry of the log says any more what the table holds, so publishing would take it for empty. "
                "Restore the newest entries in _delta_log from a copy",
            )
        return
    in_files, in_state = Counter[date | None](), {day: each.rows for day, each in state.day_states.items()}
    for file in table.files:
        in_files[file.get("partition.ds")] += file["num_records"] or 0
    for day in sorted({*in_files, *in_state}, key=str):
        if in_files[day] != in_state.get(day, 0):
            yield Finding(
                f"{where}, {day or 'all of it'}",
                f"the files that the log names have {in_files[day]:,} rows, the note of the commit says "
                f"{in_state.get(day, 0):,}. A commit was cut short, or is not ours. Roll back to a "
                "release from before",
            )


def check_commit_times(table: TableOnStorage) -> Iterator[Finding]:
    # a note and no fault: `next_commit_time` dates every later batch after these, so their order stays right
    now = datetime.now(UTC)
    instants = [file["partition.available_at"] for file in table.files if file.get("partition.available_at")]
    if late := [instant for instant in instants if instant > now + CLOCK_MAY_BE_FAST]:
        yield Finding(
            table.label,
            f"available_at of {len(late):,} files lies ahead, up to {show.format_cell(max(late))} "
            f"(it is {show.format_cell(now)}): a clock was fast when they were published. Until then, look-ups as of "
            "now miss them, and later batches are dated after them. Set that clock right",
            wrong=False,
        )


def check_leftovers(table: TableOnStorage) -> Iterator[Finding]:
    # folders of files that were named once count as named: vacuum removes those, a release's life later
    live_folders = {file["path"].split("/")[0] for file in table.files}
    live_folders.update(*(entry.folders for entry in table.entries.values() if entry))
    for path in table.warehouse.batches(table.name).values():
        folder = path.rsplit("/", 1)[-1]
        files = [info for file, info in table.files_on_storage.items() if file.startswith(f"{folder}/")]
        # by its youngest file: a write that is under way has old ones beside it
        newest = max((info.mtime for info in files), default=datetime.now(UTC))
        if folder not in live_folders and datetime.now(UTC) - newest > find_retention().refused:
            yield Finding(
                f"{table.label}, {folder}",
                f"left over since {show.format_cell(newest)}: {sum(info.size for info in files):,} bytes that no "
                "version names. segue maintain removes it",
                wrong=False,
            )


def check_audit_records(table: TableOnStorage, recorded: set[tuple[str, str]]) -> Iterator[Finding]:
    # one that was refused counts as unrecorded: nothing may publish it all the same
    for batch in table.publish_counts:
        if (table.name, batch) not in recorded:
            yield Finding(
                f"{table.label}, batch {batch}",
                "was published, but the quality results have no record that its audit passed. Look for a lost or "
                "restored folder quality/results",
            )


Check = Callable[[TableOnStorage], Iterator[Finding]]
LOG_CHECKS: tuple[Check, ...] = (
    check_log_entries,
    check_version_gaps,
    check_log_opens,
    check_reader_version,
    check_files,
)
TABLE_CHECKS: tuple[Check, ...] = (
    check_commit_authors,
    check_duplicate_batches,
    check_saved_states,
    check_row_counts,
    check_commit_times,
    check_leftovers,
)
