"""The table of input files: what each run made of each of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, write_deltalake
from deltalake.exceptions import CommitFailedError

from expectations.verdict import Refused, format_failure
from jobs.errors import JobError, first_line
from jobs.file_counts import FileCounts, IngestCounts
from jobs.file_identity import drop_scheme, hides_paths
from jobs.inputs import WorkToDo
from jobs.job import Job
from jobs.known_files import (
    FAILED,
    READ,
    RECOGNISED,
    REFUSED,
    RETRACTED,
    IdentifiedFile,
    is_in,
    load_known_files,
    table_id,
)
from jobs.messages import LOG
from jobs.publishing.record_tables import FILES, remove_old_files
from jobs.publishing.transactions import list_transactions
from jobs.publishing.warehouse import Warehouse, find_contract
from jobs.sources import Source
from segue.retry import retry
from segue.storage import find_table

# Of a record that is of no file.
NO_FILE = "-"


@dataclass
class FileRecorder:
    """Records the files of one run, in few commits; `counts` are there once the rows are counted."""

    job: Job
    table: str
    source: Source
    settings: str
    retractions: int
    files: Sequence[IdentifiedFile]
    counts: IngestCounts | None = None

    def record_read(self, transaction: str | None) -> None:
        """That the files are in, as soon as the table's log has the transaction; at once, where there is none."""
        self._append(READ, self.files, transaction)

    def record_recognised(self, files: Sequence[IdentifiedFile]) -> None:
        self._append(RECOGNISED, files)

    @contextmanager
    def record_failures(self) -> Iterator[None]:
        """Records what refused the rows, or why they could not be read."""
        try:
            yield
        except WorkToDo:
            raise
        except Exception as problem:
            outcome, error = FAILED, _decode_paths(first_line(problem))
            if isinstance(problem, Refused):
                outcome, error = REFUSED, format_failure(problem.verdict.critical[0])
            try:
                self._append(outcome, self.files, error=error)
            except JobError as second:
                # what stopped the run matters more than a record of it
                LOG.warning("  (and there is no record of its files: %s)", second)
            raise

    def _append(
        self, outcome: str, files: Sequence[IdentifiedFile], transaction: str | None = None, error: str = ""
    ) -> None:
        about = self._about(outcome) | {"transaction": transaction}
        has_counts = self.counts is not None and outcome != RECOGNISED
        named = [each for each in files if drop_scheme(each.file.path) in error]
        rows = [
            about
            | self._describe(each)
            | (_to_columns(self._count(each)) if has_counts else {})
            | ({"error": self._explain(each, error, named)} if error else {})
            for each in files
        ]
        if rows:
            FILES.append(self.job.warehouse, rows)

    def _about(self, outcome: str) -> dict[str, Any]:
        warehouse = self.job.warehouse
        # of files without an event, the first of all may be read before there is a table
        is_in = outcome == READ
        opened = warehouse.create(find_contract(self.table)) if is_in else warehouse.table(self.table)
        return {
            "run_id": self.job.run_id,
            "table_name": self.table,
            "table_id": table_id(opened) if opened else None,
            "source": self.source.name,
            "settings": self.settings,
            "outcome": outcome,
            "retractions": self.retractions,
            "recorded_at": datetime.now(UTC),
        }

    def _describe(self, each: IdentifiedFile) -> dict[str, Any]:
        return {
            "file_id": each.file_id,
            "path": None if hides_paths(self.source) else each.file.path,
            "bytes": each.file.bytes,
            "modified_at": pa.scalar(each.file.modified, pa.timestamp("ms", "UTC")).as_py(),
            "content_id": each.content_id,
        }

    def _count(self, each: IdentifiedFile) -> FileCounts:
        assert self.counts is not None
        # a blank file has no row
        return self.counts.files.get(each.file.path, FileCounts())

    def _explain(self, each: IdentifiedFile, error: str, named: Sequence[IdentifiedFile]) -> str:
        if named and each not in named:
            return "not read, as another file of the same run could not be"
        if not hides_paths(self.source):
            return error
        path = each.file.path
        return error.replace(path, "(this file)").replace(drop_scheme(path), "(this file)")


def _decode_paths(error: str) -> str:
    """Spark names a file by its URI: what is in the name would be found neither to be hidden nor to be erased."""
    return re.sub(r"\b(?:file|s3a?|gs|abfss?):/\S+", lambda uri: unquote(uri[0]), error)


def _to_columns(counts: FileCounts) -> dict[str, int]:
    return {
        "rows": counts.rows,
        "new_rows": counts.events,
        "duplicate_rows": counts.duplicates,
        "late_rows": counts.late,
        "rejected_rows": counts.rejected,
        "left_out_rows": counts.left_out,
    }


def record_retraction(job: Job, table: str) -> None:
    """Before rows are taken out of a table: what is in them may come back from a file of another name or time."""
    if (opened := job.warehouse.table(table)) is None:
        return
    known = load_known_files(job.warehouse, table)
    if not known.paths:
        return
    about = {
        "run_id": job.run_id,
        "table_name": table,
        "table_id": table_id(opened),
        "file_id": NO_FILE,
        "outcome": RETRACTED,
        "retractions": known.retractions + 1,
        "recorded_at": datetime.now(UTC),
    }
    FILES.append(job.warehouse, [about])


def erase_paths(warehouse: Warehouse, ids: Collection[str]) -> int:
    """Takes paths and errors that name one of these listeners out of all records; says of how many."""

    def look_and_write() -> int:
        table = find_table(FILES.path(warehouse))
        if table is None:
            return 0
        rows = FILES.read(warehouse, FILES.contract.names).to_pylist()
        # records of before may have the URI of a path, in which signs are escaped
        texts = [f"{row['path']} {row['error']} {_decode_paths(row['error'] or '')}" for row in rows]
        named = [rows[n] for n in find_mentions(texts, ids)]
        for row in named:
            row.update(path=None, error=row["error"] and "(it named an erased listener)")
        if named:
            # of this very version: records that others append meanwhile must not get lost
            write_deltalake(
                table,
                FILES.to_arrow(rows, table),
                mode="overwrite",
                commit_properties=CommitProperties(max_commit_retries=0),
            )
        # though none is named now: an erasure that was killed before this has left the files
        remove_old_files(table, days=0)
        return len(named)

    return retry(look_and_write, CommitFailedError)


def find_mentions(texts: Sequence[str], ids: Collection[str]) -> list[int]:
    """Places of texts with one of the ids in it, between whatever signs a name of a file has: u1 is not u12."""
    # at once over all of them, as most ids of a long list are in none
    whole = "\n".join(texts)
    if not (mentioned := [id_ for id_ in ids if id_ in whole]):
        return []
    find = re.compile(rf"(?<![^\W_])(?:{'|'.join(map(re.escape, mentioned))})(?![^\W_])")
    return [n for n, text in enumerate(texts) if find.search(text)]


def list_records(warehouse: Warehouse, table: str) -> list[dict[str, Any]]:
    """Records of a table's files, the newest first, and whether each file is in by it."""
    rows = FILES.read(warehouse, FILES.contract.names, pc.field("table_name") == table).to_pylist()
    opened = warehouse.table(table)
    id_ = table_id(opened) if opened else None
    transactions = list_transactions(warehouse, table) if opened else set()
    files = [row for row in rows if row["file_id"] != NO_FILE]
    for row in files:
        row["fate"] = _name_fate(row, id_, transactions)
    return sorted(files, key=lambda row: row["recorded_at"], reverse=True)


def _name_fate(row: Mapping[str, Any], id_: str | None, transactions: Collection[str]) -> str:
    if row["table_id"] != id_:
        return "of a table before"
    is_lost = row["outcome"] == READ and not is_in(row, transactions)
    return "not published" if is_lost else str(row["outcome"])
